"""What one run of pytest came to, written where another program reads it: `-p tests.tally --tally FILE`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

COUNTED = ("failed", "error", "passed", "skipped", "xfailed", "xpassed")
"""pytest's own words for a test, the worst first: one that passed and could not be tidied up after is an error."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The file."""
    parser.addoption("--tally", metavar="FILE", help="write what each test of this run came to into FILE")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Each test once: its word and, in one line, the reason."""
    if file := config.getoption("tally"):
        told = {
            report.nodeid: (word, _reason(report))
            for word in reversed(COUNTED)  # the worst stays
            for report in terminalreporter.stats.get(word, [])
        }
        Path(file).write_text(json.dumps(told), encoding="utf-8")


def _reason(report: Any) -> str:
    """The first line of what went wrong."""
    crash = getattr(report.longrepr, "reprcrash", None)
    words = str(report.longrepr) if crash is None else crash.message
    return words.strip().partition("\n")[0]
