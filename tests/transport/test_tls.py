"""TLS identities, and the handshakes that must fail."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from transport import TlsIdentity, TlsIdentityError
from transport.tls import tls_refusal


def pem_of(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    cipher = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cipher)


def test_an_identity_from_files_and_from_bytes(authority, tmp_path):
    certificate, key = authority.issue(b"a")
    for name, pem in (("certificate", certificate), ("key", key), ("authority", authority.pem)):
        (tmp_path / name).write_bytes(pem)
    from_files = TlsIdentity.load(tmp_path / "certificate", str(tmp_path / "key"), [tmp_path / "authority"])
    from_bytes = TlsIdentity.load(certificate, key, [authority.pem])
    assert from_files.certificate_der == from_bytes.certificate_der


def test_contexts_are_strict(authority):
    identity = authority.identity(b"a")
    for context in (identity.server_context, identity.client_context):
        assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_3
        assert context.verify_mode == ssl.CERT_REQUIRED
        assert context.verify_flags & ssl.VERIFY_X509_STRICT
        assert not context.check_hostname
    assert identity.server_context.num_tickets == 0


def test_unusable_parts(authority, tmp_path):
    certificate, key = authority.issue(b"a")
    other_curve = pem_of(ec.generate_private_key(ec.SECP384R1()))
    other_key = pem_of(ec.generate_private_key(ec.SECP256R1()))
    locked_key = pem_of(ec.generate_private_key(ec.SECP256R1()), b"secret")
    for parts, text in (
        ((tmp_path / "absent", key, [authority.pem]), "device certificate .*absent cannot be read"),
        ((b"no PEM", key, [authority.pem]), "device certificate is not a PEM"),
        ((certificate, b"no PEM", [authority.pem]), "device key is not"),
        ((certificate, locked_key, [authority.pem]), "device key is not a plain"),
        ((certificate, other_curve, [authority.pem]), "P-256"),
        ((certificate, other_key, [authority.pem]), "does not belong"),
        ((certificate, key, []), "no community authority"),
        ((certificate, key, [b"no PEM"]), "community authority is not a PEM"),
    ):
        with pytest.raises(TlsIdentityError, match=text):
            TlsIdentity.load(*parts)


def test_codes_of_failed_handshakes():
    unverified = ssl.SSLCertVerificationError()
    unverified.verify_message = "certificate has expired"
    assert tls_refusal(unverified).code == "tls_certificate"
    assert tls_refusal(ssl.SSLError("odd")).code == "tls_handshake"


async def test_an_authority_of_another_community_is_refused_by_both(
    meshes, authority, make_authority, eventually
):
    stranger = make_authority("another community")
    a, at_a = await meshes.start(b"a", tls=authority.identity(b"a"))
    b, at_b = await meshes.start(b"b", tls=stranger.identity(b"b"))
    b.set_address(b"a", *a.address)
    await eventually(lambda: b.counters().get("refused_tls_certificate"))
    # Believing us is not enough: b shows a certificate that a does not believe.
    c = stranger.issue(b"c")
    half = TlsIdentity.load(*c, [authority.pem])
    c, at_c = await meshes.start(b"c", tls=half, listen=None)
    c.set_address(b"a", *a.address)
    await eventually(lambda: a.counters().get("refused_tls_certificate"))
    await eventually(lambda: c.counters().get("lost_hung_up"))
    assert not at_a.ups + at_b.ups + at_c.ups


@pytest.mark.parametrize("fault", [{"expired": True}, {"client": False}])
async def test_a_certificate_that_is_not_valid_as_a_client_is_refused(meshes, authority, eventually, fault):
    a, at_a = await meshes.start(b"a", tls=authority.identity(b"a"))
    b, at_b = await meshes.start(b"b", tls=authority.identity(b"b", **fault), listen=None)
    b.set_address(b"a", *a.address)
    await eventually(lambda: a.counters().get("refused_tls_certificate"))
    assert not at_a.ups + at_b.ups


async def test_no_client_certificate(meshes, authority, eventually):
    a, at_a = await meshes.start(b"a", tls=authority.identity(b"a"))
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.load_verify_locations(cadata=authority.pem.decode())
    _, writer = await asyncio.open_connection(*a.address, ssl=bare)
    await eventually(lambda: a.counters().get("refused_tls_no_certificate"))
    writer.transport.abort()
    assert not at_a.ups


async def test_older_tls_is_refused(meshes, authority, eventually):
    a, _ = await meshes.start(b"a", tls=authority.identity(b"a"))
    old = authority.identity(b"b").client_context
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(*a.address, ssl=old)
    await eventually(lambda: a.counters().get("refused_tls_handshake"))


async def test_plain_text_to_a_tls_port(meshes, authority, eventually):
    a, at_a = await meshes.start(b"a", tls=authority.identity(b"a"))
    b, at_b = await meshes.start(b"b", listen=None)
    b.set_address(b"a", *a.address)
    await eventually(lambda: a.counters().get("refused_tls_handshake"))
    assert not at_a.ups + at_b.ups


async def test_the_certificate_and_not_the_hello_says_who_it_is(meshes, authority, eventually):
    a, at_a = await meshes.start(b"a", tls=authority.identity(b"a"))
    liar, _ = await meshes.start(b"victim", tls=authority.identity(b"liar"), listen=None)
    liar.set_address(b"a", *a.address)
    await eventually(lambda: a.counters().get("refused_wrong_name"))
    assert not at_a.ups


async def test_a_certificate_that_names_nobody(meshes, authority, eventually):
    a, at_a = await meshes.start(b"a", tls=authority.identity(b"a"), identify=lambda der: None)
    b, at_b = await meshes.start(b"b", tls=authority.identity(b"b"), listen=None)
    b.set_address(b"a", *a.address)
    await eventually(lambda: a.counters().get("refused_unknown_peer"))
    assert not at_a.ups + at_b.ups


async def test_an_identify_that_fails_is_reported_and_refuses(meshes, authority, eventually):
    reports = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))

    def identify(certificate_der: bytes) -> bytes:
        raise LookupError

    a, at_a = await meshes.start(b"a", tls=authority.identity(b"a"), identify=identify)
    b, _ = await meshes.start(b"b", tls=authority.identity(b"b"), listen=None)
    b.set_address(b"a", *a.address)
    await eventually(lambda: a.counters().get("refused_unknown_peer"))
    assert isinstance(reports[0]["exception"], LookupError)
    assert not at_a.ups


async def test_a_link_ends_when_its_certificate_names_nobody_any_more(meshes, authority, eventually):
    known = {b"a": b"a", b"b": b"b", b"c": b"c"}

    def identify(der: bytes) -> bytes | None:
        [attribute] = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return known.get(bytes.fromhex(str(attribute.value)))

    a, at_a = await meshes.start(b"a", tls=authority.identity(b"a"), identify=identify)
    others = []
    for name in (b"b", b"c"):
        mesh, handler = await meshes.start(name, tls=authority.identity(name), listen=None)
        mesh.set_address(b"a", *a.address)
        others.append(handler)
    await eventually(lambda: sorted(at_a.ups) == [b"b", b"c"])
    a.recheck()
    assert a.connected() == {b"b", b"c"}
    del known[b"b"]
    a.recheck()
    assert a.connected() == {b"c"}
    await eventually(lambda: (b"b", "no_longer_known") in at_a.downs)
    await eventually(lambda: others[0].downs)
    assert a.counters()["refused_no_longer_known"] == 1
    assert not others[1].downs
