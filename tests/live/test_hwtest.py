"""hwtest against a real switch: quick passes where all is well, names the layer where it is not, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import signal
import stat
import sys
import time
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import msgspec
import pytest

from hwtest.probes.contract import Layer, Verdict
from hwtest.report.result import ProbeResult, Run
from hwtest.useragent import AgentPhone, ignoring
from tests.live.room import LiveLab, Room, until

OF_THE_MACHINE = {Layer.METER, Layer.CLOCK}
"""What a crowded machine without a time service is blamed for, rightly."""


class Done(NamedTuple):
    """A run of hwtest that has ended."""

    status: int
    seconds: float
    said: str
    run: Run

    def probe(self, name: str) -> ProbeResult:
        """One probe's result."""
        return next(result for result in self.run.probes if result.name == name)


async def start(live: LiveLab, folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    """`hwtest` as a person starts it."""
    files = (
        "--json",
        str(folder / "r.json"),
        "--junit",
        str(folder / "r.xml"),
        "--html",
        str(folder / "r.html"),
    )
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hwtest", *arguments, "--target", str(live.directory), *files),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def end(process: asyncio.subprocess.Process, folder: Path, began: float) -> Done:
    """Its result, when it has ended by itself."""
    said, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    run = msgspec.json.decode((folder / "r.json").read_bytes(), type=Run)
    return Done(process.returncode, time.monotonic() - began, said.decode(), run)


async def hwtest(live: LiveLab, folder: Path, *arguments: str) -> Done:
    """One whole run."""
    began = time.monotonic()
    return await end(await start(live, folder, *arguments), folder, began)


@pytest.mark.usefixtures("daemon_runs")
async def test_quick(live: LiveLab, tmp_path: Path) -> None:
    """Under a minute; the call got through with every message answered; nobody but the machine itself is blamed."""
    done = await hwtest(live, tmp_path, "quick")
    assert done.seconds < 60, done.said
    assert (done.status, done.run.exit_status) == (done.run.exit_status, done.run.verdict.exit_status)
    blamed = {finding.layer for result in done.run.probes for finding in result.findings}
    assert blamed <= OF_THE_MACHINE, done.said
    for name in ("sip.options", "ctl.link", "call.one", "meter.capture"):
        assert done.probe(name).verdict is Verdict.PASS, done.said
    call = done.probe("call.one")
    labels = [message.label for message in call.ladders[0].messages]
    assert call.ladders[0].parties == ("caller", "switch", "phone test1")
    assert [labels.count(label) for label in ("INVITE", "200 (INVITE)", "ACK", "BYE", "200 (BYE)")] == [2] * 5
    assert (tmp_path / "r.html").read_text().count("<svg") > 1
    assert ET.parse(tmp_path / "r.xml").getroot().attrib["tests"] == str(len(done.run.probes))
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("r.json", "r.xml", "r.html")}
    assert modes == {0o600}


@pytest.mark.usefixtures("daemon_absent")
async def test_a_daemon_that_is_away(live: LiveLab, tmp_path: Path) -> None:
    """The daemon is blamed and not the switch, which answers."""
    done = await hwtest(live, tmp_path, "run", "sip.options", "ctl.link")
    assert done.status == Verdict.FAIL.exit_status, done.said
    assert done.probe("sip.options").verdict is Verdict.PASS
    findings = done.probe("ctl.link").findings
    assert {(finding.code, finding.layer) for finding in findings} == {("ctl.link.absent", Layer.DAEMON)}


