"""The radial feeder: nodes, the branch from each to its parent, and the household at a node.

Here: `Branch`, `Feeder` (parents before children), and the reading of feeder.csv.
Never here: power, voltage or any other state of the feeder (lindistflow.py).
Owns the invariant that a `Feeder` is a tree rooted at node 0, the low-voltage busbar, whose own
branch is the transformer. Implements the feeder of LEDGER section 7.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from p2penergy.grid.csv_tables import DataError, Row, Table, quoted

NODES_MAX: Final = 5_000
IMPEDANCE_UOHM_MAX: Final = 1_000_000_000  # 1 kilo-ohm
CURRENT_A_MAX: Final = 100_000
ROOT: Final = 0
NO_PARENT: Final = -1

FEEDER_COLUMNS: Final = ("node", "parent", "r_uohm", "x_uohm", "i_max_a", "household")
FEEDER_COLUMNS_OPTIONAL: Final = ("length_m", "note")


@dataclass(frozen=True, slots=True)
class Branch:
    """A node and its branch towards the busbar: impedance in micro-ohm, rating in A.

    `household` is None where nobody is connected.
    """

    node: int
    parent: int
    r_uohm: int
    x_uohm: int
    i_max_a: int
    household: str | None

    def label(self) -> str:
        """Name the branch for people by what it connects."""
        if self.node == ROOT:
            return "the transformer (node 0)"
        at = "" if self.household is None else f", towards {self.household}"
        return f"branch {self.parent}-{self.node}{at}"


@dataclass(frozen=True, slots=True)
class Feeder:
    """A tree of branches, the root first and every parent before its children.

    `parent_positions[i]` is where the parent of `branches[i]` stands in `branches` (-1 for the
    root); `node_of` maps households to nodes. Raises `ValueError` when the branches are no such
    tree or break a limit.
    """

    branches: tuple[Branch, ...]
    parent_positions: tuple[int, ...] = field(init=False, repr=False, compare=False)
    node_of: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.branches) <= NODES_MAX:
            raise ValueError(f"a feeder has 1 to {NODES_MAX} nodes, not {len(self.branches)}")
        positions: dict[int, int] = {NO_PARENT: -1}
        parent_positions: list[int] = []
        node_of: dict[str, int] = {}
        for position, branch in enumerate(self.branches):
            _require_limits(branch)
            if (branch.node == ROOT) != (position == 0) or branch.node in positions:
                raise ValueError(f"node {branch.node} is out of place or doubled in the feeder")
            if branch.parent not in positions or (branch.parent == NO_PARENT) != (position == 0):
                raise ValueError(f"node {branch.node} stands before its parent {branch.parent}")
            parent_positions.append(positions[branch.parent])
            positions[branch.node] = position
            if branch.household is not None:
                if branch.household in node_of:
                    raise ValueError(f"household {branch.household} is at two nodes")
                node_of[branch.household] = branch.node
        object.__setattr__(self, "parent_positions", tuple(parent_positions))
        object.__setattr__(self, "node_of", node_of)


def _require_limits(branch: Branch) -> None:
    ok = (
        branch.node >= 0
        and 0 <= branch.r_uohm <= IMPEDANCE_UOHM_MAX
        and 0 <= branch.x_uohm <= IMPEDANCE_UOHM_MAX
        and 1 <= branch.i_max_a <= CURRENT_A_MAX
    )
    if not ok:
        raise ValueError(f"{branch.label()} has an impedance or a rating beyond the limits")


def parse_feeder(table: Table, households: Iterable[str]) -> Feeder:
    """Read feeder.csv, whose rows may stand in any order; raises `DataError`.

    Each of `households` must be at exactly one node. Several households behind one cable each get
    a node of their own with a branch of zero impedance.
    """
    table.require_columns(FEEDER_COLUMNS, FEEDER_COLUMNS_OPTIONAL)
    rows: dict[int, Row] = {}
    branches: dict[int, Branch] = {}
    for row in table.rows():
        branch = _branch(row)
        if branch.node in rows:
            first_line = rows[branch.node].line
            raise row.error(
                "node", f"found node {branch.node} again after line {first_line}, expected it once"
            )
        if len(rows) == NODES_MAX:
            raise row.error("node", f"found one node more, expected at most {NODES_MAX}")
        rows[branch.node] = row
        branches[branch.node] = branch
    if ROOT not in branches:
        raise DataError(table.file, "found no node 0, expected one for the low-voltage busbar")
    _require_households(table, branches, rows, frozenset(households))
    return Feeder(_parents_first(branches, rows))


def _branch(row: Row) -> Branch:
    node = row.integer("node", 0, NODES_MAX * 10)
    parent = row.integer("parent", NO_PARENT, NODES_MAX * 10)
    if (node == ROOT) != (parent == NO_PARENT):
        raise row.error(
            "parent",
            f"found {parent}, expected -1 for node 0 (the busbar) and a node's number elsewhere",
        )
    return Branch(
        node=node,
        parent=parent,
        r_uohm=row.integer("r_uohm", 0, IMPEDANCE_UOHM_MAX),
        x_uohm=row.integer("x_uohm", 0, IMPEDANCE_UOHM_MAX),
        i_max_a=row.integer("i_max_a", 1, CURRENT_A_MAX),
        household=row.text("household") or None,
    )


def _require_households(
    table: Table,
    branches: Mapping[int, Branch],
    rows: Mapping[int, Row],
    households: frozenset[str],
) -> None:
    placed: set[str] = set()
    for node, branch in branches.items():
        name = branch.household
        if name is None:
            continue
        if name not in households:
            raise rows[node].error(
                "household", f"found {quoted(name)}, expected a household of households.csv"
            )
        if name in placed:
            raise rows[node].error("household", f"found {name} at a second node, expected it at one node")
        placed.add(name)
    if missing := sorted(households - placed):
        raise DataError(
            table.file,
            f"found no node with household {missing[0]}, expected each household of "
            "households.csv at one node",
            column="household",
        )


def _parents_first(branches: Mapping[int, Branch], rows: Mapping[int, Row]) -> tuple[Branch, ...]:
    """Sort the branches by distance from the root, siblings in the order of the file."""
    children: dict[int, list[Branch]] = {}
    for branch in branches.values():
        if branch.parent != NO_PARENT and branch.parent not in branches:
            raise rows[branch.node].error(
                "parent", f"found the unknown node {branch.parent}, expected a node of this file"
            )
        children.setdefault(branch.parent, []).append(branch)
    ordered = [branches[ROOT]]
    for branch in ordered:  # grows while it is walked: breadth first
        ordered.extend(children.get(branch.node, ()))
    if len(ordered) < len(branches):
        reached = {branch.node for branch in ordered}
        node = next(node for node in branches if node not in reached)
        raise rows[node].error(
            "parent",
            f"found node {node} in or behind a cycle, expected every node to lead to node 0",
        )
    return tuple(ordered)
