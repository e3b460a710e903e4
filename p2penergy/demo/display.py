"""What people see of a demo: a live line of progress, and at the end a summary.

Lives here: words, tables, colours. Never here: figures being computed (`report`).
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from p2penergy.demo.attacks import AttackResult
from p2penergy.demo.replay import PeriodResult
from p2penergy.demo.report import BillRow, Report, ValidatorRow
from p2penergy.genesis import PPM
from p2penergy.market.bill import billed_nano, format_money

PLAIN_WIDTH = 100


def make_console(plain: bool) -> Console:
    """For a terminal with colours, or for one without."""
    if plain:
        return Console(no_color=True, highlight=False, width=PLAIN_WIDTH, force_terminal=False)
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(highlight=False, width=width)


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
        self._console.print(f"[green]•[/green] {escape(text)}")

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
        counted = f"{self._trades:,} trades, " if self._trades else ""
        said = f"{counted}{kwh(self._traded_wh)}"
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
        if report.bad_actors:
            self._console.print(self._actors(report))
            self._console.print(self._letter(report))
        for attack in report.attacks:
            self._console.print(self._attack(attack))
        if report.kept is not None:
            self._console.print(
                f"Ledgers kept in {report.kept}; check them from genesis: p2penergy audit {report.kept}",
                markup=False,
                soft_wrap=True,
            )

    def reachable(self, addresses: Iterable[str], households: Path, example: str) -> None:
        """How commands reach the network that goes on running."""
        lines = ["", "The network goes on running until Ctrl-C. Its validators:"]
        lines += [f"  --node {address}" for address in addresses]
        lines += [
            "Its clock moves on with the first reading of a later period (p2penergy import-csv packets): "
            "then gates close and contracts settle."
        ]
        lines += [f"A folder with the keys of each household is in {households}; try:"]
        lines += [f"  p2penergy {command} --home {households / example}" for command in ("wallet", "bill")]
        self._console.print("\n".join(lines), markup=False, soft_wrap=True)

    def _headline(self, report: Report) -> str:
        days = " to ".join(dict.fromkeys((report.days[0], report.days[-1])))
        share = report.community_share
        sold = report.traded_wh / report.exported_wh if report.exported_wh else 0.0
        return (
            f"{report.households} households of {escape(report.neighbourhood)}, {days} "
            f"({len(report.periods)} settlement periods)\n"
            f"[bold]{report.trades:,} trades, {kwh(report.traded_wh)}, "
            f"{format_money(report.traded_nano, report.currency)} between neighbours[/bold]\n"
            f"Of {kwh(report.consumed_wh)} drawn from the feeder {share:.1%} came from neighbours, "
            f"{1 - share:.1%} from the grid.\n"
            f"Of {kwh(report.exported_wh)} surplus {sold:.1%} found a neighbour; "
            f"{kwh(report.to_grid_wh)} went to the grid."
        )

    def _bill(self, bill: BillRow, currency: str) -> Table:
        table = _table(f"Bill of household {bill.household}")
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
        total_nano = billed_nano(bill.community_nano, bill.grid_nano)
        table.add_row("total", "", _owed(total_nano, currency), style="bold")
        saved = format_money(billed_nano(bill.without_community_nano, -total_nano), currency)
        table.caption = (
            f"Without neighbours: {_owed(bill.without_community_nano, currency)}; trading is worth {saved}"
        )
        table.caption_justify = "left"
        return table

    def _validators(self, report: Report) -> Table:
        title = (
            f"{len(report.validators)} validators, tolerating {report.faults_tolerated} faulty; "
            f"a slot lasts {report.alpha_ms} ms"
        )
        table = _table(title)
        noted = any(row.killed for row in report.validators)
        for name in ("validator", "height", "slots given", "blocks led", "state root"):
            table.add_column(name, justify="left" if name in ("validator", "state root") else "right")
        if noted:
            table.add_column("note")
        for row in report.validators:
            cells = [
                row.name,
                f"{row.height:,}",
                f"{row.slots_led:,}",
                f"{row.blocks_led:,}",
                row.state_root[:16] or "-",
            ]
            table.add_row(*cells, *([_note(row)] if noted else []))
        return table

    def _checks(self, report: Report) -> Table:
        table = _table("Checked", show_header=False)
        table.add_column("")
        table.add_column("")
        latency = report.latency_ms
        table.add_row(f"{report.blocks:,} blocks, {report.transactions:,} transactions", "decided by PBFT")
        table.add_row(
            "From sending to f+1 equal replies", f"p50 {latency.p50:,.0f} ms, p99 {latency.p99:,.0f} ms"
        )
        table.add_row("Every leader was Equation (1)'s", _yes(report.leaders_match_equation_1))
        table.add_row("Energy and money conserved to the unit", _yes(report.conserved))
        table.add_row("State roots equal on all running validators", _yes(report.roots_equal))
        if report.periods_expected is not None:
            table.add_row("Every period traded all that was tradable", _yes(report.periods_expected))
        table.add_row("Replayed in", f"{report.replay_s:.1f} s")
        return table

    def _actors(self, report: Report) -> Table:
        bad = [row for row in report.actors if row.suspended_start is not None]
        table = _table(
            f"{report.bad_actors} bad households: {len(bad)} suspended, "
            f"{report.defaults:,} of {report.defaults + report.trades:,} trades failed by their fault"
        )
        for name in ("household", "what it does", "tries", "failed", "suspended at (UTC)", "score"):
            table.add_column(name, justify="right" if name in ("tries", "failed", "score") else "left")
        for row in report.actors:
            table.add_row(
                row.household,
                f"{row.does}; last: {row.reason}" if row.reason else row.does,
                f"{row.tries_ppm / PPM:.0%}",
                str(row.defaults),
                row.suspended_start or "not yet",
                f"{row.q_ppm / PPM:.3f}",
            )
        wrongly = ", ".join(report.wrongly_suspended)
        table.caption = f"[red]Honest ones suspended: {wrongly}[/red]" if wrongly else "No honest one was."
        table.caption_justify = "left"
        return table

    def _letter(self, report: Report) -> Table:
        table = _table("How often an honest household stands above a bad one (1: always, 0.5: a coin)")
        table.add_column("score")
        table.add_column("", justify="right")
        for row in report.letter:
            table.add_row(row.score, f"{row.auc:.3f}")
        return table

    def _attack(self, attack: AttackResult) -> Table:
        table = _table(f"Attack, run for real: {attack.name} {attack.attacker}", show_header=False)
        table.add_column("", no_wrap=True)
        table.add_column("")
        role = attack.name.split()[-1]
        table.add_row(
            "what happened",
            f"{attack.victim} signed {attack.signed}; the {role} submitted {attack.submitted}",
        )
        caught = f"by condition {attack.condition} (alpha {attack.alpha:+d})"
        table.add_row("caught", f"{_yes(attack.declined)}, {caught}" if attack.declined else _yes(False))
        table.add_row(f"{attack.victim} was told", f"your contract was {attack.victim_told}")
        table.add_row(
            "genuine contract",
            "executed once, proven" if attack.genuine_executed else "[red]NOT EXECUTED[/red]",
        )
        table.add_row("sent again", "declined" if attack.repeat_declined else "[red]NOT DECLINED[/red]")
        table.add_row("anything spent twice", "[red]YES[/red]" if attack.double_spent else "no")
        return table


def _table(title: str, show_header: bool = True) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", show_header=show_header)


def _note(row: ValidatorRow) -> str:
    if not row.killed:
        return ""
    return "killed, started again" if row.running else "killed"


def _owed(amount_nano: int, currency: str) -> str:
    if amount_nano < 0:
        return f"receives {format_money(-amount_nano, currency)}"
    return f"pays {format_money(amount_nano, currency)}"


def _yes(good: bool) -> str:
    return "[green]yes[/green]" if good else "[red]NO[/red]"
