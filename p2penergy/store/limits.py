"""Every bound of the store, in one place. No logic lives here."""

QUEUE_SUBMISSIONS_MAX = 4096
"""Calls of `submit` that may wait for the disk."""
QUEUE_BYTES_MAX = 256 * 1024 * 1024
"""Bytes of blocks, votes and certificates that may wait for the disk."""
GROUP_SUBMISSIONS_MAX = 512
"""Submissions that share one durable commit."""
VOTE_HEIGHTS_KEPT = 1000
"""Heights below the tip whose own votes stay; safety needs none of them, audits read them."""
NAMES_PER_QUERY = 256
"""Keys that one question of the writer is about."""
HEADER_BYTES_MAX = 1024
"""No header of a block is longer in its encoding."""
HISTORY_VERSIONS_MAX = 10_000
"""Versions of one key that one question answers."""
READERS_MAX = 8
"""Read-only connections open at once; further readers wait."""
CHECKPOINT_COMMITS = 64
"""Commits after which the write-ahead log is copied into the file, between two commits."""
CHECKPOINT_ROWS = 10_000
"""The same, in rows written."""
WAL_PAGES_MAX = 8192
"""Pages of the log after which SQLite copies it within a commit: only when the above could not."""
CACHE_KIB = 8 * 1024
"""Page cache of the writing connection."""
DAMAGES_SHOWN_MAX = 1
"""Findings of SQLite's own check that an error repeats."""
