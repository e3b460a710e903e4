"""The real ledger as a simulated application, and what clients of either application submit.

Lives here: the adapter from ledger to simulator, and two loads of transactions. Never here: rules of the
ledger. Implements the clients' side of CONSENSUS section 11.
"""

from collections.abc import Sequence
from typing import Protocol

from p2penergy.consensus.ports import Outcome
from p2penergy.genesis import Genesis
from p2penergy.ledger import (
    Ledger,
    Terms,
    decode_receipt,
    keys,
    parse,
    query,
    sign_accusation,
    sign_contract,
    sign_reading,
    sign_terms,
    submitter_of,
)
from p2penergy.messages import Evidence, encode
from p2penergy.signing import Signer
from p2penergy.simulation.counter import ADD, transaction
from p2penergy.simulation.dice import Dice
from p2penergy.simulation.roster import JOIN, KINDS, LEAVE

MEMBERSHIP_PPM = 800_000
EXPORT_WH = 900
TRADED_WH = 300
PRICE_MICRO_PER_KWH = 200_000
EXPIRES_PERIODS = 90


class SimulatedLedger(Ledger):
    """The ledger, with the three questions that the simulator has besides the port's."""

    def submit(self, raw: bytes) -> bool:
        """Take a client's transaction; False when it is nothing new, or refused."""
        return self.pool.add(raw).accepted

    def executed(self, outcome: Outcome) -> Sequence[bytes]:
        """The transactions that a block really executed: declined ones changed nothing."""
        return [
            raw
            for raw, receipt in zip(outcome.draft.transactions, outcome.receipts, strict=True)
            if decode_receipt(receipt).accepted
        ]

    def conserved(self) -> str | None:
        """What is wrong with the books; None when they balance."""
        totals = self.audit_totals()
        return None if totals.is_conserved() else str(totals)

    def accusation(self, signer: Signer, evidence: Evidence) -> bytes | None:
        """The transaction that records evidence."""
        return encode(sign_accusation(signer, self._chain_id, evidence))

    def is_on_record(self, participant_id: bytes) -> bool:
        """Whether evidence against a member was recorded."""
        return self.get(keys.proven(participant_id)) is not None

    def may_hold(self, raw: bytes) -> bool:
        """Whether its submitter is a member still."""
        return query.member(self.get, submitter_of(parse(raw, self._chain_id).transaction)) is not None


class Load(Protocol):
    """What clients want."""

    def next(self) -> bytes:
        """Another transaction."""


class CounterLoad:
    """Numbers to add; with `membership`, members who join, leave and renew."""

    def __init__(self, dice: Dice, members: int, membership: bool) -> None:
        self._dice = dice
        self._members = members
        self._membership = membership
        self._number = 0

    def next(self) -> bytes:
        """Another transaction."""
        self._number += 1
        if self._membership and self._dice.chance(MEMBERSHIP_PPM):
            who = self._dice.below(self._members) + self._number * self._members
            return transaction(self._dice.pick(KINDS), who)
        return transaction(ADD, self._number)


class TurnoverLoad:
    """One outsider in, one member out, and so on: every block changes the pool, and with it a committee.

    Which it is assumes that all was decided in order; what comes out of order changes nothing, and the next
    one does again.
    """

    def __init__(self, dice: Dice, members: int, outsiders: int) -> None:
        self._dice = dice
        self._inside = list(range(members))
        self._outside = list(range(members, members + outsiders))
        self._rounds = 0

    def next(self) -> bytes:
        """Another transaction."""
        joins = len(self._outside) > 0 and self._rounds % 2 == 0
        source, target = (self._outside, self._inside) if joins else (self._inside, self._outside)
        # Whoever has been there longest, or the next one: so all take their turns.
        who = source.pop(self._dice.below(2) if len(source) > 1 else 0)
        target.append(who)
        number = who + self._rounds * (len(self._inside) + len(self._outside))
        self._rounds += 1
        return transaction(JOIN if joins else LEAVE, number)


class HouseholdLoad:
    """Readings of every household, and contracts between neighbours on them."""

    def __init__(self, genesis: Genesis, signers: Sequence[Signer]) -> None:
        self._chain_id = genesis.chain_id
        self._first_period = genesis.market.first_period + 1
        self._signers = signers
        self._number = 0

    def next(self) -> bytes:
        """A reading of one household, or a contract of two whose readings went before."""
        number, self._number = self._number, self._number + 1
        rounds, step = divmod(number, len(self._signers) * 2)
        meter, contract = divmod(step, 2)
        period = self._first_period + rounds
        if not contract:
            imports = meter % 2
            wh = (0, EXPORT_WH) if not imports else (EXPORT_WH, 0)
            return encode(sign_reading(self._signers[meter], self._chain_id, period, *wh))
        seller = self._signers[meter - meter % 2]
        buyer = self._signers[(meter + 1) % len(self._signers)]
        terms = Terms(
            seller.participant_id,
            buyer.participant_id,
            period,
            TRADED_WH,
            PRICE_MICRO_PER_KWH,
            period + EXPIRES_PERIODS,
            number,
        )
        agreed = sign_terms(seller, self._chain_id, terms)
        return encode(sign_contract(buyer, self._chain_id, terms, agreed, number, period + EXPIRES_PERIODS))
