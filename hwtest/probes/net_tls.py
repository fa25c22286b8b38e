"""Probe 7: is what leaves the machine protected, by a certificate that will still be good next month?"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Layer,
    Level,
    NotMeasuredError,
    Probe,
    Threshold,
    Verdict,
)
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.switch.settings import tls_transports
from hwtest.target import Target
from hwtest.tls import Endpoint, Look, look

AUTHORITY = "SSL_CERT_FILE"
"""OpenSSL's own variable: a file with the authority of one's own, where certificates are not from a public one."""


async def measure(site: Site, sheet: Sheet) -> None:
    """Whatever carries passwords or calls: is it TLS where it leaves the machine, and how good is it?"""
    plain = plain_of(site.target)
    known = [*_of_mi(site.target), *await _of_switch(site, sheet)]
    if not plain and not known:
        raise NotMeasuredError(
            f"{site.target.name} names no control interface and no pull API, and its switch no TLS transport",
            f"give [mi] with its https address, or [ami], in {site.target.source}",
        )
    exposed = [where for where, host in plain if not _is_loopback(host)]
    told = Evidence(text=f"without TLS: {', '.join(where for where, _ in plain) or 'none'}")
    sheet.value("exposed", "interfaces", len(exposed), n=len(plain) + len(known), evidence=[told])
    if not known:
        sheet.note("No TLS is configured, and what has none stays on the appliance's own loopback.")
    looks, authority = list[tuple[Endpoint, Look]](), _authority()
    for endpoint in known:
        site.say(endpoint.where)
        looks.append((endpoint, await asyncio.to_thread(look, endpoint, authority)))
    judge(sheet, looks)


def _authority() -> str | None:
    """The file of one's own authority, which must be one; None where none is named."""
    file = os.environ.get(AUTHORITY)
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        raise NotMeasuredError(
            f"{AUTHORITY} names {file}, which cannot be read as certificates: {error.strerror or error}",
            f"name a PEM file with the authority's certificate, or unset {AUTHORITY}",
        ) from None
    return file


def plain_of(target: Target) -> list[tuple[str, str]]:
    """Interfaces with a password or a token that speak no TLS, and the host of each."""
    found = [
        (f"{name} {login.host}:{login.port}", login.host)
        for name, login in (("AMI", target.ami), ("ARI", target.ari))
        if login is not None
    ]
    if target.mi.url is not None and urlsplit(target.mi.url).scheme == "http":
        found.append((f"MI {target.mi.url}", urlsplit(target.mi.url).hostname or ""))
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _of_mi(target: Target) -> list[Endpoint]:
    parts = urlsplit(target.mi.url or "")
    if parts.scheme != "https" or parts.hostname is None:
        return []
    return [Endpoint(name="MI", host=parts.hostname, port=parts.port or 443, server_name=parts.hostname)]


async def _of_switch(site: Site, sheet: Sheet) -> list[Endpoint]:
    """SIP over TLS where the switch says that it listens for it.

    Its certificate is for the domain that others call (RFC 5922 §7), which a target's file, with addresses alone, does not say.
    """
    try:
        client = await site.control()
    except NotMeasuredError as error:
        sheet.note(f"The switch's TLS transports are not known: {error.reason}.")
        return []
    host = site.target.sip.host
    return [
        Endpoint(name=f"SIP transport {name}", host=_reached(bind, host), port=port, server_name=None)
        for name, bind, port in await tls_transports(client)
    ]


def _reached(bind: str, host: str) -> str:
    """Where one connects: a transport that listens on every address is reached at the switch's own."""
    try:
        return host if ipaddress.ip_address(bind.strip("[]")).is_unspecified else bind
    except ValueError:
        return host


def judge(sheet: Sheet, looks: Sequence[tuple[Endpoint, Look]]) -> None:
    """Figures and findings of all endpoints."""
    dated = [(seen.days_left, endpoint) for endpoint, seen in looks if seen.days_left is not None]
    if dated:
        days, first = min(dated, key=lambda pair: pair[0])
        told = Evidence(text=f"{first.where}: its certificate is the first to end")
        sheet.value(
            "days_left", "days", days, n=len(dated), note=f"the first: {first.where}", evidence=[told]
        )
    elif any(seen.trouble is None and not seen.not_yet for _, seen in looks):
        sheet.value("days_left", "days", None, note="no certificate's dates could be read")
    for endpoint, seen in looks:
        _judge_one(sheet, endpoint, seen)


def _judge_one(sheet: Sheet, endpoint: Endpoint, seen: Look) -> None:
    if seen.trouble is not None:
        words = f"{endpoint.where}: {seen.trouble}"
        sheet.find(SILENT, Verdict.NOT_MEASURED, words, Evidence(text=words))
        return
    told = Evidence(
        text=f"{endpoint.where}: {seen.version}, {seen.cipher}; names {', '.join(seen.names) or 'not read'}"
    )
    if endpoint.server_name is None:
        sheet.note(
            f"{endpoint.where}: the certificate is for {', '.join(seen.names) or 'names that could not be read'}. Whether "
            "others call the switch by one of them (RFC 5922 §7) cannot be told from its address."
        )
    if seen.unasked:
        sheet.note(
            f"{endpoint.where}: whether it agrees to {', '.join(seen.unasked)} was not asked, as this machine's OpenSSL "
            "refuses to."
        )
    if seen.not_yet:
        sheet.find(ENDING, Verdict.FAIL, f"{endpoint.where}: the certificate is not valid yet", told)
    if seen.distrust is not None:
        words = f"{endpoint.where}: the certificate is not believed: {seen.distrust}"
        sheet.find(DISTRUST, Verdict.FAIL, words, told)
    if seen.misnamed is not None:
        words = f"{endpoint.where}: the certificate is not for {endpoint.server_name}: {seen.misnamed}"
        sheet.find(MISNAMED, Verdict.FAIL, words, told)
    if seen.old:
        sheet.find(OLD, Verdict.FAIL, f"{endpoint.where} agrees to {', '.join(seen.old)}", told)


