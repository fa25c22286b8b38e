"""What a benchmark says: blocks as they were measured, figures as they are published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hwtest.statistics import Interval, Summary, bootstrap_ratio, percentile, ratio_of_percentiles, summarise

LEAST_NULL_BLOCKS = 2
"""On each side: drawing from a single block gives an interval without width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One stretch of measuring one system. Samples are in milliseconds.

    `invalid` says why it does not count (it is shown all the same), `dropped` is None when the wire was not captured.
    """

    figure: str
    system: str
    samples: list[float]
    seconds: float
    load_average: float
    steal_share: float
    busy_share: float
    retransmissions: int
    dropped: int | None
    invalid: str | None = None
    benchmark: str = ""
    """As a figure's."""

    @property
    def only_repeated(self) -> bool:
        """Whether retransmissions are its only fault."""
        return self.invalid == retransmission_fault(self.retransmissions)


def retransmission_fault(count: int) -> str:
    """The fault of a block with so many of them."""
    return f"{count} retransmissions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of the table. `met` is None for a figure without a target, and for one that could not be measured."""

    name: str
    system: str = ""
    unit: str = "ms"
    summary: Summary | None = None
    value: int | float | None = None
    """A whole number is a count, and stays one through JSON."""
    ratio: float | None = None
    interval: Interval | None = None
    target: str = ""
    met: bool | None = None
    measured: bool = True
    small: bool = False
    """Judged on fewer samples than are asked for, because fewer were ordered."""
    benchmark: str = ""
    """Its number in the plan of benchmarks (`hwtest.bench.plan`), "B1" to "B14"; empty for a figure beside the plan."""
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Outcome:
    """Everything one figure's measurement gave."""

    figures: list[Figure] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


def valid(blocks: Sequence[Block], system: str) -> list[list[float]]:
    """Samples of each block of `system` that counts."""
    return [block.samples for block in blocks if block.system == system and block.invalid is None]


def unmeasured(name: str, target: str, why: str) -> Figure:
    """A figure that could not be measured. It is never met."""
    return Figure(name=name, target=target, measured=False, notes=[why])


def describe(name: str, system: str, blocks: Sequence[Block]) -> Figure:
    """Distribution of one system, without a target."""
    summary = summarise([sample for samples in valid(blocks, system) for sample in samples])
    return Figure(name=name, system=system, summary=summary, notes=_notes_on_invalid(blocks, system))


def compare(name: str, ours: str, theirs: str, blocks: Sequence[Block], most: float) -> Figure:
    """Our p50 by theirs, which may be `most` at the most."""
    target = f"p50 <= {_times(most)} of {theirs}"
    our_blocks, their_blocks = valid(blocks, ours), valid(blocks, theirs)
    ratio = ratio_of_percentiles(our_blocks, their_blocks)
    if ratio is None:
        return unmeasured(name, target, "no valid block of " + (ours if not any(our_blocks) else theirs))
    return Figure(
        name=name,
        system=ours,
        summary=summarise([sample for samples in our_blocks for sample in samples]),
        ratio=ratio,
        interval=bootstrap_ratio(our_blocks, their_blocks),
        target=target,
        met=ratio <= most,
        notes=_notes_on_invalid(blocks, ours),
    )


def compare_tail(name: str, ours: str, theirs: str, blocks: Sequence[Block], most: float) -> Figure:
    """Our p99 by their p50, which may be `most` at the most.

    Ours includes blocks whose only fault is retransmissions: a stall of ours causes them, and must not hide itself so.
    """
    target = f"p99 <= {_times(most)} of {theirs}'s p50"
    judged = [
        block for block in blocks if block.system == ours and (block.invalid is None or block.only_repeated)
    ]
    samples = [sample for block in judged for sample in block.samples]
    baseline = [sample for block in valid(blocks, theirs) for sample in block]
    if not samples or not baseline or percentile(baseline, 0.5) <= 0:
        return unmeasured(name, target, "no valid block of " + (theirs if samples else ours))
    tail, median = percentile(samples, 0.99), percentile(baseline, 0.5)
    repeated = sum(block.only_repeated for block in judged)
    return Figure(
        name=name,
        system=ours,
        summary=summarise(samples),
        value=tail,
        ratio=tail / median,
        target=target,
        met=tail <= most * median,
        notes=[f"over {len(judged)} blocks of ours, {repeated} of them with retransmissions only"],
    )


def compare_p95(name: str, ours: str, theirs: str, blocks: Sequence[Block], most: float) -> Figure:
    """Our p95 by theirs, which may be `most` at the most."""
    target = f"p95 <= {_times(most)} of {theirs}"
    our_blocks, their_blocks = valid(blocks, ours), valid(blocks, theirs)
    ratio = ratio_of_percentiles(our_blocks, their_blocks, 0.95)
    if ratio is None:
        return unmeasured(name, target, "no valid block of " + (ours if not any(our_blocks) else theirs))
    return Figure(
        name=name,
        system=ours,
        summary=summarise([sample for samples in our_blocks for sample in samples]),
        ratio=ratio,
        interval=bootstrap_ratio(our_blocks, their_blocks, 0.95),
        target=target,
        met=ratio <= most,
        notes=_notes_on_invalid(blocks, ours),
    )


