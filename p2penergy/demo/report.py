"""What a demo came to, as one value: everything the summary says, and the JSON file.

Lives here: the shapes, and the arithmetic from results to figures. Never here: how it looks.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from p2penergy.demo.attacks import AttackResult
from p2penergy.demo.replay import PeriodResult
from p2penergy.grid.neighbourhood import Neighbourhood
from p2penergy.grid.periods import period_start_text


class PeriodRow(msgspec.Struct, frozen=True, kw_only=True):
    """One settlement period."""

    period_start: str
    traded_wh: int
    trades: int
    surplus_wh: int
    deficit_wh: int


class ValidatorRow(msgspec.Struct, frozen=True, kw_only=True):
    """One validator at the end."""

    name: str
    height: int
    state_root: str
    slots_led: int
    blocks_led: int
    killed: int
    running: bool


class LatencyRow(msgspec.Struct, frozen=True, kw_only=True):
    """From sending a transaction to f+1 equal replies, milliseconds."""

    p50: float
    p99: float
    max: float
    count: int


class BillRow(msgspec.Struct, frozen=True, kw_only=True):
    """One household's three lines, in billionths of the currency; above zero is to be paid."""

    household: str
    total_nano: int
    community_nano: int
    grid_nano: int
    without_community_nano: int
    import_wh: int
    export_wh: int
    bought_wh: int
    sold_wh: int


class ActorRow(msgspec.Struct, frozen=True, kw_only=True):
    """One bad household."""

    household: str
    does: str
    tries_ppm: int
    """In how many periods it tries, when there is somebody to try it on."""
    defaults: int
    suspended_start: str | None
    """The period in which its score fell below the bar; null: not yet."""
    reason: str
    """Of its last default."""
    q_ppm: int
    """Its score at the end."""


class LetterRow(msgspec.Struct, frozen=True, kw_only=True):
    """How well a score tells honest households from bad ones, from 0 to 1; 0.5 is a coin."""

    score: str
    auc: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole demo."""

    neighbourhood: str
    households: int
    days: tuple[str, ...]
    alpha_ms: int
    faults_tolerated: int
    trades: int
    traded_wh: int
    traded_nano: int
    currency: str
    consumed_wh: int
    """Drawn from the feeder by all households; what panels fed their own house is not in it."""
    from_grid_wh: int
    exported_wh: int
    to_grid_wh: int
    periods: tuple[PeriodRow, ...]
    periods_expected: bool | None
    """Whether every period traded what the data say is tradable; null where they do not say."""
    blocks: int
    transactions: int
    validators: tuple[ValidatorRow, ...]
    leaders_match_equation_1: bool
    roots_equal: bool
    conserved: bool
    latency_ms: LatencyRow
    bill: BillRow | None
    attacks: tuple[AttackResult, ...]
    market: str = "bilateral"
    bad_actors: int = 0
    suspended: tuple[str, ...] = ()
    """Names of the households whose score fell below the trading bar, honest ones too."""
    wrongly_suspended: tuple[str, ...] = ()
    """The honest ones among them."""
    defaults: int = 0
    """Trades that failed by somebody's fault, apart from the paper's attacks."""
    actors: tuple[ActorRow, ...] = ()
    letter: tuple[LetterRow, ...] = ()
    """The bounded score, then Equation (2) to the letter, on the same trades."""
    replay_s: float
    kept: str | None

    @property
    def community_share(self) -> float:
        """Share of what households drew that came from neighbours."""
        return self.traded_wh / self.consumed_wh if self.consumed_wh else 0.0

    @property
    def sound(self) -> bool:
        """Whether everything that the summary checks holds."""
        caught = all(
            a.declined and a.genuine_executed and a.repeat_declined and not a.double_spent
            for a in self.attacks
        )
        return (
            self.leaders_match_equation_1
            and self.roots_equal
            and self.conserved
            and self.periods_expected is not False
            and not self.wrongly_suspended
            and caught
        )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest value that at least `share` of all do not exceed; 0 for none."""
    if not ordered:
        return 0.0
    rank = max(1, -int(-share * len(ordered) // 1))
    return ordered[rank - 1]


def latency_row(latencies_ms: Iterable[float]) -> LatencyRow:
    """The figures of all latencies."""
    ordered = sorted(latencies_ms)
    return LatencyRow(
        p50=round(percentile(ordered, 0.50), 1),
        p99=round(percentile(ordered, 0.99), 1),
        max=round(ordered[-1], 1) if ordered else 0.0,
        count=len(ordered),
    )


def period_rows(neighbourhood: Neighbourhood, results: Iterable[PeriodResult]) -> tuple[PeriodRow, ...]:
    """One row per replayed period, with what could have been traded beside it."""
    rows = []
    for result in results:
        balance = neighbourhood.balance(result.period)
        rows.append(
            PeriodRow(
                period_start=period_start_text(result.period),
                traded_wh=result.traded_wh,
                trades=result.trades,
                surplus_wh=balance.surplus_wh,
                deficit_wh=balance.deficit_wh,
            )
        )
    return tuple(rows)


def matches_expectations(neighbourhood: Neighbourhood, results: Iterable[PeriodResult]) -> bool | None:
    """Whether each period's energy is the tradable energy of the data's own check file."""
    if not neighbourhood.expectations:
        return None
    expected = {e.period: e.balance.tradable_wh for e in neighbourhood.expectations}
    return all(expected[result.period] == result.traded_wh for result in results)


def write_json(report: Report, path: Path) -> None:
    """The report as a file, with `community_share` beside its parts."""
    body = msgspec.to_builtins(report)
    body["community_share"] = round(report.community_share, 6)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(body), indent=2) + b"\n")
