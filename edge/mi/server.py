"""The process: a socket, TLS, uvicorn, and limits on connections that HTTP alone would not have."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from typing import Any

import h11
import structlog
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge.config.sections import MiSection
from edge.errors import PermanentError
from edge.housekeeping import collect_seldom, give_way

KEEP_ALIVE_SECONDS = 30
HEAD_SECONDS = 10.0
"""A request whose head and body have not come by then will not come."""
BACKLOG = 128
LARGEST_HEAD_BYTES = 16 * 1024
SEND_BUFFER_BYTES = 256 * 1024
"""In the kernel, for each connection: what a slow reader has not taken is seen here, and not hidden there."""
SHUTDOWN_SECONDS = 5
CERTIFICATES_LOOKED_AT_SECONDS = 30.0

log = structlog.get_logger(__name__)


class Connection(H11Protocol):
    """One connection: refused at once beyond the limits, ended when its request does not come."""

    most = 256
    most_of_address = 64
    head_seconds = HEAD_SECONDS

    _timer: asyncio.TimerHandle | None = None
    _awaited = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """The peer is there."""
        super().connection_made(transport)
        address = _address(self)
        same = sum(_address(other) == address for other in self.connections)
        if len(self.connections) > self.most or same > self.most_of_address:
            log.warning("too many connections", address=address, all=len(self.connections), of_address=same)
            transport.abort()
            return
        self.app_state = {**self.app_state, "abort": transport.abort}
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Part of a request, or all of it."""
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY) and not self.transport.is_closing():
            if not self._awaited:
                self._await_request()
        else:
            self._forget_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        self._forget_timer()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """The answer is out; a pipelined request may be waiting."""
        self._forget_timer()
        super().on_response_complete()

    def _await_request(self) -> None:
        self._awaited = True
        self._timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _forget_timer(self) -> None:
        self._awaited = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            log.info("a request did not come", address=_address(self))
            self.transport.abort()


def _address(connection: Any) -> str | None:
    client: tuple[str, int] | None = connection.client
    return client[0] if client else None


def connection_class(settings: MiSection) -> type[Connection]:
    """With the site's limits."""
    limits = {"most": settings.connections, "most_of_address": settings.connections_of_address}
    return type("SiteConnection", (Connection,), limits)


class Server(uvicorn.Server):
    """Serves the application on one socket until it is told to stop."""

    def __init__(self, app: FastAPI, settings: MiSection) -> None:
        self.settings = settings
        self._app = app
        self.listener = listen(settings)
        super().__init__(_config(app, settings))
        self.config.load()
        self._loaded = _stamps(settings)

    @property
    def port(self) -> int:
        """The port it listens at."""
        port: int = self.listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Where it is."""
        scheme = "https" if self.config.is_ssl else "http"
        host = f"[{self.settings.address}]" if ":" in self.settings.address else self.settings.address
        return f"{scheme}://{host}:{self.port}"

    async def run_until_stopped(self) -> None:
        """Serve; SIGTERM and SIGINT end it once its answers are out."""
        log.info("serving", url=self.url)
        renewing = asyncio.create_task(self._renew_certificates())
        try:
            await self.serve([self.listener])
        finally:
            renewing.cancel()
            self.listener.close()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams to wallboards go on for ever, so they are ended first; other answers are waited for."""
        await self._app.state.board.feed.close()
        await super().shutdown(sockets)

    async def _renew_certificates(self) -> None:
        """A new certificate is used from the next connection on; nobody is cut off for it."""
        while self.config.ssl is not None:
            await asyncio.sleep(CERTIFICATES_LOOKED_AT_SECONDS)
            self.renew_certificates()

    def renew_certificates(self) -> bool:
        """Take over the certificate files if they changed; what cannot be used is left alone, and said in the log."""
        if self.config.ssl is None or (found := _stamps(self.settings)) == self._loaded:
            return False
        try:
            self.config.ssl.load_cert_chain(
                str(self.settings.certificate_file), _text(self.settings.key_file)
            )
        except (OSError, ssl.SSLError) as error:
            log.error("new certificate cannot be used", error=type(error).__name__)
            return False
        self._loaded = found
        log.info("certificate renewed")
        return True


SWITCH_INTERVAL_SECONDS = 0.0005
"""How long a thread that makes pages or folds may keep the loop waiting; Python's own 5 ms would be a pause at every portion."""


def prepare_process() -> None:
    """For pages of thousands of facts made beside a loop that sends them; calls go before it."""
    give_way()
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    collect_seldom()


def _config(app: FastAPI, settings: MiSection) -> uvicorn.Config:
    tls: dict[str, Any] = {}
    if settings.certificate_file is not None:
        tls = {
            "ssl_certfile": str(settings.certificate_file),
            "ssl_keyfile": _text(settings.key_file),
            "ssl_ca_certs": _text(settings.client_ca_file),
            "ssl_cert_reqs": ssl.CERT_REQUIRED if settings.client_ca_file else ssl.CERT_NONE,
        }
    return uvicorn.Config(
        app,
        http=connection_class(settings),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        h11_max_incomplete_event_size=LARGEST_HEAD_BYTES,
        **tls,
    )


def listen(settings: MiSection) -> socket.socket:
    """The socket, and what its connections have from it. Raises `PermanentError`.

    Without TCP_NODELAY a page waits 40 ms for the acknowledgement of the portion before (RFC 1122, 4.2.3.2 and 4.2.3.4). asyncio
    sets it only where the socket names its protocol, which `create_server` does not.
    """
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    try:
        made = socket.create_server((settings.address, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise PermanentError(
            f"cannot listen at {settings.address} port {settings.port}: {error.strerror}."
            " Choose another: [mi] address and port."
        ) from error
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # its connections have it, too
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _text(path: object) -> str | None:
    return None if path is None else str(path)


def _stamps(settings: MiSection) -> tuple[int, ...]:
    files = (settings.certificate_file, settings.key_file)
    return tuple(file.stat().st_mtime_ns for file in files if file is not None and file.exists())
