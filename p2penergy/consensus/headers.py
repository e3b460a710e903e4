"""A chain of certified headers, from genesis on, without a block's body or a state.

Lives here: following headers one by one as far as each proves itself: place, proposer, committee,
certificate. Never here: what blocks do, who asks whom. Owns the invariant that whatever height it is at,
every header up to there was decided by the committee that the chain before it names. Implements CONSENSUS
section 7 for whoever was far away, and "a chain of certificates vouches for every committee, from genesis on"
of section 8.

A header names committees by their roots only. Genesis tells who the first ones are; of a root that is new,
`learn` takes the members with their keys from anybody, since they prove themselves by it. What can't be
judged without the state (who may be in a pool, whether a reveal is the next link) was judged by the quorum
that signed.
"""

from collections import OrderedDict

from p2penergy import beacon
from p2penergy.committees import Founders, Reading, Roll, ordered, root_of
from p2penergy.consensus import certificates
from p2penergy.consensus.committee import Committee
from p2penergy.consensus.errors import RefusedError
from p2penergy.consensus.rules import Rules
from p2penergy.consensus.schedule import Schedule
from p2penergy.genesis import Genesis
from p2penergy.messages import (
    PROTOCOL_VERSION,
    Certificate,
    CommitteeMembers,
    Header,
    Stage,
    VoteKind,
    header_digest,
)
from p2penergy.signing import SignatureChecker

ROLLS_KNOWN_MAX = 512
"""Committees whose members are known; the one not used for longest is forgotten first."""
_EMPTY = root_of(())


def _require(holds: bool, code: str) -> None:
    if not holds:
        raise RefusedError(code)


class HeaderChain:
    """The highest header that is certified as far as this node knows."""

    def __init__(self, genesis: Genesis, checker: SignatureChecker) -> None:
        self._chain_id = genesis.chain_id
        self._timing = genesis.consensus
        self._checker = checker
        self._rules = Rules()
        self._rolls: OrderedDict[bytes, Roll] = OrderedDict()
        self._named: dict[tuple[int, Stage], bytes] = {}
        """Roots of the next L heights' committees."""
        self._beacons: dict[int, bytes] = {}
        self._verified = 0
        """Height of the last verification block."""
        self._height, self._slot, self._digest = 0, 0, self._chain_id
        self._stage = genesis.consensus.first_stage
        founders = Founders(genesis)
        for height in range(1, self._timing.lag_blocks + 1):
            for stage in Stage:
                reading = Reading.of(self._timing, stage, height, 0, self._rules)
                roll = Roll.read(founders, self._timing, self._chain_id, reading, founders.beacon)
                self._named[height, stage] = roll.root
                self._rolls[roll.root] = roll

    @property
    def height(self) -> int:
        """Of the last header; 0 at genesis."""
        return self._height

    def knows(self, root: bytes) -> bool:
        """Whether it is known who the committee with this root is."""
        return root in self._rolls

    def learn(self, members: CommitteeMembers) -> bytes:
        """Note who the committee is whose root these members, in ascending order, have; that root."""
        roll = Roll.of(dict(members))
        self._rolls[roll.root] = roll
        self._rolls.move_to_end(roll.root)
        if len(self._rolls) > ROLLS_KNOWN_MAX:
            self._rolls.popitem(last=False)
        return roll.root

    def extend(self, header: Header, certificate: Certificate) -> None:
        """Put the next header on top.

        Raises:
            RefusedError: with the code of the first rule that it breaks; nothing has changed. With
                `unknown_committee` nothing is wrong yet: `learn` who has its `committee_root` first.
        """
        self._check_place(header)
        committee = self._committee(header)
        schedule = Schedule(self._slot + 1, committee.members, self._timing, self._rules)
        leader = schedule.proposer_of(header.slot)
        _require(leader is not None, "block_slot")
        _require(leader == header.proposer, "block_proposer")
        self._check_next_stage(header)
        digest = header_digest(header)
        decides = certificate.digest == digest and certificates.is_sound(
            certificate, header.height, committee, self._rules
        )
        _require(
            decides
            and certificates.are_signed(
                certificate, VoteKind.COMMIT, self._chain_id, committee.keys.get, self._checker
            ),
            "bad_certificate",
        )
        self._advance(header, digest)

    def _check_place(self, header: Header) -> None:
        _require(header.version == PROTOCOL_VERSION, "block_version")
        _require(header.chain_id == self._chain_id, "block_chain_id")
        _require(header.height == self._height + 1, "block_height")
        _require(header.parent == self._digest, "block_parent")
        _require(header.stage is self._stage, "block_stage")
        _require(header.committee_root == self._named[header.height, header.stage], "block_committee_root")

    def _beacon(self, height: int) -> bytes:
        return self._beacons[height] if height > 0 else beacon.origin(self._chain_id)

    def _committee(self, header: Header) -> Committee:
        roll = self._rolls.get(header.committee_root)
        if roll is None:
            raise RefusedError("unknown_committee")
        self._rolls.move_to_end(header.committee_root)
        reading = Reading.of(self._timing, header.stage, header.height, self._verified, self._rules)
        return Committee(ordered(self._chain_id, reading, roll, self._beacon), roll, self._rules)

    def _check_next_stage(self, header: Header) -> None:
        lag, after = self._timing.lag_blocks, header.height + 1
        last = header.height if header.stage is Stage.VERIFICATION else self._verified
        if header.next_stage is Stage.VERIFICATION:
            _require(self._rules.serves(after, last, lag), "block_next_stage")
        named = dict(self._named) | self._names(header)
        _require(named[after, header.next_stage] != _EMPTY, "block_next_stage")

    def _names(self, header: Header) -> dict[tuple[int, Stage], bytes]:
        height = header.height + self._timing.lag_blocks
        return {
            (height, Stage.VERIFICATION): header.verification_root,
            (height, Stage.VALIDATION): header.validation_root,
        }

    def _advance(self, header: Header, digest: bytes) -> None:
        height = header.height
        self._beacons[height] = beacon.mix(self._beacon(height - 1), header.reveal)
        if header.stage is Stage.VERIFICATION:
            self._verified = height
        oldest = height - self._timing.lag_blocks
        self._beacons = {at: r for at, r in self._beacons.items() if at >= oldest or at == self._verified}
        self._named |= self._names(header)
        for stage in Stage:
            del self._named[height, stage]
        self._height, self._slot, self._digest = height, header.slot, digest
        self._stage = header.next_stage
