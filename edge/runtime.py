"""The one loop: read an input, step the engine, hand the step to the recorder, wait for the next input or deadline."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic

import structlog

from edge.core.engine import Engine
from edge.core.inputs import CallPresented, Input, LedgerMended, Started, StoodStill, Stopping, Woken
from edge.core.model import NANOSECONDS, Instant, Policy
from edge.core.state import State, replay
from edge.heartbeat import SignOfLife
from edge.knowledge import Callers
from edge.ledger.codec import decode_state, encode_state
from edge.ledger.executor import CommitExecutor
from edge.ports import Clock, Ledger, LedgerError, Pbx, read_all
from edge.recorder import Recorder, nobody_learns
from edge.selfwatch import SelfWatch
from edge.telemetry import Counters, Readings
from edge.version import VERSION

CHECKPOINT_FACTS = 2_000
"""A restart reads at most about this many facts: well under a second."""
PULSE_SECONDS = 0.25
"""The adapter is told at least this often that the engine is alive; the dead-men depend on it."""
STOOD_STILL_SECONDS = 1.25
"""A pulse late by a second: from then on new callers are not taken, and go to the switch's own queue."""
CLOCK_SECONDS = 10.0
"""How often the quality of the clock is read."""
INBOX_MAXIMUM = 20_000
"""Inputs waiting for the engine. Beyond it we are hopelessly behind: end, and let the switch's own queue serve."""
FLUSH_SECONDS = 3.0
"""How long a stop waits for the ledger."""

log = structlog.get_logger(__name__)


class InboxFullError(Exception):
    """The engine cannot keep up with what is told to it."""


def recall(ledger: Ledger) -> State:
    """The open state as the ledger has it: the newest checkpoint and the facts after it."""
    state = State()
    checkpoint = ledger.load_checkpoint()
    if checkpoint is not None:
        try:
            state = decode_state(checkpoint[1], State)
        except LedgerError as error:
            log.warning("checkpoint not usable: all facts are read", error=str(error))
    return replay(read_all(ledger, after=state.sequence), state)


