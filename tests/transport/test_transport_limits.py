"""Limits that contradict each other are refused when they are made."""

from __future__ import annotations

import pytest

from transport import Limits


def test_the_defaults_fit():
    assert Limits().outbound_bytes_max == 32 * 1024 * 1024


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"idle_ms_max": 0}, "idle_ms_max must be at least 1"),
        ({"write_low_water_bytes": 2_000_000}, "write_low_water_bytes"),
        ({"hello_bytes_max": 100_000_000}, "hello_bytes_max"),
        ({"dial_backoff_ms_min": 20_000}, "dial_backoff_ms_min"),
        ({"outbound_bytes_max": 4 * 1024 * 1024}, "at least one frame"),
    ],
)
def test_contradictions(change, text):
    with pytest.raises(ValueError, match=text):
        Limits(**change)
