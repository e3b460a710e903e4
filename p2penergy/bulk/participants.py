"""Genesis with many participants from a table, and with the feeder that they stand on.

Lives here: adding members to a genesis that nobody has started from yet, and its section `grid` from a
feeder.csv. Never here: the table (`tables`), keys. Owns the invariant that what comes out is a genesis that a
node can start from.
"""

from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from p2penergy.bulk.tables import Participant
from p2penergy.genesis import Genesis, GenesisError, GridNode, GridRules, check
from p2penergy.grid.feeder import Feeder
from p2penergy.ledger.grid_check import grid_plan
from p2penergy.ledger.initial import require_in_range


def with_participants(
    genesis: Genesis, participants: Sequence[Participant], feeder: Feeder | None
) -> Genesis:
    """The genesis with these members besides its own, ascending; a new chain, to be started from by all.

    Raises:
        GenesisError: somebody stands there twice, a key is none, or the feeder is none.
    """
    for participant in participants:
        _require_key(participant)
    members = [*genesis.members, *(participant.member for participant in participants)]
    members.sort(key=lambda member: member.participant_id)
    grid = (
        genesis.grid
        if feeder is None
        else _grid(feeder, {p.name: p.member.participant_id for p in participants})
    )
    made = replace(genesis, members=tuple(members), grid=grid)
    check(made)
    require_in_range(made)
    grid_plan(made)
    return made


def _require_key(participant: Participant) -> None:
    try:
        key = bytes.fromhex(participant.member.public_key)
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
    except ValueError:
        raise GenesisError(f"the public_key of {participant.name} is no key of the curve P-256") from None


def _grid(feeder: Feeder, ids: Mapping[str, str]) -> GridRules:
    return GridRules(
        nodes=tuple(
            GridNode(
                node=branch.node,
                parent=branch.parent,
                r_uohm=branch.r_uohm,
                x_uohm=branch.x_uohm,
                i_max_a=branch.i_max_a,
                participant_id=None if branch.household is None else ids[branch.household],
            )
            for branch in feeder.branches
        )
    )
