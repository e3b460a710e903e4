"""`python -m bench.wiped`: a validator that lost everything, against a long chain; by blocks and by snapshot.

Lives here: the measurement and its command. Never here: making the chain (`long_chain`). The chain is real in
every byte but in the time it took: three validators get it as files, and run as a community's do; the fourth
is started without a ledger, with `--votes-lost`. Its time counts from the start of its process to the moment
at which it says that it is at the height that the others had when it was started.
"""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import track

from bench import machine
from bench.long_chain import LongChain, store_chain
from p2penergy import config as configuration
from p2penergy import home as homes
from p2penergy.coordinator import wall_clock_ms
from p2penergy.founding import Community, Plan, found
from p2penergy.genesis import ConsensusRules, MarketRules
from p2penergy.operations.asking import dialling
from p2penergy.processes import Validator
from p2penergy.snapshots.files import write_file

ALPHA_MS, EPS_MS, DELTA_MS = 500, 5, 40
HOUSEHOLDS = 12
VALIDATORS = 4
LATE = VALIDATORS - 1
FIRST_PERIOD = 1_600_000
POLL_S = 0.02
WAIT_S_MAX = 900.0


@dataclass(frozen=True, slots=True)
class Way:
    """One way of catching up, measured."""

    way: str
    blocks: int
    """From genesis to the height to reach."""
    seconds: float
    blocks_per_s: float
    ready_s: float
    """Until it listened: with a snapshot all but the last blocks is done by then."""
    base_height: int
    fetched_blocks: int
    disk_mib: float


def make_community(folder: Path, blocks: int) -> Community:
    """Founded so long ago that so many slots have passed by the time the chain is made."""
    rules = ConsensusRules(
        t0_ms=wall_clock_ms() - blocks * ALPHA_MS, alpha_ms=ALPHA_MS, eps_ms=EPS_MS, delta_ms=DELTA_MS
    )
    market = MarketRules(replay=True, first_period=FIRST_PERIOD - 1)
    households = [(f"H{number:03}", 30_000) for number in range(1, HOUSEHOLDS + 1)]
    return found(Plan("Long Lane", households, VALIDATORS, rules, market), folder)


def make_chain(community: Community, blocks: int, transactions_per_block: int, console: Console) -> int:
    """Give every validator but the late one the same chain and snapshots; entries of its last state."""
    chain = LongChain(community, transactions_per_block)
    places = [community.homes[name] for name in community.validators]
    every = configuration.load(places[0]).node.snapshot_blocks
    places[0].joinpath(homes.SNAPSHOTS_FOLDER).mkdir(exist_ok=True)
    heights = store_chain(chain, blocks, places[0] / homes.LEDGER_FILE)
    for height in track(heights, "blocks", total=blocks, console=console):
        if height % every == 0 and height > blocks - 2 * every:
            folder = places[0] / homes.SNAPSHOTS_FOLDER
            write_file(folder, chain.genesis.chain_id, msgspec.msgpack.encode(chain.tip[0]), chain.snapshot())
    for place in places[1:LATE]:
        shutil.copyfile(places[0] / homes.LEDGER_FILE, place / homes.LEDGER_FILE)
        shutil.copytree(places[0] / homes.SNAPSHOTS_FOLDER, place / homes.SNAPSHOTS_FOLDER)
    return len(chain.snapshot().values)


class Neighbourhood:
    """The running validators, and their word on themselves."""

    def __init__(self, community: Community) -> None:
        self.validators = [Validator(name, community.homes[name]) for name in community.validators[:LATE]]
        name = community.validators[LATE]
        self.late = Validator(name, community.homes[name], ("p2penergy", "start", "--votes-lost"))
        self._device = homes.load(community.homes[community.validators[0]])
        self._ids = [community.meters[name].participant_id for name in community.validators]
        self._addresses = community.addresses

    async def reach(self, number: int, height: int) -> Mapping[str, Any]:
        """The status of a validator once it is at a height."""
        peer = self._ids[number]
        async with (
            asyncio.timeout(WAIT_S_MAX),
            dialling(self._device, {peer: self._addresses[peer]}) as (client, _),
        ):
            await client.connected(1)
            while True:
                status: dict[str, Any] = await client.query_json(peer, "status")
                if status["height"] >= height:
                    return status
                await asyncio.sleep(POLL_S)

    async def measure(self, way: str, far_behind_blocks: int) -> Way:
        """Start the late validator without a ledger and wait until it is where the others are now."""
        home = self.late.home
        for file in home.glob(f"{homes.LEDGER_FILE}*"):
            file.unlink()
        _settle(home, far_behind_blocks)
        goal = int((await self.reach(0, 0))["height"])
        begun_s = time.monotonic()
        await self.late.start()
        ready_s = time.monotonic() - begun_s
        status = await self.reach(LATE, goal)
        seconds = time.monotonic() - begun_s
        disk_bytes = sum(file.stat().st_size for file in home.glob(f"{homes.LEDGER_FILE}*"))
        await self.late.stop()
        return Way(
            way=way,
            blocks=goal,
            seconds=round(seconds, 2),
            blocks_per_s=round(goal / seconds, 1),
            ready_s=round(ready_s, 2),
            base_height=status["base_height"],
            fetched_blocks=goal - status["base_height"],
            disk_mib=round(disk_bytes / 2**20, 1),
        )


def _settle(home: Path, far_behind_blocks: int) -> None:
    config = configuration.load(home)
    node = msgspec.structs.replace(config.node, far_behind_blocks=far_behind_blocks)
    text = configuration.render(msgspec.structs.replace(config, node=node))
    (home / configuration.CONFIG_FILE).write_text(text, encoding="utf-8")


async def measure(community: Community, blocks: int, runs: int) -> list[Way]:
    """Both ways, so many times."""
    neighbourhood = Neighbourhood(community)
    found_ways = []
    try:
        for validator in neighbourhood.validators:
            await validator.start()
        # The network lives: the others decide while the late one catches up.
        await neighbourhood.reach(0, blocks + 1)
        far = configuration.NodeSettings().far_behind_blocks
        for _ in range(runs):
            found_ways.append(await neighbourhood.measure("blocks", 0))
            found_ways.append(await neighbourhood.measure("snapshot", far))
    finally:
        await asyncio.gather(*(each.stop() for each in (neighbourhood.late, *neighbourhood.validators)))
    return found_ways


@click.command()
@click.option("--blocks", default=5_000, show_default=True, help="Length of the chain.")
@click.option("--transactions", default=4, show_default=True, help="In each block.")
@click.option("--runs", default=3, show_default=True, help="Of each way.")
@click.option("--out", type=click.Path(path_type=Path), help="File for the figures as JSON.")
def main(blocks: int, transactions: int, runs: int, out: Path | None) -> None:
    """Measure how a wiped validator catches up with a long chain, by blocks and by snapshot."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="p2penergy-wiped-") as name:
        community = make_community(Path(name), blocks)
        begun_s = time.monotonic()
        entries = make_chain(community, blocks, transactions, console)
        made_s = time.monotonic() - begun_s
        ways = asyncio.run(measure(community, blocks, runs))
    result = {
        "machine": machine.describe(),
        "blocks": blocks,
        "transactions_per_block": transactions,
        "state_entries": entries,
        "made_s": round(made_s, 1),
        "ways": [asdict(way) for way in ways],
    }
    text = json.dumps(result, indent=2)
    console.print_json(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
