"""The table for people and the document for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.table import Table
from rich.text import Text

from hwtest.bench.machine import Load, Machine
from hwtest.bench.results import Block, Figure
from hwtest.report.writing import write_private

SCHEMA_VERSION = 3
"""2: rows and blocks have their numbers in the plan. 3: each measurement tells when, of which code and at which load it was."""
MET, NOT_MET, NOT_MEASURED = 0, 1, 3


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement: what it gave, and under which circumstances."""

    name: str
    """On the command line."""
    started_utc: str
    version: str
    """Of Edge101."""
    commit: str
    samples: int
    """Ordered, per figure."""
    wire: str
    """Where times come from: the capture, or the phones' own stamps."""
    load: Load
    figures: list[Figure]
    blocks: list[Block]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured on one machine, in one run of the benchmark or in several."""

    schema_version: int = SCHEMA_VERSION
    machine: Machine
    parts: list[Part]

    @property
    def figures(self) -> list[Figure]:
        """Of all measurements."""
        return [figure for part in self.parts for figure in part.figures]

    @property
    def blocks(self) -> list[Block]:
        """Of all measurements."""
        return [block for part in self.parts for block in part.blocks]

    @property
    def exit_status(self) -> int:
        """0 when every target is met, 1 when one is missed, else 3 when one was not measured or on too few samples."""
        if any(figure.met is False for figure in self.figures):
            return NOT_MET
        whole = all(figure.measured and not figure.small for figure in self.figures)
        return MET if whole else NOT_MEASURED

    def write(self, file: Path) -> None:
        """As JSON, replacing the file whole; its folder is made."""
        file.parent.mkdir(parents=True, exist_ok=True)
        write_private(file, msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")

    @classmethod
    def read(cls, file: Path) -> Report:
        """What `write` wrote. Raises `ReportError` for anything else."""
        again = f"hwtest bench --json {file} makes one"
        try:
            content = file.read_bytes()
            version = msgspec.json.decode(content, type=_Versioned).schema_version
            if version != SCHEMA_VERSION:
                raise ReportError(
                    f"{file} is a result of schema version {version}, {SCHEMA_VERSION} is needed: {again}"
                )
            return msgspec.json.decode(content, type=cls)
        except OSError as error:
            raise ReportError(f"{file} cannot be read ({error.strerror}): {again}") from None
        except msgspec.DecodeError as error:
            raise ReportError(f"{file} is no result of hwtest bench ({error}): {again}") from None


def merged(reports: Sequence[Report]) -> Report:
    """All measurements of several runs; of one that several have, the last counts. Raises `ReportError` for several machines."""
    parts = {part.name: part for report in reports for part in report.parts}
    machine = reports[0].machine
    for other in reports[1:]:
        if other.machine != machine:
            raise ReportError(
                f"the results are of two machines ({machine.words} and {other.machine.words}), which one page does not compare: "
                "make a page of each"
            )
    return Report(machine=machine, parts=list(parts.values()))


class _Versioned(msgspec.Struct):
    schema_version: int


class ReportError(Exception):
    """A file that holds no result of this benchmark."""


def table(figures: Sequence[Figure]) -> Table:
    """One row per figure."""
    made = Table(title="Benchmark (ms from the wire, unless the row says otherwise)", title_justify="left")
    made.add_column("")
    made.add_column("figure", overflow="fold")
    made.add_column("system")
    for name in ("n", "p50", "p95", "p99", "max"):
        made.add_column(name, justify="right")
    made.add_column("ratio [95 %]", justify="right")
    made.add_column("target", overflow="fold")
    made.add_column("")
    for figure in figures:
        made.add_row(
            figure.benchmark,
            figure.name,
            figure.system,
            *numbers(figure),
            ratio(figure),
            figure.target,
            Text(verdict(figure), _STYLES.get(verdict(figure).removesuffix(FEW), "")),
        )
    return made


FEW = " (n small)"
_STYLES = {"met": "green", "NOT MET": "bold red", "not measured": "yellow"}


def numbers(figure: Figure) -> list[str]:
    """n, p50, p95, p99 and maximum; of a single value, the value with its unit in the place of the p50."""
    if figure.summary is None:
        return ["", _number(figure.value, f" {figure.unit}"), "", "", ""]
    summary = figure.summary
    return [str(summary.n), *map(_number, (summary.p50, summary.p95, summary.p99, summary.maximum))]


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    return f"{value}{unit}" if isinstance(value, int) else f"{value:.1f}{unit}"


def ratio(figure: Figure) -> str:
    """The ratio with its interval; empty without."""
    if figure.ratio is None:
        return ""
    interval = f" [{_share(figure.interval.low)}, {_share(figure.interval.high)}]" if figure.interval else ""
    return _share(figure.ratio) + interval


def _share(ratio: float) -> str:
    return f"1/{1 / ratio:.0f}" if 0 < ratio < 0.2 else f"{ratio:.2f}"


def verdict(figure: Figure) -> str:
    """In words; empty for a figure without a target."""
    if not figure.measured:
        return "not measured"
    if figure.met is None:
        return ""
    return ("met" if figure.met else "NOT MET") + (FEW if figure.small else "")


def notes(figures: Sequence[Figure]) -> list[str]:
    """What the table has no room for."""
    return [f"{figure.name}: {note}" for figure in figures for note in figure.notes]
