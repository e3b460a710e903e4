"""A manifest made true: real processes, their disturbances, and a black-box view of the whole.

Lives here: starting, disturbing, asking. Never here: what is disturbed when (`manifest`), whether the outcome
is right (`judging`). The network is watched as any household may watch it: through clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifest import Episode, Kind, Manifest
from namespaces import Machines

from p2penergy.client import ClientError
from p2penergy.coordinator import wall_clock_ms
from p2penergy.demo.households import Household
from p2penergy.founding import Community, Plan, Site, found
from p2penergy.genesis import ConsensusRules, MarketRules
from p2penergy.ledger.receipts import Receipt
from p2penergy.membership.identifying import identifier
from p2penergy.processes import Validator
from p2penergy.signing import EcdsaChecker

PATIENCE_S = 120
STATUS_S_MAX = 2.0
POLL_S = 0.05
FIRST_PERIOD = 1_600_000
PORT, GATEWAY_PORT = 7440, 8440
NETWORK, OWN_ADDRESS = "10.78.0", "10.78.0.254"
LOOPBACK = "127.0.0.1"
PORTS = (10_000, 30_000)
RATED_W = 30_000
ENERGY_WH, PRICE = 60, 200_000
TRADERS = ("seller", "buyer")


def name_of(number: int) -> str:
    return f"node-{number + 1}"


class BrokenError(Exception):
    """The network did not do what it promises; the sentence says what."""


@dataclass
class Witnessed:
    """What f+1 validators told the traders."""

    receipts: list[Receipt] = field(default_factory=list)
    kills: int = 0
    disturbed: int = 0


class World:
    """One network of processes; `start` it, disturb it, and `end` it whatever happens."""

    def __init__(self, plan: Manifest, folder: Path, machines: Machines | None, tell: Callable[[str], None]):
        """`machines`: one per validator, this one plugged in as well; None: all on loopback."""
        self.plan = plan
        self.machines = machines
        self.community = _found(plan, folder, machines)
        self.folder = folder
        self.witnessed = Witnessed()
        self._tell = tell
        self.nodes = [self._node(number) for number in range(plan.validators)]
        checker, identify = EcdsaChecker(), identifier(self.community.authority_pem)
        self.seller, self.buyer = (Household(name, self.community, checker, identify) for name in TRADERS)
        self._own_ends: list[str] = []

    def _clock_file(self, number: int) -> Path:
        return self.folder / f"clock-{number + 1}"

    def _node(self, number: int) -> Validator:
        self._clock_file(number).write_text(str(self.plan.clocks_ms[number]))
        namespace = "-" if self.machines is None else self.machines.name(number + 1)
        program = ("tests.manifests.member", str(self._clock_file(number)), namespace, "start")
        home = self.community.homes[name_of(number)]
        return Validator(
            name_of(number), home, program, lambda node: self._own_ends.append(node.last_words())
        )

    async def start(self) -> None:
        there = [number for number in range(self.plan.validators) if number not in self.plan.late]
        # A start is mostly CPU: no more at once than there may be cores.
        for first in range(0, len(there), 4):
            await asyncio.gather(*(self.nodes[number].start() for number in there[first : first + 4]))
        for trader in (self.seller, self.buyer):
            await trader.client.start(self.community.addresses)
            await trader.client.connected(len(there))

    async def end(self) -> None:
        await asyncio.gather(*(trader.client.stop() for trader in (self.seller, self.buyer)))
        for node in self.nodes:
            if node.pid is not None:
                os.kill(node.pid, signal.SIGCONT)
        await asyncio.gather(*(node.stop() for node in self.nodes))

    # ---- what is asked --------------------------------------------------------------------------

    async def status(self, number: int) -> dict[str, Any] | None:
        """What a validator says of itself; None while it does not answer."""
        peer = self.community.meters[name_of(number)].participant_id
        with contextlib.suppress(ClientError, TimeoutError):
            async with asyncio.timeout(STATUS_S_MAX):
                found: dict[str, Any] = await self.seller.client.query_json(peer, "status")
                return found
        return None

    async def height(self, numbers: Sequence[int]) -> int:
        """The highest of these validators'; -1 when none answers."""
        said = await asyncio.gather(*map(self.status, numbers))
        return max((int(each["height"]) for each in said if each is not None), default=-1)

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait until it is so, for as long as one may be patient."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await condition():
                    self.require_alive()
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise BrokenError(f"not within {PATIENCE_S} s: {what}") from None

    async def reaches(self, number: int, goal: int, what: str) -> None:
        async def there() -> bool:
            return await self.height([number]) >= goal

        await self.until(there, f"{name_of(number)} at height {goal} ({what})")

    def require_alive(self) -> None:
        """Nobody ends unless it is made to."""
        if self._own_ends:
            raise BrokenError(f"a validator ended by itself: {self._own_ends[0]}")

    # ---- what is done ---------------------------------------------------------------------------

    async def disturb(self) -> None:
        """All lanes to their end, while two households trade."""
        over = asyncio.Event()
        trading = asyncio.ensure_future(self._trade(over))
        lanes = asyncio.gather(*map(self._lane, self.plan.lanes))
        try:
            await asyncio.wait({trading, lanes}, return_when=asyncio.FIRST_COMPLETED)
            if lanes.done():
                lanes.result()
            over.set()
            async with asyncio.timeout(PATIENCE_S):
                await trading
            await lanes
        except TimeoutError:
            raise BrokenError(f"the last trade was not decided within {PATIENCE_S} s") from None
        finally:
            trading.cancel()
            lanes.cancel()
            await asyncio.gather(trading, lanes, return_exceptions=True)

    async def _trade(self, over: asyncio.Event) -> None:
        period = FIRST_PERIOD
        while not over.is_set():
            readings = self.seller.report(period, 0, 100), self.buyer.report(period, 100, 0)
            receipts: list[Receipt] = list(await asyncio.gather(*readings))
            terms = self.seller.terms_with(self.buyer, period, ENERGY_WH, PRICE)
            receipts.append(await self.seller.conclude(terms, self.buyer.agree(terms)))
            self.witnessed.receipts += receipts
            if not all(receipt.accepted for receipt in receipts):
                raise BrokenError(f"a good transaction was declined: {receipts}")
            period += 1

    async def _lane(self, episodes: Sequence[Episode]) -> None:
        for episode in episodes:
            if episode.kind is not Kind.LATE:
                await asyncio.sleep(episode.after_ms / 1000)
            self._tell(f"{episode.kind.value} {name_of(episode.victim)}")
            goal = await self.height(self._others(episode.victim))
            begin, end = self._acts(episode)
            await begin()
            await asyncio.sleep(episode.lasts_ms / 1000)
            if episode.lasts_ms:
                await self._others_go_on(episode, goal + 1)
            await end()
            goal = await self.height(self._others(episode.victim))
            await self.reaches(episode.victim, goal, f"after {episode.kind.value}")
            self.witnessed.disturbed += 1

    def _others(self, victim: int) -> list[int]:
        return [number for number in range(self.plan.validators) if number != victim]

    async def _others_go_on(self, episode: Episode, goal: int) -> None:
        async def there() -> bool:
            return await self.height(self._others(episode.victim)) >= goal

        await self.until(there, f"height {goal} by the others during {episode}")

    def _acts(self, episode: Episode) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """How an episode begins and how it ends."""
        number, node = episode.victim, self.nodes[episode.victim]

        async def nothing() -> None:
            return

        async def kill() -> None:
            await node.kill()
            self.witnessed.kills += 1

        async def signalled(which: signal.Signals) -> None:
            assert node.pid is not None
            os.kill(node.pid, which)

        async def stepped(clock_ms: int) -> None:
            self._clock_file(number).write_text(str(clock_ms))
            await signalled(signal.SIGUSR1)

        async def plugged(is_in: bool) -> None:
            assert self.machines is not None
            await asyncio.to_thread(self.machines.plug if is_in else self.machines.unplug, number + 1)

        match episode.kind:
            case Kind.KILL:
                return kill, node.start
            case Kind.RESTART:
                return node.stop, node.start
            case Kind.LATE:
                return nothing, node.start
            case Kind.CLOCK:
                own_ms = self.plan.clocks_ms[number]
                return lambda: stepped(own_ms + episode.clock_ms), lambda: stepped(own_ms)
            case Kind.DISCONNECT if self.machines is not None:
                return lambda: plugged(False), lambda: plugged(True)
        return lambda: signalled(signal.SIGSTOP), lambda: signalled(signal.SIGCONT)


