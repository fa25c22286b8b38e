"""Call-backs and ring-back tasks: their records, states, figures and stories. The tape holds the states to the engine's."""

from __future__ import annotations

import pytest

from edge.core import facts
from edge.core.model import CallOutcome, CallState, Stage
from edge.core.promise import Asked, AttemptOutcome, Judgement, TaskKind, TaskOutcome
from edge.views.agents import view_agents
from edge.views.queues import view_queues
from edge.views.shift import Fate, fate_of, summarise
from edge.views.story import describe, outcome_sentence, tell
from edge.views.tasks import fold_tasks
from tests.views.callbacks import NUMBER, CallbackTape, kept, unreached


def test_a_kept_promise_has_every_stamp() -> None:
    """Gross from joining to the person; net what was spent on the line."""
    call = kept().fold.calls["c1"]
    promise = call.callback
    assert promise is not None
    assert (promise.number, promise.keyed, promise.confirmed_at) == (NUMBER, False, promise.promised_at)
    assert promise.promised_at.since(call.queued_at) == 63
    assert promise.off_line_at is not None
    assert promise.off_line_at.since(call.queued_at) == 70
    first, second = promise.attempts
    assert (first.agent, first.outcome, first.counted) == ("4001", AttemptOutcome.NO_ANSWER, True)
    assert first.answered_at is None
    assert (second.agent, second.outcome, second.ended_at) == ("4002", None, None)
    assert second.answered_at is not None
    assert second.rang_at is not None
    assert second.answered_at.since(second.rang_at) == 3
    assert call.first_human_seconds == 70 + 600 + 27 + 120 + 5
    assert call.on_line_seconds == 70
    assert [dialogue.asked for dialogue in call.dialogues] == [[Asked.NUMBER, Asked.SAFE]]
    assert [(each.low_seconds, each.high_seconds) for each in call.predictions] == [(120, 300)]


def test_a_kept_promise_in_figures() -> None:
    """An answered call, by its gross wait, with its net wait beside it."""
    summary = summarise(kept().fold.calls.values(), 30.0)
    assert (summary.answered, summary.promised, summary.kept, summary.callbacks_waiting) == (1, 1, 1, 0)
    assert (summary.waits.mean_seconds, summary.on_line_waits.mean_seconds) == (822, 70)
    assert summary.service_level == 0.0


def test_its_story_in_plain_words() -> None:
    """What happened, in order, and no number in it."""
    tape = kept()
    lines = [
        line.what for line in tell([e for e in tape.entries if getattr(e.fact, "call_id", None) == "c1"])
    ]
    for words in (
        "expected to wait 120 to 300 s from here",
        "offered a call-back",
        "asked whether the number that we have is right",
        "asked whether it is safe to call that number",
        "promised a call-back to the number that called",
        "the promise is on disk",
        "off the line, and waits at its place: the caller hung up",
        "offered to agent 4001 at phone phone4001, to ring the person once there",
        "attempt 1: agent 4001 is on the line",
        "attempt 1: the person was dialled",
        "attempt 1: the person's phone rang",
        "attempt 1 over: no answer (20), counted; its place is kept",
        "attempt 2: answered, and being connected",
        "connected to agent 4002",
    ):
        assert any(words in line for line in lines), words
    story = "\n".join(lines) + outcome_sentence(tape.fold.calls["c1"])
    assert NUMBER[-6:] not in story
    assert outcome_sentence(tape.fold.calls["c1"]) == (
        "The call was answered by agent 4002 after a wait of 822.0 s (call-back promised at 63.0 s; 752.0 s of it off the line; "
        "the person rung 2 times: no answer, connected); they talked for 100.0 s and the caller hung up."
    )


