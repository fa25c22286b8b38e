"""The room at work, as tables that a dispatcher can read. The language is described in `room.py`."""

from __future__ import annotations

import pytest

from tests.core.room import Room, play

ONE = ("ann 101 999",)
TWO = ("ann 101 999", "bob 101 999")

Scenarios = dict[str, tuple[tuple[str, ...], str]]

ORDINARY: Scenarios = {
    "a call is offered, rings, is answered, talked and wrapped up": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        = c1 offered; ann offered
        ann rings
        ann answers -> connect c1.1
        = c1 connecting; ann talking
        c1 joined
        = c1 talking
        c1 hangs up
        = c1 answered talking; ann wrap-up
        wait 29.9
        = ann wrap-up
        wait 0.1
        = ann ready
        """,
    ),
    "the agent may hang up as well": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        ann hangs up
        = c1 talking; ann wrap-up
        c1 hangs up
        = c1 answered talking; ann wrap-up
        """,
    ),
    "the agent is gone and the caller's end is not seen: it is looked for": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        ann hangs up
        wait 1.9
        wait 0.1 -> inspect c1
        c1 hangs up
        = c1 answered talking; ann wrap-up
        wait 10
        """,
    ),
    "the agent is gone and the caller comes back: never lost, at the old place": (
        ONE,
        """
        c1 calls brief -> serve c1, ring ann for c1
        c2 calls brief -> serve c2
        ann answers -> connect c1.1
        c1 joined
        ann not ready
        ann hangs up
        c1 returned -> serve c1
        ann ready -> ring ann for c1
        """,
    ),
    "a 999 rings at once and is answered by the agent": (
        ONE,
        """
        e1 calls 999 -> serve e1, ring ann for e1
        ann rings
        ann answers -> connect e1.1
        e1 joined
        e1 hangs up
        wait 59
        = e1 answered talking; ann wrap-up
        """,
    ),
    "the next caller is offered in the step that frees the agent": (
        ONE,
        """
        c1 calls brief -> serve c1, ring ann for c1
        c2 calls brief -> serve c2
        ann answers -> connect c1.1
        c1 joined
        ann hangs up -> ring ann for c2
        = c2 offered; ann offered
        """,
    ),
    "wrap-up ends early when the agent presses ready": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 hangs up
        c2 calls 101 -> serve c2
        ann presses ready -> ring ann for c2
        """,
    ),
    "hold and resume are recorded and change nothing else": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        ann holds
        ann holds
        ann resumes
        = c1 talking; ann talking
        """,
    ),
    "a greeting is played to a new caller and delays no offer": (
        ONE,
        """
        c1 calls greeted -> greet c1, ring ann for c1
        ann answers -> connect c1.1
        = c1 connecting
        """,
    ),
}

ABANDONED: Scenarios = {
    "in the greeting": (
        (),
        """
        c1 calls greeted -> greet c1
        c1 hangs up
        = c1 abandoned announcement
        """,
    ),
    "in the queue": (
        (),
        """
        c1 calls greeted -> greet c1
        c1 hears-out welcome
        c1 hangs up
        = c1 abandoned queue
        """,
    ),
    "while the phone is being called": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        c1 hangs up -> withdraw c1.1
        = c1 abandoned ringing; ann offered
        c1.1 ends
        = ann ready
        """,
    ),
    "while the phone rings": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        c1 hangs up -> withdraw c1.1
        c1.1 ends
        = c1 abandoned ringing; ann ready
        """,
    ),
    "in the same breath as the answer": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 hangs up -> hang up c1.1
        = c1 abandoned connecting; ann offered
        c2 calls 101 -> serve c2
        c1.1 ends -> ring ann for c2
        """,
    ),
    "and the phone answers the withdrawn offer": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        c1 hangs up -> withdraw c1.1
        c1.1 answers -> hang up c1.1
        c1.1 ends
        = ann ready
        """,
    ),
}

REFUSED: Scenarios = {
    "missed: the next agent after the ring time": (
        TWO,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        wait 14.9
        wait 0.1 -> withdraw c1.1, ring bob for c1
        = c1 offered; ann offered; bob offered
        c1.1 ends
        = ann ready
        """,
    ),
    "rejected: the next agent at once": (
        TWO,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rejects -> ring bob for c1
        """,
    ),
    "busy: the next agent at once": (
        TWO,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann is-busy -> ring bob for c1
        """,
    ),
    "busy before it rang: the phone was clearing its line, and has the call a moment later": (
        ONE,
        """
        ann phone busy
        c1 calls 101 -> serve c1
        ann phone idle -> ring ann for c1
        ann is-busy
        = c1 waiting; ann ready
        wait 0.09
        wait 0.01 -> ring ann for c1
        ann rings
        ann answers -> connect c1.2
        """,
    ),
    "busy without having been in a call just now: it does not want to be rung": (
        ONE,
        """
        ann phone busy
        ann phone idle
        wait 0.6
        c1 calls 101 -> serve c1, ring ann for c1
        ann is-busy
        wait 1.9
        wait 0.1 -> ring ann for c1
        """,
    ),
    "busy again and again without ringing: it does not want to be rung": (
        ONE,
        """
        ann phone busy
        c1 calls 101 -> serve c1
        ann phone idle -> ring ann for c1
        ann is-busy
        wait 0.1 -> ring ann for c1
        ann is-busy
        wait 0.2 -> ring ann for c1
        ann is-busy
        wait 0.4 -> ring ann for c1
        ann is-busy
        wait 1.9
        wait 0.1 -> ring ann for c1
        ann is-busy
        wait 1.9
        wait 0.1 -> ring ann for c1
        """,
    ),
    "busy after it rang: somebody pressed a key": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        ann is-busy
        wait 1.9
        wait 0.1 -> ring ann for c1
        """,
    ),
    "whose phone was clearing its line is not passed over when another is free too": (
        TWO,
        """
        bob phone busy
        ann phone busy
        c1 calls 101 -> serve c1
        ann phone idle -> ring ann for c1
        bob phone idle
        ann is-busy -> ring bob for c1
        bob rejects
        wait 0.09
        wait 0.01 -> ring ann for c1
        """,
    ),
    "a 999 waits for a phone that clears its line, and for no longer": (
        ONE,
        """
        ann phone busy
        e1 calls 999 -> serve e1
        ann phone idle -> ring ann for e1
        ann is-busy
        wait 0.09
        wait 0.01 -> ring ann for e1
        """,
    ),
    "unreachable: a phone that does not ring in 3 s is given up": (
        TWO,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        wait 2.9
        wait 0.1 -> withdraw c1.1, ring bob for c1
        """,
    ),
    "the phone vanishes while it rings: the next agent at once": (
        TWO,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        ann phone unavailable -> withdraw c1.1, ring bob for c1
        """,
    ),
    "not back to who rejected it while another, now busy, may take it": (
        TWO,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        c2 calls 101 -> serve c2, ring bob for c2
        bob answers -> connect c2.1
        c2 joined
        ann rejects
        wait 29.9
        = c1 waiting; ann ready
        wait 0.1 -> ring ann for c1
        """,
    ),
    "the only agent is asked again after a rest of 2 s": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rejects
        wait 1.9
        = c1 waiting
        wait 0.1 -> ring ann for c1
        """,
    ),
    "a 999 rejected by the only agent comes back after a rest of 2 s": (
        ONE,
        """
        e1 calls 999 -> serve e1, ring ann for e1
        ann rejects
        wait 1.9
        wait 0.1 -> ring ann for e1
        """,
    ),
    "an unreachable phone rests for 10 s": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann is-unreachable
        wait 9.9
        wait 0.1 -> ring ann for c1
        """,
    ),
    "an unreachable phone that went and came back rests no longer": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann phone unavailable -> withdraw c1.1
        c1.1 ends
        wait 1
        ann phone idle -> ring ann for c1
        """,
    ),
    "our own attempt making an unreachable phone busy and idle does not end its rest": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann phone busy
        ann is-unreachable
        ann phone idle
        wait 9.9
        wait 0.1 -> ring ann for c1
        """,
    ),
    "a phone that ends the ringing by itself counts as rejecting, and rests": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann ends
        wait 1.9
        wait 0.1 -> ring ann for c1
        """,
    ),
    "a withdrawn leg whose end is never reported frees its agent after 5 s": (
        TWO,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        wait 15 -> withdraw c1.1, ring bob for c1
        bob rings
        wait 4.9
        = ann offered
        wait 0.1 -> hang up c1.1
        = ann ready
        """,
    ),
}

