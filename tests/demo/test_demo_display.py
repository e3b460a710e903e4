"""What people see: tables that fit, colours only where there are some, and every NO in plain sight."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from rich.console import Console

from p2penergy.demo.attacks import AttackResult
from p2penergy.demo.display import PLAIN_WIDTH, Display, kwh, make_console
from p2penergy.demo.replay import PeriodResult
from p2penergy.demo.report import BillRow, LatencyRow, PeriodRow, Report, ValidatorRow

ATTACK = AttackResult(
    name="malicious seller",
    attacker="H012",
    victim="H007",
    signed="100 Wh for 0.02 EUR",
    submitted="50 Wh for 0.02 EUR",
    declined=True,
    condition=1,
    alpha=1,
    victim_told="declined at the execution stage, condition 1: altered by the submitter",
    genuine_executed=True,
    repeat_declined=True,
    double_spent=False,
)


def row(number: int, **changes: Any) -> ValidatorRow:
    values: dict[str, Any] = {
        "name": f"H{number:03}",
        "height": 1_234_567,
        "state_root": "ab" * 32,
        "slots_led": 45_678,
        "blocks_led": 45_670,
        "killed": 0,
        "running": True,
    }
    return ValidatorRow(**(values | changes))


def report(**changes: Any) -> Report:
    values: dict[str, Any] = {
        "neighbourhood": "elm [street]",
        "households": 118,
        "days": ("2016-06-23",),
        "alpha_ms": 170,
        "faults_tolerated": 1,
        "trades": 8_000,
        "traded_wh": 373_549,
        "traded_nano": 5_430_000_000,
        "currency": "EUR",
        "consumed_wh": 700_000,
        "from_grid_wh": 326_451,
        "exported_wh": 400_000,
        "to_grid_wh": 26_451,
        "periods": (
            PeriodRow(
                period_start="2016-06-22T22:00Z", traded_wh=373_549, trades=8_000, surplus_wh=1, deficit_wh=1
            ),
        ),
        "periods_expected": True,
        "blocks": 1_234_567,
        "transactions": 12_345_678,
        "validators": (row(1), row(2), row(3), row(4)),
        "leaders_match_equation_1": True,
        "roots_equal": True,
        "conserved": True,
        "latency_ms": LatencyRow(p50=170.2, p99=1234.5, max=2000.0, count=9),
        "bill": BillRow(
            household="H012",
            total_nano=-10_590_000_000,
            community_nano=-1_430_000_000,
            grid_nano=-9_160_000_000,
            without_community_nano=-10_400_000_000,
            import_wh=3_209,
            export_wh=94_424,
            bought_wh=689,
            sold_wh=12_023,
        ),
        "attacks": (ATTACK,),
        "replay_s": 41.0,
        "kept": None,
    }
    return Report(**(values | changes))


def shown(made: Report) -> str:
    out = io.StringIO()
    console = Console(file=out, no_color=True, highlight=False, width=PLAIN_WIDTH, force_terminal=False)
    Display(console).summary(made)
    return out.getvalue()


def test_the_summary_fits_and_says_it_all() -> None:
    text = shown(report())
    assert max(map(len, text.splitlines())) <= PLAIN_WIDTH
    for words in (
        "118 households of elm [street], 2016-06-23 (1 settlement periods)",
        "8,000 trades, 373.549 kWh, 5.43 EUR between neighbours",
        "53.4% came from neighbours, 46.6% from the grid",
        "bought 0.689 kWh, sold 12.023 kWh",
        "drew 2.520 kWh, fed in 82.401 kWh",
        "receives 10.59 EUR",
        "Without neighbours: receives 10.40 EUR; trading is worth 0.19 EUR",
        "p50 170 ms, p99 1,23",
        "H007 signed 100 Wh for 0.02 EUR; the seller submitted 50 Wh for 0.02 EUR",
        "yes, by condition 1 (alpha +1)",
        "executed once, proven",
    ):
        assert words in text
    assert "note" not in text
    assert "NO" not in text


def test_whoever_pays_is_told_so() -> None:
    bill = report().bill
    assert bill is not None
    text = shown(report(bill=msgspec.structs.replace(bill, community_nano=3_000_000_000, grid_nano=1)))
    assert "pays 3.00 EUR" in text


def test_a_killed_validator_has_a_note() -> None:
    down = row(4, killed=1, running=False, state_root="")
    text = shown(report(validators=(row(1), row(2), row(3, killed=1), down)))
    assert "note" in text
    assert "killed, started again" in text
    [line] = [line for line in text.splitlines() if "H004" in line]
    assert " - " in line
    assert line.rstrip(" │").endswith("killed")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"leaders_match_equation_1": False}, "NO"),
        ({"conserved": False}, "NO"),
        ({"roots_equal": False}, "NO"),
        ({"periods_expected": False}, "NO"),
        ({"attacks": (), "periods_expected": None}, ""),
    ],
)
def test_what_does_not_hold_is_not_sound(change: dict[str, Any], words: str) -> None:
    made = report(**change)
    assert words in shown(made)
    assert made.sound is (not words)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("declined", False, "NO"),
        ("genuine_executed", False, "NOT EXECUTED"),
        ("repeat_declined", False, "NOT DECLINED"),
        ("double_spent", True, "YES"),
    ],
)
def test_an_attack_that_went_through_is_not_sound(field: str, value: bool, words: str) -> None:
    made = report(attacks=(replace(ATTACK, **{field: value}),))
    assert words in shown(made)
    assert not made.sound


def test_optional_parts_are_left_out() -> None:
    text = shown(report(bill=None, attacks=(), periods_expected=None))
    assert "Bill" not in text
    assert "Attack" not in text
    assert "tradable" not in text


def test_where_the_ledgers_are_is_one_line() -> None:
    place = "/a/very/long/folder" * 8 + "/[kept]"
    assert f"p2penergy audit {place}" in shown(report(kept=place))


@pytest.mark.parametrize(
    ("energy_wh", "text"),
    [(0, "0.000"), (1, "0.001"), (373_549, "373.549"), (1_619_328, "1,619.328"), (-5, "-0.005")],
)
def test_energy_is_shown_exactly(energy_wh: int, text: str) -> None:
    assert kwh(energy_wh) == f"{text} kWh"


def test_without_a_terminal_there_is_a_line_every_two_hours(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(make_console(plain=True))
    with display.replaying(16):
        for done in range(1, 17):
            display.period(PeriodResult(done, traded_wh=500, traded_nano=1, trades=2), f"at {done}", done)
    display.step("a sentence with [brackets]")
    out = capsys.readouterr().out
    assert out.splitlines() == [
        "  at 8  16 trades, 4.000 kWh",
        "  at 16  32 trades, 8.000 kWh",
        "• a sentence with [brackets]",
    ]


def test_on_a_terminal_there_is_a_bar() -> None:
    out = io.StringIO()
    display = Display(Console(file=out, force_terminal=True, width=PLAIN_WIDTH, highlight=False))
    with display.replaying(2):
        display.period(PeriodResult(1, traded_wh=500, traded_nano=1, trades=2), "12:15", 1)
        display.period(PeriodResult(2, traded_wh=500, traded_nano=1, trades=2), "12:30", 2)
    text = out.getvalue()
    assert "\x1b[" in text
    assert "4 trades, 1.000 kWh" in text
