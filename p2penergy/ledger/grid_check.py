"""Whether the feeder can carry the trades of a period: the power flow inside the state machine.

Lives here: what the trades of a period make every node feed in or draw, and the check of one trade more.
Never here: the power flow itself (`grid.lindistflow`), what a refusal means (`contracts`, `gate`). Owns
the invariant that all trades of a period together, executed or in escrow, break no rating and no
voltage band of the feeder that genesis describes. Implements LEDGER section 7.

What a trade moves is its seller's feed-in and its buyer's draw, on average over the period. The net of
every node follows from entries that the state holds anyway (packets, readings, promises), so nothing is
written for the check. It costs one power flow per block and period, and then one addition per trade: each
flow also yields a headroom, a power that nobody can feed in or draw in addition and break a limit,
wherever he is. Only a trade beyond what is left of it takes another flow. The headroom never lets pass
what the flow would refuse, so that it is no part of the rules.
"""

from math import isqrt

from p2penergy.genesis import PPM, Genesis, GenesisError
from p2penergy.grid.feeder import Branch, Feeder
from p2penergy.grid.lindistflow import (
    INJECTION_W_MAX,
    NOMINAL_MV,
    VOLTAGE_HIGH_PERCENT,
    VOLTAGE_LOW_PERCENT,
    Flow,
    Limit,
    PowerFactor,
    Violation,
    power_flow,
)
from p2penergy.ledger import query
from p2penergy.ledger.query import Get

