"""UDP sockets with the kernel's reception stamps."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

SocketAddress = tuple[str, int]

SO_TIMESTAMPNS = 35  # <asm-generic/socket.h>; Python's socket module does not name it
_TIMESPEC = struct.Struct("@ll")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)
_LARGEST_DATAGRAM_BYTES = 65535
_DATAGRAMS_PER_WAKE_UP = 64  # then other sockets and timers get their turn


class Stamp(NamedTuple):
    """One instant on both clocks, in nanoseconds."""

    monotonic_ns: int
    utc_ns: int


def stamp_now() -> Stamp:
    """The present instant."""
    return Stamp(time.monotonic_ns(), time.time_ns())


def open_socket(host: str, port: int) -> socket.socket:
    """Bound non-blocking UDP socket whose datagrams carry the kernel's stamps; OSError if it cannot bind."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        opened.bind((host, port))
    except OSError:
        opened.close()
        raise
    return opened


def receive(source: socket.socket) -> tuple[bytes, SocketAddress, Stamp]:
    """Next datagram, its sender and when the kernel took it from the wire; BlockingIOError if there is none."""
    datagram, ancillary, _, sender = source.recvmsg(_LARGEST_DATAGRAM_BYTES, _ANCILLARY_BYTES)
    now = stamp_now()
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            utc_ns = seconds * 1_000_000_000 + nanoseconds
            # The kernel stamps with the UTC clock only; its age carries over to the monotonic one.
            return datagram, sender, Stamp(now.monotonic_ns - (now.utc_ns - utc_ns), utc_ns)
    return datagram, sender, now


class Endpoint:
    """One UDP socket served by the running loop."""

    def __init__(
        self, host: str, port: int, on_datagram: Callable[[bytes, SocketAddress, Stamp], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = open_socket(host, port)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self._on_datagram = on_datagram
        self.address: SocketAddress = self._socket.getsockname()
        self.unsent = 0
        self._loop.add_reader(self._socket, self._read)

    def send(self, datagram: bytes, destination: SocketAddress) -> Stamp:
        """Send and say when: the stamp is taken just before the datagram leaves.

        A datagram that the kernel refuses is counted in `unsent` and is as good as lost: what must arrive
        is retransmitted by its transaction.
        """
        stamp = stamp_now()
        try:
            self._socket.sendto(datagram, destination)
        except OSError:
            self.unsent += 1
        return stamp

    def close(self) -> None:
        """Stop receiving and release the port."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_DATAGRAMS_PER_WAKE_UP):
                if self._socket.fileno() < 0:  # closed by what a datagram set off
                    return
                self._on_datagram(*receive(self._socket))
