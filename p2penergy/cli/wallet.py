"""`p2penergy wallet` and `p2penergy score`: what a household holds, and how it stands."""

from pathlib import Path

import click

from p2penergy.cli.network import ask, network_options, participant, show_json
from p2penergy.grid.periods import period_start_text
from p2penergy.household import accounts
from p2penergy.household.reach import Network
from p2penergy.market.bill import format_money

_of = click.option("--of", "other", metavar="PARTICIPANT", help="Another member.  [default: this household]")


@click.command()
@_of
@network_options
def wallet(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool, other: str | None) -> None:
    """Money and energy of a household now, as f+1 validators say."""

    async def job(network: Network) -> tuple[accounts.Wallet, str]:
        held = await accounts.wallet(network, participant(other, network.participant_id))
        return held, network.device.genesis.market.currency

    held, currency = ask(home, nodes, wait_s, job)
    if as_json:
        show_json(
            {
                "participant_id": held.participant_id.hex(),
                "wallet_nano": held.wallet_nano,
                "currency": currency,
                "energy_wh": held.energy_wh,
                "period": held.period,
                "period_start": period_start_text(held.period),
            }
        )
        return
    click.echo(f"participant  {held.participant_id.hex()}")
    click.echo(f"money        {format_money(held.wallet_nano, currency)}")
    click.echo(f"energy       {held.energy_wh} Wh of the open period")
    click.echo(f"period       {period_start_text(held.period)}")


@click.command()
@_of
@network_options
def score(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool, other: str | None) -> None:
    """A household's Q-score and what it allows (LEDGER section 6)."""

    async def job(network: Network) -> tuple[accounts.Score, int, int]:
        rules = network.device.genesis.market.scores
        found = await accounts.score(network, participant(other, network.participant_id))
        return found, rules.trading_bar_ppm, rules.committee_bar_ppm

    found, trading_bar_ppm, committee_bar_ppm = ask(home, nodes, wait_s, job)
    if as_json:
        show_json(
            {
                "participant_id": found.participant_id.hex(),
                "q_ppm": found.q_ppm,
                "may_trade": found.may_trade,
                "may_validate": found.may_validate,
                "trading_bar_ppm": trading_bar_ppm,
                "committee_bar_ppm": committee_bar_ppm,
                "order_wh_max": found.order_wh_max,
            }
        )
        return
    click.echo(f"participant    {found.participant_id.hex()}")
    click.echo(f"score          {_share(found.q_ppm)} of 1")
    click.echo(f"trading        {_allowed(found.may_trade)}, from {_share(trading_bar_ppm)}")
    click.echo(f"committee      {_allowed(found.may_validate)}, from {_share(committee_bar_ppm)}")
    click.echo(f"largest order  {found.order_wh_max} Wh")


def _share(ppm: int) -> str:
    return f"{ppm // 1_000_000}.{ppm % 1_000_000:06d}"


def _allowed(good: bool) -> str:
    return "allowed" if good else "not allowed"
