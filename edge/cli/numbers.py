"""`edge numbers`: the force's list of known numbers."""

from __future__ import annotations

import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.cli import Failure, output
from edge.cli.places import configuration, site
from edge.errors import PermanentError

if TYPE_CHECKING:
    from edge.config.findings import Finding
    from edge.directory import Listing, NumberList

FROM_INPUT = "-"


class Until(click.ParamType[date]):
    """The last day on which an entry holds: a date, or days from today (`90d`)."""

    name = "day"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day."""
        written = str(value)
        if written.endswith("d") and written[:-1].isdecimal() and len(written) <= 5:
            return today() + timedelta(days=int(written[:-1]))
        try:
            day = date.fromisoformat(written)
        except ValueError:
            self.fail(
                f"{written!r} is no date such as 2027-11-30 and no number of days such as 90d", param, ctx
            )
        if day < today():
            self.fail(f"{day} is over", param, ctx)
        return day


def today() -> date:
    """By the machine's own time zone."""
    return datetime.now().astimezone().date()


show_numbers_option = click.option(
    "--show-numbers",
    is_flag=True,
    help="Show whole numbers and notes. This is a disclosure of personal data, and is written into the audit.",
)


@click.group("numbers")
def command() -> None:
    """The list of known numbers: callers who are vulnerable, call again and again, or come through a relay.

    NUMBER may be written in any way; `-` reads it from the standard input, so that it stands in no shell history. The daemon
    takes a change over within a second or two. Every change is written into the audit beside the list.
    """


@command.command("list")
@click.option("--kind", help="Only entries of this kind, such as vulnerable.")
@click.option("--expired", is_flag=True, help="Only entries that no longer hold.")
@show_numbers_option
@output.json_option
def list_(kind: str | None, expired: bool, show_numbers: bool, as_json: bool) -> None:
    """Every entry, numbers masked."""
    path = _file()
    found = [
        listing
        for listing in _load(path).entries
        if (kind is None or listing.kind == kind) and (not expired or not listing.holds_on(today()))
    ]
    _disclose(path, show_numbers, len(found))
    if as_json:
        output.emit({"file": str(path), "numbers": [_json(listing, show_numbers) for listing in found]})
        return
    columns = ("=number", "=kind", "class", "=language", "assisted", "=until", "=added", "by", "note")
    output.console().print(output.table(columns, [_row(listing, show_numbers) for listing in found]))


@command.command("add")
@click.argument("number", metavar="NUMBER")
@click.option(
    "--kind", required=True, help="Shown to the handler: vulnerable, repeat, vexatious, assisted, ..."
)
@click.option(
    "--until", type=Until(), required=True, help="The last day on which it holds: 2027-11-30, or 90d."
)
@click.option("--class", "priority_class", help="The class of its calls; its head start is capped.")
@click.option("--language", help="The language in which the caller is spoken to, such as cy.")
@click.option("--assisted", is_flag=True, help="The caller comes through a relay (text, BSL).")
@click.option("--note", default="", help="For whoever looks after the list; callers' handlers do not see it.")
@show_numbers_option
@output.json_option
def add(
    number: str,
    kind: str,
    until: date,
    priority_class: str | None,
    language: str | None,
    assisted: bool,
    note: str,
    show_numbers: bool,
    as_json: bool,
) -> None:
    """Add an entry. It ends on its last day by itself."""
    from edge.cli.telling import user
    from edge.directory import Listing, NumberListError
    from edge.directory import add as add_listing

    path = _file()
    _check_class(priority_class)
    _check_language(language)
    wanted = Listing(
        number=_number(number),
        kind=kind,
        priority_class=priority_class,
        language=language,
        assisted=assisted,
        note=note,
        added=today(),
        added_by=user(),
        until=until,
    )
    try:
        taken = add_listing(path, wanted)
    except NumberListError as error:
        raise Failure(str(error), 1) from error
    _say(path, "added", taken, show_numbers, as_json)


@command.command("remove")
@click.argument("number", metavar="NUMBER")
@show_numbers_option
@output.json_option
def remove(number: str, show_numbers: bool, as_json: bool) -> None:
    """Take an entry out of the list; the audit keeps what it was, without the number."""
    from edge.directory import NumberListError
    from edge.directory import remove as remove_listing

    path = _file()
    try:
        gone = remove_listing(path, _number(number))
    except NumberListError as error:
        raise Failure(str(error), 1) from error
    _say(path, "removed", gone, show_numbers, as_json)


@command.command("check")
@click.argument("number", metavar="[NUMBER]", required=False)
@show_numbers_option
@output.json_option
def check(number: str | None, show_numbers: bool, as_json: bool) -> None:
    """Look for mistakes in the list; with NUMBER, whether and how it is listed today.

    Exit code 1 when there is a mistake, or when NUMBER is not listed.
    """
    path = _file()
    if number is None:
        _check_list(path, as_json)
        return
    listing = _load(path).lookup(_number(number), today())
    _disclose(path, show_numbers and listing is not None, 1)
    if as_json:
        output.emit({"listed": listing is not None, "entry": listing and _json(listing, show_numbers)})
    elif listing is None:
        click.echo("not listed")
    else:
        click.echo(output.clean(_words(listing, show_numbers)))
    if listing is None:
        raise SystemExit(1)


