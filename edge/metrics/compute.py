"""Any figure of any period under any definition, from the columns of a projection.

A call belongs to one period by the definition's attribution, and to one group by its own queue, line, ... Thresholds are compared
as whole nanoseconds. A quiet period has a figure too: of no calls, and without a value where there is nothing to divide.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, singledispatchmethod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy

from edge.metrics import statistic
from edge.metrics.book import Book
from edge.metrics.definition import (
    NANOSECONDS,
    Abandonment,
    Attribution,
    Band,
    Callback,
    Callbacks,
    Clock,
    Contact,
    Definition,
    Demand,
    Handling,
    Occupancy,
    Prediction,
    ServiceLevel,
    Volume,
    Wait,
    Waiting,
    nanoseconds,
)
from edge.metrics.periods import Period
from edge.mi.columns import FATES, NONE, OPEN_US, READY, SIGNED_IN, Flag, Rows
from edge.mi.folding import Hole
from edge.views.shift import Fate
from edge.views.words import tier_name

if TYPE_CHECKING:
    from edge.mi.projection import Figures

    Array = numpy.ndarray[Any, Any]
    _Spans = tuple[Array, Array]

T = TypeVar("T")
GROUPS = ("tier", "queue", "line", "force", "class", "language", "agent")
"""By what figures can be divided, beside time."""
_COLUMN = {
    "queue": "queue",
    "line": "line",
    "class": "priority_class",
    "language": "language",
    "agent": "first_agent",
}
MOST_KEPT = 24
"""Things that several figures need: as many as a report has."""
_OF_CALLS_ALONE = ("class", "language")
_FATE = {fate: FATES.index(fate) for fate in Fate}
_VOLUME_FLAGS = {
    "upgraded": Flag.UPGRADED,
    "withheld": Flag.WITHHELD,
    "assisted": Flag.ASSISTED,
    "fallback": Flag.FALLBACK,
    "abandoned in transfer": Flag.ABANDONED_IN_TRANSFER,
}
_CLOCKS = {
    Clock.TRUNK: "wait_trunk_ns",
    Clock.ANSWER: "wait_answer_ns",
    Clock.AFTER_ANNOUNCEMENT: "wait_announced_ns",
    Clock.QUEUE: "wait_queue_ns",
}


Label = tuple[tuple[str, str], ...]
"""A group: by what it is divided, and which it is of that."""
_EVERYBODY: Label = ()


class RefusedFigureError(ValueError):
    """It cannot be divided so; the message says why, and what can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """How far a period's figures can be relied on."""

    seen_share: float | None
    """Of the period as far as it is over: the share in which the switch was seen. None: it has not begun."""
    untraced_gaps: int
    """Times in it in which the switch was not seen, and of which its own record has not told everything since."""
    known_from_begin: bool
    """The record began before the period did."""
    known_to_end: bool
    """The period is over, and something is known of later. Before that its figures will change."""
    known_until_us: int
    """Nothing is known of later."""
    in_progress: int
    """Calls that arrived in it and have not ended: their figures will change."""
    unknown: int
    """Calls that arrived in it and whose end was not seen."""
    adopted: int
    """Calls that were found waiting: their true arrival was not seen."""
    ledger_trouble: bool
    """Facts could not be written at some time in it."""
    clock_share: float | None
    """As `seen_share`, in which the clock was synchronised."""

    @property
    def is_whole(self) -> bool:
        """Nothing is missing, and nothing will change but by a late correction."""
        missing = self.untraced_gaps or self.in_progress or self.unknown or self.ledger_trouble
        return self.known_from_begin and self.known_to_end and not missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure. `definition`: id@version. `numerator` and `denominator`: what a share is of, else how many it is of."""

    definition: str
    digest: str
    title: str
    unit: str
    period: Period
    group: Label
    value: float | None
    numerator: int | None
    denominator: int | None
    completeness: Completeness


@dataclass(frozen=True, slots=True)
class _Cell:
    value: float | None = None
    numerator: int | None = None
    denominator: int | None = None


class _Kept:
    """What several figures need and is made once, unless much else was made since: each thing may be of a million calls."""

    def __init__(self) -> None:
        self._made: dict[tuple[Hashable, ...], Any] = {}

    def once(self, make: Callable[[], T], *key: Hashable) -> T:
        """What was made under this key."""
        found: T = self._made.pop(key) if key in self._made else make()
        self._made[key] = found  # the last one of all again
        if len(self._made) > MOST_KEPT:
            del self._made[next(iter(self._made))]
        return found


class _Selection(_Kept):
    """What figures of one definition after the other are chosen from.

    Of periods it knows only the time from the begin of the first to the end of the last, so that it serves any division of that.
    """

    def __init__(self, figures: Figures, begin_us: int, end_us: int) -> None:
        super().__init__()
        self.calls, self.work = figures.calls, figures.work
        self.begin_us, self.end_us = begin_us, end_us


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Rows that a figure is of, each with its cell."""

    rows: Rows
    cell: Array
    labels: list[Label]
    cells: int

    def count(self, mask: Array) -> list[int]:
        """How many of them there are in each cell."""
        if self.cells == 1:
            return [int(numpy.count_nonzero(mask))]
        return statistic.count(self.cell[mask], self.cells)

    def statistic(self, of: Callable[[Array], float], values: Array, mask: Array) -> list[_Cell]:
        """Of these values, in seconds."""
        found = [_Cell(None, None, 0)] * self.cells
        for cell, some in statistic.split(self.cell[mask], values[mask], self.cells):
            found[cell] = _Cell(of(some) / NANOSECONDS, None, len(some))
        return found


