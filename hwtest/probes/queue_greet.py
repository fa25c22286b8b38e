"""Probe 19: a caller joins the queue. When are they answered, when do they hear the first word, and is there ever dead air?"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwtest.audio.hearing import NANOSECONDS, Hearing, likeness
from hwtest.audio.prompt import LEAST_LIKENESS, beginning_of, document_of, line_of
from hwtest.desks import nobody_at_work
from hwtest.lab.contract import Lab
from hwtest.ladder import Leg, ladder_of
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
from hwtest.target import Line
from hwtest.useragent import CallEnded, OutgoingCall

LAB_LINES = ("101", "101_no_greeting")
"""Of a lab: the first that it has."""
PROFILE_LINE = "queue"
"""What a profile calls a number whose callers wait, and nobody serves."""
ANSWER_SECONDS = 10.0
LISTEN_SECONDS = 22.0
"""Past the end of a greeting, and past the time (15 s) in which the switch takes a caller back from a daemon that hangs."""
FRAME_MS = 20.0
GREETED_SECONDS = 5.0
"""By then the first words of the greeting must have been said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What one caller heard. Seconds; None: it never came."""

    answer_delay: float | None
    prompt_delay: float | None
    """From the answer to the first sound."""
    dead_air: float | None
    """The longest silence from the first sound to the end of listening."""
    greeted: float | None = None
    """How like the line's greeting the first seconds were, 0 to 1; None where we do not know its greeting."""
    packets: int
    listened: float
    lasted: bool
    """Whether the call was up all the time."""


async def measure(site: Site, sheet: Sheet) -> None:
    """One call to a line that queues, nobody at work, and everything that came on it."""
    name, line = queue_line(site)
    if site.target.ami is not None:
        await nobody_at_work(await site.control())
    async with site.dial(line.number, media="silence") as call:
        hearing = Hearing.of(call.leg)
        site.say(f"calling line {name}")
        refused = await _answered(call)
        lasted = False
        if refused is None:
            site.say(f"listening for {LISTEN_SECONDS:.0f} s")
            lasted = await call.lasts(LISTEN_SECONDS)
        heard = heard_by(call, hearing, lasted=lasted)
    if site.target.lab is not None:
        heard = replace(heard, greeted=_greeted(site.target.lab, name, call, hearing))
    sheet.ladder(ladder_of(f"A caller joins the queue of line {name}", [Leg("caller", call)]))
    judge(sheet, heard, refused, call.dialog.call_id, name)


def queue_line(site: Site) -> tuple[str, Line]:
    """The line whose callers wait. NotMeasuredError where the target has none."""
    lines = site.target.lines
    wanted = LAB_LINES if site.target.lab is not None else (PROFILE_LINE,)
    for name in wanted:
        if name in lines:
            return name, lines[name]
    raise NotMeasuredError(
        f"{site.target.name} names no line whose callers wait in a queue",
        f"give [line.{PROFILE_LINE}] with the number of a queue that no agent serves, in {site.target.source}",
    )


async def _answered(call: OutgoingCall) -> str | None:
    """None once the call is answered; else the code of what became of it."""
    try:
        await call.answered(ANSWER_SECONDS)
    except CallEnded:
        return REFUSED
    except TimeoutError:
        return UNANSWERED
    return None


def _greeted(lab: Lab, name: str, call: OutgoingCall, hearing: Hearing) -> float | None:
    line, answer = line_of(document_of(lab), name), call.stamp_of("200", direction="received")
    words = beginning_of(lab, line.get("greeting", ""), line.get("language", "en"))
    if words is None or answer is None:
        return None
    until = answer.monotonic_ns + round(GREETED_SECONDS * NANOSECONDS)
    return likeness(hearing.samples(answer.monotonic_ns, until), words)


def heard_by(call: OutgoingCall, hearing: Hearing, *, lasted: bool) -> Heard:
    """From the call's stamps and what its leg heard."""
    invite, answer = call.stamp_of("INVITE", direction="sent"), call.stamp_of("200", direction="received")
    if invite is None or answer is None:
        return Heard(
            answer_delay=None, prompt_delay=None, dead_air=None, packets=0, listened=0.0, lasted=lasted
        )
    since = answer.monotonic_ns
    end = call.stamp_of("BYE")
    until = since + round(LISTEN_SECONDS * NANOSECONDS)
    if end is not None:
        until = min(until, end.monotonic_ns)
    first = hearing.first_sound_ns(since)
    return Heard(
        answer_delay=(since - invite.monotonic_ns) / NANOSECONDS,
        prompt_delay=None if first is None else (first - since) / NANOSECONDS,
        dead_air=None if first is None else hearing.longest_silence_seconds(first, until),
        packets=hearing.packets(since, until),
        listened=(until - since) / NANOSECONDS,
        lasted=lasted,
    )


