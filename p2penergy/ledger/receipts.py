"""Receipts: the append-only log of what became of every transaction.

Lives here: the shapes of receipts, the codes of declines, and the sentences for people. Never here: the
rules that decide (`readings`, `contracts`). Owns the invariant that every decline names its condition
and both figures. Implements the transaction log of LEDGER section 3 and the declines of section 5.

A receipt names the leader; the validators of its block are the signers of the certificate that
decided it, which travels with the block and is not repeated here.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import chain
from typing import NamedTuple

import msgspec

from p2penergy.grid.lindistflow import Limit, Violation
from p2penergy.grid.periods import period_text as _at
from p2penergy.ledger.memberships import MembershipKind, VerdictCode, verdict_words
from p2penergy.ledger.stages import Leg, StageLegs
from p2penergy.messages import VoteKind, encode


class TradeStage(IntEnum):
    """How far a contract came (paper 2.2.2)."""

    PREPARATION = 1
    EXECUTION = 2
    FINAL = 3


class Decline(IntEnum):
    """Why a transaction was declined; NONE: it was accepted."""

    NONE = 0
    SELF_TRADE = 1
    NOT_A_PARTY = 2
    UNKNOWN_PARTY = 3
    SCORE_TOO_LOW = 4
    TERMS_EXPIRED = 5
    VALIDITY_TOO_FAR = 6
    WRONG_PERIOD = 7
    TRADE_REPLAYED = 8
    ALTERED_CONTRACT = 9
    TOO_LITTLE_ENERGY = 10
    TOO_LITTLE_MONEY = 11
    TOO_LITTLE_IMPORT = 12
    WRONG_LEG = 13
    TOO_LARGE = 14
    GRID_LIMIT = 15
    RENEWED_COUNTERPARTY = 16
    READING_DOUBLED = 20
    READING_OUT_OF_ORDER = 21
    ABOVE_RATED_POWER = 22
    NOT_NETTED = 23
    GATE_CLOSED = 30
    PERIOD_TOO_FAR = 31
    PLACE_TAKEN = 32
    NO_SUCH_ORDER = 33
    BOOK_FULL = 34
    BOOKS_FULL = 35
    PROVEN_ENOUGH = 40
    VERIFIERS_REFUSED = 50
    ALREADY_MEMBER = 51
    EXPELLED = 52
    METER_JOINED = 53
    KEY_TAKEN = 54
    KEY_REVOKED = 55
    NOT_A_MEMBER = 56
    METER_CHANGED = 57
    OPEN_BUSINESS = 58
    LAST_VALIDATOR = 59
    NO_CHAIN = 60
    CHAIN_REGISTERED = 61
    CHAIN_PENDING = 62
    LAST_VERIFIER = 63
    RATED_POWER = 64


class Refusal(NamedTuple):
    """A decline with its figures; `alpha` as in Equation (2): +1 seller, -1 buyer at fault, else 0."""

    code: Decline
    expected: int
    found: int
    stage: TradeStage = TradeStage.PREPARATION
    condition: int = 0
    alpha: int = 0
    violation: Violation | None = None
    """What the feeder says, in place of a condition."""

    @classmethod
    def by_grid(cls, violation: Violation) -> "Refusal":
        """Of a trade that can't be delivered; nobody is at fault."""
        return cls(Decline.GRID_LIMIT, violation.allowed, violation.found, violation=violation)


ACCEPTED = Refusal(Decline.NONE, 0, 0, TradeStage.FINAL)
"""What receipts of accepted transactions hold in place of a refusal."""
WAITS = Refusal(Decline.NONE, 0, 0, TradeStage.PREPARATION)
"""The same for a contract whose period is to come."""


