"""The whole benchmark: which measurements there are, and one run of some of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from edge.ports import LedgerError
from edge.version import VERSION
from hwtest.bench import (
    beside,
    callbacks,
    dispatch,
    events,
    faults,
    figures,
    idle,
    journal,
    order,
    pull,
    record,
    restart,
    ship,
    waiting,
)
from hwtest.bench.machine import LoadMeter, describe_machine
from hwtest.bench.plan import chosen, number_of
from hwtest.bench.report import Report
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
NAMES = (
    "dispatch-20",
    "dispatch-200",
    "announcement",
    "one-agent",
    "defaults",
    "callback",
    "idle",
    "facts",
    "order",
    "waiting",
    "events",
    "journal",
    "pull",
    "ship",
    "report",
    "beside",
    "restart",
    "faults",
)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement by its name on the command line, and its rows when it could not be made."""

    name: str
    measure: Callable[[Rig], Awaitable[Outcome]]
    not_measured: Callable[[str], list[Figure]]


def measurements(samples: int) -> list[Measurement]:
    """All of them, in the order of the issue's list."""
    rounds = 3 if samples >= SAMPLES else 1
    fair = max(QUICK_SAMPLES, samples // 3)
    return [
        *_dispatch(samples, rounds),
        Measurement(
            "callback",
            lambda rig: callbacks.measure(
                rig,
                callbacks.Plan(
                    samples=samples,
                    blocks=callbacks.BLOCKS if samples >= SAMPLES else 2,
                    agents=AGENTS,
                    least=SAMPLES,
                ),
            ),
            callbacks.not_measured,
        ),
        Measurement(
            "idle", lambda rig: idle.measure(rig, idle.Plan(samples=fair, rounds=rounds)), idle.not_measured
        ),
        Measurement("facts", lambda rig: record.measure(rig, samples), record.not_measured),
        Measurement(
            "order",
            lambda rig: order.measure(rig, order.Plan(calls=1000 if samples >= SAMPLES else 3 * samples)),
            order.not_measured,
        ),
        Measurement("waiting", waiting.measure, waiting.not_measured),
        *_of_the_daemon(samples, rounds),
        *_of_the_record(samples, fair),
        _beside(samples, rounds),
        Measurement(
            "restart",
            lambda rig: restart.measure(rig, restart.Plan(deaths=max(3, samples // 20), agents=AGENTS)),
            restart.not_measured,
        ),
        Measurement(
            "faults",
            lambda rig: faults.measure(rig, faults.Plan(samples=samples // 10)),
            faults.not_measured,
        ),
    ]


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
                rig.progress, figures.Plan(calls=1_000_000 if samples >= SAMPLES else 20_000)
            ),
            figures.not_measured,
        ),
    ]


async def run(lab: Lab, only: Collection[str], samples: int, progress: Progress) -> Report:
    """Measure, one after the other; `only`: names, or numbers of the plan. What fails is not measured, the others are."""
    started, meter = datetime.now(UTC), LoadMeter()
    outcomes = list[Outcome]()
    async with rig(lab, progress) as stand:
        for measurement in measurements(samples):
            if chosen(measurement.name, only):
                progress(f"measuring {measurement.name}")
                outcomes.append(numbered(measurement.name, await _attempt(stand, measurement, progress)))
        captured = stand.captured
    return Report(
        started_utc=started.isoformat(timespec="seconds"),
        version=VERSION,
        samples=samples,
        machine=describe_machine(lab.asterisk_version),
        wire="AF_PACKET, kernel stamps"
        if captured
        else "not captured (no CAP_NET_RAW): the phones' own stamps",
        load=meter.read(),
        figures=[figure for outcome in outcomes for figure in outcome.figures],
        blocks=[block for outcome in outcomes for block in outcome.blocks],
    )


def numbered(measurement: str, outcome: Outcome) -> Outcome:
    """The same, each row and each block with its number in the plan."""
    return Outcome(
        [replace(figure, benchmark=number_of(measurement, figure.name)) for figure in outcome.figures],
        [replace(block, benchmark=number_of(measurement, block.figure)) for block in outcome.blocks],
    )


async def _attempt(stand: Rig, measurement: Measurement, progress: Progress) -> Outcome:
    try:
        return await measurement.measure(stand)
    except (RigError, SipError, LedgerError, CaptureUnavailableError, OSError, TimeoutError) as error:
        why = str(error) or type(error).__name__
        progress(f"{measurement.name} could not be measured: {why}")
        await stand.clear()
        return Outcome(measurement.not_measured(why))
