"""`p2penergy agent` as a person runs it: two households' agents, a gate, and what the meters bear out."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from household_net import Stay
from test_cli_meter import write_registers

from p2penergy.grid.periods import period_start_text

SELLER, BUYER, CLOCK = 5, 6, 7
"""Households H005 and so on; the third one's meter moves the ledger's clock."""


def write_forecast(path: Path, first: int, surplus_wh: int) -> Path:
    lines = ["period_start,import_wh,export_wh"]
    energy = f"{max(-surplus_wh, 0)},{max(surplus_wh, 0)}"
    lines += [f"{period_start_text(period)},{energy}" for period in range(first, first + 12)]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_strategy(path: Path, price: str) -> Path:
    path.write_text(f'strategy = "curve"\n[curve]\nsell = [[0, {price}]]\nbuy = [[0, {price}]]\n')
    return path


def open_orders(running: Stay, number: int) -> list[dict[str, Any]]:
    return [order for order in running.json(number, "order", "list") if order["end"] == "open"]


def test_agents_trade_and_meters_deliver(running: Stay, tmp_path: Path) -> None:
    now = running.json(SELLER, "wallet")["period"]
    cheap, dear = (write_strategy(tmp_path / f"{price}.toml", price) for price in ("0.15", "0.25"))
    sells = write_forecast(tmp_path / "sells.csv", now, 60)
    buys = write_forecast(tmp_path / "buys.csv", now, -60)

    def agent(number: int, strategy: Path, forecast: Path, *more: str) -> str:
        files = "--strategy", str(strategy), "--forecast", str(forecast)
        return running.text(number, "agent", *files, *(more or ("--once",)))

    # What it would do, without doing it.
    assert "place ask 60 Wh at 0.150000" in agent(SELLER, cheap, sells, "--dry-run")
    assert open_orders(running, SELLER) == []
    said = agent(SELLER, cheap, sells)
    assert "place ask 60 Wh at 0.150000: accepted" in said and "1 changes" in said
    # A second round leaves the order alone; another forecast replaces it.
    assert agent(SELLER, cheap, sells) == "Nothing to change.\n"
    more = write_forecast(tmp_path / "more.csv", now, 70)
    said = agent(SELLER, cheap, more)
    assert "cancel ask 60 Wh" in said and "place ask 70 Wh" in said
    (standing,) = open_orders(running, SELLER)
    assert (standing["energy_wh"], standing["period"]) == (70, now + 2)
    assert "place bid 60 Wh at 0.250000: accepted" in agent(BUYER, dear, buys)

    # The gate closes as the clock moves on; then both meters say what the agents expected.
    period = now + 2
    clock = write_registers(tmp_path / "clock.csv", now + 1, [1, 1, 1])
    registers = {
        SELLER: [f"{period * 900},0,0", f"{(period + 1) * 900},0,70"],
        BUYER: [f"{period * 900},0,0", f"{(period + 1) * 900},60,0"],
    }
    head = clock.read_text().splitlines()
    for number, rows in registers.items():
        path = tmp_path / f"{number}.csv"
        path.write_text("\n".join([head[0], *rows]) + "\n")
    early = tmp_path / "early.csv"
    early.write_text("\n".join(head[:3]) + "\n")
    running.text(CLOCK, "meter", "--source", "csv", "--path", str(early))
    for number in registers:
        said = running.text(number, "meter", "--source", "csv", "--path", str(tmp_path / f"{number}.csv"))
        assert "1 accepted" in said
    running.text(CLOCK, "meter", "--source", "csv", "--path", str(clock))
    (sold,) = [order for order in running.json(SELLER, "order", "list") if order["filled_wh"]]
    assert (sold["filled_wh"], sold["period"]) == (60, period)
    (trade,) = sold["trades"]
    assert running.json(SELLER, "trade", "show", trade)["delivered_wh"] == 60


@pytest.mark.parametrize(
    ("strategy", "forecast", "said"),
    [
        ('strategy = "greedy"', None, "strategy is 'greedy'"),
        (None, None, "can't be read"),
        ('strategy = "follow"', "nonsense", "column period_start is missing"),
        ("\udcff", None, "not text in UTF-8"),
    ],
)
def test_what_can_not_be_used_is_one_sentence(
    running: Stay, tmp_path: Path, strategy: str | None, forecast: str | None, said: str
) -> None:
    path = tmp_path / "agent.toml"
    if strategy is not None:
        path.write_bytes(strategy.encode("utf-8", "surrogateescape"))
    arguments = ["agent", "--once", "--strategy", str(path)]
    if forecast is not None:
        (tmp_path / "f.csv").write_text(forecast)
        arguments += ["--forecast", str(tmp_path / "f.csv")]
    assert said in running.refused(BUYER, *arguments)


def test_an_agent_whose_meter_has_signed_nothing_says_so(running: Stay, tmp_path: Path) -> None:
    path = write_strategy(tmp_path / "a.toml", "0.2")
    said = running.text(8, "agent", "--once", "--strategy", str(path))
    assert "Nothing is known of this meter yet" in said


def test_agents_that_run_until_ctrl_c_end_in_order(running: Stay, tmp_path: Path) -> None:
    strategy = str(write_strategy(tmp_path / "strategy.toml", "0.15"))
    for arguments, said in (
        (["agent", "--strategy", strategy], "Nothing is known of this meter yet"),
        (
            ["offer", "answer", "--sell-from", "0.2", "--energy-wh-max", "50"],
            "Answering offers until Ctrl-C.",
        ),
    ):
        command = [sys.executable, "-m", "p2penergy", *arguments, "--home", str(running.home(8))]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert process.stderr.readline().startswith(said)
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert (process.wait(), rest) == (0, "")
