"""What executing one block wrote, as the store keeps it: receipts and versions in one compressed value.

Lives here: the encoding and its inverse. Never here: SQL, what a receipt or a value means. Owns the invariant
that decoding gives back every receipt and every version, in their order. Implements LEDGER section 3: the
transaction log and the past versions of the state.

Chosen by measurement (200 trades a block): with a row per version a trade costs more than 1000 bytes of disk,
like this 730 with its share of readings and bills; 250 of these are its own bytes in the block. A receipt
stands right before the versions that its transaction wrote, because they share ids, and the compression only
looks back 32 KB.

The bytes are zlib over a msgpack array of entries:
    [0, transaction id, receipt]                   one per transaction, in their order
    [1, key, previous height, index, stage, value] a key's first version in this block; the keys of these are
                                                   numbered 0, 1, 2.. as they appear
    [2, number of the key, index, stage, value]    a further version of it
`index` is the transaction's place in the block, -1 for the block itself; `value` nil ends the key; `previous
height` is the block that wrote the key before, nil for none, so that a history is one walk back.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from p2penergy.store.ports import Version

_LEVEL = 1


class _Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """An array of fixed length."""


class _Receipt(_Entry, frozen=True, tag=0, gc=False):
    transaction_id: bytes
    receipt: bytes


class _First(_Entry, frozen=True, tag=1, gc=False):
    key: bytes
    previous: int | None
    index: int
    stage: int
    value: bytes | None


class _Further(_Entry, frozen=True, tag=2, gc=False):
    number: int
    index: int
    stage: int
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Written:
    """One version as it was stored."""

    key: bytes
    index: int
    stage: int
    value: bytes | None


class Results(NamedTuple):
    """All that one block wrote."""

    transaction_ids: list[bytes]
    receipts: list[bytes]
    versions: list[Written]
    previous: dict[bytes, int | None]
    """For every key written: the height that wrote it before."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[_Receipt | _First | _Further])


def encode_results(
    transaction_ids: Sequence[bytes],
    receipts: Sequence[bytes],
    versions: Sequence[Version],
    previous: Mapping[bytes, int | None],
) -> bytes:
    """The stored bytes; `previous` has every key of `versions`.

    Raises:
        ValueError: a version names a transaction that there is not.
    """
    entries: list[_Receipt | _First | _Further] = []
    numbers: dict[bytes, int] = {}
    waiting = [_Receipt(*pair) for pair in zip(transaction_ids, receipts, strict=True)]
    answered = -1
    for version in versions:
        key, index = version.key, version.index
        if index > answered:
            if index >= len(waiting):
                raise ValueError(f"a version of transaction {index}, of {len(waiting)}")
            entries.extend(waiting[answered + 1 : index + 1])
            answered = index
        number = numbers.get(key)
        if number is None:
            numbers[key] = len(numbers)
            entries.append(_First(key, previous[key], index, version.stage, version.value))
        else:
            entries.append(_Further(number, index, version.stage, version.value))
    entries.extend(waiting[answered + 1 :])
    return zlib.compress(_encoder.encode(entries), _LEVEL)


def decode_results(data: bytes) -> Results:
    """The inverse.

    Raises:
        ValueError: not what `encode_results` makes.
    """
    try:
        entries = _decoder.decode(zlib.decompress(data))
    except (zlib.error, msgspec.DecodeError) as error:
        raise ValueError(f"not the results of a block: {error}") from error
    results = Results([], [], [], {})
    keys: list[bytes] = []
    for entry in entries:
        if isinstance(entry, _Receipt):
            results.transaction_ids.append(entry.transaction_id)
            results.receipts.append(entry.receipt)
        elif isinstance(entry, _First):
            keys.append(entry.key)
            results.previous[entry.key] = entry.previous
            results.versions.append(Written(entry.key, entry.index, entry.stage, entry.value))
        elif 0 <= entry.number < len(keys):
            results.versions.append(Written(keys[entry.number], entry.index, entry.stage, entry.value))
        else:
            raise ValueError(f"not the results of a block: there is no key number {entry.number}")
    return results
