"""Probe 12: is every call put through, and how long does that take? Fifty calls, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hwtest.capture import Capture
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
from hwtest.sipp.sessions import Session, sessions, statuses, tally
from hwtest.sipp.traffic import SHORT_CALL, Traffic, one_call, program
from hwtest.site import Site, whole
from hwtest.useragent import answering
from hwtest.useragent.authorization import CHALLENGES

CALLS = 50
STAY_SECONDS = 0.1
GAP_SECONDS = 0.1
"""Between two calls in a lab; on a live target the interlock lets six in a minute pass."""
PATIENCE_SECONDS = 10.0
UNCERTAINTY_SECONDS = 0.0001
GIVE_UP_AFTER = 3
"""Calls without any answer at all, one after the other from the first."""


async def measure(site: Site, sheet: Sheet) -> None:
    """Fifty calls to the test line, and what the wire showed of each."""
    _, line = site.test_line()
    assert line.phone is not None, "a test line has a phone"
    await program(site)
    async with site.capture() as capture, site.phone(line.phone, answering()):
        found = list[Session]()
        for number in range(1, CALLS + 1):
            site.say(f"call {number} of {CALLS}")
            found += await _call(site, sheet, capture, line.number)
            if len(found) == GIVE_UP_AFTER and all(session.status is None for session in found):
                break
            await asyncio.sleep(GAP_SECONDS * site.dice.uniform(0.5, 1.5))  # not in step with anybody's timer
    judge(sheet, found)


async def _call(site: Site, sheet: Sheet, capture: Capture, dialled: str) -> Sequence[Session]:
    traffic = Traffic(
        scenario=SHORT_CALL,
        calls=1,
        number=dialled,
        rate=1000,  # at once: there is one call
        stay_seconds=STAY_SECONDS,
        patience_seconds=PATIENCE_SECONDS,
        limit_seconds=2 * PATIENCE_SECONDS,
        lines=(site.target.caller,),
    )
    async with one_call(site, sheet, "setup", traffic) as running:
        outcome = await running.ended()
    if outcome.trouble:
        raise NotMeasuredError(outcome.trouble, "hwtest run meter.timing")
    records = whole(await capture.take())
    found = sessions(records, {running.port})
    if not found:
        raise NotMeasuredError(
            "SIPp placed a call and the capture did not see it", "hwtest run meter.capture"
        )
    _check_challenge(site, [record.label for record in records if record.method == "INVITE"])
    return found


def _check_challenge(site: Site, labels: Sequence[str]) -> None:
    if any(label.isdecimal() and int(label) in CHALLENGES for label in labels):
        raise NotMeasuredError(
            "the switch asks callers for a password, and SIPp calls as a trunk does, without one",
            f"let this machine's address ({site.target.local_address}) call the test line as a trunk; or hwtest run call.one",
        )


def judge(sheet: Sheet, found: Sequence[Session]) -> None:
    """Write down what became of the calls. Success and failure are never pooled (RFC 6076 §4.3)."""
    counted = tally(found)
    good = [session.delay_seconds for session in found if session.succeeded]
    bad = [session.delay_seconds for session in found if not session.succeeded]
    sheet.distribution(
        "session_request_delay",
        "s",
        [delay for delay in good if delay is not None],
        uncertainty=UNCERTAINTY_SECONDS,
        note="of calls that were answered; kernel's stamps, INVITE to the first answer that is no 100",
        evidence=[_slowest(found)] if counted.successful else (),
    )
    if failed := [delay for delay in bad if delay is not None]:
        sheet.distribution(
            "session_request_delay_failed",
            "s",
            failed,
            uncertainty=UNCERTAINTY_SECONDS,
            note="of calls that failed",
        )
    if answers := [session.answer_seconds for session in found if session.answer_seconds is not None]:
        sheet.distribution(
            "answer_delay", "s", answers, uncertainty=UNCERTAINTY_SECONDS, note="INVITE to its 200"
        )
    by_cause = "its failures are judged below, by whom they blame"
    sheet.share("ser", counted.successful, counted.not_redirected, note=by_cause)
    sheet.share(
        "seer", counted.effective, counted.not_redirected, note="480, 486, 600 and 603 count as effective"
    )
    for figure, sessions_ in (
        ("isa", counted.ineffective),
        ("audio_refused", counted.exhausted),
        ("phone_unreachable", counted.phone),
        ("refused", counted.refused),
    ):
        sheet.share(
            figure,
            len(sessions_),
            counted.requests,
            note=statuses(sessions_),
            evidence=[_evidence(session) for session in sessions_[:3]],
        )
    if repeated := sum(session.repeated for session in found):
        share = [session for session in found if session.repeated]
        words = f"{repeated} messages of {len(share)} of {len(found)} calls were sent again"
        sheet.find(REPEATED, Verdict.WARN, words, *[_evidence(session) for session in share[:3]])


def _slowest(found: Sequence[Session]) -> Evidence:
    slowest = max(
        (session for session in found if session.succeeded), key=lambda one: one.delay_seconds or 0.0
    )
    return Evidence(
        text=f"the slowest took {slowest.delay_seconds or 0.0:.4f} s to its first answer",
        call_id=slowest.call_id,
    )


def _evidence(session: Session) -> Evidence:
    ended = "had no final answer" if session.status is None else f"ended with {session.status}"
    delay = "" if session.delay_seconds is None else f", first answer after {session.delay_seconds:.3f} s"
    again = f", {session.repeated} messages sent again" if session.repeated else ""
    return Evidence(text=f"the call {ended}{delay}{again}", call_id=session.call_id)


REPEATED = "call.setup.repeated"


def _share(figure: str, clause: str, code: str) -> Threshold:
    return Threshold(
        figure=figure, statistic="value", passes=0.0, warns=2.0, unit="%", clause=clause, code=code
    )


PROBE = Probe(
    name="call.setup",
    number=12,
    title="Every call is put through, and at once",
    level=Level.SAFE,
    needs=frozenset({Need.SIPP, Need.CAPTURE}),
    seconds=60.0,
    term="session request delay (SRD); session establishment ratio (SER), effectiveness ratio (SEER), ineffective attempts (ISA)",
    reference="RFC 6076 §4.3, §4.6, §4.7, §4.8",
    meaning=(
        "One good call proves little. Fifty, one after the other, show whether one in some dozens is lost or late, which is "
        "what people complain of. Calls that were answered and calls that failed are timed apart, as the standard demands."
    ),
    thresholds=(
        Threshold(
            figure="session_request_delay",
            statistic="p95",
            passes=1.0,
            warns=6.0,
            unit="s",
            clause="1 own; 6 is ITU-T E.721 table 2, local calls, 95 %",
            code="call.setup.slow",
        ),
        _share("isa", "own, of RFC 6076 §4.8: one call in fifty is a warning", "call.setup.ineffective"),
        _share("audio_refused", "own: what was taken once is taken again", "call.setup.audio"),
        _share(
            "phone_unreachable", "own, of RFC 6076 §4.7: one call in fifty is a warning", "call.setup.phone"
        ),
        _share("refused", "own, of RFC 6076 §4.6: one call in fifty is a warning", "call.setup.refused"),
    ),
    explanations=(
        Explanation(
            code="call.setup.slow",
            layer=Layer.SWITCH,
            meaning="The switch takes too long from the caller's INVITE to ringing or answering.",
            caller_notices="Silence after dialling; who hears nothing for some seconds hangs up and dials again.",
            causes=(
                "name look-ups that time out on the switch's host",
                "the switch or the daemon is overloaded",
                "the test phone takes long to ring (a mobile, or a phone that sleeps)",
                "requests that are lost and sent again after 0.5 s: see whether messages were repeated",
            ),
            confirm="hwtest run call.one shows in which message the time goes; asterisk -rx 'core show taskprocessors'",
            mend="Mend what the ladder of call.one shows: give the host a name in /etc/hosts, or take load off the switch.",
        ),
        Explanation(
            code="call.setup.ineffective",
            layer=Layer.SWITCH,
            meaning="The switch itself could not handle calls: 408, 500, 503, 504, or no final answer at all.",
            caller_notices="Some calls are not put through; dialling again may help.",
            causes=(
                "the switch is out of something: audio ports, file descriptors, channels",
                "the daemon or its dialplan application is away, and no fallback takes the call",
                "packets are lost on the way, so that an INVITE was never answered",
            ),
            confirm="asterisk -rx 'core show channels count'; the switch's log/messages at the time of the Call-ID given here",
            mend="Widen rtpstart to rtpend in rtp.conf and maxfiles in asterisk.conf, or mend the path; then run this again.",
        ),
        Explanation(
            code="call.setup.audio",
            layer=Layer.SWITCH,
            meaning="The switch refused the audio of some calls (488) and took the same from others: it had no ports left.",
            caller_notices="Some callers are not put through while others are.",
            causes=(
                "the RTP port range is too small: each call takes two ports, with its agent four",
                "ports stay taken by calls that have ended",
                "another program holds ports of that range",
            ),
            confirm="the switch's log/messages: 'No RTP ports remaining'; asterisk -rx 'rtp show settings'; ss -lun",
            mend="Widen rtpstart to rtpend in rtp.conf to four ports for each call at once, and reload res_rtp_asterisk.",
        ),
        Explanation(
            code="call.setup.phone",
            layer=Layer.PHONE,
            meaning="The switch did its part, and the test phone did not take the call (480, 486, 600 or 603).",
            caller_notices="Engaged tone, or that nobody is available.",
            causes=(
                "the test phone is registered from somewhere else, too, or its registration ran out",
                "the phone still had the last call",
                "do-not-disturb is on",
            ),
            confirm="asterisk -rx 'pjsip show contacts'; hwtest run call.one",
            mend="Leave the test phone's account to hwtest alone; for another phone, end its old call and its do-not-disturb.",
        ),
        Explanation(
            code="call.setup.refused",
            layer=Layer.DIALPLAN,
            meaning="The switch refuses the number: it does not know it, not for this caller, or takes no such audio.",
            caller_notices="A tone or an announcement that the number is not known.",
            causes=(
                "the test line is missing from the dialplan, or is in a context that callers do not reach (404, 484)",
                "this machine is not among those who may call (403)",
                "no codec in common (488)",
            ),
            confirm="asterisk -rx 'dialplan show' for the test line's number; asterisk -rx 'pjsip show endpoint' for the caller",
            mend="Put the line where the caller's context finds it: generate the dialplan again (edge dialplan) and reload it.",
        ),
        Explanation(
            code="call.setup.repeated",
            layer=Layer.NETWORK,
            meaning="Some messages had to be sent again because no answer came in time (RFC 3261 §17.1.1.2).",
            caller_notices="Now and then half a second or more of silence before it rings.",
            causes=(
                "packet loss between caller and switch",
                "the switch was busy for half a second",
                "this machine was busy: look at its load beside the result",
            ),
            confirm="hwtest run sip.options meter.timing",
            mend="Mend the path if sip.options loses requests, too; otherwise look at the switch's load.",
        ),
    ),
    measure=measure,
)
