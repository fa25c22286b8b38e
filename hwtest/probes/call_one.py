"""Probe 11: one call to the test line, message by message, from the dialling to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hwtest.capture import Record
from hwtest.ladder import Leg, ladder_of, numbers_of
from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Ladder,
    Layer,
    Level,
    Probe,
    Threshold,
    Verdict,
)
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.useragent import AgentPhone, CallEnded, CallState, OutgoingCall, answering
from hwtest.useragent.authorization import CHALLENGES
from hwtest.useragent.call import Call

RING_SECONDS = 10.0
"""So long the answer and the test phone are waited for, from the dialling on."""
POLL_SECONDS = 0.02
ANSWER_AFTER_SECONDS = 0.5
TALK_SECONDS = 1.5
END_SECONDS = 3.0
_CODES = {
    **dict.fromkeys((408, 480, 486, 500, 503, 504, 600), "call.one.unavailable"),
    **dict.fromkeys((401, 403, 407), "call.one.refused"),
    **dict.fromkeys((415, 488, 606), "call.one.codec"),
}
"""By the status that ended a call before it was answered; every other is `rejected`."""


@dataclass(slots=True)
class Seen:
    """What the calling side saw, in seconds and milliseconds; None for what did not happen."""

    request_delay_seconds: float | None = None
    disconnect_delay_ms: float | None = None
    session_seconds: float | None = None
    bye_status: int | None = None
    """Of the final answer to the first BYE."""


async def measure(site: Site, sheet: Sheet) -> None:
    """Call, let the test phone answer, talk a moment, hang up; then read what was said."""
    name, line = site.test_line()
    assert line.phone is not None, "a test line has a phone"
    async with (
        site.wire_or_stamps(sheet) as capture,
        site.phone(line.phone, answering(answer_after_seconds=ANSWER_AFTER_SECONDS)) as phone,
    ):
        async with site.dial(line.number) as call:
            site.say(f"calling line {name}")
            try:
                trouble = await _talk(site, sheet, call, phone)
            except asyncio.CancelledError:
                sheet.ladder(ladder_of(f"A call to line {name}, as far as it came", _legs(call, phone)))
                raise
            if call.state is CallState.ANSWERED:
                with contextlib.suppress(TimeoutError):  # a BYE without an answer is told below
                    async with asyncio.timeout(END_SECONDS):
                        await call.hang_up()
            ended_by = call.ended_by
        ended = not phone.calls or await _ends(phone.calls[-1])
        records = (await capture.take()).records if capture is not None else []
    ladder = ladder_of(f"A call to line {name}, times in milliseconds", _legs(call, phone))
    sheet.ladder(ladder)
    told = Evidence(text="the ladder of this call", call_id=call.dialog.call_id)
    if trouble is not None:
        code, words = trouble
        sheet.find(code, Verdict.FAIL, words, told)
        return
    seen = seen_by(call, records)
    _figures(sheet, seen, ladder, told)
    if unclean := _unclean(seen, ended_by, phone_ended=ended):
        sheet.find("call.one.unclean", Verdict.FAIL, unclean, told)


def _unclean(seen: Seen, ended_by: str | None, *, phone_ended: bool) -> str | None:
    """What was wrong with the end, in words; None for a clean one."""
    if ended_by == "remote":
        return "the call ended before it was hung up"
    if seen.bye_status is None:
        return f"the BYE had no answer within {END_SECONDS:.0f} s"
    if seen.bye_status >= 300:
        return f"the switch answered the BYE with {seen.bye_status}: it knew no such call any more, or could not end it"
    return None if phone_ended else "the test phone's leg was not ended"


def _legs(call: OutgoingCall, phone: AgentPhone) -> list[Leg]:
    return [Leg("caller", call), *(Leg(f"phone {phone.user}", rung) for rung in phone.calls[-1:])]


async def _talk(site: Site, sheet: Sheet, call: OutgoingCall, phone: AgentPhone) -> tuple[str, str] | None:
    """Until both have talked a moment; the code and the words of what went wrong before."""
    until = time.monotonic() + RING_SECONDS
    try:
        await call.answered(RING_SECONDS)
    except CallEnded as end:
        code = _CODES.get(end.status or 0, "call.one.rejected")
        return code, f"the call was ended with status {end.status} before it was answered"
    except TimeoutError:
        return _unanswered(call, phone)
    if not phone.calls:  # a line may answer, greet, and ring then
        sheet.note("The switch answered before it rang the test phone.")
        if not await _is_rung(phone, call, until):
            return "call.one.misrouted", "the call was answered, and not by the test phone"
    site.say("talking")
    await asyncio.sleep(TALK_SECONDS)
    return None


async def _is_rung(phone: AgentPhone, call: OutgoingCall, until: float) -> bool:
    """Whether the phone is rung before this instant, and while the call stands."""
    while not phone.calls:
        if call.state is not CallState.ANSWERED or time.monotonic() >= until:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True


def _unanswered(call: OutgoingCall, phone: AgentPhone) -> tuple[str, str]:
    """Which of the ways in which nobody answers it was."""
    if not any(entry.direction == "received" for entry in call.trace):
        return (
            SILENT,
            f"the switch answered the test phone's REGISTER, and the INVITE not at all in {RING_SECONDS:.0f} s",
        )
    if not phone.calls:
        heard = (
            "the caller hears ringing" if call.reached >= CallState.RINGING else "nothing was heard either"
        )
        return "call.one.unrung", f"the test phone was not rung within {RING_SECONDS:.0f} s; {heard}"
    return "call.one.unjoined", "the test phone answered, and the caller was not told within so long"


async def _ends(rung: Call) -> bool:
    try:
        await rung.ended(END_SECONDS)
    except TimeoutError:
        return False
    return True


def seen_by(call: OutgoingCall, records: Sequence[Record]) -> Seen:
    """From the wire where it was captured, else from the caller's stamps. Retransmissions never reset a time (RFC 6076 §3)."""
    first = dict[tuple[str, str], int]()
    if own := [record for record in records if record.call_id == call.dialog.call_id]:
        for record in own:
            first.setdefault((record.label, record.method), record.stamp_ns)
    else:
        for entry in call.trace:
            first.setdefault((entry.label, entry.method), entry.monotonic_ns)
    invite, answer = first.get(("INVITE", "INVITE")), first.get(("200", "INVITE"))
    bye = first.get(("BYE", "BYE"))
    ends = {int(label): at for (label, method), at in first.items() if method == "BYE" and _is_final(label)}
    # where the BYE was challenged, what was said to the password
    said = ends.keys() - CHALLENGES or ends.keys()
    status = min(said, key=ends.__getitem__, default=None)
    goodbye = ends[status] if status is not None and status < 300 else None
    rings = [at for (label, method), at in first.items() if method == "INVITE" and _is_sign(label)]
    signs = [at for at in (*rings, answer) if at is not None]
    return Seen(
        request_delay_seconds=(min(signs) - invite) / 1e9 if invite is not None and signs else None,
        disconnect_delay_ms=(goodbye - bye) / 1e6 if bye is not None and goodbye is not None else None,
        session_seconds=(bye - answer) / 1e9 if bye is not None and answer is not None else None,
        bye_status=status,
    )


