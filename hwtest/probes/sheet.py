"""The sheet that a probe fills in. Every figure is judged as it is written down, and one beyond its threshold is a finding."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import msgspec

from hwtest.probes.contract import (
    Artefact,
    Bin,
    Distribution,
    Evidence,
    Figure,
    Finding,
    Ladder,
    Plot,
    Probe,
    Threshold,
    Verdict,
    worst,
)
from hwtest.statistics import percentile

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
_STEPS = (1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0, 6.3, 8.0)
_SMALLEST = 1e-9
_TAIL = 0.025
_Z = NormalDist().inv_cdf(1 - _TAIL)


@dataclass(slots=True)
class Sheet:
    """What one run of a probe has written down."""

    probe: Probe
    overrides: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """What the target's profile expects instead, by figure: passes and warns."""
    figures: list[Figure] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    ladders: list[Ladder] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    artefacts: list[Artefact] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    # What a probe writes

    def distribution(
        self,
        name: str,
        unit: str,
        samples: Sequence[float],
        *,
        uncertainty: float | None = None,
        note: str = "",
        evidence: Sequence[Evidence] = (),
    ) -> Figure:
        """Many samples of one thing. Without any the figure is not measured."""
        threshold = self._threshold(name)
        statistic = threshold.statistic if threshold else "p95"
        if not samples:
            return self._add(
                _undefined(name, unit, statistic, threshold, _why("there was no sample", note)), evidence
            )
        low, high = quantile_interval(samples, SHARES[statistic])
        return self._add(
            Figure(
                name=name,
                unit=unit,
                n=len(samples),
                statistic=statistic,
                value=percentile(samples, SHARES[statistic]),
                distribution=describe(samples),
                low=low,
                high=high,
                uncertainty=uncertainty,
                threshold=threshold,
                note=note,
            ),
            evidence,
        )

    def value(
        self,
        name: str,
        unit: str,
        value: float | None,
        *,
        n: int = 1,
        uncertainty: float | None = None,
        note: str = "",
        evidence: Sequence[Evidence] = (),
    ) -> Figure:
        """One number, such as a count. None: undefined, which is not measured where something is expected of it."""
        threshold = self._threshold(name)
        if value is None:
            return self._add(_undefined(name, unit, "value", threshold, note), evidence)
        return self._add(
            Figure(
                name=name,
                unit=unit,
                n=n,
                value=value,
                uncertainty=uncertainty,
                threshold=threshold,
                note=note,
            ),
            evidence,
        )

    def share(
        self, name: str, hits: int, of: int, *, note: str = "", evidence: Sequence[Evidence] = ()
    ) -> Figure:
        """How many of so many, in percent, with Wilson's interval. Of none it is undefined (RFC 6076 §3), never zero."""
        threshold = self._threshold(name)
        if of == 0:
            return self._add(
                _undefined(name, "%", "value", threshold, _why("there was no trial", note)), evidence
            )
        low, high = share_interval(hits, of)
        return self._add(
            Figure(
                name=name,
                unit="%",
                n=of,
                value=100 * hits / of,
                low=100 * low,
                high=100 * high,
                threshold=threshold,
                note=note,
            ),
            evidence,
        )

    def find(self, code: str, verdict: Verdict, summary: str, *evidence: Evidence) -> None:
        """Something is not as it must be. `code` is one of the probe's explanations."""
        told = self.probe.explanation(code)
        self.findings.append(
            Finding(
                code=code,
                verdict=verdict,
                layer=told.layer,
                summary=summary,
                evidence=evidence,
                meaning=told.meaning,
                caller_notices=told.caller_notices,
                causes=told.causes,
                confirm=told.confirm,
                mend=told.mend,
            )
        )

    def note(self, text: str) -> None:
        """A remark that is neither a figure nor a finding."""
        self.notes.append(text)

    def ladder(self, ladder: Ladder) -> None:
        """The messages of a call."""
        self.ladders.append(ladder)

    def plot(self, plot: Plot) -> None:
        """A growth curve or a time line, drawn in the HTML report."""
        self.plots.append(plot)

    def artefact(self, file: str, content: str) -> None:
        """A file in the run's folder. `content`: what it is, in words."""
        self.artefacts.append(Artefact(file=file, content=content))

    # What it comes to

    @property
    def verdict(self) -> Verdict:
        """The gravest of what stands on it; of an empty sheet it is not measured."""
        judged = [figure.verdict for figure in self.figures if figure.verdict is not None]
        return worst([*judged, *(finding.verdict for finding in self.findings)])

    def _threshold(self, name: str) -> Threshold | None:
        threshold = self.probe.threshold(name)
        if threshold is None or name not in self.overrides:
            return threshold
        passes, warns = self.overrides[name]
        given = (
            f"the target's profile (by default {threshold.passes:g}/{threshold.warns:g}, {threshold.clause})"
        )
        return msgspec.structs.replace(threshold, passes=passes, warns=warns, clause=given, from_profile=True)

    def _add(self, figure: Figure, evidence: Sequence[Evidence]) -> Figure:
        if figure.threshold is not None and figure.value is not None:
            figure = msgspec.structs.replace(figure, verdict=figure.threshold.judge(figure.value))
        elif figure.threshold is not None:
            figure = msgspec.structs.replace(figure, verdict=Verdict.NOT_MEASURED)
        self.figures.append(figure)
        if figure.threshold is not None and figure.verdict in (Verdict.WARN, Verdict.FAIL):
            self.find(figure.threshold.code, figure.verdict, summary_of(figure), *evidence)
        return figure


