"""Signs of life that stand in no ledger: the daemon's process, the disk, and a ledger that stands still when it should move."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic

from edge.core.model import NANOSECONDS, Instant, OfferState
from edge.core.state import State
from edge.liveness import daemon_pid
from edge.views.caller import key_file

OVERDUE_SECONDS = 10.0
"""A deadline that the daemon's engine has kept is on disk a few milliseconds later."""
DISK_LOW_BYTES = 1 << 30
DISK_LOW_SHARE = 0.05
"""Less than either is low: a busy day takes about 100 MB."""

WORD_SECONDS, WORD_PATIENCE_SECONDS, WORD_BYTES = 1.0, 0.3, 1 << 20


class Daemon(StrEnum):
    """What the kernel says of the daemon's process."""

    RUNNING = "running"
    STOPPED = "stopped"
    """Alive and not running: stopped by a signal, or by a debugger."""
    DEAD = "not running"
    ELSEWHERE = "not on this machine"
    """The record is a copy, or one that several machines share: whether its daemon lives is not known here."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that the ledger is on."""

    free_bytes: int
    size_bytes: int

    @property
    def is_low(self) -> bool:
        """Whether somebody should free space soon."""
        return self.free_bytes < max(DISK_LOW_BYTES, DISK_LOW_SHARE * self.size_bytes)


def daemon_state(ledger_url: str) -> Daemon:
    """Of the process that holds the ledger's lock (proc(5): T stopped, t traced, Z dead and not waited for)."""
    if key_file(ledger_url) is None:
        return Daemon.ELSEWHERE
    pid = daemon_pid(ledger_url)
    if pid is None:
        return Daemon.DEAD
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
    except OSError:
        return Daemon.DEAD
    match state.split()[:1]:
        case ["T" | "t"]:
            return Daemon.STOPPED
        case ["Z" | "X"]:
            return Daemon.DEAD
    return Daemon.RUNNING


def disk_of(ledger_url: str) -> Disk | None:
    """None where the ledger is no file, or the file system does not say."""
    beside = key_file(ledger_url)
    try:
        usage = shutil.disk_usage(beside.parent) if beside is not None else None
    except OSError:
        return None
    return None if usage is None else Disk(usage.free, usage.total)


def overdue(state: State, now: Instant) -> str | None:
    """What should have become a fact `OVERDUE_SECONDS` ago and has not: the ledger does not take what the daemon decides.

    Only for a daemon of this boot of this machine, whose monotonic clock is ours. A phone that rings too long and a wrap-up that
    is over are followed by a fact whatever else happens, as long as the switch is seen.
    """
    before_ns = now.monotonic_ns - int(OVERDUE_SECONDS * NANOSECONDS)
    for offer in state.offers.values():
        rings = offer.state in (OfferState.CALLING, OfferState.RINGING)
        if rings and offer.made_at.plus(offer.ring_seconds).monotonic_ns < before_ns:
            return f"the offer to agent {offer.agent} should be over"
    for agent in state.agents.values():
        if agent.wrap_up_until is not None and agent.wrap_up_until.monotonic_ns < before_ns:
            return f"the wrap-up of agent {agent.agent} should be over"
    return None


def nothing_said() -> None:
    """Where the daemon has no listener."""


class OwnWord:
    """What the daemon itself says is wrong with it, where `[daemon] metrics_port` lets it speak: it cannot write that down."""

    def __init__(self, port: int, seconds: Callable[[], float] = monotonic) -> None:
        self._port = port
        self._seconds = seconds
        self._asked = float("-inf")
        self._said: str | None = None

    def __call__(self) -> str | None:
        """None where nothing is wrong, or nobody answers; asked once a second at most."""
        if self._seconds() - self._asked >= WORD_SECONDS:
            self._said = self._ask()
            self._asked = self._seconds()
        return self._said

    def _ask(self) -> str | None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=WORD_PATIENCE_SECONDS)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read(WORD_BYTES).decode("ascii", "replace")
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()
        said = {name: value for name, _, value in (line.partition(" ") for line in text.splitlines())}
        if said.get("edge_daemon_ledger_trouble") == "1.0":
            return "the daemon cannot write the record"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """Where `live` looks beside the ledger; tests put others in their place."""

    now: Callable[[], Instant]
    boot_id: Callable[[], str]
    daemon: Callable[[], Daemon]
    disk: Callable[[], Disk | None]
    last_pull_utc_us: Callable[[], int | None]
    """When facts or calls were last pulled, None for never."""
    own_word: Callable[[], str | None] = nothing_said
    """What the daemon says is wrong with itself, None for nothing."""
