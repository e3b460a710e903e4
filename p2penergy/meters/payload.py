"""What meters and gateways send, as HTTP bodies and MQTT payloads: JSON to samples.

Lives here: decoding and its limits. Never here: sockets, the clock (the caller says what moment an undated
sample is of). Owns the invariant that whatever the bytes are, a sample within its limits or one sentence
comes out.

Two spellings of an object, or an array of such objects:

    {"time": "2026-07-01T10:15:00Z", "import_wh": 1234567, "export_wh": 890}
    {"time": 1782900900, "1-0:1.8.0": "1234.567", "2.8.0": 0.89}       kWh, as meters show it
"""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from p2penergy.meters.samples import Sample, SampleError

PAYLOAD_BYTES_MAX = 64 * 1024
PAYLOAD_SAMPLES_MAX = 500
_FOUND_CHARACTERS_MAX = 40
_DIGITS_MAX = 18

_KWH = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,9}))?(?:\s*\*?\s*kWh)?", re.ASCII)
_CODES = {
    "import_wh": ("import_wh", "1-0:1.8.0", "1.8.0", "1-0:1.8.0*255"),
    "export_wh": ("export_wh", "1-0:2.8.0", "2.8.0", "1-0:2.8.0*255"),
}


def decode_payload(raw: bytes, arrived_s: int) -> list[Sample]:
    """Samples of one message; one without a time is of `arrived_s`, unix seconds.

    Raises:
        SampleError: with a sentence that says what was found.
    """
    if len(raw) > PAYLOAD_BYTES_MAX:
        raise SampleError(f"found {len(raw)} bytes, expected at most {PAYLOAD_BYTES_MAX}")
    try:
        # Decimals are kept as they were written: 0.29 kWh is 290 Wh, not 289.
        found = json.loads(raw.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise SampleError(f"found {_shown(raw)}, expected JSON") from None
    entries = found if isinstance(found, list) else [found]
    if len(entries) > PAYLOAD_SAMPLES_MAX:
        raise SampleError(f"found {len(entries)} samples, expected at most {PAYLOAD_SAMPLES_MAX}")
    return [_sample(entry, arrived_s) for entry in entries]


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _sample(entry: Any, arrived_s: int) -> Sample:
    if not isinstance(entry, dict):
        raise SampleError(f"found {_shown(entry)}, expected an object with import_wh and export_wh")
    import_wh, export_wh = (_register(entry, field) for field in _CODES)
    at_s = parse_time(entry["time"]) if "time" in entry else arrived_s
    return Sample(at_s, import_wh, export_wh)


def _register(entry: dict[str, Any], field: str) -> int:
    names = [name for name in _CODES[field] if name in entry]
    if len(names) != 1:
        said = "none" if not names else " and ".join(names)
        raise SampleError(f"found {said}, expected one of {', '.join(_CODES[field])}")
    (name,) = names
    value = entry[name]
    if name != field:
        return parse_kwh(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SampleError(f"found {name} {_shown(value)}, expected whole Wh")
    return value


def parse_kwh(value: Any) -> int:
    """A register in kWh, a number or its text, as whole Wh rounded down; raises `SampleError`."""
    text = (
        format(value, "f") if isinstance(value, Decimal) and abs(value.adjusted()) <= _DIGITS_MAX else value
    )
    text = str(text) if isinstance(text, int) and not isinstance(text, bool) else text
    match = _KWH.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise SampleError(f"found {_shown(value)}, expected kWh such as 1234.567")
    return int(match[1]) * 1000 + int((match[2] or "").ljust(3, "0")[:3])


def parse_time(value: Any) -> int:
    """Unix seconds from whole seconds, or from ISO 8601 with Z or an offset; raises `SampleError`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise SampleError(f"found the time {_shown(value)}, expected one such as 2026-07-01T10:15:00Z")
    return int((moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 1)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _FOUND_CHARACTERS_MAX else text[:_FOUND_CHARACTERS_MAX] + "..."
