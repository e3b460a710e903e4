"""From the tables of an earlier version to the present ones, in place.

Lives here: one step per schema version, and their application in one transaction. Never here: the present
tables (`schema`), the protocol's versions (genesis). Owns the invariant that a power cut leaves the file as
it was or as it will be, with its version number, and that whatever the node had signed is still there.

Only a node's own start migrates, under the file's lock: tools that read leave a ledger as it is. The version
before the first step is the oldest that can be opened.
"""

import sqlite3
from collections.abc import Mapping
from types import MappingProxyType

from p2penergy.store.schema import COMMITTEES_TABLE, SCHEMA_VERSION

STEPS: Mapping[int, str] = MappingProxyType(
    {
        # No rows: a chain of version 1 knew the committees of genesis only, which whoever follows it has.
        1: COMMITTEES_TABLE,
    }
)
"""Schema version -> SQL statements that lead to the next one."""
OLDEST = min(STEPS)


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring the tables from `version`, `OLDEST` or later, to `SCHEMA_VERSION`; nothing to do at that.

    Raises:
        sqlite3.Error: the disk refuses; nothing has changed.
    """
    if version == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for number in range(version, SCHEMA_VERSION):
            for statement in STEPS[number].split(";\n"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
