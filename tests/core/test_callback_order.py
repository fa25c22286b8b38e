"""Order among live callers and call-backs, over thousands of random mixes: one line for both, as they joined."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest

from edge.core import facts, inputs
from edge.core.engine import Step
from edge.core.model import CallState, Refusal, Side
from edge.core.ordering import head_start_seconds, place_of
from edge.core.promise import AttemptOutcome, First
from edge.core.state import Call
from tests.core.callbacks import CALLBACKS, PLAN, callback_room
from tests.core.invariants import is_its_turn
from tests.core.room import Room, arrival

AGENTS = ("ann 101 999", "bob 101", "cat 101 999", "dai 101", "eve 999")
LINES = ("101", "101", "vulnerable")
MIXES = 50
"""Rooms in a seed, of 25 to 60 events each; ten seeds make five hundred, those of endurance 2,500 more."""


@dataclass
class Mix:
    """A room in which callers of both kinds wait, and the rest of the world as far as it matters here."""

    dice: random.Random
    room: Room
    count: int = 0
    served: int = 0
    """How often somebody's turn has come and was found right."""

    def __post_init__(self) -> None:
        self.room.judges.append(self.judge)
        self.room.is_checked = False  # the simulated room does that

    def join(self) -> None:
        """A caller joins, and maybe takes what is offered until they are called back."""
        self.count += 1
        call_id = f"c{self.count:03}"
        number = f"07700{self.count:06}"
        line = self.dice.choice(LINES)
        self.room.tell(replace(arrival(call_id, line), caller_number=number, number_withheld=False))
        if self.dice.random() < 0.6:
            for _ in range(3):
                self.room.tell(inputs.KeyPressed(call_id=call_id, key="1"))
            call = self.calls.get(call_id)
            if call is not None and call.state is CallState.PROMISED:
                self.room.tell(inputs.CallerGone(call_id=call_id, side=Side.CALLER, cause="16"))

    @property
    def calls(self) -> dict[str, Call]:
        """The open calls."""
        return self.room.engine.state.calls

    def act_on_phone(self) -> None:
        """An agent's phone is answered, refused or let ring out; one who talks hangs up."""
        offers = sorted(self.room.engine.state.offers)
        if not offers:
            return
        offer = self.room.engine.state.offers[self.dice.choice(offers)]
        if offer.state.value in ("calling", "ringing") and self.dice.random() < 0.8:
            self.room.tell(inputs.PhoneAnswered(offer_id=offer.offer_id))
            call = self.calls.get(offer.call_id)
            if call is not None and call.state is CallState.CONNECTING:
                self.room.tell(inputs.PairJoined(call_id=call.call_id, offer_id=offer.offer_id))
        else:
            refusal = self.dice.choice([Refusal.CLEARED, Refusal.REJECTED, Refusal.NO_ANSWER])
            talked = offer.connected_at is not None
            self.room.tell(
                inputs.PhoneGone(offer_id=offer.offer_id, refusal=refusal, side=Side.AGENT, cause="16")
            )
            if talked and offer.call_id in self.calls:
                self.room.tell(inputs.CallerGone(call_id=offer.call_id, side=Side.AGENT, cause="16"))

    def act_on_person(self) -> None:
        """Somebody who is called back answers, or does not."""
        rung = [c for c in self.calls.values() if c.state in (CallState.DIALLING, CallState.CHECKING)]
        if not rung:
            return
        call = self.dice.choice(rung)
        assert call.callback is not None
        attempt = call.callback.attempt
        if call.state is CallState.CHECKING:
            self.room.tell(inputs.KeyPressed(call_id=call.call_id, key=self.dice.choice("12")))
        elif self.dice.random() < 0.5:
            self.room.tell(inputs.PersonAnswered(call_id=call.call_id, attempt=attempt, leg_id="back"))
            if call.state is CallState.CONNECTING:
                self.room.tell(inputs.PairJoined(call_id=call.call_id, offer_id=call.claimed_by or ""))
        else:
            outcome = self.dice.choice([AttemptOutcome.BUSY, AttemptOutcome.NETWORK])
            self.room.tell(
                inputs.PersonGone(call_id=call.call_id, attempt=attempt, outcome=outcome, cause="17")
            )

    def act_as_agent(self) -> None:
        """An agent goes for lunch, or comes back."""
        agent = self.dice.choice(sorted(self.room.policy.agents))
        reason = "lunch" if self.dice.random() < 0.4 else None
        self.room.tell(inputs.AgentSeen(agent=agent, phone=agent, not_ready_reason=reason))

    def live(self) -> None:
        """One thing happens."""
        match self.dice.choices(range(6), weights=[6, 8, 5, 2, 4, 1])[0]:
            case 0:
                self.join()
            case 1:
                self.act_on_phone()
            case 2:
                self.act_on_person()
            case 3:
                self.act_as_agent()
            case 4:
                self.room.wait(self.dice.choice([0.5, 2.0, 11.0, 31.0, 125.0]))
            case 5:
                self.room.tell(arrival(f"e{len(self.room.entries)}", "999"))

    def judge(self, step: Step) -> None:
        """Of everything that was decided in a step: nobody who could be served was overtaken."""
        for entry in step.entries:
            fact = entry.fact
            begins = isinstance(fact, facts.OfferMade)
            keeps = isinstance(fact, facts.CallbackAttempted) and fact.offer_id is None
            if begins or keeps:
                assert isinstance(fact, facts.OfferMade | facts.CallbackAttempted)
                self.served += 1
                self.check_turn(fact.call_id, fact.agent)

    def check_turn(self, call_id: str, agent: str) -> None:
        """Whoever still waits after this and could have had this agent joined later, or has a lower class and did not join so
        much earlier as its head start."""
        chosen = self.calls.get(call_id)
        if chosen is None or chosen.tier == 0 or _is_kept_for(chosen):
            return
        policy = self.room.policy
        for other in self.calls.values():
            if other.state not in (CallState.WAITING, CallState.CALLBACK) or other.tier == 0:
                continue
            if not self.could_be_served(other, agent):
                continue
            same_or_lower = head_start_seconds(chosen, policy) <= head_start_seconds(other, policy)
            joined_later = chosen.queued_at.monotonic_ns > other.queued_at.monotonic_ns
            assert not (same_or_lower and joined_later), (chosen, other)
            assert place_of(chosen, policy) < place_of(other, policy), (chosen, other)

    def could_be_served(self, call: Call, agent: str) -> bool:
        """By this agent now: nobody refused, no attempt just failed, nothing said to be in the way."""
        if agent in call.refused_by or not set(self.room.policy.queues[call.queue].skills) <= set(
            self.room.policy.agents[agent].skills
        ):
            return False
        return call.callback is None or is_its_turn(self.room.engine, call, self.room.now)

    def check_positions(self) -> None:
        """The engine's order is that of places, call-backs among the others; an attempt that failed has kept its place."""
        waiting = [c for c in self.calls.values() if self.room.engine.position(c.call_id) is not None]
        by_place = sorted(waiting, key=lambda call: place_of(call, self.room.policy))
        by_position = sorted(waiting, key=lambda call: self.room.engine.position(call.call_id) or 0)
        assert by_place == by_position
        for call in waiting:
            arrived = [e.at for e in self.room.entries if _is_joining(e, call.call_id)]
            assert call.queued_at == arrived[0]


