"""One trade on a testnet of a single validator, by the command; and what it says when nobody is there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from operating_net import make_net, run

from p2penergy.processes import Validator


async def test_a_trade_is_concluded_and_proven(tmp_path: Path) -> None:
    net = await asyncio.to_thread(make_net, tmp_path / "net", 1)
    seller, buyer = net.meters
    options = ("try-trade", "--seller", seller, "--buyer", buyer)
    result = await asyncio.to_thread(run, *options, "--wait-s", "1")
    assert result.exit_code == 2
    assert "no 1 s were enough" in result.output.lower()

    node = Validator("node-1", net.homes[0])
    await node.start()
    try:
        first = await asyncio.to_thread(run, *options, "--json")
        assert first.exit_code == 0, first.output
        figures = json.loads(first.output)
        assert figures["accepted"]
        assert list(figures["seen"].values()) == [True]
        # Again in the same period: the readings are there, the contract is another one.
        again = await asyncio.to_thread(run, *options)
        assert again.exit_code == 0, again.output
        assert "1 of 1 validators prove it" in again.output
        declined = await asyncio.to_thread(run, *options, "--energy-wh", "100000")
        assert declined.exit_code == 1
        assert "declined" in declined.output
    finally:
        await node.stop()
