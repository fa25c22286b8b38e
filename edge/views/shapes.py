"""Calls, call-backs, tasks, alarms and figures as JSON has them: one shape for the command line and for the pull API.

Times are `{"utc": RFC 3339 in UTC with microseconds, "monotonic_ns": nanoseconds}`; durations are seconds (docs/cli.md).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edge.core.model import Instant
from edge.views import caller, words
from edge.views.record import AlarmRecord, CallbackRecord, CallRecord, OfferRecord, TaskRecord
from edge.views.shift import Summary, Waits
from edge.views.times import rfc3339


def instant(at: Instant | None) -> dict[str, Any] | None:
    """An instant in JSON."""
    return None if at is None else {"utc": rfc3339(at.utc_us), "monotonic_ns": at.monotonic_ns}


@dataclass(frozen=True, slots=True)
class Callers:
    """How callers are shown."""

    key: bytes | None
    numbers: bool

    def show(self, call: CallRecord) -> str:
        """For a table."""
        if not self.numbers:
            return caller.masked(call.caller_number, call.number_withheld)
        whole = call.caller_number or caller.masked(None, call.number_withheld)
        return f"{whole} {call.caller_name}" if call.caller_name else whole

    def number(self, number: str | None, *, withheld: bool = False) -> str:
        """A number without a caller's name, for a table."""
        return number if self.numbers and number else caller.masked(number, withheld)

    def number_fields(self, number: str | None, *, withheld: bool) -> dict[str, Any]:
        """The same for JSON."""
        shown: dict[str, Any] = {
            "caller": caller.caller_id(self.key, number),
            "number_mask": caller.masked(number, withheld),
        }
        return {**shown, "number": number} if self.numbers else shown

    def fields(self, call: CallRecord) -> dict[str, Any]:
        """For JSON."""
        shown: dict[str, Any] = {
            "caller": caller.caller_id(self.key, call.caller_number),
            "caller_mask": caller.masked(call.caller_number, call.number_withheld),
            "number_withheld": call.number_withheld,
        }
        if self.numbers:
            shown |= {
                "caller_number": call.caller_number,
                "caller_name": call.caller_name,
                "caller_knowledge": None if call.knowledge is None else asdict(call.knowledge),
            }
        return shown


def callers(ledger_url: str, numbers: bool) -> Callers:
    """As asked for on the command line."""
    return Callers(caller.read_key(ledger_url), numbers)


def call_json(call: CallRecord, shown: Callers) -> dict[str, Any]:
    """A call in JSON."""
    return {
        "call_id": call.call_id,
        "state": call.state.value,
        "line": call.line,
        "queue": call.queue,
        "tier": words.tier_name(call.counted_tier),
        "kind": words.kind_of(call),
        "class": call.priority_class,
        "class_source": call.classified_by.value,
        "language": call.language,
        "test": call.test,
        "consultation_of": call.consultation_of,
        "consultations": [
            {
                "at": instant(c.at),
                "agent": c.agent,
                "with_agent": c.with_agent,
                "line": c.line,
                "call_id": c.call_id,
            }
            for c in call.consultations
        ],
        "assisted": call.assisted,
        "assisted_by": call.assisted_by,
        "adopted": call.adopted,
        **shown.fields(call),
        "arrived": instant(call.arrived_at),
        "answered": instant(call.answered_at),
        "answered_by": call.answered_by,
        "queued": instant(call.queued_at),
        "upgraded": instant(call.upgraded_at),
        **_history_json(call, shown.numbers),
        "offers": [_offer_json(offer) for offer in call.offers],
        "connected": instant(call.connected_at),
        "agent": call.agent,
        "agents": call.agents,
        "connections": [
            {"agent": c.agent, "at": instant(c.at), "ended": instant(c.ended_at)} for c in call.connections
        ],
        "holds": [{"started": instant(h.started_at), "ended": instant(h.ended_at)} for h in call.holds],
        "returned": [instant(at) for at in call.returned_at],
        "fallback": instant(call.fallback_at),
        "fallback_why": call.fallback_why or None,
        "ended": instant(call.ended_at),
        "outcome": call.outcome,
        "stage": call.stage,
        "side": call.side,
        "cause": call.cause,
        "unseen_since": instant(call.unseen_since),
        "traced_by": call.traced_by,
        "came_unseen": call.came_unseen,
        "waited_seconds": call.waited_seconds,
        "first_human_seconds": call.first_human_seconds,
        "right_desk_seconds": call.right_desk_seconds,
        "talked_seconds": call.talked_seconds,
        "held_seconds": call.held_seconds,
        "wrap_up_started": instant(call.wrap_up_started_at),
        "wrap_up_ended": instant(call.wrap_up_ended_at),
        "wrap_up_seconds": call.wrap_up_seconds,
        **_work_json(call),
        **_callback_json(call, shown),
    }


