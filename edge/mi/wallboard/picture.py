"""What is shown, as plain values for JSON. Seconds are seconds, times are RFC 3339 in UTC; the page only arranges them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from edge.core.model import (
    MICROSECONDS,
    STANDARD_CLASS,
    AgentState,
    CallState,
    CheckVerdict,
    ClockState,
    Instant,
    Queue,
    Tier,
)
from edge.core.state import Call
from edge.mi.wallboard.day import RECENT_SECONDS, Tally
from edge.mi.wallboard.live import Live
from edge.mi.wallboard.signs import Daemon
from edge.views import words
from edge.views.agents import AgentView, view_agents
from edge.views.queues import CALLBACKS, DIALLING, WAITING
from edge.views.times import rfc3339_milliseconds

ALARMS_SHOWN = 5
CALLS_SHOWN = 60
"""Of the open calls, those that have waited longest first; the page says how many more there are."""
DEFAULT_SHARE = Queue.__dataclass_fields__["target_share"].default
PULL_LATE_SECONDS = 3600.0
"""A reader that has pulled nothing for so long is worth a look."""
CHECK_LATE_SECONDS = 1800.0
"""The equipment is checked every few minutes; a check so old says nothing of now."""
ROUND_SECONDS = 120.0
"""What was checked so long before the newest check belongs to its round."""
_GRAVITY = (CheckVerdict.PASS, CheckVerdict.WARN, CheckVerdict.NOT_MEASURED, CheckVerdict.FAIL)
OF_CALLS = frozenset({"calls", "calls_open", "people"})
"""Of the numbers: those for who may see calls."""
WITH_NOBODY = WAITING | {CallState.FALLBACK}


def picture(live: Live, calls: bool = False) -> dict[str, Any]:
    """Everything that the wallboard shows. No number that is not known to be true now. `calls`: with open calls and agents one by
    one, for who may see calls."""
    stale, state = live.staleness(), live.state
    shown: dict[str, Any] = {
        "at": rfc3339_milliseconds(live.signs.now().utc_us),
        "site": live.site.name,
        "timezone": str(live.site.zone),
        "stale": None
        if stale is None
        else {
            "since": None if stale.since_utc_us is None else rfc3339_milliseconds(stale.since_utc_us),
            "why": stale.why,
        },
        "health": health(live),
        "numbers": None,
    }
    if stale is not None:
        return shown
    numbers = {
        "sequence": state.sequence,
        "incident_since": _time(state.incident_since),
        "alarms": [
            {"at": rfc3339_milliseconds(alarm.at.utc_us), "kind": alarm.kind, "detail": alarm.detail}
            for alarm in live.day.alarms[:ALARMS_SHOWN]
        ],
        "alarms_more": max(0, len(live.day.alarms) - ALARMS_SHOWN),
        "waiting": waiting(live),
        "agents": agents_by_state(live),
        "service": service(live),
        "callbacks": callbacks(live),
        "tasks": tasks(live),
    }
    if calls:
        numbers |= {"calls": open_calls(live), "calls_open": len(state.calls), "people": people(live)}
    return {**shown, "numbers": numbers}


def without_calls(shown: dict[str, Any]) -> dict[str, Any]:
    """The same picture for who may not see calls."""
    numbers = shown["numbers"]
    if numbers is None:
        return shown
    return {**shown, "numbers": {name: numbers[name] for name in numbers if name not in OF_CALLS}}


def waiting(live: Live) -> list[dict[str, Any]]:
    """Callers on the line and with nobody, by class: 999 first, as one tier. `oldest_seconds` is None where nobody waits."""
    groups: defaultdict[str, list[Call]] = defaultdict(list)
    for call in live.state.calls.values():
        if not call.test and call.state in WITH_NOBODY and call.connected_at is None:
            groups[_class_of(call)].append(call)
    names = dict.fromkeys(["999", STANDARD_CLASS, *live.site.classes, *sorted(groups)])
    return [
        {
            "class": name,
            "waiting": len(groups[name]),
            "ringing": sum(call.state is CallState.OFFERED for call in groups[name]),
            "fallback": sum(call.state is CallState.FALLBACK for call in groups[name]),
            "upgraded": sum(call.upgraded_at is not None for call in groups[name]),
            "oldest_seconds": _oldest(live, (call.queued_at for call in groups[name])),
        }
        for name in names
    ]


def _class_of(call: Call) -> str:
    return "999" if call.tier == Tier.EMERGENCY else call.priority_class or STANDARD_CLASS


def agents_by_state(live: Live) -> list[dict[str, Any]]:
    """How many agents are in each state, and the longest in it."""
    views = view_agents(live.state, live.site.agents)
    return [
        {
            "state": state.value,
            "count": sum(view.state is state for view in views),
            "longest_seconds": _oldest(live, (v.since for v in views if v.state is state and v.since)),
        }
        for state in _STATES
    ]


_STATES = (
    AgentState.READY,
    AgentState.OFFERED,
    AgentState.TALKING,
    AgentState.WRAP_UP,
    AgentState.NOT_READY,
    AgentState.SIGNED_OUT,
)


def service(live: Live) -> list[dict[str, Any]]:
    """Service levels by queue, 999 first; the definition is that of `edge status` (SL3)."""
    day, site = live.day, live.site
    known = {queue for _, queue in day.keys}
    configured = {(_tier(queue, site.emergency), queue) for queue in site.targets if queue not in known}
    rows = []
    for key in sorted({*day.keys, *configured}):
        today, recent = day.today(key), day.recent(key, live.age)
        rows.append(
            {
                "tier": words.tier_name(key[0]),
                "queue": key[1],
                "target_seconds": day.target_seconds(key[1]),
                "target_share": site.shares.get(key[1], DEFAULT_SHARE),
                "now": {"share": recent.share, "of": recent.of, "minutes": int(RECENT_SECONDS // 60)},
                "today": _tally(today),
            }
        )
    return rows


def _tier(queue: str, emergency: frozenset[str]) -> int:
    return Tier.EMERGENCY if queue in emergency else Tier.ROUTINE


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "share": tally.service_level,
        "offered": tally.offered,
        "answered": tally.answered,
        "abandoned": tally.abandoned,
        "sent_away": tally.sent_away,
        "mean_seconds": tally.mean_seconds,
        "longest_seconds": tally.longest_seconds if tally.waits else None,
    }


def callbacks(live: Live) -> dict[str, Any]:
    """Call-backs that wait, with their age, and what became of the promises: today's, and the live counter of all."""
    state, promises = live.state, live.state.promises
    waits = [call for call in state.calls.values() if call.state in CALLBACKS | DIALLING]
    today = sum((live.day.today(key) for key in live.day.keys), Tally())
    until = state.trunk_rests_until
    return {
        "waiting": sum(call.state in CALLBACKS for call in waits),
        "dialling": sum(call.state in DIALLING for call in waits),
        "oldest_seconds": _oldest(live, (call.queued_at for call in waits)),
        "promised_today": today.promised,
        "kept_today": today.kept,
        "made": promises.made,
        "kept": promises.kept,
        "became_tasks": promises.became_tasks,
        "out_of_turn": promises.out_of_turn,
        "offering": sorted(queue for queue, on in state.offering.items() if on),
        "paused": state.offering_paused,
        "trunk_rests": until is not None and until.utc_us > live.signs.now().utc_us,
    }


