"""What the load consists of: signed trades, signed 256-byte requests, 0/0 requests.

Lives here: making requests and judging their receipts, for one load generator. Never here: when they are
sent, sockets. Owns the invariants that every request is new (no two are equal, none is ever repeated),
and that all are signed before the measurement begins. The trades are those of LEDGER section 4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.requests import decode_bench_receipt, sign_request, zero_request
from p2penergy.ledger import (
    Terms,
    decode_receipt,
    sign_contract,
    sign_reading,
    sign_terms,
    transaction_id,
)
from p2penergy.messages import encode
from p2penergy.signing import Signer

TRADED_WH = 1
PRICE_MICRO_PER_KWH = 150_000
METERED_WH = 500_000_000
"""What each seller exports and each buyer draws in the one period of the measurement."""

Signed = tuple[bytes, bytes]
"""(transaction id, bytes): what a client submits."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A seller, who submits, and a buyer."""

    seller: Signer
    buyer: Signer


class Workload(Protocol):
    """One kind of request, made by several submitters."""

    def setup(self) -> list[tuple[bytes, Signed]]:
        """What must be decided before the first request, each with the participant who submits it."""

    def make(self, submitter: int) -> Signed:
        """The submitter's next request, signed."""

    def transaction_of(self, receipt: bytes) -> bytes:
        """The transaction id that a receipt answers."""

    def accepted(self, receipt: bytes) -> bool:
        """Whether the receipt says what it must say for a correct request."""


class Trades:
    """Energy trades: readings first, then bilateral contracts with both signatures."""

    def __init__(self, pairs: Sequence[Pair], chain_id: bytes, period: int) -> None:
        self._pairs = pairs
        self._chain_id = chain_id
        self._period = period
        self._made = [0] * len(pairs)

    def setup(self) -> list[tuple[bytes, Signed]]:
        """A reading of each seller and each buyer."""
        readings: list[tuple[bytes, Signed]] = []
        for pair in self._pairs:
            for signer, import_wh, export_wh in (
                (pair.seller, 0, METERED_WH),
                (pair.buyer, METERED_WH, 0),
            ):
                reading = sign_reading(signer, self._chain_id, self._period, import_wh, export_wh)
                signed = transaction_id(reading, self._chain_id), encode(reading)
                readings.append((signer.participant_id, signed))
        return readings

    def make(self, submitter: int) -> Signed:
        """The pair's next contract."""
        pair = self._pairs[submitter]
        self._made[submitter] += 1
        number = self._made[submitter]
        terms = Terms(
            seller=pair.seller.participant_id,
            buyer=pair.buyer.participant_id,
            period=self._period,
            energy_wh=TRADED_WH,
            price_micro_per_kwh=PRICE_MICRO_PER_KWH,
            valid_until_period=self._period,
            number=number,
        )
        agreed = sign_terms(pair.buyer, self._chain_id, terms)
        contract = sign_contract(pair.seller, self._chain_id, terms, agreed, number, self._period)
        return transaction_id(contract, self._chain_id), encode(contract)

    def transaction_of(self, receipt: bytes) -> bytes:
        """As the ledger's receipt says."""
        return decode_receipt(receipt).transaction_id

    def accepted(self, receipt: bytes) -> bool:
        """Whether the trade was created, or the reading counts."""
        return decode_receipt(receipt).accepted


class Requests:
    """Requests of the bench-only application, signed or not."""

    def __init__(self, signers: Sequence[Signer], make: Callable[[Signer, int], Signed]) -> None:
        self._signers = signers
        self._make = make
        self._made = [0] * len(signers)

    def setup(self) -> list[tuple[bytes, Signed]]:
        """Nothing."""
        return []

    def make(self, submitter: int) -> Signed:
        """The submitter's next request."""
        self._made[submitter] += 1
        return self._make(self._signers[submitter], self._made[submitter])

    def transaction_of(self, receipt: bytes) -> bytes:
        """The receipt is the id."""
        return decode_bench_receipt(receipt)

    def accepted(self, receipt: bytes) -> bool:
        """Every request that is executed is accepted."""
        return True


@dataclass(frozen=True, slots=True)
class Kind:
    """A workload by its name in results."""

    name: str
    verifies: int
    """Client signatures that each replica checks per request."""
    application: str
    """What runs behind the consensus: `ledger`, or a bench-only one."""


KINDS = {
    kind.name: kind
    for kind in (
        Kind("trades", verifies=2, application="ledger"),
        Kind("signed-256", verifies=1, application="signed"),
        Kind("0/0", verifies=0, application="unsigned"),
    )
}


def open_workload(name: str, pairs: Sequence[Pair], chain_id: bytes, period: int) -> Workload:
    """The workload of that name, submitted by the sellers; `KeyError` for no such name."""
    sellers = [pair.seller for pair in pairs]
    makers: dict[str, Callable[[], Workload]] = {
        "trades": lambda: Trades(pairs, chain_id, period),
        "signed-256": lambda: Requests(sellers, lambda who, number: sign_request(who, chain_id, number)),
        "0/0": lambda: Requests(sellers, lambda who, number: zero_request(who.participant_id, number)),
    }
    return makers[name]()
