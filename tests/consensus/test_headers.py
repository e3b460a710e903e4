"""A chain of certified headers: followed from genesis, and by nothing that does not prove itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from consensus_bench import Bench
from consensus_harness import FakeChecker, Network, public_key
from msgspec.structs import replace

from bench.long_chain import LongChain
from p2penergy import founding
from p2penergy import home as homes
from p2penergy.beacon import HashChain
from p2penergy.committees import Roll
from p2penergy.consensus.errors import RefusedError
from p2penergy.consensus.headers import ROLLS_KNOWN_MAX, HeaderChain
from p2penergy.founding import Plan, found
from p2penergy.genesis import ConsensusRules, Genesis, MarketRules
from p2penergy.messages import (
    Certificate,
    CommitteeMembers,
    Header,
    Stage,
    VoteKind,
    decode_block,
    decode_certificate,
    header_digest,
    statement,
)
from p2penergy.score_rules import ScoreRules
from p2penergy.signing import EcdsaChecker, Signer

LENGTH = 12
MARKET = MarketRules(replay=True, first_period=100, scores=ScoreRules(committee_bar_ppm=0))
"""Whatever its households do, the committee stays."""
Certified = tuple[Header, Certificate]


class Known:
    """A genuine chain, and the keys of those who made it."""

    def __init__(self, genesis: Genesis, signers: list[Signer], headers: list[Certified]) -> None:
        self.genesis = genesis
        self.signers = sorted(signers, key=lambda signer: signer.participant_id)
        self.headers = headers

    def at(self, height: int) -> HeaderChain:
        """The header chain up to a height."""
        chain = HeaderChain(self.genesis, EcdsaChecker())
        for header, certificate in self.headers[:height]:
            chain.extend(header, certificate)
        return chain

    def certified(self, header: Header, count: int = 3) -> Certificate:
        """As if a quorum had signed this header: whatever else is wrong with it."""
        digest, height, view = header_digest(header), header.height, header.slot
        votes = []
        for signer in self.signers[:count]:
            who = signer.participant_id
            signed = statement(VoteKind.COMMIT, self.genesis.chain_id, who, height, view, digest)
            votes.append((who, signer.sign(signed)))
        return Certificate(height, view, digest, tuple(votes))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    patch = pytest.MonkeyPatch()
    for module in (homes, founding):
        patch.setattr(module, "HashChain", lambda secret: HashChain(secret, 64))
    timing = ConsensusRules(t0_ms=0, alpha_ms=1000, eps_ms=10, delta_ms=100, committee_size_min=1)
    households = [(f"H{number}", 0) for number in range(6)]
    plan = Plan("Header Road", households, 4, timing, MARKET)
    community = found(plan, Path(tmp_path_factory.mktemp("chain")))
    chain = LongChain(community)
    headers = [
        (decode_block(record.block).header, decode_certificate(record.certificate))
        for record in chain.grow(LENGTH)
    ]
    patch.undo()
    signers: list[Signer] = [community.meters[name].signer for name in community.validators]
    return Known(community.genesis, signers, headers)


def test_a_genuine_chain_is_followed_to_its_end(known: Known) -> None:
    assert known.at(LENGTH).height == LENGTH


CHANGES: dict[str, tuple[str, Callable[[Header], Header]]] = {
    "version": ("block_version", lambda h: replace(h, version=2)),
    "chain": ("block_chain_id", lambda h: replace(h, chain_id=bytes(32))),
    "height": ("block_height", lambda h: replace(h, height=h.height + 1)),
    "parent": ("block_parent", lambda h: replace(h, parent=bytes(32))),
    "stage": ("block_stage", lambda h: replace(h, stage=Stage.VERIFICATION)),
    "slot before": ("block_slot", lambda h: replace(h, slot=h.slot - 1)),
    "slot of another": ("block_proposer", lambda h: replace(h, slot=h.slot + 1)),
    "committee": ("block_committee_root", lambda h: replace(h, committee_root=bytes(32))),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_header_that_breaks_a_rule_is_refused_whoever_signed_it(known: Known, name: str) -> None:
    code, change = CHANGES[name]
    chain = known.at(5)
    false = change(known.headers[5][0])
    with pytest.raises(RefusedError) as refused:
        chain.extend(false, known.certified(false))
    assert refused.value.code == code
    # The genuine one still fits: nothing has changed.
    chain.extend(*known.headers[5])
    assert chain.height == 6


def test_only_a_quorum_of_the_committee_decides(known: Known) -> None:
    header, certificate = known.headers[5]
    another = replace(header, state_root=bytes(32))
    stranger = (b"x" * 20, certificate.votes[0][1])
    false = [
        known.certified(header, count=2),
        replace(certificate, votes=(*certificate.votes[:2], certificate.votes[1])),
        replace(certificate, votes=(*certificate.votes[:2], stranger)),
        replace(certificate, view=certificate.view + 1),
        replace(certificate, digest=bytes(32)),
        known.headers[4][1],
        known.headers[6][1],
    ]
    for proof in false:
        chain = known.at(5)
        with pytest.raises(RefusedError, match="bad_certificate"):
            chain.extend(header, proof)
        assert chain.height == 5
    with pytest.raises(RefusedError, match="bad_certificate"):
        known.at(5).extend(another, certificate)


def test_no_height_is_skipped_and_none_comes_twice(known: Known) -> None:
    for number in (3, 4, 6):
        with pytest.raises(RefusedError, match="block_height"):
            known.at(5).extend(*known.headers[number])


def test_another_communitys_chain_is_refused_from_its_first_header_on(known: Known) -> None:
    other = HeaderChain(replace(known.genesis, community="Other Road"), EcdsaChecker())
    with pytest.raises(RefusedError, match="block_chain_id"):
        other.extend(*known.headers[0])


def test_it_remembers_no_more_than_committees_need(known: Known) -> None:
    chain = known.at(LENGTH)
    assert len(chain._beacons) <= known.genesis.consensus.lag_blocks + 1
    assert len(chain._named) == 2 * known.genesis.consensus.lag_blocks


# ---- committees that change -----------------------------------------------------------------------------

Followed = tuple[Network, list[Certified], dict[bytes, Roll]]


@pytest.fixture(scope="module")
def moving() -> Followed:
    """Six of ten at a time, of whom two come and two leave, and a verification block in between."""
    network = Network(8, spare=2, committee_size_max=6, committee_size_min=4, settle_blocks=2)
    ids = [node.id for node in network.nodes]
    for node in network.nodes:
        node.application.verifiers = tuple(sorted(ids[:4]))
    network.start()
    rolls: dict[bytes, Roll] = {}
    for slot in range(1, 31):
        network.run_to_slot(slot)
        for node in network.nodes:
            roll = node.replica.committee(node.replica.height).roll
            rolls[roll.root] = roll
        said = {4: b"join:" + ids[8], 7: b"verify", 9: b"leave:" + ids[1], 12: b"join:" + ids[9]}
        network.submit_everywhere(said.get(slot, b"tx %d" % slot))
    decisions = max((node.decisions for node in network.nodes), key=len)
    return network, [(each.block.header, each.certificate) for each in decisions], rolls


def listed(roll: Roll) -> CommitteeMembers:
    return tuple(roll.keys.items())


def follow(moving: Followed) -> tuple[HeaderChain, set[bytes]]:
    network, headers, rolls = moving
    chain, learned = HeaderChain(network.genesis, FakeChecker()), set()
    for header, certificate in headers:
        if not chain.knows(header.committee_root):
            with pytest.raises(RefusedError, match="unknown_committee"):
                chain.extend(header, certificate)
            learned.add(chain.learn(listed(rolls[header.committee_root])))
        chain.extend(header, certificate)
    return chain, learned


def test_committees_that_change_are_followed_by_their_lists(moving: Followed) -> None:
    chain, learned = follow(moving)
    assert chain.height == len(moving[1]) >= 25
    assert len(learned) > 15, "nearly every height has a committee of its own"
    assert {header.stage for header, _ in moving[1]} == set(Stage)


def test_a_list_of_others_than_the_named_ones_helps_nobody(moving: Followed) -> None:
    network, headers, rolls = moving
    chain = HeaderChain(network.genesis, FakeChecker())
    at = next(n for n, (header, _) in enumerate(headers) if not chain.knows(header.committee_root))
    for header, certificate in headers[:at]:
        chain.extend(header, certificate)
    roll = rolls[headers[at][0].committee_root]
    own = {who: public_key(b"forger %d" % n) for n, who in enumerate(roll.members)}
    chain.learn(listed(Roll.of(own)))
    with pytest.raises(RefusedError, match="unknown_committee"):
        chain.extend(*headers[at])
    chain.learn(listed(roll))
    forged = replace(headers[at][0], committee_root=Roll.of(own).root)
    with pytest.raises(RefusedError, match="block_committee_root"):
        chain.extend(forged, headers[at][1])
    chain.extend(*headers[at])


def test_no_height_is_given_to_a_stage_that_nobody_serves() -> None:
    bench = Bench().at(1)
    known = bench.block(1, b"first")
    header = known.block.header
    handed_over = replace(header, next_stage=Stage.VERIFICATION)
    chain = HeaderChain(bench.network.genesis, FakeChecker())
    with pytest.raises(RefusedError, match="block_next_stage"):
        chain.extend(handed_over, bench.cc(1, header_digest(handed_over)))
    chain.extend(header, bench.cc(1, known.digest))


def test_no_verification_height_comes_before_its_committee(moving: Followed) -> None:
    network, headers, rolls = moving
    chain = HeaderChain(network.genesis, FakeChecker())
    at = next(n for n, (header, _) in enumerate(headers) if header.stage is Stage.VERIFICATION)
    for header, certificate in headers[:at]:
        chain.learn(listed(rolls[header.committee_root]))
        chain.extend(header, certificate)
    header = headers[at][0]
    chain.learn(listed(rolls[header.committee_root]))
    with pytest.raises(RefusedError, match="block_next_stage"):
        chain.extend(replace(header, next_stage=Stage.VERIFICATION), headers[at][1])


def test_lists_that_nobody_needs_push_each_other_out(moving: Followed) -> None:
    chain = HeaderChain(moving[0].genesis, FakeChecker())
    for number in range(ROLLS_KNOWN_MAX + 10):
        chain.learn(((b"%020d" % number, public_key(b"x")),))
    assert len(chain._rolls) == ROLLS_KNOWN_MAX
