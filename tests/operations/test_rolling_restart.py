"""An upgrade as docs/operating.md has it: one validator after the other, and no height is lost."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from operating_net import Net, make_net

from p2penergy import home as homes
from p2penergy.audit import audit
from p2penergy.home import Device
from p2penergy.operations.asking import peer_addresses, survey
from p2penergy.operations.trial import trade
from p2penergy.processes import Validator
from p2penergy.store import Store

PATIENCE_S = 60
ASK_MS = 1_000
FAST = ("--alpha-ms", "300", "--eps-ms", "10", "--delta-ms", "60")


async def heights(device: Device) -> dict[bytes, int]:
    """Of every validator that answers."""
    reports = await survey(device, peer_addresses(device), ASK_MS)
    return {r.peer: int(r.status["height"]) for r in reports if r.status is not None}


async def all_reach(device: Device, goal: int, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            now = await heights(device)
            if len(now) == count and min(now.values()) >= goal:
                return
            await asyncio.sleep(0.05)


async def keep_trading(seller: Device, buyer: Device, accepted: list[int]) -> None:
    """The heights of trades that f+1 validators confirmed."""
    while True:
        done = await trade(seller, buyer, 1, 200_000, PATIENCE_S)
        if done.receipt.accepted:
            accepted.append(done.height)


async def restart_each(net: Net, validators: list[Validator], asking: Device) -> None:
    for validator in validators:
        before = max((await heights(asking)).values())
        await validator.stop()
        # The others go on without it.
        await all_reach(asking, before + 1, len(validators) - 1)
        goal = max((await heights(asking)).values())
        await validator.start()
        await all_reach(asking, goal, len(validators))


async def test_no_height_is_lost_while_every_validator_is_restarted(tmp_path: Path) -> None:
    net = await asyncio.to_thread(make_net, tmp_path / "net", 4, *FAST)
    seller, buyer = (homes.load_device(path) for path in net.meters)
    validators = [Validator(path.name, path) for path in net.homes]
    accepted: list[int] = []
    try:
        await asyncio.gather(*(validator.start() for validator in validators))
        await all_reach(seller, 1, 4)
        trading = asyncio.ensure_future(keep_trading(seller, buyer, accepted))
        try:
            await restart_each(net, validators, seller)
            while not accepted:  # noqa: ASYNC110 - trading has no end to wait for
                await asyncio.sleep(0.05)
        finally:
            trading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await trading
        last = max(accepted)
        await all_reach(seller, last, 4)
    finally:
        await asyncio.gather(*(validator.stop() for validator in validators))

    report = audit(tmp_path / "net" / "hosts" / "127.0.0.1")
    assert report.is_clean
    assert len(report.ledgers) == 4
    for ledger in report.ledgers:
        # No height is missing, and what was confirmed is on every chain.
        assert ledger.checked_height == ledger.height >= last
        assert ledger.accepted >= len(accepted)
    shortest = min(ledger.height for ledger in report.ledgers)
    chains = {tuple(ledger.digests[:shortest]) for ledger in report.ledgers}
    assert len(chains) == 1
    with contextlib.closing(Store.open(net.homes[0] / homes.LEDGER_FILE, seller.genesis.chain_id)) as store:
        assert store.tip() >= last
