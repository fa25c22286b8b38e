"""Everything around the daemon in trouble: its links, its passwords, its ledger, the switch itself. Calls go on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edge.core import facts
from edge.core.model import AgentState, CallOutcome, CallState
from edge.errors import EXIT_CONFIGURATION, EXIT_UNWELL
from edge.views.calls import CallRecord
from hwtest.lab import daemon, processes
from hwtest.lab.proxy import Proxy
from hwtest.useragent import CallState as Wire
from hwtest.useragent import OutgoingCall, answering
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room, until

LINE = "101_no_greeting"
LEDGER_WARNINGS = ["ledger", "checkpoint not saved"]
LINK_WARNINGS = ["link.lost", "probe.failed", "not sent", "not connected", "effect", "renew", "work"]


class ProxiedLab(LiveLab):
    """A lab whose daemon sees Asterisk through two proxies."""

    ami: Proxy
    ari: Proxy

    def put_between(self) -> None:
        """Start the daemon on a copy of the configuration that names the proxies."""
        ami, ari = self.configuration.switch.ami, self.configuration.switch.ari
        self.ami, self.ari = Proxy(ami.port), Proxy(self.lab.ari.port)
        file = self.directory / "proxied.toml"
        text = Path(self.lab.config).read_text()
        text = text.replace(f"port = {ami.port}", f"port = {self.ami.port}")
        write_private(file, text.replace(ari.url, f"http://127.0.0.1:{self.ari.port}"))
        command = (sys.executable, "-m", "edge", "--config", str(file), "run")
        self.lab = msgspec.structs.replace(self.lab, commands={**self.lab.commands, "edge": command})
        self.lab.write()


def write_private(file: Path, text: str) -> None:
    """As the lab writes its files: for its owner alone."""
    file.touch(mode=0o600)
    file.write_text(text)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedLab]:
    """A lab of its own with proxies, and a ledger on a small file system of its own where that can be had."""
    lab = ProxiedLab.up(tmp_path_factory.mktemp("trouble"), POLICY, with_daemon=False)
    assert isinstance(lab, ProxiedLab)
    lab.put_between()
    try:
        asyncio.run(lab.start_daemon())
        yield lab
        finish(lab)
    finally:
        lab.down()
        lab.ami.close()
        lab.ari.close()


async def served(room: Room, count: int = 2) -> None:
    """Calls are served, as ever."""
    bob = await room.agent(2)
    for _ in range(count):
        jo = room.caller(LINE)
        assert await room.serve(bob) is jo


# --- the links ---


@pytest.mark.parametrize("how", ["cut", "stall", "silence"])
@pytest.mark.parametrize("which", ["ami", "ari"])
async def test_a_link_in_trouble(
    room: Room, live: ProxiedLab, expected_warnings: list[str], which: str, how: str
) -> None:
    """The loss and the return are recorded once each; talk, music and places stay; each caller is offered once."""
    expected_warnings += LINK_WARNINGS
    ann = await room.agent(1, tone_hz=600)
    talking = room.caller(LINE, tone_hz=1000)
    first = await ann.answers()
    await room.reaches(talking, CallState.TALKING)
    waiting = [room.caller(LINE, hears=True), *await room.queue_up(2, LINE)]
    await room.until(lambda: sum(call.state is CallState.WAITING for call in live.state.calls.values()) == 3)
    proxy: Proxy = getattr(live, which)
    getattr(proxy, how)()
    await room.until(lambda: room.facts(facts.SwitchLost), 20, "the loss is seen")
    for leg in (waiting[0].leg, talking.leg, first.leg):
        leg.forget_heard()
    await waiting[0].until(lambda: waiting[0].leg.level_dbm0 > -45, 3)
    await talking.until(lambda: talking.leg.hears(600), 3)
    proxy.mend()
    await room.until(lambda: room.facts(facts.SwitchRestored), 10, "the return is seen")
    await first.hang_up()
    order = [room.numbers[await room.serve(ann)] for _ in waiting]
    assert sorted(order[1:]) == order[1:]
    assert sorted(order) == sorted(room.numbers[caller] for caller in waiting)
    assert len(ann.calls) == 1 + len(waiting), "an INVITE for each call, none twice"
    assert (len(room.facts(facts.SwitchLost)), len(room.facts(facts.SwitchRestored))) == (1, 1)


async def test_a_link_cut_while_a_phone_rings(
    room: Room, live: ProxiedLab, expected_warnings: list[str]
) -> None:
    """The interrupted offer is withdrawn; the caller keeps the place, is offered again and connected."""
    expected_warnings += LINK_WARNINGS
    ann = await room.agent(1)
    jo = room.caller(LINE)
    call = await ann.offered()
    call.ring()
    await room.until(lambda: room.facts(facts.OfferRang))
    live.ari.cut()
    live.ami.cut()
    await room.until(lambda: room.facts(facts.SwitchLost))
    live.ari.mend()
    live.ami.mend()
    await room.until(lambda: room.facts(facts.SwitchRestored), 10)
    await call.ended(5)
    again = await ann.offered()
    again.answer()
    await room.reaches(jo, CallState.TALKING)
    await jo.hang_up()
    assert (await room.ended(jo)).outcome is CallOutcome.ANSWERED


async def test_every_http_session_of_the_switch_is_taken(
    room: Room, live: ProxiedLab, expected_warnings: list[str]
) -> None:
    """500 idle connections to ARI lock the daemon out (sessionlimit): callers are still connected, and afterwards all is well."""
    expected_warnings += LINK_WARNINGS
    ann = await room.agent(1)
    taken = [socket.socket() for _ in range(500)]
    for (
        connection
    ) in taken:  # beyond the limit the switch takes some and ends them at once; nobody waits for it
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", live.lab.ari.port))
    jo = room.caller(LINE)
    call = await ann.offered(25)
    call.answer()
    await jo.answered(3)
    await call.until(lambda: call.acknowledged, 5)
    for connection in taken:
        connection.close()
    await room.until(lambda: _talks(room.find(jo)), 30, "the daemon knows of the conversation")
    await jo.hang_up()
    assert (await room.ended(jo, 30)).outcome is CallOutcome.ANSWERED
    await served(room)


def _talks(call: CallRecord | None) -> bool:
    return call is not None and call.connected_at is not None


async def test_a_lost_event_is_found_by_the_cross_check(
    room: Room, live: ProxiedLab, expected_warnings: list[str]
) -> None:
    """Nobody was told that this caller came in: in our application, served by nobody. The second look finds them, before the
    dead-man; they are adopted at their place and served, and it is logged once."""
    expected_warnings += [*LINK_WARNINGS, "crosscheck.differs"]
    logged = live.log_bytes
    live.ari.lose(b'"type":"StasisStart"')
    jo = room.caller(LINE)
    await jo.answered(3)
    await until(lambda: "!StasisBroadcast!" in room.live.channels())
    await room.reaches(jo, CallState.WAITING, 14)
    assert [json.loads(line)["what"] for line in live.warnings(logged) if "crosscheck.differs" in line] == [
        "in our application, and unknown to us"
    ]
    assert room.facts(facts.FallbackEntered) == []
    await served_is(room, jo)


async def served_is(room: Room, caller: OutgoingCall) -> None:
    """An agent gets this caller."""
    assert await room.serve(await room.agent(1)) is caller


async def test_a_switch_that_writes_nothing_any_more(
    room: Room, live: ProxiedLab, expected_warnings: list[str]
) -> None:
    """Events, reads and the canary go on, and a write is never answered (a held lock, as in asterisk/asterisk issue 2170):
    the daemon sends everybody who waits to the switch's own queue, in order and 999 first, and ends with its own status; a
    talk goes on."""
    expected_warnings += [*LINK_WARNINGS, "probe.failed", "callers.sent_away", "^edge: ", "999 unanswered"]
    if live.daemon is not None:
        await live.lose_daemon(signal.SIGTERM)
    before = daemon.last_sequence(live.lab.ledger)
    process = processes.start(live.lab.commands["edge"], live.directory / "log/edge.log")
    await until(lambda: daemon.serves(live.lab.ledger, before), 15)
    ann = await room.agent(1)
    talking = room.caller(LINE)
    talk = await ann.answers()
    await room.reaches(talking, CallState.TALKING)
    routine = await room.queue_up(2, LINE)
    [emergency] = await room.queue_up(1, "999")
    for caller in (*routine, emergency):
        await room.reaches(caller, CallState.WAITING)
    live.ari.swallow(b"PUT /ari/applications/")
    assert await asyncio.to_thread(process.wait, 30) == EXIT_UNWELL
    live.ari.mend()
    await until(lambda: _in_fallback(room) == 3, 3, "all in the switch's own queue")
    assert (talk.state, talking.state) == (Wire.ANSWERED, Wire.ANSWERED)
    ann.phone.behaviour = answering(talk_seconds=0.1)
    await talk.hang_up()
    await until(lambda: len([c for c in ann.calls if c.reached is Wire.ANSWERED]) == 4, 20)
    answered = [room.who(call) for call in ann.calls if call.reached is Wire.ANSWERED]
    assert answered == [talking, emergency, *routine]
    await live.start_daemon()


def _in_fallback(room: Room) -> int:
    return sum(row.split("!")[2] == "fallback" for row in room.live.channels().splitlines())


# --- the passwords ---


@pytest.mark.parametrize(("which", "file"), [("ami", "manager.conf"), ("ari", "ari.conf")])
@pytest.mark.parametrize("what", ["password", "user"])
def test_a_wrong_login_ends_the_daemon_with_78(
    live: ProxiedLab, tmp_path: Path, which: str, file: str, what: str
) -> None:
    """One line names the switch's file, our key and what to make the same; a supervisor does not start it again."""
    directory = copied(live, tmp_path)
    if what == "password":
        write_private(directory / "secrets" / which, "another-password\n")
    else:
        text = (directory / "edge101.toml").read_text()
        write_private(
            directory / "edge101.toml", re.sub(rf"(\[switch\.{which}\])", r'\1\nuser = "nobody"', text)
        )
    run = subprocess.run(daemon.command(directory), capture_output=True, text=True, timeout=20, check=False)
    assert run.returncode == EXIT_CONFIGURATION
    [said] = [line for line in run.stderr.splitlines() if line.startswith("edge: ")]
    for word in (file, "password_file", f"[switch.{which}]"):
        assert word in said
    assert "Traceback" not in run.stderr
    assert "another-password" not in run.stderr
    alone = (*daemon.supervisor_command(directory), *daemon.command(directory))  # one in reserve says it too
    supervised = subprocess.run(alone, capture_output=True, text=True, timeout=20, check=False)
    assert supervised.returncode == EXIT_CONFIGURATION
    lives = (directory / "log/edge.log").read_text()
    assert (lives.count('"starting"'), lives.count("edge: ")) == (1, 1), lives


