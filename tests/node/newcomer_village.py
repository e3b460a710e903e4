"""Newcomers with certificates and folders, and what it takes for them to apply to running nodes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from node_network import PATIENCE_S, Village

from p2penergy.client import Client
from p2penergy.ledger import decode_receipt
from p2penergy.ledger.receipts import MembershipReceipt
from p2penergy.membership.authority import Authority
from p2penergy.membership.certificates import DeviceCertificate, IdentityCertificate
from p2penergy.membership.identifying import identifier
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.profile import Person
from p2penergy.messages import PROTOCOL
from p2penergy.newcomers.joining import Applicant, Application
from p2penergy.peers import guest_of
from p2penergy.signing import EcdsaChecker, EcdsaSigner
from transport import TcpMesh, TlsIdentity

PERSON = Person("Wilhelmina Zephyranthes", "Quittenstraße 77", "+49 30 5550199")
SERIAL = "1ESY1160123456789"


@dataclass
class Newcomer:
    """A household with both certificates."""

    key: DeviceKey
    device: DeviceCertificate
    identity: IdentityCertificate
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def participant_id(self) -> bytes:
        return self.device.participant_id

    @property
    def signer(self) -> EcdsaSigner:
        return EcdsaSigner(self.participant_id, self.key.private_key)

    @property
    def applicant(self) -> Applicant:
        return Applicant(
            self.signer,
            self.key.public_key_compressed(),
            x509.load_der_x509_certificate(self.device.der),
            x509.load_der_x509_certificate(self.identity.der),
        )

    def tls(self, authority: Authority) -> TlsIdentity:
        return TlsIdentity.load(self.device.pem, self.key.to_pem(), [authority.certificate_pem])


def a_newcomer(
    authority: Authority, serial: str = SERIAL, person: Person = PERSON, **options: Any
) -> Newcomer:
    """Certified by the authority, for itself and its meter."""
    key = DeviceKey.generate()
    device = authority.issue_device(key.public_key())
    return Newcomer(key, device, authority.issue_identity(person, device.der, serial, **options))


def client_of(village: Village, who: Newcomer, label: bytes = b"") -> tuple[Client, TcpMesh]:
    """Its client, not started."""
    genesis = village.community.genesis
    name = who.participant_id + label
    mesh = TcpMesh(
        name=name,
        listen=None,
        tls=who.tls(village.authority),
        identify=identifier(village.community.authority_pem),
        protocol=PROTOCOL,
        network=genesis.chain_id,
    )
    return Client(mesh, genesis, EcdsaChecker(), lambda raw: decode_receipt(raw).transaction_id), mesh


async def apply(
    village: Village, who: Newcomer, *, nodes: int = 4, renews: bool = False
) -> tuple[MembershipReceipt, int]:
    """Apply to so many nodes until the community has decided."""
    client, mesh = client_of(village, who, guest_of(b"") if renews else b"")
    addresses = dict(list(village.community.addresses.items())[:nodes])
    await client.start(addresses)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while len(mesh.connected()) < nodes:  # noqa: ASYNC110 - as many as there are
                await asyncio.sleep(0.005)
            application = Application(
                client,
                village.community.genesis,
                who.applicant,
                lambda step, figures: who.told.append((step, figures)),
                renews=renews,
            )
            return await application.decided()
    finally:
        await client.stop()


def texts_of(person: Person = PERSON, serial: str = SERIAL) -> list[bytes]:
    """What no ledger, log line or answer may hold."""
    return [text.encode() for text in (person.name, person.address, person.contact, serial)]


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
