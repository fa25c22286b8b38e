"""Faults that Asterisk's own issue list knows, by version. Kept by hand: each row was read there, or seen on a real switch."""

from __future__ import annotations

import re
from dataclasses import dataclass

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One fault of the switch."""

    issue: int
    """Number at github.com/asterisk/asterisk/issues."""
    words: str
    first: Version
    """The oldest version that is known to have it."""
    mended: Version | None
    """The first version without it; None while none is known to us."""
    released: bool = True
    """Whether that version was out when this list was read."""

    @property
    def where(self) -> str:
        """Where one reads on."""
        return f"github.com/asterisk/asterisk/issues/{self.issue}"


BUGS = (
    Bug(
        issue=1936,
        words="the switch can come to a standstill (deadlock) under calls",
        first=(22, 9, 0),
        mended=(22, 10, 0),
    ),
    Bug(
        issue=1946,
        words="calls that arrive while others are joined can lock the list of channels; then no call is taken",
        first=(22, 9, 0),
        mended=(22, 11, 0),
        released=False,
    ),
    Bug(
        issue=1962,
        words="about 100 calls a minute over ARI alone brought 22.9.0 to a standstill; closed, and no mend is known to us",
        first=(22, 9, 0),
        mended=None,
    ),
    Bug(
        issue=2170,
        words=(
            "a program that subscribes to device states over ARI can lock ARI when its connection ends, and then no call is "
            "taken; the daemon does not subscribe to them, others might"
        ),
        first=(16, 0, 0),
        mended=None,
    ),
)
"""As read in November 2026, for the branches that appliances of ours run."""
ANSWERS_AT_ONCE_SINCE: Version = (20,)
"""The first with Answer(0,i), which does not wait for the caller's audio."""
CLAIMS_SINCE: dict[int, Version] = {20: (20, 20), 22: (22, 10), 23: (23, 4)}
"""From which version a branch has StasisBroadcast, which finds a hung daemon within a second; later branches have it."""


def version_of(text: str) -> Version | None:
    """The numbers in what `core show version` prints; None for what is no Asterisk."""
    found = re.search(r"\bAsterisk (?:certified[-/])?(\d+(?:\.\d+)*)", text)
    return tuple(map(int, found[1].split("."))) if found else None


def bugs_of(version: Version) -> list[Bug]:
    """Those that a version has. A branch that is older than the mend counts as having it."""
    return [bug for bug in BUGS if version >= bug.first and (bug.mended is None or version < bug.mended)]


def lacks(version: Version) -> list[str]:
    """What this version cannot do that we would use, in words."""
    missing = list[str]()
    if version < ANSWERS_AT_ONCE_SINCE:
        missing.append("it answers callers who send no audio half a second late: Answer() has no option i")
    claims = CLAIMS_SINCE.get(version[0])
    if (claims and version < claims) or (not claims and version[0] < max(CLAIMS_SINCE)):
        missing.append("a hung daemon is found by the dead man's timer alone: there is no StasisBroadcast()")
    return missing
