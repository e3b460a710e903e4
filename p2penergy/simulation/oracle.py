"""The one chain, as an onlooker who believes nobody replays it.

Lives here: the first decision of every height, executed again on an application of its own, and the
committees that follow from it. Never here: messages on the way, faults. Owns the invariants of
CONSENSUS section 10 about decided blocks: agreement, one chain, certificates, ascending slots, equal
state roots, one execution per transaction, balanced books.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from p2penergy import beacon
from p2penergy.audit.leaders import Panel
from p2penergy.audit.panels import Seat, panel_of
from p2penergy.blocks import Draft, InvalidBlockError
from p2penergy.consensus.ports import Application, Outcome
from p2penergy.genesis import Genesis
from p2penergy.messages import (
    Block,
    Certificate,
    Evidence,
    Header,
    Stage,
    VoteKind,
    certificate_digest,
    header_digest,
)
from p2penergy.signing import SignatureChecker, Signer
from p2penergy.simulation.arbiter import Timetable, certificate_fault, quorum


class ViolationError(Exception):
    """An invariant does not hold; `name` says which, the sentence what was seen."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(f"{name}: {sentence}")
        self.name = name


class SimulatedApplication(Application, Protocol):
    """An application that also takes clients' transactions and can be asked about its books."""

    def submit(self, raw: bytes) -> bool:
        """Take a client's transaction; False when it is nothing new."""

    def executed(self, outcome: Outcome) -> Sequence[bytes]:
        """The transactions that a block really executed."""

    def conserved(self) -> str | None:
        """What is wrong with the books; None when they balance."""

    def accusation(self, signer: Signer, evidence: Evidence) -> bytes | None:
        """The transaction that records evidence; None where the application keeps none."""

    def is_on_record(self, participant_id: bytes) -> bool:
        """Whether evidence against a member was recorded."""

    def may_hold(self, raw: bytes) -> bool:
        """Whether a block may still hold this transaction: not that of somebody expelled meanwhile."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What the oracle knows of one height."""

    digest: bytes
    block: Block
    view: int
    moment_ms: int
    """True time of the first decision by a correct node."""


