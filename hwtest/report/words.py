"""Figures and results in words, the same in every form of a report."""

from __future__ import annotations

import math

from hwtest.probes.contract import Figure, Finding, Threshold, Verdict, worst
from hwtest.report.result import ProbeResult


def gist(result: ProbeResult) -> str:
    """What says most about a probe's result, in a line."""
    if result.reason is not None and result.verdict is not Verdict.FAIL:
        return result.reason
    if result.findings:
        return gravest(result).summary
    return (
        "; ".join(words_of(figure) for figure in result.figures if figure.verdict is not None) or result.title
    )


def gravest(result: ProbeResult) -> Finding:
    """Its gravest finding; of equal ones the first. There must be one."""
    return next(
        finding
        for finding in result.findings
        if finding.verdict is worst([other.verdict for other in result.findings])
    )


def words_of(figure: Figure) -> str:
    """A figure in words: never a number without its n, never a number where there is none."""
    name = figure.name.replace("_", " ")
    if figure.value is None:
        return f"{name} n/a" + (f" ({figure.note})" if figure.note else "")
    if figure.distribution is not None:
        spread = figure.distribution
        return (
            f"{name} p50 {number(spread.p50)}, p95 {number(spread.p95)}, p99 {number(spread.p99)}, "
            f"max {number(spread.maximum)} {figure.unit} (n {figure.n})"
        )
    return f"{name} {number(figure.value)} {figure.unit} (n {figure.n})"


def interval(figure: Figure) -> str:
    """The 95 % interval of what is judged, and the meter's own error."""
    parts = []
    if figure.low is not None or figure.high is not None:
        ends = (
            ("no lower end" if figure.low is None else number(figure.low)),
            ("no upper end from so few" if figure.high is None else number(figure.high)),
        )
        parts.append(f"95 %: {ends[0]} to {ends[1]}")
    if figure.uncertainty is not None:
        parts.append(f"meter ±{number(figure.uncertainty)}")
    return "; ".join(parts)


def expected(threshold: Threshold) -> str:
    """What is expected, with where that comes from."""
    sign = "≥" if threshold.at_least else "≤"
    which = "" if threshold.statistic == "value" else f"{threshold.statistic} "
    return (
        f"{which}{sign} {number(threshold.passes)} {threshold.unit}, fails beyond {number(threshold.warns)} "
        f"({threshold.clause})"
    )


def number(value: float) -> str:
    """Three digits that count, no exponent."""
    if not math.isfinite(value):
        return f"{value}"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.6f}".rstrip("0").rstrip(".")
