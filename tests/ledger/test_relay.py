from village import PRICE, WALLET_NANO, Village, with_readings

from p2penergy.ledger import relay
from p2penergy.ledger.context import BlockContext
from p2penergy.ledger.open_orders import OpenOrders
from p2penergy.ledger.scores import Standings
from p2penergy.ledger.state import Scratch


def block_on(village: Village) -> BlockContext:
    """The inside of a block, on the present state."""
    draft, market = village.draft(), village.genesis.market
    scratch = Scratch(village.ledger._state)
    standings = Standings(scratch, market.scores, draft.period)
    book = OpenOrders(village.ledger._state)
    community = village.ledger._community(draft, scratch)
    return BlockContext(
        draft, scratch, village.chain_id, village.checker, market, standings, book, community, None
    )


def test_holdings_are_what_the_three_have_now() -> None:
    village = with_readings()
    village.block(village.contract(1, 3, 300))
    terms = village.terms(1, 3, 100)
    held = relay.holdings(block_on(village).scratch, terms, village.ids[0])
    assert held.energy == {village.ids[1]: 700, village.ids[3]: 300, village.ids[0]: 0}
    assert held.wallet[village.ids[3]] == WALLET_NANO - 300 * PRICE
    assert (held.unclaimed_wh, held.available_wh) == (700, 700)
    assert (held.uncovered_wh, held.wanted_wh) == (700, 700)


def test_what_is_promised_is_not_available() -> None:
    village = Village()
    village.block(village.forward(1, 3, 400))
    village.next_period(
        village.reading(1, export_wh=300, period=101), village.reading(3, import_wh=1000, period=101)
    )
    held = relay.holdings(block_on(village).scratch, village.terms(1, 3, 1), village.ids[0])
    assert (held.unclaimed_wh, held.available_wh) == (300, 0)
    assert (held.uncovered_wh, held.wanted_wh) == (1000, 600)


def test_without_readings_there_is_nothing() -> None:
    village = Village()
    held = relay.holdings(block_on(village).scratch, village.terms(1, 3, 1), village.ids[0])
    assert (held.available_wh, held.wanted_wh) == (0, 0)


def test_a_trade_is_written_in_both_stages_and_claims_its_energy_once() -> None:
    village = with_readings()
    block, terms = block_on(village), village.terms(1, 3, 100)
    held = relay.holdings(block.scratch, terms, village.ids[0])
    execution, final, wrong = relay.relay(terms, village.ids[0], held)
    assert wrong is None
    relay.write_trade(block.scratch, terms, village.ids[0], held, execution, final)
    after = relay.holdings(block.scratch, terms, village.ids[0])
    assert (after.unclaimed_wh, after.uncovered_wh) == (900, 900)
    assert after.energy == {village.ids[1]: 900, village.ids[3]: 100, village.ids[0]: 0}
    assert sum(after.wallet.values()) == sum(held.wallet.values())
