"""The demo: a whole neighbourhood on one machine, real processes, real sockets, real meter data.

Reading order: `options`, `community` (keys, genesis, folders), `processes` (the validators),
`households` (the meters as signing agents), `replay` (a day, period by period), `attacks` (the paper's
two), `report` (what it all came to), `display` (what people see), `run` (all of it in order).
"""
