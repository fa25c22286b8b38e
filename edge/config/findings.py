"""What is wrong with a configuration, said so that a person can mend it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge.errors import PermanentError


class Level(StrEnum):
    """`error`: the daemon refuses to start, or whatever reads the file that it is in. `warning`: it starts, and says so."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `where`: file, line and key. `mend`: what would be right."""

    level: Level
    where: str
    problem: str
    mend: str

    def __str__(self) -> str:
        return f"{self.level}: {self.where}: {self.problem}. {self.mend}"


class ConfigurationError(PermanentError):
    """The configuration cannot be used. The message has one line per finding."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings: Sequence[Finding] = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))
