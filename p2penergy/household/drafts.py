"""Contracts that neighbours exchange as a file: drafted by one, signed by the other, submitted by either.

Lives here: the file, its checks, the signatures. Never here: how files travel, the rules of a trade
(`ledger.contracts`). Owns the invariants that nobody signs terms it is no party to, and that nothing is
submitted whose counterparty's signature does not fit: the submitter would answer for it (LEDGER
section 5).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from p2penergy.coordinator import wall_clock_ms
from p2penergy.genesis import Hex20, Hex32
from p2penergy.grid.periods import parse_period_start, period_start_text
from p2penergy.home import Device
from p2penergy.household.errors import HouseholdError
from p2penergy.household.reach import Network
from p2penergy.ledger import keys, query
from p2penergy.ledger.receipts import TradeReceipt
from p2penergy.ledger.transactions import (
    ENERGY_WH_MAX,
    PRICE_MICRO_PER_KWH_MAX,
    Terms,
    generate_trade_id,
    sign_contract,
    sign_terms,
    terms_bytes,
)
from p2penergy.signing import EcdsaChecker

FILE_BYTES_MAX = 64 * 1024
LIFE_PERIODS = 8
"""How long terms are valid beyond their period, and how long a block may take what is submitted now."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file as people read it."""

    chain_id: Hex32
    seller: Hex20
    buyer: Hex20
    period_start: str
    energy_wh: Annotated[int, Meta(ge=1, le=ENERGY_WH_MAX)]
    price_micro_per_kwh: Annotated[int, Meta(ge=0, le=PRICE_MICRO_PER_KWH_MAX)]
    valid_until_start: str
    number: Annotated[int, Meta(ge=0, le=2**53)]
    signed_by: Hex20 | None = None
    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")] | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """Terms, and one party's signature on them once there is one."""

    terms: Terms
    signed_by: bytes | None = None
    signature: bytes | None = None

    def trade_id(self, device: Device) -> bytes:
        """What the trade will be called."""
        return generate_trade_id(self.terms, device.genesis.chain_id)


async def draft(
    network: Network, other: bytes, sells: bool, energy_wh: int, price_micro_per_kwh: int, period: int | None
) -> Draft:
    """Terms with a neighbour, by default for the ledger's period; raises `HouseholdError`."""
    values = await network.values([keys.TIP, keys.member(other)])
    if values[keys.member(other)] is None:
        raise HouseholdError(f"{other.hex()} is no member of this community")
    if other == network.participant_id:
        raise HouseholdError("nobody trades with himself: name a neighbour")
    wanted = query.tip(values.get).period if period is None else period
    parties = (network.participant_id, other) if sells else (other, network.participant_id)
    return Draft(
        Terms(*parties, wanted, energy_wh, price_micro_per_kwh, wanted + LIFE_PERIODS, wall_clock_ms())
    )


def sign(device: Device, unsigned: Draft) -> Draft:
    """The draft with this household's signature; raises `HouseholdError`."""
    _require_party(device, unsigned.terms)
    if unsigned.signature is not None:
        raise HouseholdError("the contract is signed already: submit it")
    signature = sign_terms(device.signer, device.genesis.chain_id, unsigned.terms)
    return Draft(unsigned.terms, device.signer.participant_id, signature)


async def submit(network: Network, signed: Draft) -> tuple[TradeReceipt, int]:
    """Send a contract that the neighbour has signed; its receipt and the block's height.

    Raises:
        HouseholdError: it is not for this household to submit, or the signature does not fit.
    """
    device, terms = network.device, signed.terms
    _require_party(device, terms)
    own = network.participant_id
    counterparty = terms.buyer if own == terms.seller else terms.seller
    if signed.signature is None:
        raise HouseholdError(f"the contract is not signed yet: {counterparty.hex()} signs it first")
    if signed.signed_by != counterparty:
        raise HouseholdError("the contract is signed by this household: the neighbour submits it")
    values = await network.values([keys.TIP, keys.member(counterparty)])
    member, now = query.member(values.get, counterparty), query.tip(values.get).period
    chain_id = device.genesis.chain_id
    if member is None:
        raise HouseholdError(f"{counterparty.hex()} is no member of this community")
    if not EcdsaChecker().check(member.public_key, terms_bytes(terms, chain_id), signed.signature):
        raise HouseholdError("the signature does not fit these terms: somebody has altered the file")
    # One for a later period goes into escrow only if it can't live to see that period.
    expires = min(now + LIFE_PERIODS, terms.period - 1) if terms.period > now else now + LIFE_PERIODS
    contract = sign_contract(device.signer, chain_id, terms, signed.signature, wall_clock_ms(), expires)
    receipt, height = await network.send(contract)
    assert isinstance(receipt, TradeReceipt), "the receipt of a contract"
    return receipt, height


def _require_party(device: Device, terms: Terms) -> None:
    if device.signer.participant_id not in (terms.seller, terms.buyer):
        raise HouseholdError("this household is neither seller nor buyer of the contract")


def write(path: Path, device: Device, made: Draft) -> None:
    """Write the file; raises `HouseholdError`."""
    terms = made.terms
    shape = _File(
        chain_id=device.genesis.chain_id.hex(),
        seller=terms.seller.hex(),
        buyer=terms.buyer.hex(),
        period_start=period_start_text(terms.period),
        energy_wh=terms.energy_wh,
        price_micro_per_kwh=terms.price_micro_per_kwh,
        valid_until_start=period_start_text(terms.valid_until_period),
        number=terms.number,
    )
    if made.signed_by is not None and made.signature is not None:
        shape = replace(shape, signed_by=made.signed_by.hex(), signature=made.signature.hex())
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(shape), indent=2) + b"\n")
    except OSError as error:
        raise HouseholdError(f"{path} can't be written: {error.strerror}") from None


def read(path: Path, device: Device) -> Draft:
    """A contract from a file that somebody sent.

    Raises:
        HouseholdError: it is none, or one of another community.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise HouseholdError(f"{path} can't be read: {error.strerror}") from None
    if len(data) > FILE_BYTES_MAX:
        raise HouseholdError(f"{path} has more than {FILE_BYTES_MAX} bytes: that is no contract")
    try:
        shape = msgspec.json.decode(data, type=_File)
        period, valid_until = (parse_period_start(t) for t in (shape.period_start, shape.valid_until_start))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise HouseholdError(f"{path} is no contract: {error}") from None
    if shape.chain_id != device.genesis.chain_id.hex():
        raise HouseholdError(f"{path} is a contract of another community")
    terms = Terms(
        bytes.fromhex(shape.seller),
        bytes.fromhex(shape.buyer),
        period,
        shape.energy_wh,
        shape.price_micro_per_kwh,
        valid_until,
        shape.number,
    )
    if shape.signed_by is None or shape.signature is None:
        return Draft(terms)
    return Draft(terms, bytes.fromhex(shape.signed_by), bytes.fromhex(shape.signature))
