"""Probe 32: the daemon's clock is set within calls. Are waits and talk times still right, and is the step in the record?"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from edge.core.facts import CallEnded, ClockStepped, Entry
from edge.ledger.store import SqlReader, open_reader
from hwtest.bench.ledger import entries_after
from hwtest.lab import faults
from hwtest.lab.contract import Lab
from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Layer,
    Level,
    Need,
    NotMeasuredError,
    Probe,
    Threshold,
    Verdict,
)
from hwtest.probes.sheet import Sheet
from hwtest.rehearsal import lab_of
from hwtest.site import Site
from hwtest.useragent import AgentPhone, answering

STEPS_SECONDS = (5.0, -5.0)
RING_SECONDS = 1.5
TALK_SECONDS = 3.0
STEP_ERROR_SECONDS = 0.5
SEEN_SECONDS = 5.0
SETTLE_SECONDS = 2.0


async def measure(site: Site, sheet: Sheet) -> None:
    """For each step two calls: one is set while the phone rings, one while both talk."""
    lab = lab_of(site)
    name, line = site.test_line()
    reader = await asyncio.to_thread(open_reader, lab.ledger)
    try:
        async with (
            _own_clock(lab) as clock,
            site.phone(line.phone or name, answering(answer_after_seconds=RING_SECONDS)) as phone,
        ):
            site.say("a call before the clock is set")
            await _call(site, phone, line.number, clock, 0.0, "")  # what a daemon does once, it has done then
            await asyncio.sleep(SETTLE_SECONDS)
            for step in STEPS_SECONDS:
                for during in ("ringing", "talk"):
                    site.say(f"the clock is set by {step:+g} s during {during}")
                    before = reader.last_sequence()
                    wire = await _call(site, phone, line.number, clock, step, during)
                    entries = await _told(reader, before)
                    judge(sheet, f"{step:+g} s during {during}", step, wire, entries)
                    after = reader.last_sequence()
                    await asyncio.to_thread(
                        _set, clock, 0.0
                    )  # the switch's clock was not set: each call begins with one time
                    await _told(reader, after, {ClockStepped})
    finally:
        reader.close()
    note = "waited_seconds against INVITE to the agent's 200"
    sheet.distribution("wait_error", "ms", _collected(sheet, "wait"), note=note)
    sheet.distribution(
        "talk_error", "ms", _collected(sheet, "talk"), note="talked_seconds against the agent's 200 to BYE"
    )
    sheet.note(
        "The daemon's clock alone was set, the switch's was not: harder than on an appliance, where both have one."
    )


async def _call(
    site: Site, phone: AgentPhone, number: str, clock: Path, step: float, during: str
) -> tuple[float, float]:
    """One call in which the clock is set; its wait and its talk on the wire, in seconds."""
    async with site.dial(number) as call:
        await call.ringing(5)
        await call.lasts(0.5)
        if during == "ringing":
            await asyncio.to_thread(_set, clock, step)
        await call.answered(10)
        await call.lasts(TALK_SECONDS / 2)
        if during == "talk":
            await asyncio.to_thread(_set, clock, step)
        await call.lasts(TALK_SECONDS / 2)
        await call.hang_up()
        arrived, ended = call.stamp_of("INVITE"), call.stamp_of("BYE")
    answered = phone.calls[-1].stamp_of("200", "INVITE")
    if answered is None or ended is None or arrived is None:
        raise NotMeasuredError("a call was not answered", "hwtest run call.one")
    return (answered.monotonic_ns - arrived.monotonic_ns) / 1e9, (
        ended.monotonic_ns - answered.monotonic_ns
    ) / 1e9


def _collected(sheet: Sheet, which: str) -> list[float]:
    return [
        figure.value
        for figure in sheet.figures
        if figure.name.startswith(f"{which}_off") and figure.value is not None
    ]


def judge(sheet: Sheet, words: str, step: float, wire: tuple[float, float], entries: Sequence[Entry]) -> None:
    """`wire`: wait and talk in seconds, by a clock that was not set."""
    ended = next((entry.fact for entry in entries if isinstance(entry.fact, CallEnded)), None)
    if ended is None:
        raise NotMeasuredError("the call's end did not come into the record", "hwtest run log.complete")
    for which, ours, theirs in (
        ("wait", wire[0], ended.waited_seconds),
        ("talk", wire[1], ended.talked_seconds),
    ):
        sheet.value(f"{which}_off {words}", "ms", abs(theirs - ours) * 1000, note=f"{ours:.3f} s on the wire")
    seen = [entry for entry in entries if isinstance(entry.fact, ClockStepped)]
    right = [
        e
        for e in seen
        if isinstance(e.fact, ClockStepped) and abs(e.fact.seconds - step) < STEP_ERROR_SECONDS
    ]
    if not right:
        said = (
            ", ".join(f"{e.fact.seconds:+.2f} s" for e in seen if isinstance(e.fact, ClockStepped))
            or "nothing"
        )
        told = Evidence(text=f"facts of a step: {said}")
        sheet.find(
            "fault.clock.unsaid",
            Verdict.FAIL,
            f"the clock was set by {words}, and the record does not say so",
            told,
        )


async def _told(
    reader: SqlReader, before: int, wanted: Collection[type] = frozenset({CallEnded, ClockStepped})
) -> Sequence[Entry]:
    """Facts after this one, once these are among them, or when it is clear that they will not be."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SEEN_SECONDS
    while True:
        entries = entries_after(reader, before)
        if set(wanted) <= {type(entry.fact) for entry in entries} or loop.time() > until:
            return entries
        await asyncio.sleep(0.1)


