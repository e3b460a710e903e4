"""Requests that came and were not looked at yet: participants take turns, and nobody fills the room of all.

Lives here: a bounded queue for each participant. Never here: signatures, the pool, when to look. What is not
looked at costs memory only, so that a network that is offered too much goes on deciding at its own pace: what
members relay is in their pools, and comes first, so that all are ready to vote on the same transactions.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import NamedTuple

from p2penergy.peers import participant_of

WAITING_BYTES_MAX = 32 * 1024 * 1024
WAITING_BYTES_OF_ONE_MAX = 8 * 1024 * 1024
ENTRY_BYTES = 350
"""What an entry takes beside its transaction, about."""


class WaitingRequest(NamedTuple):
    """One transaction of a REQUEST."""

    peer: bytes
    transaction: bytes
    relayed: bool
    """By a member."""
    height: int
    """The node's height when it came: of what was decided later, this peer was told."""
    heard: bool = False
    """A member relayed the same while it waited."""


_Queues = OrderedDict[bytes, "deque[WaitingRequest]"]


class _Copies:
    """What is known of one transaction that waits, of all its copies together."""

    __slots__ = ("from_clients", "heard", "is_decided", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self.from_clients = 0
        self.heard = False
        """A member relayed it while a client's copy waited."""
        self.is_decided = False


class WaitingRequests:
    """In order of arrival for each participant, who take turns; what is decided meanwhile falls out."""

    def __init__(
        self, bytes_max: int = WAITING_BYTES_MAX, bytes_of_one_max: int = WAITING_BYTES_OF_ONE_MAX
    ) -> None:
        self._bytes_max = bytes_max
        self._bytes_of_one_max = bytes_of_one_max
        self._of_members: _Queues = OrderedDict()
        self._of_clients: _Queues = OrderedDict()
        self._relayed_in_a_row = 0
        self._bytes_of: dict[bytes, int] = {}
        self._copies: dict[bytes, _Copies] = {}
        self.size_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._of_members or self._of_clients)

    def put(self, request: WaitingRequest) -> bool:
        """Have it wait; False: there is no room for it."""
        who = participant_of(request.peer)
        size_bytes = len(request.transaction) + ENTRY_BYTES
        of_one = self._bytes_of.get(who, 0) + size_bytes
        if self.size_bytes + size_bytes > self._bytes_max or of_one > self._bytes_of_one_max:
            return False
        queues = self._of_members if request.relayed else self._of_clients
        queue = queues.get(who)
        if queue is None:
            queue = queues[who] = deque()
        queue.append(request)
        copies = self._copies.get(request.transaction)
        if copies is None:
            copies = self._copies[request.transaction] = _Copies()
        copies.waiting += 1
        copies.from_clients += not request.relayed
        self._bytes_of[who] = of_one
        self.size_bytes += size_bytes
        return True

    def heard(self, transaction: bytes) -> bool:
        """A member relays this one; True: it waits already, no second copy is needed."""
        copies = self._copies.get(transaction)
        if copies is None or not copies.from_clients:
            return False
        copies.heard = True
        return True

    def decided(self, transactions: Iterable[bytes]) -> None:
        """These need not be looked at any more: whoever sent one is told by the block's reply."""
        for transaction in transactions:
            copies = self._copies.get(transaction)
            if copies is not None:
                copies.is_decided = True

    def take(self) -> WaitingRequest | None:
        """The next to look at; None when nothing waits that is still to be decided.

        The oldest of the participant whose turn it is: of each member that relays something, then of one
        client. So each member can bring as much as any other, and one that floods takes no more than half.
        """
        while self:
            request, copies = self._pop(self._relayed_in_a_row < len(self._of_members))
            if not copies.is_decided:
                self._relayed_in_a_row = self._relayed_in_a_row + 1 if request.relayed else 0
                return request._replace(heard=True) if copies.heard and not request.relayed else request
        return None

    def _pop(self, members_first: bool) -> tuple[WaitingRequest, _Copies]:
        queues, others = self._of_members, self._of_clients
        if not queues or (others and not members_first):
            queues = others
        who, queue = queues.popitem(last=False)
        request = queue.popleft()
        if queue:
            queues[who] = queue
        size_bytes = len(request.transaction) + ENTRY_BYTES
        self.size_bytes -= size_bytes
        left_bytes = self._bytes_of[who] - size_bytes
        if left_bytes:
            self._bytes_of[who] = left_bytes
        else:
            del self._bytes_of[who]
        copies = self._copies[request.transaction]
        copies.waiting -= 1
        copies.from_clients -= not request.relayed
        if not copies.waiting:
            del self._copies[request.transaction]
        return request, copies

    def clear(self) -> None:
        """Forget all."""
        self._of_members.clear()
        self._of_clients.clear()
        self._bytes_of.clear()
        self._copies.clear()
        self.size_bytes = 0
