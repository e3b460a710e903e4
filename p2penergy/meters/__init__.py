"""Reading a household's meter: from cumulative registers to signed energies per settlement period.

Lives here: `registers` (pure: samples in, energies per period out), the decoding of what meters send
(`payload`, `csv_rows`, pure), the sources (`csv_file`, `folder`, `http_push`, `mqtt`), the durable memory of
what was signed (`memory`), and what runs them (`reader`). Never here: trading. Implements LEDGER section 4,
step 1, from the household's side.
"""
