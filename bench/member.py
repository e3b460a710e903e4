"""`python -m bench.member`: the node of a home, changed for a measurement.

Lives here: the bench-only entry point that puts faults, delays, notes or another application into a node.
Never here: anything that `p2penergy start` could be told to do: a real network has no switch for it. The
parent writes the profile into the home; all else is the very code of a correct node.
"""

from contextlib import closing
from pathlib import Path

import click
import msgspec

from bench.applications import BenchApplication
from bench.faulty import SLOW_DELTAS, Equivocator
from bench.tracing import TRACE_FILE, TracingMesh
from p2penergy import home as homes
from p2penergy import logs, loops
from p2penergy.cli.start import serve
from p2penergy.collector import spare_collector
from p2penergy.home import Home
from p2penergy.node import Node, OpenApplication, make_mesh
from p2penergy.opening import open_ledger
from p2penergy.store import Store
from transport import FaultPlan, FaultyMesh, LinkFaults, LoopClock, Mesh

PROFILE_FILE = "bench.json"


class Profile(msgspec.Struct, frozen=True):
    """How a node differs from a real one."""

    application: str = "ledger"
    fault: str = ""
    delay_ms: float = 0.0
    bandwidth_bytes_per_s: int = 0
    delta_ms: int = 0
    traced: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the real program does as well. A crash is the parent's doing."""
        changed = self.delay_ms or self.bandwidth_bytes_per_s or self.traced
        return self.application == "ledger" and self.fault in {"", "crashed"} and not changed


def fault_plan(home: Home, profile: Profile) -> FaultPlan | None:
    """What happens to what this node sends; None: nothing. Clients are as near as ever."""
    if profile.fault == "silent":
        return FaultPlan(everywhere=LinkFaults(loss=1.0))
    late_ms = profile.delay_ms
    if profile.fault == "slow":
        late_ms += SLOW_DELTAS * profile.delta_ms
    if not late_ms and not profile.bandwidth_bytes_per_s:
        return None
    plan = FaultPlan()
    faults = LinkFaults(delay_ms=late_ms, bandwidth_bytes_per_s=profile.bandwidth_bytes_per_s)
    for name in home.config.peers:
        plan.set_link(home.signer.participant_id, bytes.fromhex(name), faults)
    return plan


def application(profile: Profile) -> OpenApplication:
    """What opens the state machine that the profile names."""
    if profile.application == "ledger":
        return open_ledger
    signed = profile.application == "signed"
    return lambda home, store, checker: BenchApplication(home.genesis, checker, signed)


async def run(home: Home, store: Store, profile: Profile) -> None:
    """Serve until standard input closes."""
    listening = make_mesh(home)
    mesh: Mesh = listening
    plan = fault_plan(home, profile)
    if plan is not None:
        mesh = FaultyMesh(mesh, plan, LoopClock())
    equivocator = None
    if profile.fault == "equivocating":
        mesh = equivocator = Equivocator(mesh, home.signer, home.genesis.chain_id)
    tracer = TracingMesh(mesh) if profile.traced else None
    node = Node(home, store, tracer or mesh, open_application=application(profile))
    if equivocator is not None:
        equivocator.application = node.ledger
    try:
        await serve(node, listening, until_stdin_closes=True)
    finally:
        if tracer is not None:
            tracer.write(home.path / TRACE_FILE)


@click.command()
@click.option("--home", "path", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--until-stdin-closes", is_flag=True, required=True)
def main(path: Path, until_stdin_closes: bool) -> None:
    """Run one validator of a benchmark; its home holds the profile."""
    home = homes.load(path)
    profile = msgspec.json.decode((path / PROFILE_FILE).read_bytes(), type=Profile)
    logs.switch_on(home.config.log.level, home.config.log.format)
    store = Store.open(home.ledger_path, home.genesis.chain_id)
    with closing(store):
        spare_collector()
        loops.run(run(home, store, profile))


if __name__ == "__main__":
    main()
