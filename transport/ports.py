"""What the layers above know of this package: a mesh, and the handler that they give to it.

Lives here: the two protocols, and nothing that runs. `TcpMesh`, `MemoryMesh` and `FaultyMesh` are
the meshes. Invariant: a mesh calls its handler on the event loop's thread (or, in memory, inside
the run of the virtual clock); for one peer the calls are up, any frames, down, up, ... and frames
of one link arrive in the order in which they were sent, without gaps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from transport.hello import PeerName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Mesh", "MeshHandler", "PeerName"]


class MeshHandler(Protocol):
    """Callbacks of a mesh. They must not block, and may call any method of the mesh."""

    def on_frame(self, peer: PeerName, payload: bytes) -> None:
        """Take one payload, never empty, from `peer`. The bytes are hostile until verified."""

    def on_peer_up(self, peer: PeerName) -> None:
        """Learn that `peer` can be sent to."""

    def on_peer_down(self, peer: PeerName, reason: str) -> None:
        """Learn that the link to `peer` is gone, with what was queued; `reason` is one word."""


class Mesh(Protocol):
    """Links to named peers, at most one to each."""

    @property
    def name(self) -> PeerName:
        """Our own name."""

    async def start(self, handler: MeshHandler) -> None:
        """Listen and dial. Called once. Raises ListenError (AddressInUse)."""

    async def stop(self) -> None:
        """Close every link and wait until all is released. May be called twice."""

    def send(self, peer: PeerName, payload: bytes) -> bool:
        """Queue one payload. False, and counted, if not connected or if the queue is full.

        True promises no delivery: the link may break before the bytes are on their way.
        Raises FrameTooLong beyond `frame_bytes_max`, ValueError for an empty payload.
        """

    def broadcast(self, peers: Iterable[PeerName], payload: bytes) -> int:
        """Send one payload to each of `peers`; return for how many `send` would say True."""

    def connected(self) -> frozenset[PeerName]:
        """Return the peers that can be sent to. Sort them where the order must be repeatable."""

    def set_address(self, peer: PeerName, host: str, port: int) -> None:
        """Dial `peer` there, and again whenever the link is lost. Replaces an older address.

        Raises TooManyPeers, and ValueError for our own name or an impossible port.
        """

    def forget(self, peer: PeerName) -> None:
        """Stop dialling `peer` and close its link. An unknown peer is no error.

        It may connect to us again, unless `identify` of a `TcpMesh` refuses it.
        """

    def recheck(self) -> None:
        """End the links of peers whose certificates are not believed any more.

        Certificates are judged when a link is made; call this when the judgement may have changed.
        """

    def counters(self) -> Mapping[str, int]:
        """Return a copy of all counters since the start; a name absent means 0."""
