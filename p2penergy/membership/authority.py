"""The community's certificate authority: one folder that issues, lists and revokes.

What lives here: the decision whether to issue, and the authority's folder. What never does: how
certificates are encoded (``issuing``), how they are judged (``certificates``), any network.
Implements the authority of LEDGER section 2: it vouches for devices and for who lives behind
them, and decides nothing else; joining is the verifiers' consensus (paper 2.2.1).

The folder (mode 0700) holds::

    ca.key             private key, mode 0600, under a passphrase if one was given
    ca.pem             the authority's certificate, which every node gets
    community.secret   the key of the meter pseudonyms, sealed to ca.key
    index.json         what was issued and revoked; no personal data
    crl.pem            the signed revocation list, which every node gets

Invariants: an existing authority is never overwritten; a new one appears whole or not at all; an
issued certificate is in the index before anybody holds it; one device key has one participant id.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from p2penergy.membership import issuing
from p2penergy.membership.authority_index import Index, IssuedRecord
from p2penergy.membership.certificates import (
    DeviceCertificate,
    IdentityCertificate,
    der_of,
    lfdi_text,
    load_authority,
    participant_id,
    verify_device,
)
from p2penergy.membership.errors import AuthorityError, CertificateRefused
from p2penergy.membership.issuing import Validity
from p2penergy.membership.keys import DeviceKey, public_key_from
from p2penergy.membership.private_files import (
    PUBLIC_FILE_MODE,
    read_private,
    refuse_if_others_may_read,
    write_atomically,
)
from p2penergy.membership.profile import PARTICIPANT_ID_BYTES, Connection, Person
from p2penergy.membership.sealing import open_seal, seal
from p2penergy.signing import EcdsaSigner, public_key_bytes

AUTHORITY_DAYS: Final = 20 * 365
DEVICE_DAYS: Final = 5 * 365
HOUSEHOLD: Final = Connection()
REVOCATION_LIST_DAYS: Final = 365
REASONS: Final = {
    "key-compromise": x509.ReasonFlags.key_compromise,
    "superseded": x509.ReasonFlags.superseded,
    "moved-out": x509.ReasonFlags.cessation_of_operation,
    "withdrawn": x509.ReasonFlags.privilege_withdrawn,
    "unspecified": x509.ReasonFlags.unspecified,
}

_SECRET_INFO: Final = b"community secret"
_SECRET_BYTES: Final = 32


class Authority:
    """Issues the certificates of one community; made by :meth:`create`, :meth:`open` or
    :meth:`in_memory`. All moments are aware; where ``at`` is left out it is now.
    """

    def __init__(
        self,
        certificate: x509.Certificate,
        key: DeviceKey,
        community_secret: bytes,
        index: Index,
        folder: Path | None,
    ) -> None:
        self.certificate = certificate
        self.folder = folder
        self._key = key
        self._community_secret = community_secret
        self._index = index

    @classmethod
    def in_memory(cls, community_name: str, *, at: datetime | None = None) -> Self:
        """An authority that is never written down: for demos, tests and the simulator."""
        key = DeviceKey.generate()
        certificate = issuing.build_authority(key, community_name, Validity(at or _now(), AUTHORITY_DAYS))
        return cls(certificate, key, secrets.token_bytes(_SECRET_BYTES), Index(), None)

    @classmethod
    def create(
        cls,
        folder: Path,
        community_name: str,
        passphrase: str | None = None,
        *,
        at: datetime | None = None,
    ) -> Self:
        """Make a new authority in ``folder``, which must be missing or empty.

        Raises AuthorityError when something is there already, KeyFileError when it can't be
        written, ValueError for a name that a certificate can't carry.
        """
        authority = cls.in_memory(community_name, at=at)
        key = authority._key
        sealed = seal(key.public_key(), authority._community_secret, _SECRET_INFO, b"")
        with _new_folder(folder) as draft:
            write_atomically(draft / "ca.key", key.to_pem(passphrase))
            write_atomically(draft / "community.secret", sealed)
            write_atomically(draft / "ca.pem", authority.certificate_pem, mode=PUBLIC_FILE_MODE)
            authority._write(draft, at or _now())
        authority.folder = folder
        return authority

    @classmethod
    def open(cls, folder: Path, passphrase: str | None = None) -> Self:
        """Open an existing authority.

        Raises AuthorityError when there is none or it is damaged, KeyFileError when its key is
        open to other users or the passphrase is missing or wrong.
        """
        if not (folder / "ca.key").exists():
            raise AuthorityError(f"There is no authority in {folder}; make one with `p2penergy ca init`.")
        refuse_if_others_may_read(folder)
        key = DeviceKey.load(folder / "ca.key", passphrase)
        sealed = read_private(folder / "community.secret", "community secret")
        secret = open_seal(key.private_key, sealed, _SECRET_INFO, b"")
        certificate = load_authority(_read_public(folder / "ca.pem"))
        if certificate.public_key() != key.public_key():
            raise AuthorityError(f"ca.pem and ca.key in {folder} do not belong together.")
        return cls(certificate, key, secret, _read_index(folder), folder)

    @property
    def certificate_der(self) -> bytes:
        """The authority's certificate in DER."""
        return der_of(self.certificate)

    @property
    def public_key(self) -> bytes:
        """33 bytes compressed: what genesis names, so that revocations count on the ledger."""
        return self._key.public_key_compressed()

    def signer(self) -> EcdsaSigner:
        """Signs what the authority says on the ledger; it is no participant, so its id is all zeros."""
        return EcdsaSigner(bytes(PARTICIPANT_ID_BYTES), self._key.private_key)

    @property
    def certificate_pem(self) -> bytes:
        """The authority's certificate in PEM: what every node trusts."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue_device(
        self,
        public_key: ec.EllipticCurvePublicKey,
        *,
        serial: int | None = None,
        days: int = DEVICE_DAYS,
        renews: bytes | None = None,
        at: datetime | None = None,
    ) -> DeviceCertificate:
        """A device certificate for a P-256 key.

        ``serial`` is the certificate's serial number (random when left out). ``renews`` is the
        20-byte participant id that a renewal keeps; without it the key must be new here. Raises
        AuthorityError.
        """
        self._refuse_other_curves(public_key)
        validity = self._validity(at, days)
        key_hex = public_key_bytes(public_key).hex()
        number = x509.random_serial_number() if serial is None else serial
        with self._changing(validity.issued_at):
            self._refuse_second_participant(key_hex, renews)
            der = issuing.build_device(
                self.certificate,
                self._key,
                public_key,
                validity,
                serial=number,
                kept_participant_id=renews,
            )
            participant = renews or participant_id(der)
            self._record("device", number, participant, key_hex, validity)
        return DeviceCertificate(der, number, participant)

    def issue_identity(
        self,
        person: Person,
        device_certificate_der: bytes,
        meter_serial: str,
        connection: Connection = HOUSEHOLD,
        *,
        days: int = DEVICE_DAYS,
        at: datetime | None = None,
    ) -> IdentityCertificate:
        """An identity certificate that binds person, meter, its connection and the key of a device.

        Raises CertificateRefused when the device certificate is not one of this authority's,
        expired or revoked, AuthorityError or ValueError for fields that it can't carry.
        """
        validity = self._validity(at, days)
        device = verify_device(device_certificate_der, self.certificate, validity.issued_at, self.revoked())
        pseudonym = self.meter_pseudonym(meter_serial)
        number = x509.random_serial_number()
        der = issuing.build_identity(
            self.certificate,
            self._key,
            public_key_from(device.public_key),
            validity,
            serial=number,
            person=person,
            meter_serial=meter_serial,
            meter_pseudonym=pseudonym,
            connection=connection,
        )
        with self._changing(validity.issued_at):
            self._record("identity", number, device.participant_id, device.public_key.hex(), validity)
        return IdentityCertificate(der, number, pseudonym)

    def revoke(self, serial: int, reason: str = "unspecified", *, at: datetime | None = None) -> None:
        """Take a certificate back: in the index first, then in the signed list ``crl.pem``.

        ``reason`` is one of ``REASONS``. Raises AuthorityError.
        """
        if reason not in REASONS:
            raise AuthorityError(f"{reason!r} is no reason; choose from {', '.join(REASONS)}.")
        moment = at or _now()
        with self._changing(moment):
            self._index = self._index.with_revoked(f"{serial:x}", moment, reason)

    def list(self) -> tuple[IssuedRecord, ...]:
        """All that was issued, in that order, the revoked ones included."""
        return self._index.records

    def revoked(self) -> frozenset[int]:
        """The serial numbers of the revoked certificates."""
        return frozenset(int(record.serial, 16) for record in self._index.records if record.revoked_at)

    def revocation_list_pem(self, *, at: datetime | None = None) -> bytes:
        """A revocation list signed now, as nodes load it."""
        moment = at or _now()
        entries = (
            (int(record.serial, 16), record.revoked_at, REASONS[record.reason or "unspecified"])
            for record in self._index.records
            if record.revoked_at is not None
        )
        return issuing.build_revocation_list(
            self.certificate,
            self._key,
            entries,
            number=self._index.revocation_list_number,
            issued_at=moment,
            next_update=moment + timedelta(days=REVOCATION_LIST_DAYS),
        )

    def meter_pseudonym(self, meter_serial: str) -> bytes:
        """The 32-byte pseudonym of a meter; raises ValueError for a serial that can't be one."""
        return issuing.meter_pseudonym(self._community_secret, meter_serial)

    def _validity(self, at: datetime | None, days: int) -> Validity:
        validity = Validity(at or _now(), days)
        end = self.certificate.not_valid_after_utc
        if validity.not_after > end:
            raise AuthorityError(
                f"{days} days would outlive the authority, which ends on {end:%Y-%m-%d}; ask for fewer days."
            )
        return validity

    def _refuse_other_curves(self, public_key: ec.EllipticCurvePublicKey) -> None:
        if not isinstance(public_key.curve, ec.SECP256R1):
            raise AuthorityError("Only P-256 keys are certified here.")

    def _refuse_second_participant(self, key_hex: str, renews: bytes | None) -> None:
        owner = self._index.owner_of(key_hex)
        if renews is None and owner is not None:
            raise AuthorityError(
                f"This key belongs to participant {lfdi_text(bytes.fromhex(owner))} already; "
                "renew its certificate instead."
            )
        if renews is not None:
            if not self._index.knows(renews.hex()):
                raise AuthorityError(f"There is no participant {lfdi_text(renews)} to renew.")
            if owner not in (None, renews.hex()):
                raise AuthorityError("This key belongs to another participant.")

    def _record(
        self,
        kind: Literal["device", "identity"],
        serial: int,
        participant: bytes,
        key_hex: str,
        validity: Validity,
    ) -> None:
        self._index = self._index.with_issued(
            IssuedRecord(
                serial=f"{serial:x}",
                kind=kind,
                participant_id=participant.hex(),
                public_key=key_hex,
                issued_at=validity.issued_at,
                not_after=validity.not_after,
            )
        )

    @contextlib.contextmanager
    def _changing(self, at: datetime) -> Iterator[None]:
        """Read the index again under the folder's lock, and write it back when all went well."""
        if self.folder is None:
            yield
            return
        with _locked(self.folder):
            self._index = _read_index(self.folder)
            yield
            self._write(self.folder, at)

    def _write(self, folder: Path, at: datetime) -> None:
        # The index goes first: a list can be made from the index, not the other way round.
        write_atomically(folder / "index.json", self._index.to_json())
        listed = folder / "crl.pem"
        if not listed.exists() or self._listed(listed) != self.revoked():
            write_atomically(listed, self.revocation_list_pem(at=at), mode=PUBLIC_FILE_MODE)

    def _listed(self, path: Path) -> frozenset[int] | None:
        try:
            return issuing.read_revocation_list(_read_public(path), self.certificate).serials
        except CertificateRefused:
            return None


def _now() -> datetime:
    return datetime.now(UTC)


def _read_public(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AuthorityError(f"{path} can't be read: {error.strerror}.") from error


def _read_index(folder: Path) -> Index:
    return Index.from_json(read_private(folder / "index.json", "index of certificates"))


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time changes a folder; the lock goes with the process that holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A draft beside ``folder`` that takes its place, whole, at the end of the block.

    The rename only succeeds while ``folder`` is missing or empty, so nothing is overwritten.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AuthorityError(f"{folder} is not empty; an authority needs a folder of its own.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise AuthorityError(f"{folder} can't be made: {error.strerror}.") from error
    try:
        yield draft
        draft.rename(folder)
    except OSError as error:
        raise AuthorityError(f"{folder} can't be made: {error.strerror}.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
