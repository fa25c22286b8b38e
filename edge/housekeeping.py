"""What every process but the daemon owes the callers: it goes after them."""

from __future__ import annotations

import gc
import os

NICENESS = 10
"""A tenth of the share of what answers calls, where both want the processor (sched(7))."""
COLLECT_AFTER = 50_000
"""New objects until the collector looks at them. A page is tens of thousands, and none of them is part of a cycle."""


def give_way() -> None:
    """Let the daemon and the switch have the processor first, however this process was started."""
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    if mine < NICENESS:
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)


def collect_seldom() -> None:
    """What is there by now never dies, and is walked no more; the rest nearly always goes by itself."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)
