"""The night on which the clock changes, a bank holiday, midnight, a queue that closes with callers in it, on the real switch.

Only the daemon is given another date; its monotonic clock is true, as it is when a clock is set. The switch's own clock stays
where it is, months away: the daemon must not mind.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from edge.core import facts
from edge.core.model import CallOutcome, CallState
from hwtest.lab.configuration import merged
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room, until

LEAD_SECONDS = 5.0
"""How long before the moment the daemon is started; longer where that was too late."""
LONGEST_WAIT_SECONDS = 60.0
ALL_WEEK = dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), "00:00-24:00")
HOURS: dict[str, Any] = {
    "short-night": {"week": ALL_WEEK, "days": {"2027-03-28": "00:00-01:30"}},
    "early": {"week": ALL_WEEK, "days": {"2027-03-28": "02:00-24:00"}},
    "long-night": {"week": ALL_WEEK, "days": {"2026-10-25": "00:00-02:00"}},
    "twice": {"week": ALL_WEEK, "days": {"2026-10-25": "00:00-01:30"}},
    "office": {"week": ALL_WEEK, "bank_holidays": "england"},
}
NIGHTS = [
    # whose hours, the moment in UTC, whether they are open before it (and closed after) or the other way
    pytest.param(
        "short-night", "2027-03-28T01:00:00", True, id="spring: 01:30 never comes, closed as the clock jumps"
    ),
    pytest.param(
        "early",
        "2027-03-28T01:00:00",
        False,
        marks=pytest.mark.endurance,
        id="spring: open from 02:00, which comes an hour early",
    ),
    pytest.param(
        "long-night", "2026-10-25T02:00:00", True, id="autumn: open until 02:00 of the longer night"
    ),
    pytest.param(
        "twice",
        "2026-10-25T01:00:00",
        False,
        marks=pytest.mark.endurance,
        id="autumn: 01:00 comes again, and with it the hours",
    ),
    pytest.param(
        "office", "2026-08-30T23:00:00", True, id="a bank holiday begins at a midnight of summer time"
    ),
    pytest.param(
        "office",
        "2026-12-29T00:00:00",
        False,
        marks=pytest.mark.endurance,
        id="the substitute for Boxing Day is over",
    ),
]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own, with a line for each of the hours."""
    queue = {"skills": ["101"], "wrap_up_seconds": 0.0, "maximum_wait_seconds": LONGEST_WAIT_SECONDS}
    own = {
        "hours": HOURS,
        "queue": {name: {**queue, "hours": name} for name in HOURS},
        "line": {
            name: {"number": f"104{index}", "tier": "101", "queue": name} for index, name in enumerate(HOURS)
        },
    }
    lab = LiveLab.up(tmp_path_factory.mktemp("clock"), merged(POLICY, own))
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """The library that gives another date refuses `time.sleep`, by which the history of callers is read at leisure, and slows all
    threads down, so that a commit may take its time: these tests are about hours."""
    trouble = ("ledger in trouble", "ledger takes facts again", '"kind": "ledger"')
    return ["history of callers not built yet", *trouble]


async def on_another_date(live: LiveLab, ahead_seconds: float) -> None:
    """Start the daemon with a UTC clock that is so much ahead."""
    if live.daemon is not None:
        await live.lose_daemon(signal.SIGTERM)
    await live.start_daemon(ahead_seconds=ahead_seconds)


async def shortly_before(live: LiveLab, moment: datetime) -> float:
    """Start the daemon for which it is soon this moment; returns how many seconds its clock is ahead of ours."""
    lead_seconds = LEAD_SECONDS
    while True:
        ahead_seconds = moment.timestamp() - lead_seconds - time.time()
        await on_another_date(live, ahead_seconds)
        if time.time() + ahead_seconds < moment.timestamp() - 2.0:
            return ahead_seconds
        lead_seconds *= 2


