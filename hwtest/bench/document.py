"""Results as a page for people: docs/benchmarks.md. Pure but for `write`.

Made from the JSON of one run or of several and from the plan alone, so that no number on it was ever typed by hand, and the same
files always give the same page. Each row says when, of which commit and at which load it was measured. What the runs do not have
stands there as not measured.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar

from hwtest.bench.plan import PLAN, Benchmark
from hwtest.bench.report import FEW, Part, Report, numbers, ratio, verdict
from hwtest.bench.results import Block, Figure
from hwtest.report.markdown import cell, table

Row = TypeVar("Row", Figure, Block)
NOT_IN_RUN = "not measured: not in this run"


def write(report: Report, file: Path) -> None:
    """The page, replacing the file whole; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(page(report), encoding="utf-8")
    draft.replace(file)


def page(report: Report) -> str:
    """All of it."""
    parts = chain(
        _head(report),
        _overview(report),
        *(_section(benchmark, report) for benchmark in PLAN if _of(report.figures, benchmark.number)),
        _beside_the_plan(report),
        _runs(report),
        _blocks(report.blocks),
    )
    return "\n".join(parts) + "\n"


def _head(report: Report) -> Iterator[str]:
    machine = report.machine
    yield "# Benchmarks"
    yield ""
    yield "<!-- Made by `hwtest bench --document docs/benchmarks.md --from FILE.json`: not to be edited by hand. -->"
    yield ""
    yield "Milliseconds from the wire unless a number has a unit; a ratio has its 95 % bootstrap interval over blocks."
    yield "A block that is not valid is shown and does not count. *n small*: judged on fewer samples than are asked for."
    yield "*commit* has a + where files differed from it. The load average is the machine's over the last minute, of all its"
    yield "work: the benchmark alone makes 1 to 2 of it."
    yield ""
    yield from table(
        ("machine", ""),
        (
            ("processor", f"{machine.processor}, {machine.cores} cores"),
            ("memory", f"{machine.memory_mb} MB"),
            ("kernel", f"Linux {machine.kernel}"),
            ("Python", machine.python),
            ("Asterisk", machine.asterisk),
            ("clock", machine.clock),
        ),
    )


def _overview(report: Report) -> Iterator[str]:
    yield "## By the plan"
    yield ""
    rows = [
        (
            benchmark.number,
            benchmark.title,
            benchmark.comparator,
            benchmark.asked,
            result(benchmark, _of(report.figures, benchmark.number), _absent(report, benchmark)),
            _validity(_of(report.blocks, benchmark.number)),
            *_circumstances(_parts(report, benchmark.number)),
        )
        for benchmark in PLAN
    ]
    head = (
        "",
        "what",
        "beside",
        "the plan asks",
        "result",
        "blocks not valid",
        "begun, UTC",
        "commit",
        "load average",
    )
    yield from table(head, rows)


def _absent(report: Report, benchmark: Benchmark) -> list[str]:
    """Measurements of a benchmark that none of the runs has."""
    there = {part.name for part in report.parts}
    return [name for name in benchmark.measurements if name not in there]


def _parts(report: Report, number: str) -> list[Part]:
    return [part for part in report.parts if _of(part.figures, number)]


def _circumstances(parts: Sequence[Part]) -> tuple[str, str, str]:
    """When the first of them was begun, of which commits, and at which load from the least to the most."""
    if not parts:
        return "", "", ""
    commits = dict.fromkeys(part.commit for part in parts)
    loads = [load for part in parts for load in _loads_of(part)]
    begun = min(part.started_utc for part in parts)
    return begun.rstrip("Z").replace("T", " "), ", ".join(commits), _range(loads)


def _loads_of(part: Part) -> list[float]:
    """At its end, and at the end of each of its blocks."""
    return [part.load.load_average, *(block.load_average for block in part.blocks)]


