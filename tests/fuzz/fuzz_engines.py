"""Two ways of making inputs from genuine ones: Hypothesis everywhere, atheris (coverage-guided) where it is.

Both begin with the corpus: the files of `tests/fuzz/corpus/TARGET`, and the genuine inputs that the target
names. An input that breaks a target becomes a file of its corpus, and so a test from then on.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from fuzz_targets import TARGETS, Target
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).resolve().parent / "corpus"
INPUT_BYTES_MAX = 64 * 1024
EDITS_MAX = 8
ROUND_EXAMPLES = 2_000


def corpus(name: str) -> list[bytes]:
    """Kept inputs of a target, then genuine ones."""
    kept = [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
    return [*kept, *TARGETS[name].seeds()]


def keep(name: str, data: bytes) -> Path:
    """Make an input part of the corpus."""
    path = CORPUS / name / sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# ---- Hypothesis -----------------------------------------------------------------------------------

_small = st.binary(max_size=8)
_interesting = st.sampled_from(
    [b"\0", b"\xff", b"\x80", b"\x90", b"\xc0", b"\xc1", b"\xc4", b"\xc6", b"\xd9", b"\xdc", b"\xdf"]
)


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A known input with some bytes flipped, written over, put in, taken out, doubled or cut."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, EDITS_MAX))):
        place = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 6)):
            case 0 if place < len(data):
                data[place] ^= 1 << draw(st.integers(0, 7))
            case 1:
                data[place : place + 1] = draw(_interesting)
            case 2:
                data[place:place] = draw(_small)
            case 3:
                del data[place : place + draw(st.integers(1, 40))]
            case 4:
                data[place:place] = data[place : place + draw(st.integers(1, 40))]
            case 5:
                other = draw(st.sampled_from(seeds))
                cut = draw(st.integers(0, len(other)))
                data[place:] = other[cut:]
            case 6:
                del data[place:]
    return bytes(data[:INPUT_BYTES_MAX])


def inputs(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Mostly changed genuine inputs, sometimes noise."""
    return st.one_of(mutated(seeds), mutated(seeds), mutated(seeds), st.binary(max_size=400))


def by_hypothesis(target: Target, seeds: list[bytes], examples: int, number: int) -> None:
    """One round; raises what the target does for the smallest input found, which `finding_of` tells."""

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(seeds))
    def run(data: bytes) -> None:
        try:
            target.run(data)
        except BaseException as error:
            error.add_note(f"input {data.hex()}")
            raise

    run()


def finding_of(error: BaseException) -> bytes:
    """The input that raised an error of `by_hypothesis`: the last one, after shrinking."""
    notes = [note for note in getattr(error, "__notes__", ()) if note.startswith("input ")]
    return bytes.fromhex(notes[-1].removeprefix("input "))


def rounds(name: str, seconds: float, number: int) -> Iterator[int]:
    """Rounds of Hypothesis until the time is over, each with another seed; yields all examples so far."""
    target, seeds = TARGETS[name], corpus(name)
    examples = max(20, ROUND_EXAMPLES * target.examples // 200)
    end_s, done = time.monotonic() + seconds, 0
    while time.monotonic() < end_s:
        by_hypothesis(target, seeds, examples, number)
        number += 1
        done += examples
        yield done


# ---- atheris --------------------------------------------------------------------------------------


def by_atheris(name: str, seconds: float, number: int) -> None:
    """Hand the target to libFuzzer, which ends the process: with 0, or with the input that it broke on."""
    import atheris  # type: ignore[import-not-found]

    run: Callable[[bytes], None] = TARGETS[name].run
    found = CORPUS / name
    found.mkdir(parents=True, exist_ok=True)
    work = Path("out") / f"fuzz-{name}"
    work.mkdir(parents=True, exist_ok=True)
    for data in TARGETS[name].seeds():
        (work / f"seed-{sha256(data).hexdigest()[:16]}").write_bytes(data)
    options = [f"-max_total_time={int(seconds)}", f"-seed={number}", f"-max_len={INPUT_BYTES_MAX}"]
    places = [f"-artifact_prefix={found}/", str(work), str(found)]
    atheris.Setup([sys.argv[0], *options, *places], run)
    atheris.Fuzz()
