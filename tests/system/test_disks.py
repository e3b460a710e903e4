"""Disks that fail under the real store and the real node: power cuts, no space, no fsync, no writing at all.

strace records what the store really asks of the kernel, and lets fsync fail under a node that runs.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from recorded_disk import Call, Disk, record

from p2penergy.store import Store, StoreError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT / "tests" / "store"))
sys.path.insert(1, str(ROOT / "tests" / "operations"))

from operating_net import make_net  # noqa: E402
from store_samples import CHAIN  # noqa: E402

pytestmark = pytest.mark.system

PROGRAM = Path(sys.executable).parent / "p2penergy"
HEIGHTS, VOTES = 60, 4
CUTS = 400
PATIENCE_S = 90
WORKER = f"""
import os, sys
sys.path[:0] = {[str(ROOT), str(ROOT / "tests" / "store"), str(ROOT / "tests")]!r}
from pathlib import Path
from store_samples import CHAIN, decided, vote
from p2penergy.store import Store, StoreError
store = Store.open(Path(sys.argv[1]), CHAIN)
for height in range(1, {HEIGHTS} + 1):
    for view in range(1, {VOTES} + 1):
        store.persist_now([vote(height, view, message=bytes([height, view]) * 700)])
        os.write(1, b"%d %d\\n" % (height, view))
    store.persist_now([decided(height)])
    os.write(1, b"%d 0\\n" % height)
os._exit(0)
"""


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[dict[str, bytes], list[Call]]:
    """The files before, and every call of a store at work, checkpoints of its log among them."""
    path = tmp_path / "ledger.sqlite3"
    Store.create(path, CHAIN).close()
    files = {str(path): path.read_bytes(), f"{path}-wal": b""}
    (tmp_path / "worker.py").write_text(WORKER)
    made = record([sys.executable, tmp_path / "worker.py", path], tmp_path / "strace.log")
    assert sum(call.path == str(path) and call.name == "pwrite64" for call in made) > 10, "no checkpoint"
    return files, made


def promised(made: Sequence[Call]) -> set[tuple[int, int]]:
    """What the store had acknowledged: (height, view), view 0 for the decision."""
    said = b"".join(call.data for call in made if call.name == "write" and call.descriptor == 1)
    return {(int(a), int(b)) for a, b in (line.split() for line in said.decode().splitlines())}


def kept(path: Path) -> set[tuple[int, int]]:
    store = Store.open(path, CHAIN)
    try:
        found = {(height, 0) for height in range(1, store.tip() + 1)}
        return found | {(each.height, each.view) for h in range(1, HEIGHTS + 1) for each in store.votes(h)}
    finally:
        store.close()


def left_behind(tmp_path: Path, files: dict[str, bytes]) -> set[tuple[int, int]]:
    """What a store finds on such a disk; whatever it is, it opens."""
    folder = tmp_path / "left"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for path, data in files.items():
        (folder / Path(path).name).write_bytes(data)
    return kept(folder / "ledger.sqlite3")


def test_no_power_cut_loses_what_was_acknowledged_or_keeps_the_node_from_starting(
    recorded: tuple[dict[str, bytes], list[Call]], tmp_path: Path
) -> None:
    files, made = recorded
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    cuts = sorted(dice.sample(range(len(made)), min(CUTS, len(made))))
    disk, followed = Disk(files), 0
    for number in cuts:
        for call in made[followed:number]:
            disk.follow(call)
        followed = number
        lost = promised(made[:number]) - left_behind(tmp_path, disk.after_power_cut(dice))
        assert not lost, f"seed {seed}, cut {number}: {sorted(lost)[:3]}"


def test_the_model_finds_a_store_that_forgets_fsync(
    recorded: tuple[dict[str, bytes], list[Call]], tmp_path: Path
) -> None:
    files, made = recorded
    disk = Disk(files)
    for call in made:
        if call.name not in ("fsync", "fdatasync"):
            disk.follow(call)
    dice = random.Random(1)
    with pytest.raises((StoreError, AssertionError)):
        for _ in range(10):
            assert promised(made) <= left_behind(tmp_path, disk.after_power_cut(dice))


# ---- a real node ------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def founded(folder: Path) -> Path:
    net = make_net(folder / "net", 1, "--alpha-ms", "300", "--eps-ms", "10", "--delta-ms", "20")
    return net.homes[0]


def ended(process: subprocess.Popen[str]) -> str:
    """What it said on its way out, after the line of its log."""
    try:
        _, said = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 2, said
    last = said.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    return last


def started(*command: str | Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([str(word) for word in command], stdout=-1, stderr=-1, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.startswith("ready "):
        process.kill()
        pytest.fail(f"it did not start: {process.communicate()[1]}")
    return process


def runs_once(home: Path, *options: str) -> None:
    """It starts, and ends in order."""
    process = started(PROGRAM, "start", "--home", home, *options)
    process.terminate()
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said


def runs_again(home: Path) -> None:
    """It starts where it was, and what it holds is right."""
    runs_once(home)
    audited = subprocess.run([PROGRAM, "audit", home], capture_output=True, text=True, check=False)
    assert audited.returncode == 0, audited.stdout + audited.stderr


@pytest.mark.timeout(300)
def test_a_full_disk_halts_the_node_with_one_sentence_and_space_mends_it(small_disk: Path) -> None:
    home = founded(small_disk)
    process = started(PROGRAM, "start", "--home", home)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    last = ended(process)
    assert "can't be written: " in last
    assert "Check the disk (space, health), then start the node again." in last
    filler.unlink()
    runs_again(home)


@pytest.mark.timeout(300)
def test_an_fsync_that_fails_once_halts_the_node(tmp_path: Path) -> None:
    home = founded(tmp_path)
    inject = "inject=fdatasync:error=EIO:when=12"
    options = ("-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", inject)
    process = started("strace", *options, PROGRAM, "start", "--home", home)
    last = ended(process)
    assert "disk I/O error. Nothing more is stored or sent. Check the disk" in last
    runs_again(home)


@pytest.mark.timeout(300)
def test_a_disk_that_can_not_be_written_is_said_at_the_start(small_disk: Path) -> None:
    home = founded(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    process = subprocess.Popen([PROGRAM, "start", "--home", home], stdout=-1, stderr=-1, text=True)
    assert "Read-only file system" in ended(process)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    runs_again(home)


@pytest.mark.timeout(300)
def test_a_damaged_page_is_said_at_the_start_with_the_way_back(tmp_path: Path) -> None:
    home = founded(tmp_path)
    runs_once(home)
    ledger = home / "ledger.sqlite3"
    data = bytearray(ledger.read_bytes())
    # The middle of a page of a table, over its list of cells.
    data[3 * 4096 : 3 * 4096 + 64] = bytes(range(64))
    ledger.write_bytes(data)
    process = subprocess.Popen([PROGRAM, "start", "--home", home], stdout=-1, stderr=-1, text=True)
    last = ended(process)
    assert "is damaged" in last
    assert "--votes-lost" in last
    ledger.unlink()
    runs_once(home, "--votes-lost")
