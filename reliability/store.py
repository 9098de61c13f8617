"""The simulated store: the memory backend as the reference model, behind the network, audited."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from reliability.expected import rows_of
from reliability.history import Commit
from reliability.network import Network
from stepgraph.adapters.memory import Memory
from stepgraph.adapters.memory.role_scheduler import MemoryMembers
from stepgraph.adapters.memory.history_store import MemoryHistoryStore, MemoryLostRuns
from stepgraph.adapters.memory.record_store import MemoryRecordStore
from stepgraph.adapters.memory.storage import MemoryStorage
from stepgraph.adapters.memory.work_queue import MemoryWorkQueue
from stepgraph.errors import RefusedError
from stepgraph.model.queue import ParkedRow, QueueKey, QueueRow, Want
from stepgraph.model.record import Record
from stepgraph.model.slot import slot_of
from stepgraph.model.topic import relay_consumer, step_topic
from stepgraph.model.write import BUSY, COMMITTED, Result, Write

UNSTORABLE = b"unstorable"
_AHEAD = 400_000_000  # no clock of a world is wrong by so many microseconds


class AuditedStore(MemoryRecordStore):
    """Tells of every write that was applied, beside whatever the write says of itself."""

    def __init__(self, storage: MemoryStorage, applied: Callable[..., None]) -> None:
        super().__init__(storage)
        self._applied = applied

    def _apply(self, write: Write) -> Result:
        records = self._storage.records
        before = records.get(write.record.run_id)
        result = super()._apply(write)
        if result is COMMITTED and before is not records.get(write.record.run_id):
            self._applied(write, before)
        return result


class StoreServer:
    """What is behind the network: one storage, and who watches it."""

    def __init__(self, world: Any, slot_count: int) -> None:
        self.world = world
        self.slot_count = slot_count
        self.memory = Memory()
        self.storage = MemoryStorage()
        self.memory._attach(self.storage, MemoryMembers())
        self.records = AuditedStore(self.storage, self._applied)
        self.queue = MemoryWorkQueue(self.storage)
        self.history = MemoryHistoryStore(self.storage)
        self.lost = MemoryLostRuns(self.storage)
        self.listeners: dict[str, Callable[[], None]] = {}
        self.is_mixed = False
        self._decode = msgspec.json.Decoder().decode

    def now(self) -> int:
        """Return the store's own clock, in microseconds."""
        return int(self.world.microseconds("store"))

    def commit(
        self, node: str, writes: tuple[Write, ...], finished: tuple[QueueKey, ...]
    ) -> list[Result]:
        """Apply a call; a deadlock refuses all of it, a lock some of its writes."""
        self._check_call(writes)
        network: Network = self.world.network
        if any(UNSTORABLE in write.record.object for write in writes):
            self.world.goal("a write was refused for good")
            self._count_refusals(writes)
            raise RefusedError("the object cannot be stored")
        if network.find("refused") is not None:
            self.world.goal("a call met a deadlock")
            self._count_refusals(writes)
            raise RefusedError("deadlock")
        results: list[Result] = []
        for write in writes:
            if network.find("busy") is not None:
                self.world.goal("a row was locked")
                results.append(BUSY)
                continue
            (result,) = self._apply(write)
            results.append(result)
        self.finish(finished)
        self.world.note("commit", node, [type(result).__name__ for result in results])
        return results

    def _count_refusals(self, writes: Sequence[Write]) -> None:
        refusals = self.world.history.refusals
        for write in writes:
            place = (write.record.run_id, write.record.version)
            refusals[place] = refusals.get(place, 0) + 1

    def _apply(self, write: Write) -> list[Result]:
        before = len(self.world.history.commits)
        result = self.records._apply(write)  # noqa: SLF001 -- the model's own rule
        if result is COMMITTED and len(self.world.history.commits) == before:
            self.world.goal("a repeated write was answered as the first time")
        elif result is not COMMITTED:
            self.world.goal(f"a write met {type(result).__name__}")
        return [result]

    def _check_call(self, writes: Sequence[Write]) -> None:
        """What the port says that the caller promises."""
        runs = [write.record.run_id for write in writes]
        owners = [w.record.foreign_id for w in writes if w.expected_version == 0]
        kinds = {write.expected_version == 0 for write in writes}
        if len(set(runs)) < len(runs):
            self.world.broken("I6", f"two writes of one run in one call: {runs}")
        if len(kinds) > 1 or len({(w.record.workflow, w.record.foreign_id) for w in writes}) < len(
            owners
        ):
            self.world.broken("I12", f"a call mixes creates, or has two of one owner: {owners}")

    def finish(self, keys: Sequence[QueueKey]) -> None:
        """Delete queue rows whose work came to nothing."""
        for key in keys:
            row = self.storage.finish(key)
            if row is not None:
                self._look_at(row, "a finished row")

    def put(self, rows: Sequence[tuple[QueueKey | None, QueueRow]]) -> None:
        """Put rows, in place of others."""
        for key, row in rows:
            if key is None or self.storage.finish(key) is not None:
                self.storage.queue(row.consumer, row.slot).put(row)
                self._look_at(row, "a moved row")

    def park(self, rows: Sequence[QueueRow], error: str, now: int) -> None:
        """Move rows to the dead letters."""
        for row in rows:
            key = row.key
            was_there = self.storage.queue(row.consumer, row.slot).rows.get((row.due_at, row.id))
            if was_there is not None:
                self.storage.finish(key)
                self.storage.parked[key] = ParkedRow(row, error, now)
                self.world.history.parked.append((row.consumer, row.run_id, row.version))
                self.world.goal("a row was parked")
                self._look_at_letter(row)
                if row.consumer.split("/")[1] == "step":
                    self.world.broken("I19", f"work of a step was parked: {row.id}")

    def _look_at_letter(self, row: QueueRow) -> None:
        """Without faults no early callback is given up while its run has long been waiting."""
        run_id = self.storage.open_runs.get((row.workflow, row.foreign_id))
        if not row.consumer.endswith("/inbox") or self.world.config.faults or run_id is None:
            return
        record = self.storage.records[run_id]
        waited = (self.now() - record.updated_at) / 1e6
        if record.status == 3 and record.run_state in (1, 2) and waited > 5:
            self.world.broken("I32", f"a letter to {row.foreign_id} was parked, which waits for it")

    def due(self, wants: Sequence[Want], now: int) -> list[QueueRow]:
        """Return what is due by both clocks, unless the caller looks ahead on purpose."""
        if now - self.now() < _AHEAD:
            now = min(now, self.now())
        return [row for want in wants for row in self.queue._due(want, now)]  # noqa: SLF001

    def adopt(self, workflow: str, rows: Mapping[int, str], now: int) -> int:
        """Queue runs whose status has a step only now."""
        found = [
            record
            for record in self.storage.records.values()
            if (record.workflow, record.next) == (workflow, "no_step")
            and record.run_state in (1, 2)
            and record.status in rows
        ]
        for record in found:
            self.storage.records[record.run_id] = replace(record, next="step", due_at=now)
            slot = slot_of(record.run_id, self.slot_count)
            row = QueueRow(
                rows[record.status], slot, now, record.run_id, workflow, record.foreign_id,
                record.run_id, record.version, record.attempt,
            )  # fmt: skip
            self.storage.queue(row.consumer, slot).put(row)
        return len(found)

    def _applied(self, write: Write, before: Record | None) -> None:
        record, history = write.record, write.history
        data: Any = self._decode(record.object)
        is_plain = isinstance(data, dict) and "tokens" in data
        commit = Commit(
            round(self.world.loop.time(), 6),
            record.workflow,
            record.run_id,
            record.foreign_id,
            record.version,
            record.status,
            record.run_state,
            write.write_id.hex(),
            tuple(data["tokens"]) if is_plain else (),
            record.attempt,
            history is None,
            record.next,
            record.due_at,
            record.entered_version,
            record.progress_version,
            record.created_at,
            record.updated_at,
            history.actor if history is not None else "",
            history.cause if history is not None else "",
            data["origin"] if is_plain else "",
            "keyed" if record.is_keyed else "",
            not is_plain or bool(data.get("is_blank")),
        )
        self.world.history.commits.append(commit)
        self.world.note("applied", *commit[1:9])
        if write.history is not None and record.attempt == 0:
            self._look_at_rows(record, before)
        self._look_at_waiting(record, "a commit")

    def _look_at(self, row: QueueRow, what: str) -> None:
        record = self.storage.records.get(row.run_id)
        if record is not None and row.consumer.split("/")[1] in ("step", "relay"):
            self._look_at_waiting(record, what)

    def _look_at_waiting(self, record: Record, what: str) -> None:
        """A run that waits for its step has a row that says so, at every instant."""
        if record.run_state not in (1, 2) or record.next not in ("step", "delay", "retry"):
            return
        slot = slot_of(record.run_id, self.slot_count)
        step = step_topic(record.workflow, record.status)
        names = [step, relay_consumer(record.workflow)] if self.is_mixed else [step]
        if any(self._has_row(name, slot, record) for name in names):
            return
        if self.is_mixed and record.attempt == 0:
            if (record.run_id, record.version) in self.world.stream.accepted:
                return
        state = f"{record.foreign_id} at version {record.version}, attempt {record.attempt}"
        self.world.broken("I16", f"after {what}, {state} waits for {record.next} without a row")

    def _has_row(self, consumer: str, slot: int, record: Record) -> bool:
        queue = self.storage.queues.get((consumer, slot))
        return queue is not None and any(
            (row.run_id, row.version, row.attempt)
            == (record.run_id, record.version, record.attempt)
            for row in queue.rows.values()
        )

    def _look_at_rows(self, record: Record, before: Record | None) -> None:
        """What a change causes beside a step's work is queued in the same write."""
        for consumer, row_id in rows_of(record, before):
            slot = slot_of(record.run_id, self.slot_count)
            queue = self.storage.queues.get((consumer, slot))
            if queue is None or not any(place[1] == row_id for place in queue.rows):
                self.world.broken("I16", f"{record.foreign_id}: no row {row_id} for {consumer}")
