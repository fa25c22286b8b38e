"""101 in real life, as tables that a dispatcher can read. The language is described in `room.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core import effects, facts, inputs
from edge.core.model import (
    Announcements,
    CallerKnowledge,
    CallOutcome,
    CallState,
    CheckVerdict,
    Choice,
    ClassSource,
    Emergency,
    Instant,
    Line,
    MajorIncident,
    Menu,
    OfferOutcome,
    OpeningHours,
    PhoneState,
    PriorityClass,
    Queue,
    Relaxation,
    Repeat,
    Stage,
    Supervision,
    TransferKind,
)
from edge.core.ordering import place_of
from edge.core.state import CHECKS_REMEMBERED, replay
from tests.core.room import CLASSES, LINES, NOON, QUEUES, Room, arrival, line, play

ONE = ("ann 101 999",)
TWO = ("ann 101 999", "bob 101 999")
CLOSED = OpeningHours(name="never", changes=((0, False), (NOON.utc_us * 2, True)))
MENU = Menu(
    prompt="menu",
    choices={
        "1": Choice(queue="second"),
        "2": Choice(priority_class="vulnerable", greeting="thanks"),
        "3": Choice(language="cy"),
    },
)


def room_with(
    agents: tuple[str, ...],
    *,
    queue: Mapping[str, Any] | None = None,
    more: tuple[Any, ...] = (),
    **policy: Any,
) -> Room:
    """A room whose queue "101" has these properties, with more lines and queues."""
    queues = {item.name: item for item in (*QUEUES, *(part for part in more if isinstance(part, Queue)))}
    queues["101"] = replace(queues["101"], **(queue or {}))
    lines = {item.name: item for item in (*LINES, *(part for part in more if isinstance(part, Line)))}
    classes = {item.name: item for item in (*CLASSES, *(p for p in more if isinstance(p, PriorityClass)))}
    room = Room(*agents, seen=False, **policy)
    room.policy = replace(room.policy, queues=queues, lines=lines, classes=classes)
    room.restart(queues=queues, lines=lines, classes=classes)
    room.look()
    return room


def knows(room: Room, call_id: str, knowledge: CallerKnowledge, name: str = "101") -> None:
    """A caller arrives of whom something is known."""
    call = arrival(call_id, name, knowledge=knowledge)
    room.tell(replace(call, caller_number="01632960001", number_withheld=False))


SECOND = Queue(name="second", skills=("101",))
BILINGUAL = line("bilingual", "101", greeting="welcome", menu=MENU)
BARE = line("bare", "101", menu=MENU)
Scenario = tuple[tuple[str, ...], dict[str, Any], str]

TABLES: dict[str, Scenario] = {
    "menu: said after the greeting; who presses nothing goes on waiting": (
        (),
        {"more": (SECOND, BILINGUAL)},
        """
        c1 calls bilingual -> greet c1
        c1 hears-out welcome -> announce menu to c1
        c1 hears-out menu
        wait 600
        = c1 waiting
        """,
    ),
    "menu: without a greeting it is said at once, and delays no offer": (
        ONE,
        {"more": (SECOND, BARE)},
        """
        c1 calls bare -> serve c1, announce menu to c1, ring ann for c1
        ann answers -> connect c1.1
        """,
    ),
    "menu: a key moves the call, withdraws what rings, and keeps the time of joining": (
        ONE,
        {"more": (SECOND, BARE)},
        """
        c1 calls bare -> serve c1, announce menu to c1, ring ann for c1
        c2 calls 101 -> serve c2
        c1 presses 1 -> quiet for c1, withdraw c1.1, note c1 in second
        ann ends -> ring ann for c1
        """,
    ),
    "menu: a class, with an answer; other keys choose nothing": (
        (),
        {"more": (SECOND, BARE)},
        """
        c1 calls bare -> serve c1, announce menu to c1
        c1 presses 8
        c1 presses 2 -> quiet for c1, note c1 in 101, announce thanks to c1
        c1 hears-out thanks
        """,
    ),
    "closed: told why and let go": (
        ONE,
        {"queue": {"hours": CLOSED}},
        """
        c1 calls 101 -> greet c1
        = c1 leaving; ann ready
        c1 hears-out closed -> let c1 go
        c1 hangs up
        = c1 refused leaving
        """,
    ),
    "closed: let go even if nobody tells of the announcement's end": (
        ONE,
        {"queue": {"hours": CLOSED}},
        """
        c1 calls 101 -> greet c1
        wait 59.9
        wait 0.1 -> let c1 go
        wait 59.9
        wait 0.1 -> let c1 go
        c1 hangs up
        """,
    ),
    "closed: the emergency key still works": (
        ONE,
        {"queue": {"hours": CLOSED}},
        """
        c1 calls 101 -> greet c1
        c1 presses 9 -> note c1 in 999, quiet for c1, serve c1, ring ann for c1
        """,
    ),
    "closed: no 999 meets it, whatever queue it waits in": (
        ONE,
        {"queue": {"hours": CLOSED}, "more": (line("e101", "101", tier=0),)},
        """
        e1 calls e101 -> serve e1, ring ann for e1
        """,
    ),
    "full: to the overflow queue, else told": (
        (),
        {"queue": {"limit": 1, "overflow_queue": "second"}, "more": (replace(SECOND, limit=1),)},
        """
        c1 calls 101 -> serve c1
        c2 calls 101 -> serve c2, note c2 in second
        c3 calls 101 -> greet c3
        = c3 leaving
        """,
    ),
    "full: to another number, which does not answer: back at the place": (
        ONE,
        {"queue": {"limit": 0, "overflow_phone": "elsewhere"}},
        """
        c1 calls 101 -> serve c1, divert c1 to elsewhere
        = c1 leaving; ann ready
        c1 returned -> serve c1, ring ann for c1
        """,
    ),
    "full: to another number, which takes it": (
        (),
        {"queue": {"limit": 0, "overflow_phone": "elsewhere"}},
        """
        c1 calls 101 -> serve c1, divert c1 to elsewhere
        wait 300
        c1 hangs up
        = c1 overflowed leaving
        """,
    ),
    "waited too long: told and let go": (
        (),
        {"queue": {"maximum_wait_seconds": 60.0}},
        """
        c1 calls 101 -> serve c1
        wait 59.9
        wait 0.1 -> announce waited-too-long to c1
        = c1 leaving
        """,
    ),
    "waited too long does not take a caller whose agent rings": (
        ONE,
        {"queue": {"maximum_wait_seconds": 3.0}},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        wait 10
        = c1 offered
        ann answers -> connect c1.1
        """,
    ),
    "relaxation: counts once the caller has been told": (
        ONE,
        {
            "more": (
                line("cy", "cy"),
                Queue(
                    name="cy",
                    skills=("101", "welsh"),
                    relaxations=(Relaxation(after_seconds=20.0, skills=("101",), prompt="no-welsh"),),
                ),
            )
        },
        """
        c1 calls cy -> serve c1
        wait 19.9
        wait 0.1 -> announce no-welsh to c1
        wait 5
        = ann ready
        c1 hears-out no-welsh -> ring ann for c1
        """,
    ),
    "announcements: at their interval, with music between, and never beside a ringing phone": (
        (),
        {"queue": {"announcements": Announcements(every_seconds=30.0, prompt="patience")}},
        """
        c1 calls 101 -> serve c1
        wait 29.9
        wait 0.1 -> announce waiting to c1
        wait 5
        c1 hears-out waiting
        wait 24.9
        wait 0.1 -> announce waiting to c1
        """,
    ),
    "a handler sends the caller back: at the old place, before who came later": (
        TWO,
        {"more": (SECOND,)},
        """
        bob not ready
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c2 calls 101 -> serve c2
        c1 sent-back-to second -> note c1 in second, serve c1
        = c1 waiting
        ann hangs up
        = ann wrap-up
        bob ready -> ring bob for c1
        """,
    ),
    "passed on: the contact goes on without us, and nobody asks where it is": (
        ONE,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 passed-on-to 4002
        ann hangs up
        = c1 talking; ann wrap-up
        wait 600
        c1 hangs up
        = c1 answered talking
        """,
    ),
    "passed on in vain: back at the place": (
        ONE,
        {},
        """
        c1 calls brief -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 passed-on-to 4002
        ann hangs up
        c1 returned -> serve c1, ring ann for c1
        """,
    ),
    "passed on in vain while the handler's leg is still there: they have had their talk, and wrap it up": (
        TWO,
        {},
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 passed-on-to 4002
        c1 returned -> hang up c1.1, serve c1, ring bob for c1
        ann hangs up
        = ann wrap-up
        """,
    ),
    "missed three times in a row: set not ready; the last who can take a 999 is not": (
        ("ann 101", "bob 101 999"),
        {"missed_offers_maximum": 2},
        """
        bob not ready
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        wait 15 -> withdraw c1.1
        ann ends
        wait 2 -> ring ann for c1
        ann rings
        wait 15 -> withdraw c1.2
        ann ends -> set ann not ready
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


def test_the_last_999_agent_stays_ready_and_an_alarm_is_raised() -> None:
    """Two misses; ann is the only one who can take a 999."""
    room = room_with(ONE, missed_offers_maximum=1)
    play(
        room,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann rings
        wait 15 -> withdraw c1.1
        ann ends
        """,
    )
    [missed] = room.recorded(facts.AgentMissedOffers)
    assert missed.kept_ready
    assert [fact.kind for fact in room.recorded(facts.AlarmRaised)] == ["last 999 agent"]
    assert not any(isinstance(effect, effects.SetNotReady) for effect in room.asked)


