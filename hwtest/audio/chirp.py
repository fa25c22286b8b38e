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


def clipped_seconds(spoken: Samples, heard: Samples, frame_samples: int = 80) -> float | None:
    """How much of the beginning of what was spoken nobody heard; None when nothing of it can be found.

    The whole is laid upon what was heard, then its pieces of 10 ms are compared from the first on.
    """
    padded = np.concatenate([np.zeros(spoken.size), heard, np.zeros(spoken.size)])
    match = find(spoken, padded)
    if match is None or not match.sure:
        return None
    start = round(match.position_samples)
    for begin in range(0, spoken.size - frame_samples + 1, frame_samples):
        ours = spoken[begin : begin + frame_samples]
        theirs = padded[start + begin : start + begin + frame_samples]
        size = float(np.sqrt(np.sum(ours**2) * np.sum(theirs**2)))
        if size > 0 and abs(float(np.sum(ours * theirs))) > size / 2:
            return begin / SAMPLE_RATE_HZ
    return None
