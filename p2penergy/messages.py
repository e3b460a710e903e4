"""Every message of the wire, typed, with its limits in the types.

Lives here: the shapes of CONSENSUS section 3 and their one canonical encoding. Never here:
signatures being made or checked (`signing`), rules (`consensus`), what a transaction means
(`ledger`). Owns the invariant that a message has exactly one encoding: `decode_message` refuses
bytes that its own result would not be encoded to, so that the signed bytes are the received bytes.

Arrays, never maps: a msgpack map can hold a key twice.
"""

from enum import IntEnum
from itertools import pairwise
from struct import Struct as Packed
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from p2penergy.digests import TAG_BLOCK, TAG_CERTIFICATE, TAG_REPLY, TAG_VOTE, TAG_WHEREABOUTS, digest

PROTOCOL_VERSION = 1
PROTOCOL = f"p2penergy/{PROTOCOL_VERSION}"
"""What both ends of a link greet each other with: another version is refused before anything else is read."""

# Limits of the wire, all in one place. A frame's limit is the transport's.
COMMITTEE_SIZE_MAX = 200
BLOCK_TRANSACTIONS_MAX = 20_000
BLOCK_BYTES_MAX = 3 * 1024 * 1024
TRANSACTION_BYTES_MAX = 64 * 1024
REQUEST_TRANSACTIONS_MAX = 10_000
REPLY_RECEIPTS_MAX = 20_000
REPLY_RECEIPTS_BYTES_MAX = 2 * 1024 * 1024
RECEIPT_BYTES_MAX = 16 * 1024
SYNC_BLOCKS_MAX = 256
HEADERS_MAX = 1024
COMMITTEES_MAX = 64
ADDRESSES_MAX = 256
ADDRESS_CHARACTERS_MAX = 128
SEAL_BYTES_MAX = 8_289
"""Two certificates sealed to one verifier: `membership.sealed_identity` says the same."""
SNAPSHOT_PARTS = 256
SNAPSHOT_PART_BYTES_MAX = 2 * 1024 * 1024
SNAPSHOTS_TOLD_MAX = 8
MERKLE_PATH_MAX = 64
TEXT_CHARACTERS_MAX = 256
QUERY_BYTES_MAX = 64 * 1024
ANSWER_BYTES_MAX = 4 * 1024 * 1024
INTEGER_MAX = 2**63 - 1

ParticipantId = Annotated[bytes, Meta(min_length=20, max_length=20)]
Digest = Annotated[bytes, Meta(min_length=32, max_length=32)]
SignatureBytes = Annotated[bytes, Meta(min_length=64, max_length=64)]
PublicKeyBytes = Annotated[bytes, Meta(min_length=33, max_length=33)]
Count = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
Height = Count
View = Count
Text = Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX)]
TransactionBytes = Annotated[bytes, Meta(min_length=1, max_length=TRANSACTION_BYTES_MAX)]
ReceiptBytes = Annotated[bytes, Meta(min_length=1, max_length=RECEIPT_BYTES_MAX)]
BlockBytes = Annotated[bytes, Meta(min_length=1, max_length=BLOCK_BYTES_MAX)]
MerklePath = Annotated[tuple[Digest, ...], Meta(max_length=MERKLE_PATH_MAX)]
CommitteeMembers = Annotated[
    tuple[tuple[ParticipantId, PublicKeyBytes], ...], Meta(max_length=COMMITTEE_SIZE_MAX)
]


class MalformedMessageError(ValueError):
    """Bytes that are not the canonical encoding of the expected shape; `code` says which rule."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Stage(IntEnum):
    """The two kinds of block of the paper's two stages (CONSENSUS section 9)."""

    VERIFICATION = 1
    VALIDATION = 2


class VoteKind(IntEnum):
    """What a signed PBFT statement is about; part of the signed bytes."""

    PRE_PREPARE = 1
    PREPARE = 2
    COMMIT = 3
    VIEW_CHANGE = 4


_STATEMENT = Packed(">B32s20sQQ32s")
_PREPARED = Packed(">BQ32s")
_NO_DIGEST = bytes(32)


