"""Publish two articles, one of which has no text."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from examples.getting_started.flow import Article, Status, articles
from stepgraph import RunEndedError
from stepgraph.adapters.memory import Memory

SOON = timedelta(seconds=10)


async def main() -> None:
    """Build, trigger, wait."""
    # In memory everything is gone with the process. `SQLite("articles.db")` is all it takes to
    # have the runs survive it: kill the program, start it again, and they go on.
    async with articles.build(Memory()) as workflow:
        run_id = await workflow.trigger(
            "durable-steps", Article("Durable steps", "Once, and only once. " * 300)
        )
        run = await workflow.await_status(run_id, Status.PUBLISHED, within=SOON)
        article = run.object
        notes = ", ".join(article.notes)
        print(f"{article.title}: {run.status.name}, {article.pages} pages, {notes}")

        run_id = await workflow.trigger("empty", Article("Empty", ""))
        try:
            await workflow.await_status(run_id, Status.PUBLISHED, within=SOON)
        except RunEndedError as error:
            # It will never be published, and whoever waits for that is told so at once.
            print(f"{error.run.object.title}: {error.run.run_state.name}, {error.run.reason}")


if __name__ == "__main__":
    asyncio.run(main())
