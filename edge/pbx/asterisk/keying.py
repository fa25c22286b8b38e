"""A number that a caller keys: from single keys to one entry. Pure; time is told to it.

Keys are part of somebody's number: they stand in no log and in no representation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

FIRST_KEY_SECONDS = 20.0
"""Without any key for so long, nothing is keyed. What is being said to the caller meanwhile does not count."""
NEXT_KEY_SECONDS = 5.0
"""After the last key for so long, the number is whole."""
LONGEST_ENTRY = 32
"""Digits kept: more than any number has (E.164: 15). Those after them change nothing, and put no end off."""
END_KEY = "#"
ANEW_KEY = "*"


class Heard(Enum):
    """What a key means."""

    TAKEN = auto()
    """Nothing yet: it belongs to the number, or to none."""
    WHOLE = auto()
    """The number is whole."""
    EMERGENCY = auto()
    """It is the emergency key, and no digit."""


@dataclass(slots=True)
class NumberEntry:
    """One caller's entry. `emergency_key`: None where there is none."""

    emergency_key: str | None
    digits: str = field(default="", repr=False)
    _quiet_since: float | None = None

    def press(self, key: str) -> Heard:
        """A key. The emergency key is that only as the very first, or as the first after *: every number begins with 0, and goes
        on with any digit."""
        if not self.digits and key == self.emergency_key:
            return Heard.EMERGENCY
        if key == END_KEY:
            return Heard.WHOLE
        if key == ANEW_KEY:
            self.digits, self._quiet_since = "", None
        elif len(self.digits) < LONGEST_ENTRY:
            self.digits, self._quiet_since = self.digits + key, None
        return Heard.TAKEN

    def is_over(self, now_seconds: float, *, spoken_to: bool) -> bool:
        """Whether the caller has keyed nothing for so long that nothing more will come. Quiet begins at the first look after a
        key; `spoken_to`: something is being said to the caller."""
        if self._quiet_since is None or (spoken_to and not self.digits):
            self._quiet_since = now_seconds
        limit_seconds = NEXT_KEY_SECONDS if self.digits else FIRST_KEY_SECONDS
        return now_seconds - self._quiet_since >= limit_seconds
