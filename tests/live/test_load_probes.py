"""The probes that load, on a real switch: clean they pass, and with a fault seeded each fails and blames the right layer."""

from __future__ import annotations

import asyncio
import re
import signal
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hwtest.lab.contract import FILE
from hwtest.lab.processes import ProcessIdentity
from hwtest.probes import call_setup, load_burst, load_hold, load_ramp, load_register, load_soak
from hwtest.probes.contract import Layer, Probe, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.target import Line, of_lab
from hwtest.useragent import rejecting
from tests.live.room import LiveLab

pytestmark = [pytest.mark.endurance, pytest.mark.usefixtures("daemon_runs")]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own, which is hurt."""
    lab = LiveLab.up(tmp_path_factory.mktemp("load"), {})
    yield lab
    lab.down()


@pytest.fixture
def expected_warnings() -> list[str]:
    """Under faults of the switch the daemon warns of much, and that is no concern here."""
    return [""]


@pytest.fixture
async def site(live: LiveLab, tmp_path: Path) -> AsyncIterator[Site]:
    """The lab as a target that may be loaded."""
    async with Site(of_lab(live.lab, live.directory / FILE), tmp_path, lab_allowed=True) as opened:
        yield opened


async def run(site: Site, probe: Probe, overrides: Mapping[str, tuple[float, float]] | None = None) -> Sheet:
    """What the probe writes down; shown when a test fails."""
    sheet = Sheet(probe, overrides or {})
    async with asyncio.timeout(probe.limit_seconds):
        await probe.measure(site, sheet)
    for figure in sheet.figures:
        print(figure.name, figure.value, figure.unit, figure.note)  # noqa: T201
    for one in sheet.findings:
        print(one.verdict, one.code, one.layer, one.summary, one.evidence)  # noqa: T201
    return sheet


def failed(sheet: Sheet) -> set[tuple[str, Layer]]:
    """What failed, and who is blamed."""
    return {(one.code.rpartition(".")[2], one.layer) for one in sheet.findings if one.verdict is Verdict.FAIL}


@contextmanager
def audio_ports(live: LiveLab, count: int) -> Iterator[None]:
    """The switch has so few ports for audio."""
    file = Path(live.lab.asterisk_directory, "etc/rtp.conf")
    before = file.read_text(encoding="utf-8")
    start = next(line.split("=")[1] for line in before.splitlines() if line.startswith("rtpstart"))
    file.write_text(f"[general]\nrtpstart = {start}\nrtpend = {int(start) + count - 1}\nicesupport = no\n")
    live.asterisk.cli("module reload res_rtp_asterisk.so")
    try:
        yield
    finally:
        file.write_text(before, encoding="utf-8")
        live.asterisk.cli("module reload res_rtp_asterisk.so")


@contextmanager
def halting_daemon(live: LiveLab) -> Iterator[None]:
    """The daemon stands still for 0.4 s, again and again, and works 50 ms in between."""
    over, daemon = threading.Event(), live.daemon
    assert daemon is not None

    def halt() -> None:
        while not over.is_set():
            daemon.signal(signal.SIGSTOP)
            over.wait(0.4)
            daemon.signal(signal.SIGCONT)
            over.wait(0.05)

    thread = threading.Thread(target=halt)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    "probe",
    [module.PROBE for module in (call_setup, load_register, load_ramp, load_hold, load_burst, load_soak)],
    ids=lambda probe: probe.name,
)
async def test_clean(site: Site, probe: Probe) -> None:
    """Nothing fails on a lab without a fault; a busy machine may make it slow, which is a warning."""
    sheet = await run(site, probe)
    assert failed(sheet) == set()
    assert sheet.verdict in (Verdict.PASS, Verdict.WARN)


async def test_a_test_line_that_is_not_in_the_dialplan(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is the dialplan's fault."""
    monkeypatch.setattr(call_setup, "CALLS", 4)
    site.target = replace(site.target, lines={"test": Line(number="5551", phone="test1")})
    assert failed(await run(site, call_setup.PROBE)) == {("refused", Layer.DIALPLAN)}


async def test_a_phone_that_is_engaged(live: LiveLab, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a line that does nothing but ring it."""
    monkeypatch.setattr(call_setup, "CALLS", 4)
    monkeypatch.setattr(call_setup, "answering", lambda: rejecting(486))
    number = live.lab.lines["plain_dial"]
    site.target = replace(site.target, lines={"test": Line(number=number, phone="agent1")})
    assert failed(await run(site, call_setup.PROBE)) == {("phone", Layer.PHONE)}


async def test_a_wrong_password(site: Site) -> None:
    """Of one phone of six."""
    phones = dict(site.target.phones)
    phones["agent1"] = replace(phones["agent1"], password="another")
    site.target = replace(site.target, phones=phones)
    assert failed(await run(site, load_register.PROBE)) == {("refused", Layer.PHONE)}


async def test_a_wave_leaves_no_contact(live: LiveLab, site: Site) -> None:
    """What it registered is withdrawn: nothing goes to a port where nobody is."""
    await run(site, load_register.PROBE)
    shown = live.asterisk.cli("pjsip show contacts")
    assert set(re.findall(r"Contact:\s+(\w+)/sip", shown)) == {"callee"}, "which stands in the configuration"


async def test_a_burst_on_too_few_audio_ports(live: LiveLab, site: Site) -> None:
    """The switch cannot take all callers."""
    with audio_ports(live, 60):
        assert failed(await run(site, load_burst.PROBE)) == {("audio", Layer.SWITCH)}


async def test_waiting_on_too_few_audio_ports(live: LiveLab, site: Site) -> None:
    """Callers are lost when a hundred want to wait."""
    with audio_ports(live, 60):
        assert ("lost", Layer.SWITCH) in failed(await run(site, load_hold.PROBE))


async def test_a_ramp_on_too_few_audio_ports(live: LiveLab, site: Site) -> None:
    """Two calls at once of 0.2 s each are ten a second at the most, too few for a site that expects fifty."""
    with audio_ports(live, 4):
        sheet = await run(site, load_ramp.PROBE, {"session_establishment_rate": (50.0, 20.0)})
    assert failed(sheet) == {("low", Layer.SWITCH)}
    low = next(one for one in sheet.findings if one.code == "load.ramp.low")
    assert "with 488" in low.evidence[0].text


async def test_waiting_on_a_daemon_that_stands_still(live: LiveLab, site: Site) -> None:
    """Dispatch is slow, and the daemon is blamed."""
    with halting_daemon(live):
        found = failed(await run(site, load_hold.PROBE))
    assert found == {("slow", Layer.DAEMON)}


async def test_a_switch_that_hangs_for_five_seconds(
    live: LiveLab, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OPTIONS stay without an answer."""
    switch = ProcessIdentity.of(live.lab.pids.asterisk)

    loop = asyncio.get_running_loop()
    hangs = loop.call_later(25, switch.signal, signal.SIGSTOP)
    goes_on = loop.call_later(30, switch.signal, signal.SIGCONT)
    try:
        sheet = await run(site, load_soak.PROBE)
    finally:
        hangs.cancel()
        goes_on.cancel()
        switch.signal(signal.SIGCONT)
    assert ("dead", Layer.SWITCH) in failed(sheet)