def _is_sign(label: str) -> bool:
    """Whether it is a provisional answer that tells more than that the request came (RFC 6076 §4.3): 180, 182, 183 and others."""
    return label.isdecimal() and 100 < int(label) < 200


def _is_final(label: str) -> bool:
    return label.isdecimal() and int(label) >= 200


def _figures(sheet: Sheet, seen: Seen, ladder: Ladder, told: Evidence) -> None:
    byes = Evidence(text="BYE and its answer", call_id=told.call_id, messages=numbers_of(ladder, "BYE"))
    again = tuple(number for number, message in enumerate(ladder.messages, 1) if message.repeated)
    repeated = Evidence(text="messages that were sent again", call_id=told.call_id, messages=again)
    note = "of a call that was answered; failures are not pooled with it"
    sheet.value("session_request_delay", "s", seen.request_delay_seconds, note=note, evidence=[told])
    without = "the BYE had no 200" if seen.disconnect_delay_ms is None else ""
    sheet.value("session_disconnect_delay", "ms", seen.disconnect_delay_ms, note=without, evidence=[byes])
    sheet.value("session_duration", "s", seen.session_seconds, note="200 to BYE, talk on purpose")
    sheet.value("sent_again", "messages", len(again), n=len(ladder.messages), evidence=[repeated])


SILENT = "call.one.silent"

