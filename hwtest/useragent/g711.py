"""G.711 companding and levels, pure. Samples are 16-bit linear."""

import cmath
import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

SAMPLE_RATE_HZ = 8000
FRAME_SAMPLES = 160  # 20 ms


def _expand_mu(code: int) -> int:
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


def _expand_a(code: int) -> int:
    code ^= 0x55
    exponent, mantissa = code >> 4 & 7, (code & 0x0F) << 4
    magnitude = mantissa + 8 if exponent == 0 else mantissa + 0x108 << exponent - 1
    return magnitude if code & 0x80 else -magnitude


@dataclass(frozen=True, slots=True, eq=False)
class Law:
    """One companding law: table of sample values, its code for silence, RMS of a 0 dBm0 tone."""

    values: tuple[int, ...]
    silence: int
    reference_rms: float

    def expand(self, codes: bytes) -> list[int]:
        """Samples of `codes`."""
        values = self.values
        return [values[code] for code in codes]

    def compress(self, samples: Sequence[float]) -> bytes:
        """Nearest codes of `samples`."""
        ordered = sorted((value, code) for code, value in enumerate(self.values))
        return bytes(_nearest(ordered, sample) for sample in samples)


def _nearest(ordered: Sequence[tuple[int, int]], sample: float) -> int:
    index = bisect_left(ordered, (sample, 0))
    return min(ordered[max(index - 1, 0) : index + 1], key=lambda pair: abs(pair[0] - sample))[1]


def _law(expand: Callable[[int], int], silence: int, overload_dbm0: float) -> Law:
    values = tuple(expand(code) for code in range(256))
    return Law(values, silence, max(values) / math.sqrt(2) / 10 ** (overload_dbm0 / 20))


# G.711 tables 5 and 6: a sine at the overload point is +3.17 dBm0 (µ-law) and +3.14 dBm0 (A-law).
MU_LAW = _law(_expand_mu, 0xFF, 3.17)
A_LAW = _law(_expand_a, 0xD5, 3.14)


@cache
def tone(law: Law, frequency_hz: int, level_dbm0: float) -> bytes:
    """One second of a sine, which repeats without a seam because the frequency is a whole number of Hz."""
    peak = law.reference_rms * math.sqrt(2) * 10 ** (level_dbm0 / 20)
    step = 2 * math.pi * frequency_hz / SAMPLE_RATE_HZ
    return law.compress([peak * math.sin(step * index) for index in range(SAMPLE_RATE_HZ)])


def level_dbm0(law: Law, codes: bytes) -> float:
    """RMS level of `codes`; minus infinity for digital silence or no samples."""
    samples = law.expand(codes)
    return _decibels(math.sqrt(sum(sample * sample for sample in samples) / max(len(samples), 1)), law)


def tone_level_dbm0(law: Law, codes: bytes, frequency_hz: float) -> float:
    """Level of the one frequency in `codes` (Goertzel's algorithm)."""
    angle = 2 * math.pi * frequency_hz / SAMPLE_RATE_HZ
    coefficient, last, before = 2 * math.cos(angle), 0.0, 0.0
    for sample in law.expand(codes):
        last, before = sample + coefficient * last - before, last
    amplitude = 2 * abs(last - before * cmath.exp(-1j * angle)) / max(len(codes), 1)
    return _decibels(amplitude / math.sqrt(2), law)


def _decibels(rms: float, law: Law) -> float:
    return 20 * math.log10(rms / law.reference_rms) if rms > 0 else -math.inf
