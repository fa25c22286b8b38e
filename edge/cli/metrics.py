"""`edge metrics`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from edge.cli import output
from edge.cli.places import Site, site
from edge.cli.projected import projected
from edge.metrics.periods import Every

if TYPE_CHECKING:
    from edge.metrics.book import Book
    from edge.metrics.compute import Figure
    from edge.metrics.definition import Definition

HIDDEN = ("version", "title", "meaning")


def definitions_option(function: Any) -> Any:
    """`--definitions`."""
    return click.option(
        "--definitions",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="The force's own definitions. [metrics.toml beside the configuration, if it is there]",
    )(function)


def csv_option(function: Any) -> Any:
    """`--csv`."""
    return click.option("--csv", "as_csv", is_flag=True, help="For spreadsheets: one row a figure.")(function)


@click.group("metrics")
def command() -> None:
    """Any figure of any period under any definition, from the record alone."""


def _book(here: Site | None, definitions: Path | None) -> Book:
    from edge.metrics.book import read_book

    return read_book(definitions or (here.definitions if here is not None else None))


def _site_or_none() -> Site | None:
    """Definitions can be listed on a machine without a configuration."""
    from edge.errors import PermanentError

    try:
        return site()
    except PermanentError:
        return None


@command.command("list")
@definitions_option
@csv_option
@output.json_option
def list_(definitions: Path | None, as_csv: bool, as_json: bool) -> None:
    """The definitions that hold here."""
    book = _book(_site_or_none(), definitions)
    rows = [
        (
            name,
            made.version,
            made.measure,
            made.tier or "",
            made.unit,
            "own" if name in book.own else "",
            made.title,
        )
        for name, made in book.definitions.items()
    ]
    columns = ("id", "version", "measure", "tier", "unit", "whose", "title")
    if as_json:
        output.emit({"definitions": [_definition_json(name, book) for name in book.definitions]})
    elif as_csv:
        click.echo(_csv(columns, rows), nl=False)
    else:
        output.console().print(
            output.table(("=id", ">version", "=measure", "=tier", "=unit", "=whose", "title"), rows)
        )


@command.command("show")
@click.argument("name", metavar="ID")
@definitions_option
@output.json_option
def show(name: str, definitions: Path | None, as_json: bool) -> None:
    """What one definition says, every choice in it."""
    book = _book(_site_or_none(), definitions)
    made = _known(lambda: book[name])
    if as_json:
        output.emit(_definition_json(name.partition("@")[0], book))
        return
    screen = output.console()
    screen.print(output.text(f"{name.partition('@')[0]}@{made.version}: {made.title}", "bold"))
    screen.print(output.text(made.meaning))
    screen.print(output.pairs({key: _shown(value) for key, value in _choices(made).items()}))
    screen.print(output.text(f"digest {made.digest}", "dim"))


def _choices(made: Definition) -> dict[str, Any]:
    import msgspec

    values: dict[str, Any] = msgspec.to_builtins(made)
    return {key: value for key, value in values.items() if key not in HIDDEN}


def _shown(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "in" if value else "out"
        case list() | tuple():
            return ", ".join(map(str, value))
    return str(value)


def _definition_json(name: str, book: Book) -> dict[str, Any]:
    made = book.definitions[name]
    return {
        "id": name,
        "version": made.version,
        "digest": made.digest,
        "title": made.title,
        "meaning": made.meaning,
        "unit": made.unit,
        "own": name in book.own,
        "choices": _choices(made),
    }


def _known(what: Callable[[], Any]) -> Any:
    """Turn what a person has mistyped into a message."""
    from edge.metrics.asking import PeriodError
    from edge.metrics.book import UnknownDefinitionError
    from edge.metrics.compute import RefusedFigureError
    from edge.metrics.periods import TooManyPeriodsError

    try:
        return what()
    except (UnknownDefinitionError, RefusedFigureError, TooManyPeriodsError, PeriodError) as error:
        raise click.UsageError(str(error.args[0])) from error


@command.command("compute")
@click.argument("names", metavar="ID...", nargs=-1, required=True)
@click.option(
    "--period",
    default=None,
    metavar="PERIOD",
    help="today, yesterday, 2026-10-25, 2026-W43, 2026-10, 2026-Q4, 2026. [today]",
)
@click.option(
    "--since", metavar="TIME", help="In place of --period: from this time; local where it has no offset."
)
@click.option("--until", metavar="TIME", help="With --since: to this time. [now]")
@click.option(
    "--every", type=click.Choice([each.value for each in Every]), default="whole", show_default=True
)
@click.option(
    "--by",
    multiple=True,
    metavar="WHAT",
    help="tier, queue, line, force, class, language or agent; may be repeated.",
)
@definitions_option
@csv_option
@output.json_option
def compute(
    names: tuple[str, ...],
    period: str | None,
    since: str | None,
    until: str | None,
    every: str,
    by: tuple[str, ...],
    definitions: Path | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Figures of these definitions (ids or patterns, such as 101-*). Without a folder of `edge mi` the ledger is folded first."""
    from edge.metrics.asking import ask, is_made_up, names_of, times_of

    here = site()
    book, zone = _book(here, definitions), ZoneInfo(here.timezone)
    start_us, end_us = _known(lambda: times_of(period, since, until, zone, output.now().utc_us))
    wanted = _known(lambda: names_of(book, names))

    with projected(here, quiet=as_json or as_csv) as made:
        figures: list[Figure] = _known(
            lambda: ask(made, book, wanted, start_us, end_us, every=Every(every), zone=zone, by=by)
        )
        synthetic = is_made_up(made)
    if as_json:
        from edge.metrics.asking import figure_row

        output.emit({"synthetic": synthetic, "figures": [figure_row(figure, zone) for figure in figures]})
    elif as_csv:
        click.echo(figures_csv(figures, by, zone, synthetic=synthetic), nl=False)
    else:
        _print(figures, by, zone)


