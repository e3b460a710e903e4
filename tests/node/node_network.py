"""A community on loopback whose validators are nodes of this process: real sockets, TLS and SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from p2penergy import founding
from p2penergy import home as homes
from p2penergy.beacon import HashChain
from p2penergy.coordinator import wall_clock_ms
from p2penergy.demo.households import Household, Households
from p2penergy.founding import Community, Plan, found
from p2penergy.genesis import ConsensusRules, MarketRules
from p2penergy.home import Home
from p2penergy.membership.authority import Authority
from p2penergy.membership.identifying import identifier
from p2penergy.membership.keys import DeviceKey
from p2penergy.messages import PROTOCOL
from p2penergy.node import Node, make_mesh
from p2penergy.store import Store
from transport import FaultPlan, FaultyMesh, LoopClock, Mesh, TcpMesh, TlsIdentity

PATIENCE_S = 60
"""Far above what any wait takes: reached only by a test that fails."""
LINKS = 4096
"""Of a beacon chain: 131,072 take longer to make than these tests need."""
FIRST_PERIOD = 1_600_000
DELTA_MS = 30
EPS_MS = 5
ALPHA_MS = 2 * EPS_MS + 4 * DELTA_MS
RATED_W = 30_000


async def eventually(condition: Callable[[], Any], what: str = "") -> None:
    """Wait until `condition` holds."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - the condition may be anything
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"still not so: {what or condition}") from None


def short_chains(patch: Any) -> None:
    """Make founding and loading of homes quick."""
    for module in (homes, founding):
        patch.setattr(module, "HashChain", lambda secret: HashChain(secret, LINKS))


def a_plan(validators: int = 4, households: int = 6, **rules: Any) -> Plan:
    """Validators first among the households; slot 0 is now."""
    values: dict[str, Any] = {
        "t0_ms": wall_clock_ms(),
        "alpha_ms": ALPHA_MS,
        "eps_ms": EPS_MS,
        "delta_ms": DELTA_MS,
        "committee_size_min": 1,
    }
    return Plan(
        community="Elm Street",
        households=[(f"H{number:03}", RATED_W) for number in range(1, households + 1)],
        validators=validators,
        consensus=ConsensusRules(**(values | rules)),
        market=MarketRules(replay=True, first_period=FIRST_PERIOD - 1),
    )


