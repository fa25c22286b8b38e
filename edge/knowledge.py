"""What is known of those who call, ready before they do: the force's number list and the ledger's last 30 days.

All of it is a hint, and a hint is never worth a call: looking up takes microseconds and waits for nothing, the list is read
and the history built in a thread, and while either is missing or broken calls are served with what there is.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import structlog

from edge.config.findings import Finding, Level
from edge.core.facts import Entry
from edge.core.inputs import CallPresented
from edge.core.model import MICROSECONDS, Instant, Policy
from edge.directory import NumberList, NumberListError, normalise
from edge.history import KINDS, MONTH_US, History
from edge.ledger.codec import decode_entry
from edge.views.reading import Reader, sequence_before

LOOK_SECONDS = 1.0
"""How often the list's file is looked at."""
RETRY_SECONDS = 60.0
"""Between attempts to build the history."""
PAGE = 200
"""Records read at once while calls are being served, and then a rest: the thread that decides never waits long for its turn."""
REST_SECONDS = 0.002
MOST_LEARNT = 20_000
"""Entries kept for a history that is still being built, or cannot be: beyond it the oldest are forgotten, a hint the less."""
LONGEST_NUMBER = 32
"""What is longer is no number, whatever a stranger calls it."""

NAMES = frozenset(kind.__name__ for kind in KINDS)

OpenReader = Callable[[], AbstractContextManager[Reader]]
Doubts = Callable[[NumberList], Sequence[Finding]]

log = structlog.get_logger(__name__)


class _Stamp(NamedTuple):
    """By which a changed file is told from the same; all None where there is none."""

    modified_ns: int | None
    inode: int | None
    size_bytes: int | None


class Callers:
    """Knows callers by their numbers. Owned by the loop; only `run` uses threads."""

    def __init__(
        self,
        policy: Policy,
        open_reader: OpenReader,
        *,
        list_file: Path | None = None,
        timezone: str = "Europe/London",
        doubts: Doubts = lambda _: (),
    ) -> None:
        """Reads the list now. `open_reader` opens the ledger to be read in a thread; `doubts` finds what is wrong with a list
        beyond its own form. `timezone`: whose days the dates of the list are."""
        self._open_reader = open_reader
        self._file = list_file
        self._zone = ZoneInfo(timezone)
        self._doubts = doubts
        self._recent_minutes = policy.repeat.minutes if policy.repeat is not None else 0.0
        self._history = History()
        self._built_to = 0
        """The history has every entry up to this sequence, and all that were learnt after it."""
        self._waiting: deque[Entry] = deque(maxlen=MOST_LEARNT)
        """Learnt while the history is being built."""
        self.complete = asyncio.Event()
        """Set once the history is there; until then only the list is known."""
        self._stamp = _stamp(list_file)
        self._numbers = self._load() or NumberList({})
        normalise("+441632960000")  # the tables of numbers are read now and not for the first caller

    def recognise(self, given: CallPresented, now: Instant) -> CallPresented:
        """The same call with what is known of its number; a withheld one is nobody's and never looked up."""
        number = given.caller_number
        if given.number_withheld or not number or len(number) > LONGEST_NUMBER:
            return given
        today = datetime.fromtimestamp(now.utc_us / MICROSECONDS, self._zone).date()
        listing = self._numbers.lookup(number, today)
        known = self._history.lookup(number, now.utc_us, self._recent_minutes, listing)
        return given if known is None else replace(given, knowledge=known)

    def learn(self, entries: Iterable[Entry]) -> None:
        """Take note of entries that were committed."""
        for entry in entries:
            if not isinstance(entry.fact, KINDS):
                continue
            if not self.complete.is_set():
                self._waiting.append(entry)
            elif entry.sequence > self._built_to:
                self._history.add(entry)

    async def run(self) -> None:
        """Build the history, and follow the list's file, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._remember(), name="history")
            tasks.create_task(self._follow(), name="number list")
            await asyncio.Event().wait()

    # ------------------------------------------------------------------ the history

    async def _remember(self) -> None:
        while True:
            try:
                history, built_to = await asyncio.to_thread(self._build)
                break
            except Exception as error:  # noqa: BLE001 - a hint is never worth a call
                log.warning(
                    "history of callers not built yet: only the number list is known", error=str(error)
                )
                await asyncio.sleep(RETRY_SECONDS)
        self._history, self._built_to = history, built_to
        self.complete.set()
        learnt = list(self._waiting)
        self._waiting.clear()
        self.learn(learnt)
        log.info("history of callers is known", numbers=len(history))

    def _build(self) -> tuple[History, int]:
        history = History()
        with self._open_reader() as reader:
            after = sequence_before(reader, time.time_ns() // 1000 - MONTH_US)
            while records := reader.page(after, PAGE)[0]:
                for record in records:
                    if record.row.kind in NAMES:
                        history.add(decode_entry(record.row, record.personal))
                after = records[-1].row.sequence
                time.sleep(REST_SECONDS)
        return history, after

    # ------------------------------------------------------------------ the list

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look_at_list()

    async def look_at_list(self) -> None:
        """Take the list over if its file has changed; one that cannot be used leaves the one before in use."""
        stamp = await asyncio.to_thread(_stamp, self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        numbers = await asyncio.to_thread(self._load)
        if numbers is not None:
            self._numbers = numbers
            log.info("number list taken over", numbers=len(numbers.entries))

    def _load(self) -> NumberList | None:
        """The list as its file has it, None (and a warning, without any number) where it cannot be used."""
        try:
            numbers = NumberList({}) if self._file is None else NumberList.load(self._file)
            findings = self._doubts(numbers)
            if not any(finding.level is Level.ERROR for finding in findings):
                return numbers
        except NumberListError as error:
            findings = error.findings
        except Exception as error:  # noqa: BLE001 - a hint is never worth a call
            log.warning("number list cannot be read: the one before stays in use", error=type(error).__name__)
            return None
        problems = "; ".join(f"{finding.where}: {finding.problem}" for finding in findings)
        log.warning("number list cannot be used: the one before stays in use", problems=problems)
        return None


def _stamp(file: Path | None) -> _Stamp:
    try:
        found = file.stat() if file is not None else None
    except OSError:
        found = None
    return (
        _Stamp(None, None, None) if found is None else _Stamp(found.st_mtime_ns, found.st_ino, found.st_size)
    )
