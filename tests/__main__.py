"""All tests, in three passes: `python -m tests [pytest's options]`, which is `make test`.

Tests that compute have the processors for themselves, and then live tests, which wait for real time to pass, run with several
labs side by side. Those that measure (marker `quiet`) come last, alone: nothing beside them may take their milliseconds.

A test that failed has one second try, after all others, alone and, if it is live, in a lab that nobody has used: what the machine
was short of, or what the first try left behind, is not asked about twice. Where many failed it is not the machine, and none is
tried again; nor is what has neither clock nor machine in it (`CERTAIN`).

Before all that, what Python makes of the files is made once (`compile_ahead`): each worker of each pass, each daemon and each
command line would make it for itself.

Software phones are built from source where they never were (`hwtest.softphone.build`), beside the first pass.

The closing lines are those of all passes together. The exit status is pytest's, of the first pass that failed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import FOLDERS_OF_LIVE_TESTS as FOLDERS
from tests.tally import COUNTED


@dataclass(frozen=True)
class Pass:
    """Some of the tests, and how many of them run at once."""

    title: str
    marks: str
    """Which tests, as pytest's -m says it."""
    options: tuple[str, ...]
    folders: tuple[str, ...] = ()
    """Where they are, if not anywhere: reading the others takes each worker seconds."""


TESTS = Path(__file__).parent

PASSES = (
    Pass("without a switch", "not live and not quiet", ("-n", "4", "--dist", "worksteal")),
    Pass(
        "live, several labs side by side",
        "live and not quiet",
        ("-n", "5", "--dist", "loadfile", "--no-loadscope-reorder"),  # not the many short ones first
        FOLDERS,
    ),
    Pass("what is measured, alone", "quiet", (), FOLDERS),
)
ALWAYS = "not endurance"
"""What `make test` leaves out, unless -m is given."""


MOST_SECOND_TRIES = 12
"""How many may fail for reasons that are not in the code."""
CERTAIN = ("tests/core/", "tests/simulation/", "tests/regressions/")
"""The engine and its simulated nights: the same input gives the same facts, so one failure is enough."""
FAILED = ("failed", "error")


@dataclass
class Result:
    """What the passes came to."""

    tests: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Each test's word and reason, as pytest has them."""
    statuses: list[int] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)
    """Who failed where the others on the machine may have been the reason."""
    second_tries: dict[str, str] = field(default_factory=dict)
    """Of those who had one, why the first failed."""

    def add(self, status: int, tally: Path) -> None:
        """Take one pass in; a run that broke off may have no tally."""
        self.statuses.append(status)
        told = self._read(tally)
        if status == pytest.ExitCode.TESTS_FAILED:
            failed = (test for test, (word, _) in told.items() if word in FAILED)
            self.doubtful += [test for test in failed if not test.startswith(CERTAIN)]

    @property
    def to_try_again(self) -> list[str]:
        """Those of them that are: none of many."""
        return self.doubtful if len(self.doubtful) <= MOST_SECOND_TRIES else []

    def add_second_tries(self, status: int, tally: Path) -> None:
        """They stand for the first ones, and their status for that of the passes that failed by these alone."""
        self.second_tries = {test: self.tests[test][1] for test in self.doubtful}
        told = self._read(tally)
        has_failed = any(word in FAILED for word, _ in self.tests.values())
        if status == 0 and not has_failed and set(told) >= set(self.doubtful):
            self.statuses = [each for each in self.statuses if each != pytest.ExitCode.TESTS_FAILED]
        self.statuses.append(status)

    def _read(self, tally: Path) -> dict[str, tuple[str, str]]:
        told = json.loads(tally.read_text(encoding="utf-8")) if tally.exists() else {}
        self.tests |= told
        return told

    @property
    def status(self) -> int:
        """0 if every test passed; that a pass had none to run is no failure while another had."""
        empty = pytest.ExitCode.NO_TESTS_COLLECTED
        failed = [status for status in self.statuses if status not in (0, empty)]
        if failed:
            return failed[0]
        return int(empty) if all(status == empty for status in self.statuses) else 0

    def lines(self, seconds: float) -> list[str]:
        """Which tests failed or had a second try, and how many did what."""
        again = [f"SECOND TRY {test} - {reason}" for test, reason in self.second_tries.items()]
        names = [
            f"{word.upper()} {test} - {reason}"
            for test, (word, reason) in self.tests.items()
            if word in FAILED
        ]
        counts = Counter(word for word, _ in self.tests.values())
        said = [f"{counts[word]} {word}" for word in COUNTED if counts[word] or word == "failed"]
        if again:
            said.append(f"{len(again)} at a second try")
        return [*again, *names, f" all passes: {', '.join(said)} in {seconds:.0f} s ".center(100, "=")]


