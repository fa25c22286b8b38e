"""How long a caller is expected to wait: from the place, the agents who could take the call and their recent talks.

With every agent busy, somebody comes free on average each `handling / agents` seconds, and the caller is served by the k-th of
those: k is one more than those ahead, less the share of them that gives up. The time to the k-th is spread by about the root
of k times that (a gamma distribution), so it is given as a range: one deviation to each side, in which about two of three
waits end. A number without its range would be a promise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, sqrt

SAMPLES_NEEDED = 5
"""Of talks, before they count instead of the plan's figure; and of waits, before their error silences us."""
ERROR_MAXIMUM = 0.5
"""Half of the recent waits were outside of what was expected by more than this share of themselves: say nothing."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """A range of seconds from now on. `position`: 1 is served next; `measured`: by talks that were seen."""

    low_seconds: float
    high_seconds: float
    position: int
    agents: int
    measured: bool

    @property
    def middle_seconds(self) -> float:
        """The middle of the range: what is compared with a plan's thresholds."""
        return (self.low_seconds + self.high_seconds) / 2

    @property
    def minutes(self) -> tuple[int, int]:
        """The range in whole minutes as it is spoken: from, at least one, to."""
        low = max(1, floor(self.low_seconds / 60))
        return low, max(low, ceil(self.high_seconds / 60))


def expect(
    position: int, agents: int, handling_seconds: float, gives_up_share: float, *, measured: bool
) -> Expectation:
    """The wait of whoever stands at `position` (from 1) with so many agents at work (from 1), each talk with its wrap-up lasting
    `handling_seconds`, while this share (0 to 1) of those ahead gives up."""
    services = 1 + (position - 1) * (1.0 - gives_up_share)
    each_seconds = handling_seconds / agents
    middle, spread = services * each_seconds, sqrt(services) * each_seconds
    return Expectation(max(0.0, middle - spread), middle + spread, position, agents, measured)


def mean(samples: Sequence[float]) -> float:
    """Their mean; 0 for none."""
    return sum(samples) / len(samples) if samples else 0.0


def is_bad(errors: Sequence[float]) -> bool:
    """Whether recent waits (`State.prediction_errors`) say that we had better say nothing."""
    return len(errors) >= SAMPLES_NEEDED and sorted(errors)[len(errors) // 2] > ERROR_MAXIMUM
