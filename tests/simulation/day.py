"""A day of a control room that is short of people: callers by the hour, agents in shifts, call-backs; deterministic from a seed.

The engine is the real one, on a simulated clock. The day knows what a switch knows: legs of callers, agents and persons. It
keeps count of what it saw, so that the engine's own counter can be held against it.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from edge.core import effects, facts, inputs
from edge.core.engine import Engine, Step
from edge.core.model import ClockState, Emergency, Instant, PhoneState, Policy, Refusal, Side, Tier
from edge.core.ordering import place_of
from edge.core.promise import AttemptOutcome, Callbacks, Plan, TaskOutcome, Tasks
from edge.core.state import replay
from tests.core.callbacks import SHOWN, SmallPlan
from tests.core.invariants import is_its_turn
from tests.core.room import NOON, arrival, policy_of

HOURLY = (2, 1, 1, 1, 1, 2, 3, 5, 7, 8, 8, 8, 8, 8, 8, 8, 8, 8, 7, 6, 5, 4, 3, 2)
"""How the callers of a day are spread over its hours: one part each."""
TALK_SECONDS, WRAP_UP_SECONDS = 300.0, 30.0
PATIENCE_SECONDS = 600.0
"""The mean of how long a caller waits before giving up."""
EMERGENCY_SHARE, ACCEPTS, UNREACHABLE, NOT_THERE = 0.08, 0.55, 0.02, 0.2
SHORTAGE = 0.85
"""Agents at work, as a share of those who could just talk with everybody."""
PLAN = Plan(
    offer_above_seconds=180.0, offer_below_seconds=120.0, attempts=3, spacing_seconds=300.0, ring_seconds=25.0
)


@dataclass(frozen=True)
class Waited:
    """One caller who was connected: seconds from joining, and what was first expected of it."""

    seconds: float
    called_back: bool
    emergency: bool
    outside_share: float | None
    """By what share of the wait it was outside of the range that was expected; None where nothing was."""


@dataclass
class Day:
    """A day with so many callers."""

    callers: int
    seed: int
    now: Instant = NOON
    due: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    """What was offered, accepted, promised, dialled, ... in numbers."""
    waits: list[Waited] = field(default_factory=list)
    waiting_most: int = 0
    dialled: set[tuple[str, int]] = field(default_factory=set)
    on_the_line: set[str] = field(default_factory=set)
    rung: dict[str, int] = field(default_factory=dict)
    """Call -> attempt whose person's phone is being rung."""
    talks: set[str] = field(default_factory=set)
    legs: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Offer -> call and phone of an agent's leg."""
    entries: list[facts.Entry] = field(default_factory=list)
    place_errors: int = 0
    overtaken_999: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.agents = self._agents_needed()
        self.policy = self._policy()
        self.engine = Engine(self.policy)
        self.count = 0

    def _agents_needed(self) -> int:
        busiest = self.callers * max(HOURLY) / sum(HOURLY)
        return max(3, round(SHORTAGE * busiest * (TALK_SECONDS + WRAP_UP_SECONDS) / 3600.0))

    def _policy(self) -> Policy:
        people = [f"a{number} 101" + (" 999" if number % 2 == 0 else "") for number in range(self.agents)]
        policy = policy_of(
            *people,
            emergency=Emergency(queue="999", break_wrap_up=True),
            callbacks=Callbacks(
                trunk="gateway",
                show_number=SHOWN,
                concurrent=max(3, self.agents // 4),
                per_hour=100_000,
                idle_agents=1,
            ),
            destinations=SmallPlan(),
            tasks=Tasks(abandoned_101_after_seconds=900.0),
        )
        queue = replace(policy.queues["101"], callback=PLAN, wrap_up_seconds=WRAP_UP_SECONDS)
        return replace(policy, queues=dict(policy.queues) | {"101": queue})

    # ------------------------------------------------------------------ the clock

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Something happens later."""
        self.count += 1
        heapq.heappush(self.due, (self.now.plus(seconds).monotonic_ns, self.count, what))

    def live(self) -> None:
        """From before the first caller until nobody is left."""
        self._tell(inputs.Started(version="1", policy_digest="", boot_id="boot-1"))
        self._tell(inputs.ClockSeen(state=ClockState.SYNCHRONISED))
        self._tell(
            inputs.Reconciled(
                phones=tuple(inputs.PhoneSeen(phone=p, state=PhoneState.IDLE) for p in self.policy.phones)
            )
        )
        for number, agent in enumerate(self.policy.agents):
            self._plan_shifts(number, agent)
        for number in range(self.callers):
            [hour] = self.dice.choices(range(24), weights=HOURLY)
            self.after(hour * 3600.0 + self.dice.uniform(0.0, 3600.0), self._caller(number))
        until = NOON.plus(36 * 3600.0)
        while (self.due or self.engine.state.calls) and self.now.monotonic_ns < until.monotonic_ns:
            self._go_on()

    def _go_on(self) -> None:
        deadline = self.engine.next_deadline()
        if self.due and (deadline is None or self.due[0][0] <= deadline.monotonic_ns):
            at_ns, _, what = heapq.heappop(self.due)
            self._move_to(at_ns)
            what()
        else:
            assert deadline is not None, "calls wait, and nothing will ever happen"
            self._move_to(deadline.monotonic_ns)
            self._tell(inputs.Woken())

    def _move_to(self, at_ns: int) -> None:
        passed_ns = at_ns - self.now.monotonic_ns
        self.now = Instant(at_ns, self.now.utc_us + passed_ns // 1000)

    def _plan_shifts(self, number: int, agent: str) -> None:
        """Three shifts overlap: a third of the room at night, all of it by day. A break in the middle."""
        begins, ends = [(0.0, 24.0), (6.5, 16.0), (9.0, 22.0)][number % 3]
        for hour, reason in (
            (begins, None),
            ((begins + ends) / 2, "break"),
            ((begins + ends) / 2 + 0.5, None),
        ):
            seen = inputs.AgentSeen(agent=agent, phone=agent, not_ready_reason=reason)
            self.after(hour * 3600.0, lambda seen=seen: self._tell(seen))  # type: ignore[misc]
        if ends < 24.0:
            gone = inputs.AgentSeen(agent=agent, phone=None)
            self.after(ends * 3600.0, lambda: self._tell(gone))

    # ------------------------------------------------------------------ the engine

    def _tell(self, given: inputs.Input) -> None:
        step = self.engine.step(given, self.now)
        self.entries += step.entries
        self._judge(step)
        for effect, _ in step.effects:
            self._perform(effect)

    def _judge(self, step: Step) -> None:
        """999 first, and the one order: looked at whenever somebody's turn has come."""
        state = self.engine.state
        self.waiting_most = max(self.waiting_most, len(state.calls) - len(self.talks))
        for entry in step.entries:
            match entry.fact:
                case facts.CallbackOffered():
                    self.seen["offered"] += 1
                case facts.CallbackAsked(again=False) as fact if fact.asked == "number":
                    self.seen["accepted"] += 1
                case facts.CallEnded(outcome=outcome):
                    self.seen[outcome.value] += 1
                case facts.OfferMade(call_id=call_id, agent=agent) if call_id in state.calls:
                    self._judge_turn(call_id, agent)

    def _judge_turn(self, call_id: str, agent: str) -> None:
        chosen, skills = self.engine.state.calls[call_id], self.policy.agents[agent].skills
        if chosen.tier == Tier.EMERGENCY:
            return
        place = place_of(chosen, self.policy)
        for other_id in self.engine._order:  # in order of service: those before it
            other = self.engine.state.calls[other_id]
            if place_of(other, self.policy) > place:
                break
            if other.tier == Tier.EMERGENCY:
                self.overtaken_999 += "999" in skills
            elif agent not in other.refused_by and (
                other.callback is None or is_its_turn(self.engine, other, self.now)
            ):
                self.place_errors += 1

    # ------------------------------------------------------------------ the switch

    def _perform(self, effect: effects.Effect) -> None:
        match effect:
            case effects.TellWhenDurable():
                durable = inputs.Durable(call_id=effect.call_id, token=effect.token)
                self.after(0.004, lambda: self._tell(durable))
            case effects.MakeOffer():
                self.legs[effect.offer_id] = (effect.call_id, effect.phone)
                self._show(effect.phone, PhoneState.RINGING)
                self.after(0.1, lambda: self._ring(effect.offer_id))
                late = self.dice.random() < 0.02
                self.after(
                    60.0 if late else self.dice.uniform(1.0, 6.0), lambda: self._answer(effect.offer_id)
                )
            case effects.WithdrawOffer() | effects.HangUpOffer():
                self.after(0.05, lambda: self._leg_ends(effect.offer_id))
            case effects.ConnectPair():
                self.after(0.03, lambda: self._join(effect.call_id, effect.offer_id))
            case effects.HangUpCaller():
                self.after(0.1, lambda: self._hang_up(effect.call_id, Side.SYSTEM))
            case effects.DialPerson():
                self._dial(effect)
            case effects.EndAttempt():
                if self.rung.get(effect.call_id) == effect.attempt:
                    del self.rung[effect.call_id]
            case effects.Announce():
                self._hears(effect)
            case _:
                pass

    def _show(self, phone: str, state: PhoneState) -> None:
        seen = inputs.PhoneSeen(phone=phone, state=state)
        self.after(0.01, lambda: self._tell(seen))

    def _ring(self, offer_id: str) -> None:
        if offer_id in self.legs:
            self._tell(inputs.PhoneRang(offer_id=offer_id))

    def _answer(self, offer_id: str) -> None:
        if offer_id in self.legs:
            self._tell(inputs.PhoneAnswered(offer_id=offer_id))

    def _leg_ends(self, offer_id: str) -> None:
        known = self.legs.pop(offer_id, None)
        if known is not None:
            gone = inputs.PhoneGone(offer_id=offer_id, refusal=Refusal.CLEARED, side=Side.SYSTEM, cause="16")
            self._tell(gone)
            self._show(known[1], PhoneState.IDLE)

    def _join(self, call_id: str, offer_id: str) -> None:
        if call_id not in self.on_the_line:
            return
        if offer_id not in self.legs:  # the agent's leg has gone meanwhile: the caller is back in our hands
            self._tell(inputs.PairReturned(call_id=call_id, offer_id=offer_id))
            return
        call = self.engine.state.calls[call_id]
        self._note_wait(call_id)
        self.talks.add(call_id)
        self._tell(inputs.PairJoined(call_id=call_id, offer_id=offer_id))
        is_machine = call.callback is not None and self.dice.random() < 0.03
        if is_machine:
            judged = inputs.PersonJudged(outcome=AttemptOutcome.MACHINE, by="handler", call_id=call_id)
            self.after(8.0, lambda: self._machine(call_id, judged))
        else:
            seconds = max(10.0, self.dice.expovariate(1.0 / TALK_SECONDS))
            self.after(seconds, lambda: self._talk_ends(call_id, offer_id))

    def _machine(self, call_id: str, judged: inputs.PersonJudged) -> None:
        self.talks.discard(call_id)
        self._tell(judged)
        self._hang_up(call_id, Side.SYSTEM)

    def _talk_ends(self, call_id: str, offer_id: str) -> None:
        self.talks.discard(call_id)
        self._hang_up(call_id, Side.CALLER)
        self._leg_ends(offer_id)

    def _note_wait(self, call_id: str) -> None:
        call = self.engine.state.calls[call_id]
        outside = None
        if (expected := call.prediction) is not None:
            waited = self.now.since(expected.at)
            beyond = max(expected.low_seconds - waited, waited - expected.high_seconds, 0.0)
            outside = beyond / max(waited, 1.0)
        self.waits.append(
            Waited(
                self.now.since(call.queued_at),
                call.callback is not None,
                call.tier == Tier.EMERGENCY,
                outside,
            )
        )

    # ------------------------------------------------------------------ callers

    def _caller(self, number: int) -> Callable[[], None]:
        return lambda: self._call(f"c{number:05}")

    def _call(self, call_id: str) -> None:
        """A 999, or a 101; a few withhold their number."""
        emergency = self.dice.random() < EMERGENCY_SHARE
        withheld = self.dice.random() < 0.1
        self.on_the_line.add(call_id)
        presented = arrival(call_id, "999" if emergency else "101")
        number = None if withheld else f"077{self.dice.randrange(10**8):08}"
        self._tell(replace(presented, caller_number=number, number_withheld=withheld))
        if not emergency:
            seconds = self.dice.expovariate(1.0 / PATIENCE_SECONDS)
            self.after(seconds, lambda: self._lose_patience(call_id))

    def _lose_patience(self, call_id: str) -> None:
        call = self.engine.state.calls.get(call_id)
        if call is not None and call.callback is None and call_id not in self.talks:
            self._hang_up(call_id, Side.CALLER)

    def _hang_up(self, call_id: str, side: Side) -> None:
        if call_id in self.on_the_line:
            self.on_the_line.discard(call_id)
            self._tell(inputs.CallerGone(call_id=call_id, side=side, cause="16"))

    def _hears(self, effect: effects.Announce) -> None:
        call_id, prompt = effect.call_id, effect.prompt
        self.after(4.0, lambda: self._heard(call_id, prompt))
        if prompt == "callback-offer":
            accepts = self.dice.random() < ACCEPTS
            if accepts:
                self.after(3.0, lambda: self._press(call_id))
        elif prompt in ("callback-number", "callback-keyed", "callback-safe"):
            self.after(6.0, lambda: self._press(call_id))
        elif prompt == "callback-key":
            number = f"077{self.dice.randrange(10**8):08}"
            keyed = inputs.NumberKeyed(call_id=call_id, number=number)
            self.after(9.0, lambda: self._tell(keyed))

    def _heard(self, call_id: str, prompt: str) -> None:
        self._tell(inputs.AnnouncementFinished(call_id=call_id, prompt=prompt, completed=True))

    def _press(self, call_id: str) -> None:
        if call_id in self.on_the_line and call_id not in self.talks:
            self._tell(inputs.KeyPressed(call_id=call_id, key="1"))

    # ------------------------------------------------------------------ persons

    def _dial(self, effect: effects.DialPerson) -> None:
        call_id, attempt = effect.call_id, effect.attempt
        assert (call_id, attempt) not in self.dialled, "an attempt was dialled twice"
        assert call_id not in self.rung and call_id not in self.on_the_line, "two legs of one person"
        self.dialled.add((call_id, attempt))
        self.rung[call_id] = attempt
        self.seen["dialled"] += 1
        fate = self.dice.random()
        if fate < UNREACHABLE:
            outcomes = [
                AttemptOutcome.BUSY,
                AttemptOutcome.REJECTED,
                AttemptOutcome.NETWORK,
                AttemptOutcome.INVALID,
            ]
            outcome = self.dice.choice(outcomes)
            self.after(1.0, lambda: self._person_gone(call_id, attempt, outcome))
        else:
            self.after(1.5, lambda: self._person(inputs.PersonRang(call_id=call_id, attempt=attempt)))
            if fate > NOT_THERE:
                leg_id = f"{call_id}!{attempt}"
                answered = inputs.PersonAnswered(call_id=call_id, attempt=attempt, leg_id=leg_id)
                self.after(self.dice.uniform(3.0, 15.0), lambda: self._person(answered))

    def _person(self, given: inputs.PersonRang | inputs.PersonAnswered) -> None:
        if self.rung.get(given.call_id) == given.attempt:
            if isinstance(given, inputs.PersonAnswered):
                del self.rung[given.call_id]
                self.on_the_line.add(given.call_id)
            self._tell(given)

    def _person_gone(self, call_id: str, attempt: int, outcome: AttemptOutcome) -> None:
        if self.rung.get(call_id) == attempt:
            del self.rung[call_id]
            self._tell(
                inputs.PersonGone(call_id=call_id, attempt=attempt, outcome=outcome, cause=outcome.value)
            )

    # ------------------------------------------------------------------ what is left

    def close_tasks(self) -> int:
        """A named person closes every task; how many there were."""
        tasks = list(self.engine.state.tasks)
        for task_id in tasks:
            self._tell(inputs.TaskClosed(task_id=task_id, by="sue", outcome=TaskOutcome.REACHED))
        return len(tasks)

    def replayed_as_lived(self) -> bool:
        """Whether the facts alone tell the same."""
        return replay(self.entries) == self.engine.state

    def report(self) -> str:
        """The figures of the day."""
        counter = self.engine.state.promises
        lines = [
            f"{self.callers} callers, {self.agents} agents; at most {self.waiting_most} without a handler",
            (
                f"call-backs: {self.seen['offered']} offers, {self.seen['accepted']} accepted, {counter.made} promised, "
                f"{counter.kept} kept, {counter.became_tasks} tasks, {counter.merged} merged, "
                f"{self.seen['dialled']} dials"
            ),
            f"ended: {dict(sorted((name, n) for name, n in self.seen.items() if name in OUTCOMES))}",
        ]
        for name, chosen in (
            ("999", [w for w in self.waits if w.emergency]),
            ("101 on the line", [w for w in self.waits if not (w.emergency or w.called_back)]),
            ("101 called back", [w for w in self.waits if w.called_back]),
        ):
            seconds = [wait.seconds for wait in chosen]
            lines.append(
                f"{name}: n {len(seconds)}, waited p50 {share(seconds, 0.5):.0f} s, p90 {share(seconds, 0.9):.0f} s, "
                f"longest {max(seconds, default=0.0):.0f} s gross"
            )
        outside = [wait.outside_share for wait in self.waits if wait.outside_share is not None]
        inside = sum(part == 0.0 for part in outside)
        lines.append(
            f"expected waits: n {len(outside)}, {100 * inside / max(1, len(outside)):.0f} % inside of their range, "
            f"outside by p50 {share(outside, 0.5):.2f}, p90 {share(outside, 0.9):.2f} of the wait"
        )
        return "\n".join(lines)


OUTCOMES = frozenset({"answered", "abandoned", "unreached", "merged", "cancelled"})


def share(values: list[float], part: float) -> float:
    """The value below which this part of them lies; 0 for none."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))] if values else 0.0
