"""A newcomer's folder, its own look at its certificates, and the way to the nodes.

Lives here: what `p2penergy join` and `renew` do around an application. Never here: its steps (`joining`),
options and words (`cli`). Owns the invariant that certificates which verifiers would refuse are refused at
home, before anything is sent. Implements the newcomer's side of LEDGER section 2.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from p2penergy.client import ClientError
from p2penergy.home import (
    AUTHORITY_FILE,
    CERTIFICATE_FILE,
    IDENTITY_FILE,
    KEY_FILE,
    Device,
    HomeError,
    write_public_key,
)
from p2penergy.household.reach import STRAGGLERS_S, named
from p2penergy.ledger.receipts import MembershipReceipt
from p2penergy.membership.certificates import der_of
from p2penergy.membership.judging import judge
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.private_files import (
    PRIVATE_FILE_MODE,
    PUBLIC_FILE_MODE,
    read_private,
    write_atomically,
)
from p2penergy.membership.sealed_identity import Binding, Certificates
from p2penergy.newcomers.joining import Applicant, Application, Tell
from p2penergy.operations.asking import Address, dialling, peer_addresses
from p2penergy.peers import guest_of
from p2penergy.signing import EcdsaSigner
from transport import TlsIdentity

LINK_POLL_S = 0.02
ISSUED_KEY, ISSUED_CERTIFICATE, ISSUED_IDENTITY = "device.key", "device.pem", "identity.pem"
"""What `p2penergy ca issue` writes."""

Connected = Callable[[], frozenset[bytes]]


def keep_identity(home: Path, identity: Path) -> None:
    """Put an identity certificate into the folder, for its owner only; raises KeyFileError."""
    write_atomically(home / IDENTITY_FILE, read_private(identity, "identity certificate"))


def applicant_of(device: Device, identity_pem: bytes) -> Applicant:
    """Who applies with this device and identity, once both certificates would pass.

    Raises:
        HomeError: the identity is no certificate.
        CertificateRefused: what a verifier would refuse, with its reason.
        ClientError: the identity names no meter.
    """
    try:
        identity = x509.load_pem_x509_certificate(identity_pem)
    except ValueError:
        raise HomeError("the identity certificate is not one in PEM") from None
    certificate = x509.load_der_x509_certificate(device.tls.certificate_der)
    found = Applicant(device.signer, device.key.public_key_compressed(), certificate, identity)
    nothing = bytes(32)
    who = device.signer.participant_id
    binding = Binding(nothing, nothing, who, found.public_key, found.meter_pseudonym)
    judge(
        Certificates(device.tls.certificate_der, der_of(identity)),
        binding,
        device.authority,
        datetime.now(UTC),
        device.revocations,
    )
    return found


def read_identity(home: Path) -> bytes:
    """The identity certificate of a folder; raises KeyFileError."""
    return read_private(home / IDENTITY_FILE, "identity certificate")


def read_issued_identity(folder: Path) -> bytes:
    """The identity certificate beside a renewed key; raises KeyFileError."""
    return read_private(folder / ISSUED_IDENTITY, "renewed identity certificate")


def renewed(device: Device, folder: Path) -> Device:
    """The same device with the key and certificate that the authority issued into `folder`.

    Raises:
        HomeError: they are no renewal of this participant's.
        KeyFileError, TlsIdentityError: they can't be read, or do not fit together.
    """
    key = DeviceKey.load(folder / ISSUED_KEY)
    certificate, authority = folder / ISSUED_CERTIFICATE, device.path / AUTHORITY_FILE
    tls = TlsIdentity.load(certificate, folder / ISSUED_KEY, [authority])
    who = device.identify(tls.certificate_der)
    if who != device.signer.participant_id:
        raise HomeError(
            f"{certificate} is no renewal of participant {device.signer.participant_id.hex()}: "
            "issue it with --renews and that id"
        )
    return replace(device, key=key, tls=tls, signer=EcdsaSigner(who, key.private_key))


async def enter(
    device: Device,
    applicant: Applicant,
    nodes: Sequence[str],
    wait_s: float,
    tell: Tell,
    *,
    renews: bool,
) -> tuple[MembershipReceipt, int]:
    """Apply until the community has decided: to join, or to renew the key.

    Raises:
        ClientError: no node can be reached or takes the request, or nothing was decided in time.
        ConfigError: a node is not HOST:PORT.
    """
    # Another key than the registered one opens a guest's link only, so it is called one.
    name = guest_of(device.signer.participant_id) if renews else None
    try:
        async with asyncio.timeout(wait_s):
            addresses = await named(device, nodes) if nodes else peer_addresses(device)
            addresses.pop(device.signer.participant_id, None)
            if not addresses:
                raise ClientError("no node is known: name one with --node HOST:PORT")
            async with dialling(device, addresses, name) as (client, mesh):
                await _linked(mesh.connected, addresses)
                tell("connected", {"nodes": len(mesh.connected())})
                application = Application(client, device.genesis, applicant, tell, renews=renews)
                return await application.decided()
    except TimeoutError:
        raise ClientError(
            f"nothing was decided within {wait_s:g} s: run it again, or with a longer --wait-s"
        ) from None


async def _linked(connected: Connected, addresses: Mapping[bytes, Address]) -> None:
    """Wait for the first link, and a little for the others."""
    while not connected():  # noqa: ASYNC110 - dialling has no end to wait for
        await asyncio.sleep(LINK_POLL_S)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STRAGGLERS_S):
            while len(connected()) < len(addresses):  # noqa: ASYNC110 - as above
                await asyncio.sleep(LINK_POLL_S)


def adopt(home: Path, folder: Path) -> None:
    """Put a renewed key and its certificates in the place of the old ones, which stay there as NAME.old.

    Raises:
        KeyFileError: a file can't be read or written; what was not replaced yet is the old one.
    """
    issued = {
        KEY_FILE: read_private(folder / ISSUED_KEY, "renewed key"),
        CERTIFICATE_FILE: (folder / ISSUED_CERTIFICATE).read_bytes(),
        IDENTITY_FILE: read_private(folder / ISSUED_IDENTITY, "renewed identity certificate"),
    }
    for name, content in issued.items():
        path = home / name
        mode = PUBLIC_FILE_MODE if name == CERTIFICATE_FILE else PRIVATE_FILE_MODE
        if path.exists():
            write_atomically(path.with_name(f"{name}.old"), path.read_bytes(), mode=mode)
        write_atomically(path, content, mode=mode)
    write_public_key(home, DeviceKey.load(home / KEY_FILE))
