"""`edge ledger`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.cli import output
from edge.cli.one_call import entries_of_call
from edge.cli.places import reading, retention_site, site
from edge.cli.protection import audit, everybody_of, number_given, retain, subject, warrant, why_option
from edge.cli.set_aside import set_aside_json, set_aside_lines

if TYPE_CHECKING:
    from edge.ledger.chain import Verification
    from edge.ledger.store import Erasure


@click.group("ledger")
def command() -> None:
    """The record: whether it is whole, how large it is, and all of it."""


for each in (retain, subject, audit):
    command.add_command(each)


@command.command("verify")
@click.option(
    "--head",
    metavar="SEQUENCE:HASH",
    help="A head written down earlier (`edge ledger head`): proves that nothing up to it was changed.",
)
@output.json_option
def verify(head: str | None, as_json: bool) -> None:
    """Recompute the hash chain over every fact. Exit code 1 at the first place where it does not hold."""
    from edge.ledger.store import verify as verify_ledger

    known = None if head is None else _head(head)
    url = site().ledger_url
    found = _with_progress(lambda progress: verify_ledger(url, progress, known), quiet=as_json)
    if as_json:
        output.emit(_verification_json(found))
    elif found.sound:
        click.echo(f"{found.explanation}: {found.count} facts, personal data of {found.erased} erased")
        click.echo(f"head {found.head.sequence}:{found.head.hash}")
    else:
        click.echo(
            output.clean(f"BROKEN ({found.damage}): {found.explanation}; {found.count} facts before it hold")
        )
    if not found.sound:
        raise SystemExit(1)


def _head(written: str) -> Any:
    from edge.ledger.chain import Head

    sequence, _, digest = written.partition(":")
    if not sequence.isdecimal() or not digest:
        raise click.BadParameter(
            "write it as `edge ledger head` shows it: SEQUENCE:HASH", param_hint="--head"
        )
    return Head(int(sequence), digest)


def _with_progress(work: Any, quiet: bool) -> Any:
    """Do `work(progress)`, with a bar on a terminal."""
    screen = output.console(stderr=True)
    if quiet or not screen.is_terminal:
        return work(None)
    from rich.progress import Progress

    with Progress(console=screen, transient=True) as bar:
        task = bar.add_task("facts")
        return work(lambda done, total: bar.update(task, completed=done, total=total))


def _verification_json(found: Verification) -> dict[str, Any]:
    return {
        "sound": found.sound,
        "facts": found.count,
        "erased": found.erased,
        "lost": [{"first": first, "last": last} for first, last in found.holes],
        "head": {"sequence": found.head.sequence, "hash": found.head.hash},
        "damage": found.damage,
        "broken_at": found.broken_at,
        "explanation": found.explanation,
    }


@command.command("head")
@output.json_option
def show_head(as_json: bool) -> None:
    """Sequence and hash of the newest fact: written down elsewhere, they prove everything up to it."""
    with reading(site().ledger_url) as reader:
        found = reader.head()
    if as_json:
        output.emit({"sequence": found.sequence, "hash": found.hash})
    else:
        click.echo(f"{found.sequence}:{found.hash}")


@command.command("statistics")
@output.json_option
def statistics(as_json: bool) -> None:
    """Counts, times and size."""
    with reading(site().ledger_url) as reader:
        found = reader.statistics()
    figures = {
        "ledger_id": found.ledger_id,
        "created": output.rfc3339(found.created_utc_us),
        "facts": found.facts,
        "head": f"{found.head.sequence}:{found.head.hash}",
        "first": None if found.first_utc_us is None else output.rfc3339(found.first_utc_us),
        "last": None if found.last_utc_us is None else output.rfc3339(found.last_utc_us),
        "personal": found.personal,
        "erased": found.erased,
        "checkpoint_sequence": found.checkpoint_sequence,
        "size_bytes": found.size_bytes,
    }
    if as_json:
        output.emit(figures)
    else:
        output.console().print(
            output.pairs({name: "-" if value is None else value for name, value in figures.items()})
        )


@command.command("checkpoints")
@output.json_option
def checkpoints(as_json: bool) -> None:
    """The newest checkpoint of the open state, from which a restart goes on."""
    from edge.views.reading import checkpoint_state

    with reading(site().ledger_url) as reader:
        found, last = reader.load_checkpoint(), reader.last_sequence()
        readable = checkpoint_state(reader) is not None
    kept = (
        []
        if found is None
        else [
            {
                "sequence": found[0],
                "size_bytes": len(found[1]),
                "facts_after": last - found[0],
                "readable": readable,
            }
        ]
    )
    if as_json:
        output.emit({"checkpoints": kept})
    else:
        rows = [tuple(checkpoint.values()) for checkpoint in kept]
        output.console().print(
            output.table((">sequence", ">bytes", ">facts after", "readable by this version"), rows)
        )


@command.command("export")
@click.option(
    "--after", type=click.IntRange(min=0), default=0, metavar="N", help="Facts after this sequence."
)
@click.option("--format", "form", type=click.Choice(["ndjson"]), default="ndjson", show_default=True)
@output.numbers_option
@output.json_option
def export(after: int, form: str, numbers: bool, as_json: bool) -> None:  # noqa: ARG001 - it is JSON already
    """Every fact as one line of JSON, as stored: enough to recompute the chain without this program.

    Without --numbers the personal fields are left out; the chain covers their digest only, so it can be recomputed still.
    """
    from edge.ledger.store import export as export_ledger

    for record in export_ledger(site().ledger_url, after):
        if not numbers:
            record["personal"] = None
        output.emit(record, indent=None)


@command.command("synthesise")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--calls", type=click.IntRange(1, 100_000_000), default=100_000, show_default=True, metavar="N")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, metavar="S")
@click.option("--days", type=click.IntRange(1, 400), default=30, show_default=True, metavar="D")
@click.option(
    "--from",
    "first",
    type=click.DateTime(["%Y-%m-%d"]),
    default="2026-10-01",
    show_default=True,
    help="The first day; it begins at midnight UTC.",
)
@output.json_option
def synthesise(file: Path, calls: int, seed: int, days: int, first: datetime, as_json: bool) -> None:
    """Make FILE: a ledger of made-up calls, to try reports on. It is marked as synthetic, and no daemon serves on it.

    The same numbers give the same facts. A month of 1,000,000 calls is some 19 million facts and 9 GB.
    """
    from edge.ledger.synthesise import synthesise as make

    facts = _with_progress(
        lambda progress: make(file, calls, seed, first.replace(tzinfo=UTC), days, progress), quiet=as_json
    )
    if as_json:
        output.emit({"synthetic": True, "file": str(file), "calls": calls, "facts": facts})
    else:
        click.echo(
            f"SYNTHETIC: {calls} calls, {facts} facts in {output.clean(file)}; read it with --ledger sqlite:///FILE"
        )


@command.command("erase", context_settings={"ignore_unknown_options": True})
@click.argument("calls", metavar="[CALL]...", nargs=-1)
@click.option(
    "--number",
    metavar="NUMBER",
    help="Every call with this number in it; - reads it from the standard input.",
)
@click.option(
    "--set-aside",
    "kept",
    metavar="FILE",
    help="Destroy this damaged file of the ledger, which was set aside, once every reader knows what it lost.",
)
@why_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@output.json_option
def erase(
    calls: tuple[str, ...], number: str | None, kept: str | None, why: str, yes: bool, as_json: bool
) -> None:
    """Erase the personal data of calls that have ended, for good. The facts stay, and the chain still holds.

    CALL may be the end of an id, as for `edge call`. When one of them is open or under a legal hold, nothing is erased. No
    erasure reaches into damaged files that were set aside: they are named, and --set-aside destroys one.
    """
    from edge.ledger.store import erase as erase_ledger
    from edge.ledger.store import verify as verify_ledger
    from edge.protection.set_aside import files_of

    url = site().ledger_url
    if sum((bool(calls), number is not None, kept is not None)) != 1:
        raise click.UsageError("say what is erased: calls by their ids, --number or --set-aside")
    if kept is not None:
        _destroy_set_aside(kept, why, yes, as_json)
        return
    call_ids = _ended_calls(url, calls if number is None else _calls_with(url, number_given(number)))
    if not yes:
        names = output.clean(", ".join(call_ids))
        click.confirm(f"Erase the personal data of {names} for good?", abort=True, err=True)
    done = erase_ledger(url, call_ids=call_ids, warrant=warrant(why))
    found = verify_ledger(url)
    with reading(url) as reader:
        files = files_of(url, reader)
    if as_json:
        output.emit(_erasure_json(call_ids, done, found) | {"set_aside": set_aside_json(files)})
    else:
        click.echo("\n".join((*_erasure_lines(done, found), *set_aside_lines(files))))
    if not found.sound:
        raise SystemExit(1)


def _destroy_set_aside(name: str, why: str, yes: bool, as_json: bool) -> None:
    from edge.ledger.store import open_for_maintenance
    from edge.protection.set_aside import destroy, files_of

    url = site().ledger_url
    with reading(url) as reader:
        files = {file.path.name: file for file in files_of(url, reader)}
        everybody = everybody_of(retention_site(), reader)
    if name not in files:
        there = f"there are {', '.join(files)}" if files else "there is none"
        raise click.ClickException(output.clean(f"{name}: no damaged file of this ledger; {there}"))
    if not yes:
        question = f"Destroy {name}, the only trace of what the ledger lost, for good?"
        click.confirm(output.clean(question), abort=True, err=True)
    ledger = open_for_maintenance(url)
    try:
        destroy(files[name], ledger, everybody.through, warrant(why))
    finally:
        ledger.close()
    if as_json:
        output.emit({"destroyed": set_aside_json([files[name]])[0]})
    else:
        click.echo(output.clean(f"{name} destroyed"))


def _calls_with(url: str, number: str) -> tuple[str, ...]:
    """Ids of every call with this number in it. Raises `click.ClickException` when there is none."""
    from edge.protection.subject import calls_of

    with reading(url) as reader:
        found = calls_of(reader, number)
    if not found:
        raise click.ClickException("nothing is held about this number")
    return tuple(found)


def _ended_calls(url: str, named: tuple[str, ...]) -> list[str]:
    """Ids of these calls. Raises `click.ClickException` naming those that are open: the daemon still knows their data."""
    from edge.views.calls import fold_calls

    records: dict[str, Any] = {}
    with reading(url) as reader:
        for name in named:
            records |= fold_calls(entries_of_call(reader, name))
    if still_open := [call_id for call_id, record in records.items() if record.outcome is None]:
        raise click.ClickException(
            f"nothing erased: {output.clean(', '.join(still_open))} not ended yet; erase after the end"
        )
    return list(records)


def _erasure_json(call_ids: list[str], done: Erasure, found: Verification) -> dict[str, Any]:
    return {
        "calls": call_ids,
        "facts": done.facts,
        "checkpoints": done.checkpoints,
        "purged": done.purged,
        "verification": _verification_json(found),
    }


def _erasure_lines(done: Erasure, found: Verification) -> list[str]:
    purged = "gone from every file" if done.purged else f"NOT YET gone from every file: {done.lingers}"
    holds = (
        f"the chain holds: {found.count} facts, personal data of {found.erased} erased"
        if found.sound
        else output.clean(f"BROKEN ({found.damage}): {found.explanation}")
    )
    return [
        f"personal data of {done.facts} facts erased, {done.checkpoints} checkpoints deleted",
        purged,
        holds,
    ]
