"""Objects: 2 MiB of JSON, 64 levels, finite numbers; and errors that keep their content."""

import logging
import math
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import msgspec
import pydantic
import pytest

from stepgraph import Builder, InputError, Run
from stepgraph.errors import CodecError
from stepgraph.ports.codec import DEPTH_LIMIT, MAX_SIZE, WARN_SIZE, JSONCodec
from tests.flows import Status
from tests.limits.corpus import nothing_is_written


@dataclass
class Thing:
    value: Any = None


BARE = len(b'{"value":""}')


def things():
    builder = Builder("things", Thing, Status)

    @builder.step(Status.CREATED)
    def step(run: Run[Thing, Status]) -> Literal[Status.PAID]:
        return Status.PAID

    return builder


def nested(levels, make=lambda inner: [inner]):
    value = make(None)
    for _ in range(levels - 1):
        value = make(value)
    return value


@pytest.fixture
async def client(backend):
    async with things().build(backend).client() as client:
        yield client


@pytest.mark.parametrize("size", [MAX_SIZE - 1, MAX_SIZE])
async def test_an_object_of_the_limit_is_stored_whole(client, size):
    run_id = await client.trigger("thing-1", Thing("x" * (size - BARE)))

    assert len((await client.runs.get(run_id)).object.value) == size - BARE


async def test_an_object_above_the_limit_is_refused(client):
    with pytest.raises(InputError, match=rf"the Thing has {MAX_SIZE + 1} bytes.*{MAX_SIZE} fit: store"):
        await client.trigger("thing-1", Thing("x" * (MAX_SIZE + 1 - BARE)))

    assert await nothing_is_written(client)


@pytest.mark.parametrize(("more", "count"), [(-1, 0), (0, 0), (1, 1)])
def test_a_large_object_is_warned_about(caplog, more, count):
    with caplog.at_level(logging.WARNING, "stepgraph.codec"):
        JSONCodec().encode("x" * (WARN_SIZE + more - 2))

    assert len(caplog.records) == count


@pytest.mark.parametrize("levels", [DEPTH_LIMIT - 2, DEPTH_LIMIT - 1])
@pytest.mark.parametrize("make", [lambda inner: [inner], lambda inner: {"k": inner}])
async def test_an_object_of_the_depth_limit_is_stored_whole(client, levels, make):
    value = nested(levels, make)  # the object around it is a level too

    run_id = await client.trigger("thing-1", Thing(value))

    assert (await client.runs.get(run_id)).object.value == value


@pytest.mark.parametrize("levels", [DEPTH_LIMIT, 900, 5_000])
@pytest.mark.parametrize("make", [lambda inner: [inner], lambda inner: {"k": inner}])
async def test_a_deeper_object_is_refused(client, levels, make):
    with pytest.raises(InputError, match=r"the Thing (is nested deeper than 64|cannot be stored)"):
        await client.trigger("thing-1", Thing(nested(levels, make)))

    assert await nothing_is_written(client)


@pytest.mark.parametrize(
    "value",
    [
        "[" * 100 + "]" * 100,
        ["]" * 100, "[" * 100],
        [['"'], "\\" * 99, '\\"[[[' * 70],
        [[n] for n in range(1_000)],
        {str(n): {"]": ["["]} for n in range(100)},
    ],
    ids=["a text", "texts", "quotes", "wide", "wide and text"],
)
async def test_brackets_in_texts_and_wide_objects_are_not_deep(client, value):
    run_id = await client.trigger("thing-1", Thing(value))

    assert (await client.runs.get(run_id)).object.value == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (math.nan, "no JSON number"),
        ([{"a": (1.0, math.inf)}], "no JSON number"),
        (-math.inf, "no JSON number"),
        (10**5_000, "cannot be stored"),
        ("a\ud800", "surrogates not allowed"),
        ({"\udfff": 1}, "surrogates not allowed"),
        (object(), "cannot be stored"),
        (print, "cannot be stored"),
        ({1, "a", (object(),)}, "cannot be stored"),
    ],
    ids=["nan", "inf inside", "-inf", "5001 digits", "surrogate", "key", "object", "function", "set"],
)
async def test_what_json_cannot_hold_is_refused(client, value, words):
    with pytest.raises(InputError, match=words):
        await client.trigger("thing-1", Thing(value))

    assert await nothing_is_written(client)


async def test_an_object_that_contains_itself_is_refused(client):
    value = []
    value.append(value)

    with pytest.raises(InputError, match="cannot be stored"):
        await client.trigger("thing-1", Thing(value))

    assert await nothing_is_written(client)


@pytest.mark.parametrize(
    "value",
    ["a\x00b", "\u202e", "\U0001f600", "", {"": ""}, 2**63, -(2**64), 10**4_299, 1e308, "</script>", None],
    ids=["nul", "rtl", "4 bytes", "empty", "empty key", "2**63", "-2**64", "4300 digits", "1e308", "markup", "none"],
)
async def test_what_json_can_hold_comes_back_as_it_was(client, value):
    run_id = await client.trigger("thing-1", Thing(value))

    assert (await client.runs.get(run_id)).object.value == value


class Colour(Enum):
    RED = "red"


class Person(pydantic.BaseModel):
    age: int


class Wrapped(msgspec.Struct):
    person: Person | None = None
    colour: Colour | None = None
    age: int = 0


@pytest.mark.parametrize(
    ("as_type", "data"),
    [
        (Wrapped, b'{"person": {"age": "SECRET"}}'),
        (Person, b'{"age": "SECRET"}'),
        (Wrapped, b'{"colour": "SECRET"}'),
        (Wrapped, b'{"colour": "SECRET\\n - at SECRET"}'),
        (Wrapped, b'{"age": "SECRET"}'),
        (Wrapped, b'"SECRET"'),
        (Wrapped, b'SECRET'),
        (Wrapped, b'{"age": 1e999}'),
        (Wrapped, b'{"age": NaN}'),
        (Wrapped, b'{"age": ' + b"9" * 5_000 + b"}"),
        (Wrapped, b'{"age": "\xff"}'),
        (Wrapped, b'{"person": "\\ud800"}'),
        (Wrapped, b"[" * 1_000 + b"]" * 1_000),
        (Wrapped, b"[" * 100_000),
        (Wrapped, b""),
    ],
)
def test_stored_bytes_that_do_not_fit_are_an_error_without_their_content(as_type, data):
    with pytest.raises(CodecError, match="the stored object is no") as caught:
        JSONCodec().decode(data, as_type)

    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert len(str(caught.value)) < 300


def test_of_a_key_that_comes_twice_the_last_one_counts():
    assert JSONCodec().decode(b'{"age": 1, "age": 2}', Wrapped).age == 2
    assert JSONCodec().decode(b'{"a": 1, "a": 2}', dict[str, int]) == {"a": 2}


async def test_an_object_of_another_class_is_refused_without_its_content(client):
    with pytest.raises(InputError, match="the object is a str") as caught:
        await client.trigger("thing-1", "SECRET")

    assert "SECRET" not in str(caught.value)
    assert await nothing_is_written(client)
