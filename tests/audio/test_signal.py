"""Tones, levels, onsets and files."""

from __future__ import annotations

import math
import random
import wave
from pathlib import Path

import numpy as np
import pytest

from hwtest.audio.signal import (
    LEG_FREQUENCIES_HZ,
    first_audible_seconds,
    level_dbm0,
    read_wav,
    silence,
    tone,
    tone_level_dbm0,
    tone_levels_dbm0,
    write_wav,
)
from hwtest.useragent import g711
from tests.audio.line import companded, noise


@pytest.mark.parametrize("frequency_hz", LEG_FREQUENCIES_HZ)
def test_a_leg_is_told_by_its_tone(frequency_hz: int) -> None:
    """Its own is there at its level, every other leg's at least 40 dB below, in a tenth of a second and through G.711."""
    heard = companded(tone(frequency_hz, 0.1, -10))
    assert tone_level_dbm0(heard, frequency_hz) == pytest.approx(-10, abs=0.2)
    assert max(tone_level_dbm0(heard, other) for other in LEG_FREQUENCIES_HZ if other != frequency_hz) < -50


def test_levels_agree_with_the_other_ones_we_have() -> None:
    """The reference is that of the user agent's tables."""
    codes = g711.tone(g711.A_LAW, 1103, -13.0)
    samples = np.array(g711.A_LAW.expand(codes), dtype=np.float64)
    assert level_dbm0(samples) == pytest.approx(g711.level_dbm0(g711.A_LAW, codes), abs=1e-9)


def test_silence_has_no_level() -> None:
    """Not a number that could be taken for a level."""
    assert level_dbm0(silence(1)) == level_dbm0(silence(0)) == tone_level_dbm0(silence(0), 437) == -math.inf


def test_when_a_tone_was_there() -> None:
    """One level for each window."""
    heard = np.concatenate([silence(0.2), tone(829, 0.3), silence(0.1)])
    assert [level > -20 for level in tone_levels_dbm0(heard, 829)] == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("begins_seconds", [0.0, 0.1, 0.4375])
def test_the_first_audible_sample(begins_seconds: float) -> None:
    """Within 5 ms, above the noise of a line."""
    dice = random.Random(3)
    heard = np.concatenate([silence(begins_seconds), tone(437, 0.5, -20)])
    heard = heard + noise(heard.size, -60, dice)
    assert first_audible_seconds(heard) == pytest.approx(begins_seconds, abs=0.0051)


def test_a_click_is_no_voice() -> None:
    """What lasts 5 ms is not heard as speech, and silence never begins."""
    heard = silence(1.0)
    heard[4000:4040] = 20000
    assert first_audible_seconds(heard) is None
    assert first_audible_seconds(silence(0.0)) is None


def test_files_are_kept_as_they_were(tmp_path: Path) -> None:
    """And are for their owner only."""
    path = tmp_path / "a.wav"
    write_wav(path, tone(437, 0.5))
    assert read_wav(path) == pytest.approx(np.rint(tone(437, 0.5)))
    assert path.stat().st_mode & 0o077 == 0


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    """With what it is and what is needed."""
    path = tmp_path / "b.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16000)
    with pytest.raises(ValueError, match=r"2 channels of 16 bit at 16000 Hz; 1 of 16 bit at 8000 Hz"):
        read_wav(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="is no WAV file"):
        read_wav(path)
