"""A state in 256 parts, each of which proves itself under the state root.

Lives here: the parts' encoding, and what makes one believable. Never here: files, messages, where a
certified root comes from. Owns the invariant that no entry of a part is believed that the state root does
not vouch for, before any other part is there: who sent a wrong one is known at once. Implements the
snapshots of CONSENSUS section 7.
"""

from dataclasses import dataclass

import msgspec

from p2penergy.digests import DIGEST_BYTES
from p2penergy.ledger.bucket_tree import PARTS, part_of, part_root, root_of_parts

Entries = tuple[tuple[bytes, bytes], ...]

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entries)


class WrongPartError(Exception):
    """Bytes that are not the part of the state that they are said to be."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after block `height`."""

    height: int
    state_root: bytes
    values: dict[bytes, bytes]
    part_roots: bytes
    """Of all parts, joined in their order."""

    def encoded_parts(self) -> list[bytes]:
        """The parts in their order; a part without entries is one, too."""
        parts: list[list[tuple[bytes, bytes]]] = [[] for _ in range(PARTS)]
        for item in sorted(self.values.items()):
            parts[part_of(item[0])].append(item)
        return [_encoder.encode(part) for part in parts]


def leads_to(state_root: bytes, part_roots: bytes) -> bool:
    """Whether these are the roots of the parts of the state with this root."""
    return len(part_roots) == PARTS * DIGEST_BYTES and root_of_parts(part_roots) == state_root


def read_part(number: int, data: bytes, part_roots: bytes) -> Entries:
    """The entries of a part, keys and values.

    Raises:
        WrongPartError: they are not what the part's root stands for.
    """
    try:
        entries = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise WrongPartError(f"part {number} is no list of entries: {error}") from None
    if part_root(number, entries) != part_roots[number * DIGEST_BYTES :][:DIGEST_BYTES]:
        raise WrongPartError(f"part {number} is not the one that the state root stands for")
    return entries
