"""Runs a shift in a running lab, shows it, and judges it by the ledger, by SIP and by the switch."""

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from edge.cli.picture import Picture, render
from edge.cli.places import Site
from edge.config import Configuration
from edge.core.model import AgentState
from edge.ledger.store import SqlReader, open_reader
from edge.views.calls import CallRecord
from edge.views.shift import Summary, summarise
from edge.views.words import TASKS
from hwtest.lab import stack
from hwtest.lab.contract import Lab
from hwtest.lab.packages import LabError
from hwtest.shift.people import Handler, Public
from hwtest.shift.plan import CLOSING_SECONDS, arrivals_end_seconds, callers
from hwtest.useragent import SipError

READY_SECONDS = 15.0
SETTLE_SECONDS = 10.0
"""How long the ledger and the switch may take to tell of the last end."""
_LOOK_SECONDS = 0.5
_LINE_SECONDS = 5.0
"""Without a terminal: a line of progress this often."""


@dataclass(frozen=True)
class Result:
    """How a shift went. `faults`: what must not be, in words; none means that every call ended as it must."""

    total: Summary
    queues: dict[str, Summary]
    placed: int
    hung_up_at_the_end: int
    tasks: dict[str, int]
    """Open tasks by kind, in words."""
    kept_at_the_end: int
    """Call-backs that waited when the shift was over, and were kept or became tasks before it closed."""
    faults: tuple[str, ...]


