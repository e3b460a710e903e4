from pathlib import Path

import pytest

from p2penergy.meters import memory as module
from p2penergy.meters.memory import (
    MEMORY_FILE,
    Memory,
    ReadingState,
    SignedReading,
    read_surpluses,
)
from p2penergy.meters.registers import Frontier
from p2penergy.meters.samples import SourceError

CHAIN = bytes(32)


def reading(period: int, import_wh: int = 5) -> SignedReading:
    return SignedReading(period, import_wh, 0, b"%d/%d" % (period, import_wh))


def test_a_period_keeps_its_first_figures_over_restarts(tmp_path: Path) -> None:
    memory = Memory(tmp_path, CHAIN)
    memory.keep([reading(7, 5)], Frontier(900, 1, 2), "a.csv")
    memory.keep([reading(7, 6), reading(8)], Frontier(1800, 3, 4), "")
    memory.close()
    memory = Memory(tmp_path, CHAIN)
    assert [found.raw for found in memory.open_readings(9)] == [b"7/5", b"8/5"]
    assert memory.frontier == Frontier(1800, 3, 4)
    assert memory.is_signed(7) and not memory.is_signed(9)
    assert memory.has_mark("a.csv") and not memory.has_mark("")
    memory.settle(7, ReadingState.ACCEPTED, "accepted")
    assert [found.period for found in memory.open_readings(9)] == [8]
    assert memory.counts() == {ReadingState.OPEN: 1, ReadingState.ACCEPTED: 1, ReadingState.DECLINED: 0}
    memory.close()


def test_a_batch_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    memory = Memory(tmp_path, CHAIN)

    def broken() -> "list[SignedReading]":
        raise RuntimeError

    with pytest.raises(RuntimeError):
        memory.keep((entry for entries in [[reading(7)], broken()] for entry in entries), Frontier(1), "m")
    assert memory.open_readings(9) == [] and memory.frontier == Frontier() and not memory.has_mark("m")
    memory.close()


def test_two_processes_never_read_one_meter(tmp_path: Path) -> None:
    memory = Memory(tmp_path, CHAIN)
    with pytest.raises(SourceError, match="another `p2penergy meter`"):
        Memory(tmp_path, CHAIN)
    memory.close()
    Memory(tmp_path, CHAIN).close()


def test_another_chain_and_another_file_are_refused(tmp_path: Path) -> None:
    Memory(tmp_path, CHAIN).close()
    with pytest.raises(SourceError, match="another community"):
        Memory(tmp_path, b"\1" * 32)
    (tmp_path / MEMORY_FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(SourceError, match="can't be used"):
        Memory(tmp_path, CHAIN)
    with pytest.raises(SourceError, match=r"is .* there"):
        Memory(tmp_path / "nowhere", CHAIN)
    with pytest.raises(SourceError, match="can't be read"):
        read_surpluses(tmp_path, 9)


def test_the_oldest_marks_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILES_REMEMBERED_MAX", 2)
    memory = Memory(tmp_path, CHAIN)
    for mark in ("a", "b", "c"):
        memory.keep([], Frontier(), mark)
    assert [memory.has_mark(mark) for mark in ("a", "b", "c")] == [False, True, True]
    memory.close()


def test_surpluses_are_read_beside_a_running_meter(tmp_path: Path) -> None:
    assert read_surpluses(tmp_path, 9) == {}
    memory = Memory(tmp_path, CHAIN)
    memory.keep([reading(7, 5), reading(8, 6), SignedReading(9, 0, 4, b"")], Frontier(), "")
    assert read_surpluses(tmp_path, 2) == {9: 4, 8: -6}
    memory.close()
