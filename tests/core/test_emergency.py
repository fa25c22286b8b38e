"""999 without compromise, as tables that a dispatcher can read. The language is described in `room.py`."""

from __future__ import annotations

from typing import Any

import pytest

from edge.core import effects, facts, inputs
from edge.core.model import CallState, Emergency, Instant, Refusal, Rung, Side, Tier
from tests.core.room import EMERGENCY, Room, arrival, play

ONE = ("ann 101 999",)
TWO = ("ann 101 999", "bob 101 999")
THREE = (*TWO, "cat 101 999")
FULL = Emergency(queue="999", buddy_phone="elsewhere")

Scenarios = dict[str, tuple[tuple[str, ...], dict[str, Any], str]]

PRE_EMPTION: Scenarios = {
    "the only agent rings for a 101: withdrawn for the 999, and the 101 keeps the place": (
        ONE,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        c2 calls 101 -> serve c2
        ann rings
        e1 calls 999 -> serve e1, withdraw c1.1
        = c1 waiting; e1 waiting
        ann ends -> ring ann for e1
        ann answers -> connect e1.1
        e1 joined
        e1 hangs up
        wait 60 -> ring ann for c1
        """,
    ),
    "exactly as many as are needed, the newest first": (
        THREE,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        wait 1
        c2 calls 101 -> serve c2, ring bob for c2
        wait 1
        c3 calls 101 -> serve c3, ring cat for c3
        e1 calls 999 -> serve e1, withdraw c3.1
        e2 calls 999 -> serve e2, withdraw c2.1
        = c1 offered; c2 waiting; c3 waiting
        cat ends -> ring cat for e1
        bob ends -> ring bob for e2
        = c1 offered; e1 offered; e2 offered
        """,
    ),
    "a free agent is taken first, and nobody is withdrawn": (
        TWO,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        e1 calls 999 -> serve e1, ring bob for e1
        """,
    ),
    "an agent without the skill goes on ringing for the 101": (
        ("ann 101", "bob 101 999"),
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        c2 calls 101 -> serve c2, ring bob for c2
        e1 calls 999 -> serve e1, withdraw c2.1
        """,
    ),
    "the withdrawn phone answers first: that 101 is theirs, and the next ringing 101 goes": (
        TWO,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        wait 1
        c2 calls 101 -> serve c2, ring bob for c2
        e1 calls 999 -> serve e1, withdraw c2.1
        bob answers -> connect c2.1, withdraw c1.1
        ann ends -> ring ann for e1
        """,
    ),
    "a connected call is never cut": (
        ONE,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        e1 calls 999 -> serve e1
        wait 7.9
        = c1 talking; e1 waiting
        """,
    ),
    "a leg that does not end in a second is not waited for": (
        TWO,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        wait 1
        c2 calls 101 -> serve c2, ring bob for c2
        e1 calls 999 -> serve e1, withdraw c2.1
        wait 0.999
        wait 0.001 -> withdraw c1.1
        ann ends -> ring ann for e1
        bob ends -> ring bob for c1
        = c2 waiting
        """,
    ),
    "the leg has ended and the phone is not yet shown idle: nobody else is withdrawn": (
        TWO,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann phone busy
        wait 1
        c2 calls 101 -> serve c2, ring bob for c2
        bob phone busy
        e1 calls 999 -> serve e1, withdraw c2.1
        bob ends
        = c1 offered
        bob phone idle -> ring bob for e1
        """,
    ),
    "a 999 that hangs up frees the agent for the 101 again": (
        ONE,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        e1 calls 999 -> serve e1, withdraw c1.1
        e1 hangs up
        ann ends -> ring ann for c1
        """,
    ),
    "one agent is kept free of 101": (
        TWO,
        {"emergency": Emergency(queue="999", keep_free=1)},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        c2 calls 101 -> serve c2
        = bob ready
        e1 calls 999 -> serve e1, ring bob for e1
        """,
    ),
    "only agents who can take a 999 count as kept free": (
        ("ann 101 999", "bob 101"),
        {"emergency": Emergency(queue="999", keep_free=1)},
        """
        c1 calls 101 -> serve c1, ring bob for c1
        c2 calls 101 -> serve c2
        = ann ready
        """,
    ),
}

