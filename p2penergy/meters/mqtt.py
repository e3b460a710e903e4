"""Readings from an MQTT broker, as gateways and home automation publish them.

Lives here: subscribing, and coming back after a lost connection. Never here: the payload's shape
(`payload`). Needs the optional extra `p2penergy[mqtt]` (aiomqtt). Registers are cumulative, so that a message
lost on the way costs precision at a boundary, no energy.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2penergy.meters.payload import PAYLOAD_BYTES_MAX, decode_payload
from p2penergy.meters.samples import Batch, SampleError, SourceError

if TYPE_CHECKING:
    import aiomqtt

BACK_S_MIN, BACK_S_MAX = 1.0, 30.0
"""How long to wait before dialling again; doubled each time in vain."""
QUEUED_MESSAGES_MAX = 1_000
PORT, TLS_PORT = 1883, 8883


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is, and who asks it."""

    host: str
    port: int
    topic: str
    client_id: str
    """The same each time: the broker keeps what came meanwhile."""
    username: str | None = None
    password: str | None = None
    tls: bool = False


class Mqtt:
    """A source that never ends; `now_s` tells the moment of a sample that names none."""

    def __init__(self, broker: Broker, now_s: Callable[[], int], tell: Callable[[str], None]) -> None:
        """Raises `SourceError` where the extra is not installed."""
        try:
            import aiomqtt
        except ImportError:
            raise SourceError("MQTT needs one library more: pip install 'p2penergy[mqtt]'") from None
        self._aiomqtt = aiomqtt
        self._broker = broker
        self._now_s = now_s
        self._tell = tell

    async def batches(self) -> AsyncIterator[Batch]:
        """One batch per message; dials again for as long as it takes."""
        back_s = BACK_S_MIN
        broker = self._broker
        while True:
            try:
                async with self._dialled() as client:
                    await client.subscribe(broker.topic, qos=1)
                    self._tell(f"subscribed to {broker.topic} at {broker.host}:{broker.port}")
                    back_s = BACK_S_MIN
                    async for message in client.messages:
                        yield self._batch(str(message.topic), message.payload)
            except self._aiomqtt.MqttError as error:
                said = (
                    f"the broker at {broker.host}:{broker.port} is not there ({error}): again in {back_s:g} s"
                )
                self._tell(said)
            await asyncio.sleep(back_s)
            back_s = min(2 * back_s, BACK_S_MAX)

    def done(self, batch: Batch) -> None:
        """Nothing is owed to the broker."""

    def _dialled(self) -> "aiomqtt.Client":
        broker = self._broker
        return self._aiomqtt.Client(
            broker.host,
            broker.port,
            identifier=broker.client_id,
            username=broker.username,
            password=broker.password,
            clean_session=False,
            tls_context=ssl.create_default_context() if broker.tls else None,
            max_queued_incoming_messages=QUEUED_MESSAGES_MAX,
        )

    def _batch(self, topic: str, payload: object) -> Batch:
        if not isinstance(payload, bytes) or len(payload) > PAYLOAD_BYTES_MAX:
            return Batch((), (f"{topic}: a payload that is no text of at most {PAYLOAD_BYTES_MAX} bytes",))
        try:
            return Batch(tuple(decode_payload(payload, self._now_s())))
        except SampleError as error:
            return Batch((), (f"{topic}: {error}",))
