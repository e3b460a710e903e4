"""The record of a run: a hash that two equal runs share, and on request a text that people read.

Lives here: what is written down and how. Never here: decisions. Owns the invariant "same seed, same
trace" of CONSENSUS section 10 in so far as everything observable goes into the hash.
"""

from hashlib import sha256
from struct import Struct

from p2penergy.messages import (
    BlockRequest,
    BlockResponse,
    Commit,
    Decided,
    Message,
    Prepare,
    PrePrepare,
    Status,
    SyncRequest,
    SyncResponse,
    ViewChange,
    decode_block,
)

LINES_MAX = 200_000
_DELIVERY = Struct(">QHH")
_SHORT = 6


class Trace:
    """Takes every event of a run in order."""

    def __init__(self, readable: bool = False) -> None:
        self._hash = sha256()
        self._readable = readable
        self.lines: list[str] = []

    def delivery(self, now_ms: int, source: int, target: int, raw: bytes) -> None:
        """One frame reached its target."""
        self._hash.update(_DELIVERY.pack(now_ms, source, target))
        self._hash.update(raw)

    def note(self, now_ms: int, who: str, text: str) -> None:
        """Anything else that happened."""
        self._hash.update(f"{now_ms} {who} {text}\n".encode())
        if self._readable and len(self.lines) < LINES_MAX:
            self.lines.append(f"{now_ms:>7} {who:<4} {text}")

    def say(self, now_ms: int, who: str, message: Message, preposition: str, whom: str) -> None:
        """A message for the readers only; the hash has its bytes already."""
        if self._readable and len(self.lines) < LINES_MAX:
            self.lines.append(f"{now_ms:>7} {who:<4} {describe(message)} {preposition} {whom}")

    @property
    def readable(self) -> bool:
        """Whether text is kept, so that callers can spare themselves making it."""
        return self._readable

    def digest(self) -> str:
        """Hash of all so far, 64 hex digits."""
        return self._hash.hexdigest()


def short(digest: bytes | None) -> str:
    """The beginning of a digest, enough to tell blocks of one run apart."""
    return "-" if digest is None else digest.hex()[:_SHORT]


def _prepared(change: ViewChange) -> str:
    if change.prepared_view is None:
        return "none"
    return f"{change.prepared_view}:{short(change.prepared_digest)}"


def describe(message: Message) -> str:
    """One line, as CONSENSUS section 3 writes it."""
    name = type(message).__name__.upper()
    if isinstance(message, PrePrepare):
        block = decode_block(message.block)
        fresh = f"slot {block.header.slot}, {len(block.transactions)} tx"
        changes = "".join(f" [{_prepared(change)}]" for change in message.justification)
        return f"PRE-PREPARE({message.height}, {message.view}, {short(message.digest)}; {fresh}){changes}"
    if isinstance(message, Prepare | Commit):
        return f"{name}({message.height}, {message.view}, {short(message.digest)})"
    if isinstance(message, ViewChange):
        return f"VIEW-CHANGE({message.height}, {message.view}, {_prepared(message)})"
    if isinstance(message, Decided):
        certificate = message.certificate
        return f"DECIDED({certificate.height}, {certificate.view}, {short(certificate.digest)})"
    if isinstance(message, Status):
        return f"STATUS({message.height}, {message.view})"
    if isinstance(message, SyncRequest):
        return f"SYNC-REQUEST({message.height}..)"
    if isinstance(message, SyncResponse):
        return f"SYNC-RESPONSE(tip {message.tip}, {len(message.blocks)} blocks)"
    if isinstance(message, BlockRequest):
        return f"BLOCK-REQUEST({message.height}, {short(message.digest)})"
    if isinstance(message, BlockResponse):
        return f"BLOCK-RESPONSE({message.height})"
    return name
