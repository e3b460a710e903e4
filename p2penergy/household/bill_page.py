"""A bill as one HTML page that prints well: no script, nothing loaded from elsewhere.

Lives here: words and markup. Never here: figures (`accounts`).
"""

from collections.abc import Sequence
from html import escape

from p2penergy.grid.periods import period_start_text
from p2penergy.household.accounts import BillLine
from p2penergy.market.bill import Bill, billed_nano, format_money

_STYLE = (
    "body{font:16px/1.4 sans-serif;max-width:48em;margin:2em auto;color:#111}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.3em .6em;border-bottom:1px solid #bbb}"
    "td+td,th+th{text-align:right}.total{font-weight:bold}caption{text-align:left;padding:1em 0}"
    ".small{font-size:.8em}tr{break-inside:avoid}thead{display:table-header-group}"
    "@page{margin:2cm}@media print{body{margin:0;max-width:none}}"
)


def three_lines(summed: Bill) -> tuple[tuple[str, int], ...]:
    """Name and amount as billed, billionths; above zero to be paid."""
    total_nano = billed_nano(summed.community_nano, summed.grid_nano)
    return ("total", total_nano), ("community", summed.community_nano), ("grid", summed.grid_nano)


def span(lines: Sequence[BillLine]) -> str:
    """From when to when, in words."""
    if not lines:
        return "no settled period"
    first, after = period_start_text(lines[0].period), period_start_text(lines[-1].period + 1)
    return f"{first} to {after}, {len(lines)} settled periods"


def render(who: bytes, lines: Sequence[BillLine], summed: Bill) -> str:
    """The whole page."""

    def money(amount_nano: int) -> str:
        return escape(format_money(amount_nano, summed.currency))

    top = "".join(
        f"<tr{' class=total' if name == 'total' else ''}><td>{name}</td><td>{money(amount)}</td></tr>"
        for name, amount in three_lines(summed)
    )
    rows = "".join(
        f"<tr><td>{period_start_text(line.period)}</td><td>{line.record.import_wh}</td>"
        f"<td>{line.record.bought_wh}</td><td>{line.record.export_wh}</td><td>{line.record.sold_wh}</td>"
        f"<td>{money(line.record.community_nano)}</td><td>{money(line.record.grid_nano)}</td></tr>"
        for line in lines
    )
    records = [line.record for line in lines]
    sums = "".join(
        f"<td>{figure}</td>"
        for figure in (
            *(sum(r.import_wh for r in records), sum(r.bought_wh for r in records)),
            *(sum(r.export_wh for r in records), sum(r.sold_wh for r in records)),
            *(money(summed.community_nano), money(summed.grid_nano)),
        )
    )
    heads = ("period", "drawn Wh", "of it bought", "fed in Wh", "of it sold", "community", "grid")
    head = "".join(f"<th>{name}</th>" for name in heads)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'><title>Bill</title>"
        f"<style>{_STYLE}</style><h1>Electricity bill</h1>"
        f"<p>Participant {who.hex()}<br>{escape(span(lines))}</p><table>{top}</table>"
        f"<p>Below zero you are paid. Without neighbours: {money(summed.without_community_nano)}.</p>"
        f"<table class=small><caption>Every settled period (UTC)</caption>"
        f"<thead><tr>{head}</tr></thead>{rows}<tr class=total><td>all</td>{sums}</tr></table></html>\n"
    )
