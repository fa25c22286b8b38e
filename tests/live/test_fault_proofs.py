"""Each probe that breaks a lab can fail: on a real switch, with a fault of the kind that it is there to find.

`fault.ctl` is proven by the seeded fault dead-man-broken (tests/probes/test_fault_finding.py).
"""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from hwtest.lab import faults, stack
from hwtest.lab.contract import Lab
from hwtest.lab.faults import switch_file
from hwtest.lab.hurt import Hurt
from hwtest.probes import fault_disk
from hwtest.probes.contract import Layer, Verdict
from hwtest.probes.registry import choose
from hwtest.report.result import ProbeResult
from hwtest.running import run
from hwtest.site import Site
from hwtest.target import open_target
from tests.live.test_switch_probes import Silent

pytestmark = [
    pytest.mark.endurance,
    pytest.mark.filterwarnings(
        "ignore:subprocess [0-9]+ is still running"
    ),  # a lab outlives its Popen, on purpose
]
LOCKED_SECONDS = 20.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One lab for all of them."""
    folder = tmp_path_factory.mktemp("proofs")
    yield stack.up(stack.Wishes(directory=folder, agents=4, wrap_up_seconds=0.0), lambda _: None)
    stack.down(folder)


async def probed(lab: Lab, name: str, folder: Path) -> ProbeResult:
    """What the probe comes to, faults allowed."""
    async with Site(open_target(Path(lab.directory)), folder, lab_allowed=True) as site:
        return (await run(site, choose([name]), Silent(), [name], 1)).probes[0]


def failed(result: ProbeResult) -> set[tuple[str, Layer]]:
    """What it blames, and whom; it says so in a failure, not in a reason why it could not measure."""
    assert result.verdict is Verdict.FAIL, result
    return {(finding.code, finding.layer) for finding in result.findings if finding.verdict is Verdict.FAIL}


async def test_a_switch_that_refuses_some_calls(lab: Lab, tmp_path: Path) -> None:
    """`fault.net`: a third of the calls are turned away at once, by the second in which they come."""
    refuse = (
        r"exten => turned-away,1,Hangup(34)\n"
        r"exten => 5990,1,GotoIf($[${EPOCH} % 3 = 0]?turned-away,1)\n same => n,\g<1>"
    )
    broken = switch_file("edge101-extensions.conf", r"(?m)^exten => 5990,1,(.*)$", refuse, "dialplan reload")
    with broken(lab):
        result = await probed(lab, "fault.net", tmp_path)
    assert ("fault.net.lost", Layer.SWITCH) in failed(result)


async def test_a_daemon_that_measures_by_the_time_of_day(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`fault.clock`: the clock that is never set is set with the other one."""
    true = faults.false_clock

    def both(how: str) -> tuple[str, ...]:
        return tuple(word for word in true(how) if "MONOTONIC" not in word)

    monkeypatch.setattr(faults, "false_clock", both)
    assert ("fault.clock.intervals", Layer.DAEMON) in failed(await probed(lab, "fault.clock", tmp_path))


async def test_a_daemon_that_waits_for_its_disk(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`fault.disk`: it stands still while the disk is full, and nothing in the record says that it was in trouble."""

    @contextmanager
    def stuck(hurt: Hurt) -> Iterator[None]:
        with hurt.refused(), hurt.struck(signal.SIGSTOP):
            yield

    full: dict[str, tuple[str, Callable[[Hurt], AbstractContextManager[None]]]] = {
        "full": ("the disk takes nothing", stuck)
    }
    monkeypatch.setattr(fault_disk, "FAULTS", full)
    assert ("fault.disk.unsaid", Layer.RECORD) in failed(await probed(lab, "fault.disk", tmp_path))


async def test_a_ledger_that_somebody_holds_when_the_daemon_starts_again(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`fault.restart`: another program locks the ledger at that moment, and the daemon is long in coming back."""
    send = Hurt.send
    holding, over = list[threading.Thread](), threading.Event()

    def hold(taken: threading.Event) -> None:
        with contextlib.closing(sqlite3.connect(lab.ledger.removeprefix("sqlite:///"), timeout=20)) as other:
            other.execute("BEGIN IMMEDIATE")
            taken.set()
            over.wait(LOCKED_SECONDS)  # so long it is held: that is the fault
            other.rollback()

    def held(hurt: Hurt, number: signal.Signals) -> None:
        if number is signal.SIGKILL:
            taken = threading.Event()
            holding.append(threading.Thread(target=hold, args=(taken,)))
            holding[-1].start()
            assert taken.wait(20)
        send(hurt, number)

    monkeypatch.setattr(Hurt, "send", held)
    result = await probed(lab, "fault.restart", tmp_path)
    over.set()
    for thread in holding:
        thread.join()
    assert ("fault.restart.slow", Layer.DAEMON) in failed(result)
