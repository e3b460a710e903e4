"""Pending transactions: who gets in, in which order they leave, when they are dropped.

Lives here: a bounded pool over the current state. Never here: execution, gossip, waiting. Owns the
invariants that what it selects makes a valid block, that one submitter can fill no more than its share,
and that it answers every refusal with a code. Implements the client side of CONSENSUS section 8 and
LEDGER section 5.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from p2penergy.grid.periods import period_text as _at
from p2penergy.ledger import evidence, keys, query
from p2penergy.ledger.membership_pool import FRAMING_BYTES, MembershipPool
from p2penergy.ledger.memberships import MEMBERSHIP_TYPES, Revocation, Verdict
from p2penergy.ledger.pool_result import TAKEN, PoolResult
from p2penergy.ledger.query import Get
from p2penergy.ledger.transactions import (
    Accusation,
    Contract,
    Reading,
    Submitted,
    Transaction,
    first_period,
    last_period,
    parse,
    period_of,
    submitter_of,
    terms_bytes,
)
from p2penergy.messages import (
    BLOCK_TRANSACTIONS_MAX,
    TRANSACTION_BYTES_MAX,
    MalformedMessageError,
)
from p2penergy.signing import SignatureChecker, SignatureItem

POOL_TRANSACTIONS_MAX = 40_000
POOL_BYTES_MAX = 32 * 1024 * 1024
SUBMITTER_TRANSACTIONS_MAX = 10_000
SUBMITTER_BYTES_MAX = 8 * 1024 * 1024


_TIMELESS = Reading | Accusation | Revocation | Verdict
"""What names no last period of its own."""


@dataclass(frozen=True, slots=True)
class _Pending:
    data: bytes
    submitter: bytes
    period: int
    expires_period: int
    goes_first: bool
    accused: bytes | None
    """By evidence, which comes before everything else."""


@dataclass(slots=True)
class _Lane:
    """What is pending about one settlement period, in order of arrival; evidence stands in lane 0."""

    first: dict[bytes, _Pending] = field(default_factory=dict)
    """Readings and evidence: before all contracts."""
    contracts: dict[bytes, dict[bytes, _Pending]] = field(default_factory=dict)
    """By submitter."""
    count: int = 0

    def add(self, key: bytes, pending: _Pending) -> None:
        self.count += 1
        if pending.goes_first:
            self.first[key] = pending
        else:
            self.contracts.setdefault(pending.submitter, {})[key] = pending

    def remove(self, key: bytes, pending: _Pending) -> None:
        self.count -= 1
        if pending.goes_first:
            del self.first[key]
            return
        queue = self.contracts[pending.submitter]
        del queue[key]
        if not queue:
            del self.contracts[pending.submitter]

    def is_empty(self) -> bool:
        return not self.count

    def last_key(self) -> bytes:
        """The key of what came last of the submitter that came last, or else of the last to go first."""
        queue = next(reversed(self.contracts.values()), self.first)
        return next(reversed(queue))

    def contracts_in_turn(self) -> Iterator[_Pending]:
        """The first of every submitter, then the second of every, and so on."""
        queues = [iter(queue.values()) for queue in self.contracts.values()]
        while queues:
            waiting = []
            for queue in queues:
                pending = next(queue, None)
                if pending is not None:
                    yield pending
                    waiting.append(queue)
            queues = waiting


@dataclass(slots=True)
class _Share:
    """What one submitter has pending."""

    count: int = 0
    size_bytes: int = 0


_NOTHING = _Share()
"""Of who has nothing pending; never changed."""


class Pool:
    """Bounded, deterministic; reads the current state through `get`."""

    def __init__(
        self,
        chain_id: bytes,
        checker: SignatureChecker,
        life_periods: int,
        get: Get,
        memberships: MembershipPool,
    ) -> None:
        """`memberships` takes what is of the verification stage."""
        self.memberships = memberships
        self._chain_id = chain_id
        self._checker = checker
        self._life_periods = life_periods
        self._get = get
        self._pending: dict[bytes, _Pending] = {}
        self._held: set[bytes] = set()
        """The bytes of all that are pending."""
        self._tip: tuple[bytes | None, int] = (None, 0)
        """The tip's record with its period: read anew once per block."""
        self._lanes: dict[int, _Lane] = {}
        self._shares: dict[bytes, _Share] = {}
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._pending)

    def holds(self, data: bytes) -> bool:
        """Whether these very bytes are pending here, hence signed by their submitter."""
        return data in self._held

    @property
    def _period(self) -> int:
        """Of the last block."""
        value = self._get(keys.TIP)
        if value != self._tip[0]:
            self._tip = value, query.tip(self._get).period
        return self._tip[1]

    @property
    def ready(self) -> int:
        """How many are about the last block's period or an earlier one, hence soon decided.

        What waits for a later period is no reason to take nothing more until then.
        """
        now = self._period
        return sum(lane.count for period, lane in self._lanes.items() if period <= now)

    def signature_items(self, data: bytes) -> list[SignatureItem]:
        """The signatures to check ahead: the submitter's, then a contract's counterparty's, or evidence's.

        Of a contract only the first must hold for `add`: a wrong second one is declined. [] when there
        is nothing to check, because `data` is malformed or its submitter a stranger.
        """
        try:
            submitted = parse(data, self._chain_id)
        except MalformedMessageError:
            return []
        transaction = submitted.transaction
        if isinstance(transaction, MEMBERSHIP_TYPES):
            return self.memberships.signature_items(transaction, submitted.signed)
        submitter = query.member(self._get, submitter_of(transaction))
        if submitter is None:
            return []
        items = [(submitter.public_key, submitted.signed, transaction.signature)]
        if isinstance(transaction, Contract):
            other = query.member(self._get, transaction.counterparty)
            if other is not None:
                signed = terms_bytes(transaction.terms, self._chain_id)
                items.append((other.public_key, signed, transaction.counterparty_signature))
        elif isinstance(transaction, Accusation):
            items += evidence.signature_items(self._get, self._chain_id, transaction.evidence)
        return items

    def check(self, data: bytes) -> PoolResult:
        """What `add` would say before it looks at signatures; cheap, and changes nothing."""
        result, _ = self._checked(data)
        return result

    def add(self, data: bytes) -> PoolResult:
        """Take a transaction in, or say why not."""
        result, submitted = self._checked(data)
        if submitted is None:
            return result
        transaction = submitted.transaction
        if isinstance(transaction, MEMBERSHIP_TYPES):
            return self.memberships.add(data, transaction, submitted)
        member = query.member(self._get, submitter_of(transaction))
        assert member is not None, "a stranger passed the check"
        if not self._checker.check(member.public_key, submitted.signed, transaction.signature):
            return PoolResult(False, "bad_signature", "the transaction is not signed by its submitter")
        if isinstance(transaction, Accusation) and not evidence.are_signed(
            self._get, self._chain_id, self._checker, transaction.evidence
        ):
            return PoolResult(False, "bad_signature", "the accused did not sign both statements")
        self._insert(data, submitted)
        return TAKEN

    def _checked(self, data: bytes) -> tuple[PoolResult, Submitted | None]:
        if len(data) > TRANSACTION_BYTES_MAX:
            said = f"{len(data)} bytes, at most {TRANSACTION_BYTES_MAX} make a transaction"
            return PoolResult(False, "too_large", said), None
        try:
            submitted = parse(data, self._chain_id)
        except MalformedMessageError as error:
            return PoolResult(False, error.code, str(error)), None
        transaction = submitted.transaction
        if isinstance(transaction, MEMBERSHIP_TYPES):
            refusal = self._untimely(transaction) or self.memberships.refusal(transaction)
            return (refusal, None) if refusal else (TAKEN, submitted)
        refusal = (
            self._stranger(transaction)
            or self._proves_nothing(transaction)
            or self._known(submitted)
            or self._untimely(transaction)
            or self._full(len(data), submitter_of(transaction), first_period(transaction))
        )
        return (refusal, None) if refusal else (TAKEN, submitted)

    def _stranger(self, transaction: Transaction) -> PoolResult | None:
        submitter = submitter_of(transaction)
        if self._get(keys.member(submitter)) is None:
            return PoolResult(False, "unknown_submitter", f"{submitter.hex()} is not a member")
        return None

    def _proves_nothing(self, transaction: Transaction) -> PoolResult | None:
        if not isinstance(transaction, Accusation):
            return None
        found = evidence.fault(self._get, transaction.evidence)
        if found is not None:
            return PoolResult(False, *found)
        if evidence.is_proven_enough(self._get, transaction.accused):
            return PoolResult(False, "proven_enough", "more than enough is on record against this member")
        return None

    def _known(self, submitted: Submitted) -> PoolResult | None:
        transaction, key = submitted.transaction, submitted.answer_key
        pending = self._pending.get(key)
        if pending is not None:
            # By its id, not by its bytes: anybody on the way can turn a signature into the other valid one.
            if parse(pending.data, self._chain_id).transaction_id == submitted.transaction_id:
                return PoolResult(False, "pending", "the transaction is pending already")
            return PoolResult(False, "other_pending", f"another transaction for {keys.text(key)} is pending")
        if self._get(key) is not None or self._is_settled(transaction):
            return PoolResult(False, "answered", f"{keys.text(key)} was answered already")
        return None

    def _is_settled(self, transaction: Transaction) -> bool:
        if not isinstance(transaction, Reading):
            return False
        return self._get(keys.bill(transaction.meter, transaction.period)) is not None

    def _untimely(self, transaction: Transaction) -> PoolResult | None:
        now, period = self._period, period_of(transaction)
        latest = now + self._life_periods
        if period > latest:
            said = f"the transaction is about period {_at(period)}, at most {_at(latest)} is taken now"
            return PoolResult(False, "period_too_far", said)
        expires = last_period(transaction, self._life_periods)
        if expires < now:
            said = f"the transaction expired in period {_at(expires)}, the ledger is at {_at(now)}"
            return PoolResult(False, "expired", said)
        if expires > latest and not isinstance(transaction, _TIMELESS):
            said = f"the transaction expires in period {_at(expires)}, at most {_at(latest)} is taken now"
            return PoolResult(False, "expiry_too_far", said)
        return None

    def _full(self, size_bytes: int, submitter: bytes, period: int) -> PoolResult | None:
        share = self._shares.get(submitter, _NOTHING)
        if share.count >= SUBMITTER_TRANSACTIONS_MAX or share.size_bytes + size_bytes > SUBMITTER_BYTES_MAX:
            said = f"{share.count} transactions of this submitter are pending; wait for their receipts"
            return PoolResult(False, "submitter_full", said)
        if not self._has_room(size_bytes) and self._lane_to_spare(period) is None:
            said = f"{len(self)} transactions are pending at this node; try another, or later"
            return PoolResult(False, "pool_full", said)
        return None

    def _has_room(self, size_bytes: int) -> bool:
        return len(self) < POOL_TRANSACTIONS_MAX and self.size_bytes + size_bytes <= POOL_BYTES_MAX

    def _lane_to_spare(self, period: int) -> _Lane | None:
        """The latest lane, if it must wait for longer than what is about `period`, and for long at all.

        A few members could fill every place with contracts of tomorrow, and shut the market for a day.
        """
        latest = max(self._lanes, default=0)
        soon = self._period + 1
        return self._lanes[latest] if latest > max(period, soon) else None

    def _make_room(self, size_bytes: int, period: int) -> None:
        while not self._has_room(size_bytes):
            lane = self._lane_to_spare(period)
            assert lane is not None, "a transaction was taken for which there is no room"
            self._remove(lane.last_key())

    def _insert(self, data: bytes, submitted: Submitted) -> None:
        transaction, key = submitted.transaction, submitted.answer_key
        submitter = submitter_of(transaction)
        expires = last_period(transaction, self._life_periods)
        goes_first = isinstance(transaction, Reading | Accusation)
        accused = transaction.accused if isinstance(transaction, Accusation) else None
        pending = _Pending(data, submitter, first_period(transaction), expires, goes_first, accused)
        self._make_room(len(data), pending.period)
        self._pending[key] = pending
        self._held.add(data)
        self._lanes.setdefault(pending.period, _Lane()).add(key, pending)
        share = self._shares.setdefault(submitter, _Share())
        share.count += 1
        share.size_bytes += len(data)
        self.size_bytes += len(data)

    def _remove(self, key: bytes) -> None:
        pending = self._pending.pop(key, None)
        if pending is None:
            return
        self._held.discard(pending.data)
        lane = self._lanes[pending.period]
        lane.remove(key, pending)
        if lane.is_empty():
            del self._lanes[pending.period]
        share = self._shares[pending.submitter]
        share.count -= 1
        share.size_bytes -= len(pending.data)
        if not share.count:
            del self._shares[pending.submitter]
        self.size_bytes -= len(pending.data)

    def has_up_to(self, period: int) -> bool:
        """Whether something is pending about `period` or an earlier one."""
        return any(pending <= period for pending in self._lanes)

    def select(self, period: int, bytes_max: int) -> tuple[bytes, ...]:
        """Transactions for a block of `period`: evidence, readings, then contracts, submitters in turn.

        Those about an earlier period are among them, to be declined: their submitters wait for a
        receipt.
        """
        open_lanes = [self._lanes[number] for number in sorted(self._lanes) if number <= period]
        ordered = chain(
            chain.from_iterable(lane.first.values() for lane in open_lanes),
            chain.from_iterable(lane.contracts_in_turn() for lane in open_lanes),
        )
        selected: list[bytes] = []
        expelled: set[bytes] = set()
        left_bytes = bytes_max
        for pending in ordered:
            if pending.expires_period < period or not expelled.isdisjoint(
                (pending.submitter, pending.accused)
            ):
                continue
            if pending.accused is not None and not self._is_signed_evidence(pending.data):
                # Its keys may be forgotten by now, and a block with evidence that proves nothing is invalid.
                continue
            left_bytes -= len(pending.data) + FRAMING_BYTES
            if left_bytes < 0 or len(selected) == BLOCK_TRANSACTIONS_MAX:
                break
            selected.append(pending.data)
            if pending.accused is not None:
                # Whom the evidence ahead expels has no transaction in the rest of the block.
                expelled.add(pending.accused)
        return tuple(selected)

    def _is_signed_evidence(self, data: bytes) -> bool:
        transaction = parse(data, self._chain_id).transaction
        assert isinstance(transaction, Accusation), "only evidence accuses"
        return evidence.are_signed(self._get, self._chain_id, self._checker, transaction.evidence)

    def drop_answered(self, answered: Iterable[bytes]) -> None:
        """Forget what a committed block answered, by its answer keys, other pending answers included."""
        answered = list(answered)
        for key in answered:
            self._remove(key)
        self.memberships.drop_answered(answered)

    def drop_of(self, members: set[bytes]) -> None:
        """Forget what these signed with a key that is theirs no more, and evidence against them.

        Whoever still has that evidence may bring it again.
        """
        for key, pending in list(self._pending.items()):
            if pending.submitter in members or pending.accused in members:
                self._remove(key)
        self.memberships.drop_of(members)

    def drop_expired(self, period: int) -> None:
        """Forget what no block of `period` or later may hold."""
        over = [key for key, pending in self._pending.items() if pending.expires_period < period]
        for key in over:
            self._remove(key)