GLARE: Scenarios = {
    "the first answer seen wins though its offer was withdrawn; the other is withdrawn, without wrap-up": (
        TWO,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        wait 15 -> withdraw c1.1, ring bob for c1
        bob rings
        c1.1 answers -> withdraw c1.2, connect c1.1
        c1.2 answers -> hang up c1.2
        c1.2 ends
        c1 joined
        = c1 talking; ann talking; bob ready
        """,
    ),
    "the second answer wins when it is seen first": (
        TWO,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        wait 15 -> withdraw c1.1, ring bob for c1
        c1.2 answers -> connect c1.2
        c1.1 answers -> hang up c1.1
        c1.1 ends
        c1 joined
        = c1 talking; ann ready; bob talking
        """,
    ),
    "an answer that comes with its deadline is an answer": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        wait 14.999999999
        ann answers -> connect c1.1
        """,
    ),
    "a leg answered after its offer is over is hung up": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rejects
        c1.1 answers -> hang up c1.1
        """,
    ),
}

RETURNED: Scenarios = {
    "a pair that could not be joined: the caller keeps the place and hears music again": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        c2 calls 101 -> serve c2
        ann answers -> connect c1.1
        c1 returned -> hang up c1.1, serve c1
        = c1 waiting; ann offered
        c1.1 ends -> ring ann for c1
        """,
    ),
    "the agent's leg broke at its answer: another agent is preferred": (
        TWO,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        ann hangs up
        = c1 connecting; ann ready
        c1 returned -> serve c1, ring bob for c1
        """,
    ),
    "a pair not seen connected in 2 s is looked for, again and again": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        wait 1.9
        wait 0.1 -> inspect c1
        wait 2 -> inspect c1
        c1 joined
        wait 10
        = c1 talking
        """,
    ),
    "a bridge that failed after it was seen: the caller is alive and goes back to the queue": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 returned -> hang up c1.1, serve c1
        c1.1 ends
        wait 30 -> ring ann for c1
        """,
    ),
}

