"""Order of service and the choice of an agent, against plain arithmetic."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core import facts, inputs
from edge.core.model import Instant, Side
from edge.core.ordering import Place, WaitingOrder
from tests.core.room import Room, arrival

HEAD_START_SECONDS = 120
ARRIVALS = st.lists(
    st.tuples(st.integers(0, 90), st.sampled_from(["101", "101", "vulnerable", "999"])), max_size=30
)


def serve_everybody(room: Room) -> list[str]:
    """One agent takes call after call; the order in which they were offered."""
    room.tell(inputs.AgentSeen(agent="ann", phone="ann"))
    while offer_id := room.engine.state.agents["ann"].offer_id:
        call_id = room.engine.state.offers[offer_id].call_id
        room.tell(inputs.PhoneAnswered(offer_id=offer_id))
        room.tell(inputs.PairJoined(call_id=call_id, offer_id=offer_id))
        room.tell(inputs.CallerGone(call_id=call_id, side=Side.CALLER, cause="16"))
        room.tell(inputs.ReadyPressed(agent="ann"))
    return [fact.call_id for fact in room.recorded(facts.OfferMade)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ARRIVALS)
def test_nobody_is_overtaken_by_more_than_the_head_start(arrivals: list[tuple[int, str]]) -> None:
    """999 first; below it whoever overtakes you is vulnerable and joined at most their head start after you."""
    room = Room("ann 101 999")
    room.tell(inputs.AgentSeen(agent="ann", phone="ann", not_ready_reason="briefing"))
    joined: dict[str, Instant] = {}
    line: dict[str, str] = {}
    for number, (pause, name) in enumerate(arrivals):
        room.wait(pause)
        call_id = f"c{number:02}"
        room.tell(arrival(call_id, name))
        joined[call_id], line[call_id] = room.now, name
    served = serve_everybody(room)
    assert sorted(served) == sorted(joined)
    assert served == by_hand(joined, line)
    for position, earlier in enumerate(served):
        for later in served[position + 1 :]:
            overtook_by = joined[earlier].since(joined[later])
            allowed = HEAD_START_SECONDS if line[earlier] == "vulnerable" else 0
            assert overtook_by <= allowed or line[earlier] == "999"


def by_hand(joined: dict[str, Instant], line: dict[str, str]) -> list[str]:
    """The order of service, worked out anew."""

    def key(call_id: str) -> tuple[bool, float, str]:
        head_start = HEAD_START_SECONDS if line[call_id] == "vulnerable" else 0
        return line[call_id] != "999", joined[call_id].monotonic_ns / 1e9 - head_start, call_id

    return sorted(joined, key=key)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3))))
def test_the_waiting_order_agrees_with_a_sorted_list(actions: list[tuple[bool, int, int]]) -> None:
    """Whatever joins, moves and leaves, positions are those of a sorted list; a call has one place."""
    order, model = WaitingOrder(), dict[str, Place]()
    for joins, number, joined_ns in actions:
        call_id = f"c{number}"
        if joins:
            place = Place(1, joined_ns, call_id)
            order.add(place)
            model[call_id] = place
        else:
            order.discard(call_id)
            model.pop(call_id, None)
        expected = [place.call_id for place in sorted(model.values())]
        assert list(order) == expected
        assert [order.position(call_id) for call_id in expected] == list(range(1, len(expected) + 1))
