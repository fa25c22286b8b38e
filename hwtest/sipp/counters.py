"""SIPp's own counters, from the last line of its statistics file. Pure.

They are the truth about a run; its exit status alone is not (SIPp's issue 509: 0 after a time-out).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

GAVE_UP = "CallRejected"
"""SIPp's word for a call that its own scenario stops: a caller of `uac_queue_caller` whom nobody served in time."""
_FAILURE = re.compile(r"Failed(\w+)\(C\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What SIPp counted from its start to its end."""

    created: int
    successful: int
    failed: int
    in_progress: int
    """Calls that were neither one nor the other when it ended."""
    retransmissions: int
    stray: int
    """Messages that belonged to no call, or to one that was over."""
    watchdog: int
    """How often SIPp's own loop was late by more than three seconds: it did not offer what it was told to."""
    fatal_errors: int
    failures: dict[str, int]
    """By SIPp's word for the reason, those that happened."""


class CountersError(Exception):
    """The statistics file is not what SIPp writes; the message says what is wrong with it."""


def read(text: str) -> Counters:
    """The last line under the header. Raises CountersError for a file without one, or one cut off."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        raise CountersError("SIPp's statistics file has no line of counters: it ended before it began")
    names, values = lines[0].split(";"), lines[-1].split(";")
    if len(values) < len(names):
        raise CountersError("the last line of SIPp's statistics file is cut off: it was ended by force")
    row = dict(zip(names, values, strict=False))
    failures = {
        match[1]: _number(row, name) for name in names if (match := _FAILURE.fullmatch(name)) and match[1]
    }
    failures.pop("Call", None)  # all of them together
    return Counters(
        created=_number(row, "TotalCallCreated"),
        successful=_number(row, "SuccessfulCall(C)"),
        failed=_number(row, "FailedCall(C)"),
        in_progress=_number(row, "CurrentCall"),
        retransmissions=_number(row, "Retransmissions(C)"),
        stray=_number(row, "OutOfCallMsgs(C)") + _number(row, "DeadCallMsgs(C)"),
        watchdog=_number(row, "WatchdogMajor(C)"),
        fatal_errors=_number(row, "FatalErrors(C)"),
        failures={name: count for name, count in failures.items() if count},
    )


def _number(row: dict[str, str], name: str) -> int:
    value = row.get(name, "")
    if not value.isdecimal():
        raise CountersError(f"SIPp's statistics file has no count {name}: another version of SIPp wrote it")
    return int(value)