def test_who_is_listed_or_gave_up_gets_a_capped_head_start() -> None:
    """The largest of line, list and repetition counts; from number and repetition no more than the cap."""
    keen = PriorityClass(name="keen", head_start_seconds=5000.0)
    room = room_with(
        (),
        more=(keen,),
        repeat=Repeat(abandons=3, minutes=30, priority_class="keen"),
        largest_boost_seconds=400.0,
    )
    knows(room, "c1", CallerKnowledge(listing="vulnerable", listed_class="vulnerable"))
    knows(room, "c2", CallerKnowledge(listing="vulnerable", listed_class="vulnerable", recent_abandons=3))
    knows(room, "c3", CallerKnowledge(listing="vexatious", calls_in_day=40))
    calls = room.engine.state.calls
    assert [(c.priority_class, c.classified_by) for c in calls.values()] == [
        ("vulnerable", ClassSource.LISTED),
        ("keen", ClassSource.REPEAT),
        ("routine", ClassSource.LINE),
    ]
    head_starts = [c.queued_at.monotonic_ns - place_of(c, room.policy).joined_ns for c in calls.values()]
    assert head_starts == [120 * 10**9, 400 * 10**9, 0]


def test_a_withheld_number_is_never_known() -> None:
    """Even if somebody should claim to know something."""
    room = room_with(())
    room.tell(arrival("c1", knowledge=CallerKnowledge(listed_class="vulnerable", calls_in_day=9)))
    assert room.recorded(facts.CallerRecognised) == []
    assert room.engine.state.calls["c1"].priority_class == "routine"


