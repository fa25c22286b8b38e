"""999 under faults of the daemon, as `hwtest bench --only faults` measures it: a few here, all of them in `make endure`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from hwtest.bench import faults
from hwtest.bench.faults import FAULTS, Plan
from hwtest.bench.results import Outcome
from hwtest.bench.rig import rig
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab

pytestmark = pytest.mark.usefixtures("daemon_runs")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own, whose daemon is hurt."""
    lab = LiveLab.up(tmp_path_factory.mktemp("faults"), POLICY)
    yield lab
    finish(lab)


def say(line: str) -> None:
    """Figures as they come: shown with -s."""
    sys.stdout.write(f"\n{line}")


async def measure(live: LiveLab, plan: Plan) -> Outcome:
    """What the benchmark finds on this lab."""
    async with rig(live.lab, say) as stand:
        return await faults.measure(stand, plan)


async def test_a_999_reaches_an_agent_within_five_seconds(live: LiveLab) -> None:
    """With the daemon killed in the instant of the call."""
    outcome = await measure(live, Plan(samples=1, only=("killed",), absent_calls=0))
    assert [(figure.name, figure.met) for figure in outcome.figures if figure.target] == [
        (faults.name_of("killed"), True)
    ]


@pytest.mark.endurance
async def test_without_a_daemon_a_hundred_of_a_hundred_reach_an_agent(live: LiveLab) -> None:
    """Ten a second, four agents: the switch's own queue brings all of them to somebody."""
    outcome = await measure(live, Plan(samples=1, only=(), absent_calls=100))
    everybody = next(figure for figure in outcome.figures if figure.name == faults.ABSENT)
    assert (everybody.unit, everybody.value) == ("of 100", 0)


@pytest.mark.endurance
async def test_a_999_under_every_fault(live: LiveLab, expected_warnings: list[str]) -> None:
    """Every fault, some instants each. The daemon says of each what it thinks of it."""
    expected_warnings.append("")
    outcome = await measure(live, Plan(samples=3 * faults.PROBES))
    judged = {figure.name: figure.met for figure in outcome.figures if figure.target}
    assert judged == {**{faults.name_of(fault): True for fault in FAULTS}, faults.ABSENT: True}
