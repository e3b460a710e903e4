"""What is fuzzed: one function of bytes per decoder, each with what it must never do.

A target raises nothing: it takes what its decoder documents, and checks what must hold of whatever is let in:
one encoding per value, no foreign block, no forgotten commit. Anything that gets out is a finding.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import get_args

import msgspec
from msgspec.structs import replace
from samples import KINDS, full, small_genesis

from p2penergy import config, genesis
from p2penergy.agents.settings import SettingsError, parse_settings
from p2penergy.committees import Roll
from p2penergy.config import ConfigError
from p2penergy.consensus.effects import DecidedRecord
from p2penergy.genesis import GenesisError
from p2penergy.grid.csv_tables import DataError
from p2penergy.household.letters import Letter, decode_letter
from p2penergy.household.offers import OffersFile, decode_offers
from p2penergy.ledger import keys, transactions
from p2penergy.ledger.bucket_tree import BucketTree
from p2penergy.ledger.membership_pool import MembershipPool
from p2penergy.ledger.memberships import Verdict
from p2penergy.ledger.pool import Pool
from p2penergy.ledger.receipts import Receipt, decode_receipt, encode_receipt, sentence
from p2penergy.ledger.records import TipRecord, encode_record
from p2penergy.ledger.snapshot import Snapshot, WrongPartError, read_part
from p2penergy.market.negotiation import Acceptance, Negotiation, Negotiations, Offer, Rejection, Stand
from p2penergy.messages import (
    Block,
    Certificate,
    Header,
    MalformedMessageError,
    Stage,
    decode_block,
    decode_certificate,
    decode_header,
    decode_message,
    encode,
    header_digest,
)
from p2penergy.meters.csv_rows import parse_samples
from p2penergy.meters.payload import decode_payload
from p2penergy.meters.registers import Limits, Registers
from p2penergy.meters.samples import AT_S_MAX, SampleError
from p2penergy.post import Posted, PostError, PostOffice, Waiting, decode_letters, encode_forget
from p2penergy.proofs import ReceiptProof, decode_proof
from p2penergy.signing import EcdsaChecker, message_items
from p2penergy.snapshots.files import SnapshotError, read_file, write_file
from p2penergy.store import FILE_NAME, Store, StoreError
from p2penergy.store.prefix import header_of_prefix
from p2penergy.store.results import decode_results, encode_results
from p2penergy.store.wal import first_lost_frame
from transport.errors import FrameRefused, HelloRefused
from transport.framing import FrameDecoder, encode_frame
from transport.hello import Hello, decode_hello, encode_hello
from transport.limits import Limits as WireLimits

CHAIN = b"c" * 32
KEY = b"\2" + b"k" * 32
HEIGHTS = 4


@dataclass(frozen=True)
class Target:
    """A function to be fuzzed, and genuine inputs to begin with."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    examples: int = 60
    """Of Hypothesis, in the default tests."""


# ---- the transport --------------------------------------------------------------------------------


def framing(data: bytes) -> None:
    """Whole, and cut at a place that the data chooses: the same payloads, or the same refusal."""
    whole, cut = _frames(data, len(data)), _frames(data, 1 + (data[0] if data else 0))
    assert whole == cut


def _frames(data: bytes, step: int) -> tuple[list[bytes], str]:
    decoder, found = FrameDecoder(4096), []
    try:
        for start in range(0, len(data), max(step, 1)):
            found += decoder.feed(data[start : start + max(step, 1)])
        decoder.end()
    except FrameRefused as refused:
        # A refusal takes the payloads of its own call with it.
        return [], refused.code
    assert b"".join(encode_frame(payload) for payload in found) == data
    return found, ""


def hello(data: bytes) -> None:
    """A HELLO has one encoding."""
    with contextlib.suppress(HelloRefused):
        assert encode_hello(decode_hello(data, WireLimits())) == data


# ---- the wire -------------------------------------------------------------------------------------


