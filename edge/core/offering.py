"""Offers: the one place that makes them, whoever they are for, and when matching should look again."""

from __future__ import annotations

from edge.core import effects, facts
from edge.core.model import CallState, Instant, Tier
from edge.core.promising import Promising
from edge.core.state import Call

MATCH_AGAIN = ("match", "")
"""Alarm key: something that bars an agent from a call expires then."""


class Offering(Promising):
    """Recording an offer and asking for it."""

    def _look_again(self, at: Instant) -> None:
        """Match again at `at` at the latest."""
        self._again.append(at)

    def _make(self, call: Call, agent: str, phone: str, ring_seconds: float, whom: str, why: str) -> None:
        """Record the offer and ask for it. `agent` may be `BUDDY` or `TEST`; `whom` and `why` are for the reason."""
        waited_seconds = self._now.since(call.queued_at)
        kind = f"101 ({call.priority_class})"
        if call.tier == Tier.EMERGENCY:
            kind = "test 999" if call.test else "999" if call.upgraded_at is None else "upgraded 101"
        self._because(f"{kind} call {call.call_id} offered to {whom} after {waited_seconds:.1f} s: {why}")
        offer_id = f"{call.call_id}.{call.offers_made + 1}"
        self._record(
            facts.OfferMade(
                offer_id=offer_id,
                call_id=call.call_id,
                agent=agent,
                phone=phone,
                ring_seconds=ring_seconds,
                waited_seconds=waited_seconds,
            )
        )
        self._ask(
            effects.MakeOffer(
                offer_id=offer_id,
                call_id=call.call_id,
                phone=phone,
                ring_seconds=ring_seconds,
                caller_number=call.caller_number,
                line=call.line,
                tier=Tier(call.tier),
                priority_class=call.priority_class,
                waited_seconds=waited_seconds,
                upgraded=call.upgraded_at is not None,
                callback=call.state is CallState.RESERVING,
                notes=self._notes_for(call),
            )
        )
