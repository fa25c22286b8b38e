"""A run's result as a page for people: docs/benchmarks.md. Pure but for `write`.

Made from the JSON of one run and from the plan alone, so that no number on it was ever typed by hand, and the same file always
gives the same page. What the run does not have stands there as not measured.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar

from hwtest.bench.plan import PLAN, Benchmark
from hwtest.bench.report import FEW, Report, numbers, ratio, verdict
from hwtest.bench.results import Block, Figure

_TAG = re.compile(r"<(?=[A-Za-z/!?])")
Row = TypeVar("Row", Figure, Block)
NONE = "-"
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
        _blocks(report.blocks),
    )
    return "\n".join(parts) + "\n"


def _head(report: Report) -> Iterator[str]:
    machine, load = report.machine, report.load
    yield "# Benchmarks"
    yield ""
    yield "<!-- Made by `hwtest bench --document docs/benchmarks.md --from FILE.json`: not to be edited by hand. -->"
    yield ""
    yield f"One run of `hwtest bench`, begun {report.started_utc}, Edge101 {report.version};"
    yield f"{report.samples} samples per figure ordered."
    yield "Milliseconds from the wire unless a number has a unit; a ratio has its 95 % bootstrap interval over blocks."
    yield "A block that is not valid is shown and does not count. *n small*: judged on fewer samples than are asked for."
    yield ""
    yield from _table(
        ("machine", ""),
        (
            ("processor", f"{machine.processor}, {machine.cores} cores"),
            ("memory", f"{machine.memory_mb} MB"),
            ("kernel", f"Linux {machine.kernel}"),
            ("Python", machine.python),
            ("Asterisk", machine.asterisk),
            ("clock", machine.clock),
            ("wire", report.wire),
            (
                "load average",
                f"{load.load_average:.2f} after {load.seconds:.0f} s, busy {load.busy_share:.0%}, steal {load.steal_share:.1%}",
            ),
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
            result(benchmark, _of(report.figures, benchmark.number)),
            _validity(_of(report.blocks, benchmark.number)),
            _loads(_of(report.blocks, benchmark.number)),
        )
        for benchmark in PLAN
    ]
    yield from _table(
        ("", "what", "beside", "the plan asks", "result", "blocks not valid", "load average"), rows
    )


def result(benchmark: Benchmark, figures: Sequence[Figure]) -> str:
    """One benchmark in a word or two: the gravest of its rows, and what is lacking beyond them."""
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
    return f"{words}; lacking: {benchmark.lacking}" if benchmark.lacking else words


def _section(benchmark: Benchmark, report: Report) -> Iterator[str]:
    yield f"## {benchmark.number}: {benchmark.title}"
    yield ""
    yield from _figures(_of(report.figures, benchmark.number))


def _beside_the_plan(report: Report) -> Iterator[str]:
    figures = _of(report.figures, "")
    if figures:
        yield "## Beside the plan"
        yield ""
        yield from _figures(figures)


def _figures(figures: Sequence[Figure]) -> Iterator[str]:
    rows = [
        (
            figure.name,
            figure.system,
            *numbers(figure),
            ratio(figure),
            figure.target,
            verdict(figure),
        )
        for figure in figures
    ]
    yield from _table(
        ("figure", "system", "n", "p50", "p95", "p99", "max", "ratio [95 %]", "target", "result"), rows
    )
    notes = [f"- {_cell(figure.name)}: {_cell(note)}" for figure in figures for note in figure.notes]
    yield from (*notes, "") if notes else ()


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
                _loads(same),
                f"{max(b.busy_share for b in same):.0%}",
                f"{max(b.steal_share for b in same):.1%}",
                str(sum(b.retransmissions for b in same)),
                str(sum(dropped)) if dropped else "",
            )
        )
    yield from _table(
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


def _loads(blocks: Sequence[Block]) -> str:
    loads = [block.load_average for block in blocks]
    return f"{min(loads):.2f} to {max(loads):.2f}" if loads else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table, and an empty line behind it."""
    yield _row(head)
    yield _row(["---"] * len(head))
    yield from (_row([_cell(cell) or NONE for cell in row]) for row in rows)
    yield ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """A text in one cell of one line, whatever it holds."""
    return " ".join(_TAG.sub("&lt;", text.replace("|", "\\|")).split())
