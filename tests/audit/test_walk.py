"""Chains that a faulty quorum made: stored soundly, signed by enough, and still not right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from small_chain import SmallChain, signers

from p2penergy.audit import audit
from p2penergy.consensus.effects import DecidedRecord
from p2penergy.messages import Header, Stage, VoteKind, encode

replace = msgspec.structs.replace


@pytest.fixture
def chain(tmp_path: Path) -> SmallChain:
    chain = SmallChain(tmp_path / "home")
    chain.grow(2)
    return chain


def found(chain: SmallChain) -> list[str]:
    chain.close(undecided=False)
    return [str(each) for each in audit(chain.home).ledgers[0].findings]


def _another(name: str, header: Header) -> Any:
    value = getattr(header, name)
    return bytes([value[0] ^ 1]) + value[1:] if isinstance(value, bytes) else value + 1


@pytest.mark.parametrize(
    "name",
    [
        "version",
        "chain_id",
        "height",
        "parent",
        "committee_root",
        "verification_root",
        "validation_root",
        "transactions_root",
        "parent_certificate_digest",
        "receipts_root",
        "state_root",
        "reveal",
    ],
)
def test_every_wrong_header_field_is_named(chain: SmallChain, name: str) -> None:
    known = chain.build([])
    chain.decide_with_header(known, lambda header: replace(header, **{name: _another(name, header)}))
    findings = found(chain)
    assert any(each.startswith(f"table blocks, height 3: header field {name}: ") for each in findings), (
        findings
    )


def test_a_stage_that_the_parent_did_not_name(chain: SmallChain) -> None:
    known = chain.build([])
    chain.decide_with_header(known, lambda header: replace(header, stage=Stage.VERIFICATION))
    assert any("height 3: header field stage: " in each for each in found(chain))


def test_a_proposer_that_does_not_lead_the_slot(chain: SmallChain) -> None:
    known = chain.build([])
    proposer = known.block.header.proposer
    other = next(each.participant_id for each in signers() if each.participant_id != proposer)
    chain.decide_with_header(known, lambda header: replace(header, proposer=other))
    findings = found(chain)
    assert any(f"header field proposer: {other.hex()}, but Equation (1) names" in each for each in findings)


def test_a_slot_that_is_not_after_the_parents(chain: SmallChain) -> None:
    known = chain.build([])
    chain.decide_with_header(known, lambda header: replace(header, slot=chain.chain.tip_slot))
    assert any("header field slot: no view of this height begins" in each for each in found(chain))


def test_a_ledger_clock_that_goes_back_cannot_be_executed(chain: SmallChain) -> None:
    known = chain.build([])
    chain.decide_with_header(known, lambda header: replace(header, period=1))
    findings = found(chain)
    assert any("height 3: it can't be executed: period 1 is before" in each for each in findings)
    assert any("blocks 3 to 3 could not be checked" in each for each in findings)


@pytest.mark.parametrize(
    ("certificate", "finding"),
    [
        ({"count": 2}, "2 members signed it, a quorum is 3"),
        ({"count": 5}, "signed it without being in the committee"),
        ({"view": 1}, "view 1 is before the first"),
        ({"height": 1}, "it is for height 1"),
        ({"digest": bytes(32)}, "it decides 0000"),
    ],
)
def test_a_certificate_that_decides_nothing(
    chain: SmallChain, certificate: dict[str, Any], finding: str
) -> None:
    known = chain.build([])
    values = {"height": 3, "view": known.block.header.slot, "digest": known.digest, "count": 3}
    proof = chain.certificate(VoteKind.COMMIT, **(values | certificate))
    chain.store.persist_now([DecidedRecord(3, known.digest, known.raw, encode(proof), known.outcome)])
    findings = found(chain)
    assert any(
        each.startswith("table decisions, height 3: column certificate: ") and finding in each
        for each in findings
    ), findings


@pytest.mark.parametrize(
    ("forge", "finding"),
    [
        (lambda votes: (votes[1], votes[0], votes[2]), "not in strictly ascending order"),
        (lambda votes: (votes[0], votes[0], votes[1]), "not in strictly ascending order"),
        (lambda votes: (*votes[:2], (votes[2][0], votes[1][1])), "the signature of 0303"),
    ],
)
def test_forged_signers(
    chain: SmallChain, forge: Callable[[tuple[Any, ...]], tuple[Any, ...]], finding: str
) -> None:
    known = chain.build([])
    proof = chain.certificate(VoteKind.COMMIT, 3, known.block.header.slot, known.digest)
    forged = encode(replace(proof, votes=forge(proof.votes)))
    chain.store.persist_now([DecidedRecord(3, known.digest, known.raw, forged, known.outcome)])
    assert any(finding in each for each in found(chain))


def test_prepares_do_not_decide(chain: SmallChain) -> None:
    known = chain.build([])
    proof = chain.certificate(VoteKind.PREPARE, 3, known.block.header.slot, known.digest)
    chain.store.persist_now([DecidedRecord(3, known.digest, known.raw, encode(proof), known.outcome)])
    assert any("the signature of" in each for each in found(chain))


def test_a_block_decided_in_a_view_before_its_slot(chain: SmallChain) -> None:
    known = chain.build([], skip=2)
    proof = chain.certificate(VoteKind.COMMIT, 3, known.block.header.slot - 1, known.digest)
    chain.store.persist_now([DecidedRecord(3, known.digest, known.raw, encode(proof), known.outcome)])
    assert any("before its slot's view" in each for each in found(chain))


def test_a_parent_certificate_without_a_quorum(chain: SmallChain) -> None:
    weak = chain.certificate(VoteKind.COMMIT, 2, chain.chain.tip_slot, chain.chain.tip_digest, count=2)
    chain.chain.tip_certificate = weak
    chain.decide(chain.build([]))
    findings = found(chain)
    assert any("the certificate of the parent: 2 members signed it" in each for each in findings), findings


def test_a_parent_certificate_of_another_block(chain: SmallChain) -> None:
    chain.chain.tip_certificate = chain.certificate(VoteKind.COMMIT, 2, chain.chain.tip_slot, bytes(32))
    chain.decide(chain.build([]))
    assert any("the certificate of the parent: it decides another block" in each for each in found(chain))


@pytest.mark.parametrize("height", [1, 3])
def test_a_parent_certificate_too_many_or_too_few(tmp_path: Path, height: int) -> None:
    chain = SmallChain(tmp_path / "home")
    chain.grow(height - 1)
    chain.chain.tip_certificate = (
        None if height > 1 else chain.certificate(VoteKind.COMMIT, 0, 0, chain.chain_id)
    )
    chain.decide(chain.build([]))
    said = "it is missing" if height > 1 else "genesis has none"
    assert any(f"the certificate of the parent: {said}" in each for each in found(chain))


def test_an_unsigned_transaction_cannot_be_executed(chain: SmallChain) -> None:
    chain.grow(3)
    *_, reading = chain.readings()
    known = chain.build([])
    forged = reading[:-1] + bytes([reading[-1] ^ 1])
    block = replace(known.block, transactions=(forged,))
    chain.store.persist_now(
        [
            DecidedRecord(
                4,
                known.digest,
                encode(block),
                encode(chain.certificate(VoteKind.COMMIT, 4, block.header.slot, known.digest)),
                known.outcome,
            )
        ]
    )
    findings = found(chain)
    assert any("header field transactions_root" in each for each in findings)
    assert any("is not signed by its submitter" in each for each in findings)
