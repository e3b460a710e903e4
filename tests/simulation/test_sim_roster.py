"""Members of the counting network: who comes, goes and renews, and that never too many are gone at once."""

from hypothesis import given
from hypothesis import strategies as st

from p2penergy.messages import Stage
from p2penergy.simulation.roster import BACK, GONE, JOIN, KINDS, LEAVE, RENEW, Roster, second_key
from p2penergy.simulation.settings import Settings, make_genesis

START = Roster.of(make_genesis(Settings(members=4, outsiders=2, membership=True)))
IDS = list(START.founders)


def test_roles_come_and_go() -> None:
    roster = START.apply(JOIN, 5)
    assert roster.pools[Stage.VALIDATION] == (*IDS[:4], IDS[5])
    assert roster.reserves(Stage.VALIDATION) == (IDS[4],)
    assert roster.apply(LEAVE, 0).pools[Stage.VALIDATION] == (*IDS[1:4], IDS[5])
    assert START.apply(LEAVE, 0) is START, "so many stay"


def test_one_at_a_time_leaves_altogether_and_comes_back_without_a_role() -> None:
    roster = START.apply(GONE, 1)
    assert IDS[1] not in roster.present
    assert IDS[1] not in {*roster.pools[Stage.VALIDATION], *roster.pools[Stage.VERIFICATION]}
    assert roster.apply(GONE, 2) is roster
    assert roster.apply(RENEW, 1) is roster
    back = roster.apply(BACK, 1)
    assert back.present[IDS[1]] == START.present[IDS[1]]
    assert IDS[1] in back.reserves(Stage.VALIDATION)


def test_a_key_is_renewed_and_renewed_back() -> None:
    renewed = START.apply(RENEW, 2)
    assert renewed.present[IDS[2]] == second_key(START.present[IDS[2]])
    assert renewed.apply(RENEW, 2).present == START.present


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 99)), max_size=40))
def test_whatever_happens_committees_can_be_filled(changes: list[tuple[bytes, int]]) -> None:
    roster, seen = START, [START]
    for kind, number in changes:
        roster = roster.apply(kind, number)
        seen.append(roster)
        assert len(roster.founders) - len(roster.present) <= 1
        for stage in Stage:
            assert set(roster.pools[stage]) | set(roster.reserves(stage)) == set(roster.present)
            # A pool of some block, struck by who is gone at any later one.
            assert all(len(before.present.keys() & roster.present.keys()) >= START.least for before in seen)
