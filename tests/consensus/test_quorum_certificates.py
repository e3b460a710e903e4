"""CONSENSUS sections 1 and 4: what makes a certificate."""

import msgspec
import pytest
from consensus_harness import FakeChecker, FakeSigner, certificate, committee_of, participant, public_key

from p2penergy.consensus import Rules, certificates
from p2penergy.messages import Certificate, Prepare, VoteKind

CHAIN, DIGEST = bytes(32), b"d" * 32
MEMBERS = [participant(i) for i in range(4)]


def pc(members: list[bytes], height: int = 1) -> Certificate:
    return certificate(VoteKind.PREPARE, members, height, 5, DIGEST, CHAIN)


def sound(proof: Certificate, rules: Rules | None = None) -> bool:
    rules = rules or Rules()
    return certificates.is_sound(proof, 1, committee_of(MEMBERS, rules), rules)


def signed(proof: Certificate, kind: VoteKind = VoteKind.PREPARE, chain_id: bytes = CHAIN) -> bool:
    return certificates.are_signed(proof, kind, chain_id, public_key, FakeChecker())


def test_a_quorum_of_members_is_sound_and_signed() -> None:
    assert sound(pc(MEMBERS[:3]))
    assert sound(pc(MEMBERS))
    assert signed(pc(MEMBERS[:3]))


def test_building_sorts_the_votes() -> None:
    votes = {}
    for member in reversed(MEMBERS[:3]):
        vote = Prepare(member, 1, 5, DIGEST, bytes(64))
        signature = FakeSigner(member).sign(vote.signed_bytes(CHAIN))
        votes[member] = msgspec.structs.replace(vote, signature=signature)
    assert certificates.build(1, 5, DIGEST, votes) == pc(MEMBERS[:3])


def test_too_few_doubled_unordered_or_strange_signers() -> None:
    good = pc(MEMBERS[:3])
    replace = msgspec.structs.replace
    assert not sound(pc(MEMBERS[:2]))
    assert not sound(replace(good, votes=(good.votes[0], *good.votes[:2])))
    assert not sound(replace(good, votes=good.votes[::-1]))
    assert not sound(pc([*MEMBERS[:2], participant(9)]))
    assert not sound(pc(MEMBERS[:3], height=2))


def test_wrong_rules_would_accept_them() -> None:
    class QuorumLessOne(Rules):
        def quorum(self, n: int) -> int:
            return super().quorum(n) - 1

    class CountsTwice(Rules):
        def distinct(self, _members: object) -> bool:
            return True

    assert sound(pc(MEMBERS[:2]), QuorumLessOne())
    good = pc(MEMBERS[:3])
    doubled = msgspec.structs.replace(good, votes=(good.votes[0], *good.votes[:2]))
    assert sound(doubled, CountsTwice())


@pytest.mark.parametrize("what", ["digest", "view", "kind", "chain", "signature"])
def test_signatures_are_over_kind_chain_height_view_and_digest(what: str) -> None:
    good, replace = pc(MEMBERS[:3]), msgspec.structs.replace
    match what:
        case "digest":
            assert not signed(replace(good, digest=bytes(32)))
        case "view":
            assert not signed(replace(good, view=6))
        case "kind":
            assert not signed(good, VoteKind.COMMIT)
        case "chain":
            assert not signed(good, chain_id=b"c" * 32)
        case _:
            assert not signed(replace(good, votes=((MEMBERS[0], bytes(64)), *good.votes[1:])))


def test_a_strangers_signature_is_no_signature() -> None:
    assert not certificates.are_signed(
        pc(MEMBERS[:3]), VoteKind.PREPARE, CHAIN, lambda _member: None, FakeChecker()
    )
