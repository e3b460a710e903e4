"""A bad network over any mesh, the same each time for the same seed.

Lives here: what can happen to a payload between two peers (`LinkFaults`), the plan shared by all
nodes of a run (`FaultPlan`: per-link faults, partitions, masks), and `FaultyMesh`, which puts the
plan between a node and its mesh. Never here: what a payload means. Masks see it through a
`classify` callable of the caller.

Faults are applied where a payload is sent, so every node of a run is wrapped with the one plan.
Invariant: what happens to the n-th payload from one peer to another is a function of the seed,
the two names, n and the faults in force; neither other links nor the time of day have a say.
Payloads keep their order, whatever their delays, except those that `reorder` picked.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from transport.framing import check_payload
from transport.limits import MIB, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from transport.clock import Clock, Timer
    from transport.ports import Mesh, MeshHandler, PeerName

    Classify = Callable[[bytes], tuple[str, int] | None]
    Mask = Callable[[PeerName, PeerName, str, int], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFaults:
    """What one direction of one link does to payloads. Raises ValueError for impossible figures."""

    loss: float = 0.0
    """Probability that a payload vanishes; so are the next four."""
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    """... that one of its bits is flipped."""
    truncate: float = 0.0
    """... that its end is missing."""
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """Added to the delay: uniform between 0 and this."""
    reorder_ms: float = 50.0
    """How long a reordered payload is held back while later ones pass it."""
    bandwidth_bytes_per_s: int = 0
    """0: unlimited."""
    queue_bytes_max: int = 32 * MIB
    """Bytes that wait for the bandwidth before `send` answers False."""

    def __post_init__(self) -> None:
        for name in ("loss", "duplicate", "reorder", "corrupt", "truncate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a probability: {getattr(self, name)}")
        for name in ("delay_ms", "jitter_ms", "reorder_ms", "bandwidth_bytes_per_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative: {getattr(self, name)}")


class FaultPlan:
    """The faults of a whole network. They may be changed at any time of a run.

    `classify(payload)` gives its kind and slot, None if it has none. `mask(source, destination,
    kind, slot)` answers True for what is to vanish; it is asked only about classified payloads.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        everywhere: LinkFaults = LinkFaults(),
        classify: Classify | None = None,
        mask: Mask | None = None,
    ) -> None:
        self.seed = seed
        self.everywhere = everywhere
        self.classify = classify
        self.mask = mask
        self._links: dict[tuple[PeerName, PeerName], LinkFaults] = {}
        self._blocked: set[tuple[PeerName, PeerName]] = set()
        self._isolated: set[PeerName] = set()
        self._group_of: dict[PeerName, int] = {}

    def set_link(self, source: PeerName, destination: PeerName, faults: LinkFaults) -> None:
        """Give one direction of one link its own faults, instead of those `everywhere`."""
        self._links[source, destination] = faults

    def block(self, source: PeerName, destination: PeerName) -> None:
        """Let nothing through from `source` to `destination`: one way only."""
        self._blocked.add((source, destination))

    def isolate(self, name: PeerName) -> None:
        """Let nothing through to or from `name`."""
        self._isolated.add(name)

    def partition(self, *groups: Iterable[PeerName]) -> None:
        """Let payloads pass only inside a group. Who is in none forms one more group."""
        self._group_of = {name: number for number, group in enumerate(groups) for name in group}

    def heal(self) -> None:
        """Undo every block, isolation and partition. Links keep their faults, masks stay."""
        self._blocked.clear()
        self._isolated.clear()
        self._group_of.clear()

    def faults_of(self, source: PeerName, destination: PeerName) -> LinkFaults:
        """Return what the direction does to payloads."""
        return self._links.get((source, destination), self.everywhere)

    def stops(self, source: PeerName, destination: PeerName, payload: bytes) -> str | None:
        """Return the counter of what stops the payload for certain, None if nothing does."""
        if (
            (source, destination) in self._blocked
            or source in self._isolated
            or destination in self._isolated
            or self._group_of.get(source) != self._group_of.get(destination)
        ):
            return "fault_partitioned"
        if self.mask is not None and self.classify is not None:
            known = self.classify(payload)
            if known is not None and self.mask(source, destination, *known):
                return "fault_masked"
        return None


class _Draws(NamedTuple):
    """The random numbers of one payload: always all of them, whichever are looked at.

    So switching one fault on does not move the others.
    """

    loss: float
    duplicate: float
    reorder: float
    corrupt: float
    truncate: float
    jitter: float
    place: float


class _Pipe:
    """The state of one direction of one link."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._free_at_ms = 0.0
        self._last_due_ms = 0.0
        self.waiting = 0
        """Payloads that are held back at this moment."""

    def draw(self) -> _Draws:
        """Return the next payload's random numbers."""
        return _Draws._make(self._random.random() for _ in _Draws._fields)

    def due_ms(self, payload_bytes: int, faults: LinkFaults, draws: _Draws, now_ms: float) -> float | None:
        """Return when a payload that is sent now arrives, None if the queue is full."""
        start_ms = now_ms
        if faults.bandwidth_bytes_per_s:
            start_ms = max(now_ms, self._free_at_ms)
            queued_bytes = (start_ms - now_ms) * faults.bandwidth_bytes_per_s / 1000
            if queued_bytes + payload_bytes > faults.queue_bytes_max:
                return None
            start_ms += payload_bytes * 1000 / faults.bandwidth_bytes_per_s
            self._free_at_ms = start_ms
        due_ms = start_ms + faults.delay_ms + faults.jitter_ms * draws.jitter
        self._last_due_ms = due_ms = max(due_ms, self._last_due_ms)
        if draws.reorder < faults.reorder:
            return due_ms + faults.reorder_ms
        return due_ms


