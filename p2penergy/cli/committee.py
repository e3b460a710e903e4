"""``p2penergy committee``: how safe a committee of a given size is.

What lives here: reading figures from the command line and showing the answer as a table or as
JSON. What never does: the arithmetic (``p2penergy.consensus.risk``). Implements the command of
CONSENSUS section 9, which prints the probability for any N, share of bad members and size.
"""

from __future__ import annotations

import json
from fractions import Fraction

import click
from rich.console import Console
from rich.table import Table

from p2penergy.cli.errors import as_user_error
from p2penergy.cli.groups import Group
from p2penergy.consensus import risk


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
    """Committees: how large they have to be."""


@committee.command(name="risk")
@click.option("--members", type=int, required=True, help="Members to draw from (N).")
@click.option("--bad", callback=_share, required=True, help="Share of them that is bad: 20%.")
@click.option("--size", type=int, required=True, help="Members of the committee.")
@click.option("--target", callback=_share, help="Also find the smallest size this safe: 1e-6.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def risk_command(members: int, bad: Fraction, size: int, target: Fraction | None, as_json: bool) -> None:
    """How often a committee drawn by lot is captured."""
    with as_user_error(ValueError):
        bad_count = risk.bad_members(members, bad)
        answer = _describe(members, bad_count, size)
        smallest = None if target is None else risk.smallest_size(members, bad_count, target)
    if as_json:
        if target is not None:
            answer |= {"target": float(target), "smallest_size": smallest}
        click.echo(json.dumps({"members": members, "bad": bad_count} | answer, indent=2))
        return
    table = Table(title=f"Committees from {members} members, {bad_count} of them bad")
    for heading in ("size", "withstands (f)", "captured with probability", "on average once in"):
        table.add_column(heading, justify="right")
    _add_row(table, answer)
    if smallest is not None and smallest != size:
        _add_row(table, _describe(members, bad_count, smallest))
    console = Console()
    console.print(table)
    if target is not None:
        console.print(
            f"No size reaches {float(target):.3g}: too many members are bad."
            if smallest is None
            else f"{smallest} is the smallest size captured with at most {float(target):.3g}."
        )


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
