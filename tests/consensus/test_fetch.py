"""Which undecided blocks are wanted, and whom to ask for them."""

from p2penergy.consensus.fetch import WANTED_MAX, Fetch


def test_holders_are_asked_in_turn_until_the_block_is_known() -> None:
    fetch = Fetch(100)
    fetch.want(b"d", [b"a", b"b"], 0)
    assert b"d" in fetch
    assert fetch.due(0) == [(b"a", b"d")]
    assert fetch.due(99) == []
    assert fetch.wake_ms() == 100
    assert fetch.due(100) == [(b"b", b"d")]
    assert fetch.due(200) == [(b"a", b"d")]
    fetch.forget(b"d")
    assert fetch.due(300) == []
    assert fetch.wake_ms() is None


def test_wanting_again_changes_nothing() -> None:
    fetch = Fetch(100)
    fetch.want(b"d", [b"a"], 0)
    fetch.due(0)
    fetch.want(b"d", [b"b"], 50)
    assert fetch.due(50) == []


def test_wants_are_bounded_and_end_with_the_height() -> None:
    fetch = Fetch(100)
    for i in range(WANTED_MAX + 5):
        fetch.want(b"%d" % i, [b"a"], 0)
    assert len(fetch) == WANTED_MAX
    fetch.clear()
    assert len(fetch) == 0


def test_a_clock_set_back_postpones_nothing() -> None:
    fetch = Fetch(100)
    fetch.want(b"d", [b"a"], 1000)
    fetch.due(1000)
    assert fetch.due(10) == [(b"a", b"d")]
