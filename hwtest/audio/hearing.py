"""What one end of a call hears, packet by packet with the kernel's stamps: the first sound, silences, tones, and prompts.

Times are monotonic nanoseconds. A packet counts from its arrival: an end hears it a jitter buffer later, which is the phone's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from hwtest.audio.signal import AUDIBLE_DBM0, FRAME_SAMPLES, Samples
from hwtest.useragent import g711
from hwtest.useragent.media import Leg
from hwtest.useragent.transport import Stamp

NANOSECONDS = 1e9
VOICE_FRAMES = 2
"""So many audible packets one after the other are a sound; a single one may be a click."""
TONE_WITHIN_DB = 3.0
"""So much of what is heard must be the tone."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One packet of audio."""

    at_ns: int
    level_dbm0: float
    codes: bytes

    @property
    def audible(self) -> bool:
        """Whether a person would hear anything."""
        return self.level_dbm0 > AUDIBLE_DBM0


@dataclass(slots=True)
class Hearing:
    """Everything that a leg has heard since this listens."""

    law: g711.Law = g711.A_LAW
    frames: list[Frame] = field(default_factory=list)

    @classmethod
    def of(cls, leg: Leg) -> Hearing:
        """Listen to this leg from now on. It must be one that hears: not a `sink`."""
        hearing = cls()

        def take(codes: bytes, stamp: Stamp) -> None:
            hearing.law = leg.law
            hearing.take(codes, stamp.monotonic_ns)

        leg.listener = take
        return hearing

    def take(self, codes: bytes, at_ns: int) -> None:
        """One packet."""
        self.frames.append(Frame(at_ns, g711.level_dbm0(self.law, codes), codes))

    def first_sound_ns(self, since_ns: int) -> int | None:
        """When something began to be heard, at or after this instant."""
        return self._first([frame.audible for frame in self.frames], since_ns)

    def first_tone_ns(self, frequency_hz: float, since_ns: int) -> int | None:
        """When a tone began that was most of what was heard."""

        def is_tone(frame: Frame) -> bool:
            tone = g711.tone_level_dbm0(self.law, frame.codes, frequency_hz)
            return frame.audible and tone > frame.level_dbm0 - TONE_WITHIN_DB

        return self._first([is_tone(frame) for frame in self.frames], since_ns)

    def _first(self, heard: list[bool], since_ns: int) -> int | None:
        run = 0
        for index, frame in enumerate(self.frames):
            run = run + 1 if heard[index] and frame.at_ns >= since_ns else 0
            if run == VOICE_FRAMES:
                return self.frames[index - VOICE_FRAMES + 1].at_ns
        return None

    def longest_silence_seconds(self, since_ns: int, until_ns: int) -> float:
        """The longest time in between in which nothing was to be heard, whether silence came or nothing at all."""
        return max(end - start for start, end in self._silences(since_ns, until_ns)) / NANOSECONDS

    def _silences(self, since_ns: int, until_ns: int) -> Iterator[tuple[int, int]]:
        start = since_ns
        for frame in self.frames:
            if since_ns <= frame.at_ns < until_ns and frame.audible:
                yield start, frame.at_ns
                start = frame.at_ns
        yield start, until_ns

    def packets(self, since_ns: int, until_ns: int) -> int:
        """How many packets of audio came in between."""
        return sum(since_ns <= frame.at_ns < until_ns for frame in self.frames)

    def samples(self, since_ns: int, until_ns: int) -> Samples:
        """What was heard in between, lost packets closed up."""
        codes = b"".join(frame.codes for frame in self.frames if since_ns <= frame.at_ns < until_ns)
        return np.array(self.law.expand(codes), dtype=np.float64)


def likeness(heard: Samples, said: Samples) -> float:
    """How like each other the best-fitting stretch of what was heard and a recording are, 0 to 1 (normalised cross-correlation).

    A prompt played by the switch is the recording itself, so that it comes out near 1; music or another prompt near 0.
    """
    if said.size < FRAME_SAMPLES or heard.size < said.size or not said.any():
        return 0.0
    size = 1 << (heard.size + said.size - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    lags = heard.size - said.size + 1
    energy = np.concatenate(([0.0], np.cumsum(heard**2)))
    below = np.sqrt(np.maximum(energy[said.size :] - energy[:lags], 1.0) * float(np.sum(said**2)))
    return float(min(1.0, np.max(np.abs(product[:lags]) / below)))
