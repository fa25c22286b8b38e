"""What takes minutes: run by `make endure`, not by `make test`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge.core.model import CallOutcome, CallState
from hwtest.useragent import CallState as Wire
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room

pytestmark = [pytest.mark.usefixtures("daemon_runs"), pytest.mark.endurance]
SILENT_SECONDS = 190.0


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own."""
    lab = LiveLab.up(tmp_path_factory.mktemp("endurance"), POLICY)
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """Nobody is there for the waiting 999."""
    return ["999 unanswered", "no 999 agent"]


async def test_silence_is_a_call(room: Room) -> None:
    """Three minutes without a single packet of audio, on 101 and on 999: both calls are still there and reach a handler."""
    silent = [room.caller("101"), room.caller("999")]
    assert all(caller.leg.media.mode == "sink" for caller in silent)  # a leg that never sends
    await silent[0].lasts(SILENT_SECONDS)
    assert [caller.reached for caller in silent] == [Wire.ANSWERED, Wire.RINGING]
    assert all(caller.state is not Wire.ENDED and caller.leg.sent == 0 for caller in silent)
    ann = await room.agent(1)
    for _ in silent:
        call = await ann.answers()
        caller = room.who(call)
        await room.reaches(caller, CallState.TALKING)
        assert await call.lasts(5.0)  # and a talk in silence goes on too
        await caller.hang_up()
        assert (await room.ended(caller)).outcome is CallOutcome.ANSWERED
