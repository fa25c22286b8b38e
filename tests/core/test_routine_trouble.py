"""101 in real life where it goes wrong: late words, blindness, crashes, full queues, prompts that cannot be played."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge.core import effects, facts, inputs
from edge.core.model import (
    Announcements,
    Answer,
    CallerKnowledge,
    Choice,
    Emergency,
    MajorIncident,
    Menu,
    OfferOutcome,
    OpeningHours,
    PriorityClass,
    Queue,
    Refusal,
    Relaxation,
    Repeat,
    Side,
    Supervision,
    Tier,
    TransferKind,
)
from edge.core.ordering import place_of
from edge.core.state import replay
from tests.core.room import NOON, Room, arrival, line, play
from tests.core.test_routine import BARE, BILINGUAL, CLOSED, ONE, SECOND, TWO, knows, room_with

KEEN = PriorityClass(name="keen", head_start_seconds=5000.0)
LISTED = CallerKnowledge(listing="vulnerable", listed_class="keen")
BUDDY = Emergency(queue="999", buddy_phone="elsewhere")
OTHER_999 = (
    Queue(name="999b", skills=("999",)),
    line("second-999", "999b", tier=Tier.EMERGENCY, answer=Answer.BY_AGENT),
)
TOLD = (
    line("cy", "cy", greeting="welcome"),
    line("cy-bare", "cy"),
    Queue(
        name="cy",
        skills=("101", "welsh"),
        relaxations=(Relaxation(after_seconds=20.0, skills=("101",), prompt="no-welsh"),),
    ),
)
NEWS = {"announcements": Announcements(every_seconds=30.0, prompt="patience")}
TALK = "c1 calls 101 -> serve c1, ring ann for c1\nann answers -> connect c1.1\nc1 joined\n"

Scenario = tuple[tuple[str, ...], dict[str, Any], str]

TABLES: dict[str, Scenario] = {
    "overflow: a call is sent on once, and then waits until it is served": (
        (),
        {
            "queue": {"maximum_wait_seconds": 60.0, "overflow_queue": "second"},
            "more": (replace(SECOND, maximum_wait_seconds=30.0, overflow_queue="101"),),
        },
        """
        c1 calls 101 -> serve c1
        wait 60 -> note c1 in second
        wait 600
        = c1 waiting
        """,
    ),
    "overflow: a number that does not take it is tried once": (
        (),
        {"queue": {"maximum_wait_seconds": 60.0, "overflow_phone": "elsewhere"}},
        """
        c1 calls 101 -> serve c1
        wait 60 -> serve c1, divert c1 to elsewhere
        c1 returned -> serve c1
        wait 600
        = c1 waiting
        """,
    ),
    "overflow: the agents of the other queue are rung in the same step": (
        ("wyn 101 welsh",),
        {
            "queue": {"maximum_wait_seconds": 60.0, "overflow_queue": "other", "skills": ("101", "999")},
            "more": (Queue(name="other", skills=("welsh",)),),
        },
        """
        c1 calls 101 -> serve c1
        wait 60 -> note c1 in other, ring wyn for c1
        """,
    ),
    "overflow: not into a closed queue, but into the one after it": (
        (),
        {
            "queue": {"limit": 0, "overflow_queue": "second"},
            "more": (
                replace(SECOND, hours=CLOSED, overflow_queue="third"),
                Queue(name="third", skills=("101",)),
            ),
        },
        """
        c1 calls 101 -> serve c1, note c1 in third
        """,
    ),
    "overflow: a chain that bites its tail ends": (
        (),
        {
            "queue": {"limit": 0, "overflow_queue": "second"},
            "more": (replace(SECOND, limit=0, overflow_queue="101"),),
        },
        """
        c1 calls 101 -> greet c1
        = c1 leaving
        """,
    ),
    "incident: a closed queue's callers are told, and do not fill the next queue": (
        (),
        {
            "queue": {"overflow_queue": "second"},
            "more": (SECOND,),
            "incident": MajorIncident(closed_queues=("101",)),
        },
        """
        c0 calls 101 -> serve c0
        incident declared
        c1 calls 101 -> greet c1
        = c0 waiting; c1 leaving
        incident over
        c2 calls 101 -> serve c2
        """,
    ),
    "incident: the menu follows its greeting too": (
        (),
        {"more": (SECOND, BILINGUAL), "incident": MajorIncident(greeting="incident")},
        """
        incident declared
        c1 calls bilingual -> greet c1
        c1 hears-out incident -> announce menu to c1
        """,
    ),
    "hours: who is in the queue when it closes is served": (
        ONE,
        {
            "queue": {
                "hours": OpeningHours(
                    name="day",
                    changes=((0, True), (NOON.utc_us + 60_000_000, False), (NOON.utc_us * 2, True)),
                )
            }
        },
        """
        ann not ready
        c1 calls 101 -> serve c1
        wait 60
        c2 calls 101 -> greet c2
        = c1 waiting; c2 leaving
        ann ready -> ring ann for c1
        """,
    ),
    "hours: a menu that leads into a closed queue": (
        (),
        {"more": (replace(SECOND, hours=CLOSED), BARE)},
        """
        c1 calls bare -> serve c1, announce menu to c1
        c1 presses 1 -> quiet for c1, announce closed to c1
        c1 hears-out closed -> let c1 go
        """,
    ),
    "patience: another free agent comes before turning away": (
        TWO,
        {"queue": {"maximum_wait_seconds": 10.0}},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        wait 15 -> withdraw c1.1, ring bob for c1
        """,
    ),
    "patience: told at once when a 999 takes the agent who rang beyond it": (
        ONE,
        {"queue": {"maximum_wait_seconds": 10.0}},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        wait 12
        e1 calls 999 -> serve e1, withdraw c1.1, announce waited-too-long to c1
        = c1 leaving; e1 waiting
        """,
    ),
    "patience: it may run out while something else is said": (
        (),
        {"queue": {"maximum_wait_seconds": 31.0} | NEWS},
        """
        c1 calls 101 -> serve c1
        wait 30 -> announce waiting to c1
        wait 1 -> announce waited-too-long to c1
        """,
    ),
    "patience: it ran out while nothing was seen": (
        (),
        {"queue": {"maximum_wait_seconds": 60.0}},
        """
        c1 calls 101 -> serve c1
        link lost
        wait 100
        seen c1:held -> serve c1, announce waited-too-long to c1
        """,
    ),
    "patience: not for who has talked with a human": (
        ONE,
        {"more": (replace(SECOND, maximum_wait_seconds=60.0, hours=CLOSED),)},
        TALK
        + """wait 100
        c1 sent-back-to second -> note c1 in second, serve c1
        ann not ready
        ann hangs up
        wait 100
        = c1 waiting
        """,
    ),
    "leaving: found in our hands after blindness, told again from the beginning": (
        (),
        {"queue": {"hours": CLOSED}},
        """
        c1 calls 101 -> greet c1
        link lost
        wait 100
        seen c1:held -> greet c1
        wait 60 -> let c1 go
        """,
    ),
    "leaving: had been told before the blindness, let go": (
        (),
        {"queue": {"hours": CLOSED}},
        """
        c1 calls 101 -> greet c1
        c1 hears-out closed -> let c1 go
        killed
        seen c1:held -> let c1 go
        c1 hangs up
        = c1 refused leaving
        """,
    ),
    "leaving: gone while nothing was seen is still refused": (
        (),
        {"queue": {"hours": CLOSED}},
        "c1 calls 101 -> greet c1\nlink lost\nseen\n= c1 refused leaving",
    ),
    "leaving: diverted and gone while nothing was seen": (
        (),
        {"queue": {"hours": CLOSED, "overflow_phone": "elsewhere"}},
        "c1 calls 101 -> serve c1, divert c1 to elsewhere\nlink lost\nseen\n= c1 overflowed leaving",
    ),
    "leaving: diverted and still there": (
        (),
        {"queue": {"hours": CLOSED, "overflow_phone": "elsewhere"}},
        """
        c1 calls 101 -> serve c1, divert c1 to elsewhere
        killed
        seen c1:connected
        = c1 leaving
        """,
    ),
    "leaving: diverted, and found in our hands": (
        (),
        {"queue": {"hours": CLOSED, "overflow_phone": "elsewhere"}},
        """
        c1 calls 101 -> serve c1, divert c1 to elsewhere
        killed
        seen c1:held -> serve c1
        = c1 waiting
        """,
    ),
    "leaving: diverted, and presented again": (
        (),
        {"queue": {"hours": CLOSED, "overflow_phone": "elsewhere"}},
        """
        c1 calls 101 -> serve c1, divert c1 to elsewhere
        c1 calls 101 -> serve c1
        = c1 waiting
        """,
    ),
    "leaving: the switch's own queue may take it, and fail open": (
        (),
        {"queue": {"hours": CLOSED}},
        """
        c1 calls 101 -> greet c1
        c1 in-fallback
        = c1 fallback
        c1 hangs up
        = c1 abandoned fallback
        """,
    ),
    "news: due while nothing was seen, told then, and at its interval again": (
        (),
        {"queue": NEWS},
        """
        c1 calls 101 -> serve c1
        link lost
        wait 40
        seen c1:held -> serve c1, announce waiting to c1
        c1 hears-out waiting
        wait 20 -> announce waiting to c1
        """,
    ),
    "news: due while a phone rang, told when it rings no more": (
        ONE,
        {"queue": {"announcements": Announcements(every_seconds=10.0, prompt="patience")}},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        wait 14
        ann rejects -> announce waiting to c1
        c1 hears-out waiting
        """,
    ),
    "relaxation: due while nothing was seen": (
        ("ann 101",),
        {"more": TOLD},
        """
        c1 calls cy-bare -> serve c1
        link lost
        wait 40
        seen c1:held -> serve c1, announce no-welsh to c1
        c1 hears-out no-welsh -> ring ann for c1
        """,
    ),
    "relaxation: a prompt that cannot be played counts as heard after two tries": (
        ("ann 101",),
        {"more": TOLD},
        """
        c1 calls cy-bare -> serve c1
        wait 20 -> announce no-welsh to c1
        c1 cannot-hear no-welsh -> announce no-welsh to c1
        c1 cannot-hear no-welsh -> ring ann for c1
        """,
    ),
    "relaxation: being cut for an answer is not hearing it, however often": (
        ("ann 101", "wyn 101 welsh"),
        {"more": TOLD},
        """
        ann not ready
        wyn not ready
        c1 calls cy-bare -> serve c1
        wait 20 -> announce no-welsh to c1
        wyn ready -> ring wyn for c1
        wyn answers -> connect c1.1
        c1 returned -> hang up c1.1, serve c1, announce no-welsh to c1
        wyn ends -> ring wyn for c1
        wyn answers -> connect c1.2
        c1 returned -> hang up c1.2, serve c1, announce no-welsh to c1
        ann ready
        = ann ready
        c1 hears-out no-welsh -> ring ann for c1
        """,
    ),
    "relaxation: a greeting whose end nobody tells of does not silence it for ever": (
        ("ann 101",),
        {"more": TOLD},
        """
        c1 calls cy -> greet c1
        wait 119.9
        wait 0.1 -> announce no-welsh to c1
        """,
    ),
    "relaxation: a 999 is told nothing and waits for no telling": (
        ("ann 101",),
        {"more": (*TOLD, line("cy-999", "cy", tier=Tier.EMERGENCY, answer=Answer.BY_AGENT))},
        """
        e1 calls cy-999 -> serve e1
        wait 19.9
        wait 0.1 -> ring ann for e1
        """,
    ),
    "sent back: before the word of the connection": (
        ONE,
        {"more": (SECOND,)},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 sent-back-to second -> note c1 in second, serve c1
        ann hangs up
        = c1 waiting; ann wrap-up
        """,
    ),
    "sent back: to another than who sent it, while there is one": (
        TWO,
        {"queue": {"wrap_up_seconds": 0.0}, "more": (SECOND,)},
        """
        bob phone busy
        """
        + TALK
        + """c1 sent-back-to second -> note c1 in second, serve c1
        ann hangs up
        = c1 waiting; ann ready
        bob phone idle -> ring bob for c1
        """,
    ),
    "sent back: the end of the handler's leg is never told": (
        ONE,
        {"more": (SECOND,)},
        TALK
        + """c1 sent-back-to second -> note c1 in second, serve c1
        wait 4.9
        = ann talking
        wait 0.1
        = ann wrap-up
        """,
    ),
    "sent back: the handler's leg is still there after a crash": (
        ONE,
        {"more": (SECOND,)},
        TALK
        + """c1 sent-back-to second -> note c1 in second, serve c1
        killed
        seen c1:held c1.1+ -> serve c1, note c1 in second
        = ann talking
        ann hangs up
        = ann wrap-up
        """,
    ),
    "sent back: the handler's leg ended during a crash": (
        ONE,
        {"more": (SECOND,)},
        TALK
        + """c1 sent-back-to second -> note c1 in second, serve c1
        killed
        seen c1:held -> serve c1, note c1 in second
        = ann wrap-up
        """,
    ),
    "sent back: out of the switch's own queue": (
        (),
        {"more": (SECOND,)},
        """
        c1 in-fallback
        c1 answered-in-fallback-by ann
        c1 sent-back-to second -> note c1 in second, serve c1
        = c1 waiting
        """,
    ),
    "sent back: a queue that is not configured is the one it came from": (
        ONE,
        {},
        TALK + "c1 sent-back-to nowhere -> note c1 in 101, serve c1",
    ),
    "sent back: the menu is over, the handler has chosen": (
        ONE,
        {"more": (SECOND, BARE)},
        """
        c1 calls bare -> serve c1, announce menu to c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 sent-back-to second -> note c1 in second, serve c1
        c1 presses 3
        """,
    ),
    "sent back: a 999 begins at the foot of the ladder": (
        TWO,
        {"more": (SECOND,), "emergency": BUDDY},
        """
        bob not ready
        e1 calls 999 -> serve e1, ring ann for e1
        ann answers -> connect e1.1
        e1 joined
        wait 100
        e1 sent-back-to second -> note e1 in second, serve e1
        wait 2
        """,
    ),
    "sent back: into the queue of any 999 line is an upgrade": (
        ONE,
        {"more": OTHER_999},
        TALK + "c1 sent-back-to 999b -> note c1 in 999b, serve c1",
    ),
    "passed on: before the word of the connection": (
        ONE,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 passed-on-to 4002
        ann hangs up
        = c1 talking; ann wrap-up
        """,
    ),
    "menu: not said again after other announcements": (
        (),
        {"queue": NEWS, "more": (SECOND, BARE)},
        """
        c1 calls bare -> serve c1, announce menu to c1
        c1 cannot-hear menu
        wait 30 -> announce waiting to c1
        c1 hears-out waiting
        """,
    ),
    "menu: a key while the greeting is said; the choices need not be said any more": (
        (),
        {"more": (SECOND, BILINGUAL)},
        """
        c1 calls bilingual -> greet c1
        c1 presses 1 -> quiet for c1, note c1 in second
        c1 hears-out welcome
        """,
    ),
    "crash: the place is written again, for nobody knows whether it was": (
        (),
        {"more": (SECOND, BARE)},
        """
        c0 calls 101 -> serve c0
        c1 calls bare -> serve c1, announce menu to c1
        c1 presses 1 -> quiet for c1, note c1 in second
        killed
        seen c0:held c1:held -> serve c0, serve c1, note c1 in second
        """,
    ),
    "missed: a 999 does not ring again at who is being set not ready": (
        TWO,
        {"missed_offers_maximum": 1},
        """
        bob phone busy
        e1 calls 999 -> serve e1, ring ann for e1
        ann rings
        wait 4 -> withdraw e1.1
        ann ends -> set ann not ready
        = ann not ready
        """,
    ),
}


