"""From a frame to a verified event: everything hostile ends here.

Lives here: decoding, who may send what, the refusals that need no signature, and the hand-over to the
verifier. Never here: consensus rules, the ledger's rules. Owns the invariant that nothing reaches the
core that did not decode canonically, come from somebody entitled to send it, and verify; and that a
refusal is counted by its code and never stops the node. Implements CONSENSUS section 5.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from functools import partial

from p2penergy.application import NodeApplication
from p2penergy.consensus.effects import Adopted, Event, Received
from p2penergy.consensus.replica import Replica
from p2penergy.messages import (
    BlockRequest,
    BlockResponse,
    Commit,
    CommitteesRequest,
    Decided,
    Evidence,
    HeadersRequest,
    MalformedMessageError,
    Message,
    Prepare,
    PrePrepare,
    Query,
    SealedRequest,
    Status,
    SyncResponse,
    ViewChange,
    VoteKind,
    Whereabouts,
    decode_block,
    decode_message,
)
from p2penergy.peers import is_guest, participant_of
from p2penergy.questions import GUEST_TOPICS
from p2penergy.rate import Allowances
from p2penergy.signing import (
    RefusedSignatureError,
    SignatureItem,
    Verified,
    certificate_items,
    message_items,
)
from p2penergy.verifier import Verifier

Handler = Callable[[bytes, Message], None]

GUEST_FRAMES_PER_S = 20
GUEST_FRAMES_BURST = 400
"""Of a certified non-member: enough to follow a long chain's committees without waiting."""

_FOR_CORE = (
    PrePrepare | Prepare | Commit | ViewChange | Decided | Status | BlockRequest | BlockResponse | Evidence
)
_FROM_NODES = _FOR_CORE | SyncResponse | Whereabouts


