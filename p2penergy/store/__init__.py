"""The durable half of a node: votes, blocks, and every version of the state, in one SQLite file.

`Store` for a node, `MemoryStore` for the simulator, `Persistence` for whoever takes either. The tables are
explained in `schema`; anybody can open the file with the sqlite3 program. CONSENSUS section 6, LEDGER
section 3.
"""

from p2penergy.store.errors import DoubleVoteError, StoreBusyError, StoreError, StoreMissingError
from p2penergy.store.memory import MemoryStore
from p2penergy.store.ports import Base, HistoryEntry, Persistence, StoredOutcome, Version
from p2penergy.store.schema import FILE_NAME
from p2penergy.store.store import Store

__all__ = [
    "FILE_NAME",
    "Base",
    "DoubleVoteError",
    "HistoryEntry",
    "MemoryStore",
    "Persistence",
    "Store",
    "StoreBusyError",
    "StoreError",
    "StoreMissingError",
    "StoredOutcome",
    "Version",
]
