"""``p2penergy ca``: the community's certificate authority on the command line.

What lives here: options in, files out, a table or JSON for the reader. What never does: the
rules of issuing (``p2penergy.membership.authority``). A passphrase is never an argument, where
every user of the machine could read it. Implements the authority's side of LEDGER section 2.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.table import Table

from p2penergy.cli.errors import UserError, as_user_error
from p2penergy.cli.groups import Group
from p2penergy.cli.network import WAIT_S, ask
from p2penergy.household.reach import Network
from p2penergy.ledger import sign_revocation
from p2penergy.membership.authority import DEVICE_DAYS, REASONS, Authority
from p2penergy.membership.authority_index import IssuedRecord
from p2penergy.membership.certificates import lfdi_text, parse_lfdi
from p2penergy.membership.errors import MembershipError
from p2penergy.membership.keys import DeviceKey
from p2penergy.membership.private_files import (
    PRIVATE_FILE_MODE,
    PUBLIC_FILE_MODE,
    read_private,
    write_atomically,
)
from p2penergy.membership.profile import CERTIFICATE_BYTES_MAX, RATED_W, Connection, Person

P = ParamSpec("P")
R = TypeVar("R")
_PATH = click.Path(path_type=Path)
_PRIVATE_FILES = ("device.key", "identity.pem")
_MADE_FILES = (*_PRIVATE_FILES, "device.pem")


def _common(command: Callable[P, R]) -> Callable[P, R]:
    """The folder, how to get at its passphrase, and the choice of JSON."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--passphrase-file", type=_PATH, help="Private file with the passphrase of ca.key."),
        click.option("--ask-passphrase", is_flag=True, help="Ask for the passphrase of ca.key."),
        click.argument("folder", type=_PATH),
    ):
        command = decorate(command)
    return command


@click.group(cls=Group, name="ca")
def ca() -> None:
    """The community's certificate authority: who may take part."""


@ca.command()
@_common
@click.option("--name", required=True, help="The community's name.")
def init(folder: Path, ask_passphrase: bool, passphrase_file: Path | None, as_json: bool, name: str) -> None:
    """Make a new authority in FOLDER, which must be missing or empty."""
    with as_user_error(MembershipError, ValueError):
        passphrase = _passphrase(ask_passphrase, passphrase_file, confirm=True)
        authority = Authority.create(folder, name, passphrase)
    ends = authority.certificate.not_valid_after_utc
    if as_json:
        _print_json({"folder": str(folder), "community": name, "not_after": ends.isoformat()})
        return
    click.echo(f"The authority of {name} is in {folder}, valid until {ends:%Y-%m-%d}.")
    click.echo(f"Give every node {folder / 'ca.pem'}. Keep ca.key and a copy of it to yourself.")


@ca.command()
@_common
@click.option("--out", type=_PATH, required=True, help="Folder for the meter's files.")
@click.option("--public-key", type=_PATH, help="The meter's public key (PEM); else one is made.")
@click.option("--days", default=DEVICE_DAYS, show_default=True, help="How long it is valid.")
@click.option("--renews", help="Participant id that a renewed certificate keeps.")
@click.option("--person", help="Name of the person, for an identity certificate as well.")
@click.option("--address", help="Address of the person.")
@click.option("--contact", help="How to reach the person.")
@click.option("--meter-serial", help="Serial number on the meter.")
@click.option("--rated-w", default=RATED_W, show_default=True, help="Rated power of its connection, W.")
@click.option("--cluster", default=0, show_default=True, help="Number of its street or feeder.")
def issue(
    folder: Path,
    ask_passphrase: bool,
    passphrase_file: Path | None,
    as_json: bool,
    out: Path,
    public_key: Path | None,
    days: int,
    renews: str | None,
    person: str | None,
    address: str | None,
    contact: str | None,
    meter_serial: str | None,
    rated_w: int,
    cluster: int,
) -> None:
    """Certify a meter: writes device.pem and ca.pem, device.key when the key is made here, and
    identity.pem when the person and the meter are named.
    """
    with as_user_error(MembershipError, ValueError):
        connection = Connection(rated_w, cluster)
        household = _household(person, address, contact, meter_serial)
        kept = None if renews is None else parse_lfdi(renews)
        given_key = None if public_key is None else _read_public_key(public_key)
        authority = Authority.open(folder, _passphrase(ask_passphrase, passphrase_file))
        _prepare_folder(out)
        made = None
        if given_key is None:
            made = DeviceKey.generate()
            given_key = made.public_key()
        device = authority.issue_device(given_key, days=days, renews=kept)
        files = {"device.pem": device.pem, "ca.pem": authority.certificate_pem}
        if household is not None:
            who, meter = household
            identity = authority.issue_identity(who, device.der, meter, connection, days=days)
            files["identity.pem"] = identity.pem
        if made is not None:
            files["device.key"] = made.to_pem()
        for name, content in files.items():
            private = name in _PRIVATE_FILES
            write_atomically(out / name, content, mode=PRIVATE_FILE_MODE if private else PUBLIC_FILE_MODE)
    written = sorted(files)
    participant = lfdi_text(device.participant_id)
    if as_json:
        _print_json(
            {
                "participant_id": device.participant_id.hex(),
                "serial": f"{device.serial:x}",
                "folder": str(out),
                "files": written,
            }
        )
        return
    click.echo(f"Participant {participant}, certificate {device.serial:x}.")
    click.echo(f"Written to {out}: {', '.join(written)}.")


