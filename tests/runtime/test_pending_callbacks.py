"""Five hundred promised call-backs: a restart is quick and whole, and a trunk that refuses everything makes no storm of facts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edge.clock import SystemClock
from edge.core import effects, facts, inputs
from edge.core.model import CallState, Instant, Refusal, Side
from edge.core.promise import AttemptOutcome
from edge.core.state import replay
from edge.ledger import open_ledger
from edge.ledger.executor import ThreadCommitExecutor
from edge.ports import Ledger, read_all
from edge.runtime import CHECKPOINT_FACTS, Runtime, recall
from tests.core.callbacks import CALLBACKS, PLAN, SmallPlan, callback_room
from tests.core.room import Room, arrival, play
from tests.runtime.test_runtime import POLICY, SNAPSHOT, ScriptedSwitch, presented

PENDING = 500
RESTART_SECONDS = 2.0
"""Of work from the start to the first agent's phone: generous for a busy machine; it takes a few tenths."""
WAITED_SECONDS = 5 * RESTART_SECONDS
"""The same by the clock, which other tests beside it take most of: nothing may be waited for, either."""
AT_ONCE = 25
"""So many callers come at once."""
SERVED = 25
"""So many are then called back, one after the other."""
PROMISING_POLICY = replace(
    POLICY,
    queues={
        "101": replace(
            POLICY.queues["101"], wrap_up_seconds=0.0, callback=replace(PLAN, list_maximum=PENDING)
        )
    },
    callbacks=replace(CALLBACKS, clock_synchronised=False),
    destinations=SmallPlan(),
)
SLOW_DISK_SECONDS = 10.0
"""What a commit may take here: these tests are about the promises, others about a disk that lags."""
NAMES = [f"c{number:03}" for number in range(1, PENDING + 1)]


