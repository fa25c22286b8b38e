"""Agents as a supervisor sees them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.core.model import AgentState, Instant, PhoneState
from edge.core.state import AgentRecord, State
from edge.views.calls import CallRecord
from edge.views.words import SUPERVISIONS, kind_of


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """One agent now. `since`: when the state began. `call_id`: the call that occupies them, or the one whose
    ring-back task does (`call_kind` "ring-back"), if any."""

    agent: str
    name: str | None
    state: AgentState
    since: Instant | None
    phone: str | None
    phone_state: PhoneState
    not_ready_reason: str | None
    call_id: str | None
    call_kind: str | None
    """999, 101, upgraded 101 or test 999."""
    held: bool
    """The caller is on hold."""
    wrap_up_until: Instant | None
    wrap_up_owed_seconds: float
    """What a 999 took from a wrap-up and will be given back."""
    missed_in_a_row: int
    """Offers that rang out since the last that did not."""
    supervised_by: tuple[str, ...]
    """Supervisors who take part in the conversation, such as `4900 listening`; among the records given."""
    answered: int
    """Calls connected to this agent, by us or by a transfer, among the records given; test calls and consultations left out."""
    talked_seconds: float


def view_agents(
    state: State, names: Mapping[str, str] | None = None, records: Iterable[CallRecord] = ()
) -> list[AgentView]:
    """Everybody whom the configuration (`names`: number -> name) or the ledger knows, by number."""
    names = names or {}
    records = [record for record in records if record.counts]
    numbers = sorted({*names, *state.agents}, key=lambda number: (len(number), number))
    answered: Counter[str] = Counter()
    talked_seconds: defaultdict[str, float] = defaultdict(float)
    supervised_by: defaultdict[str, list[str]] = defaultdict(list)
    for record in records:
        for connection in record.connections:
            if connection.agent is not None:
                answered[connection.agent] += 1
                talked_seconds[connection.agent] += record.talked_seconds_with(connection)
        for seen in record.supervisions:
            if seen.ended_at is None and record.ended_at is None:
                supervised_by[seen.agent].append(f"{seen.supervisor} {SUPERVISIONS[seen.mode]}")
    return [
        AgentView(
            agent=number,
            name=names.get(number),
            supervised_by=tuple(supervised_by[number]),
            answered=answered[number],
            talked_seconds=talked_seconds[number],
            **_now(state, state.agents.get(number)),
        )
        for number in numbers
    ]


def _now(state: State, record: AgentRecord | None) -> dict[str, Any]:
    """What is true of the agent at this moment."""
    offer = state.offers.get(record.offer_id or "") if record is not None else None
    call_id = offer.call_id if offer is not None else record.reserved_for if record is not None else None
    call = state.calls.get(call_id or "")
    handed = state.task_offers.get(record.offer_id or "") if record is not None else None
    phone = record.phone if record is not None else None
    return {
        "state": record.state if record is not None else AgentState.SIGNED_OUT,
        "since": record.since if record is not None else None,
        "phone": phone,
        "phone_state": state.phones.get(phone or "", PhoneState.UNKNOWN),
        "not_ready_reason": record.not_ready_reason if record is not None else None,
        "call_id": call_id if handed is None else handed.task_id,
        "call_kind": "ring-back" if handed is not None else kind_of(call) if call is not None else None,
        "held": call is not None and call.held,
        "wrap_up_until": record.wrap_up_until if record is not None else None,
        "wrap_up_owed_seconds": record.wrap_up_owed_seconds if record is not None else 0.0,
        "missed_in_a_row": record.missed_in_a_row if record is not None else 0,
    }


def count_by_state(views: Iterable[AgentView]) -> dict[AgentState, int]:
    """How many agents are in each state, every state named."""
    counted = Counter(view.state for view in views)
    return {state: counted[state] for state in AgentState}
