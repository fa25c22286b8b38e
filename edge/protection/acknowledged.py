"""How far everybody has the record who must have it before anything of it is erased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.ledger.store import SqlReader


@dataclass(frozen=True, slots=True)
class Everybody:
    """`through`: the last fact that all have. `told`: who has how much, in words."""

    through: int
    told: tuple[str, ...]


def everybody_has(
    reader: SqlReader, ledger_url: str, mi_directory: Path, readers: Sequence[str], *, shipped: bool
) -> Everybody:
    """`readers`: of `edge mi`, by name; none: every one that ever acknowledged, one at least. `shipped`: and `edge ship`."""
    from edge.mi.acknowledgements import acknowledged_through
    from edge.ship.state import read_state

    ledger_id = reader.ledger_id
    known = acknowledged_through(mi_directory, ledger_id)
    has = {name: known.get(name, 0) for name in readers or sorted(known)}
    told = [
        f"reader {name} has the facts up to {sequence}"
        if sequence
        else f"reader {name} has acknowledged nothing"
        for name, sequence in has.items()
    ]
    if not has:
        told = ["no reader of `edge mi` has acknowledged anything"]
    through = min(has.values(), default=0)
    if shipped:
        state = read_state(ledger_url)
        sequence = state.sequence if state is not None and state.ledger_id == ledger_id else 0
        through = min(through, sequence)
        told.append(f"the shared database has the facts up to {sequence}")
    return Everybody(through, tuple(told))
