"""Following committees through their changes, past nodes that lie or know too little."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from light_samples import EVERYBODY, LAG, SampleChain, change

from p2penergy.following import FollowError, following
from p2penergy.light import Light
from p2penergy.messages import CommitteesRequest, CommitteesResponse, HeadersRequest, HeadersResponse

FIRST, OTHERS = EVERYBODY[:4], EVERYBODY[2:6]


def follow(chain: SampleChain, light: Light, target: int) -> None:
    search = following(light, target)
    try:
        question = next(search)
        while True:
            question = search.send(chain.answer(question))
    except StopIteration:
        return


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 60), max_size=4, unique=True),
    st.lists(st.integers(0, 3), min_size=5, max_size=5),
    st.integers(1, 60),
)
def test_it_gets_anywhere_by_what_the_chain_names(changes: list[int], chosen: list[int], target: int) -> None:
    # Whatever the committees do, as long as genesis' decide the first L heights.
    starts = [0, *sorted(at + LAG for at in changes)]
    turns = [sum(start <= height for start in starts) - 1 for height in range(60 + 2 * LAG)]
    committees = [EVERYBODY[chosen[turn] :][:4] for turn in turns]
    chain = SampleChain(committees, 60)
    light = chain.light()
    follow(chain, light, target)
    assert light.height == target
    assert tuple(light.validators()) == chain.committee(target + LAG)


def test_a_long_chain_takes_few_questions() -> None:
    changed_at = 70_000
    chain = SampleChain([FIRST], 100_000)
    chain.committee = lambda height: FIRST if height < changed_at else OTHERS  # type: ignore[method-assign]
    chain.told += SampleChain([OTHERS], 1).told
    light = chain.light()
    follow(chain, light, 100_000)
    assert chain.asked < 30
    chain.asked = 0
    follow(chain, light, 99_999)
    assert chain.asked == 1


def test_a_node_that_tells_nothing_or_something_else_is_left() -> None:
    chain = SampleChain([FIRST], 5)
    search = following(chain.light(), 9)
    assert next(search) == HeadersRequest(9, 1)
    with pytest.raises(FollowError, match="does not tell block 9"):
        search.send(chain.answer(HeadersRequest(9, 1)))
    search = following(chain.light(), 4)
    next(search)
    with pytest.raises(FollowError, match="it tells another"):
        search.send(HeadersResponse((chain.proven(3),)))
    search = following(chain.light(), 4)
    next(search)
    with pytest.raises(FollowError, match="does not tell"):
        search.send(CommitteesResponse(()))
    search = following(chain.light(), 4)
    next(search)
    header, certificate = chain.proven(4)
    with pytest.raises(FollowError, match="block 4: 1 of 4 signed"):
        search.send(HeadersResponse(((header, change(certificate, votes=certificate.votes[:1])),)))


def test_a_committee_that_nobody_tells_or_the_chain_does_not_name_is_not_believed() -> None:
    chain = SampleChain([FIRST] * 10 + [OTHERS], 30)
    mute = SampleChain([FIRST] * 10 + [OTHERS], 30)
    mute.told = []
    with pytest.raises(FollowError, match="committee of block 11 is not the one that the chain names"):
        follow(mute, chain.light(), 30)
    forged = SampleChain([OTHERS], 30)
    forged.genesis, forged.chain_id = chain.genesis, chain.chain_id
    light = chain.light()
    with pytest.raises(FollowError, match="another committee than genesis names"):
        follow(forged, light, 30)
    assert light.tip is None


def test_it_ends_whatever_it_is_told() -> None:
    # A committee for each height, told honestly: more than a search will ask for.
    committees = [EVERYBODY[height % 3 :][:4] for height in range(40)]
    committees[1] = committees[0]
    chain = SampleChain(committees, 40)
    light = chain.light()
    follow(chain, light, 38)
    assert light.height == 38
    assert isinstance(chain.answer(CommitteesRequest(light.missing() or (b"x" * 32,))), CommitteesResponse)
