"""Chirps, and where they are in what was heard: the mouth-to-ear delay to a fraction of a sample.

A linear sweep of half a second over the telephone band is found by cross-correlation, whose peak is as narrow as the band is
wide: 0.3 ms. A lost frame, companding or noise lower the peak and do not move it. Each direction has a sweep of its own, so
that an echo or another call's audio is not taken for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwtest.audio.signal import REFERENCE_RMS, Samples
from hwtest.useragent.g711 import SAMPLE_RATE_HZ

SECONDS = 0.5
LOW_HZ, HIGH_HZ = 300.0, 3400.0
LEAST_CONFIDENCE = 1.5
"""Peak to second peak from which a chirp counts as found: in noise alone it stays below 1.3."""
_FADE_SHARE = 0.1
_PEAK_SAMPLES = 12
"""So far from the peak its own slopes go; what is further off competes with it."""


@dataclass(frozen=True, slots=True)
class Match:
    """Where a signal was found."""

    position_samples: float
    """Of its first sample, in what was searched."""
    confidence: float
    """Peak by second peak."""
    gain: float
    """Of what was found by what was sent, amplitudes."""

    @property
    def sure(self) -> bool:
        """Whether it was there at all."""
        return self.confidence >= LEAST_CONFIDENCE


def chirp(*, upwards: bool, level_dbm0: float = -10.0, seconds: float = SECONDS) -> Samples:
    """A sweep, faded in and out so that its correlation has no shoulders."""
    count = round(seconds * SAMPLE_RATE_HZ)
    instants = np.arange(count) / SAMPLE_RATE_HZ
    low, high = (LOW_HZ, HIGH_HZ) if upwards else (HIGH_HZ, LOW_HZ)
    phase = 2 * np.pi * (low * instants + (high - low) * instants**2 / (2 * seconds))
    fade = np.clip(np.minimum(np.arange(1, count + 1), np.arange(count, 0, -1)) / (_FADE_SHARE * count), 0, 1)
    peak = REFERENCE_RMS * math.sqrt(2) * 10 ** (level_dbm0 / 20)
    swept: Samples = peak * np.sin(phase) * np.sin(np.pi / 2 * fade) ** 2
    return swept


def find(signal: Samples, heard: Samples) -> Match | None:
    """The one place where `heard` is most like `signal`; None where it is too short, or silent."""
    size = heard.size - signal.size + 1
    if size < 2 * _PEAK_SAMPLES or not heard.any():
        return None
    length = 1 << (heard.size + signal.size - 1).bit_length()
    spectrum = np.fft.rfft(heard, length) * np.conj(np.fft.rfft(signal, length))
    correlation = np.fft.irfft(spectrum, length)[:size]
    strength = np.abs(correlation)
    peak = int(np.argmax(strength))
    rest = strength.copy()
    rest[max(0, peak - _PEAK_SAMPLES) : peak + _PEAK_SAMPLES + 1] = 0
    second = float(rest.max())
    return Match(
        peak + _top(strength, peak),
        float(strength[peak]) / second if second > 0 else float("inf"),
        float(correlation[peak]) / float(np.sum(signal**2)),
    )


def find_each(
    signal: Samples, heard: Samples, starts: Sequence[int], span_samples: int
) -> list[Match | None]:
    """The signal in each window that begins at a start and leaves it `span_samples` of delay."""
    return [find(signal, heard[start : start + signal.size + span_samples]) for start in starts]


def _top(strength: Samples, peak: int) -> float:
    """How far from the highest sample the parabola through it and its neighbours has its top."""
    if not 0 < peak < strength.size - 1:
        return 0.0
    left, middle, right = (float(value) for value in strength[peak - 1 : peak + 2])
    bend = left - 2 * middle + right
    return 0.5 * (left - right) / bend if bend < 0 else 0.0


@dataclass(frozen=True, slots=True)
class Word:
    """Where something spoken was heard."""

    begins_samples: float
    """Where its first sample is or would be, in what was heard; negative where that was before the recording."""
    clipped_seconds: float
    """How much of its beginning nobody heard."""

    @property
    def audible_samples(self) -> float:
        """The first sample that was heard."""
        return self.begins_samples + self.clipped_seconds * SAMPLE_RATE_HZ


def word() -> Samples:
    """Something to say first: it begins aloud, at once and with all its strength, and no piece of it is like another."""
    spoken = chirp(upwards=False, seconds=0.6)
    beginning = np.arange(round(_FADE_SHARE * spoken.size))
    return np.concatenate(
        [
            REFERENCE_RMS
            * math.sqrt(2)
            * 10 ** (-10 / 20)
            * np.sin(2 * np.pi * 571 * beginning / SAMPLE_RATE_HZ),
            spoken[beginning.size :],
        ]
    )


def hear(spoken: Samples, heard: Samples, piece_samples: int = 80) -> Word | None:
    """Where the word was heard, from which piece of 10 ms on; None when nothing of it can be found.

    The whole is laid upon what was heard, then its pieces are compared from the first on.
    """
    padded = np.concatenate([np.zeros(spoken.size), heard, np.zeros(spoken.size)])
    match = find(spoken, padded)
    if match is None or not match.sure:
        return None
    start = round(match.position_samples)
    for begin in range(0, spoken.size - piece_samples + 1, piece_samples):
        ours = spoken[begin : begin + piece_samples]
        theirs = padded[start + begin : start + begin + piece_samples]
        size = float(np.sqrt(np.sum(ours**2) * np.sum(theirs**2)))
        if size > 0 and abs(float(np.sum(ours * theirs))) > size / 2:
            return Word(match.position_samples - spoken.size, begin / SAMPLE_RATE_HZ)
    return None
