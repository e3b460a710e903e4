"""The feeder is a tree rooted at the busbar, in a file of any order and in the dataclass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.grid import feeder as feeder_module
from p2penergy.grid.csv_tables import DataError, parse_table
from p2penergy.grid.feeder import CURRENT_A_MAX, IMPEDANCE_UOHM_MAX, Branch, Feeder, parse_feeder

HEADER = "node,parent,r_uohm,x_uohm,i_max_a,household\n"
ROOT = "0,-1,5,5,100,\n"


def parse(rows: str, households: tuple[str, ...] = ("a",)) -> Feeder:
    return parse_feeder(parse_table("feeder.csv", (HEADER + rows).encode()), households)


def test_rows_in_any_order_become_parents_first() -> None:
    feeder = parse("7,3,1,2,10,a\n3,0,1,2,10,\n" + ROOT + "1,0,1,2,10,b\n", ("a", "b"))
    assert [branch.node for branch in feeder.branches] == [0, 3, 1, 7]
    assert feeder.parent_positions == (-1, 0, 0, 1)
    assert feeder.node_of == {"a": 7, "b": 1}
    assert feeder.branches[3] == Branch(7, 3, 1, 2, 10, "a")


def test_a_household_may_be_at_the_busbar_itself() -> None:
    assert parse("0,-1,5,5,100,a\n").node_of == {"a": 0}


def test_a_branch_is_named_by_what_it_connects() -> None:
    assert Branch(0, -1, 0, 0, 1, None).label() == "the transformer (node 0)"
    assert Branch(7, 3, 0, 0, 1, None).label() == "branch 3-7"
    assert Branch(7, 3, 0, 0, 1, "a").label() == "branch 3-7, towards a"


@pytest.mark.parametrize(
    ("rows", "line", "column", "what"),
    [
        (ROOT + "1,9,1,1,1,a\n", 3, "parent", "the unknown node 9"),
        (ROOT + "1,2,1,1,1,a\n2,1,1,1,1,\n", 3, "parent", "cycle"),
        (ROOT + "1,1,1,1,1,a\n", 3, "parent", "cycle"),
        (ROOT + "1,0,1,1,1,a\n1,0,1,1,1,\n", 4, "node", "node 1 again after line 3"),
        (ROOT + "1,-1,1,1,1,a\n", 3, "parent", "expected -1 for node 0"),
        ("0,1,1,1,1,\n1,0,1,1,1,a\n", 2, "parent", "expected -1 for node 0"),
        (ROOT + "1,0,-1,1,1,a\n", 3, "r_uohm", "whole number from 0"),
        (ROOT + "1,0,1,x,1,a\n", 3, "x_uohm", "whole number from 0"),
        (ROOT + "1,0,1,1,0,a\n", 3, "i_max_a", "whole number from 1"),
        (ROOT + "-1,0,1,1,1,a\n", 3, "node", "whole number from 0"),
        (ROOT + "1,0,1,1,1,z\n", 3, "household", "found 'z', expected a household of"),
        (ROOT + "1,0,1,1,1,a\n2,0,1,1,1,a\n", 4, "household", "a at a second node"),
        (ROOT, None, "household", "no node with household a"),
        ("1,0,1,1,1,a\n", None, None, "found no node 0"),
        ("", None, None, "found no node 0"),
    ],
)
def test_what_is_no_feeder_of_the_households_is_refused(
    rows: str, line: int | None, column: str | None, what: str
) -> None:
    with pytest.raises(DataError) as caught:
        parse(rows)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert what in str(caught.value)


def test_too_many_nodes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeder_module, "NODES_MAX", 1)
    parse(ROOT, ())
    with pytest.raises(DataError, match=r"line 3, column node: .* at most 1"):
        parse(ROOT + "1,0,1,1,1,a\n")
    with pytest.raises(ValueError, match="1 to 1 nodes, not 2"):
        Feeder((Branch(0, -1, 0, 0, 1, None), Branch(1, 0, 0, 0, 1, None)))


@pytest.mark.parametrize("figure", ["r_uohm", "x_uohm", "i_max_a"])
def test_impedances_and_ratings_are_allowed_up_to_their_limits(figure: str) -> None:
    least = {"r_uohm": 0, "x_uohm": 0, "i_max_a": 1}
    most = {"r_uohm": IMPEDANCE_UOHM_MAX, "x_uohm": IMPEDANCE_UOHM_MAX, "i_max_a": CURRENT_A_MAX}

    def with_figure(value: int) -> Branch:
        figures = {**least, figure: value}
        return Branch(0, -1, figures["r_uohm"], figures["x_uohm"], figures["i_max_a"], None)

    Feeder((with_figure(least[figure]),))
    Feeder((with_figure(most[figure]),))
    for value in (least[figure] - 1, most[figure] + 1):
        with pytest.raises(ValueError, match="beyond the limits"):
            Feeder((with_figure(value),))


@pytest.mark.parametrize(
    ("branches", "what"),
    [
        ((), "1 to 5000 nodes"),
        ((Branch(1, -1, 0, 0, 1, None),), "node 1 is out of place"),
        ((Branch(0, 0, 0, 0, 1, None),), "before its parent 0"),
        ((Branch(0, -1, 0, 0, 1, None), Branch(0, 0, 0, 0, 1, None)), "out of place or doubled"),
        ((Branch(0, -1, 0, 0, 1, None), Branch(1, -1, 0, 0, 1, None)), "before its parent -1"),
        ((Branch(0, -1, 0, 0, 1, None), Branch(1, 2, 0, 0, 1, None)), "before its parent 2"),
        ((Branch(0, -1, 0, 0, 0, None),), "beyond the limits"),
        ((Branch(0, -1, -1, 0, 1, None),), "beyond the limits"),
        ((Branch(0, -1, 0, 0, 1, "a"), Branch(1, 0, 0, 0, 1, "a")), "a is at two nodes"),
    ],
)
def test_a_feeder_that_is_no_tree_cant_be_made(branches: tuple[Branch, ...], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Feeder(branches)


@given(st.permutations(range(10)), st.data())
def test_any_tree_in_any_order_is_read(order: list[int], data: st.DataObject) -> None:
    parents = [-1] + [data.draw(st.integers(0, node - 1)) for node in range(1, 10)]
    feeder = parse("".join(f"{n},{parents[n]},1,1,1,\n" for n in order), ())
    assert sorted(branch.node for branch in feeder.branches) == list(range(10))
    for branch, position in zip(feeder.branches[1:], feeder.parent_positions[1:], strict=True):
        assert feeder.branches[position].node == parents[branch.node]


@given(st.lists(st.integers(-1, 6), min_size=1, max_size=6))
def test_any_parents_are_a_tree_or_a_data_error(parents: list[int]) -> None:
    rows = "".join(f"{node},{parent},1,1,1,\n" for node, parent in enumerate(parents))
    try:
        feeder = parse(rows, ())
    except DataError as error:
        assert "expected" in str(error)
    else:
        assert len(feeder.branches) == len(parents)
