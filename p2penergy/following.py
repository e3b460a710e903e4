"""Bringing a light client up to a height: which headers and committees to ask for next.

Lives here: a pure search over one node's answers. Never here: sockets, waiting, what is believed (`light`).
Owns the invariant that it ends: every answer narrows what is searched, or the node is left. Implements
CONSENSUS section 8 in a number of questions that grows with the changes of committee between two heights,
and with the logarithm of their distance, not with their distance.
"""

from collections.abc import Generator

from p2penergy.light import Light, UnknownCommitteeError, WrongHeaderError
from p2penergy.messages import (
    COMMITTEES_MAX,
    CommitteesRequest,
    CommitteesResponse,
    HeadersRequest,
    HeadersResponse,
)

QUESTIONS_MAX = 2_000

Ask = HeadersRequest | CommitteesRequest
Told = HeadersResponse | CommitteesResponse


class FollowError(Exception):
    """This node does not lead the client there; the sentence says why."""


def following(light: Light, target: int) -> Generator[Ask, Told, None]:
    """Yield questions, take the answers, return when the header at `target` is believed.

    Raises:
        FollowError: what the node says proves nothing, or it does not say enough.
    """
    goals = [target]
    for _ in range(QUESTIONS_MAX):
        if not goals:
            return
        if (yield from _is_certified(light, goals[-1])):
            goals.pop()
            yield from _learn(light)
            continue
        # A committee was changed in between: where, is found by halves.
        low, high = light.below(goals[-1]), goals[-1]
        while high - low > 1:
            middle = (low + high) // 2
            if (yield from _is_certified(light, middle)):
                low = middle
            else:
                high = middle
        if high <= light.lag_blocks:
            raise FollowError(f"block {high} has another committee than genesis names")
        if not (yield from _is_certified(light, high - light.lag_blocks)):
            # It names the committee of `high`, and lies beyond another change.
            goals.append(high - light.lag_blocks)
            continue
        yield from _learn(light)
        if not (yield from _is_certified(light, high)):
            raise FollowError(f"the committee of block {high} is not the one that the chain names")
    raise FollowError("its committees change without end")


def _is_certified(light: Light, height: int) -> Generator[Ask, Told, bool]:
    """Whether the header at this height is believed now; False: its committee is not known yet."""
    told = yield HeadersRequest(height, 1)
    if not isinstance(told, HeadersResponse) or len(told.headers) != 1:
        raise FollowError(f"it does not tell block {height}")
    header, certificate = told.headers[0]
    if header.height != height:
        raise FollowError(f"asked for block {height}, it tells another")
    try:
        light.check(header, certificate)
    except UnknownCommitteeError:
        return False
    except WrongHeaderError as error:
        raise FollowError(f"block {height}: {error}") from None
    return True


def _learn(light: Light) -> Generator[Ask, Told, None]:
    """Ask for the members of all committees that were named, as far as the node knows them."""
    missing = light.missing()[:COMMITTEES_MAX]
    if missing:
        told = yield CommitteesRequest(missing)
        if isinstance(told, CommitteesResponse):
            for members in told.committees:
                light.learn(members)
