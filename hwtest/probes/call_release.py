"""Probe 13: when one side hangs up, is the other let go at once; and would the switch notice a side that has died?"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from edge.errors import LinkError, RefusedError
from hwtest.capture import Capture, Record
from hwtest.ladder import Leg, ladder_of, numbers_of
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
from hwtest.switch.settings import endpoints
from hwtest.target import Line
from hwtest.useragent import (
    AgentPhone,
    Behaviour,
    CallEnded,
    CallState,
    OutgoingCall,
    answering,
    ringing_only,
)
from hwtest.useragent.call import Call
from hwtest.useragent.wire import seconds_of

CALLS = 3
"""In each case; a live target is called six times a minute at the most."""
RING_SECONDS = 10.0
TALK_SECONDS = 0.7
END_SECONDS = 4.0
"""A side that has not been let go by then counts as kept."""
GAP_SECONDS = 0.3
POLL_SECONDS = 0.01
TIMER_SECONDS = 1800
"""The session interval that we offer, as RFC 4028 §4 advises."""
SESSION_TIMER = {"Supported": "timer", "Session-Expires": f"{TIMER_SECONDS};refresher=uas"}

Stamps = dict[tuple[str, str], int]
"""When the first message of a label, and of a method in CSeq, was seen, in nanoseconds."""


@dataclass(slots=True)
class Released:
    """How the calls of one case ended, in milliseconds."""

    answers_ms: list[float] = field(default_factory=list)
    """SDD: from the BYE or CANCEL to its answer, on the leg of the side that hung up."""
    others_ms: list[float] = field(default_factory=list)
    """From there until the other side was told."""
    calls: int = 0
    unanswered: list[str] = field(default_factory=list)
    """Call-IDs of those whose BYE or CANCEL had no answer."""
    kept: list[str] = field(default_factory=list)
    """Call-IDs of those whose other side was not let go."""


async def measure(site: Site, sheet: Sheet) -> None:
    """The caller hangs up, the phone hangs up, the caller gives up; and what was agreed for a side that dies."""
    name, line = site.test_line()
    assert line.phone is not None, "a test line has a phone"
    near, far, given_up = Released(), Released(), Released()
    timers = list[int | None]()
    for words, released, behaviour, end in (
        ("the caller hangs up", near, answering(), _caller_hangs_up),
        ("the phone hangs up", far, answering(talk_seconds=TALK_SECONDS), _phone_hangs_up),
        ("the caller gives up", given_up, ringing_only(), _caller_gives_up),
    ):
        for number in range(1, CALLS + 1):
            site.say(f"{words}, {number} of {CALLS}")
            async with _one(site, sheet, line, behaviour, drawn=number == 1, words=words) as one:
                await end(one)
                timers.append(_session_interval(one.call))
            await one.read(released)
            await asyncio.sleep(GAP_SECONDS * site.dice.uniform(0.5, 1.5))
    judge(sheet, near, far, given_up)
    judge_timer(sheet, [timer for timer in timers if timer != 0], await _silence_seconds(site))
    sheet.note(f"Line {name} was called {3 * CALLS} times.")


class _One:
    """One call, and both of its legs."""

    def __init__(self, call: OutgoingCall, phone: AgentPhone, capture: Capture | None) -> None:
        self.call = call
        self.phone = phone
        self.near_ends = True
        """Whether the caller was the one who hung up."""
        self._capture = capture
        self._records: Sequence[Record] = ()

    @property
    def leg(self) -> Call | None:
        """The phone's."""
        return self.phone.calls[-1] if self.phone.calls else None

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for it; the probe has nothing to measure when it does not come."""
        until = time.monotonic() + RING_SECONDS
        while not holds():
            if time.monotonic() > until:
                raise NotMeasuredError(f"{what} within {RING_SECONDS:.0f} s", "hwtest run call.one")
            if self.call.state is CallState.ENDED:
                raise CallEnded(self.call.status)
            await asyncio.sleep(POLL_SECONDS)

    async def over(self) -> None:
        """Give both legs their time to end, and take what was on the wire."""
        for leg in (self.call, self.leg):
            if leg is not None:
                with contextlib.suppress(TimeoutError, CallEnded):
                    await leg.ended(END_SECONDS)
        if self._capture is not None:
            self._records = (await self._capture.take()).records

    async def read(self, released: Released) -> None:
        """Add it to the others of its case."""
        leg = self.leg
        if leg is None:
            return
        first, other = (self.call, leg) if self.near_ends else (leg, self.call)
        read(released, stamps(first, self._records), stamps(other, self._records), first.dialog.call_id)


@asynccontextmanager
async def _one(
    site: Site, sheet: Sheet, line: Line, behaviour: Behaviour, *, drawn: bool, words: str
) -> AsyncIterator[_One]:
    assert line.phone is not None, "a test line has a phone"
    async with site.wire_or_stamps(sheet) as capture, site.phone(line.phone, behaviour) as phone:
        async with site.dial(line.number, headers=SESSION_TIMER) as call:
            one = _One(call, phone, capture)
            yield one
            await one.over()
        if drawn and one.leg is not None:
            legs = [Leg("caller", call), Leg(f"phone {line.phone}", one.leg)]
            sheet.ladder(ladder_of(f"{words.capitalize()}, times in milliseconds", legs))


async def _caller_hangs_up(one: _One) -> None:
    await one.until(lambda: _is(one.leg, CallState.ANSWERED), "the test phone was not put through")
    await one.until(lambda: _is(one.call, CallState.ANSWERED), "the caller was not told of the answer")
    await asyncio.sleep(TALK_SECONDS)
    await _end(one.call)


async def _phone_hangs_up(one: _One) -> None:
    one.near_ends = False
    await one.until(lambda: _is(one.leg, CallState.ANSWERED), "the test phone was not put through")
    await one.until(lambda: _is(one.call, CallState.ANSWERED), "the caller was not told of the answer")
    with contextlib.suppress(TimeoutError):
        await one.call.ended(TALK_SECONDS + END_SECONDS)


async def _caller_gives_up(one: _One) -> None:
    await one.until(lambda: _is(one.leg, CallState.RINGING), "the test phone was not rung")
    await asyncio.sleep(TALK_SECONDS)
    await _end(one.call)


def _is(leg: Call | None, state: CallState) -> bool:
    return leg is not None and leg.reached >= state


async def _end(call: OutgoingCall) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(END_SECONDS):
            await call.hang_up()


def stamps(call: Call, records: Sequence[Record]) -> Stamps:
    """Of a leg, from the wire where it was captured, else from its phone. Retransmissions never reset one (RFC 6076 §3)."""
    found = Stamps()
    if own := [record for record in records if record.call_id == call.dialog.call_id]:
        for record in own:
            found.setdefault((record.label, record.method), record.stamp_ns)
    else:
        for entry in call.trace:
            found.setdefault((entry.label, entry.method), entry.monotonic_ns)
    return found


def read(released: Released, first: Stamps, other: Stamps, call_id: str) -> None:
    """`first`: the leg of the side that hung up."""
    released.calls += 1
    method = "CANCEL" if ("CANCEL", "CANCEL") in first and ("BYE", "BYE") not in first else "BYE"
    said, answered = first.get((method, method)), first.get(("200", method))
    told = min((other[key] for key in (("BYE", "BYE"), ("CANCEL", "CANCEL")) if key in other), default=None)
    if said is None or answered is None:
        released.unanswered.append(call_id)
    else:
        released.answers_ms.append((answered - said) / 1e6)
    if told is None:
        released.kept.append(call_id)
    elif said is not None:
        released.others_ms.append((told - said) / 1e6)


def _session_interval(call: OutgoingCall) -> int | None:
    """What the switch agreed to, in seconds; None when to nothing, 0 when the call was not answered."""
    response = call.response
    if response is None or not 200 <= response.status < 300:
        return 0
    text = response.header("Session-Expires") or ""
    return seconds_of(text.partition(";")[0].strip())


async def _silence_seconds(site: Site) -> int | None:
    """After so long without audio the switch ends a trunk's call; 0 when never, None when nobody can tell."""
    try:
        client = await site.control()
        known = [endpoint for endpoint in await endpoints(client, 200) if endpoint.known_by_address]
    except (NotMeasuredError, LinkError, RefusedError):
        return None
    limits = [endpoint.silence_seconds for endpoint in known]
    if not limits:
        return None
    return max(limits) if all(limits) else 0


