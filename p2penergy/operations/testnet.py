"""A testnet for several machines: one folder per host, ready to be copied there.

Lives here: which validator goes to which host, and what lies where. Never here: keys, certificates and
genesis (`founding` makes them). The founder makes all keys, so this is for trying things out; members of a
real community make their own with `p2penergy init`.

    OUT/hosts/HOST/NAME/  a validator's home
    OUT/hosts/HOST/       start.sh, compose.yaml, p2penergy@.service
    OUT/meters/NAME/      a household's device: key, certificate, genesis, where the validators are
    OUT/ca/               the community's authority; belongs on no host
    OUT/network.json      who is where
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from p2penergy.config import NodeSettings
from p2penergy.founding import Community, FoundingError, Plan, Site, address_text, found, write_home
from p2penergy.genesis import ConsensusRules, MarketRules, check_rules, render
from p2penergy.home import GENESIS_FILE
from p2penergy.membership.authority import Authority
from p2penergy.membership.errors import MembershipError
from p2penergy.operations import host_files

GATEWAY_PORT_OFFSET = 1000
"""A validator on port 7440 has its gateway on port 8440."""
NETWORK_FILE = "network.json"
AUTHORITY_FOLDER = "ca"
HOSTS_FOLDER = "hosts"
METERS_FOLDER = "meters"
RATED_W = 30_000
COMMITTEE_MIN = 4
"""The smallest committee, where there are that many validators."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to make."""

    community: str
    validators: int
    meters: int
    """Households beside the validators."""
    hosts: Sequence[tuple[str, int]]
    """Host and the first port to use there; validators are dealt out in turn."""
    consensus: ConsensusRules
    market: MarketRules
    gateway: bool
    """Whether each validator tells its metrics on its host's loopback."""


def node_name(number: int) -> str:
    """The name of a validator, from 1."""
    return f"node-{number}"


def meter_name(number: int) -> str:
    """The name of a household without a node, from 1."""
    return f"meter-{number}"


def host_folder(host: str) -> str:
    """The folder of a host: its name, without what a path can't hold."""
    return "".join(c if c.isalnum() or c in ".-_" else "-" for c in host)


def sites_of(order: Order) -> list[Site]:
    """Where each validator goes: hosts in turn, and on one host the ports upwards."""
    used: Counter[str] = Counter()
    sites = []
    for number in range(1, order.validators + 1):
        host, first = order.hosts[(number - 1) % len(order.hosts)]
        port = first + used[host]
        used[host] += 1
        if not 1 <= port <= 65535 - GATEWAY_PORT_OFFSET:
            raise FoundingError(f"port {port} of {host} leaves no room for its gateway: choose a lower one")
        gateway = f"127.0.0.1:{port + GATEWAY_PORT_OFFSET}" if order.gateway else ""
        sites.append(Site(host, port, Path(HOSTS_FOLDER, host_folder(host), node_name(number)), gateway))
    return sites


def make(order: Order, out: Path) -> Community:
    """Found the testnet in `out`, which must be missing or empty.

    Raises:
        FoundingError: something is there already, or the folder can't be written.
        GenesisError: the rules do not fit together; nothing is written then.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FoundingError(f"{out} is not empty: a testnet needs a folder of its own")
    if order.validators < 1:
        raise FoundingError("a testnet needs at least one validator")
    check_rules(order.consensus, order.market)
    names = [node_name(number) for number in range(1, order.validators + 1)]
    names += [meter_name(number) for number in range(1, order.meters + 1)]
    sites = sites_of(order)
    plan = Plan(
        community=order.community,
        households=[(name, RATED_W) for name in names],
        validators=order.validators,
        consensus=order.consensus,
        market=order.market,
        sites=sites,
    )
    try:
        authority = Authority.create(out / AUTHORITY_FOLDER, order.community)
        community = found(plan, out, authority)
        for name in names[order.validators :]:
            settings = NodeSettings(role="observer", listen="127.0.0.1:0")
            write_home(community, name, out / METERS_FOLDER / name, settings)
        _write_host_files(sites, out)
        (out / GENESIS_FILE).write_bytes(render(community.genesis))
        text = json.dumps(_network(community, sites), indent=2) + "\n"
        (out / NETWORK_FILE).write_text(text, encoding="utf-8")
    except OSError as error:
        raise FoundingError(f"{error.filename or out} can't be written: {error.strerror}") from None
    except (MembershipError, ValueError) as error:
        raise FoundingError(str(error)) from None
    return community


def _write_host_files(sites: Sequence[Site], out: Path) -> None:
    nodes: dict[Path, list[str]] = {}
    for site in sites:
        nodes.setdefault(out / site.folder.parent, []).append(site.folder.name)
    for folder, names in nodes.items():
        (folder / host_files.UNIT_FILE).write_text(host_files.UNIT, encoding="utf-8")
        (folder / host_files.COMPOSE_FILE).write_text(host_files.compose(names), encoding="utf-8")
        script = folder / host_files.START_FILE
        script.write_text(host_files.start_script(names), encoding="utf-8")
        script.chmod(0o755)


def _network(community: Community, sites: Sequence[Site]) -> dict[str, object]:
    validators = [
        {
            "name": name,
            "participant_id": community.meters[name].participant_id.hex(),
            "address": address_text(site.host, site.port),
            "gateway": site.gateway,
            "home": str(site.folder),
        }
        for name, site in zip(community.validators, sites, strict=True)
    ]
    meters = [
        {
            "name": name,
            "participant_id": meter.participant_id.hex(),
            "home": str(Path(METERS_FOLDER, name)),
        }
        for name, meter in community.meters.items()
        if name not in community.validators
    ]
    chain_id = community.genesis.chain_id.hex()
    return {"chain_id": chain_id, "validators": validators, "meters": meters}