class Inbox:
    """Takes frames from the mesh; gives events to the core and requests to their handlers."""

    def __init__(
        self,
        replica: Replica,
        ledger: NodeApplication,
        verifier: Verifier,
        chain_id: bytes,
        drive: Callable[[Event], None],
        handlers: dict[type[Message], Handler],
        frames_per_s_max: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._replica = replica
        self._ledger = ledger
        self._verifier = verifier
        self._chain_id = chain_id
        self._drive = drive
        self._handlers = handlers
        self._now_ms = now_ms
        self._allowances = Allowances(frames_per_s_max, frames_per_s_max)
        self._guests = Allowances(GUEST_FRAMES_PER_S, GUEST_FRAMES_BURST)
        self.refused: Counter[str] = Counter()

    def on_frame(self, peer: bytes, payload: bytes) -> None:
        """One frame from an authenticated peer."""
        if not self._allowances.take(participant_of(peer), self._now_ms()):
            self.refused["rate"] += 1
            return
        try:
            message = decode_message(payload)
        except MalformedMessageError as error:
            self.refused[error.code] += 1
            return
        if (is_guest(peer) or not self._is_member(participant_of(peer))) and not self._may_guest(
            participant_of(peer), message
        ):
            return
        self._dispatch(peer, message, payload)

    def _may_guest(self, participant: bytes, message: Message) -> bool:
        """Whether a certified non-member may say that: ask for headers and committees, and apply."""
        allowed = (
            isinstance(message, HeadersRequest | CommitteesRequest)
            or (isinstance(message, SealedRequest) and not message.relayed)
            or (isinstance(message, Query) and message.topic in GUEST_TOPICS)
        )
        if not allowed:
            self.refused["not_a_member"] += 1
        elif not self._guests.take(participant, self._now_ms()):
            self.refused["guest_rate"] += 1
            return False
        return allowed

    def _is_member(self, participant: bytes) -> bool:
        return self._present_key(participant) is not None

    def _present_key(self, participant: bytes) -> bytes | None:
        return self._ledger.member_key(participant, self._ledger.height)

    def _dispatch(self, peer: bytes, message: Message, payload: bytes) -> None:
        from_node = isinstance(message, _FROM_NODES) or (
            isinstance(message, SealedRequest) and message.relayed
        )
        if from_node and participant_of(peer) != peer:
            # A device has one node: what each peer may claim, ask for or be told once is told by its name.
            self.refused["not_from_a_node"] += 1
        elif isinstance(message, _FOR_CORE):
            self._to_core(peer, message, payload)
        elif isinstance(message, SyncResponse):
            self._adopt_all(peer, message)
        else:
            handler = self._handlers.get(type(message))
            if handler is None:
                self.refused["not_for_nodes"] += 1
            else:
                handler(peer, message)

    def _to_core(self, peer: bytes, message: Message, payload: bytes) -> None:
        code = self._replica.admit(message, peer)
        if code is not None:
            self.refused[code] += 1
            return
        message, key_of = self._replica.checkable(message)
        try:
            items = message_items(message, self._chain_id, key_of)
            warm = self._warm_items(message)
        except (MalformedMessageError, RefusedSignatureError) as error:
            self.refused[error.code] += 1
            return
        # First what makes the message its sender's: transactions come by the thousand, and a forged
        # message must not have them checked. Then those, whatever the result: the core finds them known.
        drive = partial(self._drive, Received(Verified(message, payload), peer))
        urgent = peer in self._replica.committee(self._replica.height)

        def signed(good: bool) -> None:
            if good:
                self._verify(warm, lambda _good: drive(), urgent)
            else:
                self.refused["bad_signature"] += 1

        self._verify(items, signed, urgent)

    def _verify(self, items: list[SignatureItem], done: Callable[[bool], None], urgent: bool = False) -> None:
        if not items:
            done(True)
        elif not self._verifier.submit(items, done, urgent=urgent):
            self.refused["overload"] += 1

    def _warm_items(self, message: Message) -> list[SignatureItem]:
        # The ledger asks for these signatures when it executes the block; the threads are faster.
        # Which of them hold is the ledger's business: a bad one can be a lawful decline. What is pending
        # here was looked at when it came.
        if isinstance(message, PrePrepare | BlockResponse | Decided):
            return self._transaction_items(decode_block(message.block).transactions)
        return []

    def _transaction_items(self, transactions: Iterable[bytes]) -> list[SignatureItem]:
        items: list[SignatureItem] = []
        pool = self._ledger.pool
        for transaction in transactions:
            if not pool.holds(transaction):
                items.extend(pool.signature_items(transaction))
        return items

    def _adopt_all(self, peer: bytes, message: SyncResponse) -> None:
        code = self._replica.admit(message, peer)
        if code is not None:
            self.refused[code] += 1
            return
        # The core takes block after block; the threads may be done with a later one first.
        last = len(message.blocks) - 1
        adoptions = [
            _Adoption(Adopted(decided.block, decided.certificate, peer, last - number))
            for number, decided in enumerate(message.blocks)
        ]
        waiting = deque(adoptions)

        def checked(adoption: _Adoption, _good: bool) -> None:
            adoption.is_checked = True
            while waiting and waiting[0].is_checked:
                self._drive(waiting.popleft().event)

        for adoption in adoptions:
            self._verify(self._adoption_items(adoption.event), partial(checked, adoption))

    def _adoption_items(self, adopted: Adopted) -> list[SignatureItem]:
        # The core checks the certificate against the committee it computes; here the signatures are
        # only looked at early, all together, so that the core finds them known.
        items: list[SignatureItem] = []
        try:
            items.extend(
                certificate_items(adopted.certificate, VoteKind.COMMIT, self._chain_id, self._present_key)
            )
            items.extend(self._transaction_items(decode_block(adopted.block).transactions))
        except (MalformedMessageError, RefusedSignatureError):
            # A newer member may have signed; the core decides when it gets there.
            return []
        return items


class _Adoption:
    """A decided block on its way to the core."""

    __slots__ = ("event", "is_checked")

    def __init__(self, event: Adopted) -> None:
        self.event = event
        self.is_checked = False
