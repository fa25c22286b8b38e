"""`python -m tests`, which is `make test`: each test in one pass, one closing line for all, and no failure that is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.__main__ import ALWAYS, MOST_SECOND_TRIES, PASSES, Result, command

TESTS = """
from pathlib import Path

import pytest

def test_plain():
    assert {plain}

@pytest.mark.live
def test_live():
    second = Path("tried")
    try:
        assert {live}
    finally:
        second.mkdir(exist_ok=True)

@pytest.mark.live
@pytest.mark.quiet
def test_quiet():
    assert {quiet}
"""


def run(
    directory: Path, *, plain: str = "True", live: str = "True", quiet: str = "True"
) -> subprocess.CompletedProcess[str]:
    """The passes on a few tests of their own, without workers."""
    (directory / "pytest.ini").write_text("[pytest]\nmarkers =\n  live: x\n  quiet: x\n  endurance: x\n")
    (directory / "test_three.py").write_text(TESTS.format(plain=plain, live=live, quiet=quiet))
    return subprocess.run(
        (sys.executable, "-m", "tests", ".", "-n", "0", "-p", "no:cacheprovider"),
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # reading those that we have takes seconds
            "PYTEST_ADDOPTS": "-p xdist",
        },
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.splitlines()[-1].strip("= ").partition(" in ")[0]


def test_a_failure_in_one_pass_is_a_failure_of_all(tmp_path: Path) -> None:
    """The other passes run all the same, the last line counts each test once, and tests are named with their reason. Who failed
    has a second try, after all others, that stands for the first and is shown."""
    done = run(tmp_path, plain="False", live="second.exists()")
    assert (done.returncode, last_line(done)) == (1, "all passes: 1 failed, 2 passed, 2 at a second try")
    assert "SECOND TRY test_three.py::test_live - " in done.stdout
    assert "test_three.py::test_plain - assert False" in done.stdout.splitlines()[-2]


def tallied(tmp_path: Path, **tests: str) -> Path:
    """What each test came to, as a run writes it."""
    file = tmp_path / "tally.json"
    file.write_text(json.dumps({name: [word, "why"] for name, word in tests.items()}))
    return file


def test_second_tries_that_pass_are_enough(tmp_path: Path) -> None:
    """If nothing else failed."""
    result = Result()
    result.add(0, tallied(tmp_path, plain="passed"))
    result.add(1, tallied(tmp_path, live="failed", other="error", third="passed"))
    assert result.to_try_again == ["live", "other"]
    result.add_second_tries(0, tallied(tmp_path, live="passed", other="passed"))
    assert result.status == 0
    assert "0 failed, 4 passed, 2 at a second try" in result.lines(1.0)[-1]


def test_what_is_certain_has_no_second_try(tmp_path: Path) -> None:
    """Its failure stands, whatever became of another's."""
    result = Result()
    names = {"tests/core/test_a.py::test_b": "failed", "tests/mi/test_c.py::test_d": "failed"}
    result.add(1, tallied(tmp_path, **names))
    assert result.to_try_again == ["tests/mi/test_c.py::test_d"]
    result.add_second_tries(0, tallied(tmp_path, **{"tests/mi/test_c.py::test_d": "passed"}))
    assert result.status == 1


def test_who_fails_twice_has_failed(tmp_path: Path) -> None:
    """Named once as failed, and once for the first try."""
    result = Result()
    result.add(1, tallied(tmp_path, live="failed"))
    result.add_second_tries(1, tallied(tmp_path, live="failed"))
    assert result.status == 1
    assert result.lines(1.0)[:2] == ["SECOND TRY live - why", "FAILED live - why"]


def test_where_many_fail_none_is_tried_again(tmp_path: Path) -> None:
    """It is not the machine."""
    result = Result()
    result.add(1, tallied(tmp_path, **{f"t{n}": "failed" for n in range(MOST_SECOND_TRIES + 1)}))
    assert (result.to_try_again, result.status) == ([], 1)


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
    """Killed by a signal, with a tally of what it had done or without; whatever second tries came to."""
    result = Result()
    result.add(1, tallied(tmp_path, live="failed"))
    result.add(-9, tmp_path / "absent.json")
    result.add_second_tries(0, tallied(tmp_path, live="passed"))
    assert result.status == -9
    assert result.lines(1.0)[0] == "SECOND TRY live - why"


def test_a_second_try_that_did_not_run_is_none(tmp_path: Path) -> None:
    """Nothing collected, or less than was asked for."""
    result = Result()
    result.add(1, tallied(tmp_path, live="failed", other="error"))
    result.add_second_tries(0, tallied(tmp_path, live="passed"))
    assert result.status == 1


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
