import pytest

from p2penergy.genesis import ConsensusRules
from p2penergy.messages import Certificate, VoteKind, statement
from p2penergy.simulation.arbiter import Timetable, certificate_fault, faulty_max, quorum
from p2penergy.simulation.signatures import participant_id, stand_in_ring

CHAIN = b"c" * 32
BLOCK = b"b" * 32


@pytest.mark.parametrize("n", range(1, 101))
def test_the_quorum_is_the_smallest_that_intersects_in_a_correct_member(n: int) -> None:
    f, q = faulty_max(n), quorum(n)
    assert 2 * q - n >= f + 1
    assert 2 * (q - 1) - n < f + 1
    assert q <= n - f, "the correct members alone must reach it"


def test_quorums_of_small_committees() -> None:
    assert [quorum(n) for n in (1, 2, 3, 4, 5, 6, 7, 10)] == [1, 2, 2, 3, 4, 4, 5, 7]


def _table(longest: int = 8) -> Timetable:
    return Timetable(ConsensusRules(t0_ms=1000, alpha_ms=100, eps_ms=1, delta_ms=10, view_slots_max=longest))


def test_slots_are_floors_and_views_are_slots_for_the_first_2n() -> None:
    table = _table()
    assert [table.slot(now) for now in (899, 999, 1000, 1099, 1100)] == [-2, -1, 0, 0, 1]
    assert table.starts_ms(3) == 1300
    assert [table.start_slot(5, 5 + j, 4) for j in range(9)] == list(range(5, 14))


def test_views_lengthen_after_2n_failed_ones_and_stop_at_the_longest() -> None:
    table = _table()
    lengths = [table.length(j, 4) for j in range(8 + 4 * 4 + 2)]
    assert lengths == [1] * 8 + [2] * 4 + [4] * 4 + [8] * 10
    assert [_table(1).length(j, 4) for j in (0, 9, 99)] == [1, 1, 1]


def test_the_view_of_a_slot_and_the_start_slot_of_a_view_are_inverse() -> None:
    table = _table()
    for n in (1, 3, 4, 7):
        for view in range(5, 60):
            start = table.start_slot(5, view, n)
            assert table.view_at(5, start, n) == view
            assert table.view_at(5, table.start_slot(5, view + 1, n) - 1, n) == view


def _certificate(voters: list[int], view: int = 3, signed_view: int = 3) -> Certificate:
    ring = stand_in_ring(5)
    votes = []
    for member in voters:
        who = participant_id(member)
        signed = statement(VoteKind.COMMIT, CHAIN, who, 1, signed_view, BLOCK)
        votes.append((who, ring.signers[member].sign(signed)))
    return Certificate(1, view, BLOCK, tuple(votes))


def _fault(certificate: Certificate) -> str | None:
    ring = stand_in_ring(5)
    keys = {participant_id(i): key for i, key in enumerate(ring.public_keys)}
    committee = [participant_id(i) for i in range(4)]
    return certificate_fault(certificate, VoteKind.COMMIT, committee, CHAIN, keys.get, ring.checker)


def test_a_certificate_of_a_quorum_holds() -> None:
    assert _fault(_certificate([0, 1, 3])) is None
    assert _fault(_certificate([0, 1, 2, 3])) is None


@pytest.mark.parametrize(
    ("voters", "view", "signed_view"),
    [
        ([0, 1], 3, 3),
        ([0, 1, 1], 3, 3),
        ([0, 2, 1], 3, 3),
        ([0, 1, 4], 3, 3),
        ([0, 1, 2], 3, 4),
    ],
    ids=["one short", "twice", "unordered", "stranger", "other view"],
)
def test_certificates_that_prove_nothing(voters: list[int], view: int, signed_view: int) -> None:
    assert _fault(_certificate(voters, view, signed_view)) is not None
