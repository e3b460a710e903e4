"""The ledger of LEDGER.md: a pure state machine of people, meters, energy and trades.

Lives here: transactions, state, the rules of every block, receipts, the pool. Never here: IO, time,
randomness, consensus, storage. Start reading at `ledger.py`, then `execution.py`, `contracts.py` and
`stages.py`.
"""

from p2penergy.ledger.bucket_tree import StateProof, check_state_proof
from p2penergy.ledger.ledger import Ledger, LedgerOutcome
from p2penergy.ledger.pool import Pool, PoolResult
from p2penergy.ledger.receipts import (
    Decline,
    EvidenceReceipt,
    OrderReceipt,
    ReadingReceipt,
    Receipt,
    TradeReceipt,
    TradeStage,
    decode_receipt,
    sentence,
)
from p2penergy.ledger.snapshot import Snapshot
from p2penergy.ledger.state import BLOCK_INDEX, Version, VersionStage
from p2penergy.ledger.transactions import (
    Accusation,
    CancelOrder,
    Contract,
    EnergyType,
    PlaceOrder,
    Reading,
    Side,
    Terms,
    Transaction,
    concerned,
    generate_trade_id,
    parse,
    period_of,
    sign_accusation,
    sign_cancel,
    sign_contract,
    sign_order,
    sign_reading,
    sign_terms,
    submitter_of,
    transaction_id,
)

__all__ = [
    "BLOCK_INDEX",
    "Accusation",
    "CancelOrder",
    "Contract",
    "Decline",
    "EnergyType",
    "EvidenceReceipt",
    "Ledger",
    "LedgerOutcome",
    "OrderReceipt",
    "PlaceOrder",
    "Pool",
    "PoolResult",
    "Reading",
    "ReadingReceipt",
    "Receipt",
    "Side",
    "Snapshot",
    "StateProof",
    "Terms",
    "TradeReceipt",
    "TradeStage",
    "Transaction",
    "Version",
    "VersionStage",
    "check_state_proof",
    "concerned",
    "decode_receipt",
    "generate_trade_id",
    "parse",
    "period_of",
    "sentence",
    "sign_accusation",
    "sign_cancel",
    "sign_contract",
    "sign_order",
    "sign_reading",
    "sign_terms",
    "submitter_of",
    "transaction_id",
]
