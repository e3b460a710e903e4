"""Every mesh is a `Mesh`: the same methods with the same parameters."""

from __future__ import annotations

import inspect

import pytest

from transport import FaultyMesh, MemoryMesh, Mesh, TcpMesh

METHODS = [
    name for name, member in vars(Mesh).items() if inspect.isfunction(member) and not name.startswith("_")
]


@pytest.mark.parametrize("mesh", [TcpMesh, MemoryMesh, FaultyMesh])
def test_it_has_the_methods_of_a_mesh(mesh):
    assert len(METHODS) == 9
    for method in METHODS:
        assert inspect.signature(getattr(mesh, method)) == inspect.signature(getattr(Mesh, method))