def _is_kept_for(call: Call) -> bool:
    """A person who was reached gets the agent who was kept for them: their turn was when they were rung."""
    return call.callback is not None and call.callback.answered_at is not None


def _is_joining(entry: facts.Entry, call_id: str) -> bool:
    return isinstance(entry.fact, facts.CallQueued) and entry.fact.call_id == call_id


@pytest.mark.parametrize(
    "seed", [*range(10), *(pytest.param(n, marks=pytest.mark.endurance) for n in range(10, 60))]
)
def test_nobody_who_joined_later_is_served_first(seed: int) -> None:
    """Agents and persons first, with a reserve for 999 and without, one at a time and many."""
    dice = random.Random(seed)
    callbacks, promised = 0, 0
    for _ in range(MIXES):
        plan = replace(PLAN, first=First(dice.choice(["agent", "caller"])), attempts=9, agents_minimum=1)
        limits = replace(
            CALLBACKS,
            idle_agents=dice.choice([0, 0, 1]),
            concurrent=dice.choice([1, 2, 10]),
            network_failures=99,
            preemptions=99,
        )
        agents = AGENTS[: dice.randint(2, 5)]
        mix = Mix(dice, callback_room(*agents, plan=plan, callbacks=limits))
        for _ in range(dice.randint(25, 60)):
            mix.live()
        mix.check_positions()
        promised += len(mix.room.recorded(facts.CallbackPromised))
        callbacks += len(mix.room.recorded(facts.CallbackAttempted))
    assert promised > MIXES  # the mixes are mixes
    assert callbacks > MIXES / 2