@pytest.mark.parametrize("title", TABLES)
def test_scenario(title: str) -> None:
    """The room goes as the table says."""
    agents, more, table = TABLES[title]
    room = room_with(agents, **more)
    play(room, table)
    assert replay(room.entries) == room.engine.state


def head_start(room: Room, call_id: str) -> float:
    """How many seconds earlier than it did this call counts as having joined."""
    call = room.engine.state.calls[call_id]
    return (call.queued_at.monotonic_ns - place_of(call, room.policy).joined_ns) / 1e9


@pytest.mark.parametrize(
    "then",
    [
        "wait 1",
        "c1 presses 3 -> quiet for c1, note c1 in 101",
        "c1 presses 1 -> quiet for c1, note c1 in second",
        (
            "ann ready -> ring ann for c1\nann answers -> connect c1.1\nc1 joined\n"
            "c1 sent-back-to second -> note c1 in second, serve c1"
        ),
    ],
)
def test_the_cap_of_a_boost_holds_whatever_comes_after(then: str) -> None:
    """A class that came by the caller's number counts up to the cap: after the menu, and after a handler sent the caller back."""
    room = room_with(ONE, more=(KEEN, SECOND, BARE), largest_boost_seconds=400.0)
    play(room, "ann not ready")
    knows(room, "c1", LISTED, "bare")
    assert head_start(room, "c1") == 400.0
    play(room, then)
    assert head_start(room, "c1") == 400.0


