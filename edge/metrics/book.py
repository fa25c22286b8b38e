"""The definitions that hold at a site: ours, and those of a force's own file, read and checked.

A force's file may add definitions and replace ours; what replaces one must have a higher version, so that no figure changes its
meaning under the same id and version.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from edge.errors import PermanentError
from edge.metrics.definition import AnyDefinition, Definition
from edge.metrics.slips import Key, Slip, slip_of

SHIPPED = "definitions.toml"
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_SECTIONS = {"policy", "demand", "force", "metric"}


class DefinitionsError(PermanentError):
    """The file cannot be used. One line per finding: what is wrong, where, and how to mend it."""

    def __init__(self, file: Path | str, slips: Iterable[Slip]) -> None:
        self.file, self.slips = file, tuple(slips)
        super().__init__("\n".join(f"{self.where(s.key)}: {s.problem}. {s.mend}" for s in self.slips))

    def where(self, key: Key) -> str:
        """File, line and key; the file alone without one."""
        if not key:
            return str(self.file)
        from edge.config.position import Positions  # with what reads configurations, which takes its time

        text = self.file.read_text(encoding="utf-8") if isinstance(self.file, Path) else ""
        return f"{self.file}:{Positions(text).line(key)}: {'.'.join(key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Everything that computing needs of a site."""

    definitions: Mapping[str, Definition]
    """By id."""
    own: frozenset[str] = frozenset()
    """Ids that the force's file has."""
    by_agent: bool = False
    """Whether figures may be given agent by agent."""
    internal_lines: frozenset[str] = frozenset()
    failure_codes: frozenset[str] = frozenset()
    force_of_line: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Definition:
        """By id, or by id@version. Raises `UnknownDefinitionError`."""
        plain, at, version = name.partition("@")
        found = self.definitions.get(plain)
        if found is None:
            raise UnknownDefinitionError(f"there is no definition {plain!r}: see `edge metrics list`")
        if at and version != str(found.version):
            raise UnknownDefinitionError(f"{plain} has version {found.version} here, not {version!r}")
        return found


class UnknownDefinitionError(LookupError):
    """No definition of that name or version."""


def read_book(file: Path | None = None) -> Book:
    """Ours and those of this file; None: ours alone. Raises `DefinitionsError`."""
    ours = _shipped()
    if file is None:
        return _book(ours, {}, SHIPPED)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        slip = Slip((), f"cannot be read: {error.strerror}", "Name the file, or let this user read it.")
        raise DefinitionsError(file, [slip]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        slip = Slip((), f"is not TOML: {error}", "Mend the syntax at that place.")
        raise DefinitionsError(file, [slip]) from error
    return _book(ours, document, file)


@cache
def _shipped() -> dict[str, Any]:
    return tomllib.loads(files("edge.metrics").joinpath(SHIPPED).read_text(encoding="utf-8"))


def _book(ours: dict[str, Any], own: dict[str, Any], file: Path | str) -> Book:
    slips: list[Slip] = []
    definitions = _definitions(ours, slips)
    theirs = _definitions(own, slips)
    for name, made in theirs.items():
        if name in definitions and made.version <= (version := definitions[name].version):
            problem = f"it replaces ours of version {version}, so its version must be higher"
            slips.append(Slip(("metric", name, "version"), problem, f"Write version = {version + 1}."))
    slips += [
        Slip((section,), "there is no such section", f"It has {', '.join(sorted(_SECTIONS))}.")
        for section in own
        if section not in _SECTIONS
    ]
    policy = _section(own, "policy", {"by_agent": bool}, slips)
    demand = _section(own, "demand", {"internal_lines": list, "failure_codes": list}, slips)
    forces = _forces(own, slips)
    if slips:
        raise DefinitionsError(file, slips)
    return Book(
        definitions={**definitions, **theirs},
        own=frozenset(theirs),
        by_agent=policy.get("by_agent", False),
        internal_lines=frozenset(demand.get("internal_lines", ())),
        failure_codes=frozenset(demand.get("failure_codes", ())),
        force_of_line=forces,
    )


def _definitions(document: dict[str, Any], slips: list[Slip]) -> dict[str, Definition]:
    metrics = document.get("metric", {})
    if not isinstance(metrics, dict):
        slips.append(Slip(("metric",), "is no table", "Write each definition as a table [metric.ID]."))
        return {}
    made: dict[str, Definition] = {}
    for name, table in metrics.items():
        if not _ID.fullmatch(name):
            problem = "an id is made of a-z, 0-9 and -, at most 64"
            slips.append(Slip(("metric", name), problem, "Rename it."))
            continue
        try:
            made[name] = msgspec.convert(table, AnyDefinition)
        except msgspec.ValidationError as error:
            slips.append(slip_of(("metric", name), table, error))
            continue
        if (complaint := made[name].complaint()) is not None:
            problem, _, mend = complaint.partition(": ")
            slips.append(
                Slip(
                    ("metric", name),
                    problem,
                    f"{mend[:1].upper()}{mend[1:]}." if mend else "Change one of them.",
                )
            )
    return made


def _section(document: dict[str, Any], name: str, keys: dict[str, type], slips: list[Slip]) -> dict[str, Any]:
    section = document.get(name, {})
    if not isinstance(section, dict):
        slips.append(Slip((name,), "is no table", f"Write it as a table [{name}]."))
        return {}
    for key, value in section.items():
        if key not in keys:
            slips.append(Slip((name, key), "there is no such key", f"It has {', '.join(keys)}."))
        elif not isinstance(value, keys[key]) or (isinstance(value, list) and not _is_texts(value)):
            wanted = "true or false" if keys[key] is bool else 'a list such as ["internal"]'
            slips.append(Slip((name, key), f"is not {wanted}", f"Write {wanted}."))
    return section


def _forces(document: dict[str, Any], slips: list[Slip]) -> dict[str, str]:
    forces = document.get("force", {})
    of_line: dict[str, str] = {}
    if not isinstance(forces, dict):
        mend = 'Write each force as a table [force.NAME] with lines = ["main"].'
        slips.append(Slip(("force",), "is no table", mend))
        return {}
    for name, table in forces.items():
        lines = table.get("lines") if isinstance(table, dict) else None
        if not isinstance(lines, list) or not _is_texts(lines) or set(table) != {"lines"}:
            mend = f'Write [force.{name}] lines = ["main", "999"].'
            slips.append(Slip(("force", name), "has not exactly a list of lines", mend))
            continue
        for line in lines:
            if line in of_line:
                problem = f"line {line} is of force {of_line[line]} already"
                slips.append(Slip(("force", name, "lines"), problem, "Leave it with one of them."))
            of_line[line] = name
    return of_line


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and each for each in value)
