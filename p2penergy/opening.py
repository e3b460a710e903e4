"""From a home to a running state: the store's file, and the ledger at its tip.

Lives here: making an empty store for a genesis, or one from a snapshot, and rebuilding the ledger from a
store. Never here: the network. Owns the invariant that a ledger rebuilt from disk has the state root that its
last certified header names.
"""

from p2penergy.genesis import Genesis
from p2penergy.home import Home, HomeError
from p2penergy.ledger import Ledger, Version, versions_of
from p2penergy.messages import encode, header_digest
from p2penergy.signing import EcdsaChecker, SignatureChecker
from p2penergy.snapshots.fetching import Loaded
from p2penergy.store import Base, Store


def genesis_versions(genesis: Genesis) -> list[Version]:
    """What every key holds before the first block, as the store keeps it."""
    return versions_of(Ledger(genesis, EcdsaChecker()).items())


def create_store(home: Home, amnesia_slot: int | None = None) -> Store:
    """An empty store for a home, opened.

    `amnesia_slot` is the present slot when an earlier vote store was lost (CONSENSUS section 6).

    Raises:
        StoreError: there is one already, or the disk refuses.
    """
    genesis = home.genesis
    return Store.create(
        home.ledger_path,
        genesis.chain_id,
        genesis_versions=genesis_versions(genesis),
        amnesia_slot=amnesia_slot,
    )


def install(home: Home, store: Store, loaded: Loaded) -> Store:
    """Put a loaded snapshot in the place of an empty store, and open what has become of it.

    Where votes were lost, the node signs nothing before the network is beyond the snapshot's slot, too: the
    highest certified slot that it has seen counts, whatever its clock says (CONSENSUS section 6).

    Raises:
        StoreError: the store is not empty, or the disk refuses.
    """
    amnesia_slot = store.restored().amnesia_slot
    if amnesia_slot is not None:
        amnesia_slot = max(amnesia_slot, loaded.header.slot)
    store.close()
    base = Base(
        loaded.height,
        header_digest(loaded.header),
        loaded.block,
        encode(loaded.certificate),
        versions_of(sorted(loaded.items.items())),
    )
    return Store.create_from(home.ledger_path, home.genesis.chain_id, base, amnesia_slot=amnesia_slot)


def open_ledger(home: Home, store: Store, checker: SignatureChecker) -> Ledger:
    """The ledger at the store's tip.

    Raises:
        HomeError: the stored state is not the one that the last decided header names.
    """
    restored = store.restored()
    if restored.tip is None:
        return Ledger(home.genesis, checker)
    header = restored.tip[0].header
    ledger = Ledger.restore(home.genesis, checker, header.height, store.current_state())
    if ledger.state_root != header.state_root:
        raise HomeError(
            f"{home.ledger_path} is damaged: its state at height {header.height} is not the one that the "
            f"block names; run `p2penergy audit {home.path}` to find the record, then move the file away "
            "and start with --votes-lost to fetch the chain again"
        )
    return ledger