@pytest.fixture(autouse=True)
def a_slow_disk_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that is busy with other tests."""
    monkeypatch.setattr("edge.recorder.COMMIT_SECONDS", SLOW_DISK_SECONDS)


class Switch(ScriptedSwitch):
    """The caller t1 talks on, persons answer at once and hang up when joined, who was promised a call-back hangs up too."""

    def perform(self, effect: effects.Effect, cause: int) -> None:
        match effect:
            case effects.ConnectPair(call_id="t1"):
                self.post(inputs.PairJoined(call_id=effect.call_id, offer_id=effect.offer_id))
            case effects.Announce(prompt="callback-promised"):
                self.post(inputs.CallerGone(call_id=effect.call_id, side=Side.CALLER, cause="16"))
            case effects.DialPerson():
                call_id, attempt = effect.call_id, effect.attempt
                self.post(inputs.PersonRang(call_id=call_id, attempt=attempt))
                self.post(inputs.PersonAnswered(call_id=call_id, attempt=attempt, leg_id=f"{call_id}-back"))
            case _:
                super().perform(effect, cause)
                return
        assert self.ledger.last_sequence() >= cause
        self.effects.append(effect)
        self._wake.set()

    def of(self, kind: type[effects.MakeOffer | effects.ConnectPair | effects.DialPerson]) -> list[str]:
        """The calls for which this was asked, in order."""
        return [effect.call_id for effect in self.effects if isinstance(effect, kind)]


@asynccontextmanager
async def daemon(
    ledger: Ledger, switch: Switch, checkpoint_facts: int = CHECKPOINT_FACTS
) -> AsyncIterator[Runtime]:
    """The daemon at work; it is killed at the end, not stopped."""
    executor = ThreadCommitExecutor(ledger)
    runtime = Runtime(
        PROMISING_POLICY, switch, ledger, executor, SystemClock(), checkpoint_facts=checkpoint_facts
    )
    running = asyncio.create_task(runtime.run())
    try:
        yield runtime
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        executor.close()


def waiting(runtime: Runtime) -> dict[str, tuple[int | None, Instant]]:
    """Position and time of joining by call-back."""
    calls = runtime.engine.state.calls.values()
    return {
        call.call_id: (runtime.engine.position(call.call_id), call.queued_at)
        for call in calls
        if call.state is CallState.CALLBACK
    }


async def promise(
    ledger: Ledger, checkpoint_facts: int = CHECKPOINT_FACTS
) -> dict[str, tuple[int | None, Instant]]:
    """Five hundred callers accept a call-back behind one talk, and hang up; what was promised, and when they joined."""
    switch = Switch(ledger)
    async with daemon(ledger, switch, checkpoint_facts) as runtime:
        await switch.until(lambda: runtime.engine.state.sight)
        runtime.post(presented("t1"))
        await switch.until(lambda: "t1" in switch.of(effects.ConnectPair))
        for number, name in enumerate(NAMES, 1):
            runtime.post(replace(presented(name), caller_number=f"07700{number:06}"))
            for _ in range(3):  # the offer, the number, that it is safe
                runtime.post(inputs.KeyPressed(call_id=name, key="1"))
            if number % AT_ONCE == 0:
                await switch.until(lambda so_far=number: len(waiting(runtime)) == so_far)  # type: ignore[misc]
        await switch.until(lambda: ledger.last_sequence() == runtime.engine.state.sequence)
        return waiting(runtime)


@pytest.mark.parametrize(
    "checkpoint_facts", [CHECKPOINT_FACTS, 10**9], ids=["from a checkpoint", "from every fact"]
)
async def test_a_restart_is_quick_and_whole(tmp_path: Path, checkpoint_facts: int) -> None:
    """All promised, in their order, at their places; the first is rung at once, and the others in turn."""
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    ledger = open_ledger(url)
    before = await promise(ledger, checkpoint_facts)
    assert [before[name][0] for name in NAMES] == list(range(1, PENDING + 1))
    assert (ledger.load_checkpoint() is None) is (checkpoint_facts > PENDING * 100)
    ledger.close()

    began = time.perf_counter()
    ledger = open_ledger(url)
    restored = recall(ledger)  # looked at on its own: the daemon serves as soon as it sees the switch
    recalled_seconds = time.perf_counter() - began
    kept = [call for call in restored.calls.values() if call.state is CallState.CALLBACK]
    assert {call.call_id: call.queued_at for call in kept} == {name: at for name, (_, at) in before.items()}

    began, worked = time.perf_counter(), time.process_time()
    switch = Switch(ledger)
    async with daemon(ledger, switch) as runtime:
        await switch.until(lambda: bool(switch.of(effects.MakeOffer)))
        seconds, worked_seconds = time.perf_counter() - began, time.process_time() - worked
        found = {call_id: place for call_id, (place, _) in waiting(runtime).items()}
        in_order = sorted(found, key=lambda call_id: found[call_id] or 0)
        assert in_order == NAMES[PENDING - len(found) :]
        await switch.until(lambda: len(switch.of(effects.ConnectPair)) >= SERVED)
        state = runtime.engine.state
    told = f"recalled in {recalled_seconds:.3f} s, from the start to the first agent's phone {seconds:.3f} s"
    print(f"{PENDING} call-backs, {restored.sequence} facts: {told}")  # noqa: T201
    assert worked_seconds < RESTART_SECONDS
    assert seconds < WAITED_SECONDS
    assert switch.of(effects.MakeOffer)[:SERVED] == NAMES[:SERVED]
    assert switch.of(effects.DialPerson)[:SERVED] == NAMES[:SERVED]
    assert all(effect.callback for effect in switch.effects if isinstance(effect, effects.MakeOffer))
    assert state.promises.out_of_turn == 0
    ledger.close()


async def test_a_restart_changes_nothing_while_nobody_is_free(tmp_path: Path) -> None:
    """No agent signed in: the same places, nobody dialled, and not a fact about any of the five hundred."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    before = await promise(ledger)
    switch = Switch(ledger, inputs.Reconciled(phones=SNAPSHOT.phones))
    since = ledger.last_sequence()
    async with daemon(ledger, switch) as runtime:
        await switch.until(lambda: runtime.engine.state.sight and switch.pulses > 3)
        assert waiting(runtime) == before
        state = runtime.engine.state
    about = [entry for entry in read_all(ledger, after=since) if getattr(entry.fact, "call_id", "") in before]
    assert (about, switch.of(effects.DialPerson)) == ([], [])
    assert replay(read_all(ledger)).calls == state.calls
    ledger.close()


# ---------------------------------------------------------------------- a trunk that refuses every call

