"""The system's clocks, and what the kernel says of their quality."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

from edge.core.inputs import ClockSeen
from edge.core.model import ClockState, Instant

STA_UNSYNC = 0x0040
TIME_ERROR = 5
"""adjtimex(2): the clock is not synchronised to a server."""


class SystemClock:
    """`CLOCK_MONOTONIC` and UTC, read together."""

    def now(self) -> Instant:
        """Both readings, a fraction of a microsecond apart."""
        return Instant(time.monotonic_ns(), time.time_ns() // 1000)

    def quality(self) -> ClockSeen:
        """What the kernel says of the clock."""
        return clock_quality()

    def boot_id(self) -> str:
        """The kernel's own name of this boot."""
        return boot_id()


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as it is read here; `rest` covers what the kernel writes behind it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def clock_quality() -> ClockSeen:
    """The kernel's judgement of the clock: synchronised or not, and its maximum error in microseconds."""
    timex = _Timex()
    answer = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if answer < 0:
        return ClockSeen(state=ClockState.UNKNOWN)
    lost = answer == TIME_ERROR or bool(timex.status & STA_UNSYNC)
    state = ClockState.UNSYNCHRONISED if lost else ClockState.SYNCHRONISED
    return ClockSeen(state=state, error_us=timex.maxerror)


def boot_id() -> str:
    """Identifies the origin of the monotonic clock: it changes with every boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
