"""Reads Asterisk's own configuration files far enough to check them: sections, settings, #include and templates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_SECTION = re.compile(r"^\[([^\]]*)\](?:\(([^)]*)\))?")
_INCLUDE = re.compile(r"^#(?:try)?include\s+[\"<]?([^\">]+)[\">]?")
_SETTING = re.compile(r"^([^=]+?)\s*=>?\s*(.*)$")
_COMMENT = re.compile(r"(?<!\\);.*$")
_MOST_INCLUDES = 16


@dataclass(slots=True)
class SwitchSection:
    """One section: its name, where it begins and its settings (the last of each name)."""

    name: str
    where: str
    adds: bool
    """Written as [name](+): adds to the section of that name that came before."""
    template: bool
    """Written as [name](!): counts for nothing but what inherits from it."""
    settings: dict[str, str] = field(default_factory=dict)


def read_sections(path: Path) -> list[SwitchSection]:
    """All sections of a file and of those it includes, in order. Raises OSError when it cannot be read."""
    sections: list[SwitchSection] = []
    templates: dict[str, Mapping[str, str]] = {}
    for where, line in _lines(path, path.parent, _MOST_INCLUDES):
        if header := _SECTION.match(line):
            options = [option.strip() for option in (header[2] or "").split(",")]
            section = SwitchSection(header[1], where, "+" in options, "!" in options)
            for option in options:
                section.settings |= templates.get(option, {})
            templates[section.name] = section.settings
            sections.append(section)
        elif sections and (setting := _SETTING.match(line)):
            sections[-1].settings[setting[1].strip().lower()] = setting[2].strip()
    return sections


def general(sections: list[SwitchSection]) -> Mapping[str, str]:
    """What Asterisk takes for [general]: the first of that name and those that add to it."""
    return merged(sections, "general")


def merged(sections: list[SwitchSection], name: str) -> Mapping[str, str]:
    """What Asterisk takes for the section `name`: the first of that name and those that add to it."""
    named = [section for section in sections if section.name == name]
    values: dict[str, str] = {}
    for section in [*named[:1], *(section for section in named[1:] if section.adds)]:
        values |= section.settings
    return values


def _lines(path: Path, base: Path, depth: int) -> Iterator[tuple[str, str]]:
    for number, raw in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        line = raw.strip()
        if (include := _INCLUDE.match(line)) and depth:
            for included in (
                sorted(base.glob(include[1])) if not include[1].startswith("/") else [Path(include[1])]
            ):
                if included.is_file():
                    yield from _lines(included, base, depth - 1)
        elif line := _COMMENT.sub("", line).strip():
            yield f"{path}:{number}", line
