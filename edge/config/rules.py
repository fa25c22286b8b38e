"""What rules about a configuration are made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from edge.config.findings import Level
from edge.config.model import Configuration
from edge.config.position import KeyPath


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two things that cannot both be meant. `key`: where a person would mend it."""

    key: KeyPath
    problem: str
    mend: str
    level: Level = Level.ERROR


Rule: TypeAlias = Callable[[Configuration], Iterator[Contradiction]]


def names(known: Iterable[str]) -> str:
    """What may be named."""
    return f"Known: {', '.join(sorted(known)) or 'none'}."


def unknown(what: str, wanted: Mapping[KeyPath, str | None], known: Iterable[str]) -> Iterator[Contradiction]:
    """A contradiction for each wanted name that is none of the known; None wants nothing."""
    present = frozenset(known)
    for key, name in wanted.items():
        if name is not None and name not in present:
            yield Contradiction(key, f'there is no {what} "{name}"', names(present))


def repeated(keys: Mapping[KeyPath, str]) -> Iterator[tuple[KeyPath, KeyPath, str]]:
    """(second key, first key, value) wherever a value is used again."""
    by_value: dict[str, list[KeyPath]] = defaultdict(list)
    for key, value in keys.items():
        by_value[value].append(key)
    for value, users in by_value.items():
        for user in users[1:]:
            yield user, users[0], value


def dotted(key: KeyPath) -> str:
    """A key as a person writes it."""
    return ".".join(map(str, key))
