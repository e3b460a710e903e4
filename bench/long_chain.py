"""A long chain made without a network: real blocks, signatures and stores, decided in one process.

Lives here: building such a chain for a founded community, much faster than a network decides it. Never here:
processes, measuring. Owns the invariant that what it makes is what a network would have made: every block is
built and executed by the node's own chain and ledger, led and certified by the committee of its height.
"""

from collections.abc import Iterator
from pathlib import Path

from p2penergy import home as homes
from p2penergy.consensus.chain import Chain
from p2penergy.consensus.effects import DecidedRecord
from p2penergy.consensus.rules import Rules
from p2penergy.founding import Community
from p2penergy.ledger import Ledger, Snapshot
from p2penergy.messages import BLOCK_BYTES_MAX, Block, Certificate, VoteKind, encode, statement
from p2penergy.signing import EcdsaChecker
from p2penergy.simulation.households import HouseholdLoad
from p2penergy.store import Store

TRANSACTIONS_PER_BLOCK = 4


class LongChain:
    """The chain of one community, growing."""

    def __init__(self, community: Community, transactions_per_block: int = TRANSACTIONS_PER_BLOCK) -> None:
        loaded = [homes.load(home) for home in community.homes.values()]
        self.genesis = community.genesis
        self._chain_id = community.genesis.chain_id
        self._signers = {home.signer.participant_id: home.signer for home in loaded}
        self._links = {home.signer.participant_id: home.hash_chain for home in loaded}
        self._load = HouseholdLoad(community.genesis, [meter.signer for meter in community.meters.values()])
        self._transactions_per_block = transactions_per_block
        checker = EcdsaChecker()
        self.ledger = Ledger(community.genesis, checker)
        self._chain = Chain(community.genesis, self.ledger, checker, Rules(), None)

    @property
    def height(self) -> int:
        """Of the last block."""
        return self._chain.tip_height

    @property
    def tip(self) -> tuple[Block, Certificate]:
        """The last block and what decided it; there is one."""
        assert self._chain.tip is not None
        assert self._chain.tip_certificate is not None
        return self._chain.tip, self._chain.tip_certificate

    def grow(self, blocks: int) -> Iterator[DecidedRecord]:
        """Decide so many blocks, each in the slot after its parent's; yields what a store takes."""
        for _ in range(blocks):
            for _ in range(self._transactions_per_block):
                self.ledger.pool.add(self._load.next())
            schedule = self._chain.schedule
            slot = schedule.first
            leader = schedule.leader(slot)
            link = self.ledger.reveal_tip(leader)
            reveal = None if link is None else self._links[leader].preimage(link)
            assert reveal is not None, "a validator's hash chain is at its end"
            known = self._chain.build(slot, leader, reveal, BLOCK_BYTES_MAX // 2)
            certificate = self._certificate(self._chain.height, slot, known.digest)
            self._chain.advance(known, certificate, slot)
            yield DecidedRecord(self.height, known.digest, known.raw, encode(certificate), known.outcome)

    def snapshot(self) -> Snapshot:
        """The state after the last block."""
        return self.ledger.snapshot()

    def _certificate(self, height: int, view: int, digest: bytes) -> Certificate:
        committee = self._chain.committee
        votes = []
        for member in sorted(committee.members)[: committee.quorum]:
            signed = statement(VoteKind.COMMIT, self._chain_id, member, height, view, digest)
            votes.append((member, self._signers[member].sign(signed)))
        return Certificate(height, view, digest, tuple(votes))


def store_chain(chain: LongChain, blocks: int, path: Path) -> Iterator[int]:
    """Put so many blocks more into a ledger file that holds all before; yields each height.

    Raises:
        StoreError: the file can't be written, or does not belong to the chain.
    """
    store = Store.open(path, chain.genesis.chain_id)
    try:
        for record in chain.grow(blocks):
            store.submit([record], _ignore)
            yield record.height
        store.persist_now([])
    finally:
        store.close()


def _ignore(error: Exception | None) -> None:
    # `persist_now` at the end says whether all before it was written.
    del error
