"""The room in one picture, from the daemon to the open calls. `edge status` shows it once, `edge top` goes on."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from edge.cli import output
from edge.cli.gaps import beginning, completeness_json, sentence
from edge.cli.places import Site
from edge.core import facts
from edge.core.model import MICROSECONDS, CallState, CheckVerdict, Instant, Rung
from edge.core.state import Call, Promises, State, fold
from edge.liveness import daemon_pid, reserve_pids
from edge.views import shapes
from edge.views.agents import AgentView, count_by_state, view_agents
from edge.views.calls import CallFold, CallRecord
from edge.views.gaps import Completeness, GapFold, completeness, open_gap
from edge.views.queues import CALLBACKS, DIALLING, WAITING, QueueView, view_queues
from edge.views.reading import DAY_FACTS, Reader, entries, entries_of, open_state, sequence_before
from edge.views.record import AlarmRecord
from edge.views.words import RUNGS, kind_of, tier_name

if TYPE_CHECKING:
    from rich.console import Group

BUSY_CALLS_SHOWN = 20
ALARM_SECONDS = 3600.0
"""How long an alarm is shown."""
ALARMS_SHOWN = 8
NO_QUEUE = "at the entrance"
"""In place of a queue, for calls that were refused before they had one."""


def midnight_utc_us(at: Instant) -> int:
    """The beginning of the local day that `at` is in."""
    today = datetime.fromtimestamp(at.utc_us / MICROSECONDS, UTC).astimezone().date()
    return int(datetime.combine(today, time()).astimezone().timestamp() * MICROSECONDS)


def _alarms_since(at: Instant) -> int:
    return at.utc_us - int(ALARM_SECONDS * MICROSECONDS)


class Picture:
    """The open state and the calls that arrived today (or since another moment); `refresh` goes on from there."""

    def __init__(self, reader: Reader, site: Site, since_utc_us: int | None = None) -> None:
        self._reader = reader
        self._site = site
        self._day = midnight_utc_us(output.now()) if since_utc_us is None else since_utc_us
        self._fold = CallFold()
        self._gaps = GapFold()
        self._alarms: list[AlarmRecord] = []
        self.state = open_state(reader)
        begin = min(self._day, _alarms_since(output.now()))
        for entry in entries_of(reader, DAY_FACTS, sequence_before(reader, begin)):
            if entry.sequence <= self.state.sequence:
                self._add(entry)

    def refresh(self) -> bool:
        """Fold what is new; whether there was anything."""
        before = self.state.sequence
        if self._reader.last_sequence() == before:
            return False
        for entry in entries(self._reader, before):
            fold(self.state, entry)
            self._add(entry)
        return self.state.sequence != before

    def _add(self, entry: facts.Entry) -> None:
        self._fold.add(entry)
        self._gaps.add(entry)
        if isinstance(fact := entry.fact, facts.AlarmRaised):
            self._alarms.append(
                AlarmRecord(at=entry.at, kind=fact.kind, detail=fact.detail, call_id=fact.call_id)
            )

    @property
    def alarms(self) -> list[AlarmRecord]:
        """Those of the last hour, the newest first."""
        since = _alarms_since(output.now())
        return [alarm for alarm in reversed(self._alarms) if alarm.at.utc_us >= since]

    @property
    def today(self) -> list[CallRecord]:
        """Calls that arrived today, or since the moment that was named."""
        return [call for call in self._fold.calls.values() if call.arrived_at.utc_us >= self._day]

    @property
    def pid(self) -> int | None:
        """The daemon's process, None when it does not live."""
        return daemon_pid(self._site.ledger_url)

    @property
    def reserve_pids(self) -> list[int]:
        """The processes that wait to serve when the daemon ends."""
        return reserve_pids(self._site.ledger_url)

    @property
    def queues(self) -> list[QueueView]:
        """999 first."""
        return view_queues(self.state, self.today, self._site.targets, self._site.emergency)

    @property
    def agents(self) -> list[AgentView]:
        """By number."""
        return view_agents(self.state, self._site.agents, self.today)

    @property
    def callbacks(self) -> list[Call]:
        """Call-backs that have been promised and not been connected, by their places."""
        found = [call for call in self.state.calls.values() if call.state in CALLBACKS | DIALLING]
        return sorted(found, key=lambda call: call.queued_at.utc_us)

    @property
    def oldest_task_at(self) -> Instant | None:
        """When the task that has been open longest was opened."""
        return min(
            (task.opened_at for task in self.state.tasks.values()), key=lambda at: at.utc_us, default=None
        )

    @property
    def completeness(self) -> Completeness:
        """How much of today the switch was seen."""
        at, gaps = output.now(), list(self._gaps.gaps.values())
        lasting = open_gap(self.state, at, self.pid is not None)
        begin = max(self._day, beginning(self._reader))
        return completeness(gaps if lasting is None else [*gaps, lasting], min(begin, at.utc_us), at.utc_us)

    @property
    def well(self) -> bool:
        """Whether calls are being served: the daemon lives and sees the switch, and the ledger takes facts."""
        return self.pid is not None and self.state.sight and self.state.ledger_trouble is None

    def calls_by_state(self) -> dict[str, int]:
        """How many open calls are in each state, test calls left out."""
        counted = Counter(call.state for call in self.state.calls.values() if not call.test)
        return {state.value: counted[state] for state in CallState if state is not CallState.ENDED}

    @property
    def open_test_calls(self) -> int:
        """How many test calls are open."""
        return sum(call.test for call in self.state.calls.values())


