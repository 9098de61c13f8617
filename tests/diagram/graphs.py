"""Workflows that are drawn by the tests of diagrams."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from stepgraph.diagram.chart import Chart, chart_of
from stepgraph.model.blueprint import Blueprint, FunctionBlueprint, StatusBlueprint

DAY = 86_400_000_000


def blueprint(name: str, statuses: str, *functions: FunctionBlueprint) -> Blueprint:
    """Return the blueprint of a workflow with these statuses, numbered from 1."""
    return Blueprint(
        workflow=name,
        fingerprint="",
        object_type="Order",
        object_shape="",
        statuses=tuple(StatusBlueprint(n, s) for n, s in enumerate(statuses.split(), 1)),
        functions=functions,
    )


def function(kind: str, name: str, status: int, *destinations: int, **more: Any) -> FunctionBlueprint:
    """Return a function from a status to others."""
    return FunctionBlueprint(kind=kind, name=name, status=status, destinations=destinations, **more)


def orders() -> Blueprint:
    """The order flow of the README."""
    return blueprint(
        "orders",
        "CREATED PAID SHIPPED EXPIRED",
        function("callback", "paid", 1, 2, description="The bank says that money came."),
        function("step", "ship", 2, 3, description="Hand the parcel over."),
        function("timeout", "expire", 1, 4, after=2 * DAY, description="Nobody paid."),
    )


def returns() -> Blueprint:
    """Twelve statuses with cycles, loops, every kind of function, and what cannot be reached."""
    return blueprint(
        "returns",
        "REQUESTED APPROVED LABEL_SENT IN_TRANSIT RECEIVED INSPECTING REFUNDING REFUNDED"
        " REJECTED DISPUTED SPLIT ARCHIVED",
        function("step", "review", 1, 2, 9),
        function("step", "send_label", 2, 3),
        function("callback", "picked_up", 3, 4),
        function("timeout", "remind", 3, 3, after=3 * DAY),
        function("timeout", "give_up", 3, 9, after=30 * DAY),
        function("callback", "arrived", 4, 5),
        function("timeout", "trace_parcel", 4, 3, after=14 * DAY),
        function("step", "inspect", 5, 6, 11),
        function("step", "grade", 6, 7, 9, 10),
        function("step", "refund", 7, 8, 7),
        function("callback", "decided", 10, 1, 7, 9),
        function("timeout", "escalate", 10, 10, after=DAY),
        function("join", "collect", 11, 6),
    )


def fan_out() -> Blueprint:
    """One status that leads to sixteen, which come together again."""
    names = " ".join(f"LANE_{n}" for n in range(16))
    return blueprint(
        "fan",
        f"SORTED {names} DONE",
        function("step", "sort", 1, *range(2, 18)),
        *(function("step", f"lane_{n}", n + 2, 18) for n in range(16)),
    )


def sixty() -> Blueprint:
    """Sixty statuses in a mesh with ways back."""
    links: dict[int, list[int]] = {}
    for n in range(1, 55):
        links[n] = [n + 6]
        if n % 2:
            links[n].append(min(60, n + 7))
        if n % 11 == 0:
            links[n].append(n - 9)
        if n % 13 == 0:
            links[n].append(min(60, n + 20))
    return blueprint(
        "sixty",
        " ".join(f"STATUS_{n}" for n in range(1, 61)),
        *(function("step", f"step_{n}", n, *dict.fromkeys(to)) for n, to in links.items()),
    )


def chart(of: Blueprint) -> Chart:
    return chart_of(of)
