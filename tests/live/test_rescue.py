"""`edge rescue`: callers of a daemon that is gone, hangs or serves; twice; in every state; conversations untouched."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from edge.core import facts
from edge.core.model import CallState
from hwtest.lab.configuration import merged
from hwtest.useragent import answering
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room, until
from tests.live.test_fallback import served
from tests.live.test_survival import STATES, in_fallback

LINE = "101_no_greeting"
WATCH_SECONDS = 15.0 / 3 + 0.75
"""How long the rescuer watches a 101 caller's clock at most."""

pytestmark = pytest.mark.usefixtures("daemon_runs")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own: here things are killed."""
    lab = LiveLab.up(tmp_path_factory.mktemp("rescue"), merged(POLICY, STATES))
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """Of a daemon that wakes up, and of a 999 that has nobody but the agents."""
    return ["link", "an unanswered 999 has nowhere", "no 999 agent", "probe.failed", "outcome_unknown"]


async def rescue(room: Room, *options: str, status: int = 0) -> dict[str, Any]:
    """What a run of it says."""
    run = await asyncio.to_thread(room.live.edge, "rescue", "--json", *options)
    assert run.returncode == status, run.stderr + run.stdout
    told: dict[str, Any] = json.loads(run.stdout)
    return told


def moved(room: Room, told: dict[str, Any]) -> list[str]:
    """Ids of the calls that were moved, in order."""
    return [done["call_id"] for done in told["done"] if done["result"] == "moved"]


async def test_a_killed_daemons_callers_are_moved_in_order(room: Room) -> None:
    """Greeting, music, a 999 that came last and took the ringing agent, and a talk: the 999 first, then as they joined; the phone
    is released, the talk goes on, a second run finds nobody, and all are served in that order."""
    ann = await room.agent(1, tone_hz=600)
    talking = room.caller(LINE, tone_hz=1000)
    talk = await ann.answers()
    await room.reaches(talking, CallState.TALKING)
    bob = await room.agent(2)
    rung = room.caller(LINE)
    await bob.offered()
    music = room.caller(LINE)
    await music.answered(5)
    greeted = room.caller("101")
    await greeted.answered(5)
    [emergency] = await room.queue_up(1, "999")
    ringing = await bob.offered()
    assert room.who(ringing) is emergency
    everybody = (emergency, rung, music, greeted)
    ids = []
    for caller in everybody:
        await room.until(lambda caller=caller: room.find(caller) is not None)  # type: ignore[misc]
        ids.append(room.record(caller).call_id)
    room.live.signal_daemon(signal.SIGKILL)
    told = await rescue(room)
    assert (told["daemon"], told["conversations"]) == (None, 1)
    assert moved(room, told) in (
        ids,
        ids[1:],
    )  # a machine this slow: the dead-man of the 999, 3 s, was quicker
    assert sum(done["result"] == "ended" for done in told["done"]) >= 1
    await until(lambda: all(in_fallback(room, caller) for caller in everybody))
    await ringing.ended(3)
    talking.leg.forget_heard()
    await talking.until(lambda: talking.leg.hears(600), 3)
    again = await rescue(room)
    assert (again["done"], again["conversations"]) == ([], 1)
    bob.phone.behaviour = answering(talk_seconds=0.1)
    assert await served(room, [bob], 4, 25) == list(everybody)
    await talk.hang_up()
    await room.live.start_daemon()
    for caller in (talking, *everybody):
        await room.ended(caller, 15)


async def test_a_stopped_daemons_callers_are_moved_before_the_dead_man(room: Room) -> None:
    """SIGSTOP: the process is there, but no clock is put off: within 6 s the caller is in the switch's queue; a second run finds
    nobody, and the daemon that goes on leaves the caller there."""
    jo = room.caller(LINE)
    await room.reaches(jo, CallState.WAITING)
    room.live.signal_daemon(signal.SIGSTOP)
    began = time.monotonic()
    try:
        told = await rescue(room)
        assert (told["daemon"] is not None, moved(room, told)) == (True, [room.record(jo).call_id])
        assert time.monotonic() - began < WATCH_SECONDS + 3
        assert in_fallback(room, jo)
        assert (await rescue(room))["done"] == []
    finally:
        room.live.signal_daemon(signal.SIGCONT)
    await room.reaches(jo, CallState.FALLBACK, 15)
    ann = await room.agent(1)
    call = await ann.answers(15)
    await call.hang_up()
    await room.ended(jo)


async def test_a_healthy_daemon_is_left_alone(room: Room) -> None:
    """A 999 at a ringing phone and a waiting 101 whose daemon lives: nothing is done, by two runs at once; --force moves both."""
    ann = await room.agent(1)
    emergency, jo = room.caller("999"), room.caller(LINE)
    await ann.offered()
    for caller in (emergency, jo):
        await room.until(lambda caller=caller: room.find(caller) is not None)  # type: ignore[misc]
    both = await asyncio.gather(rescue(room), rescue(room))
    assert [(told["done"], told["served"]) for told in both] == [([], 2)] * 2
    assert (in_fallback(room, emergency), in_fallback(room, jo)) == (False, False)
    assert room.facts(facts.FallbackEntered) == []
    forced = await rescue(room, "--force")
    assert moved(room, forced) == [room.record(caller).call_id for caller in (emergency, jo)]
    await room.reaches(jo, CallState.FALLBACK)
    ann.phone.behaviour = answering(talk_seconds=0.1)
    for caller in (emergency, jo):
        await room.ended(caller, 25)


def test_a_wrong_password_names_its_key(room: Room) -> None:
    """Exit status 78, and the line that mends it."""
    secret = room.live.directory / "secrets/rescue"
    kept = secret.read_text()
    secret.write_text("wrong\n")
    try:
        run = room.live.edge("rescue")
    finally:
        secret.write_text(kept)
    assert (run.returncode, "[switch.rescue]" in run.stderr) == (78, True)
