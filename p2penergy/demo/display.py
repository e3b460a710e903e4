"""What people see of a demo: a live line of progress, and at the end a summary.

Lives here: words, tables, colours. Never here: figures being computed (`report`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from p2penergy.demo.replay import PeriodResult
from p2penergy.demo.report import BillRow, Report
from p2penergy.market.bill import format_money

PLAIN_WIDTH = 100


def make_console(plain: bool) -> Console:
    """For a terminal with colours, or for one without."""
    if plain:
        return Console(no_color=True, highlight=False, width=PLAIN_WIDTH, force_terminal=False)
    return Console(highlight=False)


def kwh(energy_wh: int) -> str:
    """Wh as kWh with three decimals: exact."""
    sign = "-" if energy_wh < 0 else ""
    return f"{sign}{abs(energy_wh) // 1000:,}.{abs(energy_wh) % 1000:03d} kWh"


class Display:
    """One demo on one console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._traded_wh = 0
        self._trades = 0

    def step(self, text: str) -> None:
        """Something was done."""
        self._console.print(f"[green]•[/green] {text}")

    @contextmanager
    def replaying(self, periods: int) -> Iterator[None]:
        """A bar over the settlement periods; a line per two hours where there is no terminal."""
        if not self._console.is_terminal:
            yield
            return
        self._progress = Progress(
            TextColumn("{task.fields[at]}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("periods  {task.fields[said]}"),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._progress.add_task("replay", total=periods, at="", said="")
        with self._progress:
            yield

    def period(self, result: PeriodResult, at: str, done: int) -> None:
        """One settlement period is through."""
        self._traded_wh += result.traded_wh
        self._trades += result.trades
        said = f"{self._trades:,} trades, {kwh(self._traded_wh)}"
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], advance=1, at=at, said=said)
        elif done % 8 == 0:
            self._console.print(f"  {at}  {said}")

    def summary(self, report: Report) -> None:
        """All of it."""
        self._console.print()
        self._console.print(Panel(self._headline(report), title="The neighbourhood", title_align="left"))
        if report.bill is not None:
            self._console.print(self._bill(report.bill, report.currency))
        self._console.print(self._validators(report))
        self._console.print(self._checks(report))
        if report.attacks:
            self._console.print(self._attacks(report))
        if report.kept is not None:
            self._console.print(f"Ledgers kept in {report.kept}: p2penergy audit {report.kept}")

    def _headline(self, report: Report) -> str:
        days = " to ".join(dict.fromkeys((report.days[0], report.days[-1])))
        share = report.community_share
        sold = report.traded_wh / report.exported_wh if report.exported_wh else 0.0
        return (
            f"{report.households} households of {report.neighbourhood}, {days} "
            f"({len(report.periods)} settlement periods)\n"
            f"[bold]{report.trades:,} trades, {kwh(report.traded_wh)}, "
            f"{format_money(report.traded_nano, report.currency)} between neighbours[/bold]\n"
            f"Of {kwh(report.consumed_wh)} drawn from the feeder {share:.1%} came from neighbours, "
            f"{1 - share:.1%} from the grid.\n"
            f"Of {kwh(report.exported_wh)} surplus {sold:.1%} found a neighbour; "
            f"{kwh(report.to_grid_wh)} went to the grid."
        )

    def _bill(self, bill: BillRow, currency: str) -> Table:
        table = Table(title=f"Bill of household {bill.household}", title_justify="left")
        table.add_column("")
        table.add_column("energy", justify="right")
        table.add_column("amount", justify="right")
        bought = f"bought {kwh(bill.bought_wh)}, sold {kwh(bill.sold_wh)}"
        from_grid = bill.import_wh - bill.bought_wh
        to_grid = bill.export_wh - bill.sold_wh
        table.add_row("community", bought, _owed(bill.community_nano, currency))
        table.add_row(
            "grid", f"drew {kwh(from_grid)}, fed in {kwh(to_grid)}", _owed(bill.grid_nano, currency)
        )
        table.add_row("total", "", _owed(bill.total_nano, currency), style="bold")
        table.caption = f"Without neighbours: {_owed(bill.without_community_nano, currency)}"
        table.caption_justify = "left"
        return table

    def _validators(self, report: Report) -> Table:
        title = (
            f"{len(report.validators)} validators, tolerating {report.faults_tolerated} faulty; "
            f"a slot lasts {report.alpha_ms} ms"
        )
        table = Table(title=title, title_justify="left")
        for name in ("validator", "height", "slots led", "blocks led", "state root", ""):
            table.add_column(name, justify="right" if "led" in name or name == "height" else "left")
        for row in report.validators:
            notes = "killed, started again" if row.killed and row.running else "killed" if row.killed else ""
            table.add_row(
                row.name,
                f"{row.height:,}",
                f"{row.slots_led:,}",
                f"{row.blocks_led:,}",
                row.state_root[:16],
                notes,
            )
        return table

    def _checks(self, report: Report) -> Table:
        table = Table(title="Checked", title_justify="left", show_header=False)
        table.add_column("")
        table.add_column("")
        latency = report.latency_ms
        table.add_row(f"{report.blocks:,} blocks, {report.transactions:,} transactions", "decided by PBFT")
        table.add_row("Commit latency", f"p50 {latency.p50:.0f} ms, p99 {latency.p99:.0f} ms")
        table.add_row("Every leader was Equation (1)'s", _yes(report.leaders_match_equation_1))
        table.add_row("Energy and money conserved to the unit", _yes(report.conserved))
        table.add_row("State roots equal on all running validators", _yes(report.roots_equal))
        if report.periods_expected is not None:
            table.add_row("Every period traded all that was tradable", _yes(report.periods_expected))
        table.add_row("Replayed in", f"{report.replay_s:.1f} s")
        return table

    def _attacks(self, report: Report) -> Table:
        table = Table(title="Two attacks, run for real", title_justify="left", show_lines=True)
        for name in ("attack", "how it was caught", "what the victim was told", "double spent"):
            table.add_column(name)
        for attack in report.attacks:
            caught = f"declined, condition {attack.condition}, alpha {attack.alpha:+d}"
            genuine = "genuine contract executed once" if attack.genuine_executed else "not executed"
            table.add_row(
                f"{attack.name} {attack.attacker}: {attack.altered}",
                f"{caught if attack.declined else 'NOT CAUGHT'}; {genuine}",
                attack.victim_told,
                "[red]YES[/red]" if attack.double_spent else "no",
            )
        return table


def _owed(amount_nano: int, currency: str) -> str:
    if amount_nano < 0:
        return f"receives {format_money(-amount_nano, currency)}"
    return f"pays {format_money(amount_nano, currency)}"


def _yes(good: bool) -> str:
    return "[green]yes[/green]" if good else "[red]NO[/red]"
