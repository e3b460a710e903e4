import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from p2penergy.meters import folder as module
from p2penergy.meters.folder import Folder
from p2penergy.meters.samples import Batch, SourceError

HEAD = "time,import_wh,export_wh\n"
WAIT_S = 60


def source(path: Path, known: set[str] | None = None) -> AsyncIterator[Batch]:
    return Folder(path, (known or set()).__contains__, look_s=0.001).batches()


async def take(batches: AsyncIterator[Batch]) -> Batch:
    async with asyncio.timeout(WAIT_S):
        return await anext(batches)


async def test_complete_files_are_read_once_by_name(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text(HEAD + "1800,2,0\n")
    (tmp_path / "a.csv").write_text(HEAD + "900,1,0\n")
    (tmp_path / ".hidden.csv").write_text(HEAD)
    (tmp_path / "c.csv.part").write_text(HEAD)
    (tmp_path / "d.csv").mkdir()
    batches = source(tmp_path)
    first, second = await take(batches), await take(batches)
    assert [first.samples[0].at_s, second.samples[0].at_s] == [900, 1800]
    (tmp_path / "z.csv").write_text(HEAD + "2700,3,0\n")
    assert (await take(batches)).samples[0].at_s == 2700


async def test_a_file_is_left_alone_until_its_last_line_ends(tmp_path: Path) -> None:
    growing = tmp_path / "a.csv"
    growing.write_text(HEAD + "900,1,0\n1800,2")
    (tmp_path / "b.csv").write_text(HEAD + "2700,1,0\n")
    batches = source(tmp_path)
    assert (await take(batches)).samples[0].at_s == 2700
    with growing.open("a") as file:
        file.write(",0\n")
    assert len((await take(batches)).samples) == 2


async def test_a_changed_file_is_read_again_and_a_known_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEAD + "900,1,0\n")
    mark = (await take(source(tmp_path))).mark
    (tmp_path / "b.csv").write_text(HEAD + "1800,1,0\n")
    batches = source(tmp_path, {mark})
    assert (await take(batches)).samples[0].at_s == 1800
    path.write_text(HEAD + "900,1,0\n2700,1,0\n")
    assert len((await take(batches)).samples) == 2


async def test_a_bad_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("what is this\n")
    (tmp_path / "b.csv").write_text(HEAD + "900,1,0\n")
    secret = tmp_path / "c.csv"
    secret.write_text(HEAD + "900,1,0\n")
    batches = source(tmp_path)
    bad = await take(batches)
    assert bad.samples == () and "a.csv" in bad.problems[0] and bad.mark
    assert (await take(batches)).samples


async def test_a_folder_that_is_none_ends_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="make it first"):
        await take(source(tmp_path / "nowhere"))
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="can't be looked into"):
        await take(source(tmp_path / "file"))
    monkeypatch.setattr(module, "FILES_MAX", 1)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(HEAD)
    with pytest.raises(SourceError, match="more than 1 files"):
        await take(source(tmp_path))


async def test_a_file_whose_time_changes_is_not_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEAD + "900,1,0\n")
    looks = Folder(path.parent, lambda mark: False)
    assert looks._complete() == []
    os.utime(path, ns=(1, 1))
    assert looks._complete() == []
    assert looks._complete() == ["a.csv"]
