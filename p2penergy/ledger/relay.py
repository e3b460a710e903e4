"""Executing a trade: what it draws on, the leader's legs, and what they write.

Lives here: what contracts on metered energy and contracts in escrow have in common. Never here: whether
a trade may be executed (`contracts`, `deferred`), the legs and conditions themselves (`stages`). Owns
the invariant that one metered Wh backs one trade. Implements LEDGER section 4, steps 3 to 6.
"""

import msgspec

from p2penergy.ledger import keys, query, stages
from p2penergy.ledger.receipts import Decline, Refusal, TradeStage
from p2penergy.ledger.records import (
    PacketRecord,
    PeriodRecord,
    PromiseRecord,
    decode_integer,
    encode_balance,
    encode_integer,
    encode_record,
)
from p2penergy.ledger.stages import Book, StageLegs
from p2penergy.ledger.state import Scratch, VersionStage
from p2penergy.ledger.transactions import Terms


class Holdings(msgspec.Struct, frozen=True):
    """What a trade draws on, as it stands before it."""

    energy: Book
    wallet: Book
    packet: PacketRecord | None
    reading: PeriodRecord | None
    seller_promise: PromiseRecord
    buyer_promise: PromiseRecord

    @property
    def unclaimed_wh(self) -> int:
        """What the seller's packet of the period has left."""
        return self.packet.amount_wh - self.packet.claimed_wh if self.packet else 0

    @property
    def uncovered_wh(self) -> int:
        """What the buyer's meter drew in the period and no neighbour has covered yet."""
        return self.reading.import_wh - self.reading.bought_wh if self.reading else 0

    @property
    def available_wh(self) -> int:
        """The same as `unclaimed_wh`, less what contracts in escrow lay claim to: they were first."""
        return max(self.unclaimed_wh - self.seller_promise.sell_wh, 0)

    @property
    def wanted_wh(self) -> int:
        """The same as `uncovered_wh`, less what contracts in escrow will cover."""
        return max(self.uncovered_wh - self.buyer_promise.buy_wh, 0)


def holdings(scratch: Scratch, terms: Terms, leader: bytes) -> Holdings:
    """What a trade on these terms draws on now."""
    get, parties = scratch.get, (terms.seller, terms.buyer, leader)
    return Holdings(
        {who: decode_integer(get(keys.energy(who))) for who in parties},
        {who: decode_integer(get(keys.wallet(who))) for who in parties},
        query.packet_record(get, terms.seller, terms.period),
        query.reading(get, terms.buyer, terms.period),
        query.promise(get, terms.seller, terms.period),
        query.promise(get, terms.buyer, terms.period),
    )


def relay(terms: Terms, leader: bytes, held: Holdings) -> tuple[StageLegs, StageLegs, Refusal | None]:
    """The leader's legs of both stages, and what the validators say to them."""
    energy, wallet = dict(held.energy), dict(held.wallet)
    execution = stages.execution_legs(terms, leader, energy, wallet)
    final = stages.final_legs(terms, leader, energy, wallet)
    mismatch = stages.check_conditions(terms, leader, held.energy, held.wallet, execution, final)
    if mismatch is None:
        return execution, final, None
    stage = TradeStage.EXECUTION if mismatch.condition <= 2 else TradeStage.FINAL
    wrong = Refusal(Decline.WRONG_LEG, mismatch.expected, mismatch.found, stage, mismatch.condition)
    return execution, final, wrong


def write_trade(
    scratch: Scratch, terms: Terms, leader: bytes, held: Holdings, execution: StageLegs, final: StageLegs
) -> None:
    """The versions of both stages, and the Wh that change hands."""
    _write_stage(scratch, VersionStage.EXECUTION, terms.seller, terms.buyer, leader, execution)
    _write_stage(scratch, VersionStage.FINAL, terms.buyer, terms.seller, leader, final)
    assign_energy(scratch, terms, held)


def _write_stage(
    scratch: Scratch,
    stage: VersionStage,
    energy_of: bytes,
    wallet_of: bytes,
    leader: bytes,
    legs: StageLegs,
) -> None:
    """One version per balance that the stage changes."""
    for key, leg in (
        (keys.energy(energy_of), legs.energy),
        (keys.energy(leader), legs.leader_energy),
    ):
        if leg.before != leg.after:
            scratch.put(key, encode_balance(leg.after), stage)
    for key, leg in (
        (keys.wallet(wallet_of), legs.wallet),
        (keys.wallet(leader), legs.leader_wallet),
    ):
        if leg.before != leg.after:
            scratch.put(key, encode_integer(leg.after), stage)


def assign_energy(scratch: Scratch, terms: Terms, held: Holdings) -> None:
    """Claim the Wh in the seller's packet for the buyer's meter (the paper's assignEnergy)."""
    packet, reading = held.packet, held.reading
    assert packet is not None and reading is not None, "a trade without readings was let through"
    claimed = PacketRecord(
        packet.energy_type,
        packet.amount_wh,
        packet.claimed_wh + terms.energy_wh,
        packet.sold_nano + terms.amount_nano,
    )
    scratch.put(keys.packet(terms.seller, terms.period), encode_record(claimed))
    covered = PeriodRecord(
        reading.import_wh,
        reading.export_wh,
        reading.transaction_id,
        reading.bought_wh + terms.energy_wh,
        reading.bought_nano + terms.amount_nano,
    )
    scratch.put(keys.period(terms.buyer, terms.period), encode_record(covered))
