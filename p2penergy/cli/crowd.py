"""`p2penergy simulate --members 1000 --committee 100`: what one member of a large network has to do.

Lives here: the measured run of a crowd for people and machines. Never here: simulating. Implements the
command that CONSENSUS section 9 is measured with.
"""

import json
from time import process_time
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from p2penergy.simulation.crowd import NEWCOMERS, Crowd, CrowdError, simulate_crowd

_ROWS = {
    "messages_in": "messages received",
    "messages_out": "messages sent",
    "bytes_in": "bytes received",
    "bytes_out": "bytes sent",
    "blocks_relayed": "copies of the block sent to followers",
    "signature_checks": "signatures checked",
    "cpu_ms": "processor time without signatures, ms",
}


def measure_crowd(members: int, committee: int, blocks: int, seed: int, as_json: bool) -> None:
    """Run it and print what was measured.

    Raises:
        click.ClickException: the network decided nothing.
    """
    plan = Crowd(members=members, committee=committee, blocks=blocks, seed=seed)
    try:
        figures: dict[str, Any] = simulate_crowd(plan, process_time)
    except CrowdError as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(figures))
        return
    console = Console()
    console.print(
        f"{members} members, committees of {figures['committee']} drawn for every one of "
        f"{figures['blocks_counted']} blocks, {figures['virtual_s_per_block']} s each; "
        f"{figures['newcomers_that_joined']} of {min(NEWCOMERS, members - 1)} newcomers joined; "
        f"{figures['members_that_served']} members served, {figures['newcomers_that_served']} of them "
        f"newcomers; {figures['share_kept_from_block_to_block']:.0%} of a committee is in the next one, too",
        highlight=False,
    )
    table = Table("per block, on average", "validator", "follower")
    for name, words in _ROWS.items():
        cells = [figures[f"{role}_per_block"].get(name, 0) for role in ("validator", "follower")]
        table.add_row(words, *(f"{cell:,}" for cell in cells))
    console.print(table)
