"""Memory: every port in this process's memory, for tests and for work that may be lost."""

from __future__ import annotations

from stepgraph.adapters.memory.backlog import MemoryBacklog
from stepgraph.adapters.memory.census import MemoryCensus
from stepgraph.adapters.memory.child_store import MemoryChildStore
from stepgraph.adapters.memory.definition_store import MemoryDefinitionStore
from stepgraph.adapters.memory.event_streamer import MemoryEventStreamer
from stepgraph.adapters.memory.hints import MemoryHints
from stepgraph.adapters.memory.history_store import MemoryHistoryStore, MemoryLostRuns
from stepgraph.adapters.memory.record_store import MemoryRecordStore
from stepgraph.adapters.memory.retention_store import MemoryRetentionStore
from stepgraph.adapters.memory.role_scheduler import MemoryMembers, MemoryRoleScheduler
from stepgraph.adapters.memory.schedule_store import MemoryScheduleStore
from stepgraph.adapters.memory.storage import MemoryStorage
from stepgraph.adapters.memory.timeout_store import MemoryTimeoutStore
from stepgraph.adapters.memory.work_queue import MemoryWorkQueue


class Memory:
    """Holds everything in memory; nothing survives the process.

    Workflows built on one `Memory()` share it, as they would share a database.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.event_streamer = MemoryEventStreamer()
        self.timeout_store = MemoryTimeoutStore()
        self._attach(MemoryStorage(), MemoryMembers())

    def _attach(self, storage: MemoryStorage, members: MemoryMembers) -> None:
        self._storage = storage
        self._members = members
        self.record_store = MemoryRecordStore(storage)
        self.work_queue = MemoryWorkQueue(storage)
        self.backlog = MemoryBacklog(storage)
        self.history_store = MemoryHistoryStore(storage)
        self.retention_store = MemoryRetentionStore(storage)
        self.child_store = MemoryChildStore(storage)
        self.lost_runs = MemoryLostRuns(storage)
        self.census = MemoryCensus(storage)
        self.definition_store = MemoryDefinitionStore(storage)
        self.schedule_store = MemoryScheduleStore(storage)
        self.hints = MemoryHints(storage)
        self.role_scheduler = MemoryRoleScheduler(members)

    def twin(self) -> Memory:
        """Return another backend over the same storage, as another process would have it."""
        twin = Memory()
        twin.event_streamer = self.event_streamer
        twin.timeout_store = self.timeout_store
        twin._attach(self._storage, self._members)
        return twin

    async def open(self) -> None:
        """Do nothing: there is nothing to connect to."""

    async def close(self) -> None:
        """Stop listening to twins; what is stored stays until the object is dropped."""
        self.hints.stop()
