"""Probe 31: packets are lost and late on the callers' path. Is every call still set up and ended?"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from hwtest.lab.contract import Address
from hwtest.lab.relay import Harm, Relay
from hwtest.probes.contract import Evidence, Explanation, Layer, Level, NotMeasuredError, Probe, Threshold
from hwtest.probes.sheet import Sheet
from hwtest.rehearsal import lab_of
from hwtest.site import Site
from hwtest.target import Phone, Target
from hwtest.useragent import Call, CallEnded, SipError, answering
from hwtest.useragent.transaction import TraceEntry

CALLS = 15
ANSWER_SECONDS = 32.0
"""Timer B of RFC 3261: until then an INVITE is sent again."""
TALK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Path:
    """One state of the path. `judged`: whether no call may be lost in it."""

    name: str
    words: str
    harm: Harm
    judged: bool = True


PATHS = (
    Path("loss_1", "1 % of all packets lost", Harm(loss=0.01, sip_loss=0.01)),
    Path("loss_3", "3 % of all packets lost", Harm(loss=0.03, sip_loss=0.03)),
    Path("loss_5", "5 % of all packets lost", Harm(loss=0.05, sip_loss=0.05), judged=False),
    Path("delay_100", "100 ms more each way, 20 ms jitter", Harm(sip_delay_seconds=0.1, jitter_seconds=0.02)),
)


async def measure(site: Site, sheet: Sheet) -> None:
    """Calls to the test line over each path."""
    lab_of(site)
    name, line = site.test_line()
    if line.phone is None:
        raise NotMeasuredError(f"line {name} rings no phone of ours", "hwtest lab up")
    sheet.note(
        "A relay on loopback between phones and switch harms both legs' SIP and the callers' RTP, without root."
    )
    for path in PATHS:
        relay = Relay(site.target.sip.port, path.harm, seed=site.dice.randrange(1 << 30))
        try:
            await _calls(site, sheet, path, through(site.target, relay.port))
        finally:
            await asyncio.to_thread(relay.close)


def through(target: Target, port: int) -> Target:
    """The same target by way of a relay at this port."""
    place = f"{target.sip.host}:{port}"

    def moved(phone: Phone) -> Phone:
        return dataclasses.replace(phone, registrar=place)

    phones = {name: moved(phone) for name, phone in target.phones.items()}
    return dataclasses.replace(target, sip=Address(host=target.sip.host, port=port), phones=phones)


async def _calls(site: Site, sheet: Sheet, path: Path, target: Target) -> None:
    name, line = site.test_line()
    lost, delays, again = list[str](), list[float](), 0
    async with (
        Site(target, site.folder, lab_allowed=site.lab_allowed, seed=site.dice.randrange(1 << 30)) as beyond,
        beyond.phone(line.phone or name, answering()),
    ):
        for number in range(CALLS):
            site.say(f"{path.words}, call {number + 1} of {CALLS}")
            async with beyond.dial(line.number) as call:
                try:
                    await call.answered(ANSWER_SECONDS)
                    await call.lasts(TALK_SECONDS)
                    await call.hang_up()
                except (CallEnded, TimeoutError, SipError):
                    lost.append(f"{call.dialog.call_id} ({call.status or 'no answer'})")
                    continue
                if fault := fault_of(call):
                    lost.append(f"{call.dialog.call_id} ({fault})")
                delays.append(_delay(call.trace))
                again += sum(e.label == "INVITE" and e.direction == "sent" for e in call.trace) - 1
    told = [
        Evidence(
            text=f"{len(lost)} of {CALLS} calls lost: {', '.join(lost[:3]) or 'none'}; {again} INVITEs sent again"
        )
    ]
    note = path.words + ("" if path.judged else "; shown, not judged")
    sheet.value(f"{path.name}_calls_lost", "calls", len(lost), n=CALLS, note=note, evidence=told)
    sheet.distribution(
        f"{path.name}_request_delay",
        "s",
        delays,
        note=f"SRD of calls that were answered, {path.words}",
        evidence=told,
    )


def fault_of(call: Call) -> str | None:
    """Why a call that was answered did not end as its caller wanted; None when it did."""
    if call.ended_by == "remote":
        return "ended before its caller hung up"
    return None if call.stamp_of("200", "BYE", "received") else "its BYE had no 200"


def _delay(trace: Sequence[TraceEntry]) -> float:
    """INVITE to the first sign of progress; retransmissions never reset it (RFC 6076 §4.3)."""
    invite = next(e.monotonic_ns for e in trace if e.label == "INVITE")
    sign = next(e.monotonic_ns for e in trace if e.method == "INVITE" and e.label in ("180", "183", "200"))
    return (sign - invite) / 1e9


def _lost(path: str) -> Threshold:
    return Threshold(
        figure=f"{path}_calls_lost",
        statistic="value",
        passes=0.0,
        warns=0.0,
        unit="calls",
        clause="own; RFC 3261 §17: UDP is made reliable by sending again until 64 T1",
        code="fault.net.lost",
    )


PROBE = Probe(
    name="fault.net",
    number=31,
    title="Up to 3 % loss and 100 ms delay lose no call",
    level=Level.LAB,
    seconds=90.0,
    term="call set-up and release over a lossy path",
    reference="RFC 3261 §17 (timers A, B, E, F, G, H); RFC 6076 §4.3 (SRD)",
    meaning=(
        "SIP over UDP loses messages and sends them again. On a poor line calls are set up later, and none may be lost: not at "
        "the caller's side, and not because the daemon or the dialplan gives up sooner than SIP does."
    ),
    thresholds=(
        *(_lost(path.name) for path in PATHS if path.judged),
        *(
            Threshold(
                figure=f"{path.name}_request_delay",
                statistic="max",
                passes=6.0,
                warns=11.0,
                unit="s",
                clause="ITU-T E.721 table 2: 6 s local, 11 s international, 95 %",
                code="fault.net.slow",
            )
            for path in PATHS
            if path.judged
        ),
    ),
    explanations=(
        Explanation(
            code="fault.net.lost",
            layer=Layer.SWITCH,
            meaning="A call was not set up, or could not be ended, over a path that loses a few packets or delays them.",
            caller_notices="No connection, and the caller dials again.",
            causes=(
                "T1 or Timer B was lowered on the switch (pjsip.conf, timer_t1, timer_b)",
                "something on the way answers 408 or 503 before SIP's own timers end",
                "the daemon or the dialplan gives an offer up after too short a time",
            ),
            confirm="asterisk -rx 'pjsip show settings' | grep timer; hwtest run call.one",
            mend="Leave T1 at 500 ms and Timer B at 32 s; use TCP or TLS to the trunk where the line is that poor.",
        ),
        Explanation(
            code="fault.net.slow",
            layer=Layer.SWITCH,
            meaning="Over such a path the caller waits very long for the first sign of progress.",
            caller_notices="Silence after dialling; people hang up and dial again.",
            causes=(
                "messages are sent again later than T1 says",
                "several messages in a row are needed before the first sign (authentication, look-ups)",
            ),
            confirm="asterisk -rx 'pjsip show settings' | grep timer_t1; the ladder of call.one",
            mend="Leave T1 at 500 ms; let the trunk be known by its address rather than by a password for each call.",
        ),
    ),
    measure=measure,
)
