"""The daemon's counts: true, harmless to the loop, and told on loopback alone."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from edge import exposition
from edge.clock import SystemClock
from edge.daemon import telling
from edge.exposition import HOST, Exposition, Telemetry
from edge.ledger import open_ledger
from edge.ledger.executor import ThreadCommitExecutor
from edge.mi.wallboard.signs import OwnWord
from edge.ports import read_all
from edge.runtime import Runtime
from edge.telemetry import Counters, Durations, Readings
from tests.runtime.test_runtime import POLICY, ScriptedSwitch, presented

Samples = dict[tuple[str, str], float]


def parse(text: str) -> Samples:
    """Value by name and kind (or bound), as Prometheus' own parser reads it."""
    return {
        (sample.name, sample.labels.get("kind") or sample.labels.get("le") or ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def read(port: int) -> Samples:
    """What is told now."""
    async with ClientSession() as session, session.get(f"http://{HOST}:{port}/metrics") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        return parse(await answer.text())


async def test_it_tells_what_happened(tmp_path: Path) -> None:
    """A call served by the real loop on a real ledger: every fact and input is counted, and every commit measured."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    executor = ThreadCommitExecutor(ledger)
    switch = ScriptedSwitch(ledger)
    runtime = Runtime(POLICY, switch, ledger, executor, SystemClock())
    told = Telemetry(0, Exposition(runtime.counters, runtime.readings))
    serving = asyncio.create_task(runtime.run())
    try:
        await switch.until(lambda: runtime.engine.state.sight)
        runtime.post(presented("a"))
        await switch.until(lambda: "a" in runtime.engine.state.ended and runtime.readings().backlog == 0)
        seen = await read(told.port)
        facts = [type(entry.fact).__name__ for entry in read_all(ledger)]
        assert {kind: int(v) for (name, kind), v in seen.items() if name == "edge_daemon_facts_total"} == {
            kind: facts.count(kind) for kind in facts
        }
        assert seen["edge_daemon_inputs_total", "CallPresented"] == 1
        assert seen["edge_daemon_ledger_sequence", ""] == len(facts)
        assert seen["edge_daemon_switch_seen", ""] == 1
        assert seen["edge_daemon_calls_open", ""] == seen["edge_daemon_ledger_backlog_facts", ""] == 0
        assert 0 < seen["edge_daemon_commit_seconds_count", ""] <= len(facts)
        assert (
            seen["edge_daemon_commit_seconds_bucket", "+Inf"] == seen["edge_daemon_commit_seconds_count", ""]
        )
        inputs = sum(value for (name, _), value in seen.items() if name == "edge_daemon_inputs_total")
        assert seen["edge_daemon_step_seconds_count", ""] == inputs
        assert 0 <= seen["edge_daemon_last_turn_seconds", ""] < 5
        assert seen["edge_daemon_turns_total", ""] > 0
        assert abs(seen["edge_daemon_started_seconds", ""] - time.time()) < 60
    finally:
        runtime.stop("test")
        await serving
        told.close()
        executor.close()
        ledger.close()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Telemetry]:
    """A listener with nothing to tell."""
    monkeypatch.setattr(exposition, "PATIENCE_SECONDS", 0.2)

    def start() -> Telemetry:
        return Telemetry(0, Exposition(Counters(), _nothing))

    return start


def _nothing() -> Readings:
    return Readings(
        inbox=0, backlog=0, ledger_trouble=False, switch_seen=True, sequence=0, calls=0, offers=0, tasks=0
    )


async def test_a_reader_that_hangs_is_let_go(told: Callable[[], Telemetry]) -> None:
    """The next is answered, and the loop that this test runs in was never waited for."""
    listener = told()
    with socket.create_connection((HOST, listener.port)) as silent:
        silent.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        assert ("edge_daemon_switch_seen", "") in await read(listener.port)
    listener.close()


async def test_it_tells_nothing_but_metrics(told: Callable[[], Telemetry]) -> None:
    """No other path, no other method, on loopback alone."""
    listener = told()
    async with ClientSession(f"http://{HOST}:{listener.port}") as session:
        for method, path, status in (
            ("GET", "/", 404),
            ("GET", "/metrics/x", 404),
            ("POST", "/metrics", 501),
        ):
            async with session.request(method, path) as answer:
                assert answer.status == status
                assert "Python" not in answer.headers.get("Server", "")
    assert listener._server.server_address[0] == "127.0.0.1"
    listener.close()


def test_the_wallboard_hears_that_nothing_can_be_written() -> None:
    """From the daemon itself, asked once a second at most; nobody there, nothing said."""
    now, trouble = [0.0], [False]
    told = Telemetry(0, Exposition(Counters(), lambda: replace(_nothing(), ledger_trouble=trouble[0])))
    word = OwnWord(told.port, lambda: now[0])
    assert word() is None
    trouble[0] = True
    assert word() is None
    now[0] = 1.0
    assert word() == "the daemon cannot write the record"
    told.close()
    now[0] = 2.0
    assert word() is None


def test_a_port_that_is_taken_stops_no_call(told: Callable[[], Telemetry]) -> None:
    """It is logged, and the daemon serves without a listener."""
    first = told()
    assert exposition.start(first.port, Counters(), _nothing) is None
    first.close()


def test_without_a_port_nothing_is_imported() -> None:
    """The daemon's process has neither the library nor an HTTP server, and nothing of MI."""
    script = (
        "import sys, edge.daemon as daemon\n"
        "with daemon.telling(None, None): pass\n"
        "named = {name.partition('.')[0] for name in sys.modules} | set(sys.modules)\n"
        "print(sorted(named & {'prometheus_client', 'http.server', 'fastapi', 'uvicorn', 'matplotlib', 'edge.mi'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert telling.__module__ == "edge.daemon"


def test_durations_are_counted_in_their_range() -> None:
    """A bound belongs to its own range, as Prometheus has it."""
    durations = Durations((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.11, 1.0, 7.0):
        durations.add(seconds)
    assert durations.cumulative() == [("0.1", 2), ("1.0", 4), ("+Inf", 5)]
    assert durations.sum_seconds == pytest.approx(8.26)
