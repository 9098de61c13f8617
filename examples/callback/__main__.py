"""Serve the web hook, and play the signing service that posts to it."""

from __future__ import annotations

import asyncio
import http.client
from datetime import timedelta

from examples.callback.flow import Contract, Status, contracts
from examples.callback.hook import WebHook
from examples.web import listen, port_of
from stepgraph.adapters.memory import Memory

SOON = timedelta(seconds=10)


def post(port: int, contract: str, body: str, delivery: str) -> str:
    """Post as the signing service does; return status and answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", f"/signed/{contract}", body, {"Webhook-Id": delivery})
        response = connection.getresponse()
        return f"{response.status} {response.read().decode()}"
    finally:
        connection.close()


async def main() -> None:
    """Have a contract signed, with everything that goes wrong with web hooks before it."""
    async with contracts.build(Memory()) as workflow:
        server = await listen(WebHook(workflow).handle)
        try:
            port = port_of(server)
            yes = '{"name": "Ada", "accepted": true}'
            print(
                "before there is a contract:",
                await asyncio.to_thread(post, port, "c-1", yes, "d-1"),
            )

            run_id = await workflow.trigger("c-1", Contract("Ada"))
            await workflow.await_status(run_id, Status.SENT, within=SOON)
            print(
                "no signature at all:",
                await asyncio.to_thread(post, port, "c-1", '{"name": 1}', "d-2"),
            )
            print("signed:", await asyncio.to_thread(post, port, "c-1", yes, "d-1"))
            print("delivered once more:", await asyncio.to_thread(post, port, "c-1", yes, "d-1"))

            run = await workflow.await_status(run_id, Status.FILED, within=SOON)
            print(f"{run.status.name}, signed by {run.object.signed_by}")
            print("too late:", await asyncio.to_thread(post, port, "c-1", yes, "d-3"))
        finally:
            server.close()
            await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
