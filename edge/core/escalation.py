"""The ladder of an unanswered 999: which rung is next for a call, and when. Pure functions over one call.

Seconds count from when the call joined the emergency tier, or was given back by somebody who talked with it. Where nobody is at
work the supervisors are rung at once, and the buddy force at its distance from them.
"""

from __future__ import annotations

from edge.core.model import CallState, Emergency, Instant, Policy, Rung, Tier
from edge.core.state import Call

RUNG_ANEW_SECONDS = 12.0
"""A phone of ours that rings for a 999 which rings everybody is rung anew after so long, until somebody answers. Not longer:
should we die and not return, the leg rings on to its limit on the switch, and so long the switch's own queue cannot ring it."""
UNANSWERED = frozenset({CallState.WAITING, CallState.OFFERED})


def is_unanswered_emergency(call: Call) -> bool:
    """Whether this is a 999, or an upgraded 101, that nobody has taken yet. A test call is neither."""
    return call.tier == Tier.EMERGENCY and not call.test and call.state in UNANSWERED


def next_rung(call: Call, policy: Policy) -> tuple[Rung, Instant] | None:
    """The rung above this call's that the site has, and when it is reached; None on the last, or when it needs none."""
    if not is_unanswered_emergency(call):
        return None
    for rung in Rung:
        if rung > call.rung and (seconds := _after_seconds(rung, policy)) is not None:
            return rung, _reached_at(call, policy, seconds)
    return None


def _reached_at(call: Call, policy: Policy, seconds: float) -> Instant:
    on_time = call.unanswered_since.plus(seconds)
    supervisors_seconds = _after_seconds(Rung.SUPERVISORS, policy)
    if call.rung is not Rung.SUPERVISORS or call.rung_at is None or supervisors_seconds is None:
        return on_time
    early = call.rung_at.plus(max(0.0, seconds - supervisors_seconds))
    return min(on_time, early, key=lambda at: at.monotonic_ns)


def _after_seconds(rung: Rung, policy: Policy) -> float | None:
    """Seconds to this rung; None where the site does not have it."""
    emergency: Emergency = policy.emergency
    match rung:
        case Rung.NEXT_AGENT:
            return 0.0
        case Rung.ALL_AGENTS:
            return emergency.all_agents_after_seconds
        case Rung.SUPERVISORS:
            has_any = any(agent.supervisor for agent in policy.agents.values())
            return emergency.supervisors_after_seconds if has_any else None
        case Rung.BUDDY:
            known = emergency.buddy_phone in policy.phones
            return emergency.buddy_after_seconds if known else None
