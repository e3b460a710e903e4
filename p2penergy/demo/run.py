"""A demo from beginning to end.

Lives here: the order of things, and ending everything whatever happens. Never here: their details.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from p2penergy.config import NodeSettings
from p2penergy.coordinator import wall_clock_ms
from p2penergy.demo import attacks, report
from p2penergy.demo.attacks import AttackResult
from p2penergy.demo.auctioning import Auctioning, ahead_periods
from p2penergy.demo.census import Census, Ended
from p2penergy.demo.closing import bill_of, census_of, facts_of
from p2penergy.demo.display import Display
from p2penergy.demo.households import Households
from p2penergy.demo.misconduct import penniless
from p2penergy.demo.options import EPS_MS, DemoError, DemoOptions, Market
from p2penergy.demo.replay import Bilateral, PeriodResult, Replay
from p2penergy.demo.report import Report
from p2penergy.demo.verdicts import verdicts
from p2penergy.founding import Community, Plan, address_text, found, write_home
from p2penergy.genesis import ConsensusRules, MarketRules
from p2penergy.grid.periods import local_time_text
from p2penergy.market.tariffs import Tariffs
from p2penergy.processes import ProcessError, Validator

CRASH_AT = 0.35
"""Share of the periods after which the first of the crashing validators is killed."""
RESTART_AT = 0.85
"""Share of the periods after which one of them is started again."""
START_MS = 1_000
START_MS_PER_VALIDATOR = 350
SETTLE_S_MAX = 60
POLL_S = 0.05
HOUSEHOLDS_FOLDER = "households"
"""Below the demo's folder: one folder per household, for commands in its name."""


@dataclass(slots=True)
class _Running:
    """A network in operation."""

    community: Community
    validators: dict[str, Validator]
    households: Households

    def up(self) -> list[Validator]:
        return [v for v in self.validators.values() if v.running]


def _plan(options: DemoOptions, tariffs: Tariffs) -> Plan:
    neighbourhood = options.neighbourhood
    return Plan(
        community=neighbourhood.name[:64],
        households=[(h.name, h.rated_w) for h in neighbourhood.households],
        penniless=penniless(options.misconduct().actors),
        validators=options.validators,
        consensus=ConsensusRules(
            # Slot 0 begins when the processes are up: before that there are no views to fail.
            t0_ms=wall_clock_ms() + START_MS + START_MS_PER_VALIDATOR * options.validators,
            alpha_ms=options.alpha_ms,
            eps_ms=EPS_MS,
            delta_ms=options.delta_ms,
            committee_size_min=1,
        ),
        market=_market(options, tariffs),
        base_port=options.base_port,
    )


def _market(options: DemoOptions, tariffs: Tariffs) -> MarketRules:
    rules = MarketRules(
        currency=tariffs.currency,
        retail_micro_per_kwh=tariffs.retail_micro_per_kwh,
        feed_in_micro_per_kwh=tariffs.feed_in_micro_per_kwh,
        replay=True,
    )
    # The first orders are placed before the gate of the first period closes.
    before = ahead_periods(rules) if options.market is Market.AUCTION else 1
    return msgspec.structs.replace(rules, first_period=options.periods()[0] - before)


class _Watch:
    """Validators that end although nobody asked them to: told, and too many of them end the demo."""

    def __init__(self, faults_tolerated: int, display: Display) -> None:
        self.validators: dict[str, Validator] = {}
        self.failure: ProcessError | None = None
        self._faults_tolerated = faults_tolerated
        self.display = display
        self._task = asyncio.current_task()

    def ended(self, validator: Validator) -> None:
        """One has."""
        words = f"validator {validator.name} ended by itself: {validator.last_words()}"
        self.display.step(words)
        down = sum(not each.running for each in self.validators.values())
        if down > self._faults_tolerated and self.failure is None and self._task is not None:
            self.failure = ProcessError(f"{words} ({down} are down, {self._faults_tolerated} may be)")
            self._task.cancel()


async def run(options: DemoOptions, display: Display, present: Callable[[Report], None]) -> Report:
    """The whole demo; `present` shows its report, and every process has ended when this returns or raises.

    Raises:
        DemoError, FoundingError, ProcessError, ClientError: with a sentence for people.
    """
    tariffs = Tariffs()
    where = nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory(prefix="p2penergy-")
    with where as folder:
        watch = _Watch(options.faults_tolerated, display)
        try:
            async with AsyncExitStack() as stack:
                running = await _start(options, tariffs, Path(folder), watch, stack)
                replay = await _replay(options, tariffs, running, display)
                staged = await _attack(options, running, tariffs.currency, display)
                statuses = await _settled(running)
                if options.stay:
                    # A running ledger is locked: only its own process reads it.
                    await asyncio.gather(*(v.stop() for v in running.up()))
                    report = _report(options, tariffs, running, replay, staged, statuses)
                    await _stay(options, running, Path(folder), watch, report, present)
                    return report
        except asyncio.CancelledError:
            if watch.failure is not None:
                raise watch.failure from None
            raise
        display.step("all processes ended; reading the ledgers once more")
        report = _report(options, tariffs, running, replay, staged, statuses)
        present(report)
        return report


