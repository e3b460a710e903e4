"""`p2penergy leave` and `p2penergy volunteer`: what a member says of its own membership."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from p2penergy.beacon import HashChain
from p2penergy.cli.errors import UserError, as_user_error
from p2penergy.cli.network import ask, network_options, show_json
from p2penergy.home import BEACON_FILE, HomeError, new_beacon_secret, read_beacon_secret, save_beacon_secret
from p2penergy.household.reach import Network
from p2penergy.ledger import Receipt, Transaction, keys, sentence, sign_leave, sign_volunteer
from p2penergy.membership.errors import MembershipError

NONCE_BYTES = 6
Sign = Callable[[Network, int, int], Awaitable[Transaction]]
"""(network, nonce, expiry) -> what to send."""


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@network_options
def leave(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool, yes: bool) -> None:
    """End this household's membership; money stays its own, and it may join again."""
    if not yes and not click.confirm("End the membership of this household?"):
        raise UserError("Nothing was done.")

    async def sign(network: Network, nonce: int, expires: int) -> Transaction:
        return sign_leave(network.device.signer, network.device.genesis.chain_id, nonce, expires)

    _show(*_sent(home, nodes, wait_s, sign), as_json, "This household is no member any more")


@click.command()
@click.option("--validator/--no-validator", required=True, help="Vote on blocks.")
@click.option("--verifier/--no-verifier", required=True, help="Check newcomers, and stake on them.")
@network_options
def volunteer(
    home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool, validator: bool, verifier: bool
) -> None:
    """Offer to vote on blocks, or to verify newcomers; or not to, any more.

    Committees take in who is old enough as a member and scores high enough. Its node must run, as a
    validator (`[node] role`).
    """
    with as_user_error(HomeError, MembershipError):
        if (validator or verifier) and not (home / BEACON_FILE).exists():
            save_beacon_secret(home, new_beacon_secret())
        tip = HashChain(read_beacon_secret(home)).tip if validator or verifier else None

    async def sign(network: Network, nonce: int, expires: int) -> Transaction:
        key = keys.beacon_tip(network.participant_id)
        registered = (await network.values([key]))[key]
        return sign_volunteer(
            network.device.signer,
            network.device.genesis.chain_id,
            validator=validator,
            verifier=verifier,
            beacon_tip=tip if registered is None else None,
            nonce=nonce,
            expires_period=expires,
        )

    said = ", ".join(name for name, on in (("validator", validator), ("verifier", verifier)) if on)
    _show(*_sent(home, nodes, wait_s, sign), as_json, f"Volunteers as: {said or 'nothing'}")


def _sent(home: Path, nodes: tuple[str, ...], wait_s: float, sign: Sign) -> tuple[Receipt, int]:
    async def job(network: Network) -> tuple[Receipt, int]:
        market, tip = network.device.genesis.market, network.client.light.tip
        period = market.first_period if tip is None else tip.period
        nonce = int.from_bytes(os.urandom(NONCE_BYTES), "big")
        return await network.send(await sign(network, nonce, period + market.transaction_life_periods))

    return ask(home, nodes, wait_s, job)


def _show(receipt: Receipt, height: int, as_json: bool, done: str) -> None:
    said = sentence(receipt)
    figures: dict[str, Any] = {"accepted": receipt.accepted, "height": height}
    if as_json:
        show_json(figures | {"reason": None if receipt.accepted else said})
    else:
        click.echo(f"{done}, since block {height}." if receipt.accepted else f"Block {height}: {said}.")
    if not receipt.accepted:
        raise SystemExit(1)
