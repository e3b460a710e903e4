"""The wire's shapes: one encoding per message, limits in the types, and nothing else is let in."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import CHAIN_ID, KINDS, any_message, full, of_shape

from p2penergy import messages
from p2penergy.digests import TAG_BLOCK, TAG_CERTIFICATE, TAG_REPLY, TAG_VOTE, digest
from p2penergy.messages import (
    Block,
    Certificate,
    Commit,
    Decided,
    Evidence,
    Header,
    MalformedMessageError,
    Prepare,
    PrePrepare,
    ProvenReceipts,
    Reply,
    SignedStatement,
    SyncResponse,
    ViewChange,
    VoteKind,
    certificate_digest,
    decode_block,
    decode_certificate,
    decode_header,
    decode_message,
    decode_receipts,
    encode,
    header_digest,
    reply_statement,
    statement,
)

ID, DIGEST, SIGNATURE = b"i" * 20, b"d" * 32, b"s" * 64
SEAL = messages.ProvenSeal(0, ID, b"s", ())
VOTE = (ID, SIGNATURE)
CERTIFICATE = Certificate(5, 6, DIGEST, (VOTE,))

DECODERS: dict[type[Any], Callable[[bytes], Any]] = {
    Block: decode_block,
    Header: decode_header,
    Certificate: decode_certificate,
    ProvenReceipts: decode_receipts,
}
SHAPES = [*KINDS, *DECODERS]


def decode(shape: type[Any], data: bytes) -> Any:
    return DECODERS.get(shape, decode_message)(data)


def refuse(shape: type[Any], data: bytes) -> MalformedMessageError:
    with pytest.raises(MalformedMessageError) as caught:
        decode(shape, data)
    assert caught.value.code in {"malformed", "not_canonical"}
    return caught.value


def refuse_or_differ(shape: type[Any], data: bytes, original: Any) -> None:
    """The bytes are refused, or are the one encoding of something other than `original`."""
    try:
        value = decode(shape, data)
    except MalformedMessageError:
        return
    assert value != original
    assert encode(value) == data


# ---- one encoding ---------------------------------------------------------------------------------


@given(any_message())
def test_a_message_survives_the_wire(message: Any) -> None:
    data = encode(message)
    assert decode_message(data) == message
    assert encode(decode_message(data)) == data


@pytest.mark.parametrize("shape", DECODERS)
@settings(max_examples=30)
@given(data=st.data())
def test_what_travels_inside_of_messages_survives_the_wire(shape: type[Any], data: st.DataObject) -> None:
    value = data.draw(of_shape(shape))
    assert decode(shape, encode(value)) == value


def test_kinds_have_tags_of_their_own() -> None:
    assert len(KINDS) == 24
    assert sorted(kind.__struct_config__.tag for kind in KINDS) == list(range(1, 25))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_flipped_bit_is_refused_or_is_another_message(shape: type[Any]) -> None:
    original = full(shape)
    data = encode(original)
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            refuse_or_differ(shape, bytes(flipped), original)


@given(any_message(), st.data())
def test_any_flipped_bit_is_refused_or_is_another_message(message: Any, data: st.DataObject) -> None:
    flipped = bytearray(encode(message))
    flipped[data.draw(st.integers(0, len(flipped) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    refuse_or_differ(type(message), bytes(flipped), message)


@given(st.binary(max_size=300))
def test_noise_is_refused(data: bytes) -> None:
    for shape in (messages.Message, *DECODERS):
        refuse_or_differ(shape, data, None)


@pytest.mark.parametrize("shape", SHAPES)
def test_truncated_or_continued_bytes_are_refused(shape: type[Any]) -> None:
    data = encode(full(shape))
    for length in range(len(data)):
        refuse(shape, data[:length])
    for more in (b"\0", b"\xc0", data):
        refuse(shape, data + more)


# ---- the same values, otherwise encoded -----------------------------------------------------------


def nodes(tree: Any, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Any]]:
    yield path, tree
    if isinstance(tree, list):
        for index, part in enumerate(tree):
            yield from nodes(part, (*path, index))


def replaced(tree: Any, path: tuple[int, ...], value: Any) -> Any:
    if not path:
        return value
    return [replaced(part, path[1:], value) if i == path[0] else part for i, part in enumerate(tree)]


class Raw(bytes):
    """Bytes to be put into an encoding as they are."""


def pack(tree: Any) -> bytes:
    if isinstance(tree, Raw):
        return bytes(tree)
    if isinstance(tree, list):
        return msgpack.packb([None] * len(tree))[: -len(tree) or None] + b"".join(map(pack, tree))
    encoded: bytes = msgpack.packb(tree)
    return encoded


def wide_forms(value: Any) -> Iterator[bytes]:
    """Every longer msgpack form of the same value."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, int):
        forms = [
            (0xCC, "B"),
            (0xCD, "H"),
            (0xCE, "I"),
            (0xCF, "Q"),
            (0xD0, "b"),
            (0xD1, "h"),
            (0xD2, "i"),
            (0xD3, "q"),
        ]
        heads, body = [], b""
        for head, kind in forms:
            try:
                heads.append(bytes([head]) + struct.pack(">" + kind, value))
            except struct.error:
                continue
    elif isinstance(value, bytes | str):
        body = value if isinstance(value, bytes) else value.encode()
        first = 0xC4 if isinstance(value, bytes) else 0xD9
        heads = [
            bytes([first + i]) + len(body).to_bytes(1 << i, "big")
            for i in range(3)
            if len(body) < 1 << (8 << i)
        ]
    else:
        body = b"".join(map(pack, value))
        heads = [b"\xdc" + len(value).to_bytes(2, "big"), b"\xdd" + len(value).to_bytes(4, "big")]
    for head in heads:
        if head + body != pack(value):
            yield head + body


