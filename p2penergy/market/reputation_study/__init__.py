"""A study of the Q-score: does it tell good from bad, and who can cheat it?

Lives here: simulated households on the sample week, attackers, figures and a table; the auction and the
scores are the ledger's own. Never here: anything that a node runs. Implements the evidence for LEDGER
section 6; `python -m p2penergy.market.reputation_study --out DIR` makes the figures of docs/qscore.md.
"""
