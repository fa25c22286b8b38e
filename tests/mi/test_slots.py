"""Places for pages, and how much of the processor the projection takes beside them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from edge.mi import slots
from edge.mi.keeping import PAUSE_SECONDS, rest_seconds
from edge.mi.problems import ProblemError
from edge.mi.slots import PAGES_AT_ONCE, PAGES_OF_TOKEN, Slots


@dataclass(frozen=True)
class Holder:
    """A reader."""

    token_id: str
    reader: str = "central"


async def test_places_are_few_and_who_waits_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds them; a place that is given back is there for the next."""
    monkeypatch.setattr(slots, "SLOT_SECONDS", 0.05)
    places = Slots()
    async with AsyncExitStack() as held:
        for number in range(PAGES_AT_ONCE):
            await held.enter_async_context(places.slot(Holder(f"token-{number // PAGES_OF_TOKEN}")))
        assert places.under_way == PAGES_AT_ONCE
        with pytest.raises(ProblemError) as told:
            await held.enter_async_context(places.slot(Holder("another")))
        assert (told.value.status, told.value.headers) == (503, {"Retry-After": "5"})
    assert places.under_way == 0
    async with places.slot(Holder("another")):
        assert places.under_way == 1
    assert places.asked == PAGES_AT_ONCE + 2


def test_the_projection_gives_way_to_pulls() -> None:
    """A quarter of the time alone, a sixteenth beside a pull; and a moment until it looks again, when it is level."""
    alone, beside = rest_seconds(0.1, True, False), rest_seconds(0.1, True, True)
    assert 0.1 / (0.1 + alone) == pytest.approx(1 / 4)
    assert 0.1 / (0.1 + beside) == pytest.approx(1 / 16)
    assert rest_seconds(0.1, False, True) == PAUSE_SECONDS
