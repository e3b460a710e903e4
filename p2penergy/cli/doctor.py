"""`p2penergy doctor`: examine a node's folder, machine and network; say what mends each finding.

Lives here: the report. Never here: looking (`operations.doctor`). Ends with 1 when something is wrong.
"""

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from p2penergy import loops
from p2penergy.cli.errors import as_user_error
from p2penergy.cli.homes import home_option, json_option
from p2penergy.config import ConfigError
from p2penergy.home import HomeError, load_device
from p2penergy.operations.asking import ASK_MS_MAX, peer_addresses, survey
from p2penergy.operations.doctor import examine
from p2penergy.operations.findings import Finding, Level
from p2penergy.operations.process import running_pid

ERROR_EXIT_CODE = 1
_MARKS = {Level.OK: "[green]ok     [/]", Level.WARNING: "[yellow]warning[/]", Level.ERROR: "[red]error  [/]"}


@click.command()
@home_option
@click.option(
    "--wait-ms", default=ASK_MS_MAX, show_default=True, type=click.IntRange(100), help="How long to wait."
)
@json_option
def doctor(home: Path, wait_ms: int, as_json: bool) -> None:
    """Look for what may keep a node from its work; nothing is changed. Ends with 1 on any error."""
    with as_user_error(HomeError, ConfigError):
        device = load_device(home)
    reports = loops.run(survey(device, peer_addresses(device), wait_ms))
    findings = examine(device, reports, running_pid(home))
    if as_json:
        click.echo(json.dumps([_plain(finding) for finding in findings], indent=2))
    else:
        _show(findings)
    if any(finding.level is Level.ERROR for finding in findings):
        sys.exit(ERROR_EXIT_CODE)


def _plain(finding: Finding) -> dict[str, str | None]:
    return {
        "check": finding.check,
        "level": finding.level.name.lower(),
        "sentence": finding.sentence,
        "mend": finding.mend or None,
    }


def _show(findings: list[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        console.print(f"{_MARKS[finding.level]} {escape(finding.check)}: {escape(finding.sentence)}")
        if finding.mend:
            console.print(f"        -> {escape(finding.mend)}")
