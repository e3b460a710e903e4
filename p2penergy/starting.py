"""The store with which a node starts: its own, an empty one, or one that a snapshot fills.

Lives here: which of them it is. Never here: how they are made (`opening`, `snapshots`), running the node.
Owns the invariant that a store that holds a chain is opened as it is. Implements CONSENSUS sections 6 and 7.
"""

from p2penergy.consensus.schedule import slot_at
from p2penergy.coordinator import wall_clock_ms
from p2penergy.home import Home
from p2penergy.node import make_mesh, peer_addresses
from p2penergy.opening import create_store, install
from p2penergy.snapshots import joining
from p2penergy.store import Store


def _present_slot(home: Home) -> int:
    return max(0, slot_at(home.genesis.consensus, wall_clock_ms()))


async def open_store(home: Home, votes_lost: bool) -> Store:
    """The home's store; with `votes_lost` a new one, which knows so. Close it at the end.

    Raises:
        StoreError: there is none, or one too many; it is damaged, or in use.
    """
    if votes_lost:
        store = create_store(home, amnesia_slot=_present_slot(home))
    else:
        store = Store.open(home.ledger_path, home.genesis.chain_id)
    try:
        return await _advanced(home, store)
    except BaseException:
        store.close()
        raise


async def _advanced(home: Home, store: Store) -> Store:
    """The same store, or one made from a snapshot where the network is far ahead of an empty one."""
    far_behind_blocks = home.config.node.far_behind_blocks
    if not joining.may_be_far_behind(store.tip(), far_behind_blocks, _present_slot(home)):
        return store
    mesh = make_mesh(home, listens=False)
    loaded = await joining.load(home.genesis, mesh, peer_addresses(home), far_behind_blocks)
    return store if loaded is None else install(home, store, loaded)
