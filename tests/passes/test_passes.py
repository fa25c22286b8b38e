"""`python -m tests`, which is `make test`: each test in one pass, one closing line for all, and no failure that is lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.__main__ import ALWAYS, PASSES, Result, command

TESTS = """
import pytest

def test_plain():
    assert {plain}

@pytest.mark.live
def test_live():
    assert {live}

@pytest.mark.live
@pytest.mark.quiet
def test_quiet():
    assert {quiet}
"""


def run(directory: Path, **true: bool) -> subprocess.CompletedProcess[str]:
    """The three passes on three tests of their own, without workers."""
    (directory / "pytest.ini").write_text("[pytest]\nmarkers =\n  live: x\n  quiet: x\n  endurance: x\n")
    outcome = dict.fromkeys(("plain", "live", "quiet"), True) | true
    (directory / "test_three.py").write_text(TESTS.format(**outcome))
    return subprocess.run(
        (sys.executable, "-m", "tests", str(directory), "-n", "0", "-p", "no:cacheprovider"),
        capture_output=True,
        text=True,
        check=False,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.splitlines()[-1].strip("= ").partition(" in ")[0]


def test_a_failure_in_one_pass_is_a_failure_of_all(tmp_path: Path) -> None:
    """The other passes run all the same, the last line counts each test once, and the test is named with its reason."""
    done = run(tmp_path, live=False)
    assert (done.returncode, last_line(done)) == (1, "all passes: 1 failed, 2 passed")
    assert "test_three.py::test_live - assert False" in done.stdout.splitlines()[-2]


@pytest.mark.parametrize(
    ("statuses", "status"),
    [((0, 0, 0), 0), ((0, 5, 5), 0), ((5, 5, 5), 5), ((0, 0, 1), 1), ((5, 1, 0), 1), ((4, 4, 4), 4)],
)
def test_a_pass_without_tests_is_no_failure_while_another_had_some(
    tmp_path: Path, statuses: tuple[int, ...], status: int
) -> None:
    """5 is pytest's for no tests, 4 for an option that it does not know."""
    result = Result()
    for of_pass in statuses:
        result.add(of_pass, tmp_path / "absent.json")
    assert result.status == status


def test_a_pass_that_broke_off_fails_all(tmp_path: Path) -> None:
    """Killed by a signal, with a tally of what it had done or without."""
    result = Result()
    tally = tmp_path / "tally.json"
    tally.write_text(
        json.dumps({"counts": {"passed": 2}, "named": {"rerun": ["a - b"], "error": [], "failed": []}})
    )
    result.add(0, tally)
    result.add(-9, tmp_path / "absent.json")
    assert result.status == -9
    assert result.lines(1.0)[0] == "RERUN a - b"


def test_marks_of_the_caller_choose_among_those_of_a_pass() -> None:
    """And without any, what takes minutes is left to `make endure`."""
    for one in PASSES:
        assert f"({one.marks}) and (not endurance)" in command(one, (), ALWAYS, Path("t"))
        assert f"({one.marks}) and (not live)" in command(one, (), "not live", Path("t"))


def test_folders_of_the_caller_are_all_that_is_read() -> None:
    """Else a live pass reads the folders that have live tests."""
    for one in PASSES:
        assert (
            command(one, ("tests/core", "-q"), ALWAYS, Path("t"))[-1] == f"({one.marks}) and (not endurance)"
        )
        assert (
            command(one, ("-k", "menu"), ALWAYS, Path("t"))[-len(one.folders) :] == [*one.folders]
            or not one.folders
        )