def message(data: bytes) -> None:
    """Every kind of message, its signatures and its signed bytes."""
    with contextlib.suppress(MalformedMessageError):
        decoded = decode_message(data)
        assert encode(decoded) == data
        for key, signed, signature in message_items(decoded, CHAIN, lambda _who: KEY):
            assert (key, len(signature)) == (KEY, 64)
            assert CHAIN in signed


def block(data: bytes) -> None:
    """A block, and its header from its first bytes."""
    with contextlib.suppress(MalformedMessageError):
        decoded = decode_block(data)
        assert encode(decoded) == data
        assert header_of_prefix(data, header_digest(decoded.header)) == decoded.header


def header(data: bytes) -> None:
    """A header has one encoding."""
    with contextlib.suppress(MalformedMessageError):
        assert encode(decode_header(data)) == data


def prefix(data: bytes) -> None:
    """A header is found in a block's beginning only if it is the right one."""
    found = header_of_prefix(data[32:], data[:32])
    assert found is None or header_digest(found) == data[:32]


def certificate(data: bytes) -> None:
    """A certificate has one encoding, and order or none."""
    with contextlib.suppress(MalformedMessageError):
        decoded = decode_certificate(data)
        assert encode(decoded) == data
        assert decoded.is_ordered() == (list(decoded.members()) == sorted(set(decoded.members())))


def proof(data: bytes) -> None:
    """A proof of a receipt has one encoding."""
    with contextlib.suppress(MalformedMessageError):
        assert encode(decode_proof(data)) == data


def post_office(data: bytes) -> None:
    """Whatever is left or asked for, the office answers or refuses, and holds one letter at most."""
    office = PostOffice(lambda _who: True, lambda: 0)
    with contextlib.suppress(PostError):
        office.post(b"s" * 20, data)
        assert len(office) == 1
    with contextlib.suppress(PostError):
        assert decode_letters(office.collect(b"r" * 20, data)) == ()
    with contextlib.suppress(MalformedMessageError):
        assert msgspec.msgpack.encode(decode_letters(data)) == data


def letter(data: bytes) -> None:
    """What a member sealed, and what a household's negotiations make of it."""
    with contextlib.suppress(MalformedMessageError):
        decoded = decode_letter(data)
        assert encode(decoded) == data
        kept = Negotiations(decoded.reader, CHAIN)
        code = kept.take(decoded.sender, decoded.word, 0, lambda _terms, _signature: False)
        assert len(kept) == (code is None)
        kept.expire(2**62)
        assert not len(kept)


def offers_file(data: bytes) -> None:
    """A household's file of open offers."""
    with contextlib.suppress(MalformedMessageError):
        decoded = decode_offers(data)
        assert encode(decoded) == data
        Negotiations(b"o" * 20, CHAIN, decoded.kept).expire(0)


# ---- the ledger -----------------------------------------------------------------------------------


def transaction(data: bytes) -> None:
    """What parses has one encoding, an id, keys that can be shown, and an answer of the pool."""
    checker = EcdsaChecker()
    get = {keys.TIP: encode_record(TipRecord(0, Stage.VALIDATION))}.get
    pool = Pool(CHAIN, checker, 96, get, MembershipPool(CHAIN, checker, 96, get, None, lambda: Roll.of({})))
    answer = pool.check(data)
    assert not answer.accepted
    assert len(pool.signature_items(data)) <= 1  # a newcomer brings its own key
    try:
        submitted = transactions.parse(data, CHAIN)
    except MalformedMessageError as error:
        assert answer.code in (error.code, "too_large")
        return
    value = submitted.transaction
    assert encode(value) == data
    assert transactions.transaction_id(value, CHAIN) == submitted.transaction_id
    assert submitted.signed == transactions.signed_bytes(value, CHAIN)
    assert CHAIN in submitted.signed
    if isinstance(value, Verdict):
        return  # answered with the request that it is about
    key = transactions.answer_key(value)
    assert keys.parse_text(keys.text(key)) == key
    assert transactions.submitter_of(value) in transactions.concerned(value)