def _file() -> Path:
    """Where the list is. Raises `PermanentError` when the configuration names none."""
    path = site().number_list
    if path is None:
        place = click.get_current_context().find_root().obj
        raise PermanentError(
            f'{place}: no number list is configured. Add: [number_list] and under it: file = "numbers.toml"'
        )
    return path


def _load(path: Path) -> NumberList:
    from edge.directory import NumberList, NumberListError

    try:
        return NumberList.load(path)
    except NumberListError as error:
        raise Failure(str(error), 1) from error


def _number(written: str) -> str:
    """The number, from the standard input for `-`. Raises `click.BadParameter`, without the number, for what is none."""
    from edge.directory import normalise

    number = sys.stdin.readline(200).strip() if written == FROM_INPUT else written.strip()
    if normalise(number) is None:
        raise click.BadParameter('it is no whole telephone number such as "+441632960001" or "01632 960001"')
    return number


def _check_class(name: str | None) -> None:
    known = site().classes
    if name is not None and name not in known:
        raise click.BadParameter(
            f"there is no class {name!r}; known: {', '.join(sorted(known))}", param_hint="--class"
        )


def _check_language(language: str | None) -> None:
    """What prevents a start of the daemon must not come into its list."""
    from edge.config.languages import FIRST, lacking

    if language in (None, FIRST):
        return
    try:
        named = configuration().prompts
    except PermanentError:
        named = frozenset()  # somebody mends the configuration; `edge check` tells the rest
    if missing := lacking(str(language), named):
        raise click.BadParameter(f"{missing[0]}. {missing[1]}", param_hint="--language")


def _check_list(path: Path, as_json: bool) -> None:
    from edge.directory import NumberList, NumberListError

    findings: list[Finding] = []
    try:
        entries = (numbers := NumberList.load(path)).entries
        findings += numbers.unknown_classes(site().classes)
    except NumberListError as error:
        entries, findings = (), [*error.findings]
    expired = sum(not listing.holds_on(today()) for listing in entries)
    if as_json:
        told = [{"where": f.where, "problem": f.problem, "mend": f.mend} for f in findings]
        output.emit({"file": str(path), "numbers": len(entries), "expired": expired, "findings": told})
    else:
        for finding in findings:
            click.echo(output.clean(f"{finding.level.value}: {finding.where}: {finding.problem}"))
            click.echo(f"    {output.clean(finding.mend)}")
        if not findings:
            click.echo(output.clean(f"{path}: well, {len(entries)} numbers, {expired} of them expired"))
    if findings:
        raise SystemExit(1)


def _disclose(path: Path, show_numbers: bool, count: int) -> None:
    """Whole numbers are shown to nobody of whom the audit does not know."""
    from edge.directory import NumberListError, disclosed

    if show_numbers and count:
        try:
            disclosed(path, count)
        except NumberListError as error:
            raise Failure(str(error), 1) from error


def _json(listing: Listing, show_numbers: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "number_mask": listing.masked,
        "kind": listing.kind,
        "class": listing.priority_class,
        "language": listing.language,
        "assisted": listing.assisted,
        "until": listing.until.isoformat(),
        "holds": listing.holds_on(today()),
        "added": listing.added.isoformat(),
        "added_by": listing.added_by,
    }
    return shown | ({"number": listing.number, "note": listing.note} if show_numbers else {})


def _row(listing: Listing, show_numbers: bool) -> tuple[object, ...]:
    return (
        listing.number if show_numbers else listing.masked,
        listing.kind,
        listing.priority_class,
        listing.language,
        "assisted" if listing.assisted else "",
        f"{listing.until}" + ("" if listing.holds_on(today()) else " (expired)"),
        listing.added,
        listing.added_by,
        listing.note if show_numbers else ("…" if listing.note else ""),
    )


def _words(listing: Listing, show_numbers: bool) -> str:
    parts = [
        listing.number if show_numbers else listing.masked,
        listing.kind,
        f"class {listing.priority_class}" if listing.priority_class else "",
        f"language {listing.language}" if listing.language else "",
        "assisted" if listing.assisted else "",
        f"until {listing.until}",
    ]
    return ", ".join(part for part in parts if part)


def _say(path: Path, what: str, listing: Listing, show_numbers: bool, as_json: bool) -> None:
    """Whoever changed the entry has named the number: showing it again discloses nothing."""
    if as_json:
        output.emit({"done": what, "file": str(path), "entry": _json(listing, show_numbers)})
    else:
        click.echo(output.clean(f"{what}: {_words(listing, show_numbers)}"))
