"""The walk from genesis to the tip: every block judged and executed again, every row of it compared.

Lives here: what a height's rows must hold given all before it. Never here: reading files, own votes. Owns
the statement that a clean audit means: each header field, each leader, each signature and each stored version
is what genesis and the transactions make it. Implements CONSENSUS sections 1, 2, 3 and 9, LEDGER sections 3
to 5.
"""

from collections.abc import Callable

from p2penergy import beacon
from p2penergy.audit import beginning, compare
from p2penergy.audit.beginning import Parent
from p2penergy.audit.books import OF_THE_BLOCK, Books
from p2penergy.audit.certificates import fault_of
from p2penergy.audit.findings import LedgerReport
from p2penergy.audit.leaders import Panel, Views
from p2penergy.audit.panels import Seat, panel_of
from p2penergy.audit.tables import Tables
from p2penergy.blocks import InvalidBlockError, draft_of
from p2penergy.digests import merkle_root
from p2penergy.genesis import Genesis
from p2penergy.ledger import LedgerOutcome
from p2penergy.messages import (
    PROTOCOL_VERSION,
    Block,
    Certificate,
    Header,
    MalformedMessageError,
    Stage,
    VoteKind,
    certificate_digest,
    decode_block,
    decode_certificate,
    header_digest,
)
from p2penergy.signing import SignatureChecker

Heights = Callable[["Walk"], None]
"""Called at every height before its block is put on top, and once above the tip."""


