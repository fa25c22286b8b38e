"""The interlock: which number may be called, and when. Everything that dials asks here; there is no way around it.

On a live target only a configured test number is called, one call at a time, a few in a minute, never a number that could
reach the emergency services, and never while other people's calls are in progress.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from hwtest.probes.contract import Level, NotMeasuredError, Probe
from hwtest.target import CALLS_PER_MINUTE, Target

EMERGENCY = ("999", "112", "911", "18000")
"""999 and 112 in the United Kingdom, 911 elsewhere, 18000 for text relay to the emergency services."""
PREFIXES = ("18001", "18002", "0044", "1470", "1280", "141", "44", "00", "9", "0", "8")
"""What may stand before a number: for text relay, an outside line, another country, to hide or show the caller's own."""
SHORT_DIGITS = 8
"""A number of no more digits that ends like an emergency number is taken for one with a prefix that we do not know."""
LIVE_CALLS_AT_ONCE = 1
MINUTE = 60.0
_PLAIN = re.compile(r"\+?[0-9]+(?:[ \-./()]+[0-9]+)*[ )]*", re.ASCII)


class InterlockError(NotMeasuredError):
    """A call or a probe was refused, for the safety of those whom the target serves."""


def digits_of(number: str) -> str | None:
    """The digits of a plain number, without the marks that people write between them; None for anything else.

    Nothing is guessed: letters, other scripts' digits, `*`, `#`, pauses, escapes and parameters are no plain number.
    """
    text = number.strip(" ").lstrip("(")
    return re.sub("[^0-9]", "", text) if _PLAIN.fullmatch(text) else None


def as_dialled(number: str) -> str:
    """A number without the marks that people write in it; anything but a plain number as it is."""
    digits = digits_of(number)
    return number if digits is None else ("+" if number.strip().startswith("+") else "") + digits


def could_reach_emergency(digits: str) -> bool:
    """Whether dialling these digits could reach the emergency services.

    Every number that begins like an emergency number counts, perhaps after prefixes: an exchange that takes digit after
    digit connects it before the rest is dialled.
    """
    return is_emergency(digits) or any(core.startswith(EMERGENCY) for core in _without_prefixes(digits))


def is_emergency(digits: str) -> bool:
    """Whether these digits are an emergency number, perhaps after prefixes that we know or do not know."""
    if len(digits) <= SHORT_DIGITS and digits.endswith(EMERGENCY):
        return True
    return any(core in EMERGENCY for core in _without_prefixes(digits))


def _without_prefixes(digits: str) -> set[str]:
    """The number itself, and what is left of it without one or more prefixes."""
    found, waiting = {digits}, [digits]
    while waiting:
        left = waiting.pop()
        shorter = {left.removeprefix(prefix) for prefix in PREFIXES if left.startswith(prefix)} - found
        found |= shorter
        waiting += shorter
    return found


def fault_of_test_number(number: str, *, looks_like_emergency: bool) -> str | None:
    """Why this number cannot be a test number of a live target, in words; None when it can."""
    digits = digits_of(number)
    if digits is None:
        return "is not a plain number: digits, perhaps with a leading + and spaces or hyphens between them"
    if is_emergency(digits):
        return "is an emergency number, or one with a prefix; no test call may reach one"
    if could_reach_emergency(digits) and not looks_like_emergency:
        return (
            "begins like an emergency number; choose another, or state looks_like_emergency = true when you have seen "
            "that it rings the test phone and nobody else"
        )
    return None


Others = Callable[[], Awaitable[int | None]]
"""How many calls are in progress at the target; None where nobody can tell."""
SETTLE_SECONDS = 2.0
"""So long a call of ours that has ended may still be counted by the switch."""
_POLL_SECONDS = 0.1


