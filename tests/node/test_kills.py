"""Validators killed at random moments, under load: no fork, nothing lost, nobody votes twice.

Real processes, real sockets, real files. The seed is printed; P2PENERGY_KILLS_SEED repeats a run, as far as
an operating system lets itself be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from node_network import ALPHA_MS, FIRST_PERIOD, PATIENCE_S, a_plan

from p2penergy import home as homes
from p2penergy.client import ClientError
from p2penergy.demo.households import Households
from p2penergy.founding import Community, found
from p2penergy.ledger.receipts import TradeReceipt
from p2penergy.messages import Commit, Prepare, VoteKind, decode_block, decode_certificate, decode_message
from p2penergy.processes import Validator
from p2penergy.store import Store

KILLS = 20


@dataclass
class Witnessed:
    """What f+1 validators told the households, which must be on every chain at the end."""

    results: dict[bytes, int] = field(default_factory=dict)
    """Transaction id -> height."""
    trades: int = 0
    period: int = FIRST_PERIOD


async def live(households: Households, witnessed: Witnessed) -> None:
    """Report and trade, period after period, for ever."""
    names = list(households.by_name)
    seller, buyer, *others = (households[name] for name in reversed(names))
    while True:
        period = witnessed.period
        readings = [seller.report(period, 0, 100), buyer.report(period, 100, 0)]
        readings += [other.report(period, 7, 0) for other in others]
        for receipt in await asyncio.gather(*readings):
            assert receipt.accepted
            witnessed.results[receipt.transaction_id] = -1
        terms = seller.terms_with(buyer, period, 60, 200_000)
        trade = await seller.conclude(terms, buyer.agree(terms))
        assert isinstance(trade, TradeReceipt)
        assert trade.accepted
        witnessed.results[trade.transaction_id] = -1
        witnessed.trades += 1
        witnessed.period += 1


async def height_of(households: Households, community: Community, name: str) -> int:
    """What a validator says; -1 while it does not answer."""
    asking = next(iter(households.by_name.values())).client
    with contextlib.suppress(ClientError):
        return int((await asking.query_json(community.meters[name].participant_id, "status"))["height"])
    return -1


async def has_reached(households: Households, community: Community, name: str, height: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await height_of(households, community, name) < height:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def kill_and_start(
    dice: random.Random, validators: list[Validator], households: Households, community: Community
) -> None:
    """One victim: killed at a random moment of a slot, up again, and at the others' height."""
    victim = dice.choice(validators)
    await asyncio.sleep(dice.uniform(0, 2 * ALPHA_MS / 1000))
    others = [v.name for v in validators if v is not victim]
    await victim.kill()
    # Sometimes the others have time to go on without it, sometimes it is back at once.
    if dice.random() < 0.5:
        height = await height_of(households, community, others[0])
        await has_reached(households, community, others[0], height + 1)
    height = await height_of(households, community, others[0])
    await victim.start()
    await has_reached(households, community, victim.name, max(height, 0) + 1)


async def run(folder: Path, seed: int) -> tuple[Community, Witnessed]:
    dice = random.Random(seed)
    community = found(a_plan(), folder)
    validators = [Validator(name, home) for name, home in community.homes.items()]
    households = Households(community)
    witnessed = Witnessed()
    try:
        await asyncio.gather(*(v.start() for v in validators))
        await households.connect()
        load = asyncio.ensure_future(live(households, witnessed))
        try:
            for _ in range(KILLS):
                before = witnessed.trades
                await kill_and_start(dice, validators, households, community)
                assert not load.done() or load.result()
                async with asyncio.timeout(PATIENCE_S):
                    while witnessed.trades == before and not load.done():  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
        finally:
            load.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await load
        goal = max([await height_of(households, community, v.name) for v in validators])
        for validator in validators:
            await has_reached(households, community, validator.name, goal)
            peer = community.meters[validator.name].participant_id
            asking = next(iter(households.by_name.values())).client
            status = await asking.query_json(peer, "status")
            assert status["leader_mismatches"] == 0
            # Whoever signed two different votes of one kind would have been noticed on the wire.
            assert "evidence" not in status["consensus"]
    finally:
        await households.disconnect()
        await asyncio.gather(*(v.stop() for v in validators))
    assert sum(v.kills for v in validators) == KILLS
    return community, witnessed


# ---- what is on disk afterwards -------------------------------------------------------------------


def stores(community: Community) -> dict[bytes, Store]:
    chain_id = community.genesis.chain_id
    return {
        community.meters[name].participant_id: Store.open(home / homes.LEDGER_FILE, chain_id)
        for name, home in community.homes.items()
    }


def check_one_chain(opened: dict[bytes, Store], witnessed: Witnessed) -> None:
    """Every height has one block on all disks, and what was told is on them."""
    tips = [store.tip() for store in opened.values()]
    for height in range(1, max(tips) + 1):
        blocks = {
            store.blocks(height, 1, 1 << 24)[0][0] for store in opened.values() if height <= store.tip()
        }
        assert len(blocks) == 1, f"a fork at height {height}"
    tallest = max(opened.values(), key=lambda store: store.tip())
    for transaction_id in witnessed.results:
        assert tallest.transaction(transaction_id) is not None, "a decided transaction was lost"
        places = {store.transaction(transaction_id) for store in opened.values()} - {None}
        assert len(places) == 1


def check_no_double_vote(opened: dict[bytes, Store]) -> int:
    """One vote per kind, height and view, and the certificates hold no other; returns how many votes."""
    count = 0
    said: dict[tuple[bytes, VoteKind, int, int], set[bytes]] = defaultdict(set)
    for member, store in opened.items():
        for height in range(1, store.tip() + 2):
            last_view: dict[VoteKind, int] = {}
            for vote in store.votes(height):
                count += 1
                message = decode_message(vote.message)
                assert message.sender == member
                assert (message.height, message.view) == (vote.height, vote.view)
                said[member, vote.kind, height, vote.view].add(vote.digest)
                # MONOTONE: the order on disk is the order of signing.
                if vote.kind in (VoteKind.PREPARE, VoteKind.COMMIT):
                    assert isinstance(message, Prepare | Commit)
                    assert vote.view > last_view.get(vote.kind, -1)
                    last_view[vote.kind] = vote.view
    for store in opened.values():
        for height in range(1, store.tip() + 1):
            raw, certificate_bytes = store.blocks(height, 1, 1 << 24)[0]
            certificate = decode_certificate(certificate_bytes)
            assert decode_block(raw).header.height == height
            for member, _ in certificate.votes:
                said[member, VoteKind.COMMIT, height, certificate.view].add(certificate.digest)
    doubled = {place for place, digests in said.items() if len(digests) > 1}
    assert not doubled
    return count


@pytest.mark.timeout(400)
def test_no_kill_at_any_moment_forks_loses_or_doubles_anything(tmp_path: Path) -> None:
    seed = int(os.environ.get("P2PENERGY_KILLS_SEED") or random.SystemRandom().randrange(2**32))
    print(f"P2PENERGY_KILLS_SEED={seed}")
    community, witnessed = asyncio.run(run(tmp_path, seed))
    opened = stores(community)
    try:
        check_one_chain(opened, witnessed)
        assert check_no_double_vote(opened) > 4 * witnessed.trades
    finally:
        for store in opened.values():
            store.close()
    assert witnessed.trades >= KILLS
    print(f"{KILLS} kills, {witnessed.trades} trades, {len(witnessed.results)} transactions")
