"""Probe 35: how many calls a second does the appliance take without losing one?"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from hwtest.lab.contract import Address
from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Layer,
    Level,
    Need,
    NotMeasuredError,
    Plot,
    Probe,
    Series,
    Threshold,
)
from hwtest.probes.sheet import Sheet
from hwtest.sipp.room import channels, queue_line, quiet
from hwtest.sipp.sessions import sessions, statuses, tally
from hwtest.sipp.traffic import AGENT, SHORT_CALL, Outcome, Traffic, load, program
from hwtest.site import Site

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


async def search(attempt: Callable[[float], Awaitable[Pass]]) -> list[Pass]:
    """RFC 7502's search for the highest rate without a failure, in big steps first; never rounded down, which does not end.

    It ends after some passes that found no higher rate, when the steps are small, or at the highest rate that is tried.
    """
    passes = list[Pass]()
    rate, best, worst, not_better = FIRST_RATE, 0.0, math.inf, 0
    while len(passes) < MOST_PASSES and not_better < NOT_BETTER:
        made = await attempt(rate)
        passes.append(made)
        if not made.was_offered and made.good:
            break  # the generator is at its end, not the switch
        if made.good and made.rate > best:
            best, not_better = made.rate, 0
            if best >= MOST_RATE:
                break
        else:
            not_better += not made.good
            worst = min(worst, made.rate)
        if worst < math.inf and worst - best <= STEP_LEAST * worst:
            break
        rising = worst == math.inf
        rate = min(MOST_RATE, best * (1 + STEP_UP)) if rising else best + (worst - best) * STEP_DOWN
    return passes


async def measure(site: Site, sheet: Sheet) -> None:
    """First the generator alone, then the switch: rates up to the first that loses a call, and the highest below it."""
    number = queue_line(site)
    await program(site)
    usual = await channels(site)
    alone = await _alone(site, sheet)
    async with site.capture() as capture:

        async def attempt(rate: float) -> Pass:
            calls = calls_at(rate)
            site.say(f"{rate:.0f} calls a second, {calls} calls")
            traffic = _traffic(rate, number)
            await capture.take()
            async with load(site, sheet, f"ramp-{rate:.0f}", traffic) as running:
                outcome = await running.ended()
            taken = await capture.take()
            if taken.dropped:
                raise NotMeasuredError(
                    f"the capture lost {taken.dropped} packets", "hwtest run meter.capture"
                )
            await quiet(site, SETTLE_SECONDS, usual)
            found = sessions(taken.records, {running.port})
            counted = tally(found)
            answers = sorted(one.answer_seconds for one in found if one.answer_seconds is not None)
            bad = counted.failed
            return replace(
                _pass(rate, outcome),
                failed=max(len(bad), outcome.counters.failed + outcome.unfinished),
                offered=_offered([one.invited_ns for one in found]),
                answer_ms=1000 * answers[int(0.95 * (len(answers) - 1))] if answers else None,
                told=f"{statuses(bad)}; {sum(one.repeated for one in found)} messages sent again",
            )

        passes = await search(attempt)
    judge(sheet, passes, alone)


def _traffic(rate: float, number: str) -> Traffic:
    return Traffic(
        scenario=SHORT_CALL,
        calls=calls_at(rate),
        number=number,
        rate=rate,
        stay_seconds=STAY_SECONDS,
        patience_seconds=PATIENCE_SECONDS,
        limit_seconds=LIMIT_SECONDS,
    )


def _offered(instants: Sequence[int]) -> float:
    span = (instants[-1] - instants[0]) / 1e9 if len(instants) > 1 else 0.0
    return (len(instants) - 1) / span if span > 0 else 0.0


def _pass(rate: float, outcome: Outcome) -> Pass:
    if outcome.trouble:
        raise NotMeasuredError(outcome.trouble, "hwtest run meter.timing")
    return Pass(
        rate=rate,
        calls=outcome.asked or 0,
        failed=outcome.counters.failed + outcome.unfinished,
        offered=rate,
        told=f"{outcome.counters.retransmissions} messages sent again",
    )


async def _alone(site: Site, sheet: Sheet) -> Pass:
    """The test bed without what is tested (RFC 7502 §6.1): SIPp calls SIPp at the highest rate that is tried."""
    site.say("the generator alone")
    own = site.target.local_address
    called = Traffic(
        scenario=AGENT, calls=None, patience_seconds=PATIENCE_SECONDS, limit_seconds=LIMIT_SECONDS
    )
    async with load(site, sheet, "ramp-called", called) as agents:
        await asyncio.sleep(0.5)
        traffic = replace(_traffic(MOST_RATE, ""), target=Address(host=own, port=agents.port))
        async with load(site, sheet, "ramp-alone", traffic) as callers:
            outcome = await callers.ended()
    return _pass(MOST_RATE, outcome)


def judge(sheet: Sheet, passes: Sequence[Pass], alone: Pass) -> None:
    """Write down the highest rate without a failure."""
    sheet.note(
        f"RFC 7502's search with {LEAST_CALLS} to {MOST_CALLS} calls for each rate, where it asks for 50,000, and up to "
        f"{MOST_RATE:.0f} calls a second; UDP, G.711 offered, calls of {STAY_SECONDS:g} s to a queue that nobody serves, "
        f"audio from the switch to a sink; threshold of establishment {PATIENCE_SECONDS:g} s"
    )
    sheet.value(
        "generator_failures",
        "calls",
        float(alone.failed),
        n=alone.calls,
        note=f"SIPp to SIPp at {alone.rate:.0f} a second (RFC 7502 §6.1); {alone.told}",
    )
    if alone.failed:
        raise NotMeasuredError(
            f"the generator alone loses {alone.failed} of {alone.calls} calls at {alone.rate:.0f} a second",
            "hwtest run meter.timing; stop what else runs on this machine",
        )
    good = [one.rate for one in passes if one.good and one.was_offered]
    bad = [one for one in passes if not one.good]
    late = [one for one in passes if not one.was_offered]
    best = max(good, default=0.0)
    if not good and not bad:
        raise NotMeasuredError(
            f"SIPp offered {late[0].offered:.1f} calls a second in place of {late[0].rate:.0f}",
            "hwtest run meter.timing",
        )
    limit = "" if bad else ", and no rate that was tried lost a call: the true one is higher"
    sheet.value(
        "session_establishment_rate",
        "calls per second",
        best,
        n=sum(one.calls for one in passes),
        note=f"highest of {len(passes)} rates at which all calls were answered and ended well{limit}",
        evidence=[
            Evidence(text=f"at {one.rate:.1f} a second {one.failed} of {one.calls} calls failed: {one.told}")
            for one in bad[:3]
        ],
    )
    sheet.value(
        "sustained_rate",
        "calls per second",
        max((one.rate for one in passes if one.kept_up and one.was_offered), default=0.0),
        n=len(passes),
        note="highest of these rates at which, too, 95 % were answered within 500 ms: no backlog grew",
        evidence=[
            Evidence(text=f"at {one.rate:.1f} a second 95 % were answered within {one.answer_ms:.0f} ms")
            for one in passes
            if one.answer_ms is not None and not one.kept_up
        ],
    )
    for one in late:
        sheet.note(
            f"at {one.rate:.0f} a second SIPp itself offered {one.offered:.1f}: that pass does not count"
        )
    sheet.plot(_plot(passes))


def _plot(passes: Sequence[Pass]) -> Plot:
    def series(name: str, good: bool) -> Series:
        points = (
            (one.rate, one.answer_ms) for one in passes if one.good == good and one.answer_ms is not None
        )
        return Series(name=name, points=tuple(sorted(points)))

    return Plot(
        title="Calls a second",
        x_label="offered, calls per second",
        y_label="answer delay p95, ms",
        series=(series("all answered", True), series("some failed", False)),
    )


PROBE = Probe(
    name="load.ramp",
    number=35,
    title="How many calls a second are taken without losing one",
    level=Level.LAB,
    needs=frozenset({Need.SIPP, Need.CAPTURE, Need.CONTROL}),
    seconds=90.0,
    term="Session Establishment Rate",
    reference="RFC 7501 §3.4.1; RFC 7502 §6.1, §6.2, with fewer calls than it asks for",
    meaning=(
        "The rate at which the appliance begins to lose calls. It must lie far above the busiest hour that a site has seen, so "
        "that a major incident does not reach it."
    ),
    thresholds=(
        Threshold(
            figure="session_establishment_rate",
            statistic="value",
            passes=5.0,
            warns=2.0,
            unit="calls per second",
            clause="own: three times a busy hour of 6,000 calls; a profile gives the site's own",
            code="load.ramp.low",
            at_least=True,
        ),
        Threshold(
            figure="sustained_rate",
            statistic="value",
            passes=5.0,
            warns=2.0,
            unit="calls per second",
            clause="own: three times a busy hour of 6,000 calls; 500 ms is T1 of RFC 3261 §17.1.1.1",
            code="load.ramp.backlog",
            at_least=True,
        ),
    ),
    explanations=(
        Explanation(
            code="load.ramp.low",
            layer=Layer.SWITCH,
            meaning="The appliance loses calls at a rate that a bad day may bring.",
            caller_notices="In a rush some callers are not put through.",
            causes=(
                "the switch waits for something at each call: a name look-up, a slow disk",
                "the RTP port range or the file descriptors run out",
                "the daemon cannot keep up with the switch's events",
                "too few processors for the load and this test together",
            ),
            confirm="asterisk -rx 'core show taskprocessors' meanwhile; the evidence says how the first lost calls ended",
            mend="Mend what the lost calls' status points to: 503 ports or descriptors, 408 or no answer a switch that waits.",
        ),
        Explanation(
            code="load.ramp.backlog",
            layer=Layer.SWITCH,
            meaning="At a rate that a bad day may bring calls are answered later and later: the appliance falls behind.",
            caller_notices="In a rush it rings late; who hears nothing hangs up and dials again, which makes it worse.",
            causes=(
                "too few processors: the switch starts each call's audio, and music, on the same cores",
                "the daemon's commits to its record are slow: the disk",
                "name look-ups at each call",
            ),
            confirm="the plot of this result; asterisk -rx 'core show taskprocessors' and edge top meanwhile",
            mend="Give the appliance more processors and its ledger a fast disk, then repeat it.",
        ),
    ),
    measure=measure,
)
