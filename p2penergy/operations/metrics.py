"""What a node tells Prometheus: every metric once, with its unit, taken from the node when it is asked.

Lives here: names, units, help, and where each figure comes from. Never here: counting (the node's own
counters are read, nothing is counted twice), HTTP. The table of docs/operating.md is `METRICS`, and a test
compares the two.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from p2penergy.consensus.effects import Decision
from p2penergy.genesis import ConsensusRules
from p2penergy.node import Node

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DELAY_BUCKETS_S = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


class Described(NamedTuple):
    """One metric, as the table of the documentation has it."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    unit: str
    help: str
    labels: tuple[str, ...] = ()


METRICS = (
    Described("p2penergy_build_info", "gauge", "1", "Program, protocol, role and chain, as labels",
              ("version", "protocol", "role", "chain_id")),
    Described("p2penergy_alpha_seconds", "gauge", "seconds", "Length of a slot, from genesis"),
    Described("p2penergy_validators", "gauge", "members", "Committee of the height that is worked on"),
    Described("p2penergy_clock_timestamp_seconds", "gauge", "seconds", "The node's clock, unix time"),
    Described("p2penergy_height_blocks", "gauge", "blocks", "Decided blocks"),
    Described("p2penergy_tip_slot", "gauge", "slots", "Slot of the last decided block"),
    Described("p2penergy_present_slot", "gauge", "slots", "Slot of this moment by the node's clock"),
    Described("p2penergy_view", "gauge", "views", "View of the height that is worked on"),
    Described("p2penergy_connected_nodes", "gauge", "nodes", "Other nodes that are connected"),
    Described("p2penergy_ready", "gauge", "1", "1 when /ready says yes"),
    Described("p2penergy_pending_transactions", "gauge", "transactions", "Waiting in the pool"),
    Described("p2penergy_waiting_for_disk_steps", "gauge", "steps", "Steps that wait until they are durable"),
    Described("p2penergy_durable_commits_total", "counter", "commits", "Commits to the ledger's file"),
    Described("p2penergy_decided_blocks_total", "counter", "blocks",
              "Blocks decided since the start, by voting (live) or fetched (caught_up)", ("way",)),
    Described("p2penergy_decided_transactions_total", "counter", "transactions",
              "Transactions in blocks decided since the start"),
    Described("p2penergy_decision_delay_seconds", "histogram", "seconds",
              "From the start of a block's slot until it is durable here"),
    Described("p2penergy_leader_slots_total", "counter", "slots",
              "Slots that Equation (1) gave to a leader since the start", ("leader",)),
    Described("p2penergy_leader_blocks_total", "counter", "blocks",
              "Blocks of a leader decided since the start", ("leader",)),
    Described("p2penergy_leader_mismatches_total", "counter", "blocks",
              "Blocks whose proposer is not the slot's leader; never anything but 0"),
    Described("p2penergy_consensus_events_total", "counter", "events", "What the core did", ("event",)),
    Described("p2penergy_refused_total", "counter", "messages", "What was refused, by reason", ("code",)),
    Described("p2penergy_transport_bytes_total", "counter", "bytes", "Bytes on all links", ("direction",)),
    Described("p2penergy_transport_frames_total", "counter", "frames", "Frames on all links", ("direction",)),
    Described("p2penergy_transport_events_total", "counter", "events",
              "Links made, lost, dialled, refused", ("event",)),
)  # fmt: skip
"""All but those of the process itself, whose names start with `process_`."""

_BY_NAME = {each.name: each for each in METRICS}
_DIRECTIONS = ("in", "out")
_TRAFFIC = frozenset(f"{what}_{way}" for what in ("bytes", "frames") for way in _DIRECTIONS)


