"""A tiny HTTP/1.1 listener: GET, HEAD and POST of a handful of fixed paths, one request per connection.

Lives here: sockets, limits, status lines. Never here: what the answers say (`gateway`, `meters.http_push`).
Owns the invariants that whoever connects costs one bounded buffer for a bounded time (there is no
keep-alive), and that a body is read only of who shows the token. Why no framework:
docs/decisions/0401-a-listener-of-our-own.md.
"""

import asyncio
import contextlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

CONNECTIONS_MAX = 32
"""More are closed at once."""
REQUEST_BYTES_MAX = 8_192
BODY_BYTES_MAX = 64 * 1024
REQUEST_MS_MAX = 5_000
"""From the connection to the last byte of the answer."""
PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a path answers."""

    status: HTTPStatus
    content_type: str
    body: bytes
    allow: str = "GET, HEAD"
    """What a path takes, told with 405."""


Routes = Mapping[str, Callable[[], Answer]]
Receivers = Mapping[str, Callable[[bytes], Awaitable[Answer]]]
"""Paths that take a POST: what to do with the body."""


class HttpListener:
    """Serves `routes` from `start` to `stop`; whatever a client does, it never raises into the node.

    A POST to one of `receivers` needs `Authorization: Bearer TOKEN` and a Content-Length.
    """

    def __init__(self, routes: Routes, receivers: Receivers | None = None, token: str = "") -> None:
        self._routes = routes
        self._receivers = receivers or {}
        self._token = token.encode()
        assert bool(self._receivers) == bool(token), "who takes bodies has a token"
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> None:
        """Listen; raises OSError."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=REQUEST_BYTES_MAX)

    @property
    def address(self) -> tuple[str, int]:
        """The host and port actually bound."""
        assert self._server is not None, "started"
        host, port, *_ = self._server.sockets[0].getsockname()
        return host, port

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # A client that sends or reads too slowly, hangs up or sends too much is simply gone.
            with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
                async with asyncio.timeout(REQUEST_MS_MAX / 1000):
                    request = await reader.readuntil(b"\r\n\r\n")
                    writer.write(await self._answer(request, reader, writer))
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
        finally:
            writer.transport.abort()

    async def _answer(
        self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes:
        method, path = _request_line(request)
        if method == "POST" and path in self._receivers:
            return _encoded(await self._received(path, _headers(request), reader, writer), with_body=True)
        if not path:
            answer = Answer(HTTPStatus.BAD_REQUEST, PLAIN, b"not HTTP\n")
        elif path in self._receivers:
            answer = Answer(HTTPStatus.METHOD_NOT_ALLOWED, PLAIN, b"only POST\n", "POST")
        elif path not in self._routes:
            known = ", ".join(sorted([*self._routes, *self._receivers]))
            answer = Answer(HTTPStatus.NOT_FOUND, PLAIN, f"there is {known}\n".encode())
        elif method not in ("GET", "HEAD"):
            answer = Answer(HTTPStatus.METHOD_NOT_ALLOWED, PLAIN, b"only GET and HEAD\n")
        else:
            answer = self._routes[path]()
        return _encoded(answer, with_body=method != "HEAD")

    async def _received(
        self,
        path: str,
        headers: Mapping[bytes, bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> Answer:
        shown = headers.get(b"authorization", b"").removeprefix(b"Bearer ").strip()
        if not hmac.compare_digest(shown, self._token):
            return Answer(HTTPStatus.UNAUTHORIZED, PLAIN, b"show the token: Authorization: Bearer TOKEN\n")
        length = headers.get(b"content-length", b"")
        if not length.isdigit():
            return Answer(HTTPStatus.LENGTH_REQUIRED, PLAIN, b"say the Content-Length\n")
        if len(length) > 9 or int(length) > BODY_BYTES_MAX:
            said = f"at most {BODY_BYTES_MAX} bytes\n".encode()
            return Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, PLAIN, said)
        if headers.get(b"expect", b"").lower() == b"100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return await self._receivers[path](await reader.readexactly(int(length)))


def _headers(request: bytes) -> dict[bytes, bytes]:
    """By their names in small letters; of one that comes twice the last."""
    lines = request.split(b"\r\n")[1:]
    parted = (line.partition(b":") for line in lines)
    return {name.strip().lower(): value.strip() for name, colon, value in parted if colon}


def _request_line(request: bytes) -> tuple[str, str]:
    """Method and path without its query; both empty when it is no HTTP/1 request."""
    words = request.partition(b"\r\n")[0].split(b" ")
    if len(words) != 3 or words[2] not in (b"HTTP/1.0", b"HTTP/1.1"):
        return "", ""
    method, target, _ = (word.decode("latin-1") for word in words)
    return method, target.partition("?")[0]


def _encoded(answer: Answer, with_body: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if answer.status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append(f"Allow: {answer.allow}")
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head + answer.body if with_body else head
