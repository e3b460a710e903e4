"""One connection to one peer.

Lives here: the HELLO of both sides, the frames in, the byte-counted queue of frames out, the
keep-alive, and every reason for which a connection ends. Never here: dialling, accepting, who
may connect, the choice between two links to one peer: that is `transport.mesh`.

Invariants:
- no payload is delivered before the peer's HELLO was accepted, none after the link began to close;
- at most `outbound_bytes_max` bytes wait in the queues of one device's links (`transport.backlog`), and
  about `write_high_water_bytes` more in each transport: both loops' own defaults and an unlimited
  `write()` are not relied on;
- a peer that does not take what waits is cut off, as is one that is silent for `idle_ms_max`: nobody
  waits for a slow peer;
- the owner hears `link_named` at most once, and `link_lost` exactly once if it heard
  `connection_made`.

    NEW --connection_made--> GREETING --HELLO--> UP --close--> CLOSING --> CLOSED
                                 |________________|______________^           ^
                                                  drop: cut, nothing flushed |
"""

from __future__ import annotations

import asyncio
import enum
import ssl
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

from transport.backlog import Backlog
from transport.errors import FrameRefused, HelloRefused, LinkDropped, PeerFault
from transport.framing import PING_FRAME, FrameDecoder, encode_frame
from transport.hello import (
    Expectation,
    Hello,
    PeerName,
    check_hello,
    decode_hello,
    encode_hello,
)
from transport.tls import tls_refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from transport.limits import Limits


_PULSES = 3
"""Pulses of the keep-alive in `idle_ms_max`."""


class LinkOwner(Protocol):
    """What a link tells the mesh that made it."""

    def link_named(self, link: Link) -> None:
        """The HELLO was accepted: `link.peer` is known. The owner may close the link here."""

    def link_payloads(self, link: Link, payloads: list[bytes]) -> None:
        """Payloads arrived, none of them empty. Only while the link is up."""

    def link_lost(self, link: Link, reason: str) -> None:
        """The connection is gone."""

    def link_refused(self, link: Link, fault: PeerFault) -> None:
        """The peer broke a rule and is about to be cut off: count it."""

    def count(self, counter: str, amount: int = 1) -> None:
        """Add to a counter."""


class _State(enum.IntEnum):
    NEW = 0
    GREETING = 1
    UP = 2
    CLOSING = 3
    CLOSED = 4


