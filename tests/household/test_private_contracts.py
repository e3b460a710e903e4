"""`contract draft`, `sign`, `submit`: a file between two households becomes a trade in escrow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from household_net import Stay

from p2penergy.grid.periods import period_start_text

pytestmark = pytest.mark.timeout(200)


def drafted(stay: Stay, path: Path) -> str:
    """A draft of household 4, which buys from 6 in a period to come; its trade id."""
    seller, period = stay.json(6, "wallet")["participant_id"], stay.json(4, "wallet")["period"] + 3
    wanted = ("--energy-wh", "80", "--price", "0.2", "--period", period_start_text(period))
    return str(stay.json(4, "contract", "draft", str(path), "--with", seller, "--buy", *wanted)["trade_id"])


def test_a_file_becomes_a_trade(stay: Stay, tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    trade_id = drafted(stay, path)
    assert "is not signed yet" in stay.refused(4, "contract", "submit", str(path))
    assert "neither seller nor buyer" in stay.refused(3, "contract", "sign", str(path))
    assert "now the neighbour submits it" in stay.text(6, "contract", "sign", str(path))
    assert "signed already" in stay.refused(4, "contract", "sign", str(path))
    assert "the neighbour submits it" in stay.refused(6, "contract", "submit", str(path))
    before = stay.json(4, "wallet")["wallet_nano"]
    done = stay.json(4, "contract", "submit", str(path))
    assert (done["accepted"], done["trade_id"]) == (True, trade_id)
    assert "in escrow" in done["outcome"]
    assert stay.json(4, "wallet")["wallet_nano"] == before - 80 * 200_000
    shown = stay.json(6, "trade", "show", trade_id)
    assert (shown["reached_stage"], shown["settled_height"]) == ("preparation", None)
    again = stay.run(4, "contract", "submit", str(path))
    assert (again.exit_code, "was executed at height" in again.output) == (1, True)


def test_an_altered_file_is_not_submitted(stay: Stay, tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    drafted(stay, path)
    stay.text(6, "contract", "sign", str(path))
    score = stay.json(4, "score")["q_ppm"]
    altered = json.loads(path.read_text()) | {"price_micro_per_kwh": 100_000}
    path.write_text(json.dumps(altered))
    assert "somebody has altered the file" in stay.refused(4, "contract", "submit", str(path))
    assert stay.json(4, "score")["q_ppm"] >= score
    path.write_text(json.dumps(altered | {"chain_id": "00" * 32}))
    assert "another community" in stay.refused(4, "contract", "submit", str(path))
    path.write_text("{}")
    assert "is no contract" in stay.refused(4, "contract", "submit", str(path))
    assert "can't be read" in stay.refused(4, "contract", "submit", str(tmp_path / "none.json"))
