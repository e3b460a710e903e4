"""Small blocks, outcomes and records for the tests of the store: right in shape, empty of meaning."""

from dataclasses import dataclass
from hashlib import sha256

from p2penergy.blocks import Draft
from p2penergy.consensus.effects import (
    BlockRecord,
    DecidedRecord,
    PreparedRecord,
    Record,
    ViewRecord,
    VoteRecord,
)
from p2penergy.messages import Block, Certificate, Header, Stage, VoteKind, encode, header_digest

CHAIN = sha256(b"a chain").digest()
OTHER_CHAIN = sha256(b"another chain").digest()
HOUSE = bytes(20)
GAP = bytes(32)


@dataclass(frozen=True)
class SampleVersion:
    key: bytes
    index: int
    stage: int
    value: bytes | None


@dataclass(frozen=True)
class SampleOutcome:
    draft: Draft
    versions: tuple[SampleVersion, ...]
    transaction_ids: tuple[bytes, ...]
    receipts: tuple[bytes, ...]
    receipts_root: bytes = GAP
    state_root: bytes = GAP


def transaction_id(height: int, index: int) -> bytes:
    return sha256(b"%d/%d" % (height, index)).digest()


def sample_block(height: int, transactions: tuple[bytes, ...] = (b"t",), salt: int = 0) -> Block:
    header = Header(
        1, CHAIN, height, GAP, height + salt, HOUSE, 0, Stage.VALIDATION, Stage.VALIDATION,
        GAP, GAP, GAP, GAP, GAP, GAP, GAP, GAP,
    )  # fmt: skip
    return Block(header, transactions, None)


def certificate(height: int, digest: bytes, members: int = 4) -> Certificate:
    return Certificate(
        height, height, digest, tuple((bytes([m]) * 20, bytes([m]) * 64) for m in range(members))
    )


def decided(
    height: int,
    versions: tuple[SampleVersion, ...] | None = None,
    transactions: int = 2,
    body_bytes: int = 50,
) -> DecidedRecord:
    block = sample_block(height, tuple(bytes([i % 250]) * body_bytes for i in range(transactions)))
    digest = header_digest(block.header)
    if versions is None:
        versions = (
            SampleVersion(b"wallet/" + HOUSE, 0, 1, b"%d" % height),
            SampleVersion(b"wallet/" + HOUSE, 0, 2, b"%d" % (height + 1)),
            SampleVersion(b"q/" + HOUSE, -1, 2, b"%d" % height),
        )
    draft = Draft(height, height, HOUSE, 0, Stage.VALIDATION, Stage.VALIDATION, GAP, block.transactions, None)
    ids = tuple(transaction_id(height, index) for index in range(transactions))
    return DecidedRecord(
        height,
        digest,
        encode(block),
        encode(certificate(height, digest)),
        SampleOutcome(draft, versions, ids, tuple(b"receipt of " + each for each in ids)),
    )


def vote(height: int, view: int, kind: VoteKind = VoteKind.PREPARE, message: bytes = b"signed") -> VoteRecord:
    return VoteRecord(kind, height, view, view, sha256(message).digest(), message)


def undecided(height: int, salt: int) -> BlockRecord:
    block = sample_block(height, salt=salt)
    return BlockRecord(height, header_digest(block.header), encode(block))


def signed_at(height: int) -> tuple[Record, ...]:
    """All that a node stores for one height before it is decided."""
    block = undecided(height, 1)
    return (
        ViewRecord(height, height + 3),
        vote(height, height + 3, VoteKind.PRE_PREPARE, b"proposal"),
        vote(height, height + 3, VoteKind.PREPARE),
        block,
        PreparedRecord(height, height + 3, block.digest, encode(certificate(height, block.digest))),
        vote(height, height + 3, VoteKind.COMMIT),
    )
