"""Records of calls, folded from what the real engine recorded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core import inputs
from edge.core.model import CallOutcome, CallState, OfferOutcome, Refusal, Side, Stage, TransferKind
from edge.views.calls import CallFold, fold_calls
from tests.views.room import Room, busy_shift


def test_an_answered_call_has_every_stamp() -> None:
    """Arrival, offer, answer, hold, end and wrap-up of an answered call are where they happened."""
    room, ids = busy_shift()
    call = fold_calls(room.entries)[ids["answered"]]
    offer = call.offers[0]
    assert call.outcome is CallOutcome.ANSWERED
    assert call.side is Side.CALLER
    assert [offer.agent, offer.outcome] == [call.agent, OfferOutcome.ANSWERED]
    assert offer.rang_at is not None
    assert offer.rang_at.since(offer.made_at) == 0.1
    assert call.connected_at is not None
    assert (call.waited_seconds, call.connected_at.since(call.queued_at)) == (2.1, 2.1)
    assert call.held_seconds == 4.0
    assert call.talked_seconds == 13.1
    assert call.wrap_up_seconds == 30.0


def test_a_call_that_nobody_took_tells_who_refused_it_and_where_it_ended() -> None:
    """An abandoned call has its stage, its refusals in order, and no conversation."""
    room, ids = busy_shift()
    call = fold_calls(room.entries)[ids["rejected"]]
    assert (call.outcome, call.connected_at, call.agent) == (CallOutcome.ABANDONED, None, None)
    assert call.stage in (Stage.ANNOUNCEMENT, Stage.QUEUE, Stage.RINGING)
    assert call.offers[0].outcome is OfferOutcome.REJECTED
    assert call.agents[0] == call.offers[0].agent


def test_open_calls_have_no_end() -> None:
    """Calls that wait, talk or are in the fallback are open."""
    room, ids = busy_shift()
    calls = fold_calls(room.entries)
    assert [calls[ids[fate]].state for fate in ("talking", "fallback", "waiting")] == [
        CallState.TALKING,
        CallState.FALLBACK,
        CallState.WAITING,
    ]
    assert [calls[ids[fate]].outcome for fate in ("talking", "fallback", "waiting")] == [None] * 3


def test_a_call_whose_arrival_is_not_there_is_left_out() -> None:
    """A fold that begins in the middle has no half-told calls."""
    room, ids = busy_shift()
    later = [entry for entry in room.entries if entry.sequence > room.entries[-1].sequence - 6]
    assert set(fold_calls(later)) < set(ids.values())


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(
            (
                "arrive",
                "ring",
                "answer",
                "half_answer",
                "return",
                "refuse",
                "hang_up",
                "fallback",
                "wait",
                "999",
                "key",
                "send_back",
                "pass_on",
                "assisted",
                "note",
            )
        ),
        st.integers(0, 5),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_the_record_and_the_engine_agree_on_where_each_call_is(actions: list[tuple[str, int]]) -> None:
    """After any sequence of happenings the state of each record is the state of the engine's call."""
    room, fold = Room(), CallFold()
    for agent in ("4001", "4002", "4003"):
        room.sign_in(agent)
    ids: list[str] = []
    folded = 0
    for action, which in actions:
        _act(room, action, ids, which)
        for entry in room.entries[folded:]:
            fold.add(entry)
        folded = len(room.entries)
        assert {call_id: call.state for call_id, call in room.engine.state.calls.items()} == {
            call_id: call.state for call_id, call in fold.calls.items() if call.state is not CallState.ENDED
        }


def _act(room: Room, action: str, ids: list[str], which: int) -> None:
    call_id = ids[which % len(ids)] if ids else ""
    match action:
        case "arrive":
            ids.append(room.arrive())
        case "999":
            ids.append(room.arrive(line="emergency"))
        case "wait":
            room.wait(which * 3)
        case "ring":
            room.ring(call_id)
        case "answer":
            room.answer(call_id)
        case "half_answer" if (offer_id := room.offer_of(call_id)) is not None:
            room.give(inputs.PhoneAnswered(offer_id=offer_id))
        case "return" if call_id:
            room.give(inputs.PairReturned(call_id=call_id))
        case "refuse":
            room.refuse(call_id, (Refusal.REJECTED, Refusal.UNREACHABLE, Refusal.NO_ANSWER)[which % 3])
        case "hang_up" if call_id:
            room.hang_up(call_id)
        case "key" if call_id:
            room.give(inputs.KeyPressed(call_id=call_id, key="9519#9"[which]))
        case "send_back" if call_id:
            room.give(inputs.CallSentBack(call_id=call_id, queue=("general", "emergency", None)[which % 3]))
        case "pass_on" if call_id:
            passed = inputs.CallPassedOn(
                call_id=call_id, offer_id=None, kind=TransferKind.BLIND, target="01632960999"
            )
            room.give(passed)
        case "assisted" if call_id:
            room.give(inputs.CallMarkedAssisted(call_id=call_id, by="4001"))
        case "note" if call_id:
            room.give(inputs.CallAnnotated(call_id=call_id, kind="incident", value="POL-1"))
        case "fallback" if call_id in room.engine.state.calls:
            room.give(inputs.FallbackTook(call_id=call_id, line="main", leg_id="leg", why="dead-man"))
