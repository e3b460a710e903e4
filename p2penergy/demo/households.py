"""The meters of the neighbourhood as signing agents that reach the validators over TCP.

Lives here: one household's keys at work: readings, agreements, contracts, and what it is told. Never
here: the ledger; a meter believes f+1 equal replies and nothing else (CONSENSUS section 8).
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from p2penergy.client import Client, Result
from p2penergy.founding import Community
from p2penergy.ledger import keys
from p2penergy.ledger.qscore import may_trade
from p2penergy.ledger.receipts import Receipt, decode_receipt
from p2penergy.ledger.scores import score_on
from p2penergy.ledger.transactions import (
    Contract,
    PlaceOrder,
    Reading,
    Side,
    Terms,
    generate_trade_id,
    sign_contract,
    sign_order,
    sign_reading,
    sign_terms,
    terms_bytes,
    transaction_id,
)
from p2penergy.market.negotiation import Negotiations
from p2penergy.membership.identifying import Identify, identifier
from p2penergy.messages import PROTOCOL, encode
from p2penergy.peers import agent_of
from p2penergy.questions import HISTORY, HISTORY_KEYS_MAX, HistoryQuestion, decode_history
from p2penergy.score_rules import ScoreRules
from p2penergy.signing import EcdsaChecker, Signer
from transport import TcpMesh

CONTRACT_LIFE_PERIODS = 8
"""How long terms and contracts of the demo stay valid."""
NOTICES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Notice:
    """Something f+1 validators told a household that it had not asked for."""

    height: int
    receipt: Receipt


def _transaction_of(receipt: bytes) -> bytes:
    return decode_receipt(receipt).transaction_id


class Household:
    """One household's agent."""

    def __init__(self, name: str, community: Community, checker: EcdsaChecker, identify: Identify) -> None:
        meter = community.meters[name]
        self.name = name
        self.participant_id = meter.participant_id
        self._notices: dict[bytes, asyncio.Future[Notice]] = {}
        self.latencies_ms: list[float] = []
        self.height = 0
        """The last block that f+1 validators told it of."""
        self._signer: Signer = meter.signer
        self.chain_id = community.genesis.chain_id
        self.negotiations = Negotiations(self.participant_id, self.chain_id)
        self._checker = checker
        self._public_key = meter.key.public_key_compressed()
        self._nonce = 0
        self.client = Client(
            TcpMesh(
                name=agent_of(meter.participant_id),
                listen=None,
                tls=community.tls(name),
                identify=identify,
                protocol=PROTOCOL,
                network=self.chain_id,
            ),
            community.genesis,
            checker,
            _transaction_of,
            self._take_notice,
        )

    def _take_notice(self, result: Result) -> None:
        receipt = decode_receipt(result.receipt)
        told = self._told(receipt.transaction_id)
        if not told.done():
            told.set_result(Notice(result.height, receipt))

    def _told(self, transaction_id: bytes) -> "asyncio.Future[Notice]":
        while len(self._notices) >= NOTICES_MAX:
            del self._notices[next(iter(self._notices))]
        return self._notices.setdefault(transaction_id, asyncio.get_running_loop().create_future())

    async def told(self, transaction_id: bytes) -> Notice:
        """Wait for what f+1 validators say of a transaction that somebody else submitted."""
        return await self._told(transaction_id)

    async def proven(self, receipt: Receipt) -> bool:
        """Whether one validator's certificate and Merkle path prove a receipt, with nobody's word for it."""
        result = await self.client.proven(receipt.transaction_id)
        return decode_receipt(result.receipt) == receipt

    async def report(self, period: int, import_wh: int, export_wh: int) -> Receipt:
        """Sign and send the reading of a period."""
        reading = sign_reading(self._signer, self.chain_id, period, import_wh, export_wh)
        return await self.send(reading)

    def terms_with(self, buyer: "Household", period: int, energy_wh: int, price: int) -> Terms:
        """What this household would sell to a neighbour."""
        self._nonce += 1
        return Terms(
            seller=self.participant_id,
            buyer=buyer.participant_id,
            period=period,
            energy_wh=energy_wh,
            price_micro_per_kwh=price,
            valid_until_period=period + CONTRACT_LIFE_PERIODS,
            number=self._nonce,
        )

    async def negotiate(self, buyer: "Household", period: int, energy_wh: int, price: int) -> Receipt:
        """Offer a neighbour energy, who accepts; submit what both have signed.

        What the two say to each other takes no way here: both live in this process.
        """
        terms = self.terms_with(buyer, period, energy_wh, price)
        offer_id = generate_trade_id(terms, self.chain_id)
        for each in (self, buyer):
            each.negotiations.expire(period)
        refused = buyer.negotiations.take(
            self.participant_id, self.negotiations.offer(terms, period), period, self.has_signed
        )
        assert refused is None, f"{buyer.name} did not take an offer: {refused}"
        accepted = buyer.negotiations.accept(offer_id, buyer.agree)
        self.negotiations.take(buyer.participant_id, accepted, period, buyer.has_signed)
        receipt = await self.conclude(*self.negotiations.agreed(offer_id))
        if receipt.accepted:
            for each in (self, buyer):
                each.negotiations.conclude(offer_id)
        return receipt

    def has_signed(self, terms: Terms, signature: bytes) -> bool:
        """Whether a signature on terms is this household's."""
        return self._checker.check(self._public_key, terms_bytes(terms, self.chain_id), signature)

    def agree(self, terms: Terms) -> bytes:
        """This household's signature on terms that it accepts."""
        return sign_terms(self._signer, self.chain_id, terms)

    async def conclude(self, terms: Terms, counterparty_signature: bytes) -> Receipt:
        """Send terms and the neighbour's signature, signed once more as the submitter."""
        return await self.send(self.contract(terms, counterparty_signature))

    def contract(self, terms: Terms, counterparty_signature: bytes) -> Contract:
        """The same, not sent yet."""
        self._nonce += 1
        expires = terms.period + CONTRACT_LIFE_PERIODS
        return sign_contract(self._signer, self.chain_id, terms, counterparty_signature, self._nonce, expires)

    async def promise(self, terms: Terms, counterparty_signature: bytes) -> Receipt:
        """Send a contract for a period to come: it expires before, so that it goes into escrow at once."""
        self._nonce += 1
        expires = terms.period - 1
        return await self.send(
            sign_contract(self._signer, self.chain_id, terms, counterparty_signature, self._nonce, expires)
        )

    async def order(self, side: Side, period: int, energy_wh: int, price: int, expires: int) -> Receipt:
        """Send an order for a period's auction."""
        self._nonce += 1
        return await self.send(
            sign_order(self._signer, self.chain_id, side, period, 0, energy_wh, price, self._nonce, expires)
        )

    async def send(self, transaction: Reading | Contract | PlaceOrder) -> Receipt:
        """Submit something signed, and wait for the receipt that f+1 validators give."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        key = transaction_id(transaction, self.chain_id)
        (result,) = await self.client.results([(key, encode(transaction))])
        self.latencies_ms.append((loop.time() - began) * 1000)
        self.height = result.height
        return decode_receipt(result.receipt)


class Households:
    """All of them, connected."""

    def __init__(self, community: Community) -> None:
        checker, identify = EcdsaChecker(), identifier(community.authority_pem)
        self._community = community
        self.by_name = {name: Household(name, community, checker, identify) for name in community.meters}

    def __getitem__(self, name: str) -> Household:
        return self.by_name[name]

    async def connect(self) -> None:
        """Dial every validator from every household, and wait until all are there."""
        for household in self.by_name.values():
            await household.client.start(self._community.addresses)
        count = len(self._community.addresses)
        await asyncio.gather(*(h.client.connected(count) for h in self.by_name.values()))

    async def disconnect(self) -> None:
        """Hang up."""
        await asyncio.gather(*(h.client.stop() for h in self.by_name.values()))

    async def values(self, wanted: Sequence[bytes]) -> dict[bytes, bytes | None]:
        """What keys hold after the last block that any household was told of, as f+1 validators say."""
        asking = max(self.by_name.values(), key=lambda h: h.height)
        found: dict[bytes, bytes | None] = {}
        for first in range(0, len(wanted), HISTORY_KEYS_MAX):
            part = tuple(wanted[first : first + HISTORY_KEYS_MAX])
            question = encode(HistoryQuestion(asking.height, 1, part))
            pasts = decode_history(await asking.client.agreed(HISTORY, question))
            found |= {key: past[-1].value if past else None for key, past in zip(part, pasts, strict=True)}
        return found

    async def suspended(self, names: Iterable[str], rules: ScoreRules, period: int) -> frozenset[str]:
        """Whose score is too low to trade."""
        ids = {name: self.by_name[name].participant_id for name in names}
        wanted = [key(who) for who in ids.values() for key in (keys.score, keys.standing, keys.proven)]
        get = (await self.values(wanted)).get
        return frozenset(
            name for name, who in ids.items() if not may_trade(rules, score_on(get, rules, who, period))
        )

    def latencies_ms(self) -> list[float]:
        """From sending a transaction to f+1 equal replies, all households."""
        return [value for h in self.by_name.values() for value in h.latencies_ms]

    def named(self, participants: Iterable[bytes]) -> tuple[str, ...]:
        """Household names of participant ids."""
        names = {h.participant_id: h.name for h in self.by_name.values()}
        return tuple(names[p] for p in participants)
