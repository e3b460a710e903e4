"""What the ledgers on disk say once all processes have ended.

Lives here: reading one validator's home offline, for the summary. Never here: checking it from genesis
(`p2penergy audit` does).
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from p2penergy import home as homes
from p2penergy.demo.census import Census
from p2penergy.demo.options import DemoOptions
from p2penergy.demo.report import BillRow
from p2penergy.founding import Community
from p2penergy.ledger import keys
from p2penergy.ledger.records import BillRecord, decode_record
from p2penergy.market.tariffs import Tariffs
from p2penergy.opening import open_ledger
from p2penergy.signing import EcdsaChecker
from p2penergy.store import Store


@dataclass(frozen=True, slots=True)
class Facts:
    """One ledger at its end."""

    height: int
    transactions: int
    conserved: bool


def facts_of(home: Path) -> Facts:
    """Height, transactions, and whether energy and money add up; raises `StoreError`, `HomeError`."""
    opened = homes.load(home)
    with contextlib.closing(Store.open(opened.ledger_path, opened.genesis.chain_id)) as store:
        ledger = open_ledger(opened, store, EcdsaChecker())
        return Facts(ledger.height, store.transaction_count(), ledger.audit_totals().is_conserved())


def census_of(home: Path) -> Census:
    """What became of every trade and score, block by block; raises `StoreError`, `HomeError`."""
    opened = homes.load(home)
    census = Census(opened.genesis.market.scores.trading_bar_ppm)
    with contextlib.closing(Store.open(opened.ledger_path, opened.genesis.chain_id)) as store:
        for height in range(store.tip() + 1):
            written = store.results(height)
            period = opened.genesis.market.first_period
            if height:
                ((header, _),) = store.headers(height, 1)
                period = header.period
            census.block(period, written.receipts, written.versions)
    return census


def bill_of(home: Path, options: DemoOptions, community: Community, tariffs: Tariffs) -> BillRow | None:
    """The three lines of the household with the most sun, over all replayed periods."""
    household = max(options.neighbourhood.households, key=lambda h: (h.pv_w, h.load_w))
    participant = community.meters[household.name].participant_id
    bills = []
    opened = homes.load(home)
    with contextlib.closing(Store.open(opened.ledger_path, opened.genesis.chain_id)) as store:
        for period in options.periods():
            written = [v.value for v in store.history(keys.bill(participant, period)) if v.value is not None]
            bills += [decode_record(BillRecord, value) for value in written[:1]]
    import_wh, export_wh = sum(b.import_wh for b in bills), sum(b.export_wh for b in bills)
    alone = import_wh * tariffs.retail_micro_per_kwh - export_wh * tariffs.feed_in_micro_per_kwh
    return BillRow(
        household=household.name,
        total_nano=sum(b.total_nano for b in bills),
        community_nano=sum(b.community_nano for b in bills),
        grid_nano=sum(b.grid_nano for b in bills),
        without_community_nano=alone,
        import_wh=import_wh,
        export_wh=export_wh,
        bought_wh=sum(b.bought_wh for b in bills),
        sold_wh=sum(b.sold_wh for b in bills),
    )
