"""Observers: who is told which facts; what an observer does wrong harms nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from stepgraph.model.fact import Fact
from stepgraph.ports.log import Log
from stepgraph.ports.observer import Observer

Tell: TypeAlias = Callable[[Fact], None]


class Audience:
    """Tells facts to some observers, to each once however often it was added."""

    def __init__(self, complain: Callable[[Observer, Fact, Exception], None]) -> None:
        """Start with nobody; `complain` hears of observers that raise."""
        self.observers: tuple[Observer, ...] = ()
        self._times: list[Observer] = []
        self._complain = complain

    def add(self, observer: Observer) -> None:
        """Tell this observer too."""
        self._times.append(observer)
        self._count()

    def remove(self, observer: Observer) -> None:
        """Tell it no more, once it is removed as often as it was added."""
        self._times = _without(self._times, observer)
        self._count()

    def _count(self) -> None:
        self.observers = tuple({id(observer): observer for observer in self._times}.values())

    def tell(self, fact: Fact) -> None:
        """Tell a fact; never raises."""
        for observer in self.observers:
            try:
                observer.observe(fact)
            except Exception as error:
                self._complain(observer, fact, error)


class Observers:
    """The observers of one instance, by workflow.

    Facts of a workflow are for those that it was built with, so that two workflows on one backend
    neither mix nor count twice; `everyone` is told the facts of the instance as a whole.
    """

    def __init__(self, log: Log) -> None:
        """Start with nobody."""
        self.by_workflow: dict[str, Audience] = {}
        self.everyone = Audience(self._complain)
        self._log = log
        self._complained: set[tuple[type, type]] = set()

    def add(self, workflow: str, observers: Iterable[Observer]) -> None:
        """Tell these the facts of a workflow from now on."""
        for observer in observers:
            audience = self.by_workflow.setdefault(workflow, Audience(self._complain))
            audience.add(observer)
            self.everyone.add(observer)

    def remove(self, workflow: str, observers: Iterable[Observer]) -> None:
        """Tell these no more."""
        for observer in observers:
            audience = self.by_workflow[workflow]
            audience.remove(observer)
            self.everyone.remove(observer)
            if not audience.observers:
                del self.by_workflow[workflow]

    def teller(self, workflow: str) -> Tell | None:
        """Return what tells the facts of a workflow; None if nobody listens."""
        audience = self.by_workflow.get(workflow)
        return audience.tell if audience is not None else None

    def _complain(self, observer: Observer, fact: Fact, error: Exception) -> None:
        """Log an observer's error once for each kind of fact: it may raise a thousand a second."""
        kind = (type(observer), type(fact))
        if kind not in self._complained:
            self._complained.add(kind)
            names = (kind[0].__name__, kind[1].__name__)
            self._log.error("observer %s failed at %s; this is told once", *names, error=error)


def _without(observers: list[Observer], gone: Observer) -> list[Observer]:
    """Return the list with one occurrence less; by identity, whatever == means to an observer."""
    for place, observer in enumerate(observers):
        if observer is gone:
            return observers[:place] + observers[place + 1 :]
    return observers