def copied(live: LiveLab, directory: Path) -> Path:
    """The daemon's configuration with a ledger and secrets of its own."""
    text = Path(live.lab.config).read_text().replace(str(live.directory), str(directory))
    write_private(directory / "edge101.toml", text)
    (directory / "secrets").mkdir()
    for name in ("ami", "ari", "rescue"):
        write_private(directory / "secrets" / name, (live.directory / "secrets" / name).read_text())
    return directory


# --- the ledger ---


async def connected_unseen(room: Room) -> tuple[list[OutgoingCall], float]:
    """Two calls served, judged from the wire alone, because the record cannot be read now; seconds the slower took."""
    loop = asyncio.get_running_loop()
    desks, callers, slowest = [room.desks[0], room.desks[1]], [], 0.0
    for desk in desks:
        began = loop.time()
        jo = room.caller(LINE, tone_hz=1000)
        callers.append(jo)
        call = await desk.answers(3)
        await call.until(lambda call=call: call.leg.hears(1000), 3)  # type: ignore[misc]
        slowest = max(slowest, loop.time() - began)
    return callers, slowest


async def record_is_whole(room: Room, callers: list[OutgoingCall]) -> None:
    """What happened meanwhile stands in the record, the trouble too, and the chain verifies."""
    for caller in callers:
        await caller.hang_up()
    await room.until(lambda: room.facts(facts.LedgerTroubleEnded), 10, "the ledger recovers")
    for caller in callers:
        assert (await room.ended(caller)).outcome is CallOutcome.ANSWERED
    kinds = (facts.LedgerTroubleBegan, facts.LedgerTroubleEnded)
    assert [type(fact) for fact in room.facts(*kinds)] == list(kinds)
    verified = await asyncio.to_thread(room.live.edge, "ledger", "verify", "--json")
    assert json.loads(verified.stdout)["sound"] is True


