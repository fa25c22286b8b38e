"""The one loop against a scripted switch and a real ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from edge import runtime
from edge.clock import SystemClock, boot_id, clock_quality
from edge.core import effects, facts, inputs
from edge.core.model import (
    Agent,
    Answer,
    Blindness,
    Instant,
    Line,
    Phone,
    PhoneState,
    Policy,
    PriorityClass,
    Queue,
    Refusal,
    Side,
    Tier,
)
from edge.core.state import rebase, replay
from edge.errors import PermanentError
from edge.ledger import open_ledger
from edge.ledger.executor import ThreadCommitExecutor
from edge.ports import Ledger, read_all
from edge.runtime import CHECKPOINT_FACTS, InboxFullError, Runtime, recall

POLICY = Policy(
    lines={
        "101": Line(
            name="101",
            number="101",
            queue="101",
            tier=Tier.ROUTINE,
            priority_class="standard",
            answer=Answer.ON_ARRIVAL,
        )
    },
    queues={"101": Queue(name="101", skills=("101",), wrap_up_seconds=0.05)},
    classes={"standard": PriorityClass(name="standard")},
    agents={"4001": Agent(number="4001", name="One", skills={"101": 1}, phone="agent1")},
    phones={"agent1": Phone(name="agent1")},
    digest="test",
)
SNAPSHOT = inputs.Reconciled(
    agents=(inputs.AgentSeen(agent="4001", phone="agent1"),),
    phones=(inputs.PhoneSeen(phone="agent1", state=PhoneState.IDLE),),
)


class ScriptedSwitch:
    """A switch whose phones answer at once; every effect is kept, with what was durable when it was performed."""

    def __init__(self, ledger: Ledger, snapshot: inputs.Reconciled = SNAPSHOT) -> None:
        self.ledger = ledger
        self.snapshot = snapshot
        self.effects: list[effects.Effect] = []
        self.pulses = 0
        self.failure: Exception | None = None
        self._wake = asyncio.Event()

    async def run(self, post: Callable[[inputs.Input], None]) -> None:
        self.post = post
        if self.failure is not None:
            raise self.failure
        post(self.snapshot)
        await asyncio.Event().wait()

    def perform(self, effect: effects.Effect, cause: int) -> None:
        assert self.ledger.last_sequence() >= cause
        if isinstance(effect, effects.ReadTrace):
            return  # of every gap; nobody waits for the answer
        self.effects.append(effect)
        match effect:
            case effects.MakeOffer():
                self.post(inputs.PhoneRang(offer_id=effect.offer_id))
                self.post(inputs.PhoneAnswered(offer_id=effect.offer_id))
            case effects.ConnectPair():
                self.post(inputs.PairJoined(call_id=effect.call_id, offer_id=effect.offer_id))
                self.post(
                    inputs.PhoneGone(
                        offer_id=effect.offer_id, refusal=Refusal.CLEARED, side=Side.AGENT, cause="16"
                    )
                )
                self.post(inputs.CallerGone(call_id=effect.call_id, side=Side.AGENT, cause="16"))
            case _:
                pass
        self._wake.set()

    def pulse(self) -> None:
        self.pulses += 1
        self._wake.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._wake.clear()
                await self._wake.wait()


def presented(call_id: str) -> inputs.CallPresented:
    """A call on the 101 line."""
    return inputs.CallPresented(
        call_id=call_id,
        leg_id=f"leg-{call_id}",
        line="101",
        caller_number="07700900123",
        caller_name=None,
        number_withheld=False,
    )


def compose(ledger: Ledger, switch: ScriptedSwitch, checkpoint_facts: int = CHECKPOINT_FACTS) -> Runtime:
    """The daemon around a scripted switch."""
    return Runtime(
        POLICY, switch, ledger, ThreadCommitExecutor(ledger), SystemClock(), checkpoint_facts=checkpoint_facts
    )


def kinds(ledger: Ledger) -> list[str]:
    """Names of all facts in the ledger."""
    return [type(entry.fact).__name__ for entry in read_all(ledger)]


async def test_a_call_is_served_and_recorded(tmp_path: Path) -> None:
    """From arrival to wrap-up, woken by its own deadline, with every effect behind its durable fact."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    switch = ScriptedSwitch(ledger)
    runtime = compose(ledger, switch)
    running = asyncio.create_task(runtime.run())
    await switch.until(lambda: runtime.engine.state.sight)
    runtime.post(presented("c1"))
    await switch.until(lambda: "WrapUpEnded" in kinds(ledger))
    runtime.stop("test")
    await running

    story = [kind for kind in kinds(ledger) if kind not in ("ClockChanged", "DaemonStarted", "PhoneChanged")]
    assert story == [
        "GapEnded",
        "SwitchRestored",
        "AgentSignedIn",
        "CallArrived",
        "CallAnswered",
        "CallQueued",
        "OfferMade",
        "OfferRang",
        "OfferAnswered",
        "CallConnected",
        "OfferEnded",
        "WrapUpStarted",
        "CallEnded",
        "WrapUpEnded",
        "DaemonStopped",
    ]
    assert replay(read_all(ledger)) == runtime.engine.state


