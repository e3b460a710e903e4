"""The tables of `ledger.sqlite3`, and how a connection to them is opened.

Lives here: the schema with its explanation, which is also written into the file itself (`.schema` in
the sqlite3 program shows it), the settings of connections, and the checksum of a row. Never here:
threads, what the records mean. Owns the invariant that a commit is on the disk when it returns:
write-ahead log and `synchronous=FULL`. Implements CONSENSUS section 6 and LEDGER section 3.
"""

import sqlite3
from hashlib import sha256
from pathlib import Path
from zlib import crc32

from p2penergy.store.limits import CACHE_KIB, WAL_PAGES_MAX

FILE_NAME = "ledger.sqlite3"
READ_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What reading a damaged file raises: SQLite quotes damaged names in its own sentences."""
SCHEMA_VERSION = 2
KEY_DIGEST_BYTES = 16

COMMITTEES_TABLE = """\
CREATE TABLE committees ( -- every committee that decided a block, for whoever follows the headers only
    root BLOB PRIMARY KEY,
    members BLOB NOT NULL -- msgpack: ids ascending, each with its key; the root is their digest
) WITHOUT ROWID;
"""
"""Came with version 2; a ledger of before gets it by `migrations`, in these very words."""
_SCHEMA = f"""
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
    checksum INTEGER NOT NULL
);

CREATE TABLE results ( -- what executing a block wrote; height 0: genesis
    height INTEGER PRIMARY KEY,
    results BLOB NOT NULL, -- zlib over msgpack: receipts and versions, see p2penergy/store/results.py
    checksum INTEGER NOT NULL
);

CREATE TABLE transactions ( -- every decided transaction, accepted or declined
    transaction_id BLOB PRIMARY KEY,
    height INTEGER NOT NULL,
    idx INTEGER NOT NULL -- its place in the block
) WITHOUT ROWID;

CREATE TABLE state ( -- the value of every key after the last decided block
    key BLOB PRIMARY KEY,
    value BLOB NOT NULL,
    height INTEGER NOT NULL -- of the block that wrote it; its results tell which one did before
) WITHOUT ROWID;

CREATE TABLE ended ( -- keys that had a value once
    key_digest BLOB PRIMARY KEY, -- first 16 bytes of SHA-256 over the key: there are many, and long ones
    height INTEGER NOT NULL -- of the block that ended it
) WITHOUT ROWID;

{COMMITTEES_TABLE}
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
    lay_out_tables(connection)
    rows = about_rows(chain_id, amnesia_slot)
    connection.executemany("INSERT INTO about VALUES (?, ?)", sorted(rows.items()))
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def lay_out_tables(connection: sqlite3.Connection) -> None:
    """Make the tables, all empty."""
    connection.executescript(_SCHEMA)


def about_rows(chain_id: bytes, amnesia_slot: int | None) -> dict[str, str]:
    """What the table `about` holds."""
    rows = {"what": "p2penergy ledger", "chain_id": chain_id.hex()}
    if amnesia_slot is not None:
        rows["amnesia_slot"] = str(amnesia_slot)
    rows["checksum"] = str(checksum(*(each.encode() for row in sorted(rows.items()) for each in row)))
    return rows


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes; every commit of it is durable when it returns."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.text_factory = _lenient
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES_MAX}")
    connection.execute("PRAGMA secure_delete = OFF")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return connection


def connect_reader(path: Path, unchanging: bool = False) -> sqlite3.Connection:
    """A connection that can't write, for any thread (one at a time).

    `unchanging`: nobody writes meanwhile and there is no log, so that SQLite makes no file beside it.
    """
    uri = f"{path.absolute().as_uri()}?{'immutable=1' if unchanging else 'mode=ro'}"
    connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
    connection.text_factory = _lenient
    return connection


def _lenient(text: bytes) -> str:
    # Damaged text is compared and found, not raised.
    return text.decode("utf-8", "replace")


def key_digest(key: bytes) -> bytes:
    """What `ended` knows a key by, 16 bytes."""
    return sha256(key).digest()[:KEY_DIGEST_BYTES]


def checksum(*columns: int | bytes) -> int:
    """CRC-32 over a row's columns: finds damage, not malice (the digests and signatures do that)."""
    running = 0
    for column in columns:
        data = column if isinstance(column, bytes) else column.to_bytes(9, "big", signed=True)
        running = crc32(data, crc32(len(data).to_bytes(8, "big"), running))
    return running
