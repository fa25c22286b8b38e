"""Probe 17: what did the network and the switch make of the audio, by the packets that arrived?"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from statistics import median

from hwtest.audio.emodel import opinion, rating
from hwtest.audio.rtp import Arrivals
from hwtest.audio.stream import Stream, burst_ratio
from hwtest.audio.stream import measure as measure_stream
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
from hwtest.softphone.latency import Mouth
from hwtest.softphone.messages import Statistics
from hwtest.softphone.pair import Conversation, Pair, interface_of, pair_at
from hwtest.softphone.phone import SoftphoneCall

CHIRPS = 8
"""Each way: about 12 s of audio, long enough for two or three RTCP reports (RFC 3550 §6.2: every 5 s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One direction, as its listener had it."""

    name: str
    stream: Stream
    statistics: Statistics
    mouths: list[Mouth]
    call_id: str
    dropped: int | None


async def measure(site: Site, sheet: Sheet) -> None:
    """One call of some twelve seconds with chirps both ways, and every RTP packet that reached each end."""
    async with pair_at(site) as (phones, number), phones.through(site, number) as conversation:
        sides = await _listen(site, phones, conversation)
    for file in sorted(site.folder.glob("audio-quality-*-heard.wav")):
        sheet.artefact(file.name, "what one end heard, its own chirps included, 8000 Hz")
    for side in sides:
        _judge(sheet, side)


async def _listen(site: Site, phones: Pair, conversation: Conversation) -> tuple[Heard, Heard]:
    ends = (conversation.caller, conversation.callee)
    site.say("chirps both ways, packets counted")
    latency, arrived = await phones.latency_and_path(
        conversation,
        site.folder,
        count=CHIRPS,
        seed=site.dice.getrandbits(32),
        name="audio-quality",
        interface=interface_of(site),
    )
    if arrived is None:
        raise NotMeasuredError(
            "the wire cannot be seen: capturing needs CAP_NET_RAW (root)",
            f"run as root, or once: sudo setcap cap_net_raw+ep $(readlink -f {sys.executable})",
        )
    statistics = [await end.statistics() for end in ends]
    return (
        _heard("caller", arrived[0], statistics[0], latency.back, conversation.caller),
        _heard("agent", arrived[1], statistics[1], latency.forth, conversation.callee),
    )


def _heard(
    name: str, arrivals: Arrivals, statistics: Statistics, mouths: list[Mouth], call: SoftphoneCall
) -> Heard:
    return Heard(
        name=name,
        stream=measure_stream(arrivals.longest),
        statistics=statistics,
        mouths=mouths,
        call_id=call.call_id,
        dropped=arrivals.dropped,
    )


def _judge(sheet: Sheet, heard: Heard) -> None:
    stream, who = heard.stream, heard.name
    discarded = heard.statistics.jitter_buffer.discarded_frames // 2  # its frames have 10 ms
    evidence = (
        Evidence(
            text=(
                f"at the {who}: {stream.received} of {stream.expected} RTP packets, {stream.repeated} twice, "
                f"{stream.reordered} out of order, {discarded} too late for the jitter buffer; "
                f"{heard.statistics.codec} from {heard.statistics.remote}"
            ),
            call_id=heard.call_id,
        ),
    )
    if heard.dropped:
        why_not = (
            f"the capture itself lost {heard.dropped} packets, which may be these; hwtest run meter.capture"
        )
        sheet.value(f"lost_at_{who}", "%", None, note=why_not)
    else:
        sheet.share(f"lost_at_{who}", stream.lost, stream.expected, evidence=evidence)
    sheet.value(
        f"jitter_at_{who}", "ms", stream.jitter_ms, n=stream.received, uncertainty=0.05, evidence=evidence
    )
    sheet.distribution(
        f"delay_variation_at_{who}", "ms", stream.variation_ms, uncertainty=0.05, evidence=evidence
    )
    bursts = stream.bursts
    sheet.value(
        f"burst_density_at_{who}",
        "%",
        None if bursts.burst_density is None else 100 * bursts.burst_density,
        n=bursts.count,
        note=f"{bursts.count} bursts of {bursts.burst_packets:.1f} packets on average (RFC 3611, Gmin 16)",
    )
    delay_ms = median(mouth.milliseconds for mouth in heard.mouths) if heard.mouths else None
    gone = stream.lost + discarded
    loss_is_known = bool(stream.expected) and not heard.dropped
    r = rating(gone / stream.expected if loss_is_known else None, delay_ms, burst_ratio(stream.came))
    if delay_ms is None:
        why = "the delay is not known: no chirp was heard"
    elif not loss_is_known:
        why = "the loss is not known"
    else:
        why = f"from {gone} packets lost or too late and {delay_ms:.0f} ms mouth to ear, the phones included"
    sheet.value(f"rating_at_{who}", "R", r, n=stream.expected, note=why, evidence=evidence)
    sheet.value(
        f"opinion_at_{who}", "MOS", opinion(r), n=stream.expected, note="MOS-CQ by the E-model, not by ears"
    )
    trip = heard.statistics.round_trip
    sheet.value(
        f"round_trip_at_{who}",
        "ms",
        trip.mean if trip else None,
        n=trip.n if trip else 0,
        note="by RTCP, between this phone and the switch" if trip else "the switch sent no RTCP report",
    )


def _thresholds(who: str) -> tuple[Threshold, ...]:
    return (
        Threshold(
            figure=f"lost_at_{who}",
            statistic="value",
            passes=1.0,
            warns=3.0,
            unit="%",
            clause="own; ITU-T Y.1541 class 0 asks 0.1 % of the network alone",
            code="audio.quality.lost",
        ),
        Threshold(
            figure=f"jitter_at_{who}",
            statistic="value",
            passes=20.0,
            warns=40.0,
            unit="ms",
            clause="own: one and two frames; RFC 3550 §6.4.1 defines it",
            code="audio.quality.jitter",
        ),
        Threshold(
            figure=f"delay_variation_at_{who}",
            statistic="p99",
            passes=50.0,
            warns=100.0,
            unit="ms",
            clause="ITU-T Y.1541 class 0: 50 ms",
            code="audio.quality.jitter",
        ),
        Threshold(
            figure=f"rating_at_{who}",
            statistic="value",
            passes=80.0,
            warns=70.0,
            unit="R",
            clause="ITU-T G.109: 80 users are satisfied, below 70 many are not",
            code="audio.quality.rating",
            at_least=True,
        ),
    )


PROBE = Probe(
    name="audio.quality",
    number=17,
    title="The audio arrives whole and evenly",
    level=Level.SAFE,
    needs=frozenset({Need.SOFTPHONE, Need.CAPTURE}),
    seconds=25.0,
    term="packet loss, interarrival jitter, delay variation, bursts, transmission rating R and MOS",
    reference="RFC 3550 §6.4.1, RFC 3611 §4.7, RFC 5481 §4.2, ITU-T G.107",
    meaning=(
        "Lost and late packets are missing syllables. They are counted where they arrive, beside the listener, because a count "
        "before the loss would call the worst line perfect; R and MOS are made from these counts and from the measured delay."
    ),
    thresholds=(*_thresholds("caller"), *_thresholds("agent")),
    explanations=(
        Explanation(
            code="audio.quality.lost",
            layer=Layer.NETWORK,
            meaning="Packets with speech do not arrive.",
            caller_notices="Clipped or missing syllables; above 5 % whole words, an address is misheard.",
            causes=(
                "a full or faulty link: a queue without priority for voice, a duplex mismatch, wireless",
                "a firewall or a VPN that drops what is too much",
                "the switch or this machine is too busy to send or take packets in time",
            ),
            confirm="hwtest run net.path meter.timing; ethtool -S DEVICE | grep -i err; nstat -az UdpRcvbufErrors",
            mend="Give voice its own queue (DSCP EF) from end to end, and mend the port that counts errors.",
        ),
        Explanation(
            code="audio.quality.jitter",
            layer=Layer.NETWORK,
            meaning="Packets arrive unevenly: some much later than others.",
            caller_notices="A rough, robot-like voice; words are missing although nothing was lost on the way.",
            causes=(
                "a link shared with data without priority for voice",
                "the switch runs on a busy or overcommitted machine and sends late",
                "wireless or mobile data on the path",
            ),
            confirm="hwtest run net.path meter.timing; compare both directions: the bad one tells the sender",
            mend="Priority for voice on the shared link; for the switch, processors that are its own.",
        ),
        Explanation(
            code="audio.quality.rating",
            layer=Layer.NETWORK,
            meaning="Loss, lateness and delay together make a conversation that many would not be satisfied with.",
            caller_notices="Talking is an effort: repeating, interrupting, mishearing.",
            causes=(
                "packet loss: look at lost and at the bursts",
                "delay: look at audio.latency",
                "both a little",
            ),
            confirm="hwtest run audio.latency net.path",
            mend="Mend whichever of loss and delay is further beyond its own threshold.",
        ),
    ),
    measure=measure,
)
