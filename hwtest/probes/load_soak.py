"""Probe 38: a busy hour that goes on and on. Does anything leak, and does the switch answer throughout?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
from hwtest.sipp.counters import GAVE_UP
from hwtest.sipp.liveness import answers
from hwtest.sipp.room import (
    Use,
    lab_of,
    living_and_dead,
    processes,
    queue_line,
    quiet,
    serving,
    use_of,
    wrap_up_seconds,
)
from hwtest.sipp.traffic import QUEUE_CALLER, Outcome, Traffic, load, program
from hwtest.site import Site
from hwtest.useragent import answering

SECONDS = 60.0
"""By default; `[thresholds."load.soak"] soaked = { passes = 86400, warns = 3600 }` of a profile makes it a day."""
BUSY_HOUR = 6000
"""Calls."""
RATE = BUSY_HOUR / 3600
WARM_UP_CALLS = 20
"""Before anything is counted: pools fill with the first calls."""
MOST_AGENTS = 4
TALK_SECONDS = 0.5
BUSY_SHARE = 0.8
"""Of their time agents may work at the most; with more some callers wait for long, by chance alone."""
PATIENCE_SECONDS = 30.0
SETTLE_SECONDS = 10.0
OPTIONS_EVERY_SECONDS = 1.0
READ_EVERY = 5
"""OPTIONS, between two readings of the processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """At one moment of the soak."""

    seconds: float
    uses: Mapping[str, Use]


@dataclass(slots=True, kw_only=True)
class Soak:
    """What was seen."""

    seconds: float = 0.0
    options: list[float | None] = field(default_factory=list)
    """Answer times in milliseconds, None where there was none, one for each second."""
    readings: list[Reading] = field(default_factory=list)
    before: Mapping[str, Use]
    after: Mapping[str, Use] = field(default_factory=dict)
    channels_left: int = 0
    dead_entries: int = 0
    """More of what the switch leaves in its list of channels and is no call."""
    outcome: Outcome | None = None


async def measure(site: Site, sheet: Sheet) -> None:
    """Calls at the rate of a busy hour, served by agents; an OPTIONS each second; processes before and after."""
    lab, number = lab_of(site), queue_line(site)
    await program(site)
    seconds = site.target.thresholds.get(PROBE.name, {}).get("soaked", (SECONDS, 0.0))[0]
    site.interlock.on_wait(max(0.0, seconds - SECONDS))  # the limit of this probe is meant for the default
    count = min(MOST_AGENTS, len(lab.agents))
    refuse_what_cannot_be(count, wrap_up_seconds(site))
    async with serving(site, count, answering(talk_seconds=TALK_SECONDS)), site.user_agent() as agent:
        usual, dead = await living_and_dead(site)
        site.say("warming up")
        async with load(site, sheet, "soak-warm-up", _traffic(number, WARM_UP_CALLS, 5.0)) as running:
            await running.ended()
        await quiet(site, SETTLE_SECONDS, usual)
        soak = Soak(before=_uses(site))
        calls = max(1, round(RATE * seconds))
        async with load(site, sheet, "soak", _traffic(number, calls, RATE)) as running:
            loop = asyncio.get_running_loop()
            began = loop.time()
            while running.running:
                soak.seconds = loop.time() - began
                site.say(f"{soak.seconds:.0f} of {seconds:.0f} s")
                next_at = loop.time() + OPTIONS_EVERY_SECONDS
                soak.options.append(await answers(agent, site.target.sip))
                if len(soak.options) % READ_EVERY == 1:
                    soak.readings.append(Reading(seconds=soak.seconds, uses=_uses(site)))
                await asyncio.sleep(max(0.0, next_at - loop.time()))
            soak.outcome = await running.ended()
        soak.channels_left = max(0, await quiet(site, SETTLE_SECONDS, usual) - usual)
        soak.dead_entries = (await living_and_dead(site))[1] - dead
        soak.after = _uses(site)
    if soak.outcome.trouble:
        raise NotMeasuredError(soak.outcome.trouble, "hwtest run meter.timing")
    judge(sheet, soak)