def tasks(live: Live) -> dict[str, Any]:
    """Ring-back tasks that are open."""
    found = list(live.state.tasks.values())
    kinds = {kind: sum(task.kind is kind for task in found) for kind in words.TASKS}
    return {
        "open": len(found),
        "emergency": sum(task.emergency for task in found),
        "unassigned": sum(task.assigned_to is None for task in found),
        "oldest_seconds": _oldest(live, (task.opened_at for task in found)),
        "kinds": [{"kind": words.TASKS[kind], "count": count} for kind, count in kinds.items() if count],
    }


def open_calls(live: Live) -> list[dict[str, Any]]:
    """Open calls one by one, 999 first, without anything of the caller."""
    calls = sorted(live.state.calls.values(), key=lambda call: (call.tier, call.queued_at.utc_us))
    return [
        {
            "call_id": call.call_id,
            "kind": words.kind_of(call),
            "queue": call.queue,
            "class": call.priority_class,
            "language": call.language,
            "state": call.state.value,
            "seconds": live.age(call.connected_at or call.queued_at),
            "agent": call.agent,
        }
        for call in calls[:CALLS_SHOWN]
    ]


def people(live: Live) -> list[dict[str, Any]]:
    """Agents who are signed in, one by one."""
    views = view_agents(live.state, live.site.agents)
    return [_person(live, view) for view in views if view.state is not AgentState.SIGNED_OUT]


