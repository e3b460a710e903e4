"""Loading a snapshot from peers of whom some lie: what is taken is genuine, or nothing is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from snapshot_village import Made, Peer

from p2penergy.consensus.headers import HeaderChain
from p2penergy.messages import (
    SNAPSHOT_PARTS,
    CommitteesRequest,
    CommitteesResponse,
    HeadersRequest,
    HeadersResponse,
    Message,
    SnapshotOpening,
    SnapshotRequest,
    SnapshotResponse,
    Status,
)
from p2penergy.signing import EcdsaChecker
from p2penergy.snapshots import fetching
from p2penergy.snapshots.fetching import STRIKES_MAX, Fetching, Stage

PATIENCE_MS = 1000
STEPS_MAX = 2000

Change = Callable[[Message], Message | None]


class Net:
    """Fetching from some peers, message by message, on a clock of its own."""

    def __init__(self, made: Made, peers: dict[str, Peer], far_behind: int = 5, expected: int = 0) -> None:
        headers = HeaderChain(made.genesis, EcdsaChecker())
        self.fetching = Fetching(headers, expected or len(peers), far_behind, PATIENCE_MS)
        self.peers = {name.encode(): peer for name, peer in peers.items()}
        self.now_ms = 0
        for name in self.peers:
            self.fetching.on_up(name)

    def run(self) -> Fetching:
        for _ in range(STEPS_MAX):
            asks = self.fetching.poll(self.now_ms)
            if self.fetching.ended:
                return self.fetching
            for name, message in asks:
                self.now_ms += 1
                answer = self.peers[name].answer(message)
                if answer is not None:
                    self.fetching.on_message(name, answer)
            if not asks:
                self.now_ms += PATIENCE_MS // 2
        raise AssertionError(f"no end: {self.fetching.stage} {self.fetching.refused}")


def is_genuine(made: Made, found: Fetching, height: int = 30) -> bool:
    loaded = found.loaded
    return (
        found.stage is Stage.LOADED
        and loaded is not None
        and loaded.height == height
        and loaded.items == made.snapshots[height].values
        and loaded.block == made.records[height - 1].block
        and (loaded.header, loaded.certificate) == made.headers[height - 1]
    )


def test_the_highest_snapshot_is_loaded_from_all_who_hold_it(made: Made) -> None:
    peers = {name: Peer(made) for name in "abc"}
    found = Net(made, peers).run()
    assert is_genuine(made, found)
    assert not found.refused
    for peer in peers.values():
        asked = [m for m in peer.asked if isinstance(m, SnapshotRequest) and m.count]
        assert asked, "every holder was asked for parts"
    assert sum(isinstance(m, HeadersRequest) for p in peers.values() for m in p.asked) == 2


def test_one_peer_is_enough(made: Made) -> None:
    assert is_genuine(made, Net(made, {"a": Peer(made)}).run())


def knows_nobody(net: Net) -> Net:
    """As if every committee were new, as it is where members come and go."""
    net.fetching._headers._rolls.clear()
    return net


def test_committees_that_are_new_are_asked_for(made: Made) -> None:
    peers = {"a": Peer(made), "b": Peer(made)}
    net = knows_nobody(Net(made, peers))
    assert is_genuine(made, net.run())
    asked = [m for peer in peers.values() for m in peer.asked if isinstance(m, CommitteesRequest)]
    assert [len(each.roots) for each in asked] == [1]
    assert not net.fetching.refused


WITHHELD: dict[str, tuple[str, Change]] = {
    "silent": ("silent", lambda m: None if isinstance(m, CommitteesResponse) else m),
    "none": ("useless", lambda m: CommitteesResponse(()) if isinstance(m, CommitteesResponse) else m),
    "another": (
        "committee",
        lambda m: CommitteesResponse(((),)) if isinstance(m, CommitteesResponse) else m,
    ),
}


@pytest.mark.parametrize("name", WITHHELD)
def test_who_withholds_a_committee_gives_nothing_and_holds_nobody_up(made: Made, name: str) -> None:
    code, change = WITHHELD[name]
    liar = Peer(made)
    liar.change = change
    alone = knows_nobody(Net(made, {"a": liar})).run()
    assert alone.stage is Stage.GIVEN_UP
    assert alone.height == 0
    if code != "useless":
        assert alone.refused[code] >= 1
    assert is_genuine(made, knows_nobody(Net(made, {"a": liar, "b": Peer(made)})).run())


def test_who_is_near_needs_no_snapshot(made: Made) -> None:
    peers = {"a": Peer(made), "b": Peer(made)}
    found = Net(made, peers, far_behind=31).run()
    assert (found.stage, found.reason) == (Stage.GIVEN_UP, "nobody has a snapshot that is far ahead")
    assert not any(isinstance(m, HeadersRequest) for p in peers.values() for m in p.asked)


def test_where_nobody_answers_it_ends_after_its_patience(made: Made) -> None:
    for peers in ({}, {"a": Peer(made)}):
        for peer in peers.values():
            peer.change = lambda _: None
        net = Net(made, peers, expected=3)
        found = net.run()
        assert (found.stage, found.reason) == (Stage.GIVEN_UP, "nobody answers")
        assert net.now_ms <= 3 * PATIENCE_MS


def test_it_waits_no_longer_than_its_patience_for_peers_that_never_come(made: Made) -> None:
    net = Net(made, {"a": Peer(made)}, expected=3)
    assert is_genuine(made, net.run())
    assert net.now_ms >= PATIENCE_MS


def first_of(kind: type[Any], change: Callable[[Any], Any]) -> Change:
    """Change answers of one kind only."""
    return lambda answer: change(answer) if isinstance(answer, kind) else answer


def parts(change: Callable[[SnapshotResponse], SnapshotResponse]) -> Change:
    return first_of(SnapshotResponse, lambda a: change(a) if a.parts else a)


def opened(change: Callable[[SnapshotOpening], SnapshotOpening]) -> Change:
    return first_of(SnapshotResponse, lambda a: replace(a, opening=change(a.opening)) if a.opening else a)


def flipped(data: bytes, place: int = -1) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


LIES: dict[str, tuple[str, Change]] = {
    "a part changed": ("part", parts(lambda a: replace(a, parts=(flipped(a.parts[0]), *a.parts[1:])))),
    "a part truncated": (
        "part", parts(lambda a: replace(a, parts=(a.parts[0][:-1] or b"\x91", *a.parts[1:])))
    ),
    "a part left out": ("part", parts(lambda a: replace(a, parts=(b"\x90",) * len(a.parts)))),
    "parts in another order": ("part", parts(lambda a: replace(a, parts=a.parts[1:] or (b"\xc0",)))),
    "noise for a part": ("part", parts(lambda a: replace(a, parts=(b"noise",)))),
    "part roots changed": (
        "opening", opened(lambda o: replace(o, part_roots=flipped(o.part_roots)))
    ),
    "another block": ("opening", opened(lambda o: replace(o, block=b"block"))),
    "a block with another body": ("opening", opened(lambda o: replace(o, block=flipped(o.block)))),
    "a header changed": (
        "header_bad_certificate",
        first_of(
            HeadersResponse,
            lambda a: replace(
                a, headers=tuple((replace(h, state_root=bytes(32)), c) for h, c in a.headers)
            ),
        ),
    ),
    "headers without certificates": (
        "header_bad_certificate",
        first_of(
            HeadersResponse,
            lambda a: replace(a, headers=tuple((h, replace(c, votes=())) for h, c in a.headers)),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_liar_is_found_out_and_the_others_are_asked(made: Made, name: str) -> None:
    code, change = LIES[name]
    liar, honest = Peer(made), Peer(made)
    liar.change = change
    found = Net(made, {"a": liar, "b": honest}).run()
    assert is_genuine(made, found)
    assert found.refused == {code: 1}
    assert b"a" not in found._peers


@pytest.mark.parametrize("name", LIES)
def test_liars_alone_give_nothing(made: Made, name: str) -> None:
    peers = {each: Peer(made) for each in "abc"}
    for peer in peers.values():
        peer.change = LIES[name][1]
    found = Net(made, peers).run()
    assert found.stage is Stage.GIVEN_UP
    assert found.loaded is None


def test_another_communitys_chain_is_worth_nothing(made: Made, foreign: Made) -> None:
    found = Net(made, {"a": Peer(foreign), "b": Peer(made)}).run()
    assert is_genuine(made, found)
    assert found.refused == {"header_block_chain_id": 1}
    assert Net(made, {"a": Peer(foreign)}).run().loaded is None


def test_parts_of_another_snapshot_are_no_parts_of_this_one(made: Made) -> None:
    liar = Peer(made)
    old = made.snapshots[20].encoded_parts()
    liar.change = parts(lambda a: replace(a, parts=tuple(old[a.first : a.first + len(a.parts)])))
    found = Net(made, {"a": liar, "b": Peer(made)}).run()
    assert is_genuine(made, found)
    assert found.refused["part"] == 1


def test_heights_out_of_nothing_only_cost_a_look(made: Made) -> None:
    liar = Peer(made)
    liar.change = first_of(SnapshotResponse, lambda a: replace(a, held=(2**62, 10**6)))
    honest = Peer(made)
    found = Net(made, {"a": liar, "b": honest}).run()
    assert is_genuine(made, found)
    assert found.height == 30


def test_a_liar_about_heights_alone_gives_nothing(made: Made) -> None:
    liar = Peer(made)
    liar.change = first_of(SnapshotResponse, lambda a: replace(a, held=(2**62,)))
    found = Net(made, {"a": liar}).run()
    assert (found.stage, found.loaded) == (Stage.GIVEN_UP, None)


def silent_from(kind: type[Any]) -> Change:
    return first_of(kind, lambda _: None)


@pytest.mark.parametrize(
    "change", [silent_from(HeadersResponse), parts(lambda a: None), opened(lambda o: None)]
)  # type: ignore[arg-type,return-value]
def test_nobody_is_waited_for_beyond_the_patience(made: Made, change: Change) -> None:
    silent = Peer(made)
    silent.change = change
    net = Net(made, {"a": silent, "b": Peer(made)})
    assert is_genuine(made, net.run())
    assert net.now_ms < 20 * PATIENCE_MS


def test_who_gives_one_header_at_a_time_does_not_hold_up_the_rest(made: Made) -> None:
    slow, quick = Peer(made, headers_max=1), Peer(made, headers_max=30)
    net = Net(made, {"a": slow, "b": quick})
    assert is_genuine(made, net.run())
    assert sum(isinstance(m, HeadersRequest) for m in slow.asked) <= 2


def test_a_snapshot_that_was_removed_meanwhile_is_asked_for_elsewhere(made: Made) -> None:
    forgetful = Peer(made)
    forgetful.change = first_of(SnapshotResponse, lambda a: replace(a, opening=None, parts=()))
    found = Net(made, {"a": forgetful, "b": Peer(made)}).run()
    assert is_genuine(made, found)


def test_an_older_snapshot_is_taken_where_nobody_holds_the_newest_any_more(made: Made) -> None:
    peer = Peer(made)

    def change(answer: Message) -> Message:
        if isinstance(answer, SnapshotResponse) and answer.height == 30:
            peer.held = (10, 20)
            return SnapshotResponse(peer.held, 30, None, answer.first, ())
        return answer

    peer.change = change
    assert is_genuine(made, Net(made, {"a": peer}).run(), height=20)


def test_peers_are_asked_anew_for_what_there_is_when_all_snapshots_are_gone(
    made: Made,
) -> None:
    peer = Peer(made)
    peer.held = (10,)

    def change(answer: Message) -> Message:
        if isinstance(answer, SnapshotResponse) and answer.height == 10:
            peer.held = (20, 30)
            return SnapshotResponse((), 10, None, answer.first, ())
        return answer

    peer.change = change
    assert is_genuine(made, Net(made, {"a": peer}).run(), height=30)


def test_a_peer_that_comes_and_goes_keeps_its_strikes(made: Made) -> None:
    net = Net(made, {"a": Peer(made)})
    for _ in range(STRIKES_MAX):
        assert net.fetching.poll(net.now_ms)
        net.now_ms += PATIENCE_MS
        net.fetching.poll(net.now_ms)
        net.fetching.on_down(b"a")
        net.fetching.on_up(b"a")
        net.fetching.stage, net.fetching._offers_until_ms = Stage.OFFERS, None
    assert not net.fetching._peers
    assert net.fetching.refused["useless"] == 1


def test_what_was_not_asked_for_is_left_aside(made: Made) -> None:
    net = Net(made, {"a": Peer(made)})
    unasked: list[Message] = [
        Status(1, 1),
        HeadersResponse(tuple(made.headers[:3])),
        SnapshotResponse((30,), 30, made.opening(30), 0, ()),
    ]
    for message in unasked:
        net.fetching.on_message(b"a", message)
        net.fetching.on_message(b"stranger", message)
    [(_, asked)] = net.fetching.poll(0)
    assert asked == SnapshotRequest(0, 0, 0)
    net.fetching.on_message(b"a", SnapshotResponse((30,), 30, made.opening(30), 0, ()))
    assert net.fetching.refused == {"unrequested": 1}
    assert net.fetching.height == 0
    answer = net.peers[b"a"].answer(asked)
    assert answer is not None
    net.fetching.on_message(b"a", answer)
    assert is_genuine(made, net.run())


def test_noise_instead_of_a_message_ends_it_with_this_peer(made: Made) -> None:
    net = Net(made, {"a": Peer(made), "b": Peer(made)})
    net.fetching.on_malformed(b"a")
    net.fetching.on_up(b"a")
    assert is_genuine(made, net.run())
    assert net.fetching.refused == {"malformed": 1}
    assert not net.peers[b"a"].asked


def test_few_certified_headers_are_remembered(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "CERTIFIED_KEPT", 12)
    found = Net(made, {"a": Peer(made)}).run()
    assert is_genuine(made, found)
    assert len(found._certified) == 12


class Chaos:
    """A peer whose every answer may be any of the lies, silence, or the truth."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw

    def __call__(self, answer: Message) -> Message | None:
        choices: list[Change] = [lambda a: a, lambda _: None, *(change for _, change in LIES.values())]
        return choices[self._draw(len(choices))](answer)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whatever_most_peers_do_an_honest_one_is_enough_and_nothing_false_is_taken(
    made: Made, data: st.DataObject
) -> None:
    peers = {"honest": Peer(made)}
    for name in "abc":
        peers[name] = Peer(made)
        peers[name].change = Chaos(lambda count: data.draw(st.integers(0, count - 1)))
    found = Net(made, peers).run()
    assert found.loaded is not None
    assert is_genuine(made, found, found.loaded.height)


def test_all_parts_are_asked_for(made: Made) -> None:
    peer = Peer(made, parts_bytes_max=1)
    assert is_genuine(made, Net(made, {"a": peer}).run())
    numbers = [m.first for m in peer.asked if isinstance(m, SnapshotRequest) and m.count]
    assert sorted(numbers) == list(range(SNAPSHOT_PARTS))
