"""Evidence on the ledger: recorded once, only with two genuine signatures, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from village import Village

from p2penergy.blocks import InvalidBlockError
from p2penergy.ledger import Decline, EvidenceReceipt, keys, query, sentence, sign_accusation
from p2penergy.ledger.evidence import EVIDENCE_PER_MEMBER_MAX
from p2penergy.ledger.records import Departure, EvidenceRecord, decode_integer, decode_record
from p2penergy.messages import Evidence, SignedStatement, VoteKind, encode

ACCUSED, WITNESS = 1, 3


def said(village: Village, who: int, digest: bytes, chain_id: bytes | None = None, **other: Any) -> Any:
    """A statement that this member signed."""
    values: dict[str, Any] = {"kind": VoteKind.COMMIT, "height": 3, "view": 9, "digest": digest}
    values |= {"prepared_view": None, "prepared_digest": None, "signature": bytes(64)}
    statement = SignedStatement(**(values | other))
    signed = statement.signed_bytes(village.chain_id if chain_id is None else chain_id, village.ids[who])
    return replace(statement, signature=village.signers[who].sign(signed))


def proof(village: Village, who: int = ACCUSED, **other: Any) -> Evidence:
    """Two COMMITs of the accused in one view."""
    sides = (said(village, who, digest, **other) for digest in (b"a" * 32, b"b" * 32))
    return Evidence(village.ids[who], *sides)


def submitted(village: Village, evidence: Evidence, by: int = WITNESS) -> bytes:
    return encode(sign_accusation(village.signers[by], village.chain_id, evidence))


def test_evidence_is_on_record_and_costs_the_whole_score() -> None:
    village = Village()
    receipt = village.one(submitted(village, proof(village)))
    assert isinstance(receipt, EvidenceReceipt)
    assert receipt.accepted
    assert (receipt.accused, receipt.submitter) == (village.ids[ACCUSED], village.ids[WITNESS])
    assert (receipt.kind, receipt.height, receipt.view) == (VoteKind.COMMIT, 3, 9)
    assert sentence(receipt) == "accepted"
    get = village.ledger.get
    key = keys.evidence(village.ids[ACCUSED], VoteKind.COMMIT, 3, 9)
    assert decode_record(EvidenceRecord, get(key) or b"") == EvidenceRecord(1, 0)
    assert query.score(get, village.ids[ACCUSED]) == 0
    assert query.score(get, village.ids[WITNESS]) == 300_000
    assert village.ledger.audit_totals().is_conserved()


def test_who_is_on_record_is_no_member_any_more_and_trades_with_nobody() -> None:
    village = Village()
    village.block(village.reading(ACCUSED, export_wh=500), village.reading(4, import_wh=500))
    evidence = submitted(village, proof(village))
    with pytest.raises(InvalidBlockError) as refused:
        village.block(evidence, village.contract(ACCUSED, 4, 100))
    assert refused.value.code == "unknown_submitter"
    receipts = village.block(evidence, village.contract(ACCUSED, 4, 100, by_seller=False))
    assert receipts[1].code is Decline.UNKNOWN_PARTY
    who = village.ids[ACCUSED]
    assert village.ledger.member_key(who, village.ledger.height) is None
    assert query.gone(village.ledger.get, who).why is Departure.EXPELLED  # type: ignore[union-attr]


def test_a_leader_leaves_out_what_its_evidence_makes_invalid() -> None:
    village = Village()
    village.block(village.reading(4, import_wh=500))
    for transaction in (village.reading(ACCUSED, export_wh=500), submitted(village, proof(village))):
        assert village.ledger.pool.add(transaction).accepted
    assert len(village.propose().receipts) == 1
    assert not village.ledger.pool.check(village.reading(ACCUSED, export_wh=500)).accepted
    assert len(village.ledger.pool) == 0


def test_a_member_may_accuse_itself_and_anybody_may_accuse() -> None:
    for witness in range(5):
        village = Village()
        assert village.one(submitted(village, proof(village), by=witness)).accepted


def test_the_same_conflict_is_recorded_once_whoever_says_it_and_in_whatever_words() -> None:
    village = Village()
    evidence = proof(village)
    village.block(submitted(village, evidence))
    third = said(village, ACCUSED, b"c" * 32)
    again = [
        submitted(village, evidence),
        submitted(village, evidence, by=2),
        submitted(village, Evidence(evidence.sender, evidence.second, evidence.first)),
        submitted(village, replace(evidence, second=third)),
    ]
    for data in again:
        assert village.ledger.pool.add(data).code == "answered"
        with pytest.raises(InvalidBlockError) as refused:
            village.block(data)
        assert refused.value.code == "answered_twice"
    with pytest.raises(InvalidBlockError):
        fresh = Village()
        fresh.block(submitted(fresh, proof(fresh)), submitted(fresh, proof(fresh), by=2))


def test_other_views_heights_and_types_are_other_conflicts() -> None:
    village = Village()
    village.block(submitted(village, proof(village)))
    others: list[dict[str, Any]] = [{"view": 10}, {"height": 4}, {"kind": VoteKind.PRE_PREPARE}]
    for other in others:
        assert village.one(submitted(village, proof(village, **other))).accepted
    assert decode_integer(village.ledger.get(keys.proven(village.ids[ACCUSED]))) == 4


FALSE: dict[str, Callable[[Village, Evidence], Evidence]] = {
    "one statement twice": lambda _v, e: replace(e, second=e.first),
    "two signatures of one statement": lambda _v, e: replace(e, second=replace(e.first, signature=bytes(64))),
    "fields that nobody signed": lambda _v, e: replace(e, second=replace(e.first, prepared_view=4)),
    "another view": lambda v, e: replace(e, second=said(v, ACCUSED, b"b" * 32, view=10)),
    "another height": lambda v, e: replace(e, second=said(v, ACCUSED, b"b" * 32, height=4)),
    "another type": lambda v, e: replace(e, second=said(v, ACCUSED, b"b" * 32, kind=VoteKind.PREPARE)),
    "another chain": lambda v, e: replace(e, second=said(v, ACCUSED, b"b" * 32, chain_id=b"x" * 32)),
    "somebody else's vote": lambda v, e: replace(e, second=said(v, 2, b"b" * 32)),
    "a forged first": lambda _v, e: replace(e, first=replace(e.first, signature=bytes(64))),
    "a forged second": lambda _v, e: replace(e, second=replace(e.second, signature=bytes(64))),
    "another accused": lambda v, e: replace(e, sender=v.ids[2]),
    "a stranger": lambda _v, e: replace(e, sender=b"x" * 20),
}


@pytest.mark.parametrize("name", FALSE)
def test_what_proves_nothing_gets_into_no_pool_and_no_block(name: str) -> None:
    village = Village()
    data = submitted(village, FALSE[name](village, proof(village)))
    result = village.ledger.pool.add(data)
    assert result.code in {"no_conflict", "bad_signature", "unknown_accused"}
    with pytest.raises(InvalidBlockError) as refused:
        village.block(data)
    assert refused.value.code == "proves_nothing"
    assert query.score(village.ledger.get, village.ids[ACCUSED]) == 600_000
    assert len(village.ledger.pool) == 0


def test_the_submitter_must_have_signed_it() -> None:
    village = Village()
    genuine = sign_accusation(village.signers[WITNESS], village.chain_id, proof(village))
    for forged in (replace(genuine, signature=bytes(64)), replace(genuine, submitter=village.ids[2])):
        assert village.ledger.pool.add(encode(forged)).code == "bad_signature"
        with pytest.raises(InvalidBlockError) as refused:
            village.block(encode(forged))
        assert refused.value.code == "bad_signature"


def test_the_pool_drafts_evidence_before_everything_else() -> None:
    village = Village()
    reading = village.reading(2, export_wh=100)
    data = submitted(village, proof(village))
    assert village.ledger.pool.add(reading).accepted
    assert village.ledger.pool.add(data).accepted
    assert village.ledger.pool.add(submitted(village, proof(village), by=2)).code == "other_pending"
    assert len(village.ledger.pool.signature_items(data)) == 3
    outcome = village.propose()
    assert outcome.draft.transactions == (data, reading)
    assert len(village.ledger.pool) == 0


def test_evidence_is_pending_over_the_end_of_any_period() -> None:
    village = Village()
    data = submitted(village, proof(village))
    village.ledger.pool.add(data)
    for _ in range(3):
        village.next_period()
    assert village.ledger.has_pending(slot=1)
    assert village.propose().draft.transactions == (data,)


def test_so_much_of_one_member_stays_on_record_and_no_more() -> None:
    village = Village()
    for view in range(EVIDENCE_PER_MEMBER_MAX):
        two = [submitted(village, proof(village, view=at)) for at in (view, view + 1)]
        for data in two:
            village.ledger.pool.add(data)
        # Of one member one piece a block: after it the others may prove nothing any more.
        assert len(village.propose().draft.transactions) == 1
    held = [key for key, _ in village.ledger.items() if key.startswith(keys.EVIDENCE)]
    assert len(held) == EVIDENCE_PER_MEMBER_MAX
    late = village.one(submitted(village, proof(village, view=99)))
    assert (late.code, late.expected, late.found) == (Decline.PROVEN_ENOUGH, 16, 16)
    assert "16 equivocations" in sentence(late)
    assert village.ledger.pool.add(submitted(village, proof(village, view=100))).code == "proven_enough"


def test_the_accused_and_the_submitter_are_told() -> None:
    village = Village()
    data = submitted(village, proof(village))
    assert village.ledger.concerned(data) == tuple(sorted((village.ids[ACCUSED], village.ids[WITNESS])))


@pytest.mark.parametrize("kind", VoteKind)
def test_the_key_is_shown_and_read_back(kind: VoteKind) -> None:
    key = keys.evidence(b"/" * 20, kind, 7, 12)
    assert keys.text(key) == f"evidence/{'2f' * 20}/{int(kind)}/7/12"
    assert keys.parse_text(keys.text(key)) == key
    assert keys.parse_text(keys.text(keys.proven(b"/" * 20))) == keys.proven(b"/" * 20)


@pytest.mark.parametrize("shown", ["evidence/" + "2f" * 20 + "/12/7/12", "evidence/" + "2f" * 20 + "/1/7"])
def test_what_is_no_key_is_none(shown: str) -> None:
    with pytest.raises(ValueError, match="is not a key"):
        keys.parse_text(shown)


def test_a_restored_ledger_remembers_guilt() -> None:
    village = Village()
    village.block(submitted(village, proof(village)))
    restored = type(village.ledger).restore(village.genesis, village.checker, 1, village.ledger.items())
    assert restored.state_root == village.ledger.state_root
    assert restored.pool.add(submitted(village, proof(village), by=2)).code == "answered"


def test_its_encoding_is_the_canonical_one() -> None:
    village = Village()
    data = submitted(village, proof(village))
    unpacked = msgspec.msgpack.decode(data)
    assert unpacked[0] == 16
    assert village.ledger.transaction_id(data + b"\0") is None
    unpacked[1][1] = village.ids[ACCUSED] + b"x"
    assert village.ledger.transaction_id(msgspec.msgpack.encode(unpacked)) is None
