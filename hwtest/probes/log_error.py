"""Probe 26: how far is the record's time of each event from the message on the wire?"""

from __future__ import annotations

from collections.abc import Mapping

from hwtest.bench.facts import Comparison
from hwtest.probes.contract import Evidence, Explanation, Layer, Level, Need, Probe, Threshold, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.record.calls import EVENTS, compare, match, place
from hwtest.record.reading import opened, settled
from hwtest.site import Site
from hwtest.statistics import percentile

CALLS, LIVE_CALLS = 30, 9
"""In a lab, and on a live target, where six calls a minute are allowed."""
RECORD_SECONDS = 5.0
SHIFT_MS = 100.0
SHIFTED = "log.error.shifted"


async def measure(site: Site, sheet: Sheet) -> None:
    """Test calls of every course, and what the record holds of them."""
    async with opened(site.target) as record:
        before = await record.last_sequence()
        trials = await place(site, CALLS if site.target.is_lab else LIVE_CALLS)
        entries = await settled(record, before, sum(trial.rung for trial in trials), RECORD_SECONDS)
    sheet.note(f"The record was read by {record.words}; the wire by the kernel's stamps.")
    judge(sheet, compare(match(trials, entries)))


def judge(sheet: Sheet, compared: Mapping[str, Comparison]) -> None:
    """Figures per kind of event, and whether all of them are off by the same: then it is the clock."""
    missing = extra = 0
    errors = [error for comparison in compared.values() for error in comparison.errors]
    shift = _shift(errors) if errors else None
    if shift is not None:
        words = f"every fact is {abs(shift):.0f} ms {'after' if shift > 0 else 'before'} its message, whatever its kind"
        told = Evidence(text=f"{len(errors)} facts, {min(errors):+.0f} to {max(errors):+.0f} ms")
        sheet.find(SHIFTED, Verdict.FAIL, words, told)
        sheet.note(f"The clock's {shift:+.0f} ms, which all facts share, are taken off the figures.")
    for event, comparison in compared.items():
        sizes = [abs(error - (shift or 0.0)) for error in comparison.errors]
        signed = f"; signed median {percentile(comparison.errors, 0.5):+.1f} ms" if sizes else ""
        note = f"{EVENTS[event][0]} against {EVENTS[event][1]}{signed}"
        sheet.distribution(
            f"{event}_error", "ms", sizes, uncertainty=0.05, note=note, evidence=[_told(event, comparison)]
        )
        missing += len(comparison.missing)
        extra += len(comparison.extra)
    lost = [
        Evidence(text=f"{e}: {len(c.missing)} missing, {len(c.extra)} extra") for e, c in compared.items()
    ]
    events = sum(len(c.errors) + len(c.missing) for c in compared.values())
    sheet.value(
        "events_missing", "events", missing, n=events, note="on the wire and in no fact", evidence=lost
    )
    sheet.value(
        "events_extra", "facts", extra, n=events, note="about nothing that was on the wire", evidence=lost
    )


def _told(event: str, comparison: Comparison) -> Evidence:
    if not comparison.errors:
        return Evidence(text=f"{event}: nothing to compare")
    return Evidence(
        text=f"{event}: {len(comparison.errors)} facts, {min(comparison.errors):+.1f} to {max(comparison.errors):+.1f} ms"
    )


def _shift(errors: list[float]) -> float | None:
    """The median of all errors, where it is large and they lie closer to it than to nought."""
    middle = percentile(errors, 0.5)
    spread = percentile([abs(error - middle) for error in errors], 0.9)
    return middle if abs(middle) > SHIFT_MS and spread < abs(middle) / 2 else None


def _error(event: str) -> Threshold:
    return Threshold(
        figure=f"{event}_error",
        statistic="p99",
        passes=20.0,
        warns=100.0,
        unit="ms",
        clause="own; RFC 6076 §3 asks for intervals within 1 ms",
        code="log.error.late",
    )


def _none(figure: str, unit: str, code: str) -> Threshold:
    return Threshold(
        figure=figure, statistic="value", passes=0.0, warns=0.0, unit=unit, clause="own", code=code
    )


PROBE = Probe(
    name="log.error",
    number=26,
    title="The record's times are the wire's times",
    level=Level.SAFE,
    needs=frozenset({Need.CAPTURE, Need.RECORD}),
    seconds=35.0,
    term="error of a fact's time: fact minus message",
    reference="own; RFC 6076 §3 (what a time is), §4 (which messages count)",
    meaning=(
        "Waits, answer times and who hung up first are read from the record, for years and perhaps in court. This shows how far "
        "each of its times is from the message that it is about."
    ),
    thresholds=(
        *(_error(event) for event in EVENTS),
        _none("events_missing", "events", "log.error.missing"),
        _none("events_extra", "facts", "log.error.extra"),
    ),
    explanations=(
        Explanation(
            code="log.error.late",
            layer=Layer.DAEMON,
            meaning="Facts of one kind or another carry a time that is far from that of the message on the wire.",
            caller_notices="Nothing. Waiting times in figures and reports are wrong by as much.",
            causes=(
                "the daemon is slow to hear of events: a busy machine, or a slow control link (ctl.link)",
                "the daemon waits for its disk before it goes on (fault.disk, log.pull)",
                "the switch is overloaded and sends its events late",
            ),
            confirm="hwtest run meter.timing ctl.link; edge status",
            mend="Find what keeps machine, link or disk busy; run this again when it is quiet.",
        ),
        Explanation(
            code="log.error.missing",
            layer=Layer.RECORD,
            meaning="Something happened on the wire and stands in no fact.",
            caller_notices="Nothing at once. Nobody can say later what became of that call.",
            causes=(
                "the daemon did not see the call: it was down, or the switch served by itself (log.complete says which)",
                "the record could not be written (disk full, ledger locked)",
                "facts were removed from the ledger",
            ),
            confirm="hwtest run log.complete; edge ledger verify; edge status",
            mend="See what log.complete finds; mend the daemon or its disk, and keep the ledger as it is for an investigation.",
        ),
        Explanation(
            code="log.error.extra",
            layer=Layer.RECORD,
            meaning="The record tells of something that did not happen on the wire.",
            caller_notices="Nothing. Figures count calls or offers that were not there.",
            causes=(
                "an event was taken for two",
                "messages were lost by the capture: look at meter.capture",
            ),
            confirm="hwtest run meter.capture; edge calls",
            mend="Report it with the bundle of this run to those who maintain the daemon.",
        ),
        Explanation(
            code=SHIFTED,
            layer=Layer.CLOCK,
            meaning="All facts are off by the same time: the daemon's clock is not the clock of the wire.",
            caller_notices="Nothing. Every time in the record is wrong; intervals within it are right.",
            causes=(
                "the system clock was set while the daemon ran, or during this probe",
                "the daemon runs with another clock (a container, a VM that was paused, libfaketime)",
            ),
            confirm="chronyc tracking; edge status; look for ClockStepped in the record",
            mend="Synchronise the clock (chronyc makestep), then restart the daemon: systemctl restart edge101.",
        ),
    ),
    measure=measure,
)
