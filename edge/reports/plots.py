"""Plots as SVG, made to stand inside a page: no script, no font files, a title that a screen reader says."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure as Drawing

from edge.metrics.compute import Figure
from edge.metrics.periods import local, midnight
from edge.mi.folding import Hole, HoleRecord, Mark, MarkRecord

INK, LINE, SHADE, MARK = "#12161c", "#0a4f94", "#d9a400", "#7d4300"
WIDE, HIGH = 9.0, 2.7
"""Inches."""
TICKS = 400
"""Across a plot: more alarms than that cannot be told apart."""
INCIDENT = "major incident"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "edge101",
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def trend(
    figures: Sequence[Figure],
    zone: ZoneInfo,
    holes: Sequence[HoleRecord] = (),
    clock_changes: Sequence[date] = (),
    go_live: date | None = None,
    marks: Sequence[MarkRecord] = (),
) -> str:
    """One figure over time. Where there is nothing there is a gap; what was not seen is shaded, what happened is marked."""
    with mpl.rc_context(STYLE):
        drawing, axes = paper()
        unit = figures[0].unit
        factor = {"share": 100.0, "seconds": 1 / 60}.get(unit, 1.0)
        times = [_at((figure.period.start_us + figure.period.end_us) // 2, zone) for figure in figures]
        values = [float("nan") if f.value is None else f.value * factor for f in figures]
        axes.plot(times, values, marker="o", markersize=3.5, color=LINE, linewidth=1.6)
        start, end = figures[0].period.start_us, figures[-1].period.end_us
        axes.set_xlim(_at(start, zone), _at(end, zone))
        axes.set_ylim(bottom=0, top=105 if unit == "share" else None)
        axes.set_ylabel({"share": "%", "seconds": "minutes"}.get(unit, unit))
        _shade(axes, zone, start, end, holes)
        _mark(axes, zone, start, end, clock_changes, go_live)
        _happened(axes, zone, start, end, marks)
        locator = AutoDateLocator(tz=zone, maxticks=10)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))  # type: ignore[no-untyped-call]
        return svg(drawing, f"{figures[0].title}, over time")


def _shade(axes: Axes, zone: ZoneInfo, start: int, end: int, holes: Sequence[HoleRecord]) -> None:
    """What cannot be relied on: full where calls were not seen, dotted where facts or times are in doubt."""
    for hole in holes:
        begun, ended = max(hole.started_us, start), min(end if hole.ended_us is None else hole.ended_us, end)
        if begun < ended and hole.hole is Hole.SWITCH:
            axes.axvspan(_at(begun, zone), _at(ended, zone), color=SHADE, alpha=0.5, linewidth=1)
        elif begun < ended:
            look: dict[str, Any] = {"facecolor": "none", "edgecolor": SHADE, "hatch": "..", "linewidth": 1}
            axes.axvspan(_at(begun, zone), _at(ended, zone), **look)


def _happened(axes: Axes, zone: ZoneInfo, start: int, end: int, marks: Sequence[MarkRecord]) -> None:
    """Incidents hatched and named, alarms as ticks along the top, a clock that was set as a dotted line."""
    top = axes.get_xaxis_transform()
    incidents = [
        (max(mark.started_us, start), min(end if mark.ended_us is None else mark.ended_us, end))
        for mark in marks
        if mark.mark is Mark.INCIDENT and mark.started_us < end
    ]
    for index, (begun, ended) in enumerate(sorted(incidents)):
        look: dict[str, Any] = {"facecolor": "none", "edgecolor": MARK, "hatch": "//", "linewidth": 1}
        axes.axvspan(_at(begun, zone), _at(ended, zone), alpha=0.6, **look)
        if index == 0:
            place = (_at(begun, zone), 0.04)
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
            axes.annotate(INCIDENT, place, xycoords=top, fontsize=8, color=MARK, bbox=box)
    for mark in marks:
        if mark.mark is Mark.CLOCK and start <= mark.started_us < end:
            axes.axvline(_at(mark.started_us, zone), color=MARK, linestyle=":", linewidth=1)
    alarms = {
        (mark.started_us - start) * TICKS // (end - start)
        for mark in marks
        if mark.mark is Mark.ALARM and start <= mark.started_us < end
    }
    if alarms:
        times = [_at(start + place * (end - start) // TICKS, zone) for place in sorted(alarms)]
        axes.plot(times, [0.98] * len(times), "|", color=INK, markersize=7, transform=top, gid="alarms")


def _mark(
    axes: Axes,
    zone: ZoneInfo,
    start: int,
    end: int,
    clock_changes: Sequence[date],
    go_live: date | None,
) -> None:
    days = [(day, "clocks change") for day in clock_changes]
    days += [(go_live, "go-live")] if go_live is not None else []
    for day, what in days:
        at = _at(midnight(day, zone), zone)
        if _at(start, zone) <= at <= _at(end, zone):
            axes.axvline(at, color=MARK, linestyle="--", linewidth=1)
            axes.annotate(what, (at, 1.0), xycoords=("data", "axes fraction"), fontsize=8, color=MARK)


def _at(utc_us: int, zone: ZoneInfo) -> float:
    """A moment as the library has it."""
    return float(date2num(local(utc_us, zone)))  # type: ignore[no-untyped-call]


def hours(figures: Sequence[Figure], zone: ZoneInfo) -> str:
    """Calls offered by hour of the day, the mean over the days; an hour that comes twice on a day is two hours."""
    sums, counts = [0.0] * 24, [0] * 24
    for figure in figures:
        hour = local(figure.period.start_us, zone).hour
        sums[hour] += figure.value or 0.0
        counts[hour] += 1
    with mpl.rc_context(STYLE):
        drawing, axes = paper()
        means = [total / count if count else 0.0 for total, count in zip(sums, counts, strict=True)]
        axes.bar(range(24), means, color=LINE, width=0.8)
        axes.set_xticks(range(0, 24, 2), [f"{hour:02d}" for hour in range(0, 24, 2)])
        axes.set_ylabel("calls an hour")
        axes.set_xlabel("local time")
        return svg(drawing, "Calls offered, by hour of the day")


def bars(names: Sequence[str], values: Sequence[float], title: str, label: str) -> str:
    """A few values side by side, each with its number."""
    with mpl.rc_context(STYLE):
        drawing, axes = paper()
        drawn = axes.bar(range(len(names)), values, color=LINE, width=0.6)
        axes.bar_label(drawn, [f"{value:,.1f}".removesuffix(".0") for value in values])
        axes.set_xticks(range(len(names)), list(names))
        axes.set_ylabel(label)
        axes.margins(y=0.15)
        return svg(drawing, title)


def paper() -> tuple[Drawing, Axes]:
    """An empty drawing of the usual size, and its axes; within `mpl.rc_context(STYLE)`."""
    drawing = Drawing(figsize=(WIDE, HIGH))
    drawing.subplots_adjust(left=0.08, right=0.98, top=0.92, bottom=0.17)
    FigureCanvasSVG(drawing)  # a drawing without a window
    axes = drawing.add_subplot()
    axes.grid(axis="y", color="#c8ced6", linewidth=0.6)
    axes.set_axisbelow(True)
    return drawing, axes


def svg(drawing: Drawing, title: str) -> str:
    """Only the element itself, named for those who do not see it."""
    file = io.StringIO()
    drawing.savefig(
        file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    text = file.getvalue()
    text = text[text.index("<svg") :]
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(title, quote=True)}" ', 1)
