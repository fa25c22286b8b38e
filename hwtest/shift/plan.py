"""Who calls when, and how everybody behaves: drawn from a seed, so that a shift can be had again."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle

# Ofcom keeps these numbers free for drama: none of them belongs to anybody.
_DRAMA_NUMBERS = [
    *(f"07700900{n:03}" for n in range(1000)),
    *(f"02079460{n:03}" for n in range(1000)),
    *(f"01632960{n:03}" for n in range(1000)),
]

EMERGENCY_SHARE = 0.15
HURRIED_SHARE = 0.05
"""Callers who hang up during the greeting."""
TALK_SECONDS = (5.0, 15.0)
PATIENCE_SECONDS = (15.0, 60.0)
EMERGENCY_PATIENCE_SECONDS = 90.0
ANSWER_SECONDS = (0.5, 3.0)
CALLBACKS: Mapping[str, float] = {
    "offer_above_seconds": 3.0,
    "offer_below_seconds": 2.0,
    "offer_every_seconds": 10.0,
    "spacing_seconds": 5.0,
    "handling_seconds": 15.0,
    "ring_seconds": 15.0,
}
"""A shift's talks take seconds, not minutes, and so do its waits: call-backs are offered by the same measure."""
ACCEPTING_SHARE = 0.6
"""Of the 101 callers: would take a call-back if one is offered."""
HEARS_SECONDS = 3.0
"""How long a caller listens to the confirmation of a call-back before hanging up."""
PERSON_SECONDS = (1.0, 4.0)
"""How long the phone of a person who is called back rings before they answer."""
BUSY_SHARE = 0.15
"""Of the attempts to reach a person: the number is busy."""
AWAY_SHARE = 0.1
"""Of the first attempts: nobody answers."""
CLOSING_SECONDS = 120.0
"""At its end a shift keeps its promises of a call-back for so long at most."""
MISSED_SHARE = 0.02
REJECTED_SHARE = 0.02
OCCUPANCY = 1.1
"""Share of the agents' time that the calls ask for: a little more than there is, so that callers wait and some give up."""
FIRST_CALLERS = 5
"""They call at once, so that there is something to see."""
DRAIN_SECONDS = 25.0
"""Before its end a shift takes no new callers for this long (or half of it), so that most calls end by themselves."""


@dataclass(frozen=True)
class Caller:
    """One caller of the plan."""

    at_seconds: float
    number: str
    emergency: bool
    patience_seconds: float
    """Gives up when nobody has answered by then."""
    accepts: bool
    """Takes a call-back if it is offered, and is rung later."""


@dataclass(frozen=True)
class Reaction:
    """How the phone of a person who is called back treats one attempt."""

    answer_after_seconds: float
    busy: bool
    away: bool
    """It rings unattended."""


@dataclass(frozen=True)
class Handling:
    """How an agent treats one call."""

    answer_after_seconds: float
    talk_seconds: float
    caller_ends: bool
    """The caller hangs up first, not the agent."""
    missed: bool
    """The phone rings unattended."""
    rejected: bool


def callers(seed: int, agents: int, wrap_up_seconds: float) -> Iterator[Caller]:
    """Callers without end: exponential gaps between them, as strangers who know nothing of each other make."""
    chance = random.Random(f"callers {seed}")
    numbers = cycle(chance.sample(_DRAMA_NUMBERS, len(_DRAMA_NUMBERS)))
    gap_seconds = mean_gap_seconds(agents, wrap_up_seconds)
    at_seconds = 0.0
    for index, number in enumerate(numbers):
        yield _caller(chance, at_seconds, number)
        if index + 1 >= FIRST_CALLERS:
            at_seconds += chance.expovariate(1 / gap_seconds)


def mean_gap_seconds(agents: int, wrap_up_seconds: float) -> float:
    """The gap between callers at which so many agents are as busy as planned."""
    handling_seconds = sum(ANSWER_SECONDS) / 2 + sum(TALK_SECONDS) / 2 + wrap_up_seconds
    return handling_seconds / (OCCUPANCY * agents)


def _caller(chance: random.Random, at_seconds: float, number: str) -> Caller:
    emergency = chance.random() < EMERGENCY_SHARE
    patience = EMERGENCY_PATIENCE_SECONDS if emergency else chance.uniform(*PATIENCE_SECONDS)
    if not emergency and chance.random() < HURRIED_SHARE:
        patience = chance.uniform(0.5, 4.0)
    return Caller(
        at_seconds, number, emergency, patience, accepts=not emergency and chance.random() < ACCEPTING_SHARE
    )


def reaction(seed: int, number: str, attempt: int) -> Reaction:
    """How the person of this number treats this attempt, the first being 1."""
    chance = random.Random(f"person {number} {attempt} {seed}")
    answer_after_seconds, lot = chance.uniform(*PERSON_SECONDS), chance.random()
    return Reaction(
        answer_after_seconds,
        busy=lot < BUSY_SHARE,
        away=attempt == 1 and BUSY_SHARE <= lot < BUSY_SHARE + AWAY_SHARE,
    )


def handlings(seed: int, agent: str) -> Iterator[Handling]:
    """How this agent treats one call after the other."""
    chance = random.Random(f"agent {agent} {seed}")
    while True:
        lot = chance.random()
        yield Handling(
            answer_after_seconds=chance.uniform(*ANSWER_SECONDS),
            talk_seconds=chance.uniform(*TALK_SECONDS),
            caller_ends=chance.random() < 0.5,
            missed=lot < MISSED_SHARE,
            rejected=MISSED_SHARE <= lot < MISSED_SHARE + REJECTED_SHARE,
        )


def arrivals_end_seconds(for_seconds: float) -> float:
    """When a shift of this length takes its last caller."""
    return max(for_seconds - DRAIN_SECONDS, for_seconds / 2)
