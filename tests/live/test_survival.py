"""A daemon that hangs, at every moment of a call, and one that ends itself: nobody stays with it.

Hanging is SIGSTOP, which no thread of it survives, and a loop that does not go round, which its own watch ends. The times
are those of the promises: a 999 is with an agent within 5 s, and a waiting caller is in the switch's own queue within the
dead-man of the line (3 s, 15 s).
"""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.core import facts
from edge.core.model import CallState
from edge.errors import EXIT_HUNG, EXIT_UNWELL
from hwtest.lab import processes
from hwtest.lab.configuration import merged
from hwtest.lab.supervisor import UNIT, Contract
from hwtest.useragent import OutgoingCall, answering
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room, milliseconds, until

LINE = "101_no_greeting"
DEAD_MAN_101, DEAD_MAN_999 = 15.0, 3.0
LATE_SECONDS = 1.0
"""What a busy machine may add."""
CLAIM_SECONDS = 0.7
EMERGENCY_SECONDS = 5.0
STATES: dict[str, Any] = {
    "emergency": {"supervisors_after_seconds": 0.0, "buddy_after_seconds": 0.0},
    "line": {
        "menu": {
            "number": "1013",
            "tier": "101",
            "queue": "talkative",
            "menu": {"prompt": "language-menu", "choices": {"1": {"queue": "101"}}},
        },
        "talkative": {"number": "1014", "tier": "101", "queue": "talkative"},
    },
    "queue": {
        "talkative": {
            "skills": ["welsh"],
            "announcements": {"every_seconds": 10, "prompt": "closed-incident"},
        }
    },
}
pytestmark = pytest.mark.usefixtures("daemon_runs")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own, with the dead-men of a site."""
    lab = LiveLab.up(tmp_path_factory.mktemp("survival"), merged(POLICY, STATES))
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """Of a daemon that wakes up, and of a 999 that has nobody but the agents."""
    return [
        "link",
        "an unanswered 999 has nowhere",
        "no 999 agent",
        "caller.not_taken",
        "probe.failed",
        "outcome_unknown",
    ]


def in_fallback(room: Room, caller: OutgoingCall) -> bool:
    """Whether the switch's own queue has this caller, by the step of the dialplan."""
    rows = [line.split("!") for line in room.live.channels().splitlines()]
    return any(room.numbers[caller] in row and row[2] == "fallback" for row in rows)


def prints(room: Room, what: str, **figures: float) -> None:
    """Figures for the report: shown with -s."""
    sys.stdout.write(
        f"\n{what}: " + ", ".join(f"{name} {value:.2f}" for name, value in figures.items()) + "\n"
    )


@pytest.mark.parametrize("line", ["999", LINE])
async def test_a_call_that_comes_while_the_daemon_is_stopped_reaches_an_agent(room: Room, line: str) -> None:
    """Nobody claims the caller: after 0.7 s the switch's own queue rings the agent."""
    ann = await room.agent(1)
    room.live.signal_daemon(signal.SIGSTOP)
    try:
        jo = room.caller(line)
        call = await ann.offered(EMERGENCY_SECONDS)
        took = milliseconds(jo, "INVITE", call, "INVITE") / 1000
        call.answer()
        await jo.answered(3)
        await call.hang_up()
        await jo.ended(3)
    finally:
        room.live.signal_daemon(signal.SIGCONT)
    prints(room, f"{line} while stopped: INVITE to INVITE", seconds=took)
    assert CLAIM_SECONDS <= took < CLAIM_SECONDS + LATE_SECONDS
    await room.until(lambda: room.find(jo) is None or room.record(jo).state is CallState.ENDED, 15)


async def test_a_switch_without_the_module_hands_callers_over_as_older_versions_do(room: Room) -> None:
    """Unloaded, the dialplan goes by Stasis() alone, and loaded again by StasisBroadcast(): served both times."""
    ann = await room.agent(1)
    for action, application in (("unload", "Stasis"), ("load", "StasisBroadcast")):
        room.live.asterisk.cli(f"module {action} app_stasis_broadcast.so")
        jo = room.caller(LINE)
        call = await ann.offered()
        assert f"!{application}!" in room.live.channels()
        call.answer()
        await room.reaches(jo, CallState.TALKING)
        await call.hang_up()
        await room.ended(jo)


