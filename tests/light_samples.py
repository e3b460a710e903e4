"""A chain of certified headers whose committees change as a test says, and a node that tells of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from samples import full, public_keys, signers

from p2penergy.committees import root_of
from p2penergy.genesis import ConsensusRules, Genesis, Member
from p2penergy.light import Light
from p2penergy.messages import (
    Certificate,
    CommitteeMembers,
    CommitteesRequest,
    CommitteesResponse,
    Header,
    HeadersRequest,
    HeadersResponse,
    Stage,
    VoteKind,
    header_digest,
    statement,
)
from p2penergy.signing import EcdsaChecker

LAG = 2
change: Callable[..., Any] = msgspec.structs.replace
SIGNERS = {signer.participant_id: signer for signer in signers()}
EVERYBODY = tuple(sorted(SIGNERS))


def genesis_of(validators: Sequence[bytes], verifiers: Sequence[bytes] = ()) -> Genesis:
    """A community of all signers."""
    members = tuple(
        Member(
            participant_id=who.hex(),
            public_key=public_keys()[who].hex(),
            validator=who in validators,
            verifier=who in verifiers,
            beacon_tip="00" * 32,
        )
        for who in EVERYBODY
    )
    rules = ConsensusRules(t0_ms=0, alpha_ms=100, eps_ms=1, delta_ms=1, lag_blocks=LAG, committee_size_min=1)
    return Genesis(community="Elm Street", consensus=rules, members=members)


def members_of(who: Sequence[bytes]) -> CommitteeMembers:
    return tuple((each, public_keys()[each]) for each in sorted(who))


def certificate_of(header: Header, chain: bytes, voters: Sequence[bytes], **changes: Any) -> Certificate:
    """COMMITs of these for a header, or what `changes` makes of them."""
    values = {"kind": VoteKind.COMMIT, "chain_id": chain, "view": 9} | changes
    digest = header_digest(header)
    votes = []
    for who in sorted(voters):
        said = statement(values["kind"], values["chain_id"], who, header.height, values["view"], digest)
        votes.append((who, SIGNERS[who].sign(said)))
    return Certificate(header.height, 9, digest, tuple(votes))


class SampleChain:
    """Headers from height 1 on; `committees[h]` decides height h, and the last of them all later ones."""

    def __init__(self, committees: Sequence[Sequence[bytes]], length: int) -> None:
        self.committees = [tuple(sorted(each)) for each in committees]
        self.genesis = genesis_of(self.committees[0], EVERYBODY[:4])
        self.chain_id = self.genesis.chain_id
        self.length = length
        self.asked = 0
        self.told = [members_of(each) for each in (*self.committees, EVERYBODY[:4])]

    def committee(self, height: int) -> tuple[bytes, ...]:
        return self.committees[min(height - 1, len(self.committees) - 1)]

    def header(self, height: int, **changes: Any) -> Header:
        values: dict[str, Any] = {
            "chain_id": self.chain_id,
            "height": height,
            "slot": height,
            "stage": Stage.VALIDATION,
            "next_stage": Stage.VALIDATION,
            "committee_root": root_of(members_of(self.committee(height))),
            "validation_root": root_of(members_of(self.committee(height + LAG))),
            "verification_root": root_of(members_of(EVERYBODY[:4])),
        }
        made: Header = change(full(Header), **(values | changes))
        return made

    def proven(self, height: int) -> tuple[Header, Certificate]:
        header = self.header(height)
        return header, certificate_of(header, self.chain_id, self.committee(height))

    def light(self) -> Light:
        return Light(self.genesis, EcdsaChecker())

    def answer(self, question: HeadersRequest | CommitteesRequest) -> HeadersResponse | CommitteesResponse:
        """An honest node's answer."""
        self.asked += 1
        if isinstance(question, HeadersRequest):
            heights = range(question.height, min(question.height + question.count, self.length + 1))
            return HeadersResponse(tuple(self.proven(height) for height in heights))
        found = [each for each in self.told if root_of(each) in question.roots]
        return CommitteesResponse(tuple(dict.fromkeys(found)))
