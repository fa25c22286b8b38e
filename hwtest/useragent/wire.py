"""SIP messages on the wire (RFC 3261), pure: bytes to messages and back, addresses, digest answers.

Text is UTF-8 with `surrogateescape`, so every byte a stranger puts into a header is received, kept and
can be sent again unmodified.
"""

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Header = tuple[str, str]

COMPACT_NAMES = {  # RFC 3261 §7.3.3 and the registry of header fields
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
}

REASONS = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    420: "Bad Extension",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    503: "Service Unavailable",
    603: "Decline",
}

_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")  # RFC 3261 §25.1
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_QUOTED_ADDRESS = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*<([^>]*)>(.*)', re.DOTALL)
_BRACKETED_ADDRESS = re.compile(r"([^<]*|.*\s)<([^<>]*)>([^<>]*)", re.DOTALL)
_BARE_ADDRESS = re.compile(r"\s*([^\s;<>]+)\s*(;.*)?", re.DOTALL)
_PARAMETER = re.compile(r';\s*([^\s;="]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s;"]*))?', re.DOTALL)
_CHALLENGE_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_URI = re.compile(r"sips?:(?:([^@]*)@)?([^@:;?>\s]+)(?::([0-9]{1,5}))?(?:[;?].*)?", re.IGNORECASE | re.DOTALL)
_ANY_URI = re.compile(r"sips?:[^\s<>\"]+", re.IGNORECASE)


class SipError(ValueError):
    """What arrived, or was asked for, is not valid SIP or SDP."""


def decode(raw: bytes) -> str:
    """Text of `raw`; bytes that are not UTF-8 survive as surrogates."""
    return raw.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes `decode` was given; lone surrogates that no byte can stand for become `?`."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


class CSeq(NamedTuple):
    """The CSeq header: number and method."""

    number: int
    method: str


