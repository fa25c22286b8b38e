"""`edge tasks`: whom a human has to ring back, or look after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from edge.cli import Failure, output
from edge.cli.callbacks import ENDING
from edge.cli.places import reading, site
from edge.cli.telling import Word, Words, by_option, tell
from edge.core.model import Instant
from edge.core.promise import TaskOutcome
from edge.views import shapes

if TYPE_CHECKING:
    from edge.core.facts import Entry
    from edge.core.task_state import Task, TaskAttempt
    from edge.pbx.asterisk.control import Link
    from edge.views.reading import Reader
    from edge.views.record import TaskRecord

task_argument = click.argument("task_id", metavar="ID")
LOOKED_UP = ", being looked up"
all_option = click.option("--all", "everything", is_flag=True, help="Those that are closed too.")


@click.group("tasks", invoke_without_command=True)
@all_option
@output.numbers_option
@output.json_option
@click.pass_context
def command(ctx: click.Context, everything: bool, numbers: bool, as_json: bool) -> None:
    """Ring-back tasks that are open, 999 first and then the oldest. Only a named person closes one, with an outcome.

    Every abandoned 999 is one, an abandoned 101 by rule ([tasks]), and a promised call-back whose person could not be reached.
    Those of the kinds in [tasks] offered ring handlers' phones in order; nobody is dialled but by a handler's key. ID is the
    call's id, or its end, such as -17.
    """
    if ctx.invoked_subcommand is None:
        _list(everything, numbers, as_json)


@command.command("list")
@all_option
@output.numbers_option
@output.json_option
def list_(everything: bool, numbers: bool, as_json: bool) -> None:
    """Those that are open, 999 first and then the oldest."""
    _list(everything, numbers, as_json)


@command.command("show", context_settings=ENDING)
@task_argument
@output.numbers_option
@output.json_option
def show(task_id: str, numbers: bool, as_json: bool) -> None:
    """One task, with what a human needs for it."""
    task, at = _find(task_id), output.now()
    shown = shapes.callers(site().ledger_url, numbers)
    with reading(site().ledger_url) as reader:
        is_looked_up = task.call_id in _looked_up(reader, at)
    if as_json:
        output.emit(_json(task, shown, at, is_looked_up))
    else:
        output.console().print(output.pairs(_heads(task, shown, is_looked_up)))


@command.command("assign", context_settings=ENDING)
@task_argument
@click.option("--to", type=Word(), required=True, metavar="NAME", help="Whose work it is from now on.")
@by_option
@output.json_option
def assign(task_id: str, to: str, by: str, as_json: bool) -> None:
    """Make it somebody's work."""
    from edge.core.facts import TaskAssigned
    from edge.pbx.asterisk.notices import assign_task

    task = _find_open(task_id)

    async def send(link: Link) -> None:
        await assign_task(link, task.task_id, to, by)

    def is_it(entry: Entry) -> bool:
        fact = entry.fact
        return isinstance(fact, TaskAssigned) and (fact.task_id, fact.to, fact.by) == (task.task_id, to, by)

    _record(task.task_id, send, is_it, f"assigned to {to} by {by}", as_json)


@command.command("close", context_settings=ENDING)
@task_argument
@click.option(
    "--outcome",
    type=click.Choice([outcome.value for outcome in TaskOutcome]),
    required=True,
    help="What came of it.",
)
@by_option
@click.option("--note", type=Words(), default=None, metavar="TEXT", help="In your words.")
@output.json_option
def close(task_id: str, outcome: str, by: str, note: str | None, as_json: bool) -> None:
    """It is done, and this came of it."""
    from edge.core.facts import TaskClosed
    from edge.pbx.asterisk.notices import close_task

    task = _find_open(task_id)

    async def send(link: Link) -> None:
        await close_task(link, task.task_id, TaskOutcome(outcome), by, note or "")

    def is_it(entry: Entry) -> bool:
        fact = entry.fact
        return isinstance(fact, TaskClosed) and (fact.task_id, fact.by) == (task.task_id, by)

    _record(task.task_id, send, is_it, f"closed by {by}: {outcome.replace('_', ' ')}", as_json)


def _record(
    task_id: str,
    send: Callable[[Link], Awaitable[None]],
    is_it: Callable[[Entry], bool],
    what: str,
    as_json: bool,
) -> None:
    tell(site().ledger_url, send, is_it)
    if as_json:
        output.emit({"task_id": task_id, "done": what})
    else:
        click.echo(output.clean(f"task {task_id}: {what}"))


# --- finding


def _open(reader: Reader) -> list[TaskRecord]:
    """999 first, and then the oldest. Read from the state and each task's own call, however long ago it was opened."""
    from edge.views.reading import open_state

    found = [_whole(reader, task) for task in open_state(reader).tasks.values()]
    return sorted(found, key=lambda task: (not task.emergency, task.opened_at.utc_us))


def _looked_up(reader: Reader, at: Instant) -> set[str]:
    """Calls of which the switch's own record may tell in a moment that somebody answered them while nothing was seen."""
    from edge.views.reading import open_state

    state = open_state(reader)
    until = {task.call_id: state.looked_up_until(task.call_id) for task in state.tasks.values()}
    return {call_id for call_id, by in until.items() if by is not None and by.utc_us > at.utc_us}


