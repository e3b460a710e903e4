from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.meters.registers import Limits, PeriodEnergy, Registers
from p2penergy.meters.samples import Sample, SampleError

P = 2_000_000
START = P * 900
LATER = START * 2


def at(seconds: int, import_wh: int = 0, export_wh: int = 0) -> Sample:
    return Sample(START + seconds, import_wh, export_wh)


def periods(*samples: Sample, **limits: Any) -> tuple[list[PeriodEnergy], list[str]]:
    registers = Registers(Limits(**limits))
    return registers.feed(samples, LATER), registers.problems


def test_samples_on_the_boundaries_give_the_periods_between() -> None:
    found, problems = periods(at(0, 100, 5), at(900, 150, 5), at(1800, 160, 25))
    # Both registers grew in the second period: netted within it, and only there.
    assert found == [PeriodEnergy(P, 50, 0), PeriodEnergy(P + 1, 0, 10)]
    assert problems == []


def test_a_boundary_between_two_samples_lies_on_the_line_between_them() -> None:
    found, problems = periods(at(-300, 0), at(600, 90), at(1200, 150), at(1800, 180))
    assert found == [PeriodEnergy(P, 90, 0), PeriodEnergy(P + 1, 60, 0)]
    assert problems == ["the period of 2027-01-15T07:45Z is not known from its start"]


def test_a_gap_leaves_its_periods_out_and_says_so() -> None:
    found, problems = periods(at(0, 0), at(900, 10), at(3600, 40), at(4500, 50))
    assert [energy.period for energy in found] == [P, P + 4]
    (problem,) = problems
    assert "no sample between 2027-01-15T08:15Z and 2027-01-15T09:00Z" in problem


def test_repeats_and_late_comers_change_nothing() -> None:
    registers = Registers(Limits())
    assert registers.feed([at(900, 10), at(0, 0), at(900, 10)], LATER) == [PeriodEnergy(P, 10, 0)]
    assert registers.feed([at(900, 10)], LATER) == []
    assert registers.problems == []
    assert registers.feed([at(900, 11), at(450, 3)], LATER) == []
    assert len(registers.problems) == 2
    assert registers.feed([at(1800, 30)], LATER) == [PeriodEnergy(P + 1, 20, 0)]


def test_the_future_is_refused() -> None:
    registers = Registers(Limits())
    assert registers.feed([at(0), at(900, 10)], START + 899) == []
    assert "lies in the future" in registers.problems[0]
    assert registers.feed([at(900, 10)], START + 900) == [PeriodEnergy(P, 10, 0)]


def test_a_register_that_begins_again_goes_on() -> None:
    end_wh = 1_000_000
    found, problems = periods(
        at(0, end_wh - 30), at(450, end_wh - 10), at(700, 5), at(900, 20), at(1800, 25), register_wh=end_wh
    )
    assert found == [PeriodEnergy(P, 50, 0), PeriodEnergy(P + 1, 5, 0)]
    assert problems == []


def test_a_lower_register_without_an_end_is_passed_over_once_and_another_meter_when_it_stays() -> None:
    found, problems = periods(at(0, 1000), at(300, 3), at(900, 1010))
    assert found == [PeriodEnergy(P, 10, 0)]
    assert len(problems) == 1
    found, problems = periods(at(0, 1000), at(300, 3), at(600, 4), at(900, 5), at(1800, 9))
    assert found == [PeriodEnergy(P + 1, 4, 0)]
    assert "begun anew" in problems[-1]


def test_more_than_the_connection_carries_is_passed_over() -> None:
    found, problems = periods(at(0, 0), at(450, 99_999), at(900, 900), rated_w=4000)
    assert found == [PeriodEnergy(P, 900, 0)]
    assert "more than the connection carries" in problems[0]


def test_a_reset_near_the_end_of_a_register_is_no_turn_of_it() -> None:
    found, _ = periods(at(0, 1000), at(900, 3), register_wh=10**9)
    assert found == []


@pytest.mark.parametrize("bad", [(-1, 0, 0), (2**41, 0, 0), (0, -1, 0), (0, 0, 10**16)])
def test_a_sample_is_within_its_limits(bad: tuple[int, int, int]) -> None:
    with pytest.raises(SampleError, match="expected"):
        Sample(*bad)


# ---- rules ---------------------------------------------------------------------------------------

steps = st.lists(st.tuples(st.integers(1, 900), st.integers(0, 400), st.integers(0, 400)), min_size=1)


def life(drawn: list[tuple[int, int, int]], register_wh: int = 0, start_wh: int = 0) -> list[Sample]:
    at_s, import_wh, export_wh = START, start_wh, start_wh
    samples = [Sample(at_s, import_wh, export_wh)]
    for by_s, drawn_wh, fed_wh in drawn:
        at_s, import_wh, export_wh = at_s + by_s, import_wh + drawn_wh, export_wh + fed_wh
        wrap = register_wh or 10**12
        samples.append(Sample(at_s, import_wh % wrap, export_wh % wrap))
    return samples


@given(steps)
def test_every_period_comes_out_once_and_nothing_is_lost_or_made_up(
    drawn: list[tuple[int, int, int]],
) -> None:
    samples = life(drawn)
    registers = Registers(Limits())
    found = registers.feed(samples, LATER)
    assert [energy.period for energy in found] == list(range(P, samples[-1].at_s // 900))
    assert all(min(e.import_wh, e.export_wh) == 0 <= max(e.import_wh, e.export_wh) for e in found)
    net_wh = sum(energy.import_wh - energy.export_wh for energy in found)
    kept = registers.frontier
    assert net_wh == kept.boundary_import_wh - kept.boundary_export_wh
    assert 0 <= kept.boundary_import_wh <= samples[-1].import_wh


@given(steps, st.data())
def test_a_restart_between_any_two_samples_changes_nothing(
    drawn: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    samples = life(drawn)
    cut = data.draw(st.integers(0, len(samples)))
    first = Registers(Limits())
    found = first.feed(samples[:cut], LATER)
    second = Registers(Limits(), first.frontier)
    assert found + second.feed(samples, LATER) == Registers(Limits()).feed(samples, LATER)


@given(steps, st.integers(0, 9_999))
def test_the_end_of_a_register_is_not_seen_in_the_periods(
    drawn: list[tuple[int, int, int]], start_wh: int
) -> None:
    end_wh = 10_000
    limits = Limits(register_wh=end_wh)
    turned = Registers(limits).feed(life(drawn, end_wh, start_wh), LATER)
    assert turned == Registers(Limits()).feed(life(drawn), LATER)


anything = st.builds(Sample, st.integers(START, START + 9000), st.integers(0, 5000), st.integers(0, 5000))


@given(st.lists(st.lists(anything, max_size=6), max_size=8), st.sampled_from([0, 4000]))
def test_whatever_comes_periods_are_unique_ascending_and_plausible(
    batches: list[list[Sample]], rated_w: int
) -> None:
    registers = Registers(Limits(rated_w))
    found = [energy for batch in batches for energy in registers.feed(batch, LATER)]
    numbers = [energy.period for energy in found]
    assert numbers == sorted(set(numbers))
    if rated_w:
        assert all(max(e.import_wh, e.export_wh) <= rated_w // 4 + 4 for e in found)
