"""Transactions: what the engine writes for a run of three steps, made ready for a raw limit."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from stepgraph.model.write import Write
from stepgraph.testing.conformance.make import make_record, make_row, make_write

BATCH = 400


def transactions(order: bytes) -> Iterator[list[Write]]:
    """Yield the writes of the four transactions of one batch of runs."""
    records = [make_record(object=order) for _ in range(BATCH)]
    before: list = [()] * BATCH
    for version in range(1, 5):
        state = {1: 1, 4: 4}.get(version, 2)
        now = [replace(r, version=version, status=version, run_state=state) for r in records]
        rows = [(make_row(r),) if version < 4 else () for r in now]
        yield [
            make_write(record, expected=version - 1, enqueue=enqueue, finished=finished)
            for record, enqueue, finished in zip(now, rows, before, strict=True)
        ]
        before = [tuple(row.key for row in enqueue) for enqueue in rows]
