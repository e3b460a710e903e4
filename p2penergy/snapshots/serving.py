"""Making snapshots at certain heights, and telling peers of them.

Lives here: when a running node makes one, and its answers to SNAPSHOT requests. Never here: the files
(`files`), loading one (`fetching`). Owns the invariants that every node makes them at the same heights, so
that parts of one may come from several peers, and that nothing here can stop a node. CONSENSUS section 7.
"""

import asyncio
import logging
from collections.abc import Callable

from p2penergy.consensus.effects import Decision
from p2penergy.ledger import Snapshot
from p2penergy.messages import Message, SnapshotRequest, SnapshotResponse, encode
from p2penergy.snapshots.files import SnapshotError, SnapshotFolder, write_file
from transport import Mesh

ANSWER_BYTES_MAX = 2 * 1024 * 1024

log = logging.getLogger(__name__)


class Snapshots:
    """The snapshots of one running node."""

    def __init__(
        self,
        folder: SnapshotFolder,
        every_blocks: int,
        freeze: Callable[[], Snapshot | None],
        mesh: Mesh,
    ) -> None:
        """`every_blocks` 0: none are made, those that are there are told; `freeze` copies the state."""
        self._folder = folder
        self._every_blocks = every_blocks
        self._freeze = freeze
        self._mesh = mesh
        self._writing: asyncio.Task[None] | None = None

    def on_decided(self, decision: Decision) -> None:
        """A block was decided in this very step; called before the next step."""
        if not self._every_blocks or decision.height % self._every_blocks:
            return
        snapshot = self._freeze()
        # A step that decided more, or a disk that is behind: the next one will do.
        if snapshot is not None and snapshot.height == decision.height and self._writing is None:
            block = encode(decision.block)
            self._writing = asyncio.get_running_loop().create_task(self._write(block, snapshot))

    def heights(self) -> tuple[int, ...]:
        """Of which blocks there are snapshots."""
        return self._folder.heights()

    async def stop(self) -> None:
        """Wait for the file that is being written."""
        if self._writing is not None:
            await self._writing

    async def _write(self, block: bytes, snapshot: Snapshot) -> None:
        folder = self._folder
        try:
            self._folder.add(
                await asyncio.to_thread(write_file, folder.path, folder.chain_id, block, snapshot)
            )
            log.info("snapshot", extra={"height": snapshot.height, "entries": len(snapshot.values)})
        except SnapshotError as error:
            log.warning("no snapshot", extra={"height": snapshot.height, "error": str(error)})
        finally:
            self._writing = None

    def on_request(self, peer: bytes, message: Message) -> None:
        """SNAPSHOT: what there is, how one opens, or parts of it."""
        assert isinstance(message, SnapshotRequest)
        held = self._folder.get(message.height)
        opening, parts = None, tuple[bytes, ...]()
        try:
            if held is not None and message.count:
                parts = held.read(message.first, message.count, ANSWER_BYTES_MAX)
            elif held is not None:
                opening = held.opening
        except SnapshotError as error:
            log.warning("snapshot left aside", extra={"error": str(error)})
            self._folder.drop(message.height)
        answer = SnapshotResponse(self._folder.heights(), message.height, opening, message.first, parts)
        self._mesh.send(peer, encode(answer))
