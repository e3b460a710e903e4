"""What a node's shell asks about people: who is a member with which key, and who serves soon.

Lives here: questions to the ledger's present state and to the committees around the tip. Never here: rules,
links (`sessions`), what anybody may send (`inbox`). Owns the invariant that every answer is that of the
node's own tip, so that nobody has to restart for a membership that changed. Implements the shell's side of
CONSENSUS section 9.
"""

from collections.abc import Mapping
from typing import Any

from p2penergy.application import NodeApplication
from p2penergy.committees import Roll
from p2penergy.consensus.replica import Replica
from p2penergy.ledger import Ledger, VerdictCode, query, verdict_words
from p2penergy.messages import CommitteeMembers, Stage
from p2penergy.store import Store


class Registry:
    """Asks one node's ledger, core and store."""

    def __init__(self, ledger: NodeApplication, replica: Replica, store: Store) -> None:
        self._ledger = ledger
        self._replica = replica
        self._store = store
        self._named: dict[Stage, tuple[Roll, ...]] = {}
        self._named_height = -1

    def member_key(self, participant_id: bytes) -> bytes | None:
        """The key of a present member; None for everybody else."""
        return self._ledger.member_key(participant_id, self._ledger.height)

    def volunteers(self, participant_id: bytes) -> bool:
        """Whether a present member offers to serve on a committee."""
        member = query.member(self._ledger.get, participant_id)
        return member is not None and (member.validator or member.verifier)

    def is_barred(self, participant_id: bytes, public_key: bytes) -> bool:
        """Whether the ledger revoked this key, or expelled its owner."""
        return query.is_barred(self._ledger.get, participant_id, public_key)

    def verifiers(self, root: bytes) -> Mapping[bytes, bytes] | None:
        """The verification committee with this root, with keys, while it serves or is about to."""
        return next((roll.keys for roll in self._rolls()[Stage.VERIFICATION] if roll.root == root), None)

    def members(self, root: bytes) -> CommitteeMembers | None:
        """Who the committee with this root is or was; None for one that this node never saw."""
        for rolls in self._rolls().values():
            for roll in rolls:
                if roll.root == root:
                    return tuple(roll.keys.items())
        return self._store.committee(root)

    def audience(self) -> set[bytes]:
        """Both stages' committees from the working height on: who may have to judge, propose or vote."""
        return {member for rolls in self._rolls().values() for roll in rolls for member in roll.members}

    def application(self, request_id: bytes) -> dict[str, Any]:
        """How far a request to join, or to renew a key, has come in this node's pool."""
        # Another application than the ledger, in a benchmark, has no newcomers.
        known = isinstance(self._ledger, Ledger)
        given = self._ledger.pool.memberships.verdicts(request_id) if known else {}  # type: ignore[attr-defined]
        refusing = [verdict_words(code) for code in given.values() if code is not VerdictCode.ACCEPT]
        return {"accepting": len(given) - len(refusing), "refusing": sorted(refusing)}

    def _rolls(self) -> dict[Stage, tuple[Roll, ...]]:
        height = self._replica.tip_height
        if height != self._named_height:
            self._named = {stage: self._replica.named(stage) for stage in Stage}
            self._named_height = height
        return self._named
