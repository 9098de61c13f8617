"""What a planted bug is, and the whole bank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class Planting:
    """Changes attributes of the library's classes and modules, and puts them back."""

    def __init__(self) -> None:
        self._saved: list[tuple[Any, str, Any]] = []

    def put(self, owner: Any, name: str, value: Any) -> None:
        """Replace an attribute."""
        self._saved.append((owner, name, owner.__dict__[name]))
        setattr(owner, name, value)

    def undo(self) -> None:
        """Put everything back."""
        for owner, name, value in reversed(self._saved):
            setattr(owner, name, value)
        self._saved.clear()


@dataclass(frozen=True)
class Bug:
    """One mistake: where it is known from, which invariants may catch it, and how it is made."""

    name: str
    origin: str
    catchers: tuple[str, ...]
    plant: Callable[[Planting], None]
    profile: str = "all"


BUGS: list[Bug] = []


def bug(origin: str, *catchers: str, profile: str = "all") -> Callable[[Any], Any]:
    """Put a function that plants a bug into the bank."""

    def add(plant: Callable[[Planting], None]) -> Callable[[Planting], None]:
        name = plant.__name__.replace("_", " ")
        BUGS.append(Bug(name, origin, catchers, plant, profile))
        return plant

    return add


from reliability.bank import around, moves, rows, store, work  # noqa: E402 -- they fill the bank

assert all((around, moves, rows, store, work))
