"""``p2penergy committee``: how safe a committee of a given size is, and who serves now.

What lives here: reading figures from the command line and showing the answer as a table or as
JSON. What never does: the arithmetic (``p2penergy.consensus.risk``), which committees are believed
(``p2penergy.light``). Implements the command of CONSENSUS section 9, which prints the probability
for any N, share of bad members and size.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from p2penergy.cli.errors import as_user_error
from p2penergy.cli.groups import Group
from p2penergy.cli.network import ask, network_options, show_json
from p2penergy.consensus import risk
from p2penergy.household import accounts
from p2penergy.household.reach import Network


def _share(ctx: click.Context, param: click.Parameter, value: str | None) -> Fraction | None:
    """A share typed as 0.2, 20%, 1/5 or 1e-6, exactly."""
    if value is None:
        return None
    text = value.strip()
    try:
        share = Fraction(text[:-1]) / 100 if text.endswith("%") else Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise click.BadParameter(f"{text!r} is not a share; write 0.2, 20% or 1e-6.") from None
    if not 0 <= share <= 1:
        raise click.BadParameter(f"{text} is not between 0 and 1.")
    return share


@click.group(cls=Group, name="committee")
def committee() -> None:
    """Committees: how large they have to be, and who serves now."""


@committee.command(name="risk")
@click.option("--members", type=int, required=True, help="Members to draw from (N).")
@click.option("--bad", callback=_share, required=True, help="Share of them that is bad: 20%.")
@click.option("--size", type=int, help="Members of the committee.  [required without --target]")
@click.option("--target", callback=_share, help="Find the smallest size this safe: 1e-6.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def risk_command(
    members: int, bad: Fraction, size: int | None, target: Fraction | None, as_json: bool
) -> None:
    """How often a committee drawn by lot is captured."""
    if size is None and target is None:
        raise click.UsageError("Give --size, or --target to get it.")
    with as_user_error(ValueError):
        bad_count = risk.bad_members(members, bad)
        smallest = None if target is None else risk.smallest_size(members, bad_count, target)
        # Sizes in question, the one that was asked for first.
        sizes = list(dict.fromkeys(each for each in (size, smallest) if each is not None))
        rows = [_describe(members, bad_count, each) for each in sizes]
    if as_json:
        answer = dict(rows[0]) if rows else dict.fromkeys(_KEYS)
        if target is not None:
            answer |= {"target": float(target), "smallest_size": smallest}
        click.echo(json.dumps({"members": members, "bad": bad_count} | answer, indent=2))
        return
    console = Console()
    if rows:
        table = Table(title=f"Committees from {members} members, {bad_count} of them bad")
        for heading in ("size", "withstands (f)", "captured with probability", "on average once in"):
            table.add_column(heading, justify="right")
        for row in rows:
            _add_row(table, row)
        console.print(table)
    if target is not None:
        console.print(
            f"No size reaches {float(target):.3g}: too many members are bad."
            if smallest is None
            else f"{smallest} is the smallest size captured with at most {float(target):.3g}."
        )


_KEYS = ("size", "f", "capture_probability", "expected_blocks_to_capture")


@committee.command()
@network_options
def show(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool) -> None:
    """Who verifies newcomers and who validates blocks now, with their scores.

    The members are those that certified headers name; the scores what f+1 validators say.
    """

    async def job(network: Network) -> tuple[int, dict[str, list[bytes]], dict[bytes, int]]:
        light = network.client.light
        roll = light.verifiers()
        serving = {
            "verification": [] if roll is None else sorted(roll.members),
            "validation": sorted(light.validators()),
        }
        everybody = {who for members in serving.values() for who in members}
        return light.height, serving, await accounts.scores(network, sorted(everybody))

    height, serving, scores = ask(home, nodes, wait_s, job)
    if as_json:
        told = {
            stage: [{"participant_id": who.hex(), "q_ppm": scores[who]} for who in members]
            for stage, members in serving.items()
        }
        show_json({"height": height} | told)
        return
    table = Table(title=f"Who serves after block {height}")
    for heading in ("participant", "score", "verifies", "validates"):
        table.add_column(heading, overflow="fold")
    for who in sorted(scores, key=lambda each: (-scores[each], each)):
        marks = ("yes" if who in serving[stage] else "" for stage in ("verification", "validation"))
        table.add_row(who.hex(), f"{scores[who] / 1_000_000:.6f}", *marks)
    Console().print(table)


def _describe(members: int, bad: int, size: int) -> dict[str, int | float | None]:
    probability = float(risk.capture_probability(members, bad, size))
    # A float can't hold the reciprocal of less than this, and nobody waits that long.
    blocks = risk.expected_blocks_to_capture(members, bad, size) if probability > 1e-300 else None
    return {
        "size": size,
        "f": risk.tolerated(size),
        "capture_probability": probability,
        "expected_blocks_to_capture": None if blocks is None else float(blocks),
    }


def _add_row(table: Table, answer: dict[str, int | float | None]) -> None:
    blocks = answer["expected_blocks_to_capture"]
    table.add_row(
        str(answer["size"]),
        str(answer["f"]),
        f"{answer['capture_probability']:.3g}",
        "never" if blocks is None else f"{blocks:,.0f} blocks",
    )
