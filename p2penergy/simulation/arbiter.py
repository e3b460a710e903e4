"""A second opinion on quorums, slots and certificates, written apart from the consensus core.

Lives here: the arithmetic of CONSENSUS sections 1 and 2 and the check of a certificate, derived again
from the text. Never here: an import of `p2penergy.consensus` rules, so that one mistake cannot hide in
both. Owns the invariant "every certificate verifies with an independent verifier".
"""

from collections.abc import Collection

from p2penergy.genesis import ConsensusRules
from p2penergy.messages import Certificate, VoteKind, statement
from p2penergy.signing import KeyOf, SignatureChecker


def faulty_max(members: int) -> int:
    """f: the largest number of faulty members with which n > 3f."""
    return (members - 1) // 3


def quorum(members: int) -> int:
    """The smallest Q of which any two share at least f+1 members: 2Q - n >= f + 1."""
    size = 0
    while 2 * size - members < faulty_max(members) + 1:
        size += 1
    return size


class Timetable:
    """Slots of one committee size: when the views of a height begin."""

    def __init__(self, rules: ConsensusRules) -> None:
        self._t0_ms, self._alpha_ms = rules.t0_ms, rules.alpha_ms
        self._longest = rules.view_slots_max

    def slot(self, now_ms: int) -> int:
        """The slot at a moment."""
        return (now_ms - self._t0_ms) // self._alpha_ms

    def starts_ms(self, slot: int) -> int:
        """The first moment of a slot."""
        return self._t0_ms + slot * self._alpha_ms

    def length(self, attempt: int, members: int) -> int:
        """Slots that attempt number `attempt` of a height lasts: 1, and after 2n failed ones 2, 4, .."""
        late = attempt - 2 * members
        if late < 0:
            return 1
        length = 2
        for _ in range(late // members):
            length = min(2 * length, self._longest)
        return min(length, self._longest)

    def start_slot(self, first: int, view: int, members: int) -> int:
        """The slot in which a view of a height with that first slot begins."""
        regular = min(view - first, 2 * members)
        return first + regular + sum(self.length(j, members) for j in range(2 * members, view - first))

    def view_at(self, first: int, slot: int, members: int) -> int:
        """The view that a slot belongs to."""
        view = first
        while self.start_slot(first, view + 1, members) <= slot:
            view += 1
        return view


def certificate_fault(
    certificate: Certificate,
    kind: VoteKind,
    committee: Collection[bytes],
    chain_id: bytes,
    key_of: KeyOf,
    checker: SignatureChecker,
) -> str | None:
    """What is wrong with a certificate, None when it proves what it says."""
    voters = [member for member, _ in certificate.votes]
    if sorted(set(voters)) != voters:
        return "a voter twice, or not in order"
    if len(voters) < quorum(len(committee)):
        return f"{len(voters)} votes, {quorum(len(committee))} needed"
    for member, signature in certificate.votes:
        key = key_of(member)
        if member not in committee or key is None:
            return f"{member.hex()[:4]} is not in the committee"
        signed = statement(kind, chain_id, member, certificate.height, certificate.view, certificate.digest)
        if not checker.check(key, signed, signature):
            return f"the vote of {member.hex()[:4]} is not signed by it"
    return None