def judge(sheet: Sheet, heard: Heard, refused: str | None, call_id: str, line: str) -> None:
    """Figures and findings."""
    told = Evidence(text=f"the call to line {line}", call_id=call_id)
    if refused is not None:
        words = "was refused" if refused == REFUSED else f"was not answered within {ANSWER_SECONDS:.0f} s"
        sheet.find(refused, Verdict.FAIL, f"a caller of line {line} {words}", told)
        return
    came = f"{heard.packets} packets of audio came in {heard.listened:.1f} s"
    evidence = Evidence(text=came, call_id=call_id)
    sheet.value("answer_delay", "s", heard.answer_delay, note="INVITE to 200", evidence=(told,))
    if heard.prompt_delay is None:
        code = UNHEARD if heard.packets == 0 else MUTE
        sheet.find(
            code, Verdict.FAIL, f"a caller of line {line} was answered and heard nothing: {came}", evidence
        )
    else:
        sheet.value(
            "prompt_delay",
            "s",
            heard.prompt_delay,
            uncertainty=FRAME_MS / 1000,
            note="200 to the first packet in which something is to be heard",
            evidence=(evidence,),
        )
        sheet.value(
            "dead_air",
            "s",
            heard.dead_air,
            uncertainty=FRAME_MS / 1000,
            note=f"the longest, within {heard.listened:.0f} s; {came}",
            evidence=(evidence,),
        )
    if heard.greeted is not None:
        sheet.value(
            "greeting_likeness",
            "of 1",
            round(heard.greeted, 3),
            note=f"of the first {GREETED_SECONDS:.0f} s with the greeting's own file",
            evidence=(evidence,),
        )
    if not heard.lasted:
        sheet.find(DROPPED, Verdict.FAIL, f"the waiting call ended after {heard.listened:.1f} s", evidence)


UNANSWERED, REFUSED, UNHEARD, MUTE, LATE, DEAD_AIR, DROPPED, SLOW, UNGREETED = (
    f"queue.greet.{word}"
    for word in (
        *("unanswered", "refused", "unheard", "mute", "late", "dead-air", "dropped", "slow"),
        "ungreeted",
    )
)


def _threshold(figure: str, passes: float, warns: float, clause: str, code: str) -> Threshold:
    return Threshold(
        figure=figure, statistic="value", passes=passes, warns=warns, unit="s", clause=clause, code=code
    )


