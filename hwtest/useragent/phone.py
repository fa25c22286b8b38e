"""A SIP user agent over UDP: registers, places and takes calls. One socket, one event loop, no threads."""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from hwtest.useragent import wire
from hwtest.useragent.authorization import CHALLENGES, Authorization
from hwtest.useragent.call import Call, IncomingCall, OutgoingCall
from hwtest.useragent.dialog import ALLOWED_METHODS, Dialog, new_tag
from hwtest.useragent.media import Media, Mode
from hwtest.useragent.transaction import ServerTransaction, Timers, Trace, TraceEntry, Transactions
from hwtest.useragent.wire import Credentials, Header, Request, Response, SipError

_KEPT_TRACE_ENTRIES = 1000
_RETRY_SECONDS = 2.0


class UserAgent:
    """One SIP phone on its own UDP port, to be made inside a running event loop.

    An incoming call goes to `on_invite`, or without it to `next_invite`. `trace` holds the last messages
    that belong to no call (registration, OPTIONS). Credentials answer every 401 and 407.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        user: str = "phone",
        media: Media | Mode = "sink",
        timers: Timers | None = None,
    ) -> None:
        self.timers = timers or Timers()
        self.user = user
        self.media = _media(media)
        self.credentials: Credentials | None = None
        self.on_invite: Callable[[IncomingCall], None] | None = None
        self.calls: dict[tuple[str, str], Call] = {}
        self.trace: Trace = deque(maxlen=_KEPT_TRACE_ENTRIES)
        self.registered = False
        self._incoming: asyncio.Queue[IncomingCall] = asyncio.Queue()
        self._registration: _Registration | None = None
        self._handles = set[asyncio.TimerHandle]()
        self._loop = asyncio.get_running_loop()
        self._transactions = Transactions(host, port, self.timers, self._receive_request, self._receive_ack)
        self.address = self._transactions.address

    async def __aenter__(self) -> Self:
        """Itself; leaving the block hangs up, unregisters and closes."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Shut down in an orderly way, in a second at most."""
        await self.shut_down(1.0)

    @property
    def malformed(self) -> int:
        """Datagrams that were no SIP."""
        return self._transactions.malformed

    # Registration

    async def register(self, registrar: str, user: str, password: str, expires: int = 300) -> int:
        """Register `user` at `registrar` (`host:port`) and keep registered; returns the seconds granted.

        Raises SipError when the registrar refuses or does not answer. Afterwards a refresh that fails is
        tried again every two seconds, so a registrar may restart.
        """
        self.user = user
        self.credentials = Credentials(user, password)
        registration = _Registration(self, registrar)
        granted = await registration.send(expires)
        self._registration = registration
        registration.confirm(granted, expires)
        return granted

    async def unregister(self) -> None:
        """Withdraw the registration; SipError when the registrar refuses or does not answer."""
        registration, self._registration = self._registration, None
        if registration is not None:
            registration.stop()
            self.registered = False
            await registration.send(0)

    # Calls

    def invite(
        self,
        uri: str,
        *,
        from_user: str | None = None,
        from_name: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        media: Media | Mode | None = None,
    ) -> OutgoingCall:
        """Place a call and return at once; await `ringing`, `answered` or `ended` of what is returned.

        `from_name` is quoted and otherwise sent byte for byte, CR and LF included. A header given as From
        replaces ours as it stands (a tag is added), for callers that break every rule. SipError when `uri`
        does not name an IPv4 address.
        """
        host, port = wire.destination(uri)
        extra = dict(headers or {})
        name = f"{wire.quote(wire.decode(from_name))} " if from_name is not None else ""
        sender = extra.pop("From", f"{name}<sip:{from_user or self.user}@{host}:{port}>")
        tag = new_tag()
        dialog = Dialog(
            call_id=secrets.token_hex(12),
            local=f"{sender};tag={tag}",
            local_tag=tag,
            remote=f"<{uri}>",
            target=uri,
            contact=self.contact,
            way=uri,
        )
        chosen = self.media if media is None else _media(media)
        credentials = Credentials(*auth) if auth else None
        call = OutgoingCall(self, dialog, chosen, list(extra.items()), credentials)
        self.calls[dialog.call_id, tag] = call
        return call

    async def next_invite(self, within_seconds: float) -> IncomingCall:
        """The next incoming call, oldest first; TimeoutError when none comes."""
        async with asyncio.timeout(within_seconds):
            return await self._incoming.get()

    # Ends

    def close(self) -> None:
        """Vanish without a word, as if the power were cut. Calls count as ended."""
        if self._transactions.closed:
            return
        if self._registration is not None:
            self._registration.stop()
        self.registered = False
        for call in list(self.calls.values()):
            call.abandon()
        for handle in self._handles:
            handle.cancel()
        self._transactions.close()

    async def shut_down(self, within_seconds: float) -> None:
        """Hang up every call, unregister, close. What does not finish in time is abandoned."""
        with contextlib.suppress(TimeoutError, SipError):
            async with asyncio.timeout(within_seconds):
                await asyncio.gather(
                    *(call.hang_up() for call in list(self.calls.values())), return_exceptions=True
                )
                await self.unregister()
        self.close()

    # For calls

    @property
    def contact(self) -> str:
        """Contact value under which this user agent is reached."""
        host, port = self.address
        return f"<sip:{self.user}@{host}:{port}>"

    def new_via(self) -> str:
        """A Via value with a branch of its own."""
        return self._transactions.new_via()

    def send(self, request: Request, next_hop: str, trace: Trace) -> None:
        """Send a request without a transaction: the ACK of a 2xx."""
        self._transactions.send(request, wire.destination(next_hop), trace)

    def request(
        self, request: Request, next_hop: str, trace: Trace, on_response: Callable[[Response], object]
    ) -> None:
        """Send a request in a transaction."""
        self._transactions.request(request, wire.destination(next_hop), trace, on_response)

    async def exchange(
        self,
        request: Request,
        next_hop: str,
        trace: Trace,
        on_success: Callable[[Response], object] = lambda _: None,
    ) -> Response:
        """Send a request in a transaction and return its final response; a timeout is a 408."""
        return await self._transactions.exchange(request, wire.destination(next_hop), trace, on_success)

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Call `act` after `seconds`, unless this user agent is closed before."""

        def run() -> None:
            self._handles.discard(handle)
            act()

        handle = self._loop.call_later(seconds, run)
        self._handles.add(handle)

    def forget(self, call: Call) -> None:
        """The call is over: requests inside it get a 481 from now on."""
        self.calls.pop((call.dialog.call_id, call.dialog.local_tag), None)

    # What arrives

    def _receive_request(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        if request.method == "CANCEL":
            self._receive_cancel(transaction)
        elif request.to_tag:
            self._receive_in_dialog(transaction)
        elif request.method == "INVITE":
            self._receive_invite(transaction)
        else:
            self._receive_stray(transaction)

    def _receive_invite(self, transaction: ServerTransaction) -> None:
        required = transaction.request.headers_named("Require")
        if required:  # §8.2.2.3: no extension is supported
            headers = tuple(("Unsupported", value) for value in required)
            self._reply(transaction, 420, headers)
            return
        try:
            call = IncomingCall(self, transaction, self.media)
        except SipError:
            self._reply(transaction, 400)
            return
        except OSError:  # no socket left for its audio
            self._reply(transaction, 503)
            return
        self.calls[call.dialog.call_id, call.dialog.local_tag] = call
        if self.on_invite is not None:
            self.on_invite(call)
        else:
            self._incoming.put_nowait(call)

    def _receive_cancel(self, transaction: ServerTransaction) -> None:
        invite = self._transactions.pending_invite(transaction.request)
        if invite is not None and invite.on_cancel is not None:
            invite.on_cancel(transaction)
        else:
            self._reply(transaction, 200 if invite is not None else 481)

    def _receive_in_dialog(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        call = self.calls.get((request.call_id, request.to_tag))
        # Another tag is of another branch of a fork, or a stranger's.
        if call is None or call.dialog.remote_tag not in {"", request.from_tag}:
            self._reply(transaction, 481)
        else:
            call.receive(transaction)

    def _receive_stray(self, transaction: ServerTransaction) -> None:
        allowed = transaction.request.method in {"OPTIONS", "NOTIFY", "MESSAGE"}
        self._reply(transaction, 200 if allowed else 405, (("Allow", ALLOWED_METHODS),))

    def _reply(self, transaction: ServerTransaction, status: int, headers: tuple[Header, ...] = ()) -> None:
        """Answer a request that belongs to no call."""
        self.trace.extend(transaction.trace)
        transaction.trace = self.trace
        transaction.respond(status, tag=new_tag(), headers=headers)

    def _receive_ack(self, ack: Request, entry: TraceEntry) -> None:
        call = self.calls.get((ack.call_id, ack.to_tag))
        if call is None:
            self.trace.append(entry)
        else:
            call.trace.append(entry)
            call.receive_ack(ack)


class _Registration:
    """One binding at one registrar, and its refresh (RFC 3261 §10.2)."""

    def __init__(self, agent: UserAgent, registrar: str) -> None:
        self._agent = agent
        self._uri = f"sip:{registrar}"
        wire.destination(self._uri)
        address = f"<sip:{agent.user}@{registrar}>"
        self._dialog = Dialog(
            call_id=secrets.token_hex(12),
            local=f"{address};tag={new_tag()}",
            local_tag="",
            remote=address,
            target=self._uri,
            contact=agent.contact,
        )
        self._handle: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def send(self, expires: int) -> int:
        """REGISTER, answering a challenge (401, 407) and a 423; returns the seconds granted."""
        headers: list[Header] = [("Expires", str(expires))]
        response = await self._exchange(headers)
        if response.status == 423:  # Interval Too Brief
            headers = [("Expires", str(wire.decimal(response.required("Min-Expires"), 0, 2**32 - 1)))]
            response = await self._exchange(headers)
        if response.status != 200:
            raise SipError(f"the registrar answered {response.status} {response.reason}")
        return self._granted(response, int(headers[0][1]))

    async def _exchange(self, headers: list[Header]) -> Response:
        credentials = self._agent.credentials
        authorization = Authorization(credentials) if credentials is not None else None
        response = await self._exchange_once(headers)
        while authorization is not None and authorization.takes(response):
            response = await self._exchange_once([*headers, *authorization.headers("REGISTER", self._uri)])
        if response.status in CHALLENGES:
            wire.challenge_of(response)  # one that nobody can answer says nothing of the password: SipError
        return response

    async def _exchange_once(self, headers: list[Header]) -> Response:
        request = self._dialog.request("REGISTER", self._agent.new_via(), headers)
        return await self._agent.exchange(request, self._uri, self._agent.trace)

    def _granted(self, response: Response, asked: int) -> int:
        """Expiry of our own binding among those listed (§10.3), else of the whole response."""
        own = wire.parse_address(self._agent.contact).uri
        granted = wire.seconds_of(response.header("Expires"))
        for value in response.headers_named("Contact"):
            for item in wire.split_list(value):
                address = wire.parse_address(item)
                if address.uri == own:
                    own_seconds = wire.seconds_of(address.parameters.get("expires"))
                    granted = granted if own_seconds is None else own_seconds
        return asked if granted is None else granted

    def confirm(self, granted: int, expires: int) -> None:
        """The binding holds; refresh it at half its time, long before the registrar drops it."""
        self._agent.registered = True
        self._refresh_after(max(granted / 2, 1.0), expires)

    def _refresh_after(self, seconds: float, expires: int) -> None:
        self._handle = asyncio.get_running_loop().call_later(seconds, self._start_refresh, expires)

    def _start_refresh(self, expires: int) -> None:
        self._task = asyncio.create_task(self._refresh(expires))

    async def _refresh(self, expires: int) -> None:
        try:
            granted = await self.send(expires)
        except SipError:
            self._agent.registered = False
            self._refresh_after(_RETRY_SECONDS, expires)
        else:
            self.confirm(granted, expires)

    def stop(self) -> None:
        """Refresh no more."""
        if self._handle is not None:
            self._handle.cancel()
        if self._task is not None:
            self._task.cancel()


def _media(media: Media | Mode) -> Media:
    return media if isinstance(media, Media) else Media(media)
