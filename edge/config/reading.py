"""One reading of one TOML file against a model: what is wrong is said with file, line, key, and what would be right."""

from __future__ import annotations

import difflib
import stat
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from edge.config.findings import Finding, Level
from edge.config.position import KeyPath, Positions

M = TypeVar("M", bound=BaseModel)

WORDS_FOR_SECRETS = frozenset({"password", "secret", "passwd", "password_hash"})


@dataclass
class Reading(Generic[M]):
    """What was found so far in the file `path`, which is to be a `model`."""

    path: Path
    positions: Positions
    model: type[M]
    findings: list[Finding] = field(default_factory=list)

    def add(self, key: KeyPath, problem: str, mend: str, level: Level = Level.ERROR) -> None:
        """One more finding, at the line of `key`."""
        where = f"{self.path}:{self.positions.line(key)}: {_dotted(key)}"
        self.findings.append(Finding(level, where, problem, mend))

    def validate(self, document: Mapping[str, Any]) -> M | None:
        """The document as a model; None, and findings, if it is none."""
        try:
            return self.model.model_validate(document)
        except ValidationError as error:
            for detail in error.errors():
                self._explain(detail)
            return None

    def complain_if_public(self, file: Path, key: KeyPath) -> None:
        """Warn when everybody on this machine can read `file`."""
        if file.stat().st_mode & stat.S_IROTH:
            self.add(key, f"everybody on this machine can read {file}", f"chmod o-r {file}", Level.WARNING)

    @property
    def failed(self) -> bool:
        """Whether anything found is an error."""
        return any(finding.level is Level.ERROR for finding in self.findings)

    def _explain(self, detail: ErrorDetails) -> None:
        location = tuple(part for part in detail["loc"] if part != "[key]")
        match detail["type"]:
            case "extra_forbidden":
                self.add(location, "unknown key", self._nearest(location))
            case "missing":
                self.add(location, "is missing", f"Add it {_place_of(location)}.")
            case "value_error":
                self.add(location, "is not acceptable", f"It {detail['ctx']['error']}.")
            case _:
                self.add(location, "is not acceptable", f"{detail['msg']}.")

    def _nearest(self, location: KeyPath) -> str:
        known = _known_keys(self.model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        return f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."


def _place_of(location: KeyPath) -> str:
    return (
        f"to [{_dotted(location[:-1])}]"
        if location[:-1]
        else "to the file: as a table, or above the first one"
    )


def _dotted(key: KeyPath) -> str:
    return ".".join(map(str, key)) or "(top of the file)"


def _known_keys(model: Any, location: KeyPath) -> list[str]:
    for part in location:
        model = _within(model, part)
    return sorted(f.alias or name for name, f in model.model_fields.items() if name not in WORDS_FOR_SECRETS)


def _within(model: Any, part: str | int) -> Any:
    """The type of what stands at `part` of a model, or of any element of a collection."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        found = next(f for name, f in model.model_fields.items() if (f.alias or name) == part)
        return _present(found.annotation)
    return _present(next(a for a in reversed(get_args(model)) if a is not ...))


def _present(annotation: Any) -> Any:
    """`annotation` without "or None"."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation
