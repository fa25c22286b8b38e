"""Probe 25: the queue is full, it is closed, nobody is at work, everybody's phone is gone. Is anybody dropped in silence?"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from hwtest.audio.hearing import NANOSECONDS, Hearing, likeness
from hwtest.audio.prompt import LEAST_LIKENESS, beginning_of, document_of
from hwtest.desks import Room, desks, lab_of, made_again
from hwtest.lab.contract import Lab
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
from hwtest.useragent import CallEnded, CallState, OutgoingCall
from hwtest.useragent.media import Media

LINE = "101_no_greeting"
FULL, CLOSED, NOBODY, LOST = "full", "closed", "nobody is at work", "all phones are gone"
MOST_LIMIT = 10
"""A queue that takes more callers than this is not filled."""
ANSWER_SECONDS = 8.0
MARGIN_MINUTES = 5
MESSAGE_SECONDS = 40.0
"""A message and the hang-up after it take no longer."""
WAIT_SECONDS = 6.0
"""So long callers whom nobody can serve are watched."""
RUNG_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnedAway:
    """A caller who must be told something and then let go."""

    why: str
    answered: bool
    likeness: float
    """Of what they heard with the message, 0 to 1."""
    let_go: bool
    """Whether the switch ended the call, within the time of a message."""
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWaiting:
    """A caller whom nobody can serve, and who must go on waiting and hearing something."""

    why: str
    lasted: bool
    dead_air: float | None
    """Seconds; None: they were not answered."""
    served_after: bool | None = None
    """Whether they were rung for once an agent was there again; None where that was not tried."""
    call_id: str = ""


async def measure(site: Site, sheet: Sheet) -> None:
    """The four ways to meet nobody."""
    lab = lab_of(site, "queue.overflow")
    document = document_of(lab)
    away, missing = list[TurnedAway](), list[str]()
    async with desks(site, 2, "queue.overflow") as room:
        kept = [await _nobody(site, room), await _all_lost(site, room)]
        for why, line in ((FULL, full_line(document)), (CLOSED, closed_line(document, datetime.now(UTC)))):
            if line is None:
                missing.append(why)
                continue
            site.say(f"the queue is {why}")
            away.append(await _turned_away(lab, document, room, why, line))
    judge(sheet, away, kept)
    if missing:
        raise NotMeasuredError(
            f"this lab has no queue that is {' or '.join(missing)} and tells callers so",
            made_again(lab),
        )


# --- which lines ---


def full_line(document: dict[str, Any]) -> str | None:
    """A line whose queue takes few callers and turns the next away by a message; None where there is none."""
    return _line(
        document, lambda queue: 0 < int(queue.get("limit", 0)) <= MOST_LIMIT and "hours" not in queue
    )


def closed_line(document: dict[str, Any], now: datetime) -> str | None:
    """A line whose queue is closed by its hours, and for some minutes to come; None where there is none."""
    timetables = document.get("hours", {})
    local = now.astimezone(ZoneInfo(document.get("site", {}).get("timezone", "Europe/London")))

    def is_closed(queue: dict[str, Any]) -> bool:
        return "hours" in queue and is_surely_closed(timetables.get(queue["hours"], {}), local)

    return _line(document, is_closed)


def is_surely_closed(timetable: dict[str, Any], local: datetime) -> bool:
    """Whether a plain timetable is closed at this local time. Of one with holidays, dates or nights it is not certain."""
    if set(timetable) != {"week"}:
        return False
    text = timetable["week"].get(local.strftime("%a").lower(), "")
    if text == "closed":
        return True
    minute = 60 * local.hour + local.minute
    for span in text.split(","):
        found = re.fullmatch(r"\s*(\d\d):(\d\d)-(\d\d):(\d\d)\s*", span)
        if found is None:
            return False
        begin, end = (60 * int(found[1]) + int(found[2])), (60 * int(found[3]) + int(found[4]))
        if end <= begin or begin - MARGIN_MINUTES <= minute < end + MARGIN_MINUTES:
            return False
    return True


def _line(document: dict[str, Any], fits: Any) -> str | None:
    for name, line in document.get("line", {}).items():
        queue = document.get("queue", {}).get(line.get("queue"), {})
        elsewhere = {"overflow_queue", "overflow_phone"} & set(queue)
        if line.get("tier") == "101" and "menu" not in line and not elsewhere and fits(queue):
            return str(name)
    return None


def message_of(document: dict[str, Any], why: str, line: str) -> str:
    """The prompt that its callers must hear."""
    queue = document.get("queue", {}).get(document["line"][line].get("queue"), {})
    return str(queue.get(f"{why}_prompt", why))


# --- what is tried ---


async def _turned_away(lab: Lab, document: dict[str, Any], room: Room, why: str, name: str) -> TurnedAway:
    line = name.replace("-", "_")
    queue = document["queue"][document["line"][name]["queue"]]
    waiting = [await _joined(room, line) for _ in range(int(queue.get("limit", 0)) if why == FULL else 0)]
    call = await room.call(line, Media("silence"))
    hearing = Hearing.of(call.leg)
    try:
        answered, let_go = await _is_let_go(call)
    finally:
        for other in waiting:
            await other.hang_up()
    words = beginning_of(lab, message_of(document, why, name), document["line"][name].get("language", "en"))
    if words is None:
        raise NotMeasuredError(
            f"the message {message_of(document, why, name)!r} has no file that can be read", "edge check"
        )
    end = hearing.frames[-1].at_ns + 1 if hearing.frames else 0
    heard = likeness(hearing.samples(0, end), words) if answered else 0.0
    return TurnedAway(why=why, answered=answered, likeness=heard, let_go=let_go, call_id=call.dialog.call_id)


async def _joined(room: Room, line: str) -> OutgoingCall:
    call = await room.call(line)
    await call.answered(ANSWER_SECONDS)
    return call


async def _is_let_go(call: OutgoingCall) -> tuple[bool, bool]:
    """Whether they were answered, and whether the switch ended the call in time."""
    try:
        await call.answered(ANSWER_SECONDS)
    except (CallEnded, TimeoutError):
        let_go = call.state is CallState.ENDED
        await call.hang_up()
        return False, let_go
    if await call.lasts(MESSAGE_SECONDS):
        await call.hang_up()
        return True, False
    return True, True


async def _nobody(site: Site, room: Room) -> KeptWaiting:
    site.say(NOBODY)
    call = await room.call(LINE, Media("silence"))
    hearing = Hearing.of(call.leg)
    kept = await _watched(call, hearing, NOBODY)
    await call.hang_up()
    return kept


async def _all_lost(site: Site, room: Room) -> KeptWaiting:
    """The only agent's phone is unplugged while it rings; later another agent comes."""
    site.say(LOST)
    gone, comes = room.desks
    call = await room.call(LINE, Media("silence"))
    hearing = Hearing.of(call.leg)
    await call.answered(ANSWER_SECONDS)
    await room.sign_in(gone)
    try:
        await gone.rung(RUNG_SECONDS)
    except TimeoutError:
        raise NotMeasuredError(
            f"a free agent was not rung within {RUNG_SECONDS:.0f} s", "hwtest run queue.dispatch --lab"
        ) from None
    await gone.unplug()
    try:
        kept = await _watched(call, hearing, LOST)
        await room.sign_in(comes)
        served = await _is_served(room, call)
    finally:
        await gone.plug_in()
    for desk in room.desks:
        await room.sign_out(desk)
    await call.hang_up()
    return KeptWaiting(
        why=kept.why, lasted=kept.lasted, dead_air=kept.dead_air, served_after=served, call_id=kept.call_id
    )


async def _is_served(room: Room, call: OutgoingCall) -> bool:
    """Once the ring at the phone that is gone is over, whoever came is rung; 15 s is the longest ring."""
    try:
        offer = await room.desks[1].rung(2 * RUNG_SECONDS)
    except TimeoutError:
        return False
    return room.caller_of(offer) is call


async def _watched(call: OutgoingCall, hearing: Hearing, why: str) -> KeptWaiting:
    try:
        await call.answered(ANSWER_SECONDS)
    except (CallEnded, TimeoutError):
        return KeptWaiting(why=why, lasted=False, dead_air=None, call_id=call.dialog.call_id)
    since = asyncio.get_running_loop().time()
    lasted = await call.lasts(WAIT_SECONDS)
    until = asyncio.get_running_loop().time()
    silence = hearing.longest_silence_seconds(round(since * NANOSECONDS), round(until * NANOSECONDS))
    return KeptWaiting(why=why, lasted=lasted, dead_air=silence, call_id=call.dialog.call_id)


# --- what it comes to ---


def judge(sheet: Sheet, away: Sequence[TurnedAway], kept: Sequence[KeptWaiting]) -> None:
    """Figures and findings."""
    for caller in away:
        told = Evidence(text=f"a caller while the queue is {caller.why}", call_id=caller.call_id)
        if not caller.answered:
            words = f"a caller was {'refused' if caller.let_go else 'not answered'} while the queue is {caller.why}"
            sheet.find(DROPPED, Verdict.FAIL, words, told)
            continue
        sheet.value(
            f"{caller.why}_message",
            "of 1",
            round(caller.likeness, 3),
            note="how like the message's own file the best-fitting stretch of what they heard is",
            evidence=(told,),
        )
        if not caller.let_go:
            words = f"a caller was not let go within {MESSAGE_SECONDS:.0f} s while the queue is {caller.why}"
            sheet.find(TAKEN, Verdict.FAIL, words, told)
    silences = [waiting.dead_air for waiting in kept if waiting.dead_air is not None]
    calls = [Evidence(text=f"a caller while {waiting.why}", call_id=waiting.call_id) for waiting in kept]
    sheet.distribution(
        "dead_air",
        "s",
        silences,
        uncertainty=0.02,
        note=f"the longest of each caller whom nobody could serve, in {WAIT_SECONDS:.0f} s",
        evidence=calls,
    )
    for waiting, told in zip(kept, calls, strict=True):
        if not waiting.lasted:
            sheet.find(
                DROPPED,
                Verdict.FAIL,
                f"a waiting caller was cut off or not answered while {waiting.why}",
                told,
            )
        elif waiting.served_after is False:
            words = "an agent came, and was not rung for a caller whose first agent's phone had gone"
            sheet.find(FORGOTTEN, Verdict.FAIL, words, told)


