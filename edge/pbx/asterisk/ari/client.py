"""The ARI link: operations over HTTP and events over one websocket, from opening to loss. It never reconnects by itself.

aioari knows the operations (from the switch's own api-docs), their parameters and their quoting. What it does with the
connection is replaced (docs/quirks/asterisk-clients.md): its password goes into every URL, requests have no time limit,
its errors are those of a web *server*, and its `run()` awaits each handler and ends without a word when the link drops.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urljoin

import aiohttp
import structlog
from aioswagger11.http_client import AsynchronousHttpClient

from edge.errors import LinkError, PermanentError, RefusedError
from edge.pbx.asterisk.ari.translate import EVENT_TYPES, Request, decoded

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore"
    )  # aioari 0.10.2 has an invalid escape, which Python 3.12 shows at every start
    from aioari.client import Client

log = structlog.get_logger(__name__)

REQUEST_SECONDS = 3.0
CONNECTIONS = 16
"""Asterisk counts idle connections against its sessionlimit; aiohttp's own default of 100 locks everybody out."""
KEEP_ALIVE_SECONDS = 10.0
HEARTBEAT_SECONDS = 5.0
MOST_CLAIMS = 256
"""Claims on their way at once. Who is not claimed within 0.7 s is in the switch's own queue, so more would be in vain."""
CANARY = "EdgeCanary"

Take = Callable[[dict[str, Any]], None]


def open_session(user: str, password: str, connections: int) -> aiohttp.ClientSession:
    """A pool with a bound, a time limit and the password in a header."""
    secret = b64encode(f"{user}:{password}".encode()).decode("ascii")
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEP_ALIVE_SECONDS),
        timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
        headers={"Authorization": f"Basic {secret}"},
    )


class Http(AsynchronousHttpClient):  # type: ignore[misc]  # aioswagger11 has no types
    """aioari's HTTP client on our session, with our errors."""

    def __init__(self, session: aiohttp.ClientSession, where: str) -> None:
        self.session = session
        self.websockets: set[object] = set()
        self.authenticator = None
        self._where = where

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None = None,
        data: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> aiohttp.ClientResponse:
        """One request, its body read. Raises RefusedError with the status, or LinkError: then its outcome is unknown."""
        try:
            response = await self.session.request(method, url, params=params, data=data, headers=headers)
            if response.status >= 400:
                raise _refusal(response.status, await response.text(errors="replace"))
            await response.read()
        except (aiohttp.ClientError, OSError) as failure:  # TimeoutError is an OSError
            raise LinkError(f"{self._where}: {str(failure) or 'no answer'}") from failure
        return response


