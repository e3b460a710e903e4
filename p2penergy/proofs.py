"""A receipt that proves itself: header, commit certificate, Merkle path.

Lives here: the shape of the proof and its check, pure. Never here: asking for one (`client`), giving one
(`answers`). Owns the invariant that whoever has genesis needs no member's word for a proven receipt.
Implements the second half of CONSENSUS section 8.
"""

from collections.abc import Mapping

import msgspec

from p2penergy.consensus.rules import Rules
from p2penergy.digests import merkle_path_leads_to
from p2penergy.messages import (
    Certificate,
    Digest,
    Header,
    ProvenReceipt,
    VoteKind,
    canonical,
    header_digest,
)
from p2penergy.signing import RefusedSignatureError, SignatureChecker, certificate_items


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


def check_proof(
    proof: ReceiptProof, chain_id: bytes, validators: Mapping[bytes, bytes], checker: SignatureChecker
) -> None:
    """Accept a proof from anybody, or say what is wrong with it.

    `validators` maps ids to public keys: all members of the committee. Where only some of them are drawn,
    fewer than a quorum of all sign, and the proof is refused rather than believed for too little.

    Raises:
        ProofError: it does not prove that this chain holds the receipt.
    """
    header, certificate, proven, rules = proof.header, proof.certificate, proof.proven, Rules()
    if header.chain_id != chain_id:
        raise ProofError("the header is another chain's")
    if (certificate.height, certificate.digest) != (header.height, header_digest(header)):
        raise ProofError("the certificate is another block's")
    if not rules.distinct(certificate.members()):
        raise ProofError("the certificate's signers are not in ascending order")
    if not rules.reaches(len(certificate.votes), rules.quorum(len(validators))):
        raise ProofError(
            f"{len(certificate.votes)} of {len(validators)} validators signed, "
            f"{rules.quorum(len(validators))} are a quorum"
        )
    try:
        items = list(certificate_items(certificate, VoteKind.COMMIT, chain_id, validators.get))
    except RefusedSignatureError as error:
        raise ProofError(str(error)) from None
    if not all(checker.check(*item) for item in items):
        raise ProofError("a signature in the certificate does not hold")
    if proof.receipts_root != header.receipts_root:
        raise ProofError("the receipts are another block's")
    if not merkle_path_leads_to(
        header.receipts_root, proven.receipt, proven.index, proof.receipts_count, proven.path
    ):
        raise ProofError("the path does not lead from the receipt to the header")
