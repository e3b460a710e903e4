"""The ledger: the replicated state machine behind the consensus core's `Application` port.

Lives here: drafting, executing and committing blocks, and the questions of the port. Never here: the
rules of one transaction, storage, time. Owns the invariants that executing a draft is a pure function
of the state and the draft, and that nothing is permanent before `commit`. Implements LEDGER section 3
and the seams of CONSENSUS sections 3 and 9.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from p2penergy import beacon
from p2penergy.blocks import Draft
from p2penergy.committees import CommitteeRules, Reading, Roll
from p2penergy.digests import merkle_root
from p2penergy.genesis import Genesis
from p2penergy.ledger import audit, block_rules, chains, deferred, gate, keys, query, settlement
from p2penergy.ledger.bucket_tree import StateProof
from p2penergy.ledger.context import BlockContext, Community
from p2penergy.ledger.execution import decide, read
from p2penergy.ledger.grid_check import GridCheck, grid_plan
from p2penergy.ledger.initial import initial_items, require_in_range
from p2penergy.ledger.membership_pool import MembershipPool
from p2penergy.ledger.needed import Needed
from p2penergy.ledger.open_orders import OpenOrders
from p2penergy.ledger.places import Places
from p2penergy.ledger.pool import Pool
from p2penergy.ledger.receipts import encode_receipt
from p2penergy.ledger.records import (
    MemberRecord,
    TipRecord,
    VerificationsRecord,
    decode_record,
    encode_record,
)
from p2penergy.ledger.roster import Roster
from p2penergy.ledger.scores import Standings
from p2penergy.ledger.snapshot import Snapshot
from p2penergy.ledger.standing import day_of
from p2penergy.ledger.state import Changes, Scratch, State, Version
from p2penergy.ledger.transactions import concerned, parse
from p2penergy.messages import MalformedMessageError, Stage
from p2penergy.signing import SignatureChecker

_RULES = CommitteeRules()
_OF_MEMBERS = (keys.MEMBER, keys.POOL, keys.STAKE)


@dataclass(frozen=True, slots=True)
class LedgerOutcome:
    """A draft executed; permanent only once committed."""

    draft: Draft
    receipts: Sequence[bytes]
    receipts_root: bytes
    state_root: bytes
    versions: Sequence[Version]
    """Everything written, in order; the last one of a key is its value after the block."""
    transaction_ids: Sequence[bytes]
    changes: Changes
    """For `Ledger.commit`, like `answered`."""
    answered: Sequence[bytes]
    """`answer_key` of every transaction."""


class Ledger:
    """State at one height, and the pool of what is pending on top of it."""

    def __init__(self, genesis: Genesis, checker: SignatureChecker) -> None:
        """A ledger before the first block; raises `GenesisError` for figures it can't hold."""
        require_in_range(genesis)
        self._start(genesis, checker, 0, initial_items(genesis))

    @classmethod
    def restore(
        cls, genesis: Genesis, checker: SignatureChecker, height: int, items: Iterable[tuple[bytes, bytes]]
    ) -> Self:
        """The ledger whose state after block `height` is `items`; compare `state_root` with a header.

        Raises:
            ValueError: `items` are no state of a ledger.
        """
        ledger = cls.__new__(cls)
        ledger._start(genesis, checker, height, items)
        query.tip(ledger.get)
        return ledger

    def _start(
        self,
        genesis: Genesis,
        checker: SignatureChecker,
        height: int,
        items: Iterable[tuple[bytes, bytes]],
    ) -> None:
        self._genesis = genesis
        self._chain_id = genesis.chain_id
        self._checker = checker
        self._grid = grid_plan(genesis)
        self._height = height
        self._state = State.of(items, genesis.market.transaction_life_periods)
        self._serving: Roll | None = None
        """The verification committee that the present tip leads to, once somebody has asked for it."""
        self._roster = Roster(genesis.consensus, height, self._state.items())
        life_periods, get = genesis.market.transaction_life_periods, self._state.get
        key = genesis.authority_key
        self._authority_key = None if key is None else bytes.fromhex(key)
        memberships = MembershipPool(
            self._chain_id, checker, life_periods, get, self._authority_key, self.verification_committee
        )
        self.pool = Pool(self._chain_id, checker, life_periods, get, memberships)

    # ---- the state -------------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """Height of the last committed outcome; 0 at genesis."""
        return self._height

    @property
    def period(self) -> int:
        """The settlement period of the last block."""
        return query.tip(self.get).period

    @property
    def state_root(self) -> bytes:
        """Root of the current state."""
        return self._state.root

    def get(self, key: bytes) -> bytes | None:
        """The current value under a key."""
        return self._state.get(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """The whole current state, keys ascending; `restore` takes it back."""
        return iter(sorted(self._state.items()))

    def snapshot(self) -> Snapshot:
        """The whole current state, as it stays when later blocks change it."""
        return Snapshot(self._height, self.state_root, *self._state.frozen())

    def prove(self, key: bytes) -> StateProof:
        """That a key has its value, or none, under `state_root`; `check_state_proof` checks it."""
        return self._state.prove(key)

    def audit_totals(self) -> audit.Totals:
        """All energy and money on the ledger, for whoever checks that none is made or lost."""
        return audit.totals(self._genesis, self._state)

    # ---- its clients -----------------------------------------------------------------------------

    def transaction_id(self, data: bytes) -> bytes | None:
        """The id of a transaction; None when it is malformed."""
        try:
            return parse(data, self._chain_id).transaction_id
        except MalformedMessageError:
            return None

    def concerned(self, data: bytes) -> tuple[bytes, ...]:
        """Whom a reply about a decided transaction goes to."""
        return concerned(parse(data, self._chain_id).transaction)

    # ---- the port --------------------------------------------------------------------------------

    def draft(self, height: int, slot: int, proposer: bytes, reveal: bytes, bytes_max: int) -> Draft:
        """What this node would propose now; `parent_certificate` is left to the core."""
        tip = query.tip(self.get)
        period = self._draft_period(tip.period, slot)
        verifies, memberships = tip.next_stage is Stage.VERIFICATION, self.pool.memberships
        if verifies:
            transactions = memberships.select(period, bytes_max, self._verifiers(height))
        else:
            transactions = self.pool.select(period, bytes_max)
        to_verify = (
            not verifies
            and len(memberships) > 0
            and self._may_verify(height + 1)
            and memberships.is_ready(self._verifiers(height + 1))
        )
        return Draft(
            height=height,
            slot=slot,
            proposer=proposer,
            period=period,
            stage=tip.next_stage,
            next_stage=Stage.VERIFICATION if to_verify else Stage.VALIDATION,
            reveal=reveal,
            transactions=transactions,
            parent_certificate=None,
        )

    def give_up(self, transactions: Sequence[bytes]) -> None:
        """Forget pending transactions that made an invalid block; whoever waits for one sends it again."""
        self.pool.drop_answered(read(data, self._chain_id).answer_key for data in transactions)

    def _draft_period(self, parent: int, slot: int) -> int:
        latest = block_rules.latest_period(self._genesis, parent, slot)
        if not self._genesis.market.replay:
            return latest
        waits_for_next = len(self.pool) > 0 and not self.pool.has_up_to(parent)
        return latest if waits_for_next else parent

    def has_pending(self, slot: int) -> bool:
        """Whether a leader has something to propose: what was sent, or what the clock has made due."""
        memberships = self.pool.memberships
        if len(memberships) > 0 and memberships.is_ready(self.verification_committee()):
            return True
        if self._genesis.market.replay:
            return len(self.pool) > 0
        # What is about a later period must wait for the clock: proposing nothing would not help it.
        return self.pool.has_up_to(self.period + 1) or self._has_due(slot)

    def _has_due(self, slot: int) -> bool:
        """Whether a block of this slot would close a gate that orders wait for, or settle an escrow."""
        parent = self.period
        latest = block_rules.latest_period(self._genesis, parent, slot)
        if latest == parent:
            return False
        gate_period = latest + self._genesis.market.gate_lead_periods
        return self._state.is_due(keys.ORDER, gate_period) or self._state.is_due(keys.ESCROW, latest - 1)

    def execute(self, draft: Draft) -> LedgerOutcome:
        """Execute on a scratch copy of the state; changes nothing.

        Raises:
            InvalidBlockError: no correct proposer makes this block.
        """
        tip = query.tip(self.get)
        block_rules.check_header(self._genesis, self.get, self._height, tip, draft)
        scratch = Scratch(self._state)
        market = self._genesis.market
        standings = Standings(scratch, market.scores, draft.period)
        book = OpenOrders(self._state)
        grid = GridCheck(self._grid, scratch.get) if self._grid else None
        community = self._community(draft, scratch)
        block = BlockContext(
            draft, scratch, self._chain_id, self._checker, market, standings, book, community, grid
        )
        mixed = beacon.mix(self.beacon(draft.height - 1), draft.reveal)
        if draft.period > tip.period:
            deferred.settle_due(block, self._state, tip.period)
            settlement.settle(block, self._state, tip.period)
            gate.close_gates(block, self._state, mixed)
        settlement.drop_expired(block, self._state)
        self._write_chain(scratch, draft, tip, mixed)
        self._reward(standings, draft)
        is_new_day = day_of(draft.period) > day_of(tip.period)
        if is_new_day:
            standings.return_due(self._roster.staked())
        receipts, answered = [], []
        for index, data in enumerate(draft.transactions):
            scratch.index = index
            submitted = read(data, self._chain_id)
            receipts.append(decide(block, submitted))
            answered.append(submitted.answer_key)
        standings.close()
        # Scores drift from day to day without being written.
        community.places.close(standings, self._roster.all_volunteers() if is_new_day else ())
        encoded = [encode_receipt(receipt) for receipt in receipts]
        changes = self._state.changes(scratch.values)
        return LedgerOutcome(
            draft=draft,
            receipts=encoded,
            receipts_root=merkle_root(encoded),
            state_root=changes.tree.root,
            versions=scratch.versions,
            transaction_ids=[receipt.transaction_id for receipt in receipts],
            changes=changes,
            answered=answered,
        )

    def _reward(self, standings: Standings, draft: Draft) -> None:
        """The proposer gains, and those who signed the certificate that the block carries."""
        rules = standings.rules
        standings.vote(draft.proposer, rules.proposer_gain_ppm)
        signers = draft.parent_certificate.members() if draft.parent_certificate else ()
        for signer in signers:
            standings.vote(signer, rules.signer_gain_ppm)

    def _write_chain(self, scratch: Scratch, draft: Draft, tip: TipRecord, mixed: bytes) -> None:
        said = TipRecord(draft.period, draft.next_stage)
        if said != tip:
            scratch.put(keys.TIP, encode_record(said))
        chains.reveal(scratch, draft.proposer, draft.height, draft.reveal)
        scratch.put(keys.beacon_mix(draft.height), mixed)
        self._write_verifications(scratch, draft)
        rules = self._genesis.consensus
        self._drop_mix(scratch, draft.height - rules.lag_blocks - rules.settle_blocks - 1)

    def _write_verifications(self, scratch: Scratch, draft: Draft) -> None:
        if draft.stage is not Stage.VERIFICATION:
            return
        known = query.verifications(self.get)
        scratch.put(keys.VERIFICATIONS, encode_record(VerificationsRecord(draft.height, known.last)))
        rules = self._genesis.consensus
        if known.before <= draft.height - rules.lag_blocks - rules.settle_blocks - 1:
            self._drop_mix(scratch, known.before, needed=False)

    def _drop_mix(self, scratch: Scratch, height: int, needed: bool = True) -> None:
        """Forget R of a height, unless a verification committee was drawn from it."""
        key, known = keys.beacon_mix(max(height, 0)), query.verifications(self.get)
        if self.get(key) is not None and not (needed and height in (known.last, known.before)):
            scratch.put(key, None)

    def commit(self, outcome: object) -> None:
        """Make an outcome of `execute` permanent; it was executed on the present state.

        The port knows outcomes by their roots only, hence the wide type.
        """
        assert isinstance(outcome, LedgerOutcome), "an outcome of another application is committed"
        draft = outcome.draft
        assert draft.height == self._height + 1, "an outcome of another height is committed"
        period = self.period
        of_members = [
            (key, value) for key, value in outcome.changes.values.items() if key.startswith(_OF_MEMBERS)
        ]
        unsigned = self._without_their_key(of_members)
        self._state.apply(outcome.changes)
        self._height = draft.height
        self._roster.apply(of_members, draft.height)
        self._serving = None
        self.pool.drop_answered(outcome.answered)
        if unsigned:
            self.pool.drop_of(unsigned)
        if draft.period > period:
            self.pool.drop_expired(draft.period)
        self.pool.memberships.drop_stale(draft.period)

    def _without_their_key(self, changed: Iterable[tuple[bytes, bytes | None]]) -> set[bytes]:
        """Members whose key is theirs no more after these changes."""
        found = set()
        for key, value in changed:
            if key.startswith(keys.MEMBER):
                before = query.member(self.get, who := key.removeprefix(keys.MEMBER))
                after = None if value is None else decode_record(MemberRecord, value)
                if before is not None and (after is None or after.public_key != before.public_key):
                    found.add(who)
        return found

    def member_key(self, participant_id: bytes, height: int) -> bytes | None:
        """33-byte key in the state after block `height`; None for who was no member then."""
        return query.key_at(self.get, participant_id, height)

    def volunteers(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        """Eligible members of a stage's pool in the state after block `height`, ascending."""
        return self._roster.volunteers(stage, height)

    def reserves(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        """Volunteers below the bar in the state after block `height`, best scored first, then ascending."""
        return self._roster.reserves(stage, height)

    def last_verification(self, height: int) -> int:
        """The last verification block at or below `height`, which is the tip's or the one below."""
        known = query.verifications(self.get)
        return known.last if known.last <= height else known.before

    def verification_committee(self) -> Roll:
        """Whom newcomers seal to now: the committee that the last header names for the stage."""
        if self._serving is None:
            self._serving = self._verifiers(self._height + self._genesis.consensus.lag_blocks)
        return self._serving

    def _verifiers(self, height: int) -> Roll:
        """The verification committee of `height`, no verification block lying between the tip and it."""
        timing, last = self._genesis.consensus, self.last_verification(self._height)
        reading = Reading.of(timing, Stage.VERIFICATION, height, last, _RULES)
        return Roll.read(self, timing, self._chain_id, reading, self.beacon)

    def _may_verify(self, height: int) -> bool:
        """Whether `height`, the one after the next, can be one of verification."""
        last = self.last_verification(self._height)
        return _RULES.serves(height, last, self._genesis.consensus.lag_blocks)

    def _community(self, draft: Draft, scratch: Scratch) -> Community:
        timing, verifies = self._genesis.consensus, draft.stage is Stage.VERIFICATION
        known = query.verifications(self.get)
        last = (draft.height, known.last) if verifies else (known.last, known.before)
        needed = Needed.after(timing, draft.height, last)
        places = Places(scratch, timing, draft.height, needed)
        places.look_again(self._roster.coming_of_age(draft.height))
        return Community(
            timing=timing,
            authority_key=self._authority_key,
            committee=self._verifiers(draft.height) if verifies else None,
            volunteers=self._roster.all_volunteers(),
            busy_periods=self._state.busy_periods(),
            needed=needed,
            places=places,
        )

    def beacon(self, height: int) -> bytes:
        """R_height; raises `LookupError` for heights that no committee depends on any more."""
        if height <= 0:
            return beacon.origin(self._chain_id)
        value = self.get(keys.beacon_mix(height))
        if value is None:
            raise LookupError(f"R_{height} is not in the state after height {self._height}")
        return value

    def reveal_tip(self, participant_id: bytes) -> bytes | None:
        """The link whose preimage the participant must reveal next; None: has no chain."""
        return chains.link(self.get, participant_id, self._height + 1)