async def _stay(
    options: DemoOptions,
    running: _Running,
    place: Path,
    watch: _Watch,
    report: Report,
    present: Callable[[Report], None],
) -> None:
    """Start again what ran to the end, and return when this task is cancelled."""
    rows = {row.name: row for row in report.validators if row.running}
    await running.households.disconnect()
    await asyncio.gather(*(running.validators[name].start() for name in rows))
    present(report)
    community = running.community
    addresses = [community.addresses[community.meters[name].participant_id] for name in rows]
    example = max(options.neighbourhood.households, key=lambda h: (h.pv_w, h.load_w)).name
    watch.display.reachable([address_text(*each) for each in addresses], place / HOUSEHOLDS_FOLDER, example)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    if watch.failure is not None:
        raise watch.failure


async def _start(
    options: DemoOptions, tariffs: Tariffs, place: Path, watch: _Watch, stack: AsyncExitStack
) -> _Running:
    display = watch.display
    community = found(_plan(options, tariffs), place)
    meters = len(community.meters)
    display.step(
        f"an authority, {meters} device certificates, genesis {community.genesis.chain_id.hex()[:16]}"
    )
    if options.keep or options.stay:
        settings = NodeSettings(role="observer", listen="127.0.0.1:0")
        for name in community.meters:
            write_home(community, name, place / HOUSEHOLDS_FOLDER / name, settings)
    validators = {name: Validator(name, home, ended=watch.ended) for name, home in community.homes.items()}
    watch.validators = validators
    for validator in validators.values():
        stack.push_async_callback(validator.stop)
    # All of them, whatever becomes of one: what was started must be known to be ended.
    begun = await asyncio.gather(*(v.start() for v in validators.values()), return_exceptions=True)
    for failure in begun:
        if failure is not None:
            raise failure
    display.step(
        f"{len(validators)} validators, each a process of its own, on loopback TCP with mutual TLS 1.3"
    )
    households = Households(community)
    stack.push_async_callback(households.disconnect)
    await households.connect()
    display.step(f"{meters} meters connected to every validator")
    return _Running(community, validators, households)


async def _replay(
    options: DemoOptions, tariffs: Tariffs, running: _Running, display: Display
) -> tuple[list[PeriodResult], float]:
    periods = options.periods()
    zone = options.neighbourhood.zone
    results: list[PeriodResult] = []

    def progress(result: PeriodResult) -> None:
        results.append(result)
        display.period(result, local_time_text(result.period, zone), len(results))

    parts = options.neighbourhood, running.households, progress
    market = running.community.genesis.market
    replay: Replay
    if options.market is Market.AUCTION:
        replay = Auctioning(*parts, market, options.misconduct())
    else:
        replay = Bilateral(*parts, tariffs, market.scores, options.misconduct())
    began = asyncio.get_running_loop().time()
    with display.replaying(len(periods)):
        async for index in replay.run(periods):
            await _crash(options, running, index, len(periods), display)
    return results, asyncio.get_running_loop().time() - began


async def _crash(options: DemoOptions, running: _Running, index: int, periods: int, display: Display) -> None:
    # The last validators are the ones to go, one period after the other.
    doomed = list(running.validators.values())[::-1][: options.crashes]
    first = int(periods * CRASH_AT)
    if first <= index < first + len(doomed):
        victim = doomed[index - first]
        await victim.kill()
        display.step(f"validator {victim.name} killed (SIGKILL)")
    if doomed and index == max(int(periods * RESTART_AT), first + len(doomed)):
        await doomed[0].start()
        display.step(f"validator {doomed[0].name} started again")


async def _attack(
    options: DemoOptions, running: _Running, currency: str, display: Display
) -> Sequence[AttackResult]:
    bad = {actor.name for actor in options.misconduct().actors}
    honest = (h for h in options.neighbourhood.households if h.name not in bad)
    households = sorted(honest, key=lambda h: (-h.pv_w, h.name))
    if len(households) < 2:
        display.step("one household alone has nobody to attack")
        return ()
    seller, buyer = running.households[households[0].name], running.households[households[-1].name]
    found = await attacks.run(seller, buyer, options.periods()[-1] + 1, currency)
    display.step("two attacks tried: a malicious seller and a malicious buyer")
    return found


