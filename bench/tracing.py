"""Where the time of a request goes: moments at which messages of each kind leave a node, by height.

Lives here: a mesh that takes notes, and the stages made of them. Never here: the node itself, which knows
nothing of being watched. Owns the invariant that all moments are on `time.monotonic`, which all processes
of one machine share, so that the notes of several nodes and of the generators can be put together.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

import msgspec

from bench.results import Sample
from transport import Mesh, MeshHandler

TRACE_FILE = "trace.msgpack"
NOTES_MAX = 1_000_000
KINDS = {2: "pre_prepare", 3: "prepare", 4: "commit", 14: "reply"}
"""Tags of the messages that are noted (`p2penergy.messages`)."""
STAGES = ("queue", "pre_prepare", "prepare", "commit", "reply")
"""queue: from the intended moment to the leader's PRE-PREPARE. pre_prepare: until half of the nodes sent
PREPARE (way, check, execution, fsync). prepare: until half sent COMMIT. commit: until f+1 sent replies
(quorum, fsync, execution made permanent). reply: until the client has f+1 of them and has checked them."""

_SENDER_BYTES = 22
"""After the array's header and the tag: a sender as msgpack's bin 8."""


class Note(msgspec.Struct, frozen=True, array_like=True):
    """The first message of a kind for a height."""

    kind: str
    height: int
    at_s: float


def peek(payload: bytes) -> tuple[str, int] | None:
    """Kind and height of a message that is noted, None for all others; decodes nothing else."""
    at = 2 + _SENDER_BYTES
    if len(payload) <= at or payload[0] >> 4 != 9:
        return None
    kind = KINDS.get(payload[1])
    if kind is None:
        return None
    first = payload[at]
    if first < 0x80:
        return kind, first
    width = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}.get(first)
    return None if width is None else (kind, int.from_bytes(payload[at + 1 : at + 1 + width], "big"))


class TracingMesh:
    """Passes everything on, and notes when the first message of each kind and height is sent."""

    def __init__(self, inner: Mesh) -> None:
        self._inner = inner
        self._notes: dict[tuple[str, int], float] = {}

    @property
    def name(self) -> bytes:
        """Our own name."""
        return self._inner.name

    async def start(self, handler: MeshHandler) -> None:
        """Start the mesh below."""
        await self._inner.start(handler)

    async def stop(self) -> None:
        """Stop the mesh below."""
        await self._inner.stop()

    def send(self, peer: bytes, payload: bytes) -> bool:
        """Note, and send."""
        self._note(payload)
        return self._inner.send(peer, payload)

    def broadcast(self, peers: Iterable[bytes], payload: bytes) -> int:
        """Note, and send to many."""
        self._note(payload)
        return self._inner.broadcast(peers, payload)

    def connected(self) -> frozenset[bytes]:
        """The peers of the mesh below."""
        return self._inner.connected()

    def set_address(self, peer: bytes, host: str, port: int) -> None:
        """Dial with the mesh below."""
        self._inner.set_address(peer, host, port)

    def forget(self, peer: bytes) -> None:
        """Forget in the mesh below."""
        self._inner.forget(peer)

    def recheck(self) -> None:
        """Check again in the mesh below."""
        self._inner.recheck()

    def counters(self) -> Mapping[str, int]:
        """Those of the mesh below."""
        return self._inner.counters()

    def write(self, path: Path) -> None:
        """Write all notes."""
        notes = [Note(kind, height, at_s) for (kind, height), at_s in self._notes.items()]
        path.write_bytes(msgspec.msgpack.encode(notes))

    def _note(self, payload: bytes) -> None:
        key = peek(payload)
        if key is not None and len(self._notes) < NOTES_MAX:
            self._notes.setdefault(key, time.monotonic())


def read(path: Path) -> list[Note]:
    """The notes of one node."""
    return msgspec.msgpack.decode(path.read_bytes(), type=list[Note])


def stages_ms(samples: Sequence[Sample], start_s: float, nodes: Sequence[Sequence[Note]]) -> dict[str, float]:
    """Median time of each stage over the answered requests, ms; {} when nothing fits together.

    `start_s` is the moment that the samples count from.
    """
    moments: dict[tuple[str, int], list[float]] = {}
    for notes in nodes:
        for note in notes:
            moments.setdefault((note.kind, note.height), []).append(note.at_s)
    fault_limit = (len(nodes) - 1) // 3
    parts: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for sample in samples:
        edges = [moments.get((kind, sample.height)) for kind in KINDS.values()]
        if sample.done_us < 0 or any(edge is None for edge in edges):
            continue
        known = [edge for edge in edges if edge]
        # The leader's PRE-PREPARE is the first; of votes the middle one counts, of replies number f + 1.
        replied_s = sorted(known[-1])[min(fault_limit, len(known[-1]) - 1)]
        votes = [median(edge) for edge in known[1:-1]]
        ends = [min(known[0]), *votes, replied_s, start_s + sample.done_us / 1e6]
        begins = [start_s + sample.intended_us / 1e6, *ends]
        for stage, begin, end in zip(STAGES, begins, ends, strict=False):
            parts[stage].append((end - begin) * 1000)
    return {stage: median(values) for stage, values in parts.items() if values}
