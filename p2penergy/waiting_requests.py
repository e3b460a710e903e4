"""Requests that came and were not looked at yet: participants take turns, and nobody fills the room of all.

Lives here: a bounded queue for each participant. Never here: signatures, the pool, when to look. What is not
looked at costs memory only, so that a network that is offered too much goes on deciding at its own pace.
"""

from collections import OrderedDict, deque
from typing import NamedTuple

from p2penergy.peers import participant_of

WAITING_BYTES_MAX = 32 * 1024 * 1024
WAITING_BYTES_OF_ONE_MAX = 8 * 1024 * 1024
ENTRY_BYTES = 200
"""What an entry takes beside its transaction, about."""


class WaitingRequest(NamedTuple):
    """One transaction of a REQUEST."""

    peer: bytes
    transaction: bytes
    relayed: bool
    height: int
    """The node's height when it came: of what was decided later, this peer was told."""
    heard: bool = False
    """A member relayed the same while it waited."""

    @property
    def size_bytes(self) -> int:
        """What it counts for."""
        return len(self.transaction) + ENTRY_BYTES


class WaitingRequests:
    """In order of arrival for each participant; participants in turn."""

    def __init__(
        self, bytes_max: int = WAITING_BYTES_MAX, bytes_of_one_max: int = WAITING_BYTES_OF_ONE_MAX
    ) -> None:
        self._bytes_max = bytes_max
        self._bytes_of_one_max = bytes_of_one_max
        self._queues: OrderedDict[bytes, deque[WaitingRequest]] = OrderedDict()
        self._bytes_of: dict[bytes, int] = {}
        self._heard: dict[bytes, bool] = {}
        """Of each transaction from a client that waits, whether a member relayed it since."""
        self.size_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._queues)

    def put(self, request: WaitingRequest) -> bool:
        """Have it wait; False: there is no room for it."""
        who = participant_of(request.peer)
        size_bytes = request.size_bytes
        of_one = self._bytes_of.get(who, 0) + size_bytes
        if self.size_bytes + size_bytes > self._bytes_max or of_one > self._bytes_of_one_max:
            return False
        self._queues.setdefault(who, deque()).append(request)
        if not request.relayed:
            self._heard.setdefault(request.transaction, False)
        self._bytes_of[who] = of_one
        self.size_bytes += size_bytes
        return True

    def heard(self, transaction: bytes) -> bool:
        """A member relays this one; True: it waits already, no second copy is needed."""
        if transaction not in self._heard:
            return False
        self._heard[transaction] = True
        return True

    def take(self) -> WaitingRequest:
        """The oldest of the participant whose turn it is; raises KeyError when nothing waits."""
        who, queue = self._queues.popitem(last=False)
        request = queue.popleft()
        self.size_bytes -= request.size_bytes
        if queue:
            self._queues[who] = queue
            self._bytes_of[who] -= request.size_bytes
        else:
            del self._bytes_of[who]
        if not request.relayed and self._heard.pop(request.transaction, False):
            return request._replace(heard=True)
        return request

    def clear(self) -> None:
        """Forget all."""
        self._queues.clear()
        self._bytes_of.clear()
        self._heard.clear()
        self.size_bytes = 0