def test_the_cap_of_a_boost_holds_after_overflow() -> None:
    """Being sent to another queue does not uncover the class's own head start."""
    room = room_with(
        (),
        queue={"limit": 0, "overflow_queue": "second"},
        more=(KEEN, SECOND),
        largest_boost_seconds=400.0,
    )
    knows(room, "c1", LISTED)
    assert room.engine.state.calls["c1"].queue == "second"
    assert head_start(room, "c1") == 400.0


def test_a_listed_language_leaves_the_class_of_the_line_uncapped() -> None:
    """The cap is on what the number gives, and the number gave the language only."""
    room = room_with((), more=(KEEN, line("keen", "101", "keen")), largest_boost_seconds=400.0)
    knows(room, "c1", CallerKnowledge(listing="relay", language="cy"), "keen")
    assert room.engine.state.calls["c1"].language == "cy"
    assert head_start(room, "c1") == 5000.0


def test_a_choice_does_not_take_a_vulnerable_caller_s_head_start() -> None:
    """The better of what was chosen and what the number gives."""
    menu = Menu(prompt="menu", choices={"1": Choice(priority_class="routine", language="cy")})
    room = room_with((), more=(line("choosing", "101", menu=menu),))
    knows(room, "c1", CallerKnowledge(listing="vulnerable", listed_class="vulnerable"), "choosing")
    room.tell(inputs.KeyPressed(call_id="c1", key="1"))
    call = room.engine.state.calls["c1"]
    assert (call.priority_class, call.language) == ("vulnerable", "cy")


