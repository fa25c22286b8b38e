"""Queues, agents, stories and callers as they are shown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge.core.facts import KINDS, Entry
from edge.core.model import AgentState, Tier
from edge.core.state import State, replay
from edge.ledger.codec import encode_state
from edge.ledger.memory import MemoryLedger
from edge.views import caller, refold, story
from edge.views.agents import count_by_state, view_agents
from edge.views.calls import fold_calls
from edge.views.queues import view_queues
from edge.views.reading import (
    call_ids,
    entries_of,
    open_state,
    sequence_before,
    whole_call,
    windows,
)
from tests.views.room import Room, busy_shift


def ledger_of(entries: list[Entry], checkpoint: int = 0) -> MemoryLedger:
    """A ledger with these entries and perhaps a checkpoint."""
    ledger = MemoryLedger()
    ledger.append(entries)
    if checkpoint:
        ledger.save_checkpoint(checkpoint, encode_state(replay(entries[:checkpoint])))
    return ledger


def test_queues_put_999_first_and_count_who_waits() -> None:
    """Each tier has its row; the oldest waiting call gives the age; the fallback counts apart."""
    room, ids = busy_shift()
    calls = fold_calls(room.entries)
    emergency, general = view_queues(room.engine.state, calls.values(), {"general": 10.0})
    assert (emergency.tier, emergency.queue, emergency.talking) == (Tier.EMERGENCY, "emergency", 1)
    assert (general.waiting, general.fallback, general.today.offered) == (1, 1, 4)
    assert general.oldest_at == calls[ids["fallback"]].queued_at


def test_a_queue_without_calls_is_shown() -> None:
    """The configuration names it, so it is there."""
    first, second = view_queues(State(), targets={"general": 10.0, "urgent": 5.0}, emergency={"urgent"})
    assert (first.queue, first.tier) == ("urgent", Tier.EMERGENCY)
    assert (second.queue, second.tier, second.waiting) == ("general", Tier.ROUTINE, 0)
    assert (second.oldest_at, second.today.service_level) == (None, None)


def test_agents_of_the_configuration_are_shown_though_never_seen() -> None:
    """An agent who never signed in is signed out; one who talks has a call."""
    room, ids = busy_shift()
    views = view_agents(room.engine.state, {"4003": "Sam"}, fold_calls(room.entries).values())
    assert [(view.agent, view.state, view.call_id) for view in views] == [
        ("4001", AgentState.TALKING, ids["talking"]),
        ("4002", AgentState.SIGNED_OUT, None),
        ("4003", AgentState.SIGNED_OUT, None),
    ]
    assert count_by_state(views)[AgentState.SIGNED_OUT] == 2


def test_every_kind_of_fact_has_words() -> None:
    """No fact can come into a story that the story cannot tell."""
    assert set(story._WORDS) == set(KINDS.values())


@pytest.mark.parametrize(
    ("fate", "beginning"),
    [
        ("answered", "The call was answered by agent 400"),
        ("rejected", "The call was not answered: it ended "),
        ("talking", "The call is open: talking to agent 4001 after a wait of 1.0 s"),
        ("fallback", "The call is open: it is in the switch's own queue, since 12:00:"),
        ("waiting", "The call is open: it is waiting in the queue, since 12:00:"),
    ],
)
def test_the_outcome_is_one_plain_sentence(fate: str, beginning: str) -> None:
    """What became of a call, whatever it was."""
    room, ids = busy_shift()
    sentence = story.outcome_sentence(fold_calls(room.entries)[ids[fate]])
    assert sentence[: len(beginning)] == beginning
    assert sentence.endswith(".")


def test_a_story_begins_at_the_arrival_and_has_the_end_of_the_wrap_up() -> None:
    """Offsets count from the arrival; the wrap-up's end is told though it is a fact about the agent."""
    room, ids = busy_shift()
    lines = story.tell(whole_call(ledger_of(room.entries), ids["answered"]))
    assert (lines[0].kind, lines[0].offset_seconds) == ("CallArrived", 0.0)
    assert lines[-1].kind == "WrapUpEnded"
    assert all(line.reason for line in lines)


def test_decisions_are_one_line_each() -> None:
    """The facts of one decision share its line."""
    room, ids = busy_shift()
    entries = whole_call(ledger_of(room.entries), ids["answered"])
    made = story.decisions(entries)
    assert sum(len(decision.sequences) for decision in made) == len(entries)
    assert len(made) < len(entries)


