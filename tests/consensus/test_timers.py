"""`wake_at_ms`: a driver that ticks only then misses nothing (the whole harness relies on it)."""

from consensus_bench import Bench
from consensus_harness import DELTA_MS, EPS_MS

from p2penergy.messages import PrePrepare


def wake(bench: Bench) -> int:
    wake_ms = bench.effects[-1].wake_at_ms
    assert wake_ms is not None
    return wake_ms - bench.network.slot_ms(0)


def test_the_first_slot() -> None:
    assert wake(Bench()) == 1000


def test_the_next_view() -> None:
    bench = Bench(leads=4).at(1)
    assert wake(bench) == 2000


def test_the_next_repetition_of_the_view_change() -> None:
    bench = Bench(leads=4).at(2)
    assert wake(bench) == 2000 + DELTA_MS


def test_an_early_proposal() -> None:
    bench = Bench(leads=4)
    bench.network.now_ms = bench.network.slot_ms(0) + 500
    bench.deliver(bench.pre_prepare(1, bench.block(1)))
    assert wake(bench) == 1000 - EPS_MS


def test_an_own_view_that_was_entered_early() -> None:
    bench = Bench(leads=2).at(1)
    bench.node.submit(b"tx")
    bench.deliver(*(bench.view_change(member, 2) for member in bench.others))
    assert bench.node.replica.view == 2
    assert not bench.sent(PrePrepare)
    assert wake(bench) == 2000
    bench.at(2)
    assert len(bench.sent(PrePrepare)) == 1


def test_a_stretched_view() -> None:
    bench = Bench(leads=4).at(9)
    view = bench.node.replica.view
    assert view == 9
    bench.at(10)
    assert bench.node.replica.view == 9
    bench.at(11)
    assert bench.node.replica.view == 10


def test_a_clock_far_behind_the_view_does_not_spin() -> None:
    bench = Bench(leads=3).at(3)
    bench.at(1)
    assert wake(bench) >= 1000


def test_the_wake_is_always_later_than_now() -> None:
    bench = Bench(leads=4, delta_ms=0, eps_ms=0).at(2)
    assert wake(bench) > 2000
