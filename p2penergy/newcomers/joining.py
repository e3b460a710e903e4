"""A newcomer's way in: seal, apply, wait, and seal again when the verifiers changed.

Lives here: the steps of one application, to join or to renew a key, over a client. Never here: sockets
(`client`), which committees are believed (`light`), the rules of judging (`membership`). Owns the invariants
that an identity is sealed only to verifiers whom certified headers name, and that what became of the request
is believed only as a proven receipt. Implements the newcomer's side of LEDGER section 2.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from cryptography import x509
from msgspec import Meta

from p2penergy.client import Client, ClientError, RefusedError, Result
from p2penergy.committees import Roll
from p2penergy.consensus.rules import Rules
from p2penergy.coordinator import wall_clock_ms
from p2penergy.genesis import Genesis
from p2penergy.ledger import decode_receipt
from p2penergy.ledger.memberships import MembershipRequest, request_digest, sign_join, sign_renewal
from p2penergy.ledger.receipts import MembershipReceipt
from p2penergy.membership.certificates import der_of
from p2penergy.membership.keys import public_key_from
from p2penergy.membership.profile import (
    CONNECTION_BYTES,
    METER_PSEUDONYM_BYTES,
    OID_CONNECTION,
    OID_METER_PSEUDONYM,
    Connection,
    read_octet_string,
)
from p2penergy.membership.sealed_identity import Binding, SealedIdentity, seal_to_all
from p2penergy.messages import COMMITTEE_SIZE_MAX, SealedRequest, encode
from p2penergy.questions import JOIN
from p2penergy.signing import EcdsaSigner

POLL_S = 1.0
"""Between two looks at the chain."""
RESEND_POLLS = 5
LOOK_S_MAX = 2.0
"""For one look, which mute nodes must not draw out: f + 1 others may have told the outcome meanwhile."""
STALE_MS_MIN = 600_000
STALE_SLOTS_PER_MEMBER = 8
"""A network at rest makes a block after as many slots as its committee has members. The newest header may be
so much older before it is taken for one behind which newer ones are held back."""
REASON_CHARACTERS_MAX = 120
MOVED = frozenset({"committee_moved", "other_committee"})
"""Codes of a node to which another verification committee is the present one."""

Tell = Callable[[str, dict[str, Any]], None]
"""Called with the name of a step and its figures, for whoever shows progress."""


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who applies: the device that signs, and the two certificates that only verifiers get to see."""

    signer: EcdsaSigner
    public_key: bytes
    device: x509.Certificate
    identity: x509.Certificate

    @property
    def meter_pseudonym(self) -> bytes:
        """What the ledger will know the meter by; raises ClientError when the identity has none."""
        return self._named(OID_METER_PSEUDONYM, METER_PSEUDONYM_BYTES, "no meter")

    @property
    def connection(self) -> Connection:
        """The meter's, as the authority certified it; raises ClientError when the identity names none."""
        try:
            return Connection.from_bytes(self._named(OID_CONNECTION, CONNECTION_BYTES, "no connection"))
        except ValueError as error:
            raise ClientError(f"the identity certificate names no connection: {error}") from None

    def _named(self, oid: x509.ObjectIdentifier, length_bytes: int, missing: str) -> bytes:
        try:
            found = read_octet_string(self.identity.extensions, oid, length_bytes)
        except ValueError:
            found = None
        if found is None:
            raise ClientError(f"the identity certificate names {missing}: ask the authority for another")
        return found


@dataclass(frozen=True, slots=True)
class _Attempt:
    request_id: bytes
    committee_root: bytes
    message: SealedRequest


_Reason = Annotated[str, Meta(max_length=REASON_CHARACTERS_MAX, pattern=r"^[ -~]*$")]


class _Progress(msgspec.Struct, frozen=True):
    """What one node tells of a request: only shown, so that its shape is all that is asked of it."""

    accepting: Annotated[int, Meta(ge=0, le=COMMITTEE_SIZE_MAX)] = 0
    refusing: Annotated[tuple[_Reason, ...], Meta(max_length=COMMITTEE_SIZE_MAX)] = ()


_progress_decoder = msgspec.json.Decoder(_Progress)


class _Moved(Exception):  # noqa: N818 - an event, not a mistake
    """Other verifiers serve now."""


