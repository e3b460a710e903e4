"""A household's meter at work: samples from a source, signed once, sent until the network has answered.

Lives here: the two loops (taking in, sending) and what is said of them. Never here: sources, registers, the
network's protocol (`client`). Owns the invariant that what is signed is durable before it is sent. Implements
LEDGER section 4, step 1, from the household's side.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from p2penergy.client import Client, RefusedError
from p2penergy.grid.periods import period_start_text
from p2penergy.home import Device
from p2penergy.ledger.receipts import decode_receipt, sentence
from p2penergy.ledger.transactions import parse, sign_reading
from p2penergy.messages import encode
from p2penergy.meters.memory import Memory, ReadingState, SignedReading
from p2penergy.meters.registers import Limits, PeriodEnergy, Registers
from p2penergy.meters.samples import Batch, Source

SENDING_MAX = 64
"""Readings that wait for their receipts at the network at once."""
AGAIN_S = 5.0
COME_AGAIN = frozenset({"period_too_far", "pool_full", "submitter_full", "other_pending"})
"""Refusals that say nothing of the reading itself."""

ANSWERED = "answered"
"""The refusal of what was decided before; the same bytes would have had their receipt."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a reading."""

    reading: SignedReading
    state: ReadingState
    sentence: str
    height: int | None
    """The block, where one answered."""


def rated_w(device: Device) -> int:
    """The rated power of this device's connection by genesis; 0 (unlimited) where it does not stand there."""
    name = device.signer.participant_id.hex()
    return next((m.rated_w for m in device.genesis.members if m.participant_id == name), 0)


def sign_energy(device: Device, energy: PeriodEnergy) -> SignedReading:
    """A period's figures as this device signs them."""
    reading = sign_reading(
        device.signer, device.genesis.chain_id, energy.period, energy.import_wh, energy.export_wh
    )
    return SignedReading(energy.period, energy.import_wh, energy.export_wh, encode(reading))


async def deliver(
    client: Client, chain_id: bytes, reading: SignedReading, tries_max: int | None = None
) -> Outcome:
    """One reading to its receipt, the same bytes however often it takes.

    A refusal for now is tried again, `tries_max` times at most. Raises `ClientError` when stopped.
    """
    key = parse(reading.raw, chain_id).transaction_id
    tries = 0
    while True:
        tries += 1
        try:
            (result,) = await client.results([(key, reading.raw)])
        except RefusedError as error:
            if error.code == ANSWERED:
                said = "refused: the period has a reading of this meter already, or is settled without one"
                return Outcome(reading, ReadingState.DECLINED, said, None)
            if error.code not in COME_AGAIN or tries == tries_max:
                return Outcome(reading, ReadingState.DECLINED, str(error), None)
            await asyncio.sleep(AGAIN_S)
            continue
        receipt = decode_receipt(result.receipt)
        state = ReadingState.ACCEPTED if receipt.accepted else ReadingState.DECLINED
        return Outcome(reading, state, sentence(receipt), result.height)


class MeterReader:
    """Runs one source into the ledger."""

    def __init__(
        self,
        device: Device,
        memory: Memory,
        source: Source,
        limits: Limits,
        now_s: Callable[[], int],
        told: Callable[[Outcome], None],
        problem: Callable[[str], None],
    ) -> None:
        self._device = device
        self._memory = memory
        self._source = source
        self._registers = Registers(limits, memory.frontier)
        self._now_s = now_s
        self._told = told
        self._problem = problem
        self._news = asyncio.Event()
        self._exhausted = False

    async def run(self, client: Client) -> None:
        """Until the source is exhausted and every reading is answered.

        Raises:
            SourceError: the source can't be used.
            ClientError: the client was stopped.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take_in())
                tasks.create_task(self._send(client))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _take_in(self) -> None:
        async for batch in self._source.batches():
            self.take(batch)
        self._exhausted = True
        self._news.set()

    def take(self, batch: Batch) -> None:
        """Sign what a batch completes, and keep it; then the source is told."""
        for sentence_ in batch.problems:
            self._problem(sentence_)
        found = self._registers.feed(batch.samples, self._now_s())
        new = [sign_energy(self._device, e) for e in found if not self._memory.is_signed(e.period)]
        self._memory.keep(new, self._registers.frontier, batch.mark)
        for sentence_ in self._registers.problems:
            self._problem(sentence_)
        self._registers.problems.clear()
        self._source.done(batch)
        if new:
            self._news.set()

    async def _send(self, client: Client) -> None:
        """Keep up to `SENDING_MAX` readings under way, the oldest first."""
        under_way: dict[asyncio.Task[Any], int] = {}
        news: asyncio.Task[Any] = asyncio.ensure_future(self._news.wait())
        try:
            while True:
                busy = set(under_way.values())
                for reading in self._memory.open_readings(SENDING_MAX):
                    if reading.period not in busy and len(under_way) < SENDING_MAX:
                        task = asyncio.ensure_future(self._deliver(client, reading))
                        under_way[task] = reading.period
                if not under_way and self._exhausted:
                    return
                ended, _ = await asyncio.wait({news, *under_way}, return_when=asyncio.FIRST_COMPLETED)
                for task in ended & under_way.keys():
                    del under_way[task]
                    task.result()
                if news in ended:
                    self._news.clear()
                    news = asyncio.ensure_future(self._news.wait())
        finally:
            for task in (news, *under_way):
                task.cancel()
            await asyncio.gather(news, *under_way, return_exceptions=True)

    async def _deliver(self, client: Client, reading: SignedReading) -> None:
        outcome = await deliver(client, self._device.genesis.chain_id, reading)
        self._memory.settle(outcome.reading.period, outcome.state, outcome.sentence)
        self._told(outcome)


async def watch_links(client: Client, needed: int, tell: Callable[[str], None], look_s: float = 1.0) -> None:
    """Say when the network is out of reach, and when it is back; never ends by itself."""
    away = False
    while True:
        try:
            async with asyncio.timeout(look_s):
                await client.connected(needed)
            if away:
                tell("the network is back")
            away = False
            await asyncio.sleep(look_s)
        except TimeoutError:
            if not away:
                tell(f"fewer than {needed} validators can be reached: readings wait until they can")
            away = True


def outcome_text(outcome: Outcome) -> str:
    """One line for people."""
    reading = outcome.reading
    where = "" if outcome.height is None else f", block {outcome.height}"
    energy = f"drawn {reading.import_wh} Wh, fed in {reading.export_wh} Wh"
    return f"{period_start_text(reading.period)}  {energy}: {outcome.sentence}{where}"
