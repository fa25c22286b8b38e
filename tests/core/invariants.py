"""What must be true of a room after every step, whatever has happened."""

from __future__ import annotations

from collections import Counter

from edge.core import effects, facts
from edge.core.engine import Engine, Step
from edge.core.model import Activity, AgentState, CallState, Instant, OfferState, PhoneState, Tier
from edge.core.ordering import place_of, skills_needed
from edge.core.state import AgentRecord, Call

LIVE = (OfferState.CALLING, OfferState.RINGING)


def check_all(engine: Engine, step: Step, now: Instant) -> None:
    """Raise AssertionError at the first broken promise."""
    check_places(engine)
    check_offers(engine)
    check_agents(engine)
    check_emergency_first(engine, step, now)
    check_order(engine, step, now)
    check_step(engine, step, now)
    check_nobody_idles(engine)


def check_places(engine: Engine) -> None:
    """Every open call waits in the order, is offered, or has a claim: exactly one of them."""
    for call in engine.state.calls.values():
        claimed = call.state in (CallState.CONNECTING, CallState.TALKING)
        assert claimed == (call.claimed_by is not None), call
        assert (call.state is CallState.OFFERED) == bool(call.live_offers), call
        in_order = engine.position(call.call_id) is not None
        configured = call.line in engine.policy.lines and call.queue in engine.policy.queues
        assert in_order == (call.state is CallState.WAITING and configured), call


def check_offers(engine: Engine) -> None:
    """No call rings at two agents, no agent has two offers, no phone rings for two calls."""
    offers = engine.state.offers.values()
    live = [offer for offer in offers if offer.state in LIVE]
    assert max(Counter(offer.call_id for offer in live).values(), default=0) <= 1
    assert max(Counter(offer.agent for offer in offers).values(), default=0) <= 1
    assert max(Counter(offer.phone for offer in live).values(), default=0) <= 1
    for offer in live:
        assert engine.state.calls[offer.call_id].live_offers == [offer.offer_id]


def check_agents(engine: Engine) -> None:
    """What an agent is doing agrees with the offer they have."""
    for record in engine.state.agents.values():
        offer = engine.state.offers.get(record.offer_id or "")
        occupied = record.activity in (Activity.OFFERED, Activity.TALKING)
        assert occupied == (offer is not None), record
        assert (record.activity is Activity.WRAP_UP) == (record.wrap_up_until is not None), record
        if offer is not None:
            assert (record.activity is Activity.TALKING) == (offer.state is OfferState.ANSWERED), record
        if record.activity is Activity.TALKING:
            assert record.state is AgentState.TALKING


def check_emergency_first(engine: Engine, step: Step, now: Instant) -> None:
    """No 101 offer begins at an agent who could take a 999 that waits without an offer."""
    waiting = [
        call
        for call in engine.state.calls.values()
        if call.tier == Tier.EMERGENCY and engine.position(call.call_id) is not None
    ]
    for effect, _ in step.effects:
        if isinstance(effect, effects.MakeOffer) and effect.tier != Tier.EMERGENCY:
            agent = engine.state.offers[effect.offer_id].agent
            for call in waiting:
                assert not has_skills(engine, agent, call, now), (effect, call)


def check_order(engine: Engine, step: Step, now: Instant) -> None:
    """Nobody is offered to an agent who could and would have taken somebody with an earlier place."""
    for entry in step.entries:
        fact = entry.fact
        if not isinstance(fact, facts.OfferMade) or fact.call_id not in engine.state.calls:
            continue
        place = place_of(engine.state.calls[fact.call_id], engine.policy)
        for call in engine.state.calls.values():
            if engine.position(call.call_id) is None or place_of(call, engine.policy) >= place:
                continue
            if fact.agent not in call.refused_by:
                assert not has_skills(engine, fact.agent, call, now), (fact, call)


def has_skills(engine: Engine, agent: str, call: Call, now: Instant) -> bool:
    """Whether this agent has what this call needs now."""
    needed = skills_needed(call, engine.policy.queues[call.queue], now)
    return set(needed) <= set(engine.policy.agents[agent].skills)


def check_step(engine: Engine, step: Step, now: Instant) -> None:
    """Every fact has a reason, effects are caused by facts that exist, and no deadline is left behind."""
    assert all(entry.reason for entry in step.entries)
    assert all(0 < cause <= engine.state.sequence for _, cause in step.effects)
    assert bool(step.reason) or not (step.entries or step.effects)
    deadline = engine.next_deadline()
    assert deadline is None or deadline.monotonic_ns > now.monotonic_ns


def check_nobody_idles(engine: Engine) -> None:
    """An agent who is free and a call they may take never stand side by side (rests, refusals and 999 apart)."""
    state = engine.state
    emergencies = [call for call in state.calls.values() if call.tier == Tier.EMERGENCY]
    if not state.sight or any(engine.position(call.call_id) is not None for call in emergencies):
        return
    for record in state.agents.values():
        if _is_free(engine, record):
            for call in state.calls.values():
                if engine.position(call.call_id) is not None and not call.refused_by:
                    queue = engine.policy.queues[call.queue]
                    assert not set(queue.skills) <= set(engine.policy.agents[record.agent].skills), (
                        record,
                        call,
                    )


def _is_free(engine: Engine, record: AgentRecord) -> bool:
    return (
        record.state is AgentState.READY
        and record.rest_since is None
        and engine.state.phones.get(record.phone or "") is PhoneState.IDLE
        and record.phone not in {offer.phone for offer in engine.state.offers.values()}
    )
