"""The mesh inside one process, on a virtual clock: no sockets, no event loop.

Lives here: `MemoryNetwork` and its `MemoryMesh`, with the manners of `TcpMesh`: frames of one
link in order and without gaps, links that come up some time after they are dialled, a peer's end
that shows later at the other side, frames under way that arrive before it. Never here: faults
(`transport.faults` goes on top).
Invariant: everything happens inside `run_until`, in an order that depends on nothing but the
calls made and the latency function; two runs of one program are alike.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from transport.clock import VirtualClock
from transport.framing import check_payload
from transport.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from transport.ports import MeshHandler, PeerName

    LatencyMs = Callable[[PeerName, PeerName, int], float]

_T = TypeVar("_T")


def run_now(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that waits for nothing, such as `start` and `stop` of a `MemoryMesh`.

    Raises RuntimeError if it does wait.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    coroutine.close()
    raise RuntimeError("the coroutine waits for something: it needs an event loop")


class MemoryNetwork:
    """Meshes by name, and the time that passes between them.

    `latency_ms(source, destination, payload_bytes)` is how long a payload is under way.
    """

    def __init__(
        self,
        clock: VirtualClock | None = None,
        latency_ms: LatencyMs = lambda source, destination, payload_bytes: 1,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        self.clock = clock if clock is not None else VirtualClock()
        self.latency_ms = latency_ms
        self.limits = limits
        self._started: dict[PeerName, MemoryMesh] = {}

    def mesh(self, name: PeerName) -> MemoryMesh:
        """Make a mesh, to be started. One of the same name may follow once it has stopped."""
        return MemoryMesh(self, name)

    def run_until(self, until_ms: int) -> int:
        """Let time pass; see `VirtualClock.run_until`."""
        return self.clock.run_until(until_ms)

    def enter(self, mesh: MemoryMesh) -> None:
        """Take a started mesh in. Raises ValueError if its name is taken."""
        if mesh.name in self._started:
            raise ValueError(f"a mesh called {mesh.name.hex()} runs already: stop it first")
        self._started[mesh.name] = mesh
        for other in tuple(self._started.values()):
            self.consider(mesh.name, other.name)

    def leave(self, mesh: MemoryMesh) -> None:
        """Let a mesh go."""
        del self._started[mesh.name]

    def consider(self, a: PeerName, b: PeerName) -> None:
        """Connect two meshes, if both run, one dials the other, and they have no link."""
        left, right = self._started.get(a), self._started.get(b)
        if left is None or right is None or not (left.dials(b) or right.dials(a)):
            return
        if left.has_end(b) or right.has_end(a):
            return
        ends = _End(left, b), _End(right, a)
        for end, other in zip(ends, reversed(ends), strict=True):
            end.other = other
            end.mesh.attach(end)
        latency_ms = max(self.latency_ms(a, b, 0), self.latency_ms(b, a, 0))
        self.clock.call_at(self.clock.now_ms + latency_ms, partial(_raise_ends, ends))

    def reconsider_later(self, a: PeerName, b: PeerName) -> None:
        """Connect two meshes again after the shortest back-off."""
        at_ms = self.clock.now_ms + self.limits.dial_backoff_ms_min
        self.clock.call_at(at_ms, partial(self.consider, a, b))


class _End:
    """One mesh's end of a link."""

    def __init__(self, mesh: MemoryMesh, peer: PeerName) -> None:
        self.mesh = mesh
        self.peer = peer
        self.other = self
        self.is_up = False
        self.is_closed = False
        self.under_way_bytes = 0
        self.last_due_ms = 0.0


def _raise_ends(ends: tuple[_End, _End]) -> None:
    if any(end.is_closed for end in ends):
        return
    for end in ends:
        end.is_up = True
    for end in ends:
        # The first handler may have closed the link in its callback.
        if end.is_up:
            end.mesh.raised(end)


