"""What a running node answers over HTTP: /health, /ready, /status, /metrics.

Lives here: the four answers, and whether a node is ready. Never here: sockets (`http`), figures (`metrics`).
None of them changes anything, and none of them is secret to whoever may reach the listener.
"""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

from p2penergy.config import ConfigError, parse_address
from p2penergy.consensus.effects import Decision
from p2penergy.coordinator import wall_clock_ms
from p2penergy.genesis import Genesis
from p2penergy.node import Node
from p2penergy.operations.http import PLAIN, Answer, HttpListener
from p2penergy.operations.metrics import CONTENT_TYPE, NodeMetrics

STALE_SLOTS = 10
STALE_SLOTS_PER_VALIDATOR = 4
"""A chain without a block for so long does not move: leaders propose empty blocks much earlier."""


def hindrances(status: Mapping[str, Any], genesis: Genesis) -> list[str]:
    """Why a node is not ready, in sentences; none when it is.

    Ready means: connected to a quorum, and its last block is one of these days.
    """
    rules = genesis.consensus
    validators = set(status["committee"])
    quorum = len(validators) - (len(validators) - 1) // 3
    there = len(validators & {status["name"], *status["connected"]})
    found = []
    if there < quorum:
        found.append(f"{there} of {len(validators)} validators are connected, {quorum} are needed")
    slot = max(0, status["now_ms"] - rules.t0_ms) // rules.alpha_ms
    behind, stale = slot - status["slot"], STALE_SLOTS + STALE_SLOTS_PER_VALIDATOR * len(validators)
    if behind > stale:
        found.append(f"the last block is {behind} slots old, more than {stale}")
    return found


class Gateway:
    """The answers about one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._genesis = node.home.genesis
        self._metrics = NodeMetrics(node, lambda status: not hindrances(status, self._genesis))
        node.on_decided = self._decided
        self.listener = HttpListener(
            {
                "/health": self._health,
                "/ready": self._ready,
                "/status": self._status,
                "/metrics": lambda: Answer(HTTPStatus.OK, CONTENT_TYPE, self._metrics.render()),
            }
        )

    def _decided(self, decision: Decision) -> None:
        self._metrics.decided(decision, wall_clock_ms())

    def _health(self) -> Answer:
        # Whoever answers has a live event loop; a node that halts ends its process.
        return Answer(HTTPStatus.OK, PLAIN, b"ok\n")

    def _ready(self) -> Answer:
        why = hindrances(self._node.status(), self._genesis)
        if why:
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, PLAIN, "\n".join([*why, ""]).encode())
        return Answer(HTTPStatus.OK, PLAIN, b"ready\n")

    def _status(self) -> Answer:
        body = json.dumps(self._node.status(), indent=2).encode() + b"\n"
        return Answer(HTTPStatus.OK, "application/json", body)


@contextlib.asynccontextmanager
async def serving(node: Node) -> AsyncIterator[Gateway | None]:
    """Serve the node's gateway while the block lasts, if its settings switch it on.

    Raises:
        ConfigError: it can't listen there.
    """
    address = node.home.config.gateway.listen
    if not address:
        yield None
        return
    gateway = Gateway(node)
    try:
        await gateway.listener.start(*parse_address(address))
    except OSError as error:
        raise ConfigError(
            f"[gateway] listen: {address} can't be listened on ({error.strerror or error}): "
            "choose another address in config.toml"
        ) from None
    try:
        yield gateway
    finally:
        await gateway.listener.stop()
