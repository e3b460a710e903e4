"""The bench-only application: it executes requests that do nothing, signed or not.

Lives here: a state machine behind the very same consensus as the ledger, to measure what others measure:
256-byte requests with a signature, and 0/0 requests without. Never here: energy, money; and never is it
part of a real network, since only `bench.member` can put it into a node. Owns the invariant that a request
executes at most once. Implements the seams of CONSENSUS sections 3 and 9.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.requests import ASKER_BYTES, request_id, signature_item
from p2penergy import beacon
from p2penergy.blocks import Draft, InvalidBlockError
from p2penergy.digests import TAG_STATE, digest, merkle_root
from p2penergy.genesis import Genesis
from p2penergy.ledger import PoolResult, Version
from p2penergy.messages import BLOCK_TRANSACTIONS_MAX, Stage
from p2penergy.signing import SignatureChecker, SignatureItem

POOL_REQUESTS_MAX = 100_000
FRAMING_BYTES = 5
"""What msgpack adds to a request in a block, at most."""
BEACONS_KEPT = 256

_TAKEN = PoolResult(True)


@dataclass(frozen=True, slots=True)
class BenchOutcome:
    """A draft executed; see `ports.Outcome` and `store.ports.StoredOutcome`."""

    draft: Draft
    receipts: Sequence[bytes]
    receipts_root: bytes
    state_root: bytes
    transaction_ids: Sequence[bytes]
    versions: Sequence[Version] = ()
    """None: what it does leaves no state but its root, so that it begins at genesis only."""


class BenchPool:
    """Pending requests in order of arrival; each is taken once."""

    def __init__(self, application: "BenchApplication") -> None:
        self._application = application
        self._pending: dict[bytes, bytes] = {}
        self._held: set[bytes] = set()
        """The bytes of all that are pending."""

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def ready(self) -> int:
        """All that are pending."""
        return len(self._pending)

    def signature_items(self, data: bytes) -> list[SignatureItem]:
        """The asker's signature; [] where requests have none, or this one is malformed."""
        return self._application.signature_items(data)

    def holds(self, data: bytes) -> bool:
        """Whether these very bytes are pending."""
        return data in self._held

    def check(self, data: bytes) -> PoolResult:
        """What `add` would say before it looks at the signature."""
        each = self._application.transaction_id(data)
        if each is None:
            return PoolResult(False, "malformed", "not a request of this application")
        if self._application.member_key(data[:ASKER_BYTES], self._application.height) is None:
            return PoolResult(False, "unknown_submitter", "the asker is not a member")
        if each in self._pending:
            return PoolResult(False, "pending", "the request is pending already")
        if each in self._application.executed:
            return PoolResult(False, "answered", "the request was answered already")
        if len(self._pending) >= POOL_REQUESTS_MAX:
            return PoolResult(False, "pool_full", f"{len(self._pending)} requests are pending")
        return _TAKEN

    def add(self, data: bytes) -> PoolResult:
        """Take a request in, or say why not."""
        result = self.check(data)
        if not result.accepted:
            return result
        if not self._application.is_signed_rightly(data):
            return PoolResult(False, "bad_signature", "the request is not signed by its asker")
        each = self._application.transaction_id(data)
        assert each is not None, "a malformed request passed the check"
        self._pending[each] = data
        self._held.add(data)
        return _TAKEN

    def select(self, bytes_max: int) -> tuple[bytes, ...]:
        """What fits into a block, oldest first."""
        chosen: list[bytes] = []
        for data in self._pending.values():
            bytes_max -= len(data) + FRAMING_BYTES
            if bytes_max < 0 or len(chosen) == BLOCK_TRANSACTIONS_MAX:
                break
            chosen.append(data)
        return tuple(chosen)

    def drop(self, request_ids: Iterable[bytes]) -> None:
        """Forget what was executed."""
        for each in request_ids:
            data = self._pending.pop(each, None)
            if data is not None:
                self._held.discard(data)


