"""RFC 7502's search for the highest rate of calls without a failure: SIPp calls at rates that rise, and the wire is looked at."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from hwtest.capture import Taken
from hwtest.probes.contract import NotMeasuredError
from hwtest.probes.sheet import Sheet
from hwtest.sipp.room import quiet
from hwtest.sipp.sessions import sessions, statuses, tally
from hwtest.sipp.traffic import SHORT_CALL, Outcome, Traffic, load
from hwtest.site import Site, whole

FIRST_RATE = 10.0
MOST_RATE = 200.0
STEP_UP, STEP_DOWN = 1.0, 0.5
"""By how much the rate grows after a success while none has failed (w), and how far down from a failure the next try is (d)."""
STEP_LEAST = 0.10
SECONDS_PER_PASS = 4.0
LEAST_CALLS, MOST_CALLS = 40, 400
MOST_PASSES = 9
NOT_BETTER = 3
STAY_SECONDS = 0.2
PATIENCE_SECONDS = 8.0
LIMIT_SECONDS = 30.0
OFFERED_AT_LEAST = 0.9
"""Of the rate that was asked of SIPp; below that a pass says nothing of the switch."""
SETTLE_SECONDS = 10.0
BACKLOG_MS = 500.0
"""T1 (RFC 3261 §17.1.1.1): a caller's phone sends its INVITE again after so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One rate, and what became of its calls."""

    rate: float
    calls: int
    failed: int
    offered: float
    """Calls per second by the wire; SIPp's own by its count."""
    answer_ms: float | None = None
    """p95 of INVITE to 200."""
    told: str = ""
    repeated: int = 0
    """Messages that were sent again."""

    @property
    def good(self) -> bool:
        """Whether every call was answered and ended well."""
        return self.failed == 0

    @property
    def kept_up(self) -> bool:
        """Whether it did so without a backlog: with so few calls a switch that falls behind may still answer each in the end."""
        return self.good and self.answer_ms is not None and self.answer_ms <= BACKLOG_MS

    @property
    def was_offered(self) -> bool:
        """Whether the generator kept up."""
        return self.offered >= OFFERED_AT_LEAST * self.rate


def calls_at(rate: float) -> int:
    """How many calls one pass has."""
    return min(MOST_CALLS, max(LEAST_CALLS, round(rate * SECONDS_PER_PASS)))


def without_failure(made: Pass) -> bool:
    """As RFC 7502 has it."""
    return made.good


async def search(
    attempt: Callable[[float], Awaitable[Pass]],
    most: float = MOST_RATE,
    holds: Callable[[Pass], bool] = without_failure,
) -> list[Pass]:
    """RFC 7502's search for the highest rate that holds, in big steps first; never rounded down, which does not end.

    It ends after some passes that found no higher rate, when the steps are small, or at the highest rate that is tried.
    """
    passes = list[Pass]()
    rate, best, worst, not_better = FIRST_RATE, 0.0, math.inf, 0
    while len(passes) < MOST_PASSES and not_better < NOT_BETTER:
        made = await attempt(rate)
        passes.append(made)
        good = holds(made)
        if not made.was_offered and good:
            break  # the generator is at its end, not the switch
        if good and made.rate > best:
            best, not_better = made.rate, 0
            if best >= most:
                break
        else:
            not_better += not good
            worst = min(worst, made.rate)
        if worst < math.inf and worst - best <= STEP_LEAST * worst:
            break
        rising = worst == math.inf
        rate = min(most, best * (1 + STEP_UP)) if rising else best + (worst - best) * STEP_DOWN
    return passes


Take = Callable[[], Awaitable[Taken]]
"""What was on the wire since it was asked the last time."""


async def attempt(
    site: Site,
    sheet: Sheet,
    take: Take,
    number: str,
    rate: float,
    *,
    calls: int | None = None,
    usual: int = 0,
) -> Pass:
    """One rate to one number, and quiet after it; `usual`: channels that are there anyway. NotMeasuredError where SIPp fails."""
    traffic = short_calls(rate, number, calls)
    site.say(f"{rate:.0f} calls a second, {traffic.calls} calls")
    await take()
    async with load(site, sheet, f"ramp-{rate:.0f}", traffic) as running:
        outcome = await running.ended()
    records = whole(await take())
    await quiet(site, SETTLE_SECONDS, usual)
    found = sessions(records, {running.port})
    answers = sorted(one.answer_seconds for one in found if one.answer_seconds is not None)
    bad, repeated = tally(found).failed, sum(one.repeated for one in found)
    return replace(
        of_counters(rate, outcome),
        failed=max(len(bad), outcome.counters.failed + outcome.unfinished),
        offered=_offered([one.invited_ns for one in found]),
        answer_ms=1000 * answers[int(0.95 * (len(answers) - 1))] if answers else None,
        told=f"{statuses(bad)}; {repeated} messages sent again",
        repeated=repeated,
    )


def short_calls(rate: float, number: str, calls: int | None = None) -> Traffic:
    """Callers who are answered, stay for a moment and hang up."""
    count = calls_at(rate) if calls is None else calls
    return Traffic(
        scenario=SHORT_CALL,
        calls=count,
        number=number,
        rate=rate,
        stay_seconds=STAY_SECONDS,
        patience_seconds=PATIENCE_SECONDS,
        limit_seconds=count / rate + LIMIT_SECONDS,
    )


def _offered(instants: Sequence[int]) -> float:
    span = (instants[-1] - instants[0]) / 1e9 if len(instants) > 1 else 0.0
    return (len(instants) - 1) / span if span > 0 else 0.0


def of_counters(rate: float, outcome: Outcome) -> Pass:
    """What SIPp itself says of a pass. NotMeasuredError where that cannot be believed."""
    if outcome.trouble:
        raise NotMeasuredError(outcome.trouble, "hwtest run meter.timing")
    return Pass(
        rate=rate,
        calls=outcome.asked or 0,
        failed=outcome.counters.failed + outcome.unfinished,
        offered=rate,
        told=f"{outcome.counters.retransmissions} messages sent again",
    )
