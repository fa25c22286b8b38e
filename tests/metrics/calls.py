"""Calls as a person would tell them, and the facts that a ledger would have of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from unittest.mock import patch

from edge.core import facts
from edge.core.model import (
    CallOutcome,
    ClockState,
    Instant,
    Side,
    Stage,
)
from edge.core.promise import AttemptOutcome
from edge.ledger.memory import MemoryLedger
from edge.mi import blocks
from edge.mi.projection import Figures, Projection

START_US = 1_790_812_800_000_000
"""2026-10-01T00:00:00Z, 01:00 in London."""
START = Instant(5_000_000_000, START_US)
SECOND = 1_000_000_000
KEY = b"k" * 32


@dataclass(frozen=True, kw_only=True)
class Told:
    """One call. Times are nanoseconds: `arrives` after START, the others each after the one before.

    `fate`: answered, abandoned, unknown, refused, closed, in vain, overflowed, unreached, or waiting. `promised`: a call-back was
    promised so long after joining, and the caller left the line then; a talk follows after `waits` all the same.
    """

    arrives: int
    joins: int = 0
    waits: int = 0
    fate: str = "answered"
    line: str = "main"
    queue: str = "general"
    tier: int = 1
    language: str = "en"
    number: str | None = "+441632960123"
    test: bool = False
    agent: str = "4001"
    talks: int = 60 * SECOND
    held: int = 0
    wraps: int = 0
    code: str | None = None
    greeting: int | None = None
    """When after joining the first announcement was over."""
    answered_at: int | None = None
    """When after joining the switch answered the caller."""
    promised: int | None = None
    quoted: tuple[float, float] | None = None
    """The wait that was expected when it joined, in seconds."""
    failed: int = 0
    """Attempts that failed before the person was reached."""
    second_desk: int | None = None
    """Sent back after the talk, and answered again after this wait."""
    call_id: str = field(default="")


class Script:
    """Facts with their times, to be put in order."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, int, facts.Fact]] = []

    def at(self, time: int, *said: facts.Fact) -> None:
        """At this time, in this order."""
        self.lines += [(time, len(self.lines) + index, fact) for index, fact in enumerate(said)]

    def entries(self) -> list[facts.Entry]:
        """As a ledger has them."""
        return [
            facts.Entry(
                sequence=sequence,
                at=instant(time),
                fact=fact,
                reason="because",
                clock=ClockState.SYNCHRONISED,
            )
            for sequence, (time, _, fact) in enumerate(sorted(self.lines, key=lambda line: line[:2]), 1)
        ]


