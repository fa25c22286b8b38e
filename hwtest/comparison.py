"""Two results side by side: what a change did to each figure, with the interval of the difference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from enum import StrEnum

import msgspec
import numpy as np
import numpy.typing as npt

from hwtest.probes.contract import Figure, Verdict
from hwtest.probes.sheet import SHARES
from hwtest.report.result import ProbeResult, Run
from hwtest.statistics import CONFIDENCE, RESAMPLES, Interval

LEAST_SAMPLES = 6
"""With fewer even a median has no 95 % interval: 2 x 0.5^6 = 0.03."""
_DRAWN_AT_ONCE = 2_000_000
_Floats = npt.NDArray[np.float64]


class Change(StrEnum):
    """What became of a figure. `same`: no difference can be told from chance."""

    BETTER = "better"
    WORSE = "worse"
    DIFFERENT = "different"
    """Nothing says which way is good, or two single samples differ and both are well, or neither is."""
    SAME = "same"
    GONE = "not measured now"
    NEW = "not measured before"


class FigureChange(msgspec.Struct, frozen=True, kw_only=True):
    """One figure before and after."""

    probe: str
    figure: str
    statistic: str
    """The one that is judged; `p50` where so few samples cannot tell a change of that from chance."""
    unit: str
    before: float | None
    after: float | None
    n_before: int
    n_after: int
    ratio: float | None = None
    """After by before; null where it is undefined."""
    low: float | None = None
    high: float | None = None
    """95 % interval of the ratio of a distribution, of the difference of a share."""
    change: Change


class VerdictChange(msgspec.Struct, frozen=True, kw_only=True):
    """A probe whose verdict is another now."""

    probe: str
    before: Verdict
    after: Verdict


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Before and after."""

    same_configuration: bool
    """Whether the target was configured alike, by its fingerprint."""
    same_machine: bool
    """Whether it was measured on the like of a machine: times of two machines differ by themselves."""
    compared: tuple[str, ...]
    """Probes that stand in both and were measured in one of them."""
    verdicts: tuple[VerdictChange, ...]
    found: tuple[str, ...]
    """Codes of what they find now and did not before."""
    mended: tuple[str, ...]
    """Codes of what they found before and do not now."""
    figures: tuple[FigureChange, ...]
    only_before: tuple[str, ...] = ()
    """Probes that ran before and not now: nothing is said of them."""
    only_after: tuple[str, ...] = ()

    @property
    def exit_status(self) -> int:
        """0 nothing is worse, 1 a figure is or a finding is new, 2 a probe fails that did not, 3 one is not measured now."""
        if not self.compared:
            return 3
        if any(change.after is Verdict.FAIL for change in self.verdicts):
            return 2
        if any(change.after is Verdict.NOT_MEASURED for change in self.verdicts):
            return 3
        return int(bool(self.found) or any(figure.change is Change.WORSE for figure in self.figures))


def compare(before: Run, after: Run) -> Comparison:
    """Every probe that stands in both."""
    earlier = {result.name: result for result in before.probes}
    pairs = [(earlier[result.name], result) for result in after.probes if result.name in earlier]
    return Comparison(
        same_configuration=before.target.fingerprint == after.target.fingerprint,
        same_machine=(before.machine.processor, before.machine.cores)
        == (after.machine.processor, after.machine.cores),
        compared=tuple(
            new.name for old, new in pairs if not old.verdict is new.verdict is Verdict.NOT_MEASURED
        ),
        found=_more_codes((old for old, _ in pairs), (new for _, new in pairs)),
        mended=_more_codes((new for _, new in pairs), (old for old, _ in pairs)),
        verdicts=tuple(
            VerdictChange(probe=new.name, before=old.verdict, after=new.verdict)
            for old, new in pairs
            if old.verdict is not new.verdict
        ),
        figures=tuple(change for old, new in pairs for change in _figures(old, new)),
        only_before=_missing_in(after, before),
        only_after=_missing_in(before, after),
    )


def _more_codes(these: Iterable[ProbeResult], those: Iterable[ProbeResult]) -> tuple[str, ...]:
    """Codes of those that are not among these, each once."""
    known = {finding.code for result in these for finding in result.findings}
    codes = dict.fromkeys(finding.code for result in those for finding in result.findings)
    return tuple(code for code in codes if code not in known)


def _missing_in(run: Run, other: Run) -> tuple[str, ...]:
    """Names of the other's probes that do not stand in this one."""
    here = {result.name for result in run.probes}
    return tuple(result.name for result in other.probes if result.name not in here)