class Link(asyncio.Protocol):
    """One connection. `dialled` is the peer we dialled, None if it came to us."""

    def __init__(
        self,
        owner: LinkOwner,
        *,
        own: Hello,
        dialled: PeerName | None,
        identify: Callable[[bytes], PeerName | None] | None,
        limits: Limits,
    ) -> None:
        self.dialled = dialled
        self.peer: PeerName = b""
        self.up_at_s = 0.0
        self.settled = asyncio.Event()
        """Set when the link is up, and when it is closed without ever having been."""
        self.closed = asyncio.Event()
        """Set when the connection is gone."""
        self._owner = owner
        self._own = own
        self._identify = identify
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._state = _State.NEW
        self._transport: asyncio.Transport | None = None
        self._decoder = FrameDecoder(limits.frame_bytes_max)
        self._certificate_der = b""
        self._certified: PeerName | None = None
        self._reason = ""
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._backlog = Backlog(limits)
        self._backlog.join(self)
        self._paused = False
        self._flush_due = False
        self._close_timer: asyncio.TimerHandle | None = None
        self._pulse_timer: asyncio.TimerHandle | None = None
        self._silent_pulses = 0
        self._heard_since_pulse = False
        self._wrote_since_pulse = False

    @property
    def is_up(self) -> bool:
        """Whether payloads can be sent and are delivered."""
        return self._state is _State.UP

    @property
    def dialler(self) -> PeerName:
        """The name of the side that dialled. Known once the link is up."""
        return self.peer if self.dialled is None else self._own.name

    @property
    def certified(self) -> PeerName | None:
        """The name that the peer's certificate gives; None without TLS, and before the handshake."""
        return self._certified

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the transport to take them, or for the end of a link that closes."""
        return self._queued_bytes

    @property
    def backlog(self) -> Backlog:
        """What waits for the peer's device, on this link and its others."""
        return self._backlog

    def share(self, backlog: Backlog) -> None:
        """Count with the other links of the same device from now on; nothing may be queued yet."""
        assert not self._queued_bytes, "a link shares before it is told to send"
        self._backlog.leave(self)
        self._backlog = backlog
        backlog.join(self)

    # -- sending --------------------------------------------------------------------------------

    def send(self, frame: bytes) -> bool:
        """Queue one encoded frame. False if the link is not up or too much waits for its device."""
        if self._state is not _State.UP:
            return False
        backlog, length = self._backlog, len(frame)
        if backlog.queued_bytes + length > self._limits.outbound_bytes_max:
            backlog.overflowed()
            return False
        self._queue.append(frame)
        self._queued_bytes += length
        backlog.queued_bytes += length
        if not self._paused and not self._flush_due:
            # One turn of the loop later, so that frames of one turn share a write.
            self._flush_due = True
            self._loop.call_soon(self._flush)
        return True

    def close(self, reason: str) -> None:
        """End the link: what is queued is flushed, for `close_ms_max` at most."""
        if self._state in (_State.CLOSING, _State.CLOSED):
            return
        if self._transport is None:
            self.abort(reason)
            return
        self._state, self._reason = _State.CLOSING, reason
        if self._queue:
            self._owner.count("bytes_out", self._queued_bytes)
            self._transport.write(b"".join(self._queue))
            # Counted until the connection is gone: a device that dials again and again must not have
            # one full queue after the other flushed for it at the same time.
            self._queue.clear()
        self._stop_pulse()
        self._close_timer = self._after(self._limits.close_ms_max, self._transport.abort)
        self._transport.close()

    def drop(self, fault: PeerFault) -> None:
        """Cut the link off for what the peer did; nothing is flushed."""
        if self._state in (_State.CLOSING, _State.CLOSED):
            return
        self._owner.link_refused(self, fault)
        self.abort(fault.code)

    def drop_stalled(self, waiting_bytes: int) -> None:
        """Cut the link off, also while it closes: its device does not take what waits."""
        fault = LinkDropped(
            "stalled", f"{waiting_bytes} bytes wait, too many for {self._limits.stall_ms_max} ms"
        )
        self.drop(fault)
        self.abort(fault.code)

    def abort(self, reason: str) -> None:
        """Cut the connection at once, also while it closes."""
        if self._state is _State.CLOSED:
            return
        if self._transport is None:
            # Still in TLS, or not even connected: a late `connection_made` finds it closed.
            self._state, self._reason = _State.CLOSED, reason
            self._release()
            self.settled.set()
            self.closed.set()
            return
        if self._state is not _State.CLOSING:
            self._state, self._reason = _State.CLOSING, reason
        self._release()
        self._transport.abort()

    def _flush(self) -> None:
        self._flush_due = False
        if self._state is not _State.UP or self._transport is None:
            return
        queue, batch_bytes_max = self._queue, self._limits.write_batch_bytes
        while queue and not self._paused:
            batch: list[bytes] = []
            batch_bytes = 0
            while queue and batch_bytes < batch_bytes_max:
                frame = queue.popleft()
                batch.append(frame)
                batch_bytes += len(frame)
            self._queued_bytes -= batch_bytes
            self._backlog.took(batch_bytes)
            self._wrote_since_pulse = True
            self._owner.count("bytes_out", batch_bytes)
            self._transport.write(b"".join(batch))

    # -- keep-alive -----------------------------------------------------------------------------

    def _pulse(self) -> None:
        # Silence is counted in pulses and not in time, so that a pause of our own process is not
        # taken for a silence of everybody else.
        self._silent_pulses = 0 if self._heard_since_pulse else self._silent_pulses + 1
        self._heard_since_pulse = False
        if self._silent_pulses == _PULSES:
            self.drop(LinkDropped("idle", f"silent for {self._limits.idle_ms_max} ms"))
            return
        if not self._wrote_since_pulse and not self._paused and self._transport is not None:
            self._transport.write(PING_FRAME)
            self._owner.count("pings_out")
        self._wrote_since_pulse = False
        self._pulse_timer = self._after(self._limits.idle_ms_max / _PULSES, self._pulse)

    # -- asyncio.Protocol -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the peer, once TLS has let it through and its certificate names it."""
        # uvloop's transports implement the class without deriving from it.
        transport = cast("asyncio.Transport", transport)
        self._transport = transport
        if self._state is _State.CLOSED:
            transport.abort()
            return
        self._state = _State.GREETING
        transport.set_write_buffer_limits(
            high=self._limits.write_high_water_bytes, low=self._limits.write_low_water_bytes
        )
        if self._identify is not None:
            self._certificate_der = _peer_certificate(transport)
            self._certified = self._name_of(self._certificate_der)
            if self._certified is None:
                self.drop(HelloRefused("unknown_peer", "its certificate names nobody we know"))
                return
        transport.write(encode_frame(encode_hello(self._own)))

    def recheck(self) -> None:
        """Cut the link off when its peer's certificate does not give it its name any more."""
        if self._certified is not None and self._name_of(self._certificate_der) != self._certified:
            self.drop(HelloRefused("no_longer_known", "its certificate names nobody we still know"))

    def _name_of(self, certificate_der: bytes) -> PeerName | None:
        assert self._identify is not None
        try:
            return self._identify(certificate_der)
        except Exception as error:
            # Our bug, but met through a peer's certificate: report it, and keep serving others.
            self._loop.call_exception_handler(
                {"message": "`identify` of the mesh failed", "exception": error, "protocol": self}
            )
            return None

    def data_received(self, data: bytes) -> None:
        """Decode, check the HELLO, deliver."""
        if self._state not in (_State.GREETING, _State.UP):
            return
        self._heard_since_pulse = True
        self._owner.count("bytes_in", len(data))
        try:
            payloads = self._decoder.feed(data)
            if self._state is _State.GREETING:
                self._greet(payloads)
        except FrameRefused as fault:
            self.drop(fault)
            return
        except HelloRefused as fault:
            # Closed and not cut: our own HELLO lets the peer see what does not fit.
            self._owner.link_refused(self, fault)
            self.close(fault.code)
            return
        if b"" in payloads:
            pings = payloads.count(b"")
            self._owner.count("pings_in", pings)
            payloads = [payload for payload in payloads if payload]
        if payloads and self.is_up:
            self._owner.link_payloads(self, payloads)

    def _greet(self, payloads: list[bytes]) -> None:
        """Take the HELLO off `payloads`, if it is there. Raises HelloRefused."""
        if not payloads:
            if self._decoder.pending_bytes > self._limits.hello_bytes_max:
                raise HelloRefused("hello_oversize", "the first frame is no HELLO")
            return
        hello = decode_hello(payloads.pop(0), self._limits)
        check_hello(hello, Expectation(self._own, self._certified, self.dialled))
        self.peer = hello.name
        self.up_at_s = self._loop.time()
        self._state = _State.UP
        self._pulse_timer = self._after(self._limits.idle_ms_max / _PULSES, self._pulse)
        self._owner.link_named(self)
        self.settled.set()

    def pause_writing(self) -> None:
        """The transport's buffer is above its high-water mark."""
        self._paused = True

    def resume_writing(self) -> None:
        """The transport's buffer is below its low-water mark."""
        self._paused = False
        self._flush()

    def eof_received(self) -> None:
        """The peer will send no more; a frame it left unfinished is counted."""
        if self._state in (_State.GREETING, _State.UP):
            try:
                self._decoder.end()
            except FrameRefused as fault:
                self.drop(fault)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything and tell the owner."""
        if isinstance(exc, ssl.SSLError) and self._state is not _State.CLOSING:
            fault = tls_refusal(exc)
            self._owner.link_refused(self, fault)
            self._reason = fault.code
        elif self._state is _State.GREETING:
            # Most likely it refuses us: a TLS server rejects a client only after the client
            # believes to be connected, and the loops do not send it the reason.
            self._reason = "hung_up"
        self._state = _State.CLOSED
        self._release()
        if self._close_timer is not None:
            self._close_timer.cancel()
        self.settled.set()
        self.closed.set()
        self._owner.link_lost(self, self._reason or ("reset" if exc else "closed"))

    def _release(self) -> None:
        self._backlog.leave(self)
        self._queue.clear()
        self._queued_bytes = 0
        self._stop_pulse()

    def _stop_pulse(self) -> None:
        if self._pulse_timer is not None:
            self._pulse_timer.cancel()

    def _after(self, delay_ms: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return self._loop.call_later(delay_ms / 1000, callback)


def _peer_certificate(transport: asyncio.Transport) -> bytes:
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True)
    assert certificate is not None, "the context demands a certificate"
    return certificate