def figures_csv(figures: Sequence[Figure], by: Sequence[str], zone: ZoneInfo, *, synthetic: bool) -> str:
    """One row a figure."""
    from edge.metrics.asking import figure_row

    rows = [figure_row(figure, zone) for figure in figures]
    plain = [name for name in (rows[0] if rows else {}) if name not in ("group", "completeness")]
    complete = list(rows[0]["completeness"]) if rows else []
    return _csv(
        [*plain, *by, *complete, "synthetic"],
        [
            [
                *(row[name] for name in plain),
                *(row["group"].get(each) for each in by),
                *row["completeness"].values(),
                synthetic,
            ]
            for row in rows
        ],
    )


def _csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    from edge.mi.formats import csv_bytes

    return csv_bytes(columns, rows).decode()


def _print(figures: Sequence[Figure], by: Sequence[str], zone: ZoneInfo) -> None:
    from edge.metrics.asking import period_name

    rows = [
        (
            figure.definition,
            figure.title,
            period_name(figure.period, zone),
            *(dict(figure.group)[each] for each in by),
            _value(figure),
            "" if figure.denominator is None else figure.denominator,
            _complete(figure),
        )
        for figure in figures
    ]
    columns = ("=definition", "title", "=period", *(f"={each}" for each in by), ">value", ">of", "complete")
    output.console().print(output.table(columns, rows))


def _value(figure: Figure) -> str:
    match figure.unit, figure.value:
        case _, None:
            return "-"
        case "share", value:
            return output.share(value)
        case "seconds", value:
            return f"{output.seconds(value)} s"
    return f"{figure.value:.10g}"


def _complete(figure: Figure) -> str:
    found = figure.completeness
    if found.is_whole:
        return "yes"
    until = datetime.fromtimestamp(found.known_until_us // 1_000_000, UTC).astimezone().strftime("%H:%M")
    parts = [
        "has not begun" if found.seen_share is None else "",
        f"{output.share(found.seen_share)} seen" if found.seen_share not in (None, 1.0) else "",
        f"{found.untraced_gaps} gaps not traced" if found.untraced_gaps else "",
        f"{found.in_progress} calls go on" if found.in_progress else "",
        f"{found.unknown} ends not seen" if found.unknown else "",
        "ledger trouble" if found.ledger_trouble else "",
        f"known until {until}" if not found.known_to_end else "",
    ]
    return ", ".join(filter(None, parts))
