"""A room in random trouble: whatever happens in whatever order, the promises hold after every step."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from edge.core.inputs import Standing
from edge.core.model import Refusal
from tests.simulation.world import AGENTS, DESTINATIONS, KEYS, KNOWN, LINES, World

NAMES = [text.split()[0] for text in AGENTS]
REFUSALS = [Refusal.REJECTED, Refusal.BUSY, Refusal.NO_ANSWER, Refusal.FAILED, Refusal.CLEARED]
PICK = st.integers(0, 30)
CALLER_ACTIONS = [
    "hang up",
    "agent hangs up",
    "break",
    "dead-man",
    "fallback",
    "key",
    "hear",
    "fail to hear",
    "send back",
    "pass on",
    "pass on to a colleague",
    "take over",
    "answer elsewhere",
    "come back",
]


class Trouble(RuleBasedStateMachine):
    """Hypothesis looks for the shortest way to break a promise."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(line=st.sampled_from(LINES), known=st.sampled_from(range(len(KNOWN))))
    def arrive(self, line: str, known: int) -> None:
        """A caller calls."""
        self.world.arrive(line, KNOWN[known])

    @rule(active=st.booleans())
    def incident(self, active: bool) -> None:
        """A major incident is declared, or is over."""
        self.world.declare(active)

    @precondition(lambda self: self.world.said)
    @rule(count=st.integers(1, 8))
    def deliver(self, count: int) -> None:
        """Things said are heard, in order."""
        for _ in range(min(count, len(self.world.said))):
            self.world.deliver()

    @precondition(lambda self: self.world.said)
    @rule(index=PICK, double=st.booleans())
    def deliver_out_of_order(self, index: int, double: bool) -> None:
        """Something is heard before what was said earlier, or will be heard twice."""
        chosen = index % len(self.world.said)
        if double:
            self.world.double(chosen)
        self.world.deliver(chosen)

    @rule(index=PICK, action=st.sampled_from(["ring", "answer", "refuse"]), refusal=st.sampled_from(REFUSALS))
    def phone(self, index: int, action: str, refusal: Refusal) -> None:
        """A phone that is called does something."""
        act_on_phone(self.world, index, action, refusal)

    @rule(
        index=PICK,
        action=st.sampled_from(CALLER_ACTIONS),
    )
    def caller(self, index: int, action: str) -> None:
        """Something happens to a caller."""
        act_on_caller(self.world, index, action)

    @rule(
        agent=st.sampled_from(NAMES),
        action=st.sampled_from(["in", "out", "not ready", "press", "phone", "at another phone"]),
    )
    def agent(self, agent: str, action: str) -> None:
        """A person or their phone does something."""
        act_as_agent(self.world, agent, action)

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.0, 3.0, 5.0, 15.0, 31.0, 61.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.wait(seconds)

    @rule(action=st.sampled_from(["lose", "kill", "look", "checkpoint"]))
    def trouble(self, action: str) -> None:
        """A link or the daemon dies or comes back."""
        act_on_link(self.world, action)

    def teardown(self) -> None:
        """Everybody goes home."""
        self.world.close()


def act_on_phone(world: World, index: int, action: str, refusal: Refusal) -> None:
    """The chosen leg, if there is any that has not been answered, rings, is answered or refused."""
    legs = [leg for leg in world.legs.values() if not leg.answered]
    if not legs:
        return
    leg = legs[index % len(legs)]
    if action == "ring":
        world.ring(leg)
    elif action == "answer":
        world.answer(leg)
    else:
        world.end_leg(leg.offer_id, refusal)