PROBE = Probe(
    name="call.one",
    number=11,
    title="One call gets through, and ends cleanly",
    level=Level.SAFE,
    seconds=4.0,
    term="SRD, SDD, SDT of one call",
    reference="RFC 6076 §4.3 (SRD), §4.4 (SDD), §4.5 (SDT); RFC 3261 §13, §15",
    meaning=(
        "Everything that a call needs, once: the line is known, the phone is rung, both are joined, and both are let go. "
        "Its ladder is what an engineer looks at first."
    ),
    thresholds=(
        Threshold(
            figure="session_request_delay",
            statistic="value",
            passes=1.0,
            warns=6.0,
            unit="s",
            clause="1 own; 6 ITU-T E.721 table 2, local connection, 95 %",
            code="call.one.slow",
        ),
        Threshold(
            figure="session_disconnect_delay",
            statistic="value",
            passes=200.0,
            warns=600.0,
            unit="ms",
            clause="own",
            code="call.one.lingers",
        ),
        Threshold(
            figure="sent_again",
            statistic="value",
            passes=0.0,
            warns=2.0,
            unit="messages",
            clause="own; RFC 3261 §17.1.1.2: after T1, 500 ms, without an answer",
            code="call.one.repeated",
        ),
    ),
    explanations=(
        Explanation(
            code="call.one.slow",
            layer=Layer.SWITCH,
            meaning="The caller waits long for the first sign that the call is on its way (180, 183 or 200).",
            caller_notices="Silence after dialling; people hang up and dial again.",
            causes=(
                "name look-ups that time out on the switch's host",
                "the switch or the daemon is overloaded",
                "the line's dialplan waits, plays or asks something before it rings",
            ),
            confirm="hwtest run sip.options ctl.link; look at the ladder between INVITE and 180",
            mend="Mend the look-ups (the host's own name in /etc/hosts) or what the ladder shows to be late.",
        ),
        Explanation(
            code="call.one.lingers",
            layer=Layer.SWITCH,
            meaning="The switch takes long to confirm that a call is over.",
            caller_notices="Nothing at first; the line counts as busy for so long.",
            causes=("the switch is overloaded", "messages are lost and sent again"),
            confirm="hwtest run sip.options; asterisk -rx 'core show taskprocessors'",
            mend="Lighten the switch's load, or mend the path where messages are lost.",
        ),
        Explanation(
            code="call.one.repeated",
            layer=Layer.NETWORK,
            meaning="Messages of the call had to be sent again, because no answer came within half a second.",
            caller_notices="Ringing starts late, or a call does not end when one hangs up.",
            causes=(
                "packets are lost on the way",
                "the other side was too busy to answer in time",
                "answers go to another address than they should (NAT, a wrong Contact)",
            ),
            confirm="look at the red messages of the ladder; hwtest run sip.options net.path",
            mend="Mend the path; behind NAT let the switch answer where requests came from (force_rport, rewrite_contact).",
        ),
        Explanation(
            code="call.one.rejected",
            layer=Layer.DIALPLAN,
            meaning="The switch refuses the call: it does not know the number for this caller, or forbids it.",
            caller_notices="A tone or a message that the number cannot be reached.",
            causes=(
                "the line is not in the dialplan that serves this trunk: a wrong context",
                "the number in the target's file is not the test line's",
                "the switch takes no calls from this address",
            ),
            confirm="asterisk -rx 'dialplan show NUMBER@edge-lines'; asterisk -rx 'pjsip show identifies'",
            mend="Generate and load the dialplan again (edge dialplan); put the trunk into its context.",
        ),
        Explanation(
            code="call.one.refused",
            layer=Layer.TRUNK,
            meaning="The switch does not take calls from here: it asks for a password, or forbids them.",
            caller_notices="The network's announcement that the call cannot be connected, or an engaged tone.",
            causes=(
                "the trunk's address is not the one that the switch knows it by (identify, match)",
                "an access list of the switch or of the trunk's endpoint (acl, deny) refuses it",
                "the trunk has to register or to give a password that was changed",
            ),
            confirm="asterisk -rx 'pjsip show identifies'; asterisk -rx 'pjsip show endpoint TRUNK'; look at the security log",
            mend="Give the trunk's address in `match` (and the access list), or its password; then: asterisk -rx 'pjsip reload'.",
        ),
        Explanation(
            code="call.one.codec",
            layer=Layer.SWITCH,
            meaning="The switch and the caller have no codec in common (488 Not Acceptable Here).",
            caller_notices="The call fails at once, or the network's announcement is heard.",
            causes=(
                "`allow` of the endpoint leaves out G.711 (ulaw, alaw), which every trunk of a UK network offers",
                "the endpoint asks for encrypted audio (media_encryption) that the caller does not offer",
            ),
            confirm="asterisk -rx 'pjsip show endpoint TRUNK' | grep -E 'allow|media_encryption'",
            mend="Set `disallow = all` and `allow = alaw,ulaw` for the trunk's endpoint; then: asterisk -rx 'pjsip reload'.",
        ),
        Explanation(
            code="call.one.unavailable",
            layer=Layer.SWITCH,
            meaning="The switch knows the number and cannot serve the call now.",
            caller_notices="A tone or a message that all is busy, or that the number is out of order.",
            causes=(
                "the switch has no RTP ports, channels or file descriptors left",
                "it takes the test phone for busy (486): another call of it, or a registration of it from elsewhere",
                "nobody and nothing could take the call, and the line's last resort is to end it",
                "the switch is shutting down",
            ),
            confirm="asterisk -rx 'core show channels count'; grep -iE 'error|no free' /var/log/asterisk/messages | tail",
            mend="Raise what has run out (rtp.conf, LimitNOFILE), or end what holds it.",
        ),
        Explanation(
            code=SILENT,
            layer=Layer.SWITCH,
            meaning="The switch registers phones, and does not answer a call's INVITE with anything, not even 100 Trying.",
            caller_notices="Silence after dialling, until the network gives up.",
            causes=(
                "the switch is overloaded and drops what begins something new",
                "an INVITE is longer than a REGISTER: pieces of it are dropped on the way (net.path shows that)",
                "a firewall or a SIP helper (ALG) of a router takes calls away",
                "the trunk's address of this machine is not known to the switch, which then keeps silent",
            ),
            confirm="hwtest run net.path sip.options; asterisk -rx 'pjsip set logger on' during a call: does the INVITE arrive?",
            mend="Where it arrives, lighten the switch or let it know this address; where not, mend the way: fragments, ALG.",
        ),
        Explanation(
            code="call.one.unrung",
            layer=Layer.DAEMON,
            meaning="The switch took the call, and did not ring the phone that this line is for, though it is registered.",
            caller_notices="Ringing or music without end, until the switch's own fallback takes over.",
            causes=(
                "the daemon does not run or does not see the switch",
                "the line is not marked as a test line with this phone (test_phone)",
                "the phone counts as busy or unavailable",
            ),
            confirm="edge status; edge calls --last 1 --test; edge why CALL",
            mend="Start the daemon, or name the phone as test_phone of this line in its configuration.",
        ),
        Explanation(
            code="call.one.unjoined",
            layer=Layer.DAEMON,
            meaning="The phone answered, and the caller was not joined to it.",
            caller_notices="Ringing goes on although somebody has answered.",
            causes=(
                "the daemon's link to the switch was lost just then",
                "the switch could not join the two: no codec in common, no ports",
            ),
            confirm="edge why CALL; grep -iE 'bridge|codec|translat' /var/log/asterisk/messages | tail",
            mend="Look at the ladder for a refused answer; mend codecs or the daemon's link.",
        ),
        Explanation(
            code="call.one.misrouted",
            layer=Layer.DIALPLAN,
            meaning="Somebody or something else than the test phone answered a call to the test line.",
            caller_notices="Test calls disturb people: nothing else may be tested before this is mended.",
            causes=(
                "the line's number is not a test line",
                "a fallback (a recorded message, another phone) answered first",
            ),
            confirm="edge calls --last 1 --test; asterisk -rx 'dialplan show NUMBER@edge-lines'",
            mend="Correct the number or the line at once, and test again with somebody listening at the phones.",
        ),
        Explanation(
            code="call.one.unclean",
            layer=Layer.SWITCH,
            meaning="After the call was hung up a leg of it went on, or the switch ended it before it was hung up.",
            caller_notices="An agent is left with a dead call, or a caller is cut off.",
            causes=(
                "the switch lost the BYE or does not pass it on",
                "a session timer or an RTP time-out ended it",
                "the daemon or the switch restarted during the call",
            ),
            confirm="look at the end of the ladder; asterisk -rx 'core show channels verbose'",
            mend="End stray channels (asterisk -rx 'channel request hangup NAME'); see why the BYE was not passed on.",
        ),
    ),
    measure=measure,
)
