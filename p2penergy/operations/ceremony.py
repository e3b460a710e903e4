"""Genesis of a community whose members made their own keys: put together from what each of them sent.

Lives here: reading what `p2penergy init --json` printed, and genesis from it. Never here: anybody's key.
Every member can make the same file from the same entries, and compares its hash before the start.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from p2penergy.founding import WALLET_NANO, FoundingError
from p2penergy.genesis import ConsensusRules, Genesis, MarketRules, Member, check

ENTRY_BYTES_MAX = 64 * 1024


def read_entry(path: Path) -> dict[str, Any]:
    """What a member sent: participant_id, public_key, beacon_tip.

    Raises:
        FoundingError: it can't be read, or a key is missing.
    """
    try:
        with path.open("rb") as file:
            entry = json.loads(file.read(ENTRY_BYTES_MAX))
    except OSError as error:
        raise FoundingError(f"{path} can't be read: {error.strerror}") from None
    except ValueError:
        raise FoundingError(f"{path} is not what `p2penergy init --json` prints") from None
    for key in ("participant_id", "public_key", "beacon_tip"):
        if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
            raise FoundingError(f"{path} names no {key}: its node needs a certificate first")
    return dict(entry)


def genesis_of(
    community: str,
    validators: Sequence[Path],
    households: Sequence[Path],
    rules: ConsensusRules,
    market: MarketRules,
    authority_key: bytes | None = None,
) -> Genesis:
    """Genesis with these members, ordered by participant, so that the order of the files does not matter.

    Validators verify newcomers, too. With `authority_key` (33 bytes) revocations count on the ledger.

    Raises:
        FoundingError: a file is none of a member.
        GenesisError: the rules or the members do not fit together.
    """
    members = []
    for paths, validates in ((validators, True), (households, False)):
        for path in paths:
            entry = read_entry(path)
            members.append(
                Member(
                    participant_id=entry["participant_id"],
                    public_key=entry["public_key"],
                    validator=validates,
                    verifier=validates,
                    wallet_nano=WALLET_NANO,
                    beacon_tip=entry["beacon_tip"] if validates else None,
                )
            )
    members.sort(key=lambda member: member.participant_id)
    genesis = Genesis(
        community=community,
        authority_key=None if authority_key is None else authority_key.hex(),
        consensus=rules,
        market=market,
        members=tuple(members),
    )
    check(genesis)
    return genesis
