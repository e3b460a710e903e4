"""Random lives of a village: whatever is sent, in whatever order, the ledger's invariants hold."""

from __future__ import annotations

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from village import PRICE, QuickChecker, Village, line

from p2penergy.blocks import InvalidBlockError
from p2penergy.ledger import (
    Contract,
    Ledger,
    LedgerOutcome,
    Side,
    TradeReceipt,
    decode_receipt,
    keys,
    parse,
    sign_accusation,
)
from p2penergy.ledger.records import EscrowRecord, OrderRecord, PacketRecord, decode_integer, decode_record
from p2penergy.messages import Evidence, SignedStatement, VoteKind, encode
from p2penergy.score_rules import ScoreRules

MEMBERS = 4
who = st.integers(0, MEMBERS - 1)
energies = st.sampled_from([0, 1, 10, 50, 100, 1000])
pairs = st.sampled_from([(a, b) for a in range(MEMBERS) for b in range(MEMBERS) if a != b])
a_step = st.sampled_from([0, 0, 0, 1, -1])


class Life(RuleBasedStateMachine):
    """One ledger, a twin that is restored now and then, and everything that was ever sent."""

    @initialize(
        wallet=st.sampled_from([500 * PRICE, 500 * PRICE, 30 * PRICE, 0]),
        life=st.sampled_from([96, 3, 1]),
        lead=st.sampled_from([0, 1, 2]),
        i_max_a=st.sampled_from([None, None, 1]),
    )
    def found(self, wallet: int, life: int, lead: int, i_max_a: int | None) -> None:
        market = {"transaction_life_periods": life, "gate_lead_periods": lead, "scores": ScoreRules()}
        grid = msgspec.UNSET if i_max_a is None else line(i_max_a, members=MEMBERS)
        self.village = Village(MEMBERS, 2, market, member={"wallet_nano": wallet, "rated_w": 4000}, grid=grid)
        self.life = life
        self.wallet_nano = wallet
        self.settled: set[bytes] = set()
        self.twin = Ledger(self.village.genesis, QuickChecker())
        self.sent: list[bytes] = []
        self.waiting: list[bytes] = []
        self.executed: set[bytes] = set()
        self.accepted: set[bytes] = set()
        self.trades = 0

    def send(self, raw: bytes) -> None:
        self.sent.append(raw)
        self.waiting.append(raw)

    @rule(meter=who, import_wh=energies, export_wh=energies, step=a_step)
    def read(self, meter: int, import_wh: int, export_wh: int, step: int) -> None:
        period = self.village.ledger.period + step
        self.send(self.village.reading(meter, import_wh, export_wh, period))

    @rule(meter=who, exports=st.booleans(), energy_wh=energies)
    def read_well(self, meter: int, exports: bool, energy_wh: int) -> None:
        self.send(self.village.reading(meter, energy_wh * (not exports), energy_wh * exports))

    @rule(pair=pairs, energy_wh=energies.filter(bool), number=st.integers(0, 2))
    def agree(self, pair: tuple[int, int], energy_wh: int, number: int) -> None:
        seller, buyer = pair
        life = min(self.life, 4)
        period = self.village.ledger.period
        terms = self.village.terms(seller, buyer, energy_wh, number=number, valid_until_period=period + life)
        signature = self.village.signed_by(buyer, terms)
        self.send(encode(self.village.submit(seller, terms, signature, expires_period=period + life)))

    @rule(
        pair=pairs,
        energy_wh=st.sampled_from([1, 10, 50]),
        share=st.sampled_from([1, 2, 3]),
        short=st.sampled_from(["seller", "buyer"]),
        by_seller=st.booleans(),
        twice=st.booleans(),
    )
    def trade(
        self, pair: tuple[int, int], energy_wh: int, share: int, short: str, by_seller: bool, twice: bool
    ) -> None:
        """Readings of two and a contract on them, too much for one where `share` is more than 2.

        With `twice` the same terms come from both sides, each under a nonce of its own.
        """
        seller, buyer = pair
        self.trades += 1
        plenty = 2 * energy_wh * share
        self.send(self.village.reading(seller, export_wh=2 * energy_wh if short == "seller" else plenty))
        self.send(self.village.reading(buyer, import_wh=2 * energy_wh if short == "buyer" else plenty))
        expires = self.village.ledger.period + 1
        changes = {"number": self.trades + 10, "valid_until_period": expires}
        terms = self.village.terms(seller, buyer, energy_wh * share, **changes)
        sides = [(seller, buyer), (buyer, seller)]
        for submitter, other in sides if twice else sides[not by_seller :][:1]:
            signature = self.village.signed_by(other, terms)
            self.send(encode(self.village.submit(submitter, terms, signature, expires_period=expires)))
        self.decide(0, moves_on=False)

    @rule(
        member=who,
        side=st.sampled_from(Side),
        energy_wh=energies.filter(bool),
        price=st.sampled_from([PRICE // 2, PRICE, PRICE * 2]),
        place=st.integers(0, 1),
        step=a_step,
    )
    def order(self, member: int, side: Side, energy_wh: int, price: int, place: int, step: int) -> None:
        period = self.village.first_open_period + step
        self.send(self.village.order(member, side, energy_wh, price, place, period=period))

    @rule(
        members=st.permutations(range(MEMBERS)),
        energies_wh=st.tuples(*[st.integers(10, 60)] * 4),
        share=st.integers(0, 5),
        settles=st.booleans(),
    )
    def market(self, members: list[int], energies_wh: tuple[int, ...], share: int, settles: bool) -> None:
        """Orders that can meet, the closing of their gate, and meters that bear out a share of them."""
        village, period = self.village, self.village.first_open_period
        sellers, buyers = members[:2], members[2:]
        for who, energy_wh in zip(sellers, energies_wh[:2], strict=True):
            self.send(village.ask(who, energy_wh, PRICE // 2))
            self.send(village.reading(who, export_wh=energy_wh * share // 4, period=period))
        for who, energy_wh in zip(buyers, energies_wh[2:], strict=True):
            self.send(village.bid(who, energy_wh, PRICE))
            self.send(village.reading(who, import_wh=energy_wh, period=period))
        self.decide(0, moves_on=False)
        while settles and village.ledger.period <= period:
            self.decide(1, moves_on=True)

    @rule(member=who, place=st.integers(0, 1), step=a_step)
    def cancel(self, member: int, place: int, step: int) -> None:
        period = self.village.first_open_period + step
        self.send(self.village.cancel(member, place, period=period))

    @rule(
        pair=pairs,
        energy_wh=energies.filter(bool),
        number=st.integers(0, 2),
        ahead=st.integers(1, 3),
        settles=st.booleans(),
    )
    def look_ahead(
        self, pair: tuple[int, int], energy_wh: int, number: int, ahead: int, settles: bool
    ) -> None:
        """A contract in escrow, and its period with what it promises."""
        period = self.village.ledger.period + ahead
        until = self.village.ledger.period + self.life
        self.send(self.village.forward(*pair, energy_wh, ahead, number=number, valid_until_period=until))
        self.send(self.village.reading(pair[0], export_wh=energy_wh, period=period))
        self.send(self.village.reading(pair[1], import_wh=energy_wh, period=period))
        self.decide(0, moves_on=False)
        while settles and self.village.ledger.period <= period:
            self.decide(1, moves_on=True)

    @rule(
        parties=st.tuples(who, who, who, who),
        energy_wh=energies.filter(bool),
        steps=st.tuples(a_step, a_step, a_step),
        nonce=st.integers(1, 3),
    )
    def quarrel(
        self, parties: tuple[int, int, int, int], energy_wh: int, steps: tuple[int, int, int], nonce: int
    ) -> None:
        """Anybody submits anything, signed by whomever, at odd times, with a nonce used before."""
        seller, buyer, submitter, signer = parties
        now = self.village.ledger.period
        terms = self.village.terms(
            seller, buyer, energy_wh, period=now + steps[0], valid_until_period=now + steps[1]
        )
        signed = msgspec.structs.replace(terms, number=steps[2] + 1)
        contract = self.village.submit(
            submitter, terms, self.village.signed_by(signer, signed), nonce=nonce, expires_period=now + 1
        )
        self.send(encode(contract))

    @rule(accused=who, witness=who, height=st.integers(1, 2), lies=st.booleans())
    def accuse(self, accused: int, witness: int, height: int, lies: bool) -> None:
        """Two statements of one member that conflict, or that are no two."""
        village = self.village
        sides = []
        for block in (b"a" * 32, b"a" * 32 if lies else b"b" * 32):
            side = SignedStatement(VoteKind.COMMIT, height, 1, block, None, None, bytes(64))
            signed = side.signed_bytes(village.chain_id, village.ids[accused])
            sides.append(msgspec.structs.replace(side, signature=village.signers[accused].sign(signed)))
        evidence = Evidence(village.ids[accused], *sides)
        self.send(encode(sign_accusation(village.signers[witness], village.chain_id, evidence)))

    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        if self.sent:
            self.waiting.append(data.draw(st.sampled_from(self.sent)))

    @rule(proposer=st.integers(0, 1), moves_on=st.booleans())
    def decide_all(self, proposer: int, moves_on: bool) -> None:
        self.decide(proposer, moves_on)

    def decide(self, proposer: int, moves_on: bool) -> None:
        """What is waiting, less what would make the block invalid; readings ahead of it wait on."""
        period = self.village.ledger.period + moves_on
        good: list[bytes] = []
        early: list[bytes] = []
        for raw in self.waiting:
            try:
                self.village.ledger.execute(self.village.draft(*good, raw, proposer=proposer, period=period))
            except InvalidBlockError as error:
                early += [raw] if error.code == "reading_too_early" else []
                continue
            good.append(raw)
        self.waiting = early
        self.commit(
            self.village.ledger, self.twin, self.village.draft(*good, proposer=proposer, period=period)
        )

    @rule(proposer=st.integers(0, 1))
    def decide_from_the_pool(self, proposer: int) -> None:
        """A draft of the ledger's own is valid, whatever was offered to its pool."""
        for raw in self.waiting:
            self.village.ledger.pool.add(raw)
        self.waiting = []
        right = self.village.draft(proposer=proposer)
        own = self.village.ledger.draft(right.height, right.height, right.proposer, right.reveal, 2000)
        self.commit(self.village.ledger, self.twin, own)

    @rule()
    def restart(self) -> None:
        ledger = self.village.ledger
        self.twin = Ledger.restore(self.village.genesis, QuickChecker(), ledger.height, ledger.items())

    def commit(self, ledger: Ledger, twin: Ledger, draft: object) -> None:
        before = dict(ledger.items())
        first, second, third = (one.execute(draft) for one in (ledger, ledger, twin))  # type: ignore[arg-type]
        assert first == second == third
        assert dict(ledger.items()) == before
        ledger.commit(first)
        twin.commit(third)
        assert ledger.state_root == first.state_root
        self.check(first)

    def check(self, outcome: LedgerOutcome) -> None:
        for index, raw in enumerate(outcome.receipts):
            receipt = decode_receipt(raw)
            assert receipt.transaction_id not in self.accepted
            if receipt.accepted:
                self.accepted.add(receipt.transaction_id)
            written = [version.key for version in outcome.versions if version.index == index]
            if not receipt.accepted:
                # Scores, what they cost, and the note that the nonce was answered.
                assert all(key.startswith((keys.SCORE, keys.DEFAULT, keys.NONCE)) for key in written)
            elif isinstance(receipt, TradeReceipt):
                assert receipt.trade_id not in self.executed
                self.executed.add(receipt.trade_id)
        for version in outcome.versions:
            if version.key.startswith(keys.ESCROW) and version.value is None:
                # Delivered or called off, and never again.
                assert version.key not in self.settled
                self.settled.add(version.key)
        for data in outcome.draft.transactions:
            transaction = parse(data, self.village.chain_id).transaction
            if isinstance(transaction, Contract):
                assert transaction.expires_period >= outcome.draft.period

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        assert self.village.ledger.audit_totals().is_conserved()

    @invariant()
    def nothing_is_negative_and_all_money_is_somewhere(self) -> None:
        """Counted from the entries themselves, beside the ledger's own totals."""
        money_nano = 0
        for key, value in self.village.ledger.items():
            if key.startswith((keys.WALLET, keys.ENERGY, keys.SCORE)):
                assert decode_integer(value) >= 0
            if key.startswith(keys.WALLET):
                money_nano += decode_integer(value)
            elif key.startswith(keys.ESCROW):
                money_nano += decode_record(EscrowRecord, value).amount_nano
            elif key.startswith(keys.ORDER):
                money_nano += decode_record(OrderRecord, value).escrow_nano
            elif key.startswith(keys.PACKET):
                packet = decode_record(PacketRecord, value)
                assert 0 <= packet.claimed_wh <= packet.amount_wh
        assert money_nano == MEMBERS * self.wallet_nano

    @invariant()
    def the_twin_agrees(self) -> None:
        assert self.twin.state_root == self.village.ledger.state_root


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
