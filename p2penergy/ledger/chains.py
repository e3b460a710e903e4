"""Members' hash chains: which link is revealed next, and when the next chain begins.

Lives here: reading and moving on the present chain. Never here: chains themselves (`p2penergy.beacon`),
taking a registration (`volunteering`). Owns the invariant that exactly one reveal of a member is valid at a
height, and was before anybody could know what it would be mixed with. Implements the hash chains of CONSENSUS
section 9.

A next chain begins at a height that follows from its registration alone, whether or not the present one has
ended: a member that could choose the moment could choose between two reveals.
"""

from p2penergy.genesis import ConsensusRules
from p2penergy.ledger import keys, query
from p2penergy.ledger.query import Get
from p2penergy.ledger.records import NextChainRecord, encode_record
from p2penergy.ledger.state import Scratch


def link(get: Get, who: bytes, height: int) -> bytes | None:
    """The link whose preimage a member must reveal as proposer of block `height`; None: it has no chain."""
    coming = query.next_chain(get, who)
    if coming is not None and coming.from_height <= height:
        return coming.tip
    return get(keys.beacon_tip(who))


def reveal(scratch: Scratch, who: bytes, height: int, revealed: bytes) -> None:
    """Move a proposer's chain on by the link that block `height` reveals."""
    coming = query.next_chain(scratch.get, who)
    if coming is not None and coming.from_height <= height:
        scratch.put(keys.next_chain(who), None)
    scratch.put(keys.beacon_tip(who), revealed)


def register(scratch: Scratch, timing: ConsensusRules, who: bytes, height: int, tip: bytes) -> None:
    """Have a chain begin: a member's first at once, the next D blocks after the one that registers it."""
    present = link(scratch.get, who, height + 1)
    if present is None:
        scratch.put(keys.beacon_tip(who), tip)
        return
    scratch.put(keys.beacon_tip(who), present)
    coming = NextChainRecord(tip, height + max(timing.settle_blocks, 1) + 1)
    scratch.put(keys.next_chain(who), encode_record(coming))
