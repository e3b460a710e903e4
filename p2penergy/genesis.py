"""Genesis: everything that all members must agree on before the first block.

Lives here: the shape of genesis, its canonical JSON form, its checks and the chain id. Never here: one
node's own settings (`config`), keys, certificates. Owns the invariant that two nodes with the same
chain id run the same rules with the same parameters. Implements CONSENSUS section 1 and the
parameters of LEDGER.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from p2penergy.digests import TAG_GENESIS, digest
from p2penergy.messages import COMMITTEE_SIZE_MAX, PROTOCOL_VERSION, Stage
from p2penergy.score_rules import ScoreRules

MEMBERS_MAX = 20_000
GRID_NODES_MAX = 5_000
ALPHA_MS_MAX = 3_600_000
PPM = 1_000_000

# \Z, not $: the latter lets a final line break pass, and one id would have two spellings.
Hex20 = Annotated[str, Meta(pattern=r"^[0-9a-f]{40}\Z")]
Hex32 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
CompressedKey = Annotated[str, Meta(pattern=r"^0[23][0-9a-f]{64}\Z")]
Natural = Annotated[int, Meta(ge=0, le=2**53)]
Positive = Annotated[int, Meta(ge=1, le=2**53)]


class GenesisError(ValueError):
    """Genesis can't be used; the sentence says which figure to change."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A JSON object with exactly the known keys."""


