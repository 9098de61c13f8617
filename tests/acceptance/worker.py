"""A worker process of the kill test: runs the flow until it is told to stop, or killed."""

from __future__ import annotations

import asyncio
import sys

from stepgraph import serve
from stepgraph.adapters.sqlite import SQLite
from tests.flows import three_steps

if __name__ == "__main__":
    asyncio.run(serve(three_steps().build(SQLite(sys.argv[1]))))
