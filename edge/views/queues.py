"""Queues as a supervisor sees them: how many wait, how long the oldest has, and how the day went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from edge.core.model import CallState, Instant, Tier
from edge.core.state import Call, State
from edge.views.calls import CallRecord
from edge.views.shift import Summary, summarise

DEFAULT_TARGET_SECONDS = 30.0
WAITING = frozenset({CallState.WAITING, CallState.OFFERED, CallState.PROMISED})
"""On the line with us, and with nobody."""
CALLBACKS = frozenset({CallState.CALLBACK, CallState.RESERVING})
"""Off the line, and waiting to be rung."""
DIALLING = frozenset({CallState.DIALLING, CallState.CHECKING})
"""The person of a call-back is being rung, or is asked for a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """One queue and tier now. `oldest_at`: when the caller who has waited longest joined, on the line or not; None: nobody.

    An upgraded 101 waits among the 999, and is in the figures of the day where it waited as a 101. Test calls are in neither.
    """

    queue: str
    tier: Tier
    waiting: int
    """Calls waiting with us, ringing ones included."""
    ringing: int
    connecting: int
    talking: int
    leaving: int
    """101 who are being told why they cannot be served, or sent elsewhere."""
    fallback: int
    callbacks: int
    """Call-backs that wait to be rung, those for whom an agent's phone rings included: nobody is on the line."""
    dialling: int
    """Call-backs whose person is being rung."""
    offering: bool
    """Whether its expected wait has call-backs offered, unless that is paused."""
    upgraded: int
    """Of all these: upgraded 101."""
    oldest_at: Instant | None
    today: Summary
    """Of the records given."""


def view_queues(
    state: State,
    records: Iterable[CallRecord] = (),
    targets: Mapping[str, float] | None = None,
    emergency: Collection[str] = (),
) -> list[QueueView]:
    """Every queue that the configuration (`targets`: queue -> target seconds) or a call names, 999 first.

    `emergency`: queues that the configuration has for 999; where there are calls, they tell.
    """
    targets = targets or {}
    open_calls: dict[tuple[int, str], list[Call]] = defaultdict(list)
    days: dict[tuple[int, str], list[CallRecord]] = defaultdict(list)
    for call in state.calls.values():
        if not call.test:
            open_calls[call.tier, call.queue].append(call)
    for record in records:
        if record.counts:
            days[record.counted_tier, record.counted_queue].append(record)
    seen = {queue for _, queue in (*open_calls, *days)}
    keys = {*open_calls, *days, *((_tier(queue, emergency), queue) for queue in targets if queue not in seen)}
    return [_view(key, open_calls[key], days[key], targets, state.offering) for key in sorted(keys)]


def _tier(queue: str, emergency: Collection[str]) -> int:
    return Tier.EMERGENCY if queue in emergency else Tier.ROUTINE


def _view(
    key: tuple[int, str],
    calls: list[Call],
    records: list[CallRecord],
    targets: Mapping[str, float],
    offering: Mapping[str, bool],
) -> QueueView:
    tier, queue = key
    waiting = [call for call in calls if call.state in WAITING]
    unserved = [call for call in calls if call.state in WAITING | CALLBACKS | DIALLING] + [
        call for call in calls if call.state is CallState.FALLBACK and call.connected_at is None
    ]
    return QueueView(
        queue=queue,
        tier=Tier(tier),
        waiting=len(waiting),
        ringing=_count(calls, CallState.OFFERED),
        connecting=_count(calls, CallState.CONNECTING),
        talking=_count(calls, CallState.TALKING),
        leaving=_count(calls, CallState.LEAVING),
        fallback=_count(calls, CallState.FALLBACK),
        callbacks=sum(call.state in CALLBACKS for call in calls),
        dialling=sum(call.state in DIALLING for call in calls),
        offering=tier == Tier.ROUTINE and offering.get(queue, False),
        upgraded=sum(call.upgraded_at is not None for call in calls),
        oldest_at=min((call.queued_at for call in unserved), key=lambda at: at.utc_us, default=None),
        today=summarise(records, targets.get(queue, DEFAULT_TARGET_SECONDS)),
    )


def _count(calls: list[Call], state: CallState) -> int:
    return sum(call.state is state for call in calls)
