"""Transactions over UDP (RFC 3261 §17 with the corrections of RFC 6026): retransmission and matching.

Over UDP every timer of §17 has one form: send again after T1, twice as late each time, perhaps capped at
T2, and give up after 64 T1. `Repeater` is that form; the transactions only differ in what stops it.
"""

import asyncio
import secrets
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from hwtest.useragent.transport import Endpoint, SocketAddress, Stamp
from hwtest.useragent.wire import (
    Header,
    Request,
    Response,
    SipError,
    acknowledge_failure,
    parse,
    respond,
    split_list,
)

BRANCH_COOKIE = "z9hG4bK"  # §8.1.1.7


class TraceEntry(NamedTuple):
    """One message on the wire. Sent: stamped just before `sendto`; received: the kernel's stamp."""

    monotonic_ns: int
    utc_ns: int
    direction: Literal["sent", "received"]
    label: str
    """Method of a request, status of a response."""
    sequence_number: int
    method: str
    """Method of CSeq: what a response answers."""


Trace = MutableSequence[TraceEntry]


@dataclass(frozen=True, slots=True)
class Timers:
    """Timer values in seconds (§17, table 4)."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    @property
    def lifetime(self) -> float:
        """64 T1: Timers B, D, F, H, J, L and M."""
        return 64 * self.t1


class Repeater:
    """Calls `again` after T1, 2 T1, 4 T1, … and `expired` after 64 T1, unless stopped."""

    def __init__(
        self, timers: Timers, again: Callable[[], object], expired: Callable[[], object], *, capped: bool
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._timers = timers
        self._again = again
        self._capped = capped
        self._wait_seconds = timers.t1
        self._next: asyncio.TimerHandle | None = self._loop.call_later(timers.t1, self._repeat)
        self._end = self._loop.call_later(timers.lifetime, self._expire, expired)

    def _repeat(self) -> None:
        self._again()
        if self._next is not None:  # sending again may have ended it
            self._wait_seconds *= 2
            if self._capped:
                self._wait_seconds = min(self._wait_seconds, self._timers.t2)
            self._next = self._loop.call_later(self._wait_seconds, self._repeat)

    def _expire(self, expired: Callable[[], object]) -> None:
        self.stop()
        expired()

    def slow_down(self) -> None:
        """From now on every T2: a non-INVITE transaction that saw a provisional response (§17.1.2.2)."""
        self._wait_seconds = self._timers.t2

    def pause(self) -> None:
        """Repeat no more, but still expire."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def stop(self) -> None:
        """Neither repeat nor expire."""
        self.pause()
        self._end.cancel()


class ClientTransaction:
    """A request we sent, until its final response; INVITE and others (§17.1)."""

    def __init__(
        self,
        layer: "Transactions",
        request: Request,
        destination: SocketAddress,
        trace: Trace,
        on_response: Callable[[Response], object],
    ) -> None:
        self.request = request
        self.trace = trace
        self._layer = layer
        self._destination = destination
        self._on_response = on_response
        self._final: Response | None = None
        self._invite = request.method == "INVITE"
        self._repeater = Repeater(layer.timers, self._send, self._time_out, capped=not self._invite)
        self._send()

    def _send(self) -> None:
        self._layer.send(self.request, self._destination, self.trace)

    def _time_out(self) -> None:
        if self._final is None:  # Timers B and F: the user sees a 408 (§8.1.3.1)
            self._final = respond(self.request, 408)
            self._layer.forget_client(self, 0)
            self._on_response(self._final)

    def receive(self, response: Response) -> None:
        """Take a response that matches this transaction."""
        if response.status < 200:
            self._receive_provisional(response)
        elif self._invite and response.status >= 300:
            ack = acknowledge_failure(self.request, response)
            self._layer.send(ack, self._destination, self.trace)
            self._finish(response, self._layer.timers.lifetime)
        elif self._invite:
            again = self._final is not None
            self._finish(response, self._layer.timers.lifetime)
            if again:  # every copy of a 2xx must be acknowledged anew by the user (§13.2.2.4)
                self._on_response(response)
        else:
            self._finish(response, self._layer.timers.t4)

    def _receive_provisional(self, response: Response) -> None:
        if self._final is not None:
            return
        if self._invite:
            self._repeater.stop()
        else:
            self._repeater.slow_down()
        self._on_response(response)

    def _finish(self, response: Response, linger_seconds: float) -> None:
        if self._final is None:
            self._final = response
            self._repeater.stop()
            self._layer.forget_client(self, linger_seconds)
            self._on_response(response)

    def give_up(self) -> None:
        """Stop every timer; a final response that has not come is a 408."""
        self._repeater.stop()
        self._time_out()


