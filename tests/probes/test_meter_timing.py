"""meter.timing: a machine that is disturbed for a moment is looked at again, one that is always late is unfit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from hwtest.probes import meter_timing
from hwtest.probes.contract import Verdict
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.useragent.transport import Endpoint, SocketAddress, Stamp
from tests.probes.made import LIVE


async def judged(overshoots: Iterator[float], monkeypatch: pytest.MonkeyPatch, folder: Path) -> Sheet:
    """The sheet, where the event loop goes on so many milliseconds late each time."""

    async def overshoot_ms() -> float:
        return next(overshoots)

    monkeypatch.setattr(meter_timing, "_overshoot_ms", overshoot_ms)
    monkeypatch.setattr(meter_timing, "DATAGRAMS", 20)
    sheet = Sheet(meter_timing.PROBE)
    async with Site(LIVE, folder) as site:
        await meter_timing.measure(site, sheet)
    return sheet


def late(looks: int) -> Iterator[float]:
    """Every tenth sleep, in so many looks."""
    for _ in range(looks):
        yield from chain([8.0] * 20, [0.1] * (meter_timing.SLEEPS - 20))
    yield from repeat(0.1)


@pytest.mark.parametrize(
    ("looks", "note"),
    [(0, ""), (1, "look 2 of"), (2, "look 3 of"), (3, "look 3 of")],
    ids=["calm", "once", "twice", "always"],
)
async def test_what_is_late_once_is_looked_at_again(
    looks: int, note: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The last look is judged, and says that it is not the first."""
    sheet = await judged(late(looks), monkeypatch, tmp_path)
    sleeps = next(figure for figure in sheet.figures if figure.name == "sleep_overshoot")
    assert (sleeps.verdict is Verdict.FAIL) is (looks == meter_timing.LOOKS)
    assert (sleeps.note or "")[: len("look n of")] == note


async def test_a_firewall_on_this_machine_is_no_matter_of_minutes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of datagrams that never come back a few are enough; what was not measured says so, and is no time-out of a target."""

    class Swallowed(Endpoint):
        def send(self, datagram: bytes, destination: SocketAddress) -> Stamp:
            return Stamp(0, 0)

    monkeypatch.setattr(meter_timing, "Endpoint", Swallowed)
    monkeypatch.setattr(meter_timing, "ECHO_SECONDS", 0.01)
    sheet = await judged(repeat(0.1), monkeypatch, tmp_path)
    trips = next(figure for figure in sheet.figures if figure.name == "loopback_round_trip")
    assert (trips.verdict, trips.note) == (
        Verdict.NOT_MEASURED,
        "there was no sample; 3 lost on this machine itself",
    )
