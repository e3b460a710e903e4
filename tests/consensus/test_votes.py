"""CONSENSUS section 5: the bounds of every buffer."""

from consensus_harness import participant
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.consensus import Rules
from p2penergy.consensus.effects import Received
from p2penergy.consensus.votes import VIEWS_PER_SENDER_MAX, Early, Tally, Votes
from p2penergy.messages import Commit, Prepare, PrePrepare, ViewChange, encode
from p2penergy.signing import Verified

SIGNATURE = bytes(64)
A, B = participant(1), participant(2)


def prepare(sender: bytes, view: int, digest: bytes = bytes(32), height: int = 1) -> Prepare:
    return Prepare(sender, height, view, digest, SIGNATURE)


def received(message: Prepare | PrePrepare | ViewChange, peer: bytes | None = None) -> Received:
    return Received(Verified(message, encode(message)), peer or message.sender)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=200))
def test_of_each_sender_at_most_three_views_are_held_and_the_latest(said: list[tuple[int, int]]) -> None:
    tally: Tally[Prepare] = Tally()
    for sender, view in said:
        tally.add(prepare(participant(sender), view))
    for sender in range(4):
        views = {view for who, view in said if who == sender}
        held = {view for view in tally.views() if tally.get(participant(sender), view)}
        assert held == set(sorted(views)[-VIEWS_PER_SENDER_MAX:])
    assert len(tally) <= 4 * VIEWS_PER_SENDER_MAX


def test_one_vote_per_sender_and_view() -> None:
    tally: Tally[Prepare] = Tally()
    assert tally.add(prepare(A, 1))
    assert not tally.add(prepare(A, 1, b"x" * 32))
    assert tally.of_view(1) == {bytes(32): {A: prepare(A, 1)}}


def test_a_sender_pushes_out_only_its_own_votes() -> None:
    tally: Tally[Prepare] = Tally()
    tally.add(prepare(A, 1))
    for view in range(2, 10):
        tally.add(prepare(B, view))
    assert tally.get(A, 1) is not None
    assert tally.get(B, 2) is None


def test_commits_are_grouped_by_view_and_digest() -> None:
    votes = Votes()
    for sender, view in ((A, 1), (B, 2)):
        votes.commits.add(Commit(sender, 1, view, bytes(32), SIGNATURE))
    assert {group: set(members) for group, members in votes.commit_groups(Rules()).items()} == {
        (1, bytes(32)): {A},
        (2, bytes(32)): {B},
    }


def test_early_messages_come_back_once_lower_views_first() -> None:
    early = Early()
    for view in (3, 1, 2):
        assert early.add(prepare(A, view), received(prepare(A, view)))
    assert early.holds(prepare(A, 2))
    assert [event.message.message.view for event in early.take()] == [1, 2, 3]  # type: ignore[union-attr]
    assert len(early) == 0


def test_early_messages_are_bounded_per_sender() -> None:
    early = Early()
    for view in range(1, 50):
        for digest in (b"a" * 32, b"b" * 32, b"c" * 32):
            early.add(prepare(A, view, digest), received(prepare(A, view, digest)))
    assert len(early) == 2 * VIEWS_PER_SENDER_MAX
    assert not early.add(prepare(A, 1), received(prepare(A, 1))), "lower than all that are held"


def test_of_early_view_changes_only_the_highest_view_is_held() -> None:
    early = Early()
    for view in (1, 3, 2):
        change = ViewChange(A, 1, view, None, None, SIGNATURE)
        early.add(change, received(change))
    assert [event.message.message.view for event in early.take()] == [3]  # type: ignore[union-attr]


def test_relayed_copies_can_not_keep_out_what_the_signer_delivers() -> None:
    early = Early()
    genuine, *forged = (
        PrePrepare(A, 2, 5, bytes(32), SIGNATURE, body, (), None) for body in (b"genuine", b"x", b"y", b"z")
    )
    for copy in forged:
        early.add(copy, received(copy, peer=B))
    assert len(early) == 2
    assert early.add(genuine, received(genuine))
    assert early.holds(genuine)
    assert not early.add(forged[2], received(forged[2], peer=B))


def test_early_bytes_per_sender_are_bounded() -> None:
    early = Early()
    body = bytes(7 * 1024 * 1024)
    for view in (1, 2, 3):
        proposal = PrePrepare(A, 2, view, bytes(32), SIGNATURE, body, (), None)
        early.add(proposal, received(proposal))
    assert len(early) == 1
