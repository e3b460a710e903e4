"""The bounded buffers: signed messages of the working height, and early ones of the next.

Lives here: holding, counting and forgetting verified messages. Never here: judging them. Owns the
invariant of CONSENSUS section 5: at most 3 views x 1 message of each type per sender (of VIEW-CHANGE
only the highest), so that no member can make another run out of memory; and a sender can only push out
messages of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from p2penergy.consensus.chain import KnownBlock
from p2penergy.consensus.effects import Received
from p2penergy.consensus.rules import Rules
from p2penergy.messages import (
    COMMITTEE_SIZE_MAX,
    Commit,
    Prepare,
    PrePrepare,
    ViewChange,
    Vote,
    VoteKind,
)

VIEWS_PER_SENDER_MAX = 3
EARLY_BYTES_PER_SENDER_MAX = 12 * 1024 * 1024
EARLY_SENDERS_MAX = 2 * COMMITTEE_SIZE_MAX
"""Both stages' committees may vote at the next height, whose stage is not decided yet."""
EARLY_COPIES_MAX = 2
"""Two different messages for one (sender, type, view) may wait: one of them may not be justified."""

_KINDS: dict[type, VoteKind] = {
    PrePrepare: VoteKind.PRE_PREPARE,
    Prepare: VoteKind.PREPARE,
    Commit: VoteKind.COMMIT,
    ViewChange: VoteKind.VIEW_CHANGE,
}

V = TypeVar("V", Prepare, Commit)
Group = tuple[int, bytes]


def kind_of(vote: Vote) -> VoteKind:
    """The type that a vote's signature names."""
    return _KINDS[type(vote)]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A justified PRE-PREPARE with its valid block; only a `fresh` one is subject to timeliness."""

    message: PrePrepare
    known: KnownBlock
    fresh: bool


class Tally(Generic[V]):
    """PREPAREs or COMMITs: of each sender the latest three views, one vote per view."""

    def __init__(self) -> None:
        self._views: dict[int, dict[bytes, V]] = {}

    def get(self, sender: bytes, view: int) -> V | None:
        """The vote of `sender` in `view`."""
        return self._views.get(view, {}).get(sender)

    def add(self, vote: V) -> bool:
        """Hold a vote; False when the sender has one there, or three of later views."""
        if self.get(vote.sender, vote.view) is not None:
            return False
        held = [view for view, votes in self._views.items() if vote.sender in votes]
        if len(held) >= VIEWS_PER_SENDER_MAX:
            lowest = min(held)
            if vote.view < lowest:
                return False
            del self._views[lowest][vote.sender]
            if not self._views[lowest]:
                del self._views[lowest]
        self._views.setdefault(vote.view, {})[vote.sender] = vote
        return True

    def of_view(self, view: int) -> dict[bytes, dict[bytes, V]]:
        """digest -> sender -> vote, in one view."""
        groups: dict[bytes, dict[bytes, V]] = {}
        for sender, vote in self._views.get(view, {}).items():
            groups.setdefault(vote.digest, {})[sender] = vote
        return groups

    def count(self, view: int) -> int:
        """How many votes there are in a view, for whatever."""
        return len(self._views.get(view, ()))

    def views(self) -> list[int]:
        """The views in which anything is held."""
        return list(self._views)

    def __iter__(self) -> Iterator[V]:
        for votes in self._views.values():
            yield from votes.values()

    def __len__(self) -> int:
        return sum(len(votes) for votes in self._views.values())


class Votes:
    """All that members said at the working height and that is worth counting."""

    def __init__(self) -> None:
        self.proposals: dict[int, Proposal] = {}
        self.prepares: Tally[Prepare] = Tally()
        self.commits: Tally[Commit] = Tally()
        self.view_changes: dict[bytes, ViewChange] = {}

    def held(self, vote: Vote) -> Vote | None:
        """The message of the same sender, type and view, if any; of VIEW-CHANGE the highest."""
        match vote:
            case PrePrepare():
                proposal = self.proposals.get(vote.view)
                return proposal.message if proposal else None
            case Prepare():
                return self.prepares.get(vote.sender, vote.view)
            case Commit():
                return self.commits.get(vote.sender, vote.view)
            case ViewChange():
                return self.view_changes.get(vote.sender)

    def commit_groups(self, rules: Rules) -> dict[Group, dict[bytes, Commit]]:
        """(view, digest) -> sender -> COMMIT, over all views."""
        groups: dict[Group, dict[bytes, Commit]] = {}
        for commit in self.commits:
            group = rules.commit_group(commit.view, commit.digest)
            groups.setdefault(group, {})[commit.sender] = commit
        return groups

    def forget_proposals_below(self, view: int) -> None:
        """A proposal of a view that was left can't be voted for any more."""
        for old in [held for held in self.proposals if held < view]:
            del self.proposals[old]

    def view_changes_above(self, view: int) -> list[ViewChange]:
        """VIEW-CHANGEs for higher views than `view`."""
        return [change for change in self.view_changes.values() if change.view > view]

    def __len__(self) -> int:
        return len(self.proposals) + len(self.prepares) + len(self.commits) + len(self.view_changes)


