"""The repository keeps its own layers and sizes: who may import whom, and how long things may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache, lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("p2penergy", "transport", "bench")
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70

SIDE_EFFECTS = frozenset(
    [
        *("asyncio", "concurrent", "multiprocessing", "selectors", "signal", "subprocess", "threading"),
        *("http", "logging", "os", "shutil", "socket", "sqlite3", "ssl", "sys", "tempfile", "urllib"),
        *("random", "secrets", "select", "time"),
    ]
)
"""Parts of the standard library that a pure module never imports."""

PURE_LIBRARIES = frozenset(["msgspec", "cryptography"])

CORE = frozenset(
    f"p2penergy.{name}"
    for name in (
        *("beacon", "blocks", "committees", "conflicts", "digests"),
        *("genesis", "messages", "score_rules", "signing"),
    )
)

STUDIES = ("p2penergy.market.reputation_study",)
"""Programs that stand in a pure package and use the rest: held to none of its rules; no pure module
imports them."""

PURE: dict[str, frozenset[str]] = {
    "p2penergy.digests": frozenset(),
    "p2penergy.messages": frozenset(["p2penergy.digests"]),
    "p2penergy.signing": frozenset(["p2penergy.digests", "p2penergy.messages"]),
    "p2penergy.score_rules": frozenset(),
    "p2penergy.genesis": frozenset(["p2penergy.digests", "p2penergy.messages", "p2penergy.score_rules"]),
    "p2penergy.beacon": frozenset(["p2penergy.digests", "p2penergy.messages"]),
    "p2penergy.blocks": frozenset(["p2penergy.messages"]),
    "p2penergy.committees": frozenset(
        f"p2penergy.{name}" for name in ("beacon", "digests", "genesis", "messages", "score_rules")
    ),
    "p2penergy.conflicts": frozenset(["p2penergy.messages"]),
    "p2penergy.light": CORE | {"p2penergy.consensus"},
    "p2penergy.following": frozenset(["p2penergy.light", "p2penergy.messages"]),
    "p2penergy.relaying": frozenset(),
    "p2penergy.request_frames": frozenset(["p2penergy.messages"]),
    "p2penergy.request_relay": frozenset(),
    "p2penergy.proofs": CORE | {"p2penergy.light"},
    "p2penergy.consensus": CORE,
    "p2penergy.ledger": CORE | {"p2penergy.grid"},
    "p2penergy.market": CORE | {"p2penergy.grid", "p2penergy.ledger"},
    "p2penergy.post": CORE,
    "p2penergy.agents": frozenset(["p2penergy.ledger", "p2penergy.market", "p2penergy.grid"]),
    "p2penergy.grid": frozenset(),
    "p2penergy.bulk.tables": CORE | {"p2penergy.grid", "p2penergy.ledger", "p2penergy.meters.registers"},
    "p2penergy.meters.samples": frozenset(),
    "p2penergy.meters.registers": frozenset(["p2penergy.grid", "p2penergy.meters.samples"]),
    "p2penergy.meters.payload": frozenset(["p2penergy.meters.samples"]),
    "p2penergy.meters.csv_rows": frozenset(
        ["p2penergy.grid", "p2penergy.meters.samples", "p2penergy.meters.payload"]
    ),
}
"""Pure module or package -> all of ours, beside itself, that it may import.