def judge(sheet: Sheet, near: Released, far: Released, given_up: Released) -> None:
    """Figures of the three cases, and who was not let go."""
    for name, released in (("near_end", near), ("far_end", far), ("cancel", given_up)):
        told = [_told(sheet, name, released)]
        sheet.distribution(
            f"{name}_disconnect_delay", "ms", released.answers_ms, uncertainty=0.05, evidence=told
        )
        sheet.distribution(
            f"{name}_other_side_told", "ms", released.others_ms, uncertainty=0.05, evidence=told
        )
        if released.unanswered:
            words = f"{len(released.unanswered)} of {released.calls} had no answer ({name.replace('_', ' ')})"
            sheet.find(UNANSWERED, Verdict.FAIL, words, *told)
        if released.kept:
            words = f"{len(released.kept)} of {released.calls} were not let go in {END_SECONDS:.0f} s"
            code = RINGS_ON if released is given_up else KEPT
            sheet.find(code, Verdict.FAIL, f"{words} ({name.replace('_', ' ')})", *told)


def _told(sheet: Sheet, name: str, released: Released) -> Evidence:
    wrong = [*released.unanswered, *released.kept]
    ladder = next((ladder for ladder in sheet.ladders if _WORDS[name] in ladder.title), None)
    numbers = (*numbers_of(ladder, "BYE"), *numbers_of(ladder, "CANCEL")) if ladder is not None else ()
    return Evidence(
        text=f"{released.calls} calls, the first of them in the ladder",
        call_id=wrong[0] if wrong else None,
        messages=numbers,
    )


