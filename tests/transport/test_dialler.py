"""Waits between dials, and dialling only while there is no link."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from transport import Limits
from transport.dialler import Backoff, keep_dialling

LIMITS = Limits(dial_backoff_ms_min=100, dial_backoff_ms_max=1_000)


@given(st.text())
def test_waits_double_up_to_a_limit_each_shortened_by_up_to_a_half(seed):
    backoff = Backoff(LIMITS, seed)
    for full_ms in (100, 200, 400, 800, 1_000, 1_000):
        assert full_ms / 2 < backoff.next_ms() <= full_ms
    backoff.reset()
    assert 50 < backoff.next_ms() <= 100


def test_the_jitter_comes_from_the_seed():
    def waits(seed: str) -> list[float]:
        backoff = Backoff(LIMITS, seed)
        return [backoff.next_ms() for _ in range(9)]

    assert waits("a") == waits("a")
    assert waits("a") != waits("b")


class Link:
    """All that the loop looks at."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()


async def test_it_dials_until_there_is_a_link_and_again_when_it_is_lost(eventually):
    links: list[Link] = []
    dials = []

    async def dial() -> None:
        dials.append(1)
        if len(dials) in (3, 4):
            links.append(Link())

    limits = Limits(dial_backoff_ms_min=1, dial_backoff_ms_max=2)
    coroutine = keep_dialling(dial, lambda: links[-1] if links else None, Backoff(limits, ""))
    dialling = asyncio.create_task(coroutine)
    await eventually(lambda: links)
    assert len(dials) == 3
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(dials) == 3, "nobody dials a peer that has a link"
    links.pop().closed.set()
    await eventually(lambda: links)
    assert len(dials) == 4
    dialling.cancel()


async def test_a_link_begins_the_waits_again(eventually):
    link, dials = Link(), []

    async def dial() -> None:
        dials.append(1)

    backoff = Backoff(Limits(dial_backoff_ms_min=1, dial_backoff_ms_max=64), "")
    dialling = asyncio.create_task(keep_dialling(dial, lambda: link if len(dials) == 5 else None, backoff))
    await eventually(lambda: len(dials) == 5)
    assert backoff._wait_ms == 1
    dialling.cancel()


async def test_a_link_that_the_peer_dialled_is_as_good(eventually):
    link, dials = Link(), []

    async def dial() -> None:
        dials.append(1)

    dialling = asyncio.create_task(keep_dialling(dial, lambda: link, Backoff(LIMITS, "")))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not dials
    dialling.cancel()
