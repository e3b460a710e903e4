"""Transactions: their shapes, their one encoding, what is signed, and their ids.

Lives here: `Reading`, `Contract` and its `Terms`, orders, `Accusation`, parsing, ids, and making signed ones.
Never here: the shapes of the verification stage (`memberships`), whether a transaction is accepted
(`readings`, `contracts`, `evidence`). Owns the invariants that what is signed is a prefix of the bytes
received, that it begins with tag, type and chain id, and that no id covers the signature that stands beside
it. Implements LEDGER sections 1, 4 and 5.
"""

from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from p2penergy.digests import TAG_TERMS, TAG_TRANSACTION
from p2penergy.ledger import keys
from p2penergy.ledger.memberships import (
    MEMBERSHIP_KINDS,
    PERIOD_MAX,
    SIGNATURE_FIELD_BYTES,
    Admission,
    JoinRequest,
    MembershipTransaction,
    Period,
    Renewal,
    Revocation,
    Verdict,
    asked_digest,
    request_bytes,
    verdict_bytes,
)
from p2penergy.messages import Count, Evidence, ParticipantId, SignatureBytes, canonical, encode
from p2penergy.signing import SIGNATURE_BYTES, Signer

ENERGY_WH_MAX = 1_000_000_000
PRICE_MICRO_PER_KWH_MAX = 1_000_000_000
PARSED_TRANSACTIONS_MAX = 4_096
ORDER_PLACES = 8
"""Orders that one participant can have for one period."""

EnergyWh = Annotated[int, Meta(ge=0, le=ENERGY_WH_MAX)]
TradedWh = Annotated[int, Meta(ge=1, le=ENERGY_WH_MAX)]
PriceMicroPerKwh = Annotated[int, Meta(ge=0, le=PRICE_MICRO_PER_KWH_MAX)]
Place = Annotated[int, Meta(ge=0, lt=ORDER_PLACES)]


class Kind(IntEnum):
    """Types of transaction; part of the signed bytes."""

    READING = 1
    CONTRACT = 2
    PLACE_ORDER = 3
    CANCEL_ORDER = 4
    EVIDENCE = 16


class EnergyType(IntEnum):
    """The paper's energyType, and battery."""

    SOLAR = 1
    WIND = 2
    FOSSIL = 3
    BATTERY = 4


class Side(IntEnum):
    """What an order wants."""

    ASK = 1
    """To sell."""
    BID = 2
    """To buy."""


