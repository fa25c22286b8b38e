"""A daemon in reserve: started, loaded, and waiting for its turn, which comes the moment the one that serves has ended.

Most of the time from a daemon's death to the next call is Python's: a second of processor time for imports, and several on a
busy machine. In reserve that time is spent before. Whoever holds the lock beside the ledger serves; the kernel frees it however
its holder dies, and wakes who waits for it. So there are never two, and nobody has to judge whether another lives.
"""

from __future__ import annotations

import fcntl
import threading
import time

from edge.notify import Supervisor

PING_SECONDS = 1.0
"""While waiting: the supervisor's watchdog wants to hear of us, too."""
GONE_SECONDS = 0.06
"""From a daemon's end until its successor may connect: the switch must have seen the old link end (ASTERISK.md 0.2)."""


class Reserve:
    """Waits for the turn of this process."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.waited = False
        """Whether there was another before us."""

    def wait(self, file: int) -> None:
        """Return with this file locked. The kernel wakes a thread, and the thread us; between them we say that we live."""
        self.waited = True
        self._supervisor.ready()
        self._supervisor.status("in reserve: another daemon serves")
        waiting = threading.Thread(
            target=fcntl.flock, args=(file, fcntl.LOCK_EX), name="reserve", daemon=True
        )
        waiting.start()
        while waiting.is_alive():
            self._supervisor.alive()
            waiting.join(PING_SECONDS)
        time.sleep(GONE_SECONDS)