def _callback_json(call: CallRecord, shown: Callers) -> dict[str, Any]:
    """How the call was offered a call-back, and became one."""
    return {
        "on_line_seconds": call.on_line_seconds,
        "predictions": [
            {
                "at": instant(each.at),
                "low_seconds": each.low_seconds,
                "high_seconds": each.high_seconds,
                "position": each.position,
                "agents": each.agents,
                "measured": each.measured,
            }
            for each in call.predictions
        ],
        "callback_offered": [instant(at) for at in call.callback_offers],
        "callback_dialogues": [
            {
                "accepted": instant(each.accepted_at),
                "asked": [asked.value for asked in each.asked],
                "keyed": [judgement.value for judgement in each.keyed],
                "declined": instant(each.declined_at),
                "declined_why": each.declined_why or None,
            }
            for each in call.dialogues
        ],
        "callback": None if call.callback is None else promise_json(call.callback, shown),
        "task": call.task,
    }


def promise_json(promise: CallbackRecord, shown: Callers) -> dict[str, Any]:
    """A promised call-back in JSON."""
    return {
        "promised": instant(promise.promised_at),
        **shown.number_fields(promise.number, withheld=False),
        "keyed": promise.keyed,
        "into": promise.into,
        "confirmed": instant(promise.confirmed_at),
        "off_line": instant(promise.off_line_at),
        "off_line_seconds": promise.off_line_seconds,
        "not_before": instant(promise.not_before),
        "barred": promise.barred or None,
        "attempts": [
            {
                "attempt": each.attempt,
                "agent": each.agent,
                "offer_id": each.offer_id,
                "intended": instant(each.intended_at),
                "dialled": instant(each.dialled_at),
                "rang": instant(each.rang_at),
                "answered": instant(each.answered_at),
                "pressed": instant(each.pressed_at),
                "ended": instant(each.ended_at),
                "outcome": each.outcome,
                "counted": each.counted,
                "cause": each.cause or None,
            }
            for each in promise.attempts
        ],
        "matched": [
            {"at": instant(m.at), "by_call": m.by_call, "emergency": m.emergency} for m in promise.matched
        ],
        "moved": [
            {"at": instant(m.at), "queue": m.queue, "class": m.priority_class, "by": m.by, "why": m.why}
            for m in promise.moved
        ],
    }


def _offer_json(offer: OfferRecord) -> dict[str, Any]:
    return {
        "offer_id": offer.offer_id,
        "agent": offer.agent,
        "phone": offer.phone,
        "made": instant(offer.made_at),
        "rang": instant(offer.rang_at),
        "answered": instant(offer.answered_at),
        "withdrawn": instant(offer.withdrawn_at),
        "ended": instant(offer.ended_at),
        "ring_seconds": offer.ring_seconds,
        "outcome": offer.outcome,
        "cause": offer.cause,
    }


def _history_json(call: CallRecord, numbers: bool) -> dict[str, Any]:
    """How the call was classified, escalated, announced to and moved."""
    return {
        "classes": [
            {
                "at": instant(given.at),
                "queue": given.queue,
                "class": given.priority_class,
                "language": given.language,
                "source": given.source.value,
                "detail": given.detail,
            }
            for given in call.classes
        ],
        "escalations": [{"at": instant(r.at), "rung": r.rung.name.lower()} for r in call.rungs],
        "announcements": [
            {
                "prompt": heard.prompt,
                "started": instant(heard.started_at),
                "ended": instant(heard.ended_at),
                "completed": heard.completed,
            }
            for heard in call.announcements
        ],
        "sent_back": [{"at": instant(b.at), "agent": b.agent, "queue": b.queue} for b in call.sent_back],
        "passed_on": [
            {
                "at": instant(passed.at),
                "agent": passed.agent,
                "kind": passed.kind.value,
                "target": passed.target if numbers else words.target_name(passed.target, passed.to_agent),
                "to_agent": passed.to_agent,
            }
            for passed in call.passed_on
        ],
        "departures": [
            {
                "at": instant(gone.at),
                "why": gone.why,
                "prompt": gone.prompt,
                "phone": gone.phone,
                "answered": instant(gone.answered_at),
            }
            for gone in call.departures
        ],
        "wrap_ups_broken": call.wrap_ups_broken,
    }


