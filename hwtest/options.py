"""Options that several commands have: of one name, one meaning and one wording.

`run` and its like test a target in a few minutes and write what they are told to; `bench`, `prove` and `soak` take long in a
lab of their own, and always keep what they came to.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hwtest.lab.command import default_directory
from hwtest.lab.contract import FILE, Lab
from hwtest.lab.packages import LabError

Option = Callable[[Any], Any]
_FILE = click.Path(dir_okay=False, path_type=Path)


def default_file(kind: str) -> Path:
    """Where a result is kept when no other file is named: beside the user's lab, by the time in UTC."""
    return default_directory().parent / kind / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"


def result_option(kind: str) -> Option:
    """`--json` of a command that always keeps its result."""
    return click.option(
        "--json",
        "-j",
        "file",
        type=_FILE,
        default=lambda: default_file(kind),
        show_default=f"{kind}/<UTC time>.json in the user's state folder",
        metavar="FILE",
        help="Keep the result there.",
    )


def page_options(page: str) -> Option:
    """`--document` and `--from`. `page`: the one in the documentation that is made so."""

    def both(command: Any) -> Any:
        made = click.option(
            "--from",
            "source",
            type=_FILE,
            metavar="FILE",
            help="Measure nothing: show the result in this file, and make the page of it.",
        )(command)
        return click.option(
            "--document",
            "page",
            type=_FILE,
            metavar="FILE",
            help=f"Write the result there as a page too (Markdown); {page} is one.",
        )(made)

    return both


def lab_option(made_with: str = "") -> Option:
    """`--target` of a command that makes a lab of its own unless one is named. `made_with`: options of `lab up` that it needs."""
    return click.option(
        "--target",
        "-t",
        "--lab",
        "directory",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="lab.json, or the folder, of a lab that is up"
        + (f" with {made_with}" if made_with else "")
        + ". [default: a lab of its own]",
    )


def named_lab(place: Path, made_with: str = "") -> Lab:
    """The lab that was named. LabError where none is up there, and for one that is not on this machine: it is loaded and broken
    without asking for each call, and only on loopback does a call reach nobody.
    """
    folder = place.parent if place.name == FILE else place
    lab = Lab.read(folder.absolute())
    if lab is None:
        how = f"hwtest lab up --dir {folder} {made_with}".rstrip()
        raise LabError(f"No lab is up in {folder}. Start it: {how}")
    if not ipaddress.ip_address(lab.sip.host).is_loopback:
        raise LabError(
            f"{folder}/{FILE}: its switch ({lab.sip.host}) is not on this machine, where alone a lab is loaded and broken. "
            "Start one here, or run probes against that: hwtest run --target FILE"
        )
    return lab


def seed_option(words: str) -> Option:
    """`--seed`. `words`: what it gives again."""
    return click.option("--seed", type=int, default=1, show_default=True, help=f"The same seed, {words}.")


def for_option(least_seconds: float, default: float | None, words: str) -> Option:
    """`--for`: how long. `words`: what becomes of it then."""
    return click.option(
        "--for",
        "seconds",
        type=click.FloatRange(min=least_seconds),
        default=default,
        show_default=default is not None,
        metavar="SECONDS",
        help=words,
    )


def check_file(file: Path) -> None:
    """Make the folder of a result. UsageError where the file could not be written: before what takes long, not after it."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--json {file}: its folder cannot be made: {error.strerror}.") from None
    if not os.access(file.parent, os.W_OK) or (file.exists() and not os.access(file, os.W_OK)):
        raise click.UsageError(
            f"--json {file}: cannot be written. Name another file, or let this user write there."
        )
