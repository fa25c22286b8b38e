"""What this machine knows of its own clock: the kernel's word (adjtimex), chrony's, and whether it was stepped."""

from __future__ import annotations

import asyncio
import ctypes
import math
import shutil
import time
from dataclasses import dataclass

STA_UNSYNC = 0x40  # <linux/timex.h>
STA_NANO = 0x2000
TIME_ERROR = 5
CHRONYC_SECONDS = 5.0
_OWN_CLOCK = "7F7F0101"
"""As chrony's reference: no source at all, but this machine's clock by its own word (`local stratum`)."""
_FIELDS, _NUMBERS = 14, (2, 4, 10, 11)
"""Of `chronyc -c tracking`: stratum, offset, root delay, root dispersion. The source's name may be an address: no number."""


class _Timex(ctypes.Structure):
    """struct timex of <linux/timex.h> on 64-bit Linux."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time_seconds", ctypes.c_long),
        ("time_fraction", ctypes.c_long),
        ("tick", ctypes.c_long),
        ("unused", ctypes.c_char * 96),
    )


@dataclass(frozen=True, slots=True)
class KernelClock:
    """What the kernel says of its clock."""

    synchronised: bool
    most_error_ms: float
    frequency_ppm: float
    offset_ms: float
    """What is still to be corrected."""


def kernel_clock() -> KernelClock:
    """As adjtimex(2) has it now; it changes nothing."""
    timex = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if state < 0:
        raise OSError(ctypes.get_errno(), "adjtimex refused")
    return KernelClock(
        synchronised=state != TIME_ERROR and not timex.status & STA_UNSYNC,
        most_error_ms=timex.maxerror / 1000,
        frequency_ppm=timex.freq / 65536,
        offset_ms=timex.offset / (1e6 if timex.status & STA_NANO else 1e3),
    )


@dataclass(frozen=True, slots=True)
class Tracking:
    """What chrony says: how far the clock is off, and how far its sources may be."""

    source: str
    stratum: int
    offset_ms: float
    root_delay_ms: float
    root_dispersion_ms: float
    synchronised: bool

    @property
    def bound_ms(self) -> float:
        """At most so far from UTC: |offset| + root dispersion + root delay / 2."""
        return abs(self.offset_ms) + self.root_dispersion_ms + self.root_delay_ms / 2


async def chrony_tracking() -> Tracking | None:
    """None where chrony does not run here."""
    program = shutil.which("chronyc")
    if program is None:
        return None
    # -n: no name is looked up, which takes longer than we wait where the name server is away
    process = await asyncio.create_subprocess_exec(
        program, "-n", "-c", "tracking", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        told, _ = await asyncio.wait_for(process.communicate(), CHRONYC_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    return parse_tracking(told.decode("utf-8", "replace"))


def parse_tracking(text: str) -> Tracking | None:
    """The one line of `chronyc -c tracking`; None for anything else."""
    fields = text.strip().split(",")
    if len(fields) != _FIELDS:
        return None
    try:
        stratum, offset, delay, dispersion = (float(fields[place]) for place in _NUMBERS)
    except ValueError:
        return None
    if not all(map(math.isfinite, (stratum, offset, delay, dispersion))):
        return None
    return Tracking(
        source=fields[1],
        stratum=int(stratum),
        offset_ms=1000 * offset,
        root_delay_ms=1000 * delay,
        root_dispersion_ms=1000 * dispersion,
        synchronised=fields[13] != "Not synchronised" and stratum > 0 and fields[0] != _OWN_CLOCK,
    )


class StepWatch:
    """Whether the wall clock moved beside the one that nobody adjusts."""

    def __init__(self) -> None:
        self._offset_ns = self._read()
        self.largest_ms = 0.0

    def look(self) -> float:
        """By how many milliseconds it moved since the last look."""
        offset_ns = self._read()
        moved_ms = (offset_ns - self._offset_ns) / 1e6
        self._offset_ns = offset_ns
        self.largest_ms = max(self.largest_ms, abs(moved_ms))
        return moved_ms

    @staticmethod
    def _read() -> int:
        """Both clocks at one moment: the reading of several whose ends are closest, so that being put aside does not count."""
        readings = []
        for _ in range(5):
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            wall = time.time_ns()
            after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            readings.append((after - before, wall - (before + after) // 2))
        return min(readings)[1]
