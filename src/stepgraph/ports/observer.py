"""Observer: is told every fact."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from stepgraph.model.fact import Fact


class Observer(Protocol):
    """Told what happened, on the event loop, right after it did. Must not block or raise.

    What it raises is logged once for each kind of fact, and harms nothing else. It is told the
    facts of the workflows that it was given to, and once those of the backend that they share.
    """

    @abstractmethod
    def observe(self, fact: Fact, /) -> None:
        """Take note of a fact."""
        ...
