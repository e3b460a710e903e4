"""`p2penergy init`: make the folder of one node, in as many steps as its certificate takes."""

import json
from pathlib import Path

import click
from click.core import ParameterSource

from p2penergy.cli.errors import UserError, as_user_error
from p2penergy.cli.homes import home_option, json_option
from p2penergy.config import CONFIG_FILE, Config, ConfigError, NodeSettings, Role, load, parse, render
from p2penergy.home import HomeError, read_genesis
from p2penergy.membership.authority import Authority
from p2penergy.membership.errors import MembershipError
from p2penergy.membership.private_files import read_private
from p2penergy.operations import initial
from p2penergy.store import StoreError

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@home_option
@click.option("--genesis", "genesis_file", type=_FILE, help="The community's genesis, once there is one.")
@click.option("--role", type=click.Choice(["validator", "observer"]), default="observer", show_default=True)
@click.option("--listen", default="127.0.0.1:7440", show_default=True, help="HOST:PORT to accept links on.")
@click.option(
    "--peer", "peers", multiple=True, metavar="ID=HOST:PORT", help="A validator to dial; repeat it."
)
@click.option("--ca", type=click.Path(path_type=Path, file_okay=False), help="The authority, if it is yours.")
@click.option("--passphrase-file", type=_FILE, help="Private file with the passphrase of its key.")
@click.option("--certificate", type=_FILE, help="device.pem, as the authority issued it.")
@click.option("--authority", type=_FILE, help="ca.pem, the authority's own certificate.")
@json_option
def init(
    home: Path,
    genesis_file: Path | None,
    role: Role,
    listen: str,
    peers: tuple[str, ...],
    ca: Path | None,
    passphrase_file: Path | None,
    certificate: Path | None,
    authority: Path | None,
    as_json: bool,
) -> None:
    """Make a node's folder: key and settings, its certificate, genesis with an empty ledger.

    As often as there is something new. The authority certifies device.public.pem (`p2penergy ca issue CA
    --public-key HOME/device.public.pem --out DIR`); --certificate and --authority put that in, or --ca where
    it is at hand. --genesis comes once the community has one. What is there is never replaced.
    """
    if (certificate is None) != (authority is None):
        raise UserError("--certificate and --authority belong together.")
    with as_user_error(HomeError, ConfigError, StoreError, MembershipError):
        config = _config(role, listen, peers)
        _refuse_other_settings(home, config)
        prepared = initial.prepare(home, read_genesis(genesis_file) if genesis_file else None, config)
        name: str | None
        if certificate is not None and authority is not None:
            pems = initial.read_certificate(certificate), initial.read_certificate(authority)
            name = initial.certify(home, *pems).hex()
        elif ca is not None:
            passphrase = None
            if passphrase_file is not None:
                passphrase = read_private(passphrase_file, "passphrase file").decode().rstrip("\r\n")
            name = initial.certify_with(home, Authority.open(ca, passphrase)).hex()
        else:
            name = initial.participant_of(home)
        load(home)
    if as_json:
        figures = {
            "home": str(home),
            "participant_id": name,
            "public_key": prepared.public_key.hex(),
            "beacon_tip": prepared.beacon_tip.hex(),
            "made_key": prepared.made_key,
        }
        click.echo(json.dumps(figures, indent=2))
    else:
        _say(prepared, name)


def _refuse_other_settings(home: Path, wanted: Config) -> None:
    # They are written once; taken without a word and forgotten, they would be looked for long.
    path, context = home / CONFIG_FILE, click.get_current_context()
    if not path.exists():
        return
    kept = load(home)
    pairs = {
        "role": (kept.node.role, wanted.node.role),
        "listen": (kept.node.listen, wanted.node.listen),
        "peers": (kept.peers, wanted.peers),
    }
    for option, (there, given) in pairs.items():
        if context.get_parameter_source(option) is ParameterSource.COMMANDLINE and there != given:
            raise UserError(f"{path} is there already, and is never replaced: change {option} in it by hand.")


def _config(role: Role, listen: str, peers: tuple[str, ...]) -> Config:
    addresses = dict(peer.partition("=")[::2] for peer in peers)
    # Read back as a file would be: the same checks, the same sentences.
    return parse(render(Config(node=NodeSettings(role=role, listen=listen), peers=addresses)), "the options")


def _say(prepared: initial.Prepared, name: str | None) -> None:
    click.echo(f"{prepared.home}: {'a new key' if prepared.made_key else 'the key was there'}.")
    click.echo(f"  public key  {prepared.public_key.hex()}")
    click.echo(f"  beacon tip  {prepared.beacon_tip.hex()}")
    if name is not None:
        click.echo(f"  participant {name}")
    if name is not None and prepared.has_genesis:
        click.echo(f"Next: p2penergy start --home {prepared.home}")
    elif name is not None:
        click.echo(f"Next: give the founder what `p2penergy init --home {prepared.home} --json` prints,")
        click.echo(f"  then p2penergy init --home {prepared.home} --genesis genesis.json")
    else:
        click.echo(f"Next: have {prepared.public_key_file} certified, then")
        click.echo(f"  p2penergy init --home {prepared.home} --certificate device.pem --authority ca.pem")
