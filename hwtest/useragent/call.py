"""One call of a user agent: outgoing or incoming, from INVITE to its end."""

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import Callable, Coroutine, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Literal

from hwtest.useragent import sdp, wire
from hwtest.useragent.authorization import Authorization
from hwtest.useragent.dialog import ALLOWED_METHODS, Dialog
from hwtest.useragent.media import Leg, Media
from hwtest.useragent.transaction import Repeater, ServerTransaction, Trace, TraceEntry
from hwtest.useragent.transport import Stamp
from hwtest.useragent.wire import Credentials, Header, Request, Response, SipError

if TYPE_CHECKING:
    from hwtest.useragent.phone import UserAgent

_Q850_CAUSE = re.compile(r"\bQ\.850\b.*?;\s*cause\s*=\s*([0-9]{1,3})", re.IGNORECASE)
_SDP_HEADER: Header = ("Content-Type", sdp.CONTENT_TYPE)
_STATUS_FRAGMENT = re.compile(rb"\s*SIP/2\.0 ([1-6][0-9][0-9])\b", re.IGNORECASE)
_TRYING_SECONDS = 0.2  # §17.2.1: 100 Trying is due when no other answer comes within 200 ms


class CallState(IntEnum):
    """How far a call has come; it never goes back."""

    TRYING = 0
    RINGING = 1
    ANSWERED = 2
    ENDED = 3


class CallEnded(SipError):  # noqa: N818 - an end is not always an error
    """The call ended before what was waited for; `status` is the final response to the INVITE, if any."""

    def __init__(self, status: int | None) -> None:
        super().__init__(f"the call ended (status {status})")
        self.status = status


