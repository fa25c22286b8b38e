"""Mouth to ear: what the appliance adds to the delay of a word, beside a bare Dial() on the same switch.

Two software phones speak chirps in turns and find each other's in what they hear: directly, through the line for test calls, and
through `plain_dial`, in the order A B C C B A. One sample is half of what a chirp forth and the next one back take together, less
the same of the phones alone: the 20 ms of a frame at which a chirp begins change one direction and not both together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

from hwtest.bench.machine import Load, LoadMeter
from hwtest.bench.probing import site_of
from hwtest.bench.results import Block, Figure, Outcome, cap, describe, sized, unmeasured
from hwtest.bench.rig import OURS, PLAIN_DIAL, Rig, RigError
from hwtest.site import Site
from hwtest.softphone.latency import Latency
from hwtest.softphone.pair import Conversation, Pair, pair_at
from hwtest.softphone.phone import SoftphoneError

NAME = "mouth to ear, added one way"
OWN = "mouth to ear, the phones' own"
DIRECT = "no switch"
MOST_MS = {95: 25.0}
TARGET = "p95 <= 25 ms"
ORDER = (DIRECT, OURS, PLAIN_DIAL, PLAIN_DIAL, OURS, DIRECT)
CHIRPS = 5
LEAST = 10
"""Of the samples that calls with every chirp found must give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`rounds`: each of six calls."""

    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What was heard in one call, and what ran meanwhile."""

    system: str
    latency: Latency
    load: Load

    @property
    def both_ways_ms(self) -> list[float]:
        """Each chirp forth with the one back that follows it."""
        both = zip(self.latency.forth, self.latency.back, strict=False)
        return [forth.milliseconds + back.milliseconds for forth, back in both]


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """The calls, and what they say. RigError where there are no software phones."""
    await rig.staff(0)
    calls = list[Call]()
    try:
        async with site_of(rig) as site, pair_at(site) as (phones, number):
            for place, system in enumerate(ORDER * plan.rounds, 1):
                calls.append(await _call(rig, site, phones, number, system, place))
                rig.progress(f"{NAME} {place}/{len(ORDER) * plan.rounds} {system}: {_words(calls[-1])}")
    except SoftphoneError as error:
        raise RigError(str(error)) from error
    return outcome(calls)


def _words(call: Call) -> str:
    both = call.both_ways_ms
    return f"{median(both) / 2:.1f} ms one way, n {len(both)}" if both else "no chirp found"


async def _call(rig: Rig, site: Site, phones: Pair, number: str, system: str, place: int) -> Call:
    """The clocks of the phones begin anew, so that each call has another phase."""
    await phones.shift_clocks()
    meter = LoadMeter()
    async with _conversation(rig, site, phones, number, system) as conversation:
        latency = await phones.latency(
            conversation, site.folder, count=CHIRPS, seed=place, name=f"mouth-{place}"
        )
    return Call(system=system, latency=latency, load=meter.read())


@asynccontextmanager
async def _conversation(
    rig: Rig, site: Site, phones: Pair, number: str, system: str
) -> AsyncIterator[Conversation]:
    if system == DIRECT:
        async with phones.direct() as conversation:
            yield conversation
    elif system == OURS:
        async with phones.through(site, number) as conversation:
            yield conversation
    else:
        agent, (own,) = rig.lab.agents[0], rig.lab.test_phones
        await phones.callee.register(agent.registrar, agent.user, agent.password)
        try:
            async with phones.through(site, rig.lab.lines[PLAIN_DIAL]) as conversation:
                yield conversation
        finally:
            await phones.callee.unregister()
            await phones.callee.register(own.registrar, own.user, own.password)


def outcome(calls: Sequence[Call]) -> Outcome:
    """The rows, and a block of each call. Without the phones' own delay nothing can be said of a switch."""
    own = [both for call in calls if call.system == DIRECT for both in call.both_ways_ms]
    if not own:
        return Outcome(
            not_measured("the phones do not find each other's chirps without a switch between them")
        )
    share = median(own)
    blocks = [
        _block(call, [(both - share) / 2 for both in call.both_ways_ms])
        if call.system != DIRECT
        else _block(call, [both / 2 for both in call.both_ways_ms])
        for call in calls
    ]
    spoken = sum(2 * call.latency.spoken for call in calls)
    missed = sum(call.latency.missed for call in calls)
    judged = sized(
        cap(NAME, OURS, blocks, MOST_MS), LEAST, sum(call.system == OURS for call in calls) * CHIRPS
    )
    judged.notes.extend(
        (
            f"the phones' own {share / 2:.1f} ms one way (p50, n {len(own)}) are subtracted",
            f"{spoken - missed} of {spoken} chirps found",
        )
    )
    return Outcome([describe(OWN, DIRECT, blocks), describe(NAME, PLAIN_DIAL, blocks), judged], blocks)


def _block(call: Call, samples: list[float]) -> Block:
    return Block(
        figure=OWN if call.system == DIRECT else NAME,
        system=call.system,
        samples=samples,
        seconds=call.load.seconds,
        load_average=call.load.load_average,
        steal_share=call.load.steal_share,
        busy_share=call.load.busy_share,
        retransmissions=0,
        dropped=None,
        invalid=f"{call.latency.missed} chirps not found" if call.latency.missed else None,
    )


def not_measured(why: str) -> list[Figure]:
    """The row when it could not be measured."""
    return [unmeasured(NAME, TARGET, why)]