class ServerTransaction:
    """A request we received, and the responses to it; INVITE and others (§17.2)."""

    def __init__(self, layer: "Transactions", request: Request, source: SocketAddress, trace: Trace) -> None:
        self.request = request
        self.source = source
        self.trace = trace
        self._layer = layer
        self._destination = _response_destination(request, source)
        self._last: Response | None = None
        self._repeater: Repeater | None = None
        self.on_cancel: Callable[[ServerTransaction], None] | None = None

    @property
    def answered(self) -> bool:
        """Whether a final response has been sent."""
        return self._last is not None and self._last.status >= 200

    @property
    def succeeded(self) -> bool:
        """Whether a 2xx has been sent."""
        return self._last is not None and 200 <= self._last.status < 300

    def respond(
        self, status: int, *, tag: str = "", headers: tuple[Header, ...] = (), body: bytes = b""
    ) -> None:
        """Send a response; after a final one nothing more can be sent.

        A failure of an INVITE is repeated until its ACK. A 2xx is not: its repetition belongs to the
        dialog (§13.3.1.4), which calls `resend`.
        """
        if self.answered:
            raise SipError("the request has its final response already")
        self._last = respond(self.request, status, tag=tag, headers=headers, body=body)
        self.resend()
        if status >= 200:
            self._layer.forget_server(self)
            if self.request.method == "INVITE" and status >= 300:
                self._repeater = Repeater(self._layer.timers, self.resend, lambda: None, capped=True)

    def abandon(self) -> None:
        """Never answer, and forget the request when its sender has given up (Timer B)."""
        self._layer.forget_server(self)

    def resend(self) -> None:
        """Send the last response again."""
        if self._last is not None:
            self._layer.send(self._last, self._destination, self.trace)

    def receive_ack(self) -> None:
        """The ACK of a failure arrived: Timers G and H end."""
        self.stop()

    def stop(self) -> None:
        """Stop every timer; nothing more is sent unless the request is repeated."""
        if self._repeater is not None:
            self._repeater.stop()


def _response_destination(request: Request, source: SocketAddress) -> SocketAddress:
    """Where responses go: back where the request came from, on the port that Via asks for (RFC 3581 §4)."""
    via = request.via
    return source if "rport" in via.parameters else (source[0], via.port)


def _note_source(request: Request, source: SocketAddress) -> None:
    """Write `received` and `rport` into the top Via (RFC 3581 §4), for a sender that asked with `rport`."""
    if request.via.parameters.get("rport") != "":
        return
    index = next(index for index, (name, _) in enumerate(request.headers) if name.lower() == "via")
    top, *others = split_list(request.headers[index][1])
    parts = [f"rport={source[1]}" if part.strip() == "rport" else part for part in top.split(";")]
    request.headers[index] = ("Via", ", ".join([";".join([*parts, f"received={source[0]}"]), *others]))


