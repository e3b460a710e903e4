"""Offers of a household and to it: kept in its folder, told by letters, concluded on the ledger.

Lives here: the file of open offers, and what making, answering and concluding one takes. Never here: the
rules of negotiating (`market.negotiation`), letters (`letters`), rules of a trade (`ledger.contracts`). Owns
the invariants that a signature is on disk before it leaves the house, and that nothing is submitted whose
counterparty's signature does not fit: the submitter would answer for it (LEDGER section 5).
"""

import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from p2penergy.coordinator import wall_clock_ms
from p2penergy.home import Device
from p2penergy.household import letters
from p2penergy.household.errors import HouseholdError
from p2penergy.household.reach import Network
from p2penergy.ledger import keys, query
from p2penergy.ledger.receipts import TradeReceipt
from p2penergy.ledger.transactions import Terms, generate_trade_id, sign_contract, sign_terms, terms_bytes
from p2penergy.market.haggling import Limits, Move, What, moves
from p2penergy.market.negotiation import KEPT_MAX, Negotiation, NegotiationError, Negotiations, Stand, Word
from p2penergy.market.tariffs import Tariffs
from p2penergy.membership.errors import KeyFileError
from p2penergy.membership.private_files import write_atomically
from p2penergy.messages import Digest, canonical, encode
from p2penergy.post import FORGET_MAX
from p2penergy.signing import EcdsaChecker

T = TypeVar("T")

OFFERS_FILE = "offers.msgpack"
LOCK_FILE = "offers.lock"
FILE_BYTES_MAX = 1024 * 1024
VALID_PERIODS = 8
"""How long an offer stands unless its maker says otherwise."""
LIFE_PERIODS = 8
"""How long a block may take what is submitted now."""


