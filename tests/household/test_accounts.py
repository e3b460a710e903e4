"""`wallet`, `score` and `bill` against the network that `demo --stay` left running; and that it stays."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from demo_village import HOUSEHOLDS, PERIODS, children
from household_net import Stay

pytestmark = pytest.mark.timeout(200)
DAY = ("--from", "2016-06-23")


def test_the_network_stays_and_says_where(stay: Stay) -> None:
    assert len(stay.nodes) == 4
    assert len(children(stay.keep)) == 4
    assert "goes on running until Ctrl-C" in stay.said
    names = sorted(path.name for path in (stay.keep / "households").iterdir())
    assert names == [f"H{number:03}" for number in range(1, HOUSEHOLDS + 1)]
    files = {path.name for path in stay.home(8).iterdir()}
    assert {"device.key.pem", "device.cert.pem", "community.cert.pem", "genesis.json"} <= files


def test_wallets_add_up_to_what_they_were(stay: Stay) -> None:
    held = [stay.json(number, "wallet") for number in range(1, HOUSEHOLDS + 1)]
    assert sum(each["wallet_nano"] for each in held) == HOUSEHOLDS * 100 * 10**9
    other = stay.json(1, "wallet", "--of", held[4]["participant_id"])
    assert other["wallet_nano"] == held[4]["wallet_nano"]
    assert "EUR" in stay.text(1, "wallet")


def test_nodes_can_be_named_by_address_alone(stay: Stay) -> None:
    two = [word for node in stay.nodes[:2] for word in ("--node", node)]
    assert stay.json(6, "wallet", *two) == stay.json(6, "wallet")
    assert "only what 2 say alike is believed" in stay.refused(6, "wallet", "--node", stay.nodes[0])
    assert "not HOST:PORT" in stay.refused(6, "wallet", "--node", "nowhere")
    assert "can't be reached" in stay.refused(6, "wallet", "--node", "127.0.0.1:1")


def test_a_stranger_has_no_wallet(stay: Stay) -> None:
    assert "Nobody in this community has the id" in stay.refused(1, "wallet", "--of", "00" * 20)
    assert "40 hex digits" in stay.refused(1, "score", "--of", "H002")


def test_a_score_says_what_it_allows(stay: Stay) -> None:
    validator, seller = stay.json(1, "score"), stay.json(8, "score")
    assert validator["may_trade"] and validator["may_validate"]
    assert validator["q_ppm"] >= 600_000 > seller["q_ppm"] >= 150_000
    assert seller["order_wh_max"] > 0
    assert "trading        allowed, from 0.150000" in stay.text(8, "score")


def test_a_bill_is_that_of_the_demo(stay: Stay) -> None:
    shown = stay.figures["bill"]
    number = int(shown["household"][1:])
    said = stay.json(number, "bill", *DAY)
    assert said["periods"] == PERIODS
    assert said["first_period_start"] == "2016-06-23T09:00Z"
    for figure in ("total_nano", "community_nano", "grid_nano", "without_community_nano", "bought_wh"):
        assert said[figure] == shown[figure]
    text = stay.text(number, "bill")
    assert [line.split()[0] for line in text.splitlines()[1:4]] == ["total", "community", "grid"]


def test_community_lines_add_up_to_nothing(stay: Stay) -> None:
    bills = [stay.json(number, "bill", *DAY) for number in range(1, HOUSEHOLDS + 1)]
    assert sum(bill["community_nano"] for bill in bills) == 0
    assert all(bill["community_nano"] + bill["grid_nano"] == bill["total_nano"] for bill in bills)


def test_a_bill_as_files(stay: Stay, tmp_path: Path) -> None:
    rows, page = tmp_path / "bill.csv", tmp_path / "bill.html"
    said = stay.json(8, "bill", *DAY, "--csv", str(rows), "--html", str(page))
    with rows.open(encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert len(found) == PERIODS
    assert sum(int(row["total_nano"]) for row in found) == said["total_nano"]
    text = page.read_text(encoding="utf-8")
    assert text.count("<tr>") + text.count("<tr class=total>") == PERIODS + 5
    sums = "".join(f"<td>{said[each]}</td>" for each in ("import_wh", "bought_wh", "export_wh", "sold_wh"))
    assert f"<td>all</td>{sums}" in text
    assert "http" not in text and "<script" not in text
    nowhere = str(tmp_path / "no" / "bill.csv")
    assert "can't be written" in stay.refused(8, "bill", *DAY, "--csv", nowhere)


def test_a_range_of_days_that_makes_no_sense(stay: Stay) -> None:
    assert "is before" in stay.refused(8, "bill", *DAY, "--to", "2016-06-22")
    assert "--to needs --from" in stay.refused(8, "bill", "--to", "2016-06-22")
    assert "no time zone" in stay.refused(8, "bill", *DAY, "--zone", "Moon")
    assert "at most 9600 periods" in stay.refused(8, "bill", *DAY, "--to", "2017-06-22")
    assert stay.json(8, "bill", "--from", "2016-10-30")["periods"] == 0
