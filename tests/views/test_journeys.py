"""Calls that are upgraded, escalated, triaged, turned away, passed on: their records, figures and stories."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, get_args

import pytest

from edge.core import facts, inputs
from edge.core.model import (
    CallerKnowledge,
    CallOutcome,
    CallState,
    CheckVerdict,
    ClassSource,
    OfferOutcome,
    Rung,
    Side,
    Stage,
    Supervision,
    Tier,
    TransferKind,
)
from edge.ledger.memory import MemoryLedger
from edge.views import calls, story, words
from edge.views.agents import view_agents
from edge.views.calls import fold_calls
from edge.views.queues import view_queues
from edge.views.reading import STORY_FACTS, whole_call
from edge.views.shift import Fate, fate_of, summarise
from tests.views.room import Room, policy
from tests.views.tape import Tape, triaged


def ended_999() -> Tape:
    """A 999 that rang everybody and the supervisors before it was answered, after a wrap-up was broken for it."""
    tape = Tape()
    tape.arrive("c0")
    old = tape.connect("c0", "4001")
    tape.wait(1)
    tape.leave(old, "4001")
    tape.end("c0", CallOutcome.ANSWERED)
    tape.wait(1)
    tape.arrive("e1", line="emergency", queue="emergency", tier=0)
    tape.say(facts.WrapUpBroken(agent="4001", call_id="e1", seconds=29.0))
    tape.wait(8)
    tape.say(facts.CallEscalated(call_id="e1", rung=Rung.ALL_AGENTS))
    tape.wait(7)
    tape.say(facts.CallEscalated(call_id="e1", rung=Rung.SUPERVISORS))
    tape.say(facts.AlarmRaised(kind="999 unanswered", detail="rings the supervisors too", call_id="e1"))
    tape.connect("e1", "4900")
    return tape


def upgraded(after_seconds: float = 12.0) -> Tape:
    """A 101 that becomes one of the 999 and is answered there."""
    tape = Tape()
    tape.arrive("c1")
    tape.wait(after_seconds)
    tape.say(facts.CallUpgraded(call_id="c1", queue="emergency"))
    tape.wait(1)
    tape.connect("c1", "4001")
    return tape


def turned_away(why: str, *, gave_up: bool = False, after_seconds: float = 0.0) -> Tape:
    """A 101 that was told why, and let go or hung up before."""
    tape = Tape()
    tape.arrive("c1")
    tape.wait(after_seconds)
    tape.say(facts.CallTurnedAway(call_id="c1", why=why, prompt="closed"))
    tape.wait(6)
    outcome = CallOutcome.ABANDONED if gave_up else CallOutcome.REFUSED
    tape.end("c1", outcome, Stage.LEAVING, why)
    return tape


def diverted(why: str) -> Tape:
    """A 101 that was sent to another number."""
    tape = Tape()
    tape.arrive("c1")
    tape.wait(300)
    tape.say(facts.CallDiverted(call_id="c1", why=why, phone="switchboard"))
    tape.wait(1)
    tape.end("c1", CallOutcome.OVERFLOWED, Stage.LEAVING, why)
    return tape


def refused_at_the_entrance() -> Tape:
    """The switch had no channel to spare."""
    tape = Tape()
    arrived = facts.CallArrived(call_id="c1", leg_id="c1", line="main", number_withheld=True, adopted=False)
    tape.say(arrived)
    tape.end("c1", CallOutcome.REFUSED, Stage.ENTRY, "no channel to spare")
    return tape


def test_every_fact_with_a_call_is_folded_and_read() -> None:
    """A new kind of fact about a call can neither break a reader nor be forgotten by one."""
    about_calls = {kind for kind in facts.KINDS.values() if "call_id" in {part.name for part in fields(kind)}}
    assert about_calls - {facts.CallArrived} <= set(calls._FOLDS)
    assert about_calls <= set(STORY_FACTS)
    assert set(get_args(facts.CallFact)) <= about_calls


def test_a_refusing_buddy_force_is_called_by_its_name() -> None:
    """Agents go by number in the list of who did not take a call; another force has none."""
    tape = Tape()
    tape.arrive("e1", line="999", tier=0)
    offer_id = tape.offer("e1", "buddy")
    tape.say(
        facts.OfferEnded(
            offer_id=offer_id, call_id="e1", agent="buddy", outcome=OfferOutcome.REJECTED, cause="busy"
        )
    )
    tape.end("e1", CallOutcome.ABANDONED, Stage.QUEUE, "hung up")
    assert "(offered in vain to the buddy force (rejected))" in story.outcome_sentence(tape.fold.calls["e1"])


def test_both_waits_of_a_triaged_call_are_known() -> None:
    """To the first person, and to the right desk: the waits for each person added up, without the talk between."""
    call = triaged().fold.calls["c1"]
    assert (call.first_human_seconds, call.right_desk_seconds) == (5.0, 25.0)
    assert [(c.agent, call.talked_seconds_with(c)) for c in call.connections] == [
        ("4001", 10.0),
        ("4002", 30.0),
    ]
    assert [(b.agent, b.queue) for b in call.sent_back] == [("4001", "general")]


def test_the_record_has_all_that_was_done_with_a_call() -> None:
    """Menu, class, announcements, supervision, assist, code, passing on, and notes made after the end."""
    call = triaged().fold.calls["c1"]
    assert [(c.source, c.detail, c.queue) for c in call.classes] == [(ClassSource.MENU, "key 1", "burglary")]
    assert (call.priority_class, call.language, call.queue) == ("crime", "cy", "general")
    assert [(heard.prompt, heard.completed) for heard in call.announcements] == [("menu", False)]
    (seen,) = call.supervisions
    assert seen.ended_at is not None
    assert (seen.supervisor, seen.mode, seen.ended_at.since(seen.started_at)) == (
        "4900",
        Supervision.LISTEN,
        10.0,
    )
    assert [asked.agent for asked in call.assists] == ["4002"]
    assert [(given.agent, given.code) for given in call.wrap_up_codes] == [("4002", "crime")]
    assert [(passed.agent, passed.kind) for passed in call.passed_on] == [("4002", TransferKind.BLIND)]
    assert [(note.kind, note.value, note.state) for note in call.annotations] == [
        ("incident", "POL-1", ""),
        ("recording", "rec-7", "failed"),
    ]
    assert [work.agent for work in call.wrap_ups] == ["4001", "4002"]
    assert all(work.ended_at is not None and not work.broken for work in call.wrap_ups)


def test_the_whole_call_has_every_wrap_up_and_what_was_noted_later() -> None:
    """Both agents' ends of wrap-up, once each, in order."""
    ledger = MemoryLedger()
    ledger.append(triaged().entries)
    told = whole_call(ledger, "c1")
    kinds = [type(entry.fact).__name__ for entry in told]
    assert (kinds.count("WrapUpEnded"), kinds[-1]) == (2, "CallAnnotated")
    assert [entry.sequence for entry in told] == sorted({entry.sequence for entry in told})


