"""POST /readings on real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from p2penergy.meters import http_push
from p2penergy.meters.http_push import HttpPush
from p2penergy.meters.samples import Batch, Sample, SourceError
from p2penergy.operations.http import BODY_BYTES_MAX

TOKEN = "f00d"
BODY = json.dumps({"import_wh": 5, "export_wh": 0}).encode()


@pytest.fixture
async def push() -> AsyncIterator[HttpPush]:
    made = HttpPush("127.0.0.1", 0, TOKEN, lambda: 900)
    await made.start()
    yield made
    await made.stop()


async def post(push: HttpPush, body: bytes, *headers: str, token: str = TOKEN) -> str:
    length = [] if any("Length" in header for header in headers) else [f"Content-Length: {len(body)}"]
    lines = ["POST /readings HTTP/1.1", f"Authorization: Bearer {token}", *headers, *length, "", ""]
    reader, writer = await asyncio.open_connection(*push.address)
    writer.write("\r\n".join(lines).encode() + body)
    try:
        async with asyncio.timeout(60):
            return (await reader.read()).decode()
    except ConnectionResetError:
        return ""
    finally:
        writer.transport.abort()


async def test_what_is_pushed_is_answered_once_it_is_durable(push: HttpPush) -> None:
    answer = asyncio.create_task(post(push, BODY))
    batch = await anext(push.batches())
    assert batch.samples == (Sample(900, 5, 0),)
    assert not answer.done()
    push.done(batch)
    said = await answer
    assert said.startswith("HTTP/1.1 200 ") and said.endswith("1 taken\n")


async def test_a_client_that_asks_first_is_told_to_go_on(push: HttpPush) -> None:
    answer = asyncio.create_task(post(push, BODY, "Expect: 100-continue"))
    push.done(await anext(push.batches()))
    said = await answer
    assert said.startswith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("body", "headers", "token", "status"),
    [
        (BODY, (), "f00d1", "401"),
        (BODY, (), "", "401"),
        (b"nonsense", (), TOKEN, "400"),
        (b"", ("Content-Length: many",), TOKEN, "411"),
        (b"", ("Content-Length: -1",), TOKEN, "411"),
        (b"", (f"Content-Length: {BODY_BYTES_MAX + 1}",), TOKEN, "413"),
        (b"", ("Content-Length: " + "9" * 30,), TOKEN, "413"),
    ],
)
async def test_everything_else_is_refused(
    push: HttpPush, body: bytes, headers: tuple[str, ...], token: str, status: str
) -> None:
    assert (await post(push, body, *headers, token=token)).startswith(f"HTTP/1.1 {status} ")


async def test_only_posts_are_taken_there(push: HttpPush) -> None:
    reader, writer = await asyncio.open_connection(*push.address)
    writer.write(b"GET /readings HTTP/1.1\r\n\r\n")
    said = await reader.read()
    writer.close()
    assert b"405 Method Not Allowed" in said and b"Allow: POST" in said


async def test_who_is_not_served_in_time_or_too_many_are_told_to_come_again(
    push: HttpPush, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_push, "DURABLE_S_MAX", 0.01)
    assert "503" in await post(push, BODY)
    while not push._waiting.full():
        push._waiting.put_nowait(Batch(()))
    assert "503" in await post(push, BODY)


async def test_a_port_in_use_is_one_sentence(push: HttpPush) -> None:
    with pytest.raises(SourceError, match="can't be listened on"):
        await HttpPush(*push.address, TOKEN, lambda: 0).start()
