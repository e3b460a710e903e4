"""A short chain of a founded community, and peers who tell of it truly, or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.long_chain import LongChain
from p2penergy.beacon import HashChain
from p2penergy.committees import CommitteeRules, Founders, Reading, Roll
from p2penergy.consensus.effects import DecidedRecord
from p2penergy.founding import Community, Plan, found
from p2penergy.genesis import ConsensusRules, Genesis, MarketRules
from p2penergy.ledger import Snapshot
from p2penergy.messages import (
    Certificate,
    CommitteesRequest,
    CommitteesResponse,
    Header,
    HeadersRequest,
    HeadersResponse,
    Message,
    SnapshotOpening,
    SnapshotRequest,
    SnapshotResponse,
    Stage,
    decode_block,
    decode_certificate,
)
from p2penergy.score_rules import ScoreRules

LENGTH = 30
MARKET = MarketRules(replay=True, first_period=100, scores=ScoreRules(committee_bar_ppm=0))
"""Whatever its households do, the committee stays."""
EVERY = 10
LINKS = 64


def short_chains(patch: Any) -> None:
    """Make founding and loading of homes quick."""
    for module in ("p2penergy.home", "p2penergy.founding"):
        patch.setattr(f"{module}.HashChain", lambda secret: HashChain(secret, LINKS))


@dataclass
class Made:
    """The chain, as whoever followed it knows it."""

    community: Community
    records: list[DecidedRecord]
    headers: list[tuple[Header, Certificate]]
    snapshots: dict[int, Snapshot]

    @property
    def genesis(self) -> Any:
        return self.community.genesis

    def opening(self, height: int) -> SnapshotOpening:
        return SnapshotOpening(self.records[height - 1].block, self.snapshots[height].part_roots)


def make(folder: Path, length: int = LENGTH, every: int = EVERY, community: str = "Snow Road") -> Made:
    timing = ConsensusRules(t0_ms=0, alpha_ms=1000, eps_ms=10, delta_ms=100, committee_size_min=1)
    households = [(f"H{number}", 0) for number in range(6)]
    plan = Plan(community, households, 4, timing, MARKET)
    founded = found(plan, folder)
    chain = LongChain(founded)
    made = Made(founded, [], [], {})
    for record in chain.grow(length):
        made.records.append(record)
        made.headers.append((decode_block(record.block).header, decode_certificate(record.certificate)))
        if record.height % every == 0:
            made.snapshots[record.height] = chain.snapshot()
    return made


def founders_rolls(genesis: Genesis) -> list[Roll]:
    """Everybody whom a committee of a village without newcomers is drawn from."""
    founders, timing = Founders(genesis), genesis.consensus
    readings = [Reading.of(timing, stage, 1, 0, CommitteeRules()) for stage in Stage]
    return [Roll.read(founders, timing, genesis.chain_id, each, founders.beacon) for each in readings]


class Peer:
    """Tells the truth; tests replace one answer or another."""

    def __init__(self, made: Made, headers_max: int = 16, parts_bytes_max: int = 1500) -> None:
        self.made = made
        self.held = tuple(sorted(made.snapshots))
        self.headers_max = headers_max
        self.parts_bytes_max = parts_bytes_max
        self.asked: list[Message] = []
        self.change: Callable[[Message], Message | None] = lambda answer: answer

    def answer(self, message: Message) -> Message | None:
        self.asked.append(message)
        if isinstance(message, CommitteesRequest):
            return self.change(self._committees(message))
        found = self._headers(message) if isinstance(message, HeadersRequest) else self._snapshot(message)
        return self.change(found)

    def _committees(self, message: CommitteesRequest) -> Message:
        known = {roll.root: tuple(roll.keys.items()) for roll in founders_rolls(self.made.genesis)}
        return CommitteesResponse(tuple(known[root] for root in message.roots if root in known))

    def _headers(self, message: HeadersRequest) -> Message:
        start = message.height - 1
        return HeadersResponse(tuple(self.made.headers[start : start + min(message.count, self.headers_max)]))

    def _snapshot(self, message: Message) -> Message:
        assert isinstance(message, SnapshotRequest)
        snapshot = self.made.snapshots.get(message.height) if message.height in self.held else None
        if snapshot is None or not message.count:
            opening = None if snapshot is None else self.made.opening(message.height)
            return SnapshotResponse(self.held, message.height, opening, message.first, ())
        parts: list[bytes] = []
        for data in snapshot.encoded_parts()[message.first : message.first + message.count]:
            if parts and sum(map(len, parts)) + len(data) > self.parts_bytes_max:
                break
            parts.append(data)
        return SnapshotResponse(self.held, message.height, None, message.first, tuple(parts))
