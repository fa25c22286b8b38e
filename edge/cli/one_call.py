"""Finding the one call that a person means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from edge.cli.output import clean

if TYPE_CHECKING:
    from edge.core.facts import Entry
    from edge.views.reading import Reader

SHOWN = 5


def entries_of_call(reader: Reader, call_id: str) -> Sequence[Entry]:
    """Every entry of the call with this id, or whose id ends so. Raises `click.ClickException` (exit code 1)."""
    from edge.views.reading import call_ids, whole_call

    found = call_ids(reader, call_id)
    if not found:
        raise click.ClickException(
            f"no call has an id that ends with {clean(repr(call_id))}: see `edge calls`"
        )
    if len(found) > 1:
        some = ", ".join(map(clean, found[-SHOWN:]))
        raise click.ClickException(f"{len(found)} calls have ids that end so; give more of it: {some}")
    return whole_call(reader, found[0])