def _figures(old: ProbeResult, new: ProbeResult) -> Iterator[FigureChange]:
    names = dict.fromkeys(figure.name for figure in (*old.figures, *new.figures))
    for name in names:
        before = next((figure for figure in old.figures if figure.name == name), None)
        after = next((figure for figure in new.figures if figure.name == name), None)
        yield _figure(new.name, name, before, after)


def _figure(probe: str, name: str, before: Figure | None, after: Figure | None) -> FigureChange:
    known = after or before
    assert known is not None
    statistic = _statistic(before, after)
    old, new = (_number(figure, statistic) for figure in (before, after))
    interval: Interval | None = None
    if before is None or after is None or old is None or new is None:
        change = (
            Change.GONE if new is None and old is not None else Change.NEW if new is not None else Change.SAME
        )
    elif before.unit != after.unit:
        change = Change.DIFFERENT
    else:
        interval = _interval(before, after, statistic)
        change = _judge(before, after, (old, new), interval)
    comparable = before is not None and after is not None and before.unit == after.unit
    return FigureChange(
        probe=probe,
        figure=name,
        statistic=statistic,
        unit=known.unit,
        before=old,
        after=new,
        n_before=before.n if before else 0,
        n_after=after.n if after else 0,
        ratio=new / old if comparable and old and new is not None else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        change=change,
    )


def _statistic(before: Figure | None, after: Figure | None) -> str:
    """Which number of a distribution is compared: that which is judged, if both have enough samples to give its interval.

    Else it is the median: of the highest of a few samples, or of their 95th percentile, chance alone makes another each time.
    """
    known = after or before
    assert known is not None
    if before is None or after is None or before.distribution is None or after.distribution is None:
        return known.statistic
    same = before.statistic == after.statistic
    return known.statistic if same and None not in (before.low, before.high, after.low, after.high) else "p50"


def _number(figure: Figure | None, statistic: str) -> float | None:
    if figure is None or figure.distribution is None or figure.statistic == statistic:
        return figure.value if figure is not None else None
    return figure.distribution.p50


def _interval(before: Figure, after: Figure, statistic: str) -> Interval | None:
    if before.distribution is not None and after.distribution is not None:
        if min(before.n, after.n) < LEAST_SAMPLES:
            return None
        return bootstrap_ratio(before.distribution.samples, after.distribution.samples, statistic)
    if before.unit == after.unit == "%" and None not in (before.low, before.high, after.low, after.high):
        return _difference_of_shares(before, after)
    return None


def bootstrap_ratio(before: tuple[float, ...], after: tuple[float, ...], statistic: str) -> Interval | None:
    """95 % percentile-bootstrap interval of after by before, of one statistic; None where it is undefined.

    Samples are drawn as if each stood for itself; those of one run share its disturbances, so it is narrow rather than wide.
    """
    dice = np.random.default_rng(101)
    share = 100 * SHARES[statistic]
    earlier, later = (_resampled(np.asarray(samples), share, dice) for samples in (before, after))
    ratios = later[earlier > 0] / earlier[earlier > 0]
    if not ratios.size:
        return None
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(ratios, [tail, 100 - tail])
    return Interval(float(low), float(high))


def _resampled(samples: _Floats, share: float, dice: np.random.Generator) -> _Floats:
    """The percentile of each of so many draws, some at a time: a day's soak has more samples than there is memory for all."""
    at_once = max(1, _DRAWN_AT_ONCE // len(samples))
    return np.concatenate(
        [
            np.percentile(dice.choice(samples, (min(at_once, RESAMPLES - done), len(samples))), share, axis=1)
            for done in range(0, RESAMPLES, at_once)
        ]
    )


def _difference_of_shares(before: Figure, after: Figure) -> Interval:
    """Newcombe's interval of a difference of two shares, from the Wilson interval of each; in percent."""
    assert before.value is not None and after.value is not None
    assert (
        before.low is not None
        and before.high is not None
        and after.low is not None
        and after.high is not None
    )
    middle = after.value - before.value
    down = math.hypot(after.value - after.low, before.high - before.value)
    up = math.hypot(after.high - after.value, before.value - before.low)
    return Interval(middle - down, middle + up)


def _judge(before: Figure, after: Figure, values: tuple[float, float], interval: Interval | None) -> Change:
    old, new = values
    even = 0.0 if before.distribution is None or after.distribution is None else 1.0
    if interval is not None and interval.low <= even <= interval.high:
        return Change.SAME
    if abs(new - old) <= (before.uncertainty or 0.0) + (after.uncertainty or 0.0):
        return Change.SAME  # equal, or as far as the meter can tell
    if after.threshold is None or (interval is None and before.verdict is after.verdict):
        return Change.DIFFERENT  # a single sample on either side of nothing: who says that it is not chance?
    return Change.BETTER if (new > old) is after.threshold.at_least else Change.WORSE