async def test_a_locked_ledger_stops_no_call(room: Room, expected_warnings: list[str]) -> None:
    """Another program holds the database: calls are offered, answered and connected at once, and recorded afterwards."""
    expected_warnings += LEDGER_WARNINGS
    await room.agent(1, tone_hz=600)
    await room.agent(2, tone_hz=600)
    path = room.live.directory / "ledger.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as other:
        other.execute("BEGIN EXCLUSIVE")
        callers, slowest = await connected_unseen(room)
        assert await callers[0].lasts(3.0)
        other.execute("ROLLBACK")
    assert slowest < 2.0
    await record_is_whole(room, callers)


async def test_an_immutable_ledger_stops_no_call(room: Room, expected_warnings: list[str]) -> None:
    """Nothing can be written to the ledger's files any more (even root cannot): the same."""
    expected_warnings += LEDGER_WARNINGS
    await room.agent(1, tone_hz=600)
    await room.agent(2, tone_hz=600)
    files = list(room.live.directory.glob("ledger.sqlite*"))
    with unwritable(files):
        callers, slowest = await connected_unseen(room)
    assert slowest < 2.0
    await record_is_whole(room, callers)


@contextlib.contextmanager
def unwritable(files: list[Path]) -> Iterator[None]:
    """The files with the immutable flag (chattr(1)); skips where it has no effect."""
    names = [str(file) for file in files]
    if subprocess.run(["chattr", "+i", *names], capture_output=True, check=False).returncode:
        pytest.skip("chattr +i is not possible here")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *names], check=True)


