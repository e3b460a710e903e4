"""Random lives of a village whose people come and go: drafts are valid, and what is restored is the same."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from newcomers import Newcomers, meter_of, newcomer, own_chain, with_new_key
from test_ledger_evidence import proof, submitted
from village import QuickChecker, QuickSigner

from p2penergy.ledger import Ledger, VerdictCode, decode_receipt, keys, query, sign_verdict
from p2penergy.ledger.scores import score_on
from p2penergy.messages import Stage, encode
from p2penergy.score_rules import ScoreRules

FOUNDERS, PEOPLE = 4, 7
people = st.integers(0, PEOPLE - 1)
codes = st.sampled_from([VerdictCode.ACCEPT] * 5 + [VerdictCode.EXPIRED, VerdictCode.REVOKED])


class Comings(RuleBasedStateMachine):
    """One ledger, a twin that is restored now and then, and what each height was like when it was the tip."""

    @initialize(
        lag=st.sampled_from([1, 2, 3]),
        settle=st.sampled_from([0, 3]),
        age=st.sampled_from([0, 4]),
        bar=st.sampled_from([100_000, 400_000, 590_000]),
    )
    def found(self, lag: int, settle: int, age: int, bar: int) -> None:
        scores = ScoreRules(committee_bar_ppm=bar, stake_trades=2)
        rules = {"lag_blocks": lag, "settle_blocks": settle, "volunteer_age_blocks": age}
        self.village = Newcomers(FOUNDERS, rules=rules, market={"scores": scores})
        self.people = [*self.village.signers, *(newcomer(number) for number in range(PEOPLE - FOUNDERS))]
        self.village.signers = self.people
        self.village.ids = [signer.participant_id for signer in self.people]
        self.twin = Ledger(self.village.genesis, QuickChecker())
        self.renewals = 0
        self.past: dict[int, Any] = {}
        self.joined: dict[bytes, set[bytes]] = {}
        self.remember()

    # ---- what people do --------------------------------------------------------------------------

    def offer(self, *transactions: bytes) -> None:
        for transaction in transactions:
            self.village.ledger.pool.add(transaction)

    def ask_in(self, request: Any, code: VerdictCode, missing: int) -> None:
        """A request, and the verdicts of all verifiers but some."""
        village = self.village
        serving = village.ledger.verification_committee().members
        verifiers = [signer for signer in self.people if signer.participant_id in serving]
        verdicts = [sign_verdict(signer, village.chain_id, request, code) for signer in verifiers[missing:]]
        self.offer(encode(request), *(encode(verdict) for verdict in verdicts))

    @rule(who=people, meter=people, code=codes, missing=st.integers(0, 2))
    def apply(self, who: int, meter: int, code: VerdictCode, missing: int) -> None:
        self.ask_in(self.village.join_request(self.people[who], meter_of(meter)), code, missing)

    @rule(who=st.integers(FOUNDERS, PEOPLE - 1), verifies=st.booleans())
    def welcome(self, who: int, verifies: bool) -> None:
        """A newcomer with a meter of its own joins and volunteers."""
        self.ask_in(self.village.join_request(self.people[who], meter_of(who)), VerdictCode.ACCEPT, 0)
        self.decide(4, moves_on=False)
        self.serve(who, validator=True, verifier=verifies)
        self.decide(4, moves_on=False)

    @rule(who=people, meter=people, missing=st.integers(0, 1))
    def renew(self, who: int, meter: int, missing: int) -> None:
        self.renewals += 1
        new = with_new_key(self.people[who], self.renewals)
        member = query.member(self.village.ledger.get, new.participant_id)
        pseudonym = member.meter_pseudonym if member is not None else None
        request = self.village.renewal(new, pseudonym or meter_of(meter))
        self.ask_in(request, VerdictCode.ACCEPT, missing)

    @rule(who=st.sampled_from([3, 4, 5, 6]))
    def leave(self, who: int) -> None:
        self.offer(self.village.leave(self.people[who]))

    @rule(who=people, key_of=people, really=st.sampled_from([True, False, False]))
    def revoke(self, who: int, key_of: int, really: bool) -> None:
        if not really:
            return
        wanted = QuickSigner(0)
        wanted.participant_id = self.people[who].participant_id
        wanted.public_key = self.people[key_of].public_key
        self.offer(self.village.revocation(wanted))

    @rule(who=people, validator=st.booleans(), verifier=st.booleans())
    def serve(self, who: int, validator: bool, verifier: bool) -> None:
        signer = self.people[who]
        has_chain = self.village.ledger.reveal_tip(signer.participant_id) is not None
        tip = None if has_chain else own_chain(signer).tip
        self.offer(self.village.volunteer(signer, validator, verifier, tip))

    @rule(who=st.integers(1, PEOPLE - 1))
    def register(self, who: int) -> None:
        self.offer(self.village.chain(self.people[who], own_chain(self.people[who]).tip))

    @rule(accused=people.filter(lambda number: number % 3 == 2), witness=people)
    def accuse(self, accused: int, witness: int) -> None:
        self.offer(submitted(self.village, proof(self.village, accused), by=witness))

    @rule(pair=st.permutations(range(PEOPLE)), share=st.sampled_from([1, 1, 3]))
    def trade(self, pair: list[int], share: int) -> None:
        seller, buyer = pair[:2]
        village, number = self.village, self.village.ledger.height
        self.offer(village.reading(seller, export_wh=500), village.reading(buyer, import_wh=500))
        self.offer(village.contract(seller, buyer, 500 * share, number=number))
        self.offer(village.forward(seller, buyer, 100, number=number + 1))
        self.offer(village.ask(seller, 50, 1), village.bid(buyer, 50))

    # ---- blocks ----------------------------------------------------------------------------------

    @rule(blocks=st.integers(1, 4), moves_on=st.booleans())
    def decide(self, blocks: int, moves_on: bool) -> None:
        """What the ledger itself drafts is valid, and both make the same of it."""
        ledger = self.village.ledger
        for _ in range(blocks):
            right = self.village.draft()
            period = ledger.period + moves_on
            own = ledger.draft(right.height, right.height, right.proposer, right.reveal, 1 << 20)
            if moves_on and own.stage is Stage.VALIDATION:
                own = self.village.draft(period=period)
            first, second = ledger.execute(own), self.twin.execute(own)
            assert first == second
            ledger.commit(first)
            self.twin.commit(second)
            for receipt in first.receipts:
                decode_receipt(receipt)
            self.follow()
            self.remember()

    @rule()
    def restart(self) -> None:
        ledger = self.village.ledger
        self.twin = Ledger.restore(self.village.genesis, QuickChecker(), ledger.height, ledger.items())

    def follow(self) -> None:
        """People sign with the key that the ledger has for them."""
        for number, signer in enumerate(self.people):
            member = query.member(self.village.ledger.get, signer.participant_id)
            if member is not None and member.public_key != signer.public_key:
                now = QuickSigner(0)
                now.participant_id, now.public_key = signer.participant_id, member.public_key
                self.people[number] = now

    def truth(self) -> Any:
        """Keys and pools as the tip's own entries have them, members looked at one by one."""
        ledger, rules = self.village.ledger, self.village.genesis
        scores, found = rules.market.scores, {}
        pools: dict[Stage, list[bytes]] = {stage: [] for stage in Stage}
        for who in self.village.ids:
            member = query.member(ledger.get, who)
            found[who] = None if member is None else member.public_key
            if member is None:
                continue
            age = ledger.height - member.joined_height
            if member.joined_height and age < rules.consensus.volunteer_age_blocks:
                continue
            if score_on(ledger.get, scores, who, ledger.period) >= scores.committee_bar_ppm:
                for stage, serves in (
                    (Stage.VALIDATION, member.validator),
                    (Stage.VERIFICATION, member.verifier),
                ):
                    pools[stage] += [who] * serves
        return found, {stage: tuple(sorted(pool)) for stage, pool in pools.items()}

    def remember(self) -> None:
        self.past[self.village.ledger.height] = self.truth()

    # ---- what always holds -----------------------------------------------------------------------

    @invariant()
    def the_past_is_what_it_was(self) -> None:
        ledger, timing = self.village.ledger, self.village.genesis.consensus
        settle = max(timing.settle_blocks, 1)
        since = max(ledger.height - timing.lag_blocks - settle - 2, 0)
        known = query.verifications(ledger.get)
        drawn_from = {max(last - settle, 0) for last in (known.last, known.before)}
        for each in (ledger, self.twin):
            for height in {*range(since, ledger.height + 1), *drawn_from}:
                found, pools = self.past[height]
                for stage in Stage:
                    assert each.volunteers(stage, height) == pools[stage]
                    assert each.reserves(stage, height) == ledger.reserves(stage, height)
                if height >= since:
                    assert {who: each.member_key(who, height) for who in found} == found

    @invariant()
    def both_verify_alike(self) -> None:
        assert self.twin.state_root == self.village.ledger.state_root
        assert self.twin.verification_committee() == self.village.ledger.verification_committee()

    @invariant()
    def nothing_is_made_or_lost(self) -> None:
        totals = self.village.ledger.audit_totals()
        assert totals.is_conserved(), totals

    @invariant()
    def a_meter_and_a_key_are_those_of_one_member(self) -> None:
        members = [
            member
            for who in self.village.ids
            if (member := query.member(self.village.ledger.get, who)) is not None
        ]
        meters = [member.meter_pseudonym for member in members if member.meter_pseudonym is not None]
        assert len(set(meters)) == len(meters)
        assert len({member.public_key for member in members}) == len(members)
        assert any(member.validator for member in members) or not members or self.was_emptied()

    def was_emptied(self) -> bool:
        """Only the authority, or evidence, takes the last validator away."""
        gone = (query.gone(self.village.ledger.get, who) for who in self.village.ids)
        return any(each is not None and each.why.name != "LEFT" for each in gone)

    @invariant()
    def nobody_is_both_present_and_gone(self) -> None:
        get = self.village.ledger.get
        for who in self.village.ids:
            assert get(keys.member(who)) is None or get(keys.gone(who)) is None


TestComings = Comings.TestCase
TestComings.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
