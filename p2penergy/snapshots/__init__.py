"""Snapshots: states at certified state roots, kept in files, told to peers, loaded by who was far away.

`files` keeps them in a home, `serving` makes and tells them, `fetching` decides whom to ask for what and
believes nothing (pure), `joining` is its driver over a mesh, before the node starts. A part of a state proves
itself under the state root (`p2penergy.ledger.snapshot`), the root stands in a certified header, and the
header is reached from genesis (`p2penergy.consensus.headers`). CONSENSUS section 7.
"""
