"""Rooms with call-backs, for scenarios and properties: a plan, and a small numbering plan of their own."""

from __future__ import annotations

import re
from typing import Any

from edge.core import inputs
from edge.core.model import ClockState
from edge.core.promise import Callbacks, Destination, Judgement, Plan
from tests.core.room import Room, play
from tests.core.test_routine import room_with

SHOWN = "01632960100"
"""Ours: it is never dialled."""


class SmallPlan:
    """Numbers of eleven digits that begin with 01 or 07 may be dialled, those in `forbidden` not (any more)."""

    def __init__(self, *forbidden: str) -> None:
        self.forbidden = set(forbidden)

    def judge(self, text: str) -> Destination:
        """By its digits alone."""
        if not re.fullmatch("0[0-9]{10}", text):
            if re.fullmatch("\\+44[0-9]{10}", text):
                return self.judge("0" + text[3:])
            return Destination(judgement=Judgement.NO_NUMBER, why="no number")
        allowed = text[1] in "17" and text not in self.forbidden and text != SHOWN
        return Destination(
            judgement=Judgement.ALLOWED if allowed else Judgement.FORBIDDEN,
            number="+44" + text[1:],
            dialled=text,
            spoken=text,
            why="" if allowed else "not from here",
        )


PLAN = Plan(
    offer_above_seconds=10.0,
    offer_below_seconds=5.0,
    offer_every_seconds=60.0,
    handling_seconds=60.0,
    spacing_seconds=120.0,
    ring_seconds=20.0,
)
CALLBACKS = Callbacks(trunk="gateway", show_number=SHOWN, idle_agents=0)
"""Without a reserve for 999, unless a test is about it."""


def callback_room(
    *agents: str,
    plan: Plan = PLAN,
    callbacks: Callbacks = CALLBACKS,
    numbers: SmallPlan | None = None,
    queue: dict[str, Any] | None = None,
    **more: Any,
) -> Room:
    """A room whose queue "101" offers call-backs to whoever would wait; the clock is synchronised."""
    settings = {"callback": plan, "wrap_up_seconds": 0.0, **(queue or {})}
    room = room_with(
        agents,
        queue=settings,
        callbacks=callbacks,
        destinations=numbers or SmallPlan(),
        **more,
    )
    room.tell(inputs.ClockSeen(state=ClockState.SYNCHRONISED))
    return room


ACCEPTED = """
    c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
    c1 presses 1 -> quiet for c1, announce callback-number to c1
    c1 presses 1 -> quiet for c1, announce callback-safe to c1
    c1 presses 1 -> quiet for c1, await disk for c1, announce callback-promised to c1
    c1 hears to the end -> let c1 go
    c1 hangs up
"""
"""Caller c1, behind a talk, accepts with their own number."""


def promised_room(*agents: str, **more: Any) -> Room:
    """Everybody is talking, and c1 waits to be called back."""
    room = callback_room(*agents, **more)
    for index, agent in enumerate(room.policy.agents):
        play(
            room,
            f"""
            t{index} calls 101 -> serve t{index}, ring {agent} for t{index}
            {agent} answers -> connect t{index}.1
            t{index} joined
            """,
        )
    play(room, ACCEPTED)
    return room
