"""A light client's trust: which committees the chain has vouched for, as far as it was looked at.

Lives here: checking one certified header by a committee that is known already, and noting the committees
that it names. Never here: asking anybody (`client`), blocks, state. Owns the invariant that every committee
known here is genesis' or was named by a header that a quorum of a known committee of that stage decided.
Implements CONSENSUS section 8 for whoever keeps no chain.

Headers may be skipped: as long as a committee known here decides, any header of it is good, whatever lies
in between. That trusts a quorum of each committee that ever was not to sign a second chain later, and so does
whoever follows every header: a quorum of a height could decide another block there in any case.
"""

from collections import OrderedDict
from collections.abc import Mapping

from p2penergy.committees import Founders, Reading, Roll, root_of
from p2penergy.consensus.rules import Rules
from p2penergy.genesis import Genesis
from p2penergy.messages import Certificate, CommitteeMembers, Header, Stage, VoteKind, header_digest
from p2penergy.signing import RefusedSignatureError, SignatureChecker, certificate_items

COMMITTEES_KNOWN_MAX = 4_096
COMMITTEES_NAMED_MAX = 1_024
"""Named by a header, and their members not told yet; the oldest is forgotten first."""
HEADERS_KNOWN_MAX = 4_096


class WrongHeaderError(Exception):
    """A header or certificate that no chain of this genesis has; the sentence says which part."""


class UnknownCommitteeError(Exception):
    """Nothing is wrong so far; the header's committee is not known yet."""


class Light:
    """The committees and headers of one chain that are certified as far as this client knows."""

    def __init__(self, genesis: Genesis, checker: SignatureChecker) -> None:
        self._chain_id = genesis.chain_id
        self._checker = checker
        self._rules = Rules()
        self.lag_blocks = genesis.consensus.lag_blocks
        self._rolls: OrderedDict[tuple[Stage, bytes], Roll] = OrderedDict()
        self._named: OrderedDict[tuple[Stage, bytes], None] = OrderedDict()
        self._headers: OrderedDict[int, bytes] = OrderedDict()
        founders = Founders(genesis)
        for stage in Stage:
            for height in range(1, self.lag_blocks + 1):
                reading = Reading.of(genesis.consensus, stage, height, 0, self._rules)
                roll = Roll.read(founders, genesis.consensus, self._chain_id, reading, founders.beacon)
                self._rolls[stage, roll.root] = roll
        self.tip: Header | None = None
        """The highest header that was checked."""
        self._founders = self._first(Stage.VALIDATION)

    def _first(self, stage: Stage) -> Roll:
        return next(roll for (of, _), roll in self._rolls.items() if of is stage)

    @property
    def height(self) -> int:
        """Of the highest header that was checked; 0 before any was."""
        return 0 if self.tip is None else self.tip.height

    def below(self, height: int) -> int:
        """The highest checked height below this one that is remembered; 0: genesis."""
        return max((known for known in self._headers if known < height), default=0)

    def validators(self) -> Mapping[bytes, bytes]:
        """The newest validation committee whose members are known, with their keys."""
        if self.tip is None:
            return self._founders.keys
        named = self._rolls.get((Stage.VALIDATION, self.tip.validation_root))
        if named is None and self.tip.stage is Stage.VALIDATION:
            named = self._rolls.get((Stage.VALIDATION, self.tip.committee_root))
        return (named or self._founders).keys

    def verifiers(self) -> Roll | None:
        """The verification committee that the highest header names; None until its members are known."""
        if self.tip is None:
            return self._first(Stage.VERIFICATION)
        return self._rolls.get((Stage.VERIFICATION, self.tip.verification_root))

    def knows_committees(self) -> bool:
        """Whether the members of both committees that the highest header names are known."""
        if self.tip is None:
            return True
        named = (
            (Stage.VERIFICATION, self.tip.verification_root),
            (Stage.VALIDATION, self.tip.validation_root),
        )
        return all(key in self._rolls for key in named)

    def missing(self) -> tuple[bytes, ...]:
        """Roots of committees that certified headers name, and whose members are not known; newest first."""
        return tuple(dict.fromkeys(root for _, root in reversed(self._named)))

    def learn(self, members: CommitteeMembers) -> bool:
        """Note who a named committee is; False, and nothing changes, for one that no header names."""
        ids = [who for who, _ in members]
        if ids != sorted(set(ids)):
            return False
        root = root_of(members)
        named = [(stage, root) for stage in Stage if (stage, root) in self._named]
        for key in named:
            del self._named[key]
            self._rolls[key] = Roll.of(dict(members))
            if len(self._rolls) > COMMITTEES_KNOWN_MAX:
                self._rolls.popitem(last=False)
        return bool(named)

    def check(self, header: Header, certificate: Certificate) -> None:
        """Believe a header, or say why not.

        Raises:
            UnknownCommitteeError: its committee is not known: look at headers below it first.
            WrongHeaderError: it is none of this chain, or not decided.
        """
        digest = header_digest(header)
        if self._headers.get(header.height) == digest:
            return
        if header.chain_id != self._chain_id:
            raise WrongHeaderError("the header is another chain's")
        if (certificate.height, certificate.digest) != (header.height, digest):
            raise WrongHeaderError("the certificate is another block's")
        roll = self._rolls.get((header.stage, header.committee_root))
        if roll is None:
            raise UnknownCommitteeError(f"the committee of block {header.height} is not known")
        self._check_votes(certificate, roll)
        self._note(header, digest)

    def _check_votes(self, certificate: Certificate, roll: Roll) -> None:
        votes, quorum = certificate.votes, self._rules.quorum(len(roll.members))
        if not certificate.is_ordered():
            raise WrongHeaderError("the certificate's signers are not in ascending order")
        if len(votes) < quorum:
            raise WrongHeaderError(f"{len(votes)} of {len(roll.members)} signed, {quorum} are a quorum")
        try:
            items = list(certificate_items(certificate, VoteKind.COMMIT, self._chain_id, roll.keys.get))
        except RefusedSignatureError as error:
            raise WrongHeaderError(str(error)) from None
        if not all(self._checker.check(*item) for item in items):
            raise WrongHeaderError("a signature in the certificate does not hold")

    def _note(self, header: Header, digest: bytes) -> None:
        self._headers[header.height] = digest
        if len(self._headers) > HEADERS_KNOWN_MAX:
            self._headers.popitem(last=False)
        if self.tip is None or header.height > self.tip.height:
            self.tip = header
        for key in (
            (Stage.VERIFICATION, header.verification_root),
            (Stage.VALIDATION, header.validation_root),
        ):
            if key not in self._rolls:
                self._named[key] = None
                self._named.move_to_end(key)
                if len(self._named) > COMMITTEES_NAMED_MAX:
                    self._named.popitem(last=False)
