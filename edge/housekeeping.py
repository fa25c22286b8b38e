"""What every process but the daemon owes the callers: it goes after them."""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")
NICENESS = 10
"""A tenth of the share of what answers calls, where both want the processor (sched(7))."""
COLLECT_AFTER = 50_000
"""New objects until the collector looks at them. A page is tens of thousands, and none of them is part of a cycle."""


def give_way(niceness: int = NICENESS) -> None:
    """Let the daemon and the switch have the processor first, however this process was started."""
    if os.getpriority(os.PRIO_PROCESS, 0) < niceness:
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    if os.getsid(0) == os.getpid():
        _session_gives_way(niceness)


def _session_gives_way(niceness: int) -> None:
    """Linux shares the processor out to sessions first, where no control group does, and within each by niceness (sched(7), "the
    autogroup feature"): alone, ours would count against nobody but ourselves. A session that is not ours is left as it is.
    """
    with suppress(
        OSError, ValueError, IndexError
    ):  # no such feature here, or a session in no group: it reads as nothing
        words = AUTOGROUP.read_text(encoding="ascii").split()
        if int(words[-1]) < niceness:
            AUTOGROUP.write_text(str(niceness), encoding="ascii")


def collect_seldom() -> None:
    """What is there by now never dies, and is walked no more; the rest nearly always goes by itself."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)