AGENTS: Scenarios = {
    "signing out while ringing passes the call on": (
        TWO,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        ann signs out -> withdraw c1.1, ring bob for c1
        c1.1 ends
        = ann signed out
        """,
    ),
    "not ready while ringing passes the call on": (
        TWO,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann not ready -> withdraw c1.1, ring bob for c1
        c1.1 ends
        = ann not ready
        """,
    ),
    "signing out while talking cuts nothing, and no wrap-up follows": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        ann signs out
        = c1 talking; ann talking
        c1 hangs up
        = ann signed out
        """,
    ),
    "not ready while talking: wrap-up, then not ready": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        ann not ready
        c1 hangs up
        = ann wrap-up
        c2 calls 101 -> serve c2
        wait 30
        = ann not ready
        ann ready -> ring ann for c2
        """,
    ),
    "signing out in wrap-up ends it": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 hangs up
        ann signs out
        = ann signed out
        wait 60
        c2 calls 101 -> serve c2
        ann signs in -> ring ann for c2
        """,
    ),
    "moving to another phone while ringing: the old phone is left, the call follows": (
        ("ann 101", "eve other"),
        """
        eve signs out
        c1 calls 101 -> serve c1, ring ann for c1
        ann signs in at eve -> withdraw c1.1
        c1.1 ends -> ring eve for c1
        """,
    ),
    "two people signed in at one phone are never rung at once": (
        TWO,
        """
        ann signs in at bob
        c1 calls 101 -> serve c1, ring bob for c1
        c2 calls 101 -> serve c2
        = c1 offered; c2 waiting
        """,
    ),
    "a phone that is busy by itself is not rung until it is idle": (
        ONE,
        """
        ann phone busy
        c1 calls 101 -> serve c1
        ann phone idle -> ring ann for c1
        """,
    ),
    "ready pressed without wrap-up does nothing": (
        ONE,
        """
        ann presses ready
        = ann ready
        """,
    ),
}

ORDER: Scenarios = {
    "999 before every 101": (
        ONE,
        """
        ann not ready
        c1 calls 101 -> serve c1
        wait 100
        e1 calls 999 -> serve e1
        ann ready -> ring ann for e1
        """,
    ),
    "no 101 goes to an agent who could take a waiting 999, even while that agent rests from it": (
        ONE,
        """
        e1 calls 999 -> serve e1, ring ann for e1
        ann rejects
        c1 calls 101 -> serve c1
        wait 2 -> ring ann for e1
        """,
    ),
    "nor while the 999 alone is kept from that agent": (
        ONE,
        """
        e1 calls 999 -> serve e1, ring ann for e1
        ann rejects
        c1 calls 101 -> serve c1
        ann not ready
        ann ready
        = c1 waiting; ann ready
        wait 2 -> ring ann for e1
        """,
    ),
    "a 101 goes to an agent who cannot take the waiting 999": (
        ("ann 101",),
        """
        e1 calls 999 -> serve e1
        c1 calls 101 -> serve c1, ring ann for c1
        """,
    ),
    "head start: a vulnerable caller overtakes those who joined at most 120 s earlier": (
        ONE,
        """
        ann not ready
        c1 calls 101 -> serve c1
        wait 1
        c2 calls 101 -> serve c2
        wait 119.5
        v1 calls vulnerable -> serve v1
        ann ready -> ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 hangs up
        wait 30 -> ring ann for v1
        """,
    ),
    "the agent who has been idle longest is asked first": (
        ("ann 101", "bob 101"),
        """
        c1 calls brief -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        wait 5
        c1 hangs up
        c2 calls brief -> serve c2, ring bob for c2
        """,
    ),
    "the better skill level goes before the longer idleness": (
        ("ann 101=2", "bob 101=1"),
        """
        c1 calls 101 -> serve c1, ring bob for c1
        c2 calls 101 -> serve c2, ring ann for c2
        """,
    ),
    "who lacks a skill is asked only when the need has relaxed": (
        ("ann 101",),
        """
        w1 calls welsh -> serve w1
        c1 calls 101 -> serve c1, ring ann for c1
        c1 hangs up -> withdraw c1.1
        c1.1 ends
        wait 59.9
        wait 0.1 -> ring ann for w1
        """,
    ),
}

FALLBACK: Scenarios = {
    "the switch's own queue takes a waiting call and ends it unanswered": (
        (),
        """
        c1 calls 101 -> serve c1
        c1 in-fallback
        = c1 fallback
        c1 hangs up
        = c1 abandoned fallback
        """,
    ),
    "it answers there": (
        (),
        """
        c1 calls 101 -> serve c1
        c1 in-fallback
        c1 answered-in-fallback-by ann
        c1 answered-in-fallback-by bob
        c1 hangs up
        = c1 answered talking
        """,
    ),
    "it takes a call that is ringing: the ringing ends": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        c1 in-fallback -> withdraw c1.1
        c1.1 ends
        = c1 fallback; ann ready
        """,
    ),
    "it takes a call that we never saw": (
        (),
        """
        c1 in-fallback
        = c1 fallback
        c1 hangs up
        = c1 abandoned fallback
        """,
    ),
    "a call comes back from it to its place": (
        ONE,
        """
        ann not ready
        c1 calls 101 -> serve c1
        wait 5
        c2 calls 101 -> serve c2
        c1 in-fallback
        c1 returned -> serve c1
        ann ready -> ring ann for c1
        """,
    ),
    "a line that is not configured goes there, on the record": (
        (),
        """
        c1 calls nowhere -> fallback for c1
        c1 in-fallback nowhere
        = c1 fallback
        c1 hangs up
        = c1 abandoned fallback
        """,
    ),
}

