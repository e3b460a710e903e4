"""A running node's snapshots: made at the right heights, told in parts, and never in the node's way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from snapshot_village import Made

from p2penergy.consensus.effects import Decision
from p2penergy.ledger import Snapshot
from p2penergy.messages import (
    SNAPSHOT_PARTS,
    SnapshotRequest,
    SnapshotResponse,
    decode_block,
    decode_certificate,
    decode_message,
)
from p2penergy.snapshots import serving
from p2penergy.snapshots.files import SnapshotError, SnapshotFolder
from p2penergy.snapshots.serving import Snapshots


class Sink:
    """A mesh that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, bytes]] = []

    def send(self, peer: bytes, payload: bytes) -> bool:
        self.sent.append((peer, payload))
        return True

    def answers(self) -> Iterable[SnapshotResponse]:
        decoded = [decode_message(payload) for _, payload in self.sent]
        return [message for message in decoded if isinstance(message, SnapshotResponse)]


class Serving:
    """The snapshots of a node that follows `made`."""

    def __init__(self, made: Made, folder: Path, every: int = 10) -> None:
        self.made = made
        self.mesh = Sink()
        self.height = 0
        self.frozen = 0
        self.folder = SnapshotFolder(folder, made.genesis.chain_id)
        mesh: Any = self.mesh
        self.snapshots = Snapshots(self.folder, every, self._freeze, mesh)

    def _freeze(self) -> Snapshot | None:
        self.frozen += 1
        return self.made.snapshots.get(self.height)

    def decide(self, height: int, at: int | None = None) -> None:
        self.height = height if at is None else at
        record = self.made.records[height - 1]
        block, certificate = decode_block(record.block), decode_certificate(record.certificate)
        self.snapshots.on_decided(
            Decision(height, height, record.digest, block, certificate, (), record.outcome, False)
        )

    def ask(self, height: int, first: int, count: int) -> SnapshotResponse:
        self.snapshots.on_request(b"peer", SnapshotRequest(height, first, count))
        return list(self.mesh.answers())[-1]


async def test_a_snapshot_is_made_of_every_tenth_block_and_told(made: Made, tmp_path: Path) -> None:
    node = Serving(made, tmp_path / "snapshots")
    for height in range(1, 31):
        node.decide(height)
        await node.snapshots.stop()
    assert node.frozen == 3
    assert node.snapshots.heights() == (20, 30)
    told = node.ask(0, 0, 0)
    assert (told.held, told.opening, told.parts) == ((20, 30), None, ())
    assert node.ask(30, 0, 0).opening == made.opening(30)
    parts = made.snapshots[30].encoded_parts()
    assert node.ask(30, 7, 3) == SnapshotResponse((20, 30), 30, None, 7, tuple(parts[7:10]))
    assert node.ask(30, 0, SNAPSHOT_PARTS).parts == tuple(parts)


async def test_what_it_does_not_hold_is_answered_with_what_it_holds(made: Made, tmp_path: Path) -> None:
    node = Serving(made, tmp_path)
    assert node.ask(30, 0, 0) == SnapshotResponse((), 30, None, 0, ())
    node.decide(30)
    await node.snapshots.stop()
    for height, count in ((10, 0), (10, 5), (2**62, 5)):
        assert node.ask(height, 0, count) == SnapshotResponse((30,), height, None, 0, ())
    assert node.ask(30, SNAPSHOT_PARTS, 5).parts == ()


async def test_with_0_none_is_made_and_those_that_are_there_are_told(made: Made, tmp_path: Path) -> None:
    maker = Serving(made, tmp_path)
    maker.decide(30)
    await maker.snapshots.stop()
    node = Serving(made, tmp_path, every=0)
    node.decide(20)
    await node.snapshots.stop()
    assert (node.frozen, node.snapshots.heights()) == (0, (30,))


async def test_a_state_that_has_gone_on_is_not_taken_for_this_one(made: Made, tmp_path: Path) -> None:
    node = Serving(made, tmp_path)
    node.decide(10, at=20)
    # An application without snapshots.
    node.decide(20, at=15)
    await node.snapshots.stop()
    assert node.snapshots.heights() == ()


async def test_while_one_is_written_no_other_is_begun(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Serving(made, tmp_path)
    node.decide(10)
    node.decide(20)
    await node.snapshots.stop()
    assert node.snapshots.heights() == (10,)
    node.decide(30)
    await node.snapshots.stop()
    assert node.snapshots.heights() == (10, 30)


async def test_a_failure_is_logged_and_the_next_one_is_tried(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    node = Serving(made, tmp_path)

    def full(*_: object) -> None:
        raise SnapshotError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(serving, "write_file", full)
        node.decide(10)
        await node.snapshots.stop()
    assert node.snapshots.heights() == ()
    assert [record.__dict__["error"] for record in caplog.records] == ["the disk is full"]
    node.decide(20)
    await node.snapshots.stop()
    assert node.snapshots.heights() == (20,)


async def test_a_file_that_can_not_be_read_is_told_no_more(made: Made, tmp_path: Path) -> None:
    node = Serving(made, tmp_path)
    for height in (20, 30):
        node.decide(height)
        await node.snapshots.stop()
    (tmp_path / "000000000030.snapshot").unlink()
    assert node.ask(30, 0, 5) == SnapshotResponse((20,), 30, None, 0, ())
    assert node.ask(20, 0, 5).parts


async def test_stopping_without_anything_to_wait_for(made: Made, tmp_path: Path) -> None:
    async with asyncio.timeout(5):
        await Serving(made, tmp_path).snapshots.stop()