class Runtime:
    """Owns the engine. Everything reaches it through `post`, in order."""

    def __init__(
        self,
        policy: Policy,
        pbx: Pbx,
        ledger: Ledger,
        executor: CommitExecutor,
        clock: Clock,
        callers: Callers | None = None,
        watch: SelfWatch | None = None,
        checkpoint_facts: int = CHECKPOINT_FACTS,
        counters: Counters | None = None,
        before: SignOfLife | None = None,
        recalled: State | None = None,
        mended: str = "",
    ) -> None:
        """`callers`: who knows of callers' numbers; None: nobody. `watch`: who looks whether the loop goes round.
        `checkpoint_facts`: between two checkpoints. `counters`: where what happens is counted. `before`: the last sign of
        life of the daemon before this one. `recalled`: what `recall` made of this ledger, where that is known. `mended`: what was
        done about a damaged file of it, in words."""
        self._before = before
        self._turned_at: Instant | None = None
        self._watch = watch
        self.counters = counters or Counters()
        self._clock = clock
        self._pbx = pbx
        self._policy = policy
        self.engine = Engine(policy, recall(ledger) if recalled is None else recalled)
        self._mended = mended
        self._callers = callers
        learn = callers.learn if callers is not None else nobody_learns
        self._recorder = Recorder(executor, pbx.perform, self.post, learn, self.counters)
        self._inbox: deque[Input] = deque()
        self._arrived = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: str | None = None
        self._checkpoint_facts = checkpoint_facts
        self._checkpointed = self.engine.state.sequence

    @property
    def is_recording(self) -> bool:
        """Whether the ledger takes what is decided."""
        return self._recorder.trouble is None

    def post(self, given: Input) -> None:
        """Give the engine an input. Raises `InboxFullError` at the bound."""
        if len(self._inbox) >= INBOX_MAXIMUM:
            raise InboxFullError(f"{INBOX_MAXIMUM} inputs wait: ending, the switch's own queue takes over")
        self._inbox.append(given)
        self._arrived.set()

    def post_from_thread(self, given: Input) -> None:
        """The same, from a thread that is not the loop's."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.post, given)

    def readings(self) -> Readings:
        """For the thread of `edge.telemetry`: lengths and flags, each read at once."""
        state = self.engine.state
        return Readings(
            inbox=len(self._inbox),
            backlog=self._recorder.backlog,
            ledger_trouble=self._recorder.trouble is not None,
            switch_seen=state.sight,
            sequence=state.sequence,
            calls=len(state.calls),
            offers=len(state.offers),
            tasks=len(state.tasks),
        )

    def stop(self, why: str) -> None:
        """End after the inputs already here. Callers stay in the switch, with their places in the ledger."""
        self._stopping = why
        self._arrived.set()

    async def run(self) -> None:
        """Serve until stopped. Whatever fails in any of its tasks ends all of them and is raised."""
        self._loop = asyncio.get_running_loop()
        self.post(self._started())
        if self._mended:
            self.post(LedgerMended(detail=self._mended))
        self.post(self._clock.quality())
        helpers = [
            asyncio.create_task(self._pbx.run(self.post), name="pbx"),
            asyncio.create_task(self._recorder.run(), name="recorder"),
            asyncio.create_task(self._watch_clock(), name="clock"),
        ]
        if self._callers is not None:
            helpers.append(asyncio.create_task(self._callers.run(), name="callers"))
        loop = asyncio.create_task(self._serve(), name="engine")
        try:
            done, _ = await asyncio.wait({loop, *helpers}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (loop, *helpers):
                task.cancel()
            await asyncio.gather(loop, *helpers, return_exceptions=True)

    def _started(self) -> Started:
        before = self._before
        return Started(
            version=VERSION,
            policy_digest=self._policy.digest,
            boot_id=self._clock.boot_id(),
            alive_at=None if before is None else before.at,
            alive_boot_id="" if before is None else before.boot_id,
            hung=before is not None and before.hung,
        )

    def _look_at_the_time(self) -> None:
        """A loop that stood still for longer than it may sleep missed, or hears late, what happened."""
        now, before = self._clock.now(), self._turned_at
        self._turned_at = now
        if before is not None and now.since(before) > STOOD_STILL_SECONDS:
            self.post(StoodStill(since=before))

    async def _serve(self) -> None:
        while True:
            self._look_at_the_time()
            self._pbx.pulse()
            self.counters.turn()
            if self._watch is not None:
                self._watch.beat()
            self._turn()
            if self._stopping is not None:
                break
            await self._sleep()
        if self._watch is not None:
            self._watch.stopping()
        self._step(Stopping(why=self._stopping))
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._recorder.flush()
        except TimeoutError:
            log.error("the ledger did not take the last facts in time", trouble=self._recorder.trouble)

    def _turn(self) -> None:
        """Everything that has arrived, then whatever has come due."""
        while self._inbox:
            self._step(self._inbox.popleft())
        deadline = self.engine.next_deadline()
        if deadline is not None and deadline.monotonic_ns <= self._clock.now().monotonic_ns:
            self._step(Woken())

    def _step(self, given: Input) -> None:
        now = self._clock.now()
        if isinstance(given, LedgerMended):
            self._checkpointed = -self._checkpoint_facts  # what was lost may stand in nothing but the state
        if self._callers is not None and isinstance(given, CallPresented):
            given = self._callers.recognise(given, now)
        began = monotonic()
        step = self.engine.step(given, now)
        self.counters.stepped(given, (entry.fact for entry in step.entries), monotonic() - began)
        if self._watch is not None:
            self._watch.told(given)
        self._recorder.take(step, self._checkpoint_if_due())
        if not step.entries and step.reason:
            log.debug(step.reason)

    def _checkpoint_if_due(self) -> tuple[int, bytes] | None:
        state = self.engine.state
        if state.sequence - self._checkpointed < self._checkpoint_facts:
            return None
        self._checkpointed = state.sequence
        return state.sequence, encode_state(state)

    async def _sleep(self) -> None:
        """Until something arrives, a deadline comes or it is time to show a pulse."""
        seconds = PULSE_SECONDS
        deadline = self.engine.next_deadline()
        if deadline is not None:
            until = (deadline.monotonic_ns - self._clock.now().monotonic_ns) / NANOSECONDS
            seconds = max(0.0, min(seconds, until))
        handle = asyncio.get_running_loop().call_later(seconds, self._arrived.set)
        await self._arrived.wait()
        handle.cancel()
        self._arrived.clear()

    async def _watch_clock(self) -> None:
        while True:
            await asyncio.sleep(CLOCK_SECONDS)
            self.post(self._clock.quality())
