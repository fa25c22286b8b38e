"""Probe 39: is the way of a 999 alive, from the trunk through the daemon to a phone, and is each side heard?

It rings a test phone and nobody else; its call stands behind everybody and is in no figure of the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

from hwtest.ladder import Leg, ladder_of
from hwtest.probes.contract import Evidence, Explanation, Layer, Level, Probe, Threshold, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.target import Line
from hwtest.useragent import AgentPhone, CallEnded, CallState, Media, OutgoingCall, answering

NAMES = ("heartbeat", "999")
"""A line whose name begins so is taken rather than another test line."""
ANSWER_SECONDS = 10.0
HEARD_SECONDS = 3.0
POLL_SECONDS = 0.02
CALLER_HZ, PHONE_HZ = 700, 1100


@dataclass(frozen=True, slots=True)
class Seen:
    """How far the call came."""

    rung_ms: float | None = None
    """From the caller's INVITE to the phone's; None when it was not rung."""
    answered_ms: float | None = None
    """From the caller's INVITE until they heard of the answer."""
    refused: int | None = None
    """Status with which the switch refused it."""
    phone_hears: bool = False
    caller_hears: bool = False


async def measure(site: Site, sheet: Sheet) -> None:
    """One call that is answered at once; both send a tone of their own until both are heard."""
    name, line = _line(site)
    assert line.phone is not None, "a test line has a phone"
    async with site.phone(line.phone, answering(), media=Media("tone", PHONE_HZ)) as phone:
        async with site.dial(line.number, media=Media("tone", CALLER_HZ)) as call:
            site.say(f"line {name}")
            seen = await _talk(call, phone)
        legs = [Leg("caller", call)]
        if phone.calls:
            legs.append(Leg(f"phone {line.phone}", phone.calls[-1]))
        sheet.ladder(ladder_of(f"The heartbeat of line {name}, times in milliseconds", legs))
    judge(sheet, name, seen, call.dialog.call_id)


def _line(site: Site) -> tuple[str, Line]:
    """The test line of the 999; where none is named so, the test line."""
    phones = site.target.phones
    for begins in NAMES:
        for name, line in site.target.lines.items():
            if name.startswith(begins) and line.phone in phones and line.phone:
                return name, line
    return site.test_line()


async def _talk(call: OutgoingCall, phone: AgentPhone) -> Seen:
    refused: int | None = None
    heard = (False, False)
    until = time.monotonic() + ANSWER_SECONDS
    with contextlib.suppress(TimeoutError):
        try:
            await call.answered(ANSWER_SECONDS)
            heard = await _heard(call, phone, until)
        except CallEnded as end:
            refused = end.status
    invite, answer = call.stamp_of("INVITE"), call.stamp_of("200")
    rung = phone.calls[-1].stamp_of("INVITE") if phone.calls else None
    return Seen(
        rung_ms=(rung.monotonic_ns - invite.monotonic_ns) / 1e6 if rung and invite else None,
        answered_ms=(answer.monotonic_ns - invite.monotonic_ns) / 1e6 if answer and invite else None,
        refused=refused,
        phone_hears=heard[0],
        caller_hears=heard[1],
    )


async def _heard(call: OutgoingCall, phone: AgentPhone, until: float) -> tuple[bool, bool]:
    """Whether the phone hears the caller and the caller the phone; it looks until both do, or time is up.

    `until`: by then the phone must be rung, which a line that answers first may do a moment later.
    """
    phone_hears = caller_hears = rung = False
    while not (phone_hears and caller_hears) and time.monotonic() < until:
        await asyncio.sleep(POLL_SECONDS)
        if call.state is CallState.ENDED:
            break
        if phone.calls and not rung:
            rung, until = True, time.monotonic() + HEARD_SECONDS
        caller_hears = caller_hears or call.leg.hears(PHONE_HZ)
        phone_hears = phone_hears or (rung and phone.calls[-1].leg.hears(CALLER_HZ))
    return phone_hears, caller_hears


