"""Probe 6: does the way to the switch carry voice: delay, loss, variation, its class of service, and SIP's longer messages?"""

from __future__ import annotations

import asyncio
import contextlib

from hwtest.echo import EXPEDITED, Echoes, EchoUnavailableError, echoes
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
from hwtest.useragent.dialog import Dialog, new_tag
from hwtest.useragent.transaction import TraceEntry

COUNT = 250
GAP_SECONDS = 0.02
"""As voice is sent: fifty packets a second."""
VOICE_BYTES = 200
"""Of an IP packet with 20 ms of G.711."""
SIP_BYTES = 1300
"""RFC 3261 §18.1.1: so long a request may be over UDP where the size of the path is not known."""
HEADERS_BYTES = 28
SIZES = (1500, SIP_BYTES + HEADERS_BYTES, 1000, 576)
TRIES = 3
ASKED = 5
ANSWER_SECONDS = 1.5


async def measure(site: Site, sheet: Sheet) -> None:
    """Echoes as voice would be sent, then whole packets of falling size, then SIP as long as it may be."""
    host = site.target.sip.host
    site.say(f"{COUNT} echoes, as voice is sent")
    try:
        seen = await asyncio.to_thread(echoes, host, COUNT, GAP_SECONDS, VOICE_BYTES, dscp=EXPEDITED)
        site.say("how long a packet gets through whole")
        size = await _path_mtu(host)
    except EchoUnavailableError as error:
        sheet.note(f"No echoes were sent: {error}.")
        await _long_sip(site, sheet)
        raise NotMeasuredError(str(error), error.mend) from None
    judge(sheet, host, seen, size)
    await _long_sip(site, sheet)
    if not seen.answers:
        raise NotMeasuredError(
            f"{host} answers no ICMP echo", f"let the firewall pass ICMP echo from this machine; ping {host}"
        )


async def _path_mtu(host: str) -> int | None:
    """The longest of our sizes that comes back whole; None when none does."""
    for size in SIZES:
        tried = await asyncio.to_thread(echoes, host, TRIES, GAP_SECONDS, size, whole=True, wait_seconds=0.5)
        if tried.answers:
            return size
    return None


def judge(sheet: Sheet, host: str, seen: Echoes, size: int | None) -> None:
    """Figures of the echoes. `size`: of the longest packet that came back whole."""
    trips = [answer.round_trip_ms for answer in seen.answers]
    numbers = {answer.number for answer in seen.answers}
    missing = [number for number in range(1, seen.sent + 1) if number not in numbers]
    told = Evidence(
        text=f"{seen.sent} ICMP echoes of {VOICE_BYTES} bytes to {host}, DSCP {EXPEDITED}, 50 a second; "
        f"without an answer: {', '.join(map(str, missing[:10])) or 'none'}"
    )
    if not trips:
        sheet.note("Without an answer nothing is known of delay, loss and class.")
        return
    note = "there and back; one way is not known without a clock at both ends"
    sheet.distribution("round_trip", "ms", trips, uncertainty=0.05, note=note, evidence=[told])
    least = min(trips)
    sheet.distribution(
        "delay_variation",
        "ms",
        [trip - least for trip in trips],
        uncertainty=0.05,
        note="beyond the least, as RFC 5481 §4.2 has it; there and back",
        evidence=[told],
    )
    sheet.share("lost", len(missing), seen.sent, evidence=[told])
    _class(sheet, seen, told)
    whole = Evidence(
        text=f"ICMP echoes that must not be cut up, of {', '.join(map(str, SIZES))} bytes to {host}"
    )
    sheet.value("path_mtu", "bytes", size, n=TRIES, note=f"at least; of {SIZES}", evidence=[whole])


def _class(sheet: Sheet, seen: Echoes, told: Evidence) -> None:
    marks = [answer.dscp for answer in seen.answers if answer.dscp is not None]
    if not marks:
        sheet.note("The kernel does not tell the class of what arrives, so DSCP was not looked at.")
        return
    kept = sum(mark == EXPEDITED for mark in marks)
    sheet.value("class_kept", "%", 100 * kept / len(marks), n=len(marks), note="there and back")
    if kept < len(marks):
        others = sorted({mark for mark in marks if mark != EXPEDITED})
        words = f"{len(marks) - kept} of {len(marks)} answers came back as DSCP {others}, not {EXPEDITED}"
        sheet.find(CLASS, Verdict.WARN, words, told)