class BenchApplication:
    """Held at the tip; nothing of it survives the process."""

    def __init__(self, genesis: Genesis, checker: SignatureChecker, signed: bool) -> None:
        self._chain_id = genesis.chain_id
        self._checker = checker
        self._signed = signed
        self._keys = {bytes.fromhex(m.participant_id): bytes.fromhex(m.public_key) for m in genesis.members}
        self._tips = {
            bytes.fromhex(m.participant_id): bytes.fromhex(m.beacon_tip)
            for m in genesis.members
            if m.beacon_tip is not None
        }
        self._validators = tuple(
            sorted(bytes.fromhex(m.participant_id) for m in genesis.members if m.validator)
        )
        self._beacons = {0: beacon.origin(genesis.chain_id)}
        self._period = genesis.market.first_period
        self.executed: set[bytes] = set()
        self.state_root = digest(TAG_STATE, self._chain_id)
        self.height = 0
        self.pool = BenchPool(self)

    # ---- the clients' side -----------------------------------------------------------------------

    def transaction_id(self, data: bytes) -> bytes | None:
        """The id of a request; None when it is malformed."""
        return request_id(data, self._signed)

    def concerned(self, data: bytes) -> tuple[bytes, ...]:
        """Whom the reply goes to: the asker."""
        return (data[:ASKER_BYTES],)

    def signature_items(self, data: bytes) -> list[SignatureItem]:
        """The asker's signature; [] where there is nothing to check."""
        if not self._signed or self.transaction_id(data) is None:
            return []
        key = self._keys.get(data[:ASKER_BYTES])
        return [] if key is None else [signature_item(data, self._chain_id, key)]

    def is_signed_rightly(self, data: bytes) -> bool:
        """Whether the signature holds, where there has to be one."""
        if not self._signed:
            return True
        items = self.signature_items(data)
        return bool(items) and self._checker.check(*items[0])

    def get(self, key: bytes) -> bytes | None:
        """Nothing: there is no state to ask for."""
        return None

    # ---- the port --------------------------------------------------------------------------------

    def draft(self, height: int, slot: int, proposer: bytes, reveal: bytes, bytes_max: int) -> Draft:
        """Everything pending that fits."""
        return Draft(
            height=height,
            slot=slot,
            proposer=proposer,
            period=self._period,
            stage=Stage.VALIDATION,
            next_stage=Stage.VALIDATION,
            reveal=reveal,
            transactions=self.pool.select(bytes_max),
            parent_certificate=None,
        )

    def give_up(self, transactions: Sequence[bytes]) -> None:
        """Forget requests that made an invalid block."""
        self.pool.drop(each for data in transactions if (each := request_id(data, self._signed)))

    def has_pending(self, slot: int) -> bool:
        """Whether a request waits."""
        return len(self.pool) > 0

    def execute(self, draft: Draft) -> BenchOutcome:
        """The state after `draft`.

        Raises:
            InvalidBlockError: a request is malformed, unsigned, by a stranger or was answered before.
        """
        ids: list[bytes] = []
        for data in draft.transactions:
            each = request_id(data, self._signed)
            if each is None or data[:ASKER_BYTES] not in self._keys:
                raise InvalidBlockError("malformed_transaction", "not a request of a member")
            if each in self.executed:
                raise InvalidBlockError("answered_twice", f"{each.hex()} was answered before")
            if not self.is_signed_rightly(data):
                raise InvalidBlockError("bad_signature", f"{each.hex()} is not signed by its asker")
            ids.append(each)
        if len(set(ids)) != len(ids):
            raise InvalidBlockError("answered_twice", "the block holds a request twice")
        if draft.proposer not in self._tips or draft.stage is not Stage.VALIDATION:
            raise InvalidBlockError("unknown_proposer", "not a block of this application's")
        state_root = digest(TAG_STATE, self.state_root, *ids)
        return BenchOutcome(draft, ids, merkle_root(ids), state_root, ids)

    def commit(self, outcome: object) -> None:
        """Make an outcome permanent."""
        assert isinstance(outcome, BenchOutcome), "an outcome of another application is committed"
        draft = outcome.draft
        assert draft.height == self.height + 1, "an outcome of another height is committed"
        self.height, self.state_root = draft.height, outcome.state_root
        self._tips[draft.proposer] = draft.reveal
        self._beacons[draft.height] = beacon.mix(self._beacons[draft.height - 1], draft.reveal)
        self._beacons.pop(draft.height - BEACONS_KEPT, None)
        self.executed.update(outcome.transaction_ids)
        self.pool.drop(outcome.transaction_ids)

    def member_key(self, participant_id: bytes, height: int) -> bytes | None:
        """As genesis registers it."""
        return self._keys.get(participant_id)

    def volunteers(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        """Genesis' validators, at every height."""
        return self._validators if stage is Stage.VALIDATION else ()

    def reserves(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        """Nobody is below a bar: there are no scores."""
        return ()

    def last_verification(self, height: int) -> int:
        """There is no such stage."""
        return 0

    def beacon(self, height: int) -> bytes:
        """R_height."""
        return self._beacons[max(height, 0)]

    def reveal_tip(self, participant_id: bytes) -> bytes | None:
        """The link whose preimage the participant reveals next."""
        return self._tips.get(participant_id)