def _free_base(count: int) -> int:
    """The first of so many free ports, below those that the system gives to whoever dials.

    One of those might be taken by a neighbour's dial while its validator is down.
    """
    while True:
        base = random.SystemRandom().randint(*PORTS)
        with contextlib.ExitStack() as held:
            try:
                for port in range(base, base + count):
                    held.enter_context(socket.socket()).bind((LOOPBACK, port))
            except OSError:
                continue
            return base


def _found(plan: Manifest, folder: Path, machines: Machines | None) -> Community:
    names = [name_of(number) for number in range(plan.validators)]
    sites = None
    if machines is not None:
        hosts = [machines.address(number + 1) for number in range(plan.validators)]
        sites = [
            Site(host, PORT, Path(name), f"{host}:{GATEWAY_PORT}")
            for host, name in zip(hosts, names, strict=True)
        ]
    rules = ConsensusRules(
        t0_ms=wall_clock_ms(),
        alpha_ms=plan.alpha_ms,
        eps_ms=plan.eps_ms,
        delta_ms=plan.delta_ms,
        committee_size_min=1,
    )
    return found(
        Plan(
            community="Manifest Street",
            households=[(name, RATED_W) for name in (*names, *TRADERS)],
            validators=plan.validators,
            consensus=rules,
            market=MarketRules(replay=True, first_period=FIRST_PERIOD - 1),
            sites=sites,
            base_port=_free_base(plan.validators),
        ),
        folder,
    )