def picture_json(picture: Picture) -> dict[str, Any]:
    """The picture in JSON."""
    state, pid, at = picture.state, picture.pid, output.now()
    return {
        "at": shapes.instant(at),
        "well": picture.well,
        "daemon": {
            "running": pid is not None,
            "pid": pid,
            "reserve_pids": picture.reserve_pids,
            "version": state.version or None,
            "started": shapes.instant(state.started_at),
        },
        "switch": {
            "seen": state.sight and pid is not None,
            "since": shapes.instant(state.sight_since),
            "error": state.sight_error or None,
        },
        "completeness": completeness_json(picture.completeness),
        "clock": state.clock.value,
        "ledger": {"sequence": state.sequence, "trouble": state.ledger_trouble},
        "incident": {
            "declared": state.incident_since is not None,
            "since": shapes.instant(state.incident_since),
        },
        "checks": {
            probe: {"at": shapes.instant(check.at), "verdict": check.verdict.value, "figure": check.figure}
            for probe, check in sorted(state.checks.items())
        },
        "alarms": [shapes.alarm_json(alarm) for alarm in picture.alarms],
        "queues": [_queue_json(queue, at) for queue in picture.queues],
        "callbacks": _callbacks_json(picture),
        "tasks": _tasks_json(picture, at),
        "agents": {state.value: count for state, count in count_by_state(picture.agents).items()},
        "calls": {
            "open": sum(picture.calls_by_state().values()),
            **picture.calls_by_state(),
            "test": picture.open_test_calls,
        },
    }


def _callbacks_json(picture: Picture) -> dict[str, Any]:
    state, open_calls = picture.state, picture.callbacks
    promises = state.promises
    return {
        "waiting": sum(call.state in CALLBACKS for call in open_calls),
        "dialling": sum(call.state in DIALLING for call in open_calls),
        "offering_paused": state.offering_paused,
        "offering": dict(sorted(state.offering.items())),
        "trunk_rests_until": shapes.instant(state.trunk_rests_until),
        "promises": {
            "made": promises.made,
            "kept": promises.kept,
            "merged": promises.merged,
            "cancelled": promises.cancelled,
            "became_tasks": promises.became_tasks,
            "upgraded": promises.upgraded,
            "out_of_turn": promises.out_of_turn,
        },
    }


def _tasks_json(picture: Picture, at: Instant) -> dict[str, Any]:
    oldest, tasks = picture.oldest_task_at, picture.state.tasks.values()
    return {
        "open": len(tasks),
        "unassigned": sum(task.assigned_to is None for task in tasks),
        "emergency": sum(task.emergency for task in tasks),
        "oldest": shapes.instant(oldest),
        "oldest_seconds": None if oldest is None else output.age_seconds(oldest, at),
    }


def _queue_json(queue: QueueView, at: Instant) -> dict[str, Any]:
    oldest = queue.oldest_at
    return {
        "queue": queue.queue,
        "tier": tier_name(queue.tier),
        "waiting": queue.waiting,
        "ringing": queue.ringing,
        "connecting": queue.connecting,
        "talking": queue.talking,
        "leaving": queue.leaving,
        "fallback": queue.fallback,
        "callbacks": queue.callbacks,
        "dialling": queue.dialling,
        "offering": queue.offering,
        "upgraded": queue.upgraded,
        "oldest": shapes.instant(oldest),
        "oldest_seconds": None if oldest is None else output.age_seconds(oldest, at),
        "today": shapes.summary_json(queue.today),
    }