@dataclass(slots=True)
class Message:
    """What requests and responses share: headers in order of arrival, long names, and a body."""

    headers: list[Header] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """First value of header `name` (any case, long form), or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    def headers_named(self, name: str) -> list[str]:
        """Every value of header `name`, in order."""
        wanted = name.lower()
        return [value for key, value in self.headers if key.lower() == wanted]

    def required(self, name: str) -> str:
        """First value of header `name`; SipError without one."""
        value = self.header(name)
        if value is None:
            raise SipError(f"header {name} is missing")
        return value

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self.required("Call-ID")

    @property
    def cseq(self) -> CSeq:
        """Number and method of the CSeq header."""
        return parse_cseq(self.required("CSeq"))

    @property
    def branch(self) -> str:
        """Branch of the top Via, the name of the transaction (§17.1.3)."""
        return self.via.parameters.get("branch", "")

    @property
    def via(self) -> "Via":
        """The top Via."""
        return parse_via(next(iter(split_list(self.required("Via"))), ""))

    @property
    def from_address(self) -> "Address":
        """The From header, parsed."""
        return parse_address(self.required("From"))

    @property
    def to_address(self) -> "Address":
        """The To header, parsed."""
        return parse_address(self.required("To"))

    @property
    def from_tag(self) -> str:
        """Tag of the From header, or an empty string."""
        return self.from_address.parameters.get("tag", "")

    @property
    def to_tag(self) -> str:
        """Tag of the To header, or an empty string."""
        return self.to_address.parameters.get("tag", "")

    def _format(self, start_line: str) -> bytes:
        lines = [start_line]
        lines += [f"{name}: {value}" for name, value in self.headers if name.lower() != "content-length"]
        lines += [f"Content-Length: {len(self.body)}", "", ""]
        return encode("\r\n".join(lines)) + self.body


@dataclass(slots=True)
class Request(Message):
    """A SIP request."""

    method: str = "OPTIONS"
    uri: str = "sip:invalid"

    @property
    def label(self) -> str:
        """How a trace names this message: its method."""
        return self.method

    def format(self) -> bytes:
        """The datagram; Content-Length is always computed."""
        return self._format(f"{self.method} {self.uri} SIP/2.0")


@dataclass(slots=True)
class Response(Message):
    """A SIP response."""

    status: int = 200
    reason: str = "OK"

    @property
    def label(self) -> str:
        """How a trace names this message: its status."""
        return str(self.status)

    def format(self) -> bytes:
        """The datagram; Content-Length is always computed."""
        return self._format(f"SIP/2.0 {self.status} {self.reason}")


def parse(datagram: bytes) -> Request | Response:
    """Message in `datagram`; SipError for anything else.

    The headers that every message must have (§8.1.1: Via, From, To, Call-ID, CSeq) are checked here, so
    that reading them later cannot fail.
    """
    datagram = datagram.lstrip(b"\r\n")  # §7.5: leading empty lines are ignored
    head, body = _split_body(datagram)
    lines = decode(head).replace("\r\n", "\n").split("\n")
    headers = list(_parse_headers(lines[1:]))
    message = _parse_start_line(lines[0], headers)
    message.body = _measured_body(message, body)
    _check_required(message)
    return message


def _split_body(datagram: bytes) -> tuple[bytes, bytes]:
    blank_line = _BLANK_LINE.search(datagram)
    if blank_line is None:
        raise SipError("no empty line after the headers")
    return datagram[: blank_line.start()], datagram[blank_line.end() :]


def _parse_start_line(line: str, headers: list[Header]) -> Request | Response:
    first, _, rest = line.partition(" ")
    if first.upper() == "SIP/2.0":
        status, _, reason = rest.partition(" ")
        return Response(headers, status=decimal(status, 100, 699), reason=reason)
    uri, _, version = rest.rpartition(" ")
    if version.upper() != "SIP/2.0" or not uri.strip() or not _TOKEN.fullmatch(first):
        raise SipError("not a SIP/2.0 start line")
    return Request(headers, method=first, uri=uri.strip())


def _parse_headers(lines: Sequence[str]) -> Iterator[Header]:
    name, parts = "", list[str]()
    for line in lines:
        if line[:1] in {" ", "\t"}:  # folded: it continues the line before (§7.3.1)
            parts.append(line.strip(" \t"))
            continue
        if name:
            yield name, " ".join(parts)
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        if not colon or not _TOKEN.fullmatch(name):
            raise SipError("a header line has no name")
        name, parts = COMPACT_NAMES.get(name.lower(), name), [value.strip(" \t")]
    if name:
        yield name, " ".join(parts)


def _measured_body(message: Message, body: bytes) -> bytes:
    """The body cut to Content-Length; without one it is the rest of the datagram (§18.3)."""
    lengths = set(message.headers_named("Content-Length"))
    if not lengths:
        return body
    if len(lengths) > 1:
        raise SipError("several values of Content-Length")
    return body[: decimal(lengths.pop(), 0, len(body))]


def _check_required(message: Request | Response) -> None:
    _ = (message.call_id, message.from_tag, message.to_tag, message.via)
    if isinstance(message, Request) and message.cseq.method != message.method:
        raise SipError("the method of CSeq is not the request's")
    _ = message.cseq


def decimal(text: str, lowest: int, highest: int) -> int:
    """`text` as a number within bounds; SipError for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and lowest <= int(text) <= highest):
        raise SipError(f"{text[:20]!r} is not a number from {lowest} to {highest}")
    return int(text)


def seconds_of(text: str | None) -> int | None:
    """Seconds as a registrar writes them; None for anything else."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else None


def parse_cseq(value: str) -> CSeq:
    """`314159 INVITE` as number (below 2**31, §8.1.1.5) and method."""
    number, _, method = value.partition(" ")
    if not _TOKEN.fullmatch(method.strip()):
        raise SipError("CSeq has no method")
    return CSeq(decimal(number, 0, 2**32 - 1), method.strip())


def split_list(value: str) -> list[str]:
    """Items of a comma-separated header value; commas in quotes and angle brackets do not separate."""
    if '"' not in value and "<" not in value:  # most of them
        return [item.strip() for item in value.split(",") if item.strip()]
    items, quoted, bracketed, escaped = [""], False, False, False
    for character in value:
        if character == '"' and not escaped:
            quoted = not quoted
        elif character in "<>" and not quoted:
            bracketed = character == "<"
        if character == "," and not quoted and not bracketed:
            items.append("")
        else:
            items[-1] += character
        escaped = character == "\\" and quoted and not escaped
    return [item.strip() for item in items if item.strip()]


def parse_parameters(text: str) -> dict[str, str]:
    """`;name=value;flag` as a dictionary: names in lower case, quotes removed, flags empty."""
    return {match[1].lower(): _unquote(match[2] or "") for match in _PARAMETER.finditer(text)}


def _unquote(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value[:1] == '"' else value


def quote(text: str) -> str:
    """`text` as a quoted-string (§25.1)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Via(NamedTuple):
    """One Via value: where the response goes, and the transaction's branch."""

    host: str
    port: int
    parameters: dict[str, str]