@pytest.mark.parametrize("shape", SHAPES)
def test_no_value_may_be_encoded_longer_than_need_be(shape: type[Any]) -> None:
    data = encode(full(shape))
    tree = msgpack.unpackb(data)
    assert pack(tree) == data
    tried = 0
    for path, value in nodes(tree):
        for form in wide_forms(value):
            error = refuse(shape, pack(replaced(tree, path, Raw(form))))
            # The tag is compared by the decoder itself; all else decodes and is caught by re-encoding.
            assert error.code == "not_canonical" or path == (0,)
            tried += 1
    assert tried


ODD = [
    None,
    True,
    -1,
    0,
    2**63,
    2**64 - 1,
    1.0,
    5.0,
    "",
    "a" * 20,
    "a" * 32,
    "a" * 64,
    b"",
    b"x" * 19,
    b"x" * 33,
    [],
    [1],
    {},
    {0: 1},
    Raw(struct.pack(">Bd", 0xCB, float("nan"))),
    Raw(struct.pack(">Bf", 0xCA, float("inf"))),
    Raw(b"\xd4\x01\x05"),
    Raw(b"\xc7\x20\x05" + b"d" * 32),
    Raw(b"\xd6\xff" + b"\0" * 4),
    Raw(b"\xc1"),
    Raw(b"\xd9\x02\xff\xfe"),
    Raw(b"\x91" * 50_000 + b"\xc0"),
    Raw(b"\x81\x01" * 50_000 + b"\xc0"),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_value_of_another_type_is_refused_or_is_another_message(shape: type[Any]) -> None:
    original = full(shape)
    tree = msgpack.unpackb(encode(original))
    for path, value in nodes(tree):
        for odd in ODD:
            if type(odd) is type(value) and odd == value:
                continue
            refuse_or_differ(shape, pack(replaced(tree, path, odd)), original)


@pytest.mark.parametrize("shape", SHAPES)
def test_text_is_not_bytes_and_bytes_are_not_text(shape: type[Any]) -> None:
    tree = msgpack.unpackb(encode(full(shape)))
    for path, value in nodes(tree):
        if isinstance(value, bytes):
            refuse(shape, pack(replaced(tree, path, value.decode())))
        if isinstance(value, str):
            refuse(shape, pack(replaced(tree, path, value.encode())))
            refuse(shape, pack(replaced(tree, path, Raw(b"\xa2\xff\xfe"))))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_field_more_or_less_or_twice_is_refused(shape: type[Any]) -> None:
    original = full(shape)
    tree = msgpack.unpackb(encode(original))
    fixed = list(fixed_arrays(tree, original))
    assert fixed
    for path in fixed:
        array = tree
        for index in path:
            array = array[index]
        for wrong in ([*array, None], [*array, array[-1]], [*array, Raw(b"\x91" * 9999 + b"\xc0")]):
            # Refused before anything is made of it, however deep the surplus goes.
            assert refuse(shape, pack(replaced(tree, path, wrong))).code == "malformed"
        for wrong in ([array[0], *array], array[:-1], array[1:], []):
            refuse(shape, pack(replaced(tree, path, wrong)))


def fixed_arrays(tree: Any, value: Any, path: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """Paths of the arrays whose length the type fixes: structs and pairs."""
    if hasattr(value, "__struct_fields__"):
        yield path
        parts = [getattr(value, name) for name in value.__struct_fields__]
        offset = len(tree) - len(parts)
    elif isinstance(value, tuple):
        if len(value) > 1:
            yield path
        parts, offset = list(value), 0
    else:
        return
    for index, part in enumerate(parts):
        yield from fixed_arrays(tree[index + offset], part, (*path, index + offset))


def test_a_missing_optional_field_is_not_the_same_as_none() -> None:
    change = ViewChange(ID, 5, 6, None, None, SIGNATURE)
    tree = msgpack.unpackb(encode(change))
    assert tree[-1] is None
    assert refuse(ViewChange, pack(tree[:-1])).code == "not_canonical"


@pytest.mark.parametrize("tag", [0, 19, -1, 255, "PrePrepare", None, 2.0, b"\x02"])
def test_an_unknown_kind_is_refused(tag: Any) -> None:
    tree = msgpack.unpackb(encode(full(PrePrepare)))
    assert refuse(PrePrepare, pack([tag, *tree[1:]])).code == "malformed"


def test_one_kind_is_not_taken_for_another() -> None:
    tree = msgpack.unpackb(encode(full(Prepare)))
    assert isinstance(decode_message(pack([4, *tree[1:]])), Commit)
    for shape, other in itertools.permutations(DECODERS, 2):
        refuse(shape, encode(full(other)))
    for kind in KINDS:
        for shape in DECODERS:
            refuse(shape, encode(full(kind)))


# ---- limits ---------------------------------------------------------------------------------------

TRANSACTION = b"t"
DECIDED = Decided(b"b", Certificate(1, 1, DIGEST, ()))
CHANGE = ViewChange(ID, 5, 6, None, None, SIGNATURE)
HEADER = full(Header)

LIMITED: list[tuple[str, int, Callable[[int], Any]]] = [
    ("votes of a certificate", 200, lambda n: Decided(b"b", Certificate(1, 1, DIGEST, (VOTE,) * n))),
    ("bytes of a decided block", 3 * 2**20, lambda n: Decided(b"b" * n, CERTIFICATE)),
    (
        "bytes of a proposed block",
        3 * 2**20,
        lambda n: PrePrepare(ID, 1, 1, DIGEST, SIGNATURE, b"b" * n, (), None),
    ),
    ("bytes of a block sent alone", 3 * 2**20, lambda n: messages.BlockResponse(1, b"b" * n)),
    ("justifications", 200, lambda n: PrePrepare(ID, 1, 1, DIGEST, SIGNATURE, b"b", (CHANGE,) * n, None)),
    ("blocks of a sync", 256, lambda n: SyncResponse(9, (DECIDED,) * n)),
    ("blocks asked for", 256, lambda n: messages.SyncRequest(1, n)),
    ("headers asked for", 1024, lambda n: messages.HeadersRequest(1, n)),
    ("headers", 1024, lambda n: messages.HeadersResponse(((HEADER, CERTIFICATE),) * n)),
    ("committees asked for", 64, lambda n: messages.CommitteesRequest((DIGEST,) * n)),
    ("committees told", 64, lambda n: messages.CommitteesResponse((((ID, b"k" * 33),),) * n)),
    ("members told", 200, lambda n: messages.CommitteesResponse((((ID, b"k" * 33),) * n,))),
    ("seals of a request", 200, lambda n: messages.SealedRequest(b"r", False, 1, (SEAL,) * n)),
    ("seals that there are", 200, lambda n: messages.SealedRequest(b"r", False, n, ())),
    (
        "bytes of a seal",
        8_289,
        lambda n: messages.SealedRequest(b"r", True, 1, (messages.ProvenSeal(0, ID, b"s" * n, ()),)),
    ),
    ("transactions of a request", 10_000, lambda n: messages.Request((TRANSACTION,) * n, False)),
    ("bytes of a transaction", 64 * 1024, lambda n: messages.Request((b"t" * n,), False)),
    ("transactions of a block", 20_000, lambda n: Block(HEADER, (TRANSACTION,) * n, None)),
    ("bytes of a transaction in a block", 64 * 1024, lambda n: Block(HEADER, (b"t" * n,), None)),
    ("bytes of a reply's receipts", 2 * 2**20, lambda n: reply_of(b"r" * n)),
    ("numbers of receipts", 20_000, lambda n: ProvenReceipts((0,) * n, (b"r",), b"")),
    ("receipts", 20_000, lambda n: ProvenReceipts((0,), (b"r",) * n, b"")),
    ("bytes of a receipt", 16 * 1024, lambda n: ProvenReceipts((0,), (b"r" * n,), b"")),
    ("bytes of siblings", 2 * 2**20, lambda n: ProvenReceipts((0,), (b"r",), b"s" * n)),
    (
        "links of a Merkle path",
        64,
        lambda n: messages.SealedRequest(b"r", True, 1, (seal_with((DIGEST,) * n),)),
    ),
    ("characters of a code", 256, lambda n: messages.Refused(DIGEST, "ä" * n, "")),
    ("characters of a sentence", 256, lambda n: messages.Refused(DIGEST, "", "ä" * n)),
    ("characters of a topic", 256, lambda n: messages.Query(1, "ä" * n, b"")),
    ("bytes of a question", 64 * 1024, lambda n: messages.Query(1, "t", b"q" * n)),
    ("bytes of an answer", 4 * 2**20, lambda n: messages.Answer(1, True, b"a" * n)),
    ("a height", 2**63 - 1, lambda n: messages.Status(n, 0)),
    ("a view", 2**63 - 1, lambda n: messages.Status(0, n)),
]


def reply_of(receipts: bytes) -> Reply:
    return Reply(ID, 1, DIGEST, DIGEST, 1, SIGNATURE, receipts)


def seal_with(path: tuple[bytes, ...]) -> messages.ProvenSeal:
    return messages.ProvenSeal(0, ID, b"s", path)


@pytest.mark.parametrize(("limit", "make"), [case[1:] for case in LIMITED], ids=[case[0] for case in LIMITED])
def test_the_limit_is_let_in_and_one_more_is_refused(limit: int, make: Callable[[int], Any]) -> None:
    most = make(limit)
    assert decode(type(most), encode(most)) == most
    assert refuse(type(most), encode(make(limit + 1))).code == "malformed"


@pytest.mark.parametrize(
    "empty",
    [
        messages.Request((), False),
        messages.Request((b"",), False),
        messages.SyncRequest(1, 0),
        messages.HeadersRequest(1, 0),
        messages.BlockResponse(1, b""),
        Decided(b"", CERTIFICATE),
        PrePrepare(ID, 1, 1, DIGEST, SIGNATURE, b"", (), None),
        reply_of(b""),
        ProvenReceipts((0,), (b"",), b""),
        messages.Status(-1, 0),
    ],
)
def test_what_must_not_be_empty_is_refused_empty(empty: Any) -> None:
    assert refuse(type(empty), encode(empty)).code == "malformed"


@pytest.mark.parametrize("length", [0, 19, 21])
def test_an_id_has_twenty_bytes(length: int) -> None:
    refuse(Prepare, encode(Prepare(b"i" * length, 1, 1, DIGEST, SIGNATURE)))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_digest_has_32_bytes(length: int) -> None:
    refuse(Prepare, encode(Prepare(ID, 1, 1, b"d" * length, SIGNATURE)))
    refuse(
        messages.SealedRequest, encode(messages.SealedRequest(b"r", True, 1, (seal_with((b"d" * length,)),)))
    )


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_has_64_bytes(length: int) -> None:
    refuse(Prepare, encode(Prepare(ID, 1, 1, DIGEST, b"s" * length)))
    refuse(Decided, encode(Decided(b"b", Certificate(1, 1, DIGEST, ((ID, b"s" * length),)))))


@pytest.mark.parametrize("number", [0, 3, 255])
def test_an_unknown_stage_or_vote_is_refused(number: int) -> None:
    tree = msgpack.unpackb(encode(HEADER))
    for name in ("stage", "next_stage"):
        refuse(Header, pack(replaced(tree, (Header.__struct_fields__.index(name),), number)))
    if number != 3:
        evidence = msgpack.unpackb(encode(full(Evidence)))
        refuse(Evidence, pack(replaced(evidence, (2, 0), number)))


# ---- what is signed, what is digested -------------------------------------------------------------

statements = st.tuples(
    st.sampled_from(VoteKind),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=20, max_size=20),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
)


def test_a_statement_by_hand() -> None:
    signed = statement(VoteKind.COMMIT, CHAIN_ID, ID, 5, 6, DIGEST)
    assert signed == TAG_VOTE + b"\3" + CHAIN_ID + ID + bytes(7) + b"\5" + bytes(7) + b"\6" + DIGEST
    reply = reply_statement(CHAIN_ID, ID, 5, DIGEST, b"r" * 32, 7)
    assert reply == TAG_REPLY + CHAIN_ID + ID + bytes(7) + b"\5" + DIGEST + b"r" * 32 + bytes(7) + b"\7"


@given(statements, statements)
def test_two_statements_never_have_the_same_bytes(one: Any, other: Any) -> None:
    assert (statement(*one) == statement(*other)) == (one == other)


@given(statements, st.integers(0, 5), st.data())
def test_each_part_of_a_statement_is_signed(parts: Any, which: int, data: st.DataObject) -> None:
    changed = list(parts)
    changed[which] = data.draw(statements)[which]
    assert (statement(*changed) == statement(*parts)) == (changed[which] == parts[which])


VOTES = {
    VoteKind.PRE_PREPARE: PrePrepare(ID, 5, 6, DIGEST, SIGNATURE, b"block", (), None),
    VoteKind.PREPARE: Prepare(ID, 5, 6, DIGEST, SIGNATURE),
    VoteKind.COMMIT: Commit(ID, 5, 6, DIGEST, SIGNATURE),
}


@pytest.mark.parametrize("kind", VOTES)
def test_a_vote_signs_its_own_kind_and_all_its_fields(kind: VoteKind) -> None:
    vote = VOTES[kind]
    assert vote.signed_bytes(CHAIN_ID) == statement(kind, CHAIN_ID, ID, 5, 6, DIGEST)
    plain = SignedStatement(kind, 5, 6, DIGEST, None, None, SIGNATURE)
    assert plain.signed_bytes(CHAIN_ID, ID) == vote.signed_bytes(CHAIN_ID)


@pytest.mark.parametrize(("view", "prepared"), [(None, None), (0, bytes(32)), (4, DIGEST)])
def test_a_view_change_signs_what_was_prepared(view: int | None, prepared: bytes | None) -> None:
    change = ViewChange(ID, 5, 6, view, prepared, SIGNATURE)
    tail = bytes([view is not None]) + (view or 0).to_bytes(8, "big") + (prepared or bytes(32))
    assert (
        change.signed_bytes(CHAIN_ID) == statement(VoteKind.VIEW_CHANGE, CHAIN_ID, ID, 5, 6, bytes(32)) + tail
    )
    plain = SignedStatement(VoteKind.VIEW_CHANGE, 5, 6, None, view, prepared, SIGNATURE)
    assert plain.signed_bytes(CHAIN_ID, ID) == change.signed_bytes(CHAIN_ID)


def test_a_view_change_signs_the_same_with_and_without_its_certificate() -> None:
    bare = ViewChange(ID, 5, 6, 4, DIGEST, SIGNATURE)
    assert ViewChange(ID, 5, 6, 4, DIGEST, SIGNATURE, CERTIFICATE).signed_bytes(
        CHAIN_ID
    ) == bare.signed_bytes(CHAIN_ID)


def test_a_statement_that_no_message_makes_is_signed_by_no_message() -> None:
    # A VIEW-CHANGE has no digest; one in an accusation must not pass for one without.
    plain = SignedStatement(VoteKind.VIEW_CHANGE, 5, 6, DIGEST, None, None, SIGNATURE)
    assert plain.signed_bytes(CHAIN_ID, ID) != CHANGE.signed_bytes(CHAIN_ID)


@given(of_shape(Reply), of_shape(Reply))
def test_a_reply_signs_all_but_the_receipts(one: Reply, other: Reply) -> None:
    def signed(reply: Reply) -> tuple[Any, ...]:
        return reply.sender, reply.height, reply.digest, reply.receipts_root, reply.receipts_count

    assert one.signed_bytes(CHAIN_ID) == reply_statement(CHAIN_ID, *signed(one))
    assert (one.signed_bytes(CHAIN_ID) == other.signed_bytes(CHAIN_ID)) == (signed(one) == signed(other))


@pytest.mark.parametrize(
    ("members", "ordered"),
    [("", True), ("a", True), ("abc", True), ("aa", False), ("ba", False), ("acb", False), ("abb", False)],
)
def test_a_certificate_knows_whether_its_members_ascend(members: str, ordered: bool) -> None:
    names = tuple(letter.encode() * 20 for letter in members)
    certificate = Certificate(5, 6, DIGEST, tuple((name, SIGNATURE) for name in names))
    assert certificate.members() == names
    assert certificate.is_ordered() is ordered


@given(of_shape(Header), of_shape(Header))
def test_headers_have_digests_of_their_own(one: Header, other: Header) -> None:
    assert header_digest(one) == digest(TAG_BLOCK, encode(one))
    assert (header_digest(one) == header_digest(other)) == (one == other)


def test_no_certificate_has_the_digest_of_zeros() -> None:
    assert certificate_digest(None) == bytes(32)
    assert certificate_digest(CERTIFICATE) == digest(TAG_CERTIFICATE, encode(CERTIFICATE))
