from hashlib import sha256

import pytest
from msgspec.structs import replace

from p2penergy.beacon import HashChain
from p2penergy.bulk.participants import with_participants
from p2penergy.bulk.tables import Participant
from p2penergy.genesis import (
    ConsensusRules,
    Genesis,
    GenesisError,
    GridNode,
    GridRules,
    Member,
    parse,
    render,
)
from p2penergy.grid.feeder import Branch, Feeder
from p2penergy.ledger import Ledger
from p2penergy.membership.keys import DeviceKey
from p2penergy.signing import EcdsaChecker


def a_member(name: str, validator: bool = False) -> Member:
    return Member(
        participant_id=sha256(name.encode()).hexdigest()[:40],
        public_key=DeviceKey.generate().public_key_compressed().hex(),
        validator=validator,
        beacon_tip=HashChain(name.encode(), 8).tip.hex() if validator else None,
    )


@pytest.fixture
def base() -> Genesis:
    rules = ConsensusRules(t0_ms=0, alpha_ms=1000, eps_ms=10, delta_ms=100, committee_size_min=1)
    return Genesis(community="Elm", consensus=rules, members=(a_member("founder", validator=True),))


def people(*names: str) -> list[Participant]:
    return [Participant(name, a_member(name)) for name in names]


def test_members_are_added_and_a_ledger_starts(base: Genesis) -> None:
    feeder = Feeder((Branch(0, -1, 4800, 23515, 577, None), Branch(1, 0, 2439, 949, 270, "anna")))
    made = with_participants(base, people("anna", "bert"), feeder)
    assert len(made.members) == 3
    assert [m.participant_id for m in made.members] == sorted(m.participant_id for m in made.members)
    assert isinstance(made.grid, GridRules)
    anna = sha256(b"anna").hexdigest()[:40]
    assert [node.participant_id for node in made.grid.nodes] == [None, anna]
    assert parse(render(made)).chain_id == made.chain_id != base.chain_id
    assert Ledger(made, EcdsaChecker()).height == 0


def test_who_stands_there_already_is_refused(base: Genesis) -> None:
    founder = base.members[0]
    with pytest.raises(GenesisError, match="twice"):
        with_participants(base, [Participant("again", founder)], None)


def test_a_key_that_is_none_is_named(base: Genesis) -> None:
    broken = Member(participant_id="ab" * 20, public_key="02" + "ff" * 32)
    with pytest.raises(GenesisError, match="public_key of carl"):
        with_participants(base, [Participant("carl", broken)], None)


def test_a_feeder_that_stands_below_its_band_is_refused(base: Genesis) -> None:
    grid = GridRules(nodes=(GridNode(node=0, parent=-1, r_uohm=0, x_uohm=0, i_max_a=1),), source_mv=350_000)
    with pytest.raises(GenesisError, match="without any trade"):
        with_participants(replace(base, grid=grid), people("anna"), None)
