"""Faults of the daemon, interrupted where it hurts: a lab is never left without one."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from pathlib import Path

import msgspec
import pytest

from hwtest import rehearsal
from hwtest.lab import faults, processes
from hwtest.lab.contract import Address, Lab
from hwtest.lab.packages import LabError
from hwtest.lab.processes import ProcessIdentity
from hwtest.options import named_lab
from tests.lab.test_stack import description


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch) -> list[Lab]:
    """Daemons of the lab's own that were started; none runs before."""
    started = list[Lab]()
    monkeypatch.setattr(processes, "running", lambda _: [])
    monkeypatch.setattr(faults, "start_daemon", lambda lab, *_: started.append(lab))
    return started


@pytest.mark.parametrize("fault", ["daemon-absent", "clock-step"])
def test_interrupted_as_the_daemon_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, began: list[Lab], fault: str
) -> None:
    """Ctrl-C comes at any moment, also before the fault is there."""
    stops = iter([KeyboardInterrupt()])

    def stop(_: Lab) -> None:
        if (error := next(stops, None)) is not None:
            raise error

    monkeypatch.setattr(faults, "stop_daemon", stop)
    monkeypatch.setattr(faults, "false_clock", lambda _: ())
    with pytest.raises(KeyboardInterrupt), faults.FAULTS[fault].seed(description(tmp_path)):
        pass
    assert len(began) == 1


def test_a_supervised_lab_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, began: list[Lab]
) -> None:
    """Its supervisor would start what is stopped; and no second daemon is begun beside."""
    monkeypatch.setattr(processes, "running", lambda _: [ProcessIdentity(1, 1)])
    with pytest.raises(LabError, match="--supervise"), faults.absent(description(tmp_path)):
        pass
    assert began == []


async def test_a_probe_that_is_ended_as_the_daemon_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, began: list[Lab]
) -> None:
    """The thread that stops it goes on; only then is it started again."""
    stopping, may_stop, order = threading.Event(), threading.Event(), list[str]()

    def stop(_: Lab) -> None:
        stopping.set()
        may_stop.wait(10)
        order.append("stopped")

    monkeypatch.setattr(faults, "stop_daemon", stop)
    monkeypatch.setattr(faults, "start_daemon", lambda _: order.append("started"))

    async def probe() -> None:
        async with rehearsal._hurt(description(tmp_path)):
            raise AssertionError

    task = asyncio.create_task(probe())
    await asyncio.to_thread(stopping.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    may_stop.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order == ["stopped", "started"]
    assert began == []


def test_nobody_else_is_stopped_in_the_switchs_place(tmp_path: Path) -> None:
    """Of a lab that is no more the process id may be given to another: to this test, say."""
    note = {"pid": os.getpid(), "started_ticks": 1, "command": ["asterisk"]}
    lab = msgspec.structs.replace(description(tmp_path), asterisk_directory=str(tmp_path))
    (tmp_path / "asterisk.json").write_text(json.dumps(note))
    with pytest.raises(LabError, match="No Asterisk runs"), faults.slow_switch(lab):
        pass


def test_a_lab_elsewhere_is_not_loaded(tmp_path: Path) -> None:
    """Its description may have come here by a copy; a trunk may be behind it."""
    lab = description(tmp_path)
    lab.write()
    assert named_lab(tmp_path) == named_lab(tmp_path / "lab.json") == lab
    msgspec.structs.replace(lab, sip=Address(host="192.0.2.1", port=5060)).write()
    with pytest.raises(LabError, match="not on this machine"):
        named_lab(tmp_path)
