"""Observer: is told every fact."""

from __future__ import annotations

from abc import abstractmethod
from typing import Protocol

from stepgraph.model.fact import Fact


class Observer(Protocol):
    """Told what happened, on the event loop, right after it did. Must not block or raise."""

    @abstractmethod
    def observe(self, fact: Fact, /) -> None:
        """Take note of a fact."""
        ...
