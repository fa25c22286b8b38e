"""Probe 35: how many calls a second does the appliance take without losing one?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

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
from hwtest.sipp.ramp import (
    LEAST_CALLS,
    LIMIT_SECONDS,
    MOST_CALLS,
    MOST_RATE,
    PATIENCE_SECONDS,
    STAY_SECONDS,
    Pass,
    attempt,
    of_counters,
    search,
    short_calls,
)
from hwtest.sipp.room import channels, queue_line
from hwtest.sipp.traffic import AGENT, Traffic, load, program
from hwtest.site import Site


async def measure(site: Site, sheet: Sheet) -> None:
    """First the generator alone, then the switch: rates up to the first that loses a call, and the highest below it."""
    number = queue_line(site)
    await program(site)
    usual = await channels(site)
    alone = await _alone(site, sheet)
    async with site.capture() as capture:
        passes = await search(lambda rate: attempt(site, sheet, capture.take, number, rate, usual=usual))
    judge(sheet, passes, alone)


async def _alone(site: Site, sheet: Sheet) -> Pass:
    """The test bed without what is tested (RFC 7502 §6.1): SIPp calls SIPp at the highest rate that is tried."""
    site.say("the generator alone")
    own = site.target.local_address
    called = Traffic(
        scenario=AGENT, calls=None, patience_seconds=PATIENCE_SECONDS, limit_seconds=LIMIT_SECONDS
    )
    async with load(site, sheet, "ramp-called", called) as agents:
        await asyncio.sleep(0.5)
        traffic = replace(short_calls(MOST_RATE, ""), target=Address(host=own, port=agents.port))
        async with load(site, sheet, "ramp-alone", traffic) as callers:
            outcome = await callers.ended()
    return of_counters(MOST_RATE, outcome)


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
    if len(late) == len(passes):
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