class _Shape(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An array of fixed length."""


class ReadingReceipt(_Shape, frozen=True, tag=1, gc=False):
    """What became of a reading. Accepted with export, it minted the packet (meter, period)."""

    transaction_id: bytes
    code: Decline
    expected: int
    found: int
    meter: bytes
    period: int
    import_wh: int
    export_wh: int

    @property
    def accepted(self) -> bool:
        """Whether the reading counts."""
        return self.code is Decline.NONE


class TradeReceipt(_Shape, frozen=True, tag=2, gc=False):
    """What became of a contract.

    `condition` is 0 where none of the paper's four was reached. `legs` is empty for a decline, else
    before and after of eight balances: seller's and leader's energy, buyer's and leader's wallet in
    the execution stage, then buyer's and leader's energy, seller's and leader's wallet in the final.
    """

    transaction_id: bytes
    code: Decline
    expected: int
    found: int
    stage: TradeStage
    condition: int
    alpha: int
    leader: bytes
    trade_id: bytes
    seller: bytes
    buyer: bytes
    energy_wh: int
    price_micro_per_kwh: int
    legs: tuple[int, ...]
    quality_ppm: int = 0
    """The total of Equation (2); 0 where nobody is at fault and nothing was executed."""

    @property
    def trade_created(self) -> bool:
        """Whether this receipt is the paper's event tradeCreated, which REPLY brings to both parties.

        At stage PREPARATION the trade waits for its period, with its price in escrow.
        """
        return self.code is Decline.NONE

    @property
    def accepted(self) -> bool:
        """As every receipt tells."""
        return self.trade_created

    @property
    def amount_nano(self) -> int:
        """What the buyer pays."""
        return self.energy_wh * self.price_micro_per_kwh

    def stage_legs(self) -> tuple[StageLegs, StageLegs] | None:
        """The legs of the execution and the final stage; None for a decline."""
        return stage_legs(self.legs)


def leg_figures(execution: StageLegs, final: StageLegs) -> tuple[int, ...]:
    """Before and after of every leg, in the order of a receipt's `legs`."""
    return tuple(chain.from_iterable((*execution, *final)))


def stage_legs(legs: Sequence[int]) -> tuple[StageLegs, StageLegs] | None:
    """Both stages from the figures that a receipt or a `contract/TRADE` holds; None where it holds none."""
    if not legs:
        return None
    pairs = [Leg(*legs[i : i + 2]) for i in range(0, 16, 2)]
    return StageLegs(*pairs[:4]), StageLegs(*pairs[4:])


class GridLimit(IntEnum):
    """What a trade would break on the feeder."""

    CURRENT = 1
    """Figures in mA."""
    VOLTAGE_LOW = 2
    """Figures in mV, line to line."""
    VOLTAGE_HIGH = 3


GRID_LIMITS = {
    Limit.CURRENT: GridLimit.CURRENT,
    Limit.VOLTAGE_LOW: GridLimit.VOLTAGE_LOW,
    Limit.VOLTAGE_HIGH: GridLimit.VOLTAGE_HIGH,
}


class GridReceipt(TradeReceipt, frozen=True, tag=4, gc=False):
    """A contract that the feeder can't carry; `expected` is the limit, `found` what it would be."""

    limit: GridLimit = GridLimit.CURRENT
    upper_node: int = -1
    """-1: the branch is the transformer."""
    lower_node: int = 0


class OrderReceipt(_Shape, frozen=True, tag=3, gc=False):
    """What became of an order, or of taking it back; how it traded stands under `order/ID/P/PLACE`."""

    transaction_id: bytes
    code: Decline
    expected: int
    found: int
    participant: bytes
    period: int
    place: int
    energy_wh: int
    """Of a cancellation: what it took back."""

    @property
    def accepted(self) -> bool:
        """Whether the order stands, or is taken back."""
        return self.code is Decline.NONE


class EvidenceReceipt(_Shape, frozen=True, tag=16, gc=False):
    """What became of evidence; the transaction holds the statements themselves."""

    transaction_id: bytes
    code: Decline
    expected: int
    found: int
    submitter: bytes
    accused: bytes
    kind: VoteKind
    height: int
    view: int

    @property
    def accepted(self) -> bool:
        """Whether the equivocation is on record now."""
        return self.code is Decline.NONE


class MembershipReceipt(_Shape, frozen=True, tag=32, gc=False):
    """What became of a transaction of the verification stage."""

    transaction_id: bytes
    """Of an admission: the request's."""
    code: Decline
    expected: int
    found: int
    """Refused by the verifiers: how many of them, and their `VerdictCode`."""
    participant: bytes
    kind: MembershipKind
    """Of an admission: the request's."""

    @property
    def accepted(self) -> bool:
        """Whether what was asked for holds from this block on."""
        return self.code is Decline.NONE


Receipt = ReadingReceipt | TradeReceipt | GridReceipt | OrderReceipt | EvidenceReceipt | MembershipReceipt

_decoder: msgspec.msgpack.Decoder[Receipt] = msgspec.msgpack.Decoder(Receipt)


def encode_receipt(receipt: Receipt) -> bytes:
    """The bytes under the receipts root."""
    return encode(receipt)


def decode_receipt(data: bytes) -> Receipt:
    """A receipt from bytes that a certified block vouches for.

    Raises:
        msgspec.DecodeError: not a receipt.
    """
    return _decoder.decode(data)


_Sentence = Callable[[int, int], str]
_SENTENCES: dict[Decline, _Sentence] = {
    Decline.NONE: lambda _e, _f: "accepted",
    Decline.SELF_TRADE: lambda _e, _f: "nobody trades with himself",
    Decline.NOT_A_PARTY: lambda _e, _f: "the submitter is neither seller nor buyer",
    Decline.UNKNOWN_PARTY: lambda e, f: f"{f} of the {e} parties are members",
    Decline.SCORE_TOO_LOW: lambda e, f: f"trading needs a score of {e} ppm, a party has {f} ppm",
    Decline.TERMS_EXPIRED: lambda e, f: (
        f"the terms were valid until period {_at(f)}, the ledger is at {_at(e)}"
    ),
    Decline.VALIDITY_TOO_FAR: lambda e, f: f"terms may be valid until period {_at(e)} at most, not {_at(f)}",
    Decline.WRONG_PERIOD: lambda e, f: f"the terms name period {_at(f)}, the ledger is at {_at(e)}",
    Decline.TRADE_REPLAYED: lambda _e, f: f"this trade was executed at height {f} already",
    Decline.ALTERED_CONTRACT: lambda e, f: (
        f"it was submitted for {e}, and the other party's signature covers {f} of that: "
        "the submitter altered what was signed"
    ),
    Decline.TOO_LITTLE_ENERGY: lambda e, f: f"the seller has {f} Wh left of this period, the terms say {e}",
    Decline.TOO_LITTLE_MONEY: lambda e, f: f"the buyer's wallet holds {f}, the terms say {e} (billionths)",
    Decline.TOO_LITTLE_IMPORT: lambda e, f: f"the buyer's meter leaves {f} Wh to buy, the terms say {e}",
    Decline.WRONG_LEG: lambda e, f: f"the contract makes a balance {e}, the leader booked {f}",
    Decline.TOO_LARGE: lambda e, f: f"a score allows {e} Wh in one order or contract, this has {f}",
    Decline.GRID_LIMIT: lambda e, f: f"the feeder carries {e} at most, this would make it {f}",
    Decline.READING_DOUBLED: lambda e, f: f"the period has a reading of {e} Wh already, not {f}",
    Decline.READING_OUT_OF_ORDER: lambda e, f: f"period {_at(f)} is closed, the ledger is at {_at(e)}",
    Decline.ABOVE_RATED_POWER: lambda e, f: f"the connection carries {e} Wh in a period at most, not {f}",
    Decline.GATE_CLOSED: lambda e, f: (
        f"the gate for period {_at(f)} is closed, the first open one is {_at(e)}"
    ),
    Decline.PERIOD_TOO_FAR: lambda e, f: f"periods up to {_at(e)} can be traded now, not {_at(f)}",
    Decline.PLACE_TAKEN: lambda _e, f: f"an order of {f} Wh stands at this place already: cancel it first",
    Decline.BOOK_FULL: lambda e, f: (
        f"{f} orders for this period are open, and at most {e} are taken at this place: "
        "another period, or place 0, may have room"
    ),
    Decline.BOOKS_FULL: lambda e, f: (
        f"{f} orders for all periods are open, from {e} on only those for the first open one are taken"
    ),
    Decline.NO_SUCH_ORDER: lambda _e, _f: "no open order stands at this place",
    Decline.NOT_NETTED: lambda _e, f: f"import and export of a period are netted, {f} Wh are on both sides",
    Decline.VERIFIERS_REFUSED: lambda e, f: f"{e} verifiers agree that {verdict_words(VerdictCode(f))}",
    Decline.ALREADY_MEMBER: lambda _e, f: f"this participant is a member since height {f}",
    Decline.EXPELLED: lambda _e, f: f"this participant or its meter was expelled at height {f}, for good",
    Decline.METER_JOINED: lambda _e, f: f"this meter joined at height {f} already, with another participant",
    Decline.KEY_TAKEN: lambda _e, _f: "this key was registered before: make another and have it certified",
    Decline.KEY_REVOKED: lambda _e, f: f"the authority revoked this key at height {f}",
    Decline.NOT_A_MEMBER: lambda _e, _f: "only a member renews its certificate; others join",
    Decline.METER_CHANGED: lambda _e, _f: "this participant joined with another meter",
    Decline.OPEN_BUSINESS: lambda _e, f: (
        f"a reading, an order or a contract for period {_at(f)} is open: "
        "cancel it, or leave once it is settled"
    ),
    Decline.LAST_VERIFIER: lambda _e, _f: "nobody else volunteers to verify: no one could join any more",
    Decline.RATED_POWER: lambda e, f: f"a newcomer's connection has from 1 to {e} W here, not {f} W",
    Decline.RENEWED_COUNTERPARTY: lambda e, _f: (
        f"the counterparty renewed its key in block {e} and did not sign these terms with the new one"
    ),
    Decline.LAST_VALIDATOR: lambda _e, _f: "nobody else volunteers to validate: the community would stop",
    Decline.NO_CHAIN: lambda _e, _f: "a volunteer needs a hash chain: name its end, too",
    Decline.CHAIN_REGISTERED: lambda _e, _f: (
        "a hash chain is registered already: register the next one instead"
    ),
    Decline.CHAIN_PENDING: lambda e, f: f"the next hash chain begins at height {e}, this is {f}",
    Decline.PROVEN_ENOUGH: lambda e, f: f"{f} equivocations of this member are on record, {e} are enough",
}


def sentence(receipt: Receipt) -> str:
    """What became of the transaction, for people."""
    said = _SENTENCES[receipt.code](receipt.expected, receipt.found)
    if receipt.accepted:
        waits = isinstance(receipt, TradeReceipt) and receipt.stage is TradeStage.PREPARATION
        return f"{said}, in escrow until its period is settled" if waits else said
    if isinstance(receipt, GridReceipt):
        return f"declined: {_grid_sentence(receipt)}"
    if not isinstance(receipt, TradeReceipt) or not receipt.condition:
        return f"declined: {said}"
    # Conditions 1 and 3 are about energy, 2 and 4 about money.
    unit = "Wh" if receipt.condition % 2 else "billionths of the currency"
    stage = receipt.stage.name.lower()
    return f"declined at the {stage} stage, condition {receipt.condition} (in {unit}): {said}"


def _grid_sentence(receipt: GridReceipt) -> str:
    upper, lower = receipt.upper_node, receipt.lower_node
    where = "the transformer (node 0)" if upper < 0 else f"branch {upper}-{lower}"
    if receipt.limit is GridLimit.CURRENT:
        return f"{where} would carry {receipt.found} mA, its rating is {receipt.expected} mA"
    side = "below" if receipt.limit is GridLimit.VOLTAGE_LOW else "above"
    return (
        f"the voltage at the end of {where} would be {receipt.found} mV line to line, "
        f"{side} the limit of {receipt.expected} mV"
    )
