"""What is read of the clock: chrony's line, the kernel's word, steps."""

from __future__ import annotations

import time

import pytest

from hwtest.probes.clock_sync import _bound_ms
from hwtest.timekeeping import KernelClock, StepWatch, kernel_clock, parse_tracking

LINE = "C0A80101,ntp.example,3,1795712421.787,0.000123,-0.000045,0.0002,-12.5,0.01,0.05,0.004,0.0015,64.2,Normal\n"


def test_chronys_line() -> None:
    """Its bound is |offset| + root dispersion + root delay / 2."""
    tracking = parse_tracking(LINE)
    assert tracking is not None and (tracking.source, tracking.stratum, tracking.synchronised) == (
        "ntp.example",
        3,
        True,
    )
    assert (tracking.offset_ms, tracking.root_delay_ms, tracking.root_dispersion_ms) == pytest.approx(
        (0.123, 4.0, 1.5)
    )
    assert tracking.bound_ms == pytest.approx(0.123 + 1.5 + 2.0)


@pytest.mark.parametrize("text", ["", "506 Cannot talk to daemon\n", LINE.replace("0.004", "x"), "a,b,c\n"])
def test_anything_else_is_no_tracking(text: str) -> None:
    """chronyd may not run, or be of another version."""
    assert parse_tracking(text) is None


def test_an_unsynchronised_chrony_proves_nothing() -> None:
    """Then the kernel's word counts; without either nobody knows."""
    unsynchronised = parse_tracking(LINE.replace("Normal", "Not synchronised"))
    kernel = KernelClock(synchronised=False, most_error_ms=16000, frequency_ppm=0, offset_ms=0)
    assert _bound_ms(kernel, unsynchronised) is None
    assert _bound_ms(kernel, parse_tracking(LINE)) == pytest.approx(3.623)
    assert _bound_ms(KernelClock(True, 12.5, 0, 0), unsynchronised) == 12.5
    assert _bound_ms(KernelClock(True, 12.5, 0, 0), None) == 12.5


def test_the_kernel_answers() -> None:
    """Its structure is read as it is: an error bound from 0 to 16 s and more, a frequency within 500 ppm."""
    clock = kernel_clock()
    assert 0 <= clock.most_error_ms < 1e6
    assert abs(clock.frequency_ppm) <= 500


def test_a_step_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """By so much as it was, in either direction; time that passes is none."""
    wall = time.time_ns
    watch = StepWatch()
    assert abs(watch.look()) < 50
    monkeypatch.setattr(time, "time_ns", lambda: wall() + 5_000_000_000)
    assert watch.look() == pytest.approx(5000, abs=50)
    monkeypatch.setattr(time, "time_ns", wall)
    assert watch.look() == pytest.approx(-5000, abs=50)
    assert watch.largest_ms == pytest.approx(5000, abs=50)
