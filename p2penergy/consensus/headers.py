"""A chain of certified headers, from genesis on, without a block's body or a state.

Lives here: following headers as far as each proves itself: place, proposer, committees, reveal, certificate.
Never here: what blocks do. Owns the invariant that whatever height it is at, every header up to there was
decided by the committee that the chain before it names. Implements CONSENSUS section 7 for whoever was far
away, and "a chain of certificates vouches for every committee, from genesis on" of section 8.

It uses the very `Chain` of the replica, over an application that knows genesis and headers only. That is
enough because members volunteer in genesis only: who volunteers, their keys and their first links are there.
"""

from p2penergy import beacon
from p2penergy.blocks import Draft, InvalidBlockError
from p2penergy.committees import Founders
from p2penergy.consensus.chain import Chain, KnownBlock
from p2penergy.consensus.errors import RefusedError
from p2penergy.consensus.ports import Outcome
from p2penergy.consensus.rules import Rules
from p2penergy.genesis import Genesis
from p2penergy.messages import Block, Certificate, Header, Stage, header_digest
from p2penergy.signing import SignatureChecker


class HeaderChain:
    """The highest header that is certified as far as this node knows."""

    def __init__(self, genesis: Genesis, checker: SignatureChecker) -> None:
        self._known = _Known(genesis)
        self._chain = Chain(genesis, self._known, checker, Rules(), None)

    @property
    def height(self) -> int:
        """Of the last header; 0 at genesis."""
        return self._chain.tip_height

    def extend(self, header: Header, certificate: Certificate) -> None:
        """Put the next header on top.

        Raises:
            RefusedError: with the code of the first rule that it breaks; nothing has changed.
        """
        try:
            self._chain.check_header(header)
        except InvalidBlockError as error:
            raise RefusedError(error.code) from error
        if not self._known.is_revealed(header):
            raise RefusedError("wrong_reveal")
        digest = header_digest(header)
        if certificate.digest != digest or not self._chain.is_decision(certificate):
            raise RefusedError("bad_certificate")
        outcome = _Nothing(header)
        self._chain.advance(
            KnownBlock(Block(header, (), None), b"", digest, outcome), certificate, header.slot
        )


class _Nothing:
    """What came of a block of which only the header is known."""

    receipts: tuple[bytes, ...] = ()

    def __init__(self, header: Header) -> None:
        self.header = header
        self.receipts_root = header.receipts_root
        self.state_root = header.state_root

    @property
    def draft(self) -> Draft:
        """Nobody executed it."""
        raise LookupError("the body of this block is not known")


class _Known:
    """The application port, as far as genesis and headers can answer for it."""

    def __init__(self, genesis: Genesis) -> None:
        self._rules = genesis.consensus
        self._chain_id = genesis.chain_id
        self._founders = Founders(genesis)
        self._links = {
            bytes.fromhex(each.participant_id): bytes.fromhex(each.beacon_tip)
            for each in genesis.members
            if each.beacon_tip is not None
        }
        self._mixed: dict[int, bytes] = {}
        self._verifications = (0, 0)
        """Heights of the last verification block, and of the one before it."""
        self.height = 0

    def is_revealed(self, header: Header) -> bool:
        """Whether a header reveals the next link of its proposer's chain."""
        link = self._links.get(header.proposer)
        return link is not None and beacon.reveals(header.reveal, link)

    def commit(self, outcome: Outcome) -> None:
        """Note the header's reveal."""
        assert isinstance(outcome, _Nothing), "an outcome of another application is committed"
        header = outcome.header
        self._mixed[header.height] = beacon.mix(self.beacon(header.height - 1), header.reveal)
        self._links[header.proposer] = header.reveal
        if header.stage is Stage.VERIFICATION:
            self._verifications = (header.height, self._verifications[0])
        oldest = header.height - self._rules.lag_blocks - self._rules.epoch_blocks
        self._mixed = {at: r for at, r in self._mixed.items() if at >= oldest or at in self._verifications}
        self.height = header.height

    def beacon(self, height: int) -> bytes:
        """R_height of the last heights."""
        return beacon.origin(self._chain_id) if height <= 0 else self._mixed[height]

    def member_key(self, participant_id: bytes, height: int) -> bytes | None:
        """As genesis registers it."""
        return self._founders.member_key(participant_id, height)

    def volunteers(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        """As genesis names them."""
        return self._founders.volunteers(stage, height)

    def reserves(self, stage: Stage, height: int) -> tuple[bytes, ...]:
        """As genesis names them."""
        return self._founders.reserves(stage, height)

    def last_verification(self, height: int) -> int:
        """The last verification block at or below one of the last two heights."""
        last, before = self._verifications
        return last if last <= height else before

    def reveal_tip(self, participant_id: bytes) -> bytes | None:
        """The link to reveal next."""
        return self._links.get(participant_id)

    def has_pending(self, slot: int) -> bool:
        """Nothing is ever proposed on headers alone."""
        return False

    def draft(self, height: int, slot: int, proposer: bytes, reveal: bytes, bytes_max: int) -> Draft:
        """Nothing is ever proposed on headers alone."""
        raise LookupError("there is no state to propose from")

    def execute(self, draft: Draft) -> Outcome:
        """Nothing is ever executed on headers alone."""
        raise LookupError("there is no state to execute on")
