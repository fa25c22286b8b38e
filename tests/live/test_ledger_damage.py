"""A ledger with a page overwritten under real calls: they go on, and the next daemon has what was promised."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.core.model import CallState
from tests.live.people import accept
from tests.live.room import LiveLab, Room
from tests.live.test_ledger_trouble import BUSY_SECONDS, COMMIT_SECONDS, connected, database, policy
from tests.live.test_survival import prints

PAGE = 4096

pytestmark = pytest.mark.usefixtures("daemon_runs")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own, whose record is not whole in the end."""
    directory = tmp_path_factory.mktemp("ledger-damage")
    lab = LiveLab.up(directory, policy(directory / "ledger.sqlite"))
    yield lab
    lab.down()


@pytest.fixture
def expected_warnings() -> list[str]:
    """What a daemon says of its ledger."""
    return ["ledger", "checkpoint not saved", "history"]


async def test_a_damaged_page_stops_no_call(room: Room) -> None:
    """A page of facts is overwritten under the daemon's hands: calls go on as ever. After a kill the next daemon sets the file
    aside and serves: the promise is there at its place, the hole is named, and the record holds around it."""
    live = room.live
    desk = await room.agent(4, tone_hz=440)
    busy = room.caller("1043")
    talk = await desk.answers()
    await room.reaches(busy, CallState.TALKING)
    kept = await accept(room, room.caller("1043", hears=True))
    place = live.state.calls[kept].queued_at
    file = database(live)
    ann = await room.agent(1, tone_hz=600)
    await room.until(lambda: room.agent_state(ann) is not None)
    with contextlib.closing(sqlite3.connect(file, timeout=5)) as other:
        other.execute(
            "PRAGMA wal_checkpoint(TRUNCATE)"
        )  # from the WAL into the pages, of which one is about to be damaged
    damage(file, f'"call_id":"{room.record(busy).call_id}"'.encode())
    served = [await connected(room, ann) for _ in range(3)]
    prints(room, "ledger damaged: INVITE to INVITE", slowest_ms=max(took for _, took in served))
    assert max(took for _, took in served) < (COMMIT_SECONDS + BUSY_SECONDS) * 1000
    await talk.hang_up()
    live.signal_daemon(signal.SIGKILL)
    await live.start_daemon()
    live.forget()
    live.follow()
    assert live.state.calls[kept].state in (CallState.CALLBACK, CallState.RESERVING)
    assert live.state.calls[kept].queued_at == place
    told = json.loads((await asyncio.to_thread(live.edge, "gaps", "--json")).stdout)
    assert len(told["facts_lost"]) == 1
    assert file.with_name(told["facts_lost"][0]["kept_as"]).is_file()
    assert (await asyncio.to_thread(live.edge, "ledger", "verify")).returncode == 0
    live.edge("callbacks", "cancel", kept, "--by", "test", "--why", "over")


def damage(file: Path, text: bytes) -> None:
    """Overwrite the first page with this text in it."""
    place = file.read_bytes().index(text) // PAGE * PAGE
    with file.open("r+b") as handle:
        handle.seek(place)
        handle.write(b"\xaa" * PAGE)
        os.fsync(handle.fileno())
