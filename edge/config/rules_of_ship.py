"""What does not go together in `[ship]` and `[retention]`."""

from __future__ import annotations

from collections.abc import Iterator

from edge.config.findings import Level
from edge.config.model import Configuration
from edge.config.rules import Contradiction, Rule
from edge.ports import LedgerError


def _other_machines_prove_who_they_are(configuration: Configuration) -> Iterator[Contradiction]:
    """As `edge ship` itself demands when it starts. A warning: the record must not keep the daemon from its callers."""
    if configuration.ship is None:
        return
    from edge.ship.place import place_of

    try:
        place_of(configuration.ship.to)
    except LedgerError as error:
        yield Contradiction(
            ("ship", "to"),
            f"nothing can be shipped there: {error}",
            "Mend it before edge101-ship is started.",
            Level.WARNING,
        )


RULES: tuple[Rule, ...] = (_other_machines_prove_who_they_are,)
