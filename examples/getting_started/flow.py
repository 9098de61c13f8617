"""An article is checked, laid out and published; each step moves it to the next status."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from stepgraph import Builder, Cancel, Run


class Status(IntEnum):
    """Where an article is. The numbers are what is stored: names may change, numbers may not."""

    WRITTEN = 1
    CHECKED = 2
    LAID_OUT = 3
    PUBLISHED = 4


@dataclass
class Article:
    """What the workflow is about. It is stored with every step's answer."""

    title: str
    text: str
    pages: int = 0
    notes: list[str] = field(default_factory=list)


articles = Builder("articles", Article, Status)


# The return annotation says where the step may lead. The engine holds it to that, and so does a
# type checker: returning Status.PUBLISHED here is an error in both.
@articles.step(Status.WRITTEN)
async def check(run: Run[Article, Status]) -> Literal[Status.CHECKED] | Cancel:
    """Have a look at the text."""
    if not run.object.text:
        return Cancel("there is nothing to publish")
    run.object.notes.append("checked")
    return Status.CHECKED


# A function need not be async: this one runs in a thread, beside the event loop.
@articles.step(Status.CHECKED)
def lay_out(run: Run[Article, Status]) -> Literal[Status.LAID_OUT]:
    """Find out how many pages it takes."""
    run.object.pages = 1 + len(run.object.text) // 1800
    run.object.notes.append("laid out")
    return Status.LAID_OUT


# Nothing leads out of PUBLISHED, so a run that comes there is completed.
@articles.step(Status.LAID_OUT)
async def publish(run: Run[Article, Status]) -> Literal[Status.PUBLISHED]:
    """Let everybody read it."""
    run.object.notes.append("published")
    return Status.PUBLISHED
