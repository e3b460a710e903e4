"""The chain as the core sees it: the tip, and what may be put on top of it.

Lives here: building and fully validating a block against the parent's state, committees of the working
height, the tip moving on. Never here: votes, views of other heights, storage. Owns the invariant that
validity is a pure function of the parent's state: no clock, nothing a node merely happened to see.
Implements CONSENSUS sections 3 and 9.
"""

from dataclasses import dataclass, replace

from p2penergy.blocks import Draft, InvalidBlockError, draft_of
from p2penergy.committees import Roll
from p2penergy.consensus import certificates
from p2penergy.consensus.committee import Committee
from p2penergy.consensus.drawing import Drawing
from p2penergy.consensus.errors import InvariantError
from p2penergy.consensus.ports import Application, Outcome
from p2penergy.consensus.rules import Rules
from p2penergy.consensus.schedule import Schedule
from p2penergy.digests import merkle_root
from p2penergy.genesis import Genesis
from p2penergy.messages import (
    BLOCK_BYTES_MAX,
    PROTOCOL_VERSION,
    Block,
    Certificate,
    Header,
    MalformedMessageError,
    Stage,
    VoteKind,
    certificate_digest,
    decode_block,
    encode,
    header_digest,
)
from p2penergy.signing import KeyOf, SignatureChecker

_HEADER_BYTES_MAX = 1024
_VOTE_BYTES_MAX = 96
FAULTS_REMEMBERED_MAX = 64


@dataclass(frozen=True, slots=True)
class KnownBlock:
    """A block that was executed and found valid on the tip, with what came of it."""

    block: Block
    raw: bytes
    digest: bytes
    outcome: Outcome


def _require(holds: bool, code: str, sentence: str) -> None:
    if not holds:
        raise InvalidBlockError(code, sentence)


