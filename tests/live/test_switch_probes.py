"""Probes of the switch's set-up and signalling on a real one: what is clean passes, each fault is found and blamed rightly."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hwtest.lab.contract import FILE
from hwtest.probes.contract import Layer, Probe, Verdict
from hwtest.probes.registry import choose
from hwtest.report.result import ProbeResult
from hwtest.running import run
from hwtest.site import Site
from hwtest.target import Target, of_lab
from tests.live.room import LiveLab

pytestmark = pytest.mark.endurance


class Silent:
    """Nobody watches."""

    def started(self, probe: Probe) -> None:
        """A probe begins."""

    def progress(self, words: str) -> None:
        """How far it is."""

    def finished(self, result: ProbeResult) -> None:
        """It is done."""


def target_of(live: LiveLab) -> Target:
    """The lab as hwtest sees it."""
    return of_lab(live.lab, live.directory / FILE)


async def probed(target: Target, name: str, folder: Path) -> ProbeResult:
    """One probe's result."""
    async with Site(target, folder) as site:
        return (await run(site, choose([name]), Silent(), [name], 1)).probes[0]


async def console(live: LiveLab, *commands: str) -> None:
    """Have the switch carry out commands."""
    async with Site(target_of(live), live.directory) as site:
        client = await site.control()
        for command in commands:
            await client.ask("Command", {"Command": command})


async def module(live: LiveLab, name: str, kind: str) -> None:
    """Load or unload a module; by a command AMI lets nobody do that."""
    async with Site(target_of(live), live.directory) as site:
        await (await site.control()).ask("ModuleLoad", {"Module": name, "LoadType": kind})


@contextlib.contextmanager
def written(file: Path, old: str, new: str) -> Iterator[None]:
    """A configuration file with something else in it for a while."""
    before = file.read_text(encoding="utf-8")
    assert old in before
    file.write_text(before.replace(old, new), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(before, encoding="utf-8")


@contextlib.asynccontextmanager
async def faulty(live: LiveLab, fault: str) -> AsyncIterator[None]:
    """One fault of the switch's set-up."""
    etc = Path(live.lab.asterisk_directory, "etc")
    match fault:
        case "few ports":
            text = (etc / "rtp.conf").read_text(encoding="utf-8")
            end = next(line for line in text.splitlines() if line.startswith("rtpend"))
            start = next(line for line in text.splitlines() if line.startswith("rtpstart"))
            few = f"rtpend = {int(start.rpartition('=')[2]) + 19}"
            with written(etc / "rtp.conf", end, few):
                await console(live, "module reload res_rtp_asterisk.so")
                yield
            await console(live, "module reload res_rtp_asterisk.so")
        case "no codec":
            await module(live, "codec_alaw.so", "unload")
            yield
            await module(live, "codec_alaw.so", "load")
        case "wrong context":
            with written(etc / "extensions.conf", "include => edge-lines", "include => nothing-here"):
                await console(live, "dialplan reload")
                yield
            await console(live, "dialplan reload")
        case "slow answer":
            with written(etc / "edge101-extensions.conf", "Answer(0,i)", "Answer()"):
                await console(live, "dialplan reload")
                yield
            await console(live, "dialplan reload")
        case "no password":
            phone = live.lab.test_phones[0].user
            with written(etc / "pjsip.conf", f"auth = {phone}\n", ""):
                await console(live, "module reload res_pjsip.so")
                yield
            await console(live, "module reload res_pjsip.so")
        case "no session timer":
            with written(etc / "pjsip.conf", "trust_id_inbound = yes", "trust_id_inbound = yes\ntimers = no"):
                await console(live, "module reload res_pjsip.so")
                yield
            await console(live, "module reload res_pjsip.so")


@pytest.mark.parametrize("name", ["host.config", "sip.register", "call.release"])
async def test_a_good_switch(live: LiveLab, tmp_path: Path, name: str) -> None:
    """Nothing is found."""
    result = await probed(target_of(live), name, tmp_path)
    assert (result.verdict, result.findings) == (Verdict.PASS, ()), result


@pytest.mark.parametrize(
    ("fault", "code", "layer"),
    [
        ("few ports", "ports", Layer.SWITCH),
        ("no codec", "modules", Layer.SWITCH),
        ("wrong context", "context", Layer.DIALPLAN),
        ("slow answer", "answers", Layer.DIALPLAN),
    ],
)
async def test_a_fault_of_the_set_up(
    live: LiveLab, tmp_path: Path, fault: str, code: str, layer: Layer
) -> None:
    """It fails, names the layer, and passes again when it is mended."""
    async with faulty(live, fault):
        result = await probed(target_of(live), "host.config", tmp_path)
    assert [(f.code, f.layer, f.verdict) for f in result.findings] == [
        (f"host.config.{code}", layer, Verdict.FAIL)
    ], result
    assert (await probed(target_of(live), "host.config", tmp_path)).verdict is Verdict.PASS


async def test_a_phone_without_a_password(live: LiveLab, tmp_path: Path) -> None:
    """Whoever comes is taken for it, and it is said."""
    async with faulty(live, "no password"):
        result = await probed(target_of(live), "sip.register", tmp_path)
    assert [(f.code, f.layer) for f in result.findings][:1] == [("sip.register.open", Layer.SWITCH)], result
    assert result.verdict is Verdict.FAIL


async def test_a_phone_with_another_password(live: LiveLab, tmp_path: Path) -> None:
    """The phone is blamed."""
    target = target_of(live)
    phones = {name: dataclasses.replace(phone, password="stale") for name, phone in target.phones.items()}
    result = await probed(dataclasses.replace(target, phones=phones), "sip.register", tmp_path)
    assert [(f.code, f.layer) for f in result.findings] == [("sip.register.refused", Layer.PHONE)], result


async def test_a_dead_side_that_nobody_would_notice(live: LiveLab, tmp_path: Path) -> None:
    """A trunk without session timers: the switch is blamed, and everything else about it passes."""
    async with faulty(live, "no session timer"):
        result = await probed(target_of(live), "call.release", tmp_path)
    assert [(f.code, f.layer) for f in result.findings] == [("call.release.undead", Layer.SWITCH)], result
