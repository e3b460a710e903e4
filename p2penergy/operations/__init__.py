"""What operators do with nodes: found a testnet, ask, watch, examine, save and bring back.

Lives here: everything behind the operator's commands that is not the node itself. Never here: consensus,
the ledger's rules, printing (`p2penergy.cli`).
"""
