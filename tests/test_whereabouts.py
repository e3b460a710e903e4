"""Addresses go from node to node: believed for a member's signature, newest first, passed on once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from fake_network import NAMES, FakeMesh
from samples import CHAIN_ID, public_keys, signers

from p2penergy import whereabouts as module
from p2penergy.messages import Address, Whereabouts
from p2penergy.peers import operator_of
from p2penergy.signing import EcdsaChecker
from p2penergy.whereabouts import AHEAD_MS_MAX, AddressBook

ME, FOUNDER, NEWCOMER, OTHER = NAMES[:4]
NOW_MS = 1_000_000


class Bench:
    """A book of ME; the founder is in its settings."""

    def __init__(self) -> None:
        self.mesh = FakeMesh(peers=[FOUNDER, OTHER])
        self.mesh.name = ME
        self.mesh.handler = SimpleNamespace(on_peer_down=lambda *_: None)
        self.volunteers = {ME, FOUNDER, NEWCOMER, OTHER}
        self.members = dict(public_keys())
        self.book = AddressBook(
            self.mesh,
            signers()[0],
            CHAIN_ID,
            EcdsaChecker(),
            self.members.get,
            lambda who: who in self.members and who in self.volunteers,
            [FOUNDER],
            lambda: NOW_MS,
        )

    def hear(self, *addresses: Address, peer: bytes = FOUNDER) -> None:
        self.book.on_whereabouts(peer, Whereabouts(addresses))


def said(number: int, address: str = "192.0.2.7:7440", issued_ms: int = NOW_MS, **changes: Any) -> Address:
    """Member `number` says where it is."""
    signer = signers()[number]
    draft = Address(signer.participant_id, address, issued_ms, bytes(64))
    signed = msgspec.structs.replace(draft, signature=signer.sign(draft.signed_bytes(CHAIN_ID)))
    return msgspec.structs.replace(signed, **changes)


def test_a_newcomers_address_is_dialled_and_passed_on_once() -> None:
    bench = Bench()
    for peer in (FOUNDER, OTHER, NAMES[5], operator_of(OTHER)):
        bench.book.on_peer_up(peer)
    assert bench.mesh.sent == []
    bench.hear(said(2))
    assert bench.mesh.addresses == {NEWCOMER: ("192.0.2.7", 7440)}
    assert bench.mesh.sent == [(OTHER, Whereabouts((said(2),)))]
    bench.hear(said(2), peer=OTHER)
    assert len(bench.mesh.sent) == 1


def test_who_comes_is_told_everything_and_nodes_only() -> None:
    bench = Bench()
    bench.book.announce("192.0.2.1:7440")
    bench.hear(said(2))
    bench.mesh.sent.clear()
    bench.mesh.peers.add(NEWCOMER)
    bench.book.on_peer_up(NEWCOMER)
    bench.book.on_peer_up(operator_of(OTHER))
    ((peer, message),) = bench.mesh.sent
    assert peer == NEWCOMER
    assert [address.participant_id for address in message.addresses] == [ME, NEWCOMER]


def test_the_newest_word_counts() -> None:
    bench = Bench()
    bench.hear(said(2, "192.0.2.8:1", NOW_MS))
    bench.hear(said(2, "192.0.2.9:1", NOW_MS - 1))
    assert bench.mesh.addresses[NEWCOMER] == ("192.0.2.8", 1)
    bench.hear(said(2, "192.0.2.9:1", NOW_MS + 1))
    assert bench.mesh.addresses[NEWCOMER] == ("192.0.2.9", 1)


@pytest.mark.parametrize(
    ("address", "code"),
    [
        (said(2, "192.0.2.7"), "malformed"),
        (said(2, "192.0.2.7:0"), "malformed"),
        (said(2, "a..b:7440"), "malformed"),
        (said(2, "x" * 64 + ":7440"), "malformed"),
        (said(2, issued_ms=NOW_MS + AHEAD_MS_MAX + 1), "from_the_future"),
        (said(2, participant_id=b"s" * 20), "not_a_member"),
        (said(2, participant_id=OTHER), "bad_signature"),
        (msgspec.structs.replace(said(2), address="192.0.2.66:1"), "bad_signature"),
    ],
)
def test_what_is_not_the_members_own_word_is_refused(address: Address, code: str) -> None:
    bench = Bench()
    bench.hear(address)
    assert bench.mesh.addresses == {}
    assert bench.book.refused == {f"address_{code}": 1}


def test_one_member_can_have_only_so_much_looked_at() -> None:
    bench = Bench()
    for _ in range(module.FRAMES_BURST + 3):
        bench.hear(said(2))
    assert bench.book.refused == {"address_rate": 3}
    bench.hear(said(2, issued_ms=NOW_MS + 1), peer=OTHER)
    assert bench.book.refused == {"address_rate": 3}


def test_settings_and_oneself_come_first() -> None:
    bench = Bench()
    bench.hear(said(0), said(1))
    assert bench.mesh.addresses == {}


def test_roles_that_change_are_looked_at_again() -> None:
    bench = Bench()
    bench.volunteers.discard(NEWCOMER)
    bench.hear(said(2))
    assert bench.mesh.addresses == {}
    bench.mesh.peers.add(NEWCOMER)
    bench.volunteers.add(NEWCOMER)
    bench.mesh.sent.clear()
    bench.book.look_again()
    assert NEWCOMER in bench.mesh.addresses
    assert NEWCOMER in [peer for peer, _ in bench.mesh.sent]
    del bench.members[NEWCOMER]
    dropped: list[bytes] = []
    bench.mesh.forget = dropped.append  # type: ignore[method-assign]
    bench.book.look_again()
    assert dropped == [NEWCOMER]


def test_a_full_book_makes_room_for_volunteers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ADDRESSES_KNOWN_MAX", 2)
    bench = Bench()
    bench.hear(said(2), said(3))
    bench.hear(said(4))
    assert bench.book.refused == {"address_full": 1}
    bench.volunteers.discard(OTHER)
    bench.volunteers.add(NAMES[4])
    bench.hear(said(4))
    assert NAMES[4] in bench.mesh.addresses