_WORDS = {"near_end": "The caller hangs up", "far_end": "The phone hangs up", "cancel": "The caller gives up"}


def judge_timer(sheet: Sheet, agreed: Sequence[int | None], silence_seconds: int | None) -> None:
    """`agreed`: the session interval of each answered call, None where the switch agreed to none."""
    if not agreed:
        sheet.note("No call was answered, so no session timer could be agreed.")
        return
    told = Evidence(
        text=f"offered Session-Expires {TIMER_SECONDS} s; agreed: {', '.join(f'{s}' for s in agreed)}; "
        f"audio may be silent for {_SILENT.get(silence_seconds, f'{silence_seconds} s')}"
    )
    bounds = [bound for bound in (_longest(agreed), silence_seconds) if bound]
    if not bounds and silence_seconds is None:
        without = (
            "the switch agrees to no session timer, and whether a time without audio ends a call cannot be seen: "
            "give [ami] in the target's file"
        )
        sheet.value("dead_call_lasts", "s", None, note=without, evidence=[told])
        return
    if not bounds:
        words = (
            "the switch agrees to no session timer, and nothing else ends a call whose other side has died"
        )
        sheet.find(UNDEAD, Verdict.FAIL, words, told)
        return
    note = "agreed, not waited for: by the session timer or the time without audio, whichever is first"
    sheet.value("dead_call_lasts", "s", min(bounds), n=len(agreed), note=note, evidence=[told])


_SILENT = {0: "ever", None: "a time that is not known"}


def _longest(agreed: Sequence[int | None]) -> int | None:
    seconds = [interval for interval in agreed if interval is not None]
    return max(seconds) if len(seconds) == len(agreed) else None


SLOW, LATE, UNANSWERED, KEPT, RINGS_ON, UNDEAD = (
    f"call.release.{word}" for word in ("slow", "late", "unanswered", "kept", "rings-on", "undead")
)


def _delay(figure: str, code: str, warns: float) -> Threshold:
    return Threshold(
        figure=figure,
        statistic="p95",
        passes=200.0,
        warns=warns,
        unit="ms",
        clause="own",
        code=code,
    )


