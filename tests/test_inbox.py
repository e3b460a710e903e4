"""Frames on their way to the core: refused early, and decided blocks in the order of the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from samples import CHAIN_ID, full, public_keys, signers

from p2penergy.consensus.effects import Adopted, Event, Received
from p2penergy.inbox import GUEST_FRAMES_BURST, Inbox
from p2penergy.messages import (
    Block,
    BlockRequest,
    Certificate,
    Commit,
    CommitteesRequest,
    Decided,
    HeadersRequest,
    Message,
    Prepare,
    PrePrepare,
    Query,
    Request,
    SealedRequest,
    Status,
    SyncRequest,
    SyncResponse,
    encode,
)
from p2penergy.peers import guest_of
from p2penergy.questions import GUEST_TOPICS
from p2penergy.rate import PARTICIPANTS_REMEMBERED_MAX
from p2penergy.signing import KeyOf, SignatureItem

NAMES = [signer.participant_id for signer in signers()]
PEER = NAMES[0]
BLOCK = encode(full(Block))
BLOCK_OF_ONE = encode(msgspec.structs.replace(full(Block), transactions=(b"t",)))


class Core:
    """Admits what it is told to."""

    code: str | None = None
    height = 1
    members: tuple[bytes, ...] = ()

    def committee(self, height: int) -> tuple[bytes, ...]:
        return self.members

    def admit(self, message: Message, peer: bytes) -> str | None:
        return self.code

    def checkable(self, message: Message) -> tuple[Message, KeyOf]:
        return message, public_keys().get


class Members:
    """Knows the members, and what is pending."""

    def __init__(self) -> None:
        self.pool = self
        self.items: list[SignatureItem] = []
        self.pending: set[bytes] = set()

    height = 0

    def holds(self, transaction: bytes) -> bool:
        return transaction in self.pending

    def member_key(self, participant_id: bytes, height: int) -> bytes | None:
        return public_keys().get(participant_id)

    def signature_items(self, transaction: bytes) -> list[SignatureItem]:
        return self.items


class Patient:
    """A verifier that answers when it is told to, in any order."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[bool], None]] = []
        self.urgent: list[bool] = []
        self.is_full = False

    def submit(
        self, items: Sequence[SignatureItem], done: Callable[[bool], None], *, urgent: bool = False
    ) -> bool:
        if not self.is_full:
            self.waiting.append(done)
            self.urgent.append(urgent)
        return not self.is_full


class Bench:
    """An inbox, and everything around it in the test's hands."""

    def __init__(self, frames_per_s_max: int = 1000) -> None:
        self.core, self.verifier = Core(), Patient()
        self.events: list[Event] = []
        self.asked: list[tuple[bytes, Message]] = []
        self.now_ms = 0
        handlers: dict[Any, Any] = {
            kind: lambda peer, message: self.asked.append((peer, message))
            for kind in (Request, Query, SyncRequest, HeadersRequest, CommitteesRequest, SealedRequest)
        }
        self.members = Members()
        parts: tuple[Any, ...] = (self.core, self.members, self.verifier, CHAIN_ID, self.events.append)
        self.inbox = Inbox(*parts, handlers, frames_per_s_max, lambda: self.now_ms)

    def take(self, message: Message, peer: bytes = PEER) -> None:
        self.inbox.on_frame(peer, encode(message))


def vote(sender: bytes = PEER) -> Prepare:
    return Prepare(sender, 1, 1, b"d" * 32, b"s" * 64)


def answer(count: int) -> SyncResponse:
    votes = ((PEER, b"s" * 64),)
    blocks = tuple(Decided(BLOCK, Certificate(height, 1, b"d" * 32, votes)) for height in range(1, count + 1))
    return SyncResponse(count, blocks)


def heights(events: list[Event]) -> list[int]:
    return [event.certificate.height for event in events if isinstance(event, Adopted)]


