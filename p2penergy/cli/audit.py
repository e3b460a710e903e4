"""``p2penergy audit``: re-check a kept ledger from genesis.

What lives here: the progress bar, the summary, JSON, the exit code (0 clean, 1 findings, 2 nothing to audit).
What never does: a check (``p2penergy.audit``).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from p2penergy.audit import AuditError, AuditReport, Finding, LedgerReport
from p2penergy.audit import audit as audit_folder
from p2penergy.cli.errors import as_user_error

FOUND_EXIT_CODE = 1


@click.command(name="audit")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit(folder: Path, as_json: bool) -> None:
    """Check a kept ledger from genesis: every header, leader, signature, trade and stored row.

    FOLDER is a validator's home, or a folder of homes such as that of `demo --keep`; the ledgers of several
    homes are compared, too. Ends with 1 when anything is wrong.
    """
    with as_user_error(AuditError):
        report = _audited(folder, quiet=as_json)
    if as_json:
        click.echo(json.dumps(_json(report), indent=2))
    else:
        _show(report)
    if not report.is_clean:
        sys.exit(FOUND_EXIT_CODE)


def _audited(folder: Path, quiet: bool) -> AuditReport:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        tasks: dict[Path, TaskID] = {}

        def progress(home: Path, done: int, total: int) -> None:
            if home not in tasks:
                tasks[home] = bar.add_task(escape(home.name), total=total)
            bar.update(tasks[home], completed=done)

        return audit_folder(folder, progress)


def _show(report: AuditReport) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for ledger in report.ledgers:
        console.print(_summary(ledger))
        _show_findings(console, ledger.findings)
        if ledger.findings_dropped:
            console.print(f"  and {ledger.findings_dropped} more")
    _show_findings(console, report.findings)
    if report.is_clean:
        several = f", {len(report.ledgers)} ledgers agree" if len(report.ledgers) > 1 else ""
        console.print(
            f"[green]Clean[/green]: everything is as genesis and the transactions make it{several}."
        )
        if any(each.base_height for each in report.ledgers):
            console.print("Blocks before a ledger's snapshot are not in it: audit them in another one.")
        for each in report.ledgers:
            if each.founders_changed:
                said = f"{each.founders_changed} of the founders had renewed or gone before its snapshot"
                console.print(f"{escape(each.home.name)}: {said}, which is the snapshot's own word.")
    else:
        count = len(report.findings) + sum(
            len(each.findings) + each.findings_dropped for each in report.ledgers
        )
        console.print(f"[red]Not clean[/red]: {count} finding{'s' if count > 1 else ''}.")


def _summary(ledger: LedgerReport) -> str:
    money = ledger.amount_nano / 10**9
    base = f" (from the snapshot of block {ledger.base_height} on)" if ledger.base_height else ""
    return (
        f"[bold]{escape(ledger.home.name)}[/bold]: {ledger.checked_height} of {ledger.height} blocks{base}, "
        f"{ledger.transactions} transactions ({ledger.accepted} accepted), "
        f"{ledger.energy_wh / 1000:,.3f} kWh traded for {money:.2f}, {ledger.votes} own votes"
    )


def _show_findings(console: Console, findings: list[Finding]) -> None:
    for finding in findings:
        console.print(f"  [red]x[/red] {escape(str(finding))}")


def _json(report: AuditReport) -> dict[str, Any]:
    return {
        "clean": report.is_clean,
        "findings": [_finding_json(each) for each in report.findings],
        "ledgers": [
            {
                "home": str(each.home),
                "base_height": each.base_height,
                "height": each.height,
                "checked_height": each.checked_height,
                "tip": each.digests[-1].hex() if each.digests else None,
                "transactions": each.transactions,
                "accepted": each.accepted,
                "energy_wh": each.energy_wh,
                "amount_nano": each.amount_nano,
                "votes": each.votes,
                "findings": [_finding_json(finding) for finding in each.findings],
                "findings_dropped": each.findings_dropped,
            }
            for each in report.ledgers
        ],
    }


def _finding_json(finding: Finding) -> dict[str, str]:
    return {"table": finding.table, "row": finding.row, "what": finding.what}
