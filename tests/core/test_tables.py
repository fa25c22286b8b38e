"""The tables are complete, and the fold refuses what they do not allow."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields
from typing import Any, get_args

import pytest

from edge.core import facts, inputs
from edge.core.engine import Engine
from edge.core.model import CallState, ClockState, Instant, OfferState, Refusal, TaskOfferState
from edge.core.service import OUTCOME_OF_REFUSAL
from edge.core.state import _FOLDS, State, apply, rebase, replay
from edge.core.transitions import (
    CALL_DEADLINES,
    CALL_REACTIONS,
    CALL_TRANSITIONS,
    OFFER_DEADLINES,
    OFFER_REACTIONS,
    OFFER_TRANSITIONS,
    TASK_OFFER_DEADLINES,
    TASK_OFFER_REACTIONS,
    TASK_OFFER_TRANSITIONS,
    IllegalFactError,
)
from tests.core.room import NOON, Room, play

OPEN_CALL = {state for state in CallState if state is not CallState.ENDED}
OPEN_OFFER = {state for state in OfferState if state is not OfferState.ENDED}
OPEN_TASK_OFFER = {state for state in TaskOfferState if state is not TaskOfferState.ENDED}

TASK = (
    "switch boots monday\ne0 calls 101 -> serve e0, ring ann for e0\nswitch boots tuesday -> withdraw e0.1\n"
    "ann wants a task -> ring ann for task e0"
)
ROOMS = {
    "empty": "",
    "waiting": "ann not ready\nc1 calls greeted -> greet c1",
    "calling": "c1 calls 101 -> serve c1, ring ann for c1",
    "ringing": "c1 calls 101 -> serve c1, ring ann for c1\nann rings",
    "withdrawn": "c1 calls 101 -> serve c1, ring ann for c1\nann not ready -> withdraw c1.1",
    "connecting": "c1 calls 101 -> serve c1, ring ann for c1\nann answers -> connect c1.1",
    "talking": "c1 calls 101 -> serve c1, ring ann for c1\nann answers -> connect c1.1\nc1 joined",
    "fallback": "ann not ready\nc1 calls 101 -> serve c1\nc1 in-fallback",
    "leaving": "c1 calls shut -> greet c1",
    "task": TASK,
    "choosing": f"{TASK}\nann answers -> ask task-e0.1 task-lost task-look-up",
    "wrap-up": "c1 calls 101 -> serve c1, ring ann for c1\nann answers -> connect c1.1\nc1 joined\nann hangs up",
}


@pytest.mark.parametrize("given", CALL_REACTIONS)
def test_a_call_input_has_a_reaction_in_every_state(given: type[inputs.Input]) -> None:
    """No pair of input and call state is left to chance, and each is carried out by a method."""
    assert set(CALL_REACTIONS[given]) == OPEN_CALL
    assert [name for name in CALL_REACTIONS[given].values() if not hasattr(Engine, f"_{name}")] == []


@pytest.mark.parametrize("given", OFFER_REACTIONS)
def test_an_offer_input_has_a_reaction_in_every_state(given: type[inputs.Input]) -> None:
    """No pair of input and offer state is left to chance, and each is carried out by a method."""
    assert set(OFFER_REACTIONS[given]) == OPEN_OFFER
    assert [name for name in OFFER_REACTIONS[given].values() if not hasattr(Engine, f"_{name}")] == []


@pytest.mark.parametrize("given", TASK_OFFER_REACTIONS)
def test_an_input_about_a_task_has_a_reaction_in_every_state_of_its_offer(
    given: type[inputs.Input],
) -> None:
    """No pair of input and state of a task's offer is left to chance, and each is carried out by a method."""
    assert set(TASK_OFFER_REACTIONS[given]) == OPEN_TASK_OFFER
    assert [name for name in TASK_OFFER_REACTIONS[given].values() if not hasattr(Engine, f"_{name}")] == []


def test_every_input_about_a_phone_stands_in_the_table_of_tasks() -> None:
    """A phone that rings for a task does whatever one that rings for a call does."""
    assert set(OFFER_REACTIONS) <= set(TASK_OFFER_REACTIONS)


def test_every_input_about_a_call_or_offer_stands_in_a_table() -> None:
    """An input that names a call or an offer is decided by the tables."""
    about = {
        kind
        for kind in get_args(inputs.Input)
        if {"call_id", "offer_id"} & {part.name for part in fields(kind)}
    }
    whatever_its_state = {
        inputs.CallRefused,
        inputs.CallAnnotated,
        inputs.CallMarkedAssisted,
        inputs.ConsultationSeen,
        inputs.PersonJudged,
        inputs.CallbackOrdered,
    }
    decided = set(CALL_REACTIONS) | set(OFFER_REACTIONS) | set(TASK_OFFER_REACTIONS)
    assert decided == about - whatever_its_state


