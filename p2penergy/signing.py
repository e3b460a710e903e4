"""Signatures: making them, checking them, and the type that says a message was checked.

Lives here: ECDSA P-256 over SHA-256 with raw 64-byte signatures (r || s), the cache of what was
checked, and `Verified`, which only `check_message` makes. Never here: threads (`verifier`),
sockets, rules. Owns the invariant that the consensus core sees no message, outer or nested, whose
signatures were not checked. Implements CONSENSUS section 1.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Generic, Protocol, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from p2penergy.messages import (
    Certificate,
    Commit,
    Decided,
    Evidence,
    Message,
    Prepare,
    PrePrepare,
    Reply,
    SyncResponse,
    ViewChange,
    VoteKind,
    statement,
)

SIGNATURE_BYTES = 64
PUBLIC_KEY_BYTES = 33
CACHE_SIGNATURES_MAX = 180_000
"""Remembered at most, in some 20 MB; at least half: both of every contract in a full pool, and votes."""
CACHE_KEYS_MAX = 20_000

_ALGORITHM = ec.ECDSA(hashes.SHA256())
_DETERMINISTIC = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)

SignatureItem = tuple[bytes, bytes, bytes]
"""(public key, message, signature): one thing to check."""

KeyOf = Callable[[bytes], bytes | None]
"""Participant id -> compressed public key, None for strangers."""

M = TypeVar("M", bound=Message)


class Signer(Protocol):
    """Somebody who can sign."""

    @property
    def participant_id(self) -> bytes:
        """Who signs, 20 bytes."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes over `message`; the same message always gives the same signature."""


