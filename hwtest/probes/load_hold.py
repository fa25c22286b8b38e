"""Probe 36: what do waiting callers cost, and does the next one still get an agent at once when there are many?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from hwtest.bench.readings import dispatch_latencies
from hwtest.capture import Capture
from hwtest.probes.contract import (
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
from hwtest.sipp.room import (
    Use,
    channels,
    descriptors_allowed,
    lab_of,
    ports_of,
    processes,
    queue_line,
    quiet,
    serving,
    use_of,
    wrap_up_seconds,
)
from hwtest.sipp.traffic import QUEUE_CALLER, Running, Traffic, load, program
from hwtest.site import Site, whole
from hwtest.statistics import percentile
from hwtest.useragent import AgentPhone, IncomingCall

WAITING = (1, 10, 100)
FILL_RATE = 25.0
FILL_SECONDS = 10.0
SETTLE_SECONDS = 2.0
WINDOW_SECONDS = 5.0
SAMPLES = 20
SERVE_SECONDS = 30.0
LEAVE_SECONDS = 10.0
LIMIT_SECONDS = 120.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What was measured with so many callers waiting."""

    waiting: int
    there: int
    """So many of them had come; fewer where the switch or SIPp was too slow."""
    seconds: float
    before: dict[str, Use]
    after: dict[str, Use]
    freed_ms: Sequence[float]
    """Agent's BYE to the next INVITE at the same phone; empty where nobody was waiting behind the one who was served."""
    created: int
    """Calls that were placed, those of callers who came when others had been served included."""
    lost: int
    """Callers whose call failed before we ended the step."""
    wrap_up_seconds: float = 0.0

    @property
    def dispatch_ms(self) -> list[float]:
        """The same less the wrap-up, which is on purpose."""
        return [sample - 1000 * self.wrap_up_seconds for sample in self.freed_ms]

    @property
    def counts(self) -> bool:
        """Whether it says something of so many who wait: they were there, or it is known what became of the others."""
        return self.lost > 0 or self.there >= self.waiting

    def cpu_percent(self, who: str) -> float:
        """Of one core."""
        used = self.after[who].cpu_seconds - self.before[who].cpu_seconds
        return 100 * used / self.seconds


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line through points, by least squares."""

    slope: float
    start: float
    explained: float
    """Share of the spread that the line explains (r squared); 1 when all points are on it, or all are equal."""


def fit(points: Sequence[tuple[float, float]]) -> Line | None:
    """None for fewer than two different x."""
    count = len(points)
    if len({x for x, _ in points}) < 2:
        return None
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread_x = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread_x
    start = mean_y - slope * mean_x
    spread_y = sum((y - mean_y) ** 2 for _, y in points)
    left = sum((y - start - slope * x) ** 2 for x, y in points)
    return Line(slope, start, 1 - left / spread_y if spread_y else 1.0)


async def measure(site: Site, sheet: Sheet) -> None:
    """More and more callers wait: what the daemon and the switch use, and how fast the next one gets an agent."""
    lab_of(site)
    number = queue_line(site)
    await program(site)
    usual = await channels(site)
    steps = list[Step]()
    async with site.capture() as capture:
        for waiting in WAITING:
            steps.append(await _step(site, sheet, capture, number, waiting, usual))
            await quiet(site, LEAVE_SECONDS, usual)
            if steps[-1].lost or not steps[-1].counts:
                why = "were lost" if steps[-1].lost else "did not come"
                sheet.note(f"with {waiting} callers some {why}, so more were not tried")
                break
    judge(sheet, steps, descriptors_allowed(processes(site)))


async def _step(site: Site, sheet: Sheet, capture: Capture, number: str, waiting: int, usual: int) -> Step:
    traffic = Traffic(
        scenario=QUEUE_CALLER,
        calls=waiting + SAMPLES + 10,  # who was served is replaced
        number=number,
        rate=FILL_RATE,
        at_once=waiting,
        patience_seconds=LIMIT_SECONDS,
        limit_seconds=LIMIT_SECONDS,
    )
    async with load(site, sheet, f"hold-{waiting}", traffic) as running:
        site.say(f"{waiting} callers come")
        there = await _filled(site, running, usual, waiting)
        await asyncio.sleep(SETTLE_SECONDS)
        site.say(f"{waiting} wait")
        loop = asyncio.get_running_loop()
        began, before = loop.time(), _uses(site)
        await asyncio.sleep(WINDOW_SECONDS)
        after, seconds = _uses(site), loop.time() - began
        counted = await running.so_far()
        dispatch = list[float]()
        if waiting > 1 and not counted.failed:  # else there may be no ports left to sign an agent in
            dispatch = await _dispatch(site, capture, waiting)
            counted = await running.so_far()
        outcome = await running.stop()
    if outcome.counters.watchdog:
        raise NotMeasuredError(outcome.trouble or "SIPp was late", "hwtest run meter.timing")
    return Step(
        waiting=waiting,
        there=there,
        seconds=seconds,
        before=before,
        after=after,
        freed_ms=dispatch,
        created=counted.created,
        lost=counted.failed,
        wrap_up_seconds=wrap_up_seconds(site),
    )


async def _filled(site: Site, running: Running, usual: int, waiting: int) -> int:
    """How many have come, once all have or when it is clear that they will not."""
    there = await channels(site) - usual
    for _ in range(round((FILL_SECONDS + waiting / FILL_RATE) / _POLL_SECONDS)):
        if there >= waiting or not running.running:
            break
        await asyncio.sleep(_POLL_SECONDS)
        there = await channels(site) - usual
    return there


def _uses(site: Site) -> dict[str, Use]:
    return {who: use_of(pid, who) for who, pid in processes(site).items()}


async def _dispatch(site: Site, capture: Capture, waiting: int) -> list[float]:
    """One agent serves one caller after the other; each is replaced by a new one at the end of the queue."""
    site.say(f"{waiting} wait, one agent serves")

    async def serve(call: IncomingCall) -> None:
        call.ring()
        call.answer()
        if await call.lasts(site.dice.uniform(0.1, 0.3)):  # not in step with anybody's timer
            await call.hang_up()

    await capture.take()
    async with serving(site, 1, serve) as phones:
        await _served(phones[0])
        taken = await capture.take()
        ports = ports_of(phones)
    return dispatch_latencies(whole(taken), ports)[:SAMPLES]


async def _served(phone: AgentPhone) -> None:
    for _ in range(round(SERVE_SECONDS / _POLL_SECONDS)):
        if len(phone.calls) > SAMPLES:
            return
        await asyncio.sleep(_POLL_SECONDS)


def judge(sheet: Sheet, steps: Sequence[Step], allowed: dict[str, int]) -> None:
    """Write down what was seen of so many as were there. NotMeasuredError where it were fewer than were to be."""
    if full := [step for step in steps if step.counts]:
        _judge(sheet, full, allowed)
    for step in steps:
        if not step.counts:
            raise NotMeasuredError(
                f"{step.there} of {step.waiting} callers were waiting, and none of the others had failed: "
                "they had not been answered yet, or SIPp had not called",
                "hwtest run meter.timing load.ramp --lab",
            )


def _judge(sheet: Sheet, steps: Sequence[Step], allowed: dict[str, int]) -> None:
    """What each step cost, the straight lines through them, and where they end."""
    most = max(steps, key=lambda step: step.waiting)
    for who in most.after:
        cpu = [(float(step.waiting), step.cpu_percent(who)) for step in steps]
        sheet.value(
            f"{who}_cpu",
            "% of a core",
            most.cpu_percent(who),
            n=most.waiting,
            uncertainty=100 * 0.01 / most.seconds,
            note=f"{most.waiting} waiting, over {most.seconds:.1f} s; {_growth(cpu, '% of a core')}",
        )
        for name, unit, points in (
            ("memory", "MB", [(float(step.waiting), step.after[who].rss_mb) for step in steps]),
            (
                "descriptors",
                "",
                [(float(step.waiting), float(step.after[who].descriptors)) for step in steps],
            ),
            ("threads", "", [(float(step.waiting), float(step.after[who].threads)) for step in steps]),
        ):
            line = fit(points)
            per_100 = None if line is None else 100 * line.slope
            sheet.value(
                f"{who}_{name}_per_100",
                f"{unit} per 100 waiting".strip(),
                per_100,
                n=len(points),
                note=f"from {points[0][1]:g} to {points[-1][1]:g}; {_growth(points, unit)}",
            )
            if name == "descriptors" and line is not None and line.slope > 0 and who in allowed:
                room = (allowed[who] - line.start) / line.slope
                sheet.value(
                    f"{who}_callers_by_descriptors",
                    "callers",
                    float(int(room)),
                    note=f"at which its {allowed[who]} descriptors would be used up, by the straight line",
                )
    for step in steps:
        if step.waiting > 1:
            sheet.distribution(
                f"dispatch_{step.waiting}",
                "ms",
                step.dispatch_ms,
                uncertainty=0.1,
                note=f"agent's BYE to the next INVITE at that phone, {step.waiting} in the queue"
                + (f", less the wrap-up of {step.wrap_up_seconds:g} s" if step.wrap_up_seconds else ""),
            )
    served = [step for step in steps if step.dispatch_ms]
    medians = [(float(step.waiting), percentile(step.dispatch_ms, 0.5)) for step in served]
    sheet.value(
        "dispatch_growth",
        "times",
        medians[-1][1] / medians[0][1] if len(medians) > 1 and medians[0][1] > 0 else None,
        n=len(medians),
        note="median with the most waiting by the median with the fewest",
    )
    made = sum(step.created for step in steps)
    sheet.share(
        "lost", sum(step.lost for step in steps), made, note="callers whose call failed, by SIPp's count"
    )
    if most.waiting < 1000:
        sheet.note(
            f"at most {most.waiting} waited here; a lab has audio ports for 950 legs, so 1,000 were not tried"
        )
    _plots(sheet, steps, medians)


def _growth(points: Sequence[tuple[float, float]], unit: str) -> str:
    line = fit(points)
    if line is None:
        return "no growth can be told from one step"
    return (
        f"{100 * line.slope:+.3g} {unit} for each 100 more".replace("  ", " ")
        + f" (straight line through {len(points)} steps, r\u00b2 {line.explained:.2f})"
    )


def _plots(sheet: Sheet, steps: Sequence[Step], medians: Sequence[tuple[float, float]]) -> None:
    names = steps[0].after
    sheet.plot(
        Plot(
            title="What waiting callers cost",
            x_label="callers waiting",
            y_label="% of a core",
            series=tuple(
                Series(
                    name=who,
                    points=tuple((float(step.waiting), step.cpu_percent(who)) for step in steps),
                )
                for who in names
            ),
        )
    )
    tail = tuple(
        (float(step.waiting), percentile(step.dispatch_ms, 0.95)) for step in steps if step.dispatch_ms
    )
    if tail:
        sheet.plot(
            Plot(
                title="Dispatch while callers wait",
                x_label="callers waiting",
                y_label="ms",
                series=(Series(name="p50", points=tuple(medians)), Series(name="p95", points=tail)),
            )
        )


SLOW = "load.hold.slow"


def _dispatch_threshold(waiting: int) -> Threshold:
    return Threshold(
        figure=f"dispatch_{waiting}",
        statistic="p95",
        passes=50.0,
        warns=200.0,
        unit="ms",
        clause="own",
        code=SLOW,
    )


PROBE = Probe(
    name="load.hold",
    number=36,
    title="Many callers wait, and the next one still gets an agent at once",
    level=Level.LAB,
    needs=frozenset({Need.SIPP, Need.CAPTURE, Need.CONTROL}),
    seconds=90.0,
    term="cost per waiting caller; dispatch latency as a function of how many wait",
    reference="own",
    meaning=(
        "On a bad day a hundred people wait. What each of them costs must be little and must grow in a straight line, and the "
        "time in which a free agent gets the next caller must not grow with the queue at all."
    ),
    thresholds=(
        Threshold(
            figure="daemon_cpu",
            statistic="value",
            passes=3.0,
            warns=10.0,
            unit="% of a core",
            clause="own: waiting is idle",
            code="load.hold.cpu",
        ),
        Threshold(
            figure="daemon_memory_per_100",
            statistic="value",
            passes=20.0,
            warns=100.0,
            unit="MB per 100 waiting",
            clause="own",
            code="load.hold.memory",
        ),
        *(_dispatch_threshold(waiting) for waiting in WAITING if waiting > 1),
        Threshold(
            figure="dispatch_growth",
            statistic="value",
            passes=2.0,
            warns=5.0,
            unit="times",
            clause="own",
            code="load.hold.growth",
        ),
        Threshold(
            figure="lost",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="%",
            clause="own: whoever waits stays",
            code="load.hold.lost",
        ),
    ),
    explanations=(
        Explanation(
            code="load.hold.cpu",
            layer=Layer.DAEMON,
            meaning="The daemon works although nothing happens: callers only wait.",
            caller_notices="Nothing yet; with more callers everything becomes slow.",
            causes=(
                "it asks the switch again and again in place of being told",
                "announcements are due too often for so many callers",
                "its log is set to debug",
            ),
            confirm="edge top; top -H -p of the daemon; log.level in edge101.toml",
            mend="Set the log back to info, space announcements; else report the figures with the plot.",
        ),
        Explanation(
            code="load.hold.memory",
            layer=Layer.DAEMON,
            meaning="Each waiting caller costs the daemon much memory.",
            caller_notices="Nothing, until the appliance runs out of memory and the daemon restarts.",
            causes=("facts of each call are kept in memory for long", "a leak: run load.soak"),
            confirm="hwtest run load.soak --lab; grep VmRSS /proc/PID/status of the daemon, before and after",
            mend="Restart the daemon at a quiet moment (callers keep their places), and report the growth curve.",
        ),
        Explanation(
            code="load.hold.slow",
            layer=Layer.DAEMON,
            meaning="A free agent gets the next waiting caller late.",
            caller_notices="Longer waiting than need be, each time; at the end of the queue that adds up.",
            causes=(
                "commits to the record are slow: the disk, or another program that holds the ledger",
                "the daemon or the switch is busy: see their CPU in this result",
                "this machine is loaded by the test itself: see its load beside the result",
            ),
            confirm="hwtest run ctl.link; iostat -x 1 for the ledger's disk; fuser on the ledger's file",
            mend="Put the ledger on a fast disk of its own, and end what else writes there.",
        ),
        Explanation(
            code="load.hold.growth",
            layer=Layer.DAEMON,
            meaning="The more callers wait, the longer a free agent waits for the next.",
            caller_notices="On a bad day, when it matters most, everything takes longer.",
            causes=(
                "the choice of the next caller looks at all who wait",
                "music for many callers takes the switch's processor",
            ),
            confirm="the plot of this result; edge top while callers wait",
            mend="If the switch's CPU grows with it, give it more processors; otherwise report the growth curve.",
        ),
        Explanation(
            code="load.hold.lost",
            layer=Layer.SWITCH,
            meaning="Calls of callers who were waiting, or wanted to, failed.",
            caller_notices="They are cut off, or not put through, while others wait on.",
            causes=(
                "the RTP port range is too small: two ports for each caller",
                "file descriptors run out",
                "the switch restarted meanwhile",
            ),
            confirm="the switch's log/messages; asterisk -rx 'rtp show settings'; asterisk -rx 'core show uptime'",
            mend="Widen rtpstart to rtpend in rtp.conf, raise maxfiles in asterisk.conf; then repeat it.",
        ),
    ),
    measure=measure,
)
