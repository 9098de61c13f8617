"""The memory backend keeps every contract."""

import pytest

from stepgraph.adapters.memory import Memory, MemoryConnector
from stepgraph.testing.conformance import (
    BacklogSuite,
    CensusSuite,
    ChildStoreSuite,
    ConnectorSuite,
    DefinitionStoreSuite,
    EventStreamerSuite,
    RecordStoreSuite,
    RetentionSuite,
    RoleSchedulerSuite,
    ScheduleStoreSuite,
    TimeoutStoreSuite,
    WorkQueueSuite,
)


class TestMemory(
    RecordStoreSuite,
    WorkQueueSuite,
    BacklogSuite,
    RetentionSuite,
    EventStreamerSuite,
    TimeoutStoreSuite,
    RoleSchedulerSuite,
    DefinitionStoreSuite,
    CensusSuite,
    ScheduleStoreSuite,
    ChildStoreSuite,
):
    @pytest.fixture
    def backend(self):
        return Memory()


class TestMemoryConnector(ConnectorSuite):
    @pytest.fixture
    def connector(self):
        return MemoryConnector()