async def test_the_dead_man_takes_callers_in_every_state_of_a_call(room: Room) -> None:
    """Greeting, menu, music, announcement, ringing agent; 101 within 15 s and 999 within 3 s of the moment the daemon stopped."""
    ann = await room.agent(1)
    ringing_999 = room.caller("999")
    await ann.offered()
    bob = await room.agent(2)
    ringing_101 = room.caller("1018")
    await bob.offered()
    waiting_999 = room.caller("999")
    await waiting_999.ringing(5)
    announced = room.caller("1014")
    await room.until(lambda: room.facts(facts.AnnouncementStarted), 15)
    music, menu, greeting = room.caller(LINE), room.caller("1013"), room.caller("101")
    callers = {
        "999, agent rings": ringing_999,
        "999 waits": waiting_999,
        "101, agent rings": ringing_101,
        "announcement": announced,
        "music": music,
        "menu": menu,
        "greeting": greeting,
    }
    for caller in callers.values():
        await room.until(lambda caller=caller: room.find(caller) is not None)  # type: ignore[misc]
    room.live.signal_daemon(signal.SIGSTOP)
    stopped = time.monotonic()
    took: dict[str, float] = {}

    def all_taken() -> bool:
        for name, caller in callers.items():
            if name not in took and in_fallback(room, caller):
                took[name] = time.monotonic() - stopped
        return len(took) == len(callers)

    try:
        await until(all_taken, DEAD_MAN_101 + LATE_SECONDS, f"all in the switch's queue, of {list(callers)}")
        prints(room, "dead-man after SIGSTOP", **took)
        for name, seconds in took.items():
            assert seconds < (DEAD_MAN_999 if name.startswith("999") else DEAD_MAN_101) + LATE_SECONDS, name
        for desk in (ann, bob):
            desk.phone.behaviour = answering(talk_seconds=0.05)
        for caller in (ringing_999, waiting_999):
            await caller.answered(25)
            await caller.ended(5)
        for caller in callers.values():
            await caller.hang_up()
    finally:
        room.live.signal_daemon(signal.SIGCONT)
    for caller in callers.values():
        await room.ended(caller, 15)


async def test_a_loop_that_hangs_ends_itself_and_is_started_again(room: Room) -> None:
    """The loop stands still: the process ends with a status of its own and says where it stood; under the supervisor a new one
    adopts the caller before the dead-man, at the same place."""
    live = room.live
    normal = live.lab
    await live.lose_daemon(signal.SIGTERM)
    command = (sys.executable, "-m", "hwtest.lab.hanging", "--config", live.lab.config, "run")
    live.lab = msgspec.structs.replace(live.lab, commands={**live.lab.commands, "edge": command})
    try:
        await live.start_daemon()
        jo = room.caller(LINE)
        await room.reaches(jo, CallState.WAITING)
        hung = live.daemon
        assert hung is not None
        began = time.monotonic()
        live.signal_daemon(signal.SIGUSR1)
        await until(lambda: not hung.running, 8, "the hung daemon ends itself")
        prints(room, "hung loop: ended itself after", seconds=time.monotonic() - began)
    finally:
        live.lab = normal
    log = (live.directory / "log/edge.log").read_text(errors="replace")
    assert "loop.hung" in log
    assert re.search(r'hwtest/lab/hanging\.py", line \d+ in hang', log), "where it stood"
    await live.start_daemon()
    assert room.facts(facts.FallbackEntered) == []
    ann = await room.agent(1)
    assert await room.serve(ann) is jo


@pytest.fixture
def expected_end(expected_warnings: list[str]) -> None:
    """What a process that ends itself writes: a critical line, and the traceback, which is no record."""
    expected_warnings += [r"loop\.hung", r"^Thread 0x", r"^Current thread", r"^  File ", r"^$", r"^Timeout"]


test_a_loop_that_hangs_ends_itself_and_is_started_again = pytest.mark.usefixtures("expected_end")(
    test_a_loop_that_hangs_ends_itself_and_is_started_again
)


async def test_a_daemon_that_is_stopped_is_replaced_by_the_supervisor(
    room: Room, expected_warnings: list[str]
) -> None:
    """SIGSTOP under the supervisor, nobody in reserve: the watchdog's abort does not reach it, so it is killed a second later,
    and another adopts who waits."""
    expected_warnings += [r"^Fatal Python error", r"^  File ", r"^Thread 0x", r"^Current thread", r"^$"]
    live = room.live
    await live.lose_daemon(signal.SIGTERM)
    supervisor = processes.start(
        (sys.executable, "-m", "hwtest.lab.daemon", str(live.directory), *live.lab.commands["edge"]),
        live.directory / "log/supervisor.log",
    )
    try:
        await until(lambda: live.has_application, 15, "the supervised daemon serves")
        jo = room.caller(LINE)
        await room.reaches(jo, CallState.WAITING)
        first = live.daemon
        assert first is not None
        starts, looks = len(room.facts(facts.DaemonStarted)), len(room.facts(facts.SwitchRestored))
        first.signal(signal.SIGSTOP)
        stopped = time.monotonic()
        contract = Contract.of_unit(UNIT)
        limit = contract.watchdog_seconds + contract.abort_seconds + LATE_SECONDS
        await until(lambda: not first.running, limit, "the stopped daemon is killed")
        await until(
            lambda: (now := live.daemon) is not None and now.pid != first.pid, 3, "another is started"
        )
        await room.until(lambda: len(room.facts(facts.DaemonStarted)) > starts, 15)
        await room.until(lambda: len(room.facts(facts.SwitchRestored)) > looks, 10)
        prints(room, "stopped daemon: another serves after", seconds=time.monotonic() - stopped)
        assert room.facts(facts.FallbackEntered) == []
        ann = await room.agent(1)
        assert await room.serve(ann) is jo
    finally:
        supervisor.terminate()
        supervisor.wait(10)


def test_statuses_are_distinct() -> None:
    """Of a hang, a switch that is unwell, and the configuration; only the last keeps the daemon down."""
    assert len({EXIT_HUNG, EXIT_UNWELL, 75, 78}) == 4
    assert Contract.of_unit(UNIT).never_after == {78}
    assert Path(UNIT).exists()