class Call:
    """What outgoing and incoming calls share.

    `state` is where the call is, `reached` how far it came before it ended. `trace` holds every message
    with its stamps; `status` is the final response to the INVITE; `ended_by` the side that ended the call;
    `cause` the Q.850 cause that the other side gave and `reasons` all that it said (RFC 3326); `held`
    whether it holds us; `referral` the last status that it reported of a call we asked for by REFER (0: none
    yet); `leg` the audio.
    """

    def __init__(self, agent: "UserAgent", dialog: Dialog, media: Media) -> None:
        self.agent = agent
        self.dialog = dialog
        self.trace: list[TraceEntry] = []
        self.state = CallState.TRYING
        self.reached = CallState.TRYING
        self.status: int | None = None
        self.ended_by: Literal["local", "remote"] | None = None
        self.cause: int | None = None
        self.reasons: list[str] = []
        self.held = False
        self.referral = 0
        self.credentials: Credentials | None = agent.credentials
        self.leg = Leg(agent.address[0], media, self._changed)
        self._waiters: list[asyncio.Future[None]] = []
        self._repeaters = dict[int, Repeater]()
        self._tasks = set[asyncio.Task[None]]()
        self._reinviting = False
        self._saying_bye = False

    @property
    def leaving(self) -> bool:
        """Whether we have said goodbye and only wait for the other side to confirm it."""
        return self._saying_bye and self.state is not CallState.ENDED

    # Waiting

    async def until(self, condition: Callable[[], bool], within_seconds: float) -> None:
        """Return when `condition()` holds. It is tried after each change of the call or its digits.

        Raises TimeoutError after `within_seconds`, CallEnded when the call ends without it.
        """
        async with asyncio.timeout(within_seconds):
            while not condition():
                if self.state is CallState.ENDED:
                    raise CallEnded(self.status)
                waiter = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter

    async def ringing(self, within_seconds: float) -> None:
        """Return when the far end rings (180 or 183) or has answered already."""
        await self.until(lambda: self.reached >= CallState.RINGING, within_seconds)

    async def answered(self, within_seconds: float) -> None:
        """Return when the call has been answered; CallEnded when it ends unanswered."""
        await self.until(lambda: self.reached is CallState.ANSWERED, within_seconds)

    async def ended(self, within_seconds: float) -> None:
        """Return when the call is over on the wire."""
        await self.until(lambda: self.state is CallState.ENDED, within_seconds)

    async def lasts(self, seconds: float) -> bool:
        """Wait for `seconds` or the end of the call; True when it goes on."""
        try:
            await self.ended(seconds)
        except TimeoutError:
            return True
        return False

    # Evidence

    def stamp_of(
        self, label: str, method: str | None = None, direction: Literal["sent", "received"] | None = None
    ) -> Stamp | None:
        """When the first message named `label` (`INVITE`, `180`, …) was on the wire, or None.

        The first transmission counts and retransmissions never reset it (RFC 6076 §3). A status means
        the response to the INVITE unless `method` says otherwise: `stamp_of("200", "BYE")`.
        """
        wanted = method or ("INVITE" if label.isdigit() else label)
        for entry in self.trace:
            if (entry.label, entry.method) == (label, wanted) and direction in {None, entry.direction}:
                return Stamp(entry.monotonic_ns, entry.utc_ns)
        return None

    # Acting

    async def hang_up(self) -> None:
        """End the call in whatever state it is, and return when it is over on the wire."""
        raise NotImplementedError

    async def request(
        self, method: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Response:
        """Send a request inside the dialog and return its final response; challenges are answered."""
        return await self._exchange(method, list((headers or {}).items()), body)

    async def refer(self, target: "str | Call") -> int:
        """Ask the far end to call `target` (RFC 3515), and return the status of that request.

        A URI is a blind transfer; another call of this phone an attended one (RFC 3891 Replaces).
        """
        uri = target if isinstance(target, str) else target._replacing_uri()
        answer = await self.request("REFER", {"Refer-To": f"<{uri}>", "Referred-By": self.dialog.contact})
        return answer.status

    async def transfer(self, target: "str | Call", within_seconds: float) -> int:
        """Refer the far end to `target` and hang up when it got through; returns the final status.

        The transferor waits for the final report and then sends BYE (RFC 5589 §6.1). TimeoutError when no
        final report comes within `within_seconds`; CallEnded when the far end hangs up before it.
        """
        status = await self.refer(target)
        if status >= 300:
            return status
        await self.until(lambda: self.referral >= 200, within_seconds)
        if self.referral < 300:
            await self.hang_up()
        return self.referral

    async def hold(self) -> int:
        """Put the far end on hold by a re-INVITE and return its status."""
        return await self._reinvite("sendonly")

    async def resume(self) -> int:
        """Take the far end off hold by a re-INVITE and return its status."""
        return await self._reinvite("sendrecv")

    # Inside

    def _replacing_uri(self) -> str:
        call_id = re.sub(r"[^A-Za-z0-9\-._]", lambda found: f"%{ord(found[0]):02X}", self.dialog.call_id)
        tags = f"%3Bto-tag%3D{self.dialog.remote_tag}%3Bfrom-tag%3D{self.dialog.local_tag}"
        return f"{self.dialog.remote_address.uri.partition(';')[0]}?Replaces={call_id}{tags}"

    async def _exchange(self, method: str, headers: list[Header], body: bytes) -> Response:
        response = await self._exchange_once(method, headers, body)
        authorization = Authorization(self.credentials) if self.credentials is not None else None
        while authorization is not None and authorization.takes(response):
            answers = authorization.headers(method, self.dialog.target)
            response = await self._exchange_once(method, [*headers, *answers], body)
        return response

    async def _exchange_once(self, method: str, headers: list[Header], body: bytes) -> Response:
        request = self.dialog.request(method, self.agent.new_via(), headers, body)
        on_success = self._acknowledge_refresh if method == "INVITE" else lambda _: None
        return await self.agent.exchange(request, self.dialog.next_hop, self.trace, on_success)

    async def _reinvite(self, direction: sdp.Direction) -> int:
        offer = sdp.Description(*self.leg.address, direction=direction)
        self._reinviting = True
        try:
            response = await self._exchange("INVITE", [_SDP_HEADER], offer.format())
        finally:
            self._reinviting = False
        if 200 <= response.status < 300:
            self._take_description(response)
        return response.status

    def _acknowledge_refresh(self, response: Response) -> None:
        with contextlib.suppress(SipError):
            self.dialog.retarget(response)
        self._acknowledge(response)

    def _acknowledge(self, response: Response) -> None:
        """ACK of a 2xx: a request of its own with the INVITE's sequence number (§13.2.2.4)."""
        number = response.cseq.number
        ack = self.dialog.request("ACK", self.agent.new_via(), sequence_number=number)
        self.agent.send(ack, self.dialog.next_hop, self.trace)

    async def _bye(self) -> None:
        """Say goodbye and wait until it is over. Who waits may be cancelled: the goodbye goes on."""
        if not self._saying_bye:
            self._saying_bye = True
            self._start(self._say_bye())
        await self.ended(2 * self.agent.timers.lifetime + 1)  # once more where it is challenged

    async def _say_bye(self) -> None:
        try:
            await self._exchange("BYE", [], b"")
        finally:
            self._end("local")

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _repeat_until_acknowledged(self, transaction: ServerTransaction) -> None:
        """Repeat a 2xx to an INVITE until its ACK; without one end the call by BYE (§13.3.1.4)."""

        def expire() -> None:
            if self.state is not CallState.ENDED:
                self._start(self._bye())

        number = transaction.request.cseq.number
        self._repeaters[number] = Repeater(self.agent.timers, transaction.resend, expire, capped=True)

    def _take_description(self, message: Request | Response) -> sdp.Description | None:
        """Let the leg follow the session description in `message`, if there is one."""
        if not message.body or sdp.CONTENT_TYPE not in (message.header("Content-Type") or "").lower():
            return None
        description = sdp.parse(message.body)
        self.leg.connect(description)
        return description

    def _changed(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _advance(self, state: CallState) -> None:
        if state > self.state:
            self.state = state
            self.reached = state if state is not CallState.ENDED else self.reached
            self._changed()

    def _end(self, by: Literal["local", "remote"]) -> None:
        if self.state is not CallState.ENDED:
            self.ended_by = by
            self.leg.close()
            for repeater in self._repeaters.values():
                repeater.stop()
            self.agent.forget(self)
            self._advance(CallState.ENDED)

    def _note_cause(self, message: Request | Response) -> None:
        self.reasons = list(message.headers_named("Reason"))
        causes = (_Q850_CAUSE.search(value) for value in self.reasons)
        self.cause = next((int(cause[1]) for cause in causes if cause), self.cause)

    def receive(self, transaction: ServerTransaction) -> None:
        """Answer a request inside the dialog."""
        transaction.trace = self._adopt(transaction.trace)
        request = transaction.request
        if not self.dialog.accepts(request):
            transaction.respond(500)  # §12.2.2: out of order
        elif request.method == "BYE":
            transaction.respond(200)
            self._note_cause(request)
            self._receive_bye()
        elif request.method in {"INVITE", "UPDATE"}:
            self._receive_offer(transaction)
        elif request.method in {"OPTIONS", "NOTIFY", "INFO", "MESSAGE"}:
            transaction.respond(200)
            self._note_referral(request)
        else:
            transaction.respond(405, headers=(("Allow", ALLOWED_METHODS),))

    def _note_referral(self, request: Request) -> None:
        """A NOTIFY after REFER reports in a message/sipfrag body (RFC 3515 §2.4.5)."""
        fragment = _STATUS_FRAGMENT.match(request.body) if request.method == "NOTIFY" else None
        if fragment is not None:
            self.referral = int(fragment[1])
            self._changed()

    def abandon(self) -> None:
        """Forget the call without a word: its phone was closed."""
        self._end("local")

    def _adopt(self, entries: Trace) -> Trace:
        """Let a transaction trace into the trace of the call."""
        self.trace.extend(entries)
        return self.trace

    def _receive_bye(self) -> None:
        self._end("remote")

    def _receive_offer(self, transaction: ServerTransaction) -> None:
        """Answer a re-INVITE or UPDATE: hold, resume, new target (§14.2, RFC 3311 §5.2)."""
        request = transaction.request
        if self._reinviting:
            transaction.respond(491)
            return
        try:
            offer = self._take_description(request)
            answer = self._describe(offer, late_offer=request.method == "INVITE")
        except SipError:
            transaction.respond(488)
            return
        self.dialog.retarget(request)
        if offer is not None:
            self.held = offer.on_hold
        headers = (("Contact", self.dialog.contact), *((_SDP_HEADER,) if answer else ()))
        transaction.respond(200, headers=headers, body=answer)
        if request.method == "INVITE":
            self._repeat_until_acknowledged(transaction)
        self._changed()

    def _describe(self, offer: sdp.Description | None, *, late_offer: bool) -> bytes:
        """Our answer to `offer`; our own offer when the INVITE left it to us (RFC 3264 §4)."""
        if offer is not None:
            return sdp.answer(offer, *self.leg.address).format()
        return sdp.Description(*self.leg.address).format() if late_offer else b""

    def receive_ack(self, ack: Request) -> None:
        """Take the ACK of a 2xx; it carries the answer to an offer that came in the 2xx."""
        repeater = self._repeaters.pop(ack.cseq.number, None)
        if repeater is not None:
            repeater.stop()
        with contextlib.suppress(SipError):
            self._take_description(ack)


class OutgoingCall(Call):
    """A call we place. `response` is the last response to its INVITE."""

    def __init__(
        self,
        agent: "UserAgent",
        dialog: Dialog,
        media: Media,
        headers: list[Header],
        credentials: Credentials | None,
    ) -> None:
        super().__init__(agent, dialog, media)
        self.credentials = credentials or self.credentials
        self._authorization = Authorization(self.credentials) if self.credentials else None
        self.response: Response | None = None
        self._headers = headers
        self._offer = sdp.Description(*self.leg.address).format()
        self._cancelling = False
        self._provisional = False
        self._remote_tag: str | None = None
        self._branches = dict[str, Dialog]()
        """Of a fork: phones that answered, too, by their tags."""
        self._invite = self._send_invite(headers)

    def _send_invite(self, headers: list[Header]) -> Request:
        headers = [*headers, ("Allow", ALLOWED_METHODS), _SDP_HEADER]
        invite = self.dialog.request("INVITE", self.agent.new_via(), headers, self._offer)
        self.agent.request(invite, self.dialog.next_hop, self.trace, self._receive_response)
        return invite

    def cancel(self) -> None:
        """Give up an unanswered call.

        The CANCEL waits for the first provisional response (§9.1). If the answer crosses it, the call is
        acknowledged and ended by BYE (§15); `ended` waits for whichever it was.
        """
        if self.state < CallState.ANSWERED and not self._cancelling:
            self._cancelling = True
            if self._provisional:
                self._send_cancel()

    async def hang_up(self) -> None:
        """End the call: CANCEL before an answer, BYE after it; returns when it is over on the wire."""
        if self.state is CallState.ANSWERED:
            await self._bye()
            return
        self.cancel()
        if self.state is not CallState.ENDED:
            await self.ended(2 * self.agent.timers.lifetime + 1)

    def _send_cancel(self) -> None:
        request = wire.cancel(self._invite)
        self.agent.request(request, self.dialog.next_hop, self.trace, lambda _: None)
        # §9.1: a server of RFC 2543 may never answer the INVITE; then 64 T1 after the CANCEL it is over.
        self.agent.later(self.agent.timers.lifetime, self._give_up)

    def _give_up(self) -> None:
        if self.state < CallState.ANSWERED:
            self.status = self.status or 408
            self._end("local")

    def _receive_response(self, response: Response) -> None:
        if response.cseq.number != self._invite.cseq.number:
            return
        if self.state is CallState.ENDED and response.status >= 300:
            return
        self.response = response
        if response.status < 200:
            self._receive_provisional(response)
        elif response.status < 300:
            self._receive_success(response)
        elif self._authorization and not self._cancelling and self._authorization.takes(response):
            self._provisional = False
            answers = self._authorization.headers("INVITE", self.dialog.target)
            self._invite = self._send_invite([*self._headers, *answers])
        else:
            self.status = response.status
            self._note_cause(response)
            self._end("local" if self._cancelling else "remote")

    def _receive_provisional(self, response: Response) -> None:
        if self._cancelling and not self._provisional:
            self._send_cancel()
        self._provisional = True
        if response.status > 100:
            self._follow_media(response)
            self._advance(CallState.RINGING)

    def _receive_success(self, response: Response) -> None:
        first = self._remote_tag is None
        if first:
            self._remote_tag = response.to_tag
            self.dialog.learn(response)
        if response.to_tag != self._remote_tag:
            self._leave_branch(response)
            return
        self._acknowledge(response)
        if not first:
            return
        self.status = response.status
        if self._cancelling or self.state is CallState.ENDED:
            self._start(self._bye())
            return
        self._follow_media(response)
        self._advance(CallState.ANSWERED)

    def _leave_branch(self, response: Response) -> None:
        """Two phones of a fork have answered: the second is acknowledged and let go (§13.2.2.4), or nobody is there for it."""
        branch, trace = self._branches.get(response.to_tag), list[TraceEntry]()
        again = branch is not None
        if branch is None:
            number = response.cseq.number
            branch = dataclasses.replace(
                self.dialog, routes=[], target=self.dialog.way, sequence_number=number
            )
            branch.learn(response)
            self._branches[response.to_tag] = branch
        ack = branch.request("ACK", self.agent.new_via(), sequence_number=response.cseq.number)
        self.agent.send(ack, branch.next_hop, trace)
        if not again:
            bye = branch.request("BYE", self.agent.new_via())
            self.agent.request(bye, branch.next_hop, trace, lambda _: None)

    def _follow_media(self, response: Response) -> None:
        try:
            self._take_description(response)
        except SipError:  # the call stays as it is; what it does without audio is the test's to judge
            self.leg.forget_heard()


class IncomingCall(Call):
    """A call that somebody places to us. `cancelled` tells that the caller gave up before an answer."""

    def __init__(self, agent: "UserAgent", transaction: ServerTransaction, media: Media) -> None:
        dialog = Dialog.of_invite(transaction.request, agent.contact, "sip:{}:{}".format(*transaction.source))
        super().__init__(agent, dialog, media)
        transaction.on_cancel = self.receive_cancel
        transaction.trace = self._adopt(transaction.trace)
        self.invite = transaction.request
        self.cancelled = False
        self.acknowledged = False
        self._transaction = transaction
        self._ignored = False
        agent.later(_TRYING_SECONDS, self._try)

    @property
    def caller_name(self) -> bytes:
        """Display name of From, unquoted, as the bytes that arrived."""
        return wire.encode(self.invite.from_address.name)

    @property
    def caller_number(self) -> str:
        """User part of From; empty when there is none."""
        return self.invite.from_address.user

    def header(self, name: str) -> str | None:
        """First value of a header of the INVITE, or None."""
        return self.invite.header(name)

    def ring(self) -> None:
        """Send 180."""
        self._respond(180)
        self._advance(CallState.RINGING)

    def answer(self, body: bytes | None = None) -> None:
        """Send 200 until its ACK; without one in 64 T1 the call is ended by BYE (§13.3.1.4).

        Nothing is sent when the caller has cancelled. An INVITE without G.711 gets a 488. `body` replaces our
        session description, for phones that break every rule.
        """
        if self.state >= CallState.ANSWERED:
            return
        try:
            description = self._describe(self._take_description(self.invite), late_offer=True)
            description = description if body is None else body
        except SipError:
            self.reject(488)
            return
        self._respond(200, headers=(("Allow", ALLOWED_METHODS), _SDP_HEADER), body=description)
        self.status = 200
        self._repeat_until_acknowledged(self._transaction)
        self._advance(CallState.ANSWERED)

    def reject(self, status: int, headers: tuple[Header, ...] = ()) -> None:
        """Refuse the call with a final response of 300 to 699; nothing is sent when it is over already."""
        if self.state < CallState.ANSWERED:
            self._respond(status, headers)
            self.status = status
            self._end("local")

    def ignore(self) -> None:
        """Send nothing at all, not even 100: a phone that has vanished."""
        self._ignored = True
        self._transaction.abandon()
        self.agent.later(self.agent.timers.lifetime, lambda: self._end("remote"))

    async def hang_up(self) -> None:
        """End the call: 603 before an answer, BYE after it; returns when it is over on the wire."""
        if self.state < CallState.ANSWERED:
            self.reject(603)
        if self.state is CallState.ANSWERED:
            if not self.acknowledged:  # §15: the callee sends no BYE before the ACK
                await self.until(lambda: self.acknowledged, self.agent.timers.lifetime + 1)
            await self._bye()

    def receive_ack(self, ack: Request) -> None:
        """Take the ACK of our 200."""
        self.acknowledged = True
        super().receive_ack(ack)
        self._changed()

    def receive_cancel(self, transaction: ServerTransaction) -> None:
        """Take the caller's CANCEL: 487 unless a final response crossed it (§9.2)."""
        transaction.trace = self._adopt(transaction.trace)
        if self._ignored:
            self.cancelled = True
            self._end("remote")
            return
        transaction.respond(200, tag=self.dialog.local_tag)
        if self.state < CallState.ANSWERED:
            self._note_cause(transaction.request)
            self._give_up_invite()

    def _receive_bye(self) -> None:
        if self.state < CallState.ANSWERED:  # §15.1.2: a BYE in an early dialog
            self._give_up_invite()
        super()._receive_bye()

    def _give_up_invite(self) -> None:
        self.cancelled = True
        self.status = 487
        self._respond(487)
        self._end("remote")

    def _respond(self, status: int, headers: tuple[Header, ...] = (), body: bytes = b"") -> None:
        if self._ignored or self._transaction.answered:
            return
        if status < 300:
            routes = tuple(("Record-Route", route) for route in self.dialog.routes)
            headers = (*routes, ("Contact", self.dialog.contact), *headers)
        self._transaction.respond(status, tag=self.dialog.local_tag, headers=headers, body=body)

    def _try(self) -> None:
        if self.state is CallState.TRYING and not self._ignored:
            self._transaction.respond(100)