LATE: Scenarios = {
    "a call presented twice is one call": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        c1 calls 101 -> serve c1
        = c1 offered
        """,
    ),
    "a call presented again just after its end is not a new call": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        c1 hangs up -> withdraw c1.1
        c1.1 ends
        c1 calls 101
        c1 in-fallback
        c1 hangs up
        c1 returned
        = c1 abandoned ringing; ann ready
        """,
    ),
    "words about offers that are over are ignored": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rejects
        c1.1 rings
        c1.1 rejects
        c1.1 holds
        = c1 waiting; ann ready
        """,
    ),
    "doubled answers and ends change nothing": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        ann answers
        ann rings
        c1 joined
        c1 joined
        c1 calls 101
        c1 hangs up
        c1 hangs up
        c1.1 ends
        = c1 answered talking; ann wrap-up
        """,
    ),
    "the fallback's late words about a call in our hands are ignored": (
        ONE,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        c1 answered-in-fallback-by bob
        c1 hears-out nothing
        = c1 offered
        """,
    ),
}

ALL: Scenarios = {
    f"{chapter}: {title}": scenario
    for chapter, scenarios in {
        "ordinary": ORDINARY,
        "abandoned": ABANDONED,
        "refused": REFUSED,
        "glare": GLARE,
        "returned": RETURNED,
        "agents": AGENTS,
        "order": ORDER,
        "fallback": FALLBACK,
        "late": LATE,
    }.items()
    for title, scenario in scenarios.items()
}


@pytest.mark.parametrize("title", ALL)
def test_scenario(title: str) -> None:
    """The room goes as the table says."""
    agents, table = ALL[title]
    play(Room(*agents), table)
