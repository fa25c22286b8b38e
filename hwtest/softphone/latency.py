"""Mouth to ear: two calls' ends in two processes speak chirps in turns, and each recording holds its own and the other's.

A process notes when the audio clock took each frame of its file (monotonic clock, the same for both). Its own chirp in its
own recording ties the recording to that file to the sample. So both ends have one time, though their 20 ms begin at
different instants, as two real phones' do.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwtest.audio.chirp import SECONDS, Match, chirp, find
from hwtest.audio.rtp import Arrivals
from hwtest.audio.signal import FRAME_SAMPLES, Samples, read_wav, silence, write_wav
from hwtest.softphone.messages import Anchors
from hwtest.softphone.phone import SoftphoneCall, SoftphoneError
from hwtest.useragent.g711 import SAMPLE_RATE_HZ

TURN_SECONDS = 0.6
"""One chirp of half a second and what follows."""
MOST_DELAY_SECONDS = 0.55
"""The other's chirp is looked for up to so long after it was spoken: before its next one."""
_LEAD_SECONDS = 0.7
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Mouth:
    """One delay, one way."""

    milliseconds: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Both ways, each chirp that was found; `missed`: those that were not, of both."""

    forth: list[Mouth]
    back: list[Mouth]
    spoken: int
    """Chirps each way."""
    ends: tuple[End, ...] = ()
    """What the caller's end and the callee's spoke and heard."""

    @property
    def missed(self) -> int:
        """Chirps that were not found with confidence."""
        return 2 * self.spoken - len(self.forth) - len(self.back)


def turns(count: int, *, first: bool, upwards: bool, dice: random.Random) -> tuple[Samples, list[int]]:
    """What one end speaks, and the sample at which each chirp begins: turn and turn about with the other.

    Each begins at a place of its own within the 20 ms, the same for both ends by the same dice.
    """
    starts = list[int]()
    pieces = [silence(_LEAD_SECONDS)]
    spoken = chirp(upwards=upwards)
    used = pieces[0].size
    turn = round(TURN_SECONDS * SAMPLE_RATE_HZ)
    for _ in range(count):
        for own in (first, not first):
            shift = dice.randrange(FRAME_SAMPLES)
            piece = np.zeros(turn + FRAME_SAMPLES)
            if own:
                piece[shift : shift + spoken.size] = spoken
                starts.append(used + shift)
            pieces.append(piece)
            used += piece.size
    pieces.append(silence(MOST_DELAY_SECONDS + 0.2))
    return np.concatenate(pieces), starts


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What one end spoke and heard."""

    spoken: Samples
    starts: list[int]
    upwards: bool
    heard: Samples
    anchors: Anchors


def clock_ns(anchors: Anchors) -> int:
    """When sample 0 of the timed file was taken, if all frames had come as the earliest of them did.

    Positions are looked at each millisecond or so and may be seen late, never early: a low percentile of what each frame says.
    """
    if len(anchors.samples) < 10:
        raise SoftphoneError("The audio clock of the software phones did not run.")
    samples = np.array(anchors.samples, dtype=np.float64)
    instants = np.array(anchors.monotonic_ns, dtype=np.float64)
    origin = instants[0]
    zeros = instants - origin - samples * _NS / SAMPLE_RATE_HZ
    return int(origin + np.percentile(zeros, 10))


def own_offset(end: End) -> float:
    """Where the recording has what the file has at 0: the same for each chirp, or it was cut."""
    signal = chirp(upwards=end.upwards)
    offsets = [
        match.position_samples + lowest - start
        for start in end.starts
        if (match := find(signal, end.heard[(lowest := max(0, start - 4000)) : start + signal.size + 4000]))
        and match.sure
    ]
    if not offsets:
        raise SoftphoneError("A software phone's recording does not hold its own voice.")
    return float(np.median(offsets))


def delays(speaker: End, listener: End) -> list[Mouth]:
    """Of each of the speaker's chirps that the listener heard."""
    signal = chirp(upwards=speaker.upwards)
    spoken_zero, heard_zero = clock_ns(speaker.anchors), clock_ns(listener.anchors)
    offset = own_offset(listener)
    found = list[Mouth]()
    for start in speaker.starts:
        # where the listener's recording is at the instant of speaking
        at_once = start + (spoken_zero - heard_zero) * SAMPLE_RATE_HZ / _NS + offset
        lowest = max(0, int(at_once))
        span = round(MOST_DELAY_SECONDS * SAMPLE_RATE_HZ)
        match: Match | None = find(signal, listener.heard[lowest : lowest + signal.size + span])
        if match is not None and match.sure:
            later = lowest + match.position_samples - at_once
            found.append(Mouth(milliseconds=1000 * later / SAMPLE_RATE_HZ, confidence=match.confidence))
    return found


async def measure(
    caller: SoftphoneCall,
    callee: SoftphoneCall,
    folder: Path,
    *,
    count: int,
    seed: int,
    name: str = "latency",
) -> Latency:
    """Speak `count` chirps each way in a call that stands (about 1.3 s each); the recordings stay in the folder."""
    ends = list[End]()
    calls = ((caller, True, "caller"), (callee, False, "callee"))
    files = list[tuple[Samples, list[int], Path]]()
    for call, first, who in calls:
        spoken, starts = turns(count, first=first, upwards=first, dice=random.Random(seed))
        written, recorded = folder / f"{name}-{who}-spoken.wav", folder / f"{name}-{who}-heard.wav"
        write_wav(written, spoken)
        await call.record(recorded, own_voice=True)
        files.append((spoken, starts, recorded))
    await asyncio.gather(
        *(call.play(folder / f"{name}-{who}-spoken.wav", timed=True) for call, _, who in calls)
    )
    await asyncio.sleep(files[0][0].size / SAMPLE_RATE_HZ + 0.1)
    for (call, first, _), (spoken, starts, recorded) in zip(calls, files, strict=True):
        anchors = await call.quiet()
        ends.append(
            End(spoken=spoken, starts=starts, upwards=first, heard=read_wav(recorded), anchors=anchors)
        )
    forth, back = delays(ends[0], ends[1]), delays(ends[1], ends[0])
    return Latency(forth=forth, back=back, spoken=count, ends=tuple(ends))


def path_ms(speaker: End, arrived: Arrivals) -> list[float]:
    """Of each packet that reached the other end: from the instant at which its frame was spoken to its arrival there.

    The listener's jitter buffer and frames have no part in it. Which packet holds which frame is told by the chirps in them,
    taken together: no other place fits all of them.
    """
    heard, packets = arrived.heard, arrived.longest
    first, last = speaker.starts[0], speaker.starts[-1] + round(SECONDS * SAMPLE_RATE_HZ)
    match = find(speaker.spoken[first:last], heard)
    if match is None or not match.sure:
        return []
    offset = round(match.position_samples) - first
    zero_ns = clock_ns(speaker.anchors)
    delays_ms = list[float]()
    for packet in packets:
        # a frame is spoken when its last sample is
        position = packet.timestamp - packets[0].timestamp - offset + FRAME_SAMPLES
        if 0 < position <= speaker.spoken.size:
            delays_ms.append((packet.arrival_ns - zero_ns - position * _NS / SAMPLE_RATE_HZ) / 1e6)
    return delays_ms
