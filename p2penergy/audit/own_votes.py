"""What this node signed: its votes, views and prepared certificates at every height that it kept them for.

Lives here: the tables `votes`, `views` and `prepared`, and undecided blocks, against the walk's heights.
Never here: evidence against others. Owns the statement that the node kept CONSENSUS section 4: one vote per
kind and view, each signed by itself, and never for a view below one it had left (MONOTONE).
"""

from p2penergy.audit.findings import LedgerReport
from p2penergy.audit.tables import Row, Tables
from p2penergy.audit.walk import Walk
from p2penergy.digests import merkle_root
from p2penergy.messages import (
    Commit,
    MalformedMessageError,
    Prepare,
    PrePrepare,
    ViewChange,
    Vote,
    VoteKind,
    certificate_digest,
    decode_block,
    decode_certificate,
    decode_message,
    header_digest,
)

_SHAPES: dict[int, type[Vote]] = {
    VoteKind.PRE_PREPARE: PrePrepare,
    VoteKind.PREPARE: Prepare,
    VoteKind.COMMIT: Commit,
    VoteKind.VIEW_CHANGE: ViewChange,
}


class OwnVotes:
    """Judges the rows of one height after the other."""

    def __init__(self, tables: Tables, report: LedgerReport) -> None:
        self._tables = tables
        self._report = report
        self._owner: bytes | None = None

    def at(self, walk: Walk) -> None:
        """Everything stored for the height that the walk is at, before its block is put on top."""
        height, entered = walk.height, walk.views.first
        query = "SELECT kind, view, slot, digest, message FROM votes WHERE height = ? ORDER BY id"
        for row in self._tables.rows(query, height):
            self._report.votes += 1
            what = self._vote_fault(walk, row, entered)
            if what is not None:
                self._report.add("votes", f"height {height}, kind {row[0]!r}, view {row[1]!r}", what)
            else:
                entered = max(entered, row[1])
        view = self._tables.row("SELECT view FROM views WHERE height = ?", height)
        if view is not None and view[0] < entered:
            self._report.add("views", f"height {height}", f"view {view[0]}, but votes for view {entered}")
        for row in self._tables.rows(
            "SELECT view, digest, certificate FROM prepared WHERE height = ?", height
        ):
            what = self._prepared_fault(walk, row)
            if what is not None:
                self._report.add("prepared", f"height {height}", what)
        if height > self._report.height:
            self._check_undecided(height)

    def check_ids(self) -> None:
        """Votes are numbered without a gap, in the order of signing."""
        found = self._tables.row("SELECT count(*), min(id), max(id) FROM votes")
        assert found is not None, "an aggregate has a row"
        count, least, greatest = found
        if count and greatest - least + 1 != count:
            row = f"id {least} to {greatest}"
            self._report.add("votes", row, f"{count} votes, should be {greatest - least + 1}")

    def _vote_fault(self, walk: Walk, row: Row, entered: int) -> str | None:
        kind, view, slot, digest, message = row
        shape = _SHAPES.get(kind)
        try:
            vote = decode_message(message)
        except (MalformedMessageError, TypeError) as error:
            return f"column message: {error}"
        if shape is None or not isinstance(vote, PrePrepare | Prepare | Commit | ViewChange):
            return "column kind: no such kind of vote"
        if not isinstance(vote, shape):
            return f"column kind: the message is a {type(vote).__name__}"
        if vote.height != walk.height or vote.view != view:
            return f"column view: the message is for height {vote.height}, view {vote.view}"
        if view < walk.views.first or slot != walk.views.start_slot(view):
            return f"column slot: view {view} does not begin in slot {slot}"
        if digest != _digest_of(vote):
            return "column digest: not the message's"
        if view < entered:
            return f"signed after the node had entered view {entered}"
        return self._content_fault(walk, vote)

    def _content_fault(self, walk: Walk, vote: Vote) -> str | None:
        owner = self._owner = self._owner or vote.sender
        if vote.sender != owner:
            return f"column message: sent by {vote.sender.hex()}, the others by {owner.hex()}"
        # As the committee was drawn: who was expelled, or has renewed, since then signs with that key.
        key = walk.panel.keys.get(vote.sender)
        if key is None or not walk.checker.check(key, vote.signed_bytes(walk.chain_id), vote.signature):
            return "column message: its signature does not hold"
        if isinstance(vote, PrePrepare):
            if walk.panel.leader(vote.view) != vote.sender:
                return f"a proposal for view {vote.view}, which it does not lead"
            if not _is_block(vote.block, vote.digest):
                return "column message: the block is not the one that was signed"
        if isinstance(vote, PrePrepare | ViewChange) and vote.certificate is not None:
            fault = walk.certificate_fault(vote.certificate, VoteKind.PREPARE)
            return None if fault is None else f"column message: its certificate: {fault}"
        return None

    def _prepared_fault(self, walk: Walk, row: Row) -> str | None:
        view, digest, data = row
        try:
            certificate = decode_certificate(data)
        except (MalformedMessageError, TypeError) as error:
            return f"column certificate: {error}"
        if (certificate.view, certificate.digest) != (view, digest):
            return "column certificate: it is for another view or block"
        fault = walk.certificate_fault(certificate, VoteKind.PREPARE)
        return None if fault is None else f"column certificate: {fault}"

    def _check_undecided(self, height: int) -> None:
        for digest, data in self._tables.rows("SELECT digest, block FROM blocks WHERE height = ?", height):
            if not _is_block(data, digest):
                self._report.add("blocks", f"height {height}, undecided", "it does not fit its digest")


def _is_block(data: bytes, digest: bytes) -> bool:
    """Whether these bytes are the whole block of a digest: header, transactions, parent's certificate."""
    try:
        block = decode_block(data)
    except (MalformedMessageError, TypeError):
        return False
    header = block.header
    return (
        header_digest(header) == digest
        and header.transactions_root == merkle_root(block.transactions)
        and header.parent_certificate_digest == certificate_digest(block.parent_certificate)
    )


def _digest_of(vote: Vote) -> bytes:
    return (vote.prepared_digest or bytes(32)) if isinstance(vote, ViewChange) else vote.digest
