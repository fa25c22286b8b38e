"""The machine a figure was measured on, and how busy it was."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

NO_COMMIT = "not known"
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What RFC 6076 §5.6 asks to be documented."""

    processor: str
    cores: int
    memory_mb: int
    kernel: str
    python: str
    asterisk: str
    clock: str = "kernel stamps of CLOCK_REALTIME on one host; nothing pinned to a core"

    @property
    def words(self) -> str:
        """It in one line."""
        return (
            f"{self.processor}, {self.cores} cores, {self.memory_mb} MB, Linux {self.kernel}, Python {self.python}, "
            f"Asterisk {self.asterisk}"
        )


def describe_machine(asterisk: str) -> Machine:
    """This machine."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_mb=memory_bytes // 2**20,
        kernel=platform.release(),
        python=platform.python_version(),
        asterisk=asterisk,
    )


def commit() -> str:
    """The commit of the checkout that runs, with a + where its files are changed; "not known" where this is none."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return NO_COMMIT
    words = ("git", "-C", str(root), "describe", "--always", "--exclude=*", "--abbrev=7", "--dirty=+")
    try:
        told = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        return NO_COMMIT
    return told.stdout.strip() or NO_COMMIT


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


class Load(NamedTuple):
    """What ran meanwhile: shares of all cores' time, and the load average at the end."""

    seconds: float
    busy_share: float
    steal_share: float
    load_average: float
    clock_step_ms: float

    @property
    def words(self) -> str:
        """It in one line."""
        return (
            f"{self.seconds:.0f} s, load {self.load_average:.2f}, busy {self.busy_share:.0%}, "
            f"steal {self.steal_share:.1%}"
        )


class LoadMeter:
    """Measures the load between its making and `read`."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._ticks = _cpu_ticks()
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def read(self) -> Load:
        """The load since the start."""
        ticks = {name: now - self._ticks[name] for name, now in _cpu_ticks().items()}
        total = sum(ticks.values()) or 1
        step_ns = time.time_ns() - time.monotonic_ns() - self._offset_ns
        return Load(
            seconds=time.monotonic() - self._start,
            busy_share=1 - (ticks["idle"] + ticks["iowait"] + ticks["steal"]) / total,
            steal_share=ticks["steal"] / total,
            load_average=os.getloadavg()[0],
            clock_step_ms=step_ns / 1e6,
        )


def _cpu_ticks() -> Mapping[str, int]:
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    return dict(zip(names, map(int, fields), strict=True))


class Usage(NamedTuple):
    """What one process has used."""

    cpu_seconds: float
    rss_mb: float


def usage_of(pid: int) -> Usage:
    """All threads of a process (proc(5): utime and stime, VmRSS). ProcessLookupError or FileNotFoundError when it has ended."""
    proc = Path("/proc") / str(pid)
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line)
    if "VmRSS" not in status:  # ended, and nobody has asked for its exit status yet
        raise ProcessLookupError(f"process {pid} ({status.get('Name', '?').strip()}) has ended")
    cpu_seconds = (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
    return Usage(cpu_seconds, int(status["VmRSS"].split()[0]) / 1024)
