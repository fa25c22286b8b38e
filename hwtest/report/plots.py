"""Plots of a run as SVG inside the page: no script, no font file, no network."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.ticker import FuncFormatter, NullFormatter

from edge.cli.output import clean
from edge.reports.plots import INK, LINE, MARK, STYLE, paper, svg
from hwtest.probes.contract import Distribution, Figure, Plot
from hwtest.report.words import number

_COLOURS = (LINE, MARK, "#2d6a3e", "#6a2d62")
_STYLE = {**STYLE, "text.parse_math": False}
_DASHES: Sequence[str] = ("-", "--", "-.", ":")


def distribution(figure: Figure, spread: Distribution) -> str:
    """How large a share of the samples is at most so long; what is expected stands in it as lines."""
    with mpl.rc_context(_STYLE):
        drawing, axes = paper()
        samples = sorted(spread.samples)
        shares = [100 * (rank + 1) / len(samples) for rank in range(len(samples))]
        axes.step([samples[0], *samples], [0.0, *shares], where="post", color=LINE, linewidth=1.6)
        if samples[0] > 0 and samples[-1] > 20 * samples[0]:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_ylim(0, 103)
        axes.set_ylabel("% of samples")
        axes.set_xlabel(f"{figure.name.replace('_', ' ')}, {figure.unit}")
        left, right = axes.get_xlim()
        threshold = figure.threshold
        for limit, words in ((threshold.passes, "passes"), (threshold.warns, "fails")) if threshold else ():
            if left <= limit <= right:
                axes.axvline(limit, color=MARK, linestyle="--", linewidth=1)
                axes.annotate(words, (limit, 4), fontsize=8, color=MARK, rotation=90, ha="right")
        return svg(drawing, f"Distribution of {figure.name.replace('_', ' ')}, n {figure.n}")


def curves(plot: Plot) -> str:
    """A growth curve or a time line."""
    with mpl.rc_context(_STYLE):
        drawing, axes = paper()
        for index, series in enumerate(plot.series):
            axes.plot(
                [x for x, _ in series.points],
                [y for _, y in series.points],
                marker="o",
                markersize=3,
                linewidth=1.4,
                linestyle=_DASHES[index % len(_DASHES)],
                color=_COLOURS[index % len(_COLOURS)],
                label=clean(series.name),
            )
        axes.set_xlabel(clean(plot.x_label))
        axes.set_ylabel(clean(plot.y_label))
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        if len(plot.series) > 1:
            axes.legend(frameon=False, fontsize=8, labelcolor=INK)
        return svg(drawing, clean(plot.title))