def test_a_wrap_up_that_a_999_broke_is_known_on_both_sides() -> None:
    """The record of the one is shortened, that of the 999 names the agent, and it is counted."""
    records = ended_999().fold.calls
    (broken,) = records["c0"].wrap_ups
    assert (broken.broken, records["c0"].wrap_up_seconds) == (True, 1.0)
    assert records["e1"].wrap_ups_broken == ["4001"]
    assert summarise(records.values(), 10.0).wrap_ups_broken == 1


def test_what_is_given_back_of_a_broken_wrap_up_is_no_wrap_up_of_the_999() -> None:
    """The agent never had that call."""
    tape = Tape()
    tape.arrive("e1", line="emergency", queue="emergency", tier=0)
    tape.say(facts.WrapUpStarted(agent="4001", call_id="e1", seconds=20.0))
    assert tape.fold.calls["e1"].wrap_ups == []


def test_an_upgraded_101_is_no_999_in_the_figures() -> None:
    """It waits among the 999, is shown as what it is, and counts as a 101 where it waited as one."""
    tape = upgraded()
    record = tape.fold.calls["c1"]
    assert (record.counted_tier, words.kind_of(record), record.counted_queue) == (
        Tier.ROUTINE,
        "upgraded 101",
        "general",
    )
    assert words.kind_of(tape.state.calls["c1"]) == "upgraded 101"
    emergency, general = view_queues(tape.state, [record], {"general": 10.0}, {"emergency"})
    assert (emergency.tier, emergency.talking, emergency.upgraded) == (Tier.EMERGENCY, 1, 1)
    assert (emergency.today.offered, emergency.today.upgraded) == (0, 0)
    assert (general.today.offered, general.today.answered, general.today.upgraded) == (1, 1, 1)
    assert general.today.waits.longest_seconds == 13.0


