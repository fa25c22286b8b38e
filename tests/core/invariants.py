"""What must be true of a room after every step, whatever has happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from edge.core import effects, facts
from edge.core.emergency import FREEING_SECONDS
from edge.core.engine import Engine, Step
from edge.core.handing_out import TASK_GIVES_WAY
from edge.core.model import (
    BUDDY,
    NOT_PEOPLE,
    Activity,
    AgentState,
    CallState,
    Instant,
    OfferState,
    PhoneState,
    Rung,
    TaskOfferState,
    Tier,
)
from edge.core.ordering import (
    Candidates,
    head_start_seconds,
    patience_ends,
    place_of,
    skills_needed,
    untold_relaxation,
)
from edge.core.promising import CONFIRMATION
from edge.core.ringing_back import CALLS_NOW
from edge.core.state import AgentRecord, Call, Offer
from edge.core.task_state import Task, TaskOffer

LIVE = (OfferState.CALLING, OfferState.RINGING)
UNKEPT = (
    CallState.PROMISED,
    CallState.CALLBACK,
    CallState.RESERVING,
    CallState.DIALLING,
    CallState.CHECKING,
)
"""States of a call-back of whom nobody knows that a person is there."""


def check_all(engine: Engine, step: Step, now: Instant) -> None:
    """Raise AssertionError at the first broken promise."""
    check_places(engine)
    check_offers(engine)
    check_agents(engine)
    check_emergency_first(engine, step, now)
    check_emergency_preempts(engine, now)
    check_emergency_untouched(engine, step)
    check_routine(engine, now)
    check_callbacks(engine, step, now)
    check_tasks(engine, step, now)
    check_told(engine, now)
    check_order(engine, step, now)
    check_rejections(engine, step, now)
    check_step(engine, step, now)
    check_nobody_idles(engine)


def check_places(engine: Engine) -> None:
    """Every open call waits in the order, is offered, or has a claim: exactly one of them."""
    for call in engine.state.calls.values():
        claimed = call.state in (CallState.CONNECTING, CallState.TALKING)
        if call.state is CallState.DIALLING:
            claimed = call.callback is not None and call.callback.kept_agent is None
        assert claimed == (call.claimed_by is not None), call
        assert (call.state in (CallState.OFFERED, CallState.RESERVING)) == bool(call.live_offers), call
        in_order = engine.position(call.call_id) is not None
        configured = call.line in engine.policy.lines and call.queue in engine.policy.queues
        assert in_order == (call.state in (CallState.WAITING, CallState.CALLBACK) and configured), call
        assert (call.leg_id == "") == (not call.is_on_the_line), call


def check_offers(engine: Engine) -> None:
    """Only a 999 that rings everybody rings at two phones; no agent has two offers, no phone of ours rings for two calls."""
    offers = engine.state.offers.values()
    live = [offer for offer in offers if offer.state in LIVE]
    for call_id, count in Counter(offer.call_id for offer in live).items():
        assert count == 1 or engine.state.calls[call_id].rung >= Rung.ALL_AGENTS, call_id
    agents = Counter(o.agent for o in offers if o.agent not in NOT_PEOPLE and not o.taken_over)
    assert max(agents.values(), default=0) <= 1
    assert max(Counter(o.phone for o in live if o.agent != BUDDY).values(), default=0) <= 1
    for call in engine.state.calls.values():
        assert set(call.live_offers) == {o.offer_id for o in live if o.call_id == call.call_id}


def check_agents(engine: Engine) -> None:
    """What an agent is doing agrees with the offer they have."""
    for record in engine.state.agents.values():
        offer = engine.state.offers.get(record.offer_id or "")
        handed = engine.state.task_offers.get(record.offer_id or "")
        occupied = record.activity in (Activity.OFFERED, Activity.TALKING)
        assert occupied == (offer is not None or handed is not None), record
        assert offer is None or handed is None, record
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
        if _is_emergency(call) and engine.position(call.call_id) is not None
    ]
    for effect, _ in step.effects:
        if isinstance(effect, effects.MakeOffer) and effect.tier != Tier.EMERGENCY:
            agent = engine.state.offers[effect.offer_id].agent
            for call in waiting:
                assert not has_skills(engine, agent, call, now), (effect, call)


def check_emergency_preempts(engine: Engine, now: Instant) -> None:
    """Whoever rings for a 101 and would take a 999 that waits unoffered is not needed: enough others are being freed for it."""
    if not engine.state.sight:
        return
    candidates = Candidates(engine.state, engine.policy, now)
    offers = engine.state.offers.values()
    waiting = [c for c in engine.state.calls.values() if c.state is CallState.WAITING and _is_emergency(c)]
    for call in waiting:
        skills = skills_needed(call, engine.policy.queues[call.queue], now)

        def would(offer: Offer | TaskOffer, call: Call = call, skills: tuple[str, ...] = skills) -> bool:
            return candidates.would_take(engine.state.agents.get(offer.agent), call, skills)

        if any(_has_just_been_freed(record, now) for record in engine.state.agents.values()):
            continue
        ringing = [o for o in offers if o.state in LIVE and not _is_emergency(engine.state.calls[o.call_id])]
        freed: list[Offer | TaskOffer] = [o for o in offers if o.state is OfferState.WITHDRAWN and would(o)]
        handed = engine.state.task_offers.values()
        freed += [o for o in handed if o.state is TaskOfferState.WITHDRAWN and would(o)]
        at_tasks = [o for o in handed if o.state in TASK_GIVES_WAY]
        needed = any(map(would, ringing)) or any(map(would, at_tasks))
        assert not needed or len(freed) >= 1, call
        assert len([o for o in freed if _is_fresh(o, now)]) >= min(1, needed)


def _is_emergency(call: Call) -> bool:
    return call.tier == Tier.EMERGENCY and not call.test


def _has_just_been_freed(record: AgentRecord, now: Instant) -> bool:
    return record.freed_at is not None and now.since(record.freed_at) < FREEING_SECONDS


def _is_fresh(offer: Offer | TaskOffer, now: Instant) -> bool:
    return offer.withdrawn_at is not None and now.since(offer.withdrawn_at) < FREEING_SECONDS


def check_emergency_untouched(engine: Engine, step: Step) -> None:
    """No 999 is ever announced to, let go or sent away, and no connected call is cut for one."""
    for effect, _ in step.effects:
        if isinstance(effect, effects.Announce | effects.HangUpCaller | effects.Divert):
            call = engine.state.calls.get(effect.call_id)
            assert call is None or call.tier != Tier.EMERGENCY, effect
        if isinstance(effect, effects.TakeCharge) and effect.greeting is not None:
            assert engine.state.calls[effect.call_id].tier != Tier.EMERGENCY, effect


def check_routine(engine: Engine, now: Instant) -> None:
    """Only a 101 leaves; a class that came by the number counts up to the cap; an agent is freed of who went on without them."""
    for call in engine.state.calls.values():
        elsewhere = call.elsewhere_since is not None  # the key was pressed in a talk with the other number
        assert call.is_routine or call.state is not CallState.LEAVING or elsewhere, call
        assert (call.state is CallState.LEAVING) == (call.leaving_for is not None), call
        if call.boosted:
            assert head_start_seconds(call, engine.policy) <= engine.policy.largest_boost_seconds, call
    for offer in engine.state.offers.values():
        if offer.released_at is not None and engine.state.sight:
            assert now.since(offer.released_at) < 60.0, offer


def check_callbacks(engine: Engine, step: Step, now: Instant) -> None:
    """Nothing is said before it is durable; one attempt at a time, one dial each, never to an emergency; one of each number."""
    for effect, _ in step.effects:
        if isinstance(effect, effects.Announce) and effect.prompt == CONFIRMATION:
            promise = engine.state.calls[effect.call_id].callback
            assert promise is not None and promise.confirmed, effect
        if isinstance(effect, effects.DialPerson):
            call = engine.state.calls[effect.call_id]
            assert call.is_routine and call.callback is not None and not call.assisted, effect
            assert call.callback.dialled_at == now, "one dial an attempt"
            assert engine.policy.destinations.judge(effect.number).is_allowed
    for call in engine.state.calls.values():
        promise = call.callback
        if promise is None:
            continue
        assert call.is_routine, call
        flying = call.state in (CallState.DIALLING, CallState.CHECKING)
        assert promise.in_flight or not flying, call
        if promise.kept_agent is not None:
            kept = engine.state.agents[promise.kept_agent]
            assert (kept.activity, kept.reserved_for) == (Activity.RESERVED, call.call_id), call
    for entry in step.entries:
        made = entry.fact
        if (
            isinstance(made, facts.CallbackPromised)
            and made.into is None
            and made.call_id in engine.state.calls
        ):
            queue = engine.state.calls[made.call_id].queue
            twins = [
                call.call_id
                for call in engine.state.calls.values()
                if call.callback is not None
                and (call.callback.number, call.queue, call.callback.into) == (made.number, queue, None)
                and call.state in UNKEPT
            ]
            assert twins == [made.call_id], f"call-backs for one number and queue: {twins}"


def check_tasks(engine: Engine, step: Step, now: Instant) -> None:
    """Nobody is dialled for a task but by a key, once, with the intent before it, one at a time; none is offered before a 999
    that waits for that agent, nor before an earlier one; none that is somebody else's, or closed, rings."""
    for effect, _ in step.effects:
        if isinstance(effect, effects.DialForTask):
            offer = engine.state.task_offers[effect.offer_id]
            assert offer.attempted_at is not None and offer.dialled_at == now, "a key, and one dial"
            assert engine.policy.destinations.judge(effect.number).is_allowed
    phones = Counter(offer.phone for offer in engine.state.task_offers.values())
    phones.update(offer.phone for offer in engine.state.offers.values() if not offer.taken_over)
    ringing = [offer for offer in engine.state.task_offers.values() if offer.state in TASK_GIVES_WAY]
    assert not [offer for offer in ringing if phones[offer.phone] > 1 and offer.phone in engine.policy.agents]
    dialled = Counter(
        task.number
        for offer in engine.state.task_offers.values()
        if offer.state is TaskOfferState.DIALLING and (task := engine.state.tasks.get(offer.task_id))
    )
    assert all(count == 1 for number, count in dialled.items() if number is not None), "one dial of a number"
    for offer in ringing:
        task = engine.state.tasks.get(offer.task_id)
        assert task is not None or offer.state is TaskOfferState.DIALLING, offer
        assert task is None or task.offer_id == offer.offer_id, offer
        if task is not None and offer.state is not TaskOfferState.DIALLING:
            assert task.assigned_to in (None, offer.agent), offer
    for entry in step.entries:
        if isinstance(entry.fact, facts.TaskOffered) and entry.fact.task_offer_id in engine.state.task_offers:
            _check_task_offered(engine, entry.fact, now)


