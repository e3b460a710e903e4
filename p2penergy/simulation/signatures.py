"""Keys of the simulated members: fast stand-ins, or real ECDSA by a switch.

Lives here: a `Signer` and a `SignatureChecker` that cost a microsecond, and the same pair with real
keys. Never here: anything a node could use by mistake: the stand-in checker must know every secret.
Owns the property that within a run nobody can sign for a member whose signer he does not hold.
Stands in for CONSENSUS section 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, sha256

from cryptography.hazmat.primitives.asymmetric import ec

from p2penergy.signing import (
    SIGNATURE_BYTES,
    EcdsaChecker,
    EcdsaSigner,
    RenewedSigner,
    SignatureChecker,
    Signer,
    public_key_bytes,
)
from p2penergy.simulation.roster import second_key

PARTICIPANT_ID_BYTES = 20
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def participant_id(member: int) -> bytes:
    """The id of simulated member number `member`: its number plus one in every byte, easy to read."""
    return bytes([member + 1]) * PARTICIPANT_ID_BYTES


def member_of(participant: bytes) -> int:
    """The number behind an id made by `participant_id`."""
    return participant[0] - 1


def _secret(member: int) -> bytes:
    return sha256(b"simulated member %d" % member).digest()


class StandInSigner:
    """Signs with a keyed hash that `StandInChecker` can repeat."""

    def __init__(self, participant: bytes, secret: bytes) -> None:
        self.participant_id = participant
        self._secret = secret

    def sign(self, message: bytes) -> bytes:
        """64 bytes over `message`."""
        return blake2b(message, key=self._secret, digest_size=SIGNATURE_BYTES).digest()


class StandInChecker:
    """Knows every secret of the run, so it can repeat any signature."""

    def __init__(self, secrets: dict[bytes, bytes]) -> None:
        self._secrets = secrets

    def check(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the holder of `public_key` signed `message`."""
        secret = self._secrets.get(public_key)
        if secret is None:
            return False
        return blake2b(message, key=secret, digest_size=SIGNATURE_BYTES).digest() == signature


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Everybody's keys of one run."""

    signers: Sequence[Signer]
    public_keys: Sequence[bytes]
    checker: SignatureChecker


@lru_cache(maxsize=64)
def stand_in_ring(members: int) -> KeyRing:
    """Keys that cost nothing."""
    secrets = [_secret(member) for member in range(members)]
    public_keys = [b"\x02" + sha256(secret).digest() for secret in secrets]
    known = dict(zip(public_keys, secrets, strict=True))
    signers = []
    for number, (key, secret) in enumerate(zip(public_keys, secrets, strict=True)):
        renewed = sha256(secret).digest()
        known[second_key(key)] = renewed
        first, second = (StandInSigner(participant_id(number), each) for each in (secret, renewed))
        signers.append(RenewedSigner(first, {key: first, second_key(key): second}))
    return KeyRing(signers, public_keys, StandInChecker(known))


@lru_cache(maxsize=64)
def ecdsa_ring(members: int) -> KeyRing:
    """Real P-256 keys, the same ones in every run."""
    scalars = [int.from_bytes(_secret(member), "big") % (_P256_ORDER - 1) + 1 for member in range(members)]
    keys = [ec.derive_private_key(scalar, ec.SECP256R1()) for scalar in scalars]
    signers = [EcdsaSigner(participant_id(i), key) for i, key in enumerate(keys)]
    return KeyRing(signers, [public_key_bytes(key.public_key()) for key in keys], EcdsaChecker())
