"""What load probes ask of a lab while they run."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from hwtest.lab.contract import FILE
from hwtest.sipp.room import processes
from hwtest.site import Site
from hwtest.target import Daemon, Kind, Target
from tests.lab.test_stack import description


def test_a_daemon_that_was_started_anew(tmp_path: Path) -> None:
    """A fault probe leaves another daemon behind, and lab.json says which: that one is read."""
    lab = description(tmp_path)
    lab.write()
    target = Target(
        name="a lab",
        kind=Kind.LAB,
        source=tmp_path / FILE,
        sip=lab.sip,
        caller="07700900123",
        lines={},
        daemon=Daemon(),
        lab=lab,
    )
    site = Site(target, tmp_path)
    replace(lab, pids=replace(lab.pids, edge=4711)).write()
    assert processes(site) == {"switch": lab.pids.asterisk, "daemon": 4711}
    (tmp_path / FILE).unlink()
    assert processes(site)["daemon"] == lab.pids.edge
