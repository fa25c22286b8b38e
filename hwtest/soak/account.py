"""The books of a soak: what became of every call, on the wire and in the ledger. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edge.core.facts import CallArrived, CallEnded, DaemonStarted, Entry, SwitchLost, SwitchRestored

NANOSECONDS = 1_000_000_000
Interval = tuple[int, int]
"""Monotonic nanoseconds, from and to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireCall:
    """A caller as the phones saw them. `answered`: an agent's phone was, for them; `ended`: both sides know that it is over;
    `gave_up`: an impatient caller hung up before any answer; `left`: the talk was over, and they were still on the line."""

    number: str
    begun_ns: int
    over_ns: int
    emergency: bool
    answered: bool
    ended: bool
    gave_up: bool
    left: bool


@dataclass(slots=True, kw_only=True)
class Account:
    """Every call of the wire stands in exactly one of `became`; `faults` says what does not balance."""

    became: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def blind_intervals(entries: Iterable[Entry], until_ns: int) -> list[Interval]:
    """When no daemon saw the switch, by its own record: from the last fact of a life, or the loss of a link, to the next look."""
    blind, since, last = list[Interval](), 0, 0
    for entry in entries:
        at = entry.at.monotonic_ns
        match entry.fact:
            case DaemonStarted():
                since = since or last or at
            case SwitchLost():
                since = since or at
            case SwitchRestored() if since:
                blind.append((since, at))
                since = 0
        last = at
    return [*blind, (since, until_ns)] if since else blind


def balance(
    calls: Sequence[WireCall], entries: Sequence[Entry], blind: Sequence[Interval], grace_ns: int
) -> Account:
    """Look each call up on both sides. One that is not in the ledger must have begun while nobody looked, or at most `grace_ns`
    before: a daemon that was killed had not yet heard of it."""
    account = Account()
    arrived, ended = _calls(entries)
    for call in calls:
        ids = arrived.get(call.number, [])
        account.became[_became(call, bool(ids))] += 1
        if not call.ended:
            account.faults.append(f"{call.number[-4:]}: no end on the wire")
        waited = f"(it lasted {(call.over_ns - call.begun_ns) / NANOSECONDS:.2f} s)"
        if call.emergency and not call.answered:
            account.faults.append(f"{call.number[-4:]}: a 999 that nobody answered {waited}")
        elif not call.answered and not call.gave_up:
            account.faults.append(f"{call.number[-4:]}: dropped: neither answered nor given up {waited}")
        if call.left:
            account.faults.append(f"{call.number[-4:]}: left on the line when the talk was over")
        if len(ids) > 1:
            account.faults.append(f"{call.number[-4:]}: {len(ids)} calls in the ledger")
        if not ids and not any(start - grace_ns <= call.begun_ns <= end for start, end in blind):
            account.faults.append(
                f"{call.number[-4:]}: in sight, and not in the ledger {_nearest(call, blind)}"
            )
        account.faults += [
            f"{call.number[-4:]}: no end in the ledger" for call_id in ids if call_id not in ended
        ]
    return account


def _nearest(call: WireCall, blind: Sequence[Interval]) -> str:
    """Where the call lies to the interval that begins next, for whoever has to find the reason."""
    what = f"(it lasted {(call.over_ns - call.begun_ns) / NANOSECONDS:.2f} s"
    after = [start - call.begun_ns for start, _ in blind if start > call.begun_ns]
    before = [call.begun_ns - end for _, end in blind if end < call.begun_ns]
    if before:
        what += f", {min(before) / NANOSECONDS:.2f} s after the switch was seen again"
    if after:
        what += f", {min(after) / NANOSECONDS:.2f} s before it was lost"
    return what + ")"


def _became(call: WireCall, is_recorded: bool) -> str:
    what = "answered" if call.answered else "gave up" if call.gave_up else "lost"
    return what if is_recorded else f"{what}, while nobody looked"


def _calls(entries: Iterable[Entry]) -> tuple[Mapping[str, list[str]], set[str]]:
    arrived: dict[str, list[str]] = {}
    ended = set[str]()
    for entry in entries:
        if isinstance(entry.fact, CallArrived) and entry.fact.caller_number:
            arrived.setdefault(entry.fact.caller_number, []).append(entry.fact.call_id)
        elif isinstance(entry.fact, CallEnded):
            ended.add(entry.fact.call_id)
    return arrived, ended