class Running:
    """One node that runs in a task of its own."""

    def __init__(
        self,
        name: str,
        home: Home,
        store: Store | None = None,
        plan: FaultPlan | None = None,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self.name = name
        self.home = home
        self.store = store or Store.open(home.ledger_path, home.genesis.chain_id)
        self.mesh: Mesh = make_mesh(home)
        if plan is not None:
            self.mesh = FaultyMesh(self.mesh, plan, LoopClock())
        self.node = Node(home, self.store, self.mesh, now_ms)
        self._stop = asyncio.Event()
        self.started = asyncio.Event()
        self.task = asyncio.ensure_future(self.node.run(self._stop, self.started.set))

    @property
    def participant_id(self) -> bytes:
        return self.home.signer.participant_id

    @property
    def height(self) -> int:
        return self.node.replica.tip_height

    async def stop(self) -> None:
        """End it in order; raises what it halted for."""
        self._stop.set()
        try:
            await self.task
        finally:
            self.store.close()


@dataclass
class Listener:
    """A mesh's handler that keeps what it is sent."""

    frames: list[tuple[bytes, bytes]]
    up: set[bytes]
    downs: list[str]

    def on_frame(self, peer: bytes, payload: bytes) -> None:
        self.frames.append((peer, payload))

    def on_peer_up(self, peer: bytes) -> None:
        self.up.add(peer)

    def on_peer_down(self, peer: bytes, reason: str) -> None:
        self.up.discard(peer)
        self.downs.append(reason)


class Village:
    """The community, its running nodes, and whoever else is connected; `end` stops them all."""

    def __init__(self, community: Community, authority: Authority) -> None:
        self.community = community
        self.authority = authority
        self.nodes: dict[str, Running] = {}
        self.plan: FaultPlan | None = None
        """What the network does to the nodes that are started from now on."""
        self.clocks: dict[str, Callable[[], int]] = {}
        """What these nodes' clocks show, instead of the time."""
        self.households: Households | None = None
        self._meshes: list[TcpMesh] = []

    # ---- nodes ----------------------------------------------------------------------------------

    async def start(self, *names: str) -> None:
        """Start these validators, or all."""
        begun = names or self.community.validators
        for name in begun:
            home, now_ms = homes.load(self.community.homes[name]), self.clocks.get(name, wall_clock_ms)
            self.nodes[name] = Running(name, home, plan=self.plan, now_ms=now_ms)
        for name in begun:
            running = self.nodes[name]
            waiting = asyncio.ensure_future(running.started.wait())
            await asyncio.wait({waiting, running.task}, return_when=asyncio.FIRST_COMPLETED)
            if running.task.done():
                waiting.cancel()
                running.task.result()

    async def stop(self, name: str) -> None:
        """Stop one."""
        await self.nodes.pop(name).stop()

    def heights(self) -> list[int]:
        return [running.height for running in self.nodes.values()]

    async def grown(self, blocks: int = 2) -> None:
        """Wait until every running node has that many blocks more than any has now."""
        goal = max(self.heights()) + blocks
        await eventually(lambda: min(self.heights()) >= goal, f"height {goal}: {self.heights()}")

    # ---- clients --------------------------------------------------------------------------------

    async def connect(self, count: int | None = None) -> Households:
        """Connect all households to the running validators."""
        self.households = Households(self.community)
        for household in self.households.by_name.values():
            await household.client.start(self.community.addresses)
        wanted = len(self.nodes) if count is None else count
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(h.client.connected(wanted) for h in self.households.by_name.values()))
        return self.households

    def household(self, number: int) -> Household:
        assert self.households is not None
        return self.households[f"H{number:03}"]

    async def trade(self, period: int, energy_wh: int = 100) -> None:
        """A period with two readings and a contract between the last two households."""
        count = len(self.community.meters)
        seller, buyer = self.household(count - 1), self.household(count)
        await asyncio.gather(seller.report(period, 0, energy_wh), buyer.report(period, energy_wh, 0))
        terms = seller.terms_with(buyer, period, energy_wh, 200_000)
        receipt = await seller.conclude(terms, buyer.agree(terms))
        assert receipt.accepted

    async def dial(
        self,
        target: str,
        tls: TlsIdentity,
        name: bytes,
        *,
        network: bytes | None = None,
        protocol: str = PROTOCOL,
    ) -> tuple[TcpMesh, Listener]:
        """A bare mesh of whoever `tls` and `name` say, that dials one validator."""
        mesh = TcpMesh(
            name=name,
            listen=None,
            tls=tls,
            identify=identifier(self.community.authority_pem),
            protocol=protocol,
            network=self.community.genesis.chain_id if network is None else network,
        )
        self._meshes.append(mesh)
        listener = Listener([], set(), [])
        await mesh.start(listener)
        peer = self.community.meters[target].participant_id
        mesh.set_address(peer, *self.community.addresses[peer])
        return mesh, listener

    async def dial_as(self, household: str, target: str) -> tuple[TcpMesh, Listener, bytes]:
        """The same as a household's own device, once it is connected; with the validator's id."""
        meter = self.community.meters[household]
        mesh, listener = await self.dial(target, self.community.tls(household), meter.participant_id)
        peer = self.community.meters[target].participant_id
        await eventually(lambda: peer in listener.up, f"{household} connected to {target}")
        return mesh, listener, peer

    def newcomer(self) -> tuple[TlsIdentity, bytes]:
        """A device that the authority has certified and that is no member."""
        return certified(self.authority, [self.community.authority_pem])

    async def end(self) -> None:
        """Stop everything; raises what any node halted for."""
        for mesh in self._meshes:
            await mesh.stop()
        if self.households is not None:
            await self.households.disconnect()
        for name in tuple(self.nodes):
            await self.stop(name)


def certified(authority: Authority, trusted: Sequence[bytes]) -> tuple[TlsIdentity, bytes]:
    """A new device of this authority, and its participant id."""
    key = DeviceKey.generate()
    device = authority.issue_device(key.public_key())
    return TlsIdentity.load(device.pem, key.to_pem(), list(trusted)), device.participant_id


def found_village(plan: Plan, folder: Path, authority: Authority | None = None) -> Village:
    """Found it, and keep its authority at hand, which is old enough to have issued what has expired."""
    if authority is None:
        authority = Authority.in_memory(plan.community, at=datetime.now(UTC) - timedelta(days=500))
    return Village(found(plan, folder, authority), authority)