class Interlock:
    """Refuses what must not be done to this target, and paces what may."""

    def __init__(
        self,
        target: Target,
        *,
        lab_allowed: bool,
        others: Others,
        placed: deque[float] | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`lab_allowed`: whether the person said --lab. `placed`: when calls were placed in runs before; ours are added.
        `now`: seconds that never jump."""
        self._target = target
        self._lab_allowed = lab_allowed
        self._others = others
        self._now = now
        self._sleep = sleep
        self._started = deque[float]() if placed is None else placed
        self._places = asyncio.Semaphore(LIVE_CALLS_AT_ONCE)
        self.on_wait: Callable[[float], None] = lambda _: None
        """Told of every wait before a call, in seconds: a probe's time does not run meanwhile."""

    def admit(self, probe: Probe) -> None:
        """Raises InterlockError for a probe that may not run here."""
        if probe.level is Level.LAB:
            self.admit_harm(probe.name)

    def admit_harm(self, what: str) -> None:
        """Load, faults, anything that people would notice: only where the target is a lab and the person said so."""
        if not self._target.is_lab:
            raise InterlockError(
                f"{what} loads or breaks things, and {self._target.name} is not marked as a lab",
                'run it against a lab (hwtest lab up); only a target with kind = "lab" is loaded',
            )
        if not self._lab_allowed:
            raise InterlockError(f"{what} loads or breaks things, and --lab was not given", "add --lab")

    def check(self, number: str) -> str:
        """The number as it is dialled. Raises InterlockError when this target may not be called there."""
        if self._target.is_lab:
            return self._check_lab(number)
        digits = digits_of(number)
        allowed = {digits_of(line.number): line for line in self._target.lines.values()}
        line = allowed.get(digits) if digits else None
        if digits is None or line is None:
            raise InterlockError(
                f"{shown(number)} is no test number of {self._target.name}",
                f"name it as a line in {self._target.source} if it rings a test phone and nobody else",
            )
        if fault := fault_of_test_number(number, looks_like_emergency=line.looks_like_emergency):
            raise InterlockError(
                f"{shown(number)} {fault}", f"give another test number in {self._target.source}"
            )
        return as_dialled(number)

    def _check_lab(self, number: str) -> str:
        """A lab of our own on this machine reaches nobody. Any other might have a trunk: it gets no emergency number, ever.

        An appliance that a profile calls a lab is another one, wherever it is: hwtest may run on the appliance itself.
        """
        if self._target.lab is not None and ipaddress.ip_address(self._target.sip.host).is_loopback:
            return number
        digits = re.sub("[^0-9]", "", number)  # also of a code: what it dials may stand behind the star
        known = any(number == line.number for line in self._target.lines.values()) or number.startswith("*")
        if not known or could_reach_emergency(digits):
            raise InterlockError(
                f"{shown(number)} may not be called at a lab that was not started on this machine by hwtest lab up",
                f"name it as a line in {self._target.source}; emergency numbers are called in such a lab alone",
            )
        return number

    @asynccontextmanager
    async def call(self, number: str) -> AsyncIterator[str]:
        """The right to one call to this number while the block lasts; what it gives is dialled.

        On a live target it waits for its turn, and raises InterlockError when other calls are in progress.
        """
        allowed = self.check(number)
        if self._target.is_lab:
            yield allowed
            return
        async with self._places:
            await self._pace()
            await self._stand_back()
            self._started.append(self._now())
            yield allowed

    async def _pace(self) -> None:
        most = min(CALLS_PER_MINUTE, self._target.calls.per_minute)
        while True:
            while self._started and self._now() - self._started[0] >= MINUTE:
                self._started.popleft()
            if len(self._started) < most:
                return
            wait_seconds = MINUTE - (self._now() - self._started[0])
            self.on_wait(wait_seconds)
            await self._sleep(wait_seconds)

    async def _stand_back(self) -> None:
        """One call of ours at a time, and it has not begun: whatever is in progress is other people's."""
        until = self._now() + SETTLE_SECONDS
        while True:
            others = await self._others()
            if others is None:
                if self._target.calls.unseen:
                    return
                raise InterlockError(
                    "nothing shows whether other calls are in progress, so no test call is placed",
                    f"give the switch's [ami] in {self._target.source}, or calls.unseen = true",
                )
            if others <= self._target.calls.other_calls_at_most:
                return
            if self._now() >= until:
                raise InterlockError(
                    f"standing back: other calls in progress: {others}, allowed: "
                    f"{self._target.calls.other_calls_at_most}",
                    f"wait until it is quiet, or raise calls.other_calls_at_most in {self._target.source}",
                )
            await self._sleep(_POLL_SECONDS)


def shown(number: str) -> str:
    """A number in a message: its length and last two digits, as it may be a person's."""
    return f"the number that ends in {ascii(number[-2:])[1:-1]} ({len(number)} characters)"
