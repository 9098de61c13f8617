"""Serve the page over the shop's orders: some that end, one that waits, one that keeps failing."""

from __future__ import annotations

import argparse
import asyncio

from examples.order_processor.flow import Order, orders
from examples.order_processor.world import Bank, Post, Warehouse
from examples.web import listen, port_of
from examples.web_ui.site import Site
from stepgraph.adapters.memory import Memory


async def main(port: int) -> None:
    """Serve until Ctrl-C."""
    bank = Bank(away_for={"rug": 10_000}, declined={"chair"})
    resources = {"bank": bank, "post": Post(), "warehouse": Warehouse({"lamp": 1})}
    async with orders.build(Memory(), resources=resources) as workflow:
        for article in ("lamp", "chair", "sofa", "rug"):
            await workflow.trigger(article, Order(article, 4990))
        # The interface is the loopback: nobody outside this machine can reach it.
        site = Site(workflow)
        server = await listen(site.handle, port)
        print(f"http://127.0.0.1:{port_of(server)}/?token={site.token}", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            await server.wait_closed()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="any free one if not given")
    try:
        asyncio.run(main(parser.parse_args().port))
    except KeyboardInterrupt:
        print("\nStopped.")
