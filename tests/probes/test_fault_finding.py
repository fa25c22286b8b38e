"""Every fault that can be seeded into a lab is found by `hwtest run`, its layer named first; a lab without any is not blamed.

Each is seeded by `hwtest lab fault` as a person would, around a run of the probes that are to find it, as `hwtest prove` does.
`HWTEST_CLEAN_RUNS=20` makes as many clean runs as there are to be, three by default; `HWTEST_PROOF=FILE` keeps the result.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.version import VERSION
from hwtest.bench.machine import LoadMeter, describe_machine
from hwtest.lab import stack
from hwtest.lab.faults import FAULTS, Fault
from hwtest.prove import results
from hwtest.prove.command import CLEAN_PROBES
from hwtest.prove.results import Clean, Proof, Seeded
from hwtest.prove.seeding import look, seed

pytestmark = [
    pytest.mark.endurance,
    pytest.mark.filterwarnings(
        "ignore:subprocess [0-9]+ is still running"
    ),  # a lab outlives its Popen, on purpose
]

CLEAN_RUNS = int(os.environ.get("HWTEST_CLEAN_RUNS", "3"))
KEPT = os.environ.get("HWTEST_PROOF")
FINDERS = (
    "sip.options",
    "sip.register",
    "ctl.link",
    "call.one",
    "audio.twoway",
    "audio.dtmf",
    "audio.quality",
    "log.error",
    "log.complete",
    "log.pull",
)
"""What finds most of the seeded faults must find nothing where none is."""


class Kept:
    """What the tests came to, kept as `hwtest prove` keeps it."""

    def __init__(self, directory: Path, asterisk: str) -> None:
        self.directory = directory
        self.seeded = list[Seeded]()
        self.clean = list[Clean]()
        self._asterisk = asterisk
        self._began = datetime.now(UTC)
        self._load = LoadMeter()

    def write(self, file: Path) -> None:
        """All of it."""
        proof = Proof(
            hwtest_version=VERSION,
            started_utc=f"{self._began:%Y-%m-%dT%H:%M:%SZ}",
            machine=describe_machine(self._asterisk),
            load=self._load.read(),
            clean_probes=CLEAN_PROBES,
            seeded=tuple(self.seeded),
            clean=tuple(self.clean),
        )
        results.write(proof, file)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """A lab with the pull API, and what is found in it."""
    folder = tmp_path_factory.mktemp("faults")
    lab = stack.up(stack.Wishes(directory=folder, agents=4, mi=True), lambda _: None)
    found = Kept(folder, lab.asterisk_version)
    yield found
    stack.down(folder)
    if KEPT is not None:
        found.write(Path(KEPT))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_every_seeded_fault_is_found(fault: Fault, kept: Kept) -> None:
    """The right layer is named first; and when it is taken away again, the daemon is there and a call gets through."""
    row = seed(fault, kept.directory)
    kept.seeded.append(row)
    assert row.right, row
    assert row.left == (), row


@pytest.mark.parametrize("number", range(1, CLEAN_RUNS + 1))
def test_a_lab_without_a_fault_is_not_blamed(number: int, kept: Kept) -> None:
    """No red, whatever the dice."""
    run = look(number, CLEAN_PROBES, kept.directory)
    kept.clean.append(run)
    assert (run.reds, run.not_measured) == ((), ())


def test_what_finds_faults_finds_none_where_there_is_none(kept: Kept) -> None:
    """The audio, the record and the pull too."""
    run = look(1, FINDERS, kept.directory)
    assert (run.reds, run.not_measured) == ((), ())
