"""Whom to ask for decided blocks, and when."""

from p2penergy.consensus.catch_up import CLAIMS_MAX, CatchUp

A, B, C = b"a", b"b", b"c"


def catch_up() -> CatchUp:
    return CatchUp(grace_ms=10, patience_ms=100)


def test_nobody_claims_nobody_is_asked() -> None:
    state = catch_up()
    assert state.next_peer(1, 0) is None
    assert state.wake_ms(1) is None


def test_a_claim_of_what_is_decided_here_is_nothing() -> None:
    state = catch_up()
    state.note(A, 4, 5, 0)
    assert state.next_peer(5, 0) is None


def test_one_request_at_a_time_and_the_next_peer_after_patience() -> None:
    state = catch_up()
    state.note(A, 9, 5, 0)
    state.note(B, 9, 5, 0)
    assert state.next_peer(5, 0) == A
    assert state.next_peer(5, 99) is None
    assert state.wake_ms(5) == 100
    assert state.next_peer(5, 100) == B
    assert state.was_asked(A), "a late answer is welcome"


def test_a_peer_that_serves_is_asked_on() -> None:
    state = catch_up()
    state.note(A, 9, 5, 0)
    state.next_peer(5, 0)
    state.served(A, progressed=True)
    assert state.next_peer(6, 1) == A


def test_an_empty_answer_ends_the_claim() -> None:
    state = catch_up()
    state.note(A, 9, 5, 0)
    state.next_peer(5, 0)
    state.served(A, progressed=False)
    assert state.next_peer(5, 1) is None
    assert not state.was_asked(A)


def test_one_block_behind_waits_for_the_grace() -> None:
    state = catch_up()
    state.note(A, 5, 5, 0)
    assert state.next_peer(5, 9) is None
    assert state.wake_ms(5) == 10
    assert state.next_peer(5, 10) == A


def test_whoever_failed_comes_after_all_others() -> None:
    state = catch_up()
    state.note(A, 9, 5, 0)
    state.next_peer(5, 0)
    state.note(B, 9, 5, 0)
    state.next_peer(5, 100)
    state.note(A, 99, 5, 100)
    state.note(C, 9, 5, 100)
    assert state.next_peer(5, 200) == C


def test_claims_are_bounded_and_a_better_record_takes_the_place_of_the_worst() -> None:
    state = catch_up()
    liars = [b"liar %d" % i for i in range(CLAIMS_MAX)]
    for liar in liars:
        state.note(liar, 99, 5, 0)
    state.note(A, 9, 5, 0)
    assert state.next_peer(5, 0) == liars[0]
    assert state.next_peer(5, 100) == liars[1]
    state.note(liars[0], 99, 5, 100)
    state.note(A, 9, 5, 100)
    assert not state.is_news(A, 9)


def test_a_clock_set_back_postpones_nothing() -> None:
    state = catch_up()
    state.note(A, 5, 5, 1000)
    assert state.next_peer(5, 500) == A
    state.note(B, 9, 5, 500)
    assert state.next_peer(5, 100) == B


def test_an_answer_that_comes_block_by_block_is_followed_by_the_next_request_soon() -> None:
    state = catch_up()
    state.note(A, 9, 5, 0)
    state.next_peer(5, 0)
    for now_ms in (30, 60, 90, 105):
        state.delivered(A, now_ms)
        assert state.next_peer(6, now_ms) is None
    assert state.wake_ms(6) == 125
    assert state.next_peer(6, 124) is None
    assert state.next_peer(6, 125) == A


def test_an_answer_whose_blocks_are_counted_is_waited_for_while_some_are_on_their_way() -> None:
    state = catch_up()
    state.note(A, 9, 5, 0)
    state.note(B, 9, 5, 0)
    state.next_peer(5, 0)
    # Each block takes a slow machine longer than the pause after which silence would be the end.
    for height, now_ms in enumerate((90, 180, 270), start=6):
        state.delivered(A, now_ms, remaining=9 - height)
        assert state.next_peer(height, now_ms + 80) is None


def test_after_the_last_counted_block_the_next_request_goes_out_at_once() -> None:
    state = catch_up()
    state.note(A, 9, 5, 0)
    state.next_peer(5, 0)
    state.delivered(A, 30, remaining=1)
    assert state.next_peer(6, 31) is None
    state.delivered(A, 32, remaining=0)
    assert not state.was_asked(A)
    assert state.next_peer(7, 32) == A


def test_counted_blocks_that_stop_coming_are_asked_for_elsewhere_and_are_nobodys_fault() -> None:
    state = catch_up()
    state.note(A, 9, 5, 0)
    state.next_peer(5, 0)
    state.delivered(A, 30, remaining=5)
    assert state.wake_ms(6) == 130
    assert state.next_peer(6, 130) == A
