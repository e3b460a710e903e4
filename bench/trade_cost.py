"""`python -m bench.trade_cost`: processor time of one trade at one validator, step by step.

Lives here: the steps, timed in one process without sockets, and the command. Never here: a network (`peak`):
what it takes on top of their sum goes into frames, TLS, waking up and waiting. Every step is the node's own
code on real blocks; times are processor time, so that a busy machine shows in their spread only.
"""

import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import cast

import click
from rich.console import Console
from rich.table import Table

from bench import machine
from bench.long_chain import LongChain
from bench.network import Options, found_network
from bench.workloads import Pair, Trades
from p2penergy.consensus.chain import Chain
from p2penergy.consensus.effects import DecidedRecord, Decision
from p2penergy.consensus.rules import Rules
from p2penergy.founding import Community
from p2penergy.ledger import Ledger
from p2penergy.ledger.block_rules import first_period
from p2penergy.messages import Request, decode_certificate, decode_message, encode
from p2penergy.replies import Replies
from p2penergy.signing import EcdsaChecker, EcdsaSigner, fingerprint, verify_signature
from p2penergy.store import Store
from transport import Mesh

STEPS = (
    "decode the request",
    "check both signatures",
    "take it into the pool",
    "execute it, all four conditions",
    "make it permanent",
    "store it, one durable commit a block",
    "reply to both parties",
)


class _Clock:
    """Processor time of each step: microseconds per trade, one entry per block."""

    def __init__(self) -> None:
        self.us: dict[str, list[float]] = {step: [] for step in STEPS}

    @contextmanager
    def step(self, name: str, trades: int) -> Iterator[None]:
        begin_ns = time.process_time_ns()
        yield
        self.us[name].append((time.process_time_ns() - begin_ns) / 1000 / trades)


class _Counterparts:
    """Stands for the links to all households: takes every frame, sends none."""

    def __init__(self, names: Iterable[bytes]) -> None:
        self._names = frozenset(names)

    def connected(self) -> frozenset[bytes]:
        return self._names

    def broadcast(self, peers: Iterable[bytes], payload: bytes) -> int:
        return sum(1 for _ in peers)


class _Validator:
    """All that one validator does with a trade, without a network around it."""

    def __init__(self, community: Community, folder: Path, pairs: Sequence[Pair]) -> None:
        genesis = community.genesis
        self.checker = EcdsaChecker()
        self.ledger = Ledger(genesis, self.checker)
        self.chain = Chain(genesis, self.ledger, self.checker, Rules(), None)
        self.store = Store.create(folder / "ledger.sqlite3", genesis.chain_id)
        parties = (party.participant_id for pair in pairs for party in (pair.seller, pair.buyer))
        name = community.validators[0]
        self.replies = Replies(
            _signer(community, name),
            genesis.chain_id,
            cast(Mesh, _Counterparts(parties)),
            self.store,
            frozenset(),
            self.ledger.concerned,
        )

    def receive(self, transactions: Sequence[bytes], clock: _Clock) -> None:
        """Requests of clients, up to the pool."""
        count, pool = len(transactions), self.ledger.pool
        frame = encode(Request(tuple(transactions), relayed=False))
        with clock.step("decode the request", count):
            message = decode_message(frame)
        assert isinstance(message, Request)
        with clock.step("check both signatures", count):
            for transaction in message.transactions:
                for item in pool.signature_items(transaction):
                    if verify_signature(item):
                        self.checker.remember(fingerprint(item))
        with clock.step("take it into the pool", count):
            for transaction in message.transactions:
                assert pool.check(transaction).accepted and pool.add(transaction).accepted

    def decide(self, record: DecidedRecord, clock: _Clock) -> None:
        """A block that another validator proposed and a quorum decided."""
        certificate = decode_certificate(record.certificate)
        view, order = certificate.view, self.chain.committee.members
        count = len(record.outcome.receipts)
        with clock.step("execute it, all four conditions", count):
            known = self.chain.check(record.block, record.digest)
        with clock.step("make it permanent", count):
            self.chain.advance(known, certificate, view)
        own = DecidedRecord(record.height, known.digest, known.raw, record.certificate, known.outcome)
        with clock.step("store it, one durable commit a block", count):
            self.store.persist_now([own])
        decision = Decision(
            record.height, view, known.digest, known.block, certificate, order, known.outcome, caught_up=False
        )
        with clock.step("reply to both parties", count):
            self.replies.publish(decision)


def _signer(community: Community, name: str) -> EcdsaSigner:
    meter = community.meters[name]
    return EcdsaSigner(meter.participant_id, meter.key.private_key)


def measure_steps(folder: Path, blocks: int, trades_per_block: int) -> dict[str, float]:
    """Medians over `blocks` blocks of so many trades: microseconds of processor time per trade and step."""
    community = found_network(Options(n=4), folder)
    names = [name for name in community.meters if name not in community.validators]
    pairs = [
        Pair(_signer(community, seller), _signer(community, buyer))
        for seller, buyer in zip(names[::2], names[1::2], strict=True)
    ]
    trades = Trades(pairs, community.genesis.chain_id, first_period(community.genesis))
    leader, validator = LongChain(community, 0), _Validator(community, folder, pairs)
    readings = [data for _, (_, data) in trades.setup()]
    unmeasured, clock = _Clock(), _Clock()
    try:
        for number in range(blocks + 2):
            # Readings first; then one block that nobody counts: much is slower at first.
            made = (trades.make(each % len(pairs))[1] for each in range(trades_per_block))
            transactions = list(made) if number else readings
            timed = clock if number > 1 else unmeasured
            for transaction in transactions:
                leader.ledger.pool.add(transaction)
            validator.receive(transactions, timed)
            (record,) = leader.grow(1)
            assert len(record.outcome.receipts) == len(transactions), "a block left trades behind"
            validator.decide(record, timed)
    finally:
        validator.store.close()
    return {step: median(values) for step, values in clock.us.items()}


@click.command()
@click.option("--blocks", type=click.IntRange(1), default=10, show_default=True)
@click.option("--trades", type=click.IntRange(1, 5_000), default=1_000, show_default=True, help="A block.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def main(blocks: int, trades: int, as_json: bool) -> None:
    """Where a validator's processor time goes, in microseconds per trade."""
    with tempfile.TemporaryDirectory(prefix="p2penergy-cost-") as folder:
        steps = measure_steps(Path(folder), blocks, trades)
    total = sum(steps.values())
    if as_json:
        print(json.dumps({"machine": machine.describe(), "us_per_trade": steps, "sum_us": total}))
        return
    table = Table(box=None)
    for heading, justify in (("step", "left"), ("us per trade", "right"), ("share", "right")):
        table.add_column(heading, justify="right" if justify == "right" else "left")
    for step, took_us in steps.items():
        table.add_row(step, f"{took_us:.1f}", f"{took_us / total:.0%}")
    table.add_row("together", f"{total:.1f}", "")
    Console().print(table)


if __name__ == "__main__":
    main()