def _check_task_offered(engine: Engine, made: facts.TaskOffered, now: Instant) -> None:
    task = engine.state.tasks[made.task_id]
    for call in engine.state.calls.values():
        if _is_emergency(call) and engine.position(call.call_id) is not None:
            assert not has_skills(engine, made.agent, call, now), (made, call)
    if made.asked:
        return
    assert task.kind in engine.policy.tasks.offered, made
    assert not _is_looked_up(engine, task, now), made
    for other in engine.state.tasks.values():
        if _is_before(other, task) and _has_its_turn(engine, other, made.agent, now):
            raise AssertionError(f"{made} before {other}")
    for call in engine.state.calls.values():
        if task.emergency or call.state is not CallState.WAITING or engine.position(call.call_id) is None:
            continue
        earlier = place_of(call, engine.policy).joined_ns < task.place_since.monotonic_ns
        if earlier and made.agent not in call.refused_by and not engine.policy.emergency.keep_free:
            assert not has_skills(engine, made.agent, call, now), (made, call)


def _is_before(other: Task, task: Task) -> bool:
    """By tier and time of joining, with the head start that their calls had."""
    keys = [(not it.emergency, it.place_since.monotonic_ns) for it in (other, task)]
    return keys[0] < keys[1]


def _has_its_turn(engine: Engine, other: Task, agent: str, now: Instant) -> bool:
    queue = engine.policy.queues.get("999" if other.emergency else other.queue)
    skills = set() if queue is None else set(queue.skills)
    early = other.not_before is not None and other.not_before.monotonic_ns > now.monotonic_ns
    calls_now = any(call.caller_number is not None for call in engine.state.calls.values())
    twins = [it for it in engine.state.tasks.values() if it.number is not None and it.number == other.number]
    return (
        other.kind in engine.policy.tasks.offered
        and other.offer_id is None
        and other.assigned_to is None
        and not (early or calls_now or len(twins) > 1 or _is_looked_up(engine, other, now))
        and engine.state.ledger_trouble is None
        and engine.policy.callbacks.channels is None
        and skills <= set(engine.policy.agents[agent].skills)
    )