def _set(clock: Path, offset: float) -> None:
    new = clock.with_suffix(".new")
    new.write_text(f"{offset:+.6f}\n", encoding="ascii")
    new.replace(clock)


@asynccontextmanager
async def _own_clock(lab: Lab) -> AsyncIterator[Path]:
    """The lab's daemon with a clock that a file says; in the end it runs as before."""
    with tempfile.TemporaryDirectory(prefix="hwtest-clock-") as folder:
        clock = Path(folder, "offset")
        await asyncio.to_thread(_set, clock, 0.0)
        command = faults.false_clock(f"FAKETIME_TIMESTAMP_FILE={clock}")
        await asyncio.to_thread(faults.stop_daemon, lab)
        try:
            own = (*command, "FAKETIME_NO_CACHE=1", *lab.commands["edge"])
            await asyncio.to_thread(faults.start_daemon, lab, own)
            yield clock
        finally:
            await asyncio.to_thread(faults.stop_daemon, lab)
            await asyncio.to_thread(faults.start_daemon, lab)


def _interval(which: str) -> Threshold:
    return Threshold(
        figure=f"{which}_error",
        statistic="max",
        passes=50.0,
        warns=200.0,
        unit="ms",
        clause="own: what events are late, not what the clock was set by; RFC 6076 §3",
        code="fault.clock.intervals",
    )


PROBE = Probe(
    name="fault.clock",
    number=32,
    title="A clock that is set changes no wait and no talk time, and stands in the record",
    level=Level.LAB,
    needs=frozenset({Need.RECORD}),
    seconds=45.0,
    term="intervals while the clock steps",
    reference="RFC 6076 §3 (no measurement during a correction unless it holds all the same); own",
    meaning=(
        "Clocks are set: by hand, by a server, by a virtual machine that was paused. Waits and talk times come from a clock that "
        "is never set, and the record must say when the other one was, because its times before and after do not compare."
    ),
    thresholds=(_interval("wait"), _interval("talk")),
    explanations=(
        Explanation(
            code="fault.clock.intervals",
            layer=Layer.DAEMON,
            meaning="A wait or a talk is recorded wrong because the clock was set in it.",
            caller_notices="Nothing. Figures have waits of minutes, or below nought.",
            causes=(
                "an interval is taken from times of day",
                "the machine was busy and events came late: look at meter.timing",
            ),
            confirm="edge why CALL; hwtest run meter.timing log.error",
            mend="Report it with the bundle of this run to those who maintain the daemon.",
        ),
        Explanation(
            code="fault.clock.unsaid",
            layer=Layer.RECORD,
            meaning="The clock was set, and no fact says so.",
            caller_notices="Nothing. Times in the record before and after it are compared as if nothing had been.",
            causes=(
                "the daemon looks at its clock too seldom, or takes the step for a slew",
                "the machine was so busy that the step was seen after the probe had looked",
            ),
            confirm="edge gaps; look for ClockStepped in the record",
            mend="Report it with the bundle of this run to those who maintain the daemon.",
        ),
    ),
    measure=measure,
)
