"""Sealing to one reader: HPKE (RFC 9180) with P-256, HKDF-SHA-256 and AES-128-GCM.

What lives here: how a newcomer's identity certificate is sealed to one verifier, and opened by
it. What never does: whose key to seal to (LEDGER section 2: only that of a verifier vouched for
by certified headers). Implements the sealing of LEDGER section 2 and the privacy of paper 5.2.

Invariant: sealed bytes open only with the recipient's key *and* the same ``info`` (what the seal
is for) *and* the same ``aad`` (what it belongs to, for instance the digest of the join request),
so that a seal can't be moved into another request. The library's public interface has no
additional data, so both go into the HPKE ``info``, each behind its length: it enters the key
schedule, and a difference in it fails the authentication just as well.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec

from p2penergy.membership.errors import SealRefused

PLAINTEXT_BYTES_MAX: Final = 16 * 1024
CONTEXT_BYTES_MAX: Final = 4096
OVERHEAD_BYTES: Final = 65 + 16  # the encapsulated point, and the tag
SEALED_BYTES_MAX: Final = PLAINTEXT_BYTES_MAX + OVERHEAD_BYTES

_TAG: Final = b"p2penergy/seal/1\0"
_SUITE: Final = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)


def seal(recipient_public_key: ec.EllipticCurvePublicKey, plaintext: bytes, info: bytes, aad: bytes) -> bytes:
    """Seal ``plaintext`` (at most 16 KiB) to one P-256 key: ``OVERHEAD_BYTES`` longer.

    Raises ValueError when something is beyond its limit, TypeError for another curve.
    """
    if len(plaintext) > PLAINTEXT_BYTES_MAX:
        raise ValueError(f"at most {PLAINTEXT_BYTES_MAX} bytes can be sealed at once")
    return _SUITE.encrypt(plaintext, recipient_public_key, info=_context(info, aad))


def open_seal(private_key: ec.EllipticCurvePrivateKey, sealed: bytes, info: bytes, aad: bytes) -> bytes:
    """The plaintext; raises :class:`SealRefused` when the seal was not made for exactly this."""
    if not OVERHEAD_BYTES <= len(sealed) <= SEALED_BYTES_MAX:
        raise SealRefused(f"A seal has {OVERHEAD_BYTES} to {SEALED_BYTES_MAX} bytes, not {len(sealed)}.")
    try:
        return _SUITE.decrypt(sealed, private_key, info=_context(info, aad))
    except (InvalidTag, ValueError):
        raise SealRefused(
            "The seal does not open: it was made for another key or request, or was altered."
        ) from None


def _context(info: bytes, aad: bytes) -> bytes:
    if len(info) > CONTEXT_BYTES_MAX or len(aad) > CONTEXT_BYTES_MAX:
        raise ValueError(f"info and aad have at most {CONTEXT_BYTES_MAX} bytes each")
    parts = (_TAG, len(info).to_bytes(4, "big"), info, len(aad).to_bytes(4, "big"), aad)
    return b"".join(parts)
