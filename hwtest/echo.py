"""ICMP echoes at the pace of voice: round trips stamped by the kernel, loss, class of service, and what size gets through."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from dataclasses import dataclass

ECHO, ECHO_REPLY = 8, 0
_SO_TIMESTAMPNS = 35
_IP_MTU_DISCOVER, _IP_PMTUDISC_DO = 10, 2
_IP_RECVTOS = 13
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH)
EXPEDITED = 46
"""DSCP of voice (RFC 3246)."""


class EchoUnavailableError(Exception):
    """This machine may not send echoes. `mend`: what a person does so that it may."""

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(reason)
        self.mend = mend


@dataclass(frozen=True, slots=True)
class Echo:
    """One that came back."""

    number: int
    round_trip_ms: float
    dscp: int | None
    """Of the answer; None where the kernel did not tell."""


@dataclass(frozen=True, slots=True)
class Echoes:
    """What was sent and what came back."""

    sent: int
    answers: tuple[Echo, ...]
    too_big: bool = False
    """Whether they could not be sent in one piece."""


def echoes(
    host: str,
    count: int,
    gap_seconds: float,
    size: int,
    *,
    dscp: int = 0,
    whole: bool = False,
    wait_seconds: float = 1.0,
) -> Echoes:
    """`size`: of the IP packet, in bytes. `whole`: it must not be cut up on the way.

    Blocks: call it in a thread. Raises EchoUnavailableError where the machine does not allow it.
    """
    with _open() as (link, raw):
        link.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
        link.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        link.setsockopt(socket.IPPROTO_IP, _IP_RECVTOS, 1)
        if whole:
            link.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)
        identifier = struct.unpack("!H", os.urandom(2))[0]
        sent_ns, answers = dict[int, int](), dict[int, Echo]()
        try:
            link.connect((host, 0))
            for number in range(1, count + 1):
                due = time.monotonic() + gap_seconds
                sent_ns[number] = time.time_ns()
                try:
                    link.send(_request(identifier, number, size))
                except ConnectionRefusedError:  # of one before
                    pass
                except PermissionError:
                    raise EchoUnavailableError(
                        "a firewall on this machine lets no ICMP echo out",
                        "nft list ruleset; let ICMP echo out",
                    ) from None
                _collect(link, raw, due, sent_ns, answers, identifier)
            until = time.monotonic() + wait_seconds
            while len(answers) < count and time.monotonic() < until:
                _collect(link, raw, min(until, time.monotonic() + 0.05), sent_ns, answers, identifier)
        except OSError as error:
            sent = max(1, len(sent_ns))
            # Our own interface says so at the sending, a router on the way later.
            if error.errno == errno.EMSGSIZE:
                return Echoes(sent, tuple(answers.values()), too_big=True)
            if error.errno in _NO_WAY:  # nothing comes back, which is what is measured
                return Echoes(sent, tuple(answers.values()))
            raise
        return Echoes(count, tuple(answers.values()))


class _open:  # noqa: N801 - a context manager
    def __enter__(self) -> tuple[socket.socket, bool]:
        """A socket for echoes, and whether it gives IP headers: without rights first, as root otherwise."""
        for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
            try:
                self._socket = socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP)
            except PermissionError:
                continue
            return self._socket, kind == socket.SOCK_RAW
        raise EchoUnavailableError(
            "this machine lets only root send ICMP echoes",
            'sudo sysctl -w net.ipv4.ping_group_range="0 65535", or run hwtest as root',
        )

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._socket.close()


def _request(identifier: int, number: int, size: int) -> bytes:
    body = bytes(max(0, size - 28))
    head = struct.pack("!BBHHH", ECHO, 0, 0, identifier, number)
    return struct.pack("!BBHHH", ECHO, 0, _checksum(head + body), identifier, number) + body


def _checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _collect(
    link: socket.socket,
    raw: bool,
    until: float,
    sent_ns: dict[int, int],
    answers: dict[int, Echo],
    identifier: int,
) -> None:
    """Take what arrives until then."""
    while (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([link], [], [], left)
        if not ready:
            return
        try:
            data, ancillary, _, _ = link.recvmsg(65536, 512)
        except ConnectionError:
            continue
        dscp: int | None = None
        stamp_ns = time.time_ns()
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = struct.unpack("qq", value[:16])
                stamp_ns = seconds * 1_000_000_000 + nanoseconds
            elif (level, kind) == (socket.IPPROTO_IP, socket.IP_TOS):
                dscp = value[0] >> 2
        if raw and len(data) > 20:
            dscp = data[1] >> 2
            data = data[(data[0] & 0x0F) * 4 :]
        if len(data) < 8:
            continue
        kind, _, _, answered, number = struct.unpack("!BBHHH", data[:8])
        mine = kind == ECHO_REPLY and (not raw or answered == identifier)
        if mine and number in sent_ns and number not in answers:
            answers[number] = Echo(number, max(0.0, (stamp_ns - sent_ns[number]) / 1e6), dscp)
