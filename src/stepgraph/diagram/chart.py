"""Chart: the statuses of a workflow and the links between them, ready to be drawn."""

from __future__ import annotations

from msgspec import Struct

from stepgraph.diagram.words import label_of, plain, time_text
from stepgraph.model.blueprint import Blueprint, FunctionBlueprint


class ChartStatus(Struct, frozen=True):
    """A status; `step` is the name of the function that is called in it, empty if none is."""

    number: int
    name: str
    step: str
    description: str
    is_start: bool
    is_end: bool
    is_reachable: bool


class Link(Struct, frozen=True):
    """All functions of one kind that lead from one status to another."""

    before: int
    after: int
    kind: str
    functions: tuple[FunctionBlueprint, ...]

    @property
    def names(self) -> str:
        """Return what the functions are called, and when they are due."""
        return plain(", ".join(label_of(f) for f in self.functions), 80) or self.kind

    @property
    def words(self) -> str:
        """Return the names, with the kind of whatever is no step."""
        return self.names if self.kind == "step" else f"{self.kind} {self.names}"

    @property
    def is_loop(self) -> bool:
        """Return whether it leads back to where it begins."""
        return self.before == self.after

    @property
    def sentences(self) -> str:
        """Return the functions with their descriptions."""
        return "; ".join(_sentence(function) for function in self.functions)


class Chart(Struct, frozen=True):
    """What is drawn: statuses in the order of the enum, links in the order of declaration."""

    name: str
    statuses: tuple[ChartStatus, ...]
    links: tuple[Link, ...]

    @property
    def starts(self) -> tuple[int, ...]:
        """Return where runs start."""
        return tuple(status.number for status in self.statuses if status.is_start)

    @property
    def summary(self) -> str:
        """Return one sentence for whoever cannot see the drawing."""
        names = {status.number: status.name for status in self.statuses}
        ways = "; ".join(
            f"{names[link.before]} to {names[link.after]} by {link.kind} {link.names}"
            for link in self.links
        )
        starts = ", ".join(names[number] for number in self.starts)
        ends = ", ".join(status.name for status in self.statuses if status.is_end)
        return f"Starts at {starts or 'none'}. Ends at {ends or 'none'}. {ways}."


def chart_of(blueprint: Blueprint) -> Chart:
    """Return the chart of a blueprint: every status and every declared transition once."""
    graph = blueprint.graph
    starts = graph.starts or tuple(f.status for f in blueprint.functions[:1])
    reachable = graph.reachable(starts)
    ends = frozenset(graph.ends)
    steps = {f.status: f for f in reversed(blueprint.functions) if f.kind == "step"}
    return Chart(
        name=plain(blueprint.workflow, 80),
        statuses=tuple(
            ChartStatus(
                number=status.number,
                name=plain(status.name, 80) or str(status.number),
                step=plain(steps[status.number].name, 80) if status.number in steps else "",
                description="; ".join(
                    _sentence(f) for f in blueprint.functions if f.status == status.number
                ),
                is_start=status.number in starts,
                is_end=status.number in ends,
                is_reachable=status.number in reachable,
            )
            for status in blueprint.statuses
        ),
        links=_links_of(blueprint),
    )


def _links_of(blueprint: Blueprint) -> tuple[Link, ...]:
    found: dict[tuple[int, int, str], list[FunctionBlueprint]] = {}
    for function in blueprint.functions:
        for after in dict.fromkeys(function.destinations):
            found.setdefault((function.status, after, function.kind), []).append(function)
    return tuple(Link(*key, tuple(functions)) for key, functions in found.items())


def _sentence(function: FunctionBlueprint) -> str:
    time = f" {time_text(function)}" if time_text(function) else ""
    description = plain(function.description)
    tail = f": {description}" if description else ""
    return f"{function.kind} {plain(function.name, 80)}(){time}{tail}"