RESTS = 6
"""Within the half hour after which each that waits is an alarm of its own."""
AGENTS = ("ann 101 999", "bob 101 999", "cat 101 999")


def room_of(pending: int, *agents: str) -> Room:
    """So many promised call-backs, and everybody talks."""
    room = callback_room(*agents, plan=replace(PLAN, list_maximum=pending))
    for index, agent in enumerate(room.policy.agents):
        play(
            room,
            f"""
            t{index} calls 101 -> serve t{index}, ring {agent} for t{index}
            {agent} answers -> connect t{index}.1
            t{index} joined
            """,
        )
    room.is_checked = False  # others do that; here it is about hundreds
    for number in range(1, pending + 1):
        name = f"c{number:03}"
        caller = replace(arrival(name), caller_number=f"07700{number:06}", number_withheld=False)
        room.tell(caller)
        for _ in range(3):
            room.tell(inputs.KeyPressed(call_id=name, key="1"))
        room.tell(inputs.CallerGone(call_id=name, side=Side.CALLER, cause="16"))
    assert {room.state_of(f"c{number:03}") for number in range(1, pending + 1)} == {"callback"}
    return room


def refuse_everything(room: Room) -> None:
    """Every agent who is rung answers, and every person who is dialled then is refused by the trunk; until nothing is asked."""
    done = 0
    while done < len(room.asked):
        asked, done = room.asked[done], done + 1
        if isinstance(asked, effects.MakeOffer) and asked.offer_id in room.engine.state.offers:
            room.tell(inputs.PhoneAnswered(offer_id=asked.offer_id))
        elif isinstance(asked, effects.DialPerson):
            room.tell(
                inputs.PersonGone(
                    call_id=asked.call_id, attempt=asked.attempt, outcome=AttemptOutcome.NETWORK, cause="503"
                )
            )
        elif isinstance(asked, effects.HangUpOffer):
            gone = inputs.PhoneGone(
                offer_id=asked.offer_id, refusal=Refusal.CLEARED, side=Side.SYSTEM, cause="16"
            )
            room.tell(gone)
    room.asked.clear()


def facts_by_rest(room: Room) -> list[int]:
    """The trunk refuses everything from now on: how many facts each of its rests brings, beginning with the first failure."""
    room.asked.clear()
    for index in range(len(room.policy.agents)):
        room.tell(inputs.CallerGone(call_id=f"t{index}", side=Side.CALLER, cause="16"))
    counts, before = [], len(room.entries)
    for _ in range(RESTS):
        refuse_everything(room)
        assert {room.state_of(agent) for agent in room.policy.agents} == {
            "ready"
        }  # free for callers meanwhile
        counts.append(len(room.entries) - before)
        before = len(room.entries)
        until = room.engine.state.trunk_rests_until
        assert until is not None
        room.wait(until.since(room.now) - 0.001)
        assert len(room.entries) == before  # at rest nothing happens
        places_kept(room)
        room.wait(0.001)
    return counts


def places_kept(room: Room) -> None:
    """Everybody waits where they joined."""
    waiting = [name for name in room.engine.state.calls if name.startswith("c")]
    assert [room.engine.position(name) for name in sorted(waiting)] == list(range(1, len(waiting) + 1))


@pytest.mark.parametrize("agents", [AGENTS[:1], AGENTS], ids=["one agent", "three agents"])
def test_a_trunk_that_refuses_everything_makes_no_storm(agents: tuple[str, ...]) -> None:
    """The facts of a rest are those of its attempts, at most one for each agent, whether five wait or five hundred; one alarm;
    and everybody is where they were."""
    few, many = room_of(5, *agents), room_of(PENDING, *agents)
    of_few, of_many = facts_by_rest(few), facts_by_rest(many)
    print(f"facts in each rest of the trunk, {PENDING} waiting: {of_many}")  # noqa: T201
    assert of_many == of_few
    assert max(of_many) <= 12 * len(agents)
    assert set(NAMES) <= many.engine.state.calls.keys()
    assert [fact.kind for fact in many.recorded(facts.AlarmRaised)] == ["trunk fails"]
    rests = many.recorded(facts.TrunkRested)
    assert [fact.seconds for fact in rests] == sorted(fact.seconds for fact in rests)
    assert len(rests) >= RESTS
