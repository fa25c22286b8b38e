"""The BPF program, run by a small interpreter of its own."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtest.capture.filter import PACKET_OUTGOING, Instruction, udp_port
from tests.capture.test_record import packet

PACKET_HOST = 0
LOADS = {0x30: "!B", 0x28: "!H", 0x48: "!H"}


def accepts(program: list[Instruction], data: bytes, kind: int = PACKET_HOST) -> bool:
    """What the kernel would say; a load outside of the packet rejects it."""
    accumulator = index = counter = 0
    try:
        while True:
            code, true, false, value = program[counter]
            counter += 1
            if code == 0x06:
                return value != 0
            if code == 0x20:
                assert value == 0xFFFFF004
                accumulator = kind
            elif code == 0xB1:
                index = 4 * (data[value] & 0x0F)
            elif code in LOADS:
                (accumulator,) = struct.unpack_from(LOADS[code], data, value + (index if code == 0x48 else 0))
            else:
                holds = accumulator == value if code == 0x15 else bool(accumulator & value)
                counter += true if holds else false
    except (struct.error, IndexError):
        return False


@pytest.mark.parametrize(
    ("port", "data", "kind", "expected"),
    [
        (5060, packet(b"x"), PACKET_HOST, True),
        (4000, packet(b"x"), PACKET_HOST, True),
        (5061, packet(b"x"), PACKET_HOST, False),
        (5060, packet(b"x"), PACKET_OUTGOING, False),
        (5060, packet(b"x", options=b"\1\1\1\1"), PACKET_HOST, True),
        (5060, packet(b"x", protocol=6), PACKET_HOST, False),
        (5060, packet(b"x", fragment=0x0005), PACKET_HOST, False),
        (5060, packet(b"x", fragment=0x4000), PACKET_HOST, True),
        (5060, b"", PACKET_HOST, False),
    ],
)
def test_filter(port: int, data: bytes, kind: int, expected: bool) -> None:
    """Only UDP from or to the port passes, once, and no later fragment."""
    assert accepts(udp_port(port), data, kind) is expected


@given(st.integers(1, 65535), st.binary(max_size=64))
def test_any_packet(port: int, data: bytes) -> None:
    """The program ends on any packet, with every jump inside of it."""
    program = udp_port(port)
    accepts(program, data)
    assert all(
        place + 1 + max(line.true, line.false) < len(program) or line.code == 0x06
        for place, line in enumerate(program)
    )


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_no_such_port(port: int) -> None:
    """A port that cannot be is refused."""
    with pytest.raises(ValueError, match="UDP port"):
        udp_port(port)
