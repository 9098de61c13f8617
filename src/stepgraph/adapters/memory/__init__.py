"""The memory backend: for tests, and for work that may be lost with the process."""

from stepgraph.adapters.memory.backend import Memory
from stepgraph.adapters.memory.connector import MemoryConnector

__all__ = ["Memory", "MemoryConnector"]
