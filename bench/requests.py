"""The requests of the bench-only application: their bytes, ids and receipts.

Lives here: two fixed layouts, signed (256 bytes) and unsigned (no payload, as "0/0" in BFT papers). Never
here: executing them (`applications`). Owns the invariant that an id covers who asks and a number that
the asker never uses twice.

signed:   asker (20) | number (8) | payload (164) | signature (64)
unsigned: asker (20) | number (8)
"""

from functools import lru_cache
from hashlib import sha256

from p2penergy.signing import SIGNATURE_BYTES, SignatureItem, Signer

TAG_REQUEST = b"p2penergy/bench-request/1\0"
ASKER_BYTES = 20
NUMBER_BYTES = 8
UNSIGNED_BYTES = ASKER_BYTES + NUMBER_BYTES
SIGNED_BYTES = 256
PAYLOAD_BYTES = SIGNED_BYTES - UNSIGNED_BYTES - SIGNATURE_BYTES
RECEIPT_BYTES = 32
IDS_REMEMBERED_MAX = 1 << 16


def sign_request(signer: Signer, chain_id: bytes, number: int) -> tuple[bytes, bytes]:
    """Id and bytes of a signed 256-byte request."""
    body = signer.participant_id + number.to_bytes(NUMBER_BYTES, "big") + bytes(PAYLOAD_BYTES)
    data = body + signer.sign(TAG_REQUEST + chain_id + body)
    return sha256(body).digest(), data


def zero_request(asker: bytes, number: int) -> tuple[bytes, bytes]:
    """Id and bytes of a request without payload or signature."""
    data = asker + number.to_bytes(NUMBER_BYTES, "big")
    return sha256(data).digest(), data


@lru_cache(maxsize=IDS_REMEMBERED_MAX)
def request_id(data: bytes, signed: bool) -> bytes | None:
    """The id of a request; None when it has not the one length that requests of its kind have."""
    if len(data) != (SIGNED_BYTES if signed else UNSIGNED_BYTES):
        return None
    return sha256(data[:-SIGNATURE_BYTES] if signed else data).digest()


def signature_item(data: bytes, chain_id: bytes, public_key: bytes) -> SignatureItem:
    """What is to be checked of a signed request of the right length."""
    return public_key, TAG_REQUEST + chain_id + data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]


def decode_bench_receipt(receipt: bytes) -> bytes:
    """The id that a receipt answers: a reply without payload is nothing but that."""
    if len(receipt) != RECEIPT_BYTES:
        raise ValueError(f"a receipt of {len(receipt)} bytes, not {RECEIPT_BYTES}")
    return receipt
