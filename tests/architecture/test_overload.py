"""docs/overload.md is true: its bounds are those of the program, its tests exist, and no queue is missing from it."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/overload.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| (?P<what>[^|]+) \| `(?P<module>[\w.]+)\.(?P<name>[A-Z_]+)` = (?P<value>[\d,]+) \| [^|]+ "
    r"\| `(?P<file>tests/[\w/.]+)::(?P<test>\w+)` \|$",
    re.MULTILINE,
)
ROWS = list(ROW.finditer(PAGE))
BOUNDLESS = {
    "edge/runtime.py": "the inbox, whose bound is checked where it is filled",
    "edge/ledger/codec.py": "a deque that is only decoded",
    "edge/ledger/synthesise.py": "a maker of example ledgers, which ends",
    "edge/mi/wallboard/day.py": "the alarms of one day, in a process that holds no call",
}
"""Files with a queue that is made without a bound, and why."""


def test_every_row_of_the_table_is_read() -> None:
    """A row that is written otherwise would be checked by nobody."""
    assert len(ROWS) == PAGE.count("\n| ") - PAGE.count("\n| what waits there |")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_row(row: re.Match[str]) -> None:
    """The bound is the program's, and the test that shows it is there."""
    found = getattr(importlib.import_module(row["module"]), row["name"])
    assert found == int(row["value"].replace(",", ""))
    tests = ast.parse((ROOT / row["file"]).read_text(encoding="utf-8")).body
    assert row["test"] in {
        each.name for each in tests if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def boundless() -> Iterator[str]:
    """Queues without a bound in the daemon's code."""
    for path in sorted((ROOT / "edge").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                is_bounded = any(keyword.arg == "maxlen" for keyword in node.keywords)
                if (called.endswith("Queue") and not node.args and "model" not in path.name) or (
                    called == "deque" and not is_bounded
                ):
                    yield f"{path.relative_to(ROOT)}"


def test_no_queue_is_without_a_bound() -> None:
    """A queue that is made with none is found here, before it is found at night."""
    assert set(boundless()) <= set(BOUNDLESS)
