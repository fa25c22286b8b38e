"""Probe 14: does each end hear the other, loud enough, at once, and nobody else?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from hwtest.audio.signal import (
    LEG_FREQUENCIES_HZ,
    Samples,
    level_dbm0,
    read_wav,
    tone,
    tone_levels_dbm0,
    write_wav,
)
from hwtest.probes.contract import Evidence, Explanation, Layer, Level, Need, Probe, Threshold, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.softphone.messages import Statistics
from hwtest.softphone.pair import pair_at
from hwtest.softphone.phone import SoftphoneCall

LISTEN_SECONDS = 4.0
WINDOW_SECONDS = 0.1
LEAST_DBM0 = -90.0
"""What is softer, silence included, is written down as this."""
HEARD_DBM0 = -40.0
LOST_DBM0 = -60.0
"""What is softer is not faint: it has not come at all."""
CROSSED_DBM0 = -40.0


@dataclass(frozen=True, slots=True)
class Side:
    """One end: who it is, its tone and the other's."""

    name: str
    call: SoftphoneCall
    own_hz: int
    other_hz: int


async def measure(site: Site, sheet: Sheet) -> None:
    """One call, a tone of its own each way, and what each end heard."""
    frequencies = site.dice.sample(LEG_FREQUENCIES_HZ, 2)
    async with pair_at(site) as (phones, number), phones.through(site, number) as conversation:
        sides = (
            Side("caller", conversation.caller, frequencies[0], frequencies[1]),
            Side("agent", conversation.callee, frequencies[1], frequencies[0]),
        )
        for side in sides:
            await side.call.record(site.file(f"twoway-{side.name}-heard.wav"))
        for side in sides:
            spoken = site.file(f"twoway-{side.name}-speaks.wav")
            write_wav(spoken, tone(side.own_hz, 1.0))  # whole periods: repeated without a click
            await side.call.play(spoken, loop=True)
        site.say("both speak, both listen")
        await asyncio.sleep(LISTEN_SECONDS)
        statistics = [await side.call.statistics() for side in sides]
        for side in sides:
            await side.call.quiet()
    for side, received in zip(sides, statistics, strict=True):
        _judge(sheet, side, received, site.folder / f"twoway-{side.name}-heard.wav")


def _judge(sheet: Sheet, side: Side, statistics: Statistics, file: Path) -> None:
    heard = read_wav(file)
    sheet.artefact(file.name, f"what the {side.name} heard, 8000 Hz")
    levels = tone_levels_dbm0(heard, side.other_hz, WINDOW_SECONDS)
    loudest = max([LEAST_DBM0, *levels])
    evidence = _evidence(side, statistics, heard, file)
    sheet.value(
        f"heard_by_{side.name}",
        "dBm0",
        round(loudest, 1) if loudest > LOST_DBM0 else None,
        uncertainty=0.2,
        note=f"a tone of {side.other_hz} Hz, spoken at -10 dBm0; {statistics.codec}",
        evidence=(evidence,),
    )
    first = next((index for index, level in enumerate(levels) if level >= HEARD_DBM0), None)
    if first is not None:
        sheet.value(
            f"until_heard_by_{side.name}", "s", (first + 1) * WINDOW_SECONDS, uncertainty=WINDOW_SECONDS
        )
        since = levels[first:]
        heard_on = sum(level >= HEARD_DBM0 for level in since)
        note = f"of the tenths of a second since it was first heard; {len(since)} of them"
        sheet.share(f"heard_on_by_{side.name}", heard_on, len(since), note=note, evidence=(evidence,))
    else:
        packets = statistics.received.packets
        code = UNHEARD if packets == 0 else MUTE
        words = (
            f"the {side.name} hears nothing of the other: {packets} RTP packets came, the tone is not in them"
        )
        sheet.find(code, Verdict.FAIL, words, evidence)
    for frequency_hz in LEG_FREQUENCIES_HZ:
        if frequency_hz == side.other_hz:
            continue
        level = max([LEAST_DBM0, *tone_levels_dbm0(heard, frequency_hz, WINDOW_SECONDS)])
        if level > CROSSED_DBM0 and level > loudest - 20:
            what = "its own tone" if frequency_hz == side.own_hz else "a tone that nobody in this call speaks"
            sheet.find(
                CROSSED,
                Verdict.FAIL,
                f"the {side.name} hears {what}: {frequency_hz} Hz at {level:.0f} dBm0",
                evidence,
            )


def _evidence(side: Side, statistics: Statistics, heard: Samples, file: Path) -> Evidence:
    received = statistics.received
    return Evidence(
        text=(
            f"{side.name}: {received.packets} RTP packets received from {statistics.remote}, {received.lost} lost; "
            f"the whole recording has {max(LEAST_DBM0, level_dbm0(heard)):.0f} dBm0"
        ),
        call_id=side.call.call_id,
        file=file.name,
    )


UNHEARD, MUTE, CROSSED, BROKEN = (f"audio.twoway.{word}" for word in ("unheard", "mute", "crossed", "broken"))


