"""`p2penergy bill`: one household, any local days, three lines.

Lives here: the range and how the bill looks. Never here: its figures (`household.accounts`), the printable
page (`household.bill_page`).
"""

import csv
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from p2penergy.cli.errors import UserError
from p2penergy.cli.network import ask, network_options, show_json
from p2penergy.genesis import MarketRules
from p2penergy.grid.periods import period_start_text, periods_of_local_day
from p2penergy.household import bill_page
from p2penergy.household.accounts import BillLine, bill_lines, period_now, total
from p2penergy.household.reach import Network
from p2penergy.market.bill import Bill, format_money

LAST_PERIODS = 96
_DAY = click.DateTime(["%Y-%m-%d"])
_FILE = click.Path(path_type=Path, dir_okay=False)


def _periods(first: date, last: date, zone_name: str) -> range:
    try:
        zone = ZoneInfo(zone_name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UserError(f"--zone {zone_name!r} is no time zone such as Europe/Berlin.") from None
    if last < first:
        raise UserError(f"--to {last} is before --from {first}.")
    try:
        return range(periods_of_local_day(first, zone).start, periods_of_local_day(last, zone).stop)
    except (OverflowError, ValueError):
        raise UserError(f"{first} to {last}: no settlement period goes there.") from None


@click.command()
@click.option("--from", "first", type=_DAY, help="First local day.  [default: the last 96 settled periods]")
@click.option("--to", "last", type=_DAY, help="Last local day.  [default: that of --from]")
@click.option("--zone", default="Europe/Berlin", show_default=True, help="Where days begin at midnight.")
@click.option("--csv", "csv_path", type=_FILE, help="Write a row per period.")
@click.option("--html", "html_path", type=_FILE, help="Write a page to print.")
@network_options
def bill(
    home: Path,
    nodes: tuple[str, ...],
    wait_s: float,
    as_json: bool,
    first: datetime | None,
    last: datetime | None,
    zone: str,
    csv_path: Path | None,
    html_path: Path | None,
) -> None:
    """A household's bill: total, from the community, from the grid."""
    if last is not None and first is None:
        raise UserError("--to needs --from.")
    chosen = None if first is None else _periods(first.date(), (last or first).date(), zone)

    async def job(network: Network) -> tuple[bytes, MarketRules, list[BillLine]]:
        who = network.participant_id
        periods = chosen
        if periods is None:
            now = await period_now(network)
            periods = range(max(now - LAST_PERIODS, 0), now)
        return who, network.device.genesis.market, await bill_lines(network, who, periods)

    who, market, lines = ask(home, nodes, wait_s, job)
    summed = total(lines, market.currency, market.retail_micro_per_kwh, market.feed_in_micro_per_kwh)
    if csv_path is not None:
        _write(csv_path, "--csv", lambda: _write_csv(csv_path, lines))
    if html_path is not None:
        page = bill_page.render(who, lines, summed)
        _write(html_path, "--html", lambda: html_path.write_text(page, encoding="utf-8"))
    if as_json:
        show_json(figures(who, lines, summed))
    else:
        _show(who, lines, summed)


def _write(path: Path, option: str, write: Callable[[], object]) -> None:
    try:
        write()
    except OSError as error:
        raise UserError(f"{option} {path} can't be written: {error.strerror}.") from None


_COLUMNS = (
    *("import_wh", "export_wh", "bought_wh", "bought_nano", "sold_wh", "sold_nano"),
    *("grid_import_wh", "grid_import_nano", "grid_export_wh", "grid_export_nano"),
    *("total_nano", "community_nano", "grid_nano"),
)


def _write_csv(path: Path, lines: list[BillLine]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("period_start", *_COLUMNS))
        for line in lines:
            cells = (getattr(line.record, column) for column in _COLUMNS)
            writer.writerow((period_start_text(line.period), *cells))


def figures(who: bytes, lines: list[BillLine], summed: Bill) -> dict[str, object]:
    """The bill for programs; amounts in billionths of the currency, above zero to be paid."""
    records = [line.record for line in lines]
    return {
        "participant_id": who.hex(),
        "currency": summed.currency,
        "periods": len(lines),
        "first_period_start": period_start_text(lines[0].period) if lines else None,
        "last_period_start": period_start_text(lines[-1].period) if lines else None,
        "total_nano": summed.total_nano,
        "community_nano": summed.community_nano,
        "grid_nano": summed.grid_nano,
        "without_community_nano": summed.without_community_nano,
        "import_wh": sum(r.import_wh for r in records),
        "export_wh": sum(r.export_wh for r in records),
        "bought_wh": sum(r.bought_wh for r in records),
        "sold_wh": sum(r.sold_wh for r in records),
    }


def _show(who: bytes, lines: list[BillLine], summed: Bill) -> None:
    click.echo(f"Bill of {who.hex()}, {bill_page.span(lines)}")
    for name, amount_nano in bill_page.three_lines(summed):
        click.echo(f"{name:12}{format_money(amount_nano, summed.currency):>16}")
    click.echo(
        f"Below zero you are paid. Without neighbours: "
        f"{format_money(summed.without_community_nano, summed.currency)}."
    )
