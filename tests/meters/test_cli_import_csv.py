"""`p2penergy import-csv` as a person runs it, against validators that run."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from demo_village import FIRST, PERIODS
from household_net import Stay

from p2penergy.beacon import HashChain
from p2penergy.cli import main
from p2penergy.grid.periods import period_start_text
from p2penergy.home import GENESIS_FILE, read_genesis
from p2penergy.membership.keys import DeviceKey
from p2penergy.meters import reader


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["import-csv", *map(str, arguments)])


def now_of(running: Stay) -> int:
    return int(running.json(1, "wallet")["period"])


def test_readings_of_many_households_go_period_by_period(running: Stay, tmp_path: Path) -> None:
    now = now_of(running)
    file = tmp_path / "readings.csv"
    lines = ["household,period_start,import_wh,export_wh"]
    for name in ("H002", "H004"):
        lines += [f"{name},{period_start_text(now + ahead)},2{ahead},0" for ahead in (1, 2)]
    file.write_text("\n".join(lines) + "\n")
    homes = running.keep / "households"
    done = run("packets", file, "--homes", homes, "--dry-run")
    assert (done.exit_code, done.output) == (0, "4 rows of 2 households are good; nothing was sent.\n")
    assert now_of(running) == now
    done = run("packets", file, "--homes", homes)
    assert done.output == "4 of 4 rows were accepted.\n"
    assert now_of(running) == now + 2
    # Once more is no harm; other figures for a period that was signed are never sent.
    assert run("packets", file, "--homes", homes).output == "4 of 4 rows were accepted.\n"
    file.write_text("\n".join([lines[0], lines[1].replace(",21,", ",99,")]) + "\n")
    done = run("packets", file, "--homes", homes)
    assert done.exit_code == 1 and "line 2: this meter has signed other figures" in done.output


def test_orders_of_many_households_and_a_declined_one(running: Stay, tmp_path: Path) -> None:
    period = period_start_text(now_of(running) + 4)
    past = period_start_text(now_of(running))
    file = tmp_path / "orders.csv"
    rows = [f"H001,bid,{period},50,0.2", f"H005,ask,{period},40,0.15", f"H005,ask,{past},40,0.15"]
    file.write_text("\n".join(["household,side,period_start,energy_wh,price", *rows]) + "\n")
    homes = running.keep / "households"
    assert run("orders", file, "--homes", homes, "--dry-run").exit_code == 0
    done = run("orders", file, "--homes", homes)
    assert done.exit_code == 1
    assert "line 4: declined: the gate for period" in done.output
    assert "2 of 3 rows were accepted." in done.output
    (order,) = [o for o in running.json(5, "order", "list") if o["period_start"] == period]
    assert (order["energy_wh"], order["end"]) == (40, "open")


def test_for_programs_and_by_way_of_named_nodes(running: Stay, tmp_path: Path) -> None:
    period, past = (period_start_text(now_of(running) + ahead) for ahead in (5, 0))
    file, head = tmp_path / "orders.csv", "household,side,period_start,energy_wh,price\n"
    file.write_text(f"{head}H006,bid,{period},50,0.2\nH006,bid,{past},50,0.2\n")
    to = ["--homes", running.keep / "households", "--json"]
    done = run("orders", file, *to, "--dry-run")
    assert json.loads(done.output) == {
        "rows": 2,
        "households": 1,
        "sent": False,
        "accepted": 0,
        "outcomes": [],
    }
    nodes = [part for node in running.nodes for part in ("--node", node)]
    done = run("orders", file, *to, *nodes)
    said = json.loads(done.output)
    assert (done.exit_code, said["sent"], said["accepted"]) == (1, True, 1)
    assert [(each["line"], each["accepted"]) for each in said["outcomes"]] == [(2, True), (3, False)]
    assert f"the gate for period {past} is closed" in said["outcomes"][1]["sentence"]
    # One validator alone is not believed, and one that is not there is named.
    done = run("orders", file, *to, "--node", running.nodes[0])
    assert done.exit_code == 2 and "name more with --node" in done.output
    done = run("orders", file, *to, "--node", "127.0.0.1:1")
    assert done.exit_code == 2 and "127.0.0.1:1 can't be reached" in done.output
    file.write_text(f"{head}H006,bid,{period},x,0.2\n")
    done = run("orders", file, *to)
    (bad,) = json.loads(done.output)["bad_rows"]
    assert (done.exit_code, bad["line"], bad["column"]) == (2, 2, "energy_wh")


def test_a_reading_for_a_settled_period_says_so(running: Stay, tmp_path: Path) -> None:
    file = tmp_path / "readings.csv"
    # One of the village's own, for which every household was settled before any test began.
    past = f"{FIRST + timedelta(minutes=15 * (PERIODS - 3)):%Y-%m-%dT%H:%MZ}"
    file.write_text(f"household,period_start,import_wh,export_wh\nH008,{past},77,0\n")
    done = run("packets", file, "--homes", running.keep / "households")
    assert done.exit_code == 1
    assert "the period has a reading of this meter already, or is settled without one" in done.output


def test_a_bad_row_stops_everything_and_all_are_named(running: Stay, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    period = period_start_text(now_of(running) + 4)
    rows = [f"H002,bid,{period},50,0.2", f"H002,sell,{period},50,0.2", f"H002,bid,{period},x,0.2"]
    file.write_text("\n".join(["household,side,period_start,energy_wh,price", *rows]) + "\n")
    done = run("orders", file, "--homes", running.keep / "households")
    assert done.exit_code == 2
    assert "line 3, column side" in done.output and "line 4, column energy_wh" in done.output
    assert not [o for o in running.json(2, "order", "list") if o["period_start"] == period]


def test_a_household_without_a_folder_is_named(running: Stay, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("household,side,period_start,energy_wh,price\nH999,bid,2016-06-23T09:00Z,5,0.1\n")
    done = run("orders", file, "--homes", running.keep / "households")
    assert done.exit_code == 2 and "no folder for H999" in done.output
    done = run("orders", tmp_path / "nowhere.csv", "--homes", running.keep)
    assert done.exit_code == 2 and "can't be read" in done.output


def test_a_reading_too_far_ahead_is_given_up(
    running: Stay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "AGAIN_S", 0)
    file = tmp_path / "readings.csv"
    far = period_start_text(now_of(running) + 500)
    file.write_text(f"household,period_start,import_wh,export_wh\nH003,{far},5,0\n")
    done = run("packets", file, "--homes", running.keep / "households")
    assert done.exit_code == 1 and "line 2: refused: the transaction is about period" in done.output


def test_participants_and_their_feeder_go_into_genesis(running: Stay, tmp_path: Path) -> None:
    base = running.home(1) / GENESIS_FILE
    file, feeder, out = tmp_path / "people.csv", tmp_path / "feeder.csv", tmp_path / "genesis.json"
    keys = [DeviceKey.generate().public_key_compressed().hex() for _ in range(2)]
    tip = HashChain(b"x", 4).tip.hex()
    rows = [f"anna,{'ab' * 20},{keys[0]},household,,4000", f"bert,{'cd' * 20},{keys[1]},validator,{tip},"]
    file.write_text("\n".join(["name,participant_id,public_key,role,beacon_tip,rated_w", *rows]) + "\n")
    feeder.write_text(
        "node,parent,r_uohm,x_uohm,i_max_a,household\n0,-1,48,235,577,\n1,0,24,9,270,anna\n2,1,24,9,270,bert\n"
    )
    arguments = ["participants", file, "--genesis", base, "--feeder", feeder, "--out", out]
    done = run(*arguments, "--dry-run")
    assert done.exit_code == 0 and not out.exists()
    figures = json.loads(run(*arguments, "--dry-run", "--json").output)
    assert (figures["rows"], figures["written"], out.exists()) == (2, False, False)
    done = run(*arguments)
    made = read_genesis(out)
    assert done.output.splitlines()[-1] == made.chain_id.hex()
    assert len(made.members) == len(read_genesis(base).members) + 2 and made.grid
    assert json.loads(out.read_text())["grid"]["nodes"][1]["participant_id"] == "ab" * 20
    file.write_text(file.read_text() + rows[0].replace("anna", "carl") + "\n")
    done = run(*arguments)
    assert (done.exit_code == 2 and "carl" in done.output) or "twice" in done.output