Only what is pure itself stands on the right, so that nothing impure can come in by a detour.
"""

NEVER: dict[str, tuple[str, ...]] = {
    "transport": ("p2penergy", "bench", "tests"),
    "p2penergy": ("bench", "tests"),
    "p2penergy.membership": ("p2penergy.consensus", "p2penergy.ledger", "transport", "asyncio"),
    "p2penergy.simulation": ("p2penergy.node", "asyncio", "socket", "threading", "time"),
    "p2penergy.store": ("p2penergy.node", "p2penergy.ledger", "transport"),
}
"""Module or package -> what nothing in it imports."""


@lru_cache(maxsize=1)
def modules() -> dict[str, Path]:
    """Every module of the packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def is_within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def imports(name: str, path: Path) -> set[str]:
    """What a module imports, in functions and for its types too; relative imports are resolved."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                # `from package import name` imports the module `package.name` where there is one.
                whole = f"{base}.{alias.name}"
                found.add(whole if whole in modules() else base)
    return found


def is_study(name: str) -> bool:
    return any(is_within(name, study) for study in STUDIES)


def members_of(ruled: str) -> dict[str, Path]:
    return {name: path for name, path in modules().items() if is_within(name, ruled)}


def test_the_reader_of_imports_sees_them_all(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text(
        "import os.path, json as j\n"
        "from p2penergy import messages\n"
        "from p2penergy.messages import encode\n"
        "from . import digests\n"
        "from .genesis import parse\n"
        "from ..transport import Mesh\n"
        "if TYPE_CHECKING:\n    import types\n"
        "def f():\n    import late\n"
        "try:\n    import uvloop\nexcept ImportError:\n    pass\n"
    )
    ours = {"p2penergy.messages", "p2penergy.digests", "p2penergy.genesis", "transport"}
    assert imports("p2penergy.sample", path) == ours | {"os.path", "json", "types", "late", "uvloop"}


def test_every_rule_is_about_something_that_exists() -> None:
    assert {"p2penergy.messages", "p2penergy.consensus", "transport", "bench"} <= modules().keys()
    for ruled in {*PURE, *NEVER, *STUDIES, *(allowed for rule in PURE.values() for allowed in rule)}:
        assert members_of(ruled), ruled


def test_what_a_pure_module_may_import_is_pure() -> None:
    assert all(allowed in PURE for rule in PURE.values() for allowed in rule)
    assert "p2penergy.ledger" not in PURE["p2penergy.consensus"]
    assert "p2penergy.consensus" not in PURE["p2penergy.ledger"]


@pytest.mark.parametrize("ruled", sorted(PURE))
def test_a_pure_module_imports_pure_ones_only(ruled: str) -> None:
    broken = []
    for name, path in members_of(ruled).items():
        if is_study(name):
            continue
        for imported in imports(name, path):
            top = imported.split(".")[0]
            if top in PACKAGES:
                good = any(is_within(imported, allowed) for allowed in {ruled, *PURE[ruled]})
                good = good and not is_study(imported)
            else:
                good = top in PURE_LIBRARIES or (top in sys.stdlib_module_names and top not in SIDE_EFFECTS)
            if not good:
                broken.append(f"{name} imports {imported}")
    assert not broken, "\n".join(sorted(broken))


@pytest.mark.parametrize("ruled", NEVER)
def test_nothing_imports_what_it_must_not(ruled: str) -> None:
    broken = [
        f"{name} imports {imported}"
        for name, path in members_of(ruled).items()
        for imported in imports(name, path)
        if any(is_within(imported, forbidden) for forbidden in NEVER[ruled])
    ]
    assert not broken, "\n".join(sorted(broken))


def test_every_module_says_what_lives_in_it() -> None:
    silent = [
        name
        for name, path in modules().items()
        if tree_of(path).body and not ast.get_docstring(tree_of(path))
    ]
    assert not silent


def test_no_file_is_too_long() -> None:
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in modules().items()}
    assert not {name: length for name, length in lengths.items() if length > FILE_LINES_MAX}


def test_no_function_is_too_long() -> None:
    found = {}
    for name, path in modules().items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    found[f"{name}.{node.name}"] = lines
    assert not found


def test_no_path_has_a_space() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout of the repository")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    paths = listed.stdout.decode().split("\0")
    assert "pyproject.toml" in paths
    assert not [path for path in paths if any(character.isspace() for character in path)]


def test_test_modules_have_names_of_their_own() -> None:
    # Without packages in tests/, two test modules of one name hide each other.
    names = [
        path.name
        for path in (ROOT / "tests").rglob("*.py")
        if path.name not in ("conftest.py", "__main__.py")
    ]
    assert not {name for name in names if names.count(name) > 1}
