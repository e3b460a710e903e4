"""`python -m bench.generator`: one load generator, a process of its own, told what to do on its stdin.

Lives here: the orders and their answers, one JSON object a line, and the clients. Never here: when to
send what (`sending`, `schedule`), judging. The parent is `load`; the generator ends when its stdin does.
"""

import asyncio
import contextlib
import gc
import json
import os
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from bench import schedule
from bench.results import Sample
from bench.sending import LoadClient, Sending
from bench.workloads import Pair, Signed, open_workload
from p2penergy import loops
from p2penergy.client import Client, ClientError, Result
from p2penergy.home import read_genesis
from p2penergy.ledger.block_rules import first_period
from p2penergy.membership.certificates import participant_id
from p2penergy.membership.keys import DeviceKey
from p2penergy.messages import PROTOCOL
from p2penergy.peers import AGENT_LABEL
from p2penergy.signing import EcdsaChecker, EcdsaSigner
from transport import TcpMesh, TlsIdentity

ORDER_BYTES_MAX = 1024 * 1024
STATUS_S_MAX = 30.0
STATUS_POLL_S = 0.02
PRIORITY_NICE = -10
"""Only for root: others may not, and go without."""


class Household(msgspec.Struct, frozen=True):
    """Key and certificate files of one submitter or counterparty."""

    participant_id: str
    key_file: str
    certificate_file: str


class Setup(msgspec.Struct, frozen=True):
    """All that a generator must know before its first order; the parent writes it to a file."""

    genesis_file: str
    authority_file: str
    addresses: dict[str, tuple[str, int]]
    """Participant id (hex) of each validator, and where it listens."""
    tls: bool
    workload: str
    pairs: list[tuple[Household, Household]]


class Plan(msgspec.Struct, frozen=True):
    """One run."""

    start_s: float
    rate_per_s: float
    length_s: float
    drain_s: float
    seed: int
    part: int
    parts: int
    lone_gap_s: float = 0.0
    """Above 0: one request at a time, at least this far apart, instead of a rate."""
    samples_file: str = ""

    def moments(self) -> list[float]:
        """When this generator sends, s after `start_s`; all parts together follow one plan."""
        random = Random(self.seed)
        if self.lone_gap_s:
            count = max(1, int(self.length_s / (1.5 * self.lone_gap_s)))
            every = schedule.lone(count, self.lone_gap_s, random)
        else:
            every = schedule.poisson(self.rate_per_s, self.length_s, random)
        return schedule.share(every, self.part, self.parts)


