"""PostgreSQL: the raw limits and the engine, alternated on a private server with its own settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg

from benchmarks.measure import idle_cost, latencies, throughput
from benchmarks.raw_postgres import raw_runs_per_second
from stepgraph.adapters.postgres import Postgres
from tools.services import MissingServiceError, PostgresService


def measure(repeats: int, runs: int, order: bytes, note: Callable[[str, float], None]) -> None:
    """Note what `repeats` rounds show; a machine without the server is told of."""
    service = PostgresService()
    try:
        service.install()
        service.start()
    except MissingServiceError as error:
        print(f"PostgreSQL is not measured here: {error}")
        return
    try:
        for _ in range(repeats):
            _round(service.url, runs, order, note)
        asyncio.run(_anew(service.url))
        idle = asyncio.run(idle_cost(Postgres(service.url), seconds=10))
        note("PostgreSQL, idle process, part of a core", idle)
    finally:
        service.stop()


def _round(url: str, runs: int, order: bytes, note: Callable[[str, float], None]) -> None:
    asyncio.run(_anew(url))
    raw = asyncio.run(raw_runs_per_second(url, runs=runs, order=order, is_plain=True))
    note("raw asyncpg, five statements, runs/s", raw)
    asyncio.run(_anew(url))
    single = asyncio.run(raw_runs_per_second(url, runs=runs, order=order, is_plain=False))
    note("raw asyncpg, one statement, runs/s", single)
    asyncio.run(_anew(url))
    engine = asyncio.run(throughput(Postgres(url), callers=256, runs=runs))
    note("PostgreSQL, runs/s", engine.runs_per_second)
    note("PostgreSQL, share of the raw limit", engine.runs_per_second / raw)
    note("PostgreSQL, share of the one statement", engine.runs_per_second / single)
    note("PostgreSQL, CPU us a run", engine.cpu_microseconds_per_run)
    asyncio.run(_anew(url))
    times = asyncio.run(latencies(Postgres(url), runs=300))
    note("PostgreSQL, idle latency p50 ms", times[len(times) // 2])
    note("PostgreSQL, idle latency p99 ms", times[len(times) * 99 // 100])


async def _anew(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("drop schema if exists stepgraph cascade; checkpoint")
    await connection.close()
    await Postgres(url).migrate()
