"""A household as a client of a running network: what it asks, signs and believes.

Lives here: the questions behind `p2penergy wallet`, `score`, `bill`, `trade`, `history`, `market`, `order`
and `offer`. Never here: how answers look (`cli`), rules of trading (`ledger`).
"""