def test_a_later_choice_counts_as_if_it_had_been_the_first() -> None:
    """Whoever pressed the wrong key can correct it, and pressing it again is nothing new."""
    room = room_with((), more=(SECOND, BARE))
    room.tell(arrival("c1", "bare"))
    for key in ("1", "3"):
        room.tell(inputs.KeyPressed(call_id="c1", key=key))
    call = room.engine.state.calls["c1"]
    assert (call.queue, call.language) == ("101", "cy")
    recorded = len(room.entries)
    room.tell(inputs.KeyPressed(call_id="c1", key="3"))
    assert len(room.entries) == recorded


def test_what_the_configuration_does_not_know_is_ignored_with_a_reason() -> None:
    """Classes of the list and of repetition that are gone."""
    room = room_with((), repeat=Repeat(abandons=1, minutes=30, priority_class="gone"))
    known = CallerKnowledge(listing="x", listed_class="nonesuch", recent_abandons=1)
    step = room.tell(
        replace(arrival("c1", knowledge=known), number_withheld=False, caller_number="01632960001")
    )
    assert "'nonesuch' (listed) is not configured" in step.reason
    assert "'gone' (repeat) is not configured" in step.reason
    assert room.engine.state.calls["c1"].priority_class == "routine"


def test_a_999_caller_is_known_too_and_nothing_comes_of_it_but_the_note() -> None:
    """The handler sees what is known; class, place and queue are those of the line."""
    room = room_with(ONE)
    knows(room, "e1", replace(LISTED, calls_in_month=3), "999")
    [offer] = [effect for effect in room.asked if isinstance(effect, effects.MakeOffer)]
    assert offer.notes[0] == "vulnerable"
    assert room.recorded(facts.CallClassified) == []


