"""Evidence: two signed statements of one member that no correct member signs both of.

Lives here: noticing conflicts among verified votes of one height. Never here: what a conflict is
(`conflicts`), punishing (`ledger`), unverified messages. Owns the invariant that each is told of once.
Implements the evidence of CONSENSUS section 4.
"""

from p2penergy.conflicts import conflict
from p2penergy.consensus.votes import VIEWS_PER_SENDER_MAX, kind_of
from p2penergy.messages import Evidence, SignedStatement, ViewChange, Vote, VoteKind


def signed_statement(vote: Vote) -> SignedStatement:
    """A vote without what travelled beside its signed part."""
    change = vote if isinstance(vote, ViewChange) else None
    return SignedStatement(
        kind=kind_of(vote),
        height=vote.height,
        view=vote.view,
        digest=None if isinstance(vote, ViewChange) else vote.digest,
        prepared_view=change.prepared_view if change else None,
        prepared_digest=change.prepared_digest if change else None,
        signature=vote.signature,
    )


class Watch:
    """What each member signed at one height: three views per type, the latest."""

    def __init__(self) -> None:
        self._said: dict[tuple[bytes, VoteKind], dict[int, SignedStatement]] = {}
        self._proven: dict[tuple[bytes, VoteKind], set[int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._said.values()))

    def is_proven(self, vote: Vote) -> bool:
        """Whether a conflict of this sender, type and view was reported already."""
        return vote.view in self._proven.get((vote.sender, kind_of(vote)), ())

    def note(self, vote: Vote) -> Evidence | None:
        """Remember a verified vote; evidence when it conflicts with a remembered one, once."""
        key, statement = (vote.sender, kind_of(vote)), signed_statement(vote)
        views = self._said.setdefault(key, {})
        before = views.get(vote.view)
        if before is None:
            views[vote.view] = statement
            if len(views) > VIEWS_PER_SENDER_MAX:
                lowest = min(views)
                del views[lowest]
                self._proven.get(key, set()).discard(lowest)
            return None
        if not conflict(vote.sender, before, statement) or self.is_proven(vote):
            return None
        self._proven.setdefault(key, set()).add(vote.view)
        return Evidence(vote.sender, before, statement)


def conflicts(held: Vote, other: Vote) -> bool:
    """Whether two votes of one sender, type, height and view are two statements, not two copies."""
    return conflict(held.sender, signed_statement(held), signed_statement(other))
