"""Faults of audio, seeded one at a time between a real switch and a real phone: hwtest finds each and names the layer."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import pytest

from hwtest import running
from hwtest.capture.sniffer import Sniffer
from hwtest.lab.contract import FILE
from hwtest.lab.relay import HOST, Harm, Relay, Way
from hwtest.probes.contract import Layer, Verdict
from hwtest.probes.registry import all_probes
from hwtest.report.result import ProbeResult
from hwtest.site import Site
from hwtest.softphone.latency import path_ms
from hwtest.softphone.pair import pair_at
from hwtest.target import of_lab
from tests.live.room import LiveLab
from tests.live.test_softphones import Quiet, library

__all__ = ["library"]  # the fixture
pytestmark = [pytest.mark.usefixtures("daemon_runs", "library")]


@pytest.fixture
def raw_socket() -> None:
    """The wire can be seen."""
    try:
        Sniffer(9).close()
    except PermissionError:
        pytest.skip("capturing needs CAP_NET_RAW (root)")


TO_PHONE, TO_SWITCH = frozenset({Way.TO_PHONE}), frozenset({Way.TO_SWITCH})


@asynccontextmanager
async def behind(live: LiveLab, harm: Harm, folder: Path) -> AsyncIterator[tuple[Site, Relay]]:
    """The lab as a target whose test phone sits behind a relay that does this harm."""
    target = of_lab(live.lab, live.directory / FILE)
    name = live.lab.test_phones[0].user
    relay = Relay(live.lab.sip.port, harm, called=True)
    try:
        phone = dataclasses.replace(target.phones[name], registrar=f"{HOST}:{relay.port}")
        target = dataclasses.replace(target, phones={**target.phones, name: phone})
        async with Site(target, folder) as site:
            yield site, relay
    finally:
        relay.close()


async def result_of(probe: str, live: LiveLab, harm: Harm, folder: Path) -> ProbeResult:
    """What the probe says of the lab with this harm."""
    async with behind(live, harm, folder) as (site, _):
        probes = [one for one in all_probes() if one.name == probe]
        (result,) = (await running.run(site, probes, Quiet(), [probe], 1)).probes
    assert result.reason is None, result.reason
    return result


@pytest.mark.parametrize(
    ("probe", "harm", "code", "layer"),
    [
        ("audio.twoway", Harm(mute=TO_PHONE), "audio.twoway.unheard", Layer.NETWORK),
        pytest.param(
            *("audio.twoway", Harm(ways=TO_SWITCH, late_seconds=3.5), "audio.twoway.late", Layer.SWITCH),
            marks=pytest.mark.endurance,
        ),
        pytest.param(
            *("audio.dtmf", Harm(ways=TO_PHONE, events_lost=True), "audio.dtmf.lost", Layer.SWITCH),
            marks=pytest.mark.endurance,
        ),
    ],
    ids=["one-way audio", "late media", "keys lost"],
)
async def test_a_seeded_fault_is_found(
    live: LiveLab, tmp_path: Path, probe: str, harm: Harm, code: str, layer: Layer
) -> None:
    """By its code, at its layer."""
    result = await result_of(probe, live, harm, tmp_path)
    assert result.verdict is Verdict.FAIL
    assert (code, layer) in {(finding.code, finding.layer) for finding in result.findings}


@pytest.mark.endurance
@pytest.mark.usefixtures("raw_socket")
@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (Harm(ways=TO_PHONE, loss=0.05), "audio.quality.lost"),
        (Harm(ways=TO_PHONE, jitter_seconds=0.080), "audio.quality.jitter"),
    ],
    ids=["5 % lost", "80 ms of jitter on average"],
)
async def test_a_rough_line_is_found(live: LiveLab, tmp_path: Path, harm: Harm, code: str) -> None:
    """Loss and jitter, in the one direction that has them."""
    result = await result_of("audio.quality", live, harm, tmp_path)
    assert code in {finding.code for finding in result.findings}
    of_caller = [figure for figure in result.figures if figure.name == "lost_at_caller"]
    assert [figure.verdict for figure in of_caller] == [Verdict.PASS]


@pytest.mark.endurance
@pytest.mark.usefixtures("raw_socket")
@pytest.mark.parametrize("loss_share", [0.0, 0.05])
async def test_an_inserted_delay_is_measured(live: LiveLab, tmp_path: Path, loss_share: float) -> None:
    """What the line really held each packet stands beside what the chirps in the packets say of it: within 1 ms."""
    found, held = list[float](), list[float]()
    for delay_seconds in (0.0, 0.087):
        harm = Harm(ways=TO_PHONE, delay_seconds=delay_seconds, loss=loss_share)
        async with (
            behind(live, harm, tmp_path) as (site, relay),
            pair_at(site) as (phones, number),
            phones.through(site, number) as conversation,
        ):
            latency, arrived = await phones.latency_and_path(
                conversation, tmp_path, count=3, seed=3, name="delayed", interface="lo"
            )
        assert arrived is not None
        found.append(median(path_ms(latency.ends[0], arrived[1])))
        held.append(1000 * median(relay.held_seconds))
    assert found[1] - found[0] == pytest.approx(held[1] - held[0], abs=1.0)
