"""One run of several measurements: what breaks costs itself alone, and what there is is kept after each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from hwtest.bench import run as running
from hwtest.bench.report import Report
from hwtest.bench.results import Figure, Outcome, unmeasured
from hwtest.bench.rig import RigError
from hwtest.bench.run import Measurement, measurements

Measure = Callable[[Any], Awaitable[Outcome]]


class Stand:
    """A rig without a lab, which says how often it was told to recover."""

    captured = True
    recovered = 0

    async def recover(self) -> None:
        """After what failed."""
        self.recovered += 1


class Lab:
    """What a run asks of a lab."""

    asterisk_version = "22"


async def good(_: object) -> Outcome:
    """It measures."""
    return Outcome([Figure(name="good", target="t", met=True)])


async def broken(_: object) -> Outcome:
    """A fault of ours."""
    raise KeyError("VmRSS")


async def refused(_: object) -> Outcome:
    """A fault of the lab."""
    raise RigError("the lab has no phones")


async def endless(_: object) -> Outcome:
    """It does not end."""
    await asyncio.Event().wait()
    raise AssertionError


async def kept(
    monkeypatch: pytest.MonkeyPatch, wanted: Mapping[str, Measure], only: tuple[str, ...] = ()
) -> tuple[list[Report], Stand]:
    """What was kept after each measurement."""
    stand = Stand()

    @asynccontextmanager
    async def rig(*_: object) -> AsyncIterator[Stand]:
        yield stand

    def not_measured(why: str) -> list[Figure]:
        return [unmeasured("row", "t", why)]

    made = [Measurement(name, measure, not_measured, name == "long") for name, measure in wanted.items()]
    monkeypatch.setattr(running, "rig", rig)
    monkeypatch.setattr(running, "measurements", lambda _: made)
    seen = list[Report]()

    def keep(report: Report) -> None:
        seen.append(Report(machine=report.machine, parts=list(report.parts)))

    await running.run(Lab(), only, 60, lambda _: None, keep)  # type: ignore[arg-type]
    return seen, stand


async def test_what_breaks_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is raised is the reason of that measurement, and the next is made."""
    seen, stand = await kept(monkeypatch, {"a": broken, "b": refused, "c": good})
    assert [len(report.parts) for report in seen] == [1, 2, 3]
    first, second, third = seen[-1].figures
    assert (first.measured, second.measured, third.met) == (False, False, True)
    assert first.notes == ["a fault of hwtest itself: KeyError: 'VmRSS'"]
    assert second.notes == ["the lab has no phones"]
    assert stand.recovered == 2


async def test_what_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so."""
    monkeypatch.setattr(running, "LIMIT_SECONDS", 0.01)
    seen, _ = await kept(monkeypatch, {"a": endless, "b": good})
    assert seen[-1].figures[0].notes == ["not done in time (TimeoutError)"]
    assert seen[-1].figures[1].met


async def test_what_takes_long_has_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own limit, and not that of the others."""
    monkeypatch.setattr(running, "LONG_LIMIT_SECONDS", 0.01)
    seen, _ = await kept(monkeypatch, {"long": endless}, ("long",))
    assert seen[-1].figures[0].notes == ["not done in time (TimeoutError)"]


async def test_the_long_one_is_measured_when_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """And left out of a run of everything."""
    everything, _ = await kept(monkeypatch, {"long": good, "b": good})
    named, _ = await kept(monkeypatch, {"long": good, "b": good}, ("long",))
    assert [part.name for part in everything[-1].parts] == ["b"]
    assert [part.name for part in named[-1].parts] == ["long"]


def test_what_takes_longest_is_left_out() -> None:
    """Everything else is in a run of everything; what kills the daemon comes last."""
    made = measurements(300)
    assert [each.name for each in made if each.named_only] == ["report", "faults"]
    assert made[0].name == "dispatch-20"
    assert [each.name for each in made[-2:]] == ["restart", "faults"]