def render(picture: Picture, live: bool = False) -> Group:
    """The picture as tables; `live` adds agents and open calls one by one."""
    from rich.console import Group

    at = output.now()
    parts: list[Any] = [
        *_warnings(picture),
        output.pairs({**_heads(picture), **_promises(picture, at)}),
        "",
        _queue_table(picture, at),
        "",
    ]
    if live:
        parts += [_agent_table(picture.agents, at), "", _call_table(picture, at)]
    else:
        counted = count_by_state(picture.agents)
        parts.append(output.pairs({"agents": _counts({s.value: n for s, n in counted.items()})}))
        parts.append(output.pairs({"calls ": _calls(picture)}))
    return Group(*parts)


def _warnings(picture: Picture) -> list[Any]:
    """What a supervisor must not overlook, above everything else."""
    lines = []
    if (since := picture.state.incident_since) is not None:
        lines.append(output.text(f"MAJOR INCIDENT since {output.local(since)}", "bold white on red"))
    if broken := picture.state.promises.out_of_turn:
        lines.append(
            output.text(f"PROMISES BROKEN: {broken} call-backs were served out of turn", "bold white on red")
        )
    alarms = picture.alarms
    for alarm in alarms[:ALARMS_SHOWN]:
        about = "" if alarm.call_id is None else f" (call {alarm.call_id})"
        when = output.local(alarm.at, "%H:%M:%S")
        lines.append(output.text(f"ALARM {when} {alarm.kind}: {alarm.detail}{about}", "bold red"))
    if len(alarms) > ALARMS_SHOWN:
        lines.append(output.text(f"and {len(alarms) - ALARMS_SHOWN} more alarms of the last hour", "red"))
    return [*lines, ""] if lines else []


def _calls(picture: Picture) -> str:
    tests = picture.open_test_calls
    return _counts({**picture.calls_by_state(), "test": tests})


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counted.items() if count) or "none"


def _heads(picture: Picture) -> dict[str, object]:
    state, pid = picture.state, picture.pid
    return {
        "daemon": _daemon(picture, pid),
        "switch": _switch(picture, pid),
        "today": sentence(picture.completeness),
        "clock": state.clock.value,
        "ledger": f"{state.sequence} facts"
        + (f", TROUBLE: {state.ledger_trouble}" if state.ledger_trouble else ""),
        **_checks(state),
    }


def _checks(state: State) -> dict[str, object]:
    """What `hwtest watch` found last, the newest first; nothing where it never ran."""
    if not state.checks:
        return {}
    newest_first = sorted(state.checks.items(), key=lambda item: -item[1].at.utc_us)
    at = output.now()
    told = (
        f"{probe} {check.verdict.words} {output.age_seconds(check.at, at) / 60:.0f} min ago"
        + (f" ({check.figure})" if check.figure and check.verdict is not CheckVerdict.PASS else "")
        for probe, check in newest_first
    )
    return {"checks": "; ".join(told)}


def _promises(picture: Picture, at: Instant) -> dict[str, object]:
    """Call-backs and tasks; nothing where there never were any."""
    state, shown = picture.state, dict[str, object]()
    if state.promises != Promises() or picture.callbacks or state.offering or state.offering_paused:
        waiting = sum(call.state in CALLBACKS for call in picture.callbacks)
        rung = len(picture.callbacks) - waiting
        shown["call-backs"] = f"{waiting} waiting, {rung} being rung; {_offering(picture, at)}"
        shown["promises"] = _promises_kept(state.promises)
    if (oldest := picture.oldest_task_at) is not None:
        unassigned = sum(task.assigned_to is None for task in state.tasks.values())
        minutes = output.age_seconds(oldest, at) / 60
        shown["tasks"] = (
            f"{len(state.tasks)} open, {unassigned} nobody's yet, the oldest for {minutes:.0f} min"
        )
    return shown


def _offering(picture: Picture, at: Instant) -> str:
    state = picture.state
    if state.offering_paused:
        return "offering PAUSED"
    queues = ", ".join(sorted(queue for queue, on in state.offering.items() if on))
    until = state.trunk_rests_until
    rests = until is not None and until.utc_us > at.utc_us
    offered = f"offered in {queues}" if queues else "not offered now"
    return offered + (f"; the trunk RESTS until {output.local(until, '%H:%M:%S')}" if rests else "")


def _promises_kept(promises: Promises) -> str:
    """The live counter."""
    parts = {
        "made": promises.made,
        "kept": promises.kept,
        "merged": promises.merged,
        "cancelled": promises.cancelled,
        "became tasks": promises.became_tasks,
        "upgraded": promises.upgraded,
    }
    return (
        ", ".join(f"{count} {name}" for name, count in parts.items())
        + f"; {promises.out_of_turn} out of turn"
    )


