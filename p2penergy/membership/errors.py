"""The exception tree of the membership package, drawn once.

    MembershipError
    ├── CertificateRefused   the other side's certificate; has a counted ``code``
    ├── SealRefused          sealed bytes that do not open here
    ├── KeyFileError         our own key file: missing, readable by others, wrong passphrase
    └── AuthorityError       our own authority's folder, or something it will not issue

The first two are the peer's fault and carry nothing but a code and a sentence; the last two are
for the person at the keyboard and say how to mend the matter. No logic lives here.
"""

from __future__ import annotations

from enum import StrEnum


class MembershipError(Exception):
    """Any refusal of this package; ``str()`` of it is one sentence for people."""


class RefusalCode(StrEnum):
    """Why a certificate was refused; the values are the names under which refusals are counted."""

    OVERSIZE = "oversize"
    GARBAGE = "garbage"
    NOT_CANONICAL = "not_canonical"
    WRONG_CURVE = "wrong_curve"
    WEAK_HASH = "weak_hash"
    IS_CA = "is_ca"
    WRONG_KEY_USAGE = "wrong_key_usage"
    WRONG_CONTENT = "wrong_content"
    WRONG_ISSUER = "wrong_issuer"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    PATH = "path"
    REVOKED = "revoked"
    MISMATCH = "mismatch"


class CertificateRefused(MembershipError):  # noqa: N818 - a verdict on the peer, not a mistake
    """A certificate, or a revocation list, that this node does not accept.

    ``code`` is one of :class:`RefusalCode`; ``sentence`` names what was wrong.
    """

    def __init__(self, code: RefusalCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class SealRefused(MembershipError):  # noqa: N818 - as above
    """Sealed bytes that were not sealed to this key, with this purpose, or arrived altered."""


class KeyFileError(MembershipError):
    """A private file that can't be read or written safely."""


class AuthorityError(MembershipError):
    """The community's authority can't do what was asked."""
