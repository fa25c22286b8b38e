"""The whole benchmark: which measurements there are, and one run of some of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from edge.ports import LedgerError
from edge.version import VERSION
from hwtest.bench import (
    answers,
    beside,
    callbacks,
    dispatch,
    events,
    faults,
    figures,
    finding,
    growth,
    idle,
    journal,
    mouth,
    order,
    pull,
    rate,
    record,
    restart,
    ship,
    waiting,
)
from hwtest.bench.machine import LoadMeter, commit, describe_machine
from hwtest.bench.plan import chosen, number_of
from hwtest.bench.report import Part, Report
from hwtest.bench.results import Figure, Outcome
from hwtest.bench.rig import PLAIN_QUEUE, PLAIN_QUEUE_DEFAULTS, Progress, Rig, RigError, rig
from hwtest.capture import CaptureUnavailableError
from hwtest.lab.contract import Lab
from hwtest.useragent import SipError

SAMPLES = 300
QUICK_SAMPLES = 60
PLAIN_SHARE = 1 / 2
"""app_queue takes half a second a sample, so it gets fewer."""
AGENTS = 4
AGENTS_OF_LAB = 5
"""What the order under priority is asked for with; all else has AGENTS."""
QUIET = "101_no_greeting"
LIMIT_SECONDS = 900.0
"""What has not ended by then is not measured, and the next begins."""
LONG_LIMIT_SECONDS = 3600.0
"""The same for what is measured only when it is named: a month is made up and folded, the first time."""
CAPTURED, NOT_CAPTURED = (
    "AF_PACKET, kernel stamps",
    "not captured (no CAP_NET_RAW): the phones' own stamps",
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement by its name on the command line, and its rows when it could not be made."""

    name: str
    measure: Callable[[Rig], Awaitable[Outcome]]
    not_measured: Callable[[str], list[Figure]]
    named_only: bool = False
    """Takes so long that a run of everything leaves it out."""


