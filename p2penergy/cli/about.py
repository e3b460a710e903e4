"""`p2penergy version` and `p2penergy genesis`: what program and what network this is."""

import json
import platform
import ssl
import sys
from importlib.metadata import version as version_of
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric import ec

from p2penergy.cli.errors import as_user_error
from p2penergy.cli.groups import Group
from p2penergy.cli.homes import json_option
from p2penergy.cli.rules import Figures, rule_options
from p2penergy.coordinator import wall_clock_ms
from p2penergy.founding import FoundingError
from p2penergy.genesis import GenesisError, render
from p2penergy.home import GENESIS_FILE, HomeError, read_genesis
from p2penergy.membership.certificates import load_authority
from p2penergy.membership.errors import MembershipError
from p2penergy.membership.private_files import PUBLIC_FILE_MODE, write_atomically
from p2penergy.messages import PROTOCOL_VERSION
from p2penergy.operations.ceremony import genesis_of
from p2penergy.operations.initial import read_certificate
from p2penergy.signing import public_key_bytes
from p2penergy.store.schema import SCHEMA_VERSION

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@json_option
def version(as_json: bool) -> None:
    """Versions of the program, its protocol, its ledger file, and what it runs on."""
    figures = {
        "p2penergy": version_of("p2penergy"),
        "protocol": PROTOCOL_VERSION,
        "ledger_schema": SCHEMA_VERSION,
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "platform": f"{sys.platform} {platform.machine()}",
    }
    if as_json:
        click.echo(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        click.echo(f"{name} {value}")


def authority_key(path: Path) -> bytes:
    """The key in ca.pem; raises HomeError or CertificateRefused."""
    found = load_authority(read_certificate(path)).public_key()
    assert isinstance(found, ec.EllipticCurvePublicKey), "an authority has a P-256 key"
    return public_key_bytes(found)


@click.group(cls=Group)
def genesis() -> None:
    """Genesis: what all members agree on before the first block."""


@genesis.command(name="hash")
@click.argument("path", type=click.Path(path_type=Path))
def hash_command(path: Path) -> None:
    """Print the chain id of a genesis file, or of a node's folder: members compare it before they start."""
    file = path / GENESIS_FILE if path.is_dir() else path
    with as_user_error(HomeError):
        click.echo(read_genesis(file).chain_id.hex())


@genesis.command()
@click.option("--community", required=True, help="The community's name.")
@click.option(
    "--validator", "validators", multiple=True, required=True, type=_FILE, help="JSON of a validator."
)
@click.option("--household", "households", multiple=True, type=_FILE, help="JSON of another household.")
@click.option("--authority", type=_FILE, help="ca.pem: what it revokes ends on the ledger, too.")
@click.option("--t0-ms", type=click.IntRange(0), help="Start of slot 0, unix ms.  [default: now]")
@rule_options
@click.option("--out", required=True, type=_FILE, help="The new file.")
def make(
    community: str,
    validators: tuple[Path, ...],
    households: tuple[Path, ...],
    authority: Path | None,
    t0_ms: int | None,
    rules: Figures,
    out: Path,
) -> None:
    """Put genesis together from what each member's `p2penergy init --json` printed; prints its hash."""
    with as_user_error(FoundingError, GenesisError, HomeError, MembershipError):
        key = None if authority is None else authority_key(authority)
        consensus = rules.consensus(wall_clock_ms() if t0_ms is None else t0_ms, len(validators))
        made = genesis_of(community, validators, households, consensus, rules.market(), key)
        write_atomically(out, render(made), mode=PUBLIC_FILE_MODE, replace=False)
    click.echo(made.chain_id.hex())
