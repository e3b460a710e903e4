"""A meter outlives its network: begun while none runs, and while all are killed and started again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_village import all_ended, ledgers, run_demo, write_village
from test_cli_meter import Meter

from p2penergy.grid.periods import parse_period_start
from p2penergy.processes import Validator


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folders of a demo that is over: nobody runs."""
    folder = tmp_path_factory.mktemp("away")
    code, out, err = run_demo(
        write_village(folder / "elm"), "--keep", str(folder / "kept"), "--json", str(folder / "out.json")
    )
    assert code == 0, out + err
    yield folder / "kept"
    all_ended(folder / "kept")


def drop(folder: Path, first: int, count: int) -> None:
    """One file of registers that complete `count` periods, moved in as a whole."""
    rows = [f"{(first + n) * 900},{30 * (first + n)},0" for n in range(count + 1)]
    part = folder / f"{first}.part"
    part.write_text("\n".join(["time,import_wh,export_wh", *rows]) + "\n")
    part.rename(folder / f"{first}.csv")


async def test_a_meter_waits_for_its_network_and_sends_each_period_once(kept: Path, tmp_path: Path) -> None:
    homes = sorted(path.parent for path in ledgers(kept))
    validators = [Validator(home.name, home) for home in homes]
    first = parse_period_start("2016-06-23T11:15Z")
    drop(tmp_path, first, 2)
    accepted: list[dict[str, object]] = []
    with Meter(
        kept / "households" / "H001", "--source", "folder", "--path", str(tmp_path), "--json"
    ) as meter:
        assert "readings wait until they can" in await asyncio.to_thread(meter.complaint)
        try:
            await asyncio.gather(*(validator.start() for validator in validators))
            while len(accepted) < 2:
                accepted.append(json.loads(await asyncio.to_thread(meter.line)))
            # All validators are killed; what comes meanwhile is sent once they are back.
            await asyncio.gather(*(validator.kill() for validator in validators))
            drop(tmp_path, first + 2, 1)
            await asyncio.gather(*(validator.start() for validator in validators))
            accepted.append(json.loads(await asyncio.to_thread(meter.line)))
        finally:
            await asyncio.gather(*(validator.stop() for validator in validators))
        code, out = meter.end()
    assert code == 0 and out == ""
    assert [entry["state"] for entry in accepted] == ["accepted"] * 3
    assert sorted(int(str(entry["period"])) for entry in accepted) == [first, first + 1, first + 2]
