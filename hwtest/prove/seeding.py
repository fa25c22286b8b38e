"""One fault or one clean run: done by the commands that a person would give, each in a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from hwtest.bench.machine import LoadMeter
from hwtest.lab.command import Terminated
from hwtest.lab.faults import Fault
from hwtest.lab.packages import LabError
from hwtest.probes.contract import Verdict
from hwtest.prove.results import FOUND, Clean, Seeded, blames_of, looks_at, not_measured
from hwtest.report.result import Run

HWTEST = (sys.executable, "-m", "hwtest")
LIMIT_SECONDS = 300.0
MEND_SECONDS = 90.0
AFTERWARDS = ("ctl.link", "call.one")
"""They must find nothing once a fault has been taken away: the daemon is there and a call gets through."""
LAB = b"LAB"
"""The lab's folder, in a result."""
_SAID = 1500


def seed(fault: Fault, directory: Path, dice: int = 1) -> Seeded:
    """The fault in this lab, the probes that are to find it, and a look whether all is well afterwards. LabError."""
    load, began = LoadMeter(), time.monotonic()
    words = (
        "lab",
        "fault",
        fault.name,
        "--dir",
        str(directory),
        "--",
        *HWTEST,
        "run",
        *fault.found_by,
        "--lab",
    )
    run = _result(directory, words, dice)
    whole_seconds = time.monotonic() - began
    after = _result(directory, ("run", *AFTERWARDS), dice)
    left = [f"{red.code}: {red.summary}" for red in blames_of(after, (Verdict.FAIL,))]
    return Seeded(
        fault=fault.name,
        words=fault.words,
        layer=fault.layer,
        probes=tuple(probe.name for probe in run.probes),
        blames=blames_of(run, FOUND),
        looks_at=looks_at(run),
        not_measured=not_measured(run),
        found_seconds=run.seconds,
        whole_seconds=whole_seconds,
        load_average=load.read().load_average,
        left=(*left, *not_measured(after)),
    )


def unseeded(fault: Fault, why: str) -> Seeded:
    """The row of a fault that could not be seeded or taken away, or whose probes came to no result: it counts as not found."""
    return Seeded(
        fault=fault.name,
        words=fault.words,
        layer=fault.layer,
        probes=fault.found_by,
        blames=(),
        looks_at=(),
        not_measured=(),
        found_seconds=0.0,
        whole_seconds=0.0,
        load_average=LoadMeter().read().load_average,
        left=(why,),
    )


def look(number: int, probes: Sequence[str], directory: Path) -> Clean:
    """One run without a fault; its number is its seed, so that no two roll the same dice. LabError."""
    load = LoadMeter()
    run = _result(directory, ("run", *probes), number)
    return Clean(
        number=number,
        seed=number,
        verdict=run.verdict,
        seconds=run.seconds,
        load_average=load.read().load_average,
        reds=blames_of(run, (Verdict.FAIL,)),
        warnings=blames_of(run, (Verdict.WARN,)),
        not_measured=not_measured(run),
    )


def unlooked(number: int, why: str) -> Clean:
    """The row of a run without a fault that came to no result: it is no clean run."""
    return Clean(
        number=number,
        seed=number,
        verdict=Verdict.NOT_MEASURED,
        seconds=0.0,
        load_average=LoadMeter().read().load_average,
        reds=(),
        warnings=(),
        not_measured=(why,),
    )


def _result(directory: Path, words: Sequence[str], dice: int) -> Run:
    with tempfile.TemporaryDirectory(prefix="hwtest-prove-") as folder:
        file = Path(folder, "result.json")
        command = (*HWTEST, *words, "-t", str(directory), "--seed", str(dice), "--json", str(file))
        said = _done(command)
        with contextlib.suppress(OSError, msgspec.DecodeError):
            # a page of it is read on other machines: where this lab was is nobody's affair
            return msgspec.json.decode(file.read_bytes().replace(bytes(directory), LAB), type=Run)
        raise LabError(f"`hwtest {' '.join(words)}` made no result:\n{said[-_SAID:]}")


def _done(command: Sequence[str]) -> str:
    """What it said. It always gets the time to take its fault away again; Ctrl-C reaches it as well as us, SIGTERM does not."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as started:
        try:
            return started.communicate(timeout=LIMIT_SECONDS)[0]
        except subprocess.TimeoutExpired:
            started.terminate()
            _ended(started)
            raise LabError(f"it did not end within {LIMIT_SECONDS:.0f} s: {' '.join(command)}") from None
        except KeyboardInterrupt as end:
            if isinstance(end, Terminated):
                started.terminate()
            _ended(started)
            raise


def _ended(started: subprocess.Popen[str]) -> None:
    """By itself, in the time that it needs to take its fault away; else by force."""
    try:
        started.communicate(timeout=MEND_SECONDS)
    except subprocess.TimeoutExpired:
        started.kill()
        started.communicate()
