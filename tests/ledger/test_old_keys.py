"""Keys that were renewed: what they prove, what they don't, and that none of it stops a leader."""

from __future__ import annotations

from newcomers import Newcomers, newcomer, with_new_key
from test_ledger_evidence import proof, submitted
from village import QuickSigner

from p2penergy.ledger import decode_receipt, query
from p2penergy.ledger.admissions import NEWCOMER_RATED_W_MAX
from p2penergy.ledger.receipts import Decline, TradeReceipt
from p2penergy.messages import encode

WHO, NEIGHBOUR = 1, 3


def renewed(village: Newcomers) -> tuple[QuickSigner, QuickSigner]:
    """The old and the new signer of a member whose renewal is on the ledger."""
    old = village.signers[WHO]
    new = with_new_key(old)
    assert village.verify_one(village.admission(village.renewal(new), by=(0, 2, 3))).accepted
    return old, new


def much_later(village: Newcomers) -> None:
    """Two verification blocks on, nobody needs the keys of before."""
    for _ in range(2):
        for _ in range(4):
            village.block()
        village.verify()
    for _ in range(8):
        village.block()


def test_evidence_by_an_old_and_by_a_new_key_stops_no_leader() -> None:
    village = Newcomers()
    by_old = submitted(village, proof(village, WHO, height=5))
    _, new = renewed(village)
    village.signers[WHO] = new
    much_later(village)
    by_new = submitted(village, proof(village, WHO, height=6))
    for data in (by_new, by_old):
        village.ledger.pool.add(data)
    assert len(village.propose().draft.transactions) == 1
    assert query.gone(village.ledger.get, village.ids[WHO]) is not None
    village.propose()
    village.propose()


def test_evidence_against_whoever_comes_back_with_another_key_stops_no_leader() -> None:
    village = Newcomers()
    old = village.signers[WHO]
    by_old = submitted(village, proof(village, WHO, height=1))
    assert village.verify_one(village.leave(old)).accepted
    much_later(village)
    village.to_verification()
    assert village.ledger.pool.add(by_old).accepted
    joins = village.admission(village.join_request(with_new_key(old)), by=(0, 2, 3))
    assert village.verify_one(joins).accepted
    village.propose()


def test_a_stolen_old_key_convicts_nobody_of_what_came_after_it() -> None:
    village = Newcomers()
    renewed(village)
    late = submitted(village, proof(village, WHO, height=10**9))
    assert not village.ledger.pool.add(late).accepted
    assert village.ledger.pool.add(submitted(village, proof(village, WHO, height=1))).accepted


def test_a_revoked_key_convicts_nobody() -> None:
    village = Newcomers()
    old, _ = renewed(village)
    assert village.verify_one(village.revocation(old)).accepted
    assert not village.ledger.pool.add(submitted(village, proof(village, WHO, height=1))).accepted


def test_a_counterpartys_renewal_makes_no_cheat_of_its_neighbour() -> None:
    village = Newcomers()
    terms = village.terms(WHO, NEIGHBOUR, 100)
    genuine = encode(village.submit(NEIGHBOUR, terms, village.signed_by(WHO, terms)))
    assert village.ledger.pool.add(genuine).accepted
    renewed(village)
    before = village.score_of(village.ids[NEIGHBOUR])
    (raw,) = village.propose().receipts
    receipt = decode_receipt(raw)
    assert isinstance(receipt, TradeReceipt)
    assert (receipt.code, receipt.alpha) == (Decline.RENEWED_COUNTERPARTY, 0)
    assert village.score_of(village.ids[NEIGHBOUR]) >= before


def test_a_newcomer_names_a_power_that_bounds_its_readings() -> None:
    village = Newcomers()
    for rated_w in (0, NEWCOMER_RATED_W_MAX + 1):
        request = village.join_request(newcomer(rated_w % 7), rated_w=rated_w)
        receipt = village.verify_one(village.admission(request))
        assert (receipt.code, receipt.found) == (Decline.RATED_POWER, rated_w)
    request = village.join_request(newcomer(5), rated_w=NEWCOMER_RATED_W_MAX)
    assert village.verify_one(village.admission(request)).accepted


def test_who_may_not_serve_yet_is_nobody_to_leave_the_community_to() -> None:
    village = Newcomers(2, rules={"volunteer_age_blocks": 1000})
    one, other = village.signers
    assert village.verify_one(village.leave(one)).accepted
    draft = village.draft
    village.draft = lambda *data, proposer=1, **changes: draft(*data, proposer=proposer, **changes)  # type: ignore[method-assign]
    for _ in range(4):
        village.block()
    village.to_verification()
    assert village.verify_one(village.admission(village.join_request(one), by=(1,))).accepted
    for _ in range(3):
        village.block()
    assert village.verify_one(village.volunteer(one, verifier=True)).accepted
    for _ in range(3):
        village.block()
    assert village.verify_one(village.leave(other)).code is Decline.LAST_VALIDATOR
