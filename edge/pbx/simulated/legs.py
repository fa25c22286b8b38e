"""The legs of the simulated switch, as they really are."""

from __future__ import annotations

from asyncio import TimerHandle
from dataclasses import dataclass, field

from edge.core.inputs import Standing


@dataclass(slots=True, kw_only=True, eq=False)
class CallerLeg:
    """A caller on the line. `standing`: where; `offer_id`: the agent's leg that they talk to.

    `queue`, `place`, `language`, `upgraded`: what is noted on the leg, by which the switch's own queue serves; `place` is the
    tier, and the microseconds of UTC that the caller counts as having joined at.
    """

    call_id: str
    leg_id: str
    line: str
    number: str | None
    name: str | None
    withheld: bool
    joined_utc_us: int
    queue: str
    place: tuple[int, int]
    language: str
    upgraded: bool = False
    standing: Standing = Standing.HELD
    offer_id: str | None = None
    away: bool = False
    """Sent to another number, or passed on to somebody outside."""
    prompt: str | None = None
    """What is being said to them."""
    collects: bool = False
    """Their keys are the digits of a number."""
    served_by: str | None = None
    """The agent to whom the switch's own queue has connected them."""
    rung_in_fallback: str | None = None
    """The agent whose phone the switch's own queue rings for them."""
    is_alive: bool = True
    dead_man: TimerHandle | None = None
    playing: TimerHandle | None = None

    @property
    def is_talking(self) -> bool:
        """Whether somebody speaks with them."""
        return self.standing is Standing.CONNECTED or self.served_by is not None


@dataclass(slots=True, kw_only=True, eq=False)
class AgentLeg:
    """The leg of an offer."""

    offer_id: str
    call_id: str
    phone: str
    rang: bool = False
    answered: bool = False
    held: bool = False
    is_alive: bool = True
    keyed: str = ""
    """The keys that an agent who is asked about a task has pressed."""
    rings: str | None = None
    """The number that the switch rings for them by itself."""
    talks: bool = False
    """With whom it has rung."""


@dataclass(slots=True, kw_only=True, eq=False)
class PersonLeg:
    """The leg of a person who is being called back, until they answer: then it is a caller's."""

    call_id: str
    attempt: int
    number: str
    line: str
    queue: str
    language: str
    joined_utc_us: int
    place_utc_us: int
    rang: bool = False
    is_alive: bool = True


@dataclass(slots=True)
class Counts:
    """How often each thing happened, by its name."""

    by_name: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, count: int = 1) -> None:
        """Once more."""
        self.by_name[name] = self.by_name.get(name, 0) + count

    @property
    def total(self) -> int:
        """All together."""
        return sum(self.by_name.values())