def _whole(reader: Reader, task: Task) -> TaskRecord:
    from edge.views.tasks import fold_tasks

    opened = fold_tasks(reader.read_call(task.call_id))[task.task_id]
    return replace(opened, linked=task.linked, assigned_to=task.assigned_to, rung=task.attempts)


def _every(reader: Reader) -> list[TaskRecord]:
    """Closed ones too, in order of opening."""
    from edge.views.reading import entries_of
    from edge.views.tasks import TASK_FACTS, fold_tasks

    return list(fold_tasks(entries_of(reader, TASK_FACTS)).values())


def _find(ending: str) -> TaskRecord:
    """The task with this id, or whose id ends so. Raises `Failure` when there is none, or more than one."""
    with reading(site().ledger_url) as reader:
        found = _matching(_open(reader), ending) or _matching(_every(reader), ending)
    if not found:
        raise Failure(f"no task has an id that ends with {ending!r}: see `edge tasks`", 1)
    if len(found) > 1:
        some = ", ".join(task.task_id for task in found[-5:])
        raise Failure(f"{len(found)} tasks have ids that end so; give more of it: {some}", 1)
    return found[0]


def _matching(tasks: Sequence[TaskRecord], ending: str) -> list[TaskRecord]:
    exact = [task for task in tasks if task.task_id == ending]
    return exact or [task for task in tasks if task.task_id.endswith(ending)]


def _find_open(ending: str) -> TaskRecord:
    task = _find(ending)
    if task.outcome is not None:
        when = output.local(task.closed_at)
        raise Failure(
            f"task {task.task_id} was closed by {task.closed_by} at {when}: {task.outcome.value.replace('_', ' ')}",
            1,
        )
    return task


# --- showing


def _list(everything: bool, numbers: bool, as_json: bool) -> None:
    from edge.views.words import TASKS

    here, at = site(), output.now()
    with reading(here.ledger_url) as reader:
        found = _every(reader) if everything else _open(reader)
        looked_up = _looked_up(reader, at)
    shown = shapes.callers(here.ledger_url, numbers)
    if as_json:
        output.emit({"tasks": [_json(task, shown, at, task.call_id in looked_up) for task in found]})
        return
    columns = (
        "=task",
        "what",
        "=opened",
        ">min",
        "=number",
        ">waited s",
        ">attempts",
        ">calls in 24 h",
        "assigned to",
        "called again",
        "closed",
    )
    rows = [
        (
            task.task_id,
            TASKS[task.kind] + LOOKED_UP * (task.call_id in looked_up),
            output.local(task.opened_at),
            output.seconds(_open_seconds(task, at) / 60, 0),
            shown.number(task.number, withheld=task.number_withheld),
            output.seconds(task.waited_seconds, 0),
            task.attempts,
            task.calls_in_day,
            task.assigned_to,
            ", ".join(task.linked),
            "" if task.outcome is None else f"{task.outcome.value.replace('_', ' ')} by {task.closed_by}",
        )
        for task in found
    ]
    output.console().print(output.table(columns, rows))


def _open_seconds(task: TaskRecord, at: Instant) -> float:
    """How long it is open, or was."""
    return output.age_seconds(task.opened_at, task.closed_at or at)


def _rung(attempt: TaskAttempt) -> str:
    """One time that the person was rung by a handler."""
    from edge.core.promise import TaskAttemptOutcome
    from edge.views.words import TASK_ATTEMPTS

    spoke = attempt.outcome is TaskAttemptOutcome.SPOKEN
    what = f"spoke for {attempt.talked_seconds:.0f} s" if spoke else TASK_ATTEMPTS[attempt.outcome]
    return f"{output.local(attempt.at)} by agent {attempt.agent}: {what}"


def _heads(task: TaskRecord, shown: shapes.Callers, is_looked_up: bool) -> dict[str, object]:
    from edge.views.words import TASK_OUTCOMES, TASKS

    heads: dict[str, object] = {
        "task": task.task_id,
        "what": f"{TASKS[task.kind]}: {task.detail}{LOOKED_UP * is_looked_up}",
        "opened": f"{output.local(task.opened_at)}, {_open_seconds(task, output.now()) / 60:.0f} min",
        "number": shown.number(task.number, withheld=task.number_withheld),
        "waited": f"{task.waited_seconds:.1f} s, an agent's phone rang {task.rang_seconds:.1f} s at the end",
        "attempts": f"{task.attempts} to call back, before it was a task",
        "rung": "; ".join(_rung(attempt) for attempt in task.rung) or "no",
        "calls": f"{task.calls_in_day} from this number in 24 h before",
        "called again": ", ".join(task.linked) or "no",
        "assigned to": task.assigned_to or "nobody",
        "story": f"edge call {task.call_id}",
    }
    if task.outcome is not None:
        note = f" ({task.note})" if task.note else ""
        when = output.local(task.closed_at)
        heads["closed"] = f"{when} by {task.closed_by}: {TASK_OUTCOMES[task.outcome]}{note}"
    return heads


def _json(task: TaskRecord, shown: shapes.Callers, at: Instant, is_looked_up: bool) -> dict[str, Any]:
    return {
        **shapes.task_json(task, shown),
        "open_seconds": _open_seconds(task, at),
        "being_looked_up": is_looked_up,
    }
