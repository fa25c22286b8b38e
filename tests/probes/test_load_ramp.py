"""load.ramp: the search, and what is said of where it ended."""

from __future__ import annotations

import pytest

from hwtest.probes.contract import Layer, NotMeasuredError, Verdict
from hwtest.probes.load_ramp import PROBE, judge
from hwtest.probes.sheet import Sheet
from hwtest.sipp.ramp import FIRST_RATE, MOST_PASSES, MOST_RATE, Pass, search


def made(rate: float, limit: float, *, offered: float | None = None, answer_ms: float = 5) -> Pass:
    """A pass at a switch that takes so many a second."""
    failed = 0 if rate <= limit else 3
    return Pass(
        rate=rate, calls=100, failed=failed, offered=rate if offered is None else offered, answer_ms=answer_ms
    )


ALONE = made(MOST_RATE, MOST_RATE)


async def searched(limit: float, generator: float = 1e6) -> list[Pass]:
    """The search at such a switch, by a generator that can offer so much."""

    async def attempt(rate: float) -> Pass:
        return made(rate, limit, offered=min(rate, generator))

    return await search(attempt)


@pytest.mark.parametrize("limit", [0.4, 3.0, 7.0, 9.9, 12.0, 55.0, 150.0])
async def test_the_search_ends_near_the_limit(limit: float) -> None:
    """Also below 9 a second, where rounding down would never end; a limit near nothing is found to be low."""
    passes = await searched(limit)
    best = max((one.rate for one in passes if one.good), default=0.0)
    assert len(passes) <= MOST_PASSES
    assert best <= limit
    assert best >= 0.8 * limit or limit < 0.2 * FIRST_RATE


async def test_a_switch_without_a_limit() -> None:
    """The search stops at the highest rate that is tried, and says that the true one is higher."""
    passes = await searched(1e6)
    assert passes[-1].rate == MOST_RATE
    sheet = Sheet(PROBE)
    judge(sheet, passes, ALONE)
    assert sheet.verdict is Verdict.PASS
    assert "the true one is higher" in next(
        figure.note for figure in sheet.figures if figure.name == "session_establishment_rate"
    )


async def test_a_generator_at_its_end() -> None:
    """What it could not offer is no merit of the switch, and no fault either."""
    passes = await searched(1e6, generator=60)
    assert [one.rate for one in passes if one.was_offered] == [10, 20, 40]
    sheet = Sheet(PROBE)
    judge(sheet, passes, ALONE)
    assert next(one.value for one in sheet.figures if one.name == "session_establishment_rate") == 40


async def test_a_low_limit() -> None:
    """Is blamed on the switch, with how the lost calls ended."""
    sheet = Sheet(PROBE)
    judge(sheet, await searched(3.0), ALONE)
    assert [(one.code, one.verdict, one.layer) for one in sheet.findings] == [
        ("load.ramp.low", Verdict.WARN, Layer.SWITCH),
        ("load.ramp.backlog", Verdict.WARN, Layer.SWITCH),
    ]
    assert "3 of 100 calls failed" in sheet.findings[0].evidence[0].text


def test_a_backlog() -> None:
    """Every call was answered, and later and later."""
    sheet = Sheet(PROBE)
    judge(sheet, [made(10, 100, answer_ms=2000)], ALONE)
    assert [one.code for one in sheet.findings] == ["load.ramp.backlog"]


def test_the_generator_alone_fails() -> None:
    """Then nothing is said of the switch."""
    with pytest.raises(NotMeasuredError, match="alone loses 3 of 100"):
        judge(Sheet(PROBE), [made(10, 100)], made(200, 100))


def test_nothing_was_offered_as_it_was_to_be() -> None:
    """A machine that cannot place ten calls a second says nothing of a switch, though calls fail on it."""
    with pytest.raises(NotMeasuredError, match=r"offered 4\.0 calls a second in place of 10"):
        judge(Sheet(PROBE), [made(10, 3, offered=4)], ALONE)