def receipt(data: bytes) -> None:
    """A receipt from a store, and its sentence."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        decoded = decode_receipt(data)
        assert sentence(decoded)
        assert decode_receipt(encode_receipt(decoded)) == decoded


def key_text(data: bytes) -> None:
    """A key of the state as people write it."""
    with contextlib.suppress(ValueError):
        shown = data.decode("ascii")
        assert keys.text(keys.parse_text(shown)) == shown


def snapshot_part(data: bytes) -> None:
    """No bytes are a part of the empty state, but those of an empty list."""
    roots = bytes(32 * 256)
    with contextlib.suppress(WrongPartError):
        read_part(data[0] if data else 0, data[1:], roots)
        raise AssertionError("a part of a state whose root nobody knows")


# ---- what is read from the disk -------------------------------------------------------------------


@lru_cache(maxsize=1)
def _scratch() -> Path:
    # In memory where there is such a place: thousands of small files, each synced.
    place = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="p2penergy-fuzz-", dir=place if place.is_dir() else None))


def cleanup() -> None:
    """Remove what the targets left on the disk."""
    if _scratch.cache_info().currsize:
        shutil.rmtree(_scratch(), ignore_errors=True)
        _scratch.cache_clear()
        killed_store.cache_clear()


def results(data: bytes) -> None:
    """What executing a block wrote."""
    with contextlib.suppress(ValueError):
        found = decode_results(data)
        again = encode_results(found.transaction_ids, found.receipts, found.versions, found.previous)
        assert decode_results(again)[:2] == found[:2]


def snapshot_file(data: bytes) -> None:
    """A snapshot's file is what it says of itself, or an error."""
    path = _scratch() / "fuzzed.snapshot"
    path.write_bytes(data)
    with contextlib.suppress(SnapshotError):
        held = read_file(path, CHAIN)
        assert len(b"".join(held.read(0, 256, 1 << 30))) == held.offsets[-1] - held.offsets[0]


def write_ahead_log(data: bytes) -> None:
    """The look at a log before SQLite sees it."""
    found = first_lost_frame(data)
    assert found is None or found >= 0


@lru_cache(maxsize=1)
def killed_store() -> tuple[bytes, bytes, tuple[bytes, ...]]:
    """File and log of a store whose process was killed, and its blocks."""
    from store_samples import decided, signed_at

    folder = Path(tempfile.mkdtemp(dir=_scratch()))
    path, log = folder / FILE_NAME, folder / f"{FILE_NAME}-wal"
    records: list[DecidedRecord] = [decided(height) for height in range(1, HEIGHTS + 1)]
    store = Store.create(path, CHAIN)
    for record in records[:2]:
        store.persist_now([*signed_at(record.height), record])
    store.close()
    store = Store.open(path, CHAIN)
    for record in records[2:]:
        store.persist_now([*signed_at(record.height), record])
    image = path.read_bytes(), log.read_bytes()
    store.close()
    shutil.rmtree(folder)
    return *image, tuple(record.block for record in records)


