"""Real media: PJSUA2 phones, directly and through the switch. Tones, digits, statistics, and the delay that the switch adds."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from statistics import median

import pytest

from hwtest import running
from hwtest.audio.signal import LEG_FREQUENCIES_HZ, read_wav, silence, tone, tone_levels_dbm0, write_wav
from hwtest.lab.contract import FILE
from hwtest.probes.contract import Probe, Verdict
from hwtest.probes.registry import all_probes
from hwtest.report.result import ProbeResult
from hwtest.site import Site
from hwtest.softphone import build
from hwtest.softphone import phone as softphone_phone
from hwtest.softphone.build import Library
from hwtest.softphone.messages import Settings
from hwtest.softphone.pair import Conversation, Pair, pair, pair_at
from hwtest.softphone.phone import SoftphoneError, Softphones
from hwtest.target import of_lab
from hwtest.useragent import UserAgent, wire
from hwtest.useragent.transport import open_socket
from tests.live.room import LiveLab

CHIRPS = 3
ADDED_MOST_MS = 25.0
"""B12: what the appliance may add one way."""
pytestmark = [pytest.mark.usefixtures("daemon_runs")]


@pytest.fixture(scope="module")
def library() -> Library:
    """PJSUA2, built now if it is not in the cache (`make test` builds it beside its first pass)."""
    if build.find() is None and (lacking := build.missing()) and "CI" not in os.environ:
        pytest.skip(f"PJSUA2 cannot be built here: apt-get install {' '.join(lacking)}")
    return build.obtain()


@pytest.fixture
async def site(live: LiveLab, tmp_path: Path) -> AsyncIterator[Site]:
    """The lab as a target."""
    async with Site(of_lab(live.lab, live.directory / FILE), tmp_path) as opened:
        yield opened


class Quiet:
    """Watches a run without a word."""

    def started(self, probe: Probe) -> None:
        """A probe begins."""

    def progress(self, words: str) -> None:
        """How far it is."""

    def finished(self, result: ProbeResult) -> None:
        """It is done."""


@asynccontextmanager
async def spoken(conversation: Conversation, folder: Path) -> AsyncIterator[dict[str, Path]]:
    """Both speak a tone of their own while the block lasts; afterwards what each heard stands in its file."""
    heard = {"caller": folder / "caller.wav", "callee": folder / "callee.wav"}
    for name, call, frequency_hz in (
        ("caller", conversation.caller, LEG_FREQUENCIES_HZ[0]),
        ("callee", conversation.callee, LEG_FREQUENCIES_HZ[3]),
    ):
        write_wav(folder / f"{name}-speaks.wav", tone(frequency_hz, 2.0))
        await call.play(folder / f"{name}-speaks.wav", loop=True)
        await call.record(heard[name])
    yield heard
    await conversation.caller.quiet()
    await conversation.callee.quiet()


async def _heard_both_ways(conversation: Conversation, folder: Path, codec: str) -> None:
    async with spoken(conversation, folder) as heard:
        await conversation.caller.send_digits("159#")
        await conversation.callee.until(lambda: len(conversation.callee.digits) == 4, 5)
        await conversation.callee.send_digits("A0*")
        await conversation.caller.until(lambda: len(conversation.caller.digits) == 3, 5)
        statistics = await conversation.callee.statistics()
    assert "".join(digit.digit for digit in conversation.callee.digits) == "159#"
    assert "".join(digit.digit for digit in conversation.caller.digits) == "A0*"
    assert statistics.received.packets > 50
    assert (statistics.received.lost, statistics.received.repeated) == (0, 0)
    assert statistics.codec == codec
    for file, own, other in (("caller", 3, 0), ("callee", 0, 3)):
        samples = read_wav(heard[file])
        # whoever sends a digit is not heard meanwhile
        ours, theirs = (max(tone_levels_dbm0(samples, LEG_FREQUENCIES_HZ[leg])) for leg in (own, other))
        assert ours > -20
        assert theirs < -50, "nobody hears themselves"


async def test_directly(library: Library, tmp_path: Path) -> None:
    """Two phones with nothing between them hear each other's tone and digits; the end is orderly."""
    async with pair(library) as phones:
        async with phones.direct() as conversation:
            await _heard_both_ways(conversation, tmp_path, "PCMA/8000")
        assert conversation.caller.ended and conversation.callee.ended


async def test_nobody_sends_a_phone_elsewhere(library: Library) -> None:
    """A far end that transfers, redirects or takes over moves no phone: whom it calls is the interlock's to say."""
    async with (
        UserAgent(user="far", media="silence") as far,
        UserAgent(user="stranger") as stranger,
        Softphones(library) as phones,
    ):
        far_uri, elsewhere = ("sip:999@{}:{}".format(*agent.address) for agent in (far, stranger))
        phone = await phones.phone("caller")
        call = await phone.invite(far_uri)
        (incoming := await far.next_invite(5)).answer()
        await call.answered(5)
        assert await incoming.refer(elsewhere) == 603
        tags = f"to-tag={incoming.dialog.remote_tag};from-tag={incoming.dialog.local_tag}"
        taking_over = stranger.invite(phone.uri, headers={"Replaces": f"{call.call_id};{tags}"})
        await taking_over.ended(5)
        assert taking_over.status == 603
        await call.hang_up()
        moved = await phone.invite(far_uri)
        (await far.next_invite(5)).reject(302, (("Contact", f"<{elsewhere}>"),))
        await moved.until(lambda: moved.ended, 5)
        assert (moved.status, list(stranger.trace)) == (302, [])