def test_a_call_taken_back_from_the_fallback_after_an_upgrade_is_still_a_101() -> None:
    """The second joining is among the 999, and changes nothing in the figures."""
    tape = Tape()
    tape.arrive("c1")
    tape.say(facts.FallbackEntered(call_id="c1", why="dead-man"))
    tape.say(facts.CallUpgraded(call_id="c1", queue="emergency"))
    joined = tape.state.calls["c1"].queued_at
    tape.say(
        facts.CallQueued(call_id="c1", queue="emergency", priority_class="standard", tier=0, queued_at=joined)
    )
    record = tape.fold.calls["c1"]
    assert (record.counted_tier, record.counted_queue, record.state) == (
        Tier.ROUTINE,
        "general",
        CallState.WAITING,
    )


def test_a_test_call_is_in_no_figure() -> None:
    """Neither among those who wait, nor of the day, nor of an agent; only its own count has it."""
    tape = Tape()
    tape.arrive("t1", line="999_test", queue="emergency", tier=0, test=True)
    (row,) = view_queues(tape.state, tape.fold.calls.values(), {"emergency": 10.0}, {"emergency"})
    assert (row.waiting, row.oldest_at, row.today.offered, row.today.waiting) == (0, None, 0, 0)
    tape.connect("t1", "4001")
    summary = summarise(tape.fold.calls.values(), 10.0)
    assert (summary.test, summary.offered, summary.answered, summary.service_level) == (1, 0, 0, None)
    (agent, *_) = view_agents(tape.state, {}, tape.fold.calls.values())
    assert (agent.agent, agent.answered, agent.call_kind) == ("4001", 0, "test 999")


@pytest.mark.parametrize(
    ("tape", "fate"),
    [
        (turned_away("closed"), Fate.TURNED_AWAY),
        (turned_away("full", gave_up=True), Fate.TURNED_AWAY),
        (turned_away("waited too long", after_seconds=300), Fate.TURNED_AWAY),
        (diverted("full"), Fate.OVERFLOWED),
        (refused_at_the_entrance(), Fate.REFUSED),
        (upgraded(), Fate.ANSWERED),
    ],
)
def test_who_was_sent_away_is_counted_apart(tape: Tape, fate: Fate) -> None:
    """Never as answered nor as abandoned; the parts of a summary add up."""
    summary = summarise(tape.fold.calls.values(), 10.0)
    counted = {
        Fate.ANSWERED: summary.answered,
        Fate.ABANDONED: summary.abandoned,
        Fate.UNKNOWN: summary.unknown,
        Fate.REFUSED: summary.refused,
        Fate.TURNED_AWAY: summary.turned_away,
        Fate.OVERFLOWED: summary.overflowed,
        Fate.UNREACHED: summary.unreached,
        Fate.CANCELLED: summary.cancelled,
        Fate.MERGED: summary.merged,
        Fate.WAITING: summary.waiting,
    }
    assert counted == {each: int(each is fate) for each in Fate}
    assert summary.offered == sum(counted.values()) == 1


@pytest.mark.parametrize(
    ("tape", "service_level"),
    [
        (turned_away("closed"), None),
        (turned_away("full"), None),
        (refused_at_the_entrance(), None),
        (diverted("full"), None),
        (turned_away("waited too long", after_seconds=300), 0.0),
        (diverted("waited too long"), 0.0),
    ],
)
def test_closing_a_queue_does_not_change_the_service_level_and_a_wait_in_vain_lowers_it(
    tape: Tape, service_level: float | None
) -> None:
    """Who was never let in is in neither part; who had waited as long as one may is a loss."""
    assert summarise(tape.fold.calls.values(), 10.0).service_level == service_level


def test_a_caller_who_was_turned_away_and_presses_the_key_is_answered() -> None:
    """The message was cut, and the call is one of the 999."""
    tape = Tape()
    tape.arrive("c1")
    tape.say(facts.CallTurnedAway(call_id="c1", why="closed", prompt="closed"))
    tape.wait(2)
    tape.say(facts.CallUpgraded(call_id="c1", queue="emergency"))
    assert tape.fold.calls["c1"].state is CallState.WAITING
    tape.connect("c1", "4001")
    tape.end("c1", CallOutcome.ANSWERED)
    assert fate_of(tape.fold.calls["c1"]) is Fate.ANSWERED