def asked_for_some(arguments: Sequence[str]) -> bool:
    """Whether files or folders were named."""
    return any(Path(argument.partition("::")[0]).exists() for argument in arguments)


def command(one: Pass, arguments: Sequence[str], marks: str, tally: Path) -> list[str]:
    """How a pass is run; the caller's options stand last, so that they win."""
    expression = f"({one.marks}) and ({marks})"
    own = ("-p", "tests.tally", "--tally", str(tally), *one.options)
    where = () if asked_for_some(arguments) else one.folders
    return [sys.executable, "-m", "pytest", *own, *arguments, "-m", expression, *where]


def command_again(tests: Sequence[str], tally: Path) -> list[str]:
    """How second tries are run: by name, so that neither marks nor folders choose again."""
    return [sys.executable, "-m", "pytest", "-p", "tests.tally", "--tally", str(tally), "-n", "0", *tests]


def environment() -> dict[str, str]:
    """Ours, with byte code kept, whatever a machine says: it would be made some seven hundred times."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def compile_ahead() -> None:
    """Make the byte code of all tests, as pytest wants it, and of what they import: by one process per processor at once. What
    goes wrong here will go wrong in a pass, and be told there.
    """
    folders = sorted(str(path) for path in TESTS.iterdir() if any(path.glob("**/test_*.py")))
    count = os.cpu_count() or 1
    shares = [share for first in range(count) if (share := folders[first::count])]
    collecting = [
        subprocess.Popen(
            (sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider", *share),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for share in shares
    ]
    for process in collecting:
        process.wait()


@contextmanager
def building(log: Path) -> Iterator[None]:
    """PJSUA2 is built meanwhile, giving way to the tests, unless it is in the cache. Its own tests say if that failed."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ("nice", sys.executable, "-m", "hwtest.softphone", "build"), stdout=output, stderr=output
        )
    try:
        yield
    finally:
        process.wait()


def say(text: str) -> None:
    """A line, before the next pass says its own."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    """Run the passes one after the other; after a failure the others too, unless -x or --maxfail is given."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-m", dest="marks", default=ALWAYS)
    parser.add_argument("-x", "--exitfirst", dest="first", action="store_true")
    parser.add_argument("--maxfail", type=int, default=0)
    ours, others = parser.parse_known_args(arguments)
    maximum = 1 if ours.first else ours.maxfail
    others += ["--maxfail", str(maximum)] if maximum else []
    began, result = time.monotonic(), Result()
    if not asked_for_some(others):
        compile_ahead()
    with tempfile.TemporaryDirectory(prefix="edge101-tests-") as folder:
        for number, one in enumerate(PASSES, 1):
            say(f"\n--- {number} of {len(PASSES)}: {one.title}")
            tally = Path(folder) / f"{number}.json"
            with (
                building(Path(folder) / "softphones.log")
                if number == 1 and not asked_for_some(others)
                else nullcontext()
            ):
                done = subprocess.run(command(one, others, ours.marks, tally), env=environment(), check=False)
            result.add(done.returncode, tally)
            if done.returncode == pytest.ExitCode.INTERRUPTED or (maximum and result.status):
                break
        else:
            if again := result.to_try_again:
                say(f"\n--- again, alone: {len(again)}")
                tally = Path(folder) / "again.json"
                done = subprocess.run(command_again(again, tally), env=environment(), check=False)
                result.add_second_tries(done.returncode, tally)
    say("\n".join(["", *result.lines(time.monotonic() - began)]))
    return result.status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(int(pytest.ExitCode.INTERRUPTED))
