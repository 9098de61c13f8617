"""Aftermath: what is looked at once, when a world has ended."""

from __future__ import annotations

from typing import Any


def look_for_canaries(world: Any) -> None:
    """After a deletion nothing that is stored may hold the object."""
    storage = world.store.storage
    for record in storage.records.values():
        if record.run_state != 6:
            continue
        world.goal("a run's data was deleted")
        rows = [row for q in storage.queues.values() for row in q.rows.values()]
        told = [
            r
            for r in [*rows, *(p.row for p in storage.parked.values())]
            if r.run_id == record.run_id
        ]
        text = repr((record, storage.history.get(record.run_id), told))
        if "yranac" in text:
            world.history.canaries.append(f"{record.foreign_id} {record.run_id}")


def look_at_histories(world: Any) -> None:
    """The history tells of every write that raised a version or counted an attempt, once."""
    written: dict[str, list[tuple[int, int, str]]] = {}
    for commit in world.history.commits:
        if not commit.is_skip:
            row = (commit.version, commit.attempt, commit.write_id)
            written.setdefault(commit.run_id, []).append(row)
    for run_id, rows in written.items():
        stored = [
            (row.version, row.attempt, row.write_id.hex())
            for row in world.store.storage.history.get(run_id, ())
        ]
        if sorted(stored) != sorted(rows):
            world.broken("I16", f"the history of {run_id} is not what was written")


def look_at_nodes(world: Any) -> None:
    """At rest nobody holds anything in memory."""
    for node in [*world.nodes, world.client]:
        for workflow in node.workflows if node.is_up else ():
            supervisor = workflow.opened()
            instance = supervisor.instance
            counts = {
                "awaited runs": len(instance.awaiting._waiters),
                "moving rows": len(instance.mover._moves),
                "writes": len(instance.committer._changes._pending),
                "work": sum(len(c.inbox.in_hand) for c in supervisor._consumers),
                "tasks": max(0, len(supervisor._tasks._tasks) - 200),
            }
            left = {name: count for name, count in counts.items() if count}
            if left and world.history.is_quiescent:
                world.broken("I41", f"{node.id} still has {left}")
