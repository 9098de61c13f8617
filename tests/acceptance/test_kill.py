"""kill -9 at random moments: nothing is lost, nothing happens twice in the record."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from stepgraph import RunState, Trigger
from stepgraph.adapters.sqlite import SQLite
from tests.flows import Order, Status, three_steps

RUNS = int(os.environ.get("STEPGRAPH_KILL_RUNS", "20000"))
KILLS = int(os.environ.get("STEPGRAPH_KILLS", "200"))
EDGES = {(1, 1), (1, 2), (2, 3), (3, 4)}


def start_worker(path: Path) -> subprocess.Popen[bytes]:
    """Start one worker process."""
    return subprocess.Popen([sys.executable, "-m", "tests.acceptance.worker", str(path)])


async def kill_and_start_again(workers, path, chance):
    """Kill a worker, or both, at a random moment, and start what was killed."""
    await asyncio.sleep(chance.uniform(0.05, 0.55))
    for place in chance.choice([[0], [1], [0, 1]]):
        workers[place].kill()
        workers[place].wait()
        workers[place] = start_worker(path)


async def test_two_workers_are_killed_while_runs_flow(tmp_path):
    path = tmp_path / "runs.db"
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    flow = three_steps()
    workflow = flow.build(SQLite(path))
    async with workflow.client():
        workers = [start_worker(path) for _ in range(2)]
        try:
            for kill in range(KILLS):
                first, last = kill * RUNS // KILLS, (kill + 1) * RUNS // KILLS
                wishes = [Trigger(f"o-{i}", Order(i), idempotency_key="k") for i in range(first, last)]
                results = await workflow.trigger_many(wishes)
                assert all(result.error is None for result in results)
                await kill_and_start_again(workers, path, chance)
            async with asyncio.timeout(120):
                while await asyncio.to_thread(count_open, path):
                    await asyncio.sleep(0.1)
            async with asyncio.timeout(60):
                while not await asyncio.to_thread(have_joined, path, workers):
                    await asyncio.sleep(0.1)
        finally:
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
            codes = [worker.wait(60) for worker in workers]
    assert codes == [0, 0]
    check(path)


def count_open(path: Path) -> int:
    """Return how many runs are open."""
    with sqlite3.connect(path) as connection:
        row = connection.execute("select count(*) from run where is_open").fetchone()
    connection.close()
    return row[0]


def have_joined(path, workers) -> bool:
    """Return whether both workers run: before that a signal finds no handler of ours."""
    with sqlite3.connect(path) as connection:
        members = [row[0] for row in connection.execute("select id from instance")]
    connection.close()
    return all(any(f"-{worker.pid}/" in member for member in members) for worker in workers)


def check(path: Path) -> None:
    """Read the file with nothing of ours: every run is whole."""
    connection = sqlite3.connect(path)
    assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    runs = connection.execute("select run_id, foreign_id, run_state, status, version, object from run").fetchall()
    assert len(runs) == RUNS
    assert len({foreign_id for _, foreign_id, *_ in runs}) == RUNS
    assert {(state, status) for _, _, state, status, *_ in runs} == {(RunState.COMPLETED, Status.SENT)}
    history = {}
    query = "select run_id, version, status, write_id from history where attempt = 0 order by run_id, version"
    for run_id, version, status, write_id in connection.execute(query):
        history.setdefault(run_id, []).append((version, status, write_id))
    for run_id, _, _, _, version, data in runs:
        rows = history[run_id]
        assert [row[0] for row in rows] == list(range(1, version + 1))
        assert all((a[1], b[1]) in EDGES for a, b in pairwise(rows))
        assert len({row[2] for row in rows}) == len(rows)
        assert json.loads(data)["seen"] == ["charge", "pack", "send"]
    left = connection.execute("select consumer from queue").fetchall()
    assert left == [("orders/retention",)], "the retention's own row is all that waits"
    connection.close()
