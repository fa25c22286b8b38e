"""Before and after a change: what is told apart, and what is left to chance."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec
import pytest

from hwtest import comparison
from hwtest.bench.machine import describe_machine
from hwtest.comparison import Change, Comparison, bootstrap_ratio, compare
from hwtest.probes.contract import NotMeasuredError, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.report.result import ProbeResult, Run, TargetDescription
from tests.probes.made import made_probe

MACHINE = describe_machine("22.10.1")


def result(sheet: Sheet, verdict: Verdict | None = None) -> Run:
    """A run of one probe with what stands on the sheet."""
    probe = ProbeResult(
        name=sheet.probe.name, number=1, title="", level="safe", verdict=verdict or sheet.verdict, started_utc="",
        seconds=1, term="", reference="", meaning="", figures=tuple(sheet.figures), findings=tuple(sheet.findings),
    )  # fmt: skip
    return Run(
        hwtest_version="1", what=("made",), seed=1, started_utc="", seconds=1, machine=MACHINE, interrupted=False,
        target=TargetDescription(name="a", kind="live", sip="", source="", fingerprint="f"), redacted=False,
        verdict=probe.verdict, exit_status=0, probes=(probe,),
    )  # fmt: skip


def delays(scale: float, seed: int) -> Run:
    """100 delays about so long."""
    dice, sheet = random.Random(seed), Sheet(made_probe())
    sheet.distribution("delay", "ms", [scale * dice.lognormvariate(0, 0.3) for _ in range(100)])
    return result(sheet)


def only(made: Comparison) -> tuple[Change, int]:
    """Its one figure's change, and the exit status."""
    (figure,) = made.figures
    return figure.change, made.exit_status


def test_slower_and_faster_are_told() -> None:
    """The interval is of after by before, and does not hold 1."""
    made = compare(delays(2, 1), delays(4, 2))
    (figure,) = made.figures
    assert (
        figure.low is not None and figure.high is not None and figure.low < 2 < figure.high and figure.low > 1
    )
    assert only(made) == (Change.WORSE, 1)
    assert only(compare(delays(4, 1), delays(2, 2))) == (Change.BETTER, 0)


def test_chance_is_not_a_change() -> None:
    """The same thing measured twice is the same, but one time in twenty or so."""
    told = [only(compare(delays(2, seed), delays(2, 1000 + seed)))[0] for seed in range(40)]
    assert told.count(Change.SAME) >= 33


def test_a_verdict_that_got_worse() -> None:
    """A probe that fails now counts more than a figure; what is not measured any more is no pass."""
    assert compare(delays(2, 1), delays(40, 2)).exit_status == 2
    gone = msgspec.structs.replace(delays(2, 2).probes[0], verdict=Verdict.NOT_MEASURED, figures=())
    after = msgspec.structs.replace(delays(2, 2), probes=(gone,))
    assert only(compare(delays(2, 1), after)) == (Change.GONE, 3)


def test_shares() -> None:
    """By the interval of their difference: 1 of 20 beside 0 of 20 is chance, 100 of 200 beside 2 of 200 is not."""

    def lost(hits: int, of: int) -> Run:
        sheet = Sheet(made_probe())
        sheet.share("lost", hits, of)
        return result(sheet)

    assert only(compare(lost(0, 20), lost(1, 20)))[0] is Change.SAME
    assert only(compare(lost(2, 200), lost(100, 200)))[0] is Change.WORSE
    assert only(compare(lost(100, 200), lost(2, 200)))[0] is Change.BETTER


def test_single_samples_differ_by_chance() -> None:
    """One number beside one number is only different, unless one of them is beyond what is expected."""

    def heard(value: float) -> Run:
        sheet = Sheet(made_probe())
        sheet.value("heard", "%", value)
        return result(sheet)

    assert only(compare(heard(95), heard(92))) == (Change.DIFFERENT, 0)
    assert only(compare(heard(95), heard(80))) == (Change.WORSE, 1)
    assert only(compare(heard(80), heard(95))) == (Change.BETTER, 0)


def test_within_the_meters_error_nothing_has_changed() -> None:
    """However narrow the intervals are."""

    def delay(value: float) -> Run:
        sheet = Sheet(made_probe())
        sheet.distribution("delay", "ms", [value] * 50, uncertainty=0.1)
        return result(sheet)

    assert only(compare(delay(1.0), delay(1.15)))[0] is Change.SAME
    assert only(compare(delay(1.0), delay(1.3)))[0] is Change.WORSE


