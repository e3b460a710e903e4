"""Contracts of a household that wait for their period, with the price put aside.

Lives here: finding them among all that wait. Never here: making them (`offers`, `book`), what became of one
(`trades`). Implements the last paragraph of LEDGER section 4 from a household's side.
"""

from dataclasses import dataclass

from p2penergy.household.reach import Network
from p2penergy.ledger import keys
from p2penergy.ledger.records import EscrowRecord, decode_record
from p2penergy.questions import ENTRIES_MAX

_BYTES = tuple(bytes([byte]) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A contract for a period to come, or whose readings are not all in."""

    trade_id: bytes
    terms: EscrowRecord


async def contracts(network: Network) -> list[Waiting]:
    """Those in which this household sells or buys, by period."""
    found = [
        Waiting(keys.trade_of(key), decode_record(EscrowRecord, value))
        for key, value in await _all(network, keys.ESCROW)
    ]
    own = (each for each in found if network.participant_id in (each.terms.seller, each.terms.buyer))
    return sorted(own, key=lambda each: (each.terms.period, each.trade_id))


async def _all(network: Network, prefix: bytes) -> list[tuple[bytes, bytes]]:
    """Every entry; a full answer may not be the whole, so its parts are asked for one by one."""
    entries = list(await network.entries(prefix))
    if len(entries) < ENTRIES_MAX:
        return entries
    parts = [await _all(network, prefix + byte) for byte in _BYTES]
    return [entry for part in parts for entry in part]
