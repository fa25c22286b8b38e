"""The desk: what every part of the engine writes on. It records facts, asks for effects, and keeps the derived indexes.

Rule 1: everything that the engine knows is in `State`, and only facts change it (`_record`).
The order of service and the alarms are derived from the state: each fact brings them up to date with what it touched.
"""

from __future__ import annotations

from typing import Any

from edge.core import effects, facts
from edge.core.alarms import AlarmClock
from edge.core.escalation import is_unanswered_emergency, next_rung
from edge.core.model import CallState, Instant, Policy
from edge.core.ordering import (
    WaitingOrder,
    announcements_for,
    next_announcement,
    patience_ends,
    place_of,
    untold_relaxation,
)
from edge.core.state import AgentRecord, Call, Offer, State, apply
from edge.core.transitions import CALL_DEADLINES, OFFER_DEADLINES, Deadline

ESCALATION = "escalation"
"""Kind of alarm: a waiting 999 comes to its next rung."""
PATIENCE = "patience"
"""Kind of alarm: a waiting 101 has waited as long as its queue lets it."""
ANNOUNCEMENT = "announcement"
"""Kind of alarm: a waiting 101 caller is due to be told something."""
RELAXATION = "relaxation"
"""Kind of alarm: a waiting 101 caller is due to be told that fewer skills will have to do."""


