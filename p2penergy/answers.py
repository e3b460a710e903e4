"""What a node tells when asked: decided blocks, certified headers, its own state; and it keeps letters.

Lives here: the answers to SYNC, HEADERS and QUERY. Never here: anything that changes the node. Blocks
and headers prove themselves; an answer to a QUERY is this one node's word.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from p2penergy.application import NodeApplication
from p2penergy.digests import DIGEST_BYTES, MerkleTree
from p2penergy.ledger import keys
from p2penergy.messages import (
    ANSWER_BYTES_MAX,
    Answer,
    CommitteeMembers,
    CommitteesRequest,
    CommitteesResponse,
    Decided,
    HeadersRequest,
    HeadersResponse,
    MalformedMessageError,
    Message,
    ProvenReceipt,
    Query,
    SyncRequest,
    SyncResponse,
    decode_certificate,
    encode,
)
from p2penergy.peers import PARTICIPANT_ID_BYTES, participant_of
from p2penergy.post import LETTERS, POST, PostError, PostOffice
from p2penergy.proofs import ReceiptProof
from p2penergy.questions import (
    ENTRIES,
    ENTRIES_MAX,
    HISTORY,
    HISTORY_BLOCKS_BACK_MAX,
    JOIN,
    PROOF,
    TIP,
    Past,
    decode_question,
    encode_entries,
    encode_history,
)
from p2penergy.store import Store
from transport import Mesh

SYNC_BYTES_MAX = 2 * 1024 * 1024
HEADERS_PER_ANSWER_MAX = 128
"""With certificates of the largest committee they still fit into one frame."""


class UnknownTopicError(Exception):
    """No such topic, or nothing there; the text goes to the client."""


class Answers:
    """Serves one node's store and status to its peers."""

    def __init__(
        self,
        store: Store,
        ledger: NodeApplication,
        mesh: Mesh,
        status: Callable[[], dict[str, Any]],
        now_ms: Callable[[], int],
        members: Callable[[bytes], CommitteeMembers | None],
        applications: Callable[[bytes], dict[str, Any]],
    ) -> None:
        """`members`: who a committee was, by its root; `applications`: how far a request has come."""
        self._store = store
        self._ledger = ledger
        self._mesh = mesh
        self._members = members
        post = PostOffice(lambda who: ledger.member_key(who, ledger.height) is not None, now_ms)
        self._topics: dict[str, Callable[[bytes, bytes], bytes]] = {
            "status": lambda _asker, _argument: msgspec.json.encode(status()),
            PROOF: lambda _asker, argument: self._proof(argument),
            JOIN: lambda _asker, argument: msgspec.json.encode(applications(argument)),
            TIP: lambda _asker, _argument: str(store.tip()).encode(),
            "state": lambda _asker, argument: self._state(argument),
            HISTORY: lambda _asker, argument: self._history(argument),
            ENTRIES: lambda _asker, argument: self._entries(argument),
            POST: post.post,
            LETTERS: post.collect,
        }

    def on_sync(self, peer: bytes, message: Message) -> None:
        """SYNC: as many blocks as were asked for, as fit into one answer."""
        assert isinstance(message, SyncRequest)
        tip = self._store.tip()
        found = self._store.blocks(message.height, message.count, SYNC_BYTES_MAX)
        blocks = tuple(Decided(block, decode_certificate(certificate)) for block, certificate in found)
        self._mesh.send(peer, encode(SyncResponse(tip, blocks)))

    def on_headers(self, peer: bytes, message: Message) -> None:
        """HEADERS: certified headers, for members and certified non-members alike."""
        assert isinstance(message, HeadersRequest)
        count = min(message.count, HEADERS_PER_ANSWER_MAX)
        headers = tuple(self._store.headers(message.height, count))
        self._mesh.send(peer, encode(HeadersResponse(headers)))

    def on_committees(self, peer: bytes, message: Message) -> None:
        """COMMITTEES: those of the roots asked for that are known here."""
        assert isinstance(message, CommitteesRequest)
        known = (self._members(root) for root in message.roots)
        told = tuple(members for members in known if members is not None)
        self._mesh.send(peer, encode(CommitteesResponse(told)))

    def on_query(self, peer: bytes, message: Message) -> None:
        """QUERY: one topic."""
        assert isinstance(message, Query)
        try:
            topic = self._topics.get(message.topic)
            if topic is None:
                known = ", ".join(sorted(self._topics))
                raise UnknownTopicError(f"there is no topic {message.topic!r}; there are {known}")
            body, ok = topic(participant_of(peer), message.argument), True
            if len(body) > ANSWER_BYTES_MAX:
                raise UnknownTopicError("the answer is too long; ask for less")
        except (UnknownTopicError, PostError) as error:
            body, ok = str(error).encode(), False
        self._mesh.send(peer, encode(Answer(message.number, ok, body)))

    def _state(self, key_text: bytes) -> bytes:
        # The current value under a key such as wallet/<40 hex digits>; empty for none.
        try:
            key = keys.parse_text(key_text.decode("ascii"))
        except ValueError as error:
            raise UnknownTopicError(str(error)) from None
        return self._ledger.get(key) or b""

    def _history(self, argument: bytes) -> bytes:
        # Versions up to a height that the client names, so that nodes a block apart answer alike.
        try:
            question = decode_question(argument)
        except MalformedMessageError as error:
            raise UnknownTopicError(str(error)) from None
        tip = self._store.tip()
        if not tip - HISTORY_BLOCKS_BACK_MAX <= question.height <= tip:
            raise UnknownTopicError(
                f"block {question.height} is not among the last {HISTORY_BLOCKS_BACK_MAX} up to {tip}"
            )
        found = []
        for key in question.keys:
            versions = self._store.history(key, question.height, question.count)
            found.append(tuple(Past(v.height, v.index, v.stage, v.value, v.cause) for v in versions))
        return encode_history(tuple(found))

    def _entries(self, prefix: bytes) -> bytes:
        # Orders, of all members or of one, and what is in escrow: other kinds are asked for by their keys.
        if not any(
            prefix.startswith(kind) and len(prefix) <= len(kind) + id_bytes
            for kind, id_bytes in ((keys.ORDER, PARTICIPANT_ID_BYTES), (keys.ESCROW, DIGEST_BYTES))
        ):
            raise UnknownTopicError(
                "entries are those under order/ and a participant, or escrow/ and a trade"
            )
        return encode_entries(tuple(self._store.entries(prefix, ENTRIES_MAX)))

    def _proof(self, transaction_id: bytes) -> bytes:
        found = self._store.transaction(transaction_id)
        if found is None:
            base = self._store.base()
            since = f" since block {base}, with which this ledger begins" if base else ""
            raise UnknownTopicError(f"no such transaction was decided here{since}")
        height, index = found
        receipts = self._store.receipts(height)
        tree = MerkleTree(receipts)
        ((header, certificate),) = self._store.headers(height, 1)
        proven = ProvenReceipt(index, receipts[index], tree.path(index))
        return encode(ReceiptProof(header, certificate, tree.root, tree.count, proven))
