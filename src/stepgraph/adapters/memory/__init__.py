"""The memory backend: for tests, and for work that may be lost with the process."""

from stepgraph.adapters.memory.backend import Memory

__all__ = ["Memory"]
