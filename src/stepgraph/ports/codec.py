"""Codec: user objects to bytes and back; JSON by msgspec unless another is given."""

from __future__ import annotations

import math
import re
import sys
from abc import abstractmethod
from typing import Any, Protocol, TypeVar

import msgspec

from stepgraph.errors import CodecError, DefinitionError, InputError
from stepgraph.ports.log import Log
from stepgraph.ports.nesting import DEPTH_LIMIT, can_nest, is_too_deep

T = TypeVar("T")
WARN_SIZE = 256 * 1024
MAX_SIZE = 2 * 1024 * 1024
_ENUM = re.compile(r"(Invalid enum value) .*?( - at `\$[^`]*`)?$", re.DOTALL)
_log = Log("stepgraph.codec")


class Codec(Protocol):
    """User objects to bytes and back. Must be deterministic and never run code from the bytes."""

    @abstractmethod
    def check_type(self, as_type: type[Any], /) -> None:
        """Raise `DefinitionError` if objects of this type cannot be stored."""
        ...

    @abstractmethod
    def encode(self, value: object, /) -> bytes:
        """Return the bytes of an object, or raise `InputError`."""
        ...

    @abstractmethod
    def decode(self, data: bytes, as_type: type[T], /) -> T:
        """Return the object of the bytes, or raise `CodecError`."""
        ...


class JSONCodec(Codec):
    """JSON: readable in any database shell; dataclass, Struct, attrs, TypedDict, pydantic."""

    def __init__(self) -> None:
        """Start without decoders; one is made for each type."""
        self._decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
        # Types that cannot nest without end: their objects need not be looked through.
        self._flat: set[Any] = set()
        self._encoder = msgspec.json.Encoder(enc_hook=_encode_model)

    def check_type(self, as_type: type[Any], /) -> None:
        """Make the type's decoder, which fails for what msgspec cannot tell apart."""
        try:
            self._decoders[as_type] = msgspec.json.Decoder(as_type, dec_hook=_decode_model)
        except (TypeError, NameError) as error:
            raise DefinitionError(f"{as_type!r} cannot be stored: {error}") from error
        if not can_nest(as_type):
            self._flat.add(as_type)

    def encode(self, value: object, /) -> bytes:
        """Encode, and refuse what JSON would change in silence or a store would choke on."""
        try:
            data = self._encoder.encode(value)
        except (TypeError, ValueError, RecursionError, OverflowError) as error:
            kind = type(value).__name__
            raise InputError(f"the {kind} cannot be stored as JSON: {error}") from error
        if type(value) not in self._flat and is_too_deep(data):
            raise InputError(
                f"the {type(value).__name__} is nested deeper than {DEPTH_LIMIT} levels as JSON:"
                " flatten it, or store the deep part as one text"
            )
        if b"null" in data:
            _refuse_not_finite(value, 0)
        if len(data) > WARN_SIZE:
            self._look_at_size(value, len(data))
        return data

    def _look_at_size(self, value: object, size: int) -> None:
        kind = type(value).__name__
        if size > MAX_SIZE:
            raise InputError(
                f"the {kind} has {size} bytes as JSON; {MAX_SIZE} fit: store what is large"
                " elsewhere and keep its name in the object"
            )
        _log.warning("a %s has %d bytes as JSON: every commit writes it whole", kind, size)

    def decode(self, data: bytes, as_type: type[T], /) -> T:
        """Decode and validate."""
        decoder = self._decoders.get(as_type)
        if decoder is None:
            self.check_type(as_type)
            decoder = self._decoders[as_type]
        name = getattr(as_type, "__name__", as_type)
        if as_type not in self._flat and is_too_deep(data):
            raise CodecError(
                f"the stored object is no {name}: nested deeper than {DEPTH_LIMIT} levels"
            )
        try:
            value: T = decoder.decode(data)
        except (msgspec.DecodeError, ValueError, RecursionError, OverflowError) as error:
            # The cause is not chained: it would show the values that did not fit.
            raise CodecError(f"the stored object is no {name}: {_without_values(error)}") from None
        return value


def _without_values(error: BaseException) -> str:
    """Return what does not fit and where, without the value, which is the user's own."""
    return _ENUM.sub(r"\1\2", str(error))


def _encode_model(value: object) -> object:
    """Let pydantic models, nested or whole, through as plain values."""
    dump = getattr(value, "model_dump", None)
    if dump is not None and "pydantic" in sys.modules:
        return dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _decode_model(as_type: type[Any], value: object) -> object:
    """Let pydantic check its own models."""
    validate = getattr(as_type, "model_validate", None)
    if validate is not None:
        try:
            return validate(value)
        except ValueError as error:
            find = getattr(error, "errors", None)
            if find is None:
                raise
            found = [f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in find()]
            raise ValueError(", ".join(found)) from None
    raise TypeError(f"{as_type.__name__} has no JSON form")


def _refuse_not_finite(value: object, depth: int) -> None:
    """NaN and infinity have no JSON form and are written as null: find them before anything is."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InputError(f"{value} is no JSON number: store None or a text instead")
        return
    if depth > DEPTH_LIMIT or isinstance(value, (str, bytes, int)) or value is None:
        return
    parts: Any
    if isinstance(value, dict):
        parts = value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        parts = value
    else:
        names = getattr(value, "__struct_fields__", None) or getattr(value, "__slots__", ())
        attributes = [getattr(value, n, None) for n in names] if isinstance(names, tuple) else []
        parts = [*attributes, *getattr(value, "__dict__", {}).values()]
    for part in parts:
        _refuse_not_finite(part, depth + 1)
