"""What takes minutes: run by `make endure`, not by `make test`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge.core import facts
from edge.core.model import CallOutcome, CallState
from hwtest.lab.configuration import merged
from hwtest.useragent import CallState as Wire
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room

pytestmark = [pytest.mark.usefixtures("daemon_runs"), pytest.mark.endurance]
SILENT_SECONDS = 190.0
LOCAL = ZoneInfo("Europe/London")


def closing_at() -> datetime:
    """The first full minute that is far enough away for a lab to start and a caller to join before it."""
    closing = (datetime.now(LOCAL) + timedelta(seconds=90)).replace(second=0, microsecond=0)
    at_midnight = closing.hour == closing.minute == 0  # the end of a day's hours in any case
    return closing + timedelta(minutes=1) if at_midnight else closing


def closing_soon(closing: datetime) -> dict[str, Any]:
    """A line whose queue closes at this minute of today."""
    week = dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), "00:00-24:00")
    today = {f"{closing:%Y-%m-%d}": f"00:00-{closing:%H:%M}"}
    return {
        "hours": {"today": {"week": week, "days": today}},
        "queue": {"closing": {"skills": ["101"], "hours": "today", "wrap_up_seconds": 0.0}},
        "line": {"closing": {"number": "1031", "tier": "101", "queue": "closing"}},
    }


@pytest.fixture(scope="module")
def closing() -> datetime:
    """When the line `closing` closes."""
    return closing_at()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, closing: datetime) -> Iterator[LiveLab]:
    """A lab of its own."""
    policy = merged(POLICY, closing_soon(closing))
    lab = LiveLab.up(tmp_path_factory.mktemp("endurance"), policy)
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """Nobody is there for the waiting 999."""
    return ["999 unanswered", "no 999 agent"]


async def test_who_waits_when_a_queue_closes_is_served(room: Room, closing: datetime) -> None:
    """The caller who joined before closing time is served after it; who comes after it is told, and let go."""
    early = room.caller("closing", hears=True)
    await early.answered(5)
    await room.reaches(early, CallState.WAITING)
    assert datetime.now(LOCAL) < closing
    await early.lasts((closing - datetime.now(LOCAL)).total_seconds() + 1)
    late = room.caller("closing", hears=True)
    await late.answered(5)
    await late.ended(60)
    assert (await room.ended(late)).outcome is CallOutcome.REFUSED
    assert [fact.why for fact in room.facts(facts.CallTurnedAway)] == ["closed"]
    ann = await room.agent(1)
    assert await room.serve(ann) is early


async def test_silence_is_a_call(room: Room) -> None:
    """Three minutes without a single packet of audio, on 101 and on 999: both calls are still there and reach a handler."""
    silent = [room.caller("101"), room.caller("999")]
    assert all(caller.leg.media.mode == "sink" for caller in silent)  # a leg that never sends
    await silent[0].lasts(SILENT_SECONDS)
    assert [caller.reached for caller in silent] == [Wire.ANSWERED, Wire.RINGING]
    assert all(caller.state is not Wire.ENDED and caller.leg.sent == 0 for caller in silent)
    ann = await room.agent(1)
    for _ in silent:
        call = await ann.answers()
        caller = room.who(call)
        await room.reaches(caller, CallState.TALKING)
        assert await call.lasts(5.0)  # and a talk in silence goes on too
        await caller.hang_up()
        assert (await room.ended(caller)).outcome is CallOutcome.ANSWERED