@pytest.mark.parametrize("checkpoint", [0, 1, 20])
def test_the_open_state_is_that_of_the_engine(checkpoint: int) -> None:
    """With or without a checkpoint."""
    room, _ = busy_shift()
    assert open_state(ledger_of(room.entries, checkpoint)) == room.engine.state


def test_a_checkpoint_of_another_version_is_not_used() -> None:
    """All facts are read instead."""
    room, _ = busy_shift()
    ledger = ledger_of(room.entries)
    ledger.save_checkpoint(5, b"\x91\x01")
    assert open_state(ledger) == room.engine.state


def test_the_last_entry_before_a_time_is_found() -> None:
    """Among gapless sequences, at both ends and in the middle."""
    room, _ = busy_shift()
    ledger = ledger_of(room.entries)
    middle = room.entries[30]
    expected = sum(entry.at.utc_us < middle.at.utc_us for entry in room.entries)
    assert sequence_before(ledger, middle.at.utc_us) == expected
    assert sequence_before(ledger, 0) == 0
    assert sequence_before(ledger, 2**62) == len(room.entries)
    assert sequence_before(MemoryLedger(), 0) == 0


def test_only_the_wanted_kinds_are_read() -> None:
    """In order, all of them."""
    room, ids = busy_shift()
    arrived = [entry.fact for entry in entries_of(ledger_of(room.entries), [KINDS["CallArrived"]])]
    assert [fact.call_id for fact in arrived if hasattr(fact, "call_id")] == list(ids.values())


def test_a_call_is_found_by_the_end_of_its_id() -> None:
    """A whole id is that call only; an ending may be several."""
    room, ids = busy_shift()
    ledger = ledger_of(room.entries)
    assert call_ids(ledger, ids["answered"]) == [ids["answered"]]
    assert call_ids(ledger, "-1") == [ids["answered"]]
    assert call_ids(ledger, "nothing") == []
    assert set(call_ids(ledger, "")) == set(ids.values())


def test_windows_go_back_to_the_beginning() -> None:
    """The last window has every call."""
    room = Room()
    for _ in range(60):
        room.hang_up(room.arrive())
    seen = [len(fold_calls(window)) for window in windows(ledger_of(room.entries), 1)]
    assert seen == sorted(seen)
    assert (seen[0] < 60, seen[-1]) == (True, 60)


def test_both_folds_agree() -> None:
    """A good checkpoint and the whole ledger give the same state."""
    room, _ = busy_shift()
    found = refold.refold(ledger_of(room.entries, 20))
    assert (found.difference, found.checkpoint_sequence, found.kinds["CallArrived"]) == (None, 20, 5)


def test_the_first_difference_of_the_folds_is_named() -> None:
    """A checkpoint that was altered is found, with the place."""
    room, _ = busy_shift()
    ledger = ledger_of(room.entries)
    wrong = replay(room.entries[:20])
    wrong.agents["4001"].phone = "elsewhere"
    ledger.save_checkpoint(20, encode_state(wrong))
    assert refold.refold(ledger).difference == "state.agents.4001.phone: 'agent1', 'elsewhere'"


@pytest.mark.parametrize(
    ("number", "withheld", "shown"),
    [
        ("+441632960123", False, "…123"),
        ("999123", False, "…"),
        (None, True, "withheld"),
        (None, False, "unknown"),
        ("\x1b[31m\u0663\u0664\u0665", False, "…"),
    ],
)
def test_a_number_is_masked(number: str | None, withheld: bool, shown: str) -> None:
    """The last three digits of a number long enough not to be given away by them."""
    assert caller.masked(number, withheld) == shown


def test_the_key_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    """The same key is read ever after; the same caller has the same id, another caller another."""
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    assert caller.read_key(url) is None
    key = caller.ensure_key(url)
    path = caller.key_file(url)
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (caller.ensure_key(url), caller.read_key(url)) == (key, key)
    assert caller.caller_id(key, "+441632960123") == caller.caller_id(key, "+441632960123")
    assert caller.caller_id(key, "+441632960123") != caller.caller_id(key, "+441632960124")
    assert (caller.caller_id(None, "1"), caller.caller_id(key, None)) == (None, None)
    assert caller.ensure_key("memory:") is None
