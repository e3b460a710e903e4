from p2penergy.simulation.dice import PPM, Dice
from p2penergy.simulation.disturbances import Delay, Duplicate, Loss, Mask, Muted, OneWay, Partition, SlowLink
from p2penergy.simulation.network import Hop, VirtualNetwork


def _hop(source: int, target: int, kind: str = "Prepare", slot: int = 1) -> Hop:
    return Hop(source, target, kind, slot)


def test_loss_takes_all_or_none_at_its_ends() -> None:
    assert Loss(Dice(1), PPM).apply(_hop(0, 1), [5]) == []
    assert Loss(Dice(1), 0).apply(_hop(0, 1), [5]) == [5]


def test_delays_only_add() -> None:
    assert Delay(Dice(1), PPM, 0).apply(_hop(0, 1), [5, 7]) == [5, 7]
    late = Delay(Dice(1), PPM, 100)
    assert all(5 <= late.apply(_hop(0, 1), [5])[0] <= 105 for _ in range(50))


def test_duplicates_come_after_the_first_and_never_for_lost_frames() -> None:
    double = Duplicate(Dice(1), PPM, 10)
    first, second = double.apply(_hop(0, 1), [5])
    assert first == 5
    assert 5 <= second <= 15
    assert double.apply(_hop(0, 1), []) == []


def test_a_mask_kills_the_same_pairs_throughout_its_slot_and_none_in_others() -> None:
    mask = Mask(Dice(3), slot=1, density_ppm=500_000)
    pairs = [_hop(a, b, kind) for a in range(4) for b in range(4) for kind in ("Prepare", "Commit")]
    first = [mask.apply(hop, [1]) for hop in pairs]
    assert first == [mask.apply(hop, [1]) for hop in pairs]
    assert [] in first
    assert [1] in first
    assert all(mask.apply(_hop(a, b, slot=2), [1]) == [1] for a in range(4) for b in range(4))


def test_a_mute_kills_exactly_its_pairs_in_its_slot() -> None:
    mute = Muted(2, frozenset({("Commit", 0, 1)}))
    assert mute.apply(_hop(0, 1, "Commit", 2), [1]) == []
    assert mute.apply(_hop(1, 0, "Commit", 2), [1]) == [1]
    assert mute.apply(_hop(0, 1, "Prepare", 2), [1]) == [1]
    assert mute.apply(_hop(0, 1, "Commit", 3), [1]) == [1]


def test_partitions_cut_between_groups_only() -> None:
    cut = Partition(((0, 1), (2,)))
    assert cut.apply(_hop(0, 1), [1]) == [1]
    assert cut.apply(_hop(0, 2), [1]) == []
    assert cut.apply(_hop(2, 1), [1]) == []
    assert cut.apply(_hop(0, 3), [1]) == [1]
    assert cut.apply(_hop(3, 2), [1]) == [1]


def test_one_way_links_are_dead_in_one_direction() -> None:
    deaf = OneWay(frozenset({(0, 1)}))
    assert deaf.apply(_hop(0, 1), [1]) == []
    assert deaf.apply(_hop(1, 0), [1]) == [1]


def test_a_slow_link_is_slow_both_ways() -> None:
    slow = SlowLink(frozenset({0, 1}), 100)
    assert slow.apply(_hop(0, 1), [1]) == [101]
    assert slow.apply(_hop(1, 0), [1]) == [101]
    assert slow.apply(_hop(1, 2), [1]) == [1]


def test_the_network_delivers_what_the_disturbances_leave() -> None:
    posted: list[tuple[int, int, int, bytes]] = []
    network = VirtualNetwork(Dice(1), 30, lambda *frame: posted.append(frame))
    network.send(0, 1, "Prepare", 1, b"a")
    assert [frame[:2] for frame in posted] == [(0, 1)]
    assert 1 <= posted[0][2] <= 30
    cut = Partition(((0,), (1,)))
    network.disturb(cut)
    network.send(0, 1, "Prepare", 1, b"b")
    assert (network.sent_frames, network.lost_frames) == (2, 1)
    network.calm(cut)
    network.calm(cut)
    network.disturb(Loss(Dice(1), PPM))
    network.calm_all()
    network.send(0, 1, "Prepare", 1, b"c", extra_ms=500)
    assert posted[-1][2] > 500