PERIODS_PER_HOUR = 4
_LOW_SQUARE_MV2 = (NOMINAL_MV * VOLTAGE_LOW_PERCENT // 100) ** 2
_HIGH_SQUARE_MV2 = (NOMINAL_MV * VOLTAGE_HIGH_PERCENT // 100) ** 2


class GridPlan:
    """The feeder of genesis, with what can be worked out once."""

    __slots__ = (
        "_carries_va",
        "_r_uohm",
        "_tan_phi_ppm",
        "_x_uohm",
        "factor",
        "feeder",
        "nodes",
        "source_mv",
    )

    def __init__(self, genesis: Genesis) -> None:
        """Raises `GenesisError` when the nodes are no tree, or a connection is nobody's."""
        rules = genesis.grid
        assert rules, "genesis has a feeder"
        branches = (
            Branch(n.node, n.parent, n.r_uohm, n.x_uohm, n.i_max_a, n.participant_id) for n in rules.nodes
        )
        try:
            self.feeder = Feeder(tuple(branches))
        except ValueError as error:
            raise GenesisError(f"grid: {error}") from None
        members = {member.participant_id for member in genesis.members}
        for name in self.feeder.node_of:
            if name not in members:
                raise GenesisError(f"grid: node {self.feeder.node_of[name]} is {name}'s, who is no member")
        self.nodes = {bytes.fromhex(name): node for name, node in self.feeder.node_of.items()}
        self.factor = PowerFactor(rules.cos_phi_percent, 100)
        self.source_mv = rules.source_mv
        self._tan_phi_ppm = self.factor.tan_phi_ppm()
        self._r_uohm, self._x_uohm = _longest_way(self.feeder)
        # At the lowest voltage of the band, where a rating lets least power pass: sqrt(3) U I.
        self._carries_va = [
            isqrt(3 * _LOW_SQUARE_MV2 * branch.i_max_a**2 // PPM) for branch in self.feeder.branches
        ]
        if found := self.flow({}).violation:
            raise GenesisError(f"grid: without any trade {found.describe()}")

    def flow(self, net_w: dict[int, int]) -> Flow:
        """The feeder under these injections."""
        return power_flow(self.feeder, net_w, self.factor, self.source_mv)

    def beyond(self, node: int, net_w: int) -> Violation:
        """What to say of a power that no feeder carries, and that no flow is worked out for."""
        branch = next(branch for branch in self.feeder.branches if branch.node == node)
        current_ma = abs(net_w) * PPM // isqrt(3 * NOMINAL_MV**2)
        return Violation(Limit.CURRENT, branch, current_ma, branch.i_max_a * 1000)

    def headroom_w(self, flow: Flow) -> int:
        """A power that can be fed in and drawn besides, at any nodes, and surely breaks nothing.

        One W more at a node changes P of a branch by one W and Q by tan phi at most, the square of a
        voltage by twice r and x of the longest way to the busbar.
        """
        tan_ppm = self._tan_phi_ppm
        spare_va = min(
            carries - isqrt(p_w * p_w + q_var * q_var)
            for carries, p_w, q_var in zip(self._carries_va, flow.power_w, flow.reactive_var, strict=True)
        )
        squares = flow.voltage_square_mv2
        spare_mv2 = min(min(squares) - _LOW_SQUARE_MV2, _HIGH_SQUARE_MV2 - max(squares))
        # Q is rounded once per node: between two flows it can be off by as many var as there are nodes.
        rounding = len(squares) + 1
        by_rating_w = (spare_va - rounding) * PPM // (PPM + tan_ppm)
        per_w_ppm = 2 * (self._r_uohm * PPM + self._x_uohm * tan_ppm)
        by_voltage_w = (
            (spare_mv2 - 2 * self._x_uohm * rounding) * PPM // per_w_ppm if per_w_ppm else by_rating_w
        )
        return max(min(by_rating_w, by_voltage_w), 0)


def grid_plan(genesis: Genesis) -> GridPlan | None:
    """The plan of a community whose genesis describes its feeder; raises `GenesisError`."""
    return GridPlan(genesis) if genesis.grid else None


def _longest_way(feeder: Feeder) -> tuple[int, int]:
    """The largest r and the largest x between a node and the busbar, the transformer included."""
    r_uohm: list[int] = []
    x_uohm: list[int] = []
    for branch, parent in zip(feeder.branches, feeder.parent_positions, strict=True):
        r_uohm.append(branch.r_uohm + (r_uohm[parent] if parent >= 0 else 0))
        x_uohm.append(branch.x_uohm + (x_uohm[parent] if parent >= 0 else 0))
    return max(r_uohm), max(x_uohm)


class GridCheck:
    """The trades of a block's periods on the feeder, as the block goes on."""

    __slots__ = ("_get", "_periods", "_plan")

    def __init__(self, plan: GridPlan, get: Get) -> None:
        self._plan = plan
        self._get = get
        self._periods: dict[int, _Load] = {}

    def refusal(self, seller: bytes, buyer: bytes, period: int, energy_wh: int) -> Violation | None:
        """What one trade more would break; None: it can be delivered, and counts from now on.

        Asked before the trade is written: a period's load is read from the state when it comes up first.
        """
        load = self._periods.get(period)
        if load is None:
            load = self._periods[period] = _Load(self._plan, self._net_w(period))
        nodes = self._plan.nodes
        return load.add(nodes.get(seller), nodes.get(buyer), energy_wh * PERIODS_PER_HOUR)

    def _net_w(self, period: int) -> dict[int, int]:
        """What the trades so far make every node feed in (above zero) or draw."""
        get, net_w = self._get, {}
        for who, node in self._plan.nodes.items():
            promised = query.promise(get, who, period)
            net_wh = promised.sell_wh - promised.buy_wh
            if packet := query.packet_record(get, who, period):
                net_wh += packet.claimed_wh
            if reading := query.reading(get, who, period):
                net_wh -= reading.bought_wh
            if net_wh:
                net_w[node] = net_wh * PERIODS_PER_HOUR
        return net_w


class _Load:
    """One period: what every node feeds in, and how much more the feeder surely carries."""

    __slots__ = ("_net_w", "_plan", "_spare_w")

    def __init__(self, plan: GridPlan, net_w: dict[int, int]) -> None:
        self._plan = plan
        self._net_w = net_w
        self._spare_w = 0

    def add(self, seller_node: int | None, buyer_node: int | None, power_w: int) -> Violation | None:
        """Count a trade, unless it breaks something."""
        moved = {seller_node: power_w, buyer_node: -power_w} if seller_node != buyer_node else {}
        moved.pop(None, None)
        after_w = {node: self._net_w.get(node, 0) + by_w for node, by_w in moved.items() if node is not None}
        for node, net_w in after_w.items():
            if abs(net_w) > INJECTION_W_MAX:
                return self._plan.beyond(node, net_w)
        if power_w > self._spare_w:
            flow = self._plan.flow(self._net_w | after_w)
            if flow.violation:
                return flow.violation
            self._spare_w = self._plan.headroom_w(flow)
        else:
            self._spare_w -= power_w
        self._net_w |= after_w
        return None
