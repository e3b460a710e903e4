"""A proof from anybody is believed for its signatures and its path, and for nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from samples import CHAIN_ID, full, public_keys, signers

from p2penergy.digests import MerkleTree
from p2penergy.messages import (
    Certificate,
    Header,
    MalformedMessageError,
    ProvenReceipt,
    VoteKind,
    encode,
    header_digest,
    statement,
)
from p2penergy.proofs import ProofError, ReceiptProof, check_proof, decode_proof
from p2penergy.signing import EcdsaChecker

RECEIPTS = [b"first", b"second", b"third"]
VALIDATORS = {signer.participant_id: public_keys()[signer.participant_id] for signer in signers()[:4]}
change: Callable[..., Any] = msgspec.structs.replace


def certificate(header: Header, voters: range, **changes: Any) -> Certificate:
    """COMMITs of these members for a header."""
    values = {"kind": VoteKind.COMMIT, "chain_id": CHAIN_ID, "view": 9} | changes
    digest = header_digest(header)
    votes = []
    for signer in signers()[voters.start : voters.stop]:
        name = signer.participant_id
        said = statement(values["kind"], values["chain_id"], name, header.height, values["view"], digest)
        votes.append((name, signer.sign(said)))
    return Certificate(header.height, 9, digest, tuple(votes))


def proof(**changes: Any) -> ReceiptProof:
    tree = MerkleTree(RECEIPTS)
    header: Header = change(full(Header), chain_id=CHAIN_ID, receipts_root=tree.root)
    proven = ProvenReceipt(1, RECEIPTS[1], tree.path(1))
    made = ReceiptProof(header, certificate(header, range(3)), tree.root, tree.count, proven)
    return change(made, **changes)


def refused(false: ReceiptProof) -> str:
    with pytest.raises(ProofError) as caught:
        check_proof(false, CHAIN_ID, VALIDATORS, EcdsaChecker())
    return str(caught.value)


def test_a_quorum_a_header_and_a_path_prove_a_receipt() -> None:
    good = proof()
    assert decode_proof(encode(good)) == good
    check_proof(good, CHAIN_ID, VALIDATORS, EcdsaChecker())


def test_fewer_than_a_quorum_prove_nothing() -> None:
    header = proof().header
    said = refused(proof(certificate=certificate(header, range(2))))
    assert said == "2 of 4 validators signed, 3 are a quorum"
    # Of seven validators, three are no quorum either.
    many = {signer.participant_id: public_keys()[signer.participant_id] for signer in signers()}
    with pytest.raises(ProofError, match="3 of 7 validators signed, 5 are a quorum"):
        check_proof(proof(), CHAIN_ID, many, EcdsaChecker())


def test_nobody_counts_twice() -> None:
    good = proof()
    votes = good.certificate.votes
    for doubled in ((votes[0], votes[0], votes[1]), (votes[1], votes[0], votes[2])):
        assert "ascending" in refused(change(good, certificate=change(good.certificate, votes=doubled)))


def test_strangers_do_not_count() -> None:
    assert "is not a member" in refused(proof(certificate=certificate(proof().header, range(2, 5))))


@pytest.mark.parametrize("other", [{"kind": VoteKind.PREPARE}, {"chain_id": b"x" * 32}, {"view": 8}])
def test_other_statements_do_not_count(other: dict[str, Any]) -> None:
    said = refused(proof(certificate=certificate(proof().header, range(3), **other)))
    assert said == "a signature in the certificate does not hold"


def test_another_blocks_certificate_does_not_count() -> None:
    header = proof().header
    later = certificate(change(header, height=header.height + 1), range(3))
    assert "another block's" in refused(proof(certificate=later))
    assert "another block's" in refused(proof(header=change(header, slot=header.slot + 1)))


def test_another_chains_header_does_not_count() -> None:
    header = change(proof().header, chain_id=b"x" * 32)
    said = refused(proof(header=header, certificate=certificate(header, range(3))))
    assert said == "the header is another chain's"


@pytest.mark.parametrize(
    "other",
    [
        {"proven": ProvenReceipt(1, b"another", MerkleTree(RECEIPTS).path(1))},
        {"proven": ProvenReceipt(0, RECEIPTS[1], MerkleTree(RECEIPTS).path(1))},
        {"proven": ProvenReceipt(1, RECEIPTS[1], ())},
        {"receipts_count": 2},
        {"receipts_root": MerkleTree([b"another"]).root},
    ],
)
def test_a_receipt_must_be_under_the_header(other: dict[str, Any]) -> None:
    refused(proof(**other))


def test_a_proof_has_one_encoding() -> None:
    data = encode(proof())
    for bad in (b"", data[:-1], data + b"\0", b"\x90"):
        with pytest.raises(MalformedMessageError):
            decode_proof(bad)
