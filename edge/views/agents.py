"""Agents as a supervisor sees them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge.core.model import AgentState, Instant, PhoneState
from edge.core.state import AgentRecord, State
from edge.views.calls import CallRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """One agent now. `since`: when the state began. `call_id`: the call that occupies them, if any."""

    agent: str
    name: str | None
    state: AgentState
    since: Instant | None
    phone: str | None
    phone_state: PhoneState
    not_ready_reason: str | None
    call_id: str | None
    wrap_up_until: Instant | None
    answered: int
    """Calls connected to this agent among the records given."""
    talked_seconds: float


def view_agents(
    state: State, names: Mapping[str, str] | None = None, records: Iterable[CallRecord] = ()
) -> list[AgentView]:
    """Everybody whom the configuration (`names`: number -> name) or the ledger knows, by number."""
    names = names or {}
    answered: Counter[str] = Counter()
    talked_seconds: defaultdict[str, float] = defaultdict(float)
    for record in records:
        if record.agent is not None and record.connected_at is not None:
            answered[record.agent] += 1
            talked_seconds[record.agent] += record.talked_seconds or 0.0
    numbers = sorted({*names, *state.agents}, key=lambda number: (len(number), number))
    return [
        _view(
            number,
            state,
            state.agents.get(number),
            names.get(number),
            answered[number],
            talked_seconds[number],
        )
        for number in numbers
    ]


def _view(
    number: str,
    state: State,
    record: AgentRecord | None,
    name: str | None,
    answered: int,
    talked_seconds: float,
) -> AgentView:
    offer = state.offers.get(record.offer_id or "") if record is not None else None
    phone = record.phone if record is not None else None
    return AgentView(
        agent=number,
        name=name,
        state=record.state if record is not None else AgentState.SIGNED_OUT,
        since=record.since if record is not None else None,
        phone=phone,
        phone_state=state.phones.get(phone or "", PhoneState.UNKNOWN),
        not_ready_reason=record.not_ready_reason if record is not None else None,
        call_id=offer.call_id if offer is not None else None,
        wrap_up_until=record.wrap_up_until if record is not None else None,
        answered=answered,
        talked_seconds=talked_seconds,
    )


def count_by_state(views: Iterable[AgentView]) -> dict[AgentState, int]:
    """How many agents are in each state, every state named."""
    counted = Counter(view.state for view in views)
    return {state: counted[state] for state in AgentState}
