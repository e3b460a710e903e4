"""The two kinds of failure of the consensus core: ours and the peer's.

Lives here: the exception tree, drawn once. Never here: handling. `RefusedError` is a peer's fault: it
has a code, is counted, and never stops the loop (CONSENSUS section 5). `InvariantError` is a fault of
this node: the driver halts and keeps its data. `p2penergy.blocks.InvalidBlockError` is the
application's and the chain's verdict on a block; the core turns it into a refusal.
"""


class InvariantError(Exception):
    """Something that can't happen in a correct node has happened; the node must halt."""


class RefusedError(Exception):
    """A peer's message breaks a rule; `code` names it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
