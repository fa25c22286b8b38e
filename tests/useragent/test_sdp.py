"""Session descriptions: round trip, answer, hold, bad input."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtest.useragent import sdp
from hwtest.useragent.sdp import PCMA, PCMU, Description, Direction
from hwtest.useragent.wire import SipError


@pytest.mark.parametrize("direction", ["sendrecv", "sendonly", "recvonly", "inactive"])
@pytest.mark.parametrize("event_payload", [None, 96])
def test_round_trip(direction: Direction, event_payload: int | None) -> None:
    """A formatted description parses to itself."""
    description = Description("127.0.0.1", 4000, (PCMA, PCMU), event_payload, direction)
    assert sdp.parse(description.format()) == description


def test_foreign_offer() -> None:
    """Unknown codecs are passed over, the session's address and direction hold for the stream."""
    body = (
        b"v=0\no=x 1 1 IN IP4 h\ns=-\nc=IN IP4 127.0.0.9\nt=0 0\na=sendonly\nm=video 1 RTP/AVP 99\n"
        b"m=audio 5000 RTP/AVP 9 8 101\na=rtpmap:9 G722/8000\na=rtpmap:101 telephone-event/8000\n"
    )
    assert sdp.parse(body) == Description("127.0.0.9", 5000, (PCMA,), 101, "sendonly")


@pytest.mark.parametrize(
    ("description", "on_hold"),
    [
        (Description("127.0.0.1", 4000), False),
        (Description("127.0.0.1", 4000, direction="recvonly"), False),
        (Description("127.0.0.1", 4000, direction="sendonly"), True),
        (Description("127.0.0.1", 4000, direction="inactive"), True),
        (Description("0.0.0.0", 4000), True),
    ],
)
def test_on_hold(description: Description, on_hold: bool) -> None:
    """A side that does not listen holds us."""
    assert description.on_hold is on_hold


def test_answer() -> None:
    """The answer takes the offer's first codec and event payload, and mirrors its direction."""
    offer = Description("127.0.0.1", 4000, (PCMA, PCMU), 97, "sendonly")
    assert sdp.answer(offer, "127.0.0.1", 5000) == Description("127.0.0.1", 5000, (PCMA,), 97, "recvonly")


def test_answer_without_a_common_codec() -> None:
    """An offer without G.711 is refused."""
    with pytest.raises(SipError):
        sdp.answer(Description("127.0.0.1", 4000, ()), "127.0.0.1", 5000)


@pytest.mark.parametrize(
    "body", [b"", b"v=0\r\n", b"m=audio x RTP/AVP 0", b"m=audio 1 RTP/AVP", b"m=audio 99999 RTP/AVP 0"]
)
def test_refused(body: bytes) -> None:
    """A body without a well-formed audio stream is refused."""
    with pytest.raises(SipError):
        sdp.parse(body)


@pytest.mark.parametrize(
    "where",
    ["IN IP4 media.example.org", "IN IP4 " + "a" * 300, "IN IP4 1.2.3.999", "IN IP4 \0", "IN IP6 ::1", "IN"],
)
def test_audio_at_no_ipv4_address(where: str) -> None:
    """No name is ever looked up, least of all with every packet: a description that needs it is refused."""
    body = Description("127.0.0.1", 4000).format().replace(b"c=IN IP4 127.0.0.1", b"c=" + where.encode())
    with pytest.raises(SipError):
        sdp.parse(body)


@pytest.mark.parametrize("payload", ["0" * 5000 + "1", "9" * 5000, "128", "x"])
def test_impossible_event_payload(payload: str) -> None:
    """A payload type that cannot be is none, however many digits it has."""
    body = Description("127.0.0.1", 4000, event_payload=None).format()
    assert sdp.parse(body + f"a=rtpmap:{payload} telephone-event/8000\r\n".encode()).event_payload is None


@given(st.one_of(st.binary(), st.binary().map(lambda tail: Description("127.0.0.1", 4000).format() + tail)))
def test_arbitrary_bytes(body: bytes) -> None:
    """Parsing returns a description or raises SipError, whatever arrives."""
    try:
        assert 0 <= sdp.parse(body).port <= 65535
    except SipError:
        return
