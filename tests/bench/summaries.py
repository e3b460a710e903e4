"""Made-up results for tests of what is done with results."""

from bench.results import Point, Row, Run, Summary, row


def made_up_row(
    experiment: str = "faults",
    name: str = "peak",
    *,
    n: int = 4,
    fault: str = "none",
    faulty: int = 0,
    throughput: float = 1000.0,
    p50: float = 100.0,
    workload: str = "trades",
    invalid: str = "",
    **costs: float,
) -> Row:
    runs = [
        Run(
            rate_offered=throughput,
            throughput=throughput * factor,
            latency_ms={"p50": p50 * factor, "p90": p50 * 1.5, "p99": p50 * 2 * factor, "p99_9": p50 * 3},
            signature_limit=None if workload == "0/0" else 20_000 / n,
            costs=costs,
            invalid_because=(invalid,) if invalid else (),
        )
        for factor in (0.95, 1.0, 1.1)
    ]
    point = Point(
        experiment=experiment, name=name, workload=workload, n=n, f=(n - 1) // 3, faulty=faulty, fault=fault
    )
    return row(point, runs)


def whole_summary() -> Summary:
    """A summary with rows of every experiment."""
    rows = []
    for f in (1, 2, 3):
        n = 3 * f + 1
        for fault, left in (
            ("none", 1.0),
            ("silent", 0.75),
            ("crashed", 0.8),
            ("equivocating", 0.6),
            ("slow", 0.9),
        ):
            faulty = 0 if fault == "none" else f
            for name, part in (("peak", 1.0), ("half of peak", 0.5)):
                got = 2400 / f * left * part
                rows.append(
                    made_up_row(
                        "faults", name, n=n, fault=fault, faulty=faulty, throughput=got, p50=200 / left
                    )
                )
    for n in (4, 7, 10):
        for workload, got in (("trades", 12_000), ("signed-256", 24_000), ("0/0", 90_000)):
            rows.append(made_up_row("peak", "peak", n=n, workload=workload, throughput=got / n))
        rows.append(
            made_up_row(
                "scale",
                "100/s",
                n=n,
                throughput=100,
                messages_per_request=n * 1.2,
                bytes_per_request=n * 1500,
                cpu_ms_per_request=n * 0.6,
            )
        )
    rows.append(made_up_row("latency", "lone", throughput=0.7, p50=4.2))
    for share, p50 in ((0.1, 150.0), (0.25, 170.0), (0.5, 220.0), (0.9, 400.0), (1.0, 700.0), (1.2, 2500.0)):
        rows.append(made_up_row("latency", f"{share:.0%} of peak", throughput=2400 * share, p50=p50))
    for delay in (0, 25, 100):
        rows.append(made_up_row("wan", f"{delay} ms", throughput=200, p50=250 + 6 * delay))
        rows.append(made_up_row("wan", f"{delay} ms, 10 Mbit/s", throughput=200, p50=300 + 7 * delay))
    for requests in (2_000, 20_000, 100_000):
        figures = {"catch_up_s": requests / 9000, "start_up_s": 0.8 + requests / 60_000}
        rows.append(made_up_row("catchup", f"{requests} requests", requests=requests, **figures))
    return Summary(
        command="all",
        quick=False,
        machine={"processor": "A processor", "cores": 2, "commit": "0123456789ab"},
        settings={"runs": 3, "alpha_ms": 500},
        rows=rows,
        extra={
            "timelines": {
                "n = 4, run 1": {
                    "bucket_s": 0.5,
                    "answered": [500] * 10 + [400, 0, 500, 900, 500, 0, 900] + [500] * 12,
                    "down_at_s": 5.0,
                    "up_at_s": 8.5,
                    "slots_without_block_max": 1,
                }
            },
            "stages_ms": {
                "n = 4, half of peak": {
                    "queue": 210.0,
                    "pre_prepare": 60.0,
                    "prepare": 25.0,
                    "commit": 22.0,
                    "reply": 12.0,
                },
                "n = 7, half of peak": {
                    "queue": 230.0,
                    "pre_prepare": 120.0,
                    "prepare": 45.0,
                    "commit": 50.0,
                    "reply": 30.0,
                },
            },
        },
    )
