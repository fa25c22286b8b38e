"""What the supervisor is told (sd_notify(3)): one datagram a message to the socket that it named. Needs no library.

systemd, or any other that keeps its contract, starts us with NOTIFY_SOCKET, and with WATCHDOG_USEC if it wants to hear of us
that often. Without them everything here does nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import structlog

log = structlog.get_logger(__name__)

SOCKET, PERIOD, PROCESS = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
LONGER_SECONDS = 30
"""So long from each sign that starting goes on until the next."""
SEND_SECONDS = 0.05
"""A supervisor that does not read must not hold up calls."""


class Supervisor:
    """Whoever started us and wants to know how we are."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get(SOCKET, "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog_seconds = _period(environment)
        """So long a silence ends us by force; None: nobody listens for pings."""

    @classmethod
    def of_this_process(cls) -> Supervisor:
        """The one named in our environment."""
        return cls(os.environ)

    def ready(self) -> None:
        """We serve, or wait for a switch that is not there: starting is over."""
        self._send("READY=1")

    def alive(self) -> None:
        """The watchdog's ping."""
        if self.watchdog_seconds is not None:
            self._send("WATCHDOG=1")

    def needs_longer(self) -> None:
        """Starting goes on, beyond the time it has, and this is a sign of it."""
        self._send(f"EXTEND_TIMEOUT_USEC={LONGER_SECONDS * 1_000_000}")

    def stopping(self) -> None:
        """We are about to end, in order."""
        self._send("STOPPING=1")

    def status(self, words: str) -> None:
        """One line for a person (`systemctl status`)."""
        self._send("STATUS=" + words.replace("\n", " "))

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(SEND_SECONDS)
                sender.sendto(message.encode(), self._address)
        except OSError as failure:
            log.warning("supervisor.not_told", failure=str(failure))


def _period(environment: Mapping[str, str]) -> float | None:
    """How often at least it wants to hear of us, if it is us whom it means."""
    period, process = environment.get(PERIOD, ""), environment.get(PROCESS, "")
    if not period.isdigit() or int(period) == 0 or process not in ("", str(os.getpid())):
        return None
    return int(period) / 1_000_000