def result(benchmark: Benchmark, figures: Sequence[Figure], absent: Sequence[str] = ()) -> str:
    """One benchmark in a word or two: the gravest of its rows, and what is lacking beyond them. `absent`: which of its
    measurements are not there at all."""
    if not figures:
        return f"not measured: {benchmark.lacking}" if not benchmark.measurements else NOT_IN_RUN
    judged = [figure for figure in figures if figure.target]
    unmeasured = sum(not figure.measured for figure in judged)
    missed = sum(figure.met is False for figure in judged)
    few = FEW if any(figure.small for figure in judged) else ""
    if missed:
        words = f"NOT MET in {missed} of {len(judged)} rows{few}"
    elif unmeasured:
        words = f"not measured in {unmeasured} of {len(judged)} rows{few}"
    else:
        words = f"met{few}" if judged else "no target"
    if missed and unmeasured:
        words += f", not measured in {unmeasured}"
    if absent:
        words += f", but not in this run: {', '.join(absent)}"
    return f"{words}; lacking: {benchmark.lacking}" if benchmark.lacking else words


def _section(benchmark: Benchmark, report: Report) -> Iterator[str]:
    yield f"## {benchmark.number}: {benchmark.title}"
    yield ""
    yield from _figures(report, benchmark.number)


def _beside_the_plan(report: Report) -> Iterator[str]:
    if _of(report.figures, ""):
        yield "## Beside the plan"
        yield ""
        yield from _figures(report, "")


def _figures(report: Report, number: str) -> Iterator[str]:
    """The rows of each measurement, with its circumstances in each; then the notes."""
    figures = [(part, figure) for part in report.parts for figure in _of(part.figures, number)]
    rows = [
        (
            figure.name,
            figure.system,
            *numbers(figure),
            ratio(figure),
            figure.target,
            verdict(figure),
            *_circumstances([part]),
        )
        for part, figure in figures
    ]
    head = ("figure", "system", "n", "p50", "p95", "p99", "max", "ratio [95 %]", "target", "result")
    yield from table((*head, "begun, UTC", "commit", "load average"), rows)
    notes = [f"- {cell(figure.name)}: {cell(note)}" for _, figure in figures for note in figure.notes]
    yield from (*notes, "") if notes else ()


def _runs(report: Report) -> Iterator[str]:
    """What was measured in which circumstances."""
    yield "## Measurements"
    yield ""
    rows = [
        (
            f"`{part.name}`",
            *_circumstances([part]),
            part.version,
            str(part.samples),
            f"{part.load.seconds:.0f}",
            f"{part.load.busy_share:.0%}",
            f"{part.load.steal_share:.1%}",
            part.wire,
        )
        for part in report.parts
    ]
    head = ("`--only`", "begun, UTC", "commit", "load average", "version", "samples ordered", "seconds")
    yield from table((*head, "busy", "steal", "wire"), rows)


def _blocks(blocks: Sequence[Block]) -> Iterator[str]:
    yield "## Blocks"
    yield ""
    rows = []
    for number, figure, system in dict.fromkeys((b.benchmark, b.figure, b.system) for b in blocks):
        same = [b for b in blocks if (b.benchmark, b.figure, b.system) == (number, figure, system)]
        invalid = [b.invalid for b in same if b.invalid is not None]
        dropped = [b.dropped for b in same if b.dropped is not None]
        rows.append(
            (
                number,
                figure,
                system,
                str(len(same)),
                f"{len(invalid)}: {'; '.join(dict.fromkeys(invalid))}" if invalid else "0",
                f"{sum(b.seconds for b in same):.0f}",
                _range([b.load_average for b in same]),
                f"{max(b.busy_share for b in same):.0%}",
                f"{max(b.steal_share for b in same):.1%}",
                str(sum(b.retransmissions for b in same)),
                str(sum(dropped)) if dropped else "",
            )
        )
    yield from table(
        (
            "",
            "figure",
            "system",
            "blocks",
            "not valid",
            "seconds",
            "load average",
            "busy, most",
            "steal, most",
            "retransmissions",
            "lost by the capture",
        ),
        rows,
    )


def _of(rows: Iterable[Row], number: str) -> list[Row]:
    return [row for row in rows if row.benchmark == number]


def _validity(blocks: Sequence[Block]) -> str:
    return f"{sum(block.invalid is not None for block in blocks)} of {len(blocks)}" if blocks else ""


def _range(loads: Sequence[float]) -> str:
    low, high = f"{min(loads):.1f}", f"{max(loads):.1f}"
    return low if low == high else f"{low} to {high}"
