"""A ledger that is full, refused, read-only or slow, under real calls: they go on, and what was promised is kept.

The daemon decides and the switch connects; facts wait in memory (bounded: tests/runtime/test_recorder.py), the trouble itself
becomes a fact when it is over, and who asks for a call-back meanwhile is promised none. A damaged one: test_ledger_damage.py
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.core import facts
from edge.core.model import CallOutcome, CallState
from edge.core.promise import Asked
from hwtest.lab import daemon, processes
from hwtest.lab.configuration import merged
from hwtest.useragent import CallState as Wire
from hwtest.useragent import OutgoingCall, UserAgent
from tests.live.conftest import POLICY, finish
from tests.live.people import (
    People,
    accept,
    cancel_callbacks,
    dialled,
    is_asked_for,
    is_offered,
    reaches_state,
)
from tests.live.room import Desk, LiveLab, Room, milliseconds, until
from tests.live.test_survival import prints

LINE = "101_no_greeting"
DISK_BYTES = 16 * 1024 * 1024
COMMIT_SECONDS = 0.25
"""A commit that takes longer holds nobody up (DESIGN, layer 6)."""
BUSY_SECONDS = 1.5
"""What a busy machine may add to the way of a call."""

pytestmark = pytest.mark.usefixtures("daemon_runs")


def policy(ledger: Path) -> dict[str, Any]:
    """A queue `promised` (1043) with an agent of its own, 4004, who is all that call-backs need; and where the ledger is."""
    soon = {
        "enabled": True,
        "offer_above_seconds": 0.0,  # the talks of tests are so short that no long wait is expected
        "offer_below_seconds": 0.0,
        "handling_seconds": 60.0,
        "spacing_seconds": 1.0,
    }
    own: dict[str, Any] = {
        "ledger": {"url": f"sqlite:///{ledger}"},
        "callback": {"idle_agents": 0},
        "queue": {
            "promised": {
                "skills": ["promised"],
                "wrap_up_seconds": 0.0,
                "offer_seconds": 30.0,
                "callback": soon,
            }
        },
        "line": {"promised": {"number": "1043", "tier": "101", "queue": "promised"}},
        "agent": {"4004": {"skills": {"promised": 1}}},
    }
    return merged(POLICY, own)


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[bool]:
    """A file system of its own at `place`, where that can be had; whether it could."""
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "edge101-test", str(place)]
    mounted = subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path | None]:
    """The small file system that the ledger is on; None where nobody may mount one."""
    place = tmp_path_factory.mktemp("disk") / "ledger"
    with small_disk(place) as mounted:
        yield place if mounted else None


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, disk: Path | None) -> Iterator[LiveLab]:
    """A lab of its own, its ledger on the small file system if there is one."""
    directory = tmp_path_factory.mktemp("ledger-trouble")
    lab = LiveLab.up(directory, policy((disk or directory) / "ledger.sqlite"))
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """What a daemon says of its ledger."""
    return ["ledger", "checkpoint not saved", "log.lines_lost", "^strace: "]


@pytest.fixture(autouse=True)
async def no_promise_is_left(room: Room, daemon_runs: None) -> AsyncIterator[None]:
    """What a test leaves on the list is cancelled."""
    yield
    await cancel_callbacks(room.live)


@pytest.fixture
async def people(live: LiveLab) -> AsyncIterator[People]:
    """Who is called back."""
    async with UserAgent(live.lab.callee.host, live.lab.callee.port, user="people") as far:
        yield People(far)


# ---------------------------------------------------------------------- the troubles


def database(live: LiveLab) -> Path:
    """The ledger's file."""
    return Path(live.lab.ledger.removeprefix("sqlite:///"))


@contextlib.contextmanager
def full(live: LiveLab, disk: Path | None) -> Iterator[None]:
    """No byte is free on the ledger's file system."""
    if disk is None:
        pytest.skip("nobody may mount a small file system here: the same with refused writes is tested")
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(64 * 1024))
        yield
    finally:
        filler.unlink(missing_ok=True)


