"""A newcomer's two certificates, sealed to each verifier by itself.

What lives here: what is sealed, to what each seal is bound, the digest under all seals of one request, and
opening one's own. What never does: whose keys to seal to (certified headers say so), whether the opened
certificates are good (``judging``), files, network. Implements the joining of LEDGER section 2 and the
privacy of paper 5.2.

Invariants: a seal opens for one verifier, one chain and one request only, so that nobody can move it into a
request of his own; the digest in the request covers every verifier's seal, so that nobody on the way can
exchange one; and each seal proves by a Merkle path that it belongs to that digest, so that a verifier is
sent its own seal alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from p2penergy.digests import MerkleTree, merkle_path_leads_to
from p2penergy.membership.errors import SealRefused
from p2penergy.membership.profile import CERTIFICATE_BYTES_MAX
from p2penergy.membership.sealing import open_seal, seal
from p2penergy.messages import ProvenSeal

_PURPOSE: Final = b"p2penergy/join/1\0"
_Der = Annotated[bytes, Meta(min_length=1, max_length=CERTIFICATE_BYTES_MAX)]


class Certificates(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is under a seal, each in DER; in no repr that a log may take."""

    device: _Der
    identity: _Der

    def __repr__(self) -> str:
        """Without the content: it names a person."""
        return "Certificates(...)"


@dataclass(frozen=True, slots=True)
class Binding:
    """What a seal is made for: chain, committee and the fields of the request that the newcomer signs."""

    chain_id: bytes
    committee_root: bytes
    participant_id: bytes
    public_key: bytes
    meter_pseudonym: bytes

    def context(self, verifier: bytes) -> bytes:
        """The additional data of one verifier's seal; every part has a fixed length."""
        return b"".join(
            (
                self.chain_id,
                self.committee_root,
                self.participant_id,
                self.public_key,
                self.meter_pseudonym,
                verifier,
            )
        )


@dataclass(frozen=True, slots=True)
class SealedIdentity:
    """All seals of one request, verifiers ascending, and the digest that the request names."""

    digest: bytes
    seals: tuple[ProvenSeal, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Certificates)


def seal_to_all(
    device_der: bytes,
    identity_der: bytes,
    binding: Binding,
    sealing_keys: Mapping[bytes, ec.EllipticCurvePublicKey],
) -> SealedIdentity:
    """Seal to every verifier: participant id -> P-256 sealing key.

    Raises ValueError when there is none to seal to, or a certificate is beyond its limit.
    """
    if not sealing_keys:
        raise ValueError("there is no verifier to seal to")
    if max(len(device_der), len(identity_der)) > CERTIFICATE_BYTES_MAX:
        raise ValueError(f"a certificate has at most {CERTIFICATE_BYTES_MAX} bytes")
    plaintext = _encoder.encode(Certificates(device_der, identity_der))
    made = [
        (verifier, seal(key, plaintext, _PURPOSE, binding.context(verifier)))
        for verifier, key in sorted(sealing_keys.items())
    ]
    tree = MerkleTree([leaf(verifier, sealed) for verifier, sealed in made])
    seals = tuple(
        ProvenSeal(number, verifier, sealed, tree.path(number))
        for number, (verifier, sealed) in enumerate(made)
    )
    return SealedIdentity(tree.root, seals)


def leaf(verifier: bytes, sealed: bytes) -> bytes:
    """What stands under the digest for one verifier."""
    return verifier + sealed


def belongs(seal: ProvenSeal, count: int, digest: bytes) -> bool:
    """Whether a seal is one of the ``count`` under the digest of its request."""
    return merkle_path_leads_to(digest, leaf(seal.verifier, seal.sealed), seal.index, count, seal.path)


def open_identity(
    key: ec.EllipticCurvePrivateKey, verifier: bytes, sealed: bytes, binding: Binding
) -> Certificates:
    """The certificates under one's own seal; raises SealRefused."""
    plaintext = open_seal(key, sealed, _PURPOSE, binding.context(verifier))
    try:
        certificates = _decoder.decode(plaintext)
    except msgspec.DecodeError:
        certificates = None
    if certificates is None or _encoder.encode(certificates) != plaintext:
        raise SealRefused("What was under the seal is not two certificates.")
    return certificates