class Shift:
    """One shift. `invitation` tells, in one line, how to take part in it."""

    def __init__(
        self,
        lab: Lab,
        configuration: Configuration,
        reader: SqlReader,
        agents: int,
        seed: int,
        invitation: str,
    ) -> None:
        self._lab = lab
        self._configuration = configuration
        self._seed = seed
        self._invitation = invitation
        targets = {name: queue.target_seconds for name, queue in configuration.queues.items()}
        names = {number: agent.name for number, agent in configuration.agents.items()}
        # Not the calls of the day: a shift may last over midnight, and another may have been before it.
        self._picture = Picture(reader, Site(lab.ledger, targets, names), since_utc_us=time.time_ns() // 1000)
        self._public = Public(lab, reader, seed)
        self._handlers = [Handler(lab, agent, self._public, seed) for agent in lab.agents[:agents]]
        self._ending = asyncio.Event()
        self._closing = asyncio.Event()
        """Whether no promise is waited for any more."""
        self._began = time.monotonic()
        self._closes: float | None = None
        """When the shift closes at the latest, once it is over; None before."""
        self._kept_at_the_end = 0

    async def run(self, console: Console, for_seconds: float | None) -> Result:
        """From signing in to the verdict. Raises LabError when it cannot begin."""
        with _stopping_on_signals(self._ending, self._closing):
            try:
                await self._begin()
                self._began = time.monotonic()
                await self._work(console, for_seconds)
                return await self._judge()
            finally:
                await asyncio.gather(
                    *(handler.finish() for handler in self._handlers), return_exceptions=True
                )
                await self._public.leave()

    async def _begin(self) -> None:
        try:
            await asyncio.gather(*(handler.begin() for handler in self._handlers))
        except (SipError, TimeoutError) as error:
            raise LabError(
                f"An agent's phone could not sign in: {error or 'the code was not answered in time'}."
            ) from error
        if not await self._becomes(lambda: self._ready() >= len(self._handlers), READY_SECONDS):
            raise LabError(
                f"Only {self._ready()} of {len(self._handlers)} agents became ready. Look at {self._lab.directory}/log/edge.log."
            )

    def _ready(self) -> int:
        return sum(view.state is AgentState.READY for view in self._picture.agents)

    async def _work(self, console: Console, for_seconds: float | None) -> None:
        """Callers call and are watched until the time is over or a person ends it. Then everybody hangs up, and those who were
        promised a call-back are called back."""
        arriving = asyncio.create_task(self._receive_callers(for_seconds))
        working = [
            asyncio.create_task(self._show(console)),
            asyncio.create_task(self._public.be_called_back()),
        ]
        tasks = [arriving, *working, asyncio.create_task(self._ending.wait())]
        try:
            await asyncio.wait(tasks, timeout=for_seconds, return_when=asyncio.FIRST_COMPLETED)
            self._ending.set()
            await _cancelled(arriving)
            await self._public.hang_up_all()
            if not any(task.done() for task in working):
                await self._keep_promises(console)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        _raise_first(results)

    async def _keep_promises(self, console: Console) -> None:
        """Agents go on until nobody waits to be called back, for a bounded time; what is left then is a fault."""
        self._picture.refresh()
        promised = len(self._picture.callbacks)
        if not promised:
            return
        self._closes = time.monotonic() + CLOSING_SECONDS
        if not console.is_terminal:
            console.print(self._heading(), highlight=False, soft_wrap=True)
        await self._becomes(
            lambda: self._closing.is_set() or not (self._picture.callbacks or self._public.on_the_phone),
            CLOSING_SECONDS,
        )
        self._kept_at_the_end = promised - len(self._picture.callbacks)

    async def _receive_callers(self, for_seconds: float | None) -> None:
        """Lets callers call when the plan says so, until the shift takes no more. Ends only by an error."""
        queue = next(iter(self._configuration.queues.values()))
        until = float("inf") if for_seconds is None else arrivals_end_seconds(for_seconds)
        async with asyncio.TaskGroup() as calls:
            for caller in callers(self._seed, len(self._handlers), queue.wrap_up_seconds):
                if caller.at_seconds > until:
                    break
                await asyncio.sleep(max(0.0, self._began + caller.at_seconds - time.monotonic()))
                calls.create_task(self._public.call(caller))
        await asyncio.Event().wait()  # the shift goes on with those who are here

    # Showing

    async def _show(self, console: Console) -> None:
        if console.is_terminal:
            with Live(
                self._screen(), console=console, auto_refresh=False, screen=False, transient=True
            ) as live:
                while True:
                    await asyncio.sleep(_LOOK_SECONDS)
                    self._picture.refresh()
                    live.update(self._screen(), refresh=True)
        while True:
            await asyncio.sleep(_LINE_SECONDS)
            self._picture.refresh()
            console.print(self._line(), highlight=False, soft_wrap=True)

    def _screen(self) -> RenderableType:
        # What is said to the person stands on top: a low terminal cuts off the end.
        return Group(
            Text(self._heading(), "bold"), Text(self._invitation), "", render(self._picture, live=True)
        )

    def _heading(self) -> str:
        if self._closes is None:
            return f"Shift {self._clock()}: {len(self._public.placed)} callers so far. Ctrl-C ends it."
        seconds, waiting = max(0.0, self._closes - time.monotonic()), len(self._picture.callbacks)
        return (
            f"Shift {self._clock()}: it is over, but who was promised a call-back is called back before it closes: "
            + (f"{waiting} to go" if waiting else "the last of them talk")
            + f", {seconds:.0f} s at most. Ctrl-C closes it now."
        )

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"{minutes:02}:{seconds:02}"

    def _line(self) -> str:
        queues = ", ".join(
            f"{queue.queue}: {queue.waiting + queue.fallback} waiting, {queue.talking} talking, "
            f"{queue.today.answered} answered, {queue.today.abandoned} abandoned"
            for queue in self._picture.queues
        )
        today = [queue.today for queue in self._picture.queues]
        called_back = (
            f"{sum(each.promised for each in today)} promised, {sum(each.kept for each in today)} kept, "
            f"{sum(each.callbacks_waiting for each in today)} waiting"
        )
        tasks = f"{len(self._picture.state.tasks)} tasks"
        return f"{self._clock()}  {queues}; call-backs: {called_back}; {tasks}; {self._ready()} agents ready"

    # Judging

    async def _judge(self) -> Result:
        """Waits until everything has settled, and compares what SIP, the ledger and the switch say."""
        await self._becomes(lambda: not self._faults(), SETTLE_SECONDS)
        records = self._picture.today
        targets = {name: queue.target_seconds for name, queue in self._configuration.queues.items()}
        return Result(
            total=summarise(records, next(iter(targets.values()))),
            queues={
                name: summarise([record for record in records if record.counted_queue == name], target)
                for name, target in targets.items()
            },
            placed=len(self._public.placed),
            hung_up_at_the_end=self._public.hung_up_at_the_end,
            tasks=Counter(TASKS[task.kind] for task in self._picture.state.tasks.values()),
            kept_at_the_end=self._kept_at_the_end,
            faults=tuple(self._faults()),
        )

    def _faults(self) -> list[str]:
        channels = stack.status(Path(self._lab.directory)).channels
        return faults(self._public.placed, self._public.unended, self._picture.today, channels)

    async def _becomes(self, condition: Callable[[], bool], within_seconds: float) -> bool:
        deadline = time.monotonic() + within_seconds
        self._picture.refresh()
        while not condition():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
            self._picture.refresh()
        return True


def faults(
    placed: Sequence[str], unended: Sequence[str], records: Iterable[CallRecord], channels: int | None
) -> list[str]:
    """What must not be after a shift, in words. `placed` and `unended` are callers' numbers, `channels` the switch's count."""
    records = list(records)
    recorded = Counter(record.caller_number or "" for record in records)
    missing = sum((Counter(placed) - recorded).values())
    unkept = [record.call_id for record in records if record.outcome is None and record.callback is not None]
    still_open = [record.call_id for record in records if record.outcome is None and record.callback is None]
    found = []
    if missing:
        found.append(f"{missing} of {len(placed)} calls are not in the ledger")
    if unended:
        found.append(f"SIP did not see the end of {len(unended)} calls")
    if still_open:
        found.append(f"{len(still_open)} calls have no end in the ledger: {', '.join(islice(still_open, 5))}")
    if unkept:
        found.append(
            f"{len(unkept)} promised call-backs were not kept in time: {', '.join(islice(unkept, 5))}"
        )
    if channels != 0:
        found.append(
            "the switch does not answer"
            if channels is None
            else f"{channels} channels are left in the switch"
        )
    return found


@contextlib.contextmanager
def _stopping_on_signals(ending: asyncio.Event, closing: asyncio.Event) -> Iterator[None]:
    """The first Ctrl-C ends the shift in good order, one while it keeps its promises closes it, the next ends it at once."""
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        if not ending.is_set():
            ending.set()
            return
        closing.set()
        loop.remove_signal_handler(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _raise_first(results: Iterable[object]) -> None:
    for result in results:
        if isinstance(result, Exception):
            raise result


def run_shift(
    lab: Lab,
    configuration: Configuration,
    *,
    agents: int,
    seed: int,
    for_seconds: float | None,
    console: Console,
    invitation: str = "",
) -> Result:
    """Runs a shift with this many of the lab's agents. Raises LabError when it cannot begin."""

    async def shift(reader: SqlReader) -> Result:
        return await Shift(lab, configuration, reader, agents, seed, invitation).run(console, for_seconds)

    reader = open_reader(lab.ledger)
    try:
        return asyncio.run(shift(reader))
    finally:
        reader.close()