class Desk:
    """State, policy, and the step that is being written."""

    def __init__(self, policy: Policy, state: State | None = None) -> None:
        """Go on from `state` (replayed from the ledger), or from nothing."""
        self.policy = policy
        self.state = State() if state is None else state
        self._order = WaitingOrder()
        self._unanswered = WaitingOrder()
        """The 999 that nobody has taken yet, waiting or ringing; all others wait in `_order` alone. Asked for in each match."""
        self._alarms = AlarmClock()
        self._entries: list[facts.Entry] = []
        self._effects: list[tuple[effects.Effect, int]] = []
        self._reasons: list[str] = []
        self._reason = ""
        self._again: list[Instant] = []
        """When this step wants matching to be tried again; the soonest counts."""
        self._due_calls: list[str] = []
        """Waiting calls for which time has come to be told something or sent somewhere else."""
        self._now = Instant(0, 0)
        self._switch_utc_us: int | None = None
        """When the switch says that it happened; what a snapshot shows has no such time."""
        self._told_utc_us: int | None = None
        """The switch's time when it told, of a snapshot too."""
        self._build_indexes()

    def _build_indexes(self) -> None:
        self._order, self._unanswered, self._alarms = WaitingOrder(), WaitingOrder(), AlarmClock()
        for call in self.state.calls.values():
            self._index_call(call)
        for offer in self.state.offers.values():
            self._arm_offer(offer)
        for record in self.state.agents.values():
            self._arm_wrap_up(record)

    def _because(self, reason: str) -> None:
        """The sentence for what is recorded from here on."""
        self._reason = reason
        self._reasons.append(reason)

    def _record(self, fact: facts.Fact) -> None:
        entry = facts.Entry(
            sequence=self.state.sequence + 1,
            at=self._now,
            fact=fact,
            reason=self._reason,
            clock=self.state.clock,
            switch_utc_us=self._switch_utc_us,
        )
        apply(self.state, entry)
        self._entries.append(entry)
        self._keep_indexes(fact)

    def _ask(self, effect: effects.Effect) -> None:
        self._effects.append((effect, self.state.sequence))

    def _keep_indexes(self, fact: facts.Fact) -> None:
        """Order of service and alarms are derived from the state; bring them up to date with what the fact touched."""
        call_id = getattr(fact, "call_id", None)
        if call_id is not None:
            call = self.state.calls.get(call_id)
            if call is None:
                self._order.discard(call_id)
                self._unanswered.discard(call_id)
                for kind in ("call", ESCALATION, PATIENCE, ANNOUNCEMENT, RELAXATION):
                    self._alarms.cancel((kind, call_id))
            else:
                self._index_call(call)
        offer_id = getattr(fact, "offer_id", None)
        if offer_id is not None:
            offer = self.state.offers.get(offer_id)
            if offer is None:
                self._alarms.cancel(("offer", offer_id))
            else:
                self._arm_offer(offer)
        agent = getattr(fact, "agent", None)
        if agent in self.state.agents:
            self._arm_wrap_up(self.state.agents[agent])

    def _index_call(self, call: Call) -> None:
        if self._is_waiting(call):
            self._order.add(place_of(call, self.policy))
        else:
            self._order.discard(call.call_id)
        if self._is_unanswered(call):
            self._unanswered.add(place_of(call, self.policy))
        else:
            self._unanswered.discard(call.call_id)
        self._arm(("call", call.call_id), call, CALL_DEADLINES.get(call.state))
        self._arm_escalation(call)
        self._arm_waiting(call)

    def _arm_escalation(self, call: Call) -> None:
        """Wake when the next rung is reached; the match of that step climbs it."""
        climb = next_rung(call, self.policy)
        if climb is None:
            self._alarms.cancel((ESCALATION, call.call_id))
        else:
            self._alarms.set((ESCALATION, call.call_id), climb[1])

    def _arm_waiting(self, call: Call) -> None:
        """When a waiting 101 is to be told something or sent somewhere else. What is overdue needs no alarm: it is done as soon
        as the call waits in silence, whichever step that is (`Routine._attend`)."""
        times: dict[str, Instant | None] = dict.fromkeys((PATIENCE, ANNOUNCEMENT, RELAXATION))
        if self._is_waiting(call) and call.is_routine:
            queue = self.policy.queues[call.queue]
            times[PATIENCE] = patience_ends(call, self.policy)
            if (relaxation := untold_relaxation(call, queue)) is not None:
                times[RELAXATION] = call.queued_at.plus(relaxation.after_seconds)
            if (wanted := announcements_for(call, self.policy.queues, self.policy.classes)) is not None:
                times[ANNOUNCEMENT] = next_announcement(call, wanted.every_seconds, self._now)
        for kind, at in times.items():
            if at is None or at.monotonic_ns <= self._now.monotonic_ns:
                self._alarms.cancel((kind, call.call_id))
            else:
                self._alarms.set((kind, call.call_id), at)

    def _is_waiting(self, call: Call) -> bool:
        """Whether it takes part in matching. What a new configuration dropped serves nobody (see `_serve`)."""
        return call.state is CallState.WAITING and self._is_configured(call)

    def _is_unanswered(self, call: Call) -> bool:
        """Whether it is a 999 that nobody has taken yet, and takes part in matching."""
        return is_unanswered_emergency(call) and self._is_configured(call)

    def _is_configured(self, call: Call) -> bool:
        return call.line in self.policy.lines and call.queue in self.policy.queues

    def _arm_offer(self, offer: Offer) -> None:
        self._arm(("offer", offer.offer_id), offer, OFFER_DEADLINES.get(offer.state))

    def _arm(self, key: tuple[str, str], thing: Any, deadline: Deadline | None) -> None:
        since = None if deadline is None else getattr(thing, deadline.since)
        if deadline is None or since is None:
            self._alarms.cancel(key)
            return
        seconds = getattr(thing, deadline.seconds, None)
        if seconds is None:
            seconds = getattr(self.policy, deadline.seconds)
        self._alarms.set(key, since.plus(seconds))

    def _arm_wrap_up(self, record: AgentRecord) -> None:
        key = ("agent", record.agent)
        if record.wrap_up_until is None:
            self._alarms.cancel(key)
        else:
            self._alarms.set(key, record.wrap_up_until)

    def _check(self) -> None:
        """Every open call is in exactly one place, whatever was decided. A failure here stops the daemon, not the callers."""
        for entry in self._entries:
            call = self.state.calls.get(getattr(entry.fact, "call_id", ""))
            if call is None:
                continue
            assert self._is_waiting(call) == (call.call_id in self._order), (
                f"{call.call_id} {call.state}: place in the order"
            )
            assert self._is_unanswered(call) == (call.call_id in self._unanswered), f"{call.call_id}: 999"
            assert (call.state is CallState.OFFERED) == bool(call.live_offers), f"{call.call_id}: offers"
            assert (call.state in (CallState.CONNECTING, CallState.TALKING)) == bool(call.claimed_by), (
                f"{call.call_id}: claim"
            )