PROBE = Probe(
    name="queue.greet",
    number=19,
    title="Who joins the queue is answered, greeted at once, and never left in silence",
    level=Level.SAFE,
    seconds=26.0,
    term="answer delay, delay of the first prompt, dead air",
    reference="own; RFC 6076 §4.3 for the answer delay of a call that is answered at once",
    meaning=(
        "Nobody who calls for help may hear nothing: silence sounds like a line that is dead, and people hang up and dial "
        "again, or dial 999."
    ),
    thresholds=(
        _threshold("answer_delay", 1.0, 6.0, "1 own; 6 ITU-T E.721 table 2, local connection, 95 %", SLOW),
        _threshold("prompt_delay", 1.0, 2.0, "own", LATE),
        _threshold("dead_air", 2.0, 3.0, "own", DEAD_AIR),
        Threshold(
            figure="greeting_likeness",
            statistic="value",
            passes=LEAST_LIKENESS,
            warns=LEAST_LIKENESS,
            unit="of 1",
            clause="own; G.711 alone leaves 0.99",
            code=UNGREETED,
            at_least=True,
        ),
    ),
    explanations=(
        Explanation(
            code=SLOW,
            layer=Layer.SWITCH,
            meaning="The switch takes long to answer a caller whom it answers by itself.",
            caller_notices="Ringing or silence after dialling.",
            causes=(
                "name look-ups that time out on the switch's host",
                "Answer() without an immediate option waits half a second for audio from callers who send none",
                "the switch is overloaded",
            ),
            confirm="look at the ladder between INVITE and 200; hwtest run sip.options",
            mend="Mend the look-ups, generate the dialplan for the switch's exact version (edge dialplan), lighten its load.",
        ),
        Explanation(
            code=UNANSWERED,
            layer=Layer.DIALPLAN,
            meaning="A caller of a line that is answered on arrival got no answer.",
            caller_notices="Ringing without end, or nothing.",
            causes=(
                "the line is one that an agent answers (answer = by_agent)",
                "the line's dialplan waits for something before it answers",
                "the switch hangs",
            ),
            confirm="asterisk -rx 'dialplan show NUMBER@edge-lines'; asterisk -rx 'core show channels verbose'",
            mend="Correct the line, generate and load the dialplan again (edge dialplan).",
        ),
        Explanation(
            code=REFUSED,
            layer=Layer.DIALPLAN,
            meaning="The switch refused a call to a line whose callers wait.",
            caller_notices="A tone or a message that the number cannot be reached.",
            causes=(
                "the line is not in the dialplan that serves this trunk: a wrong context",
                "the number of lines in use has its limit (capacity.channels_101), or the queue is full",
                "the switch takes no calls from this address",
            ),
            confirm="look at the status in the ladder; asterisk -rx 'dialplan show NUMBER@edge-lines'",
            mend="Put the trunk into its context, load the generated dialplan, or raise the limit.",
        ),
        Explanation(
            code=UNHEARD,
            layer=Layer.NETWORK,
            meaning="The call was answered, and not one packet of audio came.",
            caller_notices="Silence: a line that seems dead.",
            causes=(
                "a firewall lets SIP through and not the RTP ports",
                "the switch names an address for audio that cannot be reached from here (NAT, media_address)",
                "the switch has neither greeting nor music for this line",
            ),
            confirm="look at c= and m= in the 200; hwtest run audio.twoway; ls of the music class's folder",
            mend="Open the switch's RTP range, set media_address, or give the line music (edge check names what is missing).",
        ),
        Explanation(
            code=MUTE,
            layer=Layer.SWITCH,
            meaning="Audio came, and it was silence from beginning to end.",
            caller_notices="Silence: a line that seems dead.",
            causes=(
                "the files of greeting and music are missing or empty",
                "the music class does not exist, and nothing else is played",
            ),
            confirm="asterisk -rx 'moh show files'; asterisk -rx 'file exists'; edge check",
            mend="Install the prompts and the music (dialplans/prompts), and load them: asterisk -rx 'moh reload'.",
        ),
        Explanation(
            code=LATE,
            layer=Layer.DAEMON,
            meaning="The caller was answered and heard nothing for long, until something was played after all.",
            caller_notices="Silence after the answer: many hang up just then.",
            causes=(
                "the daemon hangs or is overloaded: the switch took the caller back when nobody attended to the call",
                "the disk is so slow that the daemon waits for it",
                "the greeting begins with silence",
            ),
            confirm="edge status; edge calls --last 1; edge why CALL; systemctl status edge101",
            mend="Restart the daemon that hangs and keep its log; cut silence off the greeting's file.",
        ),
        Explanation(
            code=DEAD_AIR,
            layer=Layer.DAEMON,
            meaning="While the caller waited there was a silence so long that they think the line is dead.",
            caller_notices="The voice or the music stops; people hang up and lose their place.",
            causes=(
                "music does not go on after a prompt",
                "a prompt's file ends with silence, or the music has long quiet passages",
                "the daemon hung between two prompts",
            ),
            confirm="hwtest run audio.start; edge why CALL; asterisk -rx 'moh show classes'",
            mend="Cut silence off prompts and choose music without pauses; restart a daemon that hangs and keep its log.",
        ),
        Explanation(
            code=UNGREETED,
            layer=Layer.DAEMON,
            meaning="The caller heard something, and it was not the greeting that the line's configuration names.",
            caller_notices="Music at once: they are not told where they are, nor what to do when somebody is in danger.",
            causes=(
                "the daemon hangs or does not run, and the switch queues callers by itself",
                "the daemon runs with another configuration than the file: it was not reloaded",
                "a major incident is declared, whose greeting stands for all lines",
                "the greeting's file was replaced after the switch had loaded it",
            ),
            confirm="edge status; edge calls --last 1; edge why CALL; kill -0 of the daemon's process",
            mend="Start or restart the daemon, keeping the log of one that hung; reload it after a change (edge check first).",
        ),
        Explanation(
            code=DROPPED,
            layer=Layer.DAEMON,
            meaning="A caller who was waiting was cut off though nobody had served them.",
            caller_notices="The call ends in the middle of the greeting or the music.",
            causes=(
                "the queue turned the caller away: closed, full, waited too long",
                "the daemon ended the call by mistake, or the switch's absolute time-out is too short",
                "the switch restarted",
            ),
            confirm="look at the BYE and its Reason in the ladder; edge why CALL",
            mend="Mend what the record names; a queue that turns callers away says so in a message first.",
        ),
    ),
    measure=measure,
)
