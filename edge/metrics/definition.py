"""What a definition may say. Each measure is a type of its own; its fields are the choices that people argue about.

A definition is data: `definitions.toml` in this package has ours, a force's `metrics.toml` its own. Every figure carries the
definition's id and version, and its digest tells whether two figures of one name were defined alike.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Words = Annotated[str, Meta(min_length=1, max_length=600)]
NANOSECONDS = 1_000_000_000


class Attribution(StrEnum):
    """To which period a call belongs."""

    ARRIVAL = "arrival"
    """That in which it arrived."""
    EVENT = "event"
    """That in which it was decided: answered, given up, or (for a service level) still waiting when the threshold passed."""
    COMPLETION = "completion"
    """That in which it ended."""


class Clock(StrEnum):
    """Where the wait of a call begins."""

    TRUNK = "trunk"
    """When it arrived."""
    ANSWER = "answer"
    """When the switch answered it. Where a person did that, there is no wait."""
    AFTER_ANNOUNCEMENT = "after_announcement"
    """When the first announcement had been heard."""
    QUEUE = "queue"
    """When it took its place."""


class Callbacks(StrEnum):
    """What becomes of calls that were promised a call-back."""

    GROSS = "gross"
    """They are in, and have waited until they talked with somebody."""
    NET = "net"
    """They are in, and have waited while they were on the line."""
    OUT = "out"


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="measure"):
    """What every definition says. `tier`, `queues`, `lines`: only these calls; left out: all. Test calls are out by default,
    internal ones in."""

    version: Annotated[int, Meta(ge=1)]
    title: Annotated[str, Meta(min_length=1, max_length=100)]
    meaning: Words
    tier: Literal["999", "101"] | None = None
    queues: tuple[str, ...] | None = None
    lines: tuple[str, ...] | None = None
    attribution: Attribution = Attribution.ARRIVAL
    clock: Clock = Clock.QUEUE
    callbacks: Callbacks = Callbacks.GROSS
    internal: bool = True
    tests: bool = False

    @property
    def unit(self) -> str:
        """Of the value: calls, share, seconds, callers, contacts or attempts."""
        raise NotImplementedError

    def complaint(self) -> str | None:
        """What is contradictory in it, and how to mend that."""
        return None

    @property
    def measure(self) -> str:
        """Its tag."""
        return str(self.__struct_config__.tag)

    @property
    def digest(self) -> str:
        """Of everything that decides the value; the words are left out."""
        values = {**msgspec.to_builtins(self), "title": "", "meaning": "", "version": 0}
        return hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()[:12]


Which = Literal[
    "offered",
    "answered",
    "abandoned",
    "unknown",
    "refused",
    "turned away",
    "overflowed",
    "unreached",
    "cancelled",
    "merged",
    "waiting",
    "upgraded",
    "withheld",
    "assisted",
    "fallback",
    "sent back",
    "abandoned in transfer",
]


class Volume(Definition, frozen=True, tag="volume"):
    """How many calls."""

    which: Which = "offered"

    @property
    def unit(self) -> str:
        """A number of calls."""
        return "calls"


Formula = Literal["sl1", "sl2", "sl3", "sl4", "sl5", "sl5_base", "offered"]


class ServiceLevel(Definition, frozen=True, tag="service_level"):
    """The share of calls that were answered in time.

    `short_abandon_seconds`: for sl5 and sl5_base. `losses`: whether unreached call-backs, ends that nobody saw, and callers who
    were let go after waiting as long as the queue allows, count as not answered in time. `boundary`: whether a wait of exactly
    the threshold is within it.
    """

    formula: Formula
    threshold_seconds: Seconds
    short_abandon_seconds: Seconds | None = None
    losses: Literal["bad", "out"] = "bad"
    boundary: Literal["under", "up_to"] = "under"

    @property
    def unit(self) -> str:
        """A share."""
        return "share"

    def complaint(self) -> str | None:
        """Short abandons are for two formulas; by event needs a wait that UTC shows."""
        if self.formula in ("sl5", "sl5_base") and self.short_abandon_seconds is None:
            return f"{self.formula} needs short_abandon_seconds: add it, such as 5"
        if self.formula not in ("sl5", "sl5_base") and self.short_abandon_seconds is not None:
            return f"{self.formula} knows no short abandons: leave short_abandon_seconds out, or use sl5 or sl5_base"
        if self.attribution is Attribution.EVENT and self.callbacks is Callbacks.NET:
            return 'the moment at which a net wait passes a threshold is nobody\'s event: use callbacks = "gross" or "out"'
        return None


class Wait(Definition, frozen=True, tag="wait"):
    """How long calls waited. `of`: those answered, those who gave up, or all who waited. Of all, median and p90 are by
    Kaplan and Meier: who was not answered had waited at least so long. `desk`: to the first person, or the waits for every
    person in turn added up."""

    statistic: Literal["mean", "median", "p90", "longest"]
    of: Literal["answered", "abandoned", "waited"] = "answered"
    desk: Literal["first", "right"] = "first"

    @property
    def unit(self) -> str:
        """Seconds."""
        return "seconds"

    def complaint(self) -> str | None:
        """There is no mean of waits that were cut short, and only who was answered came to a desk."""
        if self.of == "waited" and self.statistic == "mean":
            return 'a mean of waits that ended unanswered says nothing: use median, p90 or longest, or of = "answered"'
        if self.desk == "right" and (self.of != "answered" or self.clock is not Clock.QUEUE):
            return 'desk = "right" is for of = "answered" and clock = "queue"'
        return None


class Band(Definition, frozen=True, tag="band"):
    """Calls whose wait is at least `from_seconds` and under `under_seconds`. `show`: how many, or which share of those `of`."""

    from_seconds: Seconds = 0.0
    under_seconds: Seconds | None = None
    of: Literal["answered", "abandoned"] = "answered"
    show: Literal["count", "share"] = "count"

    @property
    def unit(self) -> str:
        """Calls or a share."""
        return "calls" if self.show == "count" else "share"

    def complaint(self) -> str | None:
        """It must not be empty."""
        if self.under_seconds is not None and self.under_seconds <= self.from_seconds:
            return "under_seconds must be more than from_seconds"
        return None


class Abandonment(Definition, frozen=True, tag="abandonment"):
    """Who gave up, of those answered and those who gave up. `short`: within `short_abandon_seconds`, counted as they are, or in
    neither part. `by`: each call, or each caller once (who got through in the end did not give up; withheld ones each once)."""

    short_abandon_seconds: Seconds = 0.0
    short: Literal["in", "out"] = "in"
    by: Literal["call", "caller"] = "call"

    @property
    def unit(self) -> str:
        """A share."""
        return "share"


class Waiting(Definition, frozen=True, tag="waiting"):
    """At the end of the period, or now if that is earlier: how many wait, or how long the one who joined first has waited."""

    show: Literal["count", "oldest"] = "oldest"
    only: Literal["all", "on the line", "callbacks"] = "all"

    @property
    def unit(self) -> str:
        """Calls or seconds."""
        return "calls" if self.show == "count" else "seconds"


class Occupancy(Definition, frozen=True, tag="occupancy"):
    """Time spent talking, holding and wrapping up, of the time at work. `of`: ready (occupancy), or signed in (utilisation)."""

    of: Literal["ready", "signed_in"] = "ready"

    @property
    def unit(self) -> str:
        """A share."""
        return "share"

    def complaint(self) -> str | None:
        """An agent's time is not divided among queues."""
        if (self.tier, self.queues, self.lines) != (None, None, None):
            return "an agent is at work for every queue: leave tier, queues and lines out"
        return None


