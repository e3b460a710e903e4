"""`p2penergy offer make|list|counter|accept|decline|answer`: two households come to terms over the network.

Lives here: options and words. Never here: what an offer is (`market.negotiation`), how it gets to the
neighbour (`household.offers`).
"""

import contextlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from p2penergy.cli.amounts import PeriodType, PriceType, energy_option, price_option, price_text
from p2penergy.cli.errors import UserError
from p2penergy.cli.groups import Group
from p2penergy.cli.network import ask, network_options, participant, show_json
from p2penergy.grid.periods import period_start_text
from p2penergy.household import offers
from p2penergy.household.offers import VALID_PERIODS, Offers
from p2penergy.household.reach import Network
from p2penergy.ledger.receipts import TradeReceipt, sentence
from p2penergy.market.haggling import Limits, Move
from p2penergy.market.negotiation import OPEN, VALID_PERIODS_MAX, Negotiation, Stand

T = TypeVar("T")

DECLINED_EXIT_CODE = 1
LOOK_S = 5.0
"""Between an agent's looks at its letters."""
ID_DIGITS_MIN = 6
_id = click.argument("offer_id", metavar="ID")
_WORDS = {
    Stand.MADE: "the neighbour's turn",
    Stand.RECEIVED: "your turn: accept, counter or decline",
    Stand.SIGNED: "signed by you; the neighbour concludes it",
    Stand.AGREED: "signed by the neighbour: accept, and it is concluded",
    Stand.REPLACED: "replaced by another offer",
    Stand.REJECTED: "declined or withdrawn",
    Stand.CONCLUDED: "on the ledger",
}


@click.group(cls=Group)
def offer() -> None:
    """Offers between this household and its neighbours, and contracts that come of them.

    An offer binds nobody and reserves nothing. Accepting one signs it, which binds until it expires; whoever
    made it then concludes it with `offer accept`, which sends both signatures to the ledger.
    """


@offer.command()
@click.option("--to", "other", required=True, metavar="PARTICIPANT", help="The neighbour.")
@click.option("--sell/--buy", "sells", default=None, help="What this household does: one of them.")
@energy_option
@price_option
@click.option(
    "--period", type=PeriodType(), help="Start of the period.  [default: the first whose gate is open]"
)
@click.option(
    "--valid-periods",
    default=VALID_PERIODS,
    show_default=True,
    type=click.IntRange(0, VALID_PERIODS_MAX),
    help="How many periods the offer stands.",
)
@network_options
def make(
    home: Path,
    nodes: tuple[str, ...],
    wait_s: float,
    as_json: bool,
    other: str,
    sells: bool | None,
    energy_wh: int,
    price_micro_per_kwh: int,
    period: int | None,
    valid_periods: int,
) -> None:
    """Offer a neighbour energy, or to buy some; the contract then waits in escrow for its period."""
    if sells is None:
        raise UserError("Say which side this household is on: --sell or --buy.")

    async def job(network: Network, kept: Offers) -> dict[str, Any]:
        who = participant(other, network.participant_id)
        made = await kept.make(who, sells, energy_wh, price_micro_per_kwh, period, valid_periods)
        return _one(network, kept, made)

    _show(_work(home, nodes, wait_s, job), as_json, "Offered")


@offer.command(name="list")
@network_options
def list_command(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool) -> None:
    """Offers of this household and to it that have not expired, and whose turn it is."""

    async def job(network: Network, kept: Offers) -> list[dict[str, Any]]:
        own = network.participant_id
        return [_figures(own, key, each) for key, each in kept.negotiations.items()]

    found = _work(home, nodes, wait_s, job)
    if as_json:
        show_json(found)
        return
    if not found:
        click.echo("No offers.")
    for each in found:
        click.echo(_line(each))


@offer.command()
@_id
@click.option("--energy-wh", type=click.IntRange(1), help="Energy, Wh.  [default: as offered]")
@click.option("--price", type=PriceType(), help="Per kWh, such as 0.21.  [default: as offered]")
@network_options
def counter(
    home: Path,
    nodes: tuple[str, ...],
    wait_s: float,
    as_json: bool,
    offer_id: str,
    energy_wh: int | None,
    price: int | None,
) -> None:
    """Answer an offer with another one, or amend an own one that is not answered yet."""
    if energy_wh is None and price is None:
        raise UserError("A counter-offer changes something: --energy-wh or --price.")

    async def job(network: Network, kept: Offers) -> dict[str, Any]:
        made = await kept.counter(_named(kept, offer_id), energy_wh, price)
        return _one(network, kept, made)

    _show(_work(home, nodes, wait_s, job), as_json, "Offered")


@offer.command()
@_id
@network_options
def accept(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool, offer_id: str) -> None:
    """Sign a neighbour's offer; or conclude an own one that he has signed.

    Ends with 1 when the ledger declines the contract.
    """

    async def job(network: Network, kept: Offers) -> tuple[dict[str, Any], tuple[TradeReceipt, int] | None]:
        key = _named(kept, offer_id)
        concluded = await kept.accept(key)
        return _one(network, kept, key), concluded

    figures, concluded = _work(home, nodes, wait_s, job)
    if concluded is None:
        _show(figures, as_json, "Signed")
        return
    receipt, height = concluded
    if as_json:
        outcome = {
            "transaction_id": receipt.transaction_id.hex(),
            "accepted": receipt.accepted,
            "outcome": sentence(receipt),
            "height": height,
        }
        show_json(figures | outcome)
    else:
        click.echo(f"Trade {receipt.trade_id.hex()}, block {height}: {sentence(receipt)}.")
    if not receipt.accepted:
        sys.exit(DECLINED_EXIT_CODE)