ENDING, DISTRUST, MISNAMED, OLD, SILENT, EXPOSED = (
    f"net.tls.{word}" for word in ("ending", "distrust", "misnamed", "old", "silent", "exposed")
)

PROBE = Probe(
    name="net.tls",
    number=7,
    title="What leaves the machine is protected",
    level=Level.SAFE,
    seconds=3.0,
    term="certificate chain, name, days left, TLS version",
    reference="RFC 8996 (no TLS before 1.2); RFC 9525 (names); RFC 5280 (chains); RFC 3261 §26",
    meaning=(
        "A certificate that ends takes a service away on a date that nobody remembers. And who reads along on the way to "
        "the pull API or to the switch reads people's numbers and the passwords of the control room."
    ),
    thresholds=(
        Threshold(
            figure="days_left",
            statistic="value",
            passes=30.0,
            warns=7.0,
            unit="days",
            clause="own",
            code=ENDING,
            at_least=True,
        ),
        Threshold(
            figure="exposed",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="interfaces",
            clause="own",
            code=EXPOSED,
        ),
    ),
    explanations=(
        Explanation(
            code=ENDING,
            layer=Layer.HOST,
            meaning="The certificate ends soon, or has ended, or begins later: then nobody who checks it connects any more.",
            caller_notices="With SIP over TLS no call gets through from that day; with the pull API managers see nothing new.",
            causes=(
                "nobody renews it, or the renewal by machine has failed",
                "it was renewed and the service still uses the old one",
                "the clock of this machine or of the appliance is wrong: look at clock.sync",
            ),
            confirm="echo | openssl s_client -connect HOST:PORT 2>/dev/null | openssl x509 -noout -dates",
            mend="Renew it and reload the service (edge mi takes a new file by itself); put the date into the calendar.",
        ),
        Explanation(
            code=DISTRUST,
            layer=Layer.HOST,
            meaning="The certificate does not lead to an authority that this machine believes.",
            caller_notices="Nothing, or no call at all where the other side checks as we do.",
            causes=(
                "it is signed by an authority of one's own that this machine does not know",
                "the service does not send the certificates between its own and the authority's",
                "it signed itself",
            ),
            confirm="echo | openssl s_client -connect HOST:PORT -showcerts",
            mend=(
                "Put the whole chain into the service's file; where the authority is one's own: "
                "SSL_CERT_FILE=authority.pem hwtest run net.tls, and have all clients believe it."
            ),
        ),
        Explanation(
            code=MISNAMED,
            layer=Layer.HOST,
            meaning="The certificate is for another name than the one by which the service is reached.",
            caller_notices="Nothing, or no call at all where the other side checks as we do.",
            causes=(
                "the service is reached by its address, and the certificate has its name only",
                "it was made for another host",
            ),
            confirm="echo | openssl s_client -connect HOST:PORT 2>/dev/null | openssl x509 -noout -ext subjectAltName",
            mend="Have one made that lists this name (subjectAltName), or use the name that it has in the target's file.",
        ),
        Explanation(
            code=OLD,
            layer=Layer.HOST,
            meaning="The service still agrees to a TLS that is broken and forbidden (RFC 8996).",
            caller_notices="Nothing. Who sits on the way may read along.",
            causes=(
                "method = tlsv1 or similar in pjsip.conf, or an old default",
                "the host's OpenSSL was set to a low security level for an old client",
            ),
            confirm="openssl s_client -tls1_1 -cipher 'ALL:@SECLEVEL=0' -connect HOST:PORT",
            mend="Set method = tlsv1_2 or later for the transport; have the old client upgraded.",
        ),
        Explanation(
            code=SILENT,
            layer=Layer.HOST,
            meaning="Where TLS is configured nothing answers as TLS does.",
            caller_notices="Whoever comes that way gets no call through, or no figures.",
            causes=(
                "the service does not run, or has failed to read its certificate or key",
                "a firewall between",
                "it wants a certificate of ours first (verify_client = yes), or does not take links one after the other so fast",
                "it speaks plain there",
            ),
            confirm="ss -ltnp; echo | openssl s_client -connect HOST:PORT; the service's log",
            mend="Read why the service did not open its TLS port (often the key's permissions), mend it and start it again.",
        ),
        Explanation(
            code=EXPOSED,
            layer=Layer.HOST,
            meaning="An interface that takes a password or a token is reached over the network in the clear.",
            caller_notices="Nothing. Who reads along can take over the switch or read everybody's number.",
            causes=(
                "AMI or ARI listens on every address of the switch instead of on loopback",
                "the pull API has no certificate and was opened all the same",
            ),
            confirm="on the appliance: ss -ltnp | grep -E '5038|8088'",
            mend="Let AMI and ARI listen on 127.0.0.1 and reach them through ssh -L; give edge mi a certificate.",
        ),
    ),
    measure=measure,
)
