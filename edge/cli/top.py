"""`edge top`."""

from __future__ import annotations

import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import click

from edge.cli.output import console, emit, json_option
from edge.cli.places import reading, site

LOOK_SECONDS = 0.2
"""How often the ledger is asked for its newest sequence: one read of one row, which no writer notices."""
REDRAW_SECONDS = 1.0
"""Ages grow without any new fact."""


@click.command("top")
@click.option(
    "--for", "for_seconds", type=click.FloatRange(min=0), metavar="SECONDS", help="End after so long."
)
@json_option
def command(for_seconds: float | None, as_json: bool) -> None:
    """Queues, agents and open calls, live. `q` or Ctrl-C ends it.

    With --json one line per change: the same object as `edge status --json`.
    """
    from edge.cli.picture import Picture, picture_json, render

    here = site()
    until = None if for_seconds is None else monotonic() + for_seconds
    with reading(here.ledger_url) as reader:
        picture = Picture(reader, here)
        if as_json:
            emit(picture_json(picture), indent=None)
            for changed in _looks(picture.refresh, until):
                if changed:
                    emit(picture_json(picture), indent=None)
            return
        from rich.live import Live

        screen = console()
        with Live(
            render(picture, live=True), console=screen, auto_refresh=False, screen=screen.is_terminal
        ) as live:
            drawn = monotonic()
            for changed in _looks(picture.refresh, until):
                if changed or monotonic() - drawn >= REDRAW_SECONDS:
                    live.update(render(picture, live=True), refresh=True)
                    drawn = monotonic()


def _looks(refresh: Callable[[], bool], until: float | None) -> Iterator[bool]:
    """Whether each look found anything new, until it is time, `q` or Ctrl-C."""
    with _keys() as pressed:
        try:
            while until is None or monotonic() < until:
                left = LOOK_SECONDS if until is None else min(LOOK_SECONDS, max(0.0, until - monotonic()))
                if pressed(left) in ("q", "Q", "\x03"):
                    return
                yield refresh()
        except KeyboardInterrupt:
            return


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """A function that waits so many seconds for a key: the key, or nothing. Without a terminal there are no keys."""
    if not sys.stdin.isatty():
        yield _no_key
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield _key
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _no_key(seconds: float) -> str:
    sleep(seconds)
    return ""


def _key(seconds: float) -> str:
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return sys.stdin.read(1) if ready else ""
