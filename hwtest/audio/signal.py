"""Samples, levels, tones, and WAV files. A tone of its own for each leg tells who is heard."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwtest.useragent.g711 import A_LAW, SAMPLE_RATE_HZ

Samples = NDArray[np.float64]

FRAME_SAMPLES = 160
"""20 ms."""
LEG_FREQUENCIES_HZ = (437, 571, 829, 1103, 1489, 1873, 2207, 2713)
"""One each leg: none is another's harmonic, a frequency of DTMF, or one of the network's own tones (400, 425, 440, 450)."""
AUDIBLE_DBM0 = -45.0
"""What is softer counts as silence: the idle noise of a line is below it (G.712: -65 dBm0p)."""
REFERENCE_RMS = A_LAW.reference_rms
"""RMS of 0 dBm0 in linear samples. With µ-law it is 0.06 dB less, which no threshold here can tell."""
_LEAST_DBM0 = -math.inf


def silence(seconds: float) -> Samples:
    """Nothing, for so long."""
    return np.zeros(round(seconds * SAMPLE_RATE_HZ))


def tone(frequency_hz: float, seconds: float, level_dbm0: float = -10.0) -> Samples:
    """A sine of this level."""
    peak = REFERENCE_RMS * math.sqrt(2) * 10 ** (level_dbm0 / 20)
    instants = np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return peak * np.sin(2 * np.pi * frequency_hz * instants)


def level_dbm0(samples: Samples) -> float:
    """RMS level; minus infinity for silence or nothing."""
    return _decibels(math.sqrt(float(np.mean(samples**2)))) if samples.size else _LEAST_DBM0


def tone_level_dbm0(samples: Samples, frequency_hz: float) -> float:
    """Level of this one frequency, whatever else there is (a window keeps neighbours out)."""
    if not samples.size:
        return _LEAST_DBM0
    window = np.hanning(samples.size + 2)[1:-1]
    turning = np.exp(-2j * np.pi * frequency_hz * np.arange(samples.size) / SAMPLE_RATE_HZ)
    amplitude = 2 * abs(np.sum(samples * window * turning)) / float(np.sum(window))
    return _decibels(amplitude / math.sqrt(2))


def tone_levels_dbm0(samples: Samples, frequency_hz: float, window_seconds: float = 0.1) -> list[float]:
    """The same for each whole window in turn: when it was there."""
    size = round(window_seconds * SAMPLE_RATE_HZ)
    return [
        tone_level_dbm0(samples[start : start + size], frequency_hz)
        for start in range(0, samples.size - size + 1, size)
    ]


def _decibels(rms: float) -> float:
    return 20 * math.log10(rms / REFERENCE_RMS) if rms > 0 else _LEAST_DBM0


def first_audible_seconds(samples: Samples, above_dbm0: float = AUDIBLE_DBM0) -> float | None:
    """Where something begins to be heard for 20 ms or more, a click being no voice; None where nothing is."""
    window = FRAME_SAMPLES // 4  # 5 ms, which is how exact the answer is
    whole = samples[: samples.size // window * window].reshape(-1, window)
    loud = np.mean(whole**2, axis=1) > (REFERENCE_RMS * 10 ** (above_dbm0 / 20)) ** 2
    for start in np.flatnonzero(loud):
        if loud[start : start + 4].all() and start + 4 <= loud.size:
            return float(start * window / SAMPLE_RATE_HZ)
    return None


# --- files ------------------------------------------------------------------------------------------------


def write_wav(path: Path, samples: Samples) -> None:
    """8000 Hz, mono, 16 bit, which is all that a software phone plays; for its owner only."""
    path.touch(mode=0o600)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes())


def read_wav(path: Path) -> Samples:
    """What was written so. ValueError, with the file's name, for anything else."""
    try:
        with wave.open(str(path), "rb") as file:
            shape = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path} is no WAV file: {error or 'it is empty'}") from None
    if shape != (1, 2, SAMPLE_RATE_HZ):
        raise ValueError(
            f"{path} has {shape[0]} channels of {8 * shape[1]} bit at {shape[2]} Hz; 1 of 16 bit at 8000 Hz is needed"
        )
    return np.frombuffer(frames, "<i2").astype(np.float64)
