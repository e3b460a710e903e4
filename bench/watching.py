"""What a person sees while a benchmark runs: a bar, what it is doing, each row as it comes.

Lives here: everything printed. Never here: figures being made.
"""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.compare import Comparison, title
from bench.results import Row, figures
from bench.stats import PERCENTILES


class Watcher:
    """A progress bar over the runs of a benchmark; silent where nobody looks."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> "Watcher":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, title_: str, runs: int) -> None:
        """A bar for so many runs."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(title_, total=runs)

    def say(self, text: str) -> None:
        """What is being done now."""
        if self._task is not None:
            self._progress.update(self._task, description=text)

    def advance(self) -> None:
        """One run is done."""
        if self._task is not None:
            self._progress.advance(self._task)

    def tell(self, line: str) -> None:
        """A line that stays."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def row(self, row: Row) -> None:
        """A finished row in one line."""
        rate, got, share, p50, _, p99, _, _ = figures(row)
        of_limit = f", {share} of the signature limit" if share else ""
        self.tell(f"{title(row)}: offered {rate}/s, got {got}/s{of_limit}, p50 {p50} ms, p99 {p99} ms")
        for reason in row.invalid_because:
            self.tell(f"  not valid: {reason}")


def rows_table(rows: list[Row]) -> Table:
    """All rows for people."""
    table = Table(box=None)
    table.add_column("point")
    for name in ("offered /s", "got /s", "of limit", *(f"{p.replace('_', '.')} ms" for p in PERCENTILES)):
        table.add_column(name, justify="right")
    table.add_column("valid")
    for row in rows:
        table.add_row(title(row), *figures(row))
    return table


def comparison_table(comparison: Comparison) -> Table:
    """Every figure of both results."""
    table = Table(box=None)
    for name in ("point", "figure", "before", "after", "change", "verdict"):
        table.add_column(name, justify="left" if name in {"point", "figure", "verdict"} else "right")
    for change in comparison.changes:
        table.add_row(
            change.point,
            change.figure,
            f"{change.before:,.1f}",
            f"{change.after:,.1f}",
            f"{change.ratio - 1:+.0%}",
            change.verdict,
        )
    return table
