"""`edge ledger`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edge.cli import output
from edge.cli.places import reading, site

if TYPE_CHECKING:
    from edge.ledger.chain import Verification


@click.group("ledger")
def command() -> None:
    """The record: whether it is whole, how large it is, and all of it."""


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
        click.echo(f"the chain holds: {found.count} facts, personal data of {found.erased} erased")
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
