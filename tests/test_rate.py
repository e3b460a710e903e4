"""Token buckets: what is taken comes back with time, and each participant has its own."""

from p2penergy.rate import PARTICIPANTS_REMEMBERED_MAX, Allowances, TokenBucket


def test_a_bucket_fills_up_to_its_burst() -> None:
    bucket = TokenBucket(per_s=10, burst=2, now_ms=0)
    assert [bucket.take(0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(100) for _ in range(2)] == [True, False]
    assert [bucket.take(60_000) for _ in range(3)] == [True, True, False]


def test_a_clock_that_went_back_neither_fills_nor_empties() -> None:
    bucket = TokenBucket(per_s=10, burst=2, now_ms=1000)
    assert bucket.take(0)
    assert bucket.take(0)
    assert not bucket.take(0)
    assert bucket.take(100)


def test_many_tokens_at_once_are_all_or_nothing() -> None:
    bucket = TokenBucket(per_s=10, burst=5, now_ms=0)
    assert not bucket.take(0, 6)
    assert bucket.take(0, 5)
    assert not bucket.take(0)


def test_each_participant_has_its_own_and_all_are_bounded() -> None:
    allowances = Allowances(per_s=1, burst=1)
    assert allowances.take(b"a", 0)
    assert not allowances.take(b"a", 0)
    assert allowances.take(b"b", 0)
    for number in range(PARTICIPANTS_REMEMBERED_MAX + 5):
        allowances.take(number.to_bytes(4, "big"), 0)
    assert len(allowances) == PARTICIPANTS_REMEMBERED_MAX