def summary_of(figure: Figure) -> str:
    """A judged figure beside what is expected of it, in a line."""
    threshold = figure.threshold
    assert threshold is not None and figure.value is not None
    statistic = "" if figure.statistic == "value" else f" {figure.statistic}"
    limit = threshold.warns if figure.verdict is Verdict.FAIL else threshold.passes
    return (
        f"{figure.name.replace('_', ' ')}{statistic} {figure.value:.4g} {figure.unit} (n {figure.n}), "
        f"{'at least' if threshold.at_least else 'at most'} {limit:g} {threshold.unit} is expected ({threshold.clause})"
    )


def describe(samples: Sequence[float]) -> Distribution:
    """The distribution of some samples; ValueError of none."""
    p50, p95, p99 = (percentile(samples, share) for share in (0.5, 0.95, 0.99))
    return Distribution(
        p50=p50,
        p95=p95,
        p99=p99,
        maximum=max(samples),
        histogram=histogram(samples),
        samples=tuple(samples),
    )


def histogram(samples: Sequence[float]) -> tuple[Bin, ...]:
    """Bins that grow with the value, ten to a factor of ten, so that the tail keeps its shape. Empty ones are left out."""
    counts = dict[float, int]()
    for sample in samples:
        edge = _edge(sample)
        counts[edge] = counts.get(edge, 0) + 1
    return tuple(Bin(up_to=edge, count=counts[edge]) for edge in sorted(counts))


def _edge(sample: float) -> float:
    if sample <= _SMALLEST:
        return _SMALLEST if sample > 0 else 0.0
    power = 10.0 ** math.floor(math.log10(sample))
    step = next((step for step in _STEPS if sample <= step * power * (1 + 1e-9)), 10.0)
    return float(f"{step * power:.6g}")


def quantile_interval(samples: Sequence[float], share: float) -> tuple[float | None, float | None]:
    """95 % interval of a quantile by order statistics: no shape of the distribution is assumed.

    An end is None where so few samples cannot give it: twenty say nothing of how high the 95th percentile may be.
    """
    if share >= 1:
        return max(samples), None
    ordered, n = sorted(samples), len(samples)
    below, cumulated = list[float](), 0.0
    for k in range(n + 1):  # chance that exactly k samples lie below the true quantile
        cumulated += math.comb(n, k) * share**k * (1 - share) ** (n - k) if n <= 1000 else 0.0
        below.append(cumulated)
    if n > 1000:  # the normal approximation is good to a rank here, and binomials of such size are not floats
        middle, spread = n * share, _Z * math.sqrt(n * share * (1 - share))
        return ordered[max(0, math.floor(middle - spread))], ordered[min(n - 1, math.ceil(middle + spread))]
    low = max((k for k in range(1, n + 1) if below[k - 1] <= _TAIL), default=0)
    high = min((k for k in range(1, n + 1) if below[k - 1] >= 1 - _TAIL), default=0)
    return (ordered[low - 1] if low else None), (ordered[high - 1] if high else None)


def share_interval(hits: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    share, square = hits / of, _Z * _Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = _Z * math.sqrt(share * (1 - share) / of + square / (4 * of * of)) / (1 + square / of)
    return (max(0.0, middle - half) if hits else 0.0), (min(1.0, middle + half) if hits < of else 1.0)


def _why(reason: str, note: str) -> str:
    """Why a figure is undefined, before what is said of it in any case."""
    return f"{reason}; {note}" if note else reason


def _undefined(name: str, unit: str, statistic: str, threshold: Threshold | None, note: str) -> Figure:
    return Figure(name=name, unit=unit, n=0, statistic=statistic, threshold=threshold, note=note)
