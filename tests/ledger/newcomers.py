"""A village whose members all validate and verify, and what it takes to join, renew and leave."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from village import QuickSigner, Village

from p2penergy.beacon import HashChain
from p2penergy.blocks import Draft
from p2penergy.ledger import (
    Admission,
    JoinRequest,
    MembershipRequest,
    Renewal,
    VerdictCode,
    decode_receipt,
    query,
    sign_chain,
    sign_join,
    sign_leave,
    sign_renewal,
    sign_revocation,
    sign_verdict,
    sign_volunteer,
)
from p2penergy.ledger.scores import score_on
from p2penergy.messages import Stage, encode

FIRST_NEWCOMER = 100


def meter_of(number: int) -> bytes:
    return sha256(b"meter %d" % number).digest()


def newcomer(number: int) -> QuickSigner:
    """Who is no member of genesis."""
    return QuickSigner(FIRST_NEWCOMER + number)


def with_new_key(signer: QuickSigner, number: int = 1) -> QuickSigner:
    """The same participant with the key of another certificate."""
    other = QuickSigner(0)
    other.participant_id = signer.participant_id
    other.public_key = b"\3" + sha256(signer.public_key + b"%d" % number).digest()
    return other


class Newcomers(Village):
    """Members are all validators and verifiers; a newcomer is of age at once, unless told otherwise."""

    def __init__(self, members: int = 4, rules: dict[str, Any] | None = None, **others: Any) -> None:
        super().__init__(
            members,
            validators=members,
            member={"verifier": True} | others.pop("member", {}),
            rules={"volunteer_age_blocks": 0} | (rules or {}),
            **others,
        )

    # ---- what is signed --------------------------------------------------------------------------

    def _request(self, signer: QuickSigner, meter: bytes | None, changes: dict[str, Any]) -> dict[str, Any]:
        self._nonce += 1
        values: dict[str, Any] = {
            "public_key": signer.public_key,
            "meter_pseudonym": meter or sha256(signer.participant_id).digest(),
            "sealed_digest": bytes(32),
            "committee_root": self.ledger.verification_committee().root,
            "nonce": self._nonce,
            "expires_period": self.ledger.period + 10,
        }
        return values | changes

    def join_request(self, signer: QuickSigner, meter: bytes | None = None, **changes: Any) -> JoinRequest:
        values = {"rated_w": 10_000, "cluster": 1} | self._request(signer, meter, changes)
        return sign_join(signer, self.chain_id, **values)

    def renewal(self, signer: QuickSigner, meter: bytes | None = None, **changes: Any) -> Renewal:
        return sign_renewal(signer, self.chain_id, **self._request(signer, meter, changes))

    def verdicts(
        self, request: MembershipRequest, code: VerdictCode, by: tuple[int, ...]
    ) -> tuple[tuple[bytes, bytes], ...]:
        given = [sign_verdict(self.signers[who], self.chain_id, request, code) for who in by]
        return tuple(sorted((verdict.verifier, verdict.signature) for verdict in given))

    def admission(
        self,
        request: MembershipRequest,
        code: VerdictCode = VerdictCode.ACCEPT,
        by: tuple[int, ...] = (0, 1, 2),
    ) -> bytes:
        return encode(Admission(request, code, self.verdicts(request, code, by)))

    def leave(self, signer: QuickSigner) -> bytes:
        self._nonce += 1
        return encode(sign_leave(signer, self.chain_id, self._nonce, self.ledger.period + 10))

    def revocation(self, signer: QuickSigner, by: QuickSigner | None = None) -> bytes:
        authority = by or self.authority
        return encode(sign_revocation(authority, self.chain_id, signer.participant_id, signer.public_key))

    def volunteer(
        self, signer: QuickSigner, validator: bool = True, verifier: bool = False, tip: bytes | None = None
    ) -> bytes:
        self._nonce += 1
        offer = sign_volunteer(
            signer,
            self.chain_id,
            validator=validator,
            verifier=verifier,
            beacon_tip=tip,
            nonce=self._nonce,
            expires_period=self.ledger.period + 10,
        )
        return encode(offer)

    def chain(self, signer: QuickSigner, tip: bytes) -> bytes:
        self._nonce += 1
        return encode(sign_chain(signer, self.chain_id, tip, self._nonce, self.ledger.period + 10))

    # ---- blocks ----------------------------------------------------------------------------------

    def to_verification(self) -> None:
        """Empty blocks, until the next block is one of verification."""
        if query.tip(self.ledger.get).next_stage is Stage.VERIFICATION:
            return
        lag = self.genesis.consensus.lag_blocks
        while (last := self.ledger.last_verification(self.ledger.height)) and (
            self.ledger.height + 2 < last + lag
        ):
            self.block()
        self.block(next_stage=Stage.VERIFICATION)

    def verification_draft(self, *transactions: bytes, **changes: Any) -> Draft:
        return self.draft(*transactions, **({"stage": Stage.VERIFICATION} | changes))

    def verify(self, *transactions: bytes) -> list[Any]:
        """Receipts of a verification block of these transactions."""
        self.to_verification()
        outcome = self.run(self.verification_draft(*transactions))
        return [decode_receipt(receipt) for receipt in outcome.receipts]

    def verify_one(self, transaction: bytes) -> Any:
        (receipt,) = self.verify(transaction)
        return receipt

    def join(self, signer: QuickSigner, meter: bytes | None = None) -> Any:
        """The receipt of a newcomer whom three verifiers accept."""
        return self.verify_one(self.admission(self.join_request(signer, meter)))

    def key_of(self, signer: QuickSigner) -> bytes | None:
        return self.ledger.member_key(signer.participant_id, self.ledger.height)

    def score_of(self, who: bytes) -> int:
        return score_on(self.ledger.get, self.genesis.market.scores, who, self.ledger.period)


def own_chain(signer: QuickSigner) -> HashChain:
    return HashChain(signer.participant_id, 64)