def test_sent_back_into_another_999_queue_waits_there_as_an_upgraded_call() -> None:
    """Tier and queue are those of the handler's choice."""
    room = room_with(ONE, more=OTHER_999)
    play(room, TALK + "c1 sent-back-to 999b -> note c1 in 999b, serve c1")
    call = room.engine.state.calls["c1"]
    assert (call.tier, call.queue, call.upgraded_at) == (Tier.EMERGENCY, "999b", room.now)


def test_a_closed_message_that_was_heard_is_recorded_as_heard() -> None:
    """Evidence: the caller was told what to do instead."""
    room = room_with((), queue={"hours": CLOSED})
    play(room, "c1 calls 101 -> greet c1\nc1 hears-out closed -> let c1 go\nc1 hangs up")
    assert [(fact.prompt, fact.completed) for fact in room.recorded(facts.AnnouncementEnded)] == [
        ("closed", True)
    ]


def test_hold_of_a_leg_that_has_let_the_caller_go_is_not_hold_of_the_caller() -> None:
    """The first handler's leg still exists while the second talks."""
    room = room_with(TWO, more=(SECOND,))
    play(
        room,
        TALK
        + """c1 sent-back-to second -> note c1 in second, serve c1, ring bob for c1
        bob answers -> connect c1.2
        c1 joined
        c1.1 holds
        """,
    )
    assert not room.engine.state.calls["c1"].held


