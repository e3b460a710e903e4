"""Log lines: the same event and fields, for people and as JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from p2penergy import logs
from p2penergy.logs import HumanFormatter, JsonFormatter, switch_on


def record(level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("p2penergy.node", level, "node.py", 1, "decided", None, None)
    made.created = 1_466_632_800.1234
    made.__dict__.update(fields)
    return made


def failure() -> logging.LogRecord:
    try:
        raise ValueError("two blocks at one height")
    except ValueError:
        made = record(logging.ERROR, error="two blocks")
        made.exc_info = sys.exc_info()
    return made


def test_a_line_for_people() -> None:
    line = HumanFormatter().format(record(height=7, view=12))
    assert line == "2016-06-22T22:00:00.123Z info    decided height=7 view=12"
    assert HumanFormatter().format(record()) == "2016-06-22T22:00:00.123Z info    decided"


def test_the_same_line_as_json() -> None:
    assert json.loads(JsonFormatter().format(record(height=7, peer=b"\x01"))) == {
        "time": "2016-06-22T22:00:00.123Z",
        "level": "info",
        "event": "decided",
        "height": 7,
        "peer": "b'\\x01'",
    }


def test_a_failure_keeps_its_traceback() -> None:
    first, *rest = HumanFormatter().format(failure()).splitlines()
    assert first == "2016-06-22T22:00:00.123Z error   decided error=two blocks"
    assert rest[-1] == "ValueError: two blocks at one height"
    said = json.loads(JsonFormatter().format(failure()))
    assert said["error"] == "two blocks"
    assert said["traceback"].splitlines()[-1] == "ValueError: two blocks at one height"
    assert "\n" not in JsonFormatter().format(failure())


def test_the_loggers_own_attributes_are_no_fields() -> None:
    for name in ("taskName", "message", "asctime", "processName"):
        assert name in logs._PLAIN


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    before = logger.handlers, logger.level
    yield logger
    logger.handlers, level = before[0], before[1]
    logger.setLevel(level)


@pytest.mark.parametrize(("form", "formatter"), [("human", HumanFormatter), ("json", JsonFormatter)])
def test_switched_on_they_go_to_standard_error(
    root: logging.Logger, capsys: pytest.CaptureFixture[str], form: str, formatter: type[logging.Formatter]
) -> None:
    switch_on("warning", form)  # type: ignore[arg-type]
    [handler] = root.handlers
    assert isinstance(handler.formatter, formatter)
    logging.getLogger("p2penergy.test").info("quiet")
    logging.getLogger("p2penergy.test").warning("loud", extra={"height": 3})
    out, err = capsys.readouterr()
    assert out == ""
    assert "quiet" not in err
    assert ("loud height=3" if form == "human" else '"event": "loud", "height": 3') in err
    assert err.count("\n") == 1
