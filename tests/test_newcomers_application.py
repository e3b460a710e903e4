"""A newcomer's steps over a scripted client: waiting, asking again, and sealing again to other verifiers."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from cryptography import x509
from samples import small_genesis

from p2penergy.cli import join as cli_join
from p2penergy.client import ClientError, RefusedError, Result
from p2penergy.committees import Roll
from p2penergy.ledger import Decline
from p2penergy.ledger.memberships import JoinRequest, MembershipKind
from p2penergy.ledger.receipts import MembershipReceipt, encode_receipt
from p2penergy.membership.authority import Authority
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.profile import Person
from p2penergy.newcomers import joining
from p2penergy.newcomers.joining import Applicant, Application
from p2penergy.signing import EcdsaSigner

GENESIS = small_genesis()
AUTHORITY = Authority.in_memory("Elm Street")
KEY = DeviceKey.generate()
DEVICE = AUTHORITY.issue_device(KEY.public_key())
IDENTITY = AUTHORITY.issue_identity(Person("A", "B", "C"), DEVICE.der, "M-1")
APPLICANT = Applicant(
    EcdsaSigner(DEVICE.participant_id, KEY.private_key),
    KEY.public_key_compressed(),
    x509.load_der_x509_certificate(DEVICE.der),
    x509.load_der_x509_certificate(IDENTITY.der),
)


def verifiers(count: int) -> Roll:
    return Roll.of(
        {bytes([number]) * 20: DeviceKey.generate().public_key_compressed() for number in range(count)}
    )


FIRST, OTHERS = verifiers(4), verifiers(3)


class Scripted:
    """Answers as the test says: each `follow` takes the next roll, each `apply` the next outcome."""

    def __init__(
        self, rolls: list[Roll | None], outcomes: list[Any], proven_after: int | None = None
    ) -> None:
        self.rolls, self.outcomes, self.proven_after = deque(rolls), deque(outcomes), proven_after
        self.sent: list[Any] = []
        self.asked = 0
        self.light = SimpleNamespace(height=7, tip=None, verifiers=lambda: self.roll)
        self.roll: Roll | None = None
        self.validators = GENESIS.members
        self.progress = [b"no JSON"]

    async def follow(self) -> None:
        self.roll = self.rolls.popleft() if len(self.rolls) > 1 else self.rolls[0]

    def apply(self, request_id: bytes, message: Any) -> asyncio.Future[Result]:
        self.sent.append((request_id, message))
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        outcome = self.outcomes.popleft() if self.outcomes else None
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        elif outcome is not None:
            future.set_result(outcome)
        return future

    async def proven(self, request_id: bytes) -> Result:
        self.asked += 1
        if self.proven_after is not None and self.asked > self.proven_after:
            return a_result()
        raise ClientError("not yet")

    async def any_answer(self, topic: str, argument: bytes) -> bytes:
        if len(self.progress) > 1:
            return self.progress.pop()
        return json.dumps({"accepting": min(self.asked, 2), "refusing": []}).encode()


def a_result(code: Decline = Decline.NONE) -> Result:
    receipt = MembershipReceipt(b"r" * 32, code, 0, 0, DEVICE.participant_id, MembershipKind.JOIN_REQUEST)
    return Result(9, b"b" * 32, 0, encode_receipt(receipt))


async def run(
    client: Scripted, now_ms: Callable[[], int] = lambda: GENESIS.consensus.t0_ms
) -> tuple[MembershipReceipt, int, list[str]]:
    told: list[str] = []
    scripted: Any = client

    def tell(step: str, figures: dict[str, Any]) -> None:
        assert cli_join._STEPS[step](figures).isprintable()
        told.append(step)

    application = Application(scripted, GENESIS, APPLICANT, tell, now_ms=now_ms)
    async with asyncio.timeout(30):
        receipt, height = await application.decided()
    return receipt, height, told


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "POLL_S", 0.001)


async def test_equal_replies_or_a_proof_end_it() -> None:
    replied = Scripted([FIRST], [a_result()])
    assert (await run(replied))[1:] == (9, ["followed", "sealed"])
    proven = Scripted([FIRST], [], proven_after=3)
    receipt, height, told = await run(proven)
    assert (receipt.accepted, height) == (True, 9)
    assert told == ["followed", "sealed", "verdicts", "verdicts"]
    assert len(proven.sent) == 1


async def test_it_asks_again_with_the_very_same_request() -> None:
    client = Scripted([FIRST], [], proven_after=12)
    await run(client)
    assert len(client.sent) == 3
    assert len({request_id for request_id, _ in client.sent}) == 1


async def test_a_moment_without_any_node_is_waited_out() -> None:
    client = Scripted([FIRST], [], proven_after=12)
    send, failures = client.apply, deque([ClientError("no node is connected")])

    def apply(request_id: bytes, message: Any) -> asyncio.Future[Result]:
        if client.sent and failures:
            raise failures.popleft()
        return send(request_id, message)

    client.apply = apply  # type: ignore[method-assign]
    assert (await run(client))[0].accepted
    assert len(client.sent) == 2


async def test_it_seals_again_when_others_verify() -> None:
    client = Scripted([FIRST, FIRST, OTHERS], [None, a_result()])
    _, _, told = await run(client)
    assert told.count("sealed") == 2
    assert "verifiers_changed" in told
    (first, sealed), (second, again) = client.sent
    assert first != second
    assert [seal.verifier for seal in sealed.seals] == list(FIRST.members)
    assert [seal.verifier for seal in again.seals] == list(OTHERS.members)


@pytest.mark.parametrize("code", ["committee_moved", "other_committee"])
async def test_it_seals_again_when_a_node_knows_others(code: str) -> None:
    client = Scripted([FIRST, OTHERS], [RefusedError(code, "others verify"), a_result()])
    assert (await run(client))[2].count("sealed") == 2


async def test_any_other_refusal_is_told() -> None:
    with pytest.raises(RefusedError, match="refused: too many"):
        await run(Scripted([FIRST], [RefusedError("pool_full", "too many")]))


async def test_a_decline_is_an_answer() -> None:
    receipt, _, _ = await run(Scripted([FIRST], [a_result(Decline.METER_JOINED)]))
    assert not receipt.accepted


async def test_without_verifiers_there_is_nothing_to_wait_for() -> None:
    with pytest.raises(ClientError, match="nobody in this community volunteers"):
        await run(Scripted([Roll.of({})], []))
    with pytest.raises(ClientError, match="does not tell who verifies"):
        await run(Scripted([None], []))


async def test_old_headers_are_sealed_to_nobody() -> None:
    """A node that shows the first blocks only could have it sealed to verifiers who were expelled since."""
    client = Scripted([FIRST], [a_result()])
    sealed_ms: list[int] = []
    send = client.apply

    def apply(request_id: bytes, message: Any) -> asyncio.Future[Result]:
        sealed_ms.append(message is not None and clock_ms)
        return send(request_id, message)

    client.apply = apply  # type: ignore[method-assign]
    rules = GENESIS.consensus
    clock_ms = rules.t0_ms + joining.STALE_MS_MIN + 1
    follow = client.follow
    looks = itertools.count(1)

    async def follow_at_last() -> None:
        await follow()
        if next(looks) == 4:
            client.light.tip = SimpleNamespace(slot=2, period=7)

    client.follow = follow_at_last  # type: ignore[method-assign]
    _, _, told = await run(client, lambda: clock_ms)
    assert told == ["stale", "followed", "sealed"]
    assert next(looks) == 5
    assert sealed_ms == [clock_ms]


async def test_many_members_may_rest_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "STALE_MS_MIN", 0)
    rules = GENESIS.consensus
    limit_ms = joining.STALE_SLOTS_PER_MEMBER * len(GENESIS.members) * rules.alpha_ms
    _, _, told = await run(Scripted([FIRST], [a_result()]), lambda: rules.t0_ms + limit_ms)
    assert told == ["followed", "sealed"]


@pytest.mark.parametrize(
    "lie",
    [
        b"[]",
        b"{}",
        b"7",
        b'{"accepting": "all"}',
        b'{"accepting": -1}',
        b'{"accepting": 1, "refusing": [7]}',
        b'{"accepting": 1, "refusing": ["\\u001b[2J"]}',
        b'{"accepting": 1, "refusing": ["' + b"a" * 500 + b'"]}',
        b'{"accepting": 1, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\xff",
    ],
    ids=range(10),
)
async def test_what_a_node_tells_of_progress_stops_nobody(lie: bytes) -> None:
    client = Scripted([FIRST], [], proven_after=3)
    client.progress = [b"", lie]
    receipt, _, told = await run(client)
    assert receipt.accepted
    assert told == ["followed", "sealed", "verdicts"]


@pytest.mark.parametrize("mute", ["follow", "proven", "any_answer"])
async def test_a_mute_node_hides_no_outcome(mute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "LOOK_S_MAX", 0.001)
    client = Scripted([FIRST], [])
    calls = {name: getattr(client, name) for name in ("follow", "apply")}
    waiting: list[asyncio.Future[Result]] = []

    def apply(request_id: bytes, message: Any) -> asyncio.Future[Result]:
        waiting.append(calls["apply"](request_id, message))
        return waiting[-1]

    async def hang(*_: Any) -> None:
        if not waiting:
            await calls["follow"]()
            return
        if not waiting[-1].done():
            waiting[-1].set_result(a_result())
        await asyncio.Event().wait()

    client.apply = apply  # type: ignore[method-assign]
    setattr(client, mute, hang)
    assert (await run(client))[0].accepted


async def test_a_later_attempt_says_that_it_is_the_later_one() -> None:
    clock = itertools.count(GENESIS.consensus.t0_ms)
    client = Scripted([FIRST, FIRST, OTHERS], [None, a_result()])
    await run(client, lambda: next(clock))
    decoder = msgspec.msgpack.Decoder(JoinRequest)
    first, second = (decoder.decode(message.request).nonce for _, message in client.sent)
    assert first < second
