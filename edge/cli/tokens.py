"""`edge tokens`: who may pull the record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from edge.cli import Failure, output
from edge.cli.places import site

if TYPE_CHECKING:
    from edge.mi.tokens import Token, Tokens

DAY_US = 86_400_000_000
DAYS = click.FloatRange(min=0.01, max=3660)
SCOPES = ("facts", "calls", "numbers", "metrics", "admin")
"""As in `edge.mi.tokens`, which takes longer to import than the shell's completion may; a test holds them together."""


@click.group("tokens")
def command() -> None:
    """Tokens for the pull API: add, list, rotate, revoke. Only a hash of each is kept: a token is shown once."""


@command.command("add")
@click.argument("reader", metavar="READER")
@click.option(
    "--scope", "scopes", type=click.Choice(SCOPES), multiple=True, required=True, help="May be repeated."
)
@click.option("--days", type=DAYS, default=365.0, show_default=True, help="How long it is valid.")
@output.json_option
def add(reader: str, scopes: Sequence[str], days: float, as_json: bool) -> None:
    """A token for READER, such as central-mi.

    Scopes: facts, calls, numbers (callers' numbers and names in what the others give), metrics (figures, wallboard), admin (the
    log of disclosures).
    """
    with _tokens() as tokens:
        try:
            token, text = tokens.add(reader, scopes, days, _user())
        except ValueError as error:
            raise Failure(str(error), 2) from error
    _show_once(token, text, as_json)


@command.command("list")
@output.json_option
def list_(as_json: bool) -> None:
    """Every token there ever was, without its secret."""
    now = output.now().utc_us
    with _tokens() as tokens:
        found = tokens.all()
    if as_json:
        output.emit({"tokens": [_json(token, now) for token in found]})
        return
    columns = ("=id", "=reader", "scopes", "=state", "=created", "by", "=expires")
    rows = [
        (
            token.token_id,
            token.reader,
            " ".join(sorted(token.scopes)),
            _state(token, now),
            output.rfc3339(token.created_utc_us)[:19] + "Z",
            token.created_by,
            output.rfc3339(token.revoked_utc_us or token.expires_utc_us)[:19] + "Z",
        )
        for token in found
    ]
    output.console().print(output.table(columns, rows))


@command.command("rotate")
@click.argument("name", metavar="READER|ID")
@click.option("--days", type=DAYS, default=365.0, show_default=True, help="How long the new token is valid.")
@click.option(
    "--overlap-days",
    type=click.FloatRange(min=0, max=366),
    default=7.0,
    show_default=True,
    help="How long the old ones are valid still, so that the reader changes over without a pause.",
)
@output.json_option
def rotate(name: str, days: float, overlap_days: float, as_json: bool) -> None:
    """A new token with the scopes of the newest valid one; the old ones end after the overlap."""
    now = output.now().utc_us
    with _tokens() as tokens:
        old = _chosen(tokens, name)
        token, text = tokens.add(old[-1].reader, old[-1].scopes, days, _user())
        tokens.end(old, now + int(overlap_days * DAY_US))
    _show_once(token, text, as_json)


@command.command("revoke")
@click.argument("name", metavar="READER|ID")
@output.json_option
def revoke(name: str, as_json: bool) -> None:
    """End a token, or every token of a reader, within a second."""
    now = output.now().utc_us
    with _tokens() as tokens:
        ended = _chosen(tokens, name)
        tokens.end(ended, now)
    if as_json:
        output.emit({"revoked": [token.token_id for token in ended]})
    else:
        click.echo(output.clean(f"revoked: {', '.join(token.token_id for token in ended)}"))


@contextmanager
def _tokens() -> Iterator[Tokens]:
    from edge.clock import SystemClock
    from edge.mi.places import directory_of
    from edge.mi.store import open_store
    from edge.mi.tokens import Tokens

    place, clock = site(), SystemClock()
    store = open_store(directory_of(place.ledger_url, place.mi_directory))
    try:
        yield Tokens(store, lambda: clock.now().utc_us, lambda: clock.now().monotonic_ns)
    finally:
        store.close()


def _user() -> str:
    from edge.cli.telling import user

    return user()


def _chosen(tokens: Tokens, name: str) -> Sequence[Token]:
    found = tokens.named(name)
    if not found:
        raise Failure(f"{name}: there is no valid token of this id or reader; see edge tokens list", 1)
    return found


def _show_once(token: Token, text: str, as_json: bool) -> None:
    expires = output.rfc3339(token.expires_utc_us)
    if as_json:
        output.emit({"token": text, "id": token.token_id, "reader": token.reader, "expires": expires})
        return
    click.echo(text)
    click.echo(f"for {token.reader}, valid until {expires}; it is not shown again", err=True)


def _json(token: Token, now_utc_us: int) -> dict[str, Any]:
    revoked = token.revoked_utc_us
    return {
        "id": token.token_id,
        "reader": token.reader,
        "scopes": sorted(token.scopes),
        "state": _state(token, now_utc_us),
        "created": output.rfc3339(token.created_utc_us),
        "created_by": token.created_by,
        "expires": output.rfc3339(token.expires_utc_us),
        "revoked": None if revoked is None else output.rfc3339(revoked),
    }


def _state(token: Token, now_utc_us: int) -> str:
    if token.valid_at(now_utc_us):
        return "valid" if token.revoked_utc_us is None else "ending"
    return "revoked" if token.revoked_utc_us is not None else "expired"
