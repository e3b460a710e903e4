"""The loops between a source and the network, with a network that does what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from meter_village import CHAIN, QuickSigner

from p2penergy.client import Client, ClientError, RefusedError
from p2penergy.home import Device
from p2penergy.ledger.receipts import Decline, ReadingReceipt, encode_receipt
from p2penergy.ledger.transactions import Reading, parse
from p2penergy.meters import reader as module
from p2penergy.meters.memory import Memory, ReadingState
from p2penergy.meters.reader import MeterReader, Outcome, outcome_text, watch_links
from p2penergy.meters.registers import Limits
from p2penergy.meters.samples import Batch, Sample, SourceError

NOW = 10_000 * 900
WAIT_S = 60


@dataclass
class FakeClient:
    """Answers every reading once; `script` says how, by period."""

    script: dict[int, list[Any]] = field(default_factory=dict)
    sent: list[tuple[int, bytes]] = field(default_factory=list)

    async def results(self, transactions: list[tuple[bytes, bytes]]) -> list[Any]:
        ((key, raw),) = transactions
        reading = parse(raw, CHAIN).transaction
        assert isinstance(reading, Reading)
        self.sent.append((reading.period, raw))
        await asyncio.sleep(0)
        said = (self.script.get(reading.period) or [Decline.NONE]).pop(0)
        if isinstance(said, Exception):
            raise said
        figures = reading.meter, reading.period, reading.import_wh, reading.export_wh
        return [SimpleNamespace(height=5, receipt=encode_receipt(ReadingReceipt(key, said, 0, 0, *figures)))]


class Fixed:
    """A source with these batches."""

    def __init__(self, *batches: Batch) -> None:
        self._batches = batches
        self.told: list[Batch] = []

    async def batches(self) -> AsyncIterator[Batch]:
        for batch in self._batches:
            yield batch
            await asyncio.sleep(0)

    def done(self, batch: Batch) -> None:
        self.told.append(batch)


def samples(*boundaries: int) -> Batch:
    return Batch(tuple(Sample(period * 900, 10 * period, 0) for period in boundaries))


def a_device() -> Device:
    genesis = SimpleNamespace(chain_id=CHAIN, members=())
    return cast(Device, SimpleNamespace(signer=QuickSigner(1), genesis=genesis))


async def read(
    folder: Path, client: FakeClient, *batches: Batch
) -> tuple[list[Outcome], list[str], dict[ReadingState, int]]:
    outcomes: list[Outcome] = []
    problems: list[str] = []
    memory = Memory(folder, CHAIN)
    try:
        source = Fixed(*batches)
        reader = MeterReader(
            a_device(), memory, source, Limits(), lambda: NOW, outcomes.append, problems.append
        )
        async with asyncio.timeout(WAIT_S):
            await reader.run(cast(Client, client))
        assert source.told == list(batches)
        return outcomes, problems, memory.counts()
    finally:
        memory.close()


async def test_each_period_is_signed_sent_and_answered(tmp_path: Path) -> None:
    client = FakeClient({101: [Decline.READING_OUT_OF_ORDER]})
    outcomes, problems, counts = await read(tmp_path, client, samples(100, 101), samples(102, 103))
    assert sorted(period for period, _ in client.sent) == [100, 101, 102]
    assert counts == {ReadingState.OPEN: 0, ReadingState.ACCEPTED: 2, ReadingState.DECLINED: 1}
    said = {outcome.reading.period: outcome_text(outcome) for outcome in outcomes}
    assert said[100] == "1970-01-02T01:00Z  drawn 10 Wh, fed in 0 Wh: accepted, block 5"
    assert "declined: period" in said[101]
    assert problems == []


async def test_a_restart_sends_the_same_bytes_and_never_other_figures(tmp_path: Path) -> None:
    lost = FakeClient({100: [ClientError("the client was stopped")]})
    with pytest.raises(ClientError):
        await read(tmp_path, lost, samples(100, 101))
    # After the restart the source tells other figures of the same periods.
    client = FakeClient()
    other = Batch((Sample(100 * 900, 0, 0), Sample(101 * 900, 999_999, 0)))
    outcomes, problems, _ = await read(tmp_path, client, other)
    assert client.sent == lost.sent
    assert [outcome.reading.import_wh for outcome in outcomes] == [10]
    assert problems


async def test_a_crash_between_the_disk_and_the_network_loses_nothing(tmp_path: Path) -> None:
    memory = Memory(tmp_path, CHAIN)
    reader = MeterReader(
        a_device(), memory, Fixed(), Limits(), lambda: NOW, lambda outcome: None, lambda said: None
    )
    reader.take(samples(100, 101, 102))
    kept = [reading.raw for reading in memory.open_readings(9)]
    memory.close()
    client = FakeClient()
    await read(tmp_path, client)
    assert [raw for _, raw in client.sent] == kept


@pytest.mark.parametrize("code", sorted(module.COME_AGAIN))
async def test_a_refusal_for_now_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0)
    client = FakeClient({100: [RefusedError(code, "later"), RefusedError(code, "later"), Decline.NONE]})
    _, _, counts = await read(tmp_path, client, samples(100, 101))
    assert counts[ReadingState.ACCEPTED] == 1
    assert len(set(client.sent)) == 1 and len(client.sent) == 3


async def test_a_refusal_for_good_is_told_and_not_repeated(tmp_path: Path) -> None:
    client = FakeClient({100: [RefusedError("expired", "too old")]})
    outcomes, _, counts = await read(tmp_path, client, samples(100, 101))
    assert (outcomes[0].sentence, outcomes[0].height) == ("refused: too old", None)
    assert counts[ReadingState.DECLINED] == 1
    assert (await read(tmp_path, FakeClient()))[0] == []


async def test_what_a_source_and_the_registers_complain_of_is_told(tmp_path: Path) -> None:
    bad = Batch((Sample(NOW + 1, 0, 0),), ("row 3 is bad",))
    _, problems, _ = await read(tmp_path, FakeClient(), bad)
    assert problems[0] == "row 3 is bad" and "future" in problems[1]


async def test_a_source_that_can_not_be_used_ends_the_reader(tmp_path: Path) -> None:
    class Broken(Fixed):
        async def batches(self) -> AsyncIterator[Batch]:
            raise SourceError("no such folder")
            yield

    memory = Memory(tmp_path, CHAIN)
    reader = MeterReader(
        a_device(), memory, Broken(), Limits(), lambda: NOW, lambda outcome: None, lambda said: None
    )
    with pytest.raises(SourceError, match="no such folder"):
        await reader.run(cast(Client, FakeClient()))
    memory.close()


async def test_many_readings_are_sent_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SENDING_MAX", 3)
    _, _, counts = await read(tmp_path, FakeClient(), samples(*range(100, 121)))
    assert counts[ReadingState.ACCEPTED] == 20


async def test_a_lost_network_is_told_once_and_so_is_its_return() -> None:
    said: list[str] = []
    there = asyncio.Event()
    back = asyncio.Event()

    def tell(sentence: str) -> None:
        said.append(sentence)
        (there if len(said) == 1 else back).set()

    async def connected(count: int) -> None:
        await there.wait()

    client = cast(Client, SimpleNamespace(connected=connected))
    watch = asyncio.create_task(watch_links(client, 2, tell, look_s=0.001))
    async with asyncio.timeout(WAIT_S):
        await back.wait()
    watch.cancel()
    assert said == [
        "fewer than 2 validators can be reached: readings wait until they can",
        "the network is back",
    ]
