"""One simulated night: the production engine, runtime, recorder and ledger against the simulated switch, from one seed.

What is simulated: time, the disk's temper, the switch and everybody who uses it. What is not: everything else
that `edge run` is made of. Every night is another mixture of faults, so that some are rare and some come thick (`Weather`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from edge.core.inputs import Input
from edge.core.model import ClockState
from edge.ledger.store import open_sql_ledger
from edge.pbx.simulated import Crowd, Faults, Injector, SimulatedPbx, Switch
from edge.pbx.simulated.legs import Counts
from edge.pbx.simulated.people import Temper
from edge.ports import read_all
from edge.recorder import BacklogFullError
from edge.runtime import Runtime
from tests.simulation.disk import DiskState, SimulatedDisk
from tests.simulation.site import LINES_OF_101, SENT_BACK_TO, policy_of_a_night
from tests.simulation.virtual import SimulatedClock, VirtualLoop, pass_time
from tests.simulation.watch import Watch, WatchedEngine

CHECKPOINT_FACTS = 150
"""Often, so that restarts begin at one."""
COMPARED_SECONDS = 5.0
"""How often the engine's calls are compared with the switch's callers."""
LONGEST_END_SECONDS = 5_400.0
"""By then everything must have ended, in a room where nothing goes wrong any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What goes wrong in a night. Means are seconds between two; None: never."""

    faults: Faults
    temper: Temper
    arrival_seconds: float
    emergencies: float
    burst: float
    death_seconds: float | None
    switch_death_seconds: float | None
    link_seconds: float | None
    disk_seconds: float | None
    clock_seconds: float | None
    reboots: bool

    @classmethod
    def of(cls, dice: Random) -> Weather:
        """Draw a night: each fault may be absent, rare or frequent."""

        def rate(*choices: float) -> float:
            return dice.choice((0.0, *choices))

        def often(*choices: float) -> float | None:
            return dice.choice((None, *choices))

        return cls(
            faults=Faults(
                lost=rate(0.005, 0.03),
                doubled=rate(0.01, 0.1),
                late=rate(0.01, 0.1),
                late_seconds=dice.choice((0.2, 1.5, 6.0)),
                refused=rate(0.005, 0.03),
                unanswered=rate(0.005, 0.02),
            ),
            temper=Temper(
                patience_seconds=dice.choice((20.0, 90.0, 240.0)), talk_seconds=dice.choice((8.0, 25.0))
            ),
            arrival_seconds=dice.choice((1.0, 2.0, 4.0, 8.0)),
            emergencies=dice.choice((0.05, 0.3)),
            burst=rate(0.05),
            death_seconds=often(20.0, 90.0),
            switch_death_seconds=often(200.0),
            link_seconds=often(30.0, 120.0),
            disk_seconds=often(60.0),
            clock_seconds=often(60.0),
            reboots=dice.random() < 0.3,
        )


@dataclass(slots=True, kw_only=True)
class Result:
    """What a night was."""

    seed: int
    calls: int = 0
    seconds: float = 0.0
    """Simulated."""
    facts: int = 0
    digest: str = ""
    """SHA-256 of all facts: the same seed gives the same."""
    faults: Counts = field(default_factory=Counts)
    outcomes: Counts = field(default_factory=Counts)


class Process:
    """One life of the daemon. `operations`: how many commands and commits until it is killed; None: it is not."""

    def __init__(self, night: Night, operations: int | None) -> None:
        self._night = night
        self._operations = operations
        self.is_dead = False
        self.pbx = SimulatedPbx(night.switch, night.injector, night.watch.arrived_on_disk)
        self.disk = SimulatedDisk(
            night.ledger, night.disk_state, night.dice, night.watch.stored, self.operate
        )
        self.runtime = Runtime(
            night.policy, self, night.ledger, self.disk, night.clock, checkpoint_facts=CHECKPOINT_FACTS
        )
        night.watch.recalled(self.runtime.engine.state, night.ledger)
        self.runtime.engine = WatchedEngine(night.policy, self.runtime.engine.state, night.watch)
        self.task = asyncio.create_task(self.runtime.run(), name="daemon")

    def operate(self) -> bool:
        """One more operation of this process. False: it is dead, and nothing comes of it."""
        if self._operations is not None and not self.is_dead:
            self._operations -= 1
            if self._operations <= 0:
                self._night.injector.injected.add("process killed")
                self.die()
        return not self.is_dead

    def die(self) -> None:
        """kill -9: from now on it asks, hears and writes nothing, whatever its code still does."""
        self.is_dead = True
        self.pbx.sever()
        self.disk.die()
        self.task.cancel()

    # the switch, as this process sees it

    async def run(self, post: Any) -> None:
        """`Pbx.run`: every input is seen by the watch."""

        def seen(given: Input) -> None:
            if not self.is_dead:
                self._night.watch.heard(given)
                post(given)

        await self.pbx.run(seen)

    def perform(self, effect: Any, cause: int) -> None:
        """`Pbx.perform`."""
        if self.operate():
            self._night.watch.asked(effect, cause)
            self.pbx.perform(effect, cause)

    def pulse(self) -> None:
        """`Pbx.pulse`."""
        if not self.is_dead:
            self.pbx.pulse()


class Night:
    """Run it with `run`."""

    def __init__(self, seed: int, calls: int, url: str) -> None:
        self.seed, self._calls = seed, calls
        self.dice = Random(f"{seed} faults")
        self._course = Random(f"{seed} course")
        self.policy = policy_of_a_night(self._course)
        self.weather = Weather.of(self._course)
        self.ledger = open_sql_ledger(url)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self._loop = loop
        self.clock = SimulatedClock(loop)
        self.injector = Injector(self.weather.faults, self.dice)
        self.disk_state = DiskState()
        self.switch = Switch(self.policy, self.clock.utc_us)
        self.watch = Watch(self.policy, self.switch, self.clock)
        crowd = Crowd(self.switch, Random(f"{seed} people"), self.weather.temper)
        crowd.queues, crowd.redial = SENT_BACK_TO, self._redial
        self.crowd = self.switch.people = crowd
        self.process: Process | None = None
        self.arrived = 0
        self._is_over = False
        self._troubles: list[asyncio.Task[None]] = []
        self._fault: asyncio.Future[None] = loop.create_future()
        loop.set_exception_handler(self._failed)

    def _failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Whatever goes wrong anywhere ends the night."""
        error = context.get("exception")
        if not self._fault.done():
            self._fault.set_exception(error or RuntimeError(str(context.get("message"))))

    # ------------------------------------------------------------------ the course of the night

    async def run(self) -> Result:
        """Everybody who calls, every trouble, then peace until all has ended. Raises AssertionError at a broken promise."""
        for agent in self.policy.agents:
            self.switch.sign(agent, agent)
        daemon = asyncio.create_task(self._keep_running(), name="supervisor")
        self._troubles = [asyncio.create_task(trouble) for trouble in self._all_troubles()]
        comparison = asyncio.create_task(self._compare(), name="comparison")
        callers = asyncio.create_task(self._arrive(), name="callers")
        try:
            await self._until(callers, daemon)
            await self._end(daemon)
            return self._result()
        finally:
            for task in (daemon, callers, comparison, *self._troubles):
                task.cancel()
            if self.process is not None:
                self.process.die()
            await asyncio.gather(daemon, callers, comparison, *self._troubles, return_exceptions=True)
            self.ledger.close()

    async def _compare(self) -> None:
        """Now and then: is every caller known, and is every call that should have a caller one that has?"""
        while True:
            await pass_time(COMPARED_SECONDS)
            process = self.process
            is_sound = process is not None and not process.is_dead and process.runtime.engine.state.sight
            try:
                self.watch.compared(process.runtime.engine.state if process and is_sound else None)
            except AssertionError as error:
                self._failed(self._loop, {"exception": error})

    async def _until(self, wanted: asyncio.Future[None], daemon: asyncio.Task[None]) -> None:
        await asyncio.wait({wanted, daemon, self._fault}, return_when=asyncio.FIRST_COMPLETED)
        for task in (self._fault, daemon, wanted):
            if task.done():
                task.result()

    def _all_troubles(self) -> list[Coroutine[Any, Any, None]]:
        weather = self.weather
        means = (
            (weather.switch_death_seconds, self._kill_switch),
            (weather.link_seconds, self._break_link),
            (weather.disk_seconds, self._trouble_disk),
            (weather.clock_seconds, self._trouble_clock),
            (15.0, self._trouble_staff),
        )
        return [self._now_and_then(mean, trouble) for mean, trouble in means if mean is not None]

    async def _now_and_then(self, mean_seconds: float, trouble: Any) -> None:
        while True:
            await pass_time(self.dice.expovariate(1.0 / mean_seconds))
            await trouble()

    async def _arrive(self) -> None:
        dice, weather = self._course, self.weather
        while self.arrived < self._calls:
            await pass_time(dice.expovariate(1.0 / weather.arrival_seconds))
            if dice.random() < weather.burst:
                self.injector.injected.add("burst of 999")
                for _ in range(dice.randrange(3, 9)):
                    self._call("999")
                    await pass_time(dice.uniform(0.0, 0.3))
            elif dice.random() < weather.emergencies:
                self._call(dice.choice(("999", "999", "999", "trial")))
            else:
                self._call(dice.choice(LINES_OF_101))

    def _call(self, line: str) -> None:
        if self.switch.is_up and self.arrived < self._calls:
            self.arrived += 1
            self.crowd.call(line)

    def _redial(self, line: str, number: str, name: str) -> None:
        if self.switch.is_up and self.arrived < self._calls:
            self.arrived += 1
            self.switch.arrive(line, number, name)

    # ------------------------------------------------------------------ the daemon, and who restarts it

    async def _keep_running(self) -> None:
        """As systemd does: start it, and start it again."""
        while True:
            self.process = Process(self, self._draw_operations())
            try:
                await asyncio.wait({self.process.task})
                if not self.process.is_dead or not self.process.task.cancelled():
                    self._judge_end(self.process)
            finally:
                self.process.die()
            await pass_time(self.dice.choice((0.1, 1.0, 4.0, 20.0)))

    def _draw_operations(self) -> int | None:
        if self._is_over or self.weather.death_seconds is None:
            return None
        return 1 + round(self.dice.expovariate(1.0 / (self.weather.death_seconds * 6)))

    def _judge_end(self, process: Process) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            error = process.task.exception()
            if isinstance(error, BacklogFullError):
                self.injector.injected.add("backlog full")
            elif error is not None:
                raise error

    # ------------------------------------------------------------------ troubles

    async def _kill_switch(self) -> None:
        """All legs are gone; sometimes the whole machine loses power, and the daemon and the clock's origin with it."""
        self.injector.injected.add("switch died")
        process = self.process
        self.watch.switch_died()
        lost = tuple(self.switch.callers.values())
        self.switch.die()
        if self.weather.reboots and process is not None:
            self.injector.injected.add("power cut")
            process.die()
            self.clock.boot()
        elif process is not None:
            process.pbx.lose_link()
        await pass_time(self.dice.choice((0.5, 3.0, 15.0)))
        self.switch.start()
        for caller in lost:
            if caller.number and self.dice.random() < 0.4:
                seconds = self.dice.uniform(1.0, 30.0)
                self._loop.call_later(seconds, self._redial, caller.line, caller.number, caller.name or "")

    async def _break_link(self) -> None:
        if self.process is not None:
            self.injector.injected.add("link lost")
            self.process.pbx.lose_link()

    async def _trouble_disk(self) -> None:
        """Slow, or taking nothing; then well again."""
        what = self.dice.choice(("slow 100 ms", "slow 2 s", "the disk is full", "it may not be written"))
        self.injector.injected.add(f"disk: {what}")
        if what.startswith("slow"):
            self.disk_state.seconds = 0.1 if "100" in what else 2.0
        else:
            self.disk_state.refuses = what
        await pass_time(self.dice.choice((1.0, 8.0, 30.0)))
        self.disk_state.seconds, self.disk_state.refuses = 0.002, ""

    async def _trouble_clock(self) -> None:
        match self.dice.randrange(3):
            case 0:
                self.injector.injected.add("clock stepped")
                self.clock.step(self.dice.choice((5.0, -5.0, 3600.0, -3600.0)))
            case 1:
                self.injector.injected.add("clock slewed")
                self.clock.slew(self.dice.choice((500e-6, -500e-6, 0.0)))
            case _:
                self.injector.injected.add("clock unsynchronised")
                self.clock.state = ClockState.UNSYNCHRONISED
                await pass_time(30.0)
                self.clock.state = ClockState.SYNCHRONISED

    async def _trouble_staff(self) -> None:
        """People go and come, and their phones with them."""
        agent = self.dice.choice(list(self.policy.agents))
        match self.dice.randrange(6):
            case 0:
                self.switch.sign(agent, None)
            case 1:
                self.switch.sign(agent, agent, "meal")
            case 2:
                self.switch.press_ready(agent)
            case 3:
                self.switch.unplug(agent)
                await pass_time(5.0)
                self.switch.plug(agent)
            case _:
                pass
        await pass_time(self.dice.uniform(1.0, 20.0))
        self.switch.sign(agent, agent)

    # ------------------------------------------------------------------ the end

    async def _end(self, daemon: asyncio.Task[None]) -> None:
        """Nothing goes wrong any more: everything must end by itself, without another look at the switch."""
        self._is_over = True
        for task in self._troubles:
            task.cancel()
        await asyncio.gather(*self._troubles, return_exceptions=True)
        self.injector.faults = Faults()
        self.disk_state.seconds, self.disk_state.refuses = 0.002, ""
        self.clock.state = ClockState.SYNCHRONISED
        if not self.switch.is_up:
            self.switch.start()
        for agent in self.policy.agents:
            self.switch.plug(agent)
            self.switch.sign(agent, agent)
        if self.process is not None and self.process.is_dead is False:
            self.process._operations = None
        ends_at = self._loop.time() + LONGEST_END_SECONDS
        while not self._is_quiet():
            assert self._loop.time() < ends_at, (
                f"still open after {LONGEST_END_SECONDS:.0f} s: {self._open()}"
            )
            await self._until(asyncio.create_task(pass_time(10.0)), daemon)
            await self._keep_staff_ready()
        await self._until(asyncio.create_task(pass_time(120.0)), daemon)
        assert self._is_quiet(), f"open again: {self._open()}"
        assert self.process is not None
        self.process.runtime.stop("the night is over")
        await asyncio.wait({self.process.task})
        self.watch.closed(self.process.runtime.engine, self.ledger)

    async def _keep_staff_ready(self) -> None:
        """Who was set not ready for missing calls comes back."""
        for agent in self.policy.agents:
            if self.switch.signed[agent] != (agent, None):
                self.switch.sign(agent, agent)

    def _is_quiet(self) -> bool:
        process = self.process
        if process is None or process.is_dead or self.switch.callers or self.switch.persons:
            return False
        state = process.runtime.engine.state
        handed_out = not any(
            task.kind in self.policy.tasks.offered and task.assigned_to is None
            for task in state.tasks.values()
        )
        return state.sight and not state.calls and not state.offers and not state.task_offers and handed_out

    def _open(self) -> str:
        assert self.process is not None
        state = self.process.runtime.engine.state
        calls = [(call.call_id, str(call.state)) for call in state.calls.values()]
        return (
            f"calls {calls}, offers {list(state.offers)}, callers {list(self.switch.callers)}, "
            f"tasks {[(task.task_id, task.assigned_to) for task in state.tasks.values()]}, sight {state.sight}"
        )

    def _result(self) -> Result:
        digest, count = hashlib.sha256(), 0
        for entry in read_all(self.ledger):
            digest.update(msgspec.json.encode([type(entry.fact).__name__, entry]))
            count += 1
        return Result(
            seed=self.seed,
            calls=self.switch.arrivals,
            seconds=self._loop.time(),
            facts=count,
            digest=digest.hexdigest(),
            faults=self.injector.injected,
            outcomes=self.watch.outcomes,
        )


class NightFailedError(Exception):
    """A promise was broken, or the daemon could not survive something; the cause says what."""

    def __init__(self, seed: int, calls: int, recently: list[str]) -> None:
        super().__init__(f"again: make simulate SEED={seed} CALLS={calls}")
        self.seed, self.calls = seed, calls
        self.recently = recently
        """What was heard, decided and asked last."""


def simulate(seed: int, calls: int, directory: Path) -> Result:
    """One night in a ledger of its own. Raises `NightFailedError`."""
    loop = VirtualLoop()
    nights: list[Night] = []

    async def run() -> Result:
        nights.append(Night(seed, calls, f"sqlite:///{directory / 'ledger.sqlite'}"))
        return await nights[0].run()

    try:
        return loop.run_until_complete(run())
    except Exception as error:
        recently = list(nights[0].watch.recently) if nights else []
        raise NightFailedError(seed, calls, recently) from error
    finally:
        _end_all(loop)
        loop.close()


def _end_all(loop: VirtualLoop) -> None:
    """Whoever stopped the night in the middle hears no more of it."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