WRAP_UP: Scenarios = {
    "wrap-up is not broken by default": (
        ONE,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 hangs up
        e1 calls 999 -> serve e1
        wait 7.9
        = ann wrap-up
        """,
    ),
    "where the policy allows it is broken, and the rest is given back after the 999's own": (
        ONE,
        {"emergency": Emergency(queue="999", break_wrap_up=True)},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 hangs up
        wait 10
        e1 calls 999 -> serve e1, ring ann for e1
        ann answers -> connect e1.1
        e1 joined
        e1 hangs up
        wait 79.9
        = ann wrap-up
        wait 0.1
        = ann ready
        """,
    ),
    "an unanswered 999 gives the rest back at once": (
        ONE,
        {"emergency": Emergency(queue="999", break_wrap_up=True)},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 hangs up
        wait 10
        e1 calls 999 -> serve e1, ring ann for e1
        e1 hangs up -> withdraw e1.1
        ann ends
        = ann wrap-up
        wait 19.9
        = ann wrap-up
        wait 0.1
        = ann ready
        """,
    ),
    "the wrap-up of a 999 is never broken": (
        ONE,
        {"emergency": Emergency(queue="999", break_wrap_up=True)},
        """
        e1 calls 999 -> serve e1, ring ann for e1
        ann answers -> connect e1.1
        e1 joined
        e1 hangs up
        e2 calls 999 -> serve e2
        = ann wrap-up
        """,
    ),
    "an agent freed at once goes to the older 999, who waits for one who is about to be free": (
        TWO,
        {"emergency": Emergency(queue="999", break_wrap_up=True)},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 hangs up
        c2 calls 101 -> serve c2, ring bob for c2
        e1 calls 999 -> serve e1, withdraw c2.1
        e2 calls 999 -> serve e2, ring ann for e1
        bob ends -> ring bob for e2
        """,
    ),
    "a ringing 101 goes before a wrap-up": (
        TWO,
        {"emergency": Emergency(queue="999", break_wrap_up=True)},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 hangs up
        c2 calls 101 -> serve c2, ring bob for c2
        e1 calls 999 -> serve e1, withdraw c2.1
        = ann wrap-up
        """,
    ),
}

LADDER: Scenarios = {
    "next agent at 4 s, everybody at 8 s, the first answer ends all others": (
        THREE,
        {},
        """
        e1 calls 999 -> serve e1, ring ann for e1
        ann rings
        wait 4 -> withdraw e1.1, ring bob for e1
        ann ends
        bob rings
        wait 4 -> withdraw e1.2, ring cat for e1, ring ann for e1
        bob ends -> ring bob for e1
        cat answers -> withdraw e1.4, withdraw e1.5, connect e1.3
        """,
    ),
    "a phone that rang alone keeps its own deadline, and then rings with the others": (
        TWO,
        {"emergency": Emergency(queue="999", all_agents_after_seconds=5.0)},
        """
        e1 calls 999 -> serve e1, ring ann for e1
        ann rings
        wait 4 -> withdraw e1.1, ring bob for e1
        ann ends
        bob rings
        wait 1 -> ring ann for e1
        ann rings
        wait 3 -> withdraw e1.2
        bob ends -> ring bob for e1
        bob rings
        wait 9 -> withdraw e1.3
        ann ends -> ring ann for e1
        """,
    ),
    "everybody who rings for a 101 at 8 s is needed": (
        ("ann 999", "bob 101 999", "cat 101 999"),
        {},
        """
        e1 calls 999 -> serve e1, ring ann for e1
        ann rings
        c1 calls 101 -> serve c1, ring bob for c1
        bob rings
        wait 4 -> withdraw e1.1, ring cat for e1
        ann ends
        cat rings
        wait 4 -> withdraw e1.2, ring ann for e1, withdraw c1.1
        bob ends -> ring bob for e1
        cat ends -> ring cat for e1
        = c1 waiting
        """,
    ),
    "at 15 s the supervisors, at 30 s the buddy force": (
        ("ann 999", "sue supervisor"),
        {"emergency": FULL},
        """
        e1 calls 999 -> serve e1, ring ann for e1
        ann rings
        wait 4 -> withdraw e1.1
        ann ends -> ring ann for e1
        ann rings
        wait 4 -> withdraw e1.2
        ann ends -> ring ann for e1
        ann rings
        wait 6.9
        wait 0.1 -> ring sue for e1
        sue rings
        wait 5 -> withdraw e1.3
        ann ends -> ring ann for e1
        ann rings
        wait 7 -> withdraw e1.4
        sue ends -> ring sue for e1
        sue rings
        wait 2.9
        wait 0.1 -> ring elsewhere for e1
        e1.7 answers -> withdraw e1.5, withdraw e1.6, connect e1.7
        e1 joined
        ann ends
        sue ends
        e1 hangs up
        = e1 answered talking; ann ready
        """,
    ),
    "nobody signed in: the supervisor at once, signed in or not, then the buddy force": (
        ("ann 999", "sue supervisor"),
        {"emergency": FULL},
        """
        ann signs out
        sue signs out
        e1 calls 999 -> serve e1, ring sue for e1
        sue rings
        wait 12 -> withdraw e1.1
        sue ends -> ring sue for e1
        sue rings
        wait 2.9
        wait 0.1 -> ring elsewhere for e1
        sue answers -> withdraw e1.3, connect e1.2
        """,
    ),
    "nobody and no supervisor: the buddy force at once": (
        ONE,
        {"emergency": FULL},
        """
        ann signs out
        e1 calls 999 -> serve e1, ring elsewhere for e1
        e1.1 is-busy
        wait 9.9
        wait 0.1 -> ring elsewhere for e1
        """,
    ),
    "everybody at lunch: no buddy before its time": (
        ONE,
        {"emergency": FULL},
        """
        ann not ready
        e1 calls 999 -> serve e1
        wait 29.9
        wait 0.1 -> ring elsewhere for e1
        ann ready -> ring ann for e1
        """,
    ),
    "who rejected it is not rung again while another may take it, on any rung": (
        THREE,
        {},
        """
        e1 calls 999 -> serve e1, ring ann for e1
        ann rejects -> ring bob for e1
        bob rings
        wait 4 -> withdraw e1.2, ring cat for e1
        bob ends
        cat rings
        wait 4 -> withdraw e1.3, ring bob for e1
        cat ends -> ring cat for e1
        bob rings
        cat rings
        wait 10
        = ann ready
        """,
    ),
    "a second 999 takes a phone from one that rings everywhere": (
        TWO,
        {"emergency": Emergency(queue="999", all_agents_after_seconds=1.0)},
        """
        e1 calls 999 -> serve e1, ring ann for e1
        wait 1 -> ring bob for e1
        e2 calls 999 -> serve e2, withdraw e1.2
        bob ends -> ring bob for e2
        wait 1
        = e1 offered; e2 offered
        """,
    ),
    "a supervisor's phone that rings for a 101 is freed for the 999, whatever the supervisor's skills": (
        ("sue 101 supervisor",),
        {"emergency": Emergency(queue="999", supervisors_after_seconds=15.0)},
        """
        c1 calls 101 -> serve c1, ring sue for c1
        sue rings
        e1 calls 999 -> serve e1, withdraw c1.1
        sue ends -> ring sue for e1
        = c1 waiting; e1 offered
        """,
    ),
    "a supervisor in wrap-up is rung too, whatever the policy, and gets the rest back": (
        ("sue 101 supervisor",),
        {"emergency": Emergency(queue="999", supervisors_after_seconds=15.0)},
        """
        c1 calls 101 -> serve c1, ring sue for c1
        sue answers -> connect c1.1
        c1 joined
        c1 hangs up
        = sue wrap-up
        wait 10
        e1 calls 999 -> serve e1, ring sue for e1
        sue rings
        e1 hangs up -> withdraw e1.1
        sue ends
        = sue wrap-up
        wait 19.9
        = sue wrap-up
        wait 0.1
        = sue ready
        """,
    ),
    "a supervisor's wrap-up after a 999 is left alone": (
        ("sue 101 999 supervisor",),
        {"emergency": Emergency(queue="999", supervisors_after_seconds=15.0)},
        """
        e1 calls 999 -> serve e1, ring sue for e1
        sue answers -> connect e1.1
        e1 joined
        e1 hangs up
        e2 calls 999 -> serve e2
        wait 20
        = sue wrap-up; e2 waiting
        """,
    ),
    "while only a supervisor rings, a wrap-up that begins is broken as it would be for a 999 at no phone": (
        ("ann 101 999", "sue supervisor"),
        {"emergency": Emergency(queue="999", break_wrap_up=True)},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        e1 calls 999 -> serve e1
        wait 15 -> ring sue for e1
        c1 hangs up -> ring ann for e1
        = ann offered; sue offered
        """,
    ),
    "a refusal is forgotten at its time, though everybody is occupied then": (
        TWO,
        {"emergency": Emergency(queue="999", all_agents_after_seconds=1.0)},
        """
        e1 calls 999 -> serve e1, ring ann for e1
        wait 1 -> ring bob for e1
        bob rings
        ann rejects
        wait 12 -> withdraw e1.2
        bob ends -> ring bob for e1
        bob rings
        wait 12 -> withdraw e1.3
        bob ends -> ring bob for e1
        bob rings
        wait 1
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        wait 4.9
        wait 0.1 -> withdraw c1.1
        """,
    ),
    "a rung that is switched off is left out": (
        TWO,
        {"emergency": Emergency(queue="999", all_agents_after_seconds=None)},
        """
        e1 calls 999 -> serve e1, ring ann for e1
        ann rings
        wait 4 -> withdraw e1.1, ring bob for e1
        ann ends
        bob rings
        wait 3.9
        = ann ready
        """,
    ),
}

