"""Three orders at once: one with a bank that is away, one on invoice, one that is cancelled."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from examples.order_processor.flow import Order, Payment, Status, collected, invoice_paid, orders
from examples.order_processor.world import Bank, Post, Warehouse
from stepgraph import Snapshot, Workflow
from stepgraph.adapters.memory import Memory

SOON = timedelta(seconds=20)
Orders = Workflow[Order, Status]


async def ship(workflow: Orders) -> Snapshot[Order, Status]:
    """Order a lamp; the bank loses its first two answers. The carrier comes for it."""
    run_id = await workflow.trigger("lamp", Order("lamp", 4990))
    await workflow.await_status(run_id, Status.PACKED, within=SOON)
    await workflow.callback("lamp", collected, b"")
    # No status named: wait for the end, whichever it is.
    return await workflow.await_status(run_id, within=SOON)


async def pay_by_invoice(workflow: Orders) -> Snapshot[Order, Status]:
    """Order a chair with a card that is declined. Once it is paid, there is none left."""
    run_id = await workflow.trigger("chair", Order("chair", 12900))
    await workflow.await_status(run_id, Status.ON_INVOICE, within=SOON)
    await workflow.callback("chair", invoice_paid, Payment(12900))
    # It will be REFUNDED: waiting for SHIPPED would raise RunEndedError, not wait for ever.
    return await workflow.await_status(run_id, within=SOON)


async def change_of_mind(workflow: Orders) -> Snapshot[Order, Status]:
    """Order a table, and cancel it once it is packed."""
    run_id = await workflow.trigger("table", Order("table", 29900))
    await workflow.await_status(run_id, Status.PACKED, within=SOON)
    await workflow.runs.cancel(run_id, "found a nicer one", actor="customer")
    return await workflow.await_status(run_id, within=SOON)


async def main() -> None:
    """Run the three of them concurrently, and look at the books."""
    bank = Bank(away_for={"lamp": 2}, declined={"chair"})
    post = Post()
    resources = {"bank": bank, "post": post, "warehouse": Warehouse({"lamp": 1, "table": 1})}
    async with orders.build(Memory(), resources=resources) as workflow:
        runs = await asyncio.gather(
            ship(workflow), pay_by_invoice(workflow), change_of_mind(workflow)
        )
        while len(post.sent) < len(runs):
            await asyncio.sleep(0.01)
    for run in runs:
        order, paid = run.object, bank.balance(run.foreign_id)
        why = run.reason or order.why_refunded or f"payment attempts: {order.payment_attempts}"
        print(f"{run.foreign_id}: {run.run_state.name} in {run.status.name} ({why}); paid {paid}")
    print("mails:", "; ".join(sorted(post.sent.values())))


if __name__ == "__main__":
    asyncio.run(main())