def statement(kind: VoteKind, chain_id: bytes, sender: bytes, height: int, view: int, block: bytes) -> bytes:
    """The bytes that a vote's signature covers: tag, type, chain, sender, height, view, digest."""
    return TAG_VOTE + _STATEMENT.pack(kind, chain_id, sender, height, view, block)


class _Shape(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An array of fixed length."""


class Certificate(_Shape, frozen=True):
    """Q votes of one kind for one (height, view, digest): PC of PREPAREs or CC of COMMITs.

    `votes` holds (member, signature) in strictly ascending order of members, so that one set of
    votes has one encoding and nobody is counted twice.
    """

    height: Height
    view: View
    digest: Digest
    votes: Annotated[tuple[tuple[ParticipantId, SignatureBytes], ...], Meta(max_length=COMMITTEE_SIZE_MAX)]

    def members(self) -> tuple[bytes, ...]:
        """Who voted, ascending."""
        return tuple(member for member, _ in self.votes)

    def is_ordered(self) -> bool:
        """Whether members strictly ascend, as the canonical form demands."""
        members = self.members()
        return all(a < b for a, b in pairwise(members))


class Header(_Shape, frozen=True):
    """What a block's digest covers (CONSENSUS section 3)."""

    version: Count
    chain_id: Digest
    height: Height
    parent: Digest
    slot: Count
    proposer: ParticipantId
    period: Count
    stage: Stage
    next_stage: Stage
    committee_root: Digest
    verification_root: Digest
    """Committee of the verification stage at height + L."""
    validation_root: Digest
    """Committee of the validation stage at height + L."""
    transactions_root: Digest
    parent_certificate_digest: Digest
    receipts_root: Digest
    state_root: Digest
    reveal: Digest


class Block(_Shape, frozen=True):
    """A header, its transactions as received, and the certificate of the parent."""

    header: Header
    transactions: Annotated[tuple[TransactionBytes, ...], Meta(max_length=BLOCK_TRANSACTIONS_MAX)]
    parent_certificate: Certificate | None


class ViewChange(_Shape, frozen=True, tag=5):
    """VIEW-CHANGE(h, v, pv, pd); the certificate travels outside the signature."""

    sender: ParticipantId
    height: Height
    view: View
    prepared_view: View | None
    prepared_digest: Digest | None
    signature: SignatureBytes
    certificate: Certificate | None = None

    def signed_bytes(self, chain_id: bytes) -> bytes:
        """The statement under the signature."""
        prepared = self.prepared_view is not None
        return statement(
            VoteKind.VIEW_CHANGE, chain_id, self.sender, self.height, self.view, _NO_DIGEST
        ) + _PREPARED.pack(prepared, self.prepared_view or 0, self.prepared_digest or _NO_DIGEST)


class PrePrepare(_Shape, frozen=True, tag=2):
    """PRE-PREPARE(h, v, block, justification); the signature covers the block's digest."""

    sender: ParticipantId
    height: Height
    view: View
    digest: Digest
    signature: SignatureBytes
    block: BlockBytes
    justification: Annotated[tuple[ViewChange, ...], Meta(max_length=COMMITTEE_SIZE_MAX)]
    certificate: Certificate | None

    def signed_bytes(self, chain_id: bytes) -> bytes:
        """The statement under the signature."""
        return statement(VoteKind.PRE_PREPARE, chain_id, self.sender, self.height, self.view, self.digest)


class Prepare(_Shape, frozen=True, tag=3):
    """PREPARE(h, v, digest)."""

    sender: ParticipantId
    height: Height
    view: View
    digest: Digest
    signature: SignatureBytes

    def signed_bytes(self, chain_id: bytes) -> bytes:
        """The statement under the signature."""
        return statement(VoteKind.PREPARE, chain_id, self.sender, self.height, self.view, self.digest)


class Commit(_Shape, frozen=True, tag=4):
    """COMMIT(h, v, digest)."""

    sender: ParticipantId
    height: Height
    view: View
    digest: Digest
    signature: SignatureBytes

    def signed_bytes(self, chain_id: bytes) -> bytes:
        """The statement under the signature."""
        return statement(VoteKind.COMMIT, chain_id, self.sender, self.height, self.view, self.digest)


class Decided(_Shape, frozen=True, tag=6):
    """DECIDED(block, commit certificate)."""

    block: BlockBytes
    certificate: Certificate


class Status(_Shape, frozen=True, tag=7):
    """STATUS(h, v): where the sender is; a claim, never proof."""

    height: Height
    view: View


class SyncRequest(_Shape, frozen=True, tag=8):
    """Asks for decided blocks from `height` on, at most `count`."""

    height: Height
    count: Annotated[int, Meta(ge=1, le=SYNC_BLOCKS_MAX)]


class SyncResponse(_Shape, frozen=True, tag=9):
    """Decided blocks with their certificates, ascending, and the sender's own tip height."""

    tip: Height
    blocks: Annotated[tuple[Decided, ...], Meta(max_length=SYNC_BLOCKS_MAX)]


class BlockRequest(_Shape, frozen=True, tag=10):
    """Asks for one block of an undecided height by its digest."""

    height: Height
    digest: Digest


class BlockResponse(_Shape, frozen=True, tag=11):
    """A block somebody asked for."""

    height: Height
    block: BlockBytes


class HeadersRequest(_Shape, frozen=True, tag=12):
    """Asks for certified headers from `height` on; all that a certified non-member may ask."""

    height: Height
    count: Annotated[int, Meta(ge=1, le=HEADERS_MAX)]


class HeadersResponse(_Shape, frozen=True, tag=13):
    """Headers, each with the certificate that decided it, ascending."""

    headers: Annotated[tuple[tuple[Header, Certificate], ...], Meta(max_length=HEADERS_MAX)]


class CommitteesRequest(_Shape, frozen=True, tag=21):
    """Asks who the committees with these roots are; a certified non-member may ask that, too."""

    roots: Annotated[tuple[Digest, ...], Meta(min_length=1, max_length=COMMITTEES_MAX)]


class CommitteesResponse(_Shape, frozen=True, tag=22):
    """Committees, each as its members with their keys, ids ascending: each proves itself by its root."""

    committees: Annotated[tuple[CommitteeMembers, ...], Meta(max_length=COMMITTEES_MAX)]


class ProvenSeal(_Shape, frozen=True):
    """What was sealed to one verifier, and its Merkle path to the digest in the request."""

    index: Count
    verifier: ParticipantId
    sealed: Annotated[bytes, Meta(min_length=1, max_length=SEAL_BYTES_MAX)]
    path: MerklePath


class SealedRequest(_Shape, frozen=True, tag=23):
    """A request to join, or to renew a key, with `count` seals: all of them, or those for the addressee.

    `relayed` when it comes from a member already.
    """

    request: TransactionBytes
    relayed: bool
    count: Annotated[int, Meta(ge=1, le=COMMITTEE_SIZE_MAX)]
    seals: Annotated[tuple[ProvenSeal, ...], Meta(max_length=COMMITTEE_SIZE_MAX)]


class Address(_Shape, frozen=True):
    """Where a member's node listens, in its own words; a newer one of the same member replaces it."""

    participant_id: ParticipantId
    address: Annotated[str, Meta(min_length=1, max_length=ADDRESS_CHARACTERS_MAX)]
    """HOST:PORT."""
    issued_ms: Count
    signature: SignatureBytes

    def signed_bytes(self, chain_id: bytes) -> bytes:
        """The statement under the signature; only the last part has no fixed length."""
        issued = self.issued_ms.to_bytes(8, "big")
        return TAG_WHEREABOUTS + chain_id + self.participant_id + issued + self.address.encode()


class Whereabouts(_Shape, frozen=True, tag=24):
    """Addresses of volunteers' nodes, from node to node."""

    addresses: Annotated[tuple[Address, ...], Meta(min_length=1, max_length=ADDRESSES_MAX)]


PartNumber = Annotated[int, Meta(ge=0, le=SNAPSHOT_PARTS)]
SnapshotPart = Annotated[bytes, Meta(min_length=1, max_length=SNAPSHOT_PART_BYTES_MAX)]
PartRoots = Annotated[bytes, Meta(min_length=32 * SNAPSHOT_PARTS, max_length=32 * SNAPSHOT_PARTS)]


class SnapshotRequest(_Shape, frozen=True, tag=19):
    """Asks for parts of the state after block `height`; for its opening when `count` is 0.

    At height 0 it asks which snapshots there are, and nothing else.
    """

    height: Height
    first: PartNumber
    count: PartNumber


class SnapshotOpening(_Shape, frozen=True):
    """The block after which a state was, and the digests that lead from its parts to its root."""

    block: BlockBytes
    part_roots: PartRoots


class SnapshotResponse(_Shape, frozen=True, tag=20):
    """Parts of a state from `first` on, as many as fit; always with the heights of what there is."""

    held: Annotated[tuple[Height, ...], Meta(max_length=SNAPSHOTS_TOLD_MAX)]
    height: Height
    opening: SnapshotOpening | None
    first: PartNumber
    parts: Annotated[tuple[SnapshotPart, ...], Meta(max_length=SNAPSHOT_PARTS)]


class Request(_Shape, frozen=True, tag=1):
    """REQUEST: signed transactions. `relayed` when it comes from a committee member already."""

    transactions: Annotated[
        tuple[TransactionBytes, ...], Meta(min_length=1, max_length=REQUEST_TRANSACTIONS_MAX)
    ]
    relayed: bool


class ProvenReceipt(_Shape, frozen=True):
    """One receipt and its Merkle path to the receipts root of its block."""

    index: Count
    receipt: ReceiptBytes
    path: MerklePath


class ProvenReceipts(_Shape, frozen=True):
    """Receipts of one block, ascending, and what leads from all of them together to its receipts root."""

    indices: Annotated[tuple[Count, ...], Meta(max_length=REPLY_RECEIPTS_MAX)]
    receipts: Annotated[tuple[ReceiptBytes, ...], Meta(max_length=REPLY_RECEIPTS_MAX)]
    siblings: Annotated[bytes, Meta(max_length=REPLY_RECEIPTS_BYTES_MAX)]
    """Digests, one after the other, in the order of `MerkleTree.siblings`."""


class Reply(_Shape, frozen=True, tag=14):
    """REPLY: the receipts of one block that concern the addressee.

    The signature covers height, digest, receipts root and their number: one signature serves all
    addressees of a block, and the receipts prove themselves. They are `ProvenReceipts` in bytes, which
    all members tell alike: only one of them need be looked into.
    """

    sender: ParticipantId
    height: Height
    digest: Digest
    receipts_root: Digest
    receipts_count: Count
    signature: SignatureBytes
    receipts: Annotated[bytes, Meta(min_length=1, max_length=REPLY_RECEIPTS_BYTES_MAX)]

    def signed_bytes(self, chain_id: bytes) -> bytes:
        """The statement under the signature."""
        return reply_statement(
            chain_id,
            self.sender,
            self.height,
            self.digest,
            self.receipts_root,
            self.receipts_count,
        )


class Refused(_Shape, frozen=True, tag=15):
    """A request's transaction was not taken; nothing about it will be decided by this member."""

    transaction_id: Digest
    code: Text
    sentence: Text


class Query(_Shape, frozen=True, tag=16):
    """A client's question to one node: a topic and its argument; the answer is that node's word."""

    number: Count
    topic: Text
    argument: Annotated[bytes, Meta(max_length=QUERY_BYTES_MAX)]


class Answer(_Shape, frozen=True, tag=17):
    """The answer to the query of the same number; `ok` is false when `body` is an error's text."""

    number: Count
    ok: bool
    body: Annotated[bytes, Meta(max_length=ANSWER_BYTES_MAX)]


class Evidence(_Shape, frozen=True, tag=18):
    """Two signed statements of one member that no correct member signs both of.

    Both sides are by `sender`; what travelled beside the signed parts is left out.
    """

    sender: ParticipantId
    first: "SignedStatement"
    second: "SignedStatement"


class SignedStatement(_Shape, frozen=True):
    """One signed vote without what travelled beside it."""

    kind: VoteKind
    height: Height
    view: View
    digest: Digest | None
    prepared_view: View | None
    prepared_digest: Digest | None
    signature: SignatureBytes

    def signed_bytes(self, chain_id: bytes, sender: bytes) -> bytes:
        """The statement under the signature, as `sender` signed it."""
        core = statement(self.kind, chain_id, sender, self.height, self.view, self.digest or _NO_DIGEST)
        if self.kind is not VoteKind.VIEW_CHANGE:
            return core
        prepared = self.prepared_view is not None
        return core + _PREPARED.pack(prepared, self.prepared_view or 0, self.prepared_digest or _NO_DIGEST)


Vote = PrePrepare | Prepare | Commit | ViewChange
"""The four signed messages of PBFT's core; all have sender, height, view and signature."""

Message = (
    Request
    | PrePrepare
    | Prepare
    | Commit
    | ViewChange
    | Decided
    | Status
    | SyncRequest
    | SyncResponse
    | BlockRequest
    | BlockResponse
    | HeadersRequest
    | HeadersResponse
    | CommitteesRequest
    | CommitteesResponse
    | SealedRequest
    | Whereabouts
    | SnapshotRequest
    | SnapshotResponse
    | Reply
    | Refused
    | Query
    | Answer
    | Evidence
)

_REPLY = Packed(">32s20sQ32s32sQ")
_encoder = msgspec.msgpack.Encoder()
_message_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_block_decoder = msgspec.msgpack.Decoder(Block)
_header_decoder = msgspec.msgpack.Decoder(Header)
_members_decoder = msgspec.msgpack.Decoder(CommitteeMembers)
_certificate_decoder = msgspec.msgpack.Decoder(Certificate)
_receipts_decoder = msgspec.msgpack.Decoder(ProvenReceipts)


def reply_statement(
    chain_id: bytes, sender: bytes, height: int, block: bytes, receipts_root: bytes, count: int
) -> bytes:
    """The bytes that a REPLY's signature covers."""
    return TAG_REPLY + _REPLY.pack(chain_id, sender, height, block, receipts_root, count)


def encode(shape: msgspec.Struct) -> bytes:
    """The one encoding of a message, block, header or certificate."""
    return _encoder.encode(shape)


def canonical(decoder: "msgspec.msgpack.Decoder[Any]", data: bytes, what: str) -> Any:
    """Decode strictly and refuse any encoding but the canonical one.

    Raises:
        MalformedMessageError: code `malformed` (not this shape, or beyond its limits) or
            `not_canonical` (the same value has another, canonical encoding).
    """
    try:
        value = decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedMessageError("malformed", f"not a {what}: {error}") from None
    if _encoder.encode(value) != data:
        raise MalformedMessageError("not_canonical", f"a {what} in a non-canonical encoding")
    return value


def decode_message(data: bytes) -> Message:
    """A message from one frame; raises `MalformedMessageError`."""
    message: Message = canonical(_message_decoder, data, "message")
    return message


def decode_block(data: bytes) -> Block:
    """A block from its bytes; raises `MalformedMessageError`."""
    block: Block = canonical(_block_decoder, data, "block")
    return block


def encode_members(members: CommitteeMembers) -> bytes:
    """A committee's members with their keys, for a store."""
    return _encoder.encode(members)


def decode_members(data: bytes) -> CommitteeMembers:
    """The same back; raises `MalformedMessageError`."""
    members: CommitteeMembers = canonical(_members_decoder, data, "list of members")
    return members


def decode_header(data: bytes) -> Header:
    """A header from its bytes; raises `MalformedMessageError`."""
    header: Header = canonical(_header_decoder, data, "header")
    return header


def decode_certificate(data: bytes) -> Certificate:
    """A certificate from its bytes; raises `MalformedMessageError`."""
    certificate: Certificate = canonical(_certificate_decoder, data, "certificate")
    return certificate


def decode_receipts(data: bytes) -> ProvenReceipts:
    """What a REPLY tells, from its bytes; raises `MalformedMessageError`."""
    receipts: ProvenReceipts = canonical(_receipts_decoder, data, "list of receipts")
    return receipts


def header_digest(header: Header) -> bytes:
    """The digest of a block: over its header, which covers everything else."""
    return digest(TAG_BLOCK, _encoder.encode(header))


def certificate_digest(certificate: Certificate | None) -> bytes:
    """What a header holds of its parent's certificate; all zeros for none (block 1)."""
    if certificate is None:
        return _NO_DIGEST
    return digest(TAG_CERTIFICATE, _encoder.encode(certificate))
