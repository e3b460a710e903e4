from dataclasses import replace
from typing import Any

import pytest
from village import Village

from p2penergy.blocks import InvalidBlockError
from p2penergy.ledger.block_rules import ended_period, first_period, latest_period
from p2penergy.messages import Stage

PERIOD_MS = 900_000


def live(**rules: Any) -> Village:
    """Slot 0 starts with period 1000, a slot lasts a minute."""
    return Village(
        market={"replay": False, "first_period": 0},
        rules={"t0_ms": 1000 * PERIOD_MS, "alpha_ms": 60_000} | rules,
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"height": 2}, "wrong_height"),
        ({"height": 0}, "wrong_height"),
        ({"stage": Stage.VERIFICATION}, "wrong_stage"),
        ({"period": 99}, "period_back"),
        ({"period": 102}, "period_ahead"),
        ({"proposer": b"x" * 20}, "unknown_proposer"),
        ({"reveal": bytes(32)}, "wrong_reveal"),
    ],
)
def test_each_rule_of_the_header(changes: dict[str, Any], code: str) -> None:
    village = Village()
    village.ledger.execute(village.draft())
    draft = {name: value for name, value in changes.items() if name != "proposer"}
    with pytest.raises(InvalidBlockError) as refused:
        if "proposer" in changes:
            village.ledger.execute(_by(village, changes["proposer"]))
        else:
            village.ledger.execute(village.draft(**draft))
    assert refused.value.code == code


def _by(village: Village, proposer: bytes) -> Any:
    return replace(village.draft(), proposer=proposer)


def test_a_member_without_a_chain_proposes_nothing() -> None:
    village = Village()
    with pytest.raises(InvalidBlockError, match="has no hash chain"):
        village.ledger.execute(_by(village, village.ids[4]))


def test_a_reveal_is_good_for_one_block() -> None:
    village = Village()
    first = village.draft()
    village.run(first)
    with pytest.raises(InvalidBlockError) as refused:
        village.ledger.execute(village.draft(reveal=first.reveal))
    assert refused.value.code == "wrong_reveal"


def test_the_next_stage_is_what_the_parent_said() -> None:
    village = Village()
    village.run(village.draft(next_stage=Stage.VERIFICATION))
    with pytest.raises(InvalidBlockError) as refused:
        village.ledger.execute(village.draft())
    assert refused.value.code == "wrong_stage"
    village.run(village.draft(stage=Stage.VERIFICATION))


def test_a_verification_block_holds_no_readings() -> None:
    village = Village(rules={"first_stage": Stage.VERIFICATION})
    with pytest.raises(InvalidBlockError) as refused:
        village.ledger.execute(village.draft(village.reading(1), stage=Stage.VERIFICATION))
    assert refused.value.code == "wrong_transactions"


def test_a_live_ledger_is_at_the_last_period_that_has_ended() -> None:
    village = live()
    assert village.ledger.period == 999
    for slot, latest in ((0, 999), (14, 999), (15, 1000), (29, 1000), (30, 1001)):
        assert latest_period(village.genesis, 999, slot) == latest


def test_a_live_block_may_lag_but_not_run_ahead() -> None:
    village = live()
    village.ledger.execute(village.draft(slot=30, period=999))
    village.ledger.execute(village.draft(slot=30, period=1001))
    with pytest.raises(InvalidBlockError) as refused:
        village.ledger.execute(village.draft(slot=30, period=1002))
    assert refused.value.code == "period_ahead"


def test_a_first_period_in_the_future_waits_for_the_clock() -> None:
    village = live()
    assert latest_period(village.genesis, 5000, 30) == 5000


def test_a_replay_ledger_takes_one_step_at_a_time() -> None:
    village = Village()
    assert latest_period(village.genesis, 100, 10**9) == 101
    assert first_period(village.genesis) == 100


def test_no_period_has_ended_before_the_first() -> None:
    assert [ended_period(ms) for ms in (0, PERIOD_MS - 1, PERIOD_MS, 2 * PERIOD_MS)] == [0, 0, 0, 1]
