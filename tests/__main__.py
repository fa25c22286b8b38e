"""All tests, in three passes: `python -m tests [pytest's options]`, which is `make test`.

Tests that compute have the processors for themselves, and then live tests, which wait for real time to pass, run with several
labs side by side. Those that measure (marker `quiet`) come last, alone: nothing beside them may take their milliseconds.

Software phones are built from source where they never were (`hwtest.softphone.build`), beside the first pass.

The closing lines are those of all passes together. The exit status is pytest's, of the first pass that failed.
"""

from __future__ import annotations

import argparse
import json
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
from tests.tally import COUNTED, NAMED


@dataclass(frozen=True)
class Pass:
    """Some of the tests, and how many of them run at once."""

    title: str
    marks: str
    """Which tests, as pytest's -m says it."""
    options: tuple[str, ...]
    folders: tuple[str, ...] = ()
    """Where they are, if not anywhere: reading the others takes each worker seconds."""


PASSES = (
    Pass("without a switch", "not live and not quiet", ("-n", "2", "--dist", "worksteal")),
    Pass(
        "live, several labs side by side",
        "live and not quiet",
        ("-n", "4", "--dist", "loadfile", "--no-loadscope-reorder"),  # not the many short ones first
        FOLDERS,
    ),
    Pass("what is measured, alone", "quiet", (), FOLDERS),
)
ALWAYS = "not endurance"
"""What `make test` leaves out, unless -m is given."""


@dataclass
class Result:
    """What the passes came to."""

    counts: Counter[str] = field(default_factory=Counter)
    named: dict[str, list[str]] = field(default_factory=lambda: {word: [] for word in NAMED})
    statuses: list[int] = field(default_factory=list)

    def add(self, status: int, tally: Path) -> None:
        """Take one pass in; a run that broke off has no tally."""
        self.statuses.append(status)
        if tally.exists():
            told = json.loads(tally.read_text(encoding="utf-8"))
            self.counts.update(told["counts"])
            for word in NAMED:
                self.named[word] += told["named"][word]

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
        names = [f"{word.upper()} {name}" for word in NAMED for name in self.named[word]]
        counts = [f"{self.counts[word]} {word}" for word in COUNTED if self.counts[word] or word == "failed"]
        return [*names, f" all passes: {', '.join(counts)} in {seconds:.0f} s ".center(100, "=")]


def asked_for_some(arguments: Sequence[str]) -> bool:
    """Whether files or folders were named."""
    return any(Path(argument.partition("::")[0]).exists() for argument in arguments)


def command(one: Pass, arguments: Sequence[str], marks: str, tally: Path) -> list[str]:
    """How a pass is run; the caller's options stand last, so that they win."""
    expression = f"({one.marks}) and ({marks})"
    own = ("-p", "tests.tally", "--tally", str(tally), *one.options)
    where = () if asked_for_some(arguments) else one.folders
    return [sys.executable, "-m", "pytest", *own, *arguments, "-m", expression, *where]


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
    with tempfile.TemporaryDirectory(prefix="edge101-tests-") as folder:
        for number, one in enumerate(PASSES, 1):
            say(f"\n--- {number} of {len(PASSES)}: {one.title}")
            tally = Path(folder) / f"{number}.json"
            with (
                building(Path(folder) / "softphones.log")
                if number == 1 and not asked_for_some(others)
                else nullcontext()
            ):
                done = subprocess.run(command(one, others, ours.marks, tally), check=False)
            result.add(done.returncode, tally)
            if done.returncode == pytest.ExitCode.INTERRUPTED or (maximum and result.status):
                break
    say("\n".join(["", *result.lines(time.monotonic() - began)]))
    return result.status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(int(pytest.ExitCode.INTERRUPTED))
