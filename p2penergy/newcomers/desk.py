"""Where newcomers' sealed requests arrive at a node, and from where each verifier gets its seal.

Lives here: the refusals before anything costly, handing the request to the pool, passing seals on, the
node's own verdict. Never here: judging (`examiner`), deciding (`ledger`), who is a member. Owns the
invariants that a seal is passed on to the verifier whom the signed digest names and to nobody else, and that
a flood of requests costs no more than its share. Implements the joining of LEDGER section 2 and the bounds of
CONSENSUS section 5 for what a stranger may send.
"""

from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from p2penergy.ledger.memberships import MembershipRequest, request_bytes, request_digest
from p2penergy.membership.errors import KeyFileError
from p2penergy.membership.sealed_identity import belongs
from p2penergy.messages import (
    MalformedMessageError,
    Message,
    ProvenSeal,
    Refused,
    SealedRequest,
    canonical,
    encode,
)
from p2penergy.newcomers.examiner import Examiner
from p2penergy.peers import participant_of
from p2penergy.rate import Allowances, TokenBucket
from p2penergy.signing import SignatureChecker
from transport import Mesh

REQUESTS_PER_S = 1
REQUESTS_BURST = 5
"""Of one newcomer; an honest one sends one, and again when nothing came of it."""
RELAYED_PER_S = 5
RELAYED_BURST = 15
"""Of one member that passes others' requests on: a quarter of what is examined, so that no member that makes
them up, each with a key of its own, takes the verifiers' time away from newcomers."""
EXAMINED_PER_S = 20
EXAMINED_BURST = 60
"""Of all: opening and judging takes about two milliseconds."""

Members = Callable[[bytes], Mapping[bytes, bytes] | None]
"""Root of a verification committee that serves or is about to -> its members with their keys."""

_decoder: "msgspec.msgpack.Decoder[MembershipRequest]" = msgspec.msgpack.Decoder(MembershipRequest)


class Desk:
    """Takes sealed requests for one node; `examiner` is None where it can be no verifier."""

    def __init__(
        self,
        mesh: Mesh,
        chain_id: bytes,
        checker: SignatureChecker,
        committee: Members,
        gossip: Callable[[tuple[bytes, ...], bytes | None], None],
        examiner: Examiner | None,
        now_ms: Callable[[], int],
    ) -> None:
        """`gossip` takes transactions into the pool and on to the committees; the peer is told a refusal."""
        self._mesh = mesh
        self._name = participant_of(mesh.name)
        self._chain_id = chain_id
        self._checker = checker
        self._committee = committee
        self._gossip = gossip
        self._examiner = examiner
        self._now_ms = now_ms
        self._allowances = Allowances(REQUESTS_PER_S, REQUESTS_BURST)
        self._relayed = Allowances(RELAYED_PER_S, RELAYED_BURST)
        self._examining = TokenBucket(EXAMINED_PER_S, EXAMINED_BURST, now_ms())
        self.refused: Counter[str] = Counter()

    def on_sealed(self, peer: bytes, message: Message) -> None:
        """A sealed request from the newcomer itself, or one verifier's part of it from a member."""
        assert isinstance(message, SealedRequest)
        allowances = self._relayed if message.relayed else self._allowances
        if not allowances.take(participant_of(peer), self._now_ms()):
            self.refused["join_rate"] += 1
            return
        try:
            request: MembershipRequest = canonical(_decoder, message.request, "request to join")
        except MalformedMessageError as error:
            self.refused[f"join_{error.code}"] += 1
            return
        digest = request_digest(request, self._chain_id)
        code, sentence = self._fault(peer, message, request)
        if code:
            self.refused[f"join_{code}"] += 1
            if not message.relayed:
                self._mesh.send(peer, encode(Refused(digest, code, sentence)))
            return
        if not message.relayed:
            self._gossip((message.request,), peer)
            self._pass_on(message)
        self._examine(request, message)

    def _fault(self, peer: bytes, message: SealedRequest, request: MembershipRequest) -> tuple[str, str]:
        """The first rule that a request breaks, with a sentence for its sender; ("", "") for none."""
        if not message.relayed and request.participant_id != participant_of(peer):
            return "not_own", "a request to join is sent by the device that it is about"
        if message.relayed and len(message.seals) > 1:
            return "seals", "a part that is passed on holds its addressee's seal and no other"
        if len({seal.verifier for seal in message.seals}) != len(message.seals):
            return "seals", "one verifier's seal is there twice"
        members = self._committee(request.committee_root)
        if members is None:
            return "committee_moved", "this verification committee does not serve; seal to the present one"
        digest = request.sealed_digest
        if not all(
            seal.verifier in members and belongs(seal, message.count, digest) for seal in message.seals
        ):
            return "seals", "the seals are not those that the request names"
        signed = request_bytes(request, self._chain_id)
        if not self._checker.check(request.public_key, signed, request.signature):
            return "bad_signature", "the request is not signed by the device key that it names"
        return "", ""

    def _pass_on(self, message: SealedRequest) -> None:
        # Again when it is sent again: a verifier may have been away the first time. The allowance bounds it.
        for seal in message.seals:
            if seal.verifier != self._name:
                part = SealedRequest(message.request, True, message.count, (seal,))
                self._mesh.send(seal.verifier, encode(part))

    def _examine(self, request: MembershipRequest, message: SealedRequest) -> None:
        members = self._committee(request.committee_root)
        if self._examiner is None or members is None or self._name not in members:
            return
        own = self._own_seal(message)
        if own is None and (message.relayed or len(message.seals) < message.count):
            # A part for somebody else; ours may still come. That it is missing only the newcomer can show.
            return
        if not self._examining.take(self._now_ms()):
            self.refused["join_overload"] += 1
            return
        try:
            verdict = self._examiner.examine(request, None if own is None else own.sealed)
        except KeyFileError:
            self.refused["join_not_kept"] += 1
            return
        # The request goes with it: whoever gets the verdict first would not know what it is about.
        self._gossip((message.request, encode(verdict)), None)

    def _own_seal(self, message: SealedRequest) -> ProvenSeal | None:
        return next((seal for seal in message.seals if seal.verifier == self._name), None)