def test_states_on_the_way() -> None:
    """As the engine has them (the tape compares), in the queue's view, and of the agent."""
    tape = CallbackTape()
    tape.arrive("c1")
    call = tape.fold.calls["c1"]
    seen = []

    def look() -> None:
        (queue,) = view_queues(tape.state)
        seen.append((call.state, queue.waiting, queue.callbacks, queue.dialling))

    tape.promise("c1")
    look()
    tape.off_the_line("c1")
    look()
    offer_id = tape.offer("c1", "4001")
    look()
    tape.say(facts.OfferAnswered(offer_id=offer_id, call_id="c1", agent="4001"))
    attempt = tape.dial("c1", "4001", offer_id)
    look()
    (agent, *_) = view_agents(tape.state)
    assert (agent.call_id, agent.call_kind) == ("c1", "101")
    assert "being rung" in outcome_sentence(call)
    assert "rung once: in progress" in outcome_sentence(call)
    tape.say(facts.CallbackAnswered(call_id="c1", attempt=attempt, leg_id="p1"))
    look()
    assert seen == [
        (CallState.PROMISED, 1, 0, 0),
        (CallState.CALLBACK, 0, 1, 0),
        (CallState.RESERVING, 0, 1, 0),
        (CallState.DIALLING, 0, 0, 1),
        (CallState.CONNECTING, 0, 0, 0),
    ]
    assert fate_of(call) is Fate.WAITING
    assert summarise([call], 30.0).callbacks_waiting == 1


def test_the_longest_wait_is_that_of_a_call_back() -> None:
    """Who is off the line has not stopped waiting."""
    tape = CallbackTape()
    tape.arrive("c1")
    joined = tape.now
    tape.promise("c1")
    tape.off_the_line("c1")
    tape.wait(60)
    tape.arrive("c2")
    (queue,) = view_queues(tape.state)
    assert (queue.oldest_at, queue.waiting, queue.callbacks) == (joined, 1, 1)


def test_caller_first() -> None:
    """An agent is kept, the person presses a key and is a caller on the line again."""
    tape = CallbackTape()
    tape.arrive("c1")
    tape.promise("c1")
    tape.off_the_line("c1")
    tape.wait(100)
    attempt = tape.dial("c1", "4001", None)
    (agent, *_) = view_agents(tape.state)
    assert agent.call_id == "c1"
    tape.say(facts.CallbackPickedUp(call_id="c1", attempt=attempt, leg_id="p1", check_seconds=10.0))
    call = tape.fold.calls["c1"]
    states = [call.state]
    tape.wait(4)
    tape.say(facts.CallbackPresent(call_id="c1"))
    states.append(call.state)
    tape.connect("c1", "4001")
    states.append(call.state)
    assert states == [CallState.CHECKING, CallState.WAITING, CallState.TALKING]
    assert call.callback is not None
    assert call.callback.attempts[0].pressed_at == tape.now
    assert (call.first_human_seconds, call.on_line_seconds) == (109, 7)


def test_a_machine_is_nobody() -> None:
    """A talk that the handler judged to be with a machine was no first human, and the agent had it all the same."""
    tape = CallbackTape()
    tape.arrive("c1")
    tape.promise("c1")
    tape.off_the_line("c1")
    offer_id = tape.reserve("c1", "4001")
    attempt = tape.dial("c1", "4001", offer_id)
    tape.pair("c1", "4001", offer_id, attempt)
    call = tape.fold.calls["c1"]
    assert fate_of(call) is Fate.ANSWERED
    tape.wait(5)
    tape.fail("c1", attempt, AttemptOutcome.MACHINE, offer_id, "4001")
    assert (call.state, call.first_human_seconds, fate_of(call)) == (CallState.CALLBACK, None, Fate.WAITING)
    assert view_agents(tape.state, records=[call])[0].answered == 1
    tape.wait(55)
    again = tape.reserve("c1", "4002")
    attempt = tape.dial("c1", "4002", again)
    tape.pair("c1", "4002", again, attempt)
    assert call.first_human_seconds == 3 + 2 + 5 + 55 + 2
    assert call.right_desk_seconds == call.first_human_seconds
    assert call.on_line_seconds == 3 + 5


@pytest.mark.parametrize(
    ("outcome", "fate", "words"),
    [
        (CallOutcome.CANCELLED, Fate.CANCELLED, "The call-back was cancelled"),
        (CallOutcome.MERGED, Fate.MERGED, "went on as the earlier one"),
        (CallOutcome.UNREACHED, Fate.UNREACHED, "it became a task for a human"),
    ],
)
def test_promises_that_end_otherwise(outcome: CallOutcome, fate: Fate, words: str) -> None:
    """Each is counted once; only the unreached is a loss."""
    tape = CallbackTape()
    tape.arrive("c1")
    tape.promise("c1")
    tape.off_the_line("c1")
    tape.wait(10)
    tape.end("c1", outcome, Stage.CALLBACK, "told by ann")
    call = tape.fold.calls["c1"]
    assert fate_of(call) is fate
    assert words in outcome_sentence(call)
    summary = summarise([call], 30.0)
    counted = (summary.unreached, summary.cancelled, summary.merged, summary.answered, summary.abandoned)
    assert sum(counted) == summary.offered == summary.promised == 1
    assert summary.service_level == (0.0 if fate is Fate.UNREACHED else None)