class SignatureChecker(Protocol):
    """A pure answer to "did this key sign this message?"."""

    def check(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Never raises: a malformed key or signature is simply not a signature."""


class EcdsaSigner:
    """Signs with a P-256 private key, deterministically (RFC 6979)."""

    def __init__(self, participant_id: bytes, key: ec.EllipticCurvePrivateKey) -> None:
        self.participant_id = participant_id
        self._key = key

    @property
    def private_key(self) -> ec.EllipticCurvePrivateKey:
        """For opening what is sealed to this participant."""
        return self._key

    def sign(self, message: bytes) -> bytes:
        """64 bytes r || s."""
        r, s = decode_dss_signature(self._key.sign(message, _DETERMINISTIC))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class RenewedSigner:
    """A member that has had more than one key: a committee's votes are signed with the key it registers."""

    def __init__(self, newest: Signer, by_key: Mapping[bytes, Signer]) -> None:
        """`by_key`: every key that a committee may still know the member by, the newest one too."""
        self.participant_id = newest.participant_id
        self._newest = newest
        self._by_key = by_key

    def sign(self, message: bytes) -> bytes:
        """64 bytes with the newest key."""
        return self._newest.sign(message)

    def under(self, public_key: bytes) -> Signer | None:
        """Who signs so that this key checks it; None: the key is not held."""
        return self._by_key.get(public_key)


def public_key_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """The compressed X9.62 point, 33 bytes, as registries and genesis hold it."""
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


@lru_cache(maxsize=CACHE_KEYS_MAX)
def _load_key(public_key: bytes) -> ec.EllipticCurvePublicKey | None:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    except ValueError:
        return None


def verify_signature(item: SignatureItem) -> bool:
    """Check one signature, without a cache; releases the interpreter lock while it works."""
    public_key, message, signature = item
    key = _load_key(public_key) if len(public_key) == PUBLIC_KEY_BYTES else None
    if key is None or len(signature) != SIGNATURE_BYTES:
        return False
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        key.verify(der, message, _ALGORITHM)
    except InvalidSignature:
        return False
    return True


class EcdsaChecker:
    """Checks signatures and remembers the good ones, the older half forgotten at once.

    Bad ones are not remembered: they would let an attacker push good ones out for free. A hash stands for
    each: the bytes themselves would take five times the memory, and as much as somebody likes to sign.
    """

    def __init__(self, cache_signatures_max: int = CACHE_SIGNATURES_MAX) -> None:
        self._younger: set[bytes] = set()
        self._older: set[bytes] = set()
        self._half_max = max(cache_signatures_max // 2, 1)

    @property
    def remembered(self) -> int:
        """How many good signatures are known by heart; a property, so that an empty checker is no `False`."""
        return len(self._younger) + len(self._older)

    def check(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the key signed the message; from memory where it was seen before."""
        item = (public_key, message, signature)
        name = fingerprint(item)
        if name in self._younger or name in self._older:
            return True
        if not verify_signature(item):
            return False
        self.remember(name)
        return True

    def knows(self, name: bytes) -> bool:
        """Whether the signature with this fingerprint was found good before."""
        return name in self._younger or name in self._older

    def remember(self, name: bytes) -> None:
        """Take note of a signature, by its fingerprint, found good elsewhere (by the verifier's threads)."""
        if name in self._older:
            return
        self._younger.add(name)
        self.trim(self._half_max)

    def trim(self, newest_min: int) -> None:
        """Forget the older half, if the younger one holds the `newest_min` that were seen last."""
        if len(self._younger) >= newest_min:
            self._younger, self._older = set(), self._younger


def fingerprint(item: SignatureItem) -> bytes:
    """What stands for a key, a message and a signature together, 32 bytes."""
    public_key, message, signature = item
    # With their lengths: no other key and signature give the same bytes.
    lengths = b"%d,%d:" % (len(public_key), len(signature))
    return sha256(lengths + public_key + signature + message).digest()


class RefusedSignatureError(Exception):
    """A signature in a message does not hold, or its signer is unknown; `code` says which."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Verified(Generic[M]):
    """A message all of whose signatures hold. Made by `check_message`, and by nothing else."""

    message: M
    raw: bytes


def certificate_items(
    certificate: Certificate, kind: VoteKind, chain_id: bytes, key_of: KeyOf
) -> Iterable[SignatureItem]:
    """The signatures of a certificate; raises `RefusedSignatureError` for an unknown signer."""
    for member, signature in certificate.votes:
        signed = statement(kind, chain_id, member, certificate.height, certificate.view, certificate.digest)
        yield _key(key_of, member), signed, signature


def _key(key_of: KeyOf, member: bytes) -> bytes:
    key = key_of(member)
    if key is None:
        raise RefusedSignatureError("unknown_signer", f"{member.hex()} is not a member")
    return key


def message_items(message: Message, chain_id: bytes, key_of: KeyOf) -> list[SignatureItem]:
    """Every signature that `message` carries, nested ones too; [] for unsigned kinds.

    The parent certificate and the transactions inside a block are not among them: the chain and the
    ledger check those, by the same checker.

    Raises:
        RefusedSignatureError: a signer is unknown.
    """
    items: list[SignatureItem] = []
    if isinstance(message, PrePrepare | Prepare | Commit | ViewChange | Reply):
        key = _key(key_of, message.sender)
        items.append((key, message.signed_bytes(chain_id), message.signature))
    if isinstance(message, PrePrepare):
        for change in message.justification:
            items.extend(message_items(change, chain_id, key_of))
    if isinstance(message, PrePrepare | ViewChange) and message.certificate is not None:
        items.extend(certificate_items(message.certificate, VoteKind.PREPARE, chain_id, key_of))
    if isinstance(message, Decided):
        items.extend(certificate_items(message.certificate, VoteKind.COMMIT, chain_id, key_of))
    if isinstance(message, SyncResponse):
        # Checked block by block as the chain grows: later blocks may have later members.
        return []
    if isinstance(message, Evidence):
        key = _key(key_of, message.sender)
        for side in (message.first, message.second):
            items.append((key, side.signed_bytes(chain_id, message.sender), side.signature))
    return items


def check_message(
    message: M, raw: bytes, chain_id: bytes, key_of: KeyOf, checker: SignatureChecker
) -> Verified[M]:
    """The message as verified.

    Raises:
        RefusedSignatureError: `unknown_signer` or `bad_signature`.
    """
    for item in message_items(message, chain_id, key_of):
        if not checker.check(*item):
            raise RefusedSignatureError("bad_signature", "a signature does not hold")
    return Verified(message, raw)
