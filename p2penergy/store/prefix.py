"""A header from the first bytes of its block, so that headers are served without reading whole blocks.

Lives here: finding where the header ends in the block's encoding. Never here: SQL. Owns no invariant: the
header's own digest says whether it is the right one.
"""

import msgpack  # type: ignore[import-untyped]

from p2penergy.messages import Header, decode_header, header_digest

_ARRAY_OF_THREE = 0x93


def header_of_prefix(prefix: bytes, digest: bytes) -> Header | None:
    """The header at the beginning of a block's bytes; None unless it has this digest."""
    if not prefix or prefix[0] != _ARRAY_OF_THREE:
        return None
    unpacker = msgpack.Unpacker()
    unpacker.feed(prefix[1:])
    try:
        unpacker.skip()
        header = decode_header(prefix[1 : 1 + unpacker.tell()])
    except (msgpack.UnpackException, ValueError):
        return None
    return header if header_digest(header) == digest else None
