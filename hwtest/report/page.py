"""A run as one HTML file that needs nothing else: styles, plots and ladders stand in it, nothing in it runs, it prints on A4."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from edge.cli.output import clean
from hwtest.probes.contract import Figure, Ladder, Verdict
from hwtest.report import plots, words
from hwtest.report.result import ProbeResult, Run, blamed

LANE, MARGIN, STEP, HEAD = 170, 110, 22, 40
"""Of a ladder, in units of its drawing: between parties, left of the first, from message to message, above the first."""


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup | int | float) else clean(value),
    )
    made.filters["number"] = words.number
    return made


def page(run: Run) -> str:
    """The file."""
    return (
        _templates()
        .get_template("run.html")
        .render(
            run=run,
            verdicts=[(v, sum(p.verdict is v for p in run.probes)) for v in Verdict],
            blamed=[layer.value for layer in blamed(run)],
            probes=[_probe(result) for result in run.probes],
        )
    )


def _probe(result: ProbeResult) -> dict[str, Any]:
    return {
        "result": result,
        "gist": words.gist(result),
        "figures": [_figure(figure) for figure in result.figures],
        "plots": [
            *(
                (
                    f"{figure.name.replace('_', ' ')}: how large a share of {figure.n} was at most so long",
                    _svg(plots.distribution(figure, figure.distribution)),
                )
                for figure in result.figures
                if figure.distribution is not None and figure.n > 1
            ),
            *((plot.title, _svg(plots.curves(plot))) for plot in result.plots),
        ],
        "ladders": [_ladder(ladder) for ladder in result.ladders],
    }


def _svg(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - drawn by us, its texts escaped by the library


def _figure(figure: Figure) -> dict[str, Any]:
    spread = figure.distribution
    numbers = (
        ["n/a"] * 4
        if figure.value is None
        else [words.number(figure.value), "", "", ""]
        if spread is None
        else [words.number(value) for value in (spread.p50, spread.p95, spread.p99, spread.maximum)]
    )
    return {
        "name": figure.name.replace("_", " "),
        "unit": figure.unit,
        "n": figure.n,
        "numbers": numbers,
        "single": spread is None,
        "interval": words.interval(figure),
        "expected": words.expected(figure.threshold) if figure.threshold else "",
        "verdict": figure.verdict,
        "note": figure.note,
    }


def _ladder(ladder: Ladder) -> dict[str, Any]:
    return {
        "title": ladder.title,
        "width": 2 * MARGIN + LANE * (len(ladder.parties) - 1) + 60,
        "height": HEAD + STEP * (len(ladder.messages) + 1),
        "parties": [(MARGIN + LANE * index, name) for index, name in enumerate(ladder.parties)],
        "messages": [
            {
                "number": number,
                "at": f"{message.at_ms:.1f}",
                "y": HEAD + STEP * number,
                "from": MARGIN + LANE * message.source,
                "to": MARGIN + LANE * message.target,
                "head": 6 if message.source < message.target else -6,
                "middle": MARGIN + LANE * (message.source + message.target) / 2,
                "label": message.label + (" (again)" if message.repeated else ""),
                "repeated": message.repeated,
            }
            for number, message in enumerate(ladder.messages, 1)
        ],
    }
