"""The driver of fetching, over a mesh in memory: it ends with a snapshot, or without one, but it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from snapshot_village import Made, Peer

from p2penergy.messages import Status, decode_message, encode
from p2penergy.snapshots import joining
from p2penergy.snapshots.joining import load, may_be_far_behind

A, B, ME = b"a" * 20, b"b" * 20, b"m" * 20
FAR = 5


class Wire:
    """A mesh whose other ends are `peers`; what they answer arrives in later turns of the loop."""

    def __init__(self, peers: Mapping[bytes, Peer]) -> None:
        self.name = ME
        self.peers = peers
        self.addresses: dict[bytes, tuple[str, int]] = {}
        self.noise: Iterator[bytes] = iter(())
        self.stopped = False

    async def start(self, handler: Any) -> None:
        self._handler = handler

    def set_address(self, peer: bytes, host: str, port: int) -> None:
        self.addresses[peer] = (host, port)
        if peer in self.peers:
            asyncio.get_running_loop().call_soon(self._handler.on_peer_up, peer)

    def send(self, peer: bytes, payload: bytes) -> bool:
        loop = asyncio.get_running_loop()
        noise = next(self.noise, None)
        if noise is not None:
            loop.call_soon(self._handler.on_frame, peer, noise)
        answer = self.peers[peer].answer(decode_message(payload))
        if answer is not None:
            loop.call_soon(self._handler.on_frame, peer, encode(answer))
        return True

    async def stop(self) -> None:
        self.stopped = True


async def loaded(made: Made, wire: Wire, known: tuple[bytes, ...] = (A, B, ME)) -> Any:
    mesh: Any = wire
    try:
        return await load(made.genesis, mesh, dict.fromkeys(known, ("127.0.0.1", 1)), FAR)
    finally:
        assert wire.stopped
        assert wire.addresses.keys() == set(known) - {ME}


async def test_a_snapshot_is_loaded(made: Made) -> None:
    found = await loaded(made, Wire({A: Peer(made), B: Peer(made)}))
    assert found.height == 30
    assert found.items == made.snapshots[30].values


async def test_what_else_the_network_says_is_left_aside(made: Made) -> None:
    wire = Wire({A: Peer(made), B: Peer(made)})
    wire.noise = iter([encode(Status(5, 5)), encode(Status(6, 6))])
    assert (await loaded(made, wire)).height == 30


async def test_noise_ends_it_with_one_peer_only(made: Made) -> None:
    wire = Wire({A: Peer(made), B: Peer(made)})
    wire.noise = iter([b"noise"])
    assert (await loaded(made, wire)).height == 30


async def test_who_never_comes_up_is_not_waited_for_long(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "PATIENCE_MS_MIN", 50)
    assert (await loaded(made, Wire({A: Peer(made)}))).height == 30
    assert await loaded(made, Wire({})) is None


async def test_a_peer_that_goes_in_the_middle_leaves_the_work_to_the_others(made: Made) -> None:
    wire = Wire({A: Peer(made), B: Peer(made)})

    def leave(answer: Any) -> Any:
        if getattr(answer, "parts", ()):
            asyncio.get_running_loop().call_soon(wire._handler.on_peer_down, A, "lost")
            return None
        return answer

    wire.peers[A].change = leave
    assert (await loaded(made, wire)).height == 30


async def test_the_mesh_is_stopped_whatever_happens(made: Made) -> None:
    wire = Wire({A: Peer(made), B: Peer(made)})

    def broken(_answer: Any) -> Any:
        raise RuntimeError("a fault of our own")

    wire.peers[A].change = broken
    with pytest.raises(RuntimeError, match="a fault of our own"):
        await loaded(made, wire)


@pytest.mark.parametrize(
    ("tip", "far_behind_blocks", "slot", "expected"),
    [(0, 1000, 1000, True), (0, 1000, 999, False), (1, 1000, 5000, False), (0, 0, 5000, False)],
)
def test_it_is_tried_for_an_empty_ledger_that_can_be_far_behind(
    tip: int, far_behind_blocks: int, slot: int, expected: bool
) -> None:
    assert may_be_far_behind(tip, far_behind_blocks, slot) is expected
