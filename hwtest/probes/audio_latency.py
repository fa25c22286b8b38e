"""Probe 16: how long does a word take from mouth to ear, and how much of it is the appliance's?"""

from __future__ import annotations

from collections.abc import Sequence
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
from hwtest.softphone.latency import Latency, Mouth, path_ms
from hwtest.softphone.pair import Pair, interface_of, pair_at

ROUNDS = 3
"""Calls, each with the 20 ms of both phones at another phase."""
CHIRPS = 4
"""Each way in each call."""
PHASE_MS = 10.0
"""Half of a frame: what a few phases leave unknown of one direction. Forth and back together do not depend on it."""


async def measure(site: Site, sheet: Sheet) -> None:
    """Directly first, for the phones' own share, then through the target."""
    async with pair_at(site) as (phones, number):
        own, own_path = await _rounds(site, phones, None)
        through, path = await _rounds(site, phones, number)
        settings = phones.settings
    if not own.forth or not own.back:
        raise NotMeasuredError(
            "the phones do not find each other's chirps even without anything between them",
            "hwtest run meter.baseline; then look at this machine's load",
        )
    for figure, name, samples, ours in (
        ("mouth_to_ear_forth", "caller to agent", through.forth, own.forth),
        ("mouth_to_ear_back", "agent to caller", through.back, own.back),
    ):
        share = median(mouth.milliseconds for mouth in ours)
        taken, words = without_share([mouth.milliseconds for mouth in samples], share)
        sheet.distribution(
            figure,
            "ms",
            taken,
            uncertainty=PHASE_MS,
            note=f"{name}; {words}",
            evidence=(
                Evidence(
                    text=f"recordings audio-latency-*-heard.wav, {len(samples)} chirps of this direction found"
                ),
            ),
        )
        sheet.distribution(
            figure.replace("mouth_to_ear", "phones_own"), "ms", [mouth.milliseconds for mouth in ours]
        )
    for figure, passed, directly in (
        ("path_forth", path[0], own_path[0]),
        ("path_back", path[1], own_path[1]),
    ):
        if passed:
            beside = f"; directly {median(directly):.2f} ms at p50" if directly else ""
            sheet.distribution(
                figure,
                "ms",
                passed,
                uncertainty=1.0,
                note=f"spoken to arrived, packet by packet, without the listener's buffer{beside}",
            )
    if through.forth and through.back:
        added, words = without_share([_round_trip(through) / 2], _round_trip(own) / 2)
        sheet.value(
            "added_one_way",
            "ms",
            added[0] if added else None,
            n=len(through.forth) + len(through.back),
            uncertainty=5.0,
            note="half of what both ways together take more than directly, which no phase of the frames changes; "
            f"the jitter buffer moves by 10 ms when this machine is busy; {words}",
        )
    for file in sorted(site.folder.glob("audio-latency-*-heard.wav")):
        sheet.artefact(file.name, "what one end heard, its own chirps included, 8000 Hz")
    spoken = 2 * through.spoken
    sheet.share("chirps_found", spoken - through.missed, spoken)
    sheet.note(
        f"phones: {settings.jitter_buffer_ms} ms jitter buffer that does not adapt, frames of 20 ms, no sound card; "
        f"a telephone on a desk adds 45 to 90 ms of its own"
    )


def without_share(milliseconds: Sequence[float], share: float) -> tuple[list[float], str]:
    """What is left without the phones' own share, and what was done, in words.

    A delay is never less than nought: a little less is what the phones' frames leave unknown, and counts as nought. Where half
    of them are less by more than that, the phones themselves were slower alone than through the target, because this machine
    was busy then: there is nothing left to tell.
    """
    left = [each - share for each in milliseconds]
    words = f"the phones' own share of {share:.1f} ms is subtracted"
    if left and median(left) < -PHASE_MS:
        return (
            [],
            f"{words}, which is more than all of it ({median(left):.1f} ms): this machine was busy meanwhile",
        )
    below = sum(each < 0 for each in left)
    return [max(0.0, each) for each in left], (
        f"{words}; {below} of {len(left)} came out below nought, which the meter's error explains, and count as nought"
        if below
        else words
    )


Path = tuple[list[float], list[float]]
"""Forth and back, from spoken to arrived, packet by packet; empty where the wire cannot be seen."""


