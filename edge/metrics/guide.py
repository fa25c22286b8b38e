"""docs/metrics.md, made from the definitions: `python -m edge.metrics.guide > docs/metrics.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec

from edge.metrics.book import read_book
from edge.metrics.definition import AnyDefinition, Attribution, Callbacks, Clock, Definition
from edge.mi.projection import CONTACT_SECONDS

PREFACE = f"""Made from `edge/metrics/definitions.toml` by `python -m edge.metrics.guide > docs/metrics.md`: change them there.

Every figure is computed from the record alone, under a definition that has an id and a version, and is shown with both. People
argue about what a figure should count; here each side of the argument is a definition of its own, and any past can be computed
again under any of them. `edge metrics list`, `show` and `compute` and `/v1/metrics` give the same figures.

```
edge metrics compute '999-*' --period 2026-10                  # a month
edge metrics compute 101-in-30 101-mean --period 2026-10-25 --every half_hour --by queue --csv
edge metrics compute 101-in-30 101-in-30-net 101-in-30-without-callbacks --period 2026-W43
```

## A force's own definitions

`metrics.toml` beside the configuration adds definitions, or replaces ours under a higher version. `edge mi` reads it when it
starts. `edge check` says what is wrong with it: file, line and key, and what would be right; it warns of queues, lines and codes
that the configuration does not have.

```toml
[policy]
by_agent = true                     # figures agent by agent; left out: refused, in the API too
[demand]
internal_lines = ["internal"]       # only colleagues ring there; a presented extension (under 7 digits) is internal anyway
failure_codes = ["chasing"]         # wrap-up codes of calls that need not have been
[force.west]
lines = ["main-west"]               # to divide figures by force

[metric.west-in-40]
version = 1
measure = "service_level"
formula = "sl3"
threshold_seconds = 40
title = "Answered in under 40 seconds"
meaning = "As agreed with the commissioner."
```

## How all of them count

- **Exactly.** Waits are whole nanoseconds of the monotonic clock; 10.000 s is not under 10 s. Only between two boots of the
  machine is a duration taken from UTC.
- **Once.** A call that joined a queue twice, or was called back, is one call. An upgraded 101 is a 101. A call that a handler
  dialled for a caller is in no figure, and a test call only where a definition says `tests = true`.
- **By local time.** Periods are half hours, hours, days, weeks (from Monday), months and quarters of the site's time zone: a day
  has 23 or 25 hours when the clocks change, and the hour that comes twice is two hours.
- **With what is missing.** Each figure says in which share of its period the switch was seen and the clock was synchronised, how
  many gaps the switch's own record has not told everything of since, how many of its calls go on, ended unseen or were found
  waiting, and until when the record goes. It is whole (`whole`) once its period is over and nothing of that is missing. Holes:
  `/v1/gaps`.
- **Percentiles are of the calls themselves**, never averaged: the p90 of a month is not made of those of its days. Nearest rank.
- **Of all who waited** (`of = "waited"`): Kaplan and Meier. A caller who gave up after three minutes would have waited at least
  three minutes: who has not been answered is counted as long as they waited, and drops out then. Median and p90 of answered calls
  alone fall when callers give up.
- **A need** (contact) is a call with the calls of the same number that follow within {CONTACT_SECONDS // 60} minutes of its last
  arrival or end, and with what handlers dialled for it. A withheld number is matched with nothing.

| choice | means |
|---|---|
"""
CHOICES: tuple[tuple[str, type[Attribution | Clock | Callbacks]], ...] = (
    ("attribution", Attribution),
    ("clock", Clock),
    ("callbacks", Callbacks),
)
MEANS = {
    Attribution.ARRIVAL: "a call belongs to the period in which it arrived",
    Attribution.EVENT: "... in which it was answered or given up; a service level: or in which its threshold passed",
    Attribution.COMPLETION: "... in which it ended",
    Clock.TRUNK: "the wait begins when the call arrives",
    Clock.ANSWER: "... when the switch answers it (no wait, where a person does)",
    Clock.AFTER_ANNOUNCEMENT: "... when the first announcement has been heard",
    Clock.QUEUE: "... when it takes its place in the queue",
    Callbacks.GROSS: "who was promised a call-back has waited until they talked with somebody",
    Callbacks.NET: "... has waited while they were on the line",
    Callbacks.OUT: "... is left out",
}
FORMULAS = """
## Service levels

In time: answered (or given up) in under the threshold; `boundary = "up_to"`: the threshold itself is in time too.

| formula | is |
|---|---|
| `sl1` | (answered in time + given up in time) / (answered + given up) |
| `sl2` | answered in time / answered |
| `sl3` | answered in time / (answered + given up) |
| `sl4` | answered in time / (answered + given up later than the threshold) |
| `sl5` | (answered in time + given up within `short_abandon_seconds`) / (answered + given up) |
| `sl5_base` | answered in time / (answered + given up later than `short_abandon_seconds`) |
| `offered` | answered in time / all that arrived and are decided, whatever became of them |

`losses = "bad"` adds to each base those who waited in vain otherwise: call-backs whose person was not reached, ends that nobody
saw, callers let go after waiting as long as the queue allows. With 1,000 answered (860 in time) and 60 given up (20 in time, 10
of them within 5 s) the formulas give 83.0, 86.0, 81.1, 82.7, 82.1 and 81.9 %: a test holds them to it.
"""


def page() -> str:
    """The whole page."""
    return (
        "# Metrics\n\n" + PREFACE + "\n".join(_choices()) + "\n" + FORMULAS + "\n" + "\n".join(_definitions())
    )


def _choices() -> Iterator[str]:
    for name, values in CHOICES:
        for value in values:
            yield f'| `{name} = "{value}"` | {MEANS[value]} |'


def _definitions() -> Iterator[str]:
    book = read_book()
    yield "## The definitions\n"
    yield "Choices that are not named are those where left out: " + ", ".join(_defaults()) + "."
    measure = ""
    for name, made in sorted(book.definitions.items(), key=lambda item: (_order(item[1]), item[0])):
        if made.measure != measure:
            measure = made.measure
            yield f"\n### {measure.replace('_', ' ')}\n\n{_about(made)}\n\n| id | | how |\n|---|---|---|"
        yield f"| `{name}@{made.version}` | **{made.title}.** {made.meaning} | {', '.join(_told(made))} |"


def _order(made: Definition) -> int:
    return [kind.__struct_config__.tag for kind in AnyDefinition.__args__].index(made.measure)


def _about(made: Definition) -> str:
    return " ".join((type(made).__doc__ or "").split())


def _defaults() -> list[str]:
    fields = {field.name: field for field in msgspec.structs.fields(Definition)}
    names = ("attribution", "clock", "callbacks", "internal", "tests")
    return [f"`{name} = {_toml(fields[name].default)}`" for name in names]


def _told(made: Definition) -> Iterator[str]:
    """What differs from the defaults."""
    for field in msgspec.structs.fields(made):
        value = getattr(made, field.name)
        if field.name not in ("version", "title", "meaning") and value != field.default:
            yield f"`{field.name} = {_toml(value)}`"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    return f'"{value}"' if isinstance(value, str) else str(value)


if __name__ == "__main__":
    sys.stdout.write(page() + "\n")
