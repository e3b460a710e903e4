from dataclasses import replace

import pytest

from p2penergy.blocks import Draft, InvalidBlockError
from p2penergy.messages import Stage
from p2penergy.simulation.counter import ADD, CounterApplication, hash_chain, transaction
from p2penergy.simulation.roster import JOIN, LEAVE
from p2penergy.simulation.settings import Settings, make_genesis
from p2penergy.simulation.signatures import participant_id

GENESIS = make_genesis(Settings(members=4, outsiders=1, membership=True))


def _draft(application: CounterApplication, proposer: int = 0, slot: int = 1) -> Draft:
    who = participant_id(proposer)
    tip = application.reveal_tip(who)
    assert tip is not None
    reveal = hash_chain(proposer).preimage(tip)
    assert reveal is not None
    return application.draft(application.height + 1, slot, who, reveal, 1000)


def test_two_applications_that_commit_the_same_are_equal() -> None:
    one, other = CounterApplication(GENESIS), CounterApplication(GENESIS)
    one.submit(transaction(ADD, 1))
    draft = _draft(one)
    assert draft.transactions == (transaction(ADD, 1),)
    for application in (one, other):
        application.commit(application.execute(draft))
    assert one.state_root == other.state_root
    assert one.beacon(1) == other.beacon(1) != one.beacon(0)
    assert not one.has_pending(slot=1)
    assert not one.submit(transaction(ADD, 1)), "it was executed"


def test_executing_changes_nothing() -> None:
    application = CounterApplication(GENESIS)
    before = application.state_root
    application.execute(_draft(application))
    assert (application.state_root, application.height) == (before, 0)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"height": 2}, "place"),
        ({"stage": Stage.VERIFICATION}, "place"),
        ({"period": 99}, "period"),
        ({"reveal": bytes(32)}, "reveal"),
        ({"proposer": b"\xee" * 20}, "reveal"),
        ({"transactions": (transaction(ADD, 1), transaction(ADD, 1))}, "transaction"),
        ({"transactions": (b"nonsense",)}, "transaction"),
    ],
)
def test_blocks_that_no_correct_proposer_makes(change: dict[str, object], code: str) -> None:
    application = CounterApplication(GENESIS)
    with pytest.raises(InvalidBlockError) as refused:
        application.execute(replace(_draft(application), **change))  # type: ignore[arg-type]
    assert refused.value.code == code


def test_members_come_and_go_but_never_too_many() -> None:
    application = CounterApplication(GENESIS)
    pools: list[tuple[bytes, ...]] = []
    for kind, number in ((LEAVE, 0), (JOIN, 4), (LEAVE, 0), (LEAVE, 1)):
        application.submit(transaction(kind, number + 5 * len(pools)))
        application.commit(application.execute(_draft(application, 2)))
        pools.append(application.volunteers(Stage.VALIDATION, application.height))
    ids = [participant_id(member) for member in range(5)]
    assert pools[0] == tuple(ids[:4]), "four must stay"
    assert pools[1] == tuple(ids)
    assert pools[2] == tuple(ids[1:])
    assert pools[3] == tuple(ids[1:])
    assert application.volunteers(Stage.VALIDATION, 0) == tuple(ids[:4])


def test_a_censor_leaves_everything_out() -> None:
    application = CounterApplication(GENESIS)
    application.submit(transaction(ADD, 1))
    application.censors = True
    assert not application.has_pending(slot=1)
    assert _draft(application).transactions == ()