def test_decided_blocks_reach_the_core_in_order_whichever_is_checked_first() -> None:
    bench = Bench()
    bench.take(answer(4))
    first, second, third, fourth = bench.verifier.waiting
    third(True)
    second(True)
    assert bench.events == []
    first(True)
    assert heights(bench.events) == [1, 2, 3]
    # A signature that does not hold is the core's to judge, by the committee that it computes.
    fourth(False)
    assert heights(bench.events) == [1, 2, 3, 4]


def test_blocks_nobody_asked_for_cost_no_signature_check() -> None:
    bench = Bench()
    bench.core.code = "unrequested"
    bench.take(answer(4))
    assert (bench.verifier.waiting, bench.events) == ([], [])
    assert bench.inbox.refused == {"unrequested": 1}


def test_after_a_block_that_found_no_room_none_of_the_answer_is_adopted() -> None:
    bench = Bench()
    bench.verifier.is_full = True
    bench.take(answer(2))
    assert bench.events == []
    assert bench.inbox.refused == {"overload": 2}


def test_a_vote_reaches_the_core_once_its_signature_holds() -> None:
    bench = Bench()
    bench.take(vote())
    assert bench.events == []
    bench.verifier.waiting.pop()(True)
    [event] = bench.events
    assert isinstance(event, Received)
    assert (event.message.message, event.message.raw, event.peer) == (vote(), encode(vote()), PEER)
    bench.take(Commit(PEER, 1, 1, b"d" * 32, b"s" * 64))
    bench.verifier.waiting.pop()(False)
    assert len(bench.events) == 1
    assert bench.inbox.refused == {"bad_signature": 1}


def test_what_the_core_refuses_costs_no_signature_check() -> None:
    bench = Bench()
    bench.core.code = "duplicate"
    bench.take(vote())
    assert bench.verifier.waiting == []
    assert bench.inbox.refused == {"duplicate": 1}


def test_an_unknown_signer_is_refused_before_a_check() -> None:
    bench = Bench()
    bench.take(vote(b"s" * 20))
    assert bench.inbox.refused == {"unknown_signer": 1}


def test_what_needs_no_signature_goes_on_at_once() -> None:
    bench = Bench()
    bench.take(Status(5, 6))
    assert len(bench.events) == 1
    bench.take(Query(1, "status", b""))
    assert bench.asked == [(PEER, Query(1, "status", b""))]


APPLICATION = SealedRequest(b"request", False, 1, ())
RELAYED = SealedRequest(b"request", True, 1, ())


@pytest.mark.parametrize("stranger", [b"s" * 20, guest_of(PEER)])
def test_a_stranger_may_look_at_headers_and_apply_and_nothing_else(stranger: bytes) -> None:
    bench = Bench()
    refused = [
        *(Status(1, 1), vote(), Query(1, "status", b""), Query(1, "post", b""), SyncRequest(1, 1)),
        *(answer(1), Request((b"t",), False), Request((b"t",), True), RELAYED),
    ]
    for message in refused:
        bench.take(message, stranger)
    assert bench.inbox.refused == {"not_a_member": len(refused)}
    assert (bench.events, bench.asked, bench.verifier.waiting) == ([], [], [])
    allowed = [
        HeadersRequest(1, 1),
        CommitteesRequest((b"r" * 32,)),
        APPLICATION,
        *(Query(1, topic, b"") for topic in sorted(GUEST_TOPICS)),
    ]
    for message in allowed:
        bench.take(message, stranger)
    assert [message for _, message in bench.asked] == allowed


def test_a_stranger_may_ask_so_much_and_no_more() -> None:
    bench = Bench(frames_per_s_max=10_000)
    for _ in range(GUEST_FRAMES_BURST + 7):
        bench.take(HeadersRequest(1, 1), b"s" * 20)
    assert len(bench.asked) == GUEST_FRAMES_BURST
    assert bench.inbox.refused == {"guest_rate": 7}
    bench.take(HeadersRequest(1, 1), b"o" * 20)
    bench.take(HeadersRequest(1, 1), PEER)
    assert len(bench.asked) == GUEST_FRAMES_BURST + 2


