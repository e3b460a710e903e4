"""Receipts that prove themselves: by header, commit certificate and Merkle path, or under a REPLY's root.

Lives here: the shape of the proof and its check, pure. Never here: asking for one (`client`), giving one
(`answers`). Owns the invariant that whoever has genesis needs no member's word for a proven receipt.
Implements CONSENSUS section 8.
"""

import msgspec

from p2penergy.digests import merkle_path_leads_to, merkle_siblings_lead_to
from p2penergy.light import Light, WrongHeaderError
from p2penergy.messages import (
    Certificate,
    Digest,
    Header,
    ProvenReceipt,
    ProvenReceipts,
    Reply,
    canonical,
    decode_receipts,
)


class ReceiptProof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One header, the certificate that decided it, and a receipt's path: checkable by anybody."""

    header: Header
    certificate: Certificate
    receipts_root: Digest
    receipts_count: int
    proven: ProvenReceipt


class ProofError(Exception):
    """The proof proves nothing; the sentence says which part does not hold."""


_decoder = msgspec.msgpack.Decoder(ReceiptProof)


def decode_proof(data: bytes) -> ReceiptProof:
    """A proof from the answer to a `proof` query; raises `MalformedMessageError`."""
    proof: ReceiptProof = canonical(_decoder, data, "receipt proof")
    return proof


def receipts_of(reply: Reply) -> ProvenReceipts:
    """The receipts that a REPLY tells, all of them under the root that its sender signed.

    Raises:
        MalformedMessageError: they are none.
        ProofError: they are not the block's.
    """
    proven = decode_receipts(reply.receipts)
    if not merkle_siblings_lead_to(
        reply.receipts_root, proven.receipts, proven.indices, reply.receipts_count, proven.siblings
    ):
        raise ProofError("the receipts are none of the block's")
    return proven


def check_proof(proof: ReceiptProof, light: Light) -> None:
    """Accept a proof from anybody, or say what is wrong with it.

    Raises:
        ProofError: it does not prove that this chain holds the receipt.
        UnknownCommitteeError: nothing is wrong so far; bring `light` to the header's height first.
    """
    header, proven = proof.header, proof.proven
    try:
        light.check(header, proof.certificate)
    except WrongHeaderError as error:
        raise ProofError(str(error)) from None
    if proof.receipts_root != header.receipts_root:
        raise ProofError("the receipts are another block's")
    if not merkle_path_leads_to(
        header.receipts_root, proven.receipt, proven.index, proof.receipts_count, proven.path
    ):
        raise ProofError("the path does not lead from the receipt to the header")
