"""What is read of the clock: chrony's line, the kernel's word, steps."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hwtest.probes import clock_sync
from hwtest.probes.clock_sync import _bound
from hwtest.probes.contract import Verdict
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.timekeeping import KernelClock, StepWatch, chrony_tracking, kernel_clock, parse_tracking
from tests.probes.made import LIVE

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


@pytest.mark.parametrize("name", ["192.168.1.1", "2001:db8::1", "1e5", ""])
def test_a_source_that_has_no_name(name: str) -> None:
    """chronyc then gives its address, which is no number."""
    tracking = parse_tracking(LINE.replace("ntp.example", name))
    assert tracking is not None and tracking.source == name
    assert tracking.bound_ms == pytest.approx(3.623)


async def test_chrony_is_asked_for_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a dead name server would make it look as if it did not run."""
    program = tmp_path / "chronyc"
    program.write_text(f'#!/bin/sh\n[ "$*" = "-n -c tracking" ] && echo "{LINE.strip()}"\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    tracking = await chrony_tracking()
    assert tracking is not None and tracking.synchronised


def test_a_clock_that_follows_itself_is_not_synchronised() -> None:
    """With `local stratum 10` chrony serves others from its own clock, says Normal, and is nowhere off from itself."""
    tracking = parse_tracking(LINE.replace("C0A80101,ntp.example", "7F7F0101,"))
    assert tracking is not None and not tracking.synchronised


def test_whose_word_counts() -> None:
    """Chrony's where it runs, be it that it knows nothing; without it the kernel's, which is a bound of another kind."""
    unsynchronised = parse_tracking(LINE.replace("Normal", "Not synchronised"))
    nobody = KernelClock(synchronised=False, most_error_ms=16000, frequency_ppm=0, offset_ms=0)
    known = KernelClock(synchronised=True, most_error_ms=12.5, frequency_ppm=0, offset_ms=0)
    bound = _bound(nobody, parse_tracking(LINE))
    assert bound is not None and bound[0] == "clock_error_bound" and bound[1] == pytest.approx(3.623)
    assert _bound(known, unsynchronised) is None
    assert _bound(known, None) == ("kernel_error_bound", 12.5)
    assert _bound(nobody, None) is None


async def test_a_simple_time_service_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No time service at all is a warning; one that last looked half an hour ago is not worse than that."""
    monkeypatch.setattr(clock_sync, "LOOKS", 1)

    async def nothing() -> None:
        return None

    monkeypatch.setattr(clock_sync, "chrony_tracking", nothing)
    for synchronised, code in ((True, "clock.sync.loose"), (False, "clock.sync.unproven")):
        kernel = KernelClock(synchronised, most_error_ms=1024, frequency_ppm=0, offset_ms=0)
        monkeypatch.setattr(clock_sync, "kernel_clock", lambda kernel=kernel: kernel)
        sheet = Sheet(clock_sync.PROBE)
        await clock_sync.measure(Site(LIVE, tmp_path), sheet)
        assert [(finding.code, finding.verdict) for finding in sheet.findings] == [(code, Verdict.WARN)]


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
