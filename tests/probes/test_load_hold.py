"""load.hold: steps in, growth, verdict and blame out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwtest.probes.contract import Layer, NotMeasuredError, Verdict
from hwtest.probes.load_hold import PROBE, Step, fit, judge
from hwtest.probes.sheet import Sheet
from hwtest.sipp.room import Use


def use(cpu_seconds: float, rss_mb: float = 100, descriptors: int = 20, threads: int = 4) -> Use:
    """What a process has used and holds."""
    return Use(cpu_seconds=cpu_seconds, rss_mb=rss_mb, descriptors=descriptors, threads=threads)


def step(
    waiting: int,
    *,
    cpu: float = 0.05,
    rss_mb: float = 100,
    dispatch_ms: float = 5,
    lost: int = 0,
    there: int | None = None,
) -> Step:
    """One of five seconds in which the daemon worked for `cpu` seconds, and the switch five descriptors for each caller."""
    return Step(
        waiting=waiting,
        there=waiting if there is None else there,
        seconds=5,
        before={"switch": use(0), "daemon": use(0)},
        after={"switch": use(1, descriptors=40 + 5 * waiting), "daemon": use(cpu, rss_mb)},
        freed_ms=[dispatch_ms] * 20 if waiting > 1 else [],
        created=waiting + 20,
        lost=lost,
    )


def judged(*steps: Step) -> Sheet:
    """The sheet of these."""
    sheet = Sheet(PROBE)
    judge(sheet, steps, {"switch": 1040, "daemon": 1024})
    return sheet


def blamed(sheet: Sheet) -> list[tuple[str, Verdict, Layer]]:
    """What was found."""
    return [(one.code.rpartition(".")[2], one.verdict, one.layer) for one in sheet.findings]


def test_a_straight_line() -> None:
    """Slope, start and how well it explains the points; without two different x there is none."""
    line = fit([(1, 5), (10, 50), (100, 500)])
    assert line is not None
    assert (round(line.slope, 9), round(line.start, 9), round(line.explained, 9)) == (5, 0, 1)
    bent = fit([(0, 0), (1, 1), (2, 0)])
    assert bent is not None
    assert (bent.slope, round(bent.explained, 9)) == (0, 0)
    assert fit([(1, 2), (1, 3)]) is None


def test_cheap_and_quick() -> None:
    """Pass; and the number of callers at which the descriptors end is told: (1040 - 40) / 5."""
    sheet = judged(step(1), step(10), step(100))
    assert (sheet.verdict, sheet.findings) == (Verdict.PASS, [])
    figures = {figure.name: figure.value for figure in sheet.figures}
    assert figures["switch_callers_by_descriptors"] == 200
    assert figures["switch_descriptors_per_100"] == pytest.approx(500)
    assert len(sheet.plots) == 2


@pytest.mark.parametrize(
    ("most", "found"),
    [
        (step(100, cpu=0.4), [("cpu", Verdict.WARN, Layer.DAEMON)]),
        (step(100, cpu=1.0), [("cpu", Verdict.FAIL, Layer.DAEMON)]),
        (step(100, rss_mb=150), [("memory", Verdict.WARN, Layer.DAEMON)]),
        (step(100, dispatch_ms=11), [("growth", Verdict.WARN, Layer.DAEMON)]),
        (step(100, lost=1), [("lost", Verdict.FAIL, Layer.SWITCH)]),
    ],
)
def test_who_is_blamed(most: Step, found: list[tuple[str, Verdict, Layer]]) -> None:
    """For what a hundred callers cost."""
    assert blamed(judged(step(1), step(10), most)) == found


def test_slow_at_every_length() -> None:
    """Is no growth."""
    sheet = judged(step(1), step(10, dispatch_ms=300), step(100, dispatch_ms=300))
    assert blamed(sheet) == [("slow", Verdict.FAIL, Layer.DAEMON)] * 2


def test_nobody_was_served() -> None:
    """Then dispatch was not measured, which is no pass."""
    nobody = replace(step(100), freed_ms=[])
    assert judged(step(1), step(10), nobody).verdict is Verdict.NOT_MEASURED


def test_fewer_are_there_than_are_to_be() -> None:
    """What forty cost is not told as what a hundred cost; what was seen of the steps before is kept."""
    sheet = Sheet(PROBE)
    with pytest.raises(NotMeasuredError, match="40 of 100 callers were waiting"):
        judge(sheet, [step(1), step(10), step(100, there=40)], {})
    assert "dispatch_10" in (names := {figure.name for figure in sheet.figures})
    assert "dispatch_100" not in names


def test_those_who_failed_are_told() -> None:
    """Where the others were lost it is known why fewer are there, and that is judged."""
    assert blamed(judged(step(1), step(10), step(100, there=40, lost=60)))[-1][0] == "lost"


def test_a_wrap_up_is_no_delay() -> None:
    """It is taken off, and that is said."""
    steps = [replace(step(waiting, dispatch_ms=5012), wrap_up_seconds=5.0) for waiting in (1, 10, 100)]
    sheet = judged(*steps)
    figure = next(one for one in sheet.figures if one.name == "dispatch_100")
    assert (figure.value, sheet.findings) == (12, [])
    assert "less the wrap-up of 5 s" in figure.note