@pytest.mark.parametrize("every_seconds", [0.7, 33.3, 59.9])
def test_an_interval_is_kept_to_the_nanosecond(every_seconds: float) -> None:
    """Also where nothing is true enough to be said; nothing is woken for without end."""
    room = room_with((), queue={"announcements": Announcements(every_seconds=every_seconds, position=True)})
    room.tell(arrival("c1"))
    room.wait(every_seconds * 50)
    room.tell(inputs.AgentSeen(agent="ann", phone="ann"))
    assert room.state_of("c1") == "waiting"


def test_news_is_not_lost_when_something_else_happens_at_its_instant() -> None:
    """The input goes first; what was due is then said all the same."""
    room = room_with((), queue=NEWS)
    room.tell(arrival("c1"))
    room.now = room.now.plus(30.0)
    room.tell(inputs.CallMarkedAssisted(call_id="c1", by="edge"))
    assert [effect.prompt for effect in room.asked if isinstance(effect, effects.Announce)] == ["waiting"]


def test_the_position_counts_who_is_being_rung() -> None:
    """A call that rings will be served first, unless it is not answered: then it is still ahead."""
    room = room_with(ONE, queue={"announcements": Announcements(every_seconds=10.0, position=True)})
    room.tell(arrival("c1"))
    room.tell(inputs.PhoneRang(offer_id="c1.1"))
    room.tell(arrival("c2"))
    room.wait(10.0)
    [said] = [effect for effect in room.asked if isinstance(effect, effects.Announce)]
    assert (said.call_id, said.sounds) == ("c2", ("position", "number:2"))


