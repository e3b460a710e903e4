"""The tables of `ledger.sqlite3`, and how a connection to them is opened.

Lives here: the schema with its explanation, which is also written into the file itself (`.schema` in
the sqlite3 program shows it), the settings of connections, and the checksum of a row. Never here:
threads, what the records mean. Owns the invariant that a commit is on the disk when it returns:
write-ahead log and `synchronous=FULL`. Implements CONSENSUS section 6 and LEDGER section 3.

Chosen by measurement (200 trades of 9 versions a block, against versions clustered by key or indexed
by key): versions are appended, each one points to the previous one of its key, and `keys` points to
the latest. A commit touches a third of the pages, and the history of a key is one walk backwards.
"""

import sqlite3
from pathlib import Path
from zlib import crc32

from p2penergy.store.limits import CACHE_KIB, WAL_PAGES_MAX

FILE_NAME = "ledger.sqlite3"
SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE about ( -- what this file is
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE blocks ( -- every block this node knows: decided ones, and those it still votes on
    id INTEGER PRIMARY KEY,
    height INTEGER NOT NULL,
    digest BLOB NOT NULL, -- SHA-256 over the tagged header
    block BLOB NOT NULL, -- msgpack: header, transactions, certificate of the parent
    checksum INTEGER NOT NULL,
    UNIQUE (height, digest)
);

CREATE TABLE decisions ( -- one per decided height, without gaps
    height INTEGER PRIMARY KEY,
    block_id INTEGER NOT NULL REFERENCES blocks (id),
    certificate BLOB NOT NULL, -- msgpack: height, view, digest, votes (COMMITs of Q members)
    first_transaction INTEGER NOT NULL, -- transactions.number of its transaction 0
    checksum INTEGER NOT NULL
);

CREATE TABLE transactions ( -- the log: every decided transaction, accepted or declined
    number INTEGER PRIMARY KEY,
    height INTEGER NOT NULL,
    idx INTEGER NOT NULL, -- its place in the block
    transaction_id BLOB NOT NULL,
    receipt BLOB NOT NULL -- msgpack: what became of it
);
-- Eight bytes find a transaction as well as all 32 do, in a third of the pages.
CREATE INDEX transactions_by_id ON transactions (substr(transaction_id, 1, 8));

CREATE TABLE versions ( -- every value that any key ever had; rows are added, never changed
    number INTEGER PRIMARY KEY,
    height INTEGER NOT NULL,
    idx INTEGER NOT NULL, -- place of the transaction in the block; -1: the block itself
    stage INTEGER NOT NULL,
    key_id INTEGER NOT NULL, -- keys.id
    previous INTEGER, -- number of the version before this one of the same key
    value BLOB -- NULL: removed
);

CREATE TABLE keys (
    key BLOB PRIMARY KEY,
    id INTEGER NOT NULL,
    latest INTEGER NOT NULL -- versions.number of the present value
) WITHOUT ROWID;

CREATE VIEW state AS -- present value of every key
    SELECT keys.key AS key, versions.value AS value, versions.height AS height
    FROM keys JOIN versions ON versions.number = keys.latest WHERE versions.value IS NOT NULL;

CREATE TABLE views ( -- the highest view entered at a height
    height INTEGER PRIMARY KEY,
    view INTEGER NOT NULL,
    checksum INTEGER NOT NULL
);

CREATE TABLE votes ( -- own signed messages, as they were sent; two for one key would be a fraud
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL, -- 1 PRE-PREPARE, 2 PREPARE, 3 COMMIT, 4 VIEW-CHANGE
    height INTEGER NOT NULL,
    view INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    digest BLOB NOT NULL,
    message BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (height, kind, view)
);

CREATE TABLE prepared ( -- the highest prepared certificate of a height
    height INTEGER PRIMARY KEY,
    view INTEGER NOT NULL,
    digest BLOB NOT NULL,
    certificate BLOB NOT NULL, -- msgpack, PREPAREs of Q members
    checksum INTEGER NOT NULL
);
"""


def lay_out(connection: sqlite3.Connection, chain_id: bytes, amnesia_slot: int | None) -> None:
    """Make the tables and say whose chain this is."""
    connection.executescript(_SCHEMA)
    rows = {"what": "p2penergy ledger", "chain_id": chain_id.hex()}
    if amnesia_slot is not None:
        rows["amnesia_slot"] = str(amnesia_slot)
    connection.executemany("INSERT INTO about VALUES (?, ?)", sorted(rows.items()))
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes; every commit of it is durable when it returns."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES_MAX}")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that can't write, for any thread (one at a time)."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)


def checksum(*columns: int | bytes) -> int:
    """CRC-32 over a row's columns: finds damage, not malice (the digests and signatures do that)."""
    running = 0
    for column in columns:
        data = column if isinstance(column, bytes) else column.to_bytes(9, "big", signed=True)
        running = crc32(data, crc32(len(data).to_bytes(8, "big"), running))
    return running
