"""The order of service that a lab's configuration gives, worked out from its file alone.

The rule (docs): 999 before everybody, and among all others by time of joining less the head start of their class. The daemon's
own record is not asked, nor its code: two that are wrong in the same way would agree. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EMERGENCY = "999"
STANDARD = "standard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One sort of caller: those of this line."""

    line: str
    """Its name in lab.json."""
    emergency: bool
    priority_class: str
    head_start_seconds: float

    @property
    def words(self) -> str:
        """For a person."""
        return EMERGENCY if self.emergency else f"101 {self.priority_class}"


def kinds_of(document: Mapping[str, Any], skills: Sequence[str]) -> list[Kind]:
    """The sorts of callers that an agent with these skills may be offered: a line for each pair of tier and class.

    Lines are left out that do something else first: menus, opening hours, test phones, skills that relax.
    """
    found = dict[tuple[bool, str], Kind]()
    queues = document.get("queue", {})
    for name, line in document.get("line", {}).items():
        queue = queues.get(line.get("queue"), {})
        plain = not ({"menu", "test_phone"} & set(line) or {"hours", "relax"} & set(queue))
        if not plain or not set(queue.get("skills", ())) <= set(skills):
            continue
        kind = Kind(
            line=str(name).replace("-", "_"),
            emergency=line.get("tier") == EMERGENCY,
            priority_class=line.get("class", STANDARD),
            head_start_seconds=head_start_of(document, line.get("class", STANDARD)),
        )
        key = (kind.emergency, "" if kind.emergency else kind.priority_class)
        known = found.get(key)
        if known is None or ("greeting" not in line and known.line.endswith("101")):
            found[key] = kind
    return sorted(found.values(), key=lambda kind: (not kind.emergency, kind.head_start_seconds, kind.line))


def head_start_of(document: Mapping[str, Any], priority_class: str) -> float:
    """Seconds by which callers of this class count as having joined earlier."""
    return float(document.get("class", {}).get(priority_class, {}).get("head_start_seconds", 0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Somebody who waits: when they joined, in seconds of any clock."""

    who: str
    kind: Kind
    at: float

    @property
    def key(self) -> tuple[bool, float]:
        """Whoever has the smaller one is served first."""
        return (
            not self.kind.emergency,
            self.at if self.kind.emergency else self.at - self.kind.head_start_seconds,
        )


def expected(joined: Sequence[Joined]) -> list[Joined]:
    """In the order of service."""
    return sorted(joined, key=lambda caller: caller.key)


def overtaken(
    joined: Sequence[Joined], served: Sequence[str], within_seconds: float
) -> list[tuple[Joined, Joined]]:
    """Who was served before whom against the order: the one who came too early, and the first whom they passed.

    Two whose keys are nearer to each other than `within_seconds` may come in either order: the wire cannot tell them apart.
    Who was never served counts as passed by everybody who was.
    """
    by_name = {caller.who: caller for caller in joined}
    places = {who: place for place, who in enumerate(served)}
    faults = list[tuple[Joined, Joined]]()
    for who in served:
        early = by_name.get(who)
        if early is None:
            continue
        passed = [
            other
            for other in expected(joined)
            if other.who != who
            and places.get(other.who, len(served)) > places[who]
            and _before(other, early, within_seconds)
        ]
        if passed:
            faults.append((early, passed[0]))
    return faults


def _before(first: Joined, second: Joined, within_seconds: float) -> bool:
    """Whether the one must be served before the other, beyond doubt."""
    if first.kind.emergency is not second.kind.emergency:
        return first.kind.emergency
    return first.key[1] < second.key[1] - within_seconds