def _thresholds(who: str) -> tuple[Threshold, ...]:
    return (
        Threshold(
            figure=f"heard_by_{who}",
            statistic="value",
            passes=-30.0,
            warns=-40.0,
            unit="dBm0",
            clause="own; the tone is spoken at -10 dBm0, and a path with G.711 alone loses nothing",
            code="audio.twoway.faint",
            at_least=True,
        ),
        Threshold(
            figure=f"until_heard_by_{who}",
            statistic="value",
            passes=2.0,
            warns=3.0,
            unit="s",
            clause="own",
            code="audio.twoway.late",
        ),
        Threshold(
            figure=f"heard_on_by_{who}",
            statistic="value",
            passes=80.0,
            warns=50.0,
            unit="%",
            clause="own: a tone of four seconds; single packets that are lost do not silence a tenth of a second",
            code=BROKEN,
            at_least=True,
        ),
    )


PROBE = Probe(
    name="audio.twoway",
    number=14,
    title="Each end hears the other and nobody else",
    level=Level.SAFE,
    needs=frozenset({Need.SOFTPHONE}),
    seconds=10.0,
    term="two-way audio, speech level, crossed audio",
    reference="own; levels by ITU-T G.711 tables 5 and 6 (0 dBm0)",
    meaning=(
        "A call that was answered with 200 OK can still be silent one way, and neither signalling nor the record shows it. "
        "A tone of its own from each end, found in what the other end recorded, does."
    ),
    thresholds=(*_thresholds("caller"), *_thresholds("agent")),
    explanations=(
        Explanation(
            code=UNHEARD,
            layer=Layer.NETWORK,
            meaning="One end receives no RTP at all, although the call stands: one-way audio.",
            caller_notices="Silence: the caller hears nobody, or the handler takes a person in need for a silent call.",
            causes=(
                "a firewall or NAT lets SIP through and drops the switch's RTP port range",
                "the SDP names an address that cannot be reached from here (media_address, external_media_address)",
                "direct_media sends the audio past the switch to an address behind another NAT",
                "the RTP port range is used up, so that no port was opened",
            ),
            confirm="asterisk -rx 'rtp set debug on' in a call: Got and Sent must appear; tcpdump -n udp portrange 10000-20000",
            mend=(
                "Open the range of rtp.conf (rtpstart to rtpend) both ways, set media_address and external_media_address "
                "to what the phones can reach, and direct_media = no."
            ),
        ),
        Explanation(
            code=MUTE,
            layer=Layer.SWITCH,
            meaning="RTP arrives, and what was spoken is not in it.",
            caller_notices="Silence, noise or a roar instead of the other's voice.",
            causes=(
                "the switch sends silence or music: the two legs were never joined, or the call is on hold",
                "wrong codec: one side encodes A-law and the other decodes mu-law, or a transcoder is missing",
                "a mute key or a muted bridge member",
            ),
            confirm="asterisk -rx 'core show channels verbose'; asterisk -rx 'core show channel CHANNEL' (formats, bridge)",
            mend="Look at why the legs are not in one bridge; allow ulaw and alaw on every endpoint and load codec_a_mu.",
        ),
        Explanation(
            code="audio.twoway.faint",
            layer=Layer.SWITCH,
            meaning="What was spoken arrives, and much softer than it was spoken.",
            caller_notices="People ask each other to speak up; whispering 999 callers are not understood.",
            causes=(
                "a gain set on the way: VOLUME(), txgain or rxgain of a gateway",
                "A-law taken for mu-law at one place, which distorts and lowers",
                "most packets are lost, so that little of the tone is left",
            ),
            confirm="asterisk -rx 'dialplan show' | grep VOLUME; hwtest run audio.quality",
            mend="Take the gain out; a gateway's level belongs to its line side.",
        ),
        Explanation(
            code="audio.twoway.late",
            layer=Layer.SWITCH,
            meaning="Both ends have answered, and the audio begins late.",
            caller_notices="The first words are lost: people say hello twice.",
            causes=(
                "the switch waits for the far end's first packet before it sends (a symmetric RTP or NAT setting)",
                "the join happens after a prompt or an announcement to one side",
                "name look-ups when RTP starts, some seconds each time",
            ),
            confirm="hwtest run audio.start; asterisk -rx 'rtp set debug on' and compare the first packet with the 200 OK",
            mend="Remove what plays before the join; give RTP a fixed address so that it asks no name server.",
        ),
        Explanation(
            code=BROKEN,
            layer=Layer.NETWORK,
            meaning="What was spoken is heard at first, and then breaks off, or comes in pieces.",
            caller_notices="The call seems good, and after a moment one side hears nothing more, or scraps.",
            causes=(
                "a re-INVITE after the answer moves the audio to an address that cannot be reached (direct_media, NAT)",
                "a firewall closes the audio's way again, or opens it for one side's packets alone",
                "most packets are lost: then audio.quality shows it",
            ),
            confirm="hwtest run call.one (a second INVITE in the ladder?); asterisk -rx 'rtp set debug on': how long come Got",
            mend="Set direct_media = no on the endpoints, and let the firewall keep UDP ways open for a minute of silence.",
        ),
        Explanation(
            code=CROSSED,
            layer=Layer.SWITCH,
            meaning="An end hears a voice that is not the other's: its own as an echo, or another call's.",
            caller_notices="An echo of one's own voice, or a stranger's conversation: personal data goes to the wrong ear.",
            causes=(
                "an echo: a bridge sends a member's own audio back, or an analogue gateway has no echo canceller",
                "RTP of an earlier call still arrives at a port that was given out again",
                "two calls share one conference by mistake",
            ),
            confirm="asterisk -rx 'bridge show all'; listen to the recording named in the evidence",
            mend="For crossed calls set strictrtp = yes in rtp.conf; for echo switch the gateway's canceller on.",
        ),
    ),
    measure=measure,
)
