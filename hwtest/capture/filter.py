"""A classic BPF program for one UDP port, assembled by hand: the kernel drops everything else. Pure.

It is written for an AF_PACKET socket of type SOCK_DGRAM, where offset 0 is the first byte of the IP header.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

# <linux/bpf_common.h>
_LOAD_BYTE_AT = 0x30
_LOAD_HALF_AT = 0x28
_LOAD_WORD_AT = 0x20
_LOAD_HALF_FROM_X = 0x48
_X_IS_HEADER_LENGTH = 0xB1  # X = 4 * (packet[k] & 0x0f)
_JUMP_IF_EQUAL = 0x15
_JUMP_IF_ANY_BIT = 0x45
_RETURN = 0x06

_PACKET_TYPE = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE of <linux/filter.h>
PACKET_OUTGOING = 4
_UDP = 17
_WHOLE_PACKET = 0xFFFF
_ACCEPT = "accept"
_REJECT = "reject"

Target = str | None
"""Where a jump goes: `accept`, `reject`, or None for the next instruction."""


class _Line(NamedTuple):
    code: int
    value: int
    true: Target = None
    false: Target = None


def _lines(port: int) -> list[_Line]:
    return [
        # Loopback shows each packet twice, when it leaves and when it arrives: keep the second.
        _Line(_LOAD_WORD_AT, _PACKET_TYPE),
        _Line(_JUMP_IF_EQUAL, PACKET_OUTGOING, _REJECT),
        _Line(_LOAD_BYTE_AT, 9),
        _Line(_JUMP_IF_EQUAL, _UDP, None, _REJECT),
        _Line(_LOAD_HALF_AT, 6),
        _Line(_JUMP_IF_ANY_BIT, 0x1FFF, _REJECT),  # a later fragment has no ports
        _Line(_X_IS_HEADER_LENGTH, 0),
        _Line(_LOAD_HALF_FROM_X, 0),
        _Line(_JUMP_IF_EQUAL, port, _ACCEPT),
        _Line(_LOAD_HALF_FROM_X, 2),
        _Line(_JUMP_IF_EQUAL, port, _ACCEPT, _REJECT),
        _Line(_RETURN, _WHOLE_PACKET),
        _Line(_RETURN, 0),
    ]


class Instruction(NamedTuple):
    """struct sock_filter."""

    code: int
    true: int
    false: int
    value: int

    def pack(self) -> bytes:
        """The eight bytes the kernel reads."""
        return struct.pack("=HBBI", *self)


def udp_port(port: int) -> list[Instruction]:
    """The program of `udp port PORT` for packets that arrive; ValueError for no such port."""
    if not 0 < port < 65536:
        raise ValueError("a UDP port is from 1 to 65535")
    lines = _lines(port)
    places = {_ACCEPT: len(lines) - 2, _REJECT: len(lines) - 1}

    def distance(position: int, target: Target) -> int:
        return places[target] - position - 1 if target else 0

    return [
        Instruction(line.code, distance(position, line.true), distance(position, line.false), line.value)
        for position, line in enumerate(lines)
    ]
