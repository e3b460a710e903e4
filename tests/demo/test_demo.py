"""`p2penergy demo` as a person runs it: a process, its output, its JSON, its ledgers, its end."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from demo_village import (
    HOUSEHOLDS,
    PERIODS,
    Demo,
    all_ended,
    children,
    figures,
    ledgers,
    run_demo,
    traded_wh,
    write_village,
)

from p2penergy.audit import audit
from p2penergy.demo.display import PLAIN_WIDTH

TRADED_WH = [traded_wh(period) for period in range(PERIODS)]

pytestmark = pytest.mark.timeout(200)


class Finished(NamedTuple):
    output: str
    figures: dict[str, Any]
    keep: Path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_village(tmp_path_factory.mktemp("village") / "elm street")


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    code, out, err = run_demo(data, "--json", str(folder / "out.json"), "--keep", str(folder / "kept"))
    assert (code, err) == (0, ""), out + err
    return Finished(out, figures(folder / "out.json"), folder / "kept")


def test_the_totals_are_those_of_the_data(finished: Finished) -> None:
    said = finished.figures
    assert sum(TRADED_WH) > 0
    assert said["traded_wh"] == sum(TRADED_WH)
    assert [period["traded_wh"] for period in said["periods"]] == TRADED_WH
    assert said["periods"][0]["period_start"] == "2016-06-23T09:00Z"
    assert said["trades"] == sum(period["trades"] for period in said["periods"]) > 0
    assert said["from_grid_wh"] == said["consumed_wh"] - said["traded_wh"]
    assert said["to_grid_wh"] == said["exported_wh"] - said["traded_wh"]
    assert said["community_share"] == round(said["traded_wh"] / said["consumed_wh"], 6)
    assert said["households"] == HOUSEHOLDS


def test_the_validators_agree(finished: Finished) -> None:
    said = finished.figures
    assert [row["name"] for row in said["validators"]] == ["H001", "H002", "H003", "H004"]
    assert len({(row["height"], row["state_root"]) for row in said["validators"]}) == 1
    assert len(said["validators"][0]["state_root"]) == 64
    assert said["leaders_match_equation_1"] is True
    assert said["conserved"] is True
    assert said["roots_equal"] is True
    assert sum(row["blocks_led"] for row in said["validators"]) >= said["validators"][0]["height"]
    assert 0 < said["latency_ms"]["p50"] <= said["latency_ms"]["p99"] <= said["latency_ms"]["max"]
    # Readings, trades, and what the attacks took.
    assert said["latency_ms"]["count"] >= PERIODS * HOUSEHOLDS + said["trades"]


def test_both_attacks_were_caught(finished: Finished) -> None:
    seller, buyer = finished.figures["attacks"]
    assert (seller["name"], seller["condition"], seller["alpha"]) == ("malicious seller", 1, 1)
    assert (buyer["name"], buyer["condition"], buyer["alpha"]) == ("malicious buyer", 2, -1)
    for attack in (seller, buyer):
        assert attack["declined"] is True
        assert attack["double_spent"] is False
        assert attack["genuine_executed"] is True
        assert attack["repeat_declined"] is True
        assert attack["victim_told"].startswith("declined at the execution stage")
        assert attack["attacker"] != attack["victim"]
    assert seller["signed"] == "100 Wh for 0.02 EUR"
    assert seller["submitted"] == "50 Wh for 0.02 EUR"
    assert buyer["submitted"] == "100 Wh for 0.01 EUR"


def test_the_summary_is_plain_and_fits(finished: Finished) -> None:
    text = finished.output
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= max(PLAIN_WIDTH, len(str(finished.keep)) * 2 + 80)
    tables = [line for line in text.splitlines() if line[:1] in "│┃╭┌┏└╰"]
    assert max(map(len, tables)) <= PLAIN_WIDTH
    for words in (
        f"{HOUSEHOLDS} households of elm street, 2016-06-23 ({PERIODS} settlement periods)",
        "between neighbours",
        "Bill of household",
        "4 validators, tolerating 1 faulty",
        "signed 100 Wh for 0.02 EUR; the seller submitted 50 Wh for 0.02 EUR",
        "executed once, proven",
        "p2penergy audit",
    ):
        assert words in text
    assert "NO" not in text.replace("NOT", "")


def test_the_kept_ledgers_are_clean(finished: Finished) -> None:
    assert children(finished.keep) <= {os.getpid()}
    report = audit(finished.keep)
    assert report.is_clean
    heights = {row["height"] for row in finished.figures["validators"]}
    # An idle network goes on with empty blocks until it is stopped.
    assert len(report.ledgers) == 4
    assert min(each.height for each in report.ledgers) >= max(heights)


def test_a_killed_validator_changes_no_total_and_comes_back(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    code, text, err = run_demo(data, "--crash", "1", "--json", str(out), "--keep", str(tmp_path / "kept"))
    assert (code, err) == (0, ""), text + err
    said = figures(out)
    assert said["traded_wh"] == sum(TRADED_WH)
    assert [period["traded_wh"] for period in said["periods"]] == TRADED_WH
    [killed] = [row for row in said["validators"] if row["killed"]]
    assert (killed["name"], killed["killed"], killed["running"]) == ("H004", 1, True)
    assert len({(row["height"], row["state_root"]) for row in said["validators"]}) == 1
    assert "killed, started again" in text
    assert audit(tmp_path / "kept").is_clean


def test_two_at_the_same_time_do_not_meet(data: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "one.json", tmp_path / "two.json"]
    with Demo(data, "--json", str(outs[0])) as one, Demo(data, "--json", str(outs[1])) as two:
        for demo in (one, two):
            code, text, err = demo.end()
            assert (code, err) == (0, ""), text + err
    assert [figures(out)["traded_wh"] for out in outs] == [sum(TRADED_WH)] * 2


# ---- every way to end it --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [
        "an authority",
        "4 validators, each",
        "meters connected",
        " trades, ",
        "two attacks tried",
        "reading the",
    ],
)
def test_ctrl_c_ends_everything_and_leaves_sound_ledgers(data: Path, tmp_path: Path, moment: str) -> None:
    keep = tmp_path / "kept"
    with Demo(data, "--keep", str(keep)) as demo:
        demo.read_until(moment)
        demo.signal(signal.SIGINT)
        demo.signal(signal.SIGINT)
        code, _, err = demo.end()
        assert code == 2, err
        assert err in ("Error: Interrupted; all processes ended.\n", "Error: Interrupted.\n")
        # Nothing to wait for: they had ended before the demo did.
        assert children(keep) == set()
    assert len(ledgers(keep)) == 4
    assert audit(keep).is_clean


def test_children_end_by_themselves_when_the_demo_is_killed(data: Path, tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    with Demo(data, "--keep", str(keep)) as demo:
        demo.read_until(" trades, ")
        assert len(children(keep) - {demo.process.pid}) == 4
        demo.signal(signal.SIGKILL)
        demo.end()
    all_ended(keep)
    assert audit(keep).is_clean


def test_termination_is_like_ctrl_c(data: Path, tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    with Demo(data, "--keep", str(keep)) as demo:
        demo.read_until("meters connected")
        demo.signal(signal.SIGTERM)
        code, _, err = demo.end()
    assert (code, err) == (2, "Error: Interrupted; all processes ended.\n")
    assert children(keep) == set()


def test_validators_that_die_are_told_and_too_many_end_the_demo(data: Path, tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    with Demo(data, "--keep", str(keep)) as demo:
        demo.read_until(" trades, ")
        for pid in sorted(children(keep) - {demo.process.pid})[:2]:
            os.kill(pid, signal.SIGKILL)
        code, out, err = demo.end()
    assert code == 2, out + err
    assert "ended by itself" in out
    assert err.startswith("Error: Validator H00")
    assert "(2 are down, 1 may be)" in err
    assert err.count("\n") == 1
    assert children(keep) == set()


def test_the_auction_trades_as_much_and_for_any_number_of_validators(data: Path, tmp_path: Path) -> None:
    for validators in ("1", "4"):
        out = tmp_path / f"{validators}.json"
        code, printed, err = run_demo(
            data,
            *("--market", "auction", "--validators", validators, "--json", str(out)),
            *("--keep", str(tmp_path / validators)),
        )
        assert (code, err) == (0, ""), printed + err
        said = figures(out)
        assert [period["traded_wh"] for period in said["periods"]] == TRADED_WH
        assert (said["market"], said["conserved"]) == ("auction", True)
        assert said["trades"] == sum(period["trades"] for period in said["periods"]) > 0
        # What is put aside and delivered balances in the audit's own books.
        assert audit(tmp_path / validators).is_clean
        # One price per period, and between the tariffs; all of it between neighbours.
        assert 120_000 <= said["traded_nano"] / said["traded_wh"] <= 290_000


def test_bad_households_are_suspended_and_told_of(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    keep = tmp_path / "kept"
    code, printed, err = run_demo(data, "--bad-actors", "3", "--json", str(out), "--keep", str(keep))
    assert (code, err) == (0, ""), printed + err
    assert audit(keep).is_clean
    said = figures(out)
    assert said["bad_actors"] == len(said["actors"]) == 3
    assert said["suspended"] == sorted(row["household"] for row in said["actors"])
    assert said["wrongly_suspended"] == []
    assert said["defaults"] == sum(row["defaults"] for row in said["actors"]) > 0
    assert said["periods_expected"] is None
    assert said["letter"][0]["auc"] == 1
    assert "3 bad households: 3 suspended" in printed
    assert "No honest one was." in printed
    assert "sells energy it does not have" in printed


def test_bad_households_of_an_auction_sell_what_they_will_not_have(data: Path, tmp_path: Path) -> None:
    out, keep = tmp_path / "out.json", tmp_path / "kept"
    asked = ("--bad-actors", "3", "--market", "auction", "--json", str(out), "--keep", str(keep))
    code, printed, err = run_demo(data, *asked)
    assert (code, err) == (0, ""), printed + err
    assert audit(keep).is_clean
    said = figures(out)
    assert (said["market"], said["wrongly_suspended"]) == ("auction", [])
    assert said["defaults"] == sum(row["defaults"] for row in said["actors"]) > 0
    # Who always tries is out within these nine periods; who seldom does may not have tried yet.
    [always] = [row for row in said["actors"] if row["tries_ppm"] == 1_000_000]
    assert always["household"] in said["suspended"]
    assert {row["does"] for row in said["actors"]} == {"does not deliver what it sold ahead"}
    assert set(said["suspended"]) <= {row["household"] for row in said["actors"] if row["defaults"]}
