"""Benchmarks: throughput and latency of a real network of processes, measured honestly.

Run as `python -m bench ...` from the repository; not part of the installed package. Read `cli`,
`experiment` and `measurement` first. `member` and `applications` hold what no real network may run:
faulty validators and an application without signatures; `p2penergy start` cannot reach them.
"""