@pytest.mark.endurance
async def test_bytes_that_are_no_text(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name and a reason that are not UTF-8 are shown as far as they can be, and end nothing."""
    monkeypatch.setitem(wire.REASONS, 486, wire.decode(b"Occup\xe9"))
    async with UserAgent(user="far") as far, Softphones(library) as phones:
        phone = await phones.phone("phone")
        far.invite(phone.uri, from_name=b"Andr\xe9")
        incoming = await phone.next_call(5)
        assert "Andr\ufffd" in incoming.peer
        await incoming.answer(486)
        call = await phone.invite("sip:101@{}:{}".format(*far.address))
        (await far.next_invite(5)).reject(486)
        await call.until(lambda: call.ended, 5)
        assert (call.status, call.reason) == (486, "Occup\ufffd")


@pytest.mark.endurance
async def test_a_registrar_that_says_nothing(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named as the one that is silent, and not the software phones."""
    monkeypatch.setattr(softphone_phone, "REGISTER_SECONDS", 0.3)
    async with Softphones(library) as phones:
        with closing(open_socket("127.0.0.1", 0)) as silent:
            place = "{}:{}".format(*silent.getsockname())
            with pytest.raises(SoftphoneError, match=f"{place} does not answer the registration"):
                await (await phones.phone("phone")).register(place, "phone", "secret")


async def test_through_the_switch(library: Library, site: Site, tmp_path: Path) -> None:
    """The same, to the line that rings the test phone."""
    async with pair_at(site) as (phones, number):
        async with phones.through(site, number) as conversation:
            await _heard_both_ways(conversation, tmp_path, "PCMU/8000")  # the switch's own first choice
        assert conversation.caller.ended


async def _both_ways_ms(phones: Pair, site: Site, folder: Path, number: str | None) -> float:
    """Forth and back together, which does not depend on the phase of the clocks; directly or through the switch."""
    async with phones.direct() if number is None else phones.through(site, number) as conversation:
        found = await phones.latency(conversation, folder, count=CHIRPS, seed=1, name="latency")
    assert found.missed <= 1, "chirps were not found"
    return median(mouth.milliseconds for mouth in found.forth) + median(m.milliseconds for m in found.back)


@pytest.mark.endurance
async def test_mouth_to_ear(library: Library, site: Site, tmp_path: Path) -> None:
    """Their own delay is that of their buffer and frames, and the switch adds little to it."""
    async with pair_at(site) as (phones, number):
        own = await _both_ways_ms(phones, site, tmp_path, None)
        through = await _both_ways_ms(phones, site, tmp_path, number)
    assert 40 < own < 200
    assert -10 < (through - own) / 2 < ADDED_MOST_MS


async def test_an_audio_probe(library: Library, site: Site) -> None:
    """A probe says of a switch that is well that it is well, and keeps what it heard for its owner only."""
    probes = [probe for probe in all_probes() if probe.name == "audio.twoway"]
    done = await running.run(site, probes, Quiet(), ["audio"], 1)
    assert [(result.name, result.verdict, result.reason) for result in done.probes] == [
        ("audio.twoway", Verdict.PASS, None),
    ], [finding.summary for result in done.probes for finding in result.findings]
    assert len([file for file in site.folder.iterdir() if file.stat().st_mode & 0o077]) == 0


@pytest.mark.endurance
async def test_refused_registration(library: Library, live: LiveLab) -> None:
    """Says who refuses and with what."""
    phone = live.lab.test_phones[0]
    async with Softphones(library) as phones:
        callee = await phones.phone("callee")
        with pytest.raises(SoftphoneError, match=r"refuses the registration: 40[13]"):
            await callee.register(phone.registrar, phone.user, "wrong")


async def test_a_call_that_is_refused(library: Library, site: Site) -> None:
    """The switch's own answer is told at once, instead of waiting for a phone that will not ring."""
    async with pair_at(site) as (phones, _):
        with pytest.raises(SoftphoneError, match=r"ended before it reached the phone; the switch said 404"):
            async with phones.through(site, "5550000"):
                pass


@pytest.mark.endurance
async def test_a_caller_whom_the_switch_knows(library: Library, live: LiveLab, tmp_path: Path) -> None:
    """Where a target names the phone that calls are placed as, its password answers the switch."""
    agent = live.lab.agents[0].user
    target = dataclasses.replace(of_lab(live.lab, live.directory / FILE), caller_phone=agent)
    async with (
        Site(target, tmp_path) as site,
        pair_at(site) as (phones, number),
        phones.through(site, number) as conversation,
    ):
        assert conversation.callee.state == "confirmed"
        assert agent in live.channels()


async def test_no_other_address_is_spoken_to(library: Library) -> None:
    """Neither a call nor a registration leaves for an address that was not allowed."""
    async with Softphones(library, Settings()) as phones:
        phone = await phones.phone("caller")
        with pytest.raises(SoftphoneError, match="none of the addresses"):
            await phone.invite("sip:101@192.0.2.7:5060")
        with pytest.raises(SoftphoneError, match="none of the addresses"):
            await phone.register("192.0.2.7:5060", "a", "b")


@pytest.mark.endurance
async def test_phones_that_die(library: Library, tmp_path: Path) -> None:
    """Their calls count as ended, and whoever asks is told instead of waiting."""
    async with pair(library) as phones, phones.direct() as conversation:
        process = phones._processes[0]._process
        assert process is not None
        process.send_signal(signal.SIGKILL)
        await conversation.caller.until(lambda: conversation.caller.ended, 5)
        with pytest.raises(SoftphoneError, match="ended"):
            write_wav(tmp_path / "a.wav", silence(1))
            await conversation.caller.play(tmp_path / "a.wav")
