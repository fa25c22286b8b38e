"""Counts of what `edge run` does, kept by its loop as plain numbers; `edge.exposition` tells them to Prometheus.

The loop adds to a number and never waits for whoever reads. Nothing of a caller is in it.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

STEP_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0)
COMMIT_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""250 ms is where a commit counts as trouble."""


class Durations:
    """How often something took how long."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds`: upper ends of the ranges in seconds, each within its range."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.sum_seconds = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum_seconds += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus has them: up to each bound, then all."""
        total, found = 0, []
        for bound, count in zip((*map(str, self.bounds), "+Inf"), tuple(self.counts), strict=True):
            total += count
            found.append((bound, float(total)))
        return found


@dataclass(slots=True)
class Counters:
    """What the loop counts. Only the loop writes; a reader in another thread sees each number whole."""

    started_unix: float = field(default_factory=time.time)
    turns: int = 0
    turned_at: float = field(default_factory=time.monotonic)
    """When the loop last began a turn, by the monotonic clock."""
    inputs: dict[str, int] = field(default_factory=dict)
    """By kind."""
    facts: dict[str, int] = field(default_factory=dict)
    """By kind."""
    steps: Durations = field(default_factory=lambda: Durations(STEP_BOUNDS))
    """How long deciding took."""
    commits: Durations = field(default_factory=lambda: Durations(COMMIT_BOUNDS))
    """How long the ledger took; of those that succeeded."""
    commits_failed: int = 0

    def turn(self) -> None:
        """The loop begins a turn."""
        self.turns += 1
        self.turned_at = time.monotonic()

    def stepped(self, given: object, made: Iterable[object], seconds: float) -> None:
        """The engine decided about an input, and made these facts."""
        kind = type(given).__name__
        self.inputs[kind] = self.inputs.get(kind, 0) + 1
        for fact in made:
            name = type(fact).__name__
            self.facts[name] = self.facts.get(name, 0) + 1
        self.steps.add(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What stands at the moment somebody asks: lengths and flags, each read at once."""

    inbox: int
    """Inputs that wait for the engine."""
    backlog: int
    """Facts that wait for the ledger."""
    ledger_trouble: bool
    switch_seen: bool
    sequence: int
    """Of the newest fact, committed or not."""
    calls: int
    offers: int
    tasks: int
