import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy.meters.payload import PAYLOAD_BYTES_MAX, decode_payload, parse_kwh, parse_time
from p2penergy.meters.samples import Sample, SampleError

NOW = 1_782_900_900


def one(entry: Any) -> Sample:
    (sample,) = decode_payload(json.dumps(entry).encode(), NOW)
    return sample


@pytest.mark.parametrize(
    "entry",
    [
        {"time": NOW, "import_wh": 1234567, "export_wh": 890},
        {"import_wh": 1234567, "export_wh": 890},
        {"time": "2026-07-01T10:15:00Z", "1-0:1.8.0": "1234.567", "1-0:2.8.0": "0.890 kWh"},
        {"time": "2026-07-01T12:15:00+02:00", "1.8.0": 1234.567, "2.8.0": 0.89},
        {"time": NOW, "1-0:1.8.0*255": "001234.5679*kWh", "export_wh": 890, "power": 3},
    ],
)
def test_both_spellings_mean_the_same(entry: dict[str, Any]) -> None:
    assert one(entry) == Sample(NOW, 1234567, 890)


def test_an_array_holds_several() -> None:
    entries = [{"time": NOW + n, "import_wh": n, "export_wh": 0} for n in range(3)]
    assert len(decode_payload(json.dumps(entries).encode(), NOW)) == 3


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "expected JSON"),
        (b"\xff", "expected JSON"),
        (b"[" * 60_000, "expected JSON"),
        (b"7", "expected an object"),
        (b'{"import_wh": 1}', "expected one of export_wh"),
        (b'{"import_wh": 1, "1.8.0": 2, "export_wh": 0}', "found import_wh and 1.8.0"),
        (b'{"import_wh": 1.5, "export_wh": 0}', "expected whole Wh"),
        (b'{"import_wh": true, "export_wh": 0}', "expected whole Wh"),
        (b'{"import_wh": -1, "export_wh": 0}', "expected Wh from 0"),
        (b'{"import_wh": NaN, "export_wh": 0}', "expected JSON"),
        (b'{"1.8.0": 1e999999999, "export_wh": 0}', "expected kWh"),
        (b'{"1.8.0": "-3", "export_wh": 0}', "expected kWh"),
        (b'{"1.8.0": [], "export_wh": 0}', "expected kWh"),
        (b'{"time": "2026-07-01T10:15:00", "import_wh": 1, "export_wh": 0}', "expected one such as"),
        (b'{"time": null, "import_wh": 1, "export_wh": 0}', "expected one such as"),
        (b'{"time": -5, "import_wh": 1, "export_wh": 0}', "from 1970 on"),
        (b"[" + b"0," * 600 + b"0]", "expected at most 500"),
        (b" " * (PAYLOAD_BYTES_MAX + 1), "expected at most"),
    ],
)
def test_everything_else_is_one_sentence(raw: bytes, said: str) -> None:
    with pytest.raises(SampleError, match=said) as caught:
        decode_payload(raw, NOW)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["time", "import_wh", "export_wh", "1.8.0", "2.8.0"]) | st.text(), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_comes_samples_or_one_sentence_come_out(raw: bytes) -> None:
    try:
        assert all(isinstance(sample, Sample) for sample in decode_payload(raw, NOW))
    except SampleError as error:
        assert "expected" in str(error)


def test_kwh_are_read_digit_by_digit() -> None:
    assert [parse_kwh(text) for text in ("0.29", "0.0019", "12", 12, "1.")[:4]] == [290, 1, 12_000, 12_000]
    with pytest.raises(SampleError):
        parse_kwh("1.")


def test_a_time_before_1970_is_no_surprise() -> None:
    assert parse_time("1969-12-31T23:59:59Z") == -1