class Application:
    """One newcomer's request, for as long as it takes."""

    def __init__(
        self,
        client: Client,
        genesis: Genesis,
        applicant: Applicant,
        tell: Tell,
        *,
        renews: bool = False,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        """A request to join; or, with `renews`, to go on with another key."""
        self._client = client
        self._genesis = genesis
        self._applicant = applicant
        self._renews = renews
        self._tell = tell
        self._now_ms = now_ms
        self._told = _Progress()

    async def decided(self) -> tuple[MembershipReceipt, int]:
        """Apply until the community has decided; the receipt and the height of its block.

        Raises:
            ClientError: nobody can be reached, or the nodes refuse to take the request.
        """
        while True:
            verifiers = await self._verifiers()
            attempt = self._sealed(verifiers)
            quorum = Rules().quorum(len(verifiers.members))
            self._tell("sealed", {"verifiers": len(verifiers.members), "quorum": quorum})
            try:
                result = await self._wait(attempt)
            except _Moved:
                self._tell("verifiers_changed", {"height": self._client.light.height})
                await asyncio.sleep(POLL_S)
                continue
            receipt = decode_receipt(result.receipt)
            if not isinstance(receipt, MembershipReceipt):
                raise ClientError("what the chain holds under this request is no receipt of it")
            return receipt, result.height

    async def _verifiers(self) -> Roll:
        waited = False
        while True:
            await self._client.follow()
            height, age_ms = self._client.light.height, self._age_ms()
            if age_ms <= self._stale_ms():
                break
            if not waited:
                self._tell("stale", {"height": height, "minutes": age_ms // 60_000})
            waited = True
            await asyncio.sleep(POLL_S)
        roll = self._client.light.verifiers()
        self._tell("followed", {"height": height})
        if roll is None:
            raise ClientError("the node does not tell who verifies newcomers now; name another with --node")
        if not roll.members:
            raise ClientError("nobody in this community volunteers to verify newcomers")
        return roll

    def _age_ms(self) -> int:
        """Of the newest header that anybody shows; genesis is slot 0."""
        rules, tip = self._genesis.consensus, self._client.light.tip
        slot = 0 if tip is None else tip.slot
        return self._now_ms() - rules.t0_ms - slot * rules.alpha_ms

    def _stale_ms(self) -> int:
        """From what age on it may be that those who verify now are kept from us.

        Whoever shows old headers only could have an identity sealed to a verifier that was expelled since.
        """
        members = len(self._client.validators)
        return max(STALE_MS_MIN, STALE_SLOTS_PER_MEMBER * members * self._genesis.consensus.alpha_ms)

    def _sealed(self, verifiers: Roll) -> _Attempt:
        applicant, chain_id = self._applicant, self._genesis.chain_id
        binding = Binding(
            chain_id,
            verifiers.root,
            applicant.signer.participant_id,
            applicant.public_key,
            applicant.meter_pseudonym,
        )
        keys = {who: public_key_from(key) for who, key in verifiers.keys.items()}
        sealed = seal_to_all(der_of(applicant.device), der_of(applicant.identity), binding, keys)
        request = self._request(binding, sealed)
        message = SealedRequest(encode(request), False, len(sealed.seals), sealed.seals)
        return _Attempt(request_digest(request, chain_id), verifiers.root, message)

    def _request(self, binding: Binding, sealed: SealedIdentity) -> MembershipRequest:
        market, tip = self._genesis.market, self._client.light.tip
        period = market.first_period if tip is None else tip.period
        common: dict[str, Any] = {
            "public_key": binding.public_key,
            "meter_pseudonym": binding.meter_pseudonym,
            "sealed_digest": sealed.digest,
            "committee_root": binding.committee_root,
            # A later attempt takes the place of an earlier one of which nothing came.
            "nonce": self._now_ms(),
            "expires_period": period + market.transaction_life_periods,
        }
        signer = self._applicant.signer
        if self._renews:
            return sign_renewal(signer, binding.chain_id, **common)
        where = self._applicant.connection
        return sign_join(signer, binding.chain_id, rated_w=where.rated_w, cluster=where.cluster, **common)

    async def _wait(self, attempt: _Attempt) -> Result:
        """Until the chain holds a receipt of the request; raises _Moved when it never will."""
        polls = 0
        future = self._client.apply(attempt.request_id, attempt.message)
        try:
            while True:
                await asyncio.wait([future], timeout=POLL_S)
                if future.done():
                    return self._outcome(future)
                with contextlib.suppress(ClientError, TimeoutError):
                    async with asyncio.timeout(LOOK_S_MAX):
                        await self._client.follow()
                # In this order: what the last header has changed was decided before the proof is asked for.
                with contextlib.suppress(ClientError, TimeoutError):
                    async with asyncio.timeout(LOOK_S_MAX):
                        return await self._client.proven(attempt.request_id)
                verifiers = self._client.light.verifiers()
                if verifiers is not None and verifiers.root != attempt.committee_root:
                    raise _Moved
                await self._progress(attempt)
                polls += 1
                if polls % RESEND_POLLS == 0 and not future.done():
                    # Nobody may be connected at this moment; then the next time.
                    with contextlib.suppress(ClientError):
                        again = self._client.apply(attempt.request_id, attempt.message)
                        future.cancel()
                        future = again
        finally:
            if not future.cancel():
                # Whoever left by another way does not look at it any more.
                future.exception()

    @staticmethod
    def _outcome(future: "asyncio.Future[Result]") -> Result:
        try:
            return future.result()
        except RefusedError as error:
            if error.code in MOVED:
                raise _Moved from None
            raise

    async def _progress(self, attempt: _Attempt) -> None:
        with contextlib.suppress(ClientError, TimeoutError, msgspec.DecodeError, RecursionError):
            async with asyncio.timeout(LOOK_S_MAX):
                told = _progress_decoder.decode(await self._client.any_answer(JOIN, attempt.request_id))
            if told != self._told:
                self._told = told
                self._tell("verdicts", {"accepting": told.accepting, "refusing": list(told.refusing)})
