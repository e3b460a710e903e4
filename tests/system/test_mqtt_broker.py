"""Readings over MQTT from a real Mosquitto: taken, and taken again after the broker was gone."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from p2penergy.meters import mqtt
from p2penergy.meters.mqtt import Broker, Mqtt
from p2penergy.meters.samples import Batch

pytestmark = pytest.mark.system

TOPIC = "home/meter"
USER, PASSWORD = "meter", "a secret"
WAIT_S = 60


class Mosquitto:
    """A broker on loopback that takes one user."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port: int = one.getsockname()[1]
        passwords = folder / "passwords"
        subprocess.run(
            ["mosquitto_passwd", "-c", "-b", str(passwords), USER, PASSWORD], check=True, capture_output=True
        )
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\n"
            f"persistence true\npersistence_location {folder}/\nuser root\n"
        )

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["mosquitto", "-c", str(self._config)], stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "running" in line:
                return
        raise AssertionError("Mosquitto did not start")

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=WAIT_S)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    made = Mosquitto(tmp_path)
    made.start()
    yield made
    made.stop()


async def publish(broker: Mosquitto, import_wh: int) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port, username=USER, password=PASSWORD) as client:
        await client.publish(TOPIC, json.dumps({"import_wh": import_wh, "export_wh": 0}), qos=1)


async def test_messages_become_batches_and_a_broker_that_was_gone_is_found_again(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "BACK_S_MIN", 0.1)
    said: list[str] = []
    heard = asyncio.Event()

    def tell(sentence: str) -> None:
        said.append(sentence)
        heard.set()

    async def until(words: str) -> None:
        while not any(words in sentence for sentence in said):
            heard.clear()
            await heard.wait()

    where = Broker("127.0.0.1", broker.port, TOPIC, "p2penergy-test", USER, PASSWORD)
    batches: asyncio.Queue[Batch] = asyncio.Queue()

    async def take() -> None:
        async for batch in Mqtt(where, lambda: 900, tell).batches():
            batches.put_nowait(batch)

    taking = asyncio.create_task(take())
    async with asyncio.timeout(WAIT_S):
        await until("subscribed")
        await publish(broker, 5)
        assert (await batches.get()).samples[0].import_wh == 5
        broker.stop()
        await until("is not there")
        said.clear()
        broker.start()
        await publish(broker, 6)
        await until("subscribed")
        # What came while nobody was there was kept by the broker.
        assert (await batches.get()).samples[0].import_wh == 6
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)


async def test_a_wrong_password_is_told(broker: Mosquitto) -> None:
    class DoneError(Exception):
        pass

    def tell(sentence: str) -> None:
        assert "is not there" in sentence
        raise DoneError

    where = Broker("127.0.0.1", broker.port, TOPIC, "p2penergy-test", USER, "wrong")
    with pytest.raises(DoneError):
        await anext(Mqtt(where, lambda: 900, tell).batches())