def test_only_a_members_node_passes_applications_on() -> None:
    bench = Bench()
    bench.take(RELAYED, PEER + b"agent")
    assert bench.inbox.refused == {"not_from_a_node": 1}
    bench.take(RELAYED)
    bench.take(APPLICATION, PEER + b"agent")
    assert [message for _, message in bench.asked] == [RELAYED, APPLICATION]


def test_an_agent_is_the_member_behind_it() -> None:
    bench = Bench()
    bench.take(Query(1, "status", b""), PEER + b"agent")
    assert bench.asked == [(PEER + b"agent", Query(1, "status", b""))]


@pytest.mark.parametrize("message", [Status(5, 6), vote(), BlockRequest(1, b"d" * 32), answer(1)])
def test_a_labelled_link_has_no_part_in_consensus(message: Message) -> None:
    # Or one device would be as many claimants of false tips as it holds links.
    bench = Bench()
    bench.take(message, PEER + b"agent")
    assert (bench.events, bench.verifier.waiting) == ([], [])
    assert bench.inbox.refused == {"not_from_a_node": 1}


def test_transactions_of_a_forged_proposal_are_never_checked() -> None:
    bench = Bench()
    bench.members.items = [(b"k" * 33, b"signed", b"s" * 64)]
    proposal = PrePrepare(PEER, 1, 1, b"d" * 32, b"s" * 64, BLOCK_OF_ONE, (), None)
    bench.take(proposal)
    [of_sender] = bench.verifier.waiting
    of_sender(False)
    assert len(bench.verifier.waiting) == 1
    assert bench.inbox.refused == {"bad_signature": 1}
    # A genuine one goes on once its transactions were looked at, whatever was found.
    bench.take(proposal)
    bench.verifier.waiting[1](True)
    assert bench.events == []
    bench.verifier.waiting[2](False)
    assert len(bench.events) == 1


def test_what_is_pending_here_was_checked_when_it_came() -> None:
    bench = Bench()
    bench.members.items = [(b"k" * 33, b"signed", b"s" * 64)]
    bench.members.pending = {b"t"}
    bench.take(PrePrepare(PEER, 1, 1, b"d" * 32, b"s" * 64, BLOCK_OF_ONE, (), None))
    bench.verifier.waiting[0](True)
    assert (len(bench.verifier.waiting), len(bench.events)) == (1, 1)


def test_what_the_committee_sends_is_urgent_and_what_others_relay_is_not() -> None:
    bench = Bench()
    bench.members.items = [(b"k" * 33, b"signed", b"s" * 64)]
    bench.core.members = (PEER,)
    proposal = PrePrepare(PEER, 1, 1, b"d" * 32, b"s" * 64, BLOCK_OF_ONE, (), None)
    bench.take(proposal)
    bench.verifier.waiting[0](True)
    bench.take(vote(), NAMES[1])
    bench.take(answer(1))
    assert bench.verifier.urgent == [True, True, False, False]


def test_each_participant_has_one_bucket_for_all_its_links() -> None:
    bench = Bench(frames_per_s_max=10)
    for number in range(15):
        bench.take(Query(1, "status", b""), PEER + bytes([number]))
    assert bench.inbox.refused == {"rate": 5}
    bench.take(Status(1, 1), NAMES[1])
    bench.now_ms = 200
    for _ in range(3):
        bench.take(Status(1, 1))
    assert bench.inbox.refused == {"rate": 6}


def test_peers_are_remembered_in_bounds() -> None:
    bench = Bench()
    for number in range(PARTICIPANTS_REMEMBERED_MAX + 10):
        bench.inbox.on_frame(number.to_bytes(20, "big"), b"\xc1")
    assert len(bench.inbox._allowances) == PARTICIPANTS_REMEMBERED_MAX
    assert bench.inbox.refused == {"malformed": PARTICIPANTS_REMEMBERED_MAX + 10}


@pytest.mark.parametrize("payload", [b"", b"\xc1", encode(vote()) + b"\0"])
def test_what_is_no_message_is_counted(payload: bytes) -> None:
    bench = Bench()
    bench.inbox.on_frame(PEER, payload)
    assert bench.inbox.refused == {"malformed": 1}