def refuse_what_cannot_be(agents: int, wrap_up: float) -> None:
    """Callers whom so few agents cannot serve, or not for their wrap-up, are no fault of the switch or the daemon."""
    busy = RATE * (TALK_SECONDS + wrap_up)
    if busy > BUSY_SHARE * agents:
        raise NotMeasuredError(
            f"{agents} agents who talk for {TALK_SECONDS:g} s and wrap up for {wrap_up:g} s after each call cannot serve "
            f"{BUSY_HOUR} calls an hour: that is work for {busy:.1f} of them",
            f"a lab with hwtest lab up --agents {MOST_AGENTS} --wrap-up 0",
        )


def _traffic(number: str, calls: int, rate: float) -> Traffic:
    return Traffic(
        scenario=QUEUE_CALLER,
        calls=calls,
        number=number,
        rate=rate,
        patience_seconds=PATIENCE_SECONDS,
        limit_seconds=calls / rate + PATIENCE_SECONDS + 5,
    )


def _uses(site: Site) -> dict[str, Use]:
    return {who: use_of(pid, who) for who, pid in processes(site).items()}


def judge(sheet: Sheet, soak: Soak) -> None:
    """Write down what was lost, what leaked and whether the switch was there all the time."""
    sheet.value("soaked", "s", round(soak.seconds, 1), note=f"at {BUSY_HOUR} calls an hour")
    if soak.seconds < 3600:
        sheet.note(
            f'{soak.seconds:.0f} s is short: a slow leak shows in hours. A profile with kind = "lab" and '
            '[thresholds."load.soak"] soaked = { passes = 86400, warns = 3600 } soaks for a day'
        )
    if soak.outcome is not None:
        counted = soak.outcome.counters
        bad = counted.failed + soak.outcome.unfinished
        sheet.share(
            "lost",
            bad,
            soak.outcome.asked or counted.created,
            note=", ".join(
                f"{count} {'waited in vain' if word == GAVE_UP else word}"
                for word, count in counted.failures.items()
            )
            or "by SIPp's count",
        )
    silent = [second for second, answer in enumerate(soak.options) if answer is None]
    sheet.share("options_unanswered", len(silent), len(soak.options), evidence=_silences(silent))
    sheet.distribution(
        "options_answer", "ms", [answer for answer in soak.options if answer is not None], uncertainty=0.1
    )
    sheet.value(
        "channels_left", "calls", float(soak.channels_left), note=f"{SETTLE_SECONDS:.0f} s after the last"
    )
    sheet.value(
        "dead_entries_more",
        "",
        float(soak.dead_entries),
        note="Surrogate/..., Down: known of Asterisk 22.10.1, no leg of anybody, gone with its next restart; not judged",
    )
    for who, after in soak.after.items():
        before = soak.before[who]
        sheet.value(
            f"{who}_descriptors_more",
            "",
            float(after.descriptors - before.descriptors),
            note=f"from {before.descriptors} to {after.descriptors}",
        )
        sheet.value(
            f"{who}_threads_more",
            "",
            float(after.threads - before.threads),
            note=f"from {before.threads} to {after.threads}",
        )
        sheet.value(
            f"{who}_memory_more",
            "MB",
            round(after.rss_mb - before.rss_mb, 2),
            note=f"from {before.rss_mb:.1f} to {after.rss_mb:.1f}; not judged: a short soak does not tell",
        )
    _plot(sheet, soak)


def _silences(seconds: Sequence[int]) -> list[Evidence]:
    if not seconds:
        return []
    return [
        Evidence(
            text=f"no answer within 2 s to {len(seconds)} OPTIONS, the first after {seconds[0]} s, the last after {seconds[-1]} s"
        )
    ]


def _plot(sheet: Sheet, soak: Soak) -> None:
    if not soak.readings:
        return
    sheet.plot(
        Plot(
            title="File descriptors during the soak",
            x_label="seconds",
            y_label="descriptors",
            series=tuple(
                Series(
                    name=who,
                    points=tuple((one.seconds, float(one.uses[who].descriptors)) for one in soak.readings),
                )
                for who in soak.before
            ),
        )
    )


LOST = "load.soak.lost"


def _growth(who: str, what: str) -> Threshold:
    return Threshold(
        figure=f"{who}_{what}_more",
        statistic="value",
        passes=10.0,
        warns=50.0,
        unit="",
        clause="own: pools may move by ten",
        code=f"load.soak.{who}-leak",
    )