def store(data: bytes) -> None:
    """A store whose file and log are changed as the data says: it opens sound, or not at all.

    Each four bytes are one change: where it is (three bytes, of which one bit chooses the log), and what.
    The first byte cuts the log: 0 not at all.
    """
    file, log, blocks = (bytearray(killed_store()[0]), bytearray(killed_store()[1]), killed_store()[2])
    if data and data[0]:
        del log[len(log) * data[0] // 256 :]
    for start in range(1, len(data) - 3, 4):
        place, what = int.from_bytes(data[start : start + 3], "big"), data[start + 3]
        image = log if place & 1 else file
        if image:
            image[(place >> 1) % len(image)] ^= what
    folder = Path(tempfile.mkdtemp(dir=_scratch()))
    try:
        _open_changed(folder, bytes(file), bytes(log), blocks, is_changed=len(data) > 4)
    finally:
        shutil.rmtree(folder)


def _open_changed(folder: Path, file: bytes, log: bytes, blocks: tuple[bytes, ...], is_changed: bool) -> None:
    path = folder / FILE_NAME
    path.write_bytes(file)
    path.with_name(f"{FILE_NAME}-wal").write_bytes(log)
    try:
        opened = Store.open(path, CHAIN)
    except StoreError:
        # A torn end alone is no damage.
        assert is_changed
        return
    with contextlib.closing(opened), contextlib.suppress(StoreError):
        tip = opened.tip()
        # Of what was in the file when the log was begun nothing is ever forgotten without a word.
        assert is_changed or tip >= 2
        for height in range(1, tip + 1):
            pair = opened.block(height)
            assert pair is None or height > HEIGHTS or pair[0] == blocks[height - 1]
        opened.restored()
        list(opened.current_state())
        for height in range(tip + 2):
            opened.votes(height)
            with contextlib.suppress(StoreError):
                opened.results(height)


# ---- settings -------------------------------------------------------------------------------------


def config_file(data: bytes) -> None:
    """What parses is written and read again."""
    with contextlib.suppress(ConfigError, UnicodeDecodeError):
        parsed = config.parse(data.decode(), "config.toml")
        assert config.parse(config.render(parsed), "config.toml") == parsed


def meter_payload(data: bytes) -> None:
    """Samples within their limits, or one sentence."""
    with contextlib.suppress(SampleError):
        found = decode_payload(data, arrived_s=900)
        assert Registers(Limits()).feed(found, AT_S_MAX) is not None


def meter_table(data: bytes) -> None:
    """Samples and problems, or an error with the file's name."""
    try:
        found = parse_samples("m.csv", data)
    except DataError as error:
        assert str(error).startswith("m.csv")
    else:
        assert all(problem.startswith("m.csv") for problem in found.problems)


def agent_settings(data: bytes) -> None:
    """Settings that were all understood, or one sentence."""
    with contextlib.suppress(SettingsError, UnicodeDecodeError):
        assert parse_settings(data.decode(), "a.toml").horizon_periods >= 1


def genesis_file(data: bytes) -> None:
    """What parses has one canonical form, and a chain id of it."""
    with contextlib.suppress(GenesisError):
        parsed = genesis.parse(data)
        assert genesis.parse(genesis.render(parsed)) == parsed
        assert genesis.parse(genesis.canonical_json(parsed)).chain_id == parsed.chain_id


# ---- seeds ----------------------------------------------------------------------------------------


def _messages() -> list[bytes]:
    return [encode(full(kind)) for kind in KINDS]


def _shapes(union: object) -> list[bytes]:
    return [encode(full(shape)) for shape in get_args(union)]


def _wire_shape(shape: type[msgspec.Struct]) -> list[bytes]:
    return [encode(full(shape))]


def _frames_of_messages() -> list[bytes]:
    frames = [encode_frame(payload) for payload in _messages()[:4]]
    return [*frames, b"".join(frames), encode_frame(b"x" * 300), b"\xc4\x00", b"\xc6\x00\x00\x10\x01"]


def _block_seeds() -> list[bytes]:
    found = full(Block)
    return [encode(found), encode(replace(found, parent_certificate=None, transactions=()))]


def _prefix_seeds() -> list[bytes]:
    found = full(Block)
    return [header_digest(found.header) + encode(found)]


def _results_seeds() -> list[bytes]:
    from store_samples import decided

    outcome = decided(1).outcome
    previous = {version.key: None for version in outcome.versions}  # type: ignore[attr-defined]
    return [encode_results(outcome.transaction_ids, outcome.receipts, outcome.versions, previous)]  # type: ignore[attr-defined]


def _snapshot_seeds() -> list[bytes]:
    tree = BucketTree()
    values = {b"key %d" % number: b"value" for number in range(3)}
    tree.apply(tree.patch({}, dict(values)))
    folder = Path(tempfile.mkdtemp(dir=_scratch()))
    held = write_file(folder, CHAIN, b"block", Snapshot(7, tree.root, values, tree.part_roots()))
    return [held.path.read_bytes()]


def _key_seeds() -> list[bytes]:
    who = b"i" * 20
    found = [
        keys.wallet(who),
        keys.period(who, 5),
        keys.contract(b"t" * 32),
        keys.evidence(who, 3, 4, 5),
        keys.beacon_mix(9),
        keys.TIP,
    ]
    return [keys.text(key).encode() for key in found]


def _post_seeds() -> list[bytes]:
    posted, waiting = Posted(b"r" * 20, b"sealed"), Waiting(b"s" * 20, b"sealed")
    return [encode(posted), encode_forget((b"d" * 32,)), msgspec.msgpack.encode((waiting,))]


def _terms() -> transactions.Terms:
    return transactions.Terms(b"s" * 20, b"r" * 20, 0, 5, 5, 1, 1)


def _letter_seeds() -> list[bytes]:
    words = (Offer(_terms()), Offer(_terms(), CHAIN), Acceptance(CHAIN, bytes(64)), Rejection(CHAIN))
    return [encode(Letter(b"s" * 20, b"r" * 20, 1, word, bytes(64))) for word in words]


def _offers_seeds() -> list[bytes]:
    kept = (
        Negotiation(_terms(), Stand.AGREED, False, 2, bytes(64)),
        Negotiation(_terms(), Stand.RECEIVED, True),
    )
    return [encode(OffersFile(CHAIN, kept))]


TARGETS: dict[str, Target] = {
    "framing": Target(framing, _frames_of_messages),
    "hello": Target(hello, lambda: [encode_hello(Hello("p2penergy/1", CHAIN, b"n" * 20))]),
    "message": Target(message, _messages, examples=200),
    "block": Target(block, _block_seeds),
    "header": Target(header, lambda: _wire_shape(Header)),
    "prefix": Target(prefix, _prefix_seeds),
    "certificate": Target(certificate, lambda: _wire_shape(Certificate)),
    "proof": Target(proof, lambda: _wire_shape(ReceiptProof)),
    "post_office": Target(post_office, _post_seeds),
    "letter": Target(letter, _letter_seeds),
    "offers_file": Target(offers_file, _offers_seeds),
    "transaction": Target(transaction, lambda: _shapes(transactions.Transaction), examples=120),
    "receipt": Target(receipt, lambda: _shapes(Receipt), examples=120),
    "key_text": Target(key_text, _key_seeds),
    "snapshot_part": Target(
        snapshot_part, lambda: [b"\0\x90", b"\0" + msgspec.msgpack.encode([[b"k", b"v"]])]
    ),
    "snapshot_file": Target(snapshot_file, _snapshot_seeds),
    "results": Target(results, _results_seeds),
    "write_ahead_log": Target(write_ahead_log, lambda: [killed_store()[1][: 32 + 2 * (24 + 4096)]]),
    "store": Target(store, lambda: [b"\0", b"\x80", b"\0\0\1\2\3\0\4\5\6"], examples=20),
    "config": Target(config_file, lambda: [config.render(config.Config()).encode()]),
    "meter_payload": Target(
        meter_payload,
        lambda: [
            b'{"time": 1782900900, "import_wh": 5, "export_wh": 0}',
            b'[{"1.8.0": 1.5, "2.8.0": "0.1 kWh"}]',
        ],
    ),
    "meter_table": Target(meter_table, lambda: [b"time,import_wh,export_wh\n900,1,2\n1800,x,3\n"]),
    "agent_settings": Target(
        agent_settings, lambda: [b'strategy = "curve"\nkeep = 1.5\n[curve]\nsell = [[0, 0.2], [5, 0.1]]\n']
    ),
    "genesis": Target(
        genesis_file, lambda: [genesis.render(small_genesis()), genesis.canonical_json(small_genesis())]
    ),
}
"""Every decoder of bytes that come from elsewhere, by the name of its corpus."""