def _is_looked_up(engine: Engine, task: Task, now: Instant) -> bool:
    until = engine.state.looked_up_until(task.call_id)
    return until is not None and until.monotonic_ns > now.monotonic_ns


def check_told(engine: Engine, now: Instant) -> None:
    """Nothing is said to who talks; nothing that a waiting 101 is due is left undone, whatever else happened at its time."""
    for call in engine.state.calls.values():
        hears = (
            CallState.WAITING,
            CallState.OFFERED,
            CallState.LEAVING,
            CallState.PROMISED,
            CallState.CHECKING,
        )
        assert call.announcement is None or call.state in hears, call
        if not engine.state.sight or not call.is_routine or engine.position(call.call_id) is None:
            continue
        ends = patience_ends(call, engine.policy)
        assert ends is None or ends.monotonic_ns > now.monotonic_ns, call
        relaxation = untold_relaxation(call, engine.policy.queues[call.queue])
        if relaxation is not None and call.announcement is None and call.asked is None:
            assert now.since(call.queued_at) < relaxation.after_seconds, call


def check_order(engine: Engine, step: Step, now: Instant) -> None:
    """Nobody is offered to an agent who could and would have taken somebody with an earlier place."""
    for entry in step.entries:
        fact = entry.fact
        if not isinstance(fact, facts.OfferMade) or fact.call_id not in engine.state.calls:
            continue
        if fact.agent in NOT_PEOPLE or engine.state.calls[fact.call_id].rung >= Rung.SUPERVISORS:
            continue  # a supervisor is rung for the emergency, whatever their skills
        promise = engine.state.calls[fact.call_id].callback
        if promise is not None and promise.answered_at is not None:
            continue  # a person who was reached gets the agent who was kept for them
        place = place_of(engine.state.calls[fact.call_id], engine.policy)
        for call in engine.state.calls.values():
            if engine.position(call.call_id) is None or place_of(call, engine.policy) >= place:
                continue
            if call.callback is not None and not is_its_turn(engine, call, now):
                continue
            if fact.agent not in call.refused_by and not is_theirs_coming(engine, call, fact.call_id, now):
                assert not has_skills(engine, fact.agent, call, now), (fact, call)