class Oracle:
    """Holds the chain's state at its tip; feed it every decision of every correct node."""

    def __init__(
        self,
        genesis: Genesis,
        application: SimulatedApplication,
        checker: SignatureChecker,
    ) -> None:
        self._genesis = genesis
        self._rules = genesis.consensus
        self._application = application
        self._checker = checker
        self._chain_id = genesis.chain_id
        self.timetable = Timetable(genesis.consensus)
        self._panels: dict[int, Panel] = {}
        self._committees: dict[int, frozenset[bytes]] = {}
        self.chain: list[Decided] = []
        self._receipts: list[tuple[bytes, ...]] = []
        self.transactions: set[bytes] = set()
        """Everything in a block; only asked for membership, never walked."""
        self._executed: set[bytes] = set()

    @property
    def height(self) -> int:
        """The highest decided height."""
        return len(self.chain)

    def at(self, height: int) -> Decided | None:
        """The decision of a height."""
        return self.chain[height - 1] if 0 < height <= len(self.chain) else None

    def receipts(self, height: int) -> tuple[bytes, ...]:
        """The receipts of a height, none where nothing is decided."""
        return self._receipts[height - 1] if 0 < height <= len(self._receipts) else ()

    def first_slot(self, height: int) -> int:
        """first(h), from the parent's header."""
        parent = self.at(height - 1)
        return 1 if parent is None else parent.block.header.slot + 1

    def stage(self, height: int) -> Stage:
        """The stage that the parent named."""
        parent = self.at(height - 1)
        return self._rules.first_stage if parent is None else parent.block.header.next_stage

    def committee(self, height: int) -> frozenset[bytes]:
        """Who decides a height at most one above the tip."""
        known = self._committees.get(height)
        if known is None:
            known = self._committees[height] = frozenset(self.panel(height).members)
        return known

    def panel(self, height: int) -> Panel:
        """The same in its order and with its keys, as the second writing of the draw has it."""
        known = self._panels.get(height)
        if known is None:
            assert height <= self.height + 1, f"nobody knows yet who decides height {height}"
            known = self._panels[height] = self._drawn(self.stage(height), height, None)
        return known

    def _last_verification(self, height: int) -> int:
        stages = (decided.block.header.stage for decided in reversed(self.chain[:height]))
        found = next((at for at, stage in enumerate(stages) if stage is Stage.VERIFICATION), None)
        return 0 if found is None else min(height, len(self.chain)) - found

    def _drawn(self, stage: Stage, height: int, header: Header | None) -> Panel:
        """The stage's panel at a height up to tip + 1, or with the next block's header L further."""
        last = self._last_verification(height - 1)
        if header is not None and header.stage is Stage.VERIFICATION and header.height < height:
            last = header.height

        def beacon_of(at: int) -> bytes:
            if header is not None and at == header.height:
                return beacon.mix(self._application.beacon(at - 1), header.reveal)
            return self._application.beacon(at)

        return panel_of(self._genesis, self._application, beacon_of, Seat(stage, height, last))

    def _check_committees(self, who: str, header: Header) -> None:
        """What a header says of committees: its own, those of L heights later, and who may follow."""
        lag = self._rules.lag_blocks
        later = [self._drawn(stage, header.height + lag, header).root for stage in Stage]
        named = [header.verification_root, header.validation_root]
        if header.committee_root != self.panel(header.height).root or named != later:
            raise ViolationError("committee", f"{who} decided {header.height}, which names other committees")
        is_verification = header.stage is Stage.VERIFICATION
        last = header.height if is_verification else self._last_verification(header.height - 1)
        if header.next_stage is Stage.VERIFICATION and last and header.height + 1 < last + lag:
            raise ViolationError("committee", f"{who} decided {header.height}: nobody verifies after it")

    def may_hold(self, raw: bytes) -> bool:
        """Whether a block on top of the chain may hold this transaction."""
        return self._application.may_hold(raw)

    def certificate_fault(self, certificate: Certificate, kind: VoteKind) -> str | None:
        """What is wrong with a certificate of a height at most one above the tip."""
        return certificate_fault(
            certificate,
            kind,
            self.committee(certificate.height),
            self._chain_id,
            self.panel(certificate.height).keys.get,
            self._checker,
        )

    def quorum(self, height: int) -> int:
        """Q of a height."""
        return quorum(len(self.committee(height)))

    def decide(self, who: str, block: Block, certificate: Certificate, now_ms: int) -> None:
        """Judge one node's decision.

        Raises:
            ViolationError: it contradicts the chain or does not follow from it.
        """
        height, digest = block.header.height, header_digest(block.header)
        if certificate.digest != digest or certificate.height != height:
            raise ViolationError("certificate", f"{who} decided {height} on a certificate of another block")
        if height > self.height + 1:
            raise ViolationError("one chain", f"{who} decided {height} above a gap")
        fault = self.certificate_fault(certificate, VoteKind.COMMIT)
        if fault is not None:
            raise ViolationError("certificate", f"{who} decided {height}: {fault}")
        known = self.at(height)
        if known is not None and known.digest != digest:
            raise ViolationError("agreement", f"{who} decided another block at height {height}")
        if known is None:
            self._append(who, block, digest, certificate, now_ms)

    def _append(self, who: str, block: Block, digest: bytes, certificate: Certificate, now_ms: int) -> None:
        header = block.header
        parent = self.at(header.height - 1)
        if header.parent != (parent.digest if parent else self._chain_id):
            raise ViolationError("one chain", f"{who} decided {header.height} on another parent")
        if header.parent_certificate_digest != certificate_digest(block.parent_certificate):
            raise ViolationError(
                "one chain", f"{who} decided {header.height}: parent certificate not covered"
            )
        if header.slot < self.first_slot(header.height):
            raise ViolationError("slots", f"{who} decided {header.height} in slot {header.slot}, not after")
        if header.slot > self.timetable.slot(now_ms + self._rules.eps_ms):
            raise ViolationError("slots", f"{who} decided {header.height} in future slot {header.slot}")
        self._check_parent_certificate(who, block)
        self._check_committees(who, header)
        self._execute(who, block)
        self.chain.append(Decided(digest, block, certificate.view, now_ms))

    def _check_parent_certificate(self, who: str, block: Block) -> None:
        height, certificate = block.header.height, block.parent_certificate
        if height == 1:
            if certificate is not None:
                raise ViolationError("one chain", f"{who}: block 1 carries a parent certificate")
            return
        parent = self.chain[height - 2]
        if certificate is None or certificate.digest != parent.digest or certificate.height != height - 1:
            raise ViolationError("one chain", f"{who}: block {height} carries no certificate of its parent")
        fault = self.certificate_fault(certificate, VoteKind.COMMIT)
        if fault is not None:
            raise ViolationError("certificate", f"{who}: parent certificate in {height}: {fault}")

    def _execute(self, who: str, block: Block) -> None:
        header = block.header
        draft = Draft(
            header.height,
            header.slot,
            header.proposer,
            header.period,
            header.stage,
            header.next_stage,
            header.reveal,
            block.transactions,
            block.parent_certificate,
        )
        try:
            outcome = self._application.execute(draft)
        except InvalidBlockError as error:
            raise ViolationError("validity", f"{who} decided {header.height}: {error}") from None
        if (outcome.state_root, outcome.receipts_root) != (header.state_root, header.receipts_root):
            raise ViolationError("state root", f"{who}: block {header.height} does not give its roots")
        self.transactions.update(block.transactions)
        for raw in self._application.executed(outcome):
            if raw in self._executed:
                raise ViolationError("once", f"{who}: block {header.height} executes a transaction again")
            self._executed.add(raw)
        self._receipts.append(tuple(outcome.receipts))
        self._application.commit(outcome)
        unbalanced = self._application.conserved()
        if unbalanced is not None:
            raise ViolationError("conservation", f"after block {header.height}: {unbalanced}")