def test_declined_and_revoked_are_no_promises() -> None:
    """The caller goes on waiting, and the record says why."""
    tape = CallbackTape()
    tape.arrive("c1")
    tape.say(facts.CallbackOffered(call_id="c1"))
    tape.say(facts.CallbackAsked(call_id="c1", asked=Asked.KEY))
    tape.say(facts.CallbackNumberKeyed(call_id="c1", judgement=Judgement.FORBIDDEN, number=None))
    tape.say(facts.CallbackDeclined(call_id="c1", why="the number is never dialled"))
    tape.say(facts.CallbackAsked(call_id="c1", asked=Asked.SAFE))
    tape.say(facts.CallbackPromised(call_id="c1", keyed=False, number=NUMBER))
    tape.say(facts.CallbackRevoked(call_id="c1", why="the ledger is in trouble"))
    call = tape.fold.calls["c1"]
    assert (call.state, call.callback) == (CallState.WAITING, None)
    assert [each.declined_why for each in call.dialogues] == [
        "the number is never dialled",
        "the ledger is in trouble",
    ]
    assert call.dialogues[0].keyed == [Judgement.FORBIDDEN]
    assert summarise([call], 30.0).promised == 0


def test_an_upgrade_takes_the_place_of_a_promise() -> None:
    """Among the 999."""
    tape = CallbackTape()
    tape.arrive("c1")
    tape.promise("c1")
    tape.say(facts.CallUpgraded(call_id="c1", queue="emergency"))
    call = tape.fold.calls["c1"]
    assert (call.state, call.callback, call.upgraded) == (CallState.WAITING, None, True)


def test_matched_and_moved() -> None:
    """Both are in the record and the story, a 999 as one."""
    tape = CallbackTape()
    tape.arrive("c1")
    tape.promise("c1")
    tape.off_the_line("c1")
    tape.say(facts.CallbackMatched(call_id="c1", by_call="c2", emergency=True))
    tape.say(
        facts.CallbackMoved(
            call_id="c1", queue="burglary", priority_class="crime", by="ann", why="needs a specialist"
        )
    )
    call = tape.fold.calls["c1"]
    assert call.callback is not None
    assert [(match.by_call, match.emergency) for match in call.callback.matched] == [("c2", True)]
    assert (call.queue, call.priority_class, call.callback.moved[0].by) == ("burglary", "crime", "ann")
    assert "a 999 came from the same number: call c2" in describe(tape.entries[-2].fact)
    assert "moved by ann to queue burglary, class crime: needs a specialist" in describe(
        tape.entries[-1].fact
    )


def test_a_task_from_opening_to_its_named_end() -> None:
    """With what a human needs, whoever called since, and who closed it."""
    tape = unreached()
    tape.say(facts.TaskLinked(task_id="c1", by_call="c7"))
    tape.say(facts.TaskAssigned(task_id="c1", to="Bryn", by="ann"))
    opened = fold_tasks(tape.entries)["c1"]
    assert (opened.kind, opened.number, opened.attempts) == (TaskKind.UNREACHED_CALLBACK, NUMBER, 1)
    assert (opened.linked, opened.assigned_to, opened.closed_at) == (["c7"], "Bryn", None)
    tape.wait(60)
    tape.say(facts.TaskClosed(task_id="c1", by="Bryn", outcome=TaskOutcome.REACHED, note="is well"))
    closed = fold_tasks(tape.entries)["c1"]
    assert (closed.closed_at, closed.closed_by, closed.note) == (tape.now, "Bryn", "is well")
    assert tape.fold.calls["c1"].task is TaskKind.UNREACHED_CALLBACK
    assert describe(tape.entries[-1].fact) == "task closed by Bryn: the person was reached (is well)"
    assert "c1" not in tape.state.tasks


def test_a_task_s_facts_without_its_opening_are_left_out() -> None:
    """Such as when only a part of the ledger is read."""
    tape = unreached()
    opening = next(i for i, entry in enumerate(tape.entries) if isinstance(entry.fact, facts.TaskOpened))
    tape.say(facts.TaskAssigned(task_id="c1", to="Bryn", by="ann"))
    assert fold_tasks(tape.entries[opening + 1 :]) == {}
