"""Two processes with one key: an operator who copied a node's folder, and let both of them run."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from node_network import Running, Village, eventually

from p2penergy import home as homes
from p2penergy.ledger import keys


def _copied(folder: Path, to: Path) -> Path:
    """The same node in another folder, on another port; its store is as empty as the first one's."""
    shutil.copytree(folder, to)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = homes.load(folder).config
    path = to / "config.toml"
    text = path.read_text("utf-8")
    assert config.node.listen in text
    path.write_text(text.replace(config.node.listen, f"127.0.0.1:{port}", 1), "utf-8")
    return to


async def test_a_validator_that_runs_twice_forks_nothing_and_stops_nobody(
    village: Village, tmp_path: Path
) -> None:
    second = _copied(village.community.homes["H004"], tmp_path / "copy")
    await village.start()
    twin = Running("H004 again", homes.load(second))
    others = [running for name, running in village.nodes.items() if name != "H004"]
    try:
        goal = max(running.height for running in others) + 6
        await eventually(lambda: min(running.height for running in others) >= goal, "the others go on")
    finally:
        await twin.stop()
    # If the two spoke differently, their member is on record and expelled: then nobody tells it of blocks.
    goal = max(running.height for running in others) + 2
    await eventually(lambda: min(running.height for running in others) >= goal, "the others go on")
    height = min(running.store.tip() for running in others)
    digests = {running.store.headers(height, 1)[0][0].parent for running in others}
    assert len(digests) == 1
    # Nobody else ever is on record.
    for running in others:
        for correct in others:
            assert running.node.ledger.get(keys.proven(correct.participant_id)) is None
