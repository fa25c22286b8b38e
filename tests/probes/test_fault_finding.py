"""Every fault that can be seeded into a lab is found by `hwtest run` and blamed on its layer; a lab without any is not blamed.

Each fault is seeded by `hwtest lab fault` as a person would, around a run of the probes that are to find it.
`HWTEST_CLEAN_RUNS=20` makes as many clean runs as there are to be; three by default.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hwtest.lab import stack
from hwtest.lab.faults import FAULTS, Fault
from hwtest.probes.contract import Layer
from hwtest.probes.registry import all_probes

pytestmark = [
    pytest.mark.endurance,
    pytest.mark.filterwarnings(
        "ignore:subprocess [0-9]+ is still running"
    ),  # a lab outlives its Popen, on purpose
]

CLEAN_RUNS = int(os.environ.get("HWTEST_CLEAN_RUNS", "3"))
RED = ("fail",)
FOUND = ("fail", "warn")
SECONDS = 300.0
HWTEST = (sys.executable, "-m", "hwtest")
KNOWN = {probe.name for probe in all_probes()}
CLEAN = [
    name
    for name in (
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
    if name in KNOWN
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A lab with the pull API."""
    folder = tmp_path_factory.mktemp("faults")
    stack.up(stack.Wishes(directory=folder, agents=4, mi=True), lambda _: None)
    yield folder
    stack.down(folder)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """One command of hwtest, to its end."""
    return subprocess.run((*HWTEST, *command), capture_output=True, text=True, timeout=SECONDS, check=False)


def findings(file: Path) -> list[dict[str, Any]]:
    """What was found, of every probe."""
    return [f for probe in json.loads(file.read_bytes())["probes"] for f in probe["findings"]]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.name)
def test_every_seeded_fault_is_found(fault: Fault, directory: Path, tmp_path: Path) -> None:
    """With the right layer; and when it is taken away again, the daemon is there and a call gets through."""
    probes = [name for name in fault.found_by if name in KNOWN]
    if not probes:
        pytest.skip(f"this hwtest has none of {', '.join(fault.found_by)}")
    result = tmp_path / "result.json"
    words = ("run", *probes, "--lab", "-t", str(directory), "--json", str(result))
    done = run("lab", "fault", fault.name, "--dir", str(directory), "--", *HWTEST, *words)
    assert result.exists(), done.stdout + done.stderr
    found = {(each["code"], each["layer"]) for each in findings(result) if each["verdict"] in FOUND}
    assert fault.layer in {layer for _, layer in found}, (found, done.stdout[-2000:])
    after = tmp_path / "after.json"
    run("run", "ctl.link", "call.one", "-t", str(directory), "--json", str(after))
    assert [each["code"] for each in findings(after) if each["verdict"] in RED] == []


@pytest.mark.parametrize("number", range(CLEAN_RUNS))
def test_a_lab_without_a_fault_is_not_blamed(number: int, directory: Path, tmp_path: Path) -> None:
    """No red, whatever the dice."""
    result = tmp_path / "result.json"
    done = run("run", *CLEAN, "-t", str(directory), "--seed", str(number), "--json", str(result))
    assert result.exists(), done.stdout + done.stderr
    assert [(each["code"], each["summary"]) for each in findings(result) if each["verdict"] in RED] == []


def test_each_fault_names_a_layer_that_there_is() -> None:
    """By the words of the contract."""
    assert {fault.layer for fault in FAULTS.values()} <= {layer.value for layer in Layer}
