"""The lot that gives each follower its relays."""

from collections import Counter
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from p2penergy.relaying import RELAYS, relays_of, served_by


def ids(count: int, kind: str = "member") -> list[bytes]:
    return [sha256(f"{kind} {number}".encode()).digest()[:20] for number in range(count)]


@given(st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32), st.integers(0, 40))
def test_everybody_has_two_relays_where_there_are_two(follower: bytes, digest: bytes, n: int) -> None:
    order = ids(n)
    relays = relays_of(follower, digest, order)
    assert len(relays) == len(set(relays)) == min(RELAYS, n)
    assert set(relays) <= set(order)


def test_both_ends_agree_and_the_work_is_shared() -> None:
    order, followers, digest = ids(100), ids(900, "follower"), b"d" * 32
    sends = {me: served_by(me, followers, digest, order) for me in order}
    assert sum(map(len, sends.values())) == RELAYS * len(followers)
    assert all(me in relays_of(each, digest, order) for me in order for each in sends[me])
    # 18 on average; the lot gives nobody three times as much.
    assert max(map(len, sends.values())) < 54


def test_the_lot_falls_anew_with_every_block() -> None:
    order, follower = ids(10), ids(1, "follower")[0]
    first = Counter(relays_of(follower, bytes([block]) * 32, order)[0] for block in range(200))
    assert len(first) == 10
