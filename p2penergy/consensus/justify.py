"""Whether a PRE-PREPARE is justified: J0 and J1 of CONSENSUS section 4.

Lives here: judging a proposal. Never here: voting for it, timeliness (`voting`). Owns the invariant that
no block is even looked at in a view in which a quorum could already stand behind another one. Whatever
is judged here has its signatures verified already.
"""

from collections.abc import Callable, Sequence

from p2penergy.blocks import InvalidBlockError
from p2penergy.consensus import certificates
from p2penergy.consensus.chain import Chain, KnownBlock
from p2penergy.consensus.errors import RefusedError
from p2penergy.consensus.rules import Rules
from p2penergy.consensus.votes import Proposal
from p2penergy.messages import Certificate, PrePrepare, ViewChange

BlockOf = Callable[[bytes], KnownBlock | None]
"""Digest -> block that is known to be valid already."""


def _require(holds: bool, code: str) -> None:
    if not holds:
        raise RefusedError(code)


def is_consistent(change: ViewChange) -> bool:
    """Whether a VIEW-CHANGE names both a prepared view and its digest, or neither."""
    return (change.prepared_view is None) == (change.prepared_digest is None)


def is_proven(change: ViewChange, chain: Chain, rules: Rules) -> bool:
    """Whether the prepared claim of a VIEW-CHANGE has the certificate that it needs beside it."""
    certificate = change.certificate
    if not is_consistent(change):
        return False
    if change.prepared_view is None:
        return certificate is None
    if certificate is None:
        return not rules.view_change_needs_certificate()
    return (
        certificate.view == change.prepared_view
        and certificate.digest == change.prepared_digest
        and certificates.is_sound(certificate, change.height, chain.committee, rules)
    )


def _reproposed_digest(
    changes: Sequence[ViewChange],
    certificate: Certificate | None,
    message: PrePrepare,
    chain: Chain,
    rules: Rules,
) -> bytes | None:
    """Check the VIEW-CHANGEs of a later view; the digest that must be proposed, None: a fresh one."""
    senders_known = all(change.sender in chain.committee for change in changes)
    _require(senders_known, "justification_not_member")
    exact = all(rules.view_change_counts(change, message.height, message.view) for change in changes)
    _require(exact, "justification_of_another_view")
    _require(all(is_consistent(change) for change in changes), "justification_inconsistent")
    signers = rules.view_change_signers_count(changes)
    _require(rules.reaches(signers, rules.view_change_quorum(chain.committee.n)), "justification_too_few")
    # One certificate speaks for all: the others would only make the message longer.
    _require(all(change.certificate is None for change in changes), "justification_too_long")
    highest = rules.highest_prepared(changes)
    if highest is None or highest.prepared_view is None:
        _require(certificate is None, "justification_too_long")
        return None
    if certificate is None:
        _require(not rules.view_change_needs_certificate(), "justification_no_certificate")
        return highest.prepared_digest
    claimed = any(
        change.prepared_view == certificate.view and change.prepared_digest == certificate.digest
        for change in changes
    )
    sound = certificates.is_sound(certificate, message.height, chain.committee, rules)
    _require(claimed and sound and certificate.view == highest.prepared_view, "justification_bad_certificate")
    return certificate.digest


def judge(message: PrePrepare, chain: Chain, rules: Rules, block_of: BlockOf) -> Proposal:
    """A justified proposal with its valid, executed block.

    Raises:
        RefusedError: with the code of the rule that it breaks.
    """
    schedule = chain.schedule
    _require(message.sender == schedule.leader(message.view), "not_leader")
    if rules.needs_no_justification(message.view, schedule.first):
        _require(not message.justification and message.certificate is None, "justification_too_long")
        required = None
    else:
        required = _reproposed_digest(message.justification, message.certificate, message, chain, rules)
    _require(required is None or message.digest == required, "justification_another_block")
    known = block_of(message.digest)
    if known is None or known.raw != message.block:
        try:
            known = chain.check(message.block, message.digest)
        except InvalidBlockError as error:
            raise RefusedError(error.code) from error
    if required is None:
        header = known.block.header
        _require(header.slot == schedule.start_slot(message.view), "block_not_of_this_view")
        _require(header.proposer == message.sender, "block_not_of_this_leader")
    return Proposal(message, known, fresh=required is None)
