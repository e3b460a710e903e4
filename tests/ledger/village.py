"""A small village for the tests of the ledger: members who sign, and blocks made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import msgspec

from p2penergy.beacon import HashChain
from p2penergy.blocks import Draft
from p2penergy.genesis import ConsensusRules, Genesis, GridNode, GridRules, MarketRules, Member
from p2penergy.ledger import (
    Contract,
    EnergyType,
    Ledger,
    LedgerOutcome,
    Side,
    Terms,
    decode_receipt,
    sign_cancel,
    sign_contract,
    sign_order,
    sign_reading,
    sign_terms,
)
from p2penergy.messages import Stage, encode
from p2penergy.score_rules import ScoreRules
from p2penergy.signing import SignatureChecker, Signer

BYTES_MAX = 1 << 20
PRICE = 200_000
WALLET_NANO = 10**12
LINKS = 512
NO_REWARDS = ScoreRules(proposer_gain_ppm=0, signer_gain_ppm=0)
"""So that what a transaction does to scores stands alone; tests of rewards say otherwise."""


class QuickSigner:
    """Signs with a digest that only its checker takes: fast, and wrong for any other bytes."""

    def __init__(self, number: int) -> None:
        self.participant_id = sha256(b"member %d" % number).digest()[:20]
        self.public_key = b"\2" + sha256(self.participant_id).digest()

    def sign(self, message: bytes) -> bytes:
        return quick_signature(self.public_key, message)


def quick_signature(public_key: bytes, message: bytes) -> bytes:
    half = sha256(public_key + message).digest()
    return half + sha256(half).digest()


class QuickChecker:
    """The other side of `QuickSigner`; counts what it was asked."""

    def __init__(self) -> None:
        self.checks = 0

    def check(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        self.checks += 1
        return signature == quick_signature(public_key, message)


def a_genesis(
    signers: Iterable[QuickSigner],
    chains: list[HashChain],
    market: dict[str, Any],
    rules: dict[str, Any],
    member: dict[str, Any],
    grid: GridRules | msgspec.UnsetType = msgspec.UNSET,
    authority_key: str | None = None,
) -> Genesis:
    """Every member with a wallet; the first ones, as many as there are chains, validate."""
    members = []
    for number, signer in enumerate(signers):
        volunteers = number < len(chains)
        entry: dict[str, Any] = {
            "participant_id": signer.participant_id.hex(),
            "public_key": signer.public_key.hex(),
            "validator": volunteers,
            "verifier": volunteers and number % 2 == 0,
            "beacon_tip": chains[number].tip.hex() if volunteers else None,
            "wallet_nano": WALLET_NANO,
        }
        members.append(Member(**(entry | member)))
    timing = {"t0_ms": 0, "alpha_ms": 1000, "eps_ms": 10, "delta_ms": 100} | rules
    return Genesis(
        community="Village",
        consensus=ConsensusRules(**timing),
        market=MarketRules(**({"replay": True, "first_period": 100, "scores": NO_REWARDS} | market)),
        authority_key=authority_key,
        members=tuple(members),
        grid=grid,
    )


def line(i_max_a: int = 2, r_uohm: int = 100_000, members: int = 5) -> GridRules:
    """Busbar - node 1 (member 1) - node 2 (member 2) and so on, each branch alike; member 0 has no node."""
    ids = [QuickSigner(number).participant_id.hex() for number in range(members)]
    nodes = [GridNode(node=0, parent=-1, r_uohm=0, x_uohm=0, i_max_a=1000)]
    nodes += [
        GridNode(node=n, parent=n - 1, r_uohm=r_uohm, x_uohm=0, i_max_a=i_max_a, participant_id=ids[n])
        for n in range(1, members)
    ]
    return GridRules(nodes=tuple(nodes))


class Village:
    """A ledger, its members, and what they can sign; member 0 proposes unless told otherwise."""

    def __init__(
        self,
        members: int = 5,
        validators: int = 2,
        market: dict[str, Any] | None = None,
        rules: dict[str, Any] | None = None,
        member: dict[str, Any] | None = None,
        checker: SignatureChecker | None = None,
        grid: GridRules | msgspec.UnsetType = msgspec.UNSET,
    ) -> None:
        self.signers = [QuickSigner(number) for number in range(members)]
        self.ids = [signer.participant_id for signer in self.signers]
        self.chains = [HashChain(b"%d" % number, LINKS) for number in range(validators)]
        self.authority = QuickSigner(9_999)
        self.genesis = a_genesis(
            self.signers,
            self.chains,
            market or {},
            rules or {},
            member or {},
            grid,
            self.authority.public_key.hex(),
        )
        self.chain_id = self.genesis.chain_id
        self.checker = QuickChecker() if checker is None else checker
        self.ledger = Ledger(self.genesis, self.checker)
        self._nonce = 0

    # ---- what members sign -----------------------------------------------------------------------

    def reading(
        self,
        meter: int,
        import_wh: int = 0,
        export_wh: int = 0,
        period: int | None = None,
        energy_type: EnergyType = EnergyType.SOLAR,
    ) -> bytes:
        at = self.ledger.period if period is None else period
        reading = sign_reading(self.signers[meter], self.chain_id, at, import_wh, export_wh, energy_type)
        return encode(reading)

    def terms(self, seller: int, buyer: int, energy_wh: int, **changes: Any) -> Terms:
        period = self.ledger.period
        values: dict[str, Any] = {
            "seller": self.ids[seller],
            "buyer": self.ids[buyer],
            "period": period,
            "energy_wh": energy_wh,
            "price_micro_per_kwh": PRICE,
            "valid_until_period": period + 4,
            "number": 1,
        }
        return Terms(**(values | changes))

    def signed_by(self, who: int, terms: Terms) -> bytes:
        return sign_terms(self.signers[who], self.chain_id, terms)

    def submit(self, who: int, terms: Terms, counterparty_signature: bytes, **changes: Any) -> Contract:
        """A contract of any content, signed by `who` as its submitter, with a fresh nonce."""
        self._nonce += 1
        values: dict[str, Any] = {"nonce": self._nonce, "expires_period": self.ledger.period + 4}
        signer: Signer = self.signers[who]
        return sign_contract(signer, self.chain_id, terms, counterparty_signature, **(values | changes))

    def contract(
        self, seller: int, buyer: int, energy_wh: int, by_seller: bool = True, **changes: Any
    ) -> bytes:
        """A genuine contract."""
        terms = self.terms(seller, buyer, energy_wh, **changes)
        who, other = (seller, buyer) if by_seller else (buyer, seller)
        return encode(self.submit(who, terms, self.signed_by(other, terms)))

    def order(
        self, who: int, side: Side, energy_wh: int, price: int = PRICE, place: int = 0, **changes: Any
    ) -> bytes:
        """An order for the first period whose gate is open, unless told otherwise."""
        self._nonce += 1
        period, now = self.first_open_period, self.ledger.period
        values: dict[str, Any] = {"period": period, "nonce": self._nonce, "expires_period": now + 1}
        values |= {"side": side, "place": place, "energy_wh": energy_wh, "price_micro_per_kwh": price}
        return encode(sign_order(self.signers[who], self.chain_id, **(values | changes)))

    def ask(self, who: int, energy_wh: int, price: int = PRICE, place: int = 0, **changes: Any) -> bytes:
        return self.order(who, Side.ASK, energy_wh, price, place, **changes)

    def bid(self, who: int, energy_wh: int, price: int = PRICE, place: int = 0, **changes: Any) -> bytes:
        return self.order(who, Side.BID, energy_wh, price, place, **changes)

    def cancel(self, who: int, place: int = 0, **changes: Any) -> bytes:
        self._nonce += 1
        now = self.ledger.period
        values: dict[str, Any] = {"period": self.first_open_period, "place": place}
        values |= {"nonce": self._nonce, "expires_period": now + 1}
        return encode(sign_cancel(self.signers[who], self.chain_id, **(values | changes)))

    def forward(self, seller: int, buyer: int, energy_wh: int, ahead: int = 1, **changes: Any) -> bytes:
        """A genuine contract for a period to come, submitted by its seller."""
        now = self.ledger.period
        terms = self.terms(seller, buyer, energy_wh, **({"period": now + ahead} | changes))
        signature = self.signed_by(buyer, terms)
        return encode(self.submit(seller, terms, signature, expires_period=now))

    @property
    def first_open_period(self) -> int:
        return self.ledger.period + self.genesis.market.gate_lead_periods + 1

    # ---- blocks ----------------------------------------------------------------------------------

    def draft(self, *transactions: bytes, proposer: int = 0, **changes: Any) -> Draft:
        """A block's draft that holds exactly these transactions, right in everything not changed."""
        height = self.ledger.height + 1
        tip = self.ledger.reveal_tip(self.ids[proposer])
        reveal = self.chains[proposer].preimage(tip) if tip else None
        draft = Draft(
            height=height,
            slot=height,
            proposer=self.ids[proposer],
            period=self.ledger.period,
            stage=Stage.VALIDATION,
            next_stage=Stage.VALIDATION,
            reveal=reveal or bytes(32),
            transactions=transactions,
            parent_certificate=None,
        )
        return replace(draft, **changes)

    def run(self, draft: Draft) -> LedgerOutcome:
        outcome = self.ledger.execute(draft)
        self.ledger.commit(outcome)
        return outcome

    def block(self, *transactions: bytes, proposer: int = 0, **changes: Any) -> list[Any]:
        """Execute and commit; the receipts, typed loosely because tests know what they sent."""
        outcome = self.run(self.draft(*transactions, proposer=proposer, **changes))
        return [decode_receipt(receipt) for receipt in outcome.receipts]

    def one(self, transaction: bytes, **changes: Any) -> Any:
        """The receipt of a block of one transaction."""
        (receipt,) = self.block(transaction, **changes)
        return receipt

    def next_period(self, *transactions: bytes) -> list[Any]:
        return self.block(*transactions, period=self.ledger.period + 1)

    def propose(self, proposer: int = 0, bytes_max: int = BYTES_MAX) -> LedgerOutcome:
        """Execute and commit what the ledger itself drafts from its pool."""
        drafted = self.draft(proposer=proposer)
        height = drafted.height
        return self.run(self.ledger.draft(height, height, drafted.proposer, drafted.reveal, bytes_max))


def with_readings(**changes: Any) -> Village:
    """Members 1 and 2 export 1000 Wh, 3 and 4 import as much; 0 and 1 validate; all of it on record."""
    village = Village(**changes)
    village.block(
        village.reading(1, export_wh=1000),
        village.reading(2, export_wh=1000),
        village.reading(3, import_wh=1000),
        village.reading(4, import_wh=1000),
    )
    return village
