from p2penergy.simulation.dice import PPM, Dice


def test_the_same_name_gives_the_same_choices_and_another_name_others() -> None:
    one, same, other = Dice(1, "a"), Dice(1, "a"), Dice(1, "b")
    drawn = [one.below(1000) for _ in range(50)]
    assert drawn == [same.below(1000) for _ in range(50)]
    assert drawn != [other.below(1000) for _ in range(50)]


def test_the_sequence_is_pinned_so_that_old_seeds_stay_the_same_on_every_python() -> None:
    dice = Dice(7, "pinned")
    assert [dice.below(100) for _ in range(8)] == PINNED


PINNED = [43, 90, 51, 34, 76, 14, 12, 92]


def test_bounds_are_kept() -> None:
    dice = Dice("bounds")
    assert {dice.below(3) for _ in range(200)} == {0, 1, 2}
    assert {dice.between(-1, 1) for _ in range(200)} == {-1, 0, 1}
    assert not any(dice.chance(0) for _ in range(100))
    assert all(dice.chance(PPM) for _ in range(100))


def test_samples_and_subsets_keep_to_their_items() -> None:
    dice = Dice("samples")
    items = tuple(range(10))
    sample = dice.sample(items, 4)
    assert len(set(sample)) == 4
    assert set(sample) <= set(items)
    assert sorted(dice.sample(items, 99)) == list(items)
    assert dice.subset(items, PPM) == items
    assert dice.subset(items, 0) == ()
    assert dice.pick(items) in items
