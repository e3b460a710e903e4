"""The tiny HTTP listener: what it answers, and that nobody can hold on to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest

from p2penergy.operations import http
from p2penergy.operations.http import PLAIN, Answer, HttpListener


@pytest.fixture
async def listener() -> AsyncIterator[HttpListener]:
    made = HttpListener({"/hello": lambda: Answer(HTTPStatus.OK, PLAIN, b"good day\n")})
    await made.start("127.0.0.1", 0)
    yield made
    await made.stop()


async def exchange(listener: HttpListener, request: bytes) -> bytes:
    """Send, and read until the listener hangs up; b"" when it did so without a word."""
    reader, writer = await asyncio.open_connection(*listener.address)
    writer.write(request)
    try:
        async with asyncio.timeout(30):
            return await reader.read(1 << 20)
    except ConnectionResetError:
        return b""
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("line", [b"GET /hello HTTP/1.1", b"GET /hello?x=1 HTTP/1.0"])
async def test_a_path_is_answered_and_the_connection_closed(listener: HttpListener, line: bytes) -> None:
    answer = await exchange(listener, line + b"\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: 9\r\n" in head
    assert head.endswith(b"Connection: close")
    assert body == b"good day\n"


async def test_head_has_no_body(listener: HttpListener) -> None:
    answer = await exchange(listener, b"HEAD /hello HTTP/1.1\r\n\r\n")
    assert b"Content-Length: 9\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /other HTTP/1.1", b"404 Not Found"),
        (b"POST /hello HTTP/1.1", b"405 Method Not Allowed"),
        (b"GET /hello HTTP/2", b"400 Bad Request"),
        (b"GET /hello", b"400 Bad Request"),
        (b"\x16\x03\x01 nonsense", b"400 Bad Request"),
    ],
)
async def test_everything_else_is_refused(listener: HttpListener, request_line: bytes, status: bytes) -> None:
    answer = await exchange(listener, request_line + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert (b"Allow: GET, HEAD" in answer) == (status[:3] == b"405")


async def test_a_request_without_end_is_cut_off(listener: HttpListener) -> None:
    assert await exchange(listener, b"GET /hello HTTP/1.1\r\n" + b"x: y\r\n" * 10_000) == b""


async def test_who_sends_nothing_is_cut_off(listener: HttpListener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_MS_MAX", 50)
    assert await exchange(listener, b"GET /hello HTTP/1.1\r\nx: ") == b""


async def test_too_many_at_once_are_closed_and_later_ones_served(
    listener: HttpListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "CONNECTIONS_MAX", 2)
    held = [await asyncio.open_connection(*listener.address) for _ in range(2)]
    assert await exchange(listener, b"GET /hello HTTP/1.1\r\n\r\n") == b""
    for reader, writer in held:
        writer.write(b"GET /hello HTTP/1.1\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        writer.close()
    assert (await exchange(listener, b"GET /hello HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")


async def test_stopping_ends_open_connections() -> None:
    made = HttpListener({})
    await made.start("127.0.0.1", 0)
    address = made.address
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET")
    await writer.drain()
    await made.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.transport.abort()
