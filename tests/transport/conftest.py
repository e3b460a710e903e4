"""What the tests of the transport share: both event loops, a small authority, a patient handler."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from transport import PeerName, TcpMesh, TlsIdentity

PATIENCE_S = 30
"""Far above what any wait takes: reached only by a test that fails."""


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Callable[[], Any]]:
    """Run every asynchronous test of this folder on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


async def eventually(condition: Callable[[], Any]) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the condition may be anything
            await asyncio.sleep(0.002)


class Recorder:
    """A `MeshHandler` that remembers what it was told."""

    def __init__(self) -> None:
        self.frames: list[tuple[PeerName, bytes]] = []
        self.ups: list[PeerName] = []
        self.downs: list[tuple[PeerName, str]] = []

    def on_frame(self, peer: PeerName, payload: bytes) -> None:
        self.frames.append((peer, payload))

    def on_peer_up(self, peer: PeerName) -> None:
        self.ups.append(peer)

    def on_peer_down(self, peer: PeerName, reason: str) -> None:
        self.downs.append((peer, reason))


class Authority:
    """A community's certificate authority with P-256 keys."""

    def __init__(self, title: str = "test community") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])
        may_not = [
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ]
        usage = dict.fromkeys(may_not, False) | {"key_cert_sign": True, "crl_sign": True}
        certificate = (
            self._builder(self._name, self._key.public_key(), expired=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = certificate.public_bytes(Encoding.PEM)

    def _builder(self, subject: x509.Name, key: Any, *, expired: bool) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        begin, end = (-3, -1) if expired else (-1, 1)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(days=begin))
            .not_valid_after(now + dt.timedelta(days=end))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )

    def issue(self, name: PeerName, *, expired: bool = False, client: bool = True) -> tuple[bytes, bytes]:
        """Return certificate and key (PEM) of a device called `name`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name.hex())])
        uses = [ExtendedKeyUsageOID.SERVER_AUTH]
        if client:
            uses.append(ExtendedKeyUsageOID.CLIENT_AUTH)
        certificate = (
            self._builder(subject, key.public_key(), expired=expired)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return (
            certificate.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )

    def identity(self, name: PeerName, **options: bool) -> TlsIdentity:
        """Return the TLS identity of a device called `name`."""
        return TlsIdentity.load(*self.issue(name, **options), [self.pem])


def identify(certificate_der: bytes) -> PeerName | None:
    """Name a peer by the common name of its certificate."""
    certificate = x509.load_der_x509_certificate(certificate_der)
    [attribute] = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return bytes.fromhex(str(attribute.value))


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="session")
def make_authority() -> type[Authority]:
    return Authority


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., Any]:
    return eventually


class Meshes:
    """Makes meshes and started pairs of mesh and handler."""

    def __init__(self) -> None:
        self.made: list[TcpMesh] = []

    def make(self, name: PeerName, **options: Any) -> TcpMesh:
        """Make a mesh on a free port of the loopback; plain text unless `tls` is given."""
        defaults: dict[str, Any] = {
            "listen": ("127.0.0.1", 0),
            "tls": None,
            "identify": identify,
            "protocol": "p2penergy/1",
            "network": b"net",
        }
        mesh = TcpMesh(name=name, **(defaults | options))
        self.made.append(mesh)
        return mesh

    async def start(self, name: PeerName, **options: Any) -> tuple[TcpMesh, Recorder]:
        """Make a mesh and start it."""
        mesh, recorder = self.make(name, **options), Recorder()
        await mesh.start(recorder)
        return mesh, recorder


@pytest.fixture
async def meshes() -> AsyncIterator[Meshes]:
    """Stop every mesh after the test, and demand that nothing of it is left."""
    made = Meshes()
    yield made
    for mesh in made.made:
        await mesh.stop()
    await eventually(lambda: asyncio.all_tasks() == {asyncio.current_task()})
