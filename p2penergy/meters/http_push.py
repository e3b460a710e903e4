"""A meter or a gateway at home that pushes readings over HTTP: POST /readings.

Lives here: the one path, its token, and the answer once a reading is durable. Never here: sockets
(`operations.http`), the body's shape (`payload`). Owns the invariant that 200 is answered only for what the
memory holds.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

from p2penergy.meters.payload import decode_payload
from p2penergy.meters.samples import Batch, SampleError, SourceError
from p2penergy.operations.http import PLAIN, Answer, HttpListener

PATH = "/readings"
WAITING_MAX = 100
"""Pushes that wait to be made durable; more are told to come again."""
DURABLE_S_MAX = 4.0


class HttpPush:
    """A source that never ends; `now_s` tells the moment of a sample that names none."""

    def __init__(self, host: str, port: int, token: str, now_s: Callable[[], int]) -> None:
        self._host, self._port = host, port
        self._now_s = now_s
        self._listener = HttpListener({}, {PATH: self._take}, token)
        self._waiting: asyncio.Queue[Batch] = asyncio.Queue(WAITING_MAX)
        self._durable: dict[int, asyncio.Event] = {}

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self._listener.address

    async def start(self) -> None:
        """Listen; raises `SourceError`."""
        try:
            await self._listener.start(self._host, self._port)
        except OSError as error:
            raise SourceError(f"{self._host}:{self._port} can't be listened on: {error.strerror}") from None

    async def stop(self) -> None:
        """Close the listener."""
        await self._listener.stop()

    async def batches(self) -> AsyncIterator[Batch]:
        """One batch per push."""
        while True:
            yield await self._waiting.get()

    def done(self, batch: Batch) -> None:
        """Let the push be answered."""
        if event := self._durable.get(id(batch)):
            event.set()

    async def _take(self, body: bytes) -> Answer:
        try:
            batch = Batch(tuple(decode_payload(body, self._now_s())))
        except SampleError as error:
            return Answer(HTTPStatus.BAD_REQUEST, PLAIN, f"{error}\n".encode())
        event = self._durable[id(batch)] = asyncio.Event()
        try:
            self._waiting.put_nowait(batch)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DURABLE_S_MAX):
                    await event.wait()
                    return Answer(HTTPStatus.OK, PLAIN, f"{len(batch.samples)} taken\n".encode())
        except asyncio.QueueFull:
            pass
        finally:
            del self._durable[id(batch)]
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, PLAIN, b"busy: come again\n")
