"""Hours in which call-backs are offered: midnight, both nights of the clocks, and who is between the offer and the promise."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.config import load
from edge.core import effects, facts
from tests.core.callbacks import callback_room
from tests.core.room import Room, arrival, play

Written = Callable[[str], Path]

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CALLBACK = """\
[callback]
trunk = "gateway"
show_number = "01632960100"
[hours.offering.week]
"""
QUEUE = """
[queue.public.callback]
hours = "offering"
[line.returned]
number = "01632960100"
tier = "101"
queue = "public"
greeting = "callback-returned"
"""
TALKING = """
    t1 calls 101 from 07700900500 -> serve t1, ring ann for t1
    ann answers -> connect t1.1
    t1 joined
"""


def room_at(
    written: Written, good: str, week: str | dict[str, str], moment: str, lead_seconds: float
) -> Room:
    """A room with the hours of a configuration file, so long before a moment of UTC. Whoever calls waits behind a talk."""
    days = {day: week if isinstance(week, str) else week.get(day, "closed") for day in DAYS}
    hours = "".join(f'{day} = "{text}"\n' for day, text in days.items())
    text = good.replace("[not_ready]", CALLBACK + hours + "[not_ready]") + QUEUE
    queue = load(written(text), year=2026).policy().queues["public"]
    assert queue.hours is None  # they close no queue
    assert queue.callback_hours is not None
    room = callback_room("ann 101 999", queue={"callback_hours": queue.callback_hours})
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() - lead_seconds
    room.wait(at - room.now.utc_us / 1_000_000)
    play(room, TALKING)
    return room


def is_offered(room: Room, call_id: str, number: str) -> bool:
    """Whether a caller who comes now is offered a call-back at once. Their call is taken in any case."""
    room.tell(replace(arrival(call_id), caller_number=number, number_withheld=False))
    assert room.state_of(call_id) == "waiting"
    return call_id in {fact.call_id for fact in room.recorded(facts.CallbackOffered)}


NIGHTS: list[tuple[str | dict[str, str], str, bool]] = [
    # hours of offering, a moment by UTC, whether it is offered just before; from the moment on it is the other way round
    ("08:00-20:00", "2026-01-08T08:00", False),
    ("08:00-20:00", "2026-01-08T20:00", True),
    ("08:00-20:00", "2026-07-01T07:00", False),  # in summer an hour earlier by UTC
    ("08:00-20:00", "2026-07-01T19:00", True),
    # midnight
    ("18:00-24:00", "2026-01-09T00:00", True),
    ("00:00-06:00", "2026-01-09T00:00", False),
    ("18:00-24:00", "2026-07-01T23:00", True),  # midnight of the wall
    ({"fri": "20:00-24:00"}, "2026-01-10T00:00", True),
    ({"sat": "00:00-24:00"}, "2026-01-10T00:00", False),
    ({"fri": "20:00-02:00"}, "2026-01-10T02:00", True),  # past midnight, into a day that is closed
    # 29 March 2026: at 01:00 GMT the clock shows 02:00.
    ("00:30-01:30", "2026-03-29T01:00", True),
    ("01:30-06:00", "2026-03-29T01:00", False),
    ("02:00-06:00", "2026-03-29T01:00", False),
    ("22:00-01:30", "2026-03-29T01:00", True),
    ("22:00-03:00", "2026-03-29T02:00", True),
    # 25 October 2026: at 01:00 GMT (02:00 BST) the clock shows 01:00 again.
    ("01:30-06:00", "2026-10-25T00:30", False),
    ("01:30-06:00", "2026-10-25T01:00", True),  # it shows 01:00, and the hours begin at half past
    ("01:30-06:00", "2026-10-25T01:30", False),
    ("22:00-01:30", "2026-10-25T00:30", True),
    ("22:00-01:30", "2026-10-25T01:00", False),
    ("22:00-01:30", "2026-10-25T01:30", True),
    ("22:00-03:00", "2026-10-25T03:00", True),
]


@pytest.mark.parametrize(("week", "moment", "offered_before"), NIGHTS)
def test_offered_within_the_hours_of_the_wall(
    written: Written, good: str, week: str | dict[str, str], moment: str, offered_before: bool
) -> None:
    """To the second: the hours begin with their first moment, and their last is not of them."""
    room = room_at(written, good, week, moment, lead_seconds=1.0)
    assert is_offered(room, "c1", "07700900001") is offered_before
    room.wait(1.0)
    assert is_offered(room, "c2", "07700900002") is not offered_before


@pytest.mark.parametrize(
    ("week", "moment"),
    [
        ("00:00-24:00", "2026-01-09T00:00"),
        ({"fri": "20:00-24:00", "sat": "00:00-04:00"}, "2026-01-10T00:00"),
        ({"fri": "20:00-04:00"}, "2026-01-10T00:00"),
        ("00:00-24:00", "2026-03-29T01:00"),
        ("22:00-06:00", "2026-03-29T01:00"),
        ("22:00-06:00", "2026-10-25T00:00"),
        ("22:00-06:00", "2026-10-25T01:00"),
    ],
)
def test_nothing_happens_within_the_hours(
    written: Written, good: str, week: str | dict[str, str], moment: str
) -> None:
    """Neither at midnight nor when the clock is changed."""
    room = room_at(written, good, week, moment, lead_seconds=1.0)
    assert is_offered(room, "c1", "07700900001")
    room.wait(1.0)
    assert is_offered(room, "c2", "07700900002")


def test_who_accepts_when_the_hours_are_over_goes_on_waiting(written: Written, good: str) -> None:
    """They are told that it cannot be done now, and keep their place."""
    room = room_at(written, good, "22:00-01:30", "2026-03-29T01:00", lead_seconds=5.0)
    play(
        room,
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        wait 5
        c1 presses 1 -> quiet for c1, announce callback-not-possible to c1
        = c1 waiting
        """,
    )
    assert [fact.why for fact in room.recorded(facts.CallbackDeclined)] == ["not at this hour"]


def test_who_is_asked_when_the_hours_are_over_is_promised_nothing(written: Written, good: str) -> None:
    """The last key decides, at its instant."""
    room = room_at(written, good, "18:00-24:00", "2026-01-09T00:00", lead_seconds=5.0)
    play(
        room,
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        c1 presses 1 -> quiet for c1, announce callback-safe to c1
        wait 5
        c1 presses 1 -> quiet for c1, announce callback-not-possible to c1
        = c1 waiting
        """,
    )
    assert room.recorded(facts.CallbackPromised) == []


def test_what_was_promised_is_kept_when_the_hours_are_over(written: Written, good: str) -> None:
    """They are hours of offering: a promise knows no hours."""
    room = room_at(written, good, "22:00-01:30", "2026-10-25T01:30", lead_seconds=5.0)
    play(
        room,
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        c1 presses 1 -> quiet for c1, announce callback-safe to c1
        c1 presses 1 -> quiet for c1, await disk for c1, announce callback-promised to c1
        c1 hangs up
        wait 5
        t1 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 answers -> connect c1.1
        c1 joined
        = c1 talking
        """,
    )
    assert sum(isinstance(asked, effects.DialPerson) for asked in room.asked) == 1


def test_who_waits_when_the_hours_begin_is_offered_it_then(written: Written, good: str) -> None:
    """Not only newcomers, and without anybody else doing anything."""
    room = room_at(written, good, "02:00-06:00", "2026-03-29T01:00", lead_seconds=5.0)
    assert not is_offered(room, "c1", "07700900001")
    room.wait(5.0)
    room.wait(60.0)
    assert [fact.call_id for fact in room.recorded(facts.CallbackOffered)] == ["c1"]
