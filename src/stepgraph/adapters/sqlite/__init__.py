"""The SQLite backend: durable on one file, with nothing installed."""

from stepgraph.adapters.sqlite.backend import SQLite

__all__ = ["SQLite"]
