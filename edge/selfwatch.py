"""Does the engine's loop go round? Pings for the supervisor from the loop itself, and a thread that ends us when it hangs.

A fast death is better than a hang: the switch's own queue takes over at once, and the supervisor starts us again. The
thread is quicker than any watchdog outside and says where the loop stands; the one outside ends us if even that fails.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable

import structlog

from edge.core.inputs import Input, LedgerTrouble, LinkLost, Reconciled
from edge.errors import EXIT_HUNG
from edge.notify import Supervisor

log = structlog.get_logger(__name__)

HUNG_SECONDS = 3.0
"""The loop goes round at least every quarter of a second. The dead-man of a 999 is as long."""
LOOK_SECONDS = 0.5
STOOD_STILL_SECONDS = 1.0
"""If the watching thread itself comes so much late, the whole machine stood still, and the loop is given its time anew."""
PINGS_PER_PERIOD = 4
"""Pings within the supervisor's period: two may be late or lost."""


Leave = Callable[[float, bool], None]
"""Leaves a sign of life: how many seconds ago the loop went round, and whether it is being ended because it does not."""


class SelfWatch:
    """Hears of every turn of the loop."""

    def __init__(self, supervisor: Supervisor, leave: Leave | None = None) -> None:
        """`leave`: where a sign of life is left for the next daemon; None: nowhere."""
        self._supervisor = supervisor
        self._leave = leave
        self._beat_at = time.monotonic()
        self._pinged_at = float("-inf")
        self._is_ready = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="selfwatch", daemon=True)
        self._status = ""

    def beat(self) -> None:
        """The loop begins a turn."""
        self._beat_at = now = time.monotonic()
        if not self._is_ready:
            self._is_ready = True
            self._supervisor.ready()
            self._thread.start()
        period = self._supervisor.watchdog_seconds
        if period is not None and now - self._pinged_at >= period / PINGS_PER_PERIOD:
            self._pinged_at = now
            self._supervisor.alive()

    def told(self, given: Input) -> None:
        """An input that a person at `systemctl status` wants to know of."""
        match given:
            case Reconciled():
                self._say(f"serving; the switch is seen, {len(given.calls)} calls found")
            case LinkLost():
                self._say("the switch is not seen: its own queue serves")
            case LedgerTrouble(ok=False):
                self._say("serving; ledger in trouble, facts are kept in memory")
            case LedgerTrouble(ok=True):
                self._say("serving; the ledger takes facts again")

    def _say(self, words: str) -> None:
        if words != self._status:
            self._status = words
            self._supervisor.status(words)

    def stopping(self) -> None:
        """The loop ends because it was told to."""
        self._ended.set()
        self._supervisor.stopping()

    def close(self) -> None:
        """The loop has ended, whatever the reason: nobody looks any more."""
        self._ended.set()

    def _look(self) -> None:
        looked_at = time.monotonic()
        while not self._ended.wait(LOOK_SECONDS):
            now = time.monotonic()
            if now - looked_at > LOOK_SECONDS + STOOD_STILL_SECONDS:
                self._beat_at = max(self._beat_at, now)
            is_hung = now - self._beat_at > HUNG_SECONDS
            if self._leave is not None:
                self._leave(now - self._beat_at, is_hung)
            looked_at = time.monotonic()  # after the writing: a slow disk is no standstill of the machine
            if is_hung:
                self._end(now - self._beat_at)

    def _end(self, seconds: float) -> None:
        """Without a word to the loop, which hears none. The ledger's file is safe: a commit is whole or not at all."""
        log.critical("loop.hung", seconds=round(seconds, 1))
        faulthandler.dump_traceback(sys.stderr, all_threads=True)
        sys.stderr.flush()
        os._exit(EXIT_HUNG)
