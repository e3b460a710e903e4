"""Many participants, readings or orders at once, from CSV.

Lives here: the tables with an error for each bad row (`tables`, pure), genesis with many participants
(`participants`), and sending in many households' names (`sending`). Never here: the ledger as a file, which
is `operations.portable`.
"""
