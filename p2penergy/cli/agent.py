"""`p2penergy agent`: a household's orders placed by its strategy.

Lives here: options, lines, the waiting between rounds. Never here: deciding (`agents`, `household.agent`).
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from p2penergy import loops
from p2penergy.agents.forecast import parse_energies
from p2penergy.agents.settings import AgentSettings, SettingsError, parse_settings
from p2penergy.cli.amounts import price_text
from p2penergy.cli.errors import as_user_error
from p2penergy.cli.network import network_options
from p2penergy.client import ClientError
from p2penergy.config import CONFIG_BYTES_MAX, ConfigError
from p2penergy.grid.csv_tables import FILE_BYTES_MAX, DataError, parse_table
from p2penergy.grid.periods import period_start_text
from p2penergy.home import Device, HomeError, load_device
from p2penergy.household.agent import Act, Agent
from p2penergy.household.errors import HouseholdError
from p2penergy.household.reach import reaching
from p2penergy.meters.memory import read_surpluses
from p2penergy.meters.samples import SourceError

LOOK_S = 10.0
PERIODS_READ_MAX = 8 * 96
"""Of what the meter signed: a week and a day."""
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--strategy", "strategy_file", required=True, type=_FILE, help="Its settings, TOML.")
@click.option(
    "--forecast",
    "forecast_file",
    type=_FILE,
    help="CSV period_start,import_wh,export_wh.  [default: what `p2penergy meter` signed]",
)
@click.option("--once", is_flag=True, help="One round, then end.")
@click.option(
    "--dry-run", is_flag=True, help="Say what would be ordered; send nothing.  Ends after one round."
)
@network_options
def agent(
    home: Path,
    nodes: tuple[str, ...],
    wait_s: float,
    as_json: bool,
    strategy_file: Path,
    forecast_file: Path | None,
    once: bool,
    dry_run: bool,
) -> None:
    """Place, change and cancel this household's orders for coming periods, as its strategy says.

    It expects of a period what the forecast says, or what the same time of an earlier day brought. It stays
    within wallet, score and connection, and runs until Ctrl-C.
    """
    with as_user_error(
        HomeError, ConfigError, ClientError, HouseholdError, SettingsError, DataError, SourceError
    ):
        device = load_device(home)
        settings = _settings(strategy_file)
        forecast = None if forecast_file is None else _forecast(forecast_file)

        def known() -> dict[int, int]:
            return read_surpluses(home, PERIODS_READ_MAX) if forecast is None else forecast

        def told(act: Act) -> None:
            click.echo(json.dumps(_figures(act)) if as_json else _line(act))

        acting = Agent(settings, known, told, dry_run)
        ends = once or dry_run
        try:
            loops.run(_rounds(device, nodes, wait_s, acting, ends))
        except KeyboardInterrupt:
            if ends:
                raise


async def _rounds(device: Device, nodes: tuple[str, ...], wait_s: float, acting: Agent, ends: bool) -> None:
    """Round after round; what goes wrong in one is said, and the next one tries again."""
    if not acting.known():
        click.echo("Nothing is known of this meter yet: no orders until it has signed readings.", err=True)
    while True:
        try:
            async with reaching(device, nodes, wait_s) as network:
                acts = await acting.round(network)
            if ends:
                click.echo("Nothing to change." if not acts else f"{acts} changes.", err=True)
                return
        except (ClientError, HouseholdError) as error:
            if ends:
                raise
            click.echo(f"{error}: again in {LOOK_S:g} s.", err=True)
        await asyncio.sleep(LOOK_S)


def _settings(path: Path) -> AgentSettings:
    data = _read(path, CONFIG_BYTES_MAX)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not text in UTF-8") from None
    return parse_settings(text, str(path))


def _forecast(path: Path) -> dict[int, int]:
    return parse_energies(parse_table(str(path), _read(path, FILE_BYTES_MAX)))


def _read(path: Path, bytes_max: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}") from None
    if len(data) > bytes_max:
        raise SettingsError(f"{path} has more than {bytes_max} bytes")
    return data


def _line(act: Act) -> str:
    order = act.order
    said = f": {act.outcome}" if act.outcome else ""
    return (
        f"{period_start_text(act.period)}  {act.what} {order.side.name.lower()} {order.energy_wh} Wh "
        f"at {price_text(order.price_micro_per_kwh)}{said}"
    )


def _figures(act: Act) -> dict[str, Any]:
    return {
        "what": act.what,
        "period_start": period_start_text(act.period),
        "period": act.period,
        "side": act.order.side.name.lower(),
        "energy_wh": act.order.energy_wh,
        "price_micro_per_kwh": act.order.price_micro_per_kwh,
        "outcome": act.outcome or None,
        "accepted": act.accepted if act.outcome else None,
    }
