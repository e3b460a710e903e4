"""What is made of messages, and of a broker that is not there; the real broker is in tests/system."""

import sys

import pytest

from p2penergy.meters import mqtt
from p2penergy.meters.mqtt import Broker, Mqtt
from p2penergy.meters.payload import PAYLOAD_BYTES_MAX
from p2penergy.meters.samples import Sample, SourceError


def source(said: list[str], port: int = 1) -> Mqtt:
    return Mqtt(Broker("127.0.0.1", port, "a/b", "me"), lambda: 900, said.append)


def test_a_message_is_a_batch() -> None:
    batch = source([])._batch("a/b", b'{"1-0:1.8.0": 0.005, "1-0:2.8.0": 0}')
    assert batch.samples == (Sample(900, 5, 0),)


@pytest.mark.parametrize("payload", [b"", b"21.5", None, 7, b" " * (PAYLOAD_BYTES_MAX + 1)])
def test_anything_else_is_one_sentence_with_the_topic(payload: object) -> None:
    batch = source([])._batch("a/b", payload)
    assert batch.samples == ()
    assert batch.problems[0].startswith("a/b: ")


async def test_a_broker_that_is_not_there_is_dialled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "BACK_S_MIN", 0.001)
    monkeypatch.setattr(mqtt, "BACK_S_MAX", 0.001)
    said: list[str] = []

    class EnoughError(Exception):
        pass

    def tell(sentence: str) -> None:
        said.append(sentence)
        if len(said) == 3:
            raise EnoughError

    with pytest.raises(EnoughError):
        await anext(Mqtt(Broker("127.0.0.1", 1, "a/b", "me"), lambda: 900, tell).batches())
    assert "is not there" in said[0]


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiomqtt", None)
    with pytest.raises(SourceError, match=r"p2penergy\[mqtt\]"):
        source([])