async def _long_sip(site: Site, sheet: Sheet) -> None:
    """OPTIONS that fill what SIP may have over UDP."""
    site.say(f"SIP of {SIP_BYTES} bytes")
    answered, call_ids = 0, list[str]()
    address = site.target.sip
    uri = f"sip:{address.host}:{address.port}"
    async with site.user_agent() as agent:
        for _ in range(ASKED):
            tag = new_tag()
            dialog = Dialog(
                call_id=tag,
                local=f"<sip:hwtest@{agent.address[0]}:{agent.address[1]}>;tag={tag}",
                local_tag=tag,
                remote=f"<{uri}>",
                target=uri,
                contact=agent.contact,
            )
            request = dialog.request("OPTIONS", agent.new_via(), [("X-Padding", "")])
            request.headers[-1] = ("X-Padding", "x" * (SIP_BYTES - len(request.format())))
            trace = list[TraceEntry]()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await agent.exchange(request, uri, trace)
            if any(entry.direction == "received" for entry in trace):
                answered += 1
            else:
                call_ids.append(dialog.call_id)
        agent.close()
    if not answered and not await _speaks_sip(site):
        sheet.note(
            "Nobody answers SIP there at all, so its longer messages were not judged: see sip.options."
        )
        return
    told = Evidence(
        text=f"OPTIONS of {SIP_BYTES} bytes, {ASKED - answered} of {ASKED} without an answer",
        call_id=call_ids[0] if call_ids else None,
    )
    sheet.share("long_sip_lost", ASKED - answered, ASKED, evidence=[told])


async def _speaks_sip(site: Site) -> bool:
    address = site.target.sip
    uri = f"sip:{address.host}:{address.port}"
    async with site.user_agent() as agent:
        tag = new_tag()
        local = f"<sip:hwtest@{agent.address[0]}:{agent.address[1]}>;tag={tag}"
        dialog = Dialog(tag, local, tag, f"<{uri}>", uri, agent.contact)
        trace = list[TraceEntry]()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await agent.exchange(dialog.request("OPTIONS", agent.new_via()), uri, trace)
        agent.close()
    return any(entry.direction == "received" for entry in trace)


SLOW, UNSTEADY, LOST, CLASS, SHORT, LONG = (
    f"net.path.{word}" for word in ("slow", "unsteady", "lost", "class", "short", "long")
)