def measurements(samples: int) -> list[Measurement]:
    """All of them, the most important first: what a caller waits for, then the record, then what it takes; what kills the daemon
    or looks for the switch's limit comes last, as nothing that follows shall suffer from it."""
    rounds = 3 if samples >= SAMPLES else 1
    fair = max(QUICK_SAMPLES, samples // 3)
    whole = samples >= SAMPLES
    first, second, *others = _dispatch(samples, rounds)
    return [
        first,
        second,
        Measurement(
            "order",
            lambda rig: order.measure(
                rig,
                order.Plan(calls=1000 if whole else 3 * samples, beside=200 if whole else samples),
            ),
            order.not_measured,
        ),
        Measurement(
            "idle", lambda rig: idle.measure(rig, idle.Plan(samples=fair, rounds=rounds)), idle.not_measured
        ),
        Measurement(
            "answers",
            lambda rig: answers.measure(rig, answers.Plan(calls=160 if whole else samples)),
            answers.not_measured,
        ),
        Measurement("facts", lambda rig: record.measure(rig, samples), record.not_measured),
        *others,
        _callbacks(samples),
        *_of_the_daemon(samples, rounds),
        *_of_the_record(samples, fair),
        _beside(samples, rounds),
        Measurement("waiting", waiting.measure, waiting.not_measured),
        Measurement(
            "growth",
            lambda rig: growth.measure(rig, growth.Plan(samples=40 if whole else 20)),
            growth.not_measured,
        ),
        Measurement(
            "mouth",
            lambda rig: mouth.measure(rig, mouth.Plan(rounds=2 if whole else 1)),
            mouth.not_measured,
        ),
        Measurement(
            "finding",
            lambda rig: finding.measure(
                rig.progress, finding.Plan(clean=finding.LEAST_CLEAN if whole else 2)
            ),
            finding.not_measured,
        ),
        Measurement(
            "rate",
            lambda rig: rate.measure(rig, rate.Plan(calls=2000 if whole else 200)),
            rate.not_measured,
        ),
        Measurement(
            "restart",
            lambda rig: restart.measure(rig, restart.Plan(deaths=max(3, samples // 20), agents=AGENTS)),
            restart.not_measured,
        ),
        Measurement(
            "faults",
            lambda rig: faults.measure(rig, faults.Plan(samples=samples // 10)),
            faults.not_measured,
            named_only=True,
        ),
    ]


def _callbacks(samples: int) -> Measurement:
    plan = callbacks.Plan(
        samples=samples,
        blocks=callbacks.BLOCKS if samples >= SAMPLES else 2,
        agents=AGENTS,
        least=SAMPLES,
    )
    return Measurement("callback", lambda rig: callbacks.measure(rig, plan), callbacks.not_measured)


def _dispatch(samples: int, rounds: int) -> list[Measurement]:
    """B1, in every population."""
    few = max(QUICK_SAMPLES, samples // 5)

    def dispatching(
        name: str,
        figure: str,
        callers: int,
        agents: int,
        wanted: int,
        line: str = QUIET,
        least: int = SAMPLES,
        comparator: str = PLAIN_QUEUE,
    ) -> Measurement:
        plan = dispatch.Plan(
            name=f"dispatch, {figure}",
            line=line,
            waiting=callers,
            agents=agents,
            samples=wanted,
            plain_samples=round(wanted * PLAIN_SHARE),
            rounds=rounds,
            least=least,
            comparator=comparator,
        )
        return Measurement(
            name,
            lambda rig: dispatch.measure(rig, plan),
            lambda why: dispatch.not_measured(plan.name, why, comparator),
        )

    return [
        dispatching("dispatch-20", "20 waiting", 20, AGENTS, samples),
        dispatching("dispatch-200", "200 waiting", 200, AGENTS, samples),
        dispatching("announcement", "announcement plays", 6, AGENTS, samples, dispatch.GREETING_LINE),
        dispatching("one-agent", "20 waiting, one agent", 20, 1, few, least=0),
        dispatching(
            "defaults",
            "20 waiting, beside app_queue's defaults",
            20,
            AGENTS,
            few // 2,
            least=0,
            comparator=PLAIN_QUEUE_DEFAULTS,
        ),
    ]


def _beside(samples: int, rounds: int) -> Measurement:
    """What a pull and a report cost a caller."""
    plan = beside.Plan(
        dispatch=dispatch.Plan(
            name=beside.NAME,
            line=QUIET,
            waiting=20,
            agents=AGENTS,
            samples=samples,
            plain_samples=samples,
            rounds=rounds,
            least=SAMPLES,
        ),
        calls=100_000 if samples >= SAMPLES else 5_000,
    )
    return Measurement("beside", lambda rig: beside.measure(rig, plan), beside.not_measured)


def _of_the_daemon(samples: int, rounds: int) -> list[Measurement]:
    """How much the daemon digests and what durability costs: commits of the call path ten times as many as other samples, as
    they take a millisecond."""
    plan = journal.Plan(
        samples=10 * samples, groups=100 if samples >= SAMPLES else 20, rounds=rounds, least=10 * SAMPLES
    )
    return [
        Measurement(
            "events",
            lambda rig: events.measure(rig, events.Plan(seconds=5.0 if samples >= SAMPLES else 1.0)),
            events.not_measured,
        ),
        Measurement("journal", lambda rig: journal.measure(rig, plan), journal.not_measured),
    ]


def _of_the_record(samples: int, fair: int) -> list[Measurement]:
    """How fast others get the record: pulled from `edge mi`, shipped into PostgreSQL."""
    return [
        Measurement(
            "pull",
            lambda rig: pull.measure(
                rig.lab, rig.progress, pull.Plan(facts=480_000 if samples >= SAMPLES else 96_000, fresh=fair)
            ),
            pull.not_measured,
        ),
        Measurement(
            "ship",
            lambda rig: ship.measure(
                rig.progress, ship.Plan(ledgers=3, facts=100_000 if samples >= SAMPLES else 30_000)
            ),
            ship.not_measured,
        ),
        Measurement(
            "report",
            lambda rig: figures.measure(
                rig.lab, rig.progress, figures.Plan(calls=1_000_000 if samples >= SAMPLES else 20_000)
            ),
            figures.not_measured,
            named_only=True,
        ),
    ]


NAMES = tuple(measurement.name for measurement in measurements(SAMPLES))


async def run(
    lab: Lab, only: Collection[str], samples: int, progress: Progress, keep: Callable[[Report], None]
) -> Report:
    """Measure, one after the other; `only`: names, or numbers of the plan. What fails is not measured, the others are.

    `keep` has what there is after each, so that an end by force costs the one that runs.
    """
    report = Report(machine=describe_machine(lab.asterisk_version), parts=[])
    async with rig(lab, progress) as stand:
        for measurement in measurements(samples):
            if chosen(measurement.name, only) and (only or not measurement.named_only):
                progress(f"measuring {measurement.name}")
                report.parts.append(await _part(stand, measurement, samples, progress))
                keep(report)
    return report


async def _part(stand: Rig, measurement: Measurement, samples: int, progress: Progress) -> Part:
    started, meter = datetime.now(UTC), LoadMeter()
    outcome = numbered(measurement.name, await _attempt(stand, measurement, progress))
    return Part(
        name=measurement.name,
        started_utc=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        version=VERSION,
        commit=commit(),
        samples=samples,
        wire=CAPTURED if stand.captured else NOT_CAPTURED,
        load=meter.read(),
        figures=outcome.figures,
        blocks=outcome.blocks,
    )


def numbered(measurement: str, outcome: Outcome) -> Outcome:
    """The same, each row and each block with its number in the plan."""
    return Outcome(
        [replace(figure, benchmark=number_of(measurement, figure.name)) for figure in outcome.figures],
        [replace(block, benchmark=number_of(measurement, block.figure)) for block in outcome.blocks],
    )


async def _attempt(stand: Rig, measurement: Measurement, progress: Progress) -> Outcome:
    try:
        async with asyncio.timeout(LONG_LIMIT_SECONDS if measurement.named_only else LIMIT_SECONDS):
            return await measurement.measure(stand)
    except (RigError, SipError, LedgerError, CaptureUnavailableError, OSError, TimeoutError) as error:
        why = str(error) or f"not done in time ({type(error).__name__})"
    except Exception as error:  # noqa: BLE001 - a fault of ours in one measurement must not cost the others
        why = f"a fault of hwtest itself: {type(error).__name__}: {error}"
    progress(f"{measurement.name} could not be measured: {why}")
    await stand.recover()
    return Outcome(measurement.not_measured(why))
