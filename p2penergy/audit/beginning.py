"""Where an audit begins: at genesis, or at the snapshot that a ledger was made from.

Lives here: judging a snapshot by what genesis alone vouches for. Never here: the walk. Owns the statement
that a ledger without its first blocks is believed only as far as a quorum of the committee that genesis
registers has certified its first state, or, for founders that renewed or went before it, that state's own
word; what was before can't be audited in it, and the report says so.
Implements the snapshots of CONSENSUS section 7.
"""

from dataclasses import dataclass

from p2penergy import beacon
from p2penergy.audit.certificates import fault_of
from p2penergy.audit.findings import LedgerReport
from p2penergy.audit.leaders import Panel
from p2penergy.audit.panels import Seat, panel_of
from p2penergy.audit.tables import Tables
from p2penergy.genesis import Genesis
from p2penergy.ledger import Ledger, query
from p2penergy.messages import (
    Certificate,
    Header,
    MalformedMessageError,
    Stage,
    VoteKind,
    decode_block,
    decode_certificate,
    header_digest,
)
from p2penergy.signing import SignatureChecker
from p2penergy.store.results import decode_results

HEIGHT_MIN = 2
"""A snapshot of block 1 spares nobody anything: a ledger without results of height 0 is damaged."""


@dataclass(frozen=True, slots=True)
class Parent:
    """What the next block stands on."""

    height: int
    slot: int
    digest: bytes
    next_stage: Stage
    panel: Panel | None


@dataclass(frozen=True, slots=True)
class Beginning:
    """The state and the chain's facts that the walk goes on from."""

    ledger: Ledger
    parent: Parent
    beacons: dict[int, bytes]
    last_verification: int


class UnsoundError(Exception):
    """The first state can't be believed: the walk has nothing to stand on."""


def base_of(tables: Tables) -> int:
    """Height of the snapshot that a ledger begins with; 0: it begins with genesis."""
    found = tables.row("SELECT (SELECT min(height) FROM decisions), (SELECT min(height) FROM results)")
    assert found is not None, "an aggregate has a row"
    decided, written = found
    begins_later = isinstance(written, int) and decided == written and written >= HEIGHT_MIN
    return int(written) if begins_later else 0


def at_genesis(genesis: Genesis, checker: SignatureChecker) -> Beginning:
    """Nothing was decided yet."""
    parent = Parent(0, 0, genesis.chain_id, genesis.consensus.first_stage, None)
    return Beginning(Ledger(genesis, checker), parent, {0: beacon.origin(genesis.chain_id)}, 0)


def at_snapshot(
    genesis: Genesis, tables: Tables, checker: SignatureChecker, report: LedgerReport
) -> Beginning:
    """The block and the state that the ledger begins with.

    Raises:
        UnsoundError: something of it is wrong; the report says what.
    """
    height = report.base_height
    header, certificate, ledger = _read(genesis, tables, checker, report)
    if ledger.state_root != header.state_root:
        raise _unsound(report, "the snapshot's state is not the one that its block names")
    _require_keys_of_genesis(genesis, ledger, report)
    try:
        beacons = _beacons(genesis, ledger, height)
        seat = Seat(header.stage, height, ledger.last_verification(height - 1))
        panel = panel_of(genesis, ledger, lambda at: beacons[max(0, at)], seat)
    except LookupError as error:
        raise _unsound(report, f"the snapshot's state lacks an entry: {error}") from None
    digest = header_digest(header)
    fault = fault_of(certificate, VoteKind.COMMIT, genesis.chain_id, panel, checker)
    if (header.chain_id, header.height) != (genesis.chain_id, height):
        fault = "it is another chain's, or of another height"
    elif (certificate.height, certificate.digest) != (height, digest):
        fault = "the certificate decides another block"
    if fault is not None:
        raise _unsound(report, f"the snapshot's block is not certified: {fault}")
    parent = Parent(height, header.slot, digest, header.next_stage, panel)
    return Beginning(ledger, parent, beacons, ledger.last_verification(height))


def _beacons(genesis: Genesis, ledger: Ledger, height: int) -> dict[int, bytes]:
    """Every R that a committee from this height on is drawn from."""
    oldest = max(0, height - genesis.consensus.lag_blocks - genesis.consensus.epoch_blocks + 1)
    drawn_from = {ledger.last_verification(at) for at in (height - 1, height)}
    return {at: ledger.beacon(at) for at in sorted({0, *drawn_from, *range(oldest, height + 1)})}


def _read(
    genesis: Genesis, tables: Tables, checker: SignatureChecker, report: LedgerReport
) -> tuple[Header, Certificate, Ledger]:
    row = tables.row(
        "SELECT b.block, d.certificate, r.results FROM decisions d LEFT JOIN blocks b ON b.id = d.block_id"
        " LEFT JOIN results r ON r.height = d.height WHERE d.height = ?",
        report.base_height,
    )
    assert row is not None, "there is a decision at the base"
    try:
        header = decode_block(row[0]).header
        certificate = decode_certificate(row[1])
        values = {each.key: each.value for each in decode_results(row[2]).versions}
        items = [(key, value) for key, value in values.items() if value is not None]
        ledger = Ledger.restore(genesis, checker, report.base_height, items)
    except (MalformedMessageError, ValueError, TypeError) as error:
        raise _unsound(report, f"the snapshot can't be read: {error}") from None
    return header, certificate, ledger


def _require_keys_of_genesis(genesis: Genesis, ledger: Ledger, report: LedgerReport) -> None:
    """Founders have the keys of genesis, unless the state says when they renewed or went."""
    for member in genesis.members:
        who = bytes.fromhex(member.participant_id)
        key = ledger.member_key(who, ledger.height)
        if key is not None and key.hex() == member.public_key:
            continue
        present, gone = query.member(ledger.get, who), query.gone(ledger.get, who)
        renewed = present is not None and any(
            change.height and change.public_key == key for change in present.changes
        )
        if not renewed and gone is None:
            raise _unsound(report, f"the snapshot has another key of {member.participant_id} than genesis")
        report.founders_changed += 1


def _unsound(report: LedgerReport, what: str) -> UnsoundError:
    report.add("results", f"height {report.base_height}", what)
    return UnsoundError(what)
