"""A telephone line of numbers: delay to a fraction of a sample, companding, frames of 20 ms that get lost and are concealed."""

from __future__ import annotations

import random

import numpy as np

from hwtest.audio.signal import FRAME_SAMPLES, Samples
from hwtest.useragent.g711 import MU_LAW

_VALUES = np.array(sorted(set(MU_LAW.values)), dtype=np.float64)
_EDGES = (_VALUES[1:] + _VALUES[:-1]) / 2


def companded(samples: Samples) -> Samples:
    """Through µ-law."""
    return _VALUES[np.searchsorted(_EDGES, samples)]


def delayed(samples: Samples, delay_samples: float) -> Samples:
    """Later by any number of samples, by turning phases; zeros around keep the end from coming round."""
    spare = int(delay_samples) + 256
    padded = np.concatenate([samples, np.zeros(spare)])
    turned = np.fft.rfft(padded) * np.exp(-2j * np.pi * np.fft.rfftfreq(padded.size) * delay_samples)
    return np.fft.irfft(turned, padded.size)


def with_loss(samples: Samples, share: float, dice: random.Random) -> Samples:
    """Each frame lost with this chance; the frame before is heard in its place, softer each time."""
    frames = samples[: samples.size // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES).copy()
    for index in range(1, len(frames)):
        if dice.random() < share:
            frames[index] = 0.8 * frames[index - 1]
    return frames.ravel()


def noise(size: int, level_dbm0: float, dice: random.Random) -> Samples:
    """White noise."""
    from hwtest.audio.signal import REFERENCE_RMS

    return np.random.default_rng(dice.getrandbits(32)).normal(
        0, REFERENCE_RMS * 10 ** (level_dbm0 / 20), size
    )