@ca.command()
@_common
@click.argument("serial")
@click.option("--reason", type=click.Choice(list(REASONS)), default="unspecified", show_default=True)
@click.option("--home", type=_PATH, help="A member's folder, through which the ledger is told as well.")
@click.option("--node", "nodes", multiple=True, metavar="HOST:PORT", help="A validator to ask, repeatable.")
@click.option("--wait-s", default=WAIT_S, show_default=True, type=click.FloatRange(0.1, 3600))
def revoke(
    folder: Path,
    ask_passphrase: bool,
    passphrase_file: Path | None,
    as_json: bool,
    serial: str,
    reason: str,
    home: Path | None,
    nodes: tuple[str, ...],
    wait_s: float,
) -> None:
    """Take the certificate with number SERIAL (hex, see `ca list`) back.

    With --home the ledger revokes a device's key too: its membership ends at every node in the next block.
    """
    with as_user_error(MembershipError):
        try:
            number = int(serial, 16)
        except ValueError:
            raise UserError(
                f"{serial!r} is not a serial number in hex; `p2penergy ca list` shows them."
            ) from None
        authority = Authority.open(folder, _passphrase(ask_passphrase, passphrase_file))
        if home is None or number not in authority.revoked():
            authority.revoke(number, reason)
    height = None if home is None else _told_to_the_ledger(authority, number, home, nodes, wait_s)
    if as_json:
        figures = {"serial": f"{number:x}", "reason": reason, "list": str(folder / "crl.pem")}
        _print_json(figures if height is None else figures | {"height": height})
        return
    click.echo(f"Certificate {number:x} is revoked. Give every node {folder / 'crl.pem'}.")
    if height is not None:
        click.echo(f"The ledger has revoked its key in block {height}.")


def _told_to_the_ledger(
    authority: Authority, number: int, home: Path, nodes: tuple[str, ...], wait_s: float
) -> int:
    """The height of the block that holds the revocation of a device's key."""
    record = next(record for record in authority.list() if int(record.serial, 16) == number)
    if record.kind != "device":
        raise UserError(
            f"Certificate {number:x} names a person, and the ledger knows none: "
            "it is revoked, and --home is for a device's certificate."
        )
    who, key = bytes.fromhex(record.participant_id), bytes.fromhex(record.public_key)

    async def job(network: Network) -> int:
        chain_id = network.device.genesis.chain_id
        _, height = await network.send(sign_revocation(authority.signer(), chain_id, who, key))
        return height

    return ask(home, nodes, wait_s, job)


@ca.command(name="list")
@_common
def list_command(folder: Path, ask_passphrase: bool, passphrase_file: Path | None, as_json: bool) -> None:
    """Show what was issued."""
    with as_user_error(MembershipError):
        authority = Authority.open(folder, _passphrase(ask_passphrase, passphrase_file))
    if as_json:
        _print_json([_as_plain(record) for record in authority.list()])
        return
    table = Table(title=f"Certificates of {authority.certificate.subject.rfc4514_string()}")
    for heading in ("serial", "kind", "participant", "until", "revoked"):
        table.add_column(heading, overflow="fold")
    for record in authority.list():
        table.add_row(
            record.serial,
            record.kind,
            lfdi_text(bytes.fromhex(record.participant_id)),
            f"{record.not_after:%Y-%m-%d}",
            f"{record.revoked_at:%Y-%m-%d} {record.reason}" if record.revoked_at else "",
        )
    Console().print(table)


def _passphrase(ask: bool, file: Path | None, *, confirm: bool = False) -> str | None:
    if ask and file is not None:
        raise UserError("Give --ask-passphrase or --passphrase-file, not both.")
    if file is not None:
        text = read_private(file, "passphrase file").decode(errors="replace")
        return text.removesuffix("\n").removesuffix("\r")
    if ask:
        answer: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm)
        return answer
    return None


def _household(
    person: str | None, address: str | None, contact: str | None, meter_serial: str | None
) -> tuple[Person, str] | None:
    given = (person, address, contact, meter_serial)
    if not any(given):
        return None
    if person and address and contact and meter_serial:
        return Person(person, address, contact), meter_serial
    raise UserError("An identity certificate needs all of --person, --address, --contact and --meter-serial.")


def _read_public_key(path: Path) -> ec.EllipticCurvePublicKey:
    try:
        with path.open("rb") as file:
            pem = file.read(CERTIFICATE_BYTES_MAX)
        key = serialization.load_pem_public_key(pem)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}.") from error
    except (ValueError, UnsupportedAlgorithm):
        raise UserError(f"{path} holds no public key in PEM.") from None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise UserError(f"{path} holds no P-256 key; only P-256 is certified here.")
    return key


def _prepare_folder(out: Path) -> None:
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        taken = [name for name in _MADE_FILES if (out / name).exists()]
    except OSError as error:
        raise UserError(f"{out} can't be made: {error.strerror}.") from error
    if taken:
        raise UserError(f"{out} holds {taken[0]} already; choose another folder with --out.")


def _as_plain(record: IssuedRecord) -> dict[str, str | None]:
    return {
        "serial": record.serial,
        "kind": record.kind,
        "participant_id": record.participant_id,
        "issued_at": record.issued_at.isoformat(),
        "not_after": record.not_after.isoformat(),
        "revoked_at": record.revoked_at.isoformat() if record.revoked_at else None,
        "reason": record.reason,
    }


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))
