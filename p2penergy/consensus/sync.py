"""Catch-up and single blocks: adopting what others decided, giving what this node holds.

Lives here: claims noted, decided blocks checked one by one and adopted, blocks fetched and delivered,
laggards told the tip. Never here: stored old blocks (the driver answers SYNC and HEADERS requests from
its store), the bookkeeping of whom to ask (`catch_up`, `fetch`). Owns the invariant that a certificate
proves itself and nothing else about a peer is believed. Implements CONSENSUS section 7.
"""

from collections.abc import Callable

from p2penergy.blocks import InvalidBlockError
from p2penergy.consensus.chain import KnownBlock
from p2penergy.consensus.deciding import decide
from p2penergy.consensus.effects import EVERYBODY, Adopted
from p2penergy.consensus.errors import InvariantError, RefusedError
from p2penergy.consensus.work import Work
from p2penergy.messages import (
    SYNC_BLOCKS_MAX,
    BlockRequest,
    BlockResponse,
    Certificate,
    Decided,
    MalformedMessageError,
    Status,
    SyncRequest,
    SyncResponse,
    decode_block,
    encode,
    header_digest,
)

Handler = Callable[[], object]


def note_claim(work: Work, peer: bytes, tip: int) -> None:
    """A message of `peer` shows that `tip` is decided: remember to ask for what is missing."""
    work.catch_up.note(peer, tip, work.instance.height, work.now_ms)


def poll(work: Work) -> None:
    """Ask whoever is due."""
    peer = work.catch_up.next_peer(work.instance.height, work.now_ms)
    if peer is not None and peer != work.me:
        work.send(SyncRequest(work.instance.height, SYNC_BLOCKS_MAX), (peer,))
        work.counters["sync_requests"] += 1
    for holder, digest in work.fetch.due(work.now_ms):
        work.send(BlockRequest(work.instance.height, digest), (holder,))
        work.counters["block_requests"] += 1


def _known(work: Work, raw: bytes, digest: bytes) -> KnownBlock:
    """The block of this digest as known and valid; raises `RefusedError` for an invalid one."""
    known = work.instance.blocks.get(digest)
    if known is not None and known.raw == raw:
        return known
    try:
        return work.chain.check(raw, digest)
    except InvalidBlockError as error:
        raise RefusedError(error.code) from error


def on_decided(work: Work, message: Decided) -> None:
    """DECIDED of the working height, its signatures verified and its quorum checked at admission."""
    digest, other = message.certificate.digest, work.instance.decision
    if other is not None and other.digest != digest:
        raise InvariantError(
            f"two commit certificates at height {message.certificate.height}: more than f members are faulty"
        )
    known = _known(work, message.block, digest)
    work.instance.add_block(known)
    work.instance.decision = message.certificate


def adopt(work: Work, raw: bytes, certificate: Certificate) -> bool:
    """Check a decided block with nothing but its own proof and put it on the tip; False: not the next.

    Raises:
        RefusedError: it proves nothing, or is not valid.
    """
    if certificate.height != work.instance.height:
        return False
    if not work.chain.is_decision(certificate):
        raise RefusedError("bad_certificate")
    known = _known(work, raw, certificate.digest)
    start_ms = work.timing.t0_ms + known.block.header.slot * work.timing.alpha_ms
    if not work.rules.timely_for_sync(work.now_ms, start_ms):
        raise RefusedError("untimely")
    decide(work, known, certificate, caught_up=True)
    return True


def on_adopted(work: Work, event: Adopted) -> None:
    """A decided block that the driver found elsewhere."""
    try:
        adopted = adopt(work, event.block, event.certificate)
    except RefusedError:
        work.catch_up.served(event.peer, progressed=False)
        raise
    if not adopted:
        # Copies of answers and blocks out of order are nobody's fault.
        raise RefusedError("height_window")
    work.catch_up.delivered(event.peer, work.now_ms, event.remaining)


def on_sync_response(work: Work, message: SyncResponse, peer: bytes) -> None:
    """Adopt block by block as far as they prove themselves."""
    before = work.instance.height
    try:
        for decided in message.blocks:
            adopt(work, decided.block, decided.certificate)
    finally:
        progressed = work.instance.height > before
        work.catch_up.served(peer, progressed)
        if progressed:
            note_claim(work, peer, message.tip)


def on_block_request(work: Work, message: BlockRequest, peer: bytes) -> None:
    """Deliver an undecided block, or the tip with its proof."""
    if message.height == work.chain.tip_height:
        send_tip(work, peer)
        return
    known = work.instance.blocks.get(message.digest)
    if message.height != work.instance.height or known is None:
        raise RefusedError("block_not_held")
    work.send(BlockResponse(message.height, known.raw), (peer,))


def on_block_response(work: Work, message: BlockResponse) -> None:
    """Take a block that was asked for."""
    try:
        digest = header_digest(decode_block(message.block).header)
    except MalformedMessageError as error:
        raise RefusedError("block_" + error.code) from error
    if digest not in work.fetch:
        raise RefusedError("unrequested")
    known = _known(work, message.block, digest)
    work.fetch.forget(digest)
    work.instance.add_block(known)


def send_tip(work: Work, peer: bytes) -> None:
    """Answer a laggard by DECIDED of the tip, at most once per delta."""
    tip = tip_of(work)
    if tip is None or not work.tip_is_due_to(peer):
        return
    work.answered_ms[peer] = work.now_ms
    work.send(tip, (peer,))


def tip_of(work: Work) -> Decided | None:
    """The last decided block with its certificate; None at genesis."""
    tip, certificate = work.chain.tip, work.chain.tip_certificate
    if tip is None or certificate is None:
        return None
    return Decided(encode(tip), certificate)


def on_status(work: Work, message: Status, peer: bytes) -> None:
    """Whoever works on a lower height is told the tip; a higher one is a claim."""
    if message.height < work.instance.height:
        send_tip(work, peer)
    elif message.height > work.instance.height:
        note_claim(work, peer, message.height - 1)


def ask_for_status(work: Work, to: tuple[bytes, ...] = EVERYBODY) -> None:
    """Say where this node is, so that whoever is further can tell."""
    work.send(Status(work.instance.height, max(work.instance.view, 0)), to)
