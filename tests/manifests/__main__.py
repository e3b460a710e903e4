"""`python -m tests.manifests`: networks of real processes under seeded disturbances.

    --seeds 0..49          one manifest per seed; `make manifests`
    --kills 100            one network, so many SIGKILLs in a row, under trade; `make kills`

Ends with 1 at the first promise that is broken, with its seed and its folder.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The helpers of the tests are modules beside each other, without packages.
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

from judging import judge_alive, judge_ledgers  # noqa: E402
from manifest import VALIDATORS_MAX, VALIDATORS_MIN, Manifest, draw, kills  # noqa: E402
from namespaces import Machines  # noqa: E402
from running import NETWORK, OWN_ADDRESS, BrokenError, World  # noqa: E402

from p2penergy.client import ClientError  # noqa: E402
from p2penergy.processes import ProcessError  # noqa: E402


async def carry_out(
    plan: Manifest, folder: Path, machines: Machines | None, tell: Callable[[str], None]
) -> str:
    """Run one manifest to its end; a line about it. Raises `BrokenError`, `ClientError` or `ProcessError`."""
    began = time.monotonic()
    world = World(plan, folder, machines, tell)
    try:
        await world.start()
        await world.disturb()
        height = await judge_alive(world)
    finally:
        await world.end()
    witnessed = world.witnessed
    await asyncio.to_thread(judge_ledgers, folder, len(witnessed.receipts))
    return (
        f"height {height}, {len(witnessed.receipts)} transactions, {witnessed.disturbed} disturbances, "
        f"{witnessed.kills} kills, {time.monotonic() - began:.0f} s: all ledgers clean and equal"
    )


def machines_for(count: int) -> Machines | None:
    """A network namespace per validator where this user may make them."""
    try:
        machines = Machines(count, NETWORK)
    except (RuntimeError, OSError):
        return None
    try:
        machines.join(OWN_ADDRESS)
    except RuntimeError:
        machines.remove()
        return None
    return machines


def run(plan: Manifest, command: str, with_namespaces: bool) -> bool:
    """Whether all went well; says so, or how to see it again."""
    print(plan, flush=True)
    folder = Path(tempfile.mkdtemp(prefix="p2penergy-manifest-"))
    machines = machines_for(plan.validators) if with_namespaces else None
    if with_namespaces and machines is None:
        print("  no network namespaces: a disconnection is a pause", flush=True)
    done = 0

    def tell(what: str) -> None:
        nonlocal done
        done += 1
        print(f"  {done}/{sum(map(len, plan.lanes))} {what}", flush=True)

    try:
        print(f"  {asyncio.run(carry_out(plan, folder, machines, tell))}", flush=True)
    except (BrokenError, ClientError, ProcessError, TimeoutError) as error:
        print(
            f"  BROKEN: {type(error).__name__}: {error}\n  kept in {folder}\n  again: {command}", flush=True
        )
        return False
    finally:
        if machines is not None:
            machines.remove()
    shutil.rmtree(folder)
    return True


def _seeds(text: str) -> range:
    first, _, last = text.partition("..")
    with contextlib.suppress(ValueError):
        if seeds := range(int(first), int(last or first) + 1):
            return seeds
    raise argparse.ArgumentTypeError(f"{text!r} is not SEED or FIRST..LAST")


def main() -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.manifests",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=_seeds, default=_seeds("0..49"), help="(default: 0..49)")
    parser.add_argument(
        "--kills", type=int, help="one network, so many kills; the first of --seeds is its seed"
    )
    parser.add_argument(
        "--validators",
        type=int,
        choices=range(VALIDATORS_MIN, VALIDATORS_MAX + 1),
        default=7,
        help="for --kills (default: 7)",
    )
    parser.add_argument("--loopback", action="store_true", help="no network namespaces, even as root")
    chosen = parser.parse_args()
    more = " --loopback" if chosen.loopback else ""
    if chosen.kills is not None:
        if chosen.kills < 1:
            parser.error("--kills must be at least 1")
        seed = chosen.seeds[0]
        options = f"--kills {chosen.kills} --validators {chosen.validators} --seeds {seed}"
        plan = kills(seed, chosen.validators, chosen.kills)
        # A network that is killed all the time needs no cables: any user may run it.
        return 0 if run(plan, f"python -m tests.manifests {options}", with_namespaces=False) else 1
    began = time.monotonic()
    for seed in chosen.seeds:
        if not run(draw(seed), f"python -m tests.manifests --seeds {seed}{more}", not chosen.loopback):
            return 1
    print(f"{len(chosen.seeds)} manifests in {time.monotonic() - began:.0f} s: nothing broken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