def test_who_gives_up_after_being_sent_back_was_answered_and_gave_up_in_transfer() -> None:
    """The first person had them in time; the second loss has its own count."""
    tape = Tape()
    tape.arrive("c1")
    tape.wait(2)
    offer = tape.connect("c1", "4001")
    tape.wait(10)
    tape.say(facts.CallSentBack(call_id="c1", agent="4001", queue="general"))
    tape.leave(offer, "4001")
    tape.wait(90)
    tape.end("c1", CallOutcome.ABANDONED, Stage.QUEUE)
    summary = summarise(tape.fold.calls.values(), 10.0)
    assert (summary.answered, summary.abandoned, summary.abandoned_in_transfer) == (1, 0, 1)
    assert (summary.waits.longest_seconds, summary.sent_back, summary.service_level) == (2.0, 1, 1.0)
    sentence = story.outcome_sentence(tape.fold.calls["c1"])
    assert sentence.startswith(
        "The call was answered by agent 4001 after a wait of 2.0 s (sent back to queue general"
    )
    assert "not again after it was sent back" in sentence


def test_waits_are_known_by_language() -> None:
    """Those who waited longer in one language cannot hide among the others."""
    tape = Tape()
    for name, language, seconds, agent in (("c1", "en", 2, "4001"), ("c2", "cy", 40, "4002")):
        tape.arrive(name, language=language)
        tape.wait(seconds)
        tape.connect(name, agent)
    waits = summarise(tape.fold.calls.values(), 10.0).waits_by_language
    assert {language: found.longest_seconds for language, found in waits.items()} == {"cy": 40.0, "en": 2.0}


def test_a_call_that_never_arrived_in_the_fold_changes_nothing() -> None:
    """Facts about a call before the window that is read, at and after its end."""
    late = [entry for entry in triaged().entries if not isinstance(entry.fact, facts.CallArrived)]
    assert fold_calls(late) == {}


@pytest.mark.parametrize(
    ("tape", "call_id", "expected"),
    [
        (upgraded(), "c1", "talking to agent 4001 after a wait of 13.0 s (upgraded 101 at 12.0 s"),
        (ended_999(), "e1", "rang everybody at 8.0 s; rang the supervisors too at 15.0 s"),
        (turned_away("closed"), "c1", "The call was refused (closed): it ended while it was told why"),
        (refused_at_the_entrance(), "c1", "The call was refused (no channel to spare): it ended at the entrance"),
        (diverted("full"), "c1", "sent to another number after a wait of 301.0 s (sent to phone switchboard (full))"),
        (triaged(), "c1", "(25.0 s for the right desk) (sent back to queue general by agent 4001; passed on to number …999 by"),
    ],
)  # fmt: skip
def test_the_outcome_tells_the_journey(tape: Tape, call_id: str, expected: str) -> None:
    """In plain words, with the times at which it was upgraded or escalated."""
    sentence = story.outcome_sentence(tape.fold.calls[call_id])
    assert expected in sentence
    assert sentence.endswith(".")


def test_a_test_call_is_called_one() -> None:
    """In the sentence that answers a question about it."""
    tape = Tape()
    tape.arrive("t1", line="999_test", queue="emergency", tier=0, test=True)
    tape.connect("t1", "test")
    assert story.outcome_sentence(tape.fold.calls["t1"]).startswith(
        "The test call is open: talking to the test phone"
    )


