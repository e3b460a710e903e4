"""Where sealed requests arrive: what is refused first, who gets which seal, who signs which verdict."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fake_network import FakeMesh

from p2penergy.ledger.memberships import (
    JoinRequest,
    Verdict,
    VerdictCode,
    request_digest,
    sign_join,
    verdict_bytes,
)
from p2penergy.membership.authority import Authority
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.profile import Person
from p2penergy.membership.sealed_identity import Binding, seal_to_all
from p2penergy.membership.sealed_store import SealedStore
from p2penergy.messages import Refused, SealedRequest, encode
from p2penergy.newcomers import desk as module
from p2penergy.newcomers.desk import Desk
from p2penergy.newcomers.examiner import Examiner
from p2penergy.peers import operator_of
from p2penergy.signing import EcdsaChecker, EcdsaSigner, verify_signature

CHAIN, ROOT = b"c" * 32, b"r" * 32
AUTHORITY = Authority.in_memory("Elm Street")
KEY = DeviceKey.generate()
DEVICE = AUTHORITY.issue_device(KEY.public_key())
IDENTITY = AUTHORITY.issue_identity(Person("A", "B", "C"), DEVICE.der, "M-1")
WHO = DEVICE.participant_id
KEYS = {bytes([number]) * 20: DeviceKey.generate() for number in range(1, 5)}
ME, *OTHERS = sorted(KEYS)
MEMBERS = {who: key.public_key_compressed() for who, key in KEYS.items()}
change: Callable[..., Any] = msgspec.structs.replace


def a_request(**changes: Any) -> SealedRequest:
    """A genuine request with all its seals."""
    binding = Binding(CHAIN, ROOT, WHO, KEY.public_key_compressed(), IDENTITY.meter_pseudonym)
    sealed = seal_to_all(
        DEVICE.der, IDENTITY.der, binding, {who: key.public_key() for who, key in KEYS.items()}
    )
    values: dict[str, Any] = {
        "public_key": binding.public_key,
        "meter_pseudonym": binding.meter_pseudonym,
        "rated_w": 30_000,
        "cluster": 0,
        "sealed_digest": sealed.digest,
        "committee_root": ROOT,
        "nonce": 1,
        "expires_period": 9,
    }
    request = sign_join(EcdsaSigner(WHO, KEY.private_key), CHAIN, **(values | changes))
    return SealedRequest(encode(request), False, len(sealed.seals), sealed.seals)


class Bench:
    """A desk of verifier ME, and what it does."""

    def __init__(self, folder: Path, members: dict[bytes, bytes] | None = None) -> None:
        self.now_ms = 0
        self.gossiped: list[tuple[tuple[bytes, ...], bytes | None]] = []
        self.mesh = FakeMesh(peers=[WHO, *OTHERS])
        self.mesh.name = ME
        self.store = SealedStore(folder / "sealed")
        signer = EcdsaSigner(ME, KEYS[ME].private_key)
        examiner = Examiner(
            signer,
            KEYS[ME].private_key,
            CHAIN,
            AUTHORITY.certificate,
            frozenset(),
            self.store,
            lambda: datetime.now(UTC),
        )
        serving = {ROOT: MEMBERS if members is None else members}
        self.desk = Desk(
            self.mesh,
            CHAIN,
            EcdsaChecker(),
            serving.get,
            lambda transactions, peer: self.gossiped.append((transactions, peer)),
            examiner,
            lambda: self.now_ms,
        )

    @property
    def verdicts(self) -> list[Verdict]:
        decoder = msgspec.msgpack.Decoder(Verdict)
        return [decoder.decode(transactions[1]) for transactions, _ in self.gossiped if len(transactions) > 1]

    @property
    def passed_on(self) -> dict[bytes, SealedRequest]:
        return {peer: message for peer, message in self.mesh.sent if isinstance(message, SealedRequest)}


def test_each_verifier_gets_its_own_seal_and_ours_is_judged(tmp_path: Path) -> None:
    bench, message = Bench(tmp_path), a_request()
    bench.desk.on_sealed(WHO, message)
    assert sorted(bench.passed_on) == OTHERS
    for verifier, part in bench.passed_on.items():
        assert part.relayed
        assert [seal.verifier for seal in part.seals] == [verifier]
    assert bench.gossiped[0] == ((message.request,), WHO)
    (verdict,) = bench.verdicts
    request = msgspec.msgpack.Decoder(JoinRequest).decode(message.request)
    digest = request_digest(request, CHAIN)
    assert (verdict.verifier, verdict.code, verdict.request_digest) == (ME, VerdictCode.ACCEPT, digest)
    signed = verdict_bytes(CHAIN, ME, digest, ROOT, VerdictCode.ACCEPT)
    assert verify_signature((MEMBERS[ME], signed, verdict.signature))
    assert bench.store.read(digest) == next(seal.sealed for seal in message.seals if seal.verifier == ME)


def test_a_relayed_seal_is_judged_and_not_passed_on(tmp_path: Path) -> None:
    bench, message = Bench(tmp_path), a_request()
    own = tuple(seal for seal in message.seals if seal.verifier == ME)
    bench.desk.on_sealed(OTHERS[0], change(message, relayed=True, seals=own))
    assert bench.passed_on == {}
    assert [verdict.code for verdict in bench.verdicts] == [VerdictCode.ACCEPT]
    # Asked again, the same verdict is told again.
    bench.desk.on_sealed(OTHERS[0], change(message, relayed=True, seals=own))
    assert bench.verdicts[0] == bench.verdicts[1]


@pytest.mark.parametrize("claimed", [{"rated_w": 29_999}, {"rated_w": 0}, {"cluster": 1}])
def test_another_connection_than_the_certified_one_is_refused(
    tmp_path: Path, claimed: dict[str, int]
) -> None:
    bench = Bench(tmp_path)
    bench.desk.on_sealed(WHO, a_request(**claimed))
    assert [verdict.code for verdict in bench.verdicts] == [VerdictCode.MISMATCH]


def test_somebody_elses_seal_alone_is_no_reason_for_a_verdict(tmp_path: Path) -> None:
    bench, message = Bench(tmp_path), a_request()
    theirs = tuple(seal for seal in message.seals if seal.verifier == OTHERS[0])
    bench.desk.on_sealed(OTHERS[1], change(message, relayed=True, seals=theirs))
    assert bench.verdicts == []


def test_nobody_but_the_newcomer_can_show_that_a_seal_is_missing(tmp_path: Path) -> None:
    bench, message = Bench(tmp_path), a_request()
    theirs = next(seal for seal in message.seals if seal.verifier == OTHERS[0])
    for seals in ((theirs,) * message.count, (theirs,)):
        for relayed in (True, False):
            part = change(message, relayed=relayed, seals=seals)
            bench.desk.on_sealed(OTHERS[1] if relayed else WHO, part)
    assert bench.verdicts == []


def test_a_committee_of_others_is_passed_on_to_and_not_judged(tmp_path: Path) -> None:
    others = {who: MEMBERS[who] for who in OTHERS}
    bench, message = Bench(tmp_path, others), a_request()
    theirs = tuple(seal for seal in message.seals if seal.verifier != ME)
    bench.desk.on_sealed(WHO, change(message, seals=theirs))
    assert sorted(bench.passed_on) == OTHERS
    assert bench.verdicts == []


def resigned(message: SealedRequest, **changes: Any) -> SealedRequest:
    """The same with another request, whose signature does not hold."""
    request = msgspec.msgpack.Decoder(JoinRequest).decode(message.request)
    altered: SealedRequest = change(message, request=encode(change(request, **changes)))
    return altered


@pytest.mark.parametrize(
    ("altered", "code"),
    [
        (lambda m: resigned(m, committee_root=b"x" * 32), "committee_moved"),
        (lambda m: resigned(m, sealed_digest=b"x" * 32), "seals"),
        (lambda m: change(m, count=m.count - 1), "seals"),
        (lambda m: change(m, seals=(change(m.seals[0], sealed=b"x" * 90), *m.seals[1:])), "seals"),
        (lambda m: change(m, seals=(change(m.seals[0], verifier=b"x" * 20), *m.seals[1:])), "seals"),
        (lambda m: resigned(m, rated_w=77), "bad_signature"),
        (lambda m: resigned(m, participant_id=b"x" * 20), "not_own"),
    ],
)
def test_a_request_that_does_not_hold_goes_nowhere(
    tmp_path: Path, altered: Callable[[SealedRequest], SealedRequest], code: str
) -> None:
    bench = Bench(tmp_path)
    bench.desk.on_sealed(operator_of(WHO), altered(a_request()))
    assert (bench.passed_on, bench.gossiped) == ({}, [])
    assert bench.desk.refused == {f"join_{code}": 1}
    bench = Bench(tmp_path)
    bench.desk.on_sealed(WHO, altered(a_request()))
    (refused,) = [message for _, message in bench.mesh.sent]
    assert isinstance(refused, Refused)
    assert refused.code == code


@pytest.mark.parametrize("garbage", [b"x", b"\x91\x01", encode(Refused(b"t" * 32, "a", "b"))])
def test_garbage_is_counted_and_not_answered(tmp_path: Path, garbage: bytes) -> None:
    bench = Bench(tmp_path)
    bench.desk.on_sealed(WHO, SealedRequest(garbage, False, 1, ()))
    assert (bench.mesh.sent, bench.gossiped) == ([], [])
    assert bench.desk.refused.total() == 1


def test_a_newcomer_may_apply_so_often_and_all_together_be_judged_so_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, message = Bench(tmp_path), a_request()
    for _ in range(module.REQUESTS_BURST + 3):
        bench.desk.on_sealed(WHO, message)
    assert bench.desk.refused == {"join_rate": 3}
    relays = Bench(tmp_path / "relays")
    part = change(message, relayed=True, seals=message.seals[1:2])
    for _ in range(module.RELAYED_BURST + 2):
        relays.desk.on_sealed(OTHERS[0], part)
    assert relays.desk.refused == {"join_rate": 2}
    bench.now_ms += 1_000
    bench.desk.on_sealed(WHO, message)
    assert bench.desk.refused == {"join_rate": 3}
    monkeypatch.setattr(module, "EXAMINED_BURST", 1)
    slow = Bench(tmp_path / "slow")
    slow.desk.on_sealed(WHO, message)
    slow.desk.on_sealed(WHO, message)
    assert slow.desk.refused == {"join_overload": 1}
    assert len(slow.verdicts) == 1


def test_one_member_that_passes_on_what_it_made_up_leaves_time_for_others(tmp_path: Path) -> None:
    bench, honest = Bench(tmp_path), a_request()
    floods = 0
    for second in range(30):
        bench.now_ms = second * 1_000
        for number in range(100):
            made_up = a_request(nonce=1_000 * second + number) if number < 1 else honest
            own = tuple(seal for seal in made_up.seals if seal.verifier == ME)
            bench.desk.on_sealed(OTHERS[0], change(made_up, relayed=True, seals=own))
            floods += 1
        bench.desk.on_sealed(WHO, honest)
    assert bench.desk.refused["join_rate"] > floods * 0.9
    assert bench.desk.refused["join_overload"] == 0


def test_without_the_own_seal_among_all_the_verdict_says_so(tmp_path: Path) -> None:
    binding = Binding(CHAIN, ROOT, WHO, KEY.public_key_compressed(), IDENTITY.meter_pseudonym)
    keys = {who: KEYS[who].public_key() for who in OTHERS}
    sealed = seal_to_all(DEVICE.der, IDENTITY.der, binding, keys)
    message = change(a_request(sealed_digest=sealed.digest), count=3, seals=sealed.seals)
    bench = Bench(tmp_path)
    bench.desk.on_sealed(WHO, message)
    assert [verdict.code for verdict in bench.verdicts] == [VerdictCode.SEAL_MISSING]
    assert len(bench.store) == 0


def test_what_can_not_be_kept_is_not_judged(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "sealed").write_bytes(b"")
    bench.desk.on_sealed(WHO, a_request())
    assert bench.verdicts == []
    assert bench.desk.refused == {"join_not_kept": 1}