def _daemon(picture: Picture, pid: int | None) -> str:
    state = picture.state
    if pid is None:
        return "NOT RUNNING: the switch's own queue serves the callers"
    reserve = " and ".join(map(str, picture.reserve_pids))
    return (
        f"running (pid {pid}, version {state.version or 'unknown'}, since {output.local(state.started_at)}); "
        + (f"in reserve: pid {reserve}" if reserve else "none in reserve")
    )


def _switch(picture: Picture, pid: int | None) -> str:
    state = picture.state
    if pid is None:
        return "not seen: the daemon is not running"
    since = "" if state.sight_since is None else f" since {output.local(state.sight_since)}"
    return f"seen{since}" if state.sight else f"NOT SEEN{since}: {state.sight_error or 'not yet'}"


def _age(since: Instant | None, at: Instant) -> str:
    return "" if since is None else output.seconds(output.age_seconds(since, at), 0)


def _queue_table(picture: Picture, at: Instant) -> Any:
    columns = (
        "=queue", "=tier", ">waiting", ">oldest s", ">ringing", ">talking", ">fallback", ">call-backs",
        ">today", ">answered", ">abandoned", ">sent away", ">upgraded",
        ">median s", ">longest s", ">under target", ">target s",
    )  # fmt: skip
    return output.table(
        columns,
        [
            (
                queue.queue or NO_QUEUE,
                tier_name(queue.tier),
                queue.waiting,
                _age(queue.oldest_at, at),
                queue.ringing,
                queue.talking,
                queue.fallback,
                queue.callbacks + queue.dialling,
                queue.today.offered,
                queue.today.answered,
                queue.today.abandoned,
                queue.today.refused + queue.today.turned_away + queue.today.overflowed,
                queue.today.upgraded,
                output.seconds(queue.today.waits.median_seconds),
                output.seconds(queue.today.waits.longest_seconds),
                output.share(queue.today.service_level),
                f"{queue.today.target_seconds:g}",
            )
            for queue in picture.queues
        ],
    )


def _agent_table(views: list[AgentView], at: Instant) -> Any:
    return output.table(
        ("=agent", "name", "state", ">for s", "phone", "phone is", "=call", "=kind", ">answered"),
        [
            (
                view.agent,
                view.name,
                state_words(view),
                _age(view.since, at),
                view.phone,
                view.phone_state.value if view.phone else "",
                view.call_id,
                view.call_kind,
                view.answered,
            )
            for view in views
        ],
    )


def state_words(view: AgentView) -> str:
    """The state, with the reason of one who is not ready, and whatever else a supervisor should see of them."""
    more = [view.not_ready_reason] if view.not_ready_reason else []
    more += ["on hold"] if view.held else []
    more += view.supervised_by
    more += [f"{view.wrap_up_owed_seconds:.0f} s of wrap-up owed"] if view.wrap_up_owed_seconds else []
    more += [f"{view.missed_in_a_row} missed in a row"] if view.missed_in_a_row else []
    return f"{view.state.value} ({', '.join(more)})" if more else view.state.value


def _call_table(picture: Picture, at: Instant) -> Any:
    calls = sorted(picture.state.calls.values(), key=lambda call: (call.tier, call.queued_at.utc_us))
    shown = calls[:BUSY_CALLS_SHOWN]
    title = f"{len(calls)} open calls" + (f", {len(shown)} shown" if len(shown) < len(calls) else "")
    return output.table(
        ("=call", "=kind", "line", "class", "=language", "state", ">s", "=agent"),
        [
            (
                call.call_id,
                kind_of(call),
                call.line,
                call.priority_class,
                call.language + (", assisted" if call.assisted else ""),
                _call_state(call),
                _age(call.connected_at or call.queued_at, at),
                call.agent,
            )
            for call in shown
        ],
        title,
    )


def _call_state(call: Call) -> str:
    """The state, with how far a 999 nobody has answered has come."""
    more = []
    if call.state in WAITING and call.rung is not Rung.NEXT_AGENT:
        more.append(RUNGS[call.rung])
    more += [call.leaving_for] if call.leaving_for else []
    more += ["passed on"] if call.passed_on else []
    more += ["on hold"] if call.held else []
    more += ["call-back offered"] if call.state in WAITING and call.callback_offered_at else []
    if call.callback is not None and call.callback.attempt:
        more.append(f"attempt {call.callback.attempt}")
    return f"{call.state.value} ({', '.join(more)})" if more else call.state.value
