"""What a probe is, and what it says: figures with thresholds, findings with evidence, and the words that explain them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from hwtest.probes.sheet import Sheet
    from hwtest.site import Site


class Level(StrEnum):
    """Where a probe may run. `safe`: also on a live appliance, with test numbers alone. `lab`: loads or breaks things."""

    SAFE = "safe"
    LAB = "lab"


class Need(StrEnum):
    """What a probe cannot do without."""

    CAPTURE = "capture"
    """A raw socket (CAP_NET_RAW), to see the wire."""
    SOFTPHONE = "softphone"
    """PJSUA2."""
    SIPP = "sipp"
    CONTROL = "control"
    """A control interface of the switch (AMI or ARI)."""
    RECORD = "record"
    """The daemon's record: its ledger or its pull API."""
    ROOT = "root"


class Verdict(StrEnum):
    """What a probe came to. What was not measured never counts as a pass."""

    PASS = "pass"  # noqa: S105 - a verdict
    WARN = "warn"
    FAIL = "fail"
    NOT_MEASURED = "not_measured"

    @property
    def exit_status(self) -> int:
        """Of a command that came to this."""
        return _EXIT_STATUSES[self]

    @property
    def words(self) -> str:
        """For a person."""
        return self.value.replace("_", " ")


_EXIT_STATUSES = {Verdict.PASS: 0, Verdict.WARN: 1, Verdict.FAIL: 2, Verdict.NOT_MEASURED: 3}
_GRAVITY = (Verdict.PASS, Verdict.WARN, Verdict.NOT_MEASURED, Verdict.FAIL)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The gravest: a failure that was seen weighs more than what could not be measured, and that more than a warning.

    Of nothing at all it is not measured.
    """
    return max(verdicts, key=_GRAVITY.index, default=Verdict.NOT_MEASURED)


class Layer(StrEnum):
    """Whom a finding blames."""

    METER = "meter"
    """The instrument itself or the machine that it runs on."""
    HOST = "host"
    """The machine under the switch: its disk, name look-up, limits."""
    CLOCK = "clock"
    NETWORK = "network"
    TRUNK = "trunk"
    PHONE = "phone"
    SWITCH = "switch"
    DIALPLAN = "dialplan"
    DAEMON = "daemon"
    RECORD = "record"


class NotMeasuredError(Exception):
    """The probe cannot measure here. `mend`: what a person does so that it can, a command where there is one."""

    def __init__(self, reason: str, mend: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.mend = mend


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected of a figure: up to `passes` it passes, up to `warns` it is a warning, beyond that a failure.

    With `at_least` the other way round: from `passes` up it passes.
    """

    figure: str
    """Name of the figure that it judges. A profile may give other numbers under `[thresholds."PROBE"]`."""
    statistic: str
    """Which number of the figure: `value`, or `p50`, `p95`, `p99`, `max` of a distribution."""
    passes: float
    warns: float
    unit: str
    clause: str
    """Where the numbers come from: the clause of a standard, or `own`."""
    code: str
    """Of the finding that a figure beyond it makes."""
    at_least: bool = False
    from_profile: bool = False
    """Whether the target's profile gave the numbers."""

    def judge(self, value: float) -> Verdict:
        """What a value comes to."""
        if self._holds(value, self.passes):
            return Verdict.PASS
        return Verdict.WARN if self._holds(value, self.warns) else Verdict.FAIL

    def _holds(self, value: float, limit: float) -> bool:
        return value >= limit if self.at_least else value <= limit


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """How many samples were over the bin before and up to `up_to`."""

    up_to: float
    count: int


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """Many samples of one thing. Never a mean: what is rare and long is what a caller complains of."""

    p50: float
    p95: float
    p99: float
    maximum: float
    histogram: tuple[Bin, ...]
    samples: tuple[float, ...]
    """In the order in which they were taken."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was measured."""

    name: str
    unit: str
    n: int
    """How many samples or trials."""
    statistic: str = "value"
    """Which number of a distribution `value` is."""
    value: float | None = None
    """Null: undefined (a share of nothing, a quality without audio); it is never zero then."""
    distribution: Distribution | None = None
    low: float | None = None
    """95 % interval of `value`. Null: none can be given, such as an upper end from too few samples."""
    high: float | None = None
    uncertainty: float | None = None
    """Of the meter, in `unit`, one-sided; null: negligible or unknown, and then a note says so."""
    threshold: Threshold | None = None
    verdict: Verdict | None = None
    """Null for a figure that is shown and not judged."""
    note: str = ""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What a finding rests on, so that another can look."""

    text: str
    call_id: str | None = None
    messages: tuple[int, ...] = ()
    """Numbers in the ladder of that call, from 1."""
    frames: tuple[int, ...] = ()
    """Numbers in the capture `file`, from 1."""
    file: str | None = None
    line: int | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it must be: what was seen, whom to blame, what the caller notices, how to go on."""

    code: str
    """`hwtest explain CODE` says the same without a target."""
    verdict: Verdict
    layer: Layer
    summary: str
    evidence: tuple[Evidence, ...]
    meaning: str
    caller_notices: str
    causes: tuple[str, ...]
    """The likeliest first."""
    confirm: str
    """A command, or what to look at."""
    mend: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a ladder."""

    at_ms: float
    """Since the first message of the ladder."""
    source: int
    """Index in the ladder's `parties`."""
    target: int
    label: str
    call_id: str
    repeated: bool = False
    """Whether it was sent before."""


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """The messages of a call between its parties, in order of time."""

    title: str
    parties: tuple[str, ...]
    messages: tuple[Message, ...]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one thing, such as a latency at each number of waiting callers."""

    name: str
    points: tuple[tuple[float, float], ...]


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """A growth curve or a time line."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]


class Artefact(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was made: a capture, a recording, the raw output of a tool. It goes into the bundle."""

    file: str
    """Below the run's folder."""
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a finding code means, in plain words; a finding carries all of it."""

    code: str
    layer: Layer
    meaning: str
    caller_notices: str
    causes: tuple[str, ...]
    confirm: str
    mend: str


Measure = Callable[["Site", "Sheet"], Awaitable[None]]
"""Does the work. It writes on the sheet as it goes, so that what was measured before an interruption is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One diagnostic: its place in the catalogue, what it needs, what it means, and how it is done."""

    name: str
    number: int
    """In the catalogue, which is the order in which a technician goes."""
    title: str
    level: Level
    needs: frozenset[Need] = frozenset()
    seconds: float
    """How long it usually takes; after `limit_seconds` it is ended and not measured."""
    term: str
    """The field's name of what is measured."""
    reference: str
    """The standard that defines it, with its clause; or `own`."""
    meaning: str
    """Why one measures it."""
    thresholds: tuple[Threshold, ...] = ()
    explanations: tuple[Explanation, ...]
    measure: Measure

    @property
    def limit_seconds(self) -> float:
        """How long it may take at the most."""
        return max(3 * self.seconds, self.seconds + 20)

    def explanation(self, code: str) -> Explanation:
        """Of one of its codes."""
        return next(explanation for explanation in self.explanations if explanation.code == code)

    def threshold(self, figure: str) -> Threshold | None:
        """Of one of its figures, by default."""
        return next((threshold for threshold in self.thresholds if threshold.figure == figure), None)
