"""A registration step by step, for those who measure it: each REGISTER with its challenge, its stamps and its answer."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass

from hwtest.useragent import wire
from hwtest.useragent.authorization import CHALLENGES, Authorization
from hwtest.useragent.dialog import Dialog, new_tag
from hwtest.useragent.phone import UserAgent
from hwtest.useragent.transaction import TraceEntry
from hwtest.useragent.wire import Credentials, Header, Request, Response, SipError

_TOO_BRIEF = 423
ANSWER_SECONDS = 4.0
"""An answer that comes later counts as none: Timer F would wait 32 s, and no phone that is in use does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One REGISTER and, where it was challenged, those with the password."""

    status: int | None
    """Of the final answer; None without one."""
    delay_ms: float | None
    """RFC 6076 §4.1: from the first REGISTER sent to the final answer, the round of the challenge included."""
    challenged: bool
    sent_again: int
    """Retransmissions."""
    contacts: tuple[str, ...] = ()
    """URIs that the registrar says are bound."""
    granted_seconds: int | None = None
    """Of our own contact, or else of the whole answer."""
    least_seconds: int | None = None
    """Min-Expires of a 423 (RFC 3261 §10.3): the registrar takes no shorter registration."""

    @property
    def succeeded(self) -> bool:
        """Whether the registrar has done as it was asked."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def words(self) -> str:
        """The answer, for a message."""
        return "no answer" if self.status is None else str(self.status)


class Binding:
    """One contact of one user at one registrar (RFC 3261 §10.2): the same Call-ID for all of its REGISTERs."""

    def __init__(self, agent: UserAgent, registrar: str, user: str) -> None:
        """`registrar`: host:port. Raises SipError where that is no address."""
        self._agent = agent
        self._uri = f"sip:{registrar}"
        wire.destination(self._uri)
        address = f"<sip:{user}@{registrar}>"
        self.call_id = secrets.token_hex(12)
        self._least_seconds = 0
        self.contact = f"<sip:{user}@{agent.address[0]}:{agent.address[1]}>"
        self._dialog = Dialog(
            call_id=self.call_id,
            local=f"{address};tag={new_tag()}",
            local_tag="",
            remote=address,
            target=self._uri,
            contact=self.contact,
        )

    async def register(self, credentials: Credentials, expires: int) -> Attempt:
        """Bind, refresh, or with 0 withdraw. Where the registrar takes no binding so short it is as long as it must be."""
        attempt = await self._bind(credentials, expires)
        if attempt.status == _TOO_BRIEF and attempt.least_seconds is not None:
            self._least_seconds = attempt.least_seconds
            attempt = await self._bind(credentials, expires)
        return attempt

    async def _bind(self, credentials: Credentials, expires: int) -> Attempt:
        seconds = max(expires, self._least_seconds) if expires else 0
        return await self._attempt(credentials, [("Expires", str(seconds))], bind=True)

    async def query(self, credentials: Credentials) -> Attempt:
        """Ask what is bound, and change nothing (§10.2.3)."""
        return await self._attempt(credentials, [], bind=False)

    async def _attempt(self, credentials: Credentials, headers: list[Header], *, bind: bool) -> Attempt:
        trace = list[TraceEntry]()
        response: Response | None = None
        challenged = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                request = self._request(headers, bind=bind)
                response = await self._agent.exchange(request, self._uri, trace)
                challenged = response.status in CHALLENGES
                authorization = Authorization(credentials)
                while authorization.takes(response):
                    answers = authorization.headers("REGISTER", self._uri)
                    response = None
                    request = self._request([*headers, *answers], bind=bind)
                    response = await self._agent.exchange(request, self._uri, trace)
                if response.status in CHALLENGES:
                    # One that nobody can answer says nothing of the password: SipError.
                    wire.challenge_of(response)
        return self._seen(trace, response, challenged)

    def _request(self, headers: list[Header], *, bind: bool) -> Request:
        request = self._dialog.request("REGISTER", self._agent.new_via(), headers)
        if not bind:
            request.headers = [header for header in request.headers if header[0] != "Contact"]
        return request

    def _seen(self, trace: list[TraceEntry], response: Response | None, challenged: bool) -> Attempt:
        sent = [entry for entry in trace if entry.direction == "sent"]
        received = [entry for entry in trace if entry.direction == "received"]
        timely = response is not None and bool(received)
        contacts, granted = self._bound(response) if response is not None else ((), None)
        return Attempt(
            status=response.status if response is not None and timely else None,
            delay_ms=(received[-1].monotonic_ns - sent[0].monotonic_ns) / 1e6 if timely else None,
            challenged=challenged,
            sent_again=len(sent) - len({entry.sequence_number for entry in sent}),
            contacts=contacts,
            granted_seconds=granted,
            least_seconds=wire.seconds_of(response.header("Min-Expires")) if response is not None else None,
        )

    def _bound(self, response: Response) -> tuple[tuple[str, ...], int | None]:
        own = wire.parse_address(self.contact).uri
        contacts = list[str]()
        granted = wire.seconds_of(response.header("Expires"))
        for value in response.headers_named("Contact"):
            for item in wire.split_list(value):
                with contextlib.suppress(SipError):
                    address = wire.parse_address(item)
                    contacts.append(address.uri)
                    if address.uri == own:
                        granted = wire.seconds_of(address.parameters.get("expires")) or granted
        return tuple(contacts), granted

    @property
    def uri(self) -> str:
        """Of our contact, as a registrar lists it."""
        return wire.parse_address(self.contact).uri