def act_on_caller(world: World, index: int, action: str) -> None:
    """The chosen caller, if there is any to whom this can happen."""
    callers = list(world.standing)
    if action in ("agent hangs up", "break", "send back", "pass on", "pass on to a colleague"):
        callers = list(world.pair_of)
    elif action in ("hear", "fail to hear"):
        callers = list(world.playing)
    elif action == "take over":
        callers = sorted(world.passed_to)
    elif action == "answer elsewhere":
        callers = sorted(world.away - world.elsewhere)
    elif action == "come back":
        callers = sorted(world.away)
    elif action == "key":
        callers = [call for call in callers if call not in world.away - world.elsewhere]
    elif action == "fallback":
        callers = [call for call in callers if world.standing[call] is Standing.FALLBACK]
    if not callers:
        return
    call_id = callers[index % len(callers)]
    match action:
        case "hang up":
            world.hang_up(call_id)
        case "key":
            world.press(call_id, KEYS[index % len(KEYS)])
        case "hear" | "fail to hear":
            world.hear(call_id, completed=action == "hear")
        case "come back":
            world.come_back(call_id)
        case "agent hangs up":
            world.end_leg(world.pair_of[call_id], Refusal.CLEARED)
        case "break":
            world.break_pair(call_id)
        case "send back":
            world.send_back(call_id, DESTINATIONS[index % len(DESTINATIONS)])
        case "pass on":
            world.pass_on(call_id)
        case "pass on to a colleague":
            world.pass_on(call_id, NAMES[index % len(NAMES)])
        case "answer elsewhere":
            world.answer_elsewhere(call_id)
        case "take over":
            world.take_over(call_id)
        case "dead-man":
            world.fall_back(call_id)
        case "fallback":
            (world.fallback_answers if index % 2 else world.fallback_returns)(call_id)


def act_as_agent(world: World, agent: str, action: str) -> None:
    """A person signs in or out, is ready or not; or their phone vanishes or returns."""
    match action:
        case "in":
            world.sign(agent, agent, None)
        case "out":
            world.sign(agent, None, None)
        case "not ready":
            world.sign(agent, agent, "lunch")
        case "at another phone":
            world.sign(agent, NAMES[0], None)
        case "press":
            world.press_ready(agent)
        case "phone":
            world.toggle_phone(agent)


def act_on_link(world: World, action: str) -> None:
    """The link is lost or found; the daemon is killed or keeps a checkpoint."""
    match action:
        case "lose":
            world.lose_link()
        case "kill":
            world.kill()
        case "look" if not world.linked:
            world.look()
        case "checkpoint":
            world.save_checkpoint()


TestTrouble = Trouble.TestCase
TestTrouble.settings = settings(
    max_examples=200,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("seed", range(12))
def test_a_busy_night(seed: int) -> None:
    """A long shift with all troubles at once keeps every promise."""
    dice = random.Random(seed)
    world = World()
    for _ in range(600):
        live_an_instant(world, dice)
    world.close()


def live_an_instant(world: World, dice: random.Random) -> None:
    """One thing happens; most things are soon heard."""
    match dice.choices(range(6), weights=[8, 34, 10, 3, 16, 1])[0]:
        case 0:
            world.arrive(dice.choice(LINES), dice.choice(KNOWN))
            if dice.random() < 0.05:
                world.declare(dice.random() < 0.5)
        case 1:
            action = dice.choice(["ring", "ring", "ring", "answer", "answer", "refuse"])
            act_on_phone(world, dice.randrange(30), action, dice.choice(REFUSALS))
        case 2:
            moves = ["pass on to a colleague", "take over", "take over"]
            action = dice.choice([*CALLER_ACTIONS, *moves, "agent hangs up", "hear", "hear", "hear"])
            act_on_caller(world, dice.randrange(30), action)
        case 3:
            action = dice.choice(["in", "in", "in", "out", "not ready", "press", "phone", "at another phone"])
            act_as_agent(world, dice.choice(NAMES), action)
        case 4:
            world.wait(dice.expovariate(0.5))
        case 5:
            act_on_link(world, dice.choice(["lose", "kill", "checkpoint"]))
    if not world.linked and dice.random() < 0.3:
        world.look()
    while world.said and dice.random() < 0.8:
        index = dice.randrange(len(world.said)) if dice.random() < 0.1 else 0
        if dice.random() < 0.05:
            world.double(index)
        world.deliver(index)
