"""Probe 3: what do our own phones make of a call that has nothing between them?"""

from __future__ import annotations

import asyncio
import contextlib
from statistics import median

from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Layer,
    Level,
    Need,
    NotMeasuredError,
    Probe,
    Threshold,
)
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.softphone.build import find
from hwtest.softphone.messages import Settings
from hwtest.softphone.pair import pair
from hwtest.useragent import IncomingCall, OutgoingCall, SipError

CALLS = 40
GAP_SECONDS = 0.05
ANSWER_SECONDS = 2.0
CHIRPS = 3


async def measure(site: Site, sheet: Sheet) -> None:
    """Signalling between two of our user agents at an even pace, then audio between two software phones; nobody else."""
    site.say("calls from our phone to our phone")
    await _signalling(site, sheet)
    library = find()
    if library is None:
        raise NotMeasuredError(
            "the software phones (PJSUA2) are not built on this machine yet",
            "python -m hwtest.softphone build (a minute, once)",
        )
    site.say("audio from our phone to our phone")
    host = site.target.local_address
    async with (
        pair(library, Settings(allowed_hosts=(host,)), host) as phones,
        phones.direct() as conversation,
    ):
        latency = await phones.latency(
            conversation,
            site.folder,
            count=CHIRPS,
            seed=site.dice.getrandbits(32),
            name="meter-baseline",
        )
        statistics = await conversation.callee.statistics()
        version = phones.version
    received = statistics.received
    evidence = (
        Evidence(
            text=f"PJSUA2 {version}, {statistics.codec}: {received.packets} packets received, {received.lost} lost, "
            f"{received.discarded} discarded",
            call_id=conversation.callee.call_id,
        ),
    )
    sheet.share("own_audio_lost", received.lost, received.packets + received.lost, evidence=evidence)
    sheet.share("own_chirps_found", 2 * CHIRPS - latency.missed, 2 * CHIRPS, evidence=evidence)
    if latency.forth and latency.back:
        both = median(m.milliseconds for m in latency.forth) + median(m.milliseconds for m in latency.back)
        sheet.value(
            "own_mouth_to_ear",
            "ms",
            both / 2,
            n=len(latency.forth) + len(latency.back),
            uncertainty=5.0,
            note="half of both ways together; audio.latency subtracts what it measures itself",
            evidence=evidence,
        )


async def _signalling(site: Site, sheet: Sheet) -> None:
    agent, caller = site.user_agent("baseline-agent"), site.user_agent("baseline-caller")
    agent.on_invite = IncomingCall.answer
    calls = list[OutgoingCall]()
    began = asyncio.get_running_loop().time()
    for index in range(CALLS):
        calls.append(site.call_own(caller, agent))
        due = (
            began + (index + 1) * GAP_SECONDS
        )  # on a schedule, whatever the call takes: none may hold up the next
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
    answered = 0
    for call in calls:
        with contextlib.suppress(TimeoutError, SipError):
            await call.answered(ANSWER_SECONDS)
            answered += 1
            await call.hang_up()
    sent = [entry for call in calls for entry in call.trace if entry.direction == "sent"]
    invites = sum(entry.label == "INVITE" for entry in sent)
    byes = sum(entry.label == "BYE" for entry in sent)
    repeated = max(0, invites - CALLS) + max(0, byes - answered)
    stamps = [(call.stamp_of("INVITE"), call.stamp_of("200"), call) for call in calls]
    delays_ms = [
        (last.monotonic_ns - first.monotonic_ns) / 1e6 for first, last, _ in stamps if first and last
    ]
    await agent.shut_down(1.0)
    await caller.shut_down(1.0)
    evidence = tuple(
        Evidence(text="not answered by our own phone", call_id=call.dialog.call_id)
        for first, last, call in stamps
        if last is None
    )
    sheet.share("own_calls_answered", answered, CALLS, evidence=evidence[:5])
    sheet.value("own_repeated", "messages", repeated, n=len(sent))
    sheet.distribution(
        "own_answer",
        "ms",
        delays_ms,
        uncertainty=0.1,
        note="INVITE to 200 with nothing between our phones: a part of every set-up time that hwtest tells",
    )


