import pytest

from p2penergy.simulation.byzantine import Corrupt
from p2penergy.simulation.plans import Plan, profile_named
from p2penergy.simulation.runner import Run
from p2penergy.simulation.settings import Settings


def _run(members: int, liars: tuple[int, ...]) -> Run:
    atoms = tuple(Corrupt(member, ("false-reply",)) for member in liars)
    return Run(Plan(5, profile_named("calm"), Settings(members=members), atoms, 4))


@pytest.mark.parametrize(("members", "liars"), [(4, (1,)), (7, (1, 4))])
def test_f_liars_cannot_make_a_client_believe_what_nobody_decided(
    members: int, liars: tuple[int, ...]
) -> None:
    run = _run(members, liars)
    result = run.execute()
    assert result.ok, result.sentence
    assert run.world.client.accepted > 0


@pytest.mark.parametrize(("members", "liars"), [(4, (1,)), (7, (1, 4))])
def test_a_client_content_with_f_replies_is_deceived(members: int, liars: tuple[int, ...]) -> None:
    run = _run(members, liars)
    run.world.client.needed -= 1
    assert run.execute().violation == "client"


def test_a_reply_that_its_sender_did_not_sign_counts_for_nothing() -> None:
    from p2penergy.simulation.clients import make_reply

    world = _run(4, ()).world
    forged = make_reply(world.signer(0), bytes(32), 1, b"\1" * 32, (b"receipt",))
    world.client.needed = 1
    world.client.hear(forged)
    assert world.client.accepted == 0
