"""What people tell by the command line, and what is known of callers, on the real switch while the daemon runs."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from edge.core.model import CallOutcome, CallState, ClassSource
from edge.views.calls import CallRecord
from hwtest.lab.configuration import merged
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room

LINE = "101_no_greeting"
NUMBERS = (f"0770090{number:04}" for number in itertools.count(155))
"""A new one for each try: what is known of a number stays."""
MORE: dict[str, Any] = {
    "number_list": {"file": "numbers.toml"},
    "incident": {"closed_queues": ["thorough"]},
}
pytestmark = pytest.mark.usefixtures("daemon_runs")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own, with a number list that is not there yet and a queue that an incident closes."""
    lab = LiveLab.up(tmp_path_factory.mktemp("told"), merged(POLICY, MORE))
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """There is nobody at work for a 999 here."""
    return ["no 999 agent", "999 unanswered"]


async def edge(room: Room, *arguments: str) -> Any:
    """What a command says, as JSON; it must go well."""
    done = await asyncio.to_thread(room.live.edge, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def records(room: Room, number: str) -> list[CallRecord]:
    """Calls of this number."""
    room.live.follow()
    return [call for call in room.live.calls.calls.values() if call.caller_number == number]


async def test_a_caller_is_known_the_second_time_and_listed_without_a_restart(room: Room) -> None:
    """Who gave up is known when calling again, and served by the class that was listed in between."""
    number = next(NUMBERS)
    first = room.caller(LINE, from_user=number)
    await first.answered(5)
    await first.hang_up()
    await room.until(
        lambda: bool(records(room, number)) and records(room, number)[0].outcome is CallOutcome.ABANDONED
    )
    assert records(room, number)[0].knowledge is None
    logged = room.live.log_bytes
    await edge(
        room, "numbers", "add", number, "--kind", "vulnerable", "--class", "vulnerable", "--until", "30d"
    )
    log = room.live.directory / "log/edge.log"
    await room.until(lambda: b"number list taken over" in log.read_bytes()[logged:])
    [other] = await room.queue_up(1, LINE)
    again = room.caller(LINE, from_user=number)
    await again.answered(5)
    await room.until(
        lambda: len(records(room, number)) == 2 and records(room, number)[1].state is CallState.WAITING
    )
    known = records(room, number)[1].knowledge
    assert known is not None
    assert (known.listing, known.calls_in_day, known.abandons_in_month) == ("vulnerable", 1, 1)
    assert (records(room, number)[1].priority_class, records(room, number)[1].classified_by) == (
        "vulnerable",
        ClassSource.LISTED,
    )
    ann = await room.agent(1)
    call = await ann.answers()
    assert call.caller_number == number  # before the other, who came earlier
    await room.until(lambda: records(room, number)[1].state is CallState.TALKING)
    await call.hang_up()
    await room.until(lambda: records(room, number)[1].state is CallState.ENDED)
    await room.serve(ann)
    assert room.find(other) is not None
    assert number[-9:].encode() not in log.read_bytes()


async def test_a_call_is_noted_while_it_waits_and_after_its_end(room: Room) -> None:
    """An incident's reference, a recorder's id, and that the caller comes through a relay."""
    [caller] = await room.queue_up(1, LINE)
    call_id = (await room.reaches(caller, CallState.WAITING)).call_id
    await edge(room, "note", "assisted", call_id)
    await edge(room, "note", "recording", call_id, "REC 1", "--started")
    await caller.hang_up()
    await room.ended(caller)
    await edge(room, "note", "recording", call_id, "REC 1", "--failed")
    await edge(room, "note", "incident", call_id, "POL-2026/0042")
    record = room.record(caller)
    assert record.assisted
    assert [(note.kind, note.value, note.state) for note in record.annotations] == [
        ("recording", "REC 1", "started"),
        ("recording", "REC 1", "failed"),
        ("incident", "POL-2026/0042", ""),
    ]


async def test_a_major_incident_closes_what_it_is_to_close_and_no_999(room: Room) -> None:
    """From the moment at which the command comes back, until it is ended."""
    assert (await edge(room, "incident", "declare"))["declared"] is True
    assert (await edge(room, "incident", "show"))["declared"] is True
    try:
        turned_away = room.caller("thorough")
        record = await room.ended(turned_away, 20)
        assert (record.outcome, record.departures[0].why) == (CallOutcome.REFUSED, "incident")
        [emergency] = await room.queue_up(1, "999")
        await room.reaches(emergency, CallState.WAITING)
        emergency.cancel()
        await room.ended(emergency)
    finally:
        ended = await edge(room, "incident", "end")
    assert (ended["declared"], ended["changed"]) == (False, True)
    [served] = await room.queue_up(1, "thorough")
    assert (await room.reaches(served, CallState.WAITING)).departures == []
    await served.hang_up()
    await room.ended(served)