def _refusal(status: int, body: str) -> RefusedError:
    """What Asterisk said: ARI's errors have {"message": ...} or {"error": ...}, those of its HTTP server a page."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    words = (answer.get("message") or answer.get("error")) if isinstance(answer, dict) else None
    return RefusedError(f"{status} {words or 'refused'}", status)


class AriClient:
    """One life of the link. `take` gets every event in order and must only queue it."""

    def __init__(self, url: str, user: str, password: str, app: str, take: Take) -> None:
        self._url = url if url.endswith("/") else f"{url}/"
        self._user = user
        self._app = app
        self._take = take
        self._session = open_session(user, password, CONNECTIONS)
        self._canary_session = open_session(user, password, 1)
        self._http = Http(self._session, self._where)
        self._client = Client(self._url, self._http)
        self._websocket: aiohttp.ClientWebSocketResponse | None = None
        self._claims: set[asyncio.Task[None]] = set()

    @property
    def _where(self) -> str:
        return f"ARI {self._url}"

    async def connect(self) -> None:
        """Learn the operations, open the websocket, ask for our events only.

        Raises PermanentError for a wrong user or password, else LinkError.
        """
        try:
            await self._client.init()
            self._websocket = await self._open_websocket()
            await self.filter_events()
        except RefusedError as refusal:
            raise self._explained(refusal) from refusal

    async def _open_websocket(self) -> aiohttp.ClientWebSocketResponse:
        address = urljoin(self._url, "ari/events")
        try:
            return await self._session.ws_connect(
                address, params={"app": self._app}, heartbeat=HEARTBEAT_SECONDS
            )
        except aiohttp.WSServerHandshakeError as failure:
            raise RefusedError(f"{failure.status} {failure.message}", failure.status) from failure
        except (aiohttp.ClientError, OSError) as failure:
            raise LinkError(f"{self._where}: {str(failure) or 'no answer'}") from failure

    async def filter_events(self) -> None:
        """Ask for our events only; asking again changes nothing.

        aioari wraps the body of this one operation in a name of its own, and Asterisk then takes it for no filter."""
        await self._http.request(
            "PUT",
            urljoin(self._url, f"ari/applications/{quote(self._app, safe='')}/eventFilter"),
            data=json.dumps({"allowed": [{"type": name} for name in EVENT_TYPES]}),
            headers={"Content-Type": "application/json"},
        )

    def _explained(self, refusal: RefusedError) -> Exception:
        if refusal.status not in (401, 403):
            return LinkError(f"{self._where}: {refusal}; is res_ari loaded?")
        return PermanentError(
            f"{self._where} refuses user {self._user!r}: {refusal}. Make `password` of [{self._user}] in Asterisk's"
            " ari.conf and the file named by password_file of [switch.ari] in our configuration the same,"
            " and read_only = no there."
        )

    async def watch(self) -> None:
        """Read events until the link is lost, then raise LinkError. The heartbeat finds a peer that is silent."""
        if self._websocket is None:
            raise LinkError(f"{self._where}: not connected")
        async for message in self._websocket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self._read(message.data)
        raise LinkError(f"{self._where}: websocket closed ({self._websocket.close_code})")

    def _read(self, data: str) -> None:
        try:
            event = decoded(data)
        except (ValueError, RecursionError):
            log.warning("ari.event_dropped", size=len(data))
            return
        if isinstance(event, dict):
            self._take(event)

    async def request(self, request: Request) -> Any:
        """Carry out an operation; its JSON, None where there is none. Raises RefusedError or LinkError (outcome unknown).

        The operation itself, without the class that aioari makes for each call and the objects that it makes of each answer: a
        caller waits for this one.
        """
        operation = getattr(getattr(self._client, request.resource).api, request.operation)
        response = await operation(**request.parameters)
        body = await response.read()  # it is here already
        return decoded(body) if body else None

    def claim(self, leg_id: str) -> None:
        """Take a caller who is offered to whoever claims them first; they enter our application, or were lost to us meanwhile.

        Nothing waits for the answer: the entering is an event of its own.
        """
        if len(self._claims) >= MOST_CLAIMS:
            log.warning("claim.not_sent", leg=leg_id, why="too many are on their way")
            return
        task = asyncio.create_task(self._claim(leg_id), name=f"claim {leg_id}")
        self._claims.add(task)
        task.add_done_callback(self._claims.discard)

    async def _claim(self, leg_id: str) -> None:
        try:
            await self._http.request(
                "POST",
                urljoin(self._url, "ari/events/claim"),
                params={"channelId": leg_id, "application": self._app},
            )
        except RefusedError as refusal:
            log.info(
                "claim.refused", leg=leg_id, refusal=str(refusal)
            )  # too late: the switch's queue has them
        except LinkError as failure:
            log.warning("claim.outcome_unknown", leg=leg_id, failure=str(failure))

    async def send_canary(self, nonce: str) -> None:
        """Post a user event to our own application, by a connection of its own. Raises LinkError."""
        address = urljoin(self._url, f"ari/events/user/{CANARY}")
        try:
            async with self._canary_session.post(
                address, params={"application": self._app}, json={"variables": {"nonce": nonce}}
            ) as response:
                if response.status >= 400:
                    raise LinkError(f"{self._where}: canary refused with {response.status}")
        except (aiohttp.ClientError, OSError) as failure:
            raise LinkError(f"{self._where}: canary: {str(failure) or 'no answer'}") from failure

    async def close(self) -> None:
        """End the link."""
        for claim in self._claims:
            claim.cancel()
        if self._websocket is not None:
            await self._websocket.close()
        await self._session.close()
        await self._canary_session.close()
