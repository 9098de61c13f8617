"""The memory backend keeps every contract."""

import pytest

from stepgraph.adapters.memory import Memory, MemoryConnector
from stepgraph.testing.conformance import (
    ConnectorSuite,
    EventStreamerSuite,
    RecordStoreSuite,
    RoleSchedulerSuite,
    ScheduleStoreSuite,
    TimeoutStoreSuite,
    WorkQueueSuite,
)


class TestMemory(
    RecordStoreSuite,
    WorkQueueSuite,
    EventStreamerSuite,
    TimeoutStoreSuite,
    ScheduleStoreSuite,
    RoleSchedulerSuite,
):
    @pytest.fixture
    def backend(self):
        return Memory()


class TestMemoryConnector(ConnectorSuite):
    @pytest.fixture
    def connector(self):
        return MemoryConnector()