def test_nothing_in_common() -> None:
    """Nothing was compared: 3."""
    other = Sheet(made_probe(name="made.other"))
    other.value("lost", "%", 0)
    made = compare(delays(1, 1), result(other))
    assert made.exit_status == 3
    assert (made.only_before, made.only_after) == (("made.up",), ("made.other",))


def test_a_ratio_by_zero_is_undefined() -> None:
    """Never infinite, never zero (RFC 6076 §3)."""
    assert bootstrap_ratio((0.0, 0.0), (1.0, 2.0), "p50") is None


def test_other_machine_and_configuration_are_said() -> None:
    """Times of two machines differ by themselves."""
    before, after = delays(2, 1), delays(2, 2)
    moved = msgspec.structs.replace(
        after,
        machine=replace(MACHINE, processor="another"),
        target=msgspec.structs.replace(after.target, fingerprint="g"),
    )
    same, other = compare(before, after), compare(before, moved)
    assert (same.same_configuration, same.same_machine) == (True, True)
    assert (other.same_configuration, other.same_machine) == (False, False)


def test_an_error_has_a_reason_and_a_way_out() -> None:
    """Both parts are there for the report."""
    error = NotMeasuredError("why", "how")
    assert (error.reason, error.mend, str(error)) == ("why", "how", "why")


def test_a_new_finding_is_worse() -> None:
    """Also of a probe that has no figure to be worse, and of one that had failed for another reason already."""
    before, after = Sheet(made_probe()), Sheet(made_probe())
    after.find("made.up.bad", Verdict.WARN, "not configured")
    worse = compare(result(before, Verdict.PASS), result(after, Verdict.WARN))
    assert (worse.exit_status, worse.found, worse.mended) == (1, ("made.up.bad",), ())
    better = compare(result(after, Verdict.WARN), result(before, Verdict.PASS))
    assert (better.exit_status, better.found, better.mended) == (0, (), ("made.up.bad",))
    assert compare(result(after, Verdict.FAIL), result(after, Verdict.FAIL)).exit_status == 0
    assert (
        compare(result(before, Verdict.NOT_MEASURED), result(before, Verdict.NOT_MEASURED)).exit_status == 3
    )
    assert compare(result(before, Verdict.FAIL), result(after, Verdict.FAIL)).exit_status == 1


def test_so_few_samples_are_compared_by_their_median() -> None:
    """Of twenty, chance makes another 95th percentile each time, and its own interval has no upper end."""

    def twenty(scale: float, seed: int) -> Run:
        dice, sheet = random.Random(seed), Sheet(made_probe())
        sheet.distribution("delay", "ms", [scale * dice.lognormvariate(0, 1.0) for _ in range(20)])
        return result(sheet, Verdict.PASS)

    told = [compare(twenty(1, seed), twenty(1, 1000 + seed)).figures[0] for seed in range(60)]
    assert {figure.statistic for figure in told} == {"p50"}
    assert sum(figure.change is not Change.SAME for figure in told) <= 6
    (slower,) = compare(twenty(1, 1), twenty(9, 2)).figures
    assert (slower.change, slower.statistic) == (Change.WORSE, "p50")
    assert slower.before is not None and slower.before < 2


def test_a_handful_of_samples_is_judged_by_its_verdict() -> None:
    """Three samples have no interval at all: they are different, or on the other side of what is expected."""

    def three(value: float) -> Run:
        sheet = Sheet(made_probe())
        sheet.distribution("delay", "ms", [value, value + 1, value + 2])
        return result(sheet)

    assert only(compare(three(1), three(4)))[0] is Change.DIFFERENT
    assert only(compare(three(1), three(15)))[0] is Change.WORSE


def test_another_unit_is_not_compared() -> None:
    """An older hwtest gave seconds where there are milliseconds now."""
    before, after = Sheet(made_probe()), Sheet(made_probe())
    before.value("heard", "s", 95)
    after.value("heard", "%", 40)
    (figure,) = compare(result(before), result(after)).figures
    assert (figure.change, figure.ratio) == (Change.DIFFERENT, None)


def test_a_days_samples_are_not_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thousand draws of each would take gigabytes; some at a time give the same interval."""
    samples = tuple(float(each) for each in range(1, 101))
    whole = bootstrap_ratio(samples, samples, "p50")
    monkeypatch.setattr(comparison, "_DRAWN_AT_ONCE", 1000)
    parts = bootstrap_ratio(samples, samples, "p50")
    assert whole == parts
