"""Probe 4: may absolute times be believed, and does the clock stand still while intervals are measured?"""

from __future__ import annotations

import asyncio

from hwtest.probes.contract import Evidence, Explanation, Layer, Level, Probe, Threshold, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.timekeeping import KernelClock, StepWatch, Tracking, chrony_tracking, kernel_clock

LOOKS = 20
GAP_SECONDS = 0.1
UNPROVEN = "clock.sync.unproven"


async def measure(site: Site, sheet: Sheet) -> None:
    """The kernel's and chrony's word, and two seconds of looking whether the wall clock moves."""
    kernel, tracking, watch = kernel_clock(), await chrony_tracking(), StepWatch()
    moved = list[float]()
    for number in range(1, LOOKS + 1):
        site.say(f"watching the clock, {number} of {LOOKS}")
        await asyncio.sleep(GAP_SECONDS)
        moved.append(abs(watch.look()))
    told = Evidence(text=_told(kernel, tracking))
    sheet.distribution("wall_clock_moved", "ms", moved, uncertainty=0.01, evidence=[told])
    sheet.value("frequency_correction", "ppm", kernel.frequency_ppm)
    if (bound := _bound(kernel, tracking)) is None:
        sheet.find(UNPROVEN, Verdict.WARN, "this machine's clock is not synchronised to anything", told)
    else:
        figure, milliseconds = bound
        sheet.value(figure, "ms", milliseconds, note=told.text, evidence=[told])
    if site.target.lab is None:
        sheet.note("This is the measuring machine's clock; the appliance's own is not seen from here.")


def _bound(kernel: KernelClock, tracking: Tracking | None) -> tuple[str, float] | None:
    """At most so many milliseconds from UTC, by whose word as the figure's name; None when nobody can say.

    Where chrony runs it sets the clock, so the kernel knows no better. The kernel's own bound is no measurement: it grows by
    half a millisecond a second since a time service has set the clock, to a second for a healthy one that looks each half hour.
    """
    if tracking is not None:
        return ("clock_error_bound", tracking.bound_ms) if tracking.synchronised else None
    return ("kernel_error_bound", kernel.most_error_ms) if kernel.synchronised else None


def _told(kernel: KernelClock, tracking: Tracking | None) -> str:
    state = "synchronised" if kernel.synchronised else "not synchronised"
    text = f"kernel: {state}, error at most {kernel.most_error_ms:.1f} ms, still to correct {kernel.offset_ms:.3f} ms"
    if tracking is None:
        return f"{text}; chrony does not run here"
    return (
        f"{text}; chrony: stratum {tracking.stratum}, offset {tracking.offset_ms:.3f} ms, root delay "
        f"{tracking.root_delay_ms:.3f} ms, root dispersion {tracking.root_dispersion_ms:.3f} ms"
    )


PROBE = Probe(
    name="clock.sync",
    number=4,
    title="Absolute times can be believed",
    level=Level.SAFE,
    seconds=2.5,
    term="clock offset and its bound",
    reference="RFC 6076 §3 (clock offset must be reported); adjtimex(2); chronyc tracking",
    meaning=(
        "Waiting times are intervals of one clock and need no synchronised time. When a call came in, and whether our "
        "record agrees with the network's, does need it: BT's figures of 999 and ours can be compared to within this bound."
    ),
    thresholds=(
        Threshold(
            figure="wall_clock_moved",
            statistic="max",
            passes=1.0,
            warns=20.0,
            unit="ms",
            clause="RFC 6076 §3: no measuring during a correction unless ±1 ms still holds; 20 own",
            code="clock.sync.stepped",
        ),
        Threshold(
            figure="clock_error_bound",
            statistic="value",
            passes=10.0,
            warns=100.0,
            unit="ms",
            clause="own",
            code="clock.sync.loose",
        ),
        Threshold(
            figure="kernel_error_bound",
            statistic="value",
            passes=10.0,
            warns=16_000.0,
            unit="ms",
            clause="own; adjtimex(2): at 16 s the kernel gives itself up as unsynchronised",
            code="clock.sync.loose",
        ),
    ),
    explanations=(
        Explanation(
            code=UNPROVEN,
            layer=Layer.CLOCK,
            meaning="Nothing sets this machine's clock, so absolute times prove nothing. Intervals are not touched by it.",
            caller_notices="Nothing. In a dispute the time of a call cannot be proven.",
            causes=(
                "no time service is installed or running",
                "its servers cannot be reached through the firewall",
            ),
            confirm="timedatectl; chronyc sources",
            mend="Install chrony (sudo apt-get install chrony) and name time servers that the appliance can reach.",
        ),
        Explanation(
            code="clock.sync.loose",
            layer=Layer.CLOCK,
            meaning="The clock is set by a source, and may still be further from UTC than a call record should be.",
            caller_notices="Nothing. Records of two systems about one call disagree by so much.",
            causes=(
                "the time service has started only just now",
                "its servers are far away or behind a crowded line",
                "it is a simple one (systemd-timesyncd), which does not tell how exact it is: the kernel then assumes the worst",
                "the machine was suspended or moved",
            ),
            confirm="chronyc -n sources -v; chronyc tracking",
            mend="Wait some minutes after a start; install chrony, which tells its error; name nearer servers, at least four.",
        ),
        Explanation(
            code="clock.sync.stepped",
            layer=Layer.CLOCK,
            meaning="The wall clock jumped or was pulled while it was watched: whoever measures with it measures wrongly.",
            caller_notices="Waits and places stay right: the daemon uses the clock that never jumps. Times of day jump.",
            causes=(
                "a time service corrects a large error",
                "somebody set the clock by hand",
                "the virtual machine was paused or moved",
            ),
            confirm="journalctl -u chrony -u systemd-timesyncd --since -1h; chronyc tracking",
            mend="Let the time service settle (chronyc makestep once, in a quiet hour), then measure again.",
        ),
    ),
    measure=measure,
)
