"""No byte of anybody's name, address, contact or meter serial is where it may not be."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from newcomer_village import PERSON, SERIAL, Newcomer, a_newcomer, apply, client_of, files_of
from node_network import PATIENCE_S, Village

from p2penergy.home import LEDGER_FILE, SEALED_FOLDER
from p2penergy.logs import HumanFormatter, JsonFormatter
from p2penergy.membership.profile import Person
from p2penergy.operations.metrics import NodeMetrics
from p2penergy.questions import JOIN, PROOF
from p2penergy.store.schema import connect_reader


def traces_of(identity_pem: bytes, person: Person = PERSON, serial: str = SERIAL) -> list[bytes]:
    """The texts as they are and in hex, and pieces of the certificate that has them, in DER and in PEM."""
    der = x509.load_pem_x509_certificate(identity_pem).public_bytes(Encoding.DER)
    texts = [text.encode() for text in (person.name, person.address, person.contact, serial)]
    words = [word.encode() for word in (*person.name.split(), person.address.split()[0])]
    # Issuer and validity may be the same in somebody's device certificate, which is no secret.
    places = [der.index(text) for text in texts if text in der]
    first, last = min(places), max(places)
    per_line = 48
    lines = identity_pem.splitlines()[1:-1][first // per_line : last // per_line + 1]
    return [*texts, *words, *(text.hex().encode() for text in texts), *lines, der[first:last]]


def contents(path: Path) -> Iterator[bytes]:
    """A file's bytes; of a database every cell too, unpacked."""
    yield path.read_bytes()
    if path.name != LEDGER_FILE:
        return
    connection = connect_reader(path)
    try:
        tables = [n for (n,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f"SELECT * FROM {table}"):
                for cell in row:
                    if isinstance(cell, bytes):
                        yield cell
                        try:
                            yield zlib.decompress(cell)
                        except zlib.error:
                            continue
    finally:
        connection.close()


class Wire:
    """Everything that a node sends to anybody."""

    def __init__(self, village: Village) -> None:
        self.sent: list[bytes] = []
        for running in village.nodes.values():
            mesh = running.mesh
            send, broadcast = mesh.send, mesh.broadcast
            mesh.send = lambda peer, payload, to=send: self._note(payload) or to(peer, payload)  # type: ignore[method-assign, misc]
            mesh.broadcast = lambda peers, payload, to=broadcast: self._note(payload) or to(peers, payload)  # type: ignore[method-assign, misc]

    def _note(self, payload: bytes) -> None:
        self.sent.append(payload)


async def test_personal_data_is_under_seal_and_nowhere_else(
    village: Village, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await village.start()
    wire = Wire(village)
    who = a_newcomer(village.authority)
    # Refusals are told in words, and must not tell more than those.
    stranger = a_newcomer(village.authority, "OTHER-1")
    mixed = Newcomer(stranger.key, stranger.device, who.identity)
    assert not (await apply(village, mixed))[0].accepted
    receipt, _ = await apply(village, who)
    assert receipt.accepted
    client, mesh = client_of(village, who)
    await client.start(village.community.addresses)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await client.connected(4)
            for peer in sorted(mesh.connected()):
                for topic in (JOIN, PROOF):
                    await client.query(peer, topic, receipt.transaction_id)
                await client.query(peer, "status")
                await client.query(peer, "state", f"member/{who.participant_id.hex()}".encode())
    finally:
        await client.stop()
    await village.grown(1)
    seen: dict[str, bytes] = {"wire": b"\n".join(wire.sent)}
    for name, running in village.nodes.items():
        node = running.node
        metrics = NodeMetrics(node, lambda _status: True)
        seen[f"{name} answers"] = metrics.render() + msgspec.json.encode(node.status())
    for formatter in (HumanFormatter(), JsonFormatter()):
        lines = (formatter.format(record) for record in caplog.records)
        seen[f"log by {type(formatter).__name__}"] = "\n".join(lines).encode()
    for name, home in village.community.homes.items():
        for path in files_of(home):
            if path.parent.name != SEALED_FOLDER:
                seen[f"{name} {path.name}"] = b"\n".join(contents(path))
    assert all(text.encode() in who.identity.der for text in (PERSON.name, PERSON.address, PERSON.contact))
    traces = traces_of(who.identity.pem)
    assert len(traces) > 10
    assert b"newcomer examined" in seen["log by HumanFormatter"]
    assert sum(name.endswith(LEDGER_FILE) for name in seen) == 4
    for where, data in seen.items():
        for trace in traces:
            assert trace not in data, (where, trace)


async def test_what_a_verifier_keeps_opens_for_its_key_alone(village: Village) -> None:
    await village.start()
    receipt, _ = await apply(village, a_newcomer(village.authority))
    assert receipt.accepted
    kept = [path for home in village.community.homes.values() for path in files_of(home / SEALED_FOLDER)]
    assert len(kept) >= 3
    for path in kept:
        assert path.stat().st_mode & 0o077 == path.parent.stat().st_mode & 0o077 == 0
        assert path.stem == receipt.transaction_id.hex()
        assert PERSON.name.encode() not in path.read_bytes()
    assert len({path.read_bytes() for path in kept}) == len(kept)
