"""The summary of a shift, for a person."""

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edge.views.shift import Summary
from hwtest.shift.run import Result

_COLUMNS = ("queue", "offered", "answered", "abandoned", "mean", "median", "p90", "longest", "in time")


def render(result: Result) -> RenderableType:
    """The figures by queue, and the verdict."""
    table = Table(
        title="The shift (waits in seconds)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        collapse_padding=True,
    )
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == "queue" else "right")
    for name, summary in result.queues.items():
        table.add_row(name, *_figures(summary), _service_level(summary))
    table.add_section()
    table.add_row("all", *_figures(result.total), "")
    return Group(table, *map(Text, _notes(result)), _verdict(result))


def _figures(summary: Summary) -> list[str]:
    waits = summary.waits
    seconds = (waits.mean_seconds, waits.median_seconds, waits.p90_seconds, waits.longest_seconds)
    counts = (summary.offered, summary.answered, summary.abandoned)
    return [*map(str, counts), *("-" if value is None else f"{value:.1f}" for value in seconds)]


def _service_level(summary: Summary) -> str:
    if summary.service_level is None:
        return "-"
    return f"{summary.service_level:.0%} <{summary.target_seconds:g}s"


def _notes(result: Result) -> list[str]:
    notes = [
        "Waits are of answered calls, of a call-back until its person was reached.",
        "In time: service level, answered within the target of all answered or lost.",
    ]
    total = result.total
    if total.promised:
        notes.append(
            f"Call-backs: {total.promised} promised, {total.kept} kept, {total.callbacks_waiting} waiting, "
            f"{total.unreached} could not be reached."
        )
    if result.kept_at_the_end:
        notes.append(
            f"Of these, waiting when the shift was over and called before it closed: {result.kept_at_the_end}."
        )
    if result.tasks:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in sorted(result.tasks.items()))
        notes.append(f"Tasks for a person, who rings back and closes them (edge tasks): {kinds}.")
    if result.hung_up_at_the_end:
        notes.append(f"Hung up because the shift ended: {result.hung_up_at_the_end}.")
    return notes


def _verdict(result: Result) -> Text:
    if result.faults:
        return Text("\n".join(f"FAULT: {fault}" for fault in result.faults), "bold red")
    return Text(
        f"Every call ended: {result.placed} placed, each with its end in SIP and in the ledger; no channel is left.",
        "green",
    )
