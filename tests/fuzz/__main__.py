"""`python -m tests.fuzz [TARGET ...]`: fuzz the decoders for a while; `make fuzz` fuzzes all of them.

Ends with 1, and with the input in the target's corpus, when anything was found.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The helpers of the tests are modules beside each other, without packages.
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "store")]

HERE_ENGINE = "atheris-here"

if HERE_ENGINE in sys.argv:
    import atheris  # type: ignore[import-not-found]

    # What is to be guided by coverage must be imported like this; all of Python would take half a minute.
    with atheris.instrument_imports(include=["p2penergy", "transport"]):
        import fuzz_targets  # noqa: F401

from fuzz_engines import by_atheris, finding_of, keep, rounds  # noqa: E402
from fuzz_targets import TARGETS, cleanup  # noqa: E402


def has_atheris() -> bool:
    """Whether the coverage-guided engine is installed."""
    try:
        import atheris  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        return False
    return True


def fuzz_by_hypothesis(name: str, seconds: float, number: int) -> bool:
    """Whether nothing was found."""
    done = 0
    try:
        for done in rounds(name, seconds, number):
            print(f"\r{name}: {done:,} inputs", end="", flush=True)
    except Exception as error:
        data = finding_of(error)
        print(f"\r{name}: {type(error).__name__}: {error}\n  kept as {keep(name, data)}")
        return False
    print(f"\r{name}: {done:,} inputs, nothing found")
    return True


def fuzz_by_atheris(name: str, seconds: float, number: int) -> bool:
    """Whether nothing was found; libFuzzer ends its process, so that it gets one of its own."""
    options = ["--engine", HERE_ENGINE, "--seconds", str(seconds), "--seed", str(number)]
    return subprocess.run([sys.executable, "-m", "tests.fuzz", *options, name], check=False).returncode == 0


def main() -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default all")
    parser.add_argument("--seconds", type=float, default=60, help="for each target (default: 60)")
    parser.add_argument("--seed", type=int, default=0)
    engines = ["auto", "hypothesis", "atheris", HERE_ENGINE]
    parser.add_argument(
        "--engine", choices=engines, default="auto", help="auto: atheris where it is installed"
    )
    chosen = parser.parse_args()
    unknown = [name for name in chosen.targets if name not in TARGETS]
    if unknown:
        parser.error(f"there is no target {unknown[0]!r}; there are {', '.join(TARGETS)}")
    if chosen.engine == HERE_ENGINE:
        by_atheris(chosen.targets[0], chosen.seconds, chosen.seed)
        return 0
    use_atheris = chosen.engine == "atheris" or (chosen.engine == "auto" and has_atheris())
    fuzz = fuzz_by_atheris if use_atheris else fuzz_by_hypothesis
    print(f"engine: {'atheris' if use_atheris else 'hypothesis'}, {chosen.seconds:g} s for each target")
    try:
        # All of them, whatever the first ones find.
        clean = [fuzz(name, chosen.seconds, chosen.seed) for name in chosen.targets or TARGETS]
    finally:
        cleanup()
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