def _shares(parts: Sequence[int], wholes: Sequence[int]) -> list[_Cell]:
    return [
        _Cell(part / whole if whole else None, part, whole) for part, whole in zip(parts, wholes, strict=True)
    ]


def _counts(counts: Sequence[int]) -> list[_Cell]:
    return [_Cell(count, None, count) for count in counts]


class Calculator:
    """Computes figures from one reading of a projection: `projection.figures(since, until, "completion")`."""

    def __init__(
        self, figures: Figures, book: Book, periods: Sequence[Period], selection: _Selection | None = None
    ) -> None:
        """`periods`: in order, each beginning where the one before ends."""
        self.figures = figures
        self.book = book
        self.periods = list(periods)
        self._begin_us = self.periods[0].start_us if self.periods else 0
        self._end_us = self.periods[-1].end_us if self.periods else 0
        self._selection = selection or _Selection(figures, self._begin_us, self._end_us)
        self._calls, self._work = self._selection.calls, self._selection.work
        self._chosen = _Kept()
        self._cuts = numpy.array(
            [*(p.start_us for p in self.periods), *(p.end_us for p in self.periods[-1:])], dtype=numpy.int64
        )

    def over(self, periods: Sequence[Period]) -> Calculator:
        """The same calls in other periods of the same time, or of a part of it: what was chosen of them is not chosen again."""
        made = Calculator(self.figures, self.book, periods, self._selection)
        if not self._selection.begin_us <= made._begin_us <= made._end_us <= self._selection.end_us:
            raise ValueError("these periods are not within those of before")
        return made

    def compute(self, name: str, by: Sequence[str] = ()) -> list[Figure]:
        """Figures of this definition: every period of every group that has any. Raises `RefusedFigureError`."""
        definition = self.book[name]
        self._permit(definition, by)
        plain = name.partition("@")[0]
        labels, cells = self._cells(definition, tuple(by))
        return [
            Figure(
                definition=f"{plain}@{definition.version}",
                digest=definition.digest,
                title=definition.title,
                unit=definition.unit,
                period=period,
                group=label,
                value=cells[index * len(self.periods) + place].value,
                numerator=cells[index * len(self.periods) + place].numerator,
                denominator=cells[index * len(self.periods) + place].denominator,
                completeness=self.completeness[place],
            )
            for index, label in sorted(enumerate(labels), key=lambda pair: pair[1])
            for place, period in enumerate(self.periods)
        ]

    def _permit(self, definition: Definition, by: Sequence[str]) -> None:
        if unknown := [each for each in by if each not in GROUPS]:
            raise RefusedFigureError(
                f"figures cannot be divided by {unknown[0]!r}: only by {', '.join(GROUPS)}"
            )
        if len(set(by)) != len(by):
            raise RefusedFigureError("name each division once")
        if "agent" in by and not self.book.by_agent:
            raise RefusedFigureError(
                "figures agent by agent are not allowed here: a force allows them by [policy] by_agent = true in metrics.toml"
            )
        if isinstance(definition, Handling) and (alone := [each for each in by if each in _OF_CALLS_ALONE]):
            raise RefusedFigureError(
                f"work on a call cannot be divided by {alone[0]}: only by tier, queue, line, force, agent"
            )
        if isinstance(definition, Occupancy) and set(by) - {"agent"}:
            raise RefusedFigureError(
                "an agent is at work for every queue: divide it by agent alone, or not at all"
            )

    # --- completeness

    @cached_property
    def completeness(self) -> list[Completeness]:
        """Of each period."""
        calls = self._calls
        place = self._place(calls["arrived_us"])
        counted = (place >= 0) & (calls["flags"] & Flag.TEST == 0)

        def count(mask: Array) -> list[int]:
            return statistic.count(place[counted & mask], len(self.periods))

        in_progress = count(calls["flags"] & Flag.IN_PROGRESS != 0)
        unknown, adopted = (
            count(calls["fate"] == _FATE[Fate.UNKNOWN]),
            count(calls["flags"] & Flag.ADOPTED != 0),
        )
        until = self.figures.last_us
        over = numpy.minimum(self._cuts[1:], until) - numpy.minimum(self._cuts[:-1], until)
        unseen, unsure, stuck = (self._missing(hole) for hole in (Hole.SWITCH, Hole.CLOCK, Hole.LEDGER))
        return [
            Completeness(
                seen_share=_part_left(int(unseen[i]), int(over[i])),
                untraced_gaps=self._untraced(period),
                known_from_begin=self.figures.first_us <= period.start_us,
                known_to_end=period.end_us <= until,
                known_until_us=until,
                in_progress=in_progress[i],
                unknown=unknown[i],
                adopted=adopted[i],
                ledger_trouble=bool(stuck[i]),
                clock_share=_part_left(int(unsure[i]), int(over[i])),
            )
            for i, period in enumerate(self.periods)
        ]

    def _untraced(self, period: Period) -> int:
        return sum(
            hole.hole is Hole.SWITCH
            and not hole.traced
            and hole.started_us < period.end_us
            and (hole.ended_us is None or hole.ended_us > period.start_us)
            for hole in self.figures.holes
        )

    def _missing(self, hole: Hole) -> Array:
        """Microseconds of each period that fall into such holes."""
        until = self.figures.last_us
        spans = [
            (each.started_us, min(until, until if each.ended_us is None else each.ended_us))
            for each in self.figures.holes
            if each.hole is hole and each.started_us < until
        ]
        if hole is Hole.SWITCH:
            spans.append((0, min(self.figures.first_us, until)))
        starts, ends = (
            numpy.array(part, dtype=numpy.int64) for part in (zip(*spans, strict=True) if spans else ((), ()))
        )
        return statistic.within(*statistic.merged(starts, ends), self._cuts)

    # --- choosing

    def _place(self, times: Array) -> Array:
        """The period of each time, -1 for none."""
        place = numpy.searchsorted(self._cuts, times, side="right") - 1
        return numpy.where(place >= len(self.periods), -1, place)

    def _about(self, definition: Definition) -> tuple[Hashable, ...]:
        """Which calls, or work on them, a definition is about, of any period. Many definitions are about the same."""
        return (
            *(definition.tier, definition.queues, definition.lines, definition.internal, definition.tests),
            definition.callbacks is Callbacks.OUT,
        )

    def _mask(self, definition: Definition, rows: Rows) -> Array:
        return self._selection.once(
            lambda: self._new_mask(definition, rows), "mask", id(rows), *self._about(definition)
        )

    def _new_mask(self, definition: Definition, rows: Rows) -> Array:
        mask: Array = rows["flags"] & Flag.CONSULTATION == 0
        if not definition.tests:
            mask &= rows["flags"] & Flag.TEST == 0
        if definition.tier is not None:
            mask &= rows["tier"] == (0 if definition.tier == "999" else 1)
        if definition.queues is not None:
            mask &= numpy.isin(rows["queue"], self._numbers(definition.queues))
        if definition.lines is not None:
            mask &= numpy.isin(rows["line"], self._numbers(definition.lines))
        if not definition.internal:
            mask &= ~self._internal(rows)
        if definition.callbacks is Callbacks.OUT:
            mask &= rows["flags"] & Flag.PROMISED_CALLBACK == 0
        return mask

    def _numbers(self, words: Iterable[str]) -> Array:
        wanted = set(words)
        return numpy.array(
            [number for number, word in enumerate(self.figures.words) if word in wanted], dtype=numpy.int64
        )

    def _internal(self, rows: Rows) -> Array:
        """Calls from inside, or work on them."""
        by_line: Array = numpy.isin(rows["line"], self._numbers(self.book.internal_lines))
        by_number: Array = rows["flags"] & Flag.SHORT_NUMBER != 0
        return by_line | by_number

    @staticmethod
    def _times(attribution: Attribution, rows: Rows) -> Array:
        """To what time each call is attributed; OPEN_US: to none yet."""
        match attribution:
            case Attribution.ARRIVAL:
                times: Array = rows["arrived_us"]
            case Attribution.COMPLETION:
                times = rows["ended_us"]
            case Attribution.EVENT:
                answered = (rows["fate"] == _FATE[Fate.ANSWERED]) & (rows["first_us"] != NONE)
                times = numpy.where(answered, rows["first_us"], rows["ended_us"])
        return times

    def _choose(
        self,
        definition: Definition,
        by: tuple[str, ...],
        rows: Rows,
        times: Callable[[], Array],
        *of_times: Hashable,
        more: Callable[[], Array] | None = None,
    ) -> _Chosen:
        """Of `rows` those that the definition is about and that are `more`, at `times` in a period.

        `of_times`: from what both of these follow, beside the rows.
        """
        key = (id(rows), *self._about(definition), *of_times)
        whole = self._selection

        def choose() -> tuple[Rows, Array]:
            at, mask = times(), self._mask(definition, rows)
            mask = mask & (at >= whole.begin_us) & (at < whole.end_us)
            if more is not None:
                mask &= more()
            return rows.take(mask), at[mask]

        def chosen() -> _Chosen:
            part, at = whole.once(
                lambda: self._part_of(*whole.once(choose, "all", key)), "part", key, self._time
            )
            code, labels = self._codes(part, by)
            cell = code * len(self.periods) + self._place(at)
            return _Chosen(part, cell, labels, len(labels) * len(self.periods))

        return self._chosen.once(chosen, key, by)

    def _part_of(self, rows: Rows, at: Array) -> tuple[Rows, Array]:
        """Those at a time in a period."""
        inside = (at >= self._begin_us) & (at < self._end_us)
        return (rows, at) if inside.all() else (rows.take(inside), at[inside])

    @property
    def _time(self) -> tuple[int, int]:
        return self._begin_us, self._end_us

    def _codes(self, rows: Rows, by: tuple[str, ...]) -> tuple[Array, list[Label]]:
        """The group of each row, and the groups."""
        if not by:
            return numpy.zeros(len(rows), dtype=numpy.int64), [()]
        parts = [self._part(rows, each) for each in by]
        code = numpy.zeros(len(rows), dtype=numpy.int64)
        for numbers, names in parts:
            code = code * len(names) + numbers
        found, inverse = numpy.unique(code, return_inverse=True)
        labels: list[Label] = []
        for value in found.tolist():
            label: list[tuple[str, str]] = []
            for each, (_, names) in zip(reversed(by), reversed(parts), strict=True):
                value, number = divmod(value, len(names))
                label.append((each, names[number]))
            labels.append(tuple(reversed(label)))
        return inverse.astype(numpy.int64), labels

    def _part(self, rows: Rows, by: str) -> tuple[Array, Sequence[str]]:
        """Of each row the number of its name, and the names."""
        words = self.figures.words
        if by == "tier":
            return rows["tier"].astype(numpy.int64), [tier_name(0), tier_name(1)]
        if by == "force":
            forces = ["", *sorted(set(self.book.force_of_line.values()))]
            of_word = numpy.array([forces.index(self.book.force_of_line.get(word, "")) for word in words])
            return of_word[rows["line"]], forces
        column = "agent" if by == "agent" and "agent" in rows else _COLUMN[by]
        return rows[column].astype(numpy.int64), words

    def _waits(self, definition: Definition, rows: Rows) -> Array:
        """By the definition's clock, NONE where it is not known; of a call-back gross or net."""
        waits: Array = rows[_CLOCKS[definition.clock]]
        if definition.callbacks is Callbacks.NET:
            return numpy.where(waits == NONE, NONE, numpy.maximum(0, waits - rows["off_line_ns"]))
        return waits

    # --- measures

    @singledispatchmethod
    def _cells(self, definition: Definition, by: tuple[str, ...]) -> tuple[list[Label], list[_Cell]]:
        raise NotImplementedError(type(definition).__name__)

    def _simple(self, definition: Definition, by: tuple[str, ...]) -> _Chosen:
        calls, attribution = self._calls, definition.attribution
        return self._choose(definition, by, calls, lambda: self._times(attribution, calls), attribution)

    @_cells.register
    def _volume(self, definition: Volume, by: tuple[str, ...]) -> tuple[list[Label], list[_Cell]]:
        chosen = self._simple(definition, by)
        rows, which = chosen.rows, definition.which
        if which == "offered":
            mask = numpy.ones(len(rows), dtype=bool)
        elif which in _VOLUME_FLAGS:
            mask = rows["flags"] & _VOLUME_FLAGS[which] != 0
        elif which == "sent back":
            mask = rows["flags"] & Flag.SENT_BACK != 0
        else:
            mask = rows["fate"] == _FATE[Fate(which)]
        return chosen.labels, _counts(chosen.count(mask))

    @_cells.register
    def _service_level(
        self, definition: ServiceLevel, by: tuple[str, ...]
    ) -> tuple[list[Label], list[_Cell]]:
        calls, threshold = self._calls, nanoseconds(definition.threshold_seconds)
        if definition.attribution is Attribution.EVENT:
            chosen = self._choose(
                definition,
                by,
                calls,
                lambda: self._event_times(definition, calls, threshold),
                *(definition.attribution, threshold, definition.boundary, definition.clock),
                definition.callbacks,
            )
        else:
            chosen = self._simple(definition, by)
        rows, waits = chosen.rows, self._waits(definition, chosen.rows)
        inside = _under(waits, threshold, definition.boundary)
        answered, abandoned, lost = self._decided(rows, definition.losses == "bad")
        if (
            definition.attribution is Attribution.EVENT
        ):  # who waits beyond the threshold has missed it, whatever comes
            lost |= rows["fate"] == _FATE[Fate.WAITING]
        early = abandoned & inside
        short = (
            abandoned & _under(waits, nanoseconds(definition.short_abandon_seconds), definition.boundary)
            if definition.short_abandon_seconds is not None
            else numpy.zeros(len(rows), dtype=bool)
        )
        everything = answered | abandoned | lost
        decided = rows["fate"] != _FATE[Fate.WAITING]
        good, base = {
            "sl1": ((answered & inside) | early, everything),
            "sl2": (answered & inside, answered),
            "sl3": (answered & inside, everything),
            "sl4": (answered & inside, everything & ~early),
            "sl5": ((answered & inside) | short, everything),
            "sl5_base": (answered & inside, everything & ~short),
            "offered": (answered & inside, decided | lost),
        }[definition.formula]
        return chosen.labels, _shares(chosen.count(good), chosen.count(base))

    def _decided(self, rows: Rows, with_losses: bool) -> tuple[Array, Array, Array]:
        """Who was answered, who gave up, and who waited in vain otherwise."""
        fate = rows["fate"]
        lost = numpy.zeros(len(rows), dtype=bool)
        if with_losses:
            let_go = (fate == _FATE[Fate.TURNED_AWAY]) | (fate == _FATE[Fate.OVERFLOWED])
            lost = (
                (fate == _FATE[Fate.UNKNOWN])
                | (fate == _FATE[Fate.UNREACHED])
                | (let_go & (rows["flags"] & Flag.IN_VAIN != 0))
            )
        return fate == _FATE[Fate.ANSWERED], fate == _FATE[Fate.ABANDONED], lost

    def _event_times(self, definition: ServiceLevel, rows: Rows, threshold_ns: int) -> Array:
        """When a call was answered or left in time, or when the threshold passed; OPEN_US: nothing of that yet."""
        waits = self._waits(definition, rows)
        decided = numpy.where(rows["first_us"] != NONE, rows["first_us"], rows["ended_us"])
        known = waits != NONE
        start = rows["arrived_us" if definition.clock is Clock.TRUNK else "joined_us"]
        begun = numpy.where(known, decided - waits // 1000, start)
        passes = begun + threshold_ns // 1000
        now_us = self.figures.last_us
        in_time = known & _under(waits, threshold_ns, definition.boundary)
        late = numpy.where(known | (passes <= now_us), passes, OPEN_US)
        return numpy.where(
            in_time, decided, numpy.where(decided == OPEN_US, late, numpy.minimum(late, decided))
        )

    @_cells.register
    def _wait(self, definition: Wait, by: tuple[str, ...]) -> tuple[list[Label], list[_Cell]]:
        chosen = self._simple(definition, by)
        rows = chosen.rows
        waits = rows["right_desk_ns"] if definition.desk == "right" else self._waits(definition, rows)
        answered, abandoned, lost = self._decided(rows, with_losses=True)
        known = waits != NONE
        if definition.of == "answered":
            mask = answered & known
        elif definition.of == "abandoned":
            mask = abandoned & known
        else:
            return chosen.labels, self._of_all_who_waited(
                definition, chosen, waits, answered, abandoned | lost
            )
        return chosen.labels, chosen.statistic(statistic.STATISTICS[definition.statistic], waits, mask)

    def _of_all_who_waited(
        self, definition: Wait, chosen: _Chosen, waits: Array, answered: Array, in_vain: Array
    ) -> list[_Cell]:
        rows = chosen.rows
        still = rows["fate"] == _FATE[Fate.WAITING]
        so_far = numpy.maximum(0, self.figures.last_us - rows["joined_us"]) * 1000
        waits = numpy.where(still & (waits == NONE), so_far, waits)
        mask = (answered | in_vain | still) & (waits != NONE)
        if definition.statistic == "longest":
            return chosen.statistic(statistic.longest, waits, mask)
        share = 0.9 if definition.statistic == "p90" else 0.5
        found = [_Cell(None, None, 0)] * chosen.cells
        index = numpy.flatnonzero(mask)
        for cell, members in statistic.split(chosen.cell[mask], index, chosen.cells):
            value = statistic.censored_quantile(waits[members], answered[members], share)
            found[cell] = _Cell(None if value is None else value / NANOSECONDS, None, len(members))
        return found

    @_cells.register
    def _band(self, definition: Band, by: tuple[str, ...]) -> tuple[list[Label], list[_Cell]]:
        chosen = self._simple(definition, by)
        waits = self._waits(definition, chosen.rows)
        answered, abandoned, _ = self._decided(chosen.rows, with_losses=False)
        base = (answered if definition.of == "answered" else abandoned) & (waits != NONE)
        inside = base & (waits >= nanoseconds(definition.from_seconds))
        if definition.under_seconds is not None:
            inside &= waits < nanoseconds(definition.under_seconds)
        if definition.show == "count":
            return chosen.labels, _counts(chosen.count(inside))
        return chosen.labels, _shares(chosen.count(inside), chosen.count(base))

    @_cells.register
    def _abandonment(self, definition: Abandonment, by: tuple[str, ...]) -> tuple[list[Label], list[_Cell]]:
        chosen = self._simple(definition, by)
        rows = chosen.rows
        answered, abandoned, _ = self._decided(rows, with_losses=False)
        if definition.short == "out":
            waits = self._waits(definition, rows)
            abandoned &= ~_under(waits, nanoseconds(definition.short_abandon_seconds), "under")
        if definition.by == "call":
            return chosen.labels, _shares(chosen.count(abandoned), chosen.count(answered | abandoned))
        return chosen.labels, self._by_caller(chosen, answered, abandoned)

    def _by_caller(self, chosen: _Chosen, answered: Array, abandoned: Array) -> list[_Cell]:
        """Each caller of a cell once. A call without a number is a caller of its own."""
        caller, callers = self._callers(chosen.rows)
        mask, nameless = answered | abandoned, caller < 0
        named = mask & ~nameless
        keys = numpy.sort(2 * (chosen.cell[named] * callers + caller[named]) + ~answered[named])
        # Of each caller in each cell the first: answered, if any call of theirs was.
        first = numpy.diff(keys >> 1, prepend=-1) != 0
        got_through, cell_of = keys[first] & 1 == 0, (keys[first] >> 1) // max(1, callers)
        alone = chosen.count(mask & nameless)
        gave_up_alone = chosen.count(mask & nameless & ~answered)
        gave_up = statistic.count(cell_of[~got_through], chosen.cells)
        everybody = statistic.count(cell_of, chosen.cells)
        return _shares(
            [some + more for some, more in zip(gave_up, gave_up_alone, strict=True)],
            [some + more for some, more in zip(everybody, alone, strict=True)],
        )

    def _callers(self, rows: Rows) -> tuple[Array, int]:
        """Of each call the number of its caller, from 0, -1 for none; and how many callers there are."""

        def number() -> tuple[Rows, Array, int]:
            found, numbers = numpy.unique(rows["caller"], return_inverse=True)
            return rows, numpy.where(rows["caller"] == 0, -1, numbers.astype(numpy.int64)), len(found)

        # Kept with the rows: so long their id is nobody else's.
        _, caller, callers = self._selection.once(number, "callers", id(rows))
        return caller, callers

    @_cells.register
    def _waiting(self, definition: Waiting, by: tuple[str, ...]) -> tuple[list[Label], list[_Cell]]:
        calls = self._calls
        code, labels = self._codes(calls, by)
        mask = self._mask(definition, calls)
        promised = (calls["promised_us"] != NONE) if definition.only != "all" else None
        done = numpy.where(calls["first_us"] != NONE, calls["first_us"], calls["ended_us"])
        cells = []
        for label in range(len(labels)):
            of_group = mask & (code == label)
            for period in self.periods:
                at = min(period.end_us, self.figures.last_us)
                waits = of_group & (calls["joined_us"] <= at) & (done > at)
                if promised is not None:
                    was_promised = promised & (calls["promised_us"] <= at)
                    waits &= was_promised if definition.only == "callbacks" else ~was_promised
                number = int(waits.sum())
                oldest = (at - int(calls["joined_us"][waits].min())) / 1e6 if number else None
                cells.append(_Cell(number if definition.show == "count" else oldest, None, number))
        return labels, cells

    @_cells.register
    def _occupancy(self, definition: Occupancy, by: tuple[str, ...]) -> tuple[list[Label], list[_Cell]]:
        agents, busy, there = self._agents_time(definition.of)
        labels: list[Label]
        if by:
            labels = [(("agent", self.figures.words[agent]),) for agent in agents.tolist()]
        else:
            labels, busy, there = [_EVERYBODY], busy.sum(axis=0), there.sum(axis=0)
        return labels, _shares(busy.ravel().tolist(), there.ravel().tolist())

    def _agents_time(self, of: str) -> tuple[Array, Array, Array]:
        """Agents, and for each the microseconds at work on calls, and there for them, in each period."""
        agents, lines, busy, both = self._selection.once(lambda: self._hours(of), "hours", of)
        return agents, lines.within(*busy, self._cuts), lines.within(*both, self._cuts)

    def _hours(self, of: str) -> tuple[Array, statistic.Lines, _Spans, _Spans]:
        """Agents, and on a line of all of them when they were at work on calls, and when they were that or there for calls."""
        who, starts, ends = self._selection.once(self._at_work, "at work")
        spans = self.figures.spans
        there = spans[numpy.isin(spans["state"], self._numbers([READY if of == "ready" else SIGNED_IN]))]
        agents = numpy.union1d(who, there["agent"])
        number = numpy.zeros(len(self.figures.words), dtype=numpy.int64)
        number[agents] = numpy.arange(len(agents))
        bounds = [_bounds(each) for each in (starts, ends, there["started_us"], there["ended_us"])]
        begin = min((bound for each in bounds for bound in each), default=0)
        end = max((bound for each in bounds for bound in each), default=0)
        lines = statistic.Lines(len(agents), begin, end - begin + 1)
        busy = lines.at(number[who], starts), lines.at(number[who], ends)
        her = number[there["agent"]]
        both = statistic.merged(
            numpy.concatenate((busy[0], lines.at(her, there["started_us"]))),
            numpy.concatenate((busy[1], lines.at(her, there["ended_us"]))),
        )
        return agents, lines, busy, both

    def _at_work(self) -> tuple[Array, Array, Array]:
        """Agents, and when each began and ended to be at work on calls, in order; of one agent no time twice."""
        work, until = self._work, self.figures.last_us
        wrapped = work.take(work["wrap_started_us"] != NONE)
        starts = numpy.concatenate((work["started_us"], wrapped["wrap_started_us"]))
        ends = numpy.concatenate(
            (
                _end(work["started_us"], work["talked_ns"], until),
                _end(wrapped["wrap_started_us"], wrapped["wrapped_ns"], until),
            )
        )
        who = numpy.concatenate((work["agent"], wrapped["agent"])).astype(numpy.int64)
        agents = len(self.figures.words)
        order = statistic.order_of(who, agents)
        bounds = [*_bounds(starts), *_bounds(ends)]
        begin = min(bounds, default=0)
        lines = statistic.Lines(agents, begin, max(bounds, default=0) - begin + 1)
        merged = statistic.merged(lines.at(who[order], starts[order]), lines.at(who[order], ends[order]))
        (whose, begun), (_, ended) = (lines.of(places) for places in merged)
        return whose, begun, ended

    @_cells.register
    def _handling(self, definition: Handling, by: tuple[str, ...]) -> tuple[list[Label], list[_Cell]]:
        work = self._work
        chosen = self._choose(
            definition, by, work, lambda: work["started_us"], more=lambda: work["talked_ns"] != NONE
        )
        rows = chosen.rows
        wrap_up = numpy.maximum(0, rows["wrapped_ns"])
        values = {
            "all": rows["talked_ns"] + wrap_up,
            "talk": rows["talked_ns"],
            "hold": rows["held_ns"],
            "wrap_up": wrap_up,
        }[definition.part]
        mask = numpy.ones(len(rows), dtype=bool)
        if definition.part == "wrap_up":
            mask = rows["wrapped_ns"] != NONE
        return chosen.labels, chosen.statistic(statistic.STATISTICS[definition.statistic], values, mask)

    @_cells.register
    def _callback(self, definition: Callback, by: tuple[str, ...]) -> tuple[list[Label], list[_Cell]]:
        chosen = self._simple(definition, by)
        rows, flags = chosen.rows, chosen.rows["flags"]
        offered, promised = flags & Flag.OFFERED_CALLBACK != 0, flags & Flag.PROMISED_CALLBACK != 0
        undecided = numpy.isin(
            rows["fate"], [_FATE[fate] for fate in (Fate.WAITING, Fate.MERGED, Fate.CANCELLED)]
        )
        decided, reached = promised & ~undecided, promised & (rows["reached_ns"] != NONE)
        rung = reached & (rows["attempts"] > 0)
        quoted = decided & (rows["quoted_high_ns"] != NONE)
        match definition.show:
            case "offered":
                return chosen.labels, _counts(chosen.count(offered))
            case "accepted":
                return chosen.labels, _counts(chosen.count(flags & Flag.ACCEPTED_CALLBACK != 0))
            case "promised":
                return chosen.labels, _counts(chosen.count(promised))
            case "promise_wait" | "reconnect_wait":
                column = "reached_ns" if definition.show == "promise_wait" else "reconnect_ns"
                of = statistic.STATISTICS[definition.statistic or "mean"]
                return chosen.labels, chosen.statistic(of, rows[column], promised & (rows[column] != NONE))
            case "attempts":
                return chosen.labels, self._attempts(chosen, decided & (rows["attempts"] > 0))
        part, whole = {
            "take_up": (promised & offered, offered),
            "reached": (reached & decided, decided),
            "reached_at_first": (rung & (rows["attempts"] == 1), rung),
            "kept": (quoted & reached & (rows["reached_ns"] <= rows["quoted_high_ns"]), quoted),
            "unreached": (decided & (rows["fate"] == _FATE[Fate.UNREACHED]), decided),
        }[definition.show]
        return chosen.labels, _shares(chosen.count(part), chosen.count(whole))

    def _attempts(self, chosen: _Chosen, mask: Array) -> list[_Cell]:
        found = [_Cell(None, None, 0)] * chosen.cells
        attempts = chosen.rows["attempts"][mask].astype(numpy.int64)
        for cell, some in statistic.split(chosen.cell[mask], attempts, chosen.cells):
            found[cell] = _Cell(statistic.mean(some), int(some.sum()), len(some))
        return found

    @_cells.register
    def _prediction(self, definition: Prediction, by: tuple[str, ...]) -> tuple[list[Label], list[_Cell]]:
        chosen = self._simple(definition, by)
        rows = chosen.rows
        low, high, actual = (rows[f"predicted_{each}_ns"] for each in ("low", "high", "actual"))
        known = (low != NONE) & (actual != NONE)
        if definition.show == "inside":
            inside = known & (actual >= low) & (actual <= high)
            return chosen.labels, _shares(chosen.count(inside), chosen.count(known))
        twice = 2 * actual - low - high
        values = numpy.abs(twice) if definition.show == "error" else twice
        return chosen.labels, chosen.statistic(lambda some: statistic.mean(some) / 2, values, known)

    @_cells.register
    def _demand(self, definition: Demand, by: tuple[str, ...]) -> tuple[list[Label], list[_Cell]]:
        chosen = self._simple(definition, by)
        rows = chosen.rows
        if definition.show == "internal":
            everything = numpy.ones(len(rows), dtype=bool)
            return chosen.labels, _shares(chosen.count(self._internal(rows)), chosen.count(everything))
        if definition.show == "failure":
            coded = rows["code"] != 0
            failed = coded & numpy.isin(rows["code"], self._numbers(self.book.failure_codes))
            return chosen.labels, _shares(chosen.count(failed), chosen.count(coded))
        caller, callers = self._callers(rows)
        known = caller >= 0
        keys = numpy.sort(chosen.cell[known] * callers + caller[known])
        first = keys[numpy.diff(keys, prepend=-1) != 0] // max(1, callers)
        calls, once = chosen.count(known), statistic.count(first, chosen.cells)
        return chosen.labels, _shares([c - f for c, f in zip(calls, once, strict=True)], calls)

    @_cells.register
    def _contact(self, definition: Contact, by: tuple[str, ...]) -> tuple[list[Label], list[_Cell]]:
        found = self._selection.once(lambda: self._contacts(definition), "contacts", *self._about(definition))
        place = self._place(self._times(definition.attribution, found.heads))
        kept = place >= 0
        heads = found.heads.take(kept)
        code, labels = self._codes(heads, by)
        chosen = _Chosen(
            heads, code * len(self.periods) + place[kept], labels, len(labels) * len(self.periods)
        )
        through, waiting, sizes = found.through[kept], found.waiting[kept], found.sizes[kept]
        match definition.show:
            case "contacts":
                return labels, _counts(chosen.count(numpy.ones(len(heads), dtype=bool)))
            case "got_through":
                decided = through | ~waiting
                return labels, _shares(chosen.count(through), chosen.count(decided))
            case "later":
                at_first = heads["fate"] == _FATE[Fate.ANSWERED]
                return labels, _shares(chosen.count(through & ~at_first), chosen.count(through))
        found_cells = [_Cell(None, None, 0)] * chosen.cells
        for cell, some in statistic.split(chosen.cell, sizes, chosen.cells):
            found_cells[cell] = _Cell(statistic.mean(some), int(some.sum()), len(some))
        return labels, found_cells

    def _contacts(self, definition: Contact) -> _Contacts:
        calls = self._calls
        rows = calls.take(self._mask(definition, calls))
        rows = rows.take(numpy.argsort(rows["number"], kind="stable"))
        found, first, inverse = numpy.unique(rows["contact"], return_index=True, return_inverse=True)
        through = numpy.zeros(len(found), dtype=bool)
        through[inverse[rows["fate"] == _FATE[Fate.ANSWERED]]] = True
        waiting = numpy.zeros(len(found), dtype=bool)
        waiting[inverse[rows["fate"] == _FATE[Fate.WAITING]]] = True
        sizes = numpy.bincount(inverse, minlength=len(found))
        return _Contacts(rows.take(first), through, waiting, sizes)


@dataclass(frozen=True, slots=True)
class _Contacts:
    """Calls of one need, as one each."""

    heads: Rows
    """The first call of each."""
    through: Array
    """Whether any of its calls was answered."""
    waiting: Array
    """Whether any of its calls waits."""
    sizes: Array
    """How many calls."""


def _under(waits: Array, threshold_ns: int, boundary: str) -> Array:
    """Known waits within a threshold."""
    inside: Array = (waits <= threshold_ns) if boundary == "up_to" else (waits < threshold_ns)
    known: Array = waits != NONE
    return inside & known


def _end(started_us: Array, lasted_ns: Array, until_us: int) -> Array:
    return numpy.where(lasted_ns == NONE, numpy.maximum(until_us, started_us), started_us + lasted_ns // 1000)


def _bounds(times: Array) -> list[int]:
    """The earliest and the latest, if there are any."""
    return [int(times.min()), int(times.max())] if len(times) else []


def _part_left(missing: int, whole: int) -> float | None:
    return None if whole <= 0 else 1.0 - min(missing, whole) / whole
