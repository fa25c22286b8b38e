"""An AF_PACKET socket that sees the SIP of one port, with the kernel's stamps. Needs CAP_NET_RAW."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import time
from typing import NamedTuple

from hwtest.capture.filter import PACKET_OUTGOING, udp_port
from hwtest.useragent.transport import SO_TIMESTAMPNS

_ETH_P_IP = 0x0800
_SO_ATTACH_FILTER = 26  # <asm-generic/socket.h>
_SO_RCVBUFFORCE = 33
_SOL_PACKET = 263
_PACKET_STATISTICS = 6  # <linux/if_packet.h>
_STATISTICS = struct.Struct("=II")
_TIMESPEC = struct.Struct("@ll")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)
_LARGEST_PACKET_BYTES = 65535
_BUFFER_BYTES = 64 * 1024 * 1024


class Packet(NamedTuple):
    """One packet from its IP header on, and when the kernel saw it in nanoseconds of UTC."""

    stamp_ns: int
    data: bytes


class Sniffer:
    """Packets of `udp port PORT` on one interface, each once. PermissionError without CAP_NET_RAW."""

    def __init__(self, port: int, interface: str = "lo") -> None:
        # Protocol 0 receives nothing until the bind: no packet slips in before the filter stands.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        try:
            _attach(self._socket, port)
            self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            with contextlib.suppress(PermissionError):  # CAP_NET_ADMIN; the usual buffer may do
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
            self._socket.setblocking(False)
            self._socket.bind((interface, _ETH_P_IP))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._socket.fileno()

    def read(self) -> list[Packet]:
        """Every packet that waits, oldest first."""
        packets = list[Packet]()
        with contextlib.suppress(BlockingIOError):
            while True:
                data, ancillary, _, address = self._socket.recvmsg(_LARGEST_PACKET_BYTES, _ANCILLARY_BYTES)
                if address[2] != PACKET_OUTGOING:
                    packets.append(Packet(_stamp(ancillary), data))
        return packets

    def count_dropped(self) -> int:
        """Packets that the kernel dropped since the last count because we were slow; asking sets it to zero."""
        raw = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        return int(_STATISTICS.unpack(raw)[1])

    def close(self) -> None:
        """Stop."""
        self._socket.close()


def _attach(target: socket.socket, port: int) -> None:
    program = b"".join(instruction.pack() for instruction in udp_port(port))
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))  # struct sock_fprog
    target.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)


def _stamp(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return time.time_ns()
