"""`p2penergy history KEY`: every version of an entry of the state, and what made it so."""

from pathlib import Path

import click

from p2penergy.cli.errors import as_user_error
from p2penergy.cli.network import ask, network_options, show_json
from p2penergy.household.reach import Network
from p2penergy.household.trades import readable
from p2penergy.ledger import keys
from p2penergy.ledger.state import VersionStage
from p2penergy.questions import HISTORY_ANSWER_VERSIONS_MAX, Past

_LASTS = {VersionStage.EXECUTION: "temporary", VersionStage.FINAL: "permanent"}


@click.command()
@click.argument("key_text", metavar="KEY")
@click.option(
    "--count",
    default=100,
    show_default=True,
    type=click.IntRange(1, HISTORY_ANSWER_VERSIONS_MAX),
    help="The newest so many versions.",
)
@network_options
def history(
    home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool, key_text: str, count: int
) -> None:
    """Every version of KEY, such as wallet/PARTICIPANT or energy/PARTICIPANT, oldest first.

    A version's cause is a transaction's id (`p2penergy trade show` explains a contract's), or the block.
    """
    with as_user_error(ValueError):
        key = keys.parse_text(key_text)

    async def job(network: Network) -> tuple[Past, ...]:
        return await network.history(key, count)

    found = ask(home, nodes, wait_s, job)
    if as_json:
        show_json([_figures(key, each) for each in found])
        return
    if not found:
        click.echo(f"{key_text} never held anything.")
    for each in found:
        shown = _figures(key, each)
        value = "ended" if shown["value"] is None else shown["value"]
        click.echo(f"block {each.height}, {shown['lasts']}: {value} (by {shown['cause'] or 'the block'})")


def _figures(key: bytes, past: Past) -> dict[str, object]:
    return {
        "height": past.height,
        "index": past.index,
        "lasts": _LASTS[VersionStage(past.stage)],
        "value": readable(key, past.value),
        "cause": past.cause.hex() if past.cause else None,
    }