def test_a_relay_caller_has_a_longer_ring_no_menu_and_is_shown() -> None:
    """Assisted by the line: no menu, at least 30 s of ringing, and the handler sees it."""
    relay = line("relay", "brief", assisted=True, menu=MENU, language="cy")
    room = room_with(ONE, more=(SECOND, relay))
    play(room, "c1 calls relay -> serve c1, ring ann for c1")
    [offer] = [effect for effect in room.asked if isinstance(effect, effects.MakeOffer)]
    assert (offer.ring_seconds, offer.notes) == (30.0, ("assisted", "cy"))


def test_what_is_known_is_shown_before_the_answer() -> None:
    """Listing, earlier calls and abandons."""
    room = room_with(ONE)
    knows(
        room,
        "c1",
        CallerKnowledge(calls_in_day=2, calls_in_month=7, abandons_in_month=3, listing="repeat"),
    )
    [offer] = [effect for effect in room.asked if isinstance(effect, effects.MakeOffer)]
    assert offer.notes == ("repeat", "2 in 24 h 7 in 30 d", "gave up 3")


def test_the_position_is_said_only_when_it_is_true() -> None:
    """Position among those whom the same agents may take; nothing while nobody is at work; beyond twenty "more than"."""
    wanted = Announcements(every_seconds=60.0, position=True)
    room = room_with(
        ("ann 101 999", "bob welsh"),
        queue={"announcements": wanted},
        more=(line("only-welsh", "ow"), Queue(name="ow", skills=("welsh",))),
    )
    room.tell(inputs.AgentSeen(agent="ann", phone="ann", not_ready_reason="lunch"))
    room.tell(inputs.AgentSeen(agent="bob", phone="bob", not_ready_reason="lunch"))
    room.tell(arrival("w1", "only-welsh"))
    for index in range(1, 24):
        room.tell(arrival(f"c{index:02}"))
    room.wait(60.0)
    assert _said(room) == {}
    keep = room.engine.state.agents["ann"]
    room.tell(inputs.PhoneSeen(phone="ann", state=PhoneState.BUSY))
    room.tell(inputs.AgentSeen(agent="ann", phone="ann"))
    assert keep.not_ready_reason is None
    room.wait(60.0)
    said = _said(room)
    assert said["c01"] == ("position", "number:1")
    assert said["c20"] == ("position", "number:20")
    assert said["c21"] == said["c23"] == ("position", "number:21")


