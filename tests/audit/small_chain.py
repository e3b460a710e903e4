"""A small chain with real signatures, kept in a home as one of its validators would keep it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from p2penergy import genesis as genesis_module
from p2penergy.beacon import HashChain
from p2penergy.blocks import Draft
from p2penergy.consensus.chain import Chain, KnownBlock
from p2penergy.consensus.effects import (
    BlockRecord,
    DecidedRecord,
    PreparedRecord,
    Record,
    ViewRecord,
    VoteRecord,
)
from p2penergy.consensus.rules import Rules
from p2penergy.genesis import ConsensusRules, Genesis, MarketRules, Member
from p2penergy.ledger import (
    BLOCK_INDEX,
    Ledger,
    Terms,
    Version,
    VersionStage,
    sign_contract,
    sign_reading,
    sign_terms,
)
from p2penergy.messages import (
    Certificate,
    Commit,
    Header,
    Prepare,
    PrePrepare,
    ViewChange,
    Vote,
    VoteKind,
    encode,
    header_digest,
    statement,
)
from p2penergy.signing import EcdsaChecker, EcdsaSigner, public_key_bytes
from p2penergy.store import FILE_NAME, Store

VALIDATORS = 4
HOUSEHOLDS = 7
HEIGHTS = 6
FIRST_PERIOD = 100
AMNESIA_SLOT = 3
NO_DIGEST = bytes(32)

HeaderChange = Callable[[Header], Header]


@lru_cache(maxsize=1)
def signers() -> tuple[EcdsaSigner, ...]:
    return tuple(
        EcdsaSigner(bytes([i]) * 20, ec.derive_private_key(77 + i, ec.SECP256R1()))
        for i in range(1, HOUSEHOLDS + 1)
    )


@lru_cache(maxsize=1)
def hash_chains() -> tuple[HashChain, ...]:
    return tuple(HashChain(bytes([i]), 64) for i in range(VALIDATORS))


@lru_cache(maxsize=1)
def a_genesis() -> Genesis:
    return Genesis(
        community="Audit Lane",
        consensus=ConsensusRules(t0_ms=0, alpha_ms=1000, eps_ms=10, delta_ms=100),
        market=MarketRules(replay=True, first_period=FIRST_PERIOD),
        members=tuple(
            Member(
                participant_id=signer.participant_id.hex(),
                public_key=public_key_bytes(signer._key.public_key()).hex(),
                validator=index < VALIDATORS,
                wallet_nano=10**10,
                beacon_tip=hash_chains()[index].tip.hex() if index < VALIDATORS else None,
            )
            for index, signer in enumerate(signers())
        ),
    )


class ScriptedLedger(Ledger):
    """Drafts what the test wants, not what its pool holds."""

    def script(self, transactions: Sequence[bytes], period: int | None) -> None:
        self._scripted = (tuple(transactions), period)

    def draft(self, height: int, slot: int, proposer: bytes, reveal: bytes, bytes_max: int) -> Draft:
        transactions, period = self._scripted
        drafted = super().draft(height, slot, proposer, reveal, bytes_max)
        return replace(drafted, transactions=transactions, period=self.period if period is None else period)


class SmallChain:
    """Decides blocks with the real chain and ledger, and stores them as `owner` would."""

    def __init__(self, home: Path, owner: int = 0) -> None:
        self.home = home
        self.genesis = a_genesis()
        self.chain_id = self.genesis.chain_id
        self.ledger = ScriptedLedger(self.genesis, EcdsaChecker())
        self.chain = Chain(self.genesis, self.ledger, EcdsaChecker(), Rules(), None)
        self.owner = signers()[owner]
        self._nonce = 0
        home.mkdir(parents=True)
        (home / "genesis.json").write_bytes(genesis_module.render(self.genesis))
        self.path = home / FILE_NAME
        versions = [Version(k, BLOCK_INDEX, VersionStage.FINAL, v) for k, v in self.ledger.items()]
        self.store = Store.create(
            self.path, self.chain_id, genesis_versions=versions, amnesia_slot=AMNESIA_SLOT
        )

    def trade(self, seller: int, buyer: int, energy_wh: int, price: int = 200_000) -> bytes:
        period = self.ledger.period
        self._nonce += 1
        sells, buys = signers()[seller], signers()[buyer]
        terms = Terms(
            sells.participant_id, buys.participant_id, period, energy_wh, price, period + 4, self._nonce
        )
        signed = sign_terms(sells, self.chain_id, terms)
        return encode(sign_contract(buys, self.chain_id, terms, signed, self._nonce, period + 4))

    def readings(self) -> list[bytes]:
        period = self.ledger.period
        return [
            encode(sign_reading(signer, self.chain_id, period, (i % 2) * 500, (1 - i % 2) * 500))
            for i, signer in enumerate(signers())
        ]

    def certificate(
        self, kind: VoteKind, height: int, view: int, digest: bytes, count: int = 3
    ) -> Certificate:
        votes = []
        for signer in signers()[:count]:
            name = signer.participant_id
            votes.append((name, signer.sign(statement(kind, self.chain_id, name, height, view, digest))))
        return Certificate(height, view, digest, tuple(votes))

    def build(self, transactions: Sequence[bytes], period: int | None = None, skip: int = 0) -> KnownBlock:
        """A valid block of the working height with these transactions, `skip` slots after the first."""
        chain = self.chain
        slot = chain.schedule.first + skip
        leader = chain.schedule.proposer_of(slot)
        assert leader is not None
        tip = self.ledger.reveal_tip(leader)
        assert tip is not None
        reveal = hash_chains()[leader[0] - 1].preimage(tip)
        assert reveal is not None
        self.ledger.script(transactions, period)
        return chain.build(slot, leader, reveal, 1 << 20)

    def signed(self, vote: Vote, signer: EcdsaSigner | None = None) -> Any:
        who = signer or self.owner
        return msgspec.structs.replace(vote, signature=who.sign(vote.signed_bytes(self.chain_id)))

    def vote_record(self, vote: Vote) -> VoteRecord:
        kind = {PrePrepare: 1, Prepare: 2, Commit: 3, ViewChange: 4}[type(vote)]
        digest = (vote.prepared_digest or NO_DIGEST) if isinstance(vote, ViewChange) else vote.digest
        slot = self.chain.schedule.start_slot(vote.view)
        return VoteRecord(VoteKind(kind), vote.height, vote.view, slot, digest, encode(vote))

    def votes(self, known: KnownBlock, view: int) -> list[Record]:
        """What the owner stores on the way to a decision in this view."""
        height, name, nothing = self.chain.height, self.owner.participant_id, bytes(64)
        records: list[Record] = []
        if view > self.chain.schedule.first:
            change = ViewChange(name, height, view, None, None, nothing)
            records += [ViewRecord(height, view), self.vote_record(self.signed(change))]
        records.append(BlockRecord(height, known.digest, known.raw))
        if self.chain.schedule.leader(view) == name:
            proposal = PrePrepare(name, height, view, known.digest, nothing, known.raw, (), None)
            records.append(self.vote_record(self.signed(proposal)))
        prepared = self.certificate(VoteKind.PREPARE, height, view, known.digest)
        return [
            *records,
            self.vote_record(self.signed(Prepare(name, height, view, known.digest, nothing))),
            PreparedRecord(height, view, known.digest, encode(prepared)),
            self.vote_record(self.signed(Commit(name, height, view, known.digest, nothing))),
        ]

    def decide(self, known: KnownBlock) -> None:
        """Store and put on top."""
        height, view = self.chain.height, self.chain.schedule.view_at(known.block.header.slot)
        proof = self.certificate(VoteKind.COMMIT, height, view, known.digest)
        self.store.persist_now(self.votes(known, view))
        roll = self.chain.committee.roll
        members = tuple(roll.keys.items())
        self.store.persist_now(
            [DecidedRecord(height, known.digest, known.raw, encode(proof), known.outcome, roll.root, members)]
        )
        self.chain.advance(known, proof, known.block.header.slot)

    def decide_with_header(self, known: KnownBlock, change: HeaderChange) -> None:
        """The store of a quorum that breaks the rules: another header, certified all the same."""
        block = msgspec.structs.replace(known.block, header=change(known.block.header))
        digest, view = header_digest(block.header), self.chain.schedule.view_at(known.block.header.slot)
        proof = self.certificate(VoteKind.COMMIT, self.chain.height, view, digest)
        self.store.persist_now(
            [DecidedRecord(self.chain.height, digest, encode(block), encode(proof), known.outcome)]
        )

    def grow(self, heights: int = HEIGHTS) -> None:
        """Readings, trades, declined trades, a settled period, an empty block, a skipped slot."""
        for height in range(self.chain.height, heights + 1):
            if height % 3 == 1:
                known = self.build([*self.readings(), self.trade(0, 1, 100)])
            elif height % 3 == 2:
                known = self.build(
                    [self.trade(2, 3, 50), self.trade(4, 5, 5000), self.trade(1, 0, 7)], skip=2
                )
            else:
                known = self.build([], period=self.ledger.period + 1)
            self.decide(known)

    def close(self, undecided: bool = True) -> Path:
        """End the node, in the middle of a height or not; the home."""
        if undecided:
            known = self.build([])
            self.store.persist_now(self.votes(known, self.chain.schedule.first))
        self.store.close()
        return self.home
