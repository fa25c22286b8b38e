"""A ledger whose pages are overwritten under real calls: they go on, and the newest sound copy keeps what was promised."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
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


async def test_a_damaged_page_stops_no_call(room: Room, tmp_path: Path) -> None:
    """Every page but the first is overwritten under the daemon's hands: calls go on as ever. After its death `edge ledger verify`
    says what it is and what to do; with the newest sound copy in its place the daemon starts, and the promise in it is there."""
    live = room.live
    desk = await room.agent(4, tone_hz=440)
    busy = room.caller("1043")
    talk = await desk.answers()
    await room.reaches(busy, CallState.TALKING)
    kept = await accept(room, room.caller("1043", hears=True))
    place = live.state.calls[kept].queued_at
    file, copy = database(live), tmp_path / "sound.sqlite"
    with (
        contextlib.closing(sqlite3.connect(file)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    ann = await room.agent(1, tone_hz=600)
    await room.until(lambda: room.agent_state(ann) is not None)
    with contextlib.closing(sqlite3.connect(file, timeout=5)) as other:
        other.execute(
            "PRAGMA wal_checkpoint(TRUNCATE)"
        )  # from the WAL into the pages that are about to be damaged
    with file.open("r+b") as handle:
        handle.seek(4096)
        handle.write(b"\xaa" * max(0, file.stat().st_size - 4096))
        os.fsync(handle.fileno())
    served = [await connected(room, ann) for _ in range(3)]
    prints(room, "ledger damaged: INVITE to INVITE", slowest_ms=max(took for _, took in served))
    assert max(took for _, took in served) < (COMMIT_SECONDS + BUSY_SECONDS) * 1000
    await talk.hang_up()
    live.signal_daemon(signal.SIGKILL)
    for beside in ("-wal", "-shm"):
        file.with_name(file.name + beside).unlink(missing_ok=True)
    said = await asyncio.to_thread(live.edge, "ledger", "verify")
    assert said.returncode != 0
    assert "restore the newest copy that verifies" in said.stderr + said.stdout
    shutil.copyfile(copy, file)
    live.forget()
    await live.start_daemon()
    live.follow()
    assert live.state.calls[kept].state in (CallState.CALLBACK, CallState.RESERVING)
    assert live.state.calls[kept].queued_at == place
    live.edge("callbacks", "cancel", kept, "--by", "test", "--why", "over")