PROBE = Probe(
    name="meter.baseline",
    number=3,
    title="Our own phones lose nothing",
    level=Level.SAFE,
    needs=frozenset({Need.SOFTPHONE}),
    seconds=12.0,
    term="baseline of the test equipment without the device under test",
    reference="RFC 7502 §6.1 (baseline session establishment rate of the test bed)",
    meaning=(
        "What the instrument itself loses, delays or repeats would be blamed on the appliance. So its phones first call each "
        "other, with nothing between them: the appliance is not touched."
    ),
    thresholds=(
        Threshold(
            figure="own_calls_answered",
            statistic="value",
            passes=100.0,
            warns=100.0,
            unit="%",
            clause="RFC 7502 §6.1: what is achieved is what was offered",
            code="meter.baseline.calls",
            at_least=True,
        ),
        Threshold(
            figure="own_repeated",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="messages",
            clause="RFC 3261 §17.1.1.2: repeated after T1, 500 ms; on one machine never",
            code="meter.baseline.repeated",
        ),
        Threshold(
            figure="own_answer",
            statistic="p95",
            passes=5.0,
            warns=20.0,
            unit="ms",
            clause="own",
            code="meter.baseline.slow",
        ),
        Threshold(
            figure="own_audio_lost",
            statistic="value",
            passes=0.0,
            warns=0.5,
            unit="%",
            clause="own: on one machine nothing is lost",
            code="meter.baseline.audio",
        ),
        Threshold(
            figure="own_chirps_found",
            statistic="value",
            passes=100.0,
            warns=80.0,
            unit="%",
            clause="own",
            code="meter.baseline.audio",
            at_least=True,
        ),
        Threshold(
            figure="own_mouth_to_ear",
            statistic="value",
            passes=100.0,
            warns=150.0,
            unit="ms",
            clause="own: a jitter buffer of 40 ms, two frames of 20 ms and some reserve",
            code="meter.baseline.audio",
        ),
    ),
    explanations=(
        Explanation(
            code="meter.baseline.calls",
            layer=Layer.METER,
            meaning="Some calls between our own phones were not answered: failures told of the appliance may be ours.",
            caller_notices="Nothing: this is the instrument, not the appliance.",
            causes=(
                "this machine is overloaded",
                "a local firewall drops UDP between our own ports",
                "the local address in the target's file is not this machine's",
            ),
            confirm="hwtest run meter.timing; uptime; nft list ruleset",
            mend="Close what loads this machine, or measure from another one.",
        ),
        Explanation(
            code="meter.baseline.repeated",
            layer=Layer.METER,
            meaning="Our own phones had to say something twice to each other.",
            caller_notices="Nothing: this is the instrument, not the appliance.",
            causes=(
                "this machine stood still for half a second or more: load, swapping, a virtual machine that was paused",
                "the receive buffer of a socket was full",
            ),
            confirm="hwtest run meter.timing; nstat -az UdpRcvbufErrors; vmstat 1 5",
            mend="Give this machine rest or processors, and measure again; until then repeated messages prove nothing.",
        ),
        Explanation(
            code="meter.baseline.slow",
            layer=Layer.METER,
            meaning="Our own phones answer each other slowly, and every set-up time contains that.",
            caller_notices="Nothing: this is the instrument, not the appliance.",
            causes=(
                "other programs take the processor",
                "a slow machine, or one whose processor is throttled",
            ),
            confirm="hwtest run meter.timing; uptime",
            mend="Close what loads this machine; for milliseconds use one that has nothing else to do.",
        ),
        Explanation(
            code="meter.baseline.audio",
            layer=Layer.METER,
            meaning="Audio between our own software phones is lost, or takes longer than their buffers explain.",
            caller_notices="Nothing: this is the instrument, not the appliance.",
            causes=(
                "this machine is too busy to keep the 20 ms of audio",
                "processors that are given away to other guests (steal)",
            ),
            confirm="hwtest run meter.timing; top -H while it runs",
            mend="Give this machine rest, and take audio figures only when this passes.",
        ),
    ),
    measure=measure,
)