STORIES = [
    (facts.CallUpgraded(call_id="c", queue="q"), "upgraded 101"),
    (facts.CallEscalated(call_id="c", rung=Rung.ALL_AGENTS), "rang everybody"),
    (facts.CallEscalated(call_id="c", rung=Rung.BUDDY), "rang the buddy force too"),
    (facts.CallMarkedAssisted(call_id="c", by="4001"), "marked as assisted by 4001"),
    (facts.CallTurnedAway(call_id="c", why="closed", prompt="closed"), "told by closed that it cannot be served: closed"),
    (facts.CallDiverted(call_id="c", why="full", phone="p"), "sent to phone p: full"),
    (facts.CallAnnotated(call_id="c", kind="incident", value="P-1", state="", by="x"), "incident P-1 attached by x"),
    (facts.CallAnnotated(call_id="c", kind="recording", value="r", state="failed", by=""), "recording r failed"),
    (facts.AgentMissedOffers(agent="4001", missed=3, kept_ready=True), "kept ready as the last who can take a 999"),
    (facts.AgentMissedOffers(agent="4001", missed=3, kept_ready=False), "being set not ready"),
    (facts.IncidentDeclared(by="ann"), "major incident declared by ann"),
    (
        facts.EquipmentChecked(probe="call.one", verdict=CheckVerdict.NOT_MEASURED, figure="no phone", by="hwtest"),
        "call.one came to not measured: no phone (by hwtest)",
    ),
    (facts.AlarmRaised(kind="999 unanswered", detail="words"), "ALARM 999 unanswered: words"),
    (facts.CallAnswered(call_id="c", by=Side.AGENT), "answered by the agent"),
    (facts.OfferRang(offer_id="c.1", call_id="c", agent="buddy"), "the phone of the buddy force rang"),
    (facts.CallConnected(call_id="c", offer_id="c.1", agent="test", waited_seconds=1.0), "connected to the test phone"),
]  # fmt: skip


@pytest.mark.parametrize(("fact", "expected"), STORIES, ids=lambda value: type(value).__name__)
def test_facts_in_words(fact: facts.Fact, expected: str) -> None:
    """A person understands them without a manual."""
    assert expected in story.describe(fact)


@pytest.mark.parametrize("to_agent", [None, "4002"])
def test_the_story_gives_no_number_away(to_agent: str | None) -> None:
    """Neither whom a caller was passed on to, nor what was known of the caller."""
    passed = facts.CallPassedOn(
        call_id="c", agent="4001", kind=TransferKind.ATTENDED, target="07700900123", to_agent=to_agent
    )
    known = facts.CallerRecognised(
        call_id="c", knowledge=CallerKnowledge(calls_in_day=4, listing="vulnerable")
    )
    told = story.describe(passed) + story.describe(known)
    assert ("900123" in told, "vulnerable" in told, "4 calls" in told) == (False, False, False)
    assert (("agent 4002" in told) if to_agent else ("…123" in told)) is True


def test_agents_show_what_a_supervisor_must_see() -> None:
    """Kind of call, hold, who listens, and figures of every conversation, those that were sent back too."""
    tape = triaged()
    views = {view.agent: view for view in view_agents(tape.state, {}, tape.fold.calls.values())}
    assert (views["4001"].answered, views["4001"].talked_seconds) == (1, 10.0)
    assert (views["4002"].answered, views["4002"].talked_seconds) == (1, 30.0)
    tape.arrive("c2")
    tape.connect("c2", "4001")
    tape.say(facts.CallHeld(call_id="c2", agent="4001"))
    tape.say(facts.SupervisionBegan(supervisor="4900", agent="4001", call_id="c2", mode=Supervision.WHISPER))
    (view, *_) = view_agents(tape.state, {}, tape.fold.calls.values())
    assert (view.call_kind, view.held, view.supervised_by) == ("101", True, ("4900 whispering",))


@pytest.mark.parametrize(
    ("changes", "in_vain"),
    [({"maximum_wait_seconds": 30.0}, 1), ({"limit": 0}, 0)],
    ids=["waited too long", "full"],
)
def test_the_engine_says_who_waited_in_vain_in_the_words_of_the_figures(
    changes: dict[str, Any], in_vain: int
) -> None:
    """Turned away by the real engine after the maximum wait: a loss. Turned away at once: no part of the service level."""
    site = policy()
    queue = replace(site.queues["general"], **changes)
    room = Room(replace(site, queues={**site.queues, "general": queue}))
    call_id = room.arrive()
    room.wait(40)
    room.give(inputs.AnnouncementFinished(call_id=call_id, prompt="full", completed=True))
    room.give(inputs.CallerGone(call_id=call_id, side=Side.SYSTEM, cause="16"))
    record = fold_calls(room.entries)[call_id]
    assert (record.outcome, record.stage) == (CallOutcome.REFUSED, Stage.LEAVING)
    summary = summarise([record], 10.0)
    assert (summary.turned_away, summary.let_go_after_waiting) == (1, in_vain)
    assert summary.service_level == (0.0 if in_vain else None)
