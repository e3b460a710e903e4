"""Settings: all of the file is understood, or a sentence names the file, the key and the nearest one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2penergy import config as module
from p2penergy.config import (
    Config,
    ConfigError,
    GatewaySettings,
    LogSettings,
    NodeSettings,
    load,
    parse,
    parse_address,
    render,
)

PEER = "ab" * 20
CONFIG = Config(
    node=NodeSettings(role="observer", listen="[::1]:0", tls=False, verify_threads=3, block_bytes_max=4096),
    log=LogSettings(level="debug", format="json"),
    peers={PEER: "192.0.2.7:7440", "cd" * 20: "meter-7.example:1"},
)


def refused(text: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "home/config.toml", environment)
    return str(caught.value)


# ---- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7440", ("127.0.0.1", 7440)),
        ("localhost:0", ("localhost", 0)),
        ("meter-7.example.org:65535", ("meter-7.example.org", 65535)),
        ("[::1]:7440", ("::1", 7440)),
        ("[::ffff:192.0.2.7]:1", ("::ffff:192.0.2.7", 1)),
        ("[fe80::1%eth0]:7440", ("fe80::1%eth0", 7440)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "7440",
        ":7440",
        "host",
        "host:",
        "host:x",
        "host:-1",
        "host:+1",
        "host: 1",
        "host:1 ",
        "host:65536",
        "host:000001",
        "host:1.0",
        "host:²",
        "host:٣",
        "host:" + "9" * 5000,
        "::1:7440",
        "a:b:1",
        "[::1",
        "[::1:1",
        "::1]:1",
        "[]:1",
        "[host]:1",
        "[::1]x:1",
        "my host:1",
        "a..b:1",
        "x" * 64 + ":1",
        ".".join(["label"] * 50) + ":1",
        'ho"st:1',
        "ho\\st:1",
        "ho\nst:1",
        "ho\0st:1",
        "host:1\n",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_address(text, "the address")
    assert str(caught.value) == f"the address {text!r} is not HOST:PORT, such as 192.0.2.7:7440"


@given(st.text(max_size=20))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        host, port = parse_address(text)
    except ConfigError:
        return
    assert host
    assert 0 <= port <= 65535


# ---- the file -------------------------------------------------------------------------------------


def test_an_empty_file_gives_the_defaults() -> None:
    assert parse("", "x") == Config()
    assert Config().node == NodeSettings(
        role="validator",
        listen="127.0.0.1:7440",
        tls=True,
        verify_threads=2,
        block_bytes_max=1024 * 1024,
        frames_per_s_max=20_000,
        snapshot_blocks=500,
        far_behind_blocks=1000,
    )


hosts = st.from_regex(r"[a-z][a-z0-9-]{0,9}(\.[a-z0-9-]{1,9}){0,2}|\[::[0-9a-f]{1,4}\]", fullmatch=True)
addresses = st.builds("{}:{}".format, hosts, st.integers(0, 65535))
configs = st.builds(
    Config,
    node=st.builds(
        NodeSettings,
        role=st.sampled_from(["validator", "observer"]),
        listen=addresses,
        tls=st.booleans(),
        verify_threads=st.integers(1, 64),
        block_bytes_max=st.integers(4096, 2 * 1024 * 1024),
        frames_per_s_max=st.integers(10, 2**31),
        snapshot_blocks=st.integers(0, 1_000_000),
        far_behind_blocks=st.integers(0, 2**53),
    ),
    gateway=st.builds(GatewaySettings, listen=st.just("") | addresses),
    log=st.builds(
        LogSettings,
        level=st.sampled_from(["debug", "info", "warning", "error"]),
        format=st.sampled_from(["human", "json"]),
    ),
    peers=st.dictionaries(st.binary(min_size=20, max_size=20).map(bytes.hex), addresses, max_size=4),
)


@given(configs)
def test_what_is_written_is_read_again(config: Config) -> None:
    assert parse(render(config), "x") == config


def test_the_written_file_explains_itself() -> None:
    text = render(CONFIG)
    lines = text.splitlines()
    for shape in (NodeSettings, GatewaySettings, LogSettings):
        for key in shape.__struct_fields__:
            place = next(i for i, line in enumerate(lines) if line.startswith(f"{key} = "))
            assert lines[place - 1].startswith("# ")
            assert "(default: " in lines[place - 1]


def test_the_gateway_is_off_unless_told() -> None:
    assert Config().gateway.listen == ""
    assert "home/config.toml: [gateway] listen" in refused("[gateway]\nlisten = 'here'")


def test_what_is_no_toml_is_refused() -> None:
    assert refused("[node").startswith("home/config.toml is not valid TOML: ")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[node]\nlisen = '1'", "home/config.toml: [node] has no key 'lisen'; did you mean 'listen'?"),
        ("[node]\nverify_thread = 1", "'verify_threads'"),
        ("[log]\nlevl = 'info'", "home/config.toml: [log] has no key 'levl'; did you mean 'level'?"),
        ("[log]\nzzz = 1", "home/config.toml: [log] has no key 'zzz'; valid are level, format"),
        ("[nodes]\n", "home/config.toml: there is no [nodes]; did you mean 'node'?"),
        ("[zzz]\n", "home/config.toml: there is no [zzz]; valid are node, gateway, log, peers"),
        ("listen = '1'", "home/config.toml: there is no [listen]; valid are node, gateway, log, peers"),
        ("node = 1", "home/config.toml: node is a table, write [node] on a line of its own"),
        ("peers = []", "home/config.toml: peers is a table, write [peers] on a line of its own"),
        ("[[node]]", "home/config.toml: node is a table, write [node] on a line of its own"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_one(text: str, sentence: str) -> None:
    assert sentence in refused(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[node]\nrole = 'boss'", "[node] role is "),
        ("[node]\nlisten = 7440", "[node] listen is "),
        ("[node]\ntls = 1", "[node] tls is "),
        ("[node]\ntls = 'false'", "[node] tls is "),
        ("[node]\nverify_threads = 0", "[node] verify_threads is "),
        ("[node]\nverify_threads = 65", "[node] verify_threads is "),
        ("[node]\nverify_threads = 2.5", "[node] verify_threads is "),
        ("[node]\nverify_threads = '2'", "[node] verify_threads is "),
        ("[node]\nverify_threads = true", "[node] verify_threads is "),
        ("[node]\nblock_bytes_max = 4095", "[node] block_bytes_max is "),
        ("[node]\nblock_bytes_max = 2097153", "[node] block_bytes_max is "),
        ("[node]\nframes_per_s_max = 9", "[node] frames_per_s_max is "),
        ("[node]\nsnapshot_blocks = -1", "[node] snapshot_blocks is "),
        ("[node]\nfar_behind_blocks = -1", "[node] far_behind_blocks is "),
        ("[node]\nrole = 2026-01-01", "[node] role is "),
        ("[log]\nlevel = 'loud'", "[log] level is "),
        ("[log]\nformat = []", "[log] format is "),
        (f"[peers]\n{PEER} = 7440", "[peers] "),
    ],
)
def test_a_wrong_value_is_refused_where_it_stands(text: str, place: str) -> None:
    sentence = refused(text)
    assert sentence.startswith(f"home/config.toml: {place}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[log]\nlevel = 'loud'", '[log] level is "loud"; it must be one of debug, info, warning, error'),
        ("[node]\ntls = 1", "[node] tls is 1; it must be true or false"),
        ("[node]\nlisten = 1", "[node] listen is 1; it must be text, in quotes"),
        ("[node]\nverify_threads = 65", "it must be a whole number, 1 or more, 64 at most"),
        (
            "[node]\nframes_per_s_max = []",
            "[node] frames_per_s_max is []; it must be a whole number, 10 or more",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_what_it_may_be(text: str, sentence: str) -> None:
    assert refused(text).endswith(sentence)


def test_bad_addresses_are_refused_where_they_stand() -> None:
    assert refused("[node]\nlisten = 'here'").startswith(
        "home/config.toml: [node] listen 'here' is not HOST:PORT"
    )
    assert refused(f"[peers]\n{PEER} = ''").startswith(
        f"home/config.toml: [peers] {PEER} '' is not HOST:PORT"
    )


@pytest.mark.parametrize("name", ["ab" * 19, "ab" * 21, "AB" * 20, "g" * 40, "", " " * 40])
def test_a_peer_is_named_by_its_id(name: str) -> None:
    sentence = refused(f"[peers]\n{name!r} = '127.0.0.1:1'")
    assert sentence == f"home/config.toml: [peers] {name!r} is not a participant id of 40 hex digits"


# ---- the environment ------------------------------------------------------------------------------


def test_the_environment_overrides_the_file() -> None:
    environment = {
        "P2PENERGY_NODE_LISTEN": "0.0.0.0:1",
        "P2PENERGY_NODE_TLS": "false",
        "P2PENERGY_NODE_VERIFY_THREADS": "5",
        "P2PENERGY_LOG_LEVEL": "error",
        "P2PENERGY_LOG_FORMAT": '"json"',
        "P2PENERGY_HOME": "elsewhere",
        "HOME": "irrelevant",
    }
    config = parse("[node]\nlisten = '127.0.0.1:2'\nblock_bytes_max = 5000", "x", environment)
    assert config.node == NodeSettings(listen="0.0.0.0:1", tls=False, verify_threads=5, block_bytes_max=5000)
    assert config.log == LogSettings(level="error", format="json")


def test_a_wrong_value_from_the_environment_is_refused() -> None:
    assert refused("", {"P2PENERGY_NODE_VERIFY_THREADS": "many"}).startswith(
        'the environment variable P2PENERGY_NODE_VERIFY_THREADS is "many"; it must be a whole number'
    )
    assert 'P2PENERGY_NODE_TLS is ""; it must be true' in refused("", {"P2PENERGY_NODE_TLS": ""})
    assert refused("", {"P2PENERGY_NODE_LISTEN": "nowhere"}).startswith(
        "the environment variable P2PENERGY_NODE_LISTEN 'nowhere' is not HOST:PORT"
    )


def test_a_misspelt_variable_is_refused_with_the_nearest_one() -> None:
    sentence = refused("", {"P2PENERGY_NODE_LISTN": "0.0.0.0:1"})
    assert sentence == (
        "the environment variable P2PENERGY_NODE_LISTN sets nothing; did you mean 'P2PENERGY_NODE_LISTEN'?"
    )


def test_a_misspelt_table_of_a_variable_is_found_too() -> None:
    assert refused("", {"P2PENERGY_LGO_LEVEL": "debug"}) == (
        "the environment variable P2PENERGY_LGO_LEVEL sets nothing; did you mean 'P2PENERGY_LOG_LEVEL'?"
    )
    others = dict.fromkeys(("P2PENERGY_HOME", "P2PENERGY_UID", "P2PENERGY_GID", "P2PENERGY_IMAGE"), "1")
    assert parse("", "x", others) == Config()


# ---- the home -------------------------------------------------------------------------------------


def test_a_home_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text(render(CONFIG))
    assert load(tmp_path) == CONFIG
    monkeypatch.setenv("P2PENERGY_NODE_ROLE", "validator")
    assert load(tmp_path).node.role == "validator"


def test_a_home_without_settings_says_so(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    with pytest.raises(ConfigError, match=f"{path} is missing: is {tmp_path} the home of a node?"):
        load(tmp_path)
    path.mkdir()
    with pytest.raises(ConfigError, match=f"{path} can't be read: "):
        load(tmp_path)


def test_settings_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"[node]\n# \xff\n")
    with pytest.raises(ConfigError, match=r"config\.toml can't be read: "):
        load(tmp_path)


def test_a_file_too_large_is_refused_and_not_cut_short(tmp_path: Path) -> None:
    text = "[node]\nrole = 'observer'\n".ljust(module.CONFIG_BYTES_MAX, "#")
    (tmp_path / "config.toml").write_text(text)
    assert load(tmp_path).node.role == "observer"
    (tmp_path / "config.toml").write_text(text + "\n[peers]\n")
    with pytest.raises(ConfigError, match="more than 1048576 bytes"):
        load(tmp_path)
