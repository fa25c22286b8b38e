"""What people and programs tell the daemon about calls: sent as user events over AMI, in the words that the dialplan uses.

They change nothing on the switch, so they need a daemon that runs: nobody else hears them. Every function raises
`RefusedError` with a message for a person (a value that may not be sent, or a no from the switch), and `LinkError`.
"""

from __future__ import annotations

import re

from edge.core.inputs import Order
from edge.core.model import CheckVerdict
from edge.core.promise import AttemptOutcome, TaskOutcome
from edge.errors import RefusedError
from edge.pbx.asterisk.control import Link

LONGEST_VALUE = 80
RECORDING_STATES = ("started", "stopped", "failed")
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:/+@#()'-]*")
_KIND = re.compile(r"[a-z][a-z-]{0,31}")
_PROBE = re.compile(r"[a-z][a-z0-9]{0,31}\.[a-z0-9][a-z0-9-]{0,31}")
_CALL = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


async def declare_incident(link: Link, active: bool, by: str) -> None:
    """Declare a major incident, or (`active` False) end it. `by`: who does."""
    await _send(link, "EdgeIncident", {"Active": "yes" if active else "no", "By": _checked("by", by)})


async def report_check(link: Link, probe: str, verdict: CheckVerdict, figure: str, by: str) -> None:
    """Say what a check of the equipment came to. `figure`: what was measured, in words, or nothing."""
    if not _PROBE.fullmatch(probe):
        raise RefusedError(f"probe {probe!r} must be a name such as sip.options")
    headers = {
        "Probe": probe,
        "Verdict": verdict.value,
        "Figure": _checked("figure", figure) if figure else "",
        "By": _checked("by", by),
    }
    await _send(link, "EdgeChecked", headers)


async def annotate(link: Link, call: str, kind: str, value: str, state: str, by: str) -> None:
    """Attach something to a call: `kind` "incident" with its reference, "recording" with the recorder's id and its `state`."""
    if not _KIND.fullmatch(kind):
        raise RefusedError(f"kind {kind!r} must be 1 to 32 of a-z and -, such as incident or recording")
    if state not in ("", *RECORDING_STATES):
        raise RefusedError(f"state {state!r} must be one of {', '.join(RECORDING_STATES)}, or nothing")
    headers = {
        "Call": _checked_call(call),
        "Kind": kind,
        "Value": _checked("value", value),
        "State": state,
        "By": _checked("by", by),
    }
    await _send(link, "EdgeNote", headers)


async def mark_assisted(link: Link, call: str, by: str) -> None:
    """Mark the caller of a call as coming through a relay."""
    await _send(link, "EdgeAssisted", {"Call": _checked_call(call), "By": _checked("by", by)})


async def order_callback(
    link: Link, call: str, order: Order, by: str, why: str, *, queue: str = "", priority_class: str = ""
) -> None:
    """Cancel a call-back, or move it to a queue and class ("": as it is). `by`: who, `why`: in their words."""
    headers = {
        "Order": order.value,
        "Call": _checked_call(call),
        "By": _checked("by", by),
        "Why": _checked_text("why", why),
        "Queue": _checked("queue", queue) if queue else "",
        "Class": _checked("class", priority_class) if priority_class else "",
    }
    await _send(link, "EdgeCallback", headers)


async def judge_callback(link: Link, call: str, by: str) -> None:
    """Say that an answering machine has answered a call-back."""
    headers = {"Outcome": AttemptOutcome.MACHINE.value, "Call": _checked_call(call), "By": _checked("by", by)}
    await _send(link, "EdgeJudged", headers)


async def set_offering(link: Link, active: bool, by: str) -> None:
    """Pause (`active` False) or resume the offering of call-backs."""
    await _send(link, "EdgeOffering", {"Active": "yes" if active else "no", "By": _checked("by", by)})


async def assign_task(link: Link, task: str, to: str, by: str) -> None:
    """Make a task the work of `to`, a person."""
    headers = {
        "Task": _checked_call(task),
        "Order": "assign",
        "To": _checked("to", to),
        "By": _checked("by", by),
    }
    await _send(link, "EdgeTask", headers)


async def close_task(link: Link, task: str, outcome: TaskOutcome, by: str, note: str = "") -> None:
    """Close a task. `note`: in the words of `by`, or nothing."""
    headers = {
        "Task": _checked_call(task),
        "Order": "close",
        "Outcome": outcome.value,
        "By": _checked("by", by),
        "Note": _checked_text("note", note) if note else "",
    }
    await _send(link, "EdgeTask", headers)


async def _send(link: Link, event: str, headers: dict[str, str]) -> None:
    await link.ask("UserEvent", {"UserEvent": event, **headers})


def _checked(what: str, value: str) -> str:
    """A value of our own alphabet: no line break, which would begin another header, and no control character."""
    if not _VALUE.fullmatch(value) or len(value) > LONGEST_VALUE:
        raise RefusedError(
            f"{what} {value!r} must be 1 to {LONGEST_VALUE} letters, digits, spaces and _.:/+@#()'-, beginning with a letter"
            " or digit"
        )
    return value


def _checked_text(what: str, value: str) -> str:
    """A person's own words on one line."""
    if not value.isprintable() or not 1 <= len(value) <= LONGEST_VALUE or value != value.strip():
        raise RefusedError(
            f"{what} {value!r} must be 1 to {LONGEST_VALUE} printable characters on one line, without spaces around them"
        )
    return value


def _checked_call(call: str) -> str:
    if not _CALL.fullmatch(call):
        raise RefusedError(f"{call!r} is no call's id: `edge calls` shows them")
    return call
