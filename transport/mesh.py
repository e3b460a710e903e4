"""Named peers over TCP: listen, dial, keep one link to each, send, broadcast.

Lives here: `TcpMesh`, which owns the links, the choice between two links to one peer, and the
counters. Never here: bytes of a stream (`framing`, `link`), sockets to accept (`listener`), waits
between dials (`dialler`), anything that a payload means.

Invariants:
- at most one link per peer is up, and both sides keep the same one. When two peers dial each
  other at once, the link dialled by the smaller name stays. Two exceptions, since there a link is
  known to be dead: a peer that dials again has lost its former link, and nobody who has a link
  dials, so a link older than a handshake can last gives way to any newer one;
- what a peer does wrong ends that peer's link and counts as `refused_<code>`, never more;
- after `stop` no task, timer or socket of the mesh is left.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

from transport.backlog import Backlog
from transport.dialler import Backoff, keep_dialling
from transport.errors import (
    HelloRefused,
    LinkDropped,
    NotListening,
    PeerFault,
    TooManyPeers,
)
from transport.framing import check_payload, encode_frame
from transport.hello import Hello, PeerName, check_own_hello
from transport.limits import Limits
from transport.link import Link
from transport.listener import Admission, accept_forever, open_listener
from transport.tasks import TaskSet
from transport.tls import TlsIdentity, tls_refusal

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from transport.ports import MeshHandler

_LOG = logging.getLogger(__name__)


class _Target(NamedTuple):
    """A peer that is dialled. `task` is None before the start."""

    host: str
    port: int
    task: asyncio.Task[None] | None


class TcpMesh:
    """A `Mesh` over TCP, with TLS 1.3 on both sides or, for tests and benches, in plain text.

    `listen` is an address, a bound socket (owned by the mesh from `start` on), or None to accept
    nobody. `identify` turns a peer's device certificate (DER) into its name, None to refuse it;
    it is not used without `tls`, where the HELLO alone names the peer. `protocol` and `network`
    must be equal on both sides.

    Counters: frames_in, frames_out, bytes_in, bytes_out, pings_in, pings_out, links_up,
    links_lost, lost_<reason>, dials, reconnects, dropped_not_connected, dropped_queue_full,
    accept_failed, refused_<code> with the codes of `transport.errors.PeerFault` and of
    `transport.listener.Admission`.

    Raises ValueError when the name, network or protocol is too long.
    """

    def __init__(
        self,
        *,
        name: PeerName,
        listen: tuple[str, int] | socket.socket | None,
        tls: TlsIdentity | None,
        identify: Callable[[bytes], PeerName | None],
        limits: Limits = Limits(),  # noqa: B008 - frozen
        seed: int = 0,
        protocol: str,
        network: bytes = b"",
    ) -> None:
        self._hello = Hello(protocol, network, name)
        check_own_hello(self._hello, limits)
        self._listen = listen
        self._tls = tls
        self._identify = identify if tls is not None else None
        self._limits = limits
        self._seed = seed
        self._handler: MeshHandler | None = None
        self._listener: socket.socket | None = None
        self._admission = Admission(limits)
        self._seekers = TaskSet()
        """The accept loop and the dial loops: what makes new links."""
        self._servants = TaskSet()
        """One task per accepted connection, for as long as it lasts."""
        self._targets: dict[PeerName, _Target] = {}
        self._linked_before: set[PeerName] = set()
        self._links: dict[PeerName, Link] = {}
        self._open_links: set[Link] = set()
        self._backlogs: WeakValueDictionary[PeerName, Backlog] = WeakValueDictionary()
        """Of each certificate's device, as long as a link of it holds it."""
        self._stopping = False
        self._counters: Counter[str] = Counter()

    # -- life -----------------------------------------------------------------------------------

    @property
    def name(self) -> PeerName:
        """Our own name."""
        return self._hello.name

    @property
    def address(self) -> tuple[str, int]:
        """The host and port actually bound. Raises NotListening before `start` or without one."""
        if self._listener is None:
            raise NotListening("this mesh does not listen: give it an address, then start it")
        host, port, *_ = self._listener.getsockname()
        return host, port

    async def start(self, handler: MeshHandler) -> None:
        """Listen and dial. Called once. Raises ListenError (AddressInUse)."""
        assert self._handler is None, "a mesh starts once"
        if self._listen is not None:
            self._listener = open_listener(self._listen, self._limits)
            self._seekers.spawn(
                accept_forever(
                    self._listener,
                    admission=self._admission,
                    limits=self._limits,
                    serve=self._serve,
                    count=self.count,
                    tasks=self._servants,
                )
            )
        self._handler = handler
        for peer, (host, port, _) in tuple(self._targets.items()):
            self._begin_dialling(peer, host, port)

    async def stop(self) -> None:
        """Close every link and wait until all is released. May be called twice."""
        self._stopping = True
        await self._seekers.cancel_all()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        # No link begins any more: what is open now is all there is to close.
        for link in tuple(self._open_links):
            link.close("stopped")
        # A closing link cuts itself after `close_ms_max`, which bounds this wait.
        for link in tuple(self._open_links):
            await link.closed.wait()
        await self._servants.cancel_all()

    # -- sending --------------------------------------------------------------------------------

    def send(self, peer: PeerName, payload: bytes) -> bool:
        """Queue one payload; see `Mesh.send`."""
        return self._send_frame(peer, self._frame(payload))

    def broadcast(self, peers: Iterable[PeerName], payload: bytes) -> int:
        """Queue one payload for each of `peers`, encoded once; see `Mesh.broadcast`."""
        frame = self._frame(payload)
        return sum(self._send_frame(peer, frame) for peer in peers)

    def _frame(self, payload: bytes) -> bytes:
        check_payload(payload, self._limits.frame_bytes_max)
        return encode_frame(payload)

    def _send_frame(self, peer: PeerName, frame: bytes) -> bool:
        link = self._links.get(peer)
        if link is None or not link.is_up:
            self._counters["dropped_not_connected"] += 1
            return False
        if not link.send(frame):
            self._counters["dropped_queue_full"] += 1
            return False
        self._counters["frames_out"] += 1
        return True

    # -- peers ----------------------------------------------------------------------------------

    def connected(self) -> frozenset[PeerName]:
        """Return the peers that can be sent to."""
        return frozenset(peer for peer, link in self._links.items() if link.is_up)

    def set_address(self, peer: PeerName, host: str, port: int) -> None:
        """Dial `peer` there and keep dialling; see `Mesh.set_address`."""
        if peer == self.name:
            raise ValueError("a mesh does not dial itself")
        if not 0 < port < 1 << 16:
            raise ValueError(f"{port} is no port to dial: it must be in 1 .. 65535")
        target = self._targets.get(peer)
        if target is not None and (target.host, target.port) == (host, port):
            return
        if target is None and len(self._targets) >= self._limits.dialled_peers_max:
            raise TooManyPeers(
                f"{len(self._targets)} peers are dialled already, "
                f"dialled_peers_max is {self._limits.dialled_peers_max}: forget one first"
            )
        if target is not None and target.task is not None:
            target.task.cancel()
        self._begin_dialling(peer, host, port)

    def forget(self, peer: PeerName) -> None:
        """Stop dialling `peer` and close its link."""
        target = self._targets.pop(peer, None)
        self._linked_before.discard(peer)
        if target is not None and target.task is not None:
            target.task.cancel()
        link = self._links.get(peer)
        if link is not None:
            self._retire(link, "forgotten")

    def recheck(self) -> None:
        """Ask `identify` anew about every link; see `Mesh.recheck`."""
        for link in tuple(self._open_links):
            link.recheck()

    def counters(self) -> Mapping[str, int]:
        """Return a copy of all counters."""
        return dict(self._counters)

    def _begin_dialling(self, peer: PeerName, host: str, port: int) -> None:
        task = None
        if self._handler is not None and not self._stopping:
            backoff = Backoff(self._limits, f"{self._seed}:{self.name.hex()}:{peer.hex()}")
            dial = partial(self._dial, peer, host, port)
            task = self._seekers.spawn(keep_dialling(dial, lambda: self._links.get(peer), backoff))
        self._targets[peer] = _Target(host, port, task)

    # -- connections ----------------------------------------------------------------------------

    async def _dial(self, peer: PeerName, host: str, port: int) -> None:
        link = self._new_link(peer)
        options = self._tls_options(server=False)
        loop = asyncio.get_running_loop()
        self._counters["dials"] += 1
        await self._establish(link, loop.create_connection(lambda: link, host, port, **options))

    async def _serve(self, sock: socket.socket, host: str) -> None:
        link = self._new_link(None)
        options = self._tls_options(server=True)
        loop = asyncio.get_running_loop()
        with self._admission.connection(host):
            with self._admission.handshake(host):
                await self._establish(link, loop.connect_accepted_socket(lambda: link, sock, **options))
            await link.closed.wait()

    async def _establish(self, link: Link, connecting: Awaitable[object]) -> None:
        """Wait until the link is up or has failed; the deadline covers TCP, TLS and HELLO."""
        self._open_links.add(link)
        try:
            async with asyncio.timeout(self._limits.handshake_ms_max / 1000):
                await connecting
                await link.settled.wait()
        except TimeoutError:
            link.drop(LinkDropped("handshake_timeout", "no HELLO in time"))
        except ssl.SSLError as error:
            link.drop(tls_refusal(error))
        except UnicodeError:
            # Looking a name up encodes it first, and names come from other members.
            link.drop(LinkDropped("unreachable", "not a name of any host"))
        except OSError as error:
            link.drop(LinkDropped("unreachable", error.strerror or str(error)))
        except asyncio.CancelledError:
            link.abort("stopped")
            raise
        finally:
            if link.closed.is_set():
                self._open_links.discard(link)

    def _new_link(self, dialled: PeerName | None) -> Link:
        return Link(self, own=self._hello, dialled=dialled, identify=self._identify, limits=self._limits)

    def _tls_options(self, *, server: bool) -> dict[str, Any]:
        if self._tls is None:
            return {}
        options: dict[str, Any] = {
            "ssl": self._tls.server_context if server else self._tls.client_context,
            # Later than our own deadline, which covers more.
            "ssl_handshake_timeout": self._limits.handshake_ms_max / 1000 + 1,
            "ssl_shutdown_timeout": self._limits.close_ms_max / 1000,
        }
        if not server:
            options["server_hostname"] = ""
        return options

    # -- LinkOwner ------------------------------------------------------------------------------

    def link_named(self, link: Link) -> None:
        """Keep the link, or the one that we have to the same peer."""
        peer = link.peer
        current = self._links.get(peer)
        if current is not None:
            if not self._gives_way(current, link):
                link.close("duplicate")
                return
            self._retire(current, "replaced")
        elif self._is_crowded(link):
            link.drop(HelloRefused("device_full", "its device holds as many links as it may"))
            return
        if link.certified is not None:
            link.share(self._backlogs.setdefault(link.certified, Backlog(self._limits)))
        self._links[peer] = link
        self._counters["links_up"] += 1
        if peer in self._targets:
            self._counters["reconnects"] += peer in self._linked_before
            self._linked_before.add(peer)
        assert self._handler is not None
        self._handler.on_peer_up(peer)

    def link_payloads(self, link: Link, payloads: list[bytes]) -> None:
        """Hand the payloads up, while the handler leaves the link open."""
        assert self._handler is not None
        self._counters["frames_in"] += len(payloads)
        on_frame, peer = self._handler.on_frame, link.peer
        for payload in payloads:
            if not link.is_up:
                return
            on_frame(peer, payload)

    def link_lost(self, link: Link, reason: str) -> None:
        """Forget a link whose connection is gone."""
        self._open_links.discard(link)
        self._counters["links_lost"] += 1
        self._counters[f"lost_{reason}"] += 1
        self._peer_down(link, reason)

    def link_refused(self, link: Link, fault: PeerFault) -> None:
        """Count what a peer did wrong."""
        self._counters[f"refused_{fault.code}"] += 1
        _LOG.debug("link to %s refused, %s", (link.peer or link.dialled or b"").hex() or "?", fault)

    def count(self, counter: str, amount: int = 1) -> None:
        """Add to a counter."""
        self._counters[counter] += amount

    def _is_crowded(self, newcomer: Link) -> bool:
        """Whether the newcomer's device has all the accepted links that it may have."""
        if newcomer.certified is None or newcomer.dialled is not None:
            return False
        held = sum(
            link.certified == newcomer.certified and link.dialled is None for link in self._links.values()
        )
        return held >= self._limits.links_per_device_max

    def _gives_way(self, current: Link, newcomer: Link) -> bool:
        if not current.is_up or newcomer.dialler == current.dialler:
            return True
        if (newcomer.up_at_s - current.up_at_s) * 1000 > self._limits.handshake_ms_max:
            return True
        return newcomer.dialler < current.dialler

    def _retire(self, link: Link, reason: str) -> None:
        link.close(reason)
        self._peer_down(link, reason)

    def _peer_down(self, link: Link, reason: str) -> None:
        if self._links.get(link.peer) is link:
            del self._links[link.peer]
            assert self._handler is not None
            self._handler.on_peer_down(link.peer, reason)