def is_theirs_coming(engine: Engine, elder: Call, younger_id: str, now: Instant) -> bool:
    """Whether an agent is free in a moment whom the elder 999 may have and the younger, who refused or missed them, may not: each
    is served sooner than if the elder took the one who is free already."""
    younger = engine.state.calls[younger_id]
    if not (_is_emergency(elder) and _is_emergency(younger)):
        return False
    candidates = Candidates(engine.state, engine.policy, now)

    def would(record: AgentRecord, call: Call) -> bool:
        return candidates.would_take(record, call, skills_needed(call, engine.policy.queues[call.queue], now))

    coming = [
        record
        for record in engine.state.agents.values()
        if _has_just_been_freed(record, now)
        or ((offer := engine.state.offers.get(record.offer_id or "")) is not None and _is_fresh(offer, now))
    ]
    return any(would(record, elder) and not would(record, younger) for record in coming)


def is_its_turn(engine: Engine, call: Call, now: Instant) -> bool:
    """Whether nothing but the order is in the way of this call-back: no failed attempt, no bar, and no reserve for 999 until
    which another agent is kept free for it."""
    assert call.callback is not None
    waits_until = call.callback.not_before
    if any(
        other.callback is not None
        and other.callback.barred
        and (other is call or other.callback.barred != CALLS_NOW)
        and place_of(other, engine.policy) <= place_of(call, engine.policy)
        for other in engine.state.calls.values()
    ):
        return False  # noted for the first of them alone
    if waits_until is not None and waits_until.monotonic_ns > now.monotonic_ns:
        return False
    if not max(engine.policy.callbacks.idle_agents, engine.policy.emergency.keep_free):
        return True
    candidates = Candidates(engine.state, engine.policy, now)
    return not candidates.in_order_of_choice(call, engine.policy.queues[call.queue].skills)


def check_rejections(engine: Engine, step: Step, now: Instant) -> None:
    """A call does not go back to who rejected it while another may take it: for a 101 anybody at work, for a 999 anybody free."""
    candidates = Candidates(engine.state, engine.policy, now)
    for entry in step.entries:
        fact = entry.fact
        call = engine.state.calls.get(getattr(fact, "call_id", ""))
        if not isinstance(fact, facts.OfferMade) or call is None or call.rung >= Rung.SUPERVISORS:
            continue
        if fact.agent in NOT_PEOPLE or not _remembers(engine, call.rejected_by, fact.agent, now):
            continue
        skills = skills_needed(call, engine.policy.queues[call.queue], now)
        if _is_emergency(call):
            refused, others = call.rejected_by, candidates.able(skills)
        else:  # who let it ring out, or sent it back, is no better choice either
            refused, others = call.refused_by, list(candidates.at_work(skills))
        assert all(_remembers(engine, refused, other.agent, now) for other in others), (fact, refused)


def _remembers(engine: Engine, refused: Mapping[str, Instant], agent: str, now: Instant) -> bool:
    refused_at = refused.get(agent)
    return refused_at is not None and now.since(refused_at) < engine.policy.refusal_memory_seconds


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
    if engine.policy.emergency.keep_free or any(call.callback is not None for call in state.calls.values()):
        return
    if not state.sight or any(engine.position(call.call_id) is not None for call in emergencies):
        return
    if engine.policy.callbacks.idle_agents and (state.task_offers or _is_a_task_to_be_offered(engine)):
        return  # one may be kept free for it, as for a call-back
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
        and record.phone not in {offer.phone for offer in engine.state.task_offers.values()}
    )


def _is_a_task_to_be_offered(engine: Engine) -> bool:
    return any(
        task.kind in engine.policy.tasks.offered and task.assigned_to is None
        for task in engine.state.tasks.values()
    )