def cap_tail(name: str, system: str, blocks: Sequence[Block], most_ms: float) -> Figure:
    """Our p95, which may be `most_ms` at the most."""
    return cap(name, system, blocks, {95: most_ms})


def cap(name: str, system: str, blocks: Sequence[Block], most_ms: Mapping[int, float]) -> Figure:
    """Percentiles of ours, each of which may be so much at the most: {50: 10.0, 95: 20.0}."""
    target = ", ".join(f"p{per_cent} <= {most:g}" for per_cent, most in most_ms.items()) + " ms"
    figure = describe(name, system, blocks)
    if figure.summary is None:
        return unmeasured(name, target, "; ".join(["no valid block of " + system, *figure.notes]))
    samples = [sample for samples in valid(blocks, system) for sample in samples]
    met = all(percentile(samples, per_cent / 100) <= most for per_cent, most in most_ms.items())
    return replace(figure, target=target, met=met)


def cap_all(name: str, system: str, blocks: Sequence[Block], most_ms: float) -> Figure:
    """Every sample of ours, of which none may be over `most_ms`."""
    target = f"all <= {most_ms:g} ms"
    figure = describe(name, system, blocks)
    if figure.summary is None:
        return unmeasured(name, target, "; ".join(["no valid block of " + system, *figure.notes]))
    return replace(figure, target=target, met=figure.summary.maximum <= most_ms)


def count_errors(name: str, system: str, errors: Sequence[int], of: int, noun: str) -> Figure:
    """How many of so many were wrong; none may be. With nothing looked at nothing is measured."""
    target = f"0 {noun}"
    if of == 0:
        return unmeasured(name, target, "nothing to look at")
    return Figure(
        name=name,
        system=system,
        unit=f"of {of}",
        value=len(errors),
        target=target,
        met=not errors,
        notes=[f"wrong: no. {', '.join(map(str, errors[:5]))}"] if errors else [],
    )


def null_test(name: str, system: str, blocks: Sequence[Block]) -> Figure:
    """The same system against itself, every other block: a rig that finds a difference here is broken."""
    samples = valid(blocks, system)
    odd, even = samples[::2], samples[1::2]
    ratio = ratio_of_percentiles(odd, even)
    notes = ["rig check: its interval should hold 1.00"]
    if len(even) < LEAST_NULL_BLOCKS:
        notes.append("too few blocks for an interval")
        return Figure(name=name, system=system, ratio=ratio, notes=notes)
    return Figure(name=name, system=system, ratio=ratio, interval=bootstrap_ratio(odd, even), notes=notes)


NULL_BAND = (0.8, 1.25)
"""What a healthy rig may find between equals: with three blocks a side the interval alone cries wolf one time in six."""


def doubted(figure: Figure, null: Figure) -> Figure:
    """The figure; not measured when the null test says that the rig finds differences where there are none."""
    if figure.met is None or null.interval is None:
        return figure
    low, high = null.interval
    if low <= NULL_BAND[1] and high >= NULL_BAND[0]:
        return figure
    why = f"rig doubtful: the null test's interval [{low:.2f}, {high:.2f}] is outside {NULL_BAND[0]} to {NULL_BAND[1]}"
    return replace(figure, met=None, measured=False, notes=[why, *figure.notes])


def sized(figure: Figure, least: int, ordered: int) -> Figure:
    """The figure; on fewer than `least` samples not measured, or marked as small when fewer were `ordered`."""
    n = figure.summary.n if figure.summary else 0
    if figure.met is None or n >= least:
        return figure
    why = f"n {n}, {least} are asked for"
    if ordered < least:
        return replace(figure, small=True, notes=[f"n small: {why}", *figure.notes])
    return replace(figure, met=None, measured=False, notes=[why, *figure.notes])


def _times(share: float) -> str:
    return f"{share:g}x" if share >= 1 else f"1/{1 / share:g}"


def _notes_on_invalid(blocks: Sequence[Block], system: str) -> list[str]:
    own = [block for block in blocks if block.system == system]
    bad = [block for block in own if block.invalid is not None]
    everything = summarise([sample for block in own for sample in block.samples])
    if not bad or everything is None:
        return []
    with_them = f"p50 {everything.p50:.1f}, p99 {everything.p99:.1f} with them"
    return [
        f"{len(bad)} of {len(own)} blocks not valid ({'; '.join(sorted({str(b.invalid) for b in bad}))}); {with_them}"
    ]
