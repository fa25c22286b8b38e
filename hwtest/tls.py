"""A TLS endpoint as a client sees it: what it agrees to, which certificate it shows, and whether that can be believed."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

CONNECT_SECONDS = 4.0
_OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
_EXPIRED = 10
_NOT_YET = 9
"""Of OpenSSL's codes of verification (X509_V_ERR_...)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where TLS is spoken."""

    name: str
    host: str
    port: int
    server_name: str
    """Which the certificate must be for."""

    @property
    def where(self) -> str:
        """For a message."""
        return f"{self.name} ({self.host}:{self.port})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one endpoint showed. Where it did not get so far, a field is None."""

    trouble: str | None = None
    """Why no handshake was made at all."""
    version: str | None = None
    cipher: str | None = None
    old: tuple[str, ...] = ()
    """Versions before 1.2 that it agrees to."""
    days_left: float | None = None
    """Negative: it has ended. None: its dates could not be read."""
    not_yet: bool = False
    distrust: str | None = None
    """Why the chain is not believed; None when it is."""
    misnamed: str | None = None
    """Why the name does not fit."""
    names: tuple[str, ...] = field(default=())


def look(endpoint: Endpoint, authority: str | None = None) -> Look:
    """Several handshakes, each for one question. Blocks: call it in a thread. `authority`: file of one's own authority."""
    try:
        certificate, version, cipher = _handshake(endpoint, _context())
    except (OSError, ValueError) as error:
        return Look(trouble=_words(error))
    distrust = _refusal(endpoint, _believing(authority, names=False))
    misnamed = _refusal(endpoint, _believing_only(certificate, names=True))
    dated = _refusal(endpoint, _believing_only(certificate, names=False))
    shown = _shown(endpoint, certificate)
    days: float | None = None
    if shown is not None:
        days = (ssl.cert_time_to_seconds(str(shown["notAfter"])) - time.time()) / 86400
    elif dated is not None and dated[0] == _EXPIRED:
        days = -0.001
    about_dates = (_EXPIRED, _NOT_YET)
    return Look(
        version=version,
        cipher=cipher,
        old=tuple(_agrees_to(endpoint, old) for old in _OLD if _agrees_to(endpoint, old)),
        days_left=days,
        not_yet=dated is not None and dated[0] == _NOT_YET,
        distrust=distrust[1] if distrust is not None and distrust[0] not in about_dates else None,
        misnamed=misnamed[1] if misnamed is not None and misnamed[0] not in about_dates else None,
        names=_names(shown),
    )


def _context() -> ssl.SSLContext:
    """One that believes everything: it only looks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _believing(authority: str | None, *, names: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority)
    context.check_hostname = names
    return context


def _believing_only(certificate: bytes, *, names: bool) -> ssl.SSLContext:
    """One that takes this certificate for its own authority, so that only its dates and its name are left to judge."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = names
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=certificate)
    return context


def _handshake(endpoint: Endpoint, context: ssl.SSLContext) -> tuple[bytes, str, str]:
    with (
        socket.create_connection((endpoint.host, endpoint.port), CONNECT_SECONDS) as link,
        context.wrap_socket(link, server_hostname=endpoint.server_name) as spoken,
    ):
        certificate = spoken.getpeercert(binary_form=True)
        cipher = spoken.cipher()
        if certificate is None or cipher is None:
            raise OSError("it shows no certificate")
        return certificate, spoken.version() or "unknown", cipher[0]


def _shown(endpoint: Endpoint, certificate: bytes) -> dict[str, object] | None:
    """The certificate's fields; None where it is not valid now, as OpenSSL does not give them then."""
    context = _believing_only(certificate, names=False)
    with (
        contextlib.suppress(OSError),
        socket.create_connection((endpoint.host, endpoint.port), CONNECT_SECONDS) as link,
        context.wrap_socket(link, server_hostname=endpoint.server_name) as spoken,
    ):
        return dict(spoken.getpeercert() or {}) or None
    return None


def _refusal(endpoint: Endpoint, context: ssl.SSLContext) -> tuple[int, str] | None:
    """OpenSSL's code and words for why this context does not believe it; None when it does."""
    try:
        _handshake(endpoint, context)
    except ssl.SSLCertVerificationError as error:
        return error.verify_code, error.verify_message
    except OSError as error:
        return 0, _words(error)
    return None


def _agrees_to(endpoint: Endpoint, version: ssl.TLSVersion) -> str:
    """The version's name if the endpoint speaks it; empty if not, or if this machine cannot ask."""
    import warnings

    context = _context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is why one asks
        try:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
            return _handshake(endpoint, context)[1]
        except (OSError, ValueError):
            return ""


def _names(shown: dict[str, object] | None) -> tuple[str, ...]:
    alternatives = shown.get("subjectAltName", ()) if shown is not None else ()
    assert isinstance(alternatives, Sequence)
    return tuple(str(value) for _, value in alternatives)


def _words(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {error.reason or error}".replace("_", " ").lower()
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
