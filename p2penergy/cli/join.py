"""`p2penergy join` and `p2penergy renew`: become a member, or go on as one with a new key.

Lives here: options, the progress that people see, the outcome in words. Never here: the steps
(`p2penergy.newcomers`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from p2penergy import loops
from p2penergy.cli.errors import as_user_error
from p2penergy.cli.network import network_options, show_json
from p2penergy.client import ClientError
from p2penergy.config import ConfigError
from p2penergy.home import Device, HomeError, load_device
from p2penergy.ledger import Decline, sentence
from p2penergy.ledger.receipts import MembershipReceipt
from p2penergy.membership.errors import MembershipError
from p2penergy.newcomers import entering
from p2penergy.newcomers.joining import Applicant
from transport import TransportError

_FILE = click.Path(path_type=Path, dir_okay=False)
_STEPS: dict[str, Callable[[dict[str, Any]], str]] = {
    "connected": lambda f: f"Connected to {f['nodes']} of the nodes.",
    "stale": lambda f: (
        f"The newest block that is shown, {f['height']}, is {f['minutes']} minutes old: newer ones are held "
        "back, the community rests, or this clock is wrong. Nothing is sealed before a newer one. Waiting ..."
    ),
    "followed": lambda f: f"The chain is certified up to block {f['height']}.",
    "sealed": lambda f: (
        f"Sealed to {f['verifiers']} verifiers and sent; {f['quorum']} of them have to accept. Waiting ..."
    ),
    "verdicts": lambda f: "; ".join(
        [f"{f['accepting']} accept", *(f"one refuses: {said}" for said in f["refusing"])]
    ),
    "verifiers_changed": lambda f: f"Since block {f['height']} others verify; sealing again.",
}


def _tell(step: str, figures: dict[str, Any]) -> None:
    click.echo(_STEPS[step](figures), err=True)


@click.command()
@click.option("--identity", type=_FILE, help="identity.pem, as the authority issued it; kept in the folder.")
@network_options
def join(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool, identity: Path | None) -> None:
    """Become a member: verifiers check the identity certificate, which nobody else gets to see."""
    with as_user_error(HomeError, ConfigError, ClientError, MembershipError, TransportError):
        device = load_device(home)
        if identity is not None:
            entering.keep_identity(home, identity)
        applicant = entering.applicant_of(device, entering.read_identity(home))
        receipt, height = _apply(device, applicant, nodes, wait_s, renews=False)
    _show(receipt, height, as_json, "You are a member")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@network_options
def renew(home: Path, nodes: tuple[str, ...], wait_s: float, as_json: bool, folder: Path) -> None:
    """Go on with the new key in FOLDER: `ca issue --renews ID --out FOLDER`, with an identity.

    A new certificate of the same key needs no renewal: `p2penergy init --certificate` puts it in.
    """
    with as_user_error(HomeError, ConfigError, ClientError, MembershipError, TransportError):
        device = entering.renewed(load_device(home), folder)
        applicant = entering.applicant_of(device, entering.read_issued_identity(folder))
        receipt, height = _apply(device, applicant, nodes, wait_s, renews=True)
        # The key that the ledger holds already is this one, from a run that ended before it was put in.
        known = receipt.code is Decline.KEY_TAKEN
        if receipt.accepted or known:
            entering.adopt(home, folder)
    if known:
        receipt = msgspec.structs.replace(receipt, code=Decline.NONE)
    _show(receipt, height, as_json, "The new key is in the folder (restart the node) and counts")


def _apply(
    device: Device, applicant: Applicant, nodes: tuple[str, ...], wait_s: float, *, renews: bool
) -> tuple[MembershipReceipt, int]:
    return loops.run(entering.enter(device, applicant, nodes, wait_s, _tell, renews=renews))


def _show(receipt: MembershipReceipt, height: int, as_json: bool, done: str) -> None:
    said = sentence(receipt)
    if as_json:
        show_json(
            {
                "accepted": receipt.accepted,
                "participant_id": receipt.participant.hex(),
                "request_id": receipt.transaction_id.hex(),
                "height": height,
                "reason": None if receipt.accepted else said,
            }
        )
    elif receipt.accepted:
        click.echo(f"{done}, since block {height}.")
    else:
        click.echo(f"Block {height}: {said}.")
    if not receipt.accepted:
        raise SystemExit(1)