PROBE = Probe(
    name="net.path",
    number=6,
    title="The way to the switch carries voice",
    level=Level.SAFE,
    seconds=8.0,
    term="RTT, packet loss, PDV (packet delay variation), DSCP, path MTU",
    reference="ITU-T Y.1541 class 0; RFC 5481 §4.2 (PDV); RFC 3246 (EF); RFC 3261 §18.1.1 (size over UDP)",
    meaning=(
        "Signalling and voice share this way. What it loses or delays no switch can mend: before anything above is blamed, "
        "the way itself is measured with packets as large and as many as those of one call."
    ),
    thresholds=(
        Threshold(
            figure="round_trip",
            statistic="p95",
            passes=200.0,
            warns=400.0,
            unit="ms",
            clause="ITU-T Y.1541 class 0: 100 ms one way; 400 own",
            code=SLOW,
        ),
        Threshold(
            figure="delay_variation",
            statistic="p99",
            passes=50.0,
            warns=100.0,
            unit="ms",
            clause="ITU-T Y.1541 class 0: 50 ms; 100 own",
            code=UNSTEADY,
        ),
        Threshold(
            figure="lost",
            statistic="value",
            passes=0.1,
            warns=1.0,
            unit="%",
            clause="ITU-T Y.1541 class 0: 1 in 1000; 1 own",
            code=LOST,
        ),
        Threshold(
            figure="path_mtu",
            statistic="value",
            passes=float(SIP_BYTES + HEADERS_BYTES),
            warns=1000.0,
            unit="bytes",
            clause="RFC 3261 §18.1.1: 1300 bytes of SIP, and 28 of headers; 1000 own",
            code=SHORT,
            at_least=True,
        ),
        Threshold(
            figure="long_sip_lost",
            statistic="value",
            passes=0.0,
            warns=20.0,
            unit="%",
            clause="own; RFC 3261 §18.1.1",
            code=LONG,
        ),
    ),
    explanations=(
        Explanation(
            code=SLOW,
            layer=Layer.NETWORK,
            meaning="Packets need longer to the switch and back than a conversation bears.",
            caller_notices="The two speak into each other's words; calls ring and are answered late.",
            causes=(
                "a full line: its queue is longer than it should be",
                "a detour: a tunnel, a satellite or mobile line",
                "this machine or the switch was busy: look at meter.timing",
            ),
            confirm="ping -c 50 -i 0.2 SWITCH; mtr -n SWITCH",
            mend="Give voice and SIP a queue of their own on the full line, or take the shorter way.",
        ),
        Explanation(
            code=UNSTEADY,
            layer=Layer.NETWORK,
            meaning="Packets come unevenly, so that a phone must wait for the late ones or drop them.",
            caller_notices="Words are chopped, or answers come after a pause.",
            causes=(
                "voice shares a queue with large transfers",
                "Wi-Fi or a mobile line on the way",
                "a busy virtual machine on the way, or this one: look at meter.timing",
            ),
            confirm="ping -c 200 -i 0.02 SWITCH while the line is busy and while it is not; hwtest run audio.quality",
            mend="Mark voice as EF and give it priority on every port of the way; put phones on cable.",
        ),
        Explanation(
            code=LOST,
            layer=Layer.NETWORK,
            meaning="Packets are lost on the way.",
            caller_notices="Missing syllables; calls that ring half a second late as SIP is sent again.",
            causes=(
                "a bad cable or port, or one side at half duplex",
                "a full queue on the way",
                "a guard that limits ICMP alone: then audio.quality shows no loss",
            ),
            confirm="ip -s link; ethtool INTERFACE | grep -i duplex; mtr -n SWITCH; hwtest run audio.quality",
            mend="Replace what has errors, set both sides to negotiate, and give voice a queue of its own.",
        ),
        Explanation(
            code=CLASS,
            layer=Layer.NETWORK,
            meaning=(
                "Packets that were marked as voice come back with another mark. Either the way takes marks off, or the switch's "
                "host does not copy them into its answers."
            ),
            caller_notices="Nothing while lines are empty; chopped words as soon as they are full.",
            causes=(
                "a router or an access point does not trust marks and sets them to 0",
                "a provider re-marks what enters its network",
                "the host answers without the mark, which says nothing of the way",
            ),
            confirm="on the appliance: tcpdump -vn icmp | grep tos; with 0xb8 in requests the way there keeps it",
            mend="Have the ports on the way trust DSCP, and agree with the provider which mark it keeps.",
        ),
        Explanation(
            code=SHORT,
            layer=Layer.NETWORK,
            meaning="A packet as long as SIP may be does not get through in one piece.",
            caller_notices="Some calls fail at once, those with long messages: many codecs, diverted calls, recordings.",
            causes=(
                "a tunnel or PPPoE on the way whose headers were not allowed for",
                "a firewall that drops the messages about it (ICMP fragmentation needed)",
            ),
            confirm="ping -M do -s 1300 SWITCH; tracepath -n SWITCH",
            mend="Raise the MTU of the tunnel, let ICMP type 3 code 4 pass, or carry SIP over TCP or TLS.",
        ),
        Explanation(
            code=LONG,
            layer=Layer.NETWORK,
            meaning="Short SIP messages are answered and long ones are not.",
            caller_notices="Some calls fail at once, those with long messages: many codecs, diverted calls, recordings.",
            causes=(
                "pieces of a cut-up packet are dropped by a firewall or a NAT",
                "a SIP helper (ALG) in a router cannot read long messages",
                "loss on the way, which hits two pieces twice as often",
            ),
            confirm="on the appliance: tcpdump -n 'udp port 5060 or (ip[6:2] & 0x3fff != 0)'",
            mend="Let fragments pass, turn the SIP ALG off, or carry SIP over TCP or TLS.",
        ),
    ),
    measure=measure,
)
