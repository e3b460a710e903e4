"""`p2penergy export`, `import` and `reset`: a ledger saved, brought back, removed.

Lives here: asking before something is lost, a progress bar, what to do next. Never here: the copying and
checking (`operations.portable`).
"""

from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from p2penergy.cli.errors import UserError, as_user_error
from p2penergy.cli.homes import home_option
from p2penergy.home import HomeError
from p2penergy.operations import portable
from p2penergy.operations.portable import PortableError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@home_option
@click.option("--out", required=True, type=_FILE, help="The new file.")
def export(home: Path, out: Path) -> None:
    """Write the decided chain and its state into one file; the node may run meanwhile.

    The file holds nothing that the node itself signed, so anybody may take it in.
    """
    with as_user_error(PortableError, HomeError):
        copied = portable.export(home, out)
    click.echo(f"{out}: {copied.height} blocks, {copied.size_bytes} bytes.")


@click.command()
@home_option
@click.argument("file", type=_FILE)
def import_command(home: Path, file: Path) -> None:
    """Check an exported FILE from genesis, and make it the ledger of a home that has none.

    The node then stays silent until no vote that it may have signed before can matter any more.
    """
    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with (
        as_user_error(PortableError, HomeError),
        Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar,
    ):
        task = bar.add_task("checking", total=None)

        def progress(_home: Path, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        report = portable.import_into(home, file, progress)
    click.echo(f"Taken in after a clean audit: {report.height} blocks, {report.transactions} transactions.")
    if report.base_height:
        click.echo(f"It begins with a snapshot of block {report.base_height}: what was before is not in it.")
    click.echo(f"Next: p2penergy start --home {home}")


@click.command()
@home_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(home: Path, yes: bool) -> None:
    """Remove the ledger of a home; key, certificate and settings stay. Asks first."""
    with as_user_error(PortableError):
        found = portable.ledger_files(home)
        if not found:
            raise UserError(f"There is no ledger in {home}.")
        if not yes:
            click.confirm(
                f"Remove {', '.join(path.name for path in found)} from {home}, with every vote that the node "
                "signed? It must then fetch the chain again, and stays silent for a while",
                abort=True,
            )
        portable.remove_ledger(home)
    click.echo(f"Removed. Next: p2penergy start --home {home} --votes-lost, or p2penergy import.")
