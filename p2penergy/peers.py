"""Names of peers on the mesh, and the participants behind them.

A peer's name is its participant id (20 bytes), followed by a label where one device holds several
links: a validator's household agent is the participant with the label AGENT. A labelled peer is a
client of the node it dials, never a node itself.
"""

PARTICIPANT_ID_BYTES = 20
AGENT_LABEL = b"agent"


def participant_of(peer: bytes) -> bytes:
    """The 20-byte participant id behind a peer's name."""
    return peer[:PARTICIPANT_ID_BYTES]


def agent_of(participant_id: bytes) -> bytes:
    """The name under which a participant's household agent dials the nodes."""
    return participant_id + AGENT_LABEL
