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
_WRONG_NAME = frozenset({62, 64})
"""Of OpenSSL's codes of verification: X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_WHENEVER = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME, which Python does not name: whatever the date is."""
_OURS = frozenset({"NO_PROTOCOLS_AVAILABLE", "NO_CIPHERS_AVAILABLE", "NO_CIPHER_MATCH"})
"""Reasons of OpenSSL that are this machine's own: it could not even ask."""
_DAY_SECONDS = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where TLS is spoken."""

    name: str
    host: str
    port: int
    server_name: str | None
    """Which the certificate must be for; None: nothing but an address is known, and names are not judged."""

    @property
    def where(self) -> str:
        """For a message."""
        return f"{self.name} ({self.host}:{self.port})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one endpoint showed. Where it did not get so far, a field is None."""

    trouble: str | None = None
    """Why nothing can be said: a handshake that failed, the first or a later one."""
    version: str | None = None
    cipher: str | None = None
    old: tuple[str, ...] = ()
    """Versions before 1.2 that it agrees to."""
    unasked: tuple[str, ...] = ()
    """Those that this machine's own OpenSSL refuses to ask for."""
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
        shown = _shown(endpoint, certificate)
        days_left, not_yet = _dates(shown)
        told_by_its_dates = not_yet or (days_left is not None and days_left <= 0)
        distrust = _refusal(endpoint, _believing(authority, whenever=told_by_its_dates))
        misnamed = (
            _refusal(endpoint, _believing_only(certificate, names=True)) if endpoint.server_name else None
        )
    except (OSError, ValueError) as error:
        return Look(trouble=_words(error))
    asked = {old.name.replace("_", "."): _agrees_to(endpoint, old) for old in _OLD}
    return Look(
        version=version,
        cipher=cipher,
        old=tuple(name for name, agreed in asked.items() if agreed),
        unasked=tuple(name for name, agreed in asked.items() if agreed is None),
        days_left=days_left,
        not_yet=not_yet,
        distrust=distrust[1] if distrust is not None else None,
        misnamed=misnamed[1] if misnamed is not None and misnamed[0] in _WRONG_NAME else None,
        names=_names(shown),
    )


def _context() -> ssl.SSLContext:
    """One that believes everything: it only looks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _believing(authority: str | None, *, whenever: bool) -> ssl.SSLContext:
    """One that believes this machine's authorities, or one's own. `whenever`: also certificates that have ended."""
    context = ssl.create_default_context(cafile=authority)
    context.check_hostname = False
    if whenever:
        context.verify_flags |= _WHENEVER
    return context


def _believing_only(certificate: bytes, *, names: bool) -> ssl.SSLContext:
    """One that takes this certificate for its own authority and as valid today, so that only its name is left to judge."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = names
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _WHENEVER
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
    """The certificate's fields, which OpenSSL gives of one that it believes; None where it is one of another use."""
    context = _believing_only(certificate, names=False)
    with (
        contextlib.suppress(ssl.SSLCertVerificationError),
        socket.create_connection((endpoint.host, endpoint.port), CONNECT_SECONDS) as link,
        context.wrap_socket(link, server_hostname=endpoint.server_name) as spoken,
    ):
        return dict(spoken.getpeercert() or {}) or None
    return None


def _dates(shown: dict[str, object] | None) -> tuple[float | None, bool]:
    """Days until it ends, negative when it has, None when that is not known; and whether it only begins later."""
    if shown is None:
        return None, False
    begins, ends = (ssl.cert_time_to_seconds(str(shown[key])) for key in ("notBefore", "notAfter"))
    return (ends - time.time()) / _DAY_SECONDS, begins > time.time()


def _refusal(endpoint: Endpoint, context: ssl.SSLContext) -> tuple[int, str] | None:
    """OpenSSL's code and words for why this context does not believe it; None when it does.

    Any other trouble is raised: a link that failed says nothing of the certificate.
    """
    try:
        _handshake(endpoint, context)
    except ssl.SSLCertVerificationError as error:
        return error.verify_code, error.verify_message
    return None


def _agrees_to(endpoint: Endpoint, version: ssl.TLSVersion) -> bool | None:
    """Whether the endpoint speaks this version; None if this machine cannot ask."""
    import warnings

    context = _context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is why one asks
        try:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = context.maximum_version = version
        except (OSError, ValueError):
            return None
    try:
        _handshake(endpoint, context)
    except ssl.SSLError as error:
        return None if error.reason in _OURS else False
    except OSError:
        return False
    return True


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