PROBE = Probe(
    name="call.release",
    number=13,
    title="When one side hangs up, the other is let go",
    level=Level.SAFE,
    seconds=22.0,
    term="SDD (session disconnect delay), at both ends",
    reference="RFC 6076 §4.4 (SDD); RFC 3261 §9 (CANCEL), §15 (BYE); RFC 4028 (session timers)",
    meaning=(
        "A call that does not end keeps a handler from the next caller. Each way in which one can end is tried: by the caller, "
        "by the phone, before an answer, and what was agreed for a side that dies without a word."
    ),
    thresholds=(
        _delay("near_end_disconnect_delay", SLOW, 600.0),
        _delay("far_end_disconnect_delay", SLOW, 600.0),
        _delay("cancel_disconnect_delay", SLOW, 600.0),
        _delay("near_end_other_side_told", LATE, 1000.0),
        _delay("far_end_other_side_told", LATE, 1000.0),
        _delay("cancel_other_side_told", LATE, 1000.0),
        Threshold(
            figure="dead_call_lasts",
            statistic="value",
            passes=1800.0,
            warns=7200.0,
            unit="s",
            clause="RFC 4028 §4: 1800 s is advised; 7200 own",
            code=UNDEAD,
        ),
    ),
    explanations=(
        Explanation(
            code=SLOW,
            layer=Layer.SWITCH,
            meaning="The switch takes long to confirm that a call is over.",
            caller_notices="Nothing at first; the line counts as busy for so long.",
            causes=(
                "the switch is overloaded",
                "messages are lost and sent again after half a second: look at the ladder",
                "the audio is written to a file or a slow disk when the call ends",
            ),
            confirm="hwtest run sip.options; asterisk -rx 'core show taskprocessors'",
            mend="Lighten the switch's load, or mend the path where messages are lost.",
        ),
        Explanation(
            code=LATE,
            layer=Layer.SWITCH,
            meaning="One side has hung up, and the other is told late.",
            caller_notices="Silence at the end of a call; a handler's phone rings on for somebody who has gone.",
            causes=(
                "the switch, or the daemon that ends a ringing leg, is overloaded",
                "an application in the dialplan runs before the other side is let go",
                "the message to the other side was lost and sent again",
            ),
            confirm="hwtest run ctl.link; look at the ladder between the two BYEs",
            mend="Find what comes between the two in the ladder; lighten switch and daemon.",
        ),
        Explanation(
            code=UNANSWERED,
            layer=Layer.SWITCH,
            meaning="Somebody hung up and the switch never said that it had heard it.",
            caller_notices="The line stays engaged for half a minute after hanging up.",
            causes=(
                "the BYE goes to an address that the switch gave and does not listen on (Contact, NAT)",
                "a firewall lets the first message of a call through and not the last",
                "the switch hangs",
            ),
            confirm="look at the Contact in the switch's 200; asterisk -rx 'pjsip show transports'",
            mend="Give the transport its external_signaling_address, or open the firewall for SIP both ways.",
        ),
        Explanation(
            code=KEPT,
            layer=Layer.SWITCH,
            meaning="One side has hung up and the other still believes to be connected.",
            caller_notices="A handler talks to nobody and gets no next call; a caller listens to silence.",
            causes=(
                "the switch lost the hang-up when it joined the two",
                "a daemon or a program on ARI holds the other leg in a bridge of its own",
                "the BYE to the other side was sent to an address that is not its own any more",
            ),
            confirm="asterisk -rx 'core show channels verbose'; edge why CALL",
            mend="End the leg (asterisk -rx 'channel request hangup NAME'), and report its ladder with the switch's version.",
        ),
        Explanation(
            code=RINGS_ON,
            layer=Layer.DAEMON,
            meaning="The caller has given up, and the handler's phone goes on ringing.",
            caller_notices="Nothing. The handler answers to nobody, and whoever waits next is served late.",
            causes=(
                "the daemon hangs or has lost its link to the switch",
                "the phone ignores the CANCEL",
            ),
            confirm="edge status; hwtest run ctl.link; look whether the ladder has a CANCEL to the phone",
            mend="With a CANCEL in the ladder mend the phone, without one see why the daemon did not end the leg (edge why).",
        ),
        Explanation(
            code=UNDEAD,
            layer=Layer.SWITCH,
            meaning=(
                "A caller's equipment can die without a word. Session timers ask from time to time whether the other side is "
                "still there; without them, and without a limit to silence, the call lasts until somebody hangs up by hand."
            ),
            caller_notices="Nothing; but a dead caller keeps a place in the queue, a handler and a line of the trunk.",
            causes=(
                "the trunk's endpoint has timers = no, or a session interval of hours",
                "rtp_timeout is not set",
                "a device between takes the session timer out of the messages",
            ),
            confirm="asterisk -rx 'pjsip show endpoint TRUNK' | grep -E 'timers|rtp_timeout'",
            mend="Set timers = yes and timers_sess_expires = 1800 for the trunk, and rtp_timeout where audio never rests.",
        ),
    ),
    measure=measure,
)
