"""Pending memberships: requests with the verdicts on them, and what members and the authority sent.

Lives here: a bounded pool over the current state, and putting admissions together. Never here: execution,
gossip, verifying a newcomer. Owns the invariants that what it selects makes a valid block, that it holds
requests to the committee that serves next alone, and that nobody's verdict counts twice. Implements the
proposer's side of LEDGER section 2.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from p2penergy.committees import Roll
from p2penergy.ledger import keys, query
from p2penergy.ledger.admissions import votes_needed
from p2penergy.ledger.memberships import (
    Admission,
    JoinRequest,
    MembershipRequest,
    MembershipTransaction,
    Renewal,
    Revocation,
    Verdict,
    VerdictCode,
)
from p2penergy.ledger.pool_result import TAKEN, PoolResult
from p2penergy.ledger.query import Get
from p2penergy.ledger.transactions import Submitted, answer_key, last_period, submitter_of
from p2penergy.ledger.verification import affected
from p2penergy.messages import BLOCK_TRANSACTIONS_MAX, encode
from p2penergy.signing import SIGNATURE_BYTES, SignatureChecker, SignatureItem

REQUESTS_MAX = 256
OWN_MAX = 1_024
OWN_PER_MEMBER_MAX = 4

FRAMING_BYTES = 5
"""What msgpack adds to a transaction in a block, at most."""


@dataclass(slots=True)
class _Asked:
    """A request and the verdicts on it so far."""

    request: MembershipRequest
    request_id: bytes
    signatures: dict[bytes, tuple[VerdictCode, bytes]] = field(default_factory=dict)
    """Verifier -> its verdict."""

    def votes(self, code: VerdictCode) -> tuple[tuple[bytes, bytes], ...]:
        """All verdicts with this code, verifiers ascending."""
        found = ((who, signature) for who, (given, signature) in self.signatures.items() if given is code)
        return tuple(sorted(found))

    def decision(self, committee_size: int) -> VerdictCode | None:
        """The code that has verdicts enough; an acceptance before any refusal."""
        given = sorted({code for code, _ in self.signatures.values()})
        return next(
            (code for code in given if len(self.votes(code)) >= votes_needed(code, committee_size)), None
        )


@dataclass(frozen=True, slots=True)
class _Own:
    data: bytes
    transaction: MembershipTransaction


class MembershipPool:
    """Bounded, deterministic; reads the current state through `get`."""

    def __init__(
        self,
        chain_id: bytes,
        checker: SignatureChecker,
        life_periods: int,
        get: Get,
        authority_key: bytes | None,
        committee: Callable[[], Roll],
    ) -> None:
        """`committee` answers with the verification committee that newcomers seal to now."""
        self._chain_id = chain_id
        self._checker = checker
        self._life_periods = life_periods
        self._get = get
        self._authority_key = authority_key
        self._committee = committee
        self._asked: dict[bytes, _Asked] = {}
        """By answer key."""
        self._by_id: dict[bytes, bytes] = {}
        """Request id -> answer key."""
        self._own: dict[bytes, _Own] = {}

    def __len__(self) -> int:
        return len(self._asked) + len(self._own)

    # ---- what verifiers look at --------------------------------------------------------------------

    def requests(self) -> list[tuple[bytes, MembershipRequest]]:
        """Pending requests with their ids, in order of arrival."""
        return [(asked.request_id, asked.request) for asked in self._asked.values()]

    def verdicts(self, request_id: bytes) -> dict[bytes, VerdictCode]:
        """What verifiers have said of a pending request so far; {} for any other."""
        asked = self._asked.get(self._by_id.get(request_id, b""))
        return {} if asked is None else {who: code for who, (code, _) in asked.signatures.items()}

    # ---- taking in ---------------------------------------------------------------------------------

    def signature_items(self, transaction: MembershipTransaction, signed: bytes) -> list[SignatureItem]:
        """The signature to check ahead; [] when its signer can't be one."""
        key = self._key(transaction)
        if key is None or isinstance(transaction, Admission):
            return []
        return [(key, signed, transaction.signature)]

    def _key(self, transaction: MembershipTransaction) -> bytes | None:
        if isinstance(transaction, JoinRequest | Renewal):
            return transaction.public_key
        if isinstance(transaction, Revocation):
            return self._authority_key
        if isinstance(transaction, Verdict):
            return self._committee().keys.get(transaction.verifier)
        member = query.member(self._get, submitter_of(transaction))
        return None if member is None else member.public_key

    def refusal(self, transaction: MembershipTransaction) -> PoolResult | None:
        """Why a transaction that came in time is not taken, signatures aside."""
        if not self._committee().members:
            return PoolResult(
                False, "no_verifiers", "nobody volunteers to verify, so that nothing can change"
            )
        if isinstance(transaction, Verdict):
            return self._verdict_refusal(transaction)
        if isinstance(transaction, Admission):
            said = "leaders make admissions themselves: send the request, or verdicts on it"
            return PoolResult(False, "not_for_pools", said)
        known = self._known(transaction)
        if known is not None:
            return known
        if isinstance(transaction, JoinRequest | Renewal):
            return self._request_refusal(transaction)
        return self._own_refusal(transaction)

    def _known(self, transaction: MembershipTransaction) -> PoolResult | None:
        key = answer_key(transaction)
        own, asked = self._own.get(key), self._asked.get(key)
        pending = own.transaction if own is not None else asked.request if asked is not None else None
        if (
            pending is not None
            and encode(pending)[:-SIGNATURE_BYTES] == encode(transaction)[:-SIGNATURE_BYTES]
        ):
            return PoolResult(False, "pending", "the transaction is pending already")
        if pending is not None:
            return PoolResult(False, "other_pending", f"another transaction for {keys.text(key)} is pending")
        if self._get(key) is not None:
            return PoolResult(False, "answered", f"{keys.text(key)} was answered already")
        return None

    def _request_refusal(self, request: MembershipRequest) -> PoolResult | None:
        if request.committee_root != self._committee().root:
            said = "this was sealed to a committee that does not serve now: seal to the present one"
            return PoolResult(False, "other_committee", said)
        before = self._of_device(request.public_key)
        if before is not None and not self._gives_way(before, request):
            return PoolResult(False, "other_pending", "another request of this device is pending")
        if before is None and len(self._asked) >= REQUESTS_MAX and self._oldest_undecided() is None:
            said = f"{len(self._asked)} requests are pending; try again later"
            return PoolResult(False, "pool_full", said)
        return None

    def _of_device(self, public_key: bytes) -> bytes | None:
        """The pending request that this key signed."""
        found = (key for key, asked in self._asked.items() if asked.request.public_key == public_key)
        return next(found, None)

    def _gives_way(self, key: bytes, request: MembershipRequest) -> bool:
        """Whether a device's own later request takes the place of an earlier one that nothing came of.

        Later by its nonce: whoever sends the earlier one again puts nobody out.
        """
        asked = self._asked[key]
        return request.nonce > asked.request.nonce and self._decision(asked) is None

    def _oldest_undecided(self) -> bytes | None:
        """The request that makes room for others: the oldest on which verdicts have decided nothing.

        How many verdicts it has does not count. Who seals something else to each verifier gets verdicts
        that never agree, and such a request would stay for as long as it likes. An honest one is decided
        within moments.
        """
        undecided = (key for key, asked in self._asked.items() if self._decision(asked) is None)
        return next(undecided, None)

    def _decision(self, asked: _Asked) -> VerdictCode | None:
        return asked.decision(len(self._committee().members))

    def _verdict_refusal(self, verdict: Verdict) -> PoolResult | None:
        asked = self._asked.get(self._by_id.get(verdict.request_digest, b""))
        if asked is None:
            return PoolResult(False, "unknown_request", "no such request is pending")
        if verdict.committee_root != asked.request.committee_root:
            return PoolResult(False, "other_committee", "the request was sealed to another committee")
        if verdict.verifier not in self._committee().keys:
            return PoolResult(False, "not_a_verifier", f"{verdict.verifier.hex()} does not verify now")
        given = asked.signatures.get(verdict.verifier)
        if given is not None:
            code = "pending" if given[0] is verdict.code else "other_pending"
            return PoolResult(False, code, "this verifier's verdict is known already")
        return None

    def _own_refusal(self, transaction: MembershipTransaction) -> PoolResult | None:
        who = submitter_of(transaction)
        if isinstance(transaction, Revocation):
            if self._authority_key is None:
                return PoolResult(False, "no_authority", "genesis names no authority_key: nobody can revoke")
        elif query.member(self._get, who) is None:
            return PoolResult(False, "unknown_submitter", f"{who.hex()} is not a member")
        elif sum(submitter_of(own.transaction) == who for own in self._own.values()) >= OWN_PER_MEMBER_MAX:
            said = f"{OWN_PER_MEMBER_MAX} memberships of this member are pending; wait for their receipts"
            return PoolResult(False, "submitter_full", said)
        if len(self._own) >= OWN_MAX:
            return PoolResult(
                False, "pool_full", f"{len(self._own)} memberships are pending; try again later"
            )
        return None

    def add(self, data: bytes, transaction: MembershipTransaction, submitted: Submitted) -> PoolResult:
        """Take in what `refusal` lets pass, if its signature holds."""
        items = self.signature_items(transaction, submitted.signed)
        if not items or not all(self._checker.check(*item) for item in items):
            return PoolResult(False, "bad_signature", "the transaction is not signed by whom it must be")
        if isinstance(transaction, Verdict):
            asked = self._asked[self._by_id[transaction.request_digest]]
            asked.signatures[transaction.verifier] = (transaction.code, transaction.signature)
        elif isinstance(transaction, JoinRequest | Renewal):
            before = self._of_device(transaction.public_key)
            if before is not None:
                self._remove(before)
            elif len(self._asked) >= REQUESTS_MAX:
                self._remove(self._oldest_undecided() or b"")
            key = answer_key(transaction)
            self._asked[key] = _Asked(transaction, submitted.transaction_id)
            self._by_id[submitted.transaction_id] = key
        else:
            self._own[answer_key(transaction)] = _Own(data, transaction)
        return TAKEN

    # ---- giving out --------------------------------------------------------------------------------

    def is_ready(self, committee: Roll) -> bool:
        """Whether a verification block that `committee` decides would have something to hold."""
        if not committee.members:
            return False
        return bool(self._own) or next(iter(self._admissions(committee)), None) is not None

    def select(self, period: int, bytes_max: int, committee: Roll) -> tuple[bytes, ...]:
        """Transactions for a verification block of `period` that `committee` decides.

        Revocations first, then what members sent, then who is admitted, then who is refused: refusals,
        which strangers can cause as they like, take no room from anybody.
        """
        own = sorted(self._own.values(), key=lambda own: not isinstance(own.transaction, Revocation))
        found = [(own.transaction, own.data) for own in own]
        admissions = sorted(self._admissions(committee), key=lambda made: made.code is not VerdictCode.ACCEPT)
        found += [(made, encode(made)) for made in admissions]
        selected: list[bytes] = []
        about: set[bytes] = set()
        left_bytes = bytes_max
        for transaction, data in found:
            concerned = affected(self._get, transaction)
            if last_period(transaction, self._life_periods) < period or not about.isdisjoint(concerned):
                continue
            left_bytes -= len(data) + FRAMING_BYTES
            if left_bytes < 0 or len(selected) == BLOCK_TRANSACTIONS_MAX:
                break
            selected.append(data)
            about |= concerned
        return tuple(selected)

    def _admissions(self, committee: Roll) -> Iterator[Admission]:
        for asked in self._asked.values():
            code = asked.decision(len(committee.members))
            if code is not None and asked.request.committee_root == committee.root:
                yield Admission(asked.request, code, asked.votes(code))

    # ---- forgetting --------------------------------------------------------------------------------

    def _remove(self, key: bytes) -> None:
        self._own.pop(key, None)
        asked = self._asked.pop(key, None)
        if asked is not None:
            del self._by_id[asked.request_id]

    def drop_answered(self, answered: Iterable[bytes]) -> None:
        """Forget what a committed block answered."""
        for key in answered:
            self._remove(key)

    def drop_of(self, members: set[bytes]) -> None:
        """Forget what these members signed with a key that is theirs no more."""
        for key, own in list(self._own.items()):
            if submitter_of(own.transaction) in members and not isinstance(own.transaction, Revocation):
                self._remove(key)

    def drop_stale(self, period: int) -> None:
        """Forget what no block of `period` or later may hold, and requests to another committee."""
        root = self._committee().root if self._asked else b""
        for key, asked in list(self._asked.items()):
            if asked.request.expires_period < period or asked.request.committee_root != root:
                self._remove(key)
        for key, own in list(self._own.items()):
            if last_period(own.transaction, self._life_periods) < period:
                self._remove(key)
