"""`p2penergy demo`: a neighbourhood trades for a day on this machine."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from types import FrameType

import click

from p2penergy import loops
from p2penergy.cli.errors import UserError, as_user_error
from p2penergy.client import ClientError
from p2penergy.demo.display import Display, make_console
from p2penergy.demo.options import DemoError, DemoOptions, Market, check
from p2penergy.demo.report import Report, write_json
from p2penergy.demo.run import run
from p2penergy.founding import FoundingError
from p2penergy.grid.csv_tables import DataError
from p2penergy.grid.neighbourhood import Neighbourhood, load_neighbourhood, load_sample
from p2penergy.home import HomeError
from p2penergy.processes import ProcessError
from p2penergy.store import StoreError
from transport import TransportError

SAMPLE_DAY = date(2016, 6, 23)
INTERRUPTED = "Interrupted; all processes ended."
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_ERRORS = (
    ClientError,
    DataError,
    DemoError,
    FoundingError,
    HomeError,
    ProcessError,
    StoreError,
    TransportError,
)


class _Day(click.ParamType[date]):
    name = "YYYY-MM-DD"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """A date, or one clear sentence."""
        try:
            return value if isinstance(value, date) else date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a day such as {SAMPLE_DAY}", param, ctx)


def _neighbourhood(data: Path | None) -> Neighbourhood:
    return load_sample() if data is None else load_neighbourhood(data)


def _first_day(neighbourhood: Neighbourhood, day: date | None, data: Path | None) -> date:
    if day is not None:
        return day
    days = neighbourhood.days()
    if not days:
        raise DemoError(f"the data of {neighbourhood.name} cover no whole local day")
    return SAMPLE_DAY if data is None else days[0]


class _Interrupt:
    """Ctrl-C or SIGTERM: the first ends the demo in order; more of them do not disturb that."""

    def __init__(self) -> None:
        self.came = False
        self._cancel: Callable[[], object] | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take the two signals over."""
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def run(self, options: DemoOptions, display: Display, present: Callable[[Report], None]) -> Report:
        """The demo, as a task that a signal cancels: it ends every child before it ends itself."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        self._cancel = partial(loop.call_soon_threadsafe, task.cancel)
        if self.came:
            raise asyncio.CancelledError
        return await run(options, display, present)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self.came and self._cancel is not None:
            self._cancel()
        self.came = True


def _run(options: DemoOptions, display: Display, present: Callable[[Report], None]) -> Report:
    interrupt = _Interrupt()
    with interrupt.watching():
        try:
            report = loops.run(interrupt.run(options, display, present))
        except asyncio.CancelledError:
            raise UserError(INTERRUPTED) from None
    # A network that stays is meant to be ended so.
    if interrupt.came and not options.stay:
        raise UserError(INTERRUPTED)
    return report


def _write(report: Report, path: Path) -> None:
    try:
        write_json(report, path)
    except OSError as error:
        raise UserError(f"--json {path}: can't be written: {error.strerror}.") from None


@click.command()
@click.option("--validators", default=4, show_default=True, help="How many meters are validators, too.")
@click.option("--day", type=_Day(), help=f"First local day to replay.  [default: {SAMPLE_DAY}]")
@click.option("--days", default=1, show_default=True, type=click.IntRange(1), help="How many days.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder with another neighbourhood's week.csv, households.csv and feeder.csv.",
)
@click.option(
    "--crash", default=0, type=click.IntRange(0), metavar="K", help="Kill K validators; start one again."
)
@click.option(
    "--market",
    type=click.Choice([str(each) for each in Market]),
    default=str(Market.BILATERAL),
    show_default=True,
    help="Whether neighbours agree by offers or order in the ledger's auction.",
)
@click.option(
    "--bad-actors",
    default=0,
    type=click.IntRange(0),
    metavar="K",
    help="Let K households break what they promise; see who is suspended.",
)
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures."
)
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep the ledgers there.")
@click.option("--stay", is_flag=True, help="Leave the network running until Ctrl-C.")
@click.option("--base-port", type=int, help="First of the validators' ports.  [default: free ones]")
@click.option("--plain", is_flag=True, help="No colours, no moving display.")
def demo(
    validators: int,
    day: date | None,
    days: int,
    data: Path | None,
    crash: int,
    market: str,
    bad_actors: int,
    json_path: Path | None,
    keep: Path | None,
    stay: bool,
    base_port: int | None,
    plain: bool,
) -> None:
    """A neighbourhood trades for a day: real meter data through real PBFT over TCP.

    Starts the validators as processes of their own and every household's meter as a signing agent,
    replays each settlement period, then tries the two attacks of the paper.
    """
    with as_user_error(*_ERRORS):
        neighbourhood = _neighbourhood(data)
        options = DemoOptions(
            neighbourhood=neighbourhood,
            first_day=_first_day(neighbourhood, day, data),
            days=days,
            validators=validators,
            crashes=crash,
            market=Market(market),
            bad_actors=bad_actors,
            base_port=base_port,
            keep=keep,
            stay=stay,
        )
        check(options)
        if json_path is not None and not json_path.absolute().parent.is_dir():
            raise UserError(f"--json {json_path}: there is no such folder.")
        display = Display(make_console(plain))

        def present(report: Report) -> None:
            display.summary(report)
            if json_path is not None:
                _write(report, json_path)

        report = _run(options, display, present)
    if not report.sound:
        raise UserError("Something above does not hold: see NO in the summary.")
