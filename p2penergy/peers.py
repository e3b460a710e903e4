"""Names of peers on the mesh, and the participants behind them.

A peer's name is its participant id (20 bytes), followed by a label where one device holds several
links: a validator's household agent is the participant with the label AGENT, and a person who asks a
node something a label of that moment. A labelled peer is a client of the node it dials, never a node itself.
The label GUEST is for a member that shows a certificate of another key than the registered one: until the
ledger knows that key it may do no more than somebody who is no member.
"""

import os

PARTICIPANT_ID_BYTES = 20
AGENT_LABEL = b"agent"
GUEST_LABEL = b"guest"


def participant_of(peer: bytes) -> bytes:
    """The 20-byte participant id behind a peer's name."""
    return peer[:PARTICIPANT_ID_BYTES]


def agent_of(participant_id: bytes) -> bytes:
    """The name under which a participant's household agent dials the nodes."""
    return participant_id + AGENT_LABEL


def guest_of(participant_id: bytes) -> bytes:
    """The name of a participant whose certificate is good, and whose key the ledger does not know."""
    return participant_id + GUEST_LABEL


def is_guest(peer: bytes) -> bool:
    """Whether a peer was named a guest; a newcomer, whom no ledger knows, need not be."""
    return peer[PARTICIPANT_ID_BYTES:].startswith(GUEST_LABEL)


def operator_of(participant_id: bytes) -> bytes:
    """A name for one run of a command, so that it ends neither the agent's link nor another run's."""
    return participant_id + b"op" + os.urandom(3).hex().encode()