def parse_via(value: str) -> Via:
    """`SIP/2.0/UDP host:port;branch=…`; the port is 5060 when left out."""
    start, _, parameters = value.partition(";")
    protocol, _, sent_by = start.strip().partition(" ")
    host, _, port = sent_by.strip().partition(":")
    if protocol.upper() != "SIP/2.0/UDP" or not host:
        raise SipError("Via is not SIP/2.0/UDP")
    return Via(host, decimal(port.strip() or "5060", 1, 65535), parse_parameters(";" + parameters))


class Address(NamedTuple):
    """A From, To, Contact or Route value: display name (unquoted), URI and header parameters."""

    name: str
    uri: str
    parameters: dict[str, str]

    @property
    def user(self) -> str:
        """User part of the URI, or an empty string."""
        match = _URI.fullmatch(self.uri)
        return (match[1] or "") if match else ""


def parse_address(value: str) -> Address:
    """Name-addr or addr-spec (§20.10), tolerant of display names with stray quotes."""
    if quoted := _QUOTED_ADDRESS.fullmatch(value):
        return Address(_ESCAPED.sub(r"\1", quoted[1]), quoted[2].strip(), parse_parameters(quoted[3]))
    if bracketed := _BRACKETED_ADDRESS.fullmatch(value):
        return Address(bracketed[1].strip(), bracketed[2].strip(), parse_parameters(bracketed[3]))
    if bare := _BARE_ADDRESS.fullmatch(value):
        return Address("", bare[1], parse_parameters(bare[2] or ""))
    raise SipError("not an address")


def check_uri(uri: str) -> None:
    """SipError for what is no SIP URI. Its host may be anything: that a request can be sent there is not said."""
    if not _ANY_URI.fullmatch(uri):
        raise SipError(f"not a SIP URI: {uri[:40]!r}")


def ipv4(text: str) -> str:
    """`text`, which must be an IPv4 address: SipError for a name, which would have to be looked up, and for anything else."""
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise SipError(f"{text[:40]!r} is not an IPv4 address") from None


def destination(uri: str) -> tuple[str, int]:
    """Host and port that a request for `uri` is sent to; IPv4 literals and `localhost` only.

    Names are never looked up: this user agent stays on loopback and must not wait for a resolver.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise SipError(f"not a SIP URI: {uri[:40]!r}")
    host = "127.0.0.1" if match[2].lower() == "localhost" else ipv4(match[2])
    return host, decimal(match[3] or "5060", 1, 65535)


def respond(
    request: Request, status: int, *, tag: str = "", headers: Sequence[Header] = (), body: bytes = b""
) -> Response:
    """Response to `request` as §8.2.6 builds it; `tag` is added to To unless To has one."""
    to = request.required("To")
    if tag and not request.to_tag:
        to += f";tag={tag}"
    copied = [("Via", value) for value in request.headers_named("Via")]
    copied += [("From", request.required("From")), ("To", to), ("Call-ID", request.call_id)]
    copied += [("CSeq", request.required("CSeq"))]
    return Response([*copied, *headers], body, status, REASONS.get(status, "Unknown"))


def acknowledge_failure(invite: Request, response: Response) -> Request:
    """ACK of a final response other than 2xx: part of the INVITE's transaction (§17.1.1.3)."""
    return _same_transaction(invite, "ACK", response.required("To"))


