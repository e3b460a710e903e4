"""An equivocating validator over real TCP: its contradiction ends on every ledger, and costs it its score."""

from __future__ import annotations

import msgspec
from node_network import Running, Village, eventually

from p2penergy.audit import audit
from p2penergy.ledger import keys, query
from p2penergy.ledger.evidence import EVIDENCE_PER_MEMBER_MAX
from p2penergy.ledger.records import EvidenceRecord, decode_integer, decode_record
from p2penergy.ledger.transactions import Accusation, parse
from p2penergy.messages import Commit, Prepare, decode_block, decode_message, encode


def contradict(running: Running) -> None:
    """Let a validator tell all but the first of its peers another COMMIT than it told that one.

    It is a crafted signer, not a broken core: everything else of the node stays as it is.
    """
    mesh, signer = running.mesh, running.home.signer
    chain_id = running.home.genesis.chain_id
    broadcast = mesh.broadcast

    def twofold(peers: object, payload: bytes) -> int:
        told = sorted(peers)  # type: ignore[call-overload]
        message = decode_message(payload)
        if isinstance(message, Prepare | Commit):
            lie = msgspec.structs.replace(message, digest=b"another block".ljust(32))
            signed = msgspec.structs.replace(lie, signature=signer.sign(lie.signed_bytes(chain_id)))
            broadcast(told[:2], encode(signed))
        return int(broadcast(told, payload))

    mesh.broadcast = twofold  # type: ignore[method-assign]


async def test_an_equivocating_validator_ends_on_every_ledger(village: Village) -> None:
    await village.start()
    liar = village.nodes["H002"]
    contradict(liar)
    await village.connect()
    await village.trade(1_600_000)
    others = [running for name, running in village.nodes.items() if name != "H002"]

    def on_record() -> bool:
        key = keys.proven(liar.participant_id)
        return all(decode_integer(r.node.ledger.get(key)) >= 1 for r in village.nodes.values())

    await eventually(on_record, "evidence on every ledger")
    for running in others:
        get = running.node.ledger.get
        assert query.score(get, liar.participant_id) == 0
        found = [key for key, _ in running.node.ledger.items() if key.startswith(keys.EVIDENCE)]
        assert len(found) <= EVIDENCE_PER_MEMBER_MAX
        assert all(key.startswith(keys.EVIDENCE + liar.participant_id) for key in found)
        # What stands on the chain is what anybody can check.
        where = decode_record(EvidenceRecord, get(found[0]) or b"")
        await eventually(lambda r=running, h=where.height: r.store.tip() >= h)
        block, _ = running.store.blocks(where.height, 1, 1 << 22)[0]
        chain_id = village.community.genesis.chain_id
        accusation = parse(decode_block(block).transactions[where.index], chain_id).transaction
        assert isinstance(accusation, Accusation)
        assert accusation.accused == liar.participant_id
    # Its trade is refused from now on; everybody else's goes on.
    await village.grown(1)
    for name in tuple(village.nodes):
        await village.stop(name)
    report = audit(village.community.homes["H001"].parent)
    assert report.is_clean, [str(finding) for each in report.ledgers for finding in each.findings]


async def test_restarts_of_correct_validators_are_never_evidence(village: Village) -> None:
    await village.start()
    for name in ("H001", "H003"):
        await village.grown(1)
        await village.stop(name)
        await village.start(name)
    await village.grown(2)
    for running in village.nodes.values():
        assert not running.node.replica.counters["evidence"]
        assert not [key for key, _ in running.node.ledger.items() if key.startswith(keys.EVIDENCE)]