class Generator:
    """Clients of several households in one process."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._genesis = read_genesis(Path(setup.genesis_file))
        pairs = [Pair(_signer(seller), _signer(buyer)) for seller, buyer in setup.pairs]
        self._workload = open_workload(
            setup.workload, pairs, self._genesis.chain_id, first_period(self._genesis)
        )
        self._checker = EcdsaChecker()
        """One for all its clients: a member signs once for all whom a block concerns."""
        self._answered: set[bytes] = set()
        self._repeated = 0
        self._clients = [self._client(seller) for seller, _ in setup.pairs]
        self._signed: list[tuple[int, Signed]] = []
        self._made = 0

    def _client(self, household: Household, label: bytes = b"") -> LoadClient:
        tls = None
        if self._setup.tls:
            certificate, key = Path(household.certificate_file), Path(household.key_file)
            tls = TlsIdentity.load(certificate, key, [Path(self._setup.authority_file)])
        mesh = TcpMesh(
            name=bytes.fromhex(household.participant_id) + label,
            listen=None,
            tls=tls,
            identify=participant_id,
            protocol=PROTOCOL,
            network=self._genesis.chain_id,
        )
        transaction_of = self._workload.transaction_of
        return LoadClient(mesh, self._genesis, self._checker, transaction_of, self._on_notice)

    def _on_notice(self, result: Result) -> None:
        # f+1 members vouch for a second receipt of a request that has one: it was executed twice.
        if self._workload.transaction_of(result.receipt) in self._answered:
            self._repeated += 1

    async def _connect(self, client: Client, count: int) -> None:
        await client.start({bytes.fromhex(name): place for name, place in self._setup.addresses.items()})
        await client.connected(count)

    async def connect(self, count: int) -> dict[str, Any]:
        """Dial everybody and wait for `count` validators; then have decided what the load depends on."""
        await asyncio.gather(*(self._connect(client, count) for client in self._clients))
        households = {bytes.fromhex(h.participant_id): h for pair in self._setup.pairs for h in pair}
        todo = self._workload.setup()
        accepted = await asyncio.gather(
            *(self._submit_once(households[participant], signed, count) for participant, signed in todo)
        )
        return {} if all(accepted) else {"error": "a reading that the load depends on was declined"}

    async def _submit_once(self, household: Household, signed: Signed, count: int) -> bool:
        """Under a label of its own: the household may be connected already."""
        client = self._client(household, AGENT_LABEL)
        try:
            await self._connect(client, count)
            (result,) = await client.results([signed])
            return self._workload.accepted(result.receipt)
        finally:
            await client.stop()

    async def sign(self, count: int) -> dict[str, Any]:
        """Have at least `count` signed requests at hand."""
        while len(self._signed) < count:
            submitter = self._made % len(self._clients)
            self._signed.append((submitter, self._workload.make(submitter)))
            self._made += 1
        return {"signed": len(self._signed)}

    async def run(self, plan: Plan) -> dict[str, Any]:
        """One run; its samples go to a file."""
        moments = plan.moments()
        await self.sign(len(moments))
        requests, self._signed = self._signed[: len(moments)], self._signed[len(moments) :]
        sending = Sending(self._clients, self._workload, plan.start_s)
        # A look at a hundred thousand prepared requests takes longer than a request may be late.
        gc.collect()
        gc.disable()
        try:
            await sending.run(moments, requests, plan.drain_s)
        finally:
            gc.enable()
        samples = sending.samples()
        self._answered.update(
            transaction_id
            for (_, (transaction_id, _)), sample in zip(requests, samples, strict=True)
            if sample.done_us >= 0
        )
        _write_samples(Path(plan.samples_file), samples)
        return {"repeated": self._repeated}

    async def status(self, peer: str) -> dict[str, Any]:
        """One validator's own word on itself; one that was just started is waited for."""
        end_s = time.monotonic() + STATUS_S_MAX
        while True:
            try:
                return {"status": await self._clients[0].query_json(bytes.fromhex(peer), "status")}
            except ClientError:
                if time.monotonic() > end_s:
                    raise
                await asyncio.sleep(STATUS_POLL_S)

    async def stop(self) -> None:
        """Hang up."""
        for client in self._clients:
            await client.stop()

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one order."""
        match order["do"]:
            case "connect":
                return await self.connect(order["count"])
            case "sign":
                return await self.sign(order["count"])
            case "run":
                return await self.run(msgspec.convert(order["plan"], Plan))
            case "status":
                return await self.status(order["peer"])
        return {"error": f"no such order: {order['do']}"}


def _signer(household: Household) -> EcdsaSigner:
    key = DeviceKey.load(Path(household.key_file))
    return EcdsaSigner(bytes.fromhex(household.participant_id), key.private_key)


def _write_samples(path: Path, samples: list[Sample]) -> None:
    path.write_bytes(msgspec.msgpack.encode(samples))


async def _main(setup: Setup) -> None:
    generator = Generator(setup)
    reader = asyncio.StreamReader(limit=ORDER_BYTES_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"ready": True}), flush=True)
    try:
        while line := await reader.readline():
            try:
                answer = await generator.obey(json.loads(line))
            except Exception as error:  # the parent decides what to do about it
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)
    finally:
        await generator.stop()


def _go_first() -> None:
    """Ask for a priority before the validators', who else would slow down what measures them."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY_NICE)


if __name__ == "__main__":
    _go_first()
    loops.run(_main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Setup)))
