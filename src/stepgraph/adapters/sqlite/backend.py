"""SQLite: every port over one file, for any number of processes on one machine."""

from __future__ import annotations

import os
from typing import Literal

from stepgraph.adapters.sqlite.backlog import SQLiteBacklog
from stepgraph.adapters.sqlite.census import SQLiteCensus
from stepgraph.adapters.sqlite.child_store import SQLiteChildStore
from stepgraph.adapters.sqlite.connection import SQLiteFile
from stepgraph.adapters.sqlite.definition_store import SQLiteDefinitionStore
from stepgraph.adapters.sqlite.event_streamer import SQLiteEventStreamer
from stepgraph.adapters.sqlite.hints import SQLiteHints
from stepgraph.adapters.sqlite.history_store import SQLiteHistoryStore, SQLiteLostRuns
from stepgraph.adapters.sqlite.migrations import migrate
from stepgraph.adapters.sqlite.record_store import SQLiteRecordStore
from stepgraph.adapters.sqlite.retention_store import SQLiteRetentionStore
from stepgraph.adapters.sqlite.role_scheduler import SQLiteRoleScheduler
from stepgraph.adapters.sqlite.schedule_store import SQLiteScheduleStore
from stepgraph.adapters.sqlite.timeout_store import SQLiteTimeoutStore
from stepgraph.adapters.sqlite.work_queue import SQLiteWorkQueue
from stepgraph.ports.capabilities import Capabilities
from stepgraph.ports.log import Log

_log = Log("stepgraph.sqlite")


class SQLite:
    """Runs, their history, roles and timers in one file on a local disk.

    `synchronous="FULL"` (the default) keeps every answered commit through a power loss;
    `"NORMAL"` may lose the last ones then, and stays consistent. Beside the file stand its
    write-ahead log, a lock file, and one lease file and one socket for each live process.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, synchronous: Literal["FULL", "NORMAL"] = "FULL"
    ) -> None:
        """Name the file; it is opened, and made if need be, when a workflow is."""
        file = SQLiteFile(os.fspath(path), synchronous)
        durability: Literal["durable", "process"] = (
            "durable" if synchronous == "FULL" else "process"
        )
        capabilities = Capabilities(durability=durability, is_shared=True)
        self._file = file
        self.record_store = SQLiteRecordStore(file, capabilities)
        self.work_queue = SQLiteWorkQueue(file)
        self.backlog = SQLiteBacklog(file)
        self.history_store = SQLiteHistoryStore(file)
        self.retention_store = SQLiteRetentionStore(file)
        self.child_store = SQLiteChildStore(file)
        self.lost_runs = SQLiteLostRuns(file)
        self.census = SQLiteCensus(file)
        self.definition_store = SQLiteDefinitionStore(file)
        self.schedule_store = SQLiteScheduleStore(file)
        self.hints = SQLiteHints(file.path)
        self.event_streamer = SQLiteEventStreamer(file, capabilities)
        self.timeout_store = SQLiteTimeoutStore(file, capabilities)
        self.role_scheduler = SQLiteRoleScheduler(file, capabilities)

    async def open(self) -> None:
        """Open the file and bring its schema up to date, one process at a time."""
        await self._file.open()
        try:
            applied = await self._file.change_schema(migrate)
        except BaseException:
            await self._file.close()
            raise
        if applied:
            _log.info("%s: %d schema changes applied", self._file.path, applied)

    async def close(self) -> None:
        """Close the file."""
        self.hints.stop()
        await self._file.close()