def test_every_open_state_has_transitions() -> None:
    """Every open state can be left, by facts that are known."""
    assert set(CALL_TRANSITIONS) == OPEN_CALL
    assert set(OFFER_TRANSITIONS) == OPEN_OFFER
    assert set(TASK_OFFER_TRANSITIONS) == OPEN_TASK_OFFER
    assert all(facts.CallEnded in rows for rows in CALL_TRANSITIONS.values())
    assert all(facts.OfferEnded in rows for rows in OFFER_TRANSITIONS.values())


def test_every_deadline_names_things_that_exist() -> None:
    """A deadline's reaction is a method; no state in which we wait for the switch is without one."""
    rows = [*CALL_DEADLINES.values(), *OFFER_DEADLINES.values(), *TASK_OFFER_DEADLINES.values()]
    assert [row.then for row in rows if not hasattr(Engine, f"_{row.then}")] == []
    served_by_matching = {
        CallState.CALLBACK,
        CallState.RESERVING,
    }  # no leg of the caller; the offer has its own
    assert set(CALL_DEADLINES) == OPEN_CALL - {CallState.FALLBACK} - served_by_matching
    assert set(OFFER_DEADLINES) == OPEN_OFFER
    assert set(TASK_OFFER_DEADLINES) == OPEN_TASK_OFFER - {TaskOfferState.TALKING}


def test_every_refusal_has_an_outcome() -> None:
    """Whatever a phone does counts as something."""
    assert set(OUTCOME_OF_REFUSAL) == set(Refusal)


def test_every_fact_has_a_fold() -> None:
    """Each kind of fact changes the state in one place."""
    assert set(_FOLDS) == set(facts.KINDS.values())


def sample(kind: type[facts.Fact], agent: str = "ann") -> facts.Fact:
    """A fact of this kind about call c1, offer c1.1 and `agent`."""
    known: dict[str, Any] = {"call_id": "c1", "offer_id": "c1.1", "agent": agent, "phone": "ann"}
    known |= {"task_id": "e0", "task_offer_id": "task-e0.1"}
    values = {
        part.name: known.get(part.name, NOON if part.name.endswith("_at") else "x") for part in fields(kind)
    }
    values |= {name: 1.0 for name in values if name.endswith("seconds") or name == "seconds"}
    return kind(**values)


@pytest.mark.parametrize("agent", ["ann", "nobody"])
@pytest.mark.parametrize("kind", facts.KINDS.values())
@pytest.mark.parametrize("room_name", ROOMS)
def test_an_illegal_fact_changes_nothing(room_name: str, kind: type[facts.Fact], agent: str) -> None:
    """A fact either folds, or raises and leaves the state exactly as it was."""
    room = Room("ann 101")
    play(room, ROOMS[room_name])
    state = room.engine.state
    before = deepcopy(state)
    entry = facts.Entry(
        sequence=state.sequence + 1,
        at=NOON,
        fact=sample(kind, agent),
        reason="test",
        clock=ClockState.UNKNOWN,
    )
    try:
        apply(state, entry)
    except IllegalFactError:
        assert state == before
    else:
        assert state.sequence == before.sequence + 1


def test_a_gap_in_the_sequence_is_refused() -> None:
    """A hole in the ledger is not folded over."""
    entry = facts.Entry(
        sequence=2, at=NOON, fact=sample(facts.AgentSignedIn), reason="test", clock=ClockState.UNKNOWN
    )
    state = State()
    with pytest.raises(IllegalFactError):
        apply(state, entry)
    assert state == State()


def test_rebase_moves_every_instant_of_a_state_and_nothing_else() -> None:
    """After a reboot durations are what UTC says; at the same instant nothing changes."""
    room = Room("ann 101")
    play(room, ROOMS["talking"])
    assert rebase(room.engine.state, room.now) == room.engine.state
    later = Instant(0, room.now.utc_us + 7_000_000)
    moved = rebase(room.engine.state, later)
    assert later.since(moved.calls["c1"].queued_at) == 7.0


@pytest.mark.parametrize("room_name", ROOMS)
def test_replay_from_any_checkpoint_is_the_live_state(room_name: str) -> None:
    """Folding all facts, or a checkpoint and the facts after it, gives what the engine holds."""
    room = Room("ann 101")
    play(room, ROOMS[room_name])
    for cut in range(len(room.entries) + 1):
        assert replay(room.entries[cut:], replay(room.entries[:cut])) == room.engine.state
