"""What one run of pytest came to, written where another program reads it: `-p tests.tally --tally FILE`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

COUNTED = ("failed", "passed", "skipped", "xfailed", "xpassed", "error", "rerun")
"""pytest's own words, in the order of its closing line."""
NAMED = ("rerun", "error", "failed")
"""What tests are named for, with the reason."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The file."""
    parser.addoption("--tally", metavar="FILE", help="write the counts of this run into FILE")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Counts by word, and the names of tests that failed or had a second try."""
    if file := config.getoption("tally"):
        reports = {word: terminalreporter.stats.get(word, []) for word in COUNTED}
        tally = {
            "counts": {word: len(of_word) for word, of_word in reports.items()},
            "named": {word: _names(reports[word]) for word in NAMED},
        }
        Path(file).write_text(json.dumps(tally), encoding="utf-8")


def _names(reports: Sequence[Any]) -> list[str]:
    return [f"{report.nodeid} - {_reason(report)}" for report in reports]


def _reason(report: Any) -> str:
    """The first line of what went wrong."""
    crash = getattr(report.longrepr, "reprcrash", None)
    words = str(report.longrepr) if crash is None else crash.message
    return words.strip().partition("\n")[0]
