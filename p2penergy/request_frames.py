"""REQUESTs that fit the wire: how many transactions share one.

Lives here: the one way to put transactions into frames, for clients and for members that relay.
"""

from collections.abc import Iterable, Iterator

from p2penergy.messages import REQUEST_TRANSACTIONS_MAX, Request, encode

REQUEST_BYTES_MAX = 1024 * 1024
"""Transactions that share one frame."""


def request_frames(
    transactions: Iterable[bytes], *, relayed: bool, transactions_max: int = REQUEST_TRANSACTIONS_MAX
) -> Iterator[bytes]:
    """Encoded REQUESTs with all the transactions, in their order."""
    part: list[bytes] = []
    part_bytes = 0
    for transaction in transactions:
        if len(part) == transactions_max or (part and part_bytes + len(transaction) > REQUEST_BYTES_MAX):
            yield encode(Request(tuple(part), relayed))
            part, part_bytes = [], 0
        part.append(transaction)
        part_bytes += len(transaction)
    if part:
        yield encode(Request(tuple(part), relayed))