@pytest.mark.parametrize(("line", "moment", "open_before"), NIGHTS)
async def test_a_queue_opens_or_closes_in_such_a_night(
    room: Room, line: str, moment: str, open_before: bool
) -> None:
    """Who comes while it is closed is told so; who waits when it closes is served, and has waited for seconds; and the record
    has the date."""
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    ahead_seconds = await shortly_before(room.live, at)
    early = room.caller(line.replace("-", "_"), hears=True)
    await early.answered(5)
    await room.until(lambda: room.find(early) is not None)
    assert time.time() + ahead_seconds < at.timestamp()
    await until(lambda: time.time() + ahead_seconds > at.timestamp(), 20, "the moment")
    late = room.caller(line.replace("-", "_"), hears=True)
    await late.answered(5)
    taken, told = (early, late) if open_before else (late, early)
    await room.reaches(told, CallState.LEAVING)
    await room.reaches(taken, CallState.WAITING)
    [turned_away] = room.facts(facts.CallTurnedAway)
    assert (turned_away.call_id, turned_away.why) == (room.record(told).call_id, "closed")
    assert room.record(early).arrived_at.utc_us < at.timestamp() * 1e6 <= room.record(late).arrived_at.utc_us
    await told.hang_up()
    assert (await room.ended(told)).outcome is CallOutcome.REFUSED
    ann = await room.agent(1)
    assert await room.serve(ann) is taken
    record = await room.ended(taken)
    assert record.outcome is CallOutcome.ANSWERED
    assert record.waited_seconds is not None
    assert 0.0 < record.waited_seconds < LONGEST_WAIT_SECONDS


async def test_a_step_of_the_clock_is_recorded_with_size_and_direction(room: Room) -> None:
    """Set an hour ahead while the daemon was away, and back: each is a fact, and who waits has waited as long as they did."""
    await on_another_date(room.live, 0.0)
    before = len(room.facts(facts.ClockStepped))  # that from the date of the test before is one, too
    [jo], called = await room.queue_up(1, "101_no_greeting"), time.monotonic()
    await room.reaches(jo, CallState.WAITING)
    for ahead_seconds in (3600.0, 0.0):
        room.live.signal_daemon(signal.SIGKILL)
        await room.live.start_daemon(ahead_seconds=ahead_seconds)
    stepped = [fact.seconds for fact in room.facts(facts.ClockStepped)][before:]
    assert stepped == [pytest.approx(3600.0, abs=1.0), pytest.approx(-3600.0, abs=1.0)]
    ann = await room.agent(1)
    assert await room.serve(ann) is jo
    assert 0.0 < (room.record(jo).first_human_seconds or 0.0) < time.monotonic() - called + 1.0


@pytest.mark.parametrize("ahead_seconds", [3600.0, pytest.param(-3600.0, marks=pytest.mark.endurance)])
async def test_a_clock_that_is_not_the_switchs_moves_nobody(room: Room, ahead_seconds: float) -> None:
    """The daemon's clock is an hour ahead of the switch's, or behind: on arrival nobody has waited for an hour, no 999 rings
    everybody at once, and who waited through a restart of the daemon has waited as long as they did."""
    await on_another_date(room.live, ahead_seconds)
    ann = await room.agent(1)
    emergency, called = room.caller("999"), time.monotonic()
    assert await room.serve(ann) is emergency
    assert 0.0 <= (room.record(emergency).first_human_seconds or 0.0) < time.monotonic() - called
    assert room.facts(facts.CallEscalated) == []
    await ann.dial("*251")
    [jo], called = await room.queue_up(1, "101_no_greeting"), time.monotonic()
    await room.reaches(jo, CallState.WAITING)
    room.live.signal_daemon(signal.SIGKILL)
    await room.live.start_daemon(ahead_seconds=ahead_seconds)
    await ann.dial("*24")
    assert await room.serve(ann) is jo
    waited_seconds = room.record(jo).first_human_seconds
    assert waited_seconds is not None
    assert 0.0 < waited_seconds < time.monotonic() - called + 1.0
