"""`p2penergy trade show ID`: a trade from request to final, with each leg before and after."""

from pathlib import Path
from typing import Any

import click

from p2penergy.cli.groups import Group
from p2penergy.cli.network import ask, hex_bytes, network_options, show_json
from p2penergy.genesis import PPM
from p2penergy.grid.periods import period_start_text
from p2penergy.household import trades
from p2penergy.household.reach import Network
from p2penergy.household.trades import Trade
from p2penergy.ledger.receipts import sentence
from p2penergy.ledger.stages import StageLegs

_ID_BYTES = 32
_STAGES = (("execution", "temporary", "seller", "buyer"), ("final", "permanent", "buyer", "seller"))
"""Stage, how long what it writes lasts, whose energy and whose wallet it moves (paper 2.2.2)."""


@click.group(cls=Group)
def trade() -> None:
    """Trades on the ledger."""


@trade.command()
@click.argument("trade_id", metavar="ID")
@network_options
def show(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool, trade_id: str) -> None:
    """Follow a trade by its id, or a contract by its transaction's id; its receipt is proven."""
    key = hex_bytes(trade_id, _ID_BYTES, "a trade id")

    async def job(network: Network) -> Trade:
        return await trades.trade(network, key)

    figures = _figures(key, ask(home, nodes, wait_s, job))
    if as_json:
        show_json(figures)
    else:
        _show(figures)


def _figures(key: bytes, found: Trade) -> dict[str, Any]:
    receipt, record = found.receipt, found.record
    terms = receipt or found.escrow
    figures: dict[str, Any] = {
        "trade_id": (receipt.trade_id if receipt else key).hex(),
        "height": found.height,
        "outcome": sentence(receipt) if receipt else "matched by the auction",
        "accepted": receipt is None or receipt.accepted,
        "made_by": "contract" if receipt else "auction",
    }
    if terms is not None:
        figures |= {
            "seller": terms.seller.hex(),
            "buyer": terms.buyer.hex(),
            "energy_wh": terms.energy_wh,
            "price_micro_per_kwh": terms.price_micro_per_kwh,
            "amount_nano": terms.amount_nano,
        }
    if receipt is not None:
        figures |= {
            "transaction_id": receipt.transaction_id.hex(),
            "condition": receipt.condition,
            "alpha": receipt.alpha,
        }
        if record is None:
            figures["quality_ppm"] = receipt.quality_ppm
    if found.escrow is not None:
        figures |= {
            "period": found.escrow.period,
            "period_start": period_start_text(found.escrow.period),
            "waits": found.waits,
        }
    if found.leader is not None:
        figures["leader"] = found.leader.hex()
    figures["reached_stage"] = found.reached.name.lower()
    figures["stages"] = _stages(found)
    if record is not None:
        figures |= {
            "delivered_wh": record.delivered_wh,
            "settled_height": found.delivered_height,
            "x_ppm": record.x_ppm,
            "quality_ppm": record.quality_ppm,
            "valid_until_period": record.valid_until_period,
        }
    return figures


def _stages(found: Trade) -> list[dict[str, Any]]:
    both = found.stage_legs()
    if both is None:
        return []
    return [_stage(names, legs) for names, legs in zip(_STAGES, both, strict=True)]


def _stage(names: tuple[str, str, str, str], legs: StageLegs) -> dict[str, Any]:
    stage, lasts, energy_of, wallet_of = names
    moved = (
        (f"{energy_of}'s energy", "Wh", legs.energy),
        ("leader's energy", "Wh", legs.leader_energy),
        (f"{wallet_of}'s wallet", "nano", legs.wallet),
        ("leader's wallet", "nano", legs.leader_wallet),
    )
    rows = [{"of": of, "unit": unit, "before": leg.before, "after": leg.after} for of, unit, leg in moved]
    return {"stage": stage, "lasts": lasts, "legs": rows}


def _show(figures: dict[str, Any]) -> None:
    click.echo(f"Trade {figures['trade_id']}, block {figures['height']}: {figures['outcome']}.")
    for name in ("seller", "buyer", "leader", "energy_wh", "price_micro_per_kwh", "amount_nano"):
        if name in figures:
            click.echo(f"  {name:20} {figures[name]}")
    click.echo(f"Preparation stage ({_request(figures)})")
    for number, stage in enumerate(figures["stages"], 1):
        marked = f"conditions {2 * number - 1} and {2 * number} hold; {stage['lasts']}"
        click.echo(f"{stage['stage'].capitalize()} stage ({marked})")
        for leg in stage["legs"]:
            click.echo(f"  {leg['of']:20} {leg['before']} -> {leg['after']} {leg['unit']}")
    if figures.get("waits"):
        click.echo(
            f"Waits for its period, {figures['period_start']}: both meters then say what is delivered."
        )
    elif figures.get("settled_height") is not None:
        of = f"of {figures['energy_wh']} Wh " if "energy_wh" in figures else ""
        click.echo(
            f"Settled in block {figures['settled_height']}: {figures['delivered_wh']} Wh {of}delivered, "
            f"x = {figures['x_ppm'] / PPM:+.3f}."
        )
    if figures["quality_ppm"]:
        click.echo(f"Q-score of the transaction, by Equation (2): {figures['quality_ppm'] / PPM:+.6f}.")


def _request(figures: dict[str, Any]) -> str:
    """How the trade was asked for, and what holds until its period."""
    if figures["made_by"] == "auction":
        asked = f"an ask and a bid met as their gate closed in block {figures['height']}"
    else:
        asked = f"requested by transaction {figures['transaction_id']}"
    return f"{asked}; the price put aside" if "period" in figures else asked
