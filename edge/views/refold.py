"""Both folds compared: every fact from the first, and the newest checkpoint with the facts after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge.core.state import State, fold
from edge.views.reading import Reader, checkpoint_state, entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Refold:
    """What folding the whole ledger gave. `difference`: where the folds first differ, None when they agree."""

    state: State
    kinds: Mapping[str, int]
    """How many facts there are of each kind."""
    checkpoint_sequence: int | None
    """None: there is no checkpoint that this version reads, so there was nothing to compare."""
    difference: str | None


def refold(reader: Reader, progress: Callable[[int, int], None] | None = None) -> Refold:
    """Fold everything twice at once. Raises `IllegalFactError` at a fact that the tables do not allow."""
    whole, resumed = State(), checkpoint_state(reader)
    checkpoint_sequence = None if resumed is None else resumed.sequence
    kinds: Counter[str] = Counter()
    last = reader.last_sequence()
    difference = None
    for entry in entries(reader):
        fold(whole, entry)
        kinds[type(entry.fact).__name__] += 1
        if resumed is not None and entry.sequence > resumed.sequence:
            fold(resumed, entry)
        if resumed is not None and entry.sequence == checkpoint_sequence:
            difference = first_difference(asdict(whole), asdict(resumed))
        if progress is not None and entry.sequence % 1000 == 0:
            progress(entry.sequence, last)
    if resumed is not None and difference is None:
        difference = first_difference(asdict(whole), asdict(resumed))
    return Refold(state=whole, kinds=kinds, checkpoint_sequence=checkpoint_sequence, difference=difference)


def first_difference(left: Any, right: Any, path: str = "state") -> str | None:
    """Where two plain structures first differ, as `path: left, right`; None when they agree."""
    if isinstance(left, dict) and isinstance(right, dict):
        return _first(
            first_difference(left.get(key, "(absent)"), right.get(key, "(absent)"), f"{path}.{key}")
            for key in sorted({*left, *right}, key=str)
        )
    if isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(left) == len(right):
        return _first(
            first_difference(*pair, f"{path}[{index}]")
            for index, pair in enumerate(zip(left, right, strict=True))
        )
    return None if left == right else f"{path}: {left!r}, {right!r}"


def _first(found: Iterable[str | None]) -> str | None:
    return next((one for one in found if one is not None), None)
