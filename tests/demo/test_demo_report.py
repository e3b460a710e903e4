"""From results to figures: percentiles by nearest rank, rows, and the JSON file."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from demo_village import PERIODS, traded_wh, write_village
from hypothesis import given
from hypothesis import strategies as st
from test_demo_display import report

from p2penergy.demo.replay import PeriodResult
from p2penergy.demo.report import latency_row, matches_expectations, percentile, period_rows, write_json
from p2penergy.grid.neighbourhood import load_neighbourhood, load_sample

NAMED = {
    "traded_wh": None,
    "trades": None,
    "periods": {"period_start", "traded_wh", "trades"},
    "validators": {"name", "height", "state_root"},
    "leaders_match_equation_1": None,
    "conserved": None,
    "latency_ms": {"p50", "p99"},
    "attacks": {"name", "declined", "condition", "alpha", "double_spent"},
}


@given(values=st.lists(st.floats(0, 1e6), min_size=1), share=st.floats(0.01, 1.0))
def test_a_percentile_is_a_value_that_enough_do_not_exceed(values: list[float], share: float) -> None:
    found = percentile(sorted(values), share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_known_percentiles() -> None:
    ordered = [float(i) for i in range(1, 101)]
    assert (percentile(ordered, 0.5), percentile(ordered, 0.99), percentile(ordered, 1.0)) == (50, 99, 100)
    assert percentile([], 0.5) == 0.0
    row = latency_row([3.0, 1.0, 2.04])
    assert (row.p50, row.p99, row.max, row.count) == (2.0, 3.0, 3.0, 3)
    assert latency_row([]).count == 0


def test_the_file_has_every_promised_field(tmp_path: Path) -> None:
    write_json(report(), tmp_path / "out.json")
    said = msgspec.json.decode((tmp_path / "out.json").read_bytes())
    for name, inner in NAMED.items():
        assert name in said
        if inner:
            parts = said[name] if isinstance(said[name], list) else [said[name]]
            assert parts
            assert all(inner <= part.keys() for part in parts)
    assert said["community_share"] == round(373_549 / 700_000, 6)


def test_a_row_has_what_could_have_been_traded_beside_it(tmp_path: Path) -> None:
    village = load_neighbourhood(write_village(tmp_path / "village"))
    results = [PeriodResult(period, 1, 2, 3) for period in village.periods]
    rows = period_rows(village, results)
    assert [min(row.surplus_wh, row.deficit_wh) for row in rows] == [traded_wh(p) for p in range(PERIODS)]
    assert (rows[0].period_start, rows[0].traded_wh, rows[0].trades) == ("2016-06-23T09:00Z", 1, 3)
    # The village has no file that says what to expect.
    assert matches_expectations(village, results) is None


@pytest.mark.parametrize(("wrong_wh", "matches"), [(0, True), (1, False)])
def test_the_sample_knows_what_to_expect(wrong_wh: int, matches: bool) -> None:
    sample = load_sample()
    results = [PeriodResult(e.period, e.balance.tradable_wh, 0, 0) for e in sample.expectations]
    last = results.pop()
    results.append(PeriodResult(last.period, last.traded_wh + wrong_wh, 0, 0))
    assert matches_expectations(sample, results) is matches