PROBE = Probe(
    name="load.soak",
    number=38,
    title="A busy hour that goes on, without leaks or silence",
    level=Level.LAB,
    needs=frozenset({Need.SIPP, Need.CONTROL}),
    seconds=120.0,
    term="soak: resources before and after, liveness throughout",
    reference="own; RFC 3261 §11 (OPTIONS)",
    meaning=(
        "What leaks a little with each call stops the appliance after weeks, and a deadlock shows as a switch that answers "
        "nothing any more while its process still runs. Both are found by many calls and a look at what is left of them."
    ),
    thresholds=(
        Threshold(
            figure="soaked",
            statistic="value",
            passes=55.0,
            warns=30.0,
            unit="s",
            clause="own: short by default; a profile makes it hours",
            code="load.soak.short",
            at_least=True,
        ),
        Threshold(
            figure="lost",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="%",
            clause="own: every call is served and released",
            code=LOST,
        ),
        Threshold(
            figure="options_unanswered",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="%",
            clause="own: OPTIONS answered throughout",
            code="load.soak.dead",
        ),
        Threshold(
            figure="channels_left",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="calls",
            clause="own: none",
            code="load.soak.channels",
        ),
        *(_growth(who, what) for who in ("switch", "daemon") for what in ("descriptors", "threads")),
    ),
    explanations=(
        Explanation(
            code="load.soak.short",
            layer=Layer.METER,
            meaning="The soak ended before its time, so it proves less than it should.",
            caller_notices="Nothing: it is the measurement that falls short.",
            causes=("SIPp was ended", "the calls ran out early because this machine was late"),
            confirm="SIPp's counters, kept with this result",
            mend="Run it again on a machine with nothing else to do.",
        ),
        Explanation(
            code=LOST,
            layer=Layer.DAEMON,
            meaning="Calls at an ordinary busy rate failed, or nobody served them though agents were there.",
            caller_notices="Now and then a call is lost or waits without end.",
            causes=(
                "the daemon lost sight of a call",
                "the control link was cut for a while",
                "the switch ran out of something: see its descriptors in this result",
            ),
            confirm="edge gaps; edge calls; SIPp's short log for the Call-IDs that failed",
            mend="If edge gaps shows a cut, mend the link; otherwise report the call's story (edge call).",
        ),
        Explanation(
            code="load.soak.dead",
            layer=Layer.SWITCH,
            meaning="The switch did not answer the smallest request for two seconds or more.",
            caller_notices="No call gets through meanwhile; calls that stand may lose their audio.",
            causes=(
                "a deadlock in the switch (known ones in 22.10.1): it does not come back by itself",
                "the machine stood still: a virtual machine that was paused, memory that was swapped out",
                "the switch was overloaded",
            ),
            confirm="asterisk -rx 'core show locks' where built in; gdb -p PID -batch -ex 'thread apply all bt'",
            mend="Restart the switch, keep the backtrace for a report; for a paused machine, give it what it needs.",
        ),
        Explanation(
            code="load.soak.channels",
            layer=Layer.SWITCH,
            meaning="Calls stay in the switch although everybody has hung up.",
            caller_notices="Nothing at first; after days no new call is taken.",
            causes=(
                "a call that the switch was moving from one place to another when it ended",
                "a BYE that was lost and not sent again",
            ),
            confirm="asterisk -rx 'core show channels verbose'",
            mend="asterisk -rx 'channel request hangup CHANNEL' for each; those that stay go with its next restart.",
        ),
        Explanation(
            code="load.soak.switch-leak",
            layer=Layer.SWITCH,
            meaning="The switch holds more file descriptors or threads after the soak than before it.",
            caller_notices="Nothing, until they run out and calls are refused.",
            causes=(
                "channels that stay (see channels_left)",
                "a leak in a module of the switch",
                "a pool that had not filled",
            ),
            confirm="ls -l /proc/PID/fd of the switch; run it again: a pool stays, a leak grows",
            mend="If it grows with each run, update the switch, and restart it at a quiet moment until then.",
        ),
        Explanation(
            code="load.soak.daemon-leak",
            layer=Layer.DAEMON,
            meaning="The daemon holds more file descriptors or threads after the soak than before it.",
            caller_notices="Nothing, until they run out; then the daemon restarts and callers keep their places.",
            causes=("connections that are not closed", "tasks that never end", "a pool that had not filled"),
            confirm="ls -l /proc/PID/fd of the daemon; run it again: a pool stays, a leak grows",
            mend="If it grows with each run, report it with this result; restart the daemon at a quiet moment until then.",
        ),
    ),
    measure=measure,
)
