"""Probe 15: how soon after the answer is the first word heard, and how much of it is missing?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np

from hwtest.audio.chirp import Word, chirp, find, hear, word
from hwtest.audio.signal import Samples, read_wav, silence, write_wav
from hwtest.probes.contract import Evidence, Explanation, Layer, Level, Need, Probe, Threshold, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.softphone.latency import clock_ns
from hwtest.softphone.pair import Pair, pair_at
from hwtest.softphone.phone import SoftphoneError
from hwtest.useragent.g711 import SAMPLE_RATE_HZ

CALLS = 3
"""Each way."""
LISTEN_SECONDS = 3.2
_MARK_SECONDS = 2.2
"""When the listener speaks a chirp for its own recording only to be laid upon the clock; long after the word."""
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True)
class Start:
    """The beginning of one call, as its listener had it."""

    until_heard_ms: float
    """From the 200 OK at the listener (sent or received) to the first sample that was heard."""
    clipped_ms: float
    call_id: str


async def measure(site: Site, sheet: Sheet) -> None:
    """In each call one end speaks a word from the instant of the answer, and the other listens from there on."""
    async with pair_at(site) as (phones, number):
        for speaker in ("agent", "caller"):
            own, _ = await _several(site, phones, None, speaker, 1)
            starts, unheard = await _several(site, phones, number, speaker, CALLS)
            _judge(sheet, speaker, starts, unheard, own)
    for file in sorted(site.folder.glob("audio-start-[ac]*.wav")):
        sheet.artefact(file.name, "what the listener heard from the answer on, 8000 Hz")


async def _several(
    site: Site, phones: Pair, number: str | None, speaker: str, count: int
) -> tuple[list[Start], list[str]]:
    """The beginnings of so many calls, and the Call-IDs of those whose word was not heard."""
    starts, unheard = list[Start](), list[str]()
    for index in range(1, count + 1):
        where = "directly" if number is None else f"{index} of {count}"
        site.say(f"the {speaker} speaks first, {where}")
        await phones.shift_clocks()
        name = f"audio-start-{speaker}-{'own' if number is None else index}.wav"
        found, call_id = await _once(site, phones, number, speaker, name)
        if found is None:
            unheard.append(call_id)
        else:
            starts.append(found)
    return starts, unheard


async def _once(
    site: Site, phones: Pair, number: str | None, speaker: str, name: str
) -> tuple[Start | None, str]:
    """What became of one word; the recording and what is spoken are armed before the answer."""
    spoken, mark = word(), chirp(upwards=True)
    says, marks = site.file("audio-start-word.wav"), site.file("audio-start-mark.wav")
    write_wav(says, np.concatenate([spoken, silence(LISTEN_SECONDS)]))
    write_wav(marks, np.concatenate([silence(_MARK_SECONDS), mark, silence(1.0)]))
    recording = site.file(name)
    async with phones.ringing(site, number) as (caller, callee):
        talks, listens = (callee, caller) if speaker == "agent" else (caller, callee)
        await listens.record(recording, own_voice=True)
        await listens.play(marks, timed=True)
        await talks.play(says)
        await callee.answer()
        await asyncio.gather(caller.answered(10), callee.answered(10))
        await asyncio.sleep(LISTEN_SECONDS)
        await talks.quiet()
        listened = await listens.quiet()
    heard = read_wav(recording)
    own = find(mark, heard)
    if own is None or not own.sure:
        raise SoftphoneError("A software phone's recording does not hold its own mark.")
    offset = own.position_samples - _MARK_SECONDS * SAMPLE_RATE_HZ
    found = hear(spoken, _without(mark, heard, own.position_samples))
    if found is None:
        return None, listens.call_id
    zero_ns = clock_ns(listened)
    answered_ns = listens.stamps["connecting" if "connecting" in listens.stamps else "confirmed"]
    return Start(
        (_instant_ns(found, offset, zero_ns) - answered_ns) / _NS_PER_MS,
        found.clipped_seconds * 1000,
        listens.call_id,
    ), listens.call_id


def _instant_ns(found: Word, offset: float, zero_ns: int) -> float:
    return zero_ns + (found.audible_samples - offset) * 1e9 / SAMPLE_RATE_HZ


def _without(mark: Samples, heard: Samples, position: float) -> Samples:
    """The recording up to the listener's own mark."""
    return heard[: max(0, int(position) - mark.size // 10)]


def _judge(sheet: Sheet, speaker: str, starts: list[Start], unheard: list[str], own: list[Start]) -> None:
    own_clipped_ms = max((start.clipped_ms for start in own), default=0.0)
    own_words = (
        f"directly the same phones: {own[0].until_heard_ms:.0f} ms, {own_clipped_ms:.0f} ms missing"
        if own
        else "directly the same phones heard nothing"
    )
    evidence = tuple(
        Evidence(
            text=f"heard {start.until_heard_ms:.0f} ms after the answer, {start.clipped_ms:.0f} ms of the word missing",
            call_id=start.call_id,
        )
        for start in starts
    )
    sheet.distribution(
        f"until_heard_from_{speaker}",
        "ms",
        [start.until_heard_ms for start in starts],
        uncertainty=10.0,
        note=f"from the 200 OK at the listener to the first sample heard; {own_words}",
        evidence=evidence,
    )
    sheet.distribution(
        f"clipped_from_{speaker}",
        "ms",
        [max(0.0, start.clipped_ms - own_clipped_ms) for start in starts],
        uncertainty=10.0,
        note="without what the phones themselves miss",
        evidence=evidence,
    )
    if unheard:
        words = f"the first word of the {speaker} was not heard in {len(unheard)} of {CALLS} calls"
        sheet.find(
            "audio.start.unheard",
            Verdict.FAIL,
            words,
            *(Evidence(text="no word", call_id=i) for i in unheard),
        )


def _thresholds(speaker: str) -> tuple[Threshold, Threshold]:
    return (
        Threshold(
            figure=f"until_heard_from_{speaker}",
            statistic="p95",
            passes=250.0,
            warns=1000.0,
            unit="ms",
            clause="own, after the through-connection delay of ITU-T Q.543",
            code="audio.start.late",
        ),
        Threshold(
            figure=f"clipped_from_{speaker}",
            statistic="p95",
            passes=60.0,
            warns=200.0,
            unit="ms",
            clause="own: a syllable has about 200 ms",
            code="audio.start.clipped",
        ),
    )


PROBE = Probe(
    name="audio.start",
    number=15,
    title="The first word after the answer is heard whole",
    level=Level.SAFE,
    needs=frozenset({Need.SOFTPHONE}),
    seconds=45.0,
    term="through-connection delay, clipped first word",
    reference="own, after ITU-T Q.543 (through-connection)",
    meaning=(
        "A handler speaks as soon as the phone is up, and so does a caller. What is said before the audio is joined is lost: "
        "the address of an emergency may be in it."
    ),
    thresholds=(*_thresholds("agent"), *_thresholds("caller")),
    explanations=(
        Explanation(
            code="audio.start.late",
            layer=Layer.SWITCH,
            meaning="Between the answer and the first sound there is more silence than anybody expects.",
            caller_notices="The line is dead at first; people say hello again, over each other.",
            causes=(
                "the switch joins the legs late: it waits for a request, a prompt or a first packet",
                "Answer() waits half a second for the caller's audio where it is not told otherwise",
                "name look-ups when RTP starts",
                "the daemon was slow to hand the pair over: look at its load",
            ),
            confirm="hwtest run call.one (ladder); asterisk -rx 'core set verbose 4' and compare answer and bridge",
            mend="Use Answer(0,i), a fixed media address, and a native bridge; then measure again.",
        ),
        Explanation(
            code="audio.start.clipped",
            layer=Layer.SWITCH,
            meaning="The beginning of what was said right after the answer never arrived.",
            caller_notices="The first syllables are missing: not 101, what is your emergency, but your emergency.",
            causes=(
                "audio was sent before the legs were joined, and thrown away",
                "voice activity detection opens too late",
                "the first packets were lost while a firewall or ARP learned the way",
            ),
            confirm="listen to the recording of the call; hwtest run audio.start --repeat 3",
            mend="Join the legs before the answer is passed on, and switch voice activity detection off.",
        ),
        Explanation(
            code="audio.start.unheard",
            layer=Layer.SWITCH,
            meaning="A whole word of 0.6 s, said right after the answer, was not heard at all.",
            caller_notices="A second of silence after the answer, or a silent call.",
            causes=(
                "audio begins more than half a second after the answer",
                "one-way audio: then audio.twoway shows it",
            ),
            confirm="hwtest run audio.twoway",
            mend="Mend one-way audio first; otherwise as for audio.start.late.",
        ),
    ),
    measure=measure,
)
