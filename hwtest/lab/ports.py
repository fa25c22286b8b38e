"""Which ports a lab uses: fixed offsets from one base, so that several labs stand side by side."""

import contextlib
import errno
import fcntl
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hwtest.lab.packages import LabError

HOST = "127.0.0.1"
BASES = (26000, 28000, 30000, 24000, 22000, 20000, 18000, 16000, 14000, 12000, 10000, 61000, 63000)
"""Bases that are tried where none was given. None is among the ports that Linux gives to clients (32768 to 60999)."""
SPAN = 2000
_SIP = 60


@dataclass(frozen=True)
class Ports:
    """The ports of one lab."""

    base: int
    audio: range | None = None
    """In place of those of the base; Asterisk passes over one that another program holds."""

    def __post_init__(self) -> None:
        """Refuses a base that would leave the range of ports."""
        if not 1024 <= self.base <= 65536 - SPAN:
            raise LabError(f"--port-base {self.base}: it must be from 1024 to {65536 - SPAN}.")

    @classmethod
    def of_sip(cls, port: int) -> Self:
        """The ports of the lab that takes SIP at this one."""
        return cls(port - _SIP)

    @property
    def ami(self) -> int:
        """Asterisk's manager interface."""
        return self.base + 38

    @property
    def sip(self) -> int:
        """Where Asterisk takes SIP: phones register here and callers call here."""
        return self.base + _SIP

    @property
    def callee(self) -> int:
        """Where calls to public numbers are sent; the lab itself does not listen here."""
        return self.base + 70

    @property
    def http(self) -> int:
        """Asterisk's HTTP server, for ARI."""
        return self.base + 88

    @property
    def mi(self) -> int:
        """`edge mi`: the pull API and the wallboard."""
        return self.base + 90

    @property
    def rtp(self) -> range:
        """Asterisk's RTP and RTCP: two ports for each leg, so 950 legs by the base."""
        return self.audio or range(self.base + 100, self.base + SPAN)

    def busy(self) -> str | None:
        """The first port that another program holds, in words; None when all are free."""
        for name, port, kinds in (
            ("SIP", self.sip, (socket.SOCK_DGRAM,)),
            ("callee", self.callee, (socket.SOCK_DGRAM,)),
            ("AMI", self.ami, (socket.SOCK_STREAM,)),
            ("HTTP", self.http, (socket.SOCK_STREAM,)),
        ):
            if not all(_is_free(port, kind) for kind in kinds):
                return f"port {port} ({name})"
        return None


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # connections in TIME_WAIT do not count
        try:
            probe.bind((HOST, port))
        except OSError as failure:
            if failure.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


@contextlib.contextmanager
def claim(base: int | None, locks: Path) -> Iterator[Ports]:
    """Free ports, kept from other labs that start at the same time until they are bound (the block ends).

    With `base` these or none. Raises LabError that names the busy port.
    """
    locks.mkdir(parents=True, exist_ok=True)
    for candidate in BASES if base is None else (base,):
        ports = Ports(candidate)
        with (locks / str(candidate)).open("w") as handle:
            if not _locked(handle.fileno()):
                busy: str | None = "its ports are kept for another lab that starts or is up"
            elif (busy := ports.busy()) is None:
                yield ports
                return
    if base is not None:
        raise LabError(
            f"--port-base {base}: {busy} is in use. Leave the option out, or choose another base; "
            f"a lab needs {SPAN} ports from its base."
        )
    raise LabError("Every port base that is tried is in use. End a lab, or choose one with --port-base.")


@contextlib.contextmanager
def kept(ports: Ports, locks: Path) -> Iterator[None]:
    """The ports of a lab that is up stay its own while nothing is bound to them, until the block or its process ends.

    Whoever kills a lab's Asterisk and starts another might find them taken by a lab that started in between.
    """
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / str(ports.base)).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)  # waits for no more than another's look at whether they are free
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
