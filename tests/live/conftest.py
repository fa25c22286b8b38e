"""The lab of the live tests, one for most of them, and what must hold after each of them.

A module that kills things defines a fixture `live` of its own (scope "module", or less) and everything here follows it.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.core.state import replay
from tests.live.people import cancel_callbacks, close_tasks
from tests.live.room import LiveLab, Room, until

POLICY: dict[str, Any] = {
    "tasks": {"alarm_999_seconds": 86400.0},  # nobody closes those that tests leave behind
    "timing": {"refusal_rest_seconds": 0.2, "unreachable_rest_seconds": 0.5},
    "class": {"vulnerable": {"head_start_seconds": 60.0}},
    "queue": {
        "101": {"offer_seconds": 4.0, "callback": {"enabled": False}},
        "999": {"offer_seconds": 4.0},
        "welsh": {
            "skills": ["101", "welsh"],
            "relax": [{"after_seconds": 3.0, "skills": ["101"]}],
            "wrap_up_seconds": 0.0,
        },
        "thorough": {"skills": ["101"], "wrap_up_seconds": 60.0, "offer_seconds": 4.0},
    },
    "line": {
        "brief": {"number": "1011", "tier": "101", "queue": "101", "greeting": "signed-in"},
        "welsh": {"number": "1012", "tier": "101", "queue": "welsh"},
        "vulnerable": {"number": "1017", "tier": "101", "queue": "101", "class": "vulnerable"},
        "thorough": {"number": "1018", "tier": "101", "queue": "thorough"},
    },
    "agent": {
        "4002": {"skills": {"welsh": 1}},
        "4009": {"name": "At home", "pin": "2580", "skills": {"101": 1, "999": 1}, "phone": "home1"},
    },
    "phone": {"home1": {"kind": "trunk", "trunk": "callee", "number": "01632960999"}},
}
"""Short times, so that the tests are quick (`unreachable_seconds` stays 3), and one of everything a site may have."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is live. The daemons that it starts outlive their `Popen`, on purpose."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.live)
            item.add_marker(pytest.mark.filterwarnings("ignore:subprocess [0-9]+ is still running"))


HAS_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fixtures look at how the try that they are torn down after has ended."""
    report = yield
    if call.when == "call":
        item.stash[HAS_FAILED] = report.failed
    return report


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """The lab that is shared by all modules without one of their own."""
    lab = LiveLab.up(tmp_path_factory.mktemp("live"), POLICY)
    yield lab
    finish(lab)


def finish(live: LiveLab) -> None:
    """End the lab; before that the record must be whole, and every way of folding it must agree."""
    try:
        verified = live.edge("ledger", "verify", "--json")
        replayed = live.edge("replay", "--json")
        live.follow()
    finally:
        live.down()
    assert (verified.returncode, json.loads(verified.stdout)["sound"]) == (0, True), verified.stderr
    assert (replayed.returncode, json.loads(replayed.stdout)["agree"]) == (0, True), replayed.stderr
    assert replay(live.entries) == live.state, "folding at once and step by step differ"


@pytest.fixture
def expected_warnings() -> list[str]:
    """Patterns of daemon log lines above "info" that the test brings about on purpose: it appends to this."""
    return []


@pytest.fixture(autouse=True)
async def nothing_leaks(
    request: pytest.FixtureRequest, live: LiveLab, expected_warnings: list[str]
) -> AsyncIterator[None]:
    """After each test, when everybody has gone home: no channel, bridge, open call or offer, no worker, no surprise logged."""
    logged = live.log_bytes
    yield
    if request.node.stash.get(HAS_FAILED, False):
        await _leave_no_work(live)
    if live.asterisk.running:
        await until(lambda: not live.channels(), 10, f"no channels:\n{live.channels()}")
        assert live.bridges() == ""
    if live.daemon is not None:
        await until(lambda: _is_tidy(live), 8, f"no open calls: {live.state.calls} {live.state.offers}")
    if live.is_watched:
        await until(lambda: not _has_workers(live), 8, "the daemon's workers have ended")
    surprises = [
        line
        for line in live.warnings(logged)
        if not any(re.search(pattern, line) for pattern in expected_warnings)
    ]
    assert surprises == []


@pytest.fixture
async def daemon_runs(live: LiveLab, nothing_leaks: None) -> AsyncIterator[None]:
    """Switch and daemon run when the test begins and when it has ended, whatever it or the one before did to them."""
    await _mend(live)
    yield
    await _mend(live)


@pytest.fixture
async def daemon_absent(live: LiveLab, nothing_leaks: None) -> None:
    """No daemon runs when the test begins, and the switch knows it."""
    if live.daemon is not None:
        live.signal_daemon(signal.SIGCONT)
        await live.lose_daemon(signal.SIGTERM)


async def _mend(live: LiveLab) -> None:
    if not live.asterisk.running:
        await live.start_asterisk()
    if live.daemon is None:
        await live.start_daemon()
    else:
        live.signal_daemon(signal.SIGCONT)


async def _leave_no_work(live: LiveLab) -> None:
    """What a test that failed has left of call-backs and tasks is ended: its second try would have an agent kept free for it. Who
    called while the daemon was dead may be one once it has read what the switch wrote down meanwhile."""
    if not (live.is_watched and live.asterisk.running):
        return

    def is_all_known() -> bool:
        live.follow()
        return not live.state.untraced

    await until(is_all_known, 8, "the switch's own record of the last gap has been read")
    await cancel_callbacks(live)
    await close_tasks(live)


def _has_workers(live: LiveLab) -> bool:
    """Whether the daemon that runs still has tasks that serve calls: the last that it logged of them."""
    file = live.directory / "log/edge.log"
    own = r'"event": *"(starting|workers\.busy|workers\.idle)"'
    told = re.findall(own, file.read_text(errors="replace"))
    return bool(told) and told[-1] == "workers.busy"


def _is_tidy(live: LiveLab) -> bool:
    live.follow()
    signed_in = [agent for agent in live.state.agents.values() if agent.phone is not None]
    return not (live.state.calls or live.state.offers or signed_in)


async def nobody_is_to_be_rung_back(room: Room) -> None:
    """Close the tasks that a daemon offers at phones: who is lost to a test's faults would ring at those of the next one."""
    live = room.live
    live.follow()
    if (
        any(task.kind in live.configuration.tasks.offered for task in live.state.tasks.values())
        and live.is_watched
    ):
        await close_tasks(live)


@pytest.fixture
async def room(live: LiveLab, nothing_leaks: None) -> AsyncIterator[Room]:
    """An empty control room: nobody is signed in, nobody calls."""
    opened = Room(live)
    await nobody_is_to_be_rung_back(opened)  # of a test that ended without the daemon
    yield opened
    await opened.close()
    await nobody_is_to_be_rung_back(opened)
    numbers = [number.encode() for number in opened.numbers.values()]
    for file in live.log_files():
        text = file.read_bytes()
        assert [number for number in numbers if number in text] == [], f"a caller's number stands in {file}"
