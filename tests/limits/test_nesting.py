"""Which types are looked through for depth: those that can nest without end, and no other."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from stepgraph.ports.nesting import can_nest


@dataclass
class Flat:
    a: int
    b: list[str]
    c: dict[str, tuple[int, ...]]
    d: datetime | None = None


class Struct(msgspec.Struct):
    flat: Flat
    both: int | str | None
    pair: tuple[int, Flat]


@attrs.define
class Attrs:
    flats: list[Flat]


class Mapping(TypedDict):
    flats: dict[str, Flat]


class Chain(msgspec.Struct):
    next: Optional["Chain"] = None


@dataclass
class Tree:
    trees: "list[Tree]"


@dataclass
class Anything:
    value: Any


@dataclass
class Bare:
    value: list


class Model(pydantic.BaseModel):
    n: int


@pytest.mark.parametrize("kind", [Flat, Struct, Attrs, Mapping, int, bytes, list[Flat]])
def test_a_flat_type_is_not_looked_through(kind):
    assert not can_nest(kind)


@pytest.mark.parametrize(
    "kind", [Chain, Tree, Anything, Bare, Model, Any, dict, list[Model], dict[str, Chain], object]
)
def test_a_type_that_can_nest_is_looked_through(kind):
    assert can_nest(kind)
