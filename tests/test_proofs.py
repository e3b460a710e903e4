"""A proof from anybody is believed for its certified header and its path, and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from light_samples import EVERYBODY, SampleChain, certificate_of, change

from p2penergy.digests import MerkleTree
from p2penergy.light import UnknownCommitteeError
from p2penergy.messages import MalformedMessageError, ProvenReceipt, encode
from p2penergy.proofs import ProofError, ReceiptProof, check_proof, decode_proof

RECEIPTS = [b"first", b"second", b"third"]
CHAIN = SampleChain([EVERYBODY[:4]], 9)


def proof(**changes: Any) -> ReceiptProof:
    tree = MerkleTree(RECEIPTS)
    header = CHAIN.header(5, receipts_root=tree.root)
    certificate = certificate_of(header, CHAIN.chain_id, EVERYBODY[:3])
    proven = ProvenReceipt(1, RECEIPTS[1], tree.path(1))
    made: ReceiptProof = change(ReceiptProof(header, certificate, tree.root, tree.count, proven), **changes)
    return made


def refused(false: ReceiptProof) -> str:
    with pytest.raises(ProofError) as caught:
        check_proof(false, CHAIN.light())
    return str(caught.value)


def test_a_quorum_a_header_and_a_path_prove_a_receipt() -> None:
    good = proof()
    assert decode_proof(encode(good)) == good
    check_proof(good, CHAIN.light())


def test_what_is_not_certified_proves_nothing() -> None:
    header = proof().header
    few = certificate_of(header, CHAIN.chain_id, EVERYBODY[:2])
    assert refused(proof(certificate=few)) == "2 of 4 signed, 3 are a quorum"


def test_an_unknown_committee_is_to_be_looked_up_first() -> None:
    header = change(proof().header, committee_root=b"x" * 32)
    later = proof(header=header, certificate=certificate_of(header, CHAIN.chain_id, EVERYBODY[:3]))
    with pytest.raises(UnknownCommitteeError):
        check_proof(later, CHAIN.light())


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