class Chain:
    """The decided chain's tip and the rules for its next block."""

    def __init__(
        self,
        genesis: Genesis,
        application: Application,
        checker: SignatureChecker,
        rules: Rules,
        tip: tuple[Block, Certificate] | None,
    ) -> None:
        self.chain_id = genesis.chain_id
        self._timing = genesis.consensus
        self._application = application
        self._checker = checker
        self._rules = rules
        self._drawing = Drawing(genesis, application, rules)
        self._faults: dict[bytes, InvalidBlockError] = {}
        self.drafts_given_up = 0
        """Digests of the working height's blocks that do not execute: nobody has one executed twice."""
        self.tip: Block | None = None
        self.tip_certificate: Certificate | None = None
        self.tip_height, self.tip_slot, self.tip_digest = 0, 0, self.chain_id
        if tip is not None:
            self._set_tip(*tip)
        if application.height != self.tip_height:
            raise InvariantError(
                f"the ledger is at height {application.height}, the chain at {self.tip_height}: "
                "the store's blocks and state do not belong together"
            )
        self._open(self.tip_slot)

    @property
    def drawn_committees(self) -> int:
        """How many committees are remembered."""
        return self._drawing.remembered

    @property
    def faulty_blocks(self) -> int:
        """How many of the working height's blocks are remembered as not valid."""
        return len(self._faults)

    def _set_tip(self, block: Block, certificate: Certificate) -> None:
        self.tip, self.tip_certificate = block, certificate
        self.tip_height, self.tip_slot = block.header.height, block.header.slot
        self.tip_digest = header_digest(block.header)

    def _open(self, commit_slot: int) -> None:
        """Everything that depends on the height after the tip."""
        self.height = self.tip_height + 1
        self._faults.clear()
        self.stage = self.tip.header.next_stage if self.tip else self._timing.first_stage
        self._drawing.open(self.tip_height, self.stage)
        self.committee = self._drawing.committee(self.height, self.stage)
        if self.committee.n == 0:
            raise InvariantError(f"no member is left to decide height {self.height}")
        if self.tip is not None:
            self.tip_committee = self._drawing.committee(self.tip_height, self.tip.header.stage)
        first = self._rules.first_slot(self.tip_slot, commit_slot)
        self.schedule = Schedule(first, self.committee.members, self._timing, self._rules)

    def committee_at(self, height: int) -> Committee:
        """C_h of the tip or of the working height.

        Raises:
            KeyError: any other height.
        """
        if height == self.height:
            return self.committee
        if height == self.tip_height and self.tip is not None:
            return self.tip_committee
        raise KeyError(f"only the committees of heights {self.tip_height} and {self.height} are at hand")

    def named(self, stage: Stage) -> tuple[Roll, ...]:
        """The stage's committees of the next heights, as far as decided headers name them."""
        return self._drawing.named(stage)

    def may_be_member_next(self, participant_id: bytes) -> bool:
        """Whether somebody can be in C_{h+1}, whose stage is not decided yet."""
        return self._next_key(participant_id) is not None

    def _next_key(self, participant_id: bytes) -> bytes | None:
        """With L = 1 the committee of h + 1 is not known yet: every member may be in it."""
        if self._timing.lag_blocks == 1:
            return self._application.member_key(participant_id, self.tip_height)
        for committee in self._drawing.after_next():
            key = committee.keys.get(participant_id)
            if key is not None:
                return key
        return None

    def signers_max(self, height: int) -> int:
        """How many members a committee of the working height or of the next can have."""
        if height == self.height:
            return self.committee.n
        if self._timing.lag_blocks == 1:
            return self._timing.committee_size_max
        return max((committee.n for committee in self._drawing.after_next()), default=0)

    def keys_at(self, height: int) -> KeyOf:
        """With which keys votes of a height are signed; heights not at hand are judged by today's keys."""
        if height == self.height + 1:
            return self._next_key
        if height in (self.height, self.tip_height) and height > 0:
            return self.committee_at(height).keys.get
        return lambda participant_id: self._application.member_key(participant_id, self.tip_height)

    def is_named_in(self, raw: bytes) -> bool:
        """Whether bytes are a block that says to be of this chain, be it true or not."""
        try:
            return decode_block(raw).header.chain_id == self.chain_id
        except MalformedMessageError:
            return False

    def block_bytes_max(self) -> int:
        """What transactions may take in a block of this height, their framing included."""
        votes = 0 if self.tip_certificate is None else len(self.tip_certificate.votes)
        return BLOCK_BYTES_MAX - _HEADER_BYTES_MAX - _VOTE_BYTES_MAX * votes

    def build(self, slot: int, proposer: bytes, reveal: bytes, bytes_max: int) -> KnownBlock:
        """A fresh block of the working height, executed.

        A draft that the application refuses is given up with all it holds, for an empty one: what one
        client's transactions make invalid must not end the chain at every honest leader in turn.

        Raises:
            InvariantError: the application's empty draft does not execute, or a draft is too large.
        """
        try:
            return self._built(slot, proposer, reveal, bytes_max)
        except InvalidBlockError as error:
            self.drafts_given_up += 1
            said = f"the ledger refuses its own draft: {error.code}: {error}"
        try:
            return self._built(slot, proposer, reveal, 0)
        except InvalidBlockError:
            raise InvariantError(said) from None

    def _built(self, slot: int, proposer: bytes, reveal: bytes, bytes_max: int) -> KnownBlock:
        draft = self._application.draft(self.height, slot, proposer, reveal, bytes_max)
        next_stage = draft.next_stage
        if not self._drawing.may_follow(next_stage, reveal):
            # A stage that nobody serves could never decide its height.
            next_stage = next(stage for stage in Stage if stage is not next_stage)
        draft = replace(draft, next_stage=next_stage, parent_certificate=self.tip_certificate)
        if draft.stage is not self.stage:
            raise InvariantError(f"the ledger drafts for stage {draft.stage}, the chain is at {self.stage}")
        try:
            outcome = self._application.execute(draft)
        except InvalidBlockError:
            self._application.give_up(draft.transactions)
            raise
        block = Block(self._header(draft, outcome), draft.transactions, draft.parent_certificate)
        raw = encode(block)
        if len(raw) > BLOCK_BYTES_MAX:
            raise InvariantError(f"the ledger drafted {len(raw)} bytes where {bytes_max} were allowed")
        return KnownBlock(block, raw, header_digest(block.header), outcome)

    def _header(self, draft: Draft, outcome: Outcome) -> Header:
        verification_root, validation_root = self._drawing.roots(draft.reveal)
        return Header(
            version=PROTOCOL_VERSION,
            chain_id=self.chain_id,
            height=self.height,
            parent=self.tip_digest,
            slot=draft.slot,
            proposer=draft.proposer,
            period=draft.period,
            stage=self.stage,
            next_stage=draft.next_stage,
            committee_root=self.committee.root,
            verification_root=verification_root,
            validation_root=validation_root,
            transactions_root=merkle_root(draft.transactions),
            parent_certificate_digest=certificate_digest(draft.parent_certificate),
            receipts_root=outcome.receipts_root,
            state_root=outcome.state_root,
            reveal=draft.reveal,
        )

    def check(self, raw: bytes, digest: bytes) -> KnownBlock:
        """Decode, validate in every field and execute the block of this digest at the working height.

        Period and reveal are the application's to judge, by executing.

        Raises:
            InvalidBlockError: with the code of the first rule that it breaks.
        """
        fault = self._faults.get(digest)
        if fault is not None:
            raise InvalidBlockError(fault.code, str(fault))
        try:
            block = decode_block(raw)
        except MalformedMessageError as error:
            raise InvalidBlockError("block_" + error.code, str(error)) from None
        _require(header_digest(block.header) == digest, "block_digest", "not the block that was named")
        self._check_place(block.header)
        self._check_parent_certificate(block)
        self._check_committees(block.header)
        header = block.header
        _require(
            header.transactions_root == merkle_root(block.transactions),
            "block_transactions_root",
            "the body is not the one that the header names",
        )
        draft = draft_of(block)
        try:
            return KnownBlock(block, raw, digest, self._executed(draft, header))
        except InvalidBlockError as error:
            # The digest covers all that execution depends on: it stays invalid at this height.
            if len(self._faults) >= FAULTS_REMEMBERED_MAX:
                del self._faults[next(iter(self._faults))]
            self._faults[digest] = error
            raise

    def _executed(self, draft: Draft, header: Header) -> Outcome:
        outcome = self._application.execute(draft)
        _require(
            outcome.receipts_root == header.receipts_root,
            "block_receipts_root",
            "execution gives other receipts",
        )
        _require(outcome.state_root == header.state_root, "block_state_root", "execution gives another state")
        return outcome

    def check_header(self, header: Header) -> None:
        """Validate all of a header of the working height that does not need the block's body.

        Raises:
            InvalidBlockError: with the code of the first rule that it breaks.
        """
        self._check_place(header)
        self._check_committees(header)

    def _check_place(self, header: Header) -> None:
        _require(header.version == PROTOCOL_VERSION, "block_version", f"version {header.version}")
        _require(header.chain_id == self.chain_id, "block_chain_id", "a block of another chain")
        _require(header.height == self.height, "block_height", f"height {header.height}, not {self.height}")
        _require(header.parent == self.tip_digest, "block_parent", "not on top of the decided parent")
        _require(header.stage == self.stage, "block_stage", f"stage {header.stage}, not {self.stage}")
        leader = self.schedule.proposer_of(header.slot)
        _require(leader is not None, "block_slot", f"no view of this height starts in slot {header.slot}")
        _require(leader == header.proposer, "block_proposer", "the proposer does not lead its slot")

    def _check_parent_certificate(self, block: Block) -> None:
        certificate = block.parent_certificate
        _require(
            block.header.parent_certificate_digest == certificate_digest(certificate),
            "block_parent_certificate_digest",
            "the body's certificate is not the one that the header names",
        )
        if self.tip is None:
            _require(certificate is None, "block_parent_certificate", "genesis has no certificate")
        elif self._rules.parent_certificate_needed():
            _require(
                certificate is not None
                and self._decides(certificate, self.tip_height, self.tip_digest, self.tip_committee),
                "block_parent_certificate",
                "the certificate is missing or does not decide the parent",
            )

    def _check_committees(self, header: Header) -> None:
        _require(
            header.committee_root == self.committee.root, "block_committee_root", "another committee's root"
        )
        _require(
            (header.verification_root, header.validation_root) == self._drawing.roots(header.reveal),
            "block_next_committee_roots",
            "other committees than the beacon draws",
        )
        _require(
            self._drawing.may_follow(header.next_stage, header.reveal),
            "block_next_stage",
            "nobody serves the next height's stage",
        )

    def _decides(self, certificate: Certificate, height: int, digest: bytes, committee: Committee) -> bool:
        """Whether a certificate decides this block; signatures included."""
        return (
            certificate.digest == digest
            and certificates.is_sound(certificate, height, committee, self._rules)
            and certificates.are_signed(
                certificate, VoteKind.COMMIT, self.chain_id, committee.keys.get, self._checker
            )
        )

    def is_decision(self, certificate: Certificate) -> bool:
        """Whether a certificate that nobody verified yet decides its digest at the working height."""
        return self._decides(certificate, self.height, certificate.digest, self.committee)

    def advance(self, known: KnownBlock, certificate: Certificate, commit_slot: int) -> None:
        """Put a decided block on top; `commit_slot` is when this node did so."""
        if known.block.header.height != self.height or certificate.digest != known.digest:
            raise InvariantError(f"block {known.digest.hex()} does not belong on height {self.height}")
        self._application.commit(known.outcome)
        self._set_tip(known.block, certificate)
        self._open(commit_slot)
