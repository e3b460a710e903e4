import pytest

from p2penergy.agents.settings import AgentSettings, SettingsError, parse_settings
from p2penergy.agents.strategies import FollowMarket, PriceCurve, ZeroIntelligence

CURVE = """
strategy = "curve"
horizon_periods = 4
share_percent = 90
keep = 12.5
seed = 7
[curve]
sell = [[0, 0.24], [500, 0.161]]
buy = [[0, 0]]
"""


def test_every_key_is_understood() -> None:
    curve = PriceCurve(((0, 240_000), (500, 161_000)), ((0, 0),))
    assert parse_settings(CURVE, "a.toml") == AgentSettings(curve, 4, 900_000, 12_500_000_000, 7)


def test_defaults() -> None:
    found = parse_settings('strategy = "follow"', "a.toml")
    assert found == AgentSettings(FollowMarket(4, 20_000), 1, 1_000_000, 0, 1)
    assert parse_settings('strategy = "zero_intelligence"', "a.toml").strategy == ZeroIntelligence()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("strategy =", "is not valid TOML"),
        ("", "strategy is None, expected one of curve"),
        ('strategy = "greedy"', "strategy is 'greedy'"),
        ('strategy = "follow"\nkeeep = 1', "'keeep' is no key here; did you mean 'keep'"),
        ('strategy = "follow"\nkeep = -1', "keep has -1, expected 0 to"),
        ('strategy = "follow"\nkeep = 0.0000001', "six decimals at most"),
        ('strategy = "follow"\nkeep = nan', "keep has NaN"),
        ('strategy = "follow"\nkeep = inf', "keep has Infinity"),
        ('strategy = "follow"\nkeep = 1e99999', "keep has 1E"),
        ('strategy = "follow"\nkeep = "much"', "keep has much"),
        (
            'strategy = "follow"\nshare_percent = 0',
            "share_percent is 0, expected a whole number from 1 to 100",
        ),
        ('strategy = "follow"\nseed = true', "seed is True"),
        ('strategy = "follow"\nfollow = 3', "write [follow] on a line of its own"),
        ('strategy = "follow"\n[follow]\nwindow = 0', "[follow] window is 0"),
        ('strategy = "curve"', "neither sell nor buy"),
        ('strategy = "curve"\n[curve]\nsell = 3', "[curve] sell is a list"),
        ('strategy = "curve"\n[curve]\nsell = [[0]]', "expected [Wh, price]"),
        ('strategy = "curve"\n[curve]\nsell = [[0, 1], [0, 2]]', "points ascend by Wh"),
        ('strategy = "curve"\n[curve]\nsell = [[-1, 1]]', "has -1 as Wh"),
        ('strategy = "curve"\n[curve]\nsell = [[1, 1001]]', "has 1001, expected 0 to 1000"),
        ('strategy = "curve"\n[curve]\nask = [[1, 1]]', "'ask' is no key here"),
        ("a = " + "[" * 5000, "is not valid TOML"),
    ],
)
def test_everything_else_is_one_sentence_that_names_the_key(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, "a.toml")
    assert str(caught.value).startswith("a.toml") and said in str(caught.value)
