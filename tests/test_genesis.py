"""Genesis: one canonical form, a chain id that every figure changes, and a sentence for each mistake."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import member, small_genesis

from p2penergy import genesis as module
from p2penergy.digests import TAG_GENESIS, digest
from p2penergy.genesis import Genesis, GenesisError, MarketRules, canonical_json, check, parse, render
from p2penergy.messages import PROTOCOL_VERSION, Stage

GENESIS = small_genesis()


def changed(path: str, value: Any, genesis: Genesis = GENESIS) -> bytes:
    """The JSON of `genesis` with the value at a dotted path replaced, or removed by `...`."""
    tree = json.loads(canonical_json(genesis))
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    table = tree
    for step in way:
        table = table[step]
    if value is ...:
        del table[last]
    else:
        table[last] = value
    return json.dumps(tree).encode()


def refused(data: bytes) -> str:
    with pytest.raises(GenesisError) as caught:
        parse(data)
    return str(caught.value)


# ---- the canonical form ---------------------------------------------------------------------------


def test_it_survives_its_file() -> None:
    assert parse(canonical_json(GENESIS)) == GENESIS
    assert parse(render(GENESIS)) == GENESIS
    assert render(GENESIS).endswith(b"}\n")
    assert canonical_json(parse(render(GENESIS))) == canonical_json(GENESIS)


def test_the_chain_id_is_the_digest_of_the_canonical_form() -> None:
    assert GENESIS.chain_id == digest(TAG_GENESIS, canonical_json(GENESIS))
    assert b" " not in canonical_json(small_genesis()).replace(b"Elm Street", b"")


def test_the_chain_id_does_not_depend_on_how_the_file_is_written() -> None:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(part) for part in value] if isinstance(value, list) else value

    spaced = json.dumps(turned(json.loads(canonical_json(GENESIS))), indent=7).encode()
    assert parse(spaced).chain_id == GENESIS.chain_id
    # A figure left out is the same as its default written down.
    assert parse(changed("market", ...)).chain_id == GENESIS.chain_id
    assert parse(changed("consensus.view_slots_max", ...)).chain_id == GENESIS.chain_id


def figures() -> list[tuple[str, Any]]:
    """Every leaf of genesis by its dotted path."""
    found: list[tuple[str, Any]] = []

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict | list):
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            for step, part in parts:
                walk(part, f"{path}.{step}" if path else str(step))
        else:
            found.append((path, value))

    walk(json.loads(canonical_json(GENESIS)), "")
    return found


OPTIONAL = ("ab" * 32, "02" + "ab" * 32)
"""A digest and a key, for figures that nothing stands for by default."""
FIGURES = [(path, value) for path, value in figures() if path != "version"]


def other_value(value: Any, path: str) -> st.SearchStrategy[Any]:
    if path.endswith("stage"):
        return st.just(1 if value == 2 else 2)
    if isinstance(value, bool):
        return st.just(not value)
    if value is None:
        return st.integers(1, 2**53) | st.sampled_from(OPTIONAL)
    if path.endswith("currency"):
        return st.from_regex(r"[A-Z]{3}", fullmatch=True)
    if isinstance(value, int):
        return st.integers(0, 100) | st.integers(0, 2**53)
    if path == "community":
        return st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
    places = st.integers(2, len(value) - 1)
    return st.tuples(places, st.sampled_from("0123456789abcdef")).map(
        lambda change: value[: change[0]] + change[1] + value[change[0] + 1 :]
    )


@settings(max_examples=300)
@given(st.data())
def test_every_single_figure_changes_the_chain_id(data: st.DataObject) -> None:
    path, value = data.draw(st.sampled_from(FIGURES))
    other = data.draw(other_value(value, path).filter(lambda drawn: drawn != value))
    try:
        genesis = msgspec.json.decode(changed(path, other), type=Genesis)
    except msgspec.ValidationError:
        return  # out of the figure's range
    assert genesis != GENESIS
    assert genesis.chain_id != GENESIS.chain_id
    assert canonical_json(msgspec.json.decode(canonical_json(genesis), type=Genesis)) == canonical_json(
        genesis
    )


@pytest.mark.parametrize(("path", "value"), FIGURES, ids=[path for path, _ in FIGURES])
def test_each_figure_can_be_changed_and_changes_the_chain_id(path: str, value: Any) -> None:
    if isinstance(value, bool):
        others: list[Any] = [not value]
    elif isinstance(value, int):
        others = [value + 1, value - 1]
    elif value is None:
        others = [7, *OPTIONAL]
    else:
        others = [value[:-1] + ("0" if value[-1] != "0" else "1"), "SEK", "pay_as_bid"]
    chain_ids = set()
    for other in others:
        with contextlib.suppress(msgspec.ValidationError):
            chain_ids.add(msgspec.json.decode(changed(path, other), type=Genesis).chain_id)
    assert chain_ids
    assert GENESIS.chain_id not in chain_ids


def test_the_order_of_members_is_part_of_it() -> None:
    turned = msgspec.structs.replace(GENESIS, members=GENESIS.members[::-1])
    assert turned.chain_id != GENESIS.chain_id


# ---- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{}",
        b"[" * 100_000,
        b'{"community": "\xff"}',
        b'{"community": "\\ud800"}',
        canonical_json(GENESIS) + b"{}",
    ],
)
def test_what_is_no_genesis_is_refused(data: bytes) -> None:
    assert refused(data).startswith("genesis is not valid: ")


@pytest.mark.parametrize("path", ["extra", "consensus.extra", "market.extra", "members.0.extra"])
def test_an_unknown_key_is_refused_by_name(path: str) -> None:
    sentence = refused(changed(path, 1))
    assert "genesis is not valid" in sentence
    assert "extra" in sentence


@pytest.mark.parametrize(
    "path",
    [
        "community",
        "consensus",
        "members",
        "consensus.t0_ms",
        "consensus.alpha_ms",
        "consensus.eps_ms",
        "consensus.delta_ms",
        "members.0.participant_id",
        "members.0.public_key",
    ],
)
def test_a_missing_key_is_refused_by_name(path: str) -> None:
    assert path.rsplit(".", maxsplit=1)[-1] in refused(changed(path, ...))


OUT_OF_RANGE: list[tuple[str, Any]] = [
    ("version", 0),
    ("community", ""),
    ("community", "x" * 65),
    ("consensus.t0_ms", -1),
    ("consensus.t0_ms", 2**53 + 1),
    ("consensus.t0_ms", 1.5),
    ("consensus.t0_ms", "1"),
    ("consensus.t0_ms", True),
    ("consensus.alpha_ms", 0),
    ("consensus.alpha_ms", module.ALPHA_MS_MAX + 1),
    ("consensus.eps_ms", -1),
    ("consensus.delta_ms", -1),
    ("consensus.empty_block_slots", 0),
    ("consensus.view_slots_max", 0),
    ("consensus.view_slots_max", 65),
    ("consensus.lag_blocks", 0),
    ("consensus.lag_blocks", 65),
    ("consensus.settle_blocks", -1),
    ("consensus.committee_size_min", 0),
    ("consensus.committee_size_max", 201),
    ("consensus.first_stage", 0),
    ("consensus.first_stage", 3),
    ("market.currency", "eur"),
    ("market.currency", "EURO"),
    ("market.currency", "EUR\n"),
    ("market.retail_micro_per_kwh", -1),
    ("market.transaction_life_periods", 0),
    ("members", []),
    ("members.0.participant_id", "AB" * 20),
    ("members.0.participant_id", "ab" * 19),
    ("members.0.participant_id", "ab" * 20 + "\n"),
    ("members.0.participant_id", "ab" * 21),
    ("members.0.public_key", "02" + "ab" * 31),
    ("members.0.public_key", "04" + "ab" * 32),
    ("members.0.public_key", "02" + "ab" * 32 + "\n"),
    ("members.0.beacon_tip", "ab" * 31),
    ("members.0.beacon_tip", "ab" * 32 + "\n"),
    ("members.0.wallet_nano", -1),
    ("members.0.rated_w", -1),
    ("members.0.validator", 1),
]


@pytest.mark.parametrize(
    ("path", "value"), OUT_OF_RANGE, ids=[f"{path}={value!r}" for path, value in OUT_OF_RANGE]
)
def test_a_value_out_of_range_is_refused_where_it_stands(path: str, value: Any) -> None:
    sentence = refused(changed(path, value))
    assert sentence.startswith("genesis is not valid: ")
    assert sentence.endswith(f"{path.rsplit('.', maxsplit=1)[-1]}`")


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = json.loads(canonical_json(GENESIS))["members"][0]
    assert "members" in refused(changed("members", [entry] * (module.MEMBERS_MAX + 1)))


def test_one_id_has_one_spelling() -> None:
    # With a line break after it, the same twenty bytes would be a second member.
    twin = json.loads(canonical_json(GENESIS))["members"][0] | {"public_key": "02" + "ab" * 32}
    twin["participant_id"] += "\n"
    assert bytes.fromhex(twin["participant_id"]) == bytes.fromhex(GENESIS.members[0].participant_id)
    refused(changed("members", [*json.loads(canonical_json(GENESIS))["members"], twin]))


def test_another_version_is_refused() -> None:
    sentence = refused(changed("version", PROTOCOL_VERSION + 1))
    assert sentence == f"genesis has version {PROTOCOL_VERSION + 1}, this program speaks {PROTOCOL_VERSION}"


@pytest.mark.parametrize("eps_ms", [0, 1, 50])
@pytest.mark.parametrize("delta_ms", [0, 1, 100])
def test_slots_shorter_than_the_network_needs_are_refused(eps_ms: int, delta_ms: int) -> None:
    floor_ms = max(1, 2 * eps_ms + 4 * delta_ms)
    parse(canonical_json(small_genesis(alpha_ms=floor_ms, eps_ms=eps_ms, delta_ms=delta_ms)))
    if floor_ms > 1:
        short = small_genesis(alpha_ms=floor_ms - 1, eps_ms=eps_ms, delta_ms=delta_ms)
        assert refused(canonical_json(short)) == (
            f"alpha_ms = {floor_ms - 1} is shorter than 2*eps_ms + 4*delta_ms = {floor_ms}: "
            f"raise alpha_ms to {floor_ms}, or lower eps_ms or delta_ms to what was measured"
        )


def test_committee_sizes_that_contradict_each_other_are_refused() -> None:
    parse(canonical_json(small_genesis(committee_size_min=7, committee_size_max=7)))
    sentence = refused(canonical_json(small_genesis(committee_size_min=8, committee_size_max=7)))
    assert sentence == "committee_size_min = 8 is above committee_size_max = 7"


def with_members(*members: Any) -> bytes:
    return canonical_json(msgspec.structs.replace(GENESIS, members=members))


def test_a_participant_named_twice_is_refused() -> None:
    again = member(0, public_key=GENESIS.members[1].public_key)
    assert refused(with_members(member(0), again)) == "genesis names a participant twice"


def test_one_key_for_two_participants_is_refused() -> None:
    again = member(1, public_key=GENESIS.members[0].public_key)
    assert "one public_key" in refused(with_members(member(0), again))


def test_a_community_without_a_validator_is_refused() -> None:
    assert refused(with_members(member(0, validator=False))) == "genesis names no validator"


def test_volunteers_need_a_hash_chain() -> None:
    name = GENESIS.members[1].participant_id
    assert (
        refused(with_members(member(0), member(1, beacon_tip=None))) == f"validator {name} has no beacon_tip"
    )
    verifier = member(1, beacon_tip=None, validator=False, verifier=True)
    assert refused(with_members(member(0), verifier)) == f"verifier {name} has no beacon_tip"
    parse(with_members(member(0), member(1, beacon_tip=None, validator=False)))


def test_a_meter_is_that_of_one_member() -> None:
    both = {"meter_pseudonym": "ab" * 32}
    sentence = "genesis gives two participants one meter_pseudonym: a meter joins once"
    assert refused(with_members(member(0, **both), member(1, **both))) == sentence
    parse(with_members(member(0, **both), member(1), member(2)))


def test_feeding_in_must_not_pay_more_than_buying_costs() -> None:
    even = MarketRules(retail_micro_per_kwh=5, feed_in_micro_per_kwh=5)
    check(msgspec.structs.replace(GENESIS, market=even))
    dear = MarketRules(retail_micro_per_kwh=5, feed_in_micro_per_kwh=6)
    sentence = refused(canonical_json(msgspec.structs.replace(GENESIS, market=dear)))
    assert sentence == "the feed-in tariff (6 millionths per kWh) is above the retail tariff (5)"


def test_the_first_stage_is_read_as_a_stage() -> None:
    assert parse(changed("consensus.first_stage", 1)).consensus.first_stage is Stage.VERIFICATION