class Leaping(SystemClock):
    """A clock that can be made to have stood still."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0

    def now(self) -> Instant:
        return super().now().plus(self.ahead_seconds)


async def test_a_loop_that_stood_still_is_a_gap(tmp_path: Path) -> None:
    """Between two turns it was away for longer than it ever sleeps: told once, with the time since the turn before."""
    ledger, clock = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite"), Leaping()
    switch = ScriptedSwitch(ledger)
    runtime = Runtime(POLICY, switch, ledger, ThreadCommitExecutor(ledger), clock)
    running = asyncio.create_task(runtime.run())
    await switch.until(lambda: runtime.engine.state.sight)
    clock.ahead_seconds = 7.0
    await switch.until(lambda: runtime.engine.state.gaps >= 2)
    pulses = switch.pulses
    await switch.until(lambda: switch.pulses > pulses + 2)
    runtime.stop("test")
    await running
    gaps = [entry.fact for entry in read_all(ledger) if isinstance(entry.fact, facts.GapEnded)]
    assert gaps[0].why is Blindness.FIRST_START
    assert {gap.why for gap in gaps[1:]} == {Blindness.DAEMON_HUNG}
    assert [gap.seconds >= 7.0 for gap in gaps].count(True) == 1


async def test_a_restart_remembers_who_waits(tmp_path: Path) -> None:
    """A second daemon on the same ledger keeps the place of a caller whom the switch still holds."""
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    ledger = open_ledger(url)
    switch = ScriptedSwitch(ledger, inputs.Reconciled())
    runtime = compose(ledger, switch)
    running = asyncio.create_task(runtime.run())
    await switch.until(lambda: runtime.engine.state.sight)
    runtime.post(presented("c1"))
    await switch.until(lambda: bool(switch.effects))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    joined = runtime.engine.state.calls["c1"].queued_at
    ledger.close()

    ledger = open_ledger(url)
    held = inputs.SeenCall(call_id="c1", leg_id="leg-c1", line="101", standing=inputs.Standing.HELD)
    switch = ScriptedSwitch(ledger, inputs.Reconciled(calls=(held,)))
    runtime = compose(ledger, switch)
    running = asyncio.create_task(runtime.run())
    await switch.until(lambda: bool(switch.effects))
    runtime.stop("test")
    await running

    assert switch.effects == [effects.TakeCharge(call_id="c1", line="101", greeting=None)]
    assert runtime.engine.state.calls["c1"].queued_at == joined


async def test_what_cannot_be_mended_ends_the_daemon(tmp_path: Path) -> None:
    """A permanent error of the switch adapter is raised from `run`, not retried."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    switch = ScriptedSwitch(ledger)
    switch.failure = PermanentError("wrong password")
    with pytest.raises(PermanentError, match="wrong password"):
        await compose(ledger, switch).run()


async def test_an_engine_that_is_hopelessly_behind_ends_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the bound of its inbox the daemon says so and ends, instead of serving ever later."""
    monkeypatch.setattr(runtime, "INBOX_MAXIMUM", 2)
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    made = compose(ledger, ScriptedSwitch(ledger))
    made.post(presented("c1"))
    made.post(presented("c2"))
    with pytest.raises(InboxFullError, match="switch's own queue takes over"):
        made.post(presented("c3"))


async def test_the_pulse_goes_on_while_nothing_happens(tmp_path: Path) -> None:
    """An idle engine shows that it is alive."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    switch = ScriptedSwitch(ledger)
    runtime = compose(ledger, switch)
    running = asyncio.create_task(runtime.run())
    await switch.until(lambda: switch.pulses > 5)
    runtime.stop("test")
    await running


async def test_a_checkpoint_and_the_facts_after_it_are_the_state(tmp_path: Path) -> None:
    """Recalling from the newest checkpoint equals folding everything."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    switch = ScriptedSwitch(ledger)
    runtime = compose(ledger, switch, checkpoint_facts=10)
    running = asyncio.create_task(runtime.run())
    await switch.until(lambda: runtime.engine.state.sight)
    for number in range(5):
        runtime.post(presented(f"c{number}"))
    await switch.until(lambda: kinds(ledger).count("CallEnded") == 5)
    runtime.stop("test")
    await running

    assert ledger.load_checkpoint() is not None
    assert recall(ledger) == replay(read_all(ledger)) == runtime.engine.state


def test_another_boot_keeps_durations() -> None:
    """After a reboot the monotonic readings of the past are carried over by way of UTC."""
    old = Instant(monotonic_ns=900 * 10**9, utc_us=5_000 * 10**6)
    now = Instant(monotonic_ns=10 * 10**9, utc_us=5_060 * 10**6)

    assert now.since(rebase(old, now)) == 60.0


def test_the_kernel_tells_the_state_of_the_clock() -> None:
    """adjtimex answers here, and the boot has an identity."""
    assert clock_quality().state in ("synchronised", "unsynchronised", "unknown")
    assert len(boot_id()) == 36
