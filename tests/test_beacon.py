"""The beacon: one reveal at a time, each the preimage of the one before, down to the chain's end."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2penergy import beacon
from p2penergy.beacon import ChainSeries, HashChain, mix, origin, reveals, seed
from p2penergy.messages import Stage

LINKS_PER_CHECKPOINT = 512


def links_of(secret: bytes, count: int) -> list[bytes]:
    """The chain by its definition, end first."""
    chain = [sha256(b"p2penergy/hash-chain/1\0" + secret).digest()]
    for _ in range(count):
        chain.append(sha256(chain[-1]).digest())
    return chain


@pytest.mark.parametrize("links", [0, 1, 5, 511, 512, 513, 1024, 1300])
def test_a_chain_is_walked_to_its_end(links: int) -> None:
    expected = links_of(b"secret", links)
    chain = HashChain(b"secret", links)
    assert chain.tip == expected[-1]
    tip, walked = chain.tip, [chain.tip]
    while (below := chain.preimage(tip)) is not None:
        assert reveals(below, tip)
        walked.append(below)
        tip = below
    assert walked == expected[::-1]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 1100), min_size=1, max_size=12))
def test_any_link_is_found_in_any_order(positions: list[int]) -> None:
    expected = links_of(b"order", 1100)
    chain = HashChain(b"order", 1100)
    for position in positions:
        assert chain.preimage(expected[position]) == (expected[position - 1] if position else None)


def test_a_stranger_has_no_preimage_and_does_no_harm() -> None:
    chain = HashChain(b"mine", 600)
    assert chain.preimage(HashChain(b"another's", 600).tip) is None
    assert chain.preimage(sha256(chain.tip).digest()) is None
    assert chain.preimage(b"") is None
    assert chain.preimage(chain.tip) == links_of(b"mine", 600)[-2]


def test_the_walk_down_is_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    # A proposer asks at every block: below a known link, less than two checkpoints' hashes are needed.
    chain = HashChain(b"cheap", 4 * LINKS_PER_CHECKPOINT)
    hashed = 0

    def counting(data: bytes = b"") -> object:
        nonlocal hashed
        hashed += 1
        return sha256(data)

    monkeypatch.setattr(beacon, "sha256", counting)
    tip = chain.tip
    for _ in range(3 * LINKS_PER_CHECKPOINT):
        hashed = 0
        below = chain.preimage(tip)
        assert below is not None
        assert hashed < LINKS_PER_CHECKPOINT
        tip = below


def test_only_the_preimage_reveals() -> None:
    low, high = links_of(b"x", 1)
    assert reveals(low, high)
    assert not reveals(high, high)
    assert not reveals(high, low)
    assert not reveals(b"", high)


def test_different_secrets_have_different_chains() -> None:
    assert not set(links_of(b"a", 50)) & set(links_of(b"b", 50))


def test_the_beacon_depends_on_all_that_goes_in() -> None:
    values = [
        origin(b"a" * 32),
        origin(b"b" * 32),
        mix(b"a" * 32, b"r" * 32),
        mix(b"b" * 32, b"r" * 32),
        mix(b"a" * 32, b"s" * 32),
        mix(b"r" * 32, b"a" * 32),
    ]
    assert len(set(values)) == len(values)
    base = (b"c" * 32, 7, Stage.VALIDATION, b"r" * 32)
    seeds = [
        seed(*base),
        seed(b"d" * 32, *base[1:]),
        seed(base[0], 8, *base[2:]),
        seed(*base[:2], Stage.VERIFICATION, base[3]),
        seed(*base[:3], b"s" * 32),
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(len(value) == 32 for value in values + seeds)


# ---- one chain after the other -------------------------------------------------------------------


def short(secret: bytes) -> HashChain:
    return HashChain(secret, 16)


def test_the_first_of_a_series_is_the_secret_s_own_chain() -> None:
    series, chain = ChainSeries(b"s", short), short(b"s")
    assert series.preimage(chain.tip) == chain.preimage(chain.tip)


def test_the_next_chain_is_told_when_the_present_one_runs_low() -> None:
    series, chain = ChainSeries(b"s", short), short(b"s")
    tip, told = chain.tip, []
    for left in range(16, -1, -1):
        following = series.next_tip(tip)
        assert (following is not None) == (left < 2)
        told += [following] if following is not None else []
        tip = series.preimage(tip) or b""
    assert tip == b""
    assert told[0] == told[1] != chain.tip
    below = series.preimage(told[0])
    assert below is not None
    assert reveals(below, told[0])
    assert series.next_tip(told[0]) is None


def test_a_restarted_series_finds_its_place_by_the_link_that_it_is_asked_for() -> None:
    tips = [short(b"s" + number.to_bytes(4, "big")).tip for number in range(1, 4)]
    assert ChainSeries(b"s", short).preimage(tips[2]) is not None
    series = ChainSeries(b"s", short)
    assert [series.preimage(tip) is None for tip in tips] == [False] * 3


def test_a_link_of_nobody_is_looked_for_once() -> None:
    made = []

    def counting(secret: bytes) -> HashChain:
        made.append(secret)
        return short(secret)

    series = ChainSeries(b"s", counting)
    for _ in range(3):
        assert series.preimage(b"x" * 32) is None
        assert series.next_tip(b"x" * 32) is None
    assert len(made) == 1 + beacon.CHAINS_AHEAD_MAX
    assert series.preimage(short(b"s").tip) is not None