class NodeMetrics(Collector):
    """The metrics of one node; asks it anew at every scrape."""

    def __init__(self, node: Node, ready: Callable[[Mapping[str, Any]], bool]) -> None:
        """`ready` answers whether the node is ready, from its status."""
        self._node = node
        self._ready = ready
        self._rules: ConsensusRules = node.home.genesis.consensus
        # A second series per counter that says when it began: the process' own start says it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        self._delay = Histogram(
            "p2penergy_decision_delay_seconds",
            _BY_NAME["p2penergy_decision_delay_seconds"].help,
            buckets=DELAY_BUCKETS_S,
            registry=self.registry,
        )
        self._blocks = self._counter("p2penergy_decided_blocks_total")
        self._transactions = self._counter("p2penergy_decided_transactions_total")

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def decided(self, decision: Decision, now_ms: int) -> None:
        """A block became durable."""
        self._blocks.labels("caught_up" if decision.caught_up else "live").inc()
        self._transactions.inc(len(decision.block.transactions))
        if not decision.caught_up:
            start_ms = self._rules.t0_ms + decision.block.header.slot * self._rules.alpha_ms
            self._delay.observe(max(0, now_ms - start_ms) / 1000)

    def collect(self) -> Iterator[Metric]:
        """The figures that the node's status holds."""
        status = self._node.status()
        for name, figure in self._gauges(status).items():
            yield GaugeMetricFamily(name, _BY_NAME[name].help, value=figure)
        yield _labelled(
            "p2penergy_build_info",
            {(status["version"], str(status["protocol"]), status["role"], status["chain_id"]): 1},
        )
        yield _labelled("p2penergy_durable_commits_total", {(): status["durable_commits"]})
        yield _labelled("p2penergy_leader_mismatches_total", {(): status["leader_mismatches"]})
        yield _labelled("p2penergy_leader_slots_total", _keyed(status["slots_by_leader"]))
        yield _labelled("p2penergy_leader_blocks_total", _keyed(status["blocks_by_leader"]))
        yield _labelled("p2penergy_consensus_events_total", _keyed(status["consensus"]))
        yield _labelled("p2penergy_refused_total", _keyed(status["refused"]))
        transport = status["transport"]
        for what in ("bytes", "frames"):
            ways = {way: transport.get(f"{what}_{way}", 0) for way in _DIRECTIONS}
            yield _labelled(f"p2penergy_transport_{what}_total", _keyed(ways))
        events = {name: count for name, count in transport.items() if name not in _TRAFFIC}
        yield _labelled("p2penergy_transport_events_total", _keyed(events))

    def _gauges(self, status: Mapping[str, Any]) -> dict[str, float]:
        return {
            "p2penergy_alpha_seconds": self._rules.alpha_ms / 1000,
            "p2penergy_validators": len(status["committee"]),
            "p2penergy_clock_timestamp_seconds": status["now_ms"] / 1000,
            "p2penergy_height_blocks": status["height"],
            "p2penergy_tip_slot": status["slot"],
            "p2penergy_present_slot": max(0, status["now_ms"] - self._rules.t0_ms) // self._rules.alpha_ms,
            "p2penergy_view": status["view"],
            "p2penergy_connected_nodes": len(status["connected"]),
            "p2penergy_ready": int(self._ready(status)),
            "p2penergy_pending_transactions": status["pending"],
            "p2penergy_waiting_for_disk_steps": status["waiting_for_disk"],
        }

    def _counter(self, name: str) -> Counter:
        described = _BY_NAME[name]
        return Counter(name, described.help, described.labels, registry=self.registry)


def _keyed(figures: Mapping[str, int]) -> dict[tuple[str, ...], float]:
    return {(name,): count for name, count in sorted(figures.items())}


def _labelled(name: str, figures: Mapping[tuple[str, ...], float]) -> Metric:
    described = _BY_NAME[name]
    family: GaugeMetricFamily | CounterMetricFamily
    if described.kind == "gauge":
        family = GaugeMetricFamily(name, described.help, labels=described.labels)
    else:
        family = CounterMetricFamily(name, described.help, labels=described.labels)
    for labels, value in figures.items():
        family.add_metric(labels, value)
    return family