async def _rounds(site: Site, phones: Pair, number: str | None) -> tuple[Latency, Path]:
    forth, back, spoken = list[Mouth](), list[Mouth](), 0
    path: Path = ([], [])
    for index in range(1, ROUNDS + 1):
        where = "directly" if number is None else "through the target"
        site.say(f"chirps {where}, {index} of {ROUNDS}")
        await phones.shift_clocks()
        name = f"audio-latency-{'own' if number is None else 'through'}-{index}"
        async with phones.direct() if number is None else phones.through(site, number) as conversation:
            found, arrived = await phones.latency_and_path(
                conversation,
                site.folder,
                count=CHIRPS,
                seed=site.dice.getrandbits(32),
                name=name,
                interface=interface_of(site),
            )
        forth += found.forth
        back += found.back
        spoken += found.spoken
        if arrived is not None:
            path[0].extend(path_ms(found.ends[0], arrived[1]))
            path[1].extend(path_ms(found.ends[1], arrived[0]))
    return Latency(forth=forth, back=back, spoken=spoken), path


def _round_trip(latency: Latency) -> float:
    return median(mouth.milliseconds for mouth in latency.forth) + median(
        mouth.milliseconds for mouth in latency.back
    )


def _threshold(figure: str) -> Threshold:
    return Threshold(
        figure=figure,
        statistic="p95",
        passes=150.0,
        warns=400.0,
        unit="ms",
        clause="ITU-T G.114: below 150 ms nearly nobody is disturbed; 400 ms is the planning limit",
        code="audio.latency.long",
    )


PROBE = Probe(
    name="audio.latency",
    number=16,
    title="A word takes little time from mouth to ear",
    level=Level.SAFE,
    needs=frozenset({Need.SOFTPHONE}),
    seconds=60.0,
    term="mouth-to-ear delay, one way",
    reference="ITU-T G.114 (one-way transmission time)",
    meaning=(
        "Beyond 150 ms people begin to talk at the same time, and a handler interrupts a caller in distress without wanting to. "
        "Chirps are spoken at both ends and found in what the other end heard; the phones' own share is measured without the "
        "target and subtracted."
    ),
    thresholds=(
        _threshold("mouth_to_ear_forth"),
        _threshold("mouth_to_ear_back"),
        Threshold(
            figure="added_one_way",
            statistic="value",
            passes=25.0,
            warns=100.0,
            unit="ms",
            clause="own: one frame of 20 ms and the jitter of a local network",
            code="audio.latency.added",
        ),
        Threshold(
            figure="chirps_found",
            statistic="value",
            passes=95.0,
            warns=80.0,
            unit="%",
            clause="own; a chirp of half a second stands 5 % loss",
            code="audio.latency.unheard",
            at_least=True,
        ),
    ),
    explanations=(
        Explanation(
            code="audio.latency.long",
            layer=Layer.NETWORK,
            meaning="A word takes too long from one end to the other, without what the phones themselves take.",
            caller_notices="Both talk at once, then both wait; questions have to be asked again.",
            causes=(
                "a long way: a VPN, a satellite, a trunk over another continent",
                "a deep jitter buffer somewhere on the way, as a switch or a gateway sets for a bad network",
                "the audio is decoded and encoded again more than once",
            ),
            confirm="hwtest run net.path; asterisk -rx 'core show channel CHANNEL' (jitter buffer, formats)",
            mend="Shorten the path or the buffer on it: with a clean network no jitter buffer belongs into the switch.",
        ),
        Explanation(
            code="audio.latency.added",
            layer=Layer.SWITCH,
            meaning="The appliance adds more delay than handing packets on takes.",
            caller_notices="Little by itself; together with the network's delay it is felt.",
            causes=(
                "a mixing bridge or a recorder in the path instead of a native one: a frame or two each",
                "JITTERBUFFER() in the dialplan or jbenable on the endpoint",
                "transcoding, or a machine too busy to send in time",
            ),
            confirm="asterisk -rx 'bridge show all' (technology); asterisk -rx 'core show channel CHANNEL'",
            mend="Let two parties be bridged natively, and leave the jitter buffer to the phones.",
        ),
        Explanation(
            code="audio.latency.unheard",
            layer=Layer.NETWORK,
            meaning="Some chirps did not arrive, or so damaged that they were not found.",
            caller_notices="Words and syllables are missing.",
            causes=(
                "packet loss in bursts, or silence suppression that cuts off what is not speech",
                "one-way audio: then audio.twoway shows it",
                "a delay of more than half a second: so late nobody looks for them any more (net.path tells a long way)",
                "a noise reducer or echo canceller that takes chirps away",
            ),
            confirm="hwtest run audio.quality audio.twoway; listen to the recordings",
            mend="Mend the loss first; switch voice activity detection off on trunks.",
        ),
    ),
    measure=measure,
)
