"""The one rule by which two signed statements accuse their signer.

Lives here: the conflict rule, which the consensus core applies to what it sees and the ledger to what it is
told. Never here: whether the signatures hold, what follows from a conflict. Owns the invariant that no
correct member can be accused: it signs one statement per (type, height, view), durable before it is sent,
over restarts and whatever its clock does (CONSENSUS sections 4 and 6).
"""

from p2penergy.messages import SignedStatement

_ANY_CHAIN = bytes(32)


def conflict(signer: bytes, first: SignedStatement, second: SignedStatement) -> bool:
    """Whether no correct member signs both: the same type, height and view, and something else signed.

    What is compared are the signed bytes, not the fields: a field that the signature does not cover could be
    changed by anybody, and one statement may have two valid signatures. The start slot of a PRE-PREPARE
    follows from (height, view), so that the paper's Condition 2 is this rule, too.
    """
    if (first.kind, first.height, first.view) != (second.kind, second.height, second.view):
        return False
    return first.signed_bytes(_ANY_CHAIN, signer) != second.signed_bytes(_ANY_CHAIN, signer)