class FaultyMesh:
    """A `Mesh` that treats what is sent through it as `plan` says.

    `clock` is a `LoopClock` over `TcpMesh`, the network's `VirtualClock` over `MemoryMesh`. `send`
    answers True for what the plan loses or delays, since a sender would not know.

    Counters: those of `inner`, and fault_lost, fault_partitioned, fault_masked, fault_duplicated,
    fault_reordered, fault_corrupted, fault_truncated, fault_delayed, fault_queue_full.
    """

    def __init__(
        self,
        inner: Mesh,
        plan: FaultPlan,
        clock: Clock,
        *,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        self._inner = inner
        self._plan = plan
        self._clock = clock
        self._limits = limits
        self._pipes: dict[PeerName, _Pipe] = {}
        self._held: list[tuple[float, int, PeerName, bytes]] = []
        self._held_ever = 0
        self._timer: Timer | None = None
        self._timer_ms = 0.0
        self._counters: Counter[str] = Counter()

    @property
    def name(self) -> PeerName:
        """Our own name."""
        return self._inner.name

    async def start(self, handler: MeshHandler) -> None:
        """Start the mesh below."""
        await self._inner.start(handler)

    async def stop(self) -> None:
        """Drop what is held back, and stop the mesh below."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._held.clear()
        await self._inner.stop()

    def send(self, peer: PeerName, payload: bytes) -> bool:
        """Send one payload through the bad network; see `Mesh.send`."""
        check_payload(payload, self._limits.frame_bytes_max)
        pipe = self._pipes.get(peer)
        if pipe is None:
            seed = f"{self._plan.seed}:{self.name.hex()}:{peer.hex()}"
            pipe = self._pipes[peer] = _Pipe(seed)
        draws = pipe.draw()
        faults = self._plan.faults_of(self.name, peer)
        stopped_by = self._plan.stops(self.name, peer, payload)
        if stopped_by is None and draws.loss < faults.loss:
            stopped_by = "fault_lost"
        if stopped_by is not None:
            self._counters[stopped_by] += 1
            return True
        due_ms = pipe.due_ms(len(payload), faults, draws, self._clock.now_ms)
        if due_ms is None:
            self._counters["fault_queue_full"] += 1
            return False
        if draws.reorder < faults.reorder:
            self._counters["fault_reordered"] += 1
        payload = self._damage(payload, faults, draws)
        if draws.duplicate < faults.duplicate:
            self._counters["fault_duplicated"] += 1
            self._pass_on(pipe, peer, payload, due_ms)
        return self._pass_on(pipe, peer, payload, due_ms)

    def broadcast(self, peers: Iterable[PeerName], payload: bytes) -> int:
        """Send to each of `peers`, each link with its own faults; see `Mesh.broadcast`."""
        return sum(self.send(peer, payload) for peer in peers)

    def connected(self) -> frozenset[PeerName]:
        """Return the peers of the mesh below: partitions do not show here."""
        return self._inner.connected()

    def set_address(self, peer: PeerName, host: str, port: int) -> None:
        """Dial with the mesh below."""
        self._inner.set_address(peer, host, port)

    def forget(self, peer: PeerName) -> None:
        """Forget in the mesh below."""
        self._inner.forget(peer)

    def recheck(self) -> None:
        """Check again in the mesh below."""
        self._inner.recheck()

    def counters(self) -> Mapping[str, int]:
        """Return a copy of all counters."""
        return {**self._inner.counters(), **self._counters}

    def _damage(self, payload: bytes, faults: LinkFaults, draws: _Draws) -> bytes:
        if draws.corrupt < faults.corrupt:
            self._counters["fault_corrupted"] += 1
            bit = int(draws.place * len(payload) * 8)
            damaged = bytearray(payload)
            damaged[bit // 8] ^= 1 << bit % 8
            payload = bytes(damaged)
        if draws.truncate < faults.truncate and len(payload) > 1:
            self._counters["fault_truncated"] += 1
            payload = payload[: 1 + int(draws.place * (len(payload) - 1))]
        return payload

    def _pass_on(self, pipe: _Pipe, peer: PeerName, payload: bytes, due_ms: float) -> bool:
        if due_ms <= self._clock.now_ms and not pipe.waiting:
            return self._inner.send(peer, payload)
        self._counters["fault_delayed"] += 1
        pipe.waiting += 1
        self._held_ever += 1
        heapq.heappush(self._held, (due_ms, self._held_ever, peer, payload))
        self._arm()
        return True

    def _arm(self) -> None:
        due_ms = self._held[0][0]
        if self._timer is not None:
            if self._timer_ms <= due_ms:
                return
            self._timer.cancel()
        self._timer_ms = due_ms
        self._timer = self._clock.call_at(due_ms, self._release)

    def _release(self) -> None:
        self._timer = None
        while self._held and self._held[0][0] <= self._clock.now_ms:
            _, _, peer, payload = heapq.heappop(self._held)
            self._pipes[peer].waiting -= 1
            self._inner.send(peer, payload)
        if self._held:
            self._arm()