def test_a_wrap_up_code_belongs_to_a_call_of_the_switch_s_own_queue_too() -> None:
    """The handler answered while we were away."""
    room = room_with(ONE)
    play(room, "ann not ready\nc1 in-fallback\nc1 answered-in-fallback-by ann\nc1 hangs up")
    room.tell(inputs.WrapUpCoded(agent="ann", code="crime"))
    assert [fact.call_id for fact in room.recorded(facts.WrapUpCoded)] == ["c1"]


def test_strange_names_do_nothing() -> None:
    """Codes, help and supervision of agents whom the configuration does not know."""
    room = room_with(ONE)
    recorded = len(room.entries)
    room.tell(inputs.SupervisionSeen(supervisor="x", agent="nobody", mode=Supervision.LISTEN, began=True))
    room.tell(inputs.AssistAsked(agent="nobody"))
    room.tell(inputs.WrapUpCoded(agent="nobody", code="crime"))
    assert len(room.entries) == recorded


def test_the_last_999_agent_who_misses_goes_behind_the_others() -> None:
    """Kept ready, and asked after everybody else who is free."""
    room = room_with(("ann 101 999", "bob 101"), missed_offers_maximum=1)
    play(
        room,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        wait 15 -> withdraw c1.1, ring bob for c1
        ann ends
        bob rejects
        """,
    )
    assert [fact.kept_ready for fact in room.recorded(facts.AgentMissedOffers)] == [True]
    agents = room.engine.state.agents
    assert agents["ann"].idle_since.monotonic_ns > agents["bob"].idle_since.monotonic_ns


def test_who_was_sent_back_twice_by_doubled_words_is_sent_back_once() -> None:
    """The second word names an offer that is over."""
    room = room_with(TWO, more=(SECOND,))
    play(room, TALK)
    word = inputs.CallSentBack(call_id="c1", queue="second", offer_id="c1.1")
    room.tell(word)
    room.tell(
        inputs.PhoneGone(offer_id="c1.1", refusal=Refusal.CLEARED, side=Side.AGENT, cause="transferred")
    )
    play(room, "bob answers -> connect c1.2\nc1 joined")
    room.tell(word)
    assert room.state_of("c1") == "talking"
    assert len(room.recorded(facts.CallSentBack)) == 1


def test_who_was_sent_back_by_an_agent_of_the_switch_s_own_queue_has_talked_with_a_human() -> None:
    """Though the word of the answer was lost: nobody turns that caller away any more."""
    room = Room("ann 101")
    play(
        room,
        """
        ann not ready
        c1 in-fallback
        c1 sent-back-to shut -> note c1 in shut, serve c1
        """,
    )
    assert room.engine.state.calls["c1"].first_connected_at is not None


def test_a_transfer_that_fails_at_once_comes_after_a_talk() -> None:
    """The switch may tell of the return before it tells of the transfer: the handler has talked with the caller all the same."""
    room = room_with(TWO)
    play(room, TALK)
    room.tell(inputs.PairReturned(call_id="c1"))
    [withdrawn] = room.recorded(facts.OfferWithdrawn)
    assert withdrawn.outcome is OfferOutcome.ANSWERED
    assert room.recorded(facts.CallReturned)


def test_who_was_given_the_caller_sends_them_back() -> None:
    """Not the agent who had passed them on."""
    room = room_with(TWO, more=(SECOND,))
    play(room, TALK)
    room.tell(
        inputs.CallPassedOn(
            call_id="c1", kind=TransferKind.ATTENDED, target="bob", agent="bob", offer_id="c1.1"
        )
    )
    room.tell(inputs.CallSentBack(call_id="c1", queue="second"))
    assert [fact.agent for fact in room.recorded(facts.CallSentBack)] == ["bob"]