class Early:
    """Messages of height + 1, verified but not yet judged: their committee is not in session."""

    def __init__(self) -> None:
        self._held: dict[bytes, dict[tuple[VoteKind, int], list[Received]]] = {}

    def holds(self, vote: Vote) -> bool:
        """Whether a byte-equal copy is held."""
        slots = self._held.get(vote.sender, {})
        return any(event.message.message == vote for event in slots.get((kind_of(vote), vote.view), ()))

    def add(self, vote: Vote, event: Received) -> bool:
        """Hold a message; False when its sender's share is used up."""
        if vote.sender not in self._held and len(self._held) >= EARLY_SENDERS_MAX:
            return False
        slots = self._held.setdefault(vote.sender, {})
        kind = kind_of(vote)
        copies = slots.get((kind, vote.view), [])
        if len(copies) >= EARLY_COPIES_MAX:
            # What its signer delivered itself is worth more than what others relay: its unsigned
            # parts are as the signer made them.
            relayed = [copy for copy in copies if copy.peer != vote.sender]
            if event.peer != vote.sender or not relayed:
                return False
            copies.remove(relayed[0])
        if not self._make_room(slots, kind, vote.view, len(event.message.raw)):
            return False
        slots.setdefault((kind, vote.view), copies).append(event)
        return True

    @staticmethod
    def _make_room(
        slots: dict[tuple[VoteKind, int], list[Received]], kind: VoteKind, view: int, more_bytes: int
    ) -> bool:
        views = sorted(held for of_kind, held in slots if of_kind is kind and held != view)
        views_max = 1 if kind is VoteKind.VIEW_CHANGE else VIEWS_PER_SENDER_MAX
        if len(views) >= views_max:
            if view < views[0]:
                return False
            del slots[kind, views[0]]
        used = sum(len(event.message.raw) for copies in slots.values() for event in copies)
        return used + more_bytes <= EARLY_BYTES_PER_SENDER_MAX

    def take(self) -> list[Received]:
        """Everything held, votes before proposals of the same view; the buffer is empty then."""
        held = [
            (view, kind, event)
            for slots in self._held.values()
            for (kind, view), copies in slots.items()
            for event in copies
        ]
        self._held.clear()
        return [event for _, _, event in sorted(held, key=lambda entry: entry[:2])]

    @property
    def senders(self) -> int:
        """How many members' messages are held."""
        return len(self._held)

    def largest_share(self) -> tuple[int, int]:
        """The most messages and the most bytes that are held of any one sender."""
        shares = [
            [len(event.message.raw) for copies in slots.values() for event in copies]
            for slots in self._held.values()
        ]
        return max(map(len, shares), default=0), max(map(sum, shares), default=0)

    def __len__(self) -> int:
        return sum(len(copies) for slots in self._held.values() for copies in slots.values())
