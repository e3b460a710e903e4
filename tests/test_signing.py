"""Signatures: what is one and what is not, what the cache remembers, and that no nested one is missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import CHAIN_ID, KINDS, full, public_keys, signers

from p2penergy import signing
from p2penergy.messages import (
    Certificate,
    Commit,
    Decided,
    Evidence,
    Message,
    Prepare,
    PrePrepare,
    ProvenReceipts,
    Reply,
    SignedStatement,
    SyncResponse,
    ViewChange,
    VoteKind,
    encode,
    statement,
)
from p2penergy.signing import (
    EcdsaChecker,
    RefusedSignatureError,
    RenewedSigner,
    SignatureItem,
    Verified,
    certificate_items,
    check_message,
    fingerprint,
    message_items,
    public_key_bytes,
    verify_signature,
)

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BLOCK, OTHER_BLOCK = b"b" * 32, b"o" * 32


def item(message: bytes = b"message", by: int = 0) -> SignatureItem:
    signer = signers()[by]
    return public_keys()[signer.participant_id], message, signer.sign(message)


# ---- one signature --------------------------------------------------------------------------------


@given(st.binary(max_size=200))
@settings(max_examples=30)
def test_a_signature_holds_and_is_the_same_each_time(message: bytes) -> None:
    good = item(message)
    assert verify_signature(good)
    assert len(good[2]) == signing.SIGNATURE_BYTES
    assert item(message) == good


def test_signatures_with_short_numbers_keep_their_length() -> None:
    # About one r or s in 128 begins with a zero byte.
    made = [item(b"%d" % i) for i in range(600)]
    assert any(0 in (signature[0], signature[32]) for _, _, signature in made)
    assert all(len(signature) == 64 for _, _, signature in made)
    assert all(verify_signature(one) for one in made if 0 in (one[2][0], one[2][32]))


def test_every_flipped_bit_of_a_signature_is_refused() -> None:
    key, message, signature = item()
    for place in range(64):
        for bit in range(8):
            flipped = bytearray(signature)
            flipped[place] ^= 1 << bit
            assert not verify_signature((key, message, bytes(flipped)))


def test_another_key_or_message_is_refused() -> None:
    key, message, signature = item()
    assert not verify_signature((item(by=1)[0], message, signature))
    assert not verify_signature((key, message + b"\0", signature))
    assert not verify_signature((key, b"", signature))


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


@pytest.mark.parametrize("wrong", [0, ORDER, ORDER + 1, 2**256 - 1])
def test_numbers_outside_the_group_are_refused(wrong: int) -> None:
    key, message, signature = item()
    assert not verify_signature((key, message, number(wrong) + signature[32:]))
    assert not verify_signature((key, message, signature[:32] + number(wrong)))
    assert not verify_signature((key, message, number(wrong) * 2))


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 72, 128])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    key, message, signature = item()
    assert not verify_signature((key, message, (signature * 2)[:length]))


def test_a_number_with_zeros_before_it_is_refused() -> None:
    # The same two numbers: a second spelling of a signature, longer than it may be.
    key, message, signature = item()
    assert not verify_signature((key, message, signature[:32] + b"\0" + signature[32:]))


GOOD_KEY = public_key_bytes(ec.derive_private_key(1001, ec.SECP256R1()).public_key())


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"\0",
        b"\x02",
        GOOD_KEY[:32],
        GOOD_KEY + b"\0",
        b"\x04" + GOOD_KEY[1:],
        b"\x05" + GOOD_KEY[1:],
        b"\0" + GOOD_KEY[1:],
        b"\x02" + b"\xff" * 32,
        b"\x02" + bytes(31) + b"\x01",
        bytes(33),
        b"\x04" + bytes(64),
    ],
)
def test_a_malformed_key_signs_nothing(key: bytes) -> None:
    _, message, signature = item()
    assert not verify_signature((key, message, signature))
    assert not EcdsaChecker().check(key, message, signature)


def test_an_uncompressed_key_is_not_a_second_spelling_of_a_member() -> None:
    signer = signers()[0]
    _, message, signature = item()
    numbers = signer._key.public_key().public_numbers()
    uncompressed = b"\x04" + number(numbers.x) + number(numbers.y)
    assert not verify_signature((uncompressed, message, signature))


@given(st.binary(max_size=40), st.binary(max_size=10), st.binary(max_size=70))
def test_a_check_never_raises(key: bytes, message: bytes, signature: bytes) -> None:
    assert not EcdsaChecker().check(key, message, signature)


# ---- the cache ------------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[SignatureItem]:
    """The signatures that were really checked."""
    checked: list[SignatureItem] = []

    def counting(one: SignatureItem) -> bool:
        checked.append(one)
        return verify_signature(one)

    monkeypatch.setattr(signing, "verify_signature", counting)
    return checked


def test_a_good_signature_is_checked_once(counted: list[SignatureItem]) -> None:
    checker = EcdsaChecker()
    good = item()
    assert not checker.knows(fingerprint(good))
    assert all(checker.check(*good) for _ in range(3))
    assert checker.knows(fingerprint(good))
    assert counted == [good]


def test_a_bad_signature_is_not_remembered(counted: list[SignatureItem]) -> None:
    checker = EcdsaChecker()
    bad = (item()[0], b"another", item()[2])
    assert not any(checker.check(*bad) for _ in range(3))
    assert not checker.knows(fingerprint(bad))
    assert counted == [bad] * 3


def test_what_is_known_of_one_signature_says_nothing_of_the_next() -> None:
    checker = EcdsaChecker()
    key, message, signature = item()
    assert checker.check(key, message, signature)
    assert not checker.check(key, message + b"!", signature)
    assert not checker.check(item(by=1)[0], message, signature)
    assert not checker.check(key + signature[:1], message, signature[1:])
    assert not checker.check(key, message, signature[:-1])


def test_the_older_half_is_forgotten_at_once() -> None:
    checker = EcdsaChecker(cache_signatures_max=4)
    made = [item(b"%d" % i) for i in range(7)]
    for number, one in enumerate(made, 1):
        checker.remember(fingerprint(one))
        assert checker.remembered <= 4
        # The last half at least is always there.
        assert all(checker.knows(fingerprint(recent)) for recent in made[:number][-2:])
    assert [checker.knows(fingerprint(one)) for one in made] == [False] * 4 + [True] * 3


def test_trimming_keeps_as_many_of_the_newest_as_are_asked_for() -> None:
    checker = EcdsaChecker()
    names = [fingerprint(item(b"%d" % i)) for i in range(6)]
    for name in names[:4]:
        checker.remember(name)
    checker.trim(5)
    checker.trim(4)
    for name in names[4:]:
        checker.remember(name)
    checker.trim(3)
    assert all(map(checker.knows, names))
    checker.trim(2)
    assert [checker.knows(name) for name in names] == [False] * 4 + [True] * 2


def test_bad_signatures_push_no_good_one_out() -> None:
    checker = EcdsaChecker(cache_signatures_max=2)
    good = item()
    checker.check(*good)
    for i in range(10):
        checker.check(good[0], b"%d" % i, good[2])
    assert checker.knows(fingerprint(good))


def test_remembering_the_same_again_pushes_nothing_out() -> None:
    checker = EcdsaChecker(cache_signatures_max=6)
    first, second = item(b"1"), item(b"2")
    for one in (first, second, second, first, second, first):
        checker.remember(fingerprint(one))
    assert checker.knows(fingerprint(first))
    assert checker.knows(fingerprint(second))


def test_what_is_remembered_is_this_key_message_and_signature() -> None:
    checker = EcdsaChecker()
    key, message, signature = item()
    assert checker.check(key, message, signature)
    others = [
        (key[:-1], message, key[-1:] + signature),
        (key + signature[:1], message, signature[1:]),
        (key, signature[-1:] + message, signature[:-1]),
        (key, message[1:], signature + message[:1]),
    ]
    for other in others:
        assert not checker.knows(fingerprint(other))
        assert not checker.check(*other)


def test_large_messages_take_no_more_memory_than_small_ones() -> None:
    checker = EcdsaChecker()
    checker.remember(fingerprint(item(b"x" * 1_000_000)))
    assert all(len(name) == 32 for name in checker._younger)


# ---- messages -------------------------------------------------------------------------------------


def vote(kind: VoteKind, by: int, height: int = 5, view: int = 6, block: bytes = BLOCK) -> bytes:
    signer = signers()[by]
    return signer.sign(statement(kind, CHAIN_ID, signer.participant_id, height, view, block))


def certificate(kind: VoteKind, members: int = 3, view: int = 4) -> Certificate:
    votes = tuple((signers()[i].participant_id, vote(kind, i, view=view)) for i in range(members))
    return Certificate(5, view, BLOCK, votes)


def signed(message: Any, by: int) -> Any:
    return msgspec.structs.replace(message, signature=signers()[by].sign(message.signed_bytes(CHAIN_ID)))


def view_change(by: int, proof: Certificate | None = None) -> ViewChange:
    view, block = (proof.view, proof.digest) if proof else (None, None)
    return signed(ViewChange(signers()[by].participant_id, 5, 6, view, block, bytes(64), proof), by)


def accusation(kind: VoteKind, by: int, block: bytes | None) -> SignedStatement:
    prepared = (4, BLOCK) if kind is VoteKind.VIEW_CHANGE else (None, None)
    plain = SignedStatement(kind, 5, 6, block, *prepared, bytes(64))
    name = signers()[by].participant_id
    return msgspec.structs.replace(plain, signature=signers()[by].sign(plain.signed_bytes(CHAIN_ID, name)))


def name(by: int) -> bytes:
    return signers()[by].participant_id


PC, CC = certificate(VoteKind.PREPARE), certificate(VoteKind.COMMIT)
SIGNED: dict[str, tuple[Any, int]] = {
    "Prepare": (signed(Prepare(name(0), 5, 6, BLOCK, bytes(64)), 0), 1),
    "Commit": (signed(Commit(name(0), 5, 6, BLOCK, bytes(64)), 0), 1),
    "Reply": (
        signed(
            Reply(name(0), 5, BLOCK, b"r" * 32, 1, bytes(64), encode(ProvenReceipts((0,), (b"r",), b""))), 0
        ),
        1,
    ),
    "ViewChange": (view_change(0, PC), 1 + 3),
    "Decided": (Decided(b"block", CC), 3),
    "PrePrepare": (
        signed(
            PrePrepare(
                name(0),
                5,
                6,
                BLOCK,
                bytes(64),
                b"block",
                (view_change(1, PC), view_change(2), view_change(3, certificate(VoteKind.PREPARE, 4))),
                certificate(VoteKind.PREPARE, 5),
            ),
            0,
        ),
        1 + (1 + 3) + 1 + (1 + 4) + 5,
    ),
    "Evidence": (
        Evidence(name(0), accusation(VoteKind.COMMIT, 0, BLOCK), accusation(VoteKind.COMMIT, 0, OTHER_BLOCK)),
        2,
    ),
    "Evidence of view changes": (
        Evidence(
            name(0), accusation(VoteKind.VIEW_CHANGE, 0, None), accusation(VoteKind.VIEW_CHANGE, 0, None)
        ),
        2,
    ),
}
UNSIGNED = {"Request", "Status", "SyncRequest", "SyncResponse", "BlockRequest", "BlockResponse"} | {
    "HeadersRequest",
    "HeadersResponse",
    "CommitteesRequest",
    "CommitteesResponse",
    "SealedRequest",
    "Whereabouts",
    "SnapshotRequest",
    "SnapshotResponse",
    "Refused",
    "Query",
    "Answer",
}
cases = pytest.mark.parametrize(("message", "count"), SIGNED.values(), ids=SIGNED)


def check(message: Message, key_of: Callable[[bytes], bytes | None] | None = None) -> Verified[Message]:
    return check_message(message, encode(message), CHAIN_ID, key_of or public_keys().get, EcdsaChecker())


def leaves(value: Any) -> Iterator[tuple[Any, ...]]:
    """Paths of everything in a message: field names and places."""
    if isinstance(value, msgspec.Struct):
        parts: Any = [(field, getattr(value, field)) for field in value.__struct_fields__]
    elif isinstance(value, tuple):
        parts = list(enumerate(value))
    else:
        yield ()
        return
    for step, part in parts:
        yield from ((step, *rest) for rest in leaves(part))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step] if isinstance(value, tuple) else getattr(value, step)
    return value


def with_leaf(value: Any, path: tuple[Any, ...], leaf: Any) -> Any:
    if not path:
        return leaf
    step, rest = path[0], path[1:]
    if isinstance(value, tuple):
        return tuple(with_leaf(part, rest, leaf) if i == step else part for i, part in enumerate(value))
    return msgspec.structs.replace(value, **{step: with_leaf(getattr(value, step), rest, leaf)})


def test_every_kind_is_either_signed_or_known_to_be_unsigned() -> None:
    kinds = {kind.__name__ for kind in KINDS}
    assert kinds - UNSIGNED == {case.split()[0] for case in SIGNED}
    for kind in KINDS:
        if kind.__name__ in UNSIGNED:
            assert message_items(full(kind), CHAIN_ID, {}.get) == []


@cases
def test_a_well_signed_message_is_verified(message: Any, count: int) -> None:
    verified = check(message)
    assert verified.message is message
    assert verified.raw == encode(message)
    assert len(message_items(message, CHAIN_ID, public_keys().get)) == count


@cases
def test_one_bad_signature_anywhere_refuses_the_message(message: Any, count: int) -> None:
    paths = [
        path
        for path in leaves(message)
        if isinstance(at(message, path), bytes) and len(at(message, path)) == 64
    ]
    assert len(paths) == count
    for path in paths:
        broken = bytearray(at(message, path))
        broken[40] ^= 1
        with pytest.raises(RefusedSignatureError) as caught:
            check(with_leaf(message, path, bytes(broken)))
        assert caught.value.code == "bad_signature"


@cases
def test_one_unknown_signer_anywhere_refuses_the_message(message: Any, count: int) -> None:
    everybody = {at(message, path) for path in leaves(message) if at(message, path) in public_keys()}
    assert everybody
    for stranger in everybody:
        known = {member: key for member, key in public_keys().items() if member != stranger}
        with pytest.raises(RefusedSignatureError, match=stranger.hex()) as caught:
            check(message, known.get)
        assert caught.value.code == "unknown_signer"


@cases
def test_every_signer_is_asked_for_by_name(message: Any, count: int) -> None:
    # The same signatures under another member's name do not hold.
    for path in leaves(message):
        if at(message, path) in public_keys():
            with pytest.raises(RefusedSignatureError):
                check(with_leaf(message, path, name(6)))


@cases
def test_nothing_verifies_on_another_chain(message: Any, count: int) -> None:
    with pytest.raises(RefusedSignatureError):
        check_message(message, encode(message), b"x" * 32, public_keys().get, EcdsaChecker())


@pytest.mark.parametrize("field", ["height", "view", "digest"])
@pytest.mark.parametrize("case", ["Prepare", "Commit", "PrePrepare", "ViewChange", "Decided"])
def test_what_a_vote_says_is_under_its_signature(case: str, field: str) -> None:
    message = SIGNED[case][0]
    for path in leaves(message):
        if path[-1] == field:
            value = at(message, path)
            other = OTHER_BLOCK if isinstance(value, bytes) else value + 1
            with pytest.raises(RefusedSignatureError):
                check(with_leaf(message, path, other))


@pytest.mark.parametrize("field", ["prepared_view", "prepared_digest"])
def test_what_a_view_change_says_was_prepared_is_under_its_signature(field: str) -> None:
    change = SIGNED["ViewChange"][0]
    other = 3 if field == "prepared_view" else OTHER_BLOCK
    for value in (other, None):
        with pytest.raises(RefusedSignatureError):
            check(msgspec.structs.replace(change, **{field: value}))


@pytest.mark.parametrize("field", ["height", "digest", "receipts_root", "receipts_count"])
def test_what_a_reply_says_is_under_its_signature(field: str) -> None:
    reply = SIGNED["Reply"][0]
    value = getattr(reply, field)
    with pytest.raises(RefusedSignatureError):
        check(
            msgspec.structs.replace(reply, **{field: OTHER_BLOCK if isinstance(value, bytes) else value + 1})
        )


def test_a_vote_of_one_kind_is_not_a_vote_of_another() -> None:
    prepare = SIGNED["Prepare"][0]
    with pytest.raises(RefusedSignatureError):
        check(Commit(prepare.sender, 5, 6, BLOCK, prepare.signature))
    with pytest.raises(RefusedSignatureError):
        check(Decided(b"block", PC))
    with pytest.raises(RefusedSignatureError):
        check(view_change(0, CC))


def test_a_certificate_names_its_signatures_in_order() -> None:
    items = list(certificate_items(PC, VoteKind.PREPARE, CHAIN_ID, public_keys().get))
    assert [signature for _, _, signature in items] == [signature for _, signature in PC.votes]
    assert [key for key, _, _ in items] == [public_keys()[member] for member in PC.members()]
    with pytest.raises(RefusedSignatureError):
        list(certificate_items(PC, VoteKind.PREPARE, CHAIN_ID, {}.get))


def test_a_sync_response_is_left_to_the_chain() -> None:
    # Its signers may be members that only its own earlier blocks bring in.
    message = SyncResponse(9, (Decided(b"block", CC),))
    assert check(message, {}.get).message is message


def test_a_renewed_member_signs_with_the_newest_key_or_as_it_is_known() -> None:
    class Named:
        def __init__(self, name: bytes) -> None:
            self.participant_id, self._name = b"p" * 20, name

        def sign(self, message: bytes) -> bytes:
            return self._name + message

    old, new = Named(b"old "), Named(b"new ")
    signer = RenewedSigner(new, {b"k1": old, b"k2": new})
    assert signer.participant_id == new.participant_id
    assert signer.sign(b"m") == b"new m"
    known = signer.under(b"k1")
    assert known is not None
    assert known.sign(b"m") == b"old m"
    assert signer.under(b"k3") is None