def _said(room: Room) -> dict[str, tuple[str, ...]]:
    return {e.call_id: e.sounds for e in room.asked if isinstance(e, effects.Announce)}


def test_the_expected_wait_is_said_only_when_it_is_known() -> None:
    """One agent, talks of 60 s each. After four nobody knows; after five whoever is next expects up to two minutes."""
    wanted = Announcements(every_seconds=10.0, expected_wait=True)
    room = room_with(ONE, queue={"announcements": wanted, "wrap_up_seconds": 0.0})
    for index in range(6):
        play(
            room,
            f"""
            s{index} calls 101 -> serve s{index}, ring ann for s{index}
            ann answers -> connect s{index}.1
            s{index} joined
            """,
        )
        if index == 3:
            play(room, "early calls 101 -> serve early")
            room.wait(10.0)
            play(room, "early hangs up")
            room.wait(50.0)
        elif index < 5:
            room.wait(60.0)
        if index < 5:
            play(room, f"s{index} hangs up")
    assert "early" not in _said(room)
    for name in ("c1", "c2", "c3"):
        room.tell(arrival(name))
    room.wait(10.0)
    said = _said(room)
    assert said["c1"] == ("expected-wait-between", "number:1", "and", "number:2", "minutes")
    assert said["c3"] == ("expected-wait-between", "number:1", "and", "number:5", "minutes")


def test_first_human_and_right_desk_are_both_kept() -> None:
    """A caller who was sent back: the first connection stays known, and the wait goes on from joining."""
    room = room_with(TWO, more=(SECOND,))
    play(
        room,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        wait 1
        c1 joined
        wait 10
        c1 sent-back-to second -> note c1 in second, serve c1, ring bob for c1
        """,
    )
    call = room.engine.state.calls["c1"]
    assert call.first_connected_at is not None
    assert call.first_connected_at.since(call.queued_at) == 1.0
    [offer] = [e for e in room.asked if isinstance(e, effects.MakeOffer) and e.phone == "bob"]
    assert offer.waited_seconds == 11.0
    assert "sent back" in offer.notes


def test_sent_back_to_the_999_queue_is_an_upgrade() -> None:
    """A handler who hears an emergency on 101 puts it among the 999."""
    room = room_with(TWO)
    play(
        room,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 sent-back-to 999 -> note c1 in 999, serve c1, ring bob for c1
        """,
    )
    assert room.engine.state.calls["c1"].upgraded_at == room.now


def test_the_switch_refused_one_at_its_entrance() -> None:
    """No channel to spare: arrived and refused in one step, once, with no place taken."""
    room = room_with(ONE)
    refused = inputs.CallRefused(call_id="c1", leg_id="c1", line="101", why="no channel to spare")
    room.tell(refused)
    room.tell(refused)
    [end] = room.recorded(facts.CallEnded)
    assert (end.outcome, end.stage, end.cause) == (CallOutcome.REFUSED, Stage.ENTRY, "no channel to spare")


