"""The lab's daemon under the supervisor of its unit and between two proxies, and everything that can be done to it."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.config import load
from edge.core.facts import DaemonStarted, SwitchLost, SwitchRestored
from edge.ledger.store import open_reader
from edge.pbx.asterisk.ari.client import open_session
from hwtest.lab import daemon, processes
from hwtest.lab.contract import Lab
from hwtest.lab.packages import LabError
from hwtest.lab.processes import ProcessIdentity
from hwtest.lab.proxy import Proxy

SERVES_SECONDS = 40.0
SETTLE_SECONDS = 0.5
_POLL_SECONDS = 0.02
_HELD_SECONDS, _LET_GO_SECONDS = 0.2, 0.05
"""A slow ledger: so long every commit waits for somebody else's, and so long it may go."""


class Hurt:
    """The lab's daemon, supervised and between two proxies, and everything that is done to it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        configuration = load(Path(lab.config))
        self._app = configuration.switch.app
        self._ledger = Path(lab.ledger.removeprefix("sqlite:///"))
        self.ami, self.ari = Proxy(configuration.switch.ami.port), Proxy(lab.ari.port)
        file = Path(lab.directory, "hurt.toml")
        text = Path(lab.config).read_text(encoding="utf-8")
        text = text.replace(f"port = {configuration.switch.ami.port}", f"port = {self.ami.port}")
        text = text.replace(configuration.switch.ari.url, f"http://127.0.0.1:{self.ari.port}")
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")
        self._command = (sys.executable, "-m", "hwtest.lab.hanging", "--config", str(file), "run")
        self._supervisor: ProcessIdentity | None = None
        self._reader = open_reader(lab.ledger)
        self._cursor = self._reader.last_sequence()
        self._serves = False
        self._starts = 0
        self._known: tuple[ProcessIdentity | None, int] = (None, 0)
        """The last daemon that was seen to serve, and how many had started by then."""

    @property
    def daemon(self) -> ProcessIdentity | None:
        """The daemon that runs now."""
        found = processes.running(self._command)
        return found[0] if found else None

    def follow(self) -> bool:
        """Whether the newest daemon sees the switch, by its own record."""
        while entries := self._reader.read(self._cursor):
            for entry in entries:
                self._starts += isinstance(entry.fact, DaemonStarted)
                if isinstance(entry.fact, DaemonStarted | SwitchLost | SwitchRestored):
                    self._serves = isinstance(entry.fact, SwitchRestored)
                self._cursor = entry.sequence
        return self._serves

    def start(self) -> None:
        """Start the supervisor, which starts the daemon."""
        command = (*daemon.supervisor_command(Path(self._lab.directory)), *self._command)
        log = Path(self._lab.directory, "log/supervisor.log")
        self._supervisor = ProcessIdentity.of(processes.start(command, log).pid)

    def stop(self) -> None:
        """No daemon and nobody who starts one."""
        if self._supervisor is not None:
            if (running := self.daemon) is not None:
                running.signal(signal.SIGCONT)
            self._supervisor.stop(10)
            self._supervisor = None
        self._serves = False

    def send(self, number: signal.Signals) -> None:
        """Send the daemon a signal."""
        if (running := self.daemon) is not None:
            running.signal(number)

    async def serving(self) -> None:
        """Return when it serves, and has not ended a moment later. LabError when it does not."""
        until = time.monotonic() + SERVES_SECONDS
        while time.monotonic() < until:
            before = self.daemon
            if self.follow() and before is not None and self._has_started(before):
                await asyncio.sleep(SETTLE_SECONDS)
                if self.follow() and self.daemon == before:
                    self._known = before, self._starts
                    return
            await asyncio.sleep(_POLL_SECONDS)
        raise LabError(f"the daemon did not serve again within {SERVES_SECONDS:.0f} s")

    def _has_started(self, now: ProcessIdentity) -> bool:
        """Whether what the record says of the newest daemon is said of this process."""
        process, starts = self._known
        return now == process or self._starts > starts

    def close(self) -> None:
        """End it."""
        self.stop()
        self._reader.close()
        self.ami.close()
        self.ari.close()

    async def replaced(self, before: ProcessIdentity | None) -> None:
        """Return when another process is the daemon. LabError when none is."""
        until = time.monotonic() + SERVES_SECONDS
        while (now := self.daemon) is None or now == before:
            if time.monotonic() > until:
                raise LabError("the daemon neither ended nor was replaced")
            await asyncio.sleep(_POLL_SECONDS)

    # What is done to it

    @contextmanager
    def absent(self) -> Iterator[None]:
        """No daemon, and the switch knows it."""
        self.stop()
        time.sleep(SETTLE_SECONDS)
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def struck(self, number: signal.Signals) -> Iterator[None]:
        """One signal, and what the supervisor makes of it."""
        self.send(number)
        yield
        self.send(signal.SIGCONT)

    @contextmanager
    def cut(self, link: Proxy) -> Iterator[None]:
        """A link is cut, and no other is made."""
        link.cut()
        try:
            yield
        finally:
            link.mend()

    @contextmanager
    def refused(self) -> Iterator[None]:
        """A full disk: the kernel refuses every write to any file (RLIMIT_FSIZE)."""
        running = self.daemon
        if running is None:
            raise LabError("no daemon runs")
        limits = resource.prlimit(running.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (1, limits[1]))
        try:
            yield
        finally:
            if running.running:
                resource.prlimit(running.pid, resource.RLIMIT_FSIZE, limits)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """A read-only ledger: somebody else holds its write lock all the time."""
        with contextlib.closing(sqlite3.connect(self._ledger, isolation_level=None, timeout=5)) as other:
            other.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                other.execute("ROLLBACK")

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Every commit waits for somebody else's most of the time."""
        over = threading.Event()

        def hold() -> None:
            with contextlib.closing(sqlite3.connect(self._ledger, isolation_level=None, timeout=5)) as other:
                while not over.wait(_LET_GO_SECONDS):
                    other.execute("BEGIN IMMEDIATE")
                    over.wait(_HELD_SECONDS)
                    other.execute("ROLLBACK")

        thread = threading.Thread(target=hold)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    async def deafen(self) -> None:
        """The websocket stays open, answers pings, and its application is dead: a rival took it and has gone, unheard of."""
        self.ari.lose(b"ApplicationReplaced")
        login = self._lab.ari
        async with open_session(login.user, login.password, 1) as session:
            address = f"ws://{login.host}:{login.port}/ari/events"
            async with session.ws_connect(address, params={"app": self._app}):
                pass
