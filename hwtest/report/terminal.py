"""A run in the terminal: one live line for the probe that runs, then a line for each that has run, then what was found."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.live import Live as RichLive
from rich.text import Text

from edge.cli.output import clean, console
from hwtest.ladder import drawn
from hwtest.probes.contract import Finding, Probe, Verdict
from hwtest.report.redaction import masked
from hwtest.report.result import ProbeResult, Run, blamed
from hwtest.report.words import expected, gist, interval, words_of

STYLES = {
    Verdict.PASS: "green",
    Verdict.WARN: "yellow",
    Verdict.FAIL: "bold red",
    Verdict.NOT_MEASURED: "magenta",
}
_WIDE = 13
_NAME = 16


class Live:
    """Tells a person how the run goes: on a terminal with a line that moves, elsewhere a line for each probe."""

    def __init__(self) -> None:
        self._probe: Probe | None = None
        self._words = ""
        self._began = 0.0
        self._console = Console(stderr=True)
        self._live = RichLive(
            console=self._console, refresh_per_second=8, transient=True, get_renderable=self._line
        )

    def __enter__(self) -> Self:
        """Begin."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; the line that moved is gone."""
        self._live.stop()

    def started(self, probe: Probe) -> None:
        """A probe begins."""
        self._probe, self._words, self._began = probe, "", time.monotonic()

    def progress(self, words: str) -> None:
        """How far it is."""
        self._words = words

    def finished(self, result: ProbeResult) -> None:
        """It is done: its line stays."""
        self._probe = None
        self._console.print(line_of(result), highlight=False, soft_wrap=True)

    def _line(self) -> Text:
        probe = self._probe
        if probe is None:
            return Text()
        gone = time.monotonic() - self._began
        left = max(0.0, probe.seconds - gone)
        countdown = f"about {left:.0f} s left" if left >= 1 else "any moment"
        return Text.assemble(
            (f"{'running':{_WIDE}}", "cyan"),
            f"{probe.name:{_NAME}}",
            f"{gone:4.0f} s, {countdown}  {masked(self._words)}",
        )


def line_of(result: ProbeResult) -> Text:
    """One probe in a line: its verdict, its name, and the figure or the reason that says most."""
    return Text.assemble(
        (f"{result.verdict.words:{_WIDE}}", STYLES[result.verdict]),
        f"{result.name:{_NAME}}",
        masked(gist(result)),
    )


def show(run: Run, *, numbers: bool = False, verbose: bool = False) -> None:
    """What was found, and what it comes to. `numbers`: whole numbers are shown; `verbose`: every figure, every ladder.

    A finding is explained where it comes first.
    """
    out, words = console(), clean if numbers else masked
    explained = set[str]()
    for result in run.probes:
        for finding in result.findings:
            _show_finding(out, finding, words, short=finding.code in explained)
            explained.add(finding.code)
        if result.reason is not None:
            how_far = "" if result.verdict is Verdict.NOT_MEASURED else " to its end"
            out.print(Text(f"\n{result.name}: not measured{how_far}", style=STYLES[Verdict.NOT_MEASURED]))
            out.print(Text(f"  {words(result.reason)}"))
            out.print(Text(f"  to measure it: {words(result.mend or '')}"))
    if verbose:
        for result in run.probes:
            _show_whole(out, result, words)
    counts = ", ".join(
        f"{count} {verdict.words}"
        for verdict in Verdict
        if (count := sum(r.verdict is verdict for r in run.probes))
    )
    blame = f"; look at: {', '.join(blamed(run))}" if blamed(run) else ""
    out.print(
        Text.assemble(
            "\n",
            (run.verdict.words.upper(), STYLES[run.verdict]),
            f"  {counts} in {run.seconds:.0f} s on {clean(run.target.name)}{blame}",
        )
    )


def _show_whole(out: Console, result: ProbeResult, words: Callable[[str], str]) -> None:
    lines = list[str]()
    for figure in result.figures:
        parts = (words_of(figure), interval(figure), expected(figure.threshold) if figure.threshold else "")
        lines.append("; ".join(filter(None, parts)))
    lines += result.notes
    for ladder in result.ladders:
        lines += [ladder.title, *drawn(ladder)]
    out.print(Text(f"\n{result.name}: {result.title}", style="bold"))
    for line in lines:
        out.print(Text(f"  {words(line)}"), soft_wrap=True)


def _show_finding(out: Console, finding: Finding, words: Callable[[str], str], *, short: bool) -> None:
    out.print(
        Text.assemble(
            "\n",
            (f"{finding.verdict.words}  {finding.code}", STYLES[finding.verdict]),
            f"  [{finding.layer.value}]  {words(finding.summary)}",
        )
    )
    rows = [("evidence", words(evidence.text)) for evidence in finding.evidence]
    told = [
        ("meaning", finding.meaning),
        ("the caller", finding.caller_notices),
        *(("likely", cause) for cause in finding.causes[:3]),
        ("confirm", finding.confirm),
        ("mend", finding.mend),
    ]
    for name, text in rows if short else [*told, *rows]:
        out.print(Text.assemble((f"  {name:11}", "bold"), clean(text)), soft_wrap=not sys.stdout.isatty())
