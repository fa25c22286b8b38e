"""Probe 10: do the switch's control links answer quickly, and does the daemon hold them?"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

import aiohttp

from edge.errors import RefusedError
from hwtest.lab.contract import Login
from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Layer,
    Level,
    Need,
    NotMeasuredError,
    Probe,
    Threshold,
    Verdict,
)
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.target import Daemon

if TYPE_CHECKING:
    from panoramisk.message import Message

    from edge.pbx.asterisk.ami.client import AmiClient

PINGS = 50
EVENTS = 20
EVENT_SECONDS = 2.0
DEAF_AFTER = 3
"""So many events that did not come, and none that did, are enough."""
ARI_SECONDS = 5.0
_ECHO = "HwtestEcho"
_SHOWN_CHARACTERS = 15
"""Of a user's name in `manager show connected`: its column is no wider."""


async def measure(site: Site, sheet: Sheet) -> None:
    """Ping, an event of our own and its way back, ARI, and who else is logged in."""
    arrived = asyncio.Queue["Message"]()
    client = await site.open_control(arrived.put_nowait)
    site.say("pinging AMI")
    sheet.distribution("ami_ping", "ms", [await _ping_ms(client) for _ in range(PINGS)], uncertainty=0.2)
    await _events(site, sheet, client, arrived)
    if site.target.daemon is not None:
        await _daemon_in_ami(sheet, client, site.target.daemon)
    if site.target.ari is None:
        sheet.note("No ARI account is given, so ARI was not looked at.")
    else:
        site.say("asking ARI")
        await _ari(sheet, site.target.ari, site.target.daemon)


async def _ping_ms(client: AmiClient) -> float:
    begun = time.monotonic_ns()
    await client.ask("Ping", {})
    return (time.monotonic_ns() - begun) / 1e6


async def _events(site: Site, sheet: Sheet, client: AmiClient, arrived: asyncio.Queue[Message]) -> None:
    """From asking for an event of our own to its arrival: as late is everything that the daemon hears of."""
    lags, missing, stamps = list[float](), 0, list[str]()
    for number in range(EVENTS):
        site.say(f"events, {number + 1} of {EVENTS}")
        mark, begun = f"{site.dice.getrandbits(64):016x}", time.monotonic_ns()
        try:
            await client.ask("UserEvent", {"UserEvent": _ECHO, "Mark": mark})
        except RefusedError as refusal:
            sheet.note(f"The account may not send events, so their lag was not measured: {refusal}")
            return
        try:
            event = await asyncio.wait_for(_echoed(arrived, mark), EVENT_SECONDS)
        except TimeoutError:
            missing += 1
            if missing >= DEAF_AFTER and not lags:
                break
            continue
        lags.append((time.monotonic_ns() - begun) / 1e6)
        stamps.append(str(event.get("Timestamp", "")))
    sent = len(lags) + missing
    told = Evidence(text=f"{sent} UserEvents sent, {missing} did not come back in {EVENT_SECONDS:.0f} s")
    sheet.distribution("event_lag", "ms", lags, uncertainty=0.2, evidence=[told])
    sheet.value("events_missing", "events", missing, n=sent, evidence=[told])
    if lags and not any(stamps):
        words = "events carry no Timestamp: when something happened is only known by when it was read"
        sheet.find("ctl.link.unstamped", Verdict.WARN, words, told)
    elif lags:
        decimals = min(len(stamp.partition(".")[2]) for stamp in stamps)
        sheet.value("stamp_resolution", "µs", 10.0 ** (6 - decimals), n=len(stamps))


async def _echoed(arrived: asyncio.Queue[Message], mark: str) -> Message:
    while True:
        event = await arrived.get()
        if event.get("UserEvent") == _ECHO and event.get("Mark") == mark:
            return event


async def _daemon_in_ami(sheet: Sheet, client: AmiClient, daemon: Daemon) -> None:
    try:
        answer = await client.ask("Command", {"Command": "manager show connected"})
    except RefusedError as refusal:
        sheet.note(f"The account may not ask who is logged in to AMI: {refusal}")
        return
    users = connected_users(answer.get("Output") or [])
    if daemon.user[:_SHOWN_CHARACTERS] not in users:
        words = f"the daemon's AMI user {daemon.user} is not logged in"
        told = Evidence(text=f"manager show connected: {', '.join(sorted(users)) or 'nobody'}")
        sheet.find("ctl.link.absent", Verdict.FAIL, words, told)


def connected_users(output: str | list[str]) -> set[str]:
    """User names in what `manager show connected` prints."""
    lines = output.splitlines() if isinstance(output, str) else output
    rows = [re.match(r"\s*(\S+)\s+[0-9a-fA-F.:]+\s+\d+\s", line) for line in lines]
    return {row[1] for row in rows if row}