class OffersFile(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is kept between two commands."""

    chain_id: Digest
    kept: Annotated[tuple[Negotiation, ...], Meta(max_length=KEPT_MAX)]


_decoder = msgspec.msgpack.Decoder(OffersFile)


def decode_offers(data: bytes) -> OffersFile:
    """What the file holds; raises `MalformedMessageError`."""
    found: OffersFile = canonical(_decoder, data, "list of offers")
    return found


class Offers:
    """The offers of one household while one command works on them."""

    def __init__(self, network: Network, negotiations: Negotiations, period: int) -> None:
        self._network = network
        self._device = network.device
        self._chain_id = network.device.genesis.chain_id
        self._checker = EcdsaChecker()
        self.negotiations = negotiations
        self.period = period
        """The ledger's."""

    async def make(
        self,
        other: bytes,
        sells: bool,
        energy_wh: int,
        price_micro_per_kwh: int,
        period: int | None,
        valid_periods: int,
    ) -> bytes:
        """Offer a neighbour something, by default for the first period whose gate is open; the offer's id.

        Raises:
            HouseholdError: no such member, or terms that can't be.
        """
        own = self._network.participant_id
        gate_lead_periods = self._device.genesis.market.gate_lead_periods
        terms = Terms(
            seller=own if sells else other,
            buyer=other if sells else own,
            period=self.period + gate_lead_periods + 1 if period is None else period,
            energy_wh=energy_wh,
            price_micro_per_kwh=price_micro_per_kwh,
            valid_until_period=self.period + valid_periods,
            number=wall_clock_ms(),
        )
        return await self._offer(terms, None)

    async def counter(self, offer_id: bytes, energy_wh: int | None, price_micro_per_kwh: int | None) -> bytes:
        """Answer an offer with another, or amend an own one; the new offer's id; raises `HouseholdError`."""
        old = self._found(offer_id).terms
        terms = msgspec.structs.replace(
            old,
            energy_wh=old.energy_wh if energy_wh is None else energy_wh,
            price_micro_per_kwh=(
                old.price_micro_per_kwh if price_micro_per_kwh is None else price_micro_per_kwh
            ),
            number=wall_clock_ms(),
        )
        return await self._offer(terms, offer_id)

    async def _offer(self, terms: Terms, replaces: bytes | None) -> bytes:
        other = terms.buyer if terms.seller == self._network.participant_id else terms.seller
        await self._key_of(other)
        word = _said(lambda: self.negotiations.offer(terms, self.period, replaces))
        await self._tell(other, word)
        # Only now: an offer that nobody can have read was not made.
        self.save()
        return generate_trade_id(terms, self._chain_id)

    async def accept(self, offer_id: bytes) -> tuple[TradeReceipt, int] | None:
        """Sign a neighbour's offer and tell him; or submit what he has signed: its receipt and height.

        Raises:
            HouseholdError: neither is possible any more.
        """
        found = self._found(offer_id)
        if found.stand is Stand.AGREED:
            return await self._conclude(offer_id)

        def sign(terms: Terms) -> bytes:
            return sign_terms(self._device.signer, self._chain_id, terms)

        word = _said(lambda: self.negotiations.accept(offer_id, sign))
        self.save()
        await self._tell(found.neighbour(self._network.participant_id), word)
        return None

    async def decline(self, offer_id: bytes) -> None:
        """Say no to an offer, or withdraw an own one; raises `HouseholdError`."""
        word = _said(lambda: self.negotiations.reject(offer_id))
        await self._tell(self._found(offer_id).neighbour(self._network.participant_id), word)
        self.save()

    async def answer(self, limits: Limits) -> list[tuple[Move, tuple[TradeReceipt, int] | None]]:
        """Answer everything that waits for this household, within limits; what was done, with receipts."""
        rules = self._device.genesis.market
        tariffs = Tariffs(rules.retail_micro_per_kwh, rules.feed_in_micro_per_kwh, rules.currency)
        own = self._network.participant_id
        done = []
        for move in moves(own, self.negotiations.items(), limits, tariffs, self.period):
            receipt = None
            if move.what is What.ACCEPT:
                receipt = await self.accept(move.offer_id)
                if receipt is not None and not receipt[0].accepted:
                    # Declined for good: to send it again would be declined again.
                    await self.decline(move.offer_id)
            elif move.what is What.COUNTER:
                await self.counter(move.offer_id, move.energy_wh, move.price_micro_per_kwh)
            else:
                await self.decline(move.offer_id)
            done.append((move, receipt))
        return done

    async def _conclude(self, offer_id: bytes) -> tuple[TradeReceipt, int]:
        terms, signature = _said(lambda: self.negotiations.agreed(offer_id))
        now = self.period
        # One for a later period goes into escrow only if it can't live to see that period.
        expires = min(now + LIFE_PERIODS, terms.period - 1) if terms.period > now else now + LIFE_PERIODS
        signer = self._device.signer
        contract = sign_contract(signer, self._chain_id, terms, signature, wall_clock_ms(), expires)
        receipt, height = await self._network.send(contract)
        assert isinstance(receipt, TradeReceipt), "the receipt of a contract"
        if receipt.accepted:
            self.negotiations.conclude(offer_id)
            self.save()
        return receipt, height

    def _found(self, offer_id: bytes) -> Negotiation:
        for key, each in self.negotiations.items():
            if key == offer_id:
                return each
        raise HouseholdError(f"there is no offer {offer_id.hex()}, or it has expired")

    async def _tell(self, other: bytes, word: Word) -> None:
        key = await self._key_of(other)
        sealed = letters.write(self._device.signer, self._chain_id, other, key, wall_clock_ms(), word)
        await letters.leave(self._network.client, self._network.nodes, other, sealed)

    async def _key_of(self, other: bytes) -> bytes:
        member = query.member((await self._network.values([keys.member(other)])).get, other)
        if member is None:
            raise HouseholdError(f"nobody in this community has the id {other.hex()}")
        return member.public_key

    async def catch_up(self) -> None:
        """Take the letters that wait, and note what is on the ledger; then forget what has expired."""
        self.negotiations.expire(self.period)
        client, nodes = self._network.client, self._network.nodes
        waiting = await letters.collect(client, nodes)
        senders = {letter.sender for letter in waiting}
        values = await self._network.values([keys.member(who) for who in senders])
        opened = []
        for each in waiting:
            member = query.member(values.get, each.sender)
            if member is not None:
                key = member.public_key
                letter = letters.read(self._device.signer, self._chain_id, each, key, self._checker)
                opened += [(letter, key)] if letter is not None else []
        for letter, key in sorted(opened, key=lambda one: one[0].sent_ms):
            self._take(letter, key)
        await self._note_concluded()
        self.save()
        for first in range(0, len(waiting), FORGET_MAX):
            part = waiting[first : first + FORGET_MAX]
            await letters.collect(client, nodes, tuple(each.digest for each in part))

    def _take(self, letter: letters.Letter, key: bytes) -> None:
        def is_signed(terms: Terms, signature: bytes) -> bool:
            return self._checker.check(key, terms_bytes(terms, self._chain_id), signature)

        self.negotiations.take(letter.sender, letter.word, self.period, is_signed)

    async def _note_concluded(self) -> None:
        both = (Stand.SIGNED, Stand.AGREED)
        by_key = {keys.contract(key): key for key, each in self.negotiations.items() if each.stand in both}
        for key, past in (await self._network.histories(tuple(by_key), 1)).items():
            if past:
                self.negotiations.conclude(by_key[key])

    def save(self) -> None:
        """Write the file; raises `HouseholdError`."""
        kept = tuple(each for _, each in self.negotiations.items())
        path = self._device.path / OFFERS_FILE
        try:
            write_atomically(path, encode(OffersFile(self._chain_id, kept)))
        except (OSError, KeyFileError) as error:
            raise HouseholdError(f"{path} can't be written: {error}") from None


def _said(say: Callable[[], T]) -> T:
    try:
        return say()
    except NegotiationError as error:
        raise HouseholdError(str(error)) from None


@contextlib.asynccontextmanager
async def opened(network: Network) -> AsyncIterator[Offers]:
    """The household's offers, with all that neighbours have said since; one command at a time.

    Raises:
        HouseholdError: another command works on them, or the file is damaged.
    """
    with _locked(network.device.path / LOCK_FILE):
        period = query.tip((await network.values([keys.TIP])).get).period
        offers = Offers(network, _load(network.device), period)
        await offers.catch_up()
        yield offers


def _load(device: Device) -> Negotiations:
    path, chain_id = device.path / OFFERS_FILE, device.genesis.chain_id
    own = device.signer.participant_id
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        shape = decode_offers(data)
    except FileNotFoundError:
        return Negotiations(own, chain_id)
    except (OSError, ValueError) as error:
        raise HouseholdError(
            f"{path} can't be used: {error}; remove it, and what was offered is forgotten"
        ) from None
    if shape.chain_id != chain_id:
        raise HouseholdError(f"{path} belongs to another community: remove it")
    return Negotiations(own, chain_id, shape.kept)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HouseholdError(f"{path} can't be opened: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise HouseholdError("another command works on this household's offers: try again") from None
        yield
    finally:
        os.close(descriptor)
