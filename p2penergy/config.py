"""One node's own settings: `config.toml` in its home.

Lives here: the keys, their defaults, units and checks, and the file that `init` and the demo write.
Never here: what all members must agree on (`genesis`), secrets. Owns the invariant that a node starts
only with settings that were all understood.
"""

import os
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

CONFIG_FILE = "config.toml"
CONFIG_BYTES_MAX = 1024 * 1024
ENVIRONMENT_PREFIX = "P2PENERGY_"

_LABEL = r"[^\s\[\]:.\"\\\x00-\x1f\x7f]{1,63}"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\]")
_HOST_CHARS_MAX = 253
"""Of a host's name, each label 63 at most: others can't be looked up (RFC 1123)."""

ANYWHERE = frozenset({"0.0.0.0", "::"})

Role = Literal["validator", "observer"]


class ConfigError(ValueError):
    """The file can't be used; the sentence names the file, the key, and the nearest valid key."""


class NodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[node]`: who this node is on the network."""

    role: Annotated[
        Role,
        Meta(
            description="validator: ledger and consensus. observer: ledger, re-executes everything, no vote"
        ),
    ] = "validator"
    listen: Annotated[
        str, Meta(description="HOST:PORT to accept links on; port 0 lets the system choose")
    ] = "127.0.0.1:7440"
    announce: Annotated[
        str,
        Meta(description='HOST:PORT at which others reach this node; "": the one of listen'),
    ] = ""
    tls: Annotated[
        bool,
        Meta(description="mutual TLS 1.3 on every link; off is for measurements on one machine only"),
    ] = True
    verify_threads: Annotated[int, Meta(ge=1, le=64, description="threads that check signatures")] = 2
    block_bytes_max: Annotated[
        int,
        Meta(
            ge=4096,
            le=2 * 1024 * 1024,
            description="largest block that this node proposes, bytes of transactions",
        ),
    ] = 1024 * 1024
    frames_per_s_max: Annotated[
        int,
        Meta(ge=10, description="frames per second that one peer may send before the rest is refused"),
    ] = 20_000
    snapshot_blocks: Annotated[
        int,
        Meta(ge=0, le=1_000_000, description="a snapshot is kept of every so many blocks; 0: none"),
    ] = 500
    far_behind_blocks: Annotated[
        int,
        Meta(
            ge=0,
            le=2**53,
            description="an empty ledger so many blocks behind loads a snapshot; 0: always blocks",
        ),
    ] = 1_000

    @property
    def announced(self) -> str | None:
        """Where others are told that this node listens; None where it does not know that itself."""
        address = self.announce or self.listen
        host, port = parse_address(address)
        return address if port and host not in ANYWHERE else None


class GatewaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[gateway]`: what the node tells over HTTP."""

    listen: Annotated[
        str,
        Meta(description='HOST:PORT of /health, /ready, /status and /metrics, without a login; "" is off'),
    ] = ""


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[log]`: what the node says of itself."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="least important line that is written: debug, info, warning or error"),
    ] = "info"
    format: Annotated[
        Literal["human", "json"], Meta(description="human (one line per event) or json (one object per line)")
    ] = "human"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    node: NodeSettings = NodeSettings()
    gateway: GatewaySettings = GatewaySettings()
    log: LogSettings = LogSettings()
    peers: dict[str, str] = {}
    """Participant id (40 hex digits) of each validator to dial, and its HOST:PORT."""


def parse_address(text: str, what: str = "address") -> tuple[str, int]:
    """HOST:PORT as a pair; IPv6 hosts stand in brackets.

    Raises:
        ConfigError: not of that form, or the port is not in 0..65535.
    """
    host, _, port = text.rpartition(":")
    if (
        len(host) > _HOST_CHARS_MAX
        or not _HOST.fullmatch(host)
        or not re.fullmatch("[0-9]{1,5}", port)
        or int(port) > 65535
    ):
        raise ConfigError(f"{what} {text!r} is not HOST:PORT, such as 192.0.2.7:7440")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _nearest(key: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; valid are {', '.join(known)}"


_TABLES: dict[str, type[msgspec.Struct]] = {
    "node": NodeSettings,
    "gateway": GatewaySettings,
    "log": LogSettings,
}


def _refuse_unknown_keys(raw: dict[str, Any], where: str) -> None:
    for name, table in raw.items():
        if name not in Config.__struct_fields__:
            near = _nearest(name, Config.__struct_fields__)
            raise ConfigError(f"{where}: there is no [{name}]{near}")
        if not isinstance(table, dict):
            raise ConfigError(f"{where}: {name} is a table, write [{name}] on a line of its own")
        fields = _TABLES[name].__struct_fields__ if name in _TABLES else tuple(table)
        for key in table:
            if key not in fields:
                raise ConfigError(f"{where}: [{name}] has no key {key!r}{_nearest(key, fields)}")


_VARIABLES = {
    f"{ENVIRONMENT_PREFIX}{name}_{key}".upper(): (name, key)
    for name, shape in _TABLES.items()
    for key in shape.__struct_fields__
}
_PREFIXES = tuple(f"{ENVIRONMENT_PREFIX}{name}_".upper() for name in _TABLES)
_MISSPELT = 0.85
"""From this likeness on a variable is taken for a misspelt one: its table may be what is misspelt."""


def _environment(raw: dict[str, Any], environment: dict[str, str]) -> dict[tuple[str, str], str]:
    # P2PENERGY_NODE_LISTEN=... overrides [node] listen; numbers and booleans are read as TOML. Who set which.
    overridden = {}
    for variable, text in environment.items():
        if variable not in _VARIABLES:
            _refuse_misspelt(variable)
            continue
        name, key = _VARIABLES[variable]
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError):
            value = text
        raw.setdefault(name, {})[key] = value
        overridden[name, key] = variable
    return overridden


def _refuse_misspelt(variable: str) -> None:
    if not variable.startswith(ENVIRONMENT_PREFIX):
        return
    if variable.startswith(_PREFIXES) or get_close_matches(variable, _VARIABLES, 1, _MISSPELT):
        near = _nearest(variable, tuple(_VARIABLES))
        raise ConfigError(f"the environment variable {variable} sets nothing{near}")


def _wanted(shape: type[msgspec.Struct], key: str) -> str:
    """What a key may be, in words."""
    kind, meta = get_args(get_type_hints(shape, include_extras=True)[key])
    if kind is bool:
        return "true or false"
    if kind is str:
        return "text, in quotes"
    if kind is int:
        return f"a whole number, {meta.ge} or more" + (f", {meta.le} at most" if meta.le is not None else "")
    return f"one of {', '.join(get_args(kind))}"


def _misfit(raw: dict[str, Any], place: str, where: str, overridden: dict[tuple[str, str], str]) -> str:
    """The sentence about a value of the wrong kind; `place` is `table.key`."""
    name, _, key = place.partition(".")
    if name not in _TABLES:
        return f"{where}: [peers] holds what is no text: each value is HOST:PORT, in quotes"
    value, wanted = raw[name][key], _wanted(_TABLES[name], key)
    said = _toml(value) if isinstance(value, str | int) else repr(value)
    variable = overridden.get((name, key))
    if variable is not None:
        return f"the environment variable {variable} is {said}; it must be {wanted}"
    return f"{where}: [{name}] {key} is {said}; it must be {wanted}"


_ADDRESSES = (("node", "listen", False), ("node", "announce", True), ("gateway", "listen", True))
"""Keys that are HOST:PORT, and whether "" stands for none."""


def parse(text: str, where: str, environment: dict[str, str] | None = None) -> Config:
    """Settings from the text of a file, overridden by P2PENERGY_TABLE_KEY variables.

    Raises:
        ConfigError: names the file and the key.
    """
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{where} is not valid TOML: {error}") from None
    _refuse_unknown_keys(raw, where)
    overridden = _environment(raw, environment or {})
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        _, _, place = str(error).partition(" - at `$")
        raise ConfigError(_misfit(raw, place.strip("`. "), where, overridden)) from None
    for name, key, may_be_empty in _ADDRESSES:
        address = getattr(getattr(config, name), key)
        if address or not may_be_empty:
            variable = overridden.get((name, key))
            parse_address(
                address, f"the environment variable {variable}" if variable else f"{where}: [{name}] {key}"
            )
    for name, address in config.peers.items():
        if len(name) != 40 or any(digit not in "0123456789abcdef" for digit in name):
            raise ConfigError(f"{where}: [peers] {name!r} is not a participant id of 40 hex digits")
        parse_address(address, f"{where}: [peers] {name}")
    return config


def load(home: Path) -> Config:
    """The settings of the node in `home`; raises `ConfigError`."""
    path = home / CONFIG_FILE
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
        if len(data) > CONFIG_BYTES_MAX:
            raise ConfigError(f"{path} has more than {CONFIG_BYTES_MAX} bytes: that is no settings file")
        text = data.decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing: is {home} the home of a node?") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} can't be read: {error}") from None
    return parse(text, str(path), dict(os.environ))


def render(config: Config) -> str:
    """The file for these settings: every key with its meaning, its unit and its default."""
    lines = ["# Settings of one p2penergy node. What all members agree on is in genesis.json."]
    lines += ["# Any key can be overridden by a variable P2PENERGY_TABLE_KEY, such as P2PENERGY_LOG_LEVEL."]
    for name, shape in _TABLES.items():
        table, hints = getattr(config, name), get_type_hints(shape, include_extras=True)
        lines += ["", f"[{name}]"]
        for key, default in zip(shape.__struct_fields__, shape.__struct_defaults__, strict=True):
            (meta,) = get_args(hints[key])[1:]
            lines += [f"# {meta.description} (default: {_toml(default)})"]
            lines += [f"{key} = {_toml(getattr(table, key))}"]
    lines += ["", "[peers]", "# participant id of a validator = its HOST:PORT"]
    lines += [f'"{name}" = "{address}"' for name, address in sorted(config.peers.items())]
    return "\n".join(lines) + "\n"


def _toml(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
