"""A tiny replicated state machine: it counts, and its members can come and go.

Lives here: the smallest `ports.Application` that still has everything consensus depends on: pending
transactions, a state root, members with history, the beacon. Never here: energy or
money; runs that need those use the real ledger. Owns the invariant that a transaction executes at
most once. Implements the seams of CONSENSUS sections 3 and 9.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from p2penergy import beacon
from p2penergy.beacon import HashChain
from p2penergy.blocks import Draft, InvalidBlockError
from p2penergy.consensus.ports import Outcome
from p2penergy.digests import merkle_root
from p2penergy.genesis import Genesis
from p2penergy.messages import Evidence, Stage
from p2penergy.signing import Signer
from p2penergy.simulation import roster
from p2penergy.simulation.roster import Roster

PERIOD_SLOTS = 4
CHAIN_LINKS = 64
ADD = b"add "
_KINDS = (ADD, *roster.KINDS)
_BODY_BYTES = 8
_KIND_BYTES = 4


def transaction(kind: bytes, number: int) -> bytes:
    """Twelve bytes: add the number, or change something about member `number` (`roster`)."""
    return kind + number.to_bytes(_BODY_BYTES, "big")


@lru_cache(maxsize=256)
def hash_chain(member: int) -> HashChain:
    """The short reveal chain of a simulated member; the same in every run."""
    return HashChain(b"simulated %d" % member, CHAIN_LINKS)


@dataclass(frozen=True, slots=True)
class CounterOutcome:
    """What executing a draft gives; see `ports.Outcome`."""

    draft: Draft
    receipts: Sequence[bytes]
    receipts_root: bytes
    state_root: bytes
    roster: Roster


class CounterApplication:
    """Held at the tip's state; pending transactions live in memory only."""

    def __init__(self, genesis: Genesis) -> None:
        self._rules = genesis.consensus
        self._tips = {
            bytes.fromhex(m.participant_id): bytes.fromhex(m.beacon_tip)
            for m in genesis.members
            if m.beacon_tip is not None
        }
        self._rosters = [Roster.of(genesis)]
        """By height."""
        self._beacons = [beacon.origin(genesis.chain_id)]
        self._verifications = [0]
        """By height: the last verification block up to there."""
        self._root = bytes(32)
        self._period = genesis.market.first_period
        self._next_stage = genesis.consensus.first_stage
        self._executed: set[bytes] = set()
        self._pending: dict[bytes, None] = {}
        self.censors = False
        """A Byzantine proposer's switch: leave every pending transaction out."""
        self.wants_verification: Callable[[int], bool] = lambda height: False
        """Whether this proposer names the verification stage for the height after `height`."""

    @property
    def height(self) -> int:
        """Height of the last committed outcome."""
        return len(self._beacons) - 1

    @property
    def state_root(self) -> bytes:
        """Root of the state at the tip."""
        return self._root

    def submit(self, raw: bytes) -> bool:
        """Take a client's transaction; False when it is nothing new or not a transaction."""
        if raw in self._executed or raw in self._pending or not _is_transaction(raw):
            return False
        self._pending[raw] = None
        return True

    def executed(self, outcome: Outcome) -> Sequence[bytes]:
        """The transactions that a block executed: all of them."""
        return outcome.draft.transactions

    def conserved(self) -> str | None:
        """What is wrong with the books, None when they balance: a counter has no books."""
        return None

    def accusation(self, signer: Signer, evidence: Evidence) -> bytes | None:
        """A counter keeps no evidence."""
        return None

    def is_on_record(self, participant_id: bytes) -> bool:
        """A counter keeps no evidence."""
        return False

    def may_hold(self, raw: bytes) -> bool:
        """Anybody may count."""
        return True

    def draft(self, height: int, slot: int, proposer: bytes, reveal: bytes, bytes_max: int) -> Draft:
        """Everything pending that fits."""
        size = _KIND_BYTES + _BODY_BYTES
        fitting = [] if self.censors else list(self._pending)[: bytes_max // size]
        after = Stage.VERIFICATION if self.wants_verification(height) else Stage.VALIDATION
        period = max(self._period, slot // PERIOD_SLOTS)
        return Draft(height, slot, proposer, period, self._next_stage, after, reveal, tuple(fitting), None)

    def give_up(self, transactions: Sequence[bytes]) -> None:
        """Forget what waits."""
        for transaction in transactions:
            self._pending.pop(transaction, None)

    def has_pending(self, slot: int) -> bool:
        """Whether a client's transaction waits."""
        return bool(self._pending) and not self.censors

    def execute(self, draft: Draft) -> CounterOutcome:
        """The state after `draft`.

        Raises:
            InvalidBlockError: wrong height, stage, period or reveal, a repeated or unknown transaction.
        """
        self._check(draft)
        members = self._rosters[-1]
        receipts = []
        for raw in draft.transactions:
            kind, number = raw[:_KIND_BYTES], int.from_bytes(raw[_KIND_BYTES:], "big")
            changed = members if kind == ADD else members.apply(kind, number)
            receipts.append(raw + (b" no" if changed is members and kind != ADD else b" ok"))
            members = changed
        root = sha256(
            b"".join((self._root, draft.proposer, draft.slot.to_bytes(8, "big"), *receipts))
        ).digest()
        return CounterOutcome(draft, tuple(receipts), merkle_root(receipts), root, members)

    def _check(self, draft: Draft) -> None:
        tip = self._tips.get(draft.proposer)
        seen: set[bytes] = set()
        for raw in draft.transactions:
            if raw in self._executed or raw in seen or not _is_transaction(raw):
                raise InvalidBlockError("transaction", "a transaction is repeated or malformed")
            seen.add(raw)
        if draft.height != self.height + 1 or draft.stage is not self._next_stage:
            raise InvalidBlockError("place", "not the height or the stage that comes next")
        if not self._period <= draft.period <= max(self._period, draft.slot // PERIOD_SLOTS):
            raise InvalidBlockError("period", "the period goes back, or lies in the future")
        if tip is None or not beacon.reveals(draft.reveal, tip):
            raise InvalidBlockError("reveal", "not the preimage of the proposer's tip")

    def commit(self, outcome: object) -> None:
        """Make an outcome of `execute` permanent."""
        assert isinstance(outcome, CounterOutcome), "an outcome of another application"
        draft = outcome.draft
        self._root, self._period, self._next_stage = outcome.state_root, draft.period, draft.next_stage
        self._tips[draft.proposer] = draft.reveal
        self._beacons.append(beacon.mix(self._beacons[-1], draft.reveal))
        self._rosters.append(outcome.roster)
        is_verification = draft.stage is Stage.VERIFICATION
        self._verifications.append(draft.height if is_verification else self._verifications[-1])
        for raw in draft.transactions:
            self._executed.add(raw)
            self._pending.pop(raw, None)

    def member_key(self, participant_id: bytes, height: int) -> bytes | None:
        """Key of who is a member after block `height`, in the pool or not."""
        return self._rosters[height].present.get(participant_id)

    def volunteers(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        """The stage's pool after block `height`, ascending."""
        return self._rosters[height].pools[stage]

    def reserves(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        """Members who do not volunteer."""
        return self._rosters[height].reserves(stage)

    def last_verification(self, height: int) -> int:
        """The last verification block at or below `height`."""
        return self._verifications[height]

    def beacon(self, height: int) -> bytes:
        """R_height; the origin for heights up to 0."""
        return self._beacons[max(0, height)]

    def reveal_tip(self, participant_id: bytes) -> bytes | None:
        """What the participant's next reveal must hash to."""
        return self._tips.get(participant_id)


def _is_transaction(raw: bytes) -> bool:
    return len(raw) == _KIND_BYTES + _BODY_BYTES and raw[:_KIND_BYTES] in _KINDS
