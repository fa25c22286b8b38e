"""Where SIPp comes from, the scenarios that it plays, and what stands before every call."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ElementTree
from importlib import resources
from pathlib import Path

import pytest

from hwtest.interlock import InterlockError
from hwtest.lab.apt import LabError
from hwtest.probes.contract import NotMeasuredError
from hwtest.probes.sheet import Sheet
from hwtest.sipp import program, traffic
from hwtest.sipp.traffic import AGENT, QUEUE_CALLER, REGISTER, SHORT_CALL, Traffic
from hwtest.site import Site
from tests.probes.made import LIVE, made_probe


def fake(folder: Path, said: str) -> Path:
    """A program that says this of itself."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "sipp"
    place.write_text(f"#!/bin/sh\necho '{said}'\nexit 99\n")
    place.chmod(0o700)
    return place


def test_an_installed_one_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, whatever the cache holds; it says its version with an exit status of 99."""
    place = fake(tmp_path / "bin", "SIPp v3.7.3-TLS-SCTP-PCAP.")
    monkeypatch.setenv("PATH", str(place.parent))
    found = program.find(tmp_path)
    assert found is not None
    assert (found.command, found.version, found.origin) == ((str(place),), "3.7.3", "installed")


def test_what_is_no_sipp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is said, with the way out."""
    monkeypatch.setenv("PATH", str(fake(tmp_path / "bin", "hello").parent))
    with pytest.raises(LabError, match=r"no SIPp.*apt-get install sip-tester"):
        program.find(tmp_path)


def test_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be fetched, and the message says how to go on."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert program.find(tmp_path) is None
    with pytest.raises(LabError, match=r"no apt-get.*apt-get install sip-tester"):
        program.obtain(tmp_path)


@pytest.mark.parametrize("name", [SHORT_CALL, QUEUE_CALLER, AGENT, REGISTER])
def test_scenarios_are_there(name: str) -> None:
    """Each is XML with a name and says what it is."""
    text = resources.files("hwtest.sipp").joinpath("scenarios", f"{name}.xml").read_text(encoding="utf-8")
    assert "<!--" in text
    assert ElementTree.fromstring(text.replace('<!DOCTYPE scenario SYSTEM "sipp.dtd">', "")).get("name")


async def test_load_is_refused_on_a_live_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before SIPp is even looked for, and `--lab` changes nothing of it."""

    async def nobody(_: Site) -> None:
        raise AssertionError("SIPp must not be started")

    monkeypatch.setattr(traffic, "program", nobody)
    sheet = Sheet(made_probe())
    async with Site(LIVE, tmp_path, lab_allowed=True) as site:
        with pytest.raises(InterlockError, match="not marked as a lab"):
            async with traffic.load(
                site, sheet, "burst", Traffic(scenario=SHORT_CALL, calls=2, number="5990")
            ):
                pass
        with pytest.raises(InterlockError, match="no test number"):
            async with traffic.one_call(
                site, sheet, "one", Traffic(scenario=SHORT_CALL, calls=1, number="999")
            ):
                pass
        with pytest.raises(ValueError, match="one call"):
            async with traffic.one_call(
                site, sheet, "one", Traffic(scenario=SHORT_CALL, calls=2, number="5990")
            ):
                pass
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240 - nothing waits for it


async def test_a_sipp_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By force, a little after its own limit: it may not outlive the probe."""
    process = await asyncio.create_subprocess_exec("sleep", "60")
    monkeypatch.setattr(traffic, "_GRACE_SECONDS", 0.1)
    counts = tmp_path / "csv"
    counts.write_text("")
    running = traffic.Running(
        process,
        Traffic(scenario=SHORT_CALL, calls=1, limit_seconds=0.1),
        {"csv": counts, "out": counts, "err": counts},
        1,
    )
    with pytest.raises(NotMeasuredError, match="before it began"):
        await running.ended()
    assert process.returncode == -9
