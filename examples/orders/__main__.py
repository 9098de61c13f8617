"""Process a file of orders on SQLite; stop it however you like, and start it again."""

from __future__ import annotations

import argparse
import asyncio
import csv
import random
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.orders.flow import Order, Status, orders
from examples.orders.ledger import Ledger
from stepgraph import RunState, Trigger, Workflow
from stepgraph.adapters.sqlite import SQLite


def write_orders(path: Path, count: int) -> None:
    """Make the file of orders, the same at every start; some have nothing to pay."""
    chance = random.Random(7)
    partial = path.with_suffix(".partial")
    with partial.open("w", newline="") as file:
        rows = csv.writer(file)
        for number in range(1, count + 1):
            cents = 0 if number % 50 == 0 else chance.randrange(100, 50_000)
            rows.writerow((f"order-{number:05}", f"customer-{chance.randrange(300)}", cents))
    partial.rename(path)


def read_orders(path: Path) -> dict[str, Order]:
    """Read the file of orders, by name."""
    with path.open(newline="") as file:
        return {name: Order(customer, int(cents)) for name, customer, cents in csv.reader(file)}


async def work_off(workflow: Workflow[Order, Status], wanted: Mapping[str, Order]) -> None:
    """Trigger every order, which does nothing for those that are known, and watch them end."""
    results = await workflow.trigger_many(
        Trigger(name, order, idempotency_key="file") for name, order in wanted.items()
    )
    errors = [result.error for result in results if result.error is not None]
    if errors:
        raise errors[0]
    columns = (TextColumn("orders"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("orders", total=len(wanted))
        ended = 0
        while ended < len(wanted):
            at_work = await workflow.runs.count(run_state=[RunState.INITIATED, RunState.RUNNING])
            ended = len(wanted) - at_work
            progress.update(bar, completed=ended)
            await asyncio.sleep(0.05)


async def check_ledger(
    workflow: Workflow[Order, Status], wanted: Mapping[str, Order], ledger: Ledger
) -> list[str]:
    """Compare what was charged with what should have been; return what is wrong."""
    charges = ledger.charges()
    wrong: list[str] = []
    seen = 0
    async for run in workflow.runs.find():
        seen += 1
        expected = [wanted[run.foreign_id].cents] if run.run_state is RunState.COMPLETED else []
        charged = charges.get(run.foreign_id, [])
        if charged != expected:
            wrong.append(f"{run.foreign_id}: charged {charged}, should be {expected}")
    if seen != len(wanted):
        wrong.append(f"{seen} runs for {len(wanted)} orders")
    return wrong


async def main(folder: Path, count: int) -> int:
    """Run the demo; return the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "orders.csv"
    if not file.exists():
        write_orders(file, count)
    wanted = read_orders(file)
    ledger = Ledger(folder / "ledger.db")
    started = time.perf_counter()
    workflow = orders.build(SQLite(folder / "orders.db"), resources={"ledger": ledger})
    async with workflow:
        known = await workflow.runs.count()
        await work_off(workflow, wanted)
        seconds = time.perf_counter() - started
        completed = await workflow.runs.count(run_state=RunState.COMPLETED)
        cancelled = await workflow.runs.count(run_state=RunState.CANCELLED)
        wrong = await check_ledger(workflow, wanted, ledger)
    table = Table("what", "how many", title="Orders")
    table.add_row("in the file", str(len(wanted)))
    table.add_row("known from an earlier start", str(known))
    table.add_row("sent", str(completed))
    table.add_row("cancelled, nothing to pay", str(cancelled))
    table.add_row("calls of the provider that repeated an earlier one", str(ledger.repeated_calls()))
    table.add_row("charged twice, wrongly or not at all", str(len(wrong)))
    table.add_row("seconds", f"{seconds:.1f}")
    console = Console()
    console.print(table)
    for line in wrong[:10]:
        console.print(line, style="red")
    console.print(f"All of it is in {folder}: start again and nothing happens twice.")
    ledger.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".demo"))
    parser.add_argument("--count", type=int, default=1000)
    given = parser.parse_args()
    try:
        sys.exit(asyncio.run(main(given.folder, given.count)))
    except KeyboardInterrupt:
        print("\nStopped. Start it again: it goes on where it was.", file=sys.stderr)
        sys.exit(130)
