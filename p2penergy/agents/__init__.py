"""Trading agents: what a household's own program orders in its name, by a strategy that it chose.

Lives here: what an agent sees (`view`), its strategies (`strategies`), the limits that hold whatever a
strategy wants (`limits`), what it expects its meter to show (`forecast`), its settings (`settings`), and a
week of the sample data with all of them (`study`). All pure: chance is an argument. Never here: the network,
keys, the clock (`household.agent`). Implements the household's side of LEDGER section 4, step 2.
"""