def test_notes_and_marks_stand_in_the_record() -> None:
    """Incident reference, recording, wrap-up code, help and supervision, each a fact about the call."""
    room = room_with(ONE)
    play(
        room,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        """,
    )
    room.tell(inputs.AssistAsked(agent="ann"))
    began = inputs.SupervisionSeen(supervisor="sue", agent="ann", mode=Supervision.LISTEN, began=True)
    room.tell(began)
    room.tell(replace(began, began=False))
    room.tell(inputs.CallMarkedAssisted(call_id="c1", by="ann"))
    play(room, "c1 hangs up")
    room.tell(inputs.WrapUpCoded(agent="ann", code="crime"))
    room.tell(inputs.CallAnnotated(call_id="c1", kind="incident", value="123 of today", by="ann"))
    assert room.recorded(facts.WrapUpCoded) == [facts.WrapUpCoded(agent="ann", call_id="c1", code="crime")]
    assert room.recorded(facts.AssistAsked) == [facts.AssistAsked(agent="ann", call_id="c1")]
    assert room.recorded(facts.SupervisionBegan)[0].call_id == "c1"
    assert len(room.recorded(facts.SupervisionEnded)) == 1
    assert room.recorded(facts.CallAnnotated)[0].value == "123 of today"
    assert len(room.recorded(facts.CallMarkedAssisted)) == 1


def test_who_comes_by_invitation_belongs_to_the_call_to_its_end() -> None:
    """Asked, came, and gone when the talk was over and the handler had the next: all three are facts about the first call."""
    room = room_with((*ONE, "sue supervisor"))
    play(
        room,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        """,
    )
    began = inputs.SupervisionSeen(supervisor="sue", agent="ann", mode=Supervision.CONFERENCE, began=True)
    room.tell(inputs.SupervisorInvited(supervisor="sue", agent="ann"))
    room.tell(inputs.SupervisorInvited(supervisor="stranger", agent="ann"))
    room.tell(began)
    play(
        room,
        """
        c1 hangs up
        ann presses ready
        c2 calls 101 -> serve c2, ring ann for c2
        """,
    )
    room.tell(replace(began, began=False))
    told = (facts.SupervisorInvited, facts.SupervisionBegan, facts.SupervisionEnded)
    assert [(fact.supervisor, fact.call_id) for kind in told for fact in room.recorded(kind)] == [
        ("sue", "c1"),
    ] * 3


def test_supervision_in_a_talk_of_the_switch_is_of_that_call() -> None:
    """The switch's own queue connected it: the agent has no offer of ours."""
    room = room_with((*ONE, "sue supervisor"))
    play(
        room,
        """
        c1 in-fallback
        c1 answered-in-fallback-by ann
        """,
    )
    began = inputs.SupervisionSeen(supervisor="sue", agent="ann", mode=Supervision.LISTEN, began=True)
    room.tell(began)
    assert room.recorded(facts.SupervisionBegan)[0].call_id == "c1"


def test_a_major_incident_has_its_own_message_and_closes_queues() -> None:
    """Declared once, its greeting replaces the line's, the named queues are closed, and 999 is as ever."""
    policy = MajorIncident(greeting="incident", closed_queues=("brief",))
    room = room_with((), incident=policy)
    room.tell(inputs.IncidentSet(active=True, by="sue"))
    room.tell(inputs.IncidentSet(active=True, by="sue"))
    room.tell(arrival("c1", "greeted"))
    room.tell(arrival("c2", "brief"))
    room.tell(arrival("e1", "999"))
    charges = [effect for effect in room.asked if isinstance(effect, effects.TakeCharge)]
    assert [effect.greeting for effect in charges] == ["incident", "closed-incident", None]
    room.tell(inputs.IncidentSet(active=False, by="sue"))
    room.tell(arrival("c3", "brief"))
    assert room.engine.state.calls["c3"].state is CallState.WAITING
    assert [len(room.recorded(kind)) for kind in (facts.IncidentDeclared, facts.IncidentEnded)] == [1, 1]