class _Shape(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An array of fixed length."""


class Terms(_Shape, frozen=True, gc=False):
    """What seller and buyer both sign; `number` tells their otherwise equal agreements apart."""

    seller: ParticipantId
    buyer: ParticipantId
    period: Period
    energy_wh: TradedWh
    price_micro_per_kwh: PriceMicroPerKwh
    valid_until_period: Period
    number: Count

    @property
    def amount_nano(self) -> int:
        """What the buyer pays, exactly, in billionths of the currency."""
        return self.energy_wh * self.price_micro_per_kwh


class Reading(_Shape, frozen=True, tag=int(Kind.READING), gc=False):
    """What a meter measured in one period, netted within it."""

    meter: ParticipantId
    period: Period
    import_wh: EnergyWh
    export_wh: EnergyWh
    energy_type: EnergyType
    signature: SignatureBytes


class Contract(_Shape, frozen=True, tag=int(Kind.CONTRACT), gc=False):
    """Terms with both signatures: the counterparty's on them, the submitter's on all of it.

    The submitter's signature covers the counterparty's: nobody on the way can put another in its
    place and have the submitter punished for it.
    """

    terms: Terms
    counterparty_signature: SignatureBytes
    submitter: ParticipantId
    nonce: Count
    expires_period: Period
    signature: SignatureBytes

    @property
    def counterparty(self) -> bytes:
        """The party that did not submit."""
        terms = self.terms
        return terms.buyer if self.submitter == terms.seller else terms.seller


class PlaceOrder(_Shape, frozen=True, tag=int(Kind.PLACE_ORDER), gc=False):
    """An ask or a bid for a period's auction, at one of the participant's places for it.

    The limit is the least that an ask takes and the most that a bid pays. `expires_period` is the last
    one in which a block may take the order; what was taken stands until its gate closes.
    """

    submitter: ParticipantId
    side: Side
    period: Period
    place: Place
    energy_wh: TradedWh
    price_micro_per_kwh: PriceMicroPerKwh
    nonce: Count
    expires_period: Period
    signature: SignatureBytes


class CancelOrder(_Shape, frozen=True, tag=int(Kind.CANCEL_ORDER), gc=False):
    """Take back what stands at a place, before the gate closes."""

    submitter: ParticipantId
    period: Period
    place: Place
    nonce: Count
    expires_period: Period
    signature: SignatureBytes


class Accusation(_Shape, frozen=True, tag=int(Kind.EVIDENCE), gc=False):
    """Two signed statements of one member that no correct member signs both of; any member may submit it.

    It names no period and does not expire: guilt does not, either.
    """

    evidence: Evidence
    submitter: ParticipantId
    signature: SignatureBytes

    @property
    def accused(self) -> bytes:
        """Whose statements these are."""
        return self.evidence.sender


Transaction = Reading | Contract | PlaceOrder | CancelOrder | Accusation | MembershipTransaction

_KINDS: dict[type, bytes] = {
    Reading: bytes([Kind.READING]),
    Contract: bytes([Kind.CONTRACT]),
    PlaceOrder: bytes([Kind.PLACE_ORDER]),
    CancelOrder: bytes([Kind.CANCEL_ORDER]),
    Accusation: bytes([Kind.EVIDENCE]),
    **MEMBERSHIP_KINDS,
}
_decoder: msgspec.msgpack.Decoder[Transaction] = msgspec.msgpack.Decoder(Transaction)


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """A transaction as it came: decoded, with the bytes that its submitter signed, and its id."""

    transaction: Transaction
    signed: bytes
    transaction_id: bytes
    answer_key: bytes
    """As `answer_key` gives it; empty for a verdict, which is answered with the request that it is about."""


@lru_cache(maxsize=PARSED_TRANSACTIONS_MAX)
def parse(data: bytes, chain_id: bytes) -> Submitted:
    """A transaction from its bytes; remembered, since each is read on arrival, in its block and after.

    Raises:
        MalformedMessageError: not a transaction, or not in its canonical encoding.
    """
    transaction: Transaction = canonical(_decoder, data, "transaction")
    signed = _signed(transaction, data, chain_id)
    key = b"" if isinstance(transaction, Verdict) else answer_key(transaction)
    return Submitted(transaction, signed, sha256(signed).digest(), key)


def _signed(transaction: Transaction, data: bytes, chain_id: bytes) -> bytes:
    if isinstance(transaction, Admission):
        return request_bytes(transaction.request, chain_id)
    if isinstance(transaction, Verdict):
        return verdict_bytes(
            chain_id,
            transaction.verifier,
            transaction.request_digest,
            transaction.committee_root,
            transaction.code,
        )
    return TAG_TRANSACTION + _KINDS[type(transaction)] + chain_id + data[:-SIGNATURE_FIELD_BYTES]


def signed_bytes(transaction: Transaction, chain_id: bytes) -> bytes:
    """What the submitter signs: tag, type, chain, and all fields before the signature."""
    return _signed(transaction, encode(transaction), chain_id)


def transaction_id(transaction: Transaction, chain_id: bytes) -> bytes:
    """SHA-256 of what the submitter signs, never of that signature."""
    return sha256(signed_bytes(transaction, chain_id)).digest()


def terms_bytes(terms: Terms, chain_id: bytes) -> bytes:
    """What the counterparty signs."""
    return TAG_TERMS + chain_id + encode(terms)


def trade_id_of(agreed: bytes) -> bytes:
    """The id of a trade whose terms are `agreed`, as `terms_bytes` gives them."""
    return sha256(agreed).digest()


def generate_trade_id(terms: Terms, chain_id: bytes) -> bytes:
    """SHA-256 of the signed terms, never of signatures (the paper's generateTradeId)."""
    return trade_id_of(terms_bytes(terms, chain_id))


def submitter_of(transaction: Transaction) -> bytes:
    """Who signed the transaction and answers for it; of a revocation: whom it names."""
    # Contracts come first here and below: a node asks several times for each of them.
    if isinstance(transaction, Contract):
        return transaction.submitter
    if isinstance(transaction, Reading):
        return transaction.meter
    if isinstance(transaction, Admission):
        return transaction.request.participant_id
    if isinstance(transaction, JoinRequest | Renewal | Revocation):
        return transaction.participant_id
    return transaction.verifier if isinstance(transaction, Verdict) else transaction.submitter


def period_of(transaction: Transaction) -> int:
    """The settlement period that the transaction is about; 0 for evidence and memberships, about none."""
    if isinstance(transaction, Contract):
        return transaction.terms.period
    return transaction.period if isinstance(transaction, Reading | PlaceOrder | CancelOrder) else 0


def first_period(transaction: Transaction) -> int:
    """The period before which a block should not hold the transaction.

    A contract waits for its period unless it expires before: then it is one for the future, and like
    an order it is wanted as soon as possible.
    """
    if isinstance(transaction, Reading):
        return transaction.period
    if isinstance(transaction, Contract) and transaction.expires_period >= transaction.terms.period:
        return transaction.terms.period
    return 0


def answer_key(transaction: Transaction) -> bytes:
    """The state's entry that shows that a transaction was answered: accepted, if it is a reading."""
    if isinstance(transaction, Contract):
        return keys.nonce(transaction.submitter, transaction.nonce)
    if isinstance(transaction, Reading):
        return keys.period(transaction.meter, transaction.period)
    if isinstance(transaction, Accusation):
        first = transaction.evidence.first
        return keys.evidence(transaction.accused, first.kind, first.height, first.view)
    if isinstance(transaction, Admission):
        return keys.asked(asked_digest(transaction.request))
    if isinstance(transaction, JoinRequest | Renewal):
        return keys.asked(asked_digest(transaction))
    if isinstance(transaction, Revocation):
        return keys.revoked(transaction.public_key)
    if isinstance(transaction, Verdict):
        raise TypeError("a verdict is answered with the request that it is about")
    return keys.nonce(transaction.submitter, transaction.nonce)


def last_period(transaction: Transaction, life_periods: int) -> int:
    """The last period in which a block may hold the transaction; its answer is remembered until then."""
    if isinstance(transaction, Contract):
        return transaction.expires_period
    if isinstance(transaction, Reading):
        return transaction.period + life_periods
    if isinstance(transaction, Accusation | Revocation | Verdict):
        return PERIOD_MAX
    return (transaction.request if isinstance(transaction, Admission) else transaction).expires_period


def concerned(transaction: Transaction) -> tuple[bytes, ...]:
    """Whom a reply about the transaction goes to, ascending."""
    if isinstance(transaction, Accusation):
        return tuple(sorted({transaction.submitter, transaction.accused}))
    if isinstance(transaction, Contract):
        return tuple(sorted({transaction.submitter, transaction.terms.seller, transaction.terms.buyer}))
    return (submitter_of(transaction),)


_UNSIGNED = bytes(SIGNATURE_BYTES)


def sign_reading(
    signer: Signer,
    chain_id: bytes,
    period: int,
    import_wh: int,
    export_wh: int,
    energy_type: EnergyType = EnergyType.SOLAR,
) -> Reading:
    """A meter's reading, signed by it."""
    draft = Reading(signer.participant_id, period, import_wh, export_wh, energy_type, _UNSIGNED)
    return msgspec.structs.replace(draft, signature=signer.sign(signed_bytes(draft, chain_id)))


def sign_terms(signer: Signer, chain_id: bytes, terms: Terms) -> bytes:
    """The counterparty's signature on the terms."""
    return signer.sign(terms_bytes(terms, chain_id))


def sign_contract(
    signer: Signer,
    chain_id: bytes,
    terms: Terms,
    counterparty_signature: bytes,
    nonce: int,
    expires_period: int,
) -> Contract:
    """A contract as its submitter sends it; `nonce` is never used twice by one submitter."""
    draft = Contract(terms, counterparty_signature, signer.participant_id, nonce, expires_period, _UNSIGNED)
    return msgspec.structs.replace(draft, signature=signer.sign(signed_bytes(draft, chain_id)))


def sign_order(
    signer: Signer,
    chain_id: bytes,
    side: Side,
    period: int,
    place: int,
    energy_wh: int,
    price_micro_per_kwh: int,
    nonce: int,
    expires_period: int,
) -> PlaceOrder:
    """An order as its owner sends it."""
    draft = PlaceOrder(
        signer.participant_id,
        side,
        period,
        place,
        energy_wh,
        price_micro_per_kwh,
        nonce,
        expires_period,
        _UNSIGNED,
    )
    return msgspec.structs.replace(draft, signature=signer.sign(signed_bytes(draft, chain_id)))


def sign_cancel(
    signer: Signer, chain_id: bytes, period: int, place: int, nonce: int, expires_period: int
) -> CancelOrder:
    """The withdrawal of an order."""
    draft = CancelOrder(signer.participant_id, period, place, nonce, expires_period, _UNSIGNED)
    return msgspec.structs.replace(draft, signature=signer.sign(signed_bytes(draft, chain_id)))


def sign_accusation(signer: Signer, chain_id: bytes, evidence: Evidence) -> Accusation:
    """Evidence as any member submits it."""
    draft = Accusation(evidence, signer.participant_id, _UNSIGNED)
    return msgspec.structs.replace(draft, signature=signer.sign(signed_bytes(draft, chain_id)))
