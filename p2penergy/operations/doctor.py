"""`p2penergy doctor`: what may keep a node from doing its work, before it does.

Lives here: each examination and what mends its findings. Never here: printing. Nothing is changed: a probe
file in the node's folder is all that is written, and it is gone afterwards. Measures eps and delta of
CONSENSUS section 1 where they can be measured, against alpha >= 2 eps + 4 delta of section 2.
"""

import contextlib
import os
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from p2penergy.config import CONFIG_FILE, parse_address
from p2penergy.home import AUTHORITY_FILE, CERTIFICATE_FILE, LEDGER_FILE, PUBLIC_KEY_FILE, Device
from p2penergy.operations.asking import Report
from p2penergy.operations.findings import Finding, Level, ok
from p2penergy.store import StoreError
from p2penergy.store.schema import READ_ERRORS, connect_reader
from p2penergy.store.store import check_pages, check_whose

CERTIFICATE_WARNING_DAYS = 60
CERTIFICATE_ERROR_DAYS = 7
FREE_WARNING_BYTES = 2 * 1024**3
FREE_ERROR_BYTES = 200 * 1024**2
OPEN_FILES_WANTED = 4_096
PROBES = 20
PROBE_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Disk:
    """How long a durable write of one page takes, ms."""

    median_ms: float
    worst_ms: float