def test_a_check_of_the_equipment_is_kept_and_serves_nobody_otherwise() -> None:
    """The last of each probe stands in the state, of so many probes at most; nothing is asked of the switch for it."""
    room = room_with(ONE)
    play(room, "c1 calls 101 -> serve c1, ring ann for c1")
    before, asked = room.engine.state.calls["c1"], len(room.asked)

    def checked(probe: str, verdict: CheckVerdict, figure: str = "") -> None:
        room.tell(inputs.EquipmentChecked(probe=probe, verdict=verdict, figure=figure, by="hwtest"))

    checked("sip.options", CheckVerdict.FAIL, "lost 12 percent")
    checked("call.one", CheckVerdict.PASS)
    checked("sip.options", CheckVerdict.PASS, "round trip 2 ms")
    state = room.engine.state
    assert {probe: check.verdict for probe, check in state.checks.items()} == {
        "call.one": CheckVerdict.PASS,
        "sip.options": CheckVerdict.PASS,
    }
    assert (list(state.checks)[-1], state.checks["sip.options"].at) == ("sip.options", room.now)
    assert len(room.recorded(facts.EquipmentChecked)) == 3
    assert (state.calls["c1"], len(room.asked)) == (before, asked)
    for number in range(2 * CHECKS_REMEMBERED):
        checked(f"made.up{number}", CheckVerdict.NOT_MEASURED)
    assert len(state.checks) == CHECKS_REMEMBERED
    assert list(state.checks)[-1] == f"made.up{2 * CHECKS_REMEMBERED - 1}"
    assert replay(room.entries).checks == state.checks