async def _ari(sheet: Sheet, login: Login, daemon: Daemon | None) -> None:
    account = aiohttp.encode_basic_auth(login.user, login.password)
    timeout = aiohttp.ClientTimeout(total=ARI_SECONDS)
    async with aiohttp.ClientSession(headers={"Authorization": account}, timeout=timeout) as session:
        url = f"http://{login.host}:{login.port}/ari"
        try:
            samples = [await _get_ms(session, f"{url}/asterisk/ping") for _ in range(PINGS)]
            sheet.distribution("ari_ping", "ms", samples, uncertainty=0.2)
            async with session.get(f"{url}/applications") as answer:
                answer.raise_for_status()
                known = {str(app["name"]) for app in await answer.json()}
        except (aiohttp.ClientError, TimeoutError, ValueError, TypeError, KeyError) as error:
            raise NotMeasuredError(
                f"ARI at {login.host}:{login.port} does not answer as ARI does: {str(error) or 'no answer in time'}",
                "asterisk -rx 'http show status'; asterisk -rx 'ari show users'",
            ) from None
    if daemon is not None and daemon.app not in known:
        words = f"the daemon's application {daemon.app} is not connected to ARI"
        sheet.find(
            "ctl.link.absent", Verdict.FAIL, words, Evidence(text=f"ARI applications: {sorted(known)}")
        )


async def _get_ms(session: aiohttp.ClientSession, url: str) -> float:
    begun = time.monotonic_ns()
    async with session.get(url) as answer:
        answer.raise_for_status()
        await answer.read()
    return (time.monotonic_ns() - begun) / 1e6


def _slow(figure: str, passes: float, warns: float) -> Threshold:
    return Threshold(
        figure=figure,
        statistic="p95",
        passes=passes,
        warns=warns,
        unit="ms",
        clause="own",
        code="ctl.link.slow",
    )


PROBE = Probe(
    name="ctl.link",
    number=10,
    title="The control links answer at once, and the daemon holds them",
    level=Level.SAFE,
    needs=frozenset({Need.CONTROL}),
    seconds=2.0,
    term="AMI and ARI round trip; event lag",
    reference="own; Asterisk's manager.conf (timestampevents), ARI",
    meaning=(
        "The daemon learns of calls by events and moves them by requests over these links. As late as they are, so late is "
        "every hand-over of a caller; without them the switch's own dialplan serves alone."
    ),
    thresholds=(
        _slow("ami_ping", 20.0, 200.0),
        _slow("event_lag", 50.0, 500.0),
        _slow("ari_ping", 20.0, 200.0),
        Threshold(
            figure="events_missing",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="events",
            clause="own",
            code="ctl.link.deaf",
        ),
    ),
    explanations=(
        Explanation(
            code="ctl.link.slow",
            layer=Layer.SWITCH,
            meaning="The switch takes long to answer on its control links, or its events come late.",
            caller_notices="A pause between an agent becoming free and the next call ringing there.",
            causes=(
                "the switch is overloaded: many calls, or a program that asks it for long lists",
                "a slow or lossy path to it, such as a tunnel over a mobile line",
                "this machine was busy: look at meter.timing",
            ),
            confirm="asterisk -rx 'core show taskprocessors'; asterisk -rx 'manager show connected'",
            mend="Find who asks the switch for much (manager show connected) and end that; lighten its load.",
        ),
        Explanation(
            code="ctl.link.deaf",
            layer=Layer.SWITCH,
            meaning="Events that the switch should have sent did not arrive.",
            caller_notices="Callers may wait although an agent is free, until the daemon notices and looks itself.",
            causes=(
                "an eventfilter in manager.conf keeps this account's events back",
                "the link was cut in between because it was read too slowly",
            ),
            confirm="asterisk -rx 'manager show user USER'; look for writetimeout in Asterisk's log",
            mend="Give the account `read = all` without a filter for testing, and look whether the link stays up.",
        ),
        Explanation(
            code="ctl.link.unstamped",
            layer=Layer.SWITCH,
            meaning="The switch's events do not say when they happened.",
            caller_notices="Nothing. Waiting times in the record are wrong by as much as events are late.",
            causes=(
                "timestampevents is not set in manager.conf",
                "another manager.conf is in use than was meant",
            ),
            confirm="grep -n timestampevents /etc/asterisk/manager.conf",
            mend="Set `timestampevents = yes` under [general] of manager.conf, then: asterisk -rx 'manager reload'.",
        ),
        Explanation(
            code="ctl.link.absent",
            layer=Layer.DAEMON,
            meaning="The daemon is not connected to the switch, so it neither sees nor moves any call.",
            caller_notices="The survivable dialplan serves: greetings and order are simpler, call-backs are not offered.",
            causes=(
                "the daemon does not run, or waits for a configuration to be mended",
                "a wrong password after one of the two sides was changed",
                "the link was cut and the daemon has not come back yet",
            ),
            confirm="edge status; systemctl status edge101; journalctl -u edge101 -n 50",
            mend="Start the daemon (systemctl start edge101); `edge check` says what is wrong with its configuration.",
        ),
    ),
    measure=measure,
)
