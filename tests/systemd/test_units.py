"""The units, as systemd itself reads them. `scripts/setup --tests` installs its tools where they are missing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import EXIT_CONFIGURATION, EXIT_HUNG, EXIT_UNWELL
from edge.selfwatch import HUNG_SECONDS
from hwtest.lab.supervisor import Contract

UNITS = Path(__file__).parents[2] / "systemd"
NAMES = (
    "edge101.service",
    "edge101-reserve.service",
    "edge101-rescue.service",
    "edge101-ship.service",
    "edge101-mi.service",
    "edge101-watch.service",
)
OF_ITS_OWN = ("#", "Description=", "Wants=", "PartOf=")
"""Beginnings of the lines in which the unit in reserve may differ."""
MOST_EXPOSED = 2.0
"""Of 10. systemd calls everything below 4 OK."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says. It is not skipped where it is missing: then setup has not done its work."""
    program = shutil.which("systemd-analyze")
    assert program, (
        "systemd-analyze is missing: run `make setup-tests`, which installs Debian's package systemd"
    )
    return subprocess.run((program, *arguments), capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copies whose program is there, as it is on an appliance."""
    edge = Path(sys.executable).with_name("edge")
    for name in NAMES:
        text = (UNITS / name).read_text()
        text = text.replace("/opt/edge101/bin/hwtest", str(edge.with_name("hwtest")))
        (tmp_path / name).write_text(text.replace("/opt/edge101/bin/edge", str(edge)))
    return tmp_path


def test_verify(units: Path) -> None:
    """Not a word of complaint about any, each seeing the others."""
    verified = analyze("verify", "--man=no", *(str(units / name) for name in NAMES))
    assert (verified.returncode, verified.stderr.strip()) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_security(units: Path, name: str) -> None:
    """No more of the machine than it needs."""
    found = analyze(
        "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED * 10:.0f}", str(units / name)
    )
    exposure = re.search(r"exposure level for \S+: ([0-9.]+)", found.stdout)
    assert exposure is not None, found.stderr
    assert (found.returncode, float(exposure[1]) <= MOST_EXPOSED) == (0, True), found.stdout


def test_the_users_file(tmp_path: Path) -> None:
    """A unit that names a group which is not there does not start: each is made."""
    there = tmp_path / "usr/lib/sysusers.d"
    there.mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    shutil.copy(UNITS / "edge101.sysusers", there / "edge101.conf")
    program = shutil.which("systemd-sysusers")
    assert program, (
        "systemd-sysusers is missing: run `make setup-tests`, which installs Debian's package systemd"
    )
    made = subprocess.run(
        (program, f"--root={tmp_path}"), capture_output=True, text=True, check=False, timeout=60
    )
    assert made.returncode == 0, made.stderr
    wanted = {
        group
        for name in NAMES
        for line in (UNITS / name).read_text().splitlines()
        if line.startswith(("Group=", "SupplementaryGroups="))
        for group in line.partition("=")[2].split()
    }
    groups = {line.partition(":")[0] for line in (tmp_path / "etc/group").read_text().splitlines()}
    users = {line.partition(":")[0] for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    assert (wanted <= groups, "edge101" in users, wanted) == (True, True, {"edge101", "asterisk"})


def test_a_wrong_unit_is_found(units: Path) -> None:
    """The tools complain of what is wrong: the two tests above can fail."""
    spoiled = units / NAMES[0]
    spoiled.write_text(
        spoiled.read_text().replace("Type=notify", "Type=notfy").replace("ProtectSystem=strict\n", "")
    )
    assert "notfy" in analyze("verify", "--man=no", str(spoiled)).stderr
    assert analyze("security", "--offline=true", "--no-pager", "--threshold=10", str(spoiled)).returncode != 0


def test_the_contract() -> None:
    """What the code counts on: its own watch is quicker than systemd's, and only a refused configuration keeps it down."""
    contract = Contract.of_unit(UNITS / NAMES[0])
    assert HUNG_SECONDS < contract.watchdog_seconds <= 5
    assert (contract.restart_seconds, contract.never_after) == (0.1, frozenset({EXIT_CONFIGURATION}))
    assert {EXIT_HUNG, EXIT_UNWELL, 75} & contract.never_after == set()
    text = (UNITS / NAMES[0]).read_text()
    for line in (
        "Type=notify",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "OnFailure=edge101-rescue.service",
    ):
        assert line in text.splitlines()


def test_the_reserve_is_the_daemon_once_more() -> None:
    """Either may serve: both are started, watched, fenced in and started again in the same way."""
    one, other = (
        [line for line in (UNITS / name).read_text().splitlines() if not line.startswith(OF_ITS_OWN)]
        for name in NAMES[:2]
    )
    assert one == other
    assert any(line.startswith("ExecStart=") and line.endswith("run --reserve") for line in one)
