"""A validator's next hash chain is registered in time, once, by the ledger's own rules."""

from __future__ import annotations

from typing import Any

from samples import member, signers, small_genesis

from p2penergy import chain_keeper
from p2penergy.beacon import ChainSeries, HashChain
from p2penergy.chain_keeper import ChainKeeper
from p2penergy.genesis import Genesis
from p2penergy.ledger import Ledger, RegisterChain, keys, parse
from p2penergy.signing import EcdsaChecker

LINKS = 16


def chain_of(secret: bytes) -> HashChain:
    return HashChain(secret, LINKS)


class Seat:
    """A validator that has revealed all but `left` links of its first chain."""

    def __init__(self, left: int) -> None:
        chain = chain_of(b"secret")
        tip = chain.tip
        for _ in range(LINKS - left):
            tip = chain.preimage(tip) or b""
        verifying = member(0, verifier=True, beacon_tip=tip.hex())
        genesis = small_genesis(1)
        self.genesis = Genesis(community=genesis.community, consensus=genesis.consensus, members=(verifying,))
        self.ledger = Ledger(self.genesis, EcdsaChecker())
        self.sent: list[bytes] = []
        self.keeper = ChainKeeper(
            signers()[0],
            self.genesis,
            self.ledger,
            ChainSeries(b"secret", chain_of),
            self.submit,
            lambda: 77,
        )

    def submit(self, transaction: bytes) -> bool:
        self.sent.append(transaction)
        return self.ledger.pool.add(transaction).accepted

    def only(self) -> Any:
        (data,) = self.sent
        return parse(data, self.genesis.chain_id).transaction


def test_a_chain_that_runs_low_is_followed_by_the_next() -> None:
    seat = Seat(left=1)
    seat.keeper.on_decided(5)
    registration = seat.only()
    assert isinstance(registration, RegisterChain)
    assert registration.beacon_tip == chain_of(b"secret" + (1).to_bytes(4, "big")).tip
    assert len(seat.ledger.pool.memberships) == 1


def test_a_long_chain_needs_none() -> None:
    seat = Seat(left=2)
    seat.keeper.on_decided(5)
    assert seat.sent == []


def test_it_asks_again_only_after_a_while() -> None:
    seat = Seat(left=0)
    for height in range(5, 5 + chain_keeper.ASK_AGAIN_BLOCKS + 1):
        seat.keeper.on_decided(height)
    assert len(seat.sent) == 2


def test_who_has_no_chain_or_one_registered_asks_for_none() -> None:
    seat = Seat(left=0)
    who = signers()[0].participant_id
    items = dict(seat.ledger.items())
    coming = {keys.next_chain(who): b"\x92\xc4\x20" + b"n" * 32 + b"\x09"}
    for changed in (items | coming, {key: items[key] for key in items if key != keys.beacon_tip(who)}):
        ledger = Ledger.restore(seat.genesis, EcdsaChecker(), 0, changed.items())
        keeper = ChainKeeper(
            signers()[0], seat.genesis, ledger, ChainSeries(b"secret", chain_of), seat.submit, lambda: 77
        )
        keeper.on_decided(5)
    assert seat.sent == []
