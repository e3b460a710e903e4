"""A light client believes a header for a quorum of a committee that the chain named, and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from light_samples import EVERYBODY, SampleChain, certificate_of, change, members_of

from p2penergy import light as light_module
from p2penergy.committees import root_of
from p2penergy.light import Light, UnknownCommitteeError, WrongHeaderError
from p2penergy.messages import Certificate, Header, Stage, VoteKind

FIRST, OTHERS = EVERYBODY[:4], EVERYBODY[2:6]


def refused(light: Light, header: Header, certificate: Certificate) -> str:
    with pytest.raises(WrongHeaderError) as caught:
        light.check(header, certificate)
    return str(caught.value)


def test_any_header_of_a_known_committee_is_believed_without_those_between() -> None:
    chain = SampleChain([FIRST], 1000)
    light = chain.light()
    assert (light.height, light.tip) == (0, None)
    light.check(*chain.proven(700))
    light.check(*chain.proven(3))
    assert light.height == 700
    assert (light.below(700), light.below(701), light.below(3)) == (3, 700, 0)
    assert tuple(light.validators()) == FIRST
    light.check(chain.header(700), Certificate(700, 0, chain.proven(700)[1].digest, ()))


def test_another_committee_is_believed_once_it_was_named_and_told() -> None:
    chain = SampleChain([FIRST, FIRST, FIRST, FIRST, OTHERS], 100)
    light = chain.light()
    with pytest.raises(UnknownCommitteeError):
        light.check(*chain.proven(50))
    assert not light.learn(members_of(OTHERS))
    light.check(*chain.proven(3))
    assert light.missing() == (root_of(members_of(OTHERS)),)
    assert tuple(light.validators()) == FIRST
    assert not light.learn(members_of(EVERYBODY[1:5]))
    assert not light.learn(tuple(reversed(members_of(OTHERS))))
    assert light.learn(members_of(OTHERS))
    assert light.missing() == ()
    assert tuple(light.validators()) == OTHERS
    light.check(*chain.proven(50))


def test_a_committee_of_one_stage_decides_nothing_of_the_other() -> None:
    chain = SampleChain([EVERYBODY[:5]], 9)
    light = chain.light()
    verifiers = light.verifiers()
    assert verifiers is not None
    assert verifiers.members == EVERYBODY[:4]
    forged = chain.header(5, committee_root=verifiers.root)
    with pytest.raises(UnknownCommitteeError):
        light.check(forged, certificate_of(forged, chain.chain_id, EVERYBODY[:4]))
    right = change(forged, stage=Stage.VERIFICATION)
    light.check(right, certificate_of(right, chain.chain_id, EVERYBODY[:4]))


def test_the_verifiers_are_those_that_the_highest_header_names() -> None:
    chain = SampleChain([FIRST], 9)
    light = chain.light()
    header = chain.header(5, verification_root=root_of(members_of(OTHERS)))
    light.check(header, certificate_of(header, chain.chain_id, FIRST))
    assert light.verifiers() is None
    assert light.learn(members_of(OTHERS))
    found = light.verifiers()
    assert found is not None
    assert found.members == OTHERS


@pytest.mark.parametrize(("size", "quorum"), [(1, 1), (3, 2), (4, 3), (6, 4), (7, 5)])
def test_fewer_than_a_quorum_decide_nothing(size: int, quorum: int) -> None:
    chain = SampleChain([EVERYBODY[:size]], 9)
    header = chain.header(4)
    few = certificate_of(header, chain.chain_id, EVERYBODY[: quorum - 1])
    assert refused(chain.light(), header, few) == f"{quorum - 1} of {size} signed, {quorum} are a quorum"
    chain.light().check(header, certificate_of(header, chain.chain_id, EVERYBODY[:quorum]))


def test_nobody_counts_twice() -> None:
    chain = SampleChain([FIRST], 9)
    header, good = chain.proven(4)
    votes = good.votes
    for doubled in ((votes[0], votes[0], votes[1]), (votes[1], votes[0], votes[2])):
        assert "ascending" in refused(chain.light(), header, change(good, votes=doubled))


def test_strangers_do_not_count() -> None:
    chain = SampleChain([FIRST], 9)
    header = chain.header(4)
    strange = certificate_of(header, chain.chain_id, EVERYBODY[2:5])
    assert "is not a member" in refused(chain.light(), header, strange)


@pytest.mark.parametrize("other", [{"kind": VoteKind.PREPARE}, {"chain_id": b"x" * 32}, {"view": 8}])
def test_other_statements_do_not_count(other: dict[str, Any]) -> None:
    chain = SampleChain([FIRST], 9)
    header = chain.header(4)
    said = refused(chain.light(), header, certificate_of(header, chain.chain_id, FIRST, **other))
    assert said == "a signature in the certificate does not hold"


def test_another_blocks_or_chains_certificate_does_not_count() -> None:
    chain = SampleChain([FIRST], 9)
    header, good = chain.proven(4)
    assert "another block's" in refused(chain.light(), change(header, slot=99), good)
    assert "another block's" in refused(chain.light(), header, change(good, height=5))
    foreign = change(header, chain_id=b"x" * 32)
    said = refused(chain.light(), foreign, certificate_of(foreign, b"x" * 32, FIRST))
    assert said == "the header is another chain's"


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("COMMITTEES_KNOWN_MAX", "COMMITTEES_NAMED_MAX", "HEADERS_KNOWN_MAX"):
        monkeypatch.setattr(light_module, limit, 3)
    chain = SampleChain([FIRST], 99)
    light = chain.light()
    for height in range(1, 9):
        header = chain.header(height, verification_root=bytes([height]) * 32)
        light.check(header, certificate_of(header, chain.chain_id, FIRST))
    assert len(light.missing()) == 3
    assert light.below(6) == 0