@pytest.mark.endurance
@pytest.mark.usefixtures("daemon_runs")
async def test_a_phone_that_lost_its_power(live: LiveLab, tmp_path: Path) -> None:
    """It is registered and silent: the phone is blamed, the one beside it is asked and answers."""
    phones = [
        AgentPhone(agent.user, agent.password, agent.registrar, ignoring) for agent in live.lab.agents[:2]
    ]
    for phone in phones:
        await phone.start()
    await phones[0].vanish()
    try:
        done = await hwtest(live, tmp_path, "run", "sip.options")
    finally:
        await phones[1].stop()
        again = AgentPhone(
            phones[0].user, live.lab.agents[0].password, live.lab.agents[0].registrar, ignoring
        )
        await again.start()
        await again.stop()  # so that the next test does not find it registered
    assert done.status == Verdict.FAIL.exit_status, done.said
    (finding,) = done.probe("sip.options").findings
    assert (finding.code, finding.layer) == ("sip.options.phone", Layer.PHONE)
    assert f"phone {phones[0].user} " in finding.summary
    assert f"phone {phones[1].user}: 20 x 200" in done.probe("sip.options").figures[0].note


@pytest.mark.usefixtures("daemon_runs")
async def test_ctrl_c_ends_the_call_and_writes_the_report(live: LiveLab, tmp_path: Path) -> None:
    """By BYE: no channel is left. What was not measured is said to be so, and the exit status is no pass."""
    began = time.monotonic()
    told = tmp_path / "r.ndjson"
    process = await start(live, tmp_path, "run", "call.one", "ctl.link", "--ndjson", str(told))
    try:
        await until(lambda: told.exists() and "talking" in told.read_text(), 60, "a call is up")
        assert "test1" in live.channels()
        process.send_signal(signal.SIGINT)
        done = await end(process, tmp_path, began)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert done.status == Verdict.NOT_MEASURED.exit_status, done.said
    assert done.run.interrupted
    assert [(result.name, result.verdict) for result in done.run.probes] == [
        ("ctl.link", Verdict.PASS),
        ("call.one", Verdict.NOT_MEASURED),
    ]
    assert "Traceback" not in done.said
    assert done.probe("call.one").ladders, "what was seen of the call is kept"
    await until(lambda: not live.channels(), 2, f"no call is left: {live.channels()}")


def profile(live: LiveLab, folder: Path, number: str, *more: str) -> Path:
    """The lab's switch as if it were an appliance that serves people."""
    lab, phone = live.lab, live.lab.test_phones[0]
    for name, secret in (("ami", lab.ami.password), ("phone", phone.password)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(secret)
    file = folder / "appliance.toml"
    file.write_text(
        f"""\
[target]
name = "As if live"
kind = "live"
sip = "{lab.sip.host}:{lab.sip.port}"
caller = "07700900123"

[line.test]
number = "{number}"
looks_like_emergency = true
phone = "test1"

[phone.test1]
user = "{phone.user}"
password_file = "phone"

[ami]
port = {lab.ami.port}
user = "{lab.ami.user}"
password_file = "ami"

{chr(10).join(more)}
"""
    )
    return file


async def on_profile(file: Path, folder: Path, *arguments: str) -> Done:
    """A run on the target of a profile."""
    began, result = time.monotonic(), folder / "r.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hwtest", *arguments, "--target", str(file), "--json", str(result)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    return await end(process, folder, began)


@pytest.mark.usefixtures("daemon_runs")
async def test_an_appliance_that_serves_people(live: LiveLab, room: Room, tmp_path: Path) -> None:
    """A quiet one is called at its test line; with a caller on it we stand back, and place no call at all."""
    file = profile(live, tmp_path, live.lab.lines["999_test"])
    done = await on_profile(file, tmp_path, "run", "call.one")
    assert done.probe("call.one").verdict is Verdict.PASS, done.said
    room.caller("101")
    await until(lambda: live.channels(), 10, "somebody calls")
    before = len(live.channels())
    done = await on_profile(file, tmp_path, "run", "call.one")
    result = done.probe("call.one")
    assert (done.status, result.verdict) == (3, Verdict.NOT_MEASURED)
    assert result.reason is not None and "other calls in progress: 1, allowed: 0" in result.reason
    assert result.ladders == ()
    assert len(live.channels()) == before, "our call would have been a leg more"
    file = profile(live, tmp_path, live.lab.lines["999_test"], "[calls]", "other_calls_at_most = 1")
    done = await on_profile(file, tmp_path, "run", "call.one")
    assert done.probe("call.one").verdict is Verdict.PASS, done.said