class Transactions:
    """All transactions of one endpoint: matches what arrives, repeats what was lost, traces everything.

    `on_request` gets each new request once; `on_ack` gets the ACK of a 2xx, which no transaction owns.
    """

    def __init__(
        self,
        host: str,
        port: int,
        timers: Timers,
        on_request: Callable[[ServerTransaction], None],
        on_ack: Callable[[Request, TraceEntry], None],
    ) -> None:
        self.timers = timers
        self.malformed = 0
        self._on_request = on_request
        self._on_ack = on_ack
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._servers: dict[tuple[str, str, str], ServerTransaction] = {}
        self._lingering: set[asyncio.TimerHandle] = set()
        self._loop = asyncio.get_running_loop()
        self._endpoint = Endpoint(host, port, self._receive)
        self.address = self._endpoint.address
        self.closed = False

    def new_via(self) -> str:
        """A Via value with a branch of its own."""
        host, port = self.address
        return f"SIP/2.0/UDP {host}:{port};branch={BRANCH_COOKIE}{secrets.token_hex(8)};rport"

    def send(self, message: Request | Response, destination: SocketAddress, trace: Trace) -> None:
        """Send one message and trace it."""
        if self.closed:
            return
        stamp = self._endpoint.send(message.format(), destination)
        trace.append(_trace_entry(message, stamp, "sent"))

    def request(
        self,
        request: Request,
        destination: SocketAddress,
        trace: Trace,
        on_response: Callable[[Response], object],
    ) -> None:
        """Send `request` reliably. `on_response` gets each response; a timeout arrives as a 408."""
        if self.closed:
            self._loop.call_soon(on_response, respond(request, 408))
            return
        transaction = ClientTransaction(self, request, destination, trace, on_response)
        self._clients[request.branch, request.method] = transaction

    async def exchange(
        self,
        request: Request,
        destination: SocketAddress,
        trace: Trace,
        on_success: Callable[[Response], object] = lambda _: None,
    ) -> Response:
        """Send `request` reliably and return its final response; a timeout is a 408.

        `on_success` gets every copy of a 2xx: those to an INVITE are each acknowledged anew.
        """
        final: asyncio.Future[Response] = self._loop.create_future()

        def take(response: Response) -> None:
            if 200 <= response.status < 300:
                on_success(response)
            if response.status >= 200 and not final.done():
                final.set_result(response)

        self.request(request, destination, trace, take)
        return await final

    def forget_client(self, transaction: ClientTransaction, after_seconds: float) -> None:
        """Stop matching responses to a finished transaction, late copies excepted."""
        key = (transaction.request.branch, transaction.request.method)
        self._later(after_seconds, lambda: self._clients.pop(key, None))

    def forget_server(self, transaction: ServerTransaction) -> None:
        """Stop matching requests to an answered transaction, late copies excepted (Timers H, I, J, L)."""
        key = _server_key(transaction.request)
        self._later(self.timers.lifetime, lambda: self._servers.pop(key, None))

    def pending_invite(self, cancel: Request) -> ServerTransaction | None:
        """The INVITE that `cancel` means (§9.2)."""
        return self._servers.get((*_server_key(cancel)[:2], "INVITE"))

    def close(self) -> None:
        """Stop every timer and release the port; nothing more is sent."""
        self.closed = True
        self._endpoint.close()
        for server in self._servers.values():
            server.stop()
        for client in list(self._clients.values()):
            client.give_up()
        for handle in self._lingering:
            handle.cancel()

    def _later(self, after_seconds: float, forget: Callable[[], object]) -> None:
        def run() -> None:
            self._lingering.discard(handle)
            forget()

        handle = self._loop.call_later(after_seconds, run)
        self._lingering.add(handle)

    def _receive(self, datagram: bytes, source: SocketAddress, stamp: Stamp) -> None:
        if not datagram.strip(b"\r\n\0"):  # keep-alive (RFC 5626 §3.5.1)
            return
        try:
            message = parse(datagram)
        except SipError:
            self.malformed += 1
            return
        entry = _trace_entry(message, stamp, "received")
        if isinstance(message, Response):
            self._receive_response(message, entry)
        elif message.method == "ACK":
            self._receive_ack(message, entry)
        else:
            self._receive_request(message, source, entry)

    def _receive_response(self, response: Response, entry: TraceEntry) -> None:
        transaction = self._clients.get((response.branch, response.cseq.method))
        if transaction is not None:
            transaction.trace.append(entry)
            transaction.receive(response)

    def _receive_ack(self, ack: Request, entry: TraceEntry) -> None:
        transaction = self.pending_invite(ack)
        if transaction is None or transaction.succeeded:  # the ACK of a 2xx should have a branch of its own
            self._on_ack(ack, entry)
        else:
            transaction.trace.append(entry)
            transaction.receive_ack()

    def _receive_request(self, request: Request, source: SocketAddress, entry: TraceEntry) -> None:
        known = self._servers.get(_server_key(request))
        if known is not None:
            known.trace.append(entry)
            known.resend()
            return
        _note_source(request, source)
        transaction = ServerTransaction(self, request, source, [entry])
        self._servers[_server_key(request)] = transaction
        self._on_request(transaction)


def _server_key(request: Request) -> tuple[str, str, str]:
    via = request.via
    return via.parameters.get("branch", ""), f"{via.host}:{via.port}", request.method


def _trace_entry(
    message: Request | Response, stamp: Stamp, direction: Literal["sent", "received"]
) -> TraceEntry:
    return TraceEntry(*stamp, direction, message.label, *message.cseq)
