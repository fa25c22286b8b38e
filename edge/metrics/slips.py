"""What is wrong in a file of definitions, said so that a person can mend it: where, what, and what would be right."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

import msgspec
from msgspec import inspect

from edge.metrics.definition import AnyDefinition

Key = tuple[str, ...]
_AT = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_NAMED = re.compile(r"(?P<how>missing required|contains unknown) field `(?P<field>[^`]*)`")
_BY_MEASURE = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyDefinition)}


@dataclass(frozen=True, slots=True)
class Slip:
    """One thing that is wrong. `key`: where in the document; none: the file itself."""

    key: Key
    problem: str
    mend: str


def slip_of(key: Key, table: object, error: msgspec.ValidationError) -> Slip:
    """Of a definition at `key` that is none."""
    if not isinstance(table, Mapping):
        return Slip(key, "is no table", f"Write it as [{'.'.join(key)}] with its keys below.")
    found = _AT.fullmatch(str(error))
    assert found is not None
    path = tuple(part for part in re.split(r"[.\[]", found["path"] or "") if part and part[-1] != "]")
    kind = _BY_MEASURE.get(str(table.get("measure")))
    if kind is None:
        return Slip((*key, "measure"), found["what"], f"Write one of {', '.join(sorted(_BY_MEASURE))}.")
    types = {field.encode_name: field.type for field in _fields(kind)}
    if (named := _NAMED.search(found["what"])) is None:
        wanted = types.get(path[0]) if path else None
        mend = "See docs/metrics.md." if wanted is None else f"Write {_written(wanted)}."
        return Slip((*key, *path), found["what"], mend)
    name = named["field"]
    if named["how"] == "missing required":
        return Slip((*key, name), "is missing", f"Add it: {_written(types[name])}.")
    near = get_close_matches(name, types, n=1, cutoff=0.5)
    known = ", ".join(sorted(types))
    return Slip((*key, name), "unknown key", f"Did you mean {near[0]}?" if near else f"Known here: {known}.")


def _fields(kind: type[Any]) -> tuple[inspect.Field, ...]:
    shape = inspect.type_info(kind)
    assert isinstance(shape, inspect.StructType)
    return shape.fields


def _written(wanted: inspect.Type) -> str:
    """What may stand there, for a person."""
    match wanted:
        case inspect.Metadata(type=inner):
            return _written(inner)
        case inspect.UnionType(types=types):
            return " or ".join(_written(each) for each in types if not isinstance(each, inspect.NoneType))
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(f'"{value}"' for value in values)
        case inspect.EnumType(cls=cls):
            return "one of " + ", ".join(f'"{each.value}"' for each in cls)
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=least):
            return "a whole number" + ("" if least is None else f" of at least {least}")
        case inspect.FloatType(ge=least, le=most):
            return f"a number from {least:g} to {most:g}" if None not in (least, most) else "a number"
        case inspect.VarTupleType():
            return 'a list such as ["general"]'
        case inspect.StrType(max_length=most):
            return "text in quotes" + ("" if most is None else f", of 1 to {most} characters")
    return "something else (docs/metrics.md)"
