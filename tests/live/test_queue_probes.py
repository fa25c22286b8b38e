"""hwtest's probes of the queue on a real lab: a fault of each kind is seeded, and each is found and its layer named.

That they pass on a lab without a fault, and put agents back, is tested too. `nothing_leaks` sees to what they leave behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.core.model import AgentState
from hwtest.audio.prompt import document_of
from hwtest.desks import POLICY as QUEUES
from hwtest.desks import desks
from hwtest.lab.configuration import merged, read_policy, to_toml
from hwtest.lab.contract import FILE
from hwtest.probes import (
    queue_abandon,
    queue_callback,
    queue_dispatch,
    queue_greet,
    queue_noanswer,
    queue_order,
    queue_overflow,
)
from hwtest.probes.contract import Layer, Probe, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.report.result import ProbeResult
from hwtest.running import run
from hwtest.site import Site
from hwtest.target import of_lab
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room
from tests.probes.test_running import Told

pytestmark = [pytest.mark.endurance, pytest.mark.usefixtures("daemon_runs")]
OWN: dict[str, Any] = {
    "class": {"vulnerable": {"head_start_seconds": 0.0}},
    "callback": {"idle_agents": 1},
}
"""Nobody has a head start, so that the configuration can be changed behind the daemon's back."""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own: nobody has a head start, so that its configuration can be changed behind the daemon's back."""
    lab = LiveLab.up(
        tmp_path_factory.mktemp("queue"),
        merged(merged(POLICY, OWN), read_policy(QUEUES)),
    )
    yield lab
    finish(lab)


@pytest.fixture(autouse=True)
async def agents_are_put_back(room: Room) -> AsyncIterator[None]:
    """Whatever a probe came to, nobody is signed in afterwards and no phone is registered."""
    yield
    await room.until(
        lambda: all(record.state is AgentState.SIGNED_OUT for record in room.live.state.agents.values()),
        what="everybody is signed out again",
    )
    contacts = room.live.asterisk.cli("pjsip show contacts")
    assert "agent" not in contacts, contacts


async def probed(live: LiveLab, probe: Probe, folder: Path) -> ProbeResult:
    """What a probe says of the lab as it is now."""
    async with Site(of_lab(live.lab, live.directory / FILE), folder, lab_allowed=True) as site:
        result = await run(site, [probe], Told(), [probe.name], 1)
    return result.probes[0]


def blamed(result: ProbeResult) -> list[tuple[str, str]]:
    """Codes and layers of what failed."""
    return [
        (finding.code, finding.layer.value) for finding in result.findings if finding.verdict is Verdict.FAIL
    ]


@asynccontextmanager
async def stopping(live: LiveLab, stopped_seconds: float, running_seconds: float) -> AsyncIterator[None]:
    """The daemon is stopped and goes on again and again, as on a machine that has no time for it."""

    async def again_and_again() -> None:
        while True:
            live.signal_daemon(signal.SIGSTOP)
            await asyncio.sleep(stopped_seconds)
            live.signal_daemon(signal.SIGCONT)
            await asyncio.sleep(running_seconds)

    task = asyncio.create_task(again_and_again())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        live.signal_daemon(signal.SIGCONT)


@contextlib.contextmanager
def behind_the_daemons_back(live: LiveLab, over: dict[str, Any]) -> Iterator[None]:
    """The configuration's file says this too, and the daemon that runs was not reloaded."""
    file = Path(live.lab.config)
    before = file.read_text(encoding="utf-8")
    file.write_text(to_toml(merged(document_of(live.lab), over)), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(before, encoding="utf-8")


# --- queue.greet ---


async def test_a_caller_is_greeted(live: LiveLab, tmp_path: Path) -> None:
    """A lab without a fault: the greeting is the line's own, at once, and there is no dead air."""
    result = await probed(live, queue_greet.PROBE, tmp_path)
    assert blamed(result) == [], result.findings
    assert {figure.name: figure.value for figure in result.figures}["greeting_likeness"] > 0.95  # type: ignore[operator]


async def test_a_hung_daemon_greets_nobody(
    live: LiveLab, tmp_path: Path, expected_warnings: list[str]
) -> None:
    """The switch plays its music at once; that it is not the greeting is found, and the daemon is blamed."""
    expected_warnings += ["."]
    live.signal_daemon(signal.SIGSTOP)
    try:
        result = await probed(live, queue_greet.PROBE, tmp_path)
    finally:
        live.signal_daemon(signal.SIGCONT)
    assert blamed(result) == [(queue_greet.UNGREETED, Layer.DAEMON.value)]


# --- queue.order ---


async def test_the_order_is_the_configurations(
    live: LiveLab, tmp_path: Path, expected_warnings: list[str]
) -> None:
    """999, then all others by their time of joining."""
    expected_warnings += ["no 999 agent", "999 unanswered"]
    result = await probed(live, queue_order.PROBE, tmp_path)
    assert result.verdict is Verdict.PASS, (result.reason, result.findings, result.figures)


async def test_a_configuration_that_was_not_reloaded_is_an_order_that_is_wrong(
    live: LiveLab, tmp_path: Path, expected_warnings: list[str]
) -> None:
    """The file gives the vulnerable a head start; the daemon that runs has never heard of it."""
    expected_warnings += ["no 999 agent", "999 unanswered"]
    with behind_the_daemons_back(live, {"class": {"vulnerable": {"head_start_seconds": 60.0}}}):
        result = await probed(live, queue_order.PROBE, tmp_path)
    assert blamed(result) == [(queue_order.OVERTAKEN, Layer.DAEMON.value)]


async def test_nothing_is_measured_where_people_work(live: LiveLab, room: Room, tmp_path: Path) -> None:
    """An agent is signed in: their phone must not ring for a test, and they stay signed in."""
    desk = await room.agent(1)
    result = await probed(live, queue_order.PROBE, tmp_path)
    assert result.verdict is Verdict.NOT_MEASURED
    assert result.reason is not None and desk.number in result.reason
    assert room.agent_state(desk) is AgentState.READY
    await room.close()


async def test_agents_are_signed_out_when_a_probe_is_cut_short(live: LiveLab, tmp_path: Path) -> None:
    """It ends in the middle, an agent signed in and callers waiting (`agents_are_put_back` looks)."""

    async def ends(site: Site, _: Sheet) -> None:
        async with desks(site, 2, "this") as room:
            await room.call("101")
            await room.sign_in(*room.desks)
            await room.desks[0].rung(8)
            raise OSError("the network went")

    probe = queue_order.PROBE
    result = await probed(live, _with(probe, ends), tmp_path)
    assert result.verdict is Verdict.NOT_MEASURED


def _with(probe: Probe, measure: Any) -> Probe:
    return dataclasses.replace(probe, measure=measure)


# --- queue.dispatch ---


async def test_dispatch_beside_app_queue(live: LiveLab, tmp_path: Path, expected_warnings: list[str]) -> None:
    """Phones ring at once; app_queue on the same phones is slower."""
    expected_warnings += ["."]
    result = await probed(live, queue_dispatch.PROBE, tmp_path)
    assert blamed(result) == [], result.findings
    figures = {figure.name: figure.value for figure in result.figures}
    assert figures["times_faster"] > 2  # type: ignore[operator]


async def test_a_daemon_that_is_stopped_again_and_again_dispatches_late(
    live: LiveLab, tmp_path: Path, expected_warnings: list[str]
) -> None:
    """350 ms of each 450: it is found to be the daemon."""
    expected_warnings += ["."]
    async with stopping(live, 0.35, 0.1):
        result = await probed(live, queue_dispatch.PROBE, tmp_path)
    assert (queue_dispatch.SLOW, Layer.DAEMON.value) in blamed(result)


# --- queue.noanswer ---


async def test_phones_that_do_not_answer_cost_nothing(
    live: LiveLab, tmp_path: Path, expected_warnings: list[str]
) -> None:
    """Refused, silent, unplugged, rung in vain: the next is rung at once, and the place is kept."""
    expected_warnings += ["."]
    result = await probed(live, queue_noanswer.PROBE, tmp_path)
    assert result.verdict is Verdict.PASS, (result.reason, result.findings, result.figures)


async def test_a_ring_that_is_too_short_is_found(
    live: LiveLab, tmp_path: Path, expected_warnings: list[str]
) -> None:
    """The file gives a phone 9 s, the daemon that runs gives it 4."""
    expected_warnings += ["."]
    with behind_the_daemons_back(live, {"queue": {"101": {"offer_seconds": 9.0}}}):
        result = await probed(live, queue_noanswer.PROBE, tmp_path)
    assert blamed(result) == [(queue_noanswer.RING_TIME, Layer.DAEMON.value)]


# --- queue.abandon ---


async def test_who_gives_up_frees_the_phone_and_is_written_down(live: LiveLab, tmp_path: Path) -> None:
    """In the queue, at the test phone and at an agent's."""
    result = await probed(live, queue_abandon.PROBE, tmp_path)
    assert blamed(result) == [], result.findings
    assert {figure.name: figure.n for figure in result.figures} == {"phone_stops": 8, "wait_error": 10}


async def test_a_phone_that_rings_on_is_found(
    live: LiveLab, tmp_path: Path, expected_warnings: list[str]
) -> None:
    """The daemon is stopped for 2 s again and again, less than the 3 s after which the switch serves a 999 by itself."""
    expected_warnings += ["."]
    async with stopping(live, 2.0, 0.25):
        result = await probed(live, queue_abandon.PROBE, tmp_path)
    assert (queue_abandon.SLOW, Layer.DAEMON.value) in blamed(result)
    assert (queue_abandon.WAIT, Layer.RECORD.value) in blamed(result)


async def test_a_record_that_misses_calls_is_found(
    live: LiveLab, tmp_path: Path, expected_warnings: list[str]
) -> None:
    """The daemon is dead: the switch queues callers, and what becomes of them stands nowhere."""
    expected_warnings += ["."]
    await live.lose_daemon()
    result = await probed(live, queue_abandon.PROBE, tmp_path)
    assert (queue_abandon.UNLOGGED, Layer.RECORD.value) in blamed(result)


# --- queue.callback ---


async def test_a_call_back_is_kept(live: LiveLab, tmp_path: Path, expected_warnings: list[str]) -> None:
    """From the keys to the talk, by way of a refusal and of an answer by another."""
    expected_warnings += ["."]
    result = await probed(live, queue_callback.PROBE, tmp_path)
    assert result.verdict is Verdict.PASS, (result.reason, result.findings)


async def test_an_attempt_that_comes_too_soon_is_found(
    live: LiveLab, tmp_path: Path, expected_warnings: list[str]
) -> None:
    """The file says 20 s between attempts, the daemon that runs leaves 3."""
    expected_warnings += ["."]
    with behind_the_daemons_back(
        live, {"queue": {"callback-probe": {"callback": {"spacing_seconds": 20.0}}}}
    ):
        result = await probed(live, queue_callback.PROBE, tmp_path)
    assert blamed(result) == [(queue_callback.HASTY, Layer.DAEMON.value)]


# --- queue.overflow ---


async def test_who_cannot_be_served_is_told_so(
    live: LiveLab, tmp_path: Path, expected_warnings: list[str]
) -> None:
    """Full, closed, unstaffed, and a phone that goes while it rings."""
    expected_warnings += ["."]
    result = await probed(live, queue_overflow.PROBE, tmp_path)
    assert result.verdict is Verdict.PASS, (result.reason, result.findings)


async def test_a_switch_left_alone_turns_nobody_away(
    live: LiveLab, tmp_path: Path, expected_warnings: list[str]
) -> None:
    """The daemon is dead: the switch knows neither hours nor limits, and callers of a closed queue wait."""
    expected_warnings += ["."]
    await live.lose_daemon()
    result = await probed(live, queue_overflow.PROBE, tmp_path)
    assert {(queue_overflow.UNSAID, Layer.DAEMON.value), (queue_overflow.TAKEN, Layer.DAEMON.value)} <= set(
        blamed(result)
    )