@offer.command()
@_id
@network_options
def decline(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool, offer_id: str) -> None:
    """Decline a neighbour's offer, or withdraw an own one."""

    async def job(network: Network, kept: Offers) -> dict[str, Any]:
        key = _named(kept, offer_id)
        await kept.decline(key)
        return _one(network, kept, key)

    _show(_work(home, nodes, wait_s, job), as_json, "Declined")


@offer.command()
@click.option("--sell-from", type=PriceType(), help="Sell for this price per kWh or more.  [default: never]")
@click.option("--buy-to", type=PriceType(), help="Buy for this price per kWh or less.  [default: never]")
@click.option(
    "--energy-wh-max",
    required=True,
    type=click.IntRange(1),
    help="Sell, and likewise buy, no more than this in one period.",
)
@click.option("--once", is_flag=True, help="Answer what is there, then end.")
@network_options
def answer(
    home: Path,
    nodes: tuple[str, ...],
    wait_s: float,
    as_json: bool,
    sell_from: int | None,
    buy_to: int | None,
    energy_wh_max: int,
    once: bool,
) -> None:
    """Let an agent answer offers within these limits, and conclude own ones; until Ctrl-C.

    It yields from the retailer's price to the limit, step by step with each counter-offer.
    """
    if sell_from is None and buy_to is None:
        raise UserError("An agent sells or buys: give --sell-from, --buy-to or both.")
    limits = Limits(sell_from, buy_to, energy_wh_max)

    async def job(_network: Network, kept: Offers) -> None:
        for move, concluded in await kept.answer(limits):
            figures = _answer_figures(move, concluded)
            click.echo(json.dumps(figures) if as_json else _answer_line(figures))

    if once:
        _work(home, nodes, wait_s, job)
        return
    with contextlib.suppress(KeyboardInterrupt):
        click.echo("Answering offers until Ctrl-C.", err=True)
        while True:
            try:
                _work(home, nodes, wait_s, job)
            except UserError as error:
                click.echo(f"{error.message} Again in {LOOK_S:g} s.", err=True)
            time.sleep(LOOK_S)


def _answer_figures(move: Move, concluded: tuple[TradeReceipt, int] | None) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "offer_id": move.offer_id.hex(),
        "answer": move.what.name.lower(),
        "energy_wh": move.energy_wh,
        "price_micro_per_kwh": move.price_micro_per_kwh,
    }
    if concluded is not None:
        receipt, height = concluded
        figures |= {"accepted": receipt.accepted, "outcome": sentence(receipt), "height": height}
    return figures


def _answer_line(figures: dict[str, Any]) -> str:
    said = f"; block {figures['height']}: {figures['outcome']}" if "outcome" in figures else ""
    return (
        f"{figures['offer_id'][:12]}  {figures['answer']}: {figures['energy_wh']} Wh at "
        f"{price_text(figures['price_micro_per_kwh'])} per kWh{said}"
    )


def _work(
    home: Path, nodes: tuple[str, ...], wait_s: float, job: Callable[[Network, Offers], Awaitable[T]]
) -> T:
    async def within(network: Network) -> T:
        async with offers.opened(network) as kept:
            return await job(network, kept)

    return ask(home, nodes, wait_s, within)


def _named(kept: Offers, text: str) -> bytes:
    """An offer by the first digits of its id."""
    wanted = text.lower()
    found = [key for key, _ in kept.negotiations.items() if key.hex().startswith(wanted)]
    if len(wanted) < ID_DIGITS_MIN or len(found) != 1:
        known = "There is no offer" if not found else f"There are {len(found)} offers"
        raise UserError(
            f"{known} of which the id begins with {text!r}: `offer list` shows ids, "
            f"{ID_DIGITS_MIN} digits or more name one."
        )
    return found[0]


def _one(network: Network, kept: Offers, key: bytes) -> dict[str, Any]:
    return _figures(network.participant_id, key, dict(kept.negotiations.items())[key])


def _figures(own: bytes, key: bytes, each: Negotiation) -> dict[str, Any]:
    terms = each.terms
    return {
        "offer_id": key.hex(),
        "state": each.stand.name.lower(),
        "open": each.stand in OPEN,
        "round": each.round,
        "neighbour": each.neighbour(own).hex(),
        "seller": terms.seller.hex(),
        "buyer": terms.buyer.hex(),
        "sells": terms.seller == own,
        "period_start": period_start_text(terms.period),
        "energy_wh": terms.energy_wh,
        "price_micro_per_kwh": terms.price_micro_per_kwh,
        "valid_until_start": period_start_text(terms.valid_until_period),
    }


def _show(figures: dict[str, Any], as_json: bool, done: str) -> None:
    if as_json:
        show_json(figures)
    else:
        click.echo(f"{done}: {_line(figures)}")


def _line(figures: dict[str, Any]) -> str:
    does = "sell" if figures["sells"] else "buy"
    to = "to" if figures["sells"] else "from"
    return (
        f"{figures['offer_id'][:12]}  {does} {figures['energy_wh']} Wh at "
        f"{price_text(figures['price_micro_per_kwh'])} per kWh in {figures['period_start']} "
        f"{to} {figures['neighbour']}, until {figures['valid_until_start']}: "
        f"{_WORDS[Stand[figures['state'].upper()]]}"
    )