async def _settled(running: _Running) -> dict[str, dict[str, Any]]:
    """Every running validator's status, once all are at one height."""
    asking = next(iter(running.households.by_name.values())).client

    async def poll() -> dict[str, dict[str, Any]]:
        # A validator that was started again may not have been dialled again yet.
        await asking.connected(len(running.up()))
        while True:
            statuses = {
                v.name: await asking.query_json(running.community.meters[v.name].participant_id, "status")
                for v in running.up()
            }
            if len({s["height"] for s in statuses.values()}) == 1:
                return statuses
            await asyncio.sleep(POLL_S)

    try:
        return await asyncio.wait_for(poll(), SETTLE_S_MAX)
    except TimeoutError:
        raise DemoError(f"the validators did not reach one height within {SETTLE_S_MAX} s") from None


def _report(
    options: DemoOptions,
    tariffs: Tariffs,
    running: _Running,
    replay: tuple[list[PeriodResult], float],
    staged: Sequence[AttackResult],
    statuses: dict[str, dict[str, Any]],
) -> Report:
    _, replay_s = replay
    neighbourhood, community = options.neighbourhood, running.community
    witness = next(v for v in running.validators.values() if v.name in statuses and not v.kills)
    facts = facts_of(witness.home)
    seen = statuses[witness.name]
    readings = [r for p in options.periods() for r in neighbourhood.readings(p)]
    census = census_of(witness.home)
    results = _results(options, census)
    names = {meter.participant_id: name for name, meter in community.meters.items()}
    said = verdicts(census, names, options.misconduct().actors, options.periods()[-1])
    traded_wh = sum(r.traded_wh for r in results)
    consumed_wh, exported_wh = (sum(r.import_wh for r in readings), sum(r.export_wh for r in readings))
    return Report(
        neighbourhood=neighbourhood.name,
        households=len(neighbourhood.households),
        days=tuple(day.isoformat() for day in options.all_days()),
        alpha_ms=options.alpha_ms,
        faults_tolerated=options.faults_tolerated,
        trades=sum(r.trades for r in results),
        traded_wh=traded_wh,
        traded_nano=sum(r.traded_nano for r in results),
        currency=tariffs.currency,
        consumed_wh=consumed_wh,
        from_grid_wh=consumed_wh - traded_wh,
        exported_wh=exported_wh,
        to_grid_wh=exported_wh - traded_wh,
        periods=report.period_rows(neighbourhood, results),
        # Whoever is left out or fails takes tradable energy with him.
        periods_expected=(
            None if options.bad_actors else report.matches_expectations(neighbourhood, results)
        ),
        blocks=facts.height,
        transactions=facts.transactions,
        validators=_validator_rows(running, statuses, seen),
        leaders_match_equation_1=all(s["leader_mismatches"] == 0 for s in statuses.values()),
        roots_equal=len({s["state_root"] for s in statuses.values()}) == 1,
        conserved=facts.conserved,
        latency_ms=report.latency_row(running.households.latencies_ms()),
        bill=bill_of(witness.home, options, community, tariffs),
        attacks=tuple(staged),
        market=str(options.market),
        bad_actors=options.bad_actors,
        suspended=said.suspended,
        wrongly_suspended=said.wrongly_suspended,
        defaults=said.defaults,
        actors=said.actors,
        letter=said.letter,
        replay_s=round(replay_s, 3),
        kept=str(options.keep) if options.keep else None,
    )


def _validator_rows(
    running: _Running, statuses: dict[str, dict[str, Any]], seen: dict[str, Any]
) -> tuple[report.ValidatorRow, ...]:
    """One per validator; who led what, as one of them saw it."""
    rows = []
    for validator in running.validators.values():
        status = statuses.get(validator.name)
        key = running.community.meters[validator.name].participant_id.hex()
        rows.append(
            report.ValidatorRow(
                name=validator.name,
                height=status["height"] if status else facts_of(validator.home).height,
                state_root=status["state_root"] if status else "",
                slots_led=seen["slots_by_leader"].get(key, 0),
                blocks_led=seen["blocks_by_leader"].get(key, 0),
                killed=validator.kills,
                running=status is not None,
            )
        )
    return tuple(rows)


def _results(options: DemoOptions, census: Census) -> list[PeriodResult]:
    """What each period came to, as the ledger has it."""
    found: dict[int, list[Ended]] = {period: [] for period in options.periods()}
    for each in census.ended:
        if each.delivered_wh and each.for_period in found:
            found[each.for_period].append(each)
    return [
        PeriodResult(
            period,
            sum(each.delivered_wh for each in ended),
            sum(each.delivered_wh * each.price_micro_per_kwh for each in ended),
            len(ended),
        )
        for period, ended in found.items()
    ]
