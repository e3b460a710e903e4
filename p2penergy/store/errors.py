"""The exception tree of the store, drawn once.

    StoreError
    ├── StoreMissingError   no file where a node with a key must have one: votes may have been lost
    ├── StoreBusyError      more is waiting to be written than the queue holds; nothing was taken
    └── DoubleVoteError     a second, different vote for one key: the last line of defence

Each is one sentence for the person at the keyboard: what is wrong, in which table and row, and what
to do. No logic lives here but the words of the two remedies.
"""

REFETCH = (
    "Recover by moving the ledger.sqlite3 files to another folder and running `p2penergy start "
    "--votes-lost`: the node fetches the ledger from its neighbours again and votes once it is safe."
)


class StoreError(Exception):
    """The ledger's file can't be used or written."""


class StoreMissingError(StoreError):
    """A node has a key and no ledger file."""


class StoreBusyError(StoreError):
    """The queue of writes is full; the records were not taken."""


class DoubleVoteError(StoreError):
    """The core asked to store a vote that contradicts a stored one."""


def corrupt(table: str, row: str, what: str) -> StoreError:
    """The error for a damaged row: which table, which row, what was found, how to recover."""
    return StoreError(f"The ledger is damaged: table {table}, {row}: {what}. {REFETCH}")
