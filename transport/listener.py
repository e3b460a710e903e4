"""Accepting connections, as many as the limits allow.

Lives here: the listening socket, the accept loop, and the caps on connections: in all, per
address, and on those that have not said who they are. Never here: TLS, frames, names.
Invariant: a connection beyond a cap is closed at once and counted, before any memory or
cryptography is spent on it; a failing accept (no file descriptors left) never ends the loop.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from transport.errors import AddressInUse, ListenError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from transport.limits import Limits
    from transport.tasks import TaskSet


class Admission:
    """How many accepted connections there are, by address and by stage."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._of_host: Counter[str] = Counter()
        self._handshaking_of_host: Counter[str] = Counter()

    def refusal(self, host: str) -> str | None:
        """Return the code for which a new connection from `host` is refused, None if it is not."""
        limits = self._limits
        for code, held, held_max in (
            ("inbound_full", self._of_host.total(), limits.inbound_links_max),
            ("host_full", self._of_host[host], limits.links_per_host_max),
            (
                "handshaking_full",
                self._handshaking_of_host.total(),
                limits.handshaking_links_max,
            ),
            (
                "handshaking_host_full",
                self._handshaking_of_host[host],
                limits.handshaking_links_per_host_max,
            ),
        ):
            if held >= held_max:
                return code
        return None

    @contextmanager
    def connection(self, host: str) -> Iterator[None]:
        """Hold the place of one connection."""
        with _held(self._of_host, host):
            yield

    @contextmanager
    def handshake(self, host: str) -> Iterator[None]:
        """Hold the place of one connection that has not said who it is."""
        with _held(self._handshaking_of_host, host):
            yield


@contextmanager
def _held(counts: Counter[str], host: str) -> Iterator[None]:
    counts[host] += 1
    try:
        yield
    finally:
        counts[host] -= 1
        if not counts[host]:
            del counts[host]


def open_listener(listen: tuple[str, int] | socket.socket, limits: Limits) -> socket.socket:
    """Return a non-blocking listening socket: `listen` itself if it is a bound one.

    Raises AddressInUse, and ListenError for any other reason.
    """
    host, port, *_ = listen.getsockname() if isinstance(listen, socket.socket) else listen
    try:
        if isinstance(listen, socket.socket):
            listener = listen
            listener.listen(limits.listen_backlog)
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, port), family=family, backlog=limits.listen_backlog)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"{host}:{port} is in use: another program listens there, stop it or choose another port"
            ) from None
        reason = error.strerror or str(error)
        raise ListenError(f"{host}:{port} cannot be listened on: {reason}") from None
    listener.setblocking(False)
    return listener


async def accept_forever(
    listener: socket.socket,
    *,
    admission: Admission,
    limits: Limits,
    serve: Callable[[socket.socket, str], Awaitable[None]],
    count: Callable[[str], None],
    tasks: TaskSet,
) -> None:
    """Accept until cancelled; `serve` runs for each connection in a task of `tasks`.

    `serve` takes its place of `admission` and owns the socket from its first step on.
    """
    loop = asyncio.get_running_loop()
    unowned: set[socket.socket] = set()

    async def hand_over(sock: socket.socket, host: str) -> None:
        unowned.discard(sock)
        await serve(sock, host)

    try:
        while True:
            try:
                sock, address = await loop.sock_accept(listener)
            except OSError:
                count("accept_failed")
                await asyncio.sleep(limits.accept_pause_ms / 1000)
                continue
            host = address[0]
            code = admission.refusal(host)
            if code is not None:
                count(f"refused_{code}")
                sock.close()
                continue
            unowned.add(sock)
            tasks.spawn(hand_over(sock, host))
            # Its first step takes the place, which must be held before the next one is judged.
            await asyncio.sleep(0)
    finally:
        # A task that is cancelled before its first step never runs at all.
        for sock in unowned:
            sock.close()