UPGRADED: Scenarios = {
    "in a talk of the switch's own queue: noted, should it take the caller again": (
        ONE,
        {},
        """
        c1 in-fallback
        c1 presses 9
        c2 in-fallback
        c2 answered-in-fallback-by ann
        c2 presses 9 -> note c2 in 999
        = c2 fallback
        """,
    ),
    "waiting: before every 101, and taken from a ringing 101": (
        ONE,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        wait 2
        c2 calls 101 -> serve c2
        c2 presses 9 -> note c2 in 999, withdraw c1.1
        ann ends -> ring ann for c2
        """,
    ),
    "its place among the 999 is that of the key": (
        ONE,
        {},
        """
        ann not ready
        c1 calls 101 -> serve c1
        wait 1
        e1 calls 999 -> serve e1
        wait 1
        c1 presses 9 -> note c1 in 999
        ann ready -> ring ann for e1
        """,
    ),
    "ringing: rung again as a 999": (
        ONE,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        c1 presses 9 -> withdraw c1.1, note c1 in 999
        ann ends -> ring ann for c1
        """,
    ),
    "during the greeting: it stops": (
        ONE,
        {},
        """
        ann not ready
        c1 calls greeted -> greet c1
        c1 presses 9 -> note c1 in 999, quiet for c1
        """,
    ),
    "talking: stays with the handler, and would come back among the 999": (
        ONE,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 presses 9 -> note c1 in 999
        = c1 talking
        c1 returned -> hang up c1.1, serve c1
        c2 calls 101 -> serve c2
        ann ends
        wait 30 -> ring ann for c1
        """,
    ),
    "another key means nothing here, and a second press nothing more": (
        ONE,
        {},
        """
        ann not ready
        c1 calls 101 -> serve c1
        c1 presses 7
        c1 presses 9 -> note c1 in 999
        c1 presses 9
        """,
    ),
    "a 999 caller's keys mean nothing": (
        ONE,
        {},
        """
        ann not ready
        e1 calls 999 -> serve e1
        e1 presses 9
        """,
    ),
}

TRIAL: Scenarios = {
    "a test call rings the test phone only, pre-empts nobody and climbs no ladder": (
        ONE,
        {"emergency": FULL},
        """
        rig-phone idle
        c1 calls 101 -> serve c1, ring ann for c1
        t1 calls trial -> serve t1, ring rig for t1
        t2 calls trial -> serve t2
        ann rings
        t1.1 rings
        wait 14
        = c1 offered; t2 waiting
        t1.1 answers -> connect t1.1
        t1 joined
        t1 hangs up -> ring rig for t2
        """,
    ),
}

ALL = {
    f"{part}: {title}": scenario
    for part, scenarios in {
        "pre-emption": PRE_EMPTION,
        "wrap-up": WRAP_UP,
        "ladder": LADDER,
        "upgraded": UPGRADED,
        "test": TRIAL,
    }.items()
    for title, scenario in scenarios.items()
}


@pytest.mark.parametrize("title", ALL)
def test_scenario(title: str) -> None:
    """The room goes as the table says."""
    agents, more, table = ALL[title]
    play(Room(*agents, **more), table)


def test_an_upgraded_call_is_shown_as_such() -> None:
    """The phone learns that this is an upgraded 101; the fact keeps the queue it waits in."""
    room = Room(*ONE)
    room.tell(arrival("c1"))
    room.tell(inputs.KeyPressed(call_id="c1", key="9"))
    room.tell(
        inputs.PhoneGone(
            offer_id="c1.1",
            refusal=Refusal.CLEARED,
            side=Side.SYSTEM,
            cause="withdrawn",
        )
    )
    offer = [effect for effect in room.asked if isinstance(effect, effects.MakeOffer)][-1]
    assert (offer.tier, offer.upgraded) == (Tier.EMERGENCY, True)
    assert room.recorded(facts.CallUpgraded) == [facts.CallUpgraded(call_id="c1", queue="999")]


def test_the_place_noted_on_the_switch_is_that_of_the_key() -> None:
    """Should the switch's own queue have to serve it, the upgraded call stands there where it stands here."""
    room = Room(*ONE)
    room.tell(inputs.AgentSeen(agent="ann", phone="ann", not_ready_reason="lunch"))
    room.tell(arrival("c1"))
    room.wait(30.0)
    pressed_at: Instant = room.now
    room.tell(inputs.KeyPressed(call_id="c1", key="9"))
    [note] = [effect for effect in room.asked if isinstance(effect, effects.NotePlace)]
    assert (note.place_utc_us, note.queue, note.upgraded) == (pressed_at.utc_us, "999", True)


def test_the_switch_upgraded_it_in_its_own_queue() -> None:
    """The key works without us: we are told, and take it back among the 999."""
    room = Room(*ONE)
    play(room, "c1 in-fallback")
    room.tell(inputs.KeyPressed(call_id="c1", key="9", upgraded=True))
    call = room.engine.state.calls["c1"]
    assert (call.state, call.tier) == (CallState.FALLBACK, Tier.EMERGENCY)
    play(room, "c1 calls 101 -> serve c1, note c1 in 999, ring ann for c1")
    assert next(e for e in room.asked if isinstance(e, effects.MakeOffer)).upgraded


def test_reasons_name_the_buddy_force_and_say_why_more_phones_ring() -> None:
    """What `edge why` prints is read by people: another force is no agent of ours."""
    room = Room("ann 999", "sue supervisor", emergency=FULL)
    play(
        room,
        """
        ann signs out
        sue signs out
        e1 calls 999 -> serve e1, ring sue for e1
        wait 3 -> withdraw e1.1
        sue ends
        wait 12 -> ring sue for e1, ring elsewhere for e1
        """,
    )
    room.tell(inputs.PhoneRang(offer_id=room.recorded(facts.OfferMade)[-1].offer_id))
    reasons = [entry.reason for entry in room.entries]
    assert "999 call e1 rings the supervisors too: nobody who could take it is at work" in reasons
    assert "999 call e1 rings the buddy force too: unanswered after 15.0 s" in reasons
    assert reasons[-1] == "phone elsewhere of the buddy force rings for call e1"


def test_losers_are_told_that_it_was_answered_elsewhere() -> None:
    """Phones that rang with the one that answered get "answered elsewhere"; a missed one does not."""
    room = Room(*THREE)
    play(
        room,
        """
        e1 calls 999 -> serve e1, ring ann for e1
        ann rings
        wait 4 -> withdraw e1.1, ring bob for e1
        ann ends
        bob rings
        wait 4 -> withdraw e1.2, ring cat for e1, ring ann for e1
        cat answers -> withdraw e1.4, connect e1.3
        """,
    )
    withdrawn = [effect for effect in room.asked if isinstance(effect, effects.WithdrawOffer)]
    assert [effect.answered_elsewhere for effect in withdrawn] == [False, False, True]


def test_each_rung_is_a_fact_and_the_upper_ones_alarms() -> None:
    """What was rung when stands in the record, and a person is called to look."""
    room = Room("ann 999", "sue supervisor", emergency=FULL)
    room.tell(arrival("e1", "999"))
    room.tell(inputs.PhoneRang(offer_id="e1.1"))
    room.wait(31.0)
    start = room.entries[0].at
    rungs = [
        (e.fact.rung, e.at.since(start)) for e in room.entries if isinstance(e.fact, facts.CallEscalated)
    ]
    assert rungs == [(Rung.ALL_AGENTS, 8.0), (Rung.SUPERVISORS, 15.0), (Rung.BUDDY, 30.0)]
    assert [fact.kind for fact in room.recorded(facts.AlarmRaised)] == ["999 unanswered"] * 2


def test_blindness_does_not_lose_a_rung() -> None:
    """The ladder is climbed as soon as the switch is seen again."""
    room = Room(*TWO)
    play(
        room,
        """
        e1 calls 999 -> serve e1, ring ann for e1
        link lost
        wait 20
        """,
    )
    room.look((inputs.SeenCall(call_id="e1", leg_id="e1", line="999", standing=inputs.Standing.HELD),))
    assert room.engine.state.calls["e1"].rung is Rung.ALL_AGENTS
    assert EMERGENCY.supervisors_after_seconds is not None