def judge(sheet: Sheet, name: str, seen: Seen, call_id: str) -> None:
    """Figures and findings."""
    told = Evidence(text="the ladder of this call", call_id=call_id)
    if seen.rung_ms is None:
        code = DEAD if seen.refused is None else REFUSED
        ending = "it was not answered either" if seen.answered_ms is None else "something else answered"
        why = ending if seen.refused is None else f"the switch refused the call with {seen.refused}"
        sheet.find(code, Verdict.FAIL, f"line {name} did not ring its test phone: {why}", told)
        return
    sheet.value("phone_rung_after", "ms", seen.rung_ms, evidence=[told])
    sheet.value("answered_after", "ms", seen.answered_ms, note="the phone answers at once")
    if seen.answered_ms is None:
        words = f"line {name} rang its test phone, and the caller never heard of the answer"
        sheet.find(DEAD, Verdict.FAIL, words, told)
    elif not (seen.phone_hears and seen.caller_hears):
        deaf = [
            who
            for who, hears in (("the phone", seen.phone_hears), ("the caller", seen.caller_hears))
            if not hears
        ]
        words = (
            f"line {name} is answered, and {' and '.join(deaf)} hear{'s' if len(deaf) == 1 else ''} nothing"
        )
        sheet.find(UNHEARD, Verdict.FAIL, words, told)


SLOW, DEAD, REFUSED, UNHEARD = (f"call.heartbeat.{word}" for word in ("slow", "dead", "refused", "unheard"))

PROBE = Probe(
    name="call.heartbeat",
    number=39,
    title="The way of a 999 is alive",
    level=Level.SAFE,
    seconds=3.0,
    term="heartbeat of the emergency path",
    reference="own",
    meaning=(
        "A 999 may not come for an hour, and the first one after a fault is too late to find it. A call to the test line takes "
        "the same way, through trunk, dialplan, switch and daemon to a phone, and is heard both ways; it rings nobody else."
    ),
    thresholds=(
        Threshold(
            figure="phone_rung_after",
            statistic="value",
            passes=500.0,
            warns=2000.0,
            unit="ms",
            clause="own",
            code=SLOW,
        ),
    ),
    explanations=(
        Explanation(
            code=SLOW,
            layer=Layer.DAEMON,
            meaning="The phone of the line is rung late.",
            caller_notices="Somebody in need hears ringing before any handler's phone does.",
            causes=(
                "the daemon or the switch is overloaded",
                "the phone refuses or does not answer the first ringing, and is tried again",
                "name look-ups on the switch's host that time out",
            ),
            confirm="hwtest run ctl.link sip.options host.config; edge why CALL",
            mend="Look at the ladder for what comes late; lighten what is overloaded, mend the look-ups.",
        ),
        Explanation(
            code=DEAD,
            layer=Layer.DAEMON,
            meaning="A call to the test line does not come to its phone, or the caller is not joined to it.",
            caller_notices="A 999 would ring, and no handler's phone with it, until the switch's own fallback takes over.",
            causes=(
                "the daemon does not run, hangs, or does not see the switch",
                "the line is not marked with this phone (test_phone)",
                "the switch answers and does nothing else: it hangs",
            ),
            confirm="edge status; edge calls --last 1 --test; hwtest run ctl.link call.one",
            mend="Start the daemon (systemctl restart edge101); the switch if it hangs. Until then the fallback serves alone.",
        ),
        Explanation(
            code=REFUSED,
            layer=Layer.DIALPLAN,
            meaning="The switch refuses a call to the test line.",
            caller_notices="A 999 by the same way may hear a tone instead of a handler. Look at once.",
            causes=(
                "the dialplan was not loaded, or the trunk has a wrong context",
                "the switch has no ports or channels left, or is shutting down",
                "the number in the target's file is not the line's",
            ),
            confirm="asterisk -rx 'dialplan show NUMBER@edge-lines'; hwtest run host.config call.one",
            mend="Load the dialplan (edge dialplan, dialplan reload); correct the trunk's context.",
        ),
        Explanation(
            code=UNHEARD,
            layer=Layer.SWITCH,
            meaning="The call stands, and one side or both hear nothing.",
            caller_notices="Somebody in need speaks and is not heard, or hears no answer.",
            causes=(
                "audio is sent to an address or port that a firewall or a NAT does not pass",
                "the switch has joined the two without a codec in common",
                "RTP ports have run out",
            ),
            confirm="hwtest run audio.twoway; asterisk -rx 'pjsip show channelstats' during a call",
            mend="See audio.twoway for which side; open the RTP range in the firewall, or set media_address.",
        ),
    ),
    measure=measure,
)
