"""A tiny HTTP/1.1 listener: GET and HEAD of a handful of fixed paths, one request per connection.

Lives here: sockets, limits, status lines. Never here: what the answers say (`gateway`). Owns the invariant
that whoever connects costs the node one bounded buffer for a bounded time: there is no keep-alive, no body,
no header that is looked at. Why no framework: docs/decisions/0401-a-listener-of-our-own.md.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

CONNECTIONS_MAX = 32
"""More are closed at once."""
REQUEST_BYTES_MAX = 8_192
REQUEST_MS_MAX = 5_000
"""From the connection to the last byte of the answer."""
PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a path answers."""

    status: HTTPStatus
    content_type: str
    body: bytes


Routes = Mapping[str, Callable[[], Answer]]


class HttpListener:
    """Serves `routes` from `start` to `stop`; whatever a client does, it never raises into the node."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
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
                    writer.write(self._answer(request))
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
        finally:
            writer.transport.abort()

    def _answer(self, request: bytes) -> bytes:
        method, path = _request_line(request)
        if not path:
            answer = Answer(HTTPStatus.BAD_REQUEST, PLAIN, b"not HTTP\n")
        elif path not in self._routes:
            known = ", ".join(sorted(self._routes))
            answer = Answer(HTTPStatus.NOT_FOUND, PLAIN, f"there is {known}\n".encode())
        elif method not in ("GET", "HEAD"):
            answer = Answer(HTTPStatus.METHOD_NOT_ALLOWED, PLAIN, b"only GET and HEAD\n")
        else:
            answer = self._routes[path]()
        return _encoded(answer, with_body=method != "HEAD")


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
        lines.append("Allow: GET, HEAD")
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head + answer.body if with_body else head
