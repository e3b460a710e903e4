import subprocess
import sys

PROGRAM = """
from p2penergy.simulation.plans import draw_plan, profile_named
from p2penergy.simulation.runner import run_plan
for name in ("chaos", "fork", "membership", "ledger"):
    for seed in range(4):
        print(run_plan(draw_plan(seed, 4 + seed % 4, profile_named(name))).trace_hash)
"""


def _traces(hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_order_of_hashes_leaves_no_mark_on_a_trace() -> None:
    one = _traces("1")
    assert one.count("\n") == 16
    assert one == _traces("2718")
