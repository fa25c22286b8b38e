"""The mouth-to-ear estimator finds a delay that is known because we put it there, on a line that does what lines do."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtest.audio.chirp import chirp, find, find_each, hear, word
from hwtest.audio.signal import FRAME_SAMPLES, level_dbm0, silence, tone
from hwtest.statistics import summarise
from tests.audio.line import companded, delayed, noise, with_loss

UP, DOWN = chirp(upwards=True), chirp(upwards=False)
MOST_MS = 1.0


def error_ms(seed: int, loss: float, delay_samples: float, noise_dbm0: float = -50.0) -> float:
    """What the estimator is off by. The line's frames begin anywhere."""
    dice = random.Random(seed)
    phase = dice.randrange(FRAME_SAMPLES)
    sent = np.concatenate([silence(0.2), UP, silence(0.3)])
    heard = delayed(sent, delay_samples)
    heard = heard + noise(heard.size, noise_dbm0, dice)
    heard = with_loss(companded(heard[phase:]), loss, dice)
    match = find(UP, heard)
    assert match is not None and match.sure
    return (match.position_samples + phase - 1600 - delay_samples) / 8


@given(
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.05),
    delay_samples=st.floats(0, 3200),
    noise_dbm0=st.floats(-70, -30),
)
def test_a_known_delay_is_found_within_a_millisecond(
    seed: int, loss: float, delay_samples: float, noise_dbm0: float
) -> None:
    """Any delay up to 400 ms, 0 to 5 % of frames lost, µ-law, noise, and frames that begin anywhere."""
    assert abs(error_ms(seed, loss, delay_samples, noise_dbm0)) < MOST_MS


def test_the_distribution_of_the_error() -> None:
    """Quoted in docs/hwtest-media.md: of 1,200 seeded chirps none is off by more than a tenth of a millisecond."""
    dice = random.Random(101)
    for loss in (0.0, 0.01, 0.03, 0.05):
        errors = [
            abs(error_ms(dice.getrandbits(32), loss, dice.uniform(0, 3200), dice.uniform(-70, -40)))
            for _ in range(300)
        ]
        summary = summarise(errors)
        assert summary is not None
        assert (summary.p50 < 0.02, summary.p99 < 0.05, summary.maximum < 0.1) == (True, True, True), summary


def test_the_other_direction_is_not_taken_for_this_one() -> None:
    """Up is not found in down, nor in a tone, nor in noise."""
    dice = random.Random(5)
    for heard in (DOWN, tone(1103, 1.0), noise(8000, -20, dice)):
        match = find(UP, np.concatenate([silence(0.3), heard, silence(0.3)]))
        assert match is not None and not match.sure


def test_nothing_is_found_in_silence_or_in_too_little() -> None:
    """None, and no division by zero."""
    assert find(UP, silence(2.0)) is None
    assert find(UP, UP[:1000]) is None


def test_a_line_that_turns_the_signal_upside_down_is_measured_too() -> None:
    """Polarity is no delay; the gain says so."""
    match = find(UP, np.concatenate([silence(0.1), -0.5 * UP, silence(0.1)]))
    assert match is not None
    assert match.position_samples == pytest.approx(800, abs=0.01)
    assert match.gain == pytest.approx(-0.5, abs=0.01)


def test_many_chirps_are_found_each_in_its_window() -> None:
    """A chirp that was lost is None or unsure, and moves no other."""
    heard = np.concatenate([silence(0.1), UP, silence(0.5), silence(0.6), silence(0.2), UP, silence(0.5)])
    first, lost, third = find_each(UP, heard, [0, 8800, 13600], 3200)
    assert first is not None and first.position_samples == pytest.approx(800, abs=0.01)
    assert lost is None or not lost.sure
    assert third is not None and third.position_samples == pytest.approx(1600, abs=0.01)


def test_the_level_is_what_was_asked_for() -> None:
    """Within the fade's share."""
    assert level_dbm0(chirp(upwards=True, level_dbm0=-20)) == pytest.approx(-20, abs=0.7)


@pytest.mark.parametrize("missing_seconds", [0.0, 0.05, 0.12, 0.2])
def test_a_clipped_first_word(missing_seconds: float) -> None:
    """As much is found missing as was cut, to a piece of 10 ms, and it is known where it would have begun."""
    spoken = word()
    heard = spoken.copy()
    heard[: round(missing_seconds * 8000)] = 0
    found = hear(spoken, companded(np.concatenate([silence(0.137), heard, silence(0.2)])))
    assert found is not None
    assert found.clipped_seconds == pytest.approx(missing_seconds, abs=0.0101)
    assert found.begins_samples == pytest.approx(0.137 * 8000, abs=0.5)
    assert found.audible_samples == pytest.approx((0.137 + missing_seconds) * 8000, abs=81)


def test_a_word_that_began_before_the_recording() -> None:
    """What came too early is clipped as well."""
    found = hear(word(), word()[800:])
    assert found is not None
    assert found.begins_samples == pytest.approx(-800, abs=0.5)
    assert found.clipped_seconds == pytest.approx(0.1)


def test_a_word_that_nobody_heard() -> None:
    """Is not a word of which nothing was clipped."""
    assert hear(word(), noise(16000, -40, random.Random(1))) is None
