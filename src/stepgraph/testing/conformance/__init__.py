"""The conformance kit: what every adapter must do, as test classes to inherit.

Six lines prove an adapter::

    class TestMine(RecordStoreSuite, WorkQueueSuite, RetentionSuite, EventStreamerSuite):
        @pytest.fixture
        async def backend(self, tmp_path):
            backend = Mine(tmp_path)
            await backend.open()
            yield backend
            await backend.close()

Every check gets a `backend` that is open and empty. Tests are coroutines: pytest-asyncio's auto
mode runs them.
"""

from stepgraph.testing.conformance.backlog import BacklogSuite
from stepgraph.testing.conformance.census import CensusSuite
from stepgraph.testing.conformance.child_store import ChildStoreSuite
from stepgraph.testing.conformance.connector import ConnectorSuite
from stepgraph.testing.conformance.definition_store import DefinitionStoreSuite
from stepgraph.testing.conformance.event_streamer import EventStreamerSuite
from stepgraph.testing.conformance.record_store import RecordStoreSuite
from stepgraph.testing.conformance.retention import RetentionSuite
from stepgraph.testing.conformance.role_scheduler import RoleSchedulerSuite
from stepgraph.testing.conformance.schedule_store import ScheduleStoreSuite
from stepgraph.testing.conformance.timeout_store import TimeoutStoreSuite
from stepgraph.testing.conformance.work_queue import WorkQueueSuite

__all__ = [
    "BacklogSuite",
    "CensusSuite",
    "ChildStoreSuite",
    "ConnectorSuite",
    "DefinitionStoreSuite",
    "EventStreamerSuite",
    "RecordStoreSuite",
    "RetentionSuite",
    "RoleSchedulerSuite",
    "ScheduleStoreSuite",
    "TimeoutStoreSuite",
    "WorkQueueSuite",
]