def instant(time: int) -> Instant:
    """Nanoseconds after START."""
    return Instant(START.monotonic_ns + time, START.utc_us + time // 1000)


def tell(script: Script, call_id: str, told: Told) -> None:
    """What a ledger would have of this call."""
    joined = told.arrives + told.joins
    script.at(
        told.arrives,
        facts.CallArrived(
            call_id=call_id,
            leg_id=call_id,
            line=told.line,
            number_withheld=told.number is None,
            adopted=False,
            language=told.language,
            test=told.test,
            caller_number=told.number,
        ),
    )
    if told.fate == "refused":
        return script.at(joined, _end(call_id, CallOutcome.REFUSED, Stage.ENTRY, 0, 0))
    script.at(
        joined,
        facts.CallQueued(
            call_id=call_id,
            queue=told.queue,
            priority_class="standard",
            tier=told.tier,
            queued_at=instant(joined),
        ),
    )
    if told.quoted is not None:
        low, high = told.quoted
        script.at(
            joined,
            facts.WaitPredicted(
                call_id=call_id, low_seconds=low, high_seconds=high, position=1, agents=1, measured=True
            ),
        )
    if told.answered_at is not None:
        script.at(joined + told.answered_at, facts.CallAnswered(call_id=call_id, by=Side.SYSTEM))
    if told.greeting is not None:
        script.at(joined, facts.AnnouncementStarted(call_id=call_id, prompt="greeting"))
        script.at(
            joined + told.greeting,
            facts.AnnouncementEnded(call_id=call_id, prompt="greeting", completed=True),
        )
    _promise(script, call_id, told, joined)
    _finish(script, call_id, told, joined)
    return None


def _promise(script: Script, call_id: str, told: Told, joined: int) -> None:
    if told.promised is None:
        return
    at = joined + told.promised
    script.at(
        at,
        facts.CallbackOffered(call_id=call_id),
        facts.CallbackPromised(call_id=call_id, keyed=False, number=told.number),
        facts.CallbackWaits(call_id=call_id, side=Side.CALLER, cause="16"),
    )
    for attempt in range(1, told.failed + 1):
        script.at(
            at,
            _attempt(call_id, attempt, told.agent),
            facts.CallbackAttemptEnded(
                call_id=call_id,
                attempt=attempt,
                outcome=AttemptOutcome.NO_ANSWER,
                counted=True,
                cause="20",
                not_before=instant(at),
            ),
        )
    if told.fate == "answered":
        attempt = told.failed + 1
        script.at(
            joined + told.waits,
            _attempt(call_id, attempt, told.agent),
            facts.CallbackAnswered(call_id=call_id, attempt=attempt, leg_id=f"{call_id}.p"),
        )


def _attempt(call_id: str, attempt: int, agent: str) -> facts.CallbackAttempted:
    return facts.CallbackAttempted(
        call_id=call_id, attempt=attempt, offer_id=None, agent=agent, ring_seconds=25.0, unrung_seconds=12.0
    )


def _finish(script: Script, call_id: str, told: Told, joined: int) -> None:
    end = joined + told.waits
    waited = told.waits / SECOND
    match told.fate:
        case "answered":
            _talk(script, call_id, told, end, waited)
        case "abandoned":
            script.at(end, _end(call_id, CallOutcome.ABANDONED, Stage.QUEUE, waited, 0))
        case "unknown":
            script.at(end, _end(call_id, CallOutcome.ENDED_UNKNOWN, Stage.QUEUE, waited, 0))
        case "unreached":
            script.at(end, _end(call_id, CallOutcome.UNREACHED, Stage.CALLBACK, waited, 0))
        case "closed" | "in vain":
            why = "closed" if told.fate == "closed" else "waited too long"
            script.at(
                end,
                facts.CallTurnedAway(call_id=call_id, why=why, prompt="closed"),
                _end(call_id, CallOutcome.REFUSED, Stage.LEAVING, waited, 0),
            )
        case "overflowed":
            script.at(
                end,
                facts.CallDiverted(call_id=call_id, why="full", phone="other"),
                _end(call_id, CallOutcome.OVERFLOWED, Stage.LEAVING, waited, 0),
            )


def _talk(script: Script, call_id: str, told: Told, start: int, waited: float) -> None:
    """Connected, held in the middle, ended, and wrapped up; once more where there is a second desk."""
    connected = facts.CallConnected(
        call_id=call_id, offer_id=f"{call_id}.1", agent=told.agent, waited_seconds=waited
    )
    end = start + told.talks
    script.at(start, connected)
    if told.held:
        script.at(start, facts.CallHeld(call_id=call_id, agent=told.agent))
        script.at(start + told.held, facts.CallResumed(call_id=call_id, agent=told.agent))
    talked = told.talks
    if told.second_desk is not None:
        script.at(end, facts.CallSentBack(call_id=call_id, agent=told.agent, queue=told.queue))
        again = end + told.second_desk
        joined_to_second = waited + (told.talks + told.second_desk) / SECOND
        script.at(
            again,
            facts.CallConnected(
                call_id=call_id,
                offer_id=f"{call_id}.2",
                agent=f"{told.agent}b",
                waited_seconds=joined_to_second,
            ),
        )
        talked, end = 7 * SECOND, again + 7 * SECOND
    script.at(end, _end(call_id, CallOutcome.ANSWERED, Stage.TALKING, waited, talked / SECOND))
    if told.wraps:
        agent = told.agent if told.second_desk is None else f"{told.agent}b"
        script.at(end, facts.WrapUpStarted(agent=agent, call_id=call_id, seconds=30.0))
        if told.code is not None:
            script.at(end, facts.WrapUpCoded(agent=agent, call_id=call_id, code=told.code))
        script.at(end + told.wraps, facts.WrapUpEnded(agent=agent))


def _end(call_id: str, outcome: CallOutcome, stage: Stage, waited: float, talked: float) -> facts.CallEnded:
    return facts.CallEnded(
        call_id=call_id,
        outcome=outcome,
        stage=stage,
        side=Side.CALLER,
        cause="16",
        waited_seconds=waited,
        talked_seconds=talked,
        agent=None,
    )


def ledger_of(calls: Sequence[Told], *more: tuple[int, facts.Fact], until: int | None = None) -> MemoryLedger:
    """A ledger of these calls and other facts; `until`: nothing later is known."""
    script = Script()
    script.at(
        0,
        facts.DaemonStarted(version="1", policy_digest="", boot_id="boot"),
        facts.SwitchRestored(calls_adopted=0, calls_kept=0, calls_missing=0),
    )
    for number, told in enumerate(calls):
        tell(script, told.call_id or f"c{number}", told)
    for time, fact in more:
        script.at(time, fact)
    if until is not None:
        script.lines = [line for line in script.lines if line[0] <= until]
        script.at(until, facts.TrunkRested(seconds=0.0, failures=0))
    ledger = MemoryLedger()
    ledger.append(script.entries())
    return ledger


def figures_of(calls: Sequence[Told], *more: tuple[int, facts.Fact], until: int | None = None) -> Figures:
    """Everything that metrics need of these calls: from a few blocks, and the last of them from rows."""
    with (
        patch.object(blocks, "CALLS", max(4, len(calls) // 4)),
        patch.object(blocks, "SETTLED_US", 0),
        closing(Projection(ledger_of(calls, *more, until=until), None, KEY)) as projection,
    ):
        projection.catch_up()
        while projection.gather():
            pass
        return projection.figures(0, 2**62, "completion")