class MemoryMesh:
    """A `Mesh` of one `MemoryNetwork`, made by `MemoryNetwork.mesh`.

    Counters: frames_in, frames_out, bytes_in, bytes_out (of payloads), links_up, links_lost,
    lost_<reason>, dropped_not_connected, dropped_queue_full.
    """

    def __init__(self, network: MemoryNetwork, name: PeerName) -> None:
        self.name = name
        self._network = network
        self._handler: MeshHandler | None = None
        self._is_running = False
        self._dialled: set[PeerName] = set()
        self._ends: dict[PeerName, _End] = {}
        self._counters: Counter[str] = Counter()

    async def start(self, handler: MeshHandler) -> None:
        """Join the network. Waits for nothing: `run_now` can run it."""
        assert self._handler is None, "a mesh starts once"
        self._handler = handler
        self._is_running = True
        self._network.enter(self)

    async def stop(self) -> None:
        """Leave the network. Waits for nothing. What is under way still arrives."""
        if not self._is_running:
            return
        self._is_running = False
        for end in tuple(self._ends.values()):
            self._close(end, "stopped")
        self._network.leave(self)

    def send(self, peer: PeerName, payload: bytes) -> bool:
        """Put one payload on its way; see `Mesh.send`."""
        network = self._network
        check_payload(payload, network.limits.frame_bytes_max)
        end = self._ends.get(peer)
        if end is None or not end.is_up:
            self._counters["dropped_not_connected"] += 1
            return False
        if end.under_way_bytes + len(payload) > network.limits.outbound_bytes_max:
            self._counters["dropped_queue_full"] += 1
            return False
        end.under_way_bytes += len(payload)
        self._counters["frames_out"] += 1
        self._counters["bytes_out"] += len(payload)
        self._call_in_order(end, len(payload), partial(self._deliver, end, payload))
        return True

    def broadcast(self, peers: Iterable[PeerName], payload: bytes) -> int:
        """Put one payload on its way to each of `peers`; see `Mesh.broadcast`."""
        return sum(self.send(peer, payload) for peer in peers)

    def connected(self) -> frozenset[PeerName]:
        """Return the peers that can be sent to."""
        return frozenset(peer for peer, end in self._ends.items() if end.is_up)

    def set_address(self, peer: PeerName, host: str, port: int) -> None:
        """Dial `peer` by its name; host and port mean nothing here. See `Mesh.set_address`."""
        if peer == self.name:
            raise ValueError("a mesh does not dial itself")
        self._dialled.add(peer)
        self._network.consider(self.name, peer)

    def forget(self, peer: PeerName) -> None:
        """Stop dialling `peer` and close its link."""
        self._dialled.discard(peer)
        end = self._ends.get(peer)
        if end is not None:
            self._close(end, "forgotten")

    def recheck(self) -> None:
        """Nothing to do: there are no certificates in memory."""

    def counters(self) -> Mapping[str, int]:
        """Return a copy of all counters."""
        return dict(self._counters)

    # -- for the network ------------------------------------------------------------------------

    def dials(self, peer: PeerName) -> bool:
        """Whether this mesh dials `peer`."""
        return peer in self._dialled

    def has_end(self, peer: PeerName) -> bool:
        """Whether there is a link to `peer`, up or not yet."""
        return peer in self._ends

    def attach(self, end: _End) -> None:
        """Hold the end of a link that is about to come up."""
        self._ends[end.peer] = end

    def raised(self, end: _End) -> None:
        """A link is up."""
        assert self._handler is not None
        self._counters["links_up"] += 1
        self._handler.on_peer_up(end.peer)

    def _call_in_order(self, end: _End, payload_bytes: int, callback: Callable[[], None]) -> None:
        """Call back after the latency, but not before what left this end earlier."""
        network = self._network
        latency_ms = network.latency_ms(self.name, end.peer, payload_bytes)
        end.last_due_ms = max(end.last_due_ms, network.clock.now_ms + latency_ms)
        network.clock.call_at(end.last_due_ms, callback)

    def _deliver(self, end: _End, payload: bytes) -> None:
        end.under_way_bytes -= len(payload)
        if end.other.is_up:
            end.other.mesh.take(self.name, payload)

    def take(self, peer: PeerName, payload: bytes) -> None:
        """Hand one payload up."""
        assert self._handler is not None
        self._counters["frames_in"] += 1
        self._counters["bytes_in"] += len(payload)
        self._handler.on_frame(peer, payload)

    def _close(self, end: _End, reason: str) -> None:
        if end.is_closed:
            return
        was_up = end.is_up
        end.is_up, end.is_closed = False, True
        del self._ends[end.peer]
        self._call_in_order(end, 0, partial(end.other.mesh.peer_closed, end.other))
        self._network.reconsider_later(self.name, end.peer)
        if was_up:
            self._counters["links_lost"] += 1
            self._counters[f"lost_{reason}"] += 1
            assert self._handler is not None
            self._handler.on_peer_down(end.peer, reason)

    def peer_closed(self, end: _End) -> None:
        """The other end closed some time ago."""
        self._close(end, "closed")
