from p2penergy.simulation.clocks import NodeClock


def test_a_clock_with_an_offset_shows_true_time_plus_it() -> None:
    clock = NodeClock()
    clock.set_right(1_000, -20)
    assert clock.shows_ms(1_000) == 980
    assert clock.shows_ms(5_000) == 4_980


def test_steps_go_both_ways_and_keep_what_was() -> None:
    clock = NodeClock(10)
    clock.step(100, 1_000)
    assert clock.shows_ms(100) == 1_110
    clock.step(200, -3_000)
    assert clock.shows_ms(200) == -1_790


def test_drift_and_freezing_begin_where_the_clock_was() -> None:
    clock = NodeClock()
    clock.drift(1_000, 1_500_000)
    assert clock.shows_ms(3_000) == 4_000
    clock.drift(3_000, 0)
    assert clock.shows_ms(9_000) == 4_000
    clock.set_right(9_000, 5)
    assert clock.shows_ms(10_000) == 10_005
