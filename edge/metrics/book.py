"""The definitions that hold at a site: ours, and those of a force's own file, read and checked.

A force's file may add definitions and replace ours; what replaces one must have a higher version, so that no figure changes its
meaning under the same id and version.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from edge.errors import PermanentError
from edge.metrics.definition import AnyDefinition, Definition

SHIPPED = "definitions.toml"
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_SECTIONS = {"policy", "demand", "force", "metric"}


class DefinitionsError(PermanentError):
    """The file cannot be used. One line per finding: what is wrong, where, and how to mend it."""


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
        raise DefinitionsError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DefinitionsError(f"{file}: is not TOML: {error}. Mend the syntax at that place.") from error
    return _book(ours, document, str(file))


@cache
def _shipped() -> dict[str, Any]:
    return tomllib.loads(files("edge.metrics").joinpath(SHIPPED).read_text(encoding="utf-8"))


def _book(ours: dict[str, Any], own: dict[str, Any], where: str) -> Book:
    findings: list[str] = []
    definitions = _definitions(ours, SHIPPED, findings)
    theirs = _definitions(own, where, findings)
    findings += [
        f"{where}: metric.{name}: it replaces ours of version {definitions[name].version}, so its version must be higher"
        for name, made in theirs.items()
        if name in definitions and made.version <= definitions[name].version
    ]
    findings += [
        f"{where}: {section}: there is no such section; it has {', '.join(sorted(_SECTIONS))}"
        for section in own
        if section not in _SECTIONS
    ]
    policy = _section(own, "policy", {"by_agent": bool}, where, findings)
    demand = _section(own, "demand", {"internal_lines": list, "failure_codes": list}, where, findings)
    forces = _forces(own, where, findings)
    if findings:
        raise DefinitionsError("\n".join(findings))
    return Book(
        definitions={**definitions, **theirs},
        own=frozenset(theirs),
        by_agent=policy.get("by_agent", False),
        internal_lines=frozenset(demand.get("internal_lines", ())),
        failure_codes=frozenset(demand.get("failure_codes", ())),
        force_of_line=forces,
    )


def _definitions(document: dict[str, Any], where: str, findings: list[str]) -> dict[str, Definition]:
    metrics = document.get("metric", {})
    if not isinstance(metrics, dict):
        findings.append(f"{where}: metric: write each definition as a table [metric.ID]")
        return {}
    made: dict[str, Definition] = {}
    for name, table in metrics.items():
        if not _ID.fullmatch(name):
            findings.append(f"{where}: metric.{name}: an id is made of a-z, 0-9 and -, at most 64")
            continue
        try:
            made[name] = msgspec.convert(table, AnyDefinition)
        except msgspec.ValidationError as error:
            findings.append(f"{where}: metric.{name}: {str(error).replace(' - at `$', ' - at `')}")
            continue
        if (complaint := made[name].complaint()) is not None:
            findings.append(f"{where}: metric.{name}: {complaint}")
    return made


def _section(
    document: dict[str, Any], name: str, keys: dict[str, type], where: str, findings: list[str]
) -> dict[str, Any]:
    section = document.get(name, {})
    if not isinstance(section, dict):
        findings.append(f"{where}: {name}: write it as a table [{name}]")
        return {}
    for key, value in section.items():
        if key not in keys:
            findings.append(f"{where}: {name}.{key}: there is no such key; it has {', '.join(keys)}")
        elif not isinstance(value, keys[key]) or (isinstance(value, list) and not _is_texts(value)):
            wanted = "true or false" if keys[key] is bool else 'a list such as ["internal"]'
            findings.append(f"{where}: {name}.{key}: write {wanted}")
    return section


def _forces(document: dict[str, Any], where: str, findings: list[str]) -> dict[str, str]:
    forces = document.get("force", {})
    of_line: dict[str, str] = {}
    for name, table in forces.items() if isinstance(forces, dict) else ():
        lines = table.get("lines") if isinstance(table, dict) else None
        if not isinstance(lines, list) or not _is_texts(lines) or set(table) != {"lines"}:
            findings.append(f'{where}: force.{name}: write [force.{name}] lines = ["main", "999"]')
            continue
        for line in lines:
            if line in of_line:
                findings.append(f"{where}: force.{name}: line {line} is of force {of_line[line]} already")
            of_line[line] = name
    if not isinstance(forces, dict):
        findings.append(f'{where}: force: write each force as a table [force.NAME] with lines = ["main"]')
    return of_line


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and each for each in value)
