"""The state at height 0, made from genesis.

Lives here: which entries genesis means. Never here: the shape of genesis. Owns the invariant that two
nodes with one genesis start from one state root. Implements LEDGER section 3.
"""

from collections.abc import Iterator

from p2penergy.genesis import Genesis, GenesisError, Member
from p2penergy.ledger import keys
from p2penergy.ledger.block_rules import first_period
from p2penergy.ledger.places import first_place
from p2penergy.ledger.records import (
    MONEY_NANO_MAX,
    KeyChange,
    MemberRecord,
    StandingRecord,
    TipRecord,
    encode_integer,
    encode_record,
)
from p2penergy.ledger.standing import day_of
from p2penergy.ledger.transactions import PRICE_MICRO_PER_KWH_MAX
from p2penergy.score_rules import ScoreRules


def require_in_range(genesis: Genesis) -> None:
    """Check that no sum of the ledger can outgrow 64 bits.

    Raises:
        GenesisError: with a sentence that names the figure to change.
    """
    money_nano = sum(member.wallet_nano for member in genesis.members)
    if money_nano > MONEY_NANO_MAX:
        raise GenesisError(f"all wallet_nano add up to {money_nano}, at most {MONEY_NANO_MAX} is possible")
    for name in ("retail_micro_per_kwh", "network_fee_micro_per_kwh"):
        price = getattr(genesis.market, name) or 0
        if price > PRICE_MICRO_PER_KWH_MAX:
            raise GenesisError(f"{name} = {price}, at most {PRICE_MICRO_PER_KWH_MAX} is possible")


def initial_items(genesis: Genesis) -> Iterator[tuple[bytes, bytes]]:
    """Every entry of the state before the first block."""
    tip = TipRecord(first_period(genesis), genesis.consensus.first_stage)
    yield keys.TIP, encode_record(tip)
    for member in genesis.members:
        yield from _registration(member, genesis)
        yield from _holdings(member, genesis.market.scores, day_of(tip.period))


def _registration(member: Member, genesis: Genesis) -> Iterator[tuple[bytes, bytes]]:
    who, public_key = bytes.fromhex(member.participant_id), bytes.fromhex(member.public_key)
    pseudonym = None if member.meter_pseudonym is None else bytes.fromhex(member.meter_pseudonym)
    record = MemberRecord(
        public_key,
        member.validator,
        member.verifier,
        member.rated_w,
        member.cluster,
        pseudonym,
        0,
        (KeyChange(0, public_key),),
    )
    yield keys.member(who), encode_record(record)
    yield keys.key(public_key), who
    if pseudonym is not None:
        yield keys.meter(pseudonym), who
    if member.validator or member.verifier:
        yield keys.pool(who), first_place(genesis.consensus, genesis.market.scores, record)


def _holdings(member: Member, rules: ScoreRules, day: int) -> Iterator[tuple[bytes, bytes]]:
    who = bytes.fromhex(member.participant_id)
    volunteer = member.validator or member.verifier
    yield keys.score(who), encode_integer(rules.volunteer_start_ppm if volunteer else rules.start_ppm)
    # Others need none before something happens: a newcomer's score does not drift.
    if volunteer:
        yield keys.standing(who), encode_record(StandingRecord(day, 0, 0, ()))
    yield keys.wallet(who), encode_integer(member.wallet_nano)
    if member.beacon_tip is not None:
        yield keys.beacon_tip(who), bytes.fromhex(member.beacon_tip)
