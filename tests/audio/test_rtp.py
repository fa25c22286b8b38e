"""RTP packets by their source, as a raw socket gives them."""

from __future__ import annotations

import struct

from hwtest.audio.rtp import Arrivals
from hwtest.audio.stream import measure
from hwtest.useragent.g711 import A_LAW

PORT = 40000


def packet(
    sequence: int, *, kind: int = 8, source: int = 7, port: int = PORT, first: int = 0x80, size: int = 160
) -> bytes:
    """An IPv4 packet with a UDP datagram with an RTP packet."""
    rtp = struct.pack("!BBHII", first, kind, sequence, sequence * 160, source) + b"\xd5" * size
    udp = struct.pack("!HHHH", 5004, port, 8 + len(rtp), 0) + rtp
    header = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, b"\x7f\0\0\1", b"\x7f\0\0\1"
    )
    return header + udp


def test_packets_of_the_longest_source() -> None:
    """A source that was there for a moment, RTCP, telephone events and other ports are not counted among them."""
    arrivals = Arrivals(PORT)
    for number in range(50):
        arrivals.take(packet(number), number * 20_000_000)
    for number in range(3):
        arrivals.take(packet(number, source=9), 0)
        arrivals.take(packet(number, kind=72 | 0x80), 0)
        arrivals.take(packet(number, kind=101), 0)
        arrivals.take(packet(number, port=PORT + 2), 0)
    figures = measure(arrivals.longest)
    assert (figures.expected, figures.lost, arrivals.malformed) == (50, 0, 0)
    assert set(arrivals.sources) == {7, 9}


def test_what_they_carry() -> None:
    """G.711 laid out by time stamps: a missing packet leaves zeros, a stamp that jumps away is left out."""
    arrivals = Arrivals(PORT)
    for number in (10, 11, 13, 60_000):
        arrivals.take(packet(number), 0)
    heard = arrivals.heard
    assert heard.size == 4 * 160
    silence = A_LAW.values[0xD5]
    assert set(heard[:320]) == set(heard[480:]) == {silence}
    assert set(heard[320:480]) == {0.0}
    assert Arrivals(PORT).heard.size == 0


def test_what_stands_around_the_speech_is_none() -> None:
    """A header extension, contributing sources and padding, as a session border controller may add."""
    plain = packet(1)
    for first, before, after in (
        (0x90, b"\xbe\xde\0\x01\x10\xff\0\0", b""),  # one word of extension
        (0x92, b"srcAsrcB" + b"\xbe\xde\0\0", b""),  # two contributing sources, an empty extension
        (0xA0, b"", b"\0\0\0\x04"),  # four bytes of padding
    ):
        rtp = bytes([first]) + plain[29:40] + before + plain[40:] + after
        udp = struct.pack("!HHHH", 5004, PORT, 8 + len(rtp), 0) + rtp
        arrivals = Arrivals(PORT)
        arrivals.take(plain[:20] + udp, 0)
        ((kind, codes),) = arrivals.speech[7]
        assert (kind, codes) == (8, plain[40:])
    hostile = Arrivals(PORT)  # an extension, and padding, longer than the packet
    hostile.take(packet(1, first=0x90, size=4), 0)
    hostile.take(packet(2, first=0xA0, size=4), 0)
    assert [codes for _, codes in hostile.speech[7]] == [b"", b""]


def test_what_is_no_rtp() -> None:
    """Is counted as that, whatever it is, and harms nothing."""
    arrivals = Arrivals(PORT)
    arrivals.take(packet(1, first=0x00), 0)
    arrivals.take(packet(1)[:20], 0)
    arrivals.take(b"", 0)
    assert (arrivals.malformed, arrivals.longest) == (1, [])
