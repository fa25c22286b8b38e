"""SIP messages: parse, format, addresses, digest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtest.useragent import wire
from hwtest.useragent.wire import Credentials, Request, Response, SipError

INVITE = (
    b"INVITE sip:101@127.0.0.1:5060 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKabc;rport\r\n"
    b'f: "Ann, B." <sip:07700900123@127.0.0.1>;tag=1\r\n'
    b"t: <sip:101@127.0.0.1>\r\n"
    b"i: one@host\r\n"
    b"cSEQ : 7 INVITE\r\n"
    b"X-Long: first\r\n  second\r\n\tthird\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.2\r\n"
    b"l: 4\r\n\r\nbodyrest"
)


def parsed_invite() -> Request:
    message = wire.parse(INVITE)
    assert isinstance(message, Request)
    return message


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Call-ID", ["one@host"]),
        ("call-id", ["one@host"]),
        ("X-Long", ["first second third"]),
        ("Via", ["SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKabc;rport", "SIP/2.0/UDP 127.0.0.2"]),
        ("X-None", []),
    ],
)
def test_headers(name: str, values: list[str]) -> None:
    """Compact and folded headers are found by long names in any case, repeated ones in order."""
    assert parsed_invite().headers_named(name) == values


def test_request_parts() -> None:
    """The start line, CSeq, branch, tags, caller and the body cut to Content-Length are read."""
    invite = parsed_invite()
    assert (invite.method, invite.uri, invite.cseq) == ("INVITE", "sip:101@127.0.0.1:5060", (7, "INVITE"))
    assert (invite.branch, invite.from_tag, invite.to_tag) == ("z9hG4bKabc", "1", "")
    assert (invite.from_address.name, invite.from_address.user) == ("Ann, B.", "07700900123")
    assert invite.body == b"body"


def test_round_trip() -> None:
    """What was parsed, formatted and parsed again is the same message."""
    invite = parsed_invite()
    again = wire.parse(invite.format())
    invite.headers = [pair for pair in invite.headers if pair[0] != "Content-Length"]
    again.headers = [pair for pair in again.headers if pair[0] != "Content-Length"]
    assert again == invite


def test_response_round_trip() -> None:
    """A response keeps status and reason, and a To that had no tag gets ours."""
    response = wire.respond(parsed_invite(), 486, tag="mine")
    again = wire.parse(response.format())
    assert isinstance(again, Response)
    assert (again.status, again.reason, again.to_tag) == (486, "Busy Here", "mine")


@given(st.binary(max_size=300))
def test_any_bytes_survive_in_a_header(raw: bytes) -> None:
    """Every byte of a header value without line ends or outer blanks is received and sent unmodified."""
    value = raw.replace(b"\r", b"").replace(b"\n", b"").strip(b" \t")
    datagram = INVITE.replace(b"\r\nl: 4", b"\r\nX-Raw: " + value + b"\r\nl: 4")
    message = wire.parse(datagram)
    assert wire.encode(message.required("X-Raw")) == value
    assert b"\r\nX-Raw: " + value + b"\r\n" in message.format()


@given(st.one_of(st.binary(), st.binary().map(lambda tail: INVITE[:-8] + tail)))
def test_arbitrary_bytes(datagram: bytes) -> None:
    """Parsing returns a message or raises SipError, whatever arrives."""
    try:
        message = wire.parse(datagram)
    except SipError:
        return
    assert message.call_id is not None


@given(st.lists(st.tuples(st.integers(0, len(INVITE) - 1), st.integers(0, 255)), max_size=8))
def test_damaged_message(damage: list[tuple[int, int]]) -> None:
    """A message with some bytes changed parses, with every accessor safe, or raises SipError."""
    datagram = bytearray(INVITE)
    for position, value in damage:
        datagram[position] = value
    try:
        message = wire.parse(bytes(datagram))
    except SipError:
        return
    assert isinstance((message.cseq, message.branch, message.from_tag, message.to_tag), tuple)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\r\n\r\n",
        b"INVITE sip:a SIP/2.0\r\n",
        INVITE.replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n", 1),
        INVITE.replace(b"l: 4", b"l: 400"),
        INVITE.replace(b"l: 4", b"l: -4"),
        INVITE.replace(b"l: 4", b"l: 4\r\nContent-Length: 5"),
        INVITE.replace(b"7 INVITE", b"7 BYE"),
        INVITE.replace(b"7 INVITE", b"99999999999 INVITE"),
        INVITE.replace(b"i: one@host\r\n", b""),
        INVITE.replace(b"X-Long:", b"X Long:"),
        b"SIP/2.0 99 Low" + INVITE[INVITE.index(b"\r\n") :],
    ],
)
def test_refused(datagram: bytes) -> None:
    """What is not a complete SIP/2.0 message is refused with SipError."""
    with pytest.raises(SipError):
        wire.parse(datagram)


@pytest.mark.parametrize(
    ("value", "name", "uri", "tag"),
    [
        ("<sip:a@b>;tag=x", "", "sip:a@b", "x"),
        ("sip:a@b;tag=x", "", "sip:a@b", "x"),
        ("Ann Other <sip:a@b;lr>;tag=x", "Ann Other", "sip:a@b;lr", "x"),
        (r'"say \"hi\" \\ <sip:c@d>" <sip:a@b>;tag=x', r'say "hi" \ <sip:c@d>', "sip:a@b", "x"),
        ('"open <sip:a@b>;tag=x', '"open', "sip:a@b", "x"),
        ('<sip:a@b>;note="a;tag=y";tag=x', "", "sip:a@b", "x"),
    ],
)
def test_address(value: str, name: str, uri: str, tag: str) -> None:
    """Name-addr and addr-spec are taken apart, stray quotes tolerated."""
    address = wire.parse_address(value)
    assert (address.name, address.uri, address.parameters["tag"]) == (name, uri, tag)


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("a, b,c", ["a", "b", "c"]),
        ('"x, \\", y" <sip:a,b@c>, <sip:d@e>', ['"x, \\", y" <sip:a,b@c>', "<sip:d@e>"]),
        ("", []),
    ],
)
def test_split_list(value: str, items: list[str]) -> None:
    """Commas in quotes and angle brackets do not separate."""
    assert wire.split_list(value) == items


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sip:101@127.0.0.1:26060", ("127.0.0.1", 26060)),
        ("sip:127.0.0.1;transport=udp", ("127.0.0.1", 5060)),
        ("SIP:a@localhost", ("127.0.0.1", 5060)),
    ],
)
def test_destination(uri: str, address: tuple[str, int]) -> None:
    """A request goes to the IPv4 address and port of its URI."""
    assert wire.destination(uri) == address


@pytest.mark.parametrize(
    "uri", ["tel:101", "sip:a@example.org", "sip:a@127.0.0.1:0", "sip:a@127.0.0.1:99999", ""]
)
def test_no_destination(uri: str) -> None:
    """Names are never looked up, and bad ports are refused."""
    with pytest.raises(SipError):
        wire.destination(uri)


def test_digest_with_qop() -> None:
    """The example of RFC 2617 §3.5 gives its published response."""
    challenge = (
        'Digest realm="testrealm@host.com", qop="auth,auth-int", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    credentials = Credentials("Mufasa", "Circle Of Life")
    answer = wire.digest(challenge, "GET", "/dir/index.html", credentials, client_nonce="0a4f113b")
    assert 'response="6629fae49393a05397450978507c4ef1"' in answer
    assert 'opaque="5ccc069c403ebaf9f0171e9517f40e41"' in answer


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_digest_of_rfc_7616(algorithm: str, expected: str) -> None:
    """The examples of RFC 7616 §3.9.1 give their published responses."""
    challenge = (
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"'
    )
    nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    answer = wire.digest(challenge, "GET", "/dir/index.html", Credentials("Mufasa", "Circle of Life"), nonce)
    assert f'response="{expected}"' in answer


def test_digest_without_qop() -> None:
    """Without qop the response is H(H(A1):nonce:H(A2)) (RFC 2069)."""
    credentials = Credentials("Mufasa", "Circle Of Life")
    challenge = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    answer = wire.digest(challenge, "GET", "/dir/index.html", credentials)
    assert 'response="670fd8c2df070c60b045671b8b24ff02"' in answer
    assert "qop" not in answer


@pytest.mark.parametrize(
    "challenge",
    [
        "Basic realm=x",
        'Digest realm="x", nonce="y", qop="auth-int"',
        'Digest realm="x", nonce="y", algorithm=MD5-sess',
        "Digest x=y",
    ],
)
def test_digest_refused(challenge: str) -> None:
    """A challenge of another scheme or algorithm, or without a nonce, is refused."""
    with pytest.raises(SipError):
        wire.digest(challenge, "INVITE", "sip:a@b", Credentials("u", "p"))
