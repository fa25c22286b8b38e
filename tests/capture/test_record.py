"""Packets to records."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtest.capture.record import Record, parse, read_datagram, retransmissions

INVITE = (
    b"INVITE sip:101@127.0.0.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:4000;branch=z9hG4bKa\r\n"
    b'From: "A" <sip:07700900123@127.0.0.1>;tag=f\r\nTo: <sip:101@127.0.0.1>\r\n'
    b"Call-ID: c1\r\nCSeq: 7 INVITE\r\nX-Edge-Call: e1\r\n\r\n"
)
RINGING = (
    b"SIP/2.0 180 Ringing\r\nv: SIP/2.0/UDP 127.0.0.1:4000;branch=z9hG4bKa\r\n"
    b"f: <sip:07700900123@127.0.0.1>;tag=f\r\nt: <sip:101@127.0.0.1>;tag=t\r\ni: c1\r\nCSeq: 7 INVITE\r\n\r\n"
)


def packet(
    payload: bytes, *, options: bytes = b"", fragment: int = 0, protocol: int = 17, version: int = 4
) -> bytes:
    """An IPv4 packet from port 4000 to port 5060."""
    words = 5 + len(options) // 4
    length = 4 * words + 8 + len(payload)
    ip = struct.pack(
        "!BBHHHBBH4s4s",
        version << 4 | words,
        0,
        length,
        1,
        fragment,
        64,
        protocol,
        0,
        b"\x7f\0\0\1",
        b"\x7f\0\0\1",
    )
    return ip + options + struct.pack("!HHHH", 4000, 5060, 8 + len(payload), 0) + payload


@pytest.mark.parametrize(
    ("given_packet", "expected"),
    [
        (packet(b"abc"), (4000, 5060, b"abc")),
        (packet(b"abc", options=b"\1\1\1\1"), (4000, 5060, b"abc")),
        (packet(b"abc") + b"padding", (4000, 5060, b"abc")),
        (packet(b""), (4000, 5060, b"")),
        (packet(b"abc")[:-1], None),
        (packet(b"abc", fragment=0x2000), None),
        (packet(b"abc", fragment=0x0001), None),
        (packet(b"abc", fragment=0x4000), (4000, 5060, b"abc")),
        (packet(b"abc", protocol=6), None),
        (packet(b"abc", version=6), None),
        (b"", None),
    ],
)
def test_datagram_of_packet(given_packet: bytes, expected: tuple[int, int, bytes] | None) -> None:
    """A whole UDP datagram is read, IP options and padding aside; fragments, other protocols and stumps are not."""
    assert read_datagram(given_packet) == expected


def test_record_of_request() -> None:
    """An INVITE gives its names, its caller and the daemon's call id."""
    expected = Record(
        5, 4000, 5060, "INVITE", "INVITE", 7, "c1", "z9hG4bKa", False, "07700900123", "e1", to_user="101"
    )
    assert parse(5, 4000, 5060, INVITE) == expected


def test_record_of_response() -> None:
    """A response in compact form is known by its status and by the method it answers."""
    expected = Record(
        6, 5060, 4000, "180", "INVITE", 7, "c1", "z9hG4bKa", True, "07700900123", None, to_user="101"
    )
    assert parse(6, 5060, 4000, RINGING) == expected


def test_bytes_that_are_not_utf8() -> None:
    """A stranger's bytes become question marks, since records travel as JSON."""
    record = parse(5, 1, 2, INVITE.replace(b"07700900123", b"\xff\xfe"))
    assert record is not None and record.from_user == "??"


@given(st.binary(max_size=200))
def test_any_bytes(junk: bytes) -> None:
    """No bytes at all make the readers raise."""
    read_datagram(junk)
    parse(0, 1, 2, junk)
    parse(0, 1, 2, INVITE[:120] + junk)


def test_retransmissions() -> None:
    """The same message twice is one retransmission; another sequence number, and ACK, are none."""
    first = parse(1, 4000, 5060, INVITE)
    again = parse(2, 4000, 5060, INVITE)
    other = parse(3, 4000, 5060, INVITE.replace(b"CSeq: 7", b"CSeq: 8"))
    ack = parse(4, 4000, 5060, INVITE.replace(b"INVITE", b"ACK"))
    assert first and again and other and ack
    assert retransmissions([first, again, other, ack, ack]) == 1


def test_who_rings_on_has_not_lost_anything() -> None:
    """180 may come each minute, and from each branch of a fork; a 200 comes again when its ACK was lost."""

    def answer(label: str) -> Record:
        return Record(1, 5060, 4000, label, "INVITE", 7, "call", "branch", True, "f")

    assert retransmissions([answer("180"), answer("180"), answer("183"), answer("183")]) == 0
    assert retransmissions([answer("200"), answer("200")]) == 1