def _person(live: Live, view: AgentView) -> dict[str, Any]:
    return {
        "agent": view.agent,
        "name": view.name,
        "state": view.state.value,
        "reason": view.not_ready_reason,
        "seconds": None if view.since is None else live.age(view.since),
        "call_id": view.call_id,
        "kind": view.call_kind,
        "held": view.held,
    }


def health(live: Live) -> list[dict[str, Any]]:
    """What the figures rest upon. `ok`: None where it is not known. Texts are for people."""
    state, running = live.state, live.daemon is Daemon.RUNNING
    writes = live.writes if running else None
    items = [
        _item("Daemon", running, live.daemon.value + (f", version {state.version}" if running else "")),
        _item(
            "Switch link",
            running and state.sight,
            "seen" if running and state.sight else "not seen",
            state.sight_since if running else None,
        ),
        _item(
            "Clock",
            None if not running else state.clock is ClockState.SYNCHRONISED,
            state.clock.value if running else "not known",
        ),
        _item("Record", writes, {True: "takes facts", False: "TROUBLE", None: "not known"}[writes]),
    ]
    disk = live.signs.disk()
    if disk is None:
        items.append(_item("Disk", None, "not known"))
    else:
        free = f"{disk.free_bytes / 1e9:.1f} GB free ({disk.free_bytes / max(disk.size_bytes, 1):.0%})"
        items.append(_item("Disk", not disk.is_low, free))
    return [*items, _checks(live), _pull(live)]


def _checks(live: Live) -> dict[str, Any]:
    """The gravest of what the last round of `hwtest watch` came to, and how old it is; no news is not good news."""
    checks = live.state.checks
    if not checks:
        return _item("Last check", None, "never")
    newest = max(checks.values(), key=lambda check: check.at.utc_us)
    late = live.age(newest.at) > CHECK_LATE_SECONDS
    grave = {probe: check for probe, check in checks.items() if newest.at.since(check.at) <= ROUND_SECONDS}
    probe, worst = max(grave.items(), key=lambda item: _GRAVITY.index(item[1].verdict))
    text = f"{len(grave)} pass" if worst.verdict is CheckVerdict.PASS else f"{probe} {worst.verdict.words}"
    if worst.verdict is not CheckVerdict.PASS and worst.figure:
        text += f": {worst.figure}"
    known = {CheckVerdict.PASS: True, CheckVerdict.WARN: True, CheckVerdict.FAIL: False}.get(worst.verdict)
    return _item("Last check", None if late else known, text + (", LATE" if late else ""), newest.at)


def _pull(live: Live) -> dict[str, Any]:
    pulled = live.signs.last_pull_utc_us()
    if pulled is None:
        return _item("Last MI pull", None, "never")
    seconds = max(0.0, (live.signs.now().utc_us - pulled) / MICROSECONDS)
    return {**_item("Last MI pull", seconds < PULL_LATE_SECONDS, ""), "since": rfc3339_milliseconds(pulled)}


def _item(name: str, ok: bool | None, text: str, since: Instant | None = None) -> dict[str, Any]:
    return {"name": name, "ok": ok, "text": text, "since": _time(since)}


def _oldest(live: Live, times: Iterable[Instant]) -> float | None:
    return max((live.age(at) for at in times), default=None)


def _time(at: Instant | None) -> str | None:
    return None if at is None else rfc3339_milliseconds(at.utc_us)
