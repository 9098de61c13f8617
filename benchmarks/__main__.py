"""Measure, print one table, and keep it with the machine it was measured on.

Method. Every figure is the median of `--repeats` runs, alternated: raw limit, SQLite, memory, and
again. Throughput is whole runs of three steps, trigger included, with 256 callers that await each
trigger, counted when the last run's fourth commit is stored. The object is some 200 bytes of JSON.
Files are on the disk of the working folder, `synchronous=FULL`. The raw limit is `raw_sqlite.py`.
Idle latency is one run at a time, from the call of trigger to the return of await_status.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import statistics
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.flow import make_order
from benchmarks import postgres
from benchmarks.measure import idle_cost, latencies, neighbours, throughput
from benchmarks.raw_sqlite import raw_runs_per_second
from stepgraph.adapters.memory import Memory
from stepgraph.adapters.prometheus import Prometheus
from stepgraph.adapters.sqlite import SQLite


def machine() -> dict[str, object]:
    """Describe what this ran on."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "msgspec": msgspec.__version__,
    }


def measure(repeats: int, runs: int, folder: Path) -> dict[str, float]:
    """Alternate the measurements and return medians."""
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    order = msgspec.json.encode(make_order(1))
    for repeat in range(repeats):
        raw = raw_runs_per_second(folder / f"raw-{repeat}.db", runs=runs, order=order)
        note("raw sqlite3, runs/s", raw)
        sqlite = asyncio.run(
            throughput(SQLite(folder / f"runs-{repeat}.db"), callers=256, runs=runs)
        )
        note("SQLite, runs/s", sqlite.runs_per_second)
        note("SQLite, share of the raw limit", sqlite.runs_per_second / raw)
        note("SQLite, CPU us a run", sqlite.cpu_microseconds_per_run)
        memory = asyncio.run(throughput(Memory(), callers=256, runs=runs))
        note("memory, runs/s", memory.runs_per_second)
        note("memory, CPU us a run", memory.cpu_microseconds_per_run)
        observed = asyncio.run(
            throughput(Memory(), callers=256, runs=runs, observers=[Prometheus()])
        )
        note("memory with Prometheus, CPU us a run", observed.cpu_microseconds_per_run)
        for name, backend in (("SQLite", SQLite(folder / f"idle-{repeat}.db")), ("memory", Memory())):
            times = asyncio.run(latencies(backend, runs=500))
            note(f"{name}, idle latency p50 ms", times[len(times) // 2])
            note(f"{name}, idle latency p99 ms", times[len(times) * 99 // 100])
        both = [
            asyncio.run(
                neighbours(SQLite(folder / f"poison-{repeat}-{p}.db"), runs=1000, is_poisoned=p)
            )
            for p in (False, True)
        ]
        without, beside = (times[len(times) * 99 // 100] for times in both)
        note("SQLite, p99 ms of 1,000 runs", without)
        note("SQLite, p99 ms of 1,000 runs beside a poison run", beside)
        note("SQLite, p99 beside a poison run to p99 without", beside / without)
    postgres.measure(repeats, runs, order, note)
    idle = asyncio.run(idle_cost(SQLite(folder / "still.db"), seconds=10))
    note("SQLite, idle process, part of a core", idle)
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runs", type=int, default=20_480)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        figures = measure(given.repeats, given.runs, Path(folder))
    results = {"machine": machine(), "repeats": given.repeats, "runs": given.runs, "median": figures}
    path = Path("benchmarks/results") / f"{datetime.now(UTC):%Y-%m-%d}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    for name, value in figures.items():
        print(f"{name:40} {value:12.3f}")
    print(f"kept in {path}")


if __name__ == "__main__":
    main()