def cancel(invite: Request) -> Request:
    """CANCEL of a pending INVITE (§9.1)."""
    return _same_transaction(invite, "CANCEL", invite.required("To"))


def _same_transaction(invite: Request, method: str, to: str) -> Request:
    headers = [("Via", invite.required("Via")), ("Max-Forwards", "70"), ("From", invite.required("From"))]
    headers += [("To", to), ("Call-ID", invite.call_id), ("CSeq", f"{invite.cseq.number} {method}")]
    headers += [("Route", route) for route in invite.headers_named("Route")]
    return Request(headers, method=method, uri=invite.uri)


class Credentials(NamedTuple):
    """User and password for digest authentication."""

    user: str
    password: str


_DIGEST_ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256"}  # RFC 7616 §3.3, RFC 8760


def challenge_of(response: Response) -> tuple[str, str]:
    """The challenge in a 401 or 407 that can be answered, and the header that answers it; SipError without one."""
    proxy = response.status == 407
    challenges = response.headers_named(f"{'Proxy' if proxy else 'WWW'}-Authenticate")
    supported = [challenge for challenge in challenges if _can_be_answered(challenge)]
    if not supported:
        raise SipError("no digest challenge with MD5 or SHA-256, and with qop auth or none")
    return f"{'Proxy-' if proxy else ''}Authorization", supported[0]


def challenge_parameter(challenge: str, name: str) -> str:
    """A parameter of a digest challenge, such as `realm`; empty where it has none."""
    return _parse_challenge(challenge).get(name, "")


def _can_be_answered(challenge: str) -> bool:
    parameters = _parse_challenge(challenge)
    known = "nonce" in parameters and _algorithm(challenge) in _DIGEST_ALGORITHMS
    return known and ("qop" not in parameters or "auth" in _qualities(parameters))


def _qualities(parameters: dict[str, str]) -> list[str]:
    return re.split(r"[\s,]+", parameters.get("qop", "").lower())


def _parse_challenge(challenge: str) -> dict[str, str]:
    scheme, _, rest = challenge.strip().partition(" ")
    if scheme.lower() != "digest":
        return {}
    return {
        match[1].lower(): _ESCAPED.sub(r"\1", match[2]) if match[2] is not None else match[3]
        for match in _CHALLENGE_PARAMETER.finditer(rest)
    }


def _algorithm(challenge: str) -> str:
    parameters = _parse_challenge(challenge)
    return parameters.get("algorithm", "MD5").upper() if parameters else ""


def digest(
    challenge: str, method: str, uri: str, credentials: Credentials, client_nonce: str = "", count: int = 1
) -> str:
    """Value of an Authorization header for `challenge` (RFC 2617 §3.2.2, RFC 7616), qop `auth` if offered.

    `count`: how often its nonce has been used, this time included.
    """
    parameters = _parse_challenge(challenge)
    if not _can_be_answered(challenge):
        raise SipError("not a digest challenge that can be answered")
    name = _DIGEST_ALGORITHMS[_algorithm(challenge)]

    def hashed(text: str) -> str:
        return hashlib.new(name, encode(text), usedforsecurity=False).hexdigest()

    realm, nonce = parameters.get("realm", ""), parameters["nonce"]
    secret = hashed(f"{credentials.user}:{realm}:{credentials.password}")
    subject = hashed(f"{method}:{uri}")
    answer = [("username", quote(credentials.user)), ("realm", quote(realm))]
    answer += [("nonce", quote(nonce)), ("uri", quote(uri)), ("algorithm", _algorithm(challenge))]
    if "auth" in _qualities(parameters):
        client_nonce = client_nonce or secrets.token_hex(8)
        result = hashed(f"{secret}:{nonce}:{count:08x}:{client_nonce}:auth:{subject}")
        answer += [("qop", "auth"), ("nc", f"{count:08x}"), ("cnonce", quote(client_nonce))]
    else:
        result = hashed(f"{secret}:{nonce}:{subject}")
    answer += [("response", quote(result))]
    answer += [("opaque", quote(parameters["opaque"]))] if "opaque" in parameters else []
    return "Digest " + ", ".join(f"{key}={value}" for key, value in answer)
