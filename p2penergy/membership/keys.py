"""Device keys: the P-256 private key of one smart meter, and its file.

What lives here: making, loading and saving a key (PKCS #8 PEM, mode 0600, optionally under a
passphrase). What never does: certificates, signing (``p2penergy.signing``), and any copy of the
private key outside the file and this object.
Implements the key side of LEDGER section 2; CONSENSUS section 1 fixes the curve.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from p2penergy.membership.errors import KeyFileError
from p2penergy.membership.private_files import read_private, write_atomically
from p2penergy.signing import PUBLIC_KEY_BYTES, public_key_bytes

PASSPHRASE_BYTES_MAX = 1023  # what the PEM encryption of the library takes


def public_key_from(compressed_key: bytes) -> ec.EllipticCurvePublicKey:
    """The P-256 public key of its 33-byte compressed form.

    Raises ValueError when the length or the prefix is wrong or no such point exists.
    """
    if len(compressed_key) != PUBLIC_KEY_BYTES or compressed_key[0] not in (2, 3):
        raise ValueError(
            f"a public key is {PUBLIC_KEY_BYTES} bytes of compressed P-256, not this "
            f"{len(compressed_key)}-byte value"
        )
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), compressed_key)


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """One meter's private key; ``private_key`` signs, for TLS and for messages alike."""

    # Not in the repr: a key must not reach a log by accident.
    private_key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """A fresh key from the operating system's randomness."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: bytes, passphrase: str | None = None, *, where: str = "the key") -> Self:
        """The key in a PKCS #8 PEM; ``where`` names it in the sentence of a KeyFileError."""
        password = None if passphrase is None else passphrase.encode()
        try:
            key = serialization.load_pem_private_key(pem, password)
        except TypeError:
            hint = (
                "is under a passphrase: give it with --passphrase-file"
                if passphrase is None
                else "has no passphrase"
            )
            raise KeyFileError(f"{where} {hint}.") from None
        except (ValueError, UnsupportedAlgorithm):
            reason = "no PEM private key" if passphrase is None else "damaged, or the passphrase is wrong"
            raise KeyFileError(f"{where} can't be opened: {reason}.") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise KeyFileError(f"{where} is not a P-256 key; only P-256 is used here.")
        return cls(key)

    @classmethod
    def load(cls, path: Path, passphrase: str | None = None) -> Self:
        """Read a key file; raises KeyFileError when it is missing, open to others or locked."""
        return cls.from_pem(read_private(path, "device key"), passphrase, where=str(path))

    def save(self, path: Path, passphrase: str | None = None, *, replace: bool = False) -> None:
        """Write the key file, mode 0600, atomically.

        An existing file stays, with a KeyFileError, unless ``replace``: a lost key is a lost
        meter.
        """
        write_atomically(path, self.to_pem(passphrase), replace=replace)

    def to_pem(self, passphrase: str | None = None) -> bytes:
        """PKCS #8 PEM, encrypted when there is a passphrase."""
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase is not None:
            secret = passphrase.encode()
            if not 0 < len(secret) <= PASSPHRASE_BYTES_MAX:
                raise KeyFileError(f"A passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes.")
            encryption = serialization.BestAvailableEncryption(secret)
        return self.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self.private_key.public_key()

    def public_key_compressed(self) -> bytes:
        """The public half in 33 bytes, as the ledger holds it."""
        return public_key_bytes(self.public_key())