def test_passing_on_names_to_whom() -> None:
    """The fact says how and where to, and which agent did it."""
    room = room_with(ONE)
    play(
        room,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 passed-on-to 4002
        """,
    )
    [fact] = room.recorded(facts.CallPassedOn)
    assert (fact.agent, fact.kind, fact.target) == ("ann", TransferKind.BLIND, "4002")


def test_the_emergency_key_in_a_talk_with_the_other_number_cuts_nothing() -> None:
    """A diverted caller to whom the other number has not answered is ours again at once; who talks there goes on talking, as an
    upgraded 101 in the record; and if that number gives them back they are among the 999."""
    full = {"limit": 0, "overflow_phone": "elsewhere"}
    room = room_with(ONE, queue=full)
    play(
        room,
        """
        ann not ready
        c1 calls 101 -> serve c1, divert c1 to elsewhere
        c1 presses 9 -> note c1 in 999, serve c1
        = c1 waiting
        c2 calls 101 -> serve c2, divert c2 to elsewhere
        c2 taken-elsewhere
        c2 taken-elsewhere
        c2 presses 9 -> note c2 in 999
        = c2 leaving
        c3 calls 101 -> serve c3, divert c3 to elsewhere
        c3 taken-elsewhere
        c3 presses 9 -> note c3 in 999
        c3 returned -> serve c3, note c3 in 999
        = c3 waiting
        c2 hangs up
        """,
    )
    [end] = room.recorded(facts.CallEnded)
    assert (end.call_id, end.outcome) == ("c2", CallOutcome.OVERFLOWED)
    assert [fact.call_id for fact in room.recorded(facts.CallUpgraded)] == ["c1", "c2", "c3"]
    assert [fact.call_id for fact in room.recorded(facts.DiversionAnswered)] == ["c2", "c3"]


def test_the_colleague_has_the_call_and_the_wrap_up() -> None:
    """Rung for nothing else though their phone looks idle, shown as talking, in the record with their own talk, and in wrap-up
    when they have left; the first handler's wrap-up goes by when the first left."""
    room = room_with(TWO)
    play(
        room,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        wait 10
        c1 passed-on-to agent bob
        ann hangs up
        = ann wrap-up; bob ready
        wait 2
        c1 taken-by bob
        = c1 talking; ann wrap-up; bob talking
        c2 calls 101 -> serve c2
        c1 taken-by bob
        wait 20
        c1.to-bob hangs up
        = bob wrap-up
        c1 hangs up
        """,
    )
    [end] = room.recorded(facts.CallEnded)
    assert (end.agent, end.talked_seconds) == ("bob", 20.0)
    assert len(room.recorded(facts.CallTakenOver)) == 1


def test_a_colleague_who_is_busy_otherwise_is_so_until_the_last_call_is_over() -> None:
    """They answered a colleague's transfer on a second line: no wrap-up before both calls are over, whichever ends first. A ring
    for another call is withdrawn, a wrap-up is over."""
    for first, second in (("c2.1", "c1.to-bob"), ("c1.to-bob", "c2.1")):
        room = room_with(TWO)
        play(
            room,
            f"""
            c1 calls 101 -> serve c1, ring ann for c1
            ann answers -> connect c1.1
            c1 joined
            c2 calls 101 -> serve c2, ring bob for c2
            bob answers -> connect c2.1
            c2 joined
            c1 passed-on-to agent bob
            c1 taken-by bob
            {first} hangs up
            = bob talking
            {second} hangs up
            = bob wrap-up
            c1 hangs up
            c2 hangs up
            """,
        )
    room = room_with(TWO)
    play(
        room,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c2 calls 101 -> serve c2, ring bob for c2
        c1 passed-on-to agent bob
        c1 taken-by bob -> withdraw c2.1
        c2.1 ends
        = bob talking; c2 waiting
        c1 hangs up
        = bob wrap-up
        """,
    )


def test_a_colleague_is_kept_through_a_loss_of_sight_and_a_restart() -> None:
    """No snapshot shows whose leg that is: while the caller is seen connected they talk; they are freed with the call's end."""
    room = room_with(TWO)
    play(
        room,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 passed-on-to agent bob
        c1 taken-by bob
        ann hangs up
        link lost
        seen c1:connected
        = c1 talking; bob talking
        killed and restarted
        seen c1:connected
        = c1 talking; bob talking
        c1 hangs up
        = bob wrap-up
        """,
    )


def test_the_colleague_passes_the_caller_on_in_vain() -> None:
    """Back at their place: the colleague has had their talk, and is the one whom the caller is not put to at once."""
    room = room_with(TWO)
    play(
        room,
        """
        c1 calls 101 -> serve c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        c1 passed-on-to agent bob
        c1 taken-by bob
        ann hangs up
        c1 passed-on-to 01632960777
        c1.to-bob hangs up
        = ann wrap-up; bob wrap-up; c1 talking
        c1 returned -> serve c1
        """,
    )
    [end] = [fact for fact in room.recorded(facts.OfferEnded) if fact.agent == "bob"]
    assert end.outcome is OfferOutcome.ANSWERED


@given(
    st.sampled_from(["999", "trial"]),
    st.booleans(),
    st.integers(0, 2),
    st.floats(1.0, 200.0),
    st.booleans(),
)
def test_nothing_ever_stands_before_a_999(
    name: str, closed: bool, limit: int, wait_seconds: float, incident: bool
) -> None:
    """Whatever hours, limits, longest wait and incident its queue has been given, a 999 is neither told nor sent anything."""
    queues = {item.name: item for item in QUEUES}
    queues["999"] = replace(
        queues["999"],
        hours=CLOSED if closed else None,
        limit=limit,
        maximum_wait_seconds=5.0,
        announcements=Announcements(every_seconds=7.0, prompt="patience", position=True),
        overflow_phone="elsewhere",
    )
    room = Room(seen=False, emergency=Emergency(queue="999"), incident=MajorIncident(closed_queues=("999",)))
    room.restart(queues=queues)
    room.look()
    if incident:
        room.tell(inputs.IncidentSet(active=True, by="sue"))
    room.tell(arrival("e1", name))
    room.wait(wait_seconds)
    forbidden = (effects.Announce, effects.HangUpCaller, effects.Divert)
    assert not any(isinstance(effect, forbidden) for effect in room.asked)
    assert all(e.greeting is None for e in room.asked if isinstance(e, effects.TakeCharge))
    assert room.engine.state.calls["e1"].state in (CallState.WAITING, CallState.OFFERED)


@given(st.lists(st.sampled_from(["1", "2", "3", "8", "back"]), max_size=8))
def test_the_time_of_joining_survives_everything(keys: list[str]) -> None:
    """Menu keys in any order, and being sent back by a handler: the time of joining is that of the arrival."""
    room = room_with((), more=(SECOND, BARE))
    room.tell(arrival("c1", "bare"))
    joined: Instant = room.engine.state.calls["c1"].queued_at
    for key in keys:
        room.wait(1.0)
        if key == "back":
            room.tell(inputs.CallSentBack(call_id="c1", queue="second"))
        else:
            room.tell(inputs.KeyPressed(call_id="c1", key=key))
        assert room.engine.state.calls["c1"].queued_at == joined
    assert all(fact.outcome is not OfferOutcome.LOST for fact in room.recorded(facts.OfferEnded))