def measure_disk(folder: Path) -> Disk:
    """Write and sync a page some times in `folder`; raises OSError."""
    took_ms = []
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as file:
        for _ in range(PROBES):
            began = time.perf_counter()
            file.write(os.urandom(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
            took_ms.append((time.perf_counter() - began) * 1000)
    took_ms.sort()
    return Disk(took_ms[len(took_ms) // 2], took_ms[-1])


def certificates(device: Device, now: datetime) -> list[Finding]:
    """How long the device's and the authority's certificates are valid."""
    found = []
    for name, what in ((CERTIFICATE_FILE, "device"), (AUTHORITY_FILE, "authority")):
        check = f"certificate of the {what}"
        path = device.path / name
        ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
        left = (ends - now).days
        sentence = f"{path} is valid until {ends:%Y-%m-%d}, {left} days from now"
        if left >= CERTIFICATE_WARNING_DAYS:
            found.append(ok(check, sentence))
            continue
        me = device.signer.participant_id.hex()
        mend = f"p2penergy ca issue CA --public-key {device.path / PUBLIC_KEY_FILE} --renews {me} --out DIR"
        if what == "authority":
            mend = "p2penergy ca init NEW --name COMMUNITY, and a certificate of it for every member"
        level = Level.ERROR if left < CERTIFICATE_ERROR_DAYS else Level.WARNING
        found.append(Finding(check, level, sentence, mend))
    return found


def role(device: Device) -> Finding:
    """Whether the node votes where genesis counts on its vote."""
    said, name = device.config.node.role, device.signer.participant_id.hex()
    counted_on = any(m.validator and m.participant_id == name for m in device.genesis.members)
    if said == "validator" or not counted_on:
        return ok("role", f"the node is a {said}")
    return Finding(
        "role",
        Level.WARNING,
        "the node is an observer, and genesis names it a validator: to the others it counts as silent",
        f'[node] role = "validator" in {device.path / CONFIG_FILE}, then restart the node',
    )


def disk_space(device: Device) -> Finding:
    """Whether the ledger has room to grow."""
    free = shutil.disk_usage(device.path).free
    sentence = f"{free / 1024**3:.1f} GiB are free where {device.path} is"
    if free >= FREE_WARNING_BYTES:
        return ok("disk space", sentence)
    level = Level.ERROR if free < FREE_ERROR_BYTES else Level.WARNING
    return Finding("disk space", level, sentence, f"du -xh {device.path.absolute().anchor} | sort -h | tail")


def disk_speed(device: Device, disk: Disk) -> Finding:
    """Whether a durable write fits into delta: a vote waits for one before it is sent."""
    delta_ms = device.genesis.consensus.delta_ms
    sentence = f"a durable write takes {disk.median_ms:.2f} ms, at worst {disk.worst_ms:.2f} ms"
    if disk.worst_ms <= delta_ms / 2:
        return ok("disk speed", sentence)
    return Finding(
        "disk speed",
        Level.ERROR if disk.worst_ms > delta_ms else Level.WARNING,
        f"{sentence}; delta of {delta_ms} ms must hold it and a message's way",
        # Moved and not copied: a copy that is left behind and started would sign a second time.
        f"p2penergy stop --home {device.path} && mv {device.path} FASTER_DISK/, then start it there",
    )


def open_files() -> Finding:
    """Whether there are descriptors for peers and clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    sentence = f"{soft} files may be open at once (hard limit {hard})"
    if soft >= OPEN_FILES_WANTED:
        return ok("open files", sentence)
    mend = "ulimit -n 65536, or LimitNOFILE=65536 in the unit"
    return Finding("open files", Level.WARNING, f"{sentence}; a validator may have 4,000 links", mend)


def ports(device: Device, running: bool) -> list[Finding]:
    """Whether the node can listen; while it runs it does."""
    found = []
    for key, text in (("node", device.config.node.listen), ("gateway", device.config.gateway.listen)):
        if not text:
            continue
        check = f"port of [{key}]"
        if running:
            found.append(ok(check, f"the node listens on {text}"))
            continue
        host, port = parse_address(text)
        try:
            socket.create_server((host, port), family=_family(host)).close()
        except OSError as error:
            sentence = f"{text} can't be listened on: {error.strerror or error}"
            mend = f"ss -ltnp 'sport = :{port}' shows who does; or change [{key}] listen in config.toml"
            found.append(Finding(check, Level.ERROR, sentence, mend))
        else:
            found.append(ok(check, f"{text} is free"))
    return found


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def ledger(device: Device) -> Finding:
    """Whether the ledger is there, of this chain, and sound as far as SQLite can tell."""
    path = device.path / LEDGER_FILE
    home = device.path
    if not path.exists():
        return Finding(
            "ledger",
            Level.ERROR,
            f"there is no ledger at {path}: what this node signed may be lost",
            f"p2penergy start --home {home} --votes-lost, or p2penergy import --home {home} FILE",
        )
    try:
        with contextlib.closing(connect_reader(path)) as connection:
            check_whose(connection, path, device.genesis.chain_id)
            check_pages(connection, path)
            height = connection.execute("SELECT coalesce(max(height), 0) FROM decisions").fetchone()[0]
    except (StoreError, *READ_ERRORS) as error:
        mend = f"p2penergy reset --home {home}, then p2penergy start --home {home} --votes-lost"
        return Finding("ledger", Level.ERROR, f"{path}: {error}", mend)
    size_mib = path.stat().st_size / 1024**2
    return ok("ledger", f"{height} blocks, {size_mib:.1f} MiB, no damaged page; `audit` checks every byte")


def own_node(device: Device, pid: int | None) -> Finding:
    """Whether the node runs on this machine."""
    if pid is not None:
        return ok("process", f"process {pid} runs the node")
    mend = f"p2penergy start --home {device.path}"
    return Finding("process", Level.WARNING, "no process runs the node on this machine", mend)


def reachability(device: Device, reports: Sequence[Report], running: bool) -> list[Finding]:
    """Whether the others can be dialled from here, and whether their nodes are connected to this one."""
    me = device.signer.participant_id
    found = []
    for report in reports:
        if report.peer == me:
            continue
        check = f"peer {report.peer.hex()[:12]}"
        host, port = report.address
        if report.status is None:
            mend = f"nc -vz {host} {port} tells the network from the node; its owner runs p2penergy doctor"
            found.append(Finding(check, Level.ERROR, f"{host}:{port}: {report.problem}", mend))
        elif running and me.hex() not in report.status["connected"]:
            mend = f"on that machine: p2penergy peers --home DIR; its [peers] must name {me.hex()}"
            sentence = f"{host}:{port} answers, but its node is not connected to this one"
            found.append(Finding(check, Level.ERROR, sentence, mend))
        else:
            back = "and is connected to this node" if running else "(whether it reaches this node is unknown)"
            found.append(ok(check, f"{host}:{port} answers in {report.round_trip_ms:.1f} ms {back}"))
    return found


def clocks(device: Device, reports: Sequence[Report]) -> Finding:
    """Whether this machine's clock is within eps of the others'."""
    others = [r for r in reports if r.status is not None and r.peer != device.signer.participant_id]
    eps_ms = device.genesis.consensus.eps_ms
    if not others:
        mend = f"p2penergy peers --home {device.path}"
        return Finding("clock", Level.WARNING, "no other clock could be asked", mend)
    offsets = sorted(report.clock_offset_ms for report in others)
    median = offsets[len(offsets) // 2]
    sure = next(r.round_trip_ms for r in others if r.clock_offset_ms == median) / 2
    sentence = (
        f"{-median:+.1f} ms from the median of {len(others)} others (to {sure:.1f} ms), eps is {eps_ms} ms"
    )
    if abs(median) - sure <= eps_ms:
        return ok("clock", sentence)
    return Finding("clock", Level.ERROR, sentence, "chronyc makestep, or timedatectl set-ntp true")


def timing(device: Device, reports: Sequence[Report], disk: Disk | None) -> Finding:
    """Whether alpha >= 2 eps + 4 delta holds with what was measured."""
    rules = device.genesis.consensus
    answered = [report for report in reports if report.status is not None]
    if not answered or disk is None:
        mend = f"p2penergy peers --home {device.path}"
        return Finding("timing", Level.WARNING, "eps and delta could not be measured", mend)
    offsets = [0.0, *(report.clock_offset_ms for report in answered)]
    eps_ms = max(offsets) - min(offsets)
    delta_ms = max(report.round_trip_ms for report in answered) / 2 + disk.worst_ms
    needed_ms = 2 * eps_ms + 4 * delta_ms
    sentence = (
        f"measured eps {eps_ms:.1f} ms and delta {delta_ms:.1f} ms need an alpha of {needed_ms:.0f} ms; "
        f"genesis has alpha {rules.alpha_ms}, eps {rules.eps_ms}, delta {rules.delta_ms} ms"
    )
    if needed_ms > rules.alpha_ms:
        alpha_ms = -(-int(2 * needed_ms) // 100) * 100
        mend = (
            f"mend clocks, network and disk first; a new network: p2penergy testnet --alpha-ms {alpha_ms} ..."
        )
        return Finding("timing", Level.ERROR, sentence, mend)
    if delta_ms > rules.delta_ms or eps_ms > rules.eps_ms:
        mend = f"p2penergy peers --home {device.path} shows the slow way or the wrong clock"
        return Finding("timing", Level.WARNING, sentence, mend)
    return ok("timing", sentence)


def examine(device: Device, reports: Sequence[Report], pid: int | None) -> list[Finding]:
    """Everything, in the order in which it is worth reading."""
    running = pid is not None
    now = datetime.now(UTC)
    try:
        disk: Disk | None = measure_disk(device.path)
    except OSError as error:
        disk = None
        mend = f"mount -o remount,rw PATH, or chown the user who runs the node: ls -ld {device.path}"
        writing = Finding(
            "disk speed", Level.ERROR, f"{device.path} can't be written: {error.strerror}", mend
        )
    return [
        own_node(device, pid),
        role(device),
        *certificates(device, now),
        ledger(device),
        disk_space(device),
        writing if disk is None else disk_speed(device, disk),
        open_files(),
        *ports(device, running),
        *reachability(device, reports, running),
        clocks(device, reports),
        timing(device, reports, disk),
    ]
