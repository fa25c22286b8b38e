"""The record against what a real Asterisk writes down of the same calls: they agree, call by call."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.core.model import CallState
from edge.pbx.asterisk.identity import is_own_leg
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room, until

pytestmark = pytest.mark.usefixtures("daemon_runs")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own: nobody else's calls are in the switch's file."""
    lab = LiveLab.up(tmp_path_factory.mktemp("reconcile"), POLICY)
    yield lab
    finish(lab)


def legs(file: Path) -> list[str]:
    """Of the rows that the switch has written."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return [row[0] for row in csv.reader(text.splitlines())]


async def test_what_the_switch_wrote_agrees(room: Room) -> None:
    """Answered 101 and 999, a caller who gave up, an offer that rang: no difference; the legs of agents are no calls."""
    ann = await room.agent(1)
    for line in ("101_no_greeting", "999"):
        jo = room.caller(line)
        call = await ann.answers()
        await room.reaches(jo, CallState.TALKING)
        await call.hang_up()
        await room.ended(jo)
    given_up = room.caller("101_no_greeting")
    await ann.offered()
    await given_up.hang_up()
    await room.ended(given_up)
    file = Path(room.live.lab.asterisk_directory) / "log/cdr-custom/edge101.csv"
    await until(lambda: sum(not is_own_leg(leg) for leg in legs(file)) >= 3, 10, "the switch writes its rows")
    done = await asyncio.to_thread(room.live.edge, "reconcile", "--cdr", str(file), "--json")
    assert json.loads(done.stdout) == {"ours": 3, "theirs": 3, "matched": 3, "differences": []}
    assert done.returncode == 0
    assert any(is_own_leg(leg) for leg in legs(file))