def _work_json(call: CallRecord) -> dict[str, Any]:
    """What people did with the call beside talking, and attached to it."""
    return {
        "wrap_ups": [
            {
                "agent": work.agent,
                "started": instant(work.started_at),
                "ended": instant(work.ended_at),
                "broken": work.broken,
            }
            for work in call.wrap_ups
        ],
        "wrap_up_codes": [
            {"at": instant(c.at), "agent": c.agent, "code": c.code} for c in call.wrap_up_codes
        ],
        "assists": [{"at": instant(asked.at), "agent": asked.agent} for asked in call.assists],
        "supervisions": [
            {
                "supervisor": seen.supervisor,
                "agent": seen.agent,
                "mode": seen.mode.value,
                "started": instant(seen.started_at),
                "ended": instant(seen.ended_at),
            }
            for seen in call.supervisions
        ],
        "invitations": [
            {"at": instant(asked.at), "agent": asked.agent, "supervisor": asked.supervisor}
            for asked in call.invitations
        ],
        "alarms": [alarm_json(alarm) for alarm in call.alarms],
        "annotations": [
            {
                "at": instant(note.at),
                "kind": note.kind,
                "value": note.value,
                "state": note.state or None,
                "by": note.by,
            }
            for note in call.annotations
        ],
    }


def task_json(task: TaskRecord, shown: Callers) -> dict[str, Any]:
    """A ring-back task in JSON."""
    return {
        "task_id": task.task_id,
        "call_id": task.call_id,
        "kind": task.kind,
        "detail": task.detail,
        **shown.number_fields(task.number, withheld=task.number_withheld),
        "opened": instant(task.opened_at),
        "waited_seconds": task.waited_seconds,
        "rang_seconds": task.rang_seconds,
        "attempts": task.attempts,
        "calls_in_day": task.calls_in_day,
        "emergency": task.emergency,
        "number_withheld": task.number_withheld,
        "linked": task.linked,
        "assigned_to": task.assigned_to,
        "assigned": instant(task.assigned_at),
        "closed": instant(task.closed_at),
        "closed_by": task.closed_by,
        "outcome": task.outcome,
        "note": task.note or None,
        "rung": [
            {
                "agent": attempt.agent,
                "ended": instant(attempt.at),
                "outcome": attempt.outcome,
                "talked_seconds": attempt.talked_seconds,
            }
            for attempt in task.rung
        ],
    }


def alarm_json(alarm: AlarmRecord) -> dict[str, Any]:
    """An alarm in JSON."""
    return {
        "at": instant(alarm.at),
        "kind": alarm.kind,
        "detail": alarm.detail,
        "call_id": alarm.call_id,
    }


def summary_json(summary: Summary) -> dict[str, Any]:
    """The figures of a shift in JSON."""
    return {
        "offered": summary.offered,
        "answered": summary.answered,
        "abandoned": summary.abandoned,
        "unknown": summary.unknown,
        "refused": summary.refused,
        "turned_away": summary.turned_away,
        "overflowed": summary.overflowed,
        "unreached": summary.unreached,
        "cancelled": summary.cancelled,
        "merged": summary.merged,
        "promised": summary.promised,
        "kept": summary.kept,
        "callbacks_waiting": summary.callbacks_waiting,
        "let_go_after_waiting": summary.let_go_after_waiting,
        "waiting": summary.waiting,
        "open": summary.open,
        "fallback": summary.fallback,
        "traced": summary.traced,
        "upgraded": summary.upgraded,
        "sent_back": summary.sent_back,
        "abandoned_in_transfer": summary.abandoned_in_transfer,
        "wrap_ups_broken": summary.wrap_ups_broken,
        "waits": _waits_json(summary.waits),
        "on_line_waits": _waits_json(summary.on_line_waits),
        "right_desk_waits": _waits_json(summary.right_desk_waits),
        "abandoned_waits": _waits_json(summary.abandoned_waits),
        "waits_by_language": {
            language: _waits_json(waits) for language, waits in summary.waits_by_language.items()
        },
        "target_seconds": summary.target_seconds,
        "answered_within_target": summary.answered_within_target,
        "service_level": summary.service_level,
    }


def _waits_json(waits: Waits) -> dict[str, Any]:
    return {
        "count": waits.count,
        "mean_seconds": waits.mean_seconds,
        "median_seconds": waits.median_seconds,
        "p90_seconds": waits.p90_seconds,
        "longest_seconds": waits.longest_seconds,
    }