UNSAID, TAKEN, DROPPED, DEAD_AIR, FORGOTTEN = (
    f"queue.overflow.{word}" for word in ("unsaid", "taken", "dropped", "dead-air", "forgotten")
)


def _message(figure: str) -> Threshold:
    return Threshold(
        figure=figure,
        statistic="value",
        passes=LEAST_LIKENESS,
        warns=LEAST_LIKENESS,
        unit="of 1",
        clause="own; G.711 alone leaves 0.99",
        code=UNSAID,
        at_least=True,
    )


PROBE = Probe(
    name="queue.overflow",
    number=25,
    title="Who cannot be served is told so, and nobody is dropped in silence",
    level=Level.LAB,
    needs=frozenset({Need.CONTROL}),
    seconds=75.0,
    term="overflow: full, closed, unstaffed",
    reference="own",
    meaning=(
        "A call that ends without a word looks like a fault of the network: people dial again and again, or 999. Who is turned "
        "away must hear why and what to do instead; who may stay must hear that the line lives."
    ),
    thresholds=(
        _message("full_message"),
        _message("closed_message"),
        Threshold(
            figure="dead_air", statistic="max", passes=2.0, warns=3.0, unit="s", clause="own", code=DEAD_AIR
        ),
    ),
    explanations=(
        Explanation(
            code=UNSAID,
            layer=Layer.DAEMON,
            meaning="A caller of a queue that is full or closed did not hear the message that the configuration names.",
            caller_notices="Music without end, another message, or nothing: they do not know what to do instead.",
            causes=(
                "the daemon does not run: the switch's own queue knows neither hours nor limits",
                "the daemon runs with another configuration than the file: it was not reloaded",
                "a major incident is declared, which closes queues with a message of its own",
            ),
            confirm="edge status; edge calls --last 5; edge why CALL; edge check",
            mend="Start the daemon, or reload it after a change of hours, limit or prompts.",
        ),
        Explanation(
            code=TAKEN,
            layer=Layer.DAEMON,
            meaning="A caller of a queue that is full or closed was kept on the line.",
            caller_notices="They wait for somebody who will not come.",
            causes=(
                "the daemon does not run: the switch's own queue knows neither hours nor limits",
                "the daemon runs with other hours or another limit than its configuration's file says",
                "the message is longer than this probe listens",
            ),
            confirm="edge status; edge why CALL; edge check",
            mend="Start the daemon, or reload it after a change; shorten a message that nobody hears to its end.",
        ),
        Explanation(
            code=DROPPED,
            layer=Layer.SWITCH,
            meaning="A call ended, or was never answered, without a word to the caller.",
            caller_notices="The line goes dead: it looks like a fault, and they dial again.",
            causes=(
                "the switch has no channels, ports or file descriptors left",
                "the dialplan ends the call where the daemon does not take it",
                "the daemon ended a waiting call by mistake",
            ),
            confirm="look at the status or Reason; edge why CALL; asterisk -rx 'core show channels count'",
            mend="Raise what has run out; generate and load the dialplan again (edge dialplan).",
        ),
        Explanation(
            code=DEAD_AIR,
            layer=Layer.DAEMON,
            meaning="A caller whom nobody could serve for the moment heard nothing for long.",
            caller_notices="They think that the line is dead, and hang up.",
            causes=(
                "music does not go on when an agent's phone is lost",
                "the daemon hangs, and the switch took the caller back late",
                "the music has long quiet passages",
            ),
            confirm="hwtest run queue.greet; edge why CALL; asterisk -rx 'moh show classes'",
            mend="Restart a daemon that hangs, keeping its log; choose music without pauses.",
        ),
        Explanation(
            code=FORGOTTEN,
            layer=Layer.DAEMON,
            meaning="The phone that rang for a caller had gone, another agent came, and nobody rang them for that caller.",
            caller_notices="They wait for ever though somebody is free.",
            causes=(
                "the daemon still takes the caller for one whose agent's phone rings",
                "the agent who came is not ready, or lacks the skill",
                "the daemon hangs or has lost the switch",
            ),
            confirm="edge why CALL; edge agents; edge status",
            mend="Set the agent ready; restart a daemon that hangs, keeping its log.",
        ),
    ),
    measure=measure,
)
