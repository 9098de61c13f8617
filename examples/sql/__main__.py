"""Take orders on SQLite; start it twice with one folder, and nothing is invoiced twice."""

from __future__ import annotations

import argparse
import asyncio
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from examples.sql.flow import Order, orders
from examples.sql.shop import Shop
from stepgraph import Trigger
from stepgraph.adapters.sqlite import SQLite

ORDERS = {
    "order-1": Order("Ada", 1250),
    "order-2": Order("Alan", 0),
    "order-3": Order("Grace", 990),
}


async def main(folder: Path) -> None:
    """Trigger every order under a key, so that a second start finds the runs of the first."""
    shop = Shop(folder / "shop.db")
    resources = {"shop": shop, "accidents": {"order-3"}}
    async with orders.build(SQLite(folder / "runs.db"), resources=resources) as workflow:
        results = await workflow.trigger_many(
            Trigger(name, order, idempotency_key="import of Monday")
            for name, order in ORDERS.items()
        )
        for result in results:
            run = await workflow.await_status(result.run_id, within=timedelta(seconds=20))
            tries = len(await workflow.runs.attempts(run.id)) + 1
            what = run.object.problem or f"invoiced at try {tries}"
            print(f"{run.foreign_id}: {run.status.name}, {what}")
    for _, customer, cents in shop.invoices():
        print(f"in the table: {customer}, {cents} cents")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="keep the two files here; a new one if not given"
    )
    given = parser.parse_args()
    with TemporaryDirectory() as temporary:
        target: Path = given.folder or Path(temporary)
        target.mkdir(parents=True, exist_ok=True)
        asyncio.run(main(target))