class Handling(Definition, frozen=True, tag="handling"):
    """A person's work on a call: talk (with its holds), then wrap-up. It belongs to the period in which the talk began."""

    statistic: Literal["mean", "median", "p90", "longest", "total"] = "mean"
    part: Literal["all", "talk", "hold", "wrap_up"] = "all"

    @property
    def unit(self) -> str:
        """Seconds."""
        return "seconds"


class Callback(Definition, frozen=True, tag="callback"):
    """How call-backs went. `show` says what; those still waiting are in no share."""

    show: Literal[
        "offered",
        "accepted",
        "promised",
        "take_up",
        "reached",
        "reached_at_first",
        "kept",
        "unreached",
        "attempts",
        "promise_wait",
        "reconnect_wait",
    ]
    statistic: Literal["mean", "median", "p90", "longest"] | None = None

    @property
    def unit(self) -> str:
        """By what it shows."""
        if self.show in ("promise_wait", "reconnect_wait"):
            return "seconds"
        if self.show in ("take_up", "reached", "reached_at_first", "kept", "unreached"):
            return "share"
        return "attempts" if self.show == "attempts" else "calls"

    def complaint(self) -> str | None:
        """A statistic is for waits."""
        if (self.unit == "seconds") != (self.statistic is not None):
            return "statistic is needed for promise_wait and reconnect_wait, and for nothing else"
        if self.callbacks is not Callbacks.GROSS:
            return "leave callbacks out: it is about those alone"
        return None


class Prediction(Definition, frozen=True, tag="prediction"):
    """The first wait that was expected, against what came. `show`: the mean difference without its sign (error) or with it
    (bias, positive: they waited longer), both from the middle of the range; or the share that fell inside the range."""

    show: Literal["error", "bias", "inside"]

    @property
    def unit(self) -> str:
        """Seconds or a share."""
        return "share" if self.show == "inside" else "seconds"


class Demand(Definition, frozen=True, tag="demand"):
    """Which share of calls need not have been: internal (from inside, by number or line), failure (by the code that an agent
    gave), or again (from a number that had called before in the same period, of those with a number)."""

    show: Literal["internal", "failure", "again"]

    @property
    def unit(self) -> str:
        """A share."""
        return "share"


class Contact(Definition, frozen=True, tag="contact"):
    """The calls of one need. `show`: how many needs; the share that got through in the end; of those, the share not at first;
    calls for each need."""

    show: Literal["contacts", "got_through", "later", "calls"]

    @property
    def unit(self) -> str:
        """By what it shows."""
        return {"contacts": "contacts", "calls": "calls"}.get(self.show, "share")


AnyDefinition = (
    Volume
    | ServiceLevel
    | Wait
    | Band
    | Abandonment
    | Waiting
    | Occupancy
    | Handling
    | Callback
    | Prediction
    | Demand
    | Contact
)
"""Every measure."""


def nanoseconds(seconds: float) -> int:
    """A threshold as whole nanoseconds: exact for what a person writes down."""
    return round(seconds * NANOSECONDS)