class ConsensusRules(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """CONSENSUS sections 1, 2 and 9."""

    t0_ms: Natural
    """Start of slot 0, unix milliseconds: the paper's t_0."""
    alpha_ms: Annotated[int, Meta(ge=1, le=ALPHA_MS_MAX)]
    """Length of a slot: the paper's alpha."""
    eps_ms: Natural
    """Largest clock error between members."""
    delta_ms: Natural
    """Bound on one message's way: send, receive, verify, fsync, execute."""
    empty_block_slots: Positive | None = None
    """Slots without a block after which leaders propose empty ones; none: the committee's size."""
    view_slots_max: Annotated[int, Meta(ge=1, le=64)] = 8
    """L_max: the longest a view gets after many failed ones."""
    lag_blocks: Annotated[int, Meta(ge=1, le=64)] = 2
    """L: blocks between a beacon value and the committee that it draws."""
    settle_blocks: Natural = 0
    """D: blocks by which pools are read earlier still; 0 where all members are the committee."""
    epoch_blocks: Positive = 1
    """Heights that share their clusters, where committees are sampled; at most max(D, 1)."""
    committee_size_min: Annotated[int, Meta(ge=1, le=COMMITTEE_SIZE_MAX)] = 4
    committee_size_max: Annotated[int, Meta(ge=1, le=COMMITTEE_SIZE_MAX)] = 100
    volunteer_age_blocks: Natural = 1000
    """Blocks from joining until a volunteer may be drawn; members of genesis need not wait."""
    first_stage: Stage = Stage.VALIDATION
    """Stage of height 1."""


class MarketRules(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """LEDGER sections 1, 4 and 6."""

    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")] = "EUR"
    retail_micro_per_kwh: Natural = 290_000
    feed_in_micro_per_kwh: Natural = 120_000
    newcomer_rated_w_max: Positive | msgspec.UnsetType = msgspec.UNSET
    """The largest rated power that a newcomer may name; a household's 30 kW where it is left out."""
    network_fee_micro_per_kwh: Natural | msgspec.UnsetType = msgspec.UNSET
    """What the grid's operator takes of a buyer per kWh that a neighbour sold; none where it is left out."""
    replay: bool = False
    """A replay network counts its periods through the blocks, not by the clock."""
    first_period: Natural = 0
    """The period of genesis (unix seconds // 900)."""
    transaction_life_periods: Positive = 96
    """How far in the future a transaction's expiry may lie; its nonce is remembered until then."""
    pay_as_bid: bool = False
    """Whether a buyer pays its limit in the auction, instead of one price for all (k = 1/2)."""
    gate_lead_periods: Annotated[int, Meta(ge=0, le=96)] = 1
    """The gate for period p closes when the ledger's period reaches p less this; 1: as p begins."""
    scores: ScoreRules = ScoreRules()


class GridNode(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A node of the feeder, and its branch towards the busbar; node 0 is the busbar, its branch the
    transformer."""

    node: Natural
    parent: Annotated[int, Meta(ge=-1, le=2**53)]
    """-1 for node 0; every other parent stands before its children."""
    r_uohm: Natural
    x_uohm: Natural
    i_max_a: Positive
    participant_id: Hex20 | None = None
    """Who is connected here; whoever stands at no node counts as behind the busbar."""


class GridRules(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """LEDGER section 7: the feeder that trades must be deliverable on."""

    nodes: Annotated[tuple[GridNode, ...], Meta(min_length=1, max_length=GRID_NODES_MAX)]
    cos_phi_percent: Annotated[int, Meta(ge=1, le=100)] = 93
    """Of what is drawn; what is fed in counts at cos phi 1."""
    source_mv: Annotated[int, Meta(ge=300_000, le=500_000)] = 400_000
    """Voltage behind the transformer, line to line, seen from the low-voltage side."""


class Member(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One household that is a member from the start; no name, no address."""

    participant_id: Hex20
    public_key: CompressedKey
    validator: bool = False
    """Whether it volunteers for the validation committee from the start."""
    verifier: bool = False
    rated_w: Natural = 0
    """Rated power of the connection, the bound for readings."""
    cluster: Natural = 0
    wallet_nano: Natural = 0
    """Money at the start, in billionths of the currency."""
    beacon_tip: Hex32 | None = None
    """End of the hash chain whose preimages the member reveals as proposer; volunteers have one."""
    meter_pseudonym: Hex32 | None = None
    """As in the identity certificate; none: nothing keeps the same meter from joining again."""


class Genesis(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of it."""

    version: Annotated[int, Meta(ge=1)] = PROTOCOL_VERSION
    community: Annotated[str, Meta(min_length=1, max_length=64)]
    consensus: ConsensusRules
    market: MarketRules = MarketRules()
    authority_key: CompressedKey | None = None
    """The community's authority, which can revoke; none: nobody can."""
    members: Annotated[tuple[Member, ...], Meta(min_length=1, max_length=MEMBERS_MAX)]
    grid: GridRules | msgspec.UnsetType = msgspec.UNSET
    """Left out, no trade is checked against a feeder, and the chain id is what it was without the section."""

    @property
    def chain_id(self) -> bytes:
        """SHA-256 of the canonical genesis, 32 bytes."""
        return digest(TAG_GENESIS, canonical_json(self))


def canonical_json(genesis: Genesis) -> bytes:
    """The one compact JSON form, fields in their declared order, all present but what was left out."""
    return msgspec.json.encode(genesis)


def render(genesis: Genesis) -> bytes:
    """The same for a file that people read."""
    return msgspec.json.format(canonical_json(genesis), indent=2) + b"\n"


def parse(data: bytes) -> Genesis:
    """Genesis from a file's bytes, checked.

    Raises:
        GenesisError: not JSON, an unknown or missing key, a value out of range, a bad combination.
    """
    try:
        genesis = msgspec.json.decode(data, type=Genesis)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise GenesisError(f"genesis is not valid: {error}") from None
    check(genesis)
    return genesis


def check(genesis: Genesis) -> None:
    """Check what types alone can't.

    Raises:
        GenesisError: with a sentence that names the figure to change.
    """
    if genesis.version != PROTOCOL_VERSION:
        raise GenesisError(f"genesis has version {genesis.version}, this program speaks {PROTOCOL_VERSION}")
    check_rules(genesis.consensus, genesis.market)
    _check_members(genesis.members)


def check_rules(rules: ConsensusRules, market: MarketRules) -> None:
    """The part that needs no members: whoever founds asks before there are keys.

    Raises:
        GenesisError: with a sentence that names the figure to change.
    """
    floor_ms = 2 * rules.eps_ms + 4 * rules.delta_ms
    if rules.alpha_ms < floor_ms:
        raise GenesisError(
            f"alpha_ms = {rules.alpha_ms} is shorter than 2*eps_ms + 4*delta_ms = {floor_ms}: "
            f"raise alpha_ms to {floor_ms}, or lower eps_ms or delta_ms to what was measured"
        )
    if rules.committee_size_min > rules.committee_size_max:
        raise GenesisError(
            f"committee_size_min = {rules.committee_size_min} is above "
            f"committee_size_max = {rules.committee_size_max}"
        )
    if rules.epoch_blocks > max(rules.settle_blocks, 1):
        raise GenesisError(
            f"epoch_blocks = {rules.epoch_blocks} is above settle_blocks = {rules.settle_blocks}: "
            "members could choose their cluster"
        )
    if market.feed_in_micro_per_kwh > market.retail_micro_per_kwh:
        raise GenesisError(
            f"the feed-in tariff ({market.feed_in_micro_per_kwh} millionths per kWh) is above "
            f"the retail tariff ({market.retail_micro_per_kwh})"
        )


def _check_members(members: tuple[Member, ...]) -> None:
    if len({member.participant_id for member in members}) != len(members):
        raise GenesisError("genesis names a participant twice")
    if len({member.public_key for member in members}) != len(members):
        raise GenesisError("genesis gives two participants one public_key: one device would vote twice")
    pseudonyms = [member.meter_pseudonym for member in members if member.meter_pseudonym is not None]
    if len(set(pseudonyms)) != len(pseudonyms):
        raise GenesisError("genesis gives two participants one meter_pseudonym: a meter joins once")
    if not any(member.validator for member in members):
        raise GenesisError("genesis names no validator")
    for member in members:
        if (member.validator or member.verifier) and member.beacon_tip is None:
            role = "validator" if member.validator else "verifier"
            raise GenesisError(f"{role} {member.participant_id} has no beacon_tip")
