"""What a step costs: hundreds may wait, and most of what happens concerns one of them."""

from __future__ import annotations

import sys
from types import FrameType

import pytest

from edge.core import inputs
from edge.core.model import PhoneState
from tests.core.room import Room, arrival

FEW, MANY = 20, 220


def calls_in_step(waiting: int, given: inputs.Input) -> int:
    """How many functions a step calls for `given` while ann talks to c0, sue is on the phone and so many wait."""
    room = Room("ann 101", "sue 101")
    room.tell(inputs.PhoneSeen(phone="sue", state=PhoneState.BUSY))
    room.tell(arrival("c0", "101"))
    room.tell(inputs.PhoneSeen(phone="ann", state=PhoneState.BUSY))
    room.tell(inputs.PhoneAnswered(offer_id="c0.1"))
    room.tell(inputs.PairJoined(call_id="c0", offer_id="c0.1"))
    for number in range(1, waiting + 1):
        room.engine.step(arrival(f"c{number}", "101"), room.now)
    return calls_of(room, given)


def calls_of(room: Room, given: inputs.Input) -> int:
    """How many functions this step calls."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        room.engine.step(given, room.now)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize(
    "given",
    [
        inputs.HoldChanged(offer_id="c0.1", held=True),
        inputs.PhoneSeen(phone="sue", state=PhoneState.UNAVAILABLE),
        inputs.AgentSeen(agent="sue", phone=None),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_step_that_frees_nobody_does_not_walk_those_who_wait(given: inputs.Input) -> None:
    """Nobody can be offered anything, so the queue is not looked at, nor any call asked whether it is a 999."""
    assert calls_in_step(MANY, given) == calls_in_step(FEW, given)


def calls_with_agents(agents: int, given: inputs.Input) -> int:
    """How many functions a step calls for `given` while so many agents are free and c0 rings at the first."""
    room = Room(*(f"a{number} 101" for number in range(agents)))
    room.tell(arrival("c0", "101"))
    return calls_of(room, given)


@pytest.mark.parametrize(
    "given",
    [inputs.PhoneRang(offer_id="c0.1"), inputs.PhoneAnswered(offer_id="c0.1"), arrival("c1", "101")],
    ids=lambda given: type(given).__name__,
)
def test_a_step_asks_no_agent_one_by_one(given: inputs.Input) -> None:
    """However many are free: nothing is called for each of them, also where the best of them is chosen."""
    assert calls_with_agents(MANY, given) == calls_with_agents(FEW, given)


def test_an_offer_does_not_walk_those_who_wait() -> None:
    """Somebody is free and the first is offered to them: nobody behind is asked anything."""
    free = inputs.PhoneSeen(phone="sue", state=PhoneState.IDLE)
    assert calls_in_step(MANY, free) == calls_in_step(FEW, free)