class Walk:
    """The audit's own chain: everything in it was computed here, from genesis on."""

    def __init__(
        self, genesis: Genesis, tables: Tables, checker: SignatureChecker, report: LedgerReport
    ) -> None:
        """Where the report has a base, the walk begins there; raises `UnsoundError` when it can't."""
        self.genesis = genesis
        self.chain_id = genesis.chain_id
        self.checker = checker
        if report.base_height:
            start = beginning.at_snapshot(genesis, tables, checker, report)
            report.digests.append(start.parent.digest)
            report.checked_height = start.parent.height
        else:
            start = beginning.at_genesis(genesis, checker)
        self.ledger = start.ledger
        self.books = Books(genesis)
        if report.base_height:
            self.books.begin_with(self.ledger.get, self.ledger.items())
        self.report = report
        self._tables = tables
        self._timing = genesis.consensus
        self._period = self.ledger.period
        self._beacons = start.beacons
        self._parent = start.parent
        self._verified = start.last_verification
        """Height of the last verification block, 0 before the first."""
        self._stands = compare.Stands(tables, report, self.ledger.items())
        self._open()

    def run(self, heights: Heights, progress: Callable[[int], None]) -> None:
        """Walk as far as blocks can be executed."""
        while self.height <= self.report.height:
            heights(self)
            if not self._step():
                return
            progress(self._parent.height)
        heights(self)
        self._stands.check_end(self._parent.height)
        fault = self.books.fault()
        if fault is not None:
            self.report.add("state", f"height {self._parent.height}", fault)
        if not self.ledger.audit_totals().is_conserved():
            self.report.add("state", f"height {self._parent.height}", "energy or money is not conserved")

    # ---- one height --------------------------------------------------------------------------------

    def _open(self) -> None:
        self.height = self._parent.height + 1
        self.panel = self._panel(self.height, self._parent.next_stage)
        self.views = Views(self._parent.slot + 1, len(self.panel.members), self._timing)

    def _panel(self, height: int, stage: Stage) -> Panel:
        """Of the working height, or of L heights later when no verification block lies between."""
        last = self._verified
        if height > self.height and self._parent.next_stage is Stage.VERIFICATION:
            last = self.height
        seat = Seat(stage, height, last)
        return panel_of(self.genesis, self.ledger, lambda at: self._beacons[max(0, at)], seat)

    def _step(self) -> bool:
        """Judge the next block and put it on top; False: it can't be executed."""
        decided = self._decoded()
        if decided is None:
            return False
        block, certificate = decided
        header = block.header
        self._beacons[self.height] = beacon.mix(self._beacons[self.height - 1], header.reveal)
        for field, what in self._header_faults(block):
            self._add("blocks", f"header field {field}: {what}")
        self._check_decision(header, certificate)
        outcome = self._executed(block)
        if outcome is None:
            return False
        self._advance(header, outcome)
        return True

    def _decoded(self) -> tuple[Block, Certificate] | None:
        row = self._tables.row(
            "SELECT b.height, b.digest, b.block, d.certificate FROM decisions d"
            " LEFT JOIN blocks b ON b.id = d.block_id WHERE d.height = ?",
            self.height,
        )
        if row is None or row[2] is None:
            self._add("decisions", "the row, or the block that it names, is missing")
            return None
        height, digest, data, proof = row
        try:
            block = decode_block(data)
        except (MalformedMessageError, TypeError) as error:
            self._add("blocks", f"column block: {error}")
            return None
        try:
            certificate = decode_certificate(proof)
        except (MalformedMessageError, TypeError) as error:
            self._add("decisions", f"column certificate: {error}")
            return None
        if height != self.height:
            self._add("decisions", f"column block_id: it names a block of height {height!r}")
        if digest != header_digest(block.header):
            self._add("blocks", "column digest: it is not the digest of the block's header")
        return block, certificate

    def _header_faults(self, block: Block) -> list[tuple[str, str]]:
        """Every field of the header that is not what the chain so far makes it."""
        header, parent = block.header, self._parent
        view = self.views.view_starting_in(header.slot)
        link = self.ledger.reveal_tip(header.proposer)
        lag = self._timing.lag_blocks
        right: dict[str, object] = {
            "version": PROTOCOL_VERSION,
            "chain_id": self.chain_id,
            "height": self.height,
            "parent": parent.digest,
            "stage": parent.next_stage,
            "committee_root": self.panel.root,
            "verification_root": self._panel(self.height + lag, Stage.VERIFICATION).root,
            "validation_root": self._panel(self.height + lag, Stage.VALIDATION).root,
            "transactions_root": merkle_root(block.transactions),
            "parent_certificate_digest": certificate_digest(block.parent_certificate),
        }
        faults = [
            (name, f"{compare.shown(getattr(header, name))}, should be {compare.shown(value)}")
            for name, value in right.items()
            if getattr(header, name) != value
        ]
        if view is None:
            faults.append(("slot", f"no view of this height begins in slot {header.slot}"))
        elif self.panel.leader(view) != header.proposer:
            leader = self.panel.leader(view).hex()
            faults.append(("proposer", f"{header.proposer.hex()}, but Equation (1) names {leader}"))
        if link is None or not beacon.reveals(header.reveal, link):
            faults.append(("reveal", "not the preimage of the proposer's last link"))
        if header.next_stage is Stage.VERIFICATION and not self._verifiers_serve_next():
            faults.append(("next_stage", "no verification committee serves at the next height"))
        fault = self._parent_certificate_fault(block.parent_certificate)
        if fault is not None:
            faults.append(("parent_certificate_digest", f"the certificate of the parent: {fault}"))
        return faults

    def _verifiers_serve_next(self) -> bool:
        last = self.height if self._parent.next_stage is Stage.VERIFICATION else self._verified
        if last and self.height + 1 < last + self._timing.lag_blocks:
            return False
        return len(self._panel(self.height + 1, Stage.VERIFICATION).members) > 0

    def _parent_certificate_fault(self, certificate: Certificate | None) -> str | None:
        parent = self._parent
        if parent.panel is None:
            return None if certificate is None else "genesis has none"
        if certificate is None:
            return "it is missing"
        if (certificate.height, certificate.digest) != (parent.height, parent.digest):
            return "it decides another block"
        return self._fault_of(certificate, VoteKind.COMMIT, parent.panel)

    def _check_decision(self, header: Header, certificate: Certificate) -> None:
        digest = header_digest(header)
        fault = self.certificate_fault(certificate, VoteKind.COMMIT)
        if certificate.digest != digest:
            fault = f"it decides {certificate.digest.hex()}, the block is {digest.hex()}"
        view = self.views.view_starting_in(header.slot)
        if fault is None and view is not None and certificate.view < view:
            fault = f"decided in view {certificate.view}, before its slot's view {view}"
        if fault is not None:
            self._add("decisions", f"column certificate: {fault}")

    def certificate_fault(self, certificate: Certificate, kind: VoteKind) -> str | None:
        """What is wrong with a certificate of the working height."""
        if certificate.height != self.height:
            return f"it is for height {certificate.height}"
        if certificate.view < self.views.first:
            return f"view {certificate.view} is before the first, {self.views.first}"
        return self._fault_of(certificate, kind, self.panel)

    def _fault_of(self, certificate: Certificate, kind: VoteKind, panel: Panel) -> str | None:
        return fault_of(certificate, kind, self.chain_id, panel, self.checker)

    def _executed(self, block: Block) -> LedgerOutcome | None:
        header = block.header
        draft = draft_of(block)
        try:
            outcome = self.ledger.execute(draft)
        except InvalidBlockError as error:
            self._add("blocks", f"it can't be executed: {error}")
            return None
        for name in ("receipts_root", "state_root"):
            said, right = getattr(header, name), getattr(outcome, name)
            if said != right:
                self._add("blocks", f"header field {name}: {said.hex()}, execution gives {right.hex()}")
        return outcome

    def _advance(self, header: Header, outcome: LedgerOutcome) -> None:
        moves_on, self._period = header.period > self._period, header.period
        for index, what in self.books.book(outcome.receipts, outcome.versions, header.proposer, moves_on):
            self._add("results", what if index == OF_THE_BLOCK else f"receipt {index}: {what}")
        self._stands.check_height(self.height, outcome)
        self.ledger.commit(outcome)
        digest = header_digest(header)
        self.report.digests.append(digest)
        self.report.checked_height = self.height
        self.report.transactions += len(outcome.transaction_ids)
        if header.stage is Stage.VERIFICATION:
            self._verified = self.height
        self._forget_beacons()
        self._parent = Parent(self.height, header.slot, digest, header.next_stage, self.panel)
        self._open()

    def _forget_beacons(self) -> None:
        oldest = self.height - self._timing.lag_blocks - self._timing.epoch_blocks - 1
        kept = (0, self._verified)
        self._beacons = {at: r for at, r in self._beacons.items() if at >= oldest or at in kept}

    def _add(self, table: str, what: str) -> None:
        self.report.add(table, f"height {self.height}", what)
