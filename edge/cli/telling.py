"""Telling the daemon something by way of the switch, and seeing in the ledger that it was recorded."""

from __future__ import annotations

import os
import pwd
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

import click

from edge.cli import Failure
from edge.cli.places import configuration, reading
from edge.liveness import daemon_pid

if TYPE_CHECKING:
    from edge.core.facts import Entry
    from edge.ledger.store import SqlReader
    from edge.pbx.asterisk.control import Link

RECORDED_SECONDS = 5.0
"""A daemon that is well takes some milliseconds."""
LOOK_SECONDS = 0.02
UNSUITABLE = re.compile(r"[^A-Za-z0-9._@-]")


class Word(click.ParamType[str]):
    """A reference or an id: what may go through the switch, and on one line of a record."""

    name = "text"
    _suitable = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/#@-]{0,63}")

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it is."""
        written = str(value)
        if not self._suitable.fullmatch(written):
            self.fail(
                f"{written!r} is not 1 to 64 letters, digits, spaces and ._:/#@-, beginning with a letter or digit",
                param,
                ctx,
            )
        return written


class Words(click.ParamType[str]):
    """What a person says, on one line: what may go through the switch whole."""

    name = "text"
    _longest = 80

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it is."""
        written = str(value)
        if not written.isprintable() or not 1 <= len(written) <= self._longest or written != written.strip():
            self.fail(
                f"{written!r} is not 1 to {self._longest} printable characters on one line, without spaces around them",
                param,
                ctx,
            )
        return written


by_option = click.option(
    "--by", type=Word(), required=True, metavar="NAME", help="Who does this: it is a fact of the record."
)


def user() -> str:
    """Who asks: the user of the system, and where it is known who became root."""
    name = UNSUITABLE.sub("_", os.environ.get("SUDO_USER") or _user_name(os.getuid()))[:64]
    return name if name[:1].isalnum() else f"user {name}".strip()


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def tell(
    ledger_url: str, send: Callable[[Link], Awaitable[None]], is_recorded: Callable[[Entry], bool]
) -> Entry:
    """Send, and wait until the daemon has recorded it; the entry. Raises `Failure` with what to do, and what `send` raises."""
    if daemon_pid(ledger_url) is None:
        raise Failure(
            "the daemon is not running, so nobody would record it: start it (`edge run`) and try again", 1
        )
    with reading(ledger_url) as reader:
        before = reader.last_sequence()
        _send(send)
        for entry in _entries_for(reader, before):
            if is_recorded(entry):
                return entry
    raise Failure(
        f"the switch was told, but the daemon has not recorded it within {RECORDED_SECONDS:g} s: see `edge status`, then "
        "try again",
        1,
    )


def _send(send: Callable[[Link], Awaitable[None]]) -> None:
    import asyncio

    from edge.pbx.asterisk.control import connected

    here = configuration()

    async def carry_out() -> None:
        async with connected(here) as link:
            await send(link)

    asyncio.run(carry_out())


def _entries_for(reader: SqlReader, after: int) -> Iterator[Entry]:
    """Every entry after `after`, those that are still to come too, until the time is over."""
    until = time.monotonic() + RECORDED_SECONDS
    while time.monotonic() < until:
        page = reader.read(after)
        yield from page
        if page:
            after = page[-1].sequence
        else:
            time.sleep(LOOK_SECONDS)
