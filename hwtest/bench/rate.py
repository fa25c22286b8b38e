"""The zero-failure rate (RFC 7502), beside app_queue's on the same switch.

SIPp calls at rates that rise until a call fails or a backlog grows (95 % are not answered within T1, 500 ms: a few hundred calls
alone are over before a backlog fails them); then the rate that was found is held for as many calls as the plan asks for, and
lowered while that does not hold. Nobody serves: the callers are answered, hear music from the switch, and hang up. Ours and
app_queue's in the order A B B A.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwtest.bench.machine import LoadMeter
from hwtest.bench.probing import site_of
from hwtest.bench.results import Block, Figure, Outcome, unmeasured
from hwtest.bench.rig import OURS, PLAIN_QUEUE, Rig, RigError
from hwtest.probes.load_ramp import PROBE
from hwtest.probes.sheet import Sheet
from hwtest.sipp.ramp import Pass, attempt, search
from hwtest.sipp.room import channels
from hwtest.sipp.traffic import program
from hwtest.site import Site

NAME = "zero-failure rate"
BESIDE = f"{NAME} beside {PLAIN_QUEUE}"
LEAST_PER_SECOND, LEAST_OF_THEIRS = 20.0, 0.7
TARGET, BESIDE_TARGET = f">= {LEAST_PER_SECOND:g} calls/s", f">= {LEAST_OF_THEIRS:g}x of {PLAIN_QUEUE}"
LINES = {OURS: "101_no_greeting", PLAIN_QUEUE: PLAIN_QUEUE}
MOST_PER_SECOND = 400.0
LOWER = 0.7
TRIES = 5
"""So often a rate is held, each time at 0.7 of the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`calls`: for which the rate must hold; `least`: what is asked for."""

    calls: int
    least: int = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one system takes: the rates that were tried in the search, and those at which it was held, the last one to its end."""

    system: str
    searched: Sequence[Pass]
    held: Sequence[Pass]

    @property
    def rate(self) -> float:
        """Calls a second without a failure or a backlog; 0 when none was. What SIPp did not offer was not taken either."""
        return next((each.rate for each in self.held if each.kept_up and each.was_offered), 0.0)

    @property
    def unoffered(self) -> bool:
        """Whether nothing was found because the generator, not the switch, came to its end."""
        return not self.rate and any(
            each.kept_up and not each.was_offered for each in (*self.searched, *self.held)
        )

    @property
    def limited(self) -> bool:
        """Whether a higher rate was tried at all and failed."""
        return any(not each.kept_up for each in (*self.searched, *self.held))

    @property
    def words(self) -> str:
        """How it was found."""
        tried = "; ".join(
            f"{each.rate:.0f}/s: {each.failed} of {each.calls} failed, {each.told}"
            + ("" if each.was_offered else f", {each.offered:.0f}/s offered")
            + (f", p95 of the answer {each.answer_ms:.0f} ms" if each.answer_ms is not None else "")
            for each in self.held
        )
        first = ", ".join(
            f"{each.rate:.0f}{'' if each.kept_up else ' did not hold'}" for each in self.searched
        )
        more = (
            ""
            if self.limited
            else f"; every rate held up to {MOST_PER_SECOND:.0f}/s, so the true one is higher"
        )
        return f"{self.system}: held {tried or 'nothing'}; searched {first}{more}"


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """Both systems. RigError without SIPp or without a capture."""
    if not rig.captured:
        raise RigError("the wire cannot be seen, and SIPp's own clock is no instrument")
    await rig.staff(0)
    async with site_of(rig) as site:
        await program(site)
        caller = _Caller(rig, site, await channels(site))
        ours = await caller.search(OURS)
        theirs = await caller.search(PLAIN_QUEUE)
        found = {
            system: Found(system=system, searched=passes, held=await caller.hold(system, passes, plan.calls))
            for system, passes in ((PLAIN_QUEUE, theirs), (OURS, ours))
        }
    return Outcome(figures(found[OURS], found[PLAIN_QUEUE], plan), caller.blocks)


class _Caller:
    """SIPp, and what it came to, pass by pass."""

    def __init__(self, rig: Rig, site: Site, usual: int) -> None:
        self.blocks = list[Block]()
        self._rig = rig
        self._site = site
        self._usual = usual

    async def search(self, system: str) -> list[Pass]:
        """The highest rate of a few calls each."""
        return await search(
            lambda rate: self._pass(system, rate, None), MOST_PER_SECOND, lambda made: made.kept_up
        )

    async def hold(self, system: str, searched: Sequence[Pass], calls: int) -> list[Pass]:
        """That rate for many calls, and lower while one of them fails."""
        rate = max((each.rate for each in searched if each.kept_up and each.was_offered), default=0.0)
        held = list[Pass]()
        while rate and len(held) < TRIES and not (held and held[-1].kept_up and held[-1].was_offered):
            held.append(await self._pass(system, rate, calls))
            rate *= LOWER
        return held

    async def _pass(self, system: str, rate: float, calls: int | None) -> Pass:
        number = self._rig.lab.lines[LINES[system]]
        meter = LoadMeter()
        made = await attempt(
            self._site,
            Sheet(PROBE),
            self._rig.wire.take,
            number,
            rate,
            calls=calls,
            usual=self._usual,
        )
        load = meter.read()
        self.blocks.append(
            Block(
                figure=NAME,
                system=system,
                samples=[],
                seconds=load.seconds,
                load_average=load.load_average,
                steal_share=load.steal_share,
                busy_share=load.busy_share,
                retransmissions=made.repeated,
                dropped=0,
                invalid=None
                if made.was_offered
                else f"{made.offered:.0f} calls/s offered in place of {rate:.0f}",
            )
        )
        self._rig.progress(f"{NAME}, {system}: {rate:.0f}/s, {made.failed} of {made.calls} calls failed")
        return made


def figures(ours: Found, theirs: Found, plan: Plan) -> list[Figure]:
    """Both rates, and ours by theirs. A rate that was never found is 0, and nothing can be said of a ratio to that."""
    small = plan.calls < plan.least
    if ours.unoffered:
        return not_measured(f"SIPp could not offer so many calls on this machine: {ours.words}")
    held = Figure(
        name=NAME,
        system=OURS,
        unit="calls/s",
        value=ours.rate,
        target=TARGET,
        met=ours.rate >= LEAST_PER_SECOND,
        small=small,
        notes=[ours.words],
    )
    other = Figure(name=NAME, system=PLAIN_QUEUE, unit="calls/s", value=theirs.rate, notes=[theirs.words])
    if not theirs.rate:
        return [
            other,
            held,
            unmeasured(
                BESIDE,
                BESIDE_TARGET,
                f"SIPp could not offer {PLAIN_QUEUE} so many calls on this machine"
                if theirs.unoffered
                else f"{PLAIN_QUEUE} took no rate without a failure",
            ),
        ]
    ratio = ours.rate / theirs.rate
    beside = Figure(
        name=BESIDE,
        system=OURS,
        unit="calls/s",
        value=ours.rate,
        ratio=ratio,
        target=BESIDE_TARGET,
        met=ratio >= LEAST_OF_THEIRS,
        small=small,
    )
    return [other, held, beside]


def not_measured(why: str) -> list[Figure]:
    """The rows when it could not be measured."""
    return [unmeasured(NAME, TARGET, why), unmeasured(BESIDE, BESIDE_TARGET, why)]