@contextlib.contextmanager
def refused(live: LiveLab, _: Path | None) -> Iterator[None]:
    """The kernel refuses the daemon every write to any file, its log among them (RLIMIT_FSIZE: EFBIG)."""
    running = live.daemon
    assert running is not None
    limits = resource.prlimit(running.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (1, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(running.pid, resource.RLIMIT_FSIZE, limits)


@contextlib.contextmanager
def remounted(live: LiveLab, _: Path | None) -> Iterator[None]:
    """As after a kernel that found its disk faulty has remounted it: every write to the ledger's files ends with EROFS."""
    running, file = live.daemon, database(live)
    assert running is not None
    if shutil.which("strace") is None:
        pytest.skip("strace is missing: run `make setup-tests`")
    paths = [word for suffix in ("", "-wal") for word in ("-P", f"{file}{suffix}")]
    inject = "inject=pwrite64,write,fsync,fdatasync,ftruncate:error=EROFS"
    own = ("strace", "-f", "-qq", "-o", "/dev/null", *paths, "-e", inject, "-p", str(running.pid))
    tracer = processes.start(own, live.directory / "log/edge.log")
    status = Path(f"/proc/{running.pid}/task")
    deadline = time.monotonic() + 10
    while not all(_is_traced(task) for task in status.iterdir()):
        assert time.monotonic() < deadline, "strace did not attach"
        os.sched_yield()
    try:
        yield
    finally:
        tracer.terminate()
        tracer.wait(10)


def _is_traced(task: Path) -> bool:
    return "TracerPid:\t0\n" not in (task / "status").read_text(encoding="ascii")


@contextlib.contextmanager
def locked(live: LiveLab, _: Path | None) -> Iterator[None]:
    """Somebody else holds the write lock: to every commit the database is as good as read-only."""
    with contextlib.closing(sqlite3.connect(database(live), isolation_level=None, timeout=5)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


TROUBLES = {"full": full, "refused": refused, "read-only": remounted, "locked": locked}


# ---------------------------------------------------------------------- calls meanwhile


async def connected(room: Room, desk: Desk) -> tuple[OutgoingCall, float]:
    """A call that is served, judged from the wire alone as the record cannot be read now; milliseconds from INVITE to INVITE."""
    jo = room.caller(LINE, tone_hz=1000)
    call = await desk.answers(5)
    took = milliseconds(jo, "INVITE", call, "INVITE")
    await call.until(lambda: call.leg.hears(1000), 5)
    await call.hang_up()
    await jo.ended(5)
    return jo, took


@pytest.mark.parametrize(
    "trouble",
    [
        "full",
        pytest.param("refused", marks=pytest.mark.endurance),
        pytest.param("read-only", marks=pytest.mark.endurance),
        pytest.param("locked", marks=pytest.mark.endurance),
    ],
)
async def test_calls_go_on_and_what_was_promised_is_kept(
    room: Room, people: People, disk: Path | None, trouble: str
) -> None:
    """A promise made before stands at its place; who presses the last key meanwhile is told that it cannot be, or hears the
    confirmation once it is on disk; calls are connected as ever; afterwards everything stands in the record, the trouble too."""
    live = room.live
    desk = await room.agent(4, tone_hz=440)
    busy = room.caller("1043")
    talk = await desk.answers()
    await room.reaches(busy, CallState.TALKING)
    kept = await accept(room, first := room.caller("1043", hears=True))
    place = live.state.calls[kept].queued_at
    asking = room.caller("1043", hears=True)
    await is_offered(room, asking)
    for digit, asked in (
        (room.lab.callback.key if room.lab.callback else "", Asked.NUMBER),
        ("1", Asked.SAFE),
    ):
        asking.leg.send_digits(digit)
        await is_asked_for(room, asking, asked)
    asking_id = room.record(asking).call_id
    ann = await room.agent(1, tone_hz=600)
    with TROUBLES[trouble](live, disk):
        asking.leg.send_digits("1")
        served = [await connected(room, ann) for _ in range(3)]
        running = live.daemon
        assert running is not None, "the daemon lives on"
        mended = time.monotonic_ns()
    prints(room, f"ledger {trouble}: INVITE to INVITE", slowest_ms=max(took for _, took in served))
    assert max(took for _, took in served) < (COMMIT_SECONDS + BUSY_SECONDS) * 1000
    await room.until(lambda: room.facts(facts.LedgerTroubleEnded), 15, "the ledger takes facts again")
    assert [type(f) for f in room.facts(facts.LedgerTroubleBegan, facts.LedgerTroubleEnded)] == [
        facts.LedgerTroubleBegan,
        facts.LedgerTroubleEnded,
    ]
    alarms = [
        e.fact for e in live.entries if isinstance(e.fact, facts.AlarmRaised)
    ]  # one in ten minutes: an earlier test's may do
    assert "ledger" in {alarm.kind for alarm in alarms}
    for caller, _ in served:
        assert (await room.ended(caller)).outcome is CallOutcome.ANSWERED
    confirmed = [
        e for e in live.entries if isinstance(e.fact, facts.CallbackConfirmed) and e.fact.call_id == asking_id
    ]
    assert [entry for entry in confirmed if entry.at.monotonic_ns < mended] == [], (
        "confirmed before it was on disk"
    )
    assert asking.state is Wire.ANSWERED
    assert live.state.calls[kept].queued_at == place
    assert live.daemon == running, "one and the same daemon all the time"
    verified = await asyncio.to_thread(live.edge, "ledger", "verify", "--json")
    assert json.loads(verified.stdout)["sound"] is True

    await talk.hang_up()
    offer = await desk.answers()
    person = await people.rung()
    assert dialled(person) == room.numbers[first]
    person.answer()
    await reaches_state(room, kept, CallState.TALKING)
    await person.hang_up()
    await offer.ended(5)
    await asking.hang_up()
    await room.until(
        lambda: not live.state.calls or live.state.calls[asking_id].state is not CallState.WAITING
    )


@pytest.mark.parametrize("fsync_seconds", [0.1, pytest.param(2.0, marks=pytest.mark.endurance)])
async def test_a_disk_that_takes_its_time(room: Room, fsync_seconds: float) -> None:
    """Every fsync of the daemon takes so long (strace(1) delays the call in the kernel). At 100 ms a phone rings when its fact is
    on disk; at 2 s nobody waits for more than 250 ms of it, the trouble is recorded, and so is everything else."""
    live = room.live
    if shutil.which("strace") is None:
        pytest.skip("strace is missing: run `make setup-tests`")
    await live.lose_daemon(signal.SIGTERM)
    before = daemon.last_sequence(live.lab.ledger)
    delay = f"inject=fsync,fdatasync:delay_enter={round(fsync_seconds * 1e6)}"
    own = (
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fsync,fdatasync",
        "-e",
        delay,
    )
    tracer = processes.start((*own, *live.lab.commands["edge"]), live.directory / "log/edge.log")
    try:
        await until(lambda: daemon.serves(live.lab.ledger, before), 40, "the daemon sees the switch")
        ann = await room.agent(1, tone_hz=600)
        served = [await connected(room, ann) for _ in range(5)]
        slowest, quickest = max(took for _, took in served), min(took for _, took in served)
        prints(
            room, f"fsync of {fsync_seconds:g} s: INVITE to INVITE", quickest_ms=quickest, slowest_ms=slowest
        )
        for caller, _ in served:
            assert (await room.ended(caller, 40)).outcome is CallOutcome.ANSWERED
        assert slowest < (COMMIT_SECONDS + BUSY_SECONDS) * 1000
        if fsync_seconds < COMMIT_SECONDS:
            assert quickest >= fsync_seconds * 1000, "no phone rings before its fact is on disk"
        else:
            await room.until(lambda: room.facts(facts.LedgerTroubleEnded), 40)
            assert room.facts(facts.LedgerTroubleBegan)
        assert room.facts(facts.FallbackEntered) == []
    finally:
        live.signal_daemon(signal.SIGKILL)
        await asyncio.to_thread(tracer.wait, 10)
