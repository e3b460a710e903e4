"""Whether a disturbed network kept its promises: nothing lost, nothing twice, all equal, every ledger clean.

Lives here: the questions that are asked at the end. Never here: what was done to it (`running`).
"""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

from running import GATEWAY_PORT, PATIENCE_S, BrokenError, World, name_of

from p2penergy.audit import AuditError, audit
from p2penergy.proofs import decode_proof


async def judge_alive(world: World) -> int:
    """The running network: one height, one state, every receipt on every ledger; the height."""

    async def agreed() -> bool:
        statuses = await asyncio.gather(*map(world.status, range(world.plan.validators)))
        told = {None if each is None else (each["height"], each["state_root"]) for each in statuses}
        return len(told) == 1 and None not in told

    await world.until(agreed, "all validators at one height with one state")
    first = await world.status(0)
    if first is None or first["leader_mismatches"]:
        raise BrokenError(f"a leader that Equation (1) does not name: {first}")
    known = await _heights(world, 0)
    for number in range(1, world.plan.validators):
        if await _heights(world, number) != known:
            raise BrokenError(f"{name_of(number)} has a receipt in another block than {name_of(0)}")
    if world.machines is not None:
        await asyncio.gather(*(_is_ready(world, number) for number in range(world.plan.validators)))
    return int(first["height"])


async def _heights(world: World, number: int) -> list[int]:
    """In which block a validator has each transaction that a trader has a receipt of."""
    peer = world.community.meters[name_of(number)].participant_id
    ids = [receipt.transaction_id for receipt in world.witnessed.receipts]
    proofs = [await world.seller.client.query(peer, "proof", each) for each in ids]
    return [decode_proof(proof).header.height for proof in proofs]


async def _is_ready(world: World, number: int) -> None:
    assert world.machines is not None
    url = f"http://{world.machines.address(number + 1)}:{GATEWAY_PORT}/ready"

    async def ready() -> bool:
        try:
            with await asyncio.to_thread(urllib.request.urlopen, url, timeout=PATIENCE_S) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    await world.until(ready, f"{url} says 200")


def judge_ledgers(folder: Path, decided: int) -> int:
    """What is on the disks; the lowest height. `decided`: transactions that have a receipt."""
    try:
        report = audit(folder)
    except AuditError as error:
        raise BrokenError(str(error)) from None
    if not report.is_clean:
        found = [*report.findings, *(each for ledger in report.ledgers for each in ledger.findings)]
        raise BrokenError(f"the audit finds: {found[0]} ({len(found)} findings)")
    highest = max(report.ledgers, key=lambda ledger: ledger.height)
    if highest.transactions != decided:
        raise BrokenError(f"{decided} transactions have a receipt, {highest.transactions} are on the ledger")
    return min(ledger.height for ledger in report.ledgers)
