"""What every process but the daemon owes the callers: it goes after them."""

from __future__ import annotations

import os

NICENESS = 10
"""A tenth of the share of what answers calls, where both want the processor (sched(7))."""


def give_way() -> None:
    """Let the daemon and the switch have the processor first, however this process was started."""
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    if mine < NICENESS:
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
