"""What a sheet makes of samples: figures, verdicts, findings, and intervals that hold what they promise."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtest.probes.contract import Evidence, Layer, Verdict, worst
from hwtest.probes.sheet import Sheet, histogram, quantile_interval, share_interval
from hwtest.statistics import percentile
from tests.probes.made import made_probe


def sheet(**overrides: tuple[float, float]) -> Sheet:
    """An empty one."""
    return Sheet(made_probe(), overrides)


def test_the_gravest_verdict_counts() -> None:
    """A failure that was seen weighs more than what was not measured; nothing at all is not measured."""
    every = list(Verdict)
    assert worst(every) is Verdict.FAIL
    assert worst([Verdict.PASS, Verdict.NOT_MEASURED, Verdict.WARN]) is Verdict.NOT_MEASURED
    assert worst([Verdict.PASS, Verdict.WARN]) is Verdict.WARN
    assert worst([Verdict.PASS, Verdict.PASS]) is Verdict.PASS
    assert worst([]) is Verdict.NOT_MEASURED
    assert [verdict.exit_status for verdict in every] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("slowest", "verdict"),
    [(10.0, Verdict.PASS), (10.1, Verdict.WARN), (20.0, Verdict.WARN), (20.1, Verdict.FAIL)],
)
def test_a_figure_is_judged_as_it_is_written(slowest: float, verdict: Verdict) -> None:
    """On its threshold it still passes; beyond it there is a finding that names the layer."""
    written = sheet()
    figure = written.distribution("delay", "ms", [slowest] * 20, evidence=[Evidence(text="look")])
    assert (figure.verdict, written.verdict) == (verdict, verdict)
    found = [(f.code, f.verdict, f.layer, f.evidence) for f in written.findings]
    expected = [("made.up.bad", verdict, Layer.TRUNK, (Evidence(text="look"),))]
    assert found == ([] if verdict is Verdict.PASS else expected)


def test_one_slow_sample_does_not_move_the_p95() -> None:
    """Nor is it hidden: the maximum shows it."""
    figure = sheet().distribution("delay", "ms", [1.0] * 99 + [500.0])
    assert figure.verdict is Verdict.PASS
    assert figure.distribution is not None and figure.distribution.maximum == 500.0


def test_at_least() -> None:
    """Some figures must be high."""
    assert sheet().value("heard", "%", 90).verdict is Verdict.PASS
    assert sheet().value("heard", "%", 89).verdict is Verdict.WARN
    assert sheet().value("heard", "%", 49).verdict is Verdict.FAIL


def test_what_is_undefined_is_no_number() -> None:
    """A share of nothing, a distribution of nothing, a quality without audio: not measured, never zero, never a pass."""
    written = sheet()
    for figure in (
        written.share("lost", 0, 0),
        written.distribution("delay", "ms", []),
        written.value("heard", "%", None, note="no audio"),
    ):
        assert (figure.value, figure.verdict) == (None, Verdict.NOT_MEASURED)
    told = written.distribution("delay", "ms", [], note="of calls that were answered").note
    assert told == "there was no sample; of calls that were answered"  # what it would be of is no reason
    assert written.verdict is Verdict.NOT_MEASURED
    assert written.findings == []


def test_a_figure_without_a_threshold_is_shown() -> None:
    """It alone makes no verdict: what judged nothing has not passed."""
    written = sheet()
    assert written.value("calls", "", 3).verdict is None
    assert written.verdict is Verdict.NOT_MEASURED


def test_a_profile_expects_something_else() -> None:
    """Its numbers count, and the finding says that they are the profile's."""
    written = sheet(delay=(1.0, 2.0))
    written.distribution("delay", "ms", [5.0] * 20)
    assert written.verdict is Verdict.FAIL
    assert "the target's profile (by default 10/20, own)" in written.findings[0].summary


def test_a_code_that_the_probe_does_not_explain() -> None:
    """Is a fault of the probe."""
    with pytest.raises(StopIteration):
        sheet().find("made.up.other", Verdict.FAIL, "oh")


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("n", [5, 20, 59, 100, 1500])
def test_the_interval_of_a_quantile_covers_it(share: float, n: int) -> None:
    """In 95 % of runs at the least, but for the chance of 400 of them (three standard errors)."""
    dice = random.Random(n)
    covered = 0
    for _ in range(400):
        low, high = quantile_interval([dice.random() for _ in range(n)], share)
        covered += (low is None or low <= share) and (high is None or share <= high)
    assert covered / 400 >= 0.95 - 3 * (0.95 * 0.05 / 400) ** 0.5


def test_few_samples_give_no_upper_end() -> None:
    """Twenty say nothing of how high the 95th percentile may be; 59 do with 95 % one-sided, and 73 with both sides."""
    assert quantile_interval(range(20), 0.95)[1] is None
    assert quantile_interval(range(80), 0.95)[1] is not None


def test_the_interval_of_a_share() -> None:
    """Wilson's, by a worked example: 1 of 20 is 0.9 % to 23.6 %; and it never leaves 0 to 1."""
    low, high = share_interval(1, 20)
    assert (round(low, 4), round(high, 4)) == (0.0089, 0.2361)
    assert share_interval(0, 20)[0] == 0.0
    assert share_interval(20, 20)[1] == 1.0


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_the_histogram_counts_every_sample_once(samples: list[float]) -> None:
    """Its edges rise, and every sample is at most its edge."""
    bins = histogram(samples)
    edges = [bin_.up_to for bin_ in bins]
    assert edges == sorted(set(edges))
    assert sum(bin_.count for bin_ in bins) == len(samples)
    assert max(samples) <= edges[-1] * (1 + 1e-6)


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=60))
def test_figures_are_in_order(samples: list[float]) -> None:
    """Whatever the samples, and the judged number is the one that is named."""
    figure = sheet().distribution("delay", "ms", samples)
    spread = figure.distribution
    assert spread is not None and figure.value == percentile(samples, 0.95)
    assert spread.p50 <= spread.p95 <= spread.p99 <= spread.maximum
    assert figure.low is None or figure.low <= figure.value * (1 + 1e-9)