async def test_a_second_daemon_is_refused(room: Room) -> None:
    """It says who holds the ledger and ends; the first one does not notice."""
    second = await asyncio.to_thread(
        subprocess.run, room.lab.commands["edge"], capture_output=True, text=True, timeout=20, check=False
    )
    assert second.returncode == 75
    [said] = [line for line in second.stderr.splitlines() if line.startswith("edge: ")]
    assert room.live.daemon is not None
    assert f"another daemon writes to it (pid {room.live.daemon.pid})" in said
    assert "Traceback" not in second.stderr
    await served(room)
    assert room.facts(facts.SwitchLost, facts.DaemonStopped, facts.DaemonStarted) == []


# --- the switch ---


async def test_no_asterisk_at_the_start(room: Room, live: ProxiedLab, expected_warnings: list[str]) -> None:
    """The daemon waits and says so, once in the record; `edge status` says so; when Asterisk comes calls are served."""
    expected_warnings += LINK_WARNINGS
    live.signal_daemon(signal.SIGTERM)
    await asyncio.to_thread(live.asterisk.stop)
    await live.start_daemon(wait=False)
    await room.until(lambda: room.facts(facts.DaemonStarted), 8)
    told = await asyncio.to_thread(live.edge, "status", "--json")
    assert told.returncode == 1
    assert json.loads(told.stdout)["switch"]["seen"] is False, told.stdout
    await live.start_asterisk()
    await room.until(lambda: room.facts(facts.SwitchRestored), 15)
    assert len(room.facts(facts.SwitchRestored)) == 1
    await served(room)
    bob = room.desks[-1]
    await room.becomes(bob, AgentState.READY)
