"""When a client's transaction goes on to the committee, and from whom: one copy is enough, and one must come.

Lives here: whose turn it is, and what waits for its turn. Never here: sending, the pool, clocks. Owns the
property that a pending transaction which a client brought to one correct member reaches all of them, within
`TURNS_MAX * TURN_MS + SECOND_LOOK_MS`, whatever other members relay or keep to themselves.
Implements the relay of CONSENSUS section 8 as decision 0403 has it.

A client gives a transaction to f+1 members. The first of them in the client's order relays it at once; each
other one later by a step per place, unless it has heard of it from a member by then. Who heard of it looks
once more after a while: a member may have told nobody else.
"""

from collections import deque
from functools import lru_cache
from hashlib import sha256

TURN_MS = 250
"""Between the turns of two members that were given the same: longer than a relay takes under load."""
TURNS_MAX = 5
"""All later places have the last turn."""
SECOND_LOOK_MS = 5_000
"""Later than a client that waits asks everybody: a second look is for those that ask once only."""
WAITING_TRANSACTIONS_MAX = 40_000
PREFERENCES_REMEMBERED_MAX = 65_536


@lru_cache(maxsize=PREFERENCES_REMEMBERED_MAX)
def preference(client: bytes, member: bytes) -> bytes:
    """Clients ask members in ascending order of this: all clients together burden all members alike."""
    return sha256(client + member).digest()


@lru_cache(maxsize=PREFERENCES_REMEMBERED_MAX)
def turn_of(member: bytes, client: bytes, committee: tuple[bytes, ...]) -> int:
    """A member's place in the client's order of the committee: 0 relays at once."""
    mine = preference(client, member)
    before = sum(preference(client, other) < mine for other in committee)
    return min(before, TURNS_MAX)


class RelayBook:
    """Transactions that wait for their turn or their second look; bounded."""

    def __init__(self, waiting_max: int = WAITING_TRANSACTIONS_MAX) -> None:
        self._waiting_max = waiting_max
        self._heard: dict[bytes, bool] = {}
        """Of each transaction that waits for its turn, whether a member relayed it."""
        self._turns: tuple[deque[tuple[int, bytes]], ...] = tuple(deque() for _ in range(TURNS_MAX + 1))
        """By turn, hence each in order of time: what to look at when (ms)."""
        self._second_looks: deque[tuple[int, bytes]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._heard) + len(self._second_looks)

    def given(self, transaction: bytes, turn: int, now_ms: int, *, heard: bool = False) -> bool:
        """A client gave this one, and a member may have been `heard` of it; True: it goes on at once."""
        if self.waiting >= self._waiting_max or (turn == 0 and not heard):
            return True
        if transaction not in self._heard:
            self._heard[transaction] = heard
            self._turns[turn].append((now_ms + turn * TURN_MS, transaction))
        return False

    def heard(self, transaction: bytes) -> None:
        """A member of the committee relayed this one."""
        if transaction in self._heard:
            self._heard[transaction] = True

    def due(self, now_ms: int) -> list[bytes]:
        """What goes on now, unless it is decided: its turn came and nobody was heard, or its second look."""
        found: list[bytes] = []
        while self._second_looks and self._second_looks[0][0] <= now_ms:
            found.append(self._second_looks.popleft()[1])
        for turn in self._turns:
            while turn and turn[0][0] <= now_ms:
                _, transaction = turn.popleft()
                if self._heard.pop(transaction):
                    self._second_looks.append((now_ms + SECOND_LOOK_MS, transaction))
                else:
                    found.append(transaction)
        return found
