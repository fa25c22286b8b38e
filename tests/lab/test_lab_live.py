"""A whole lab: up, what it says of itself, calls with and without the daemon, supervision, down."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.liveness import reserve_pids
from hwtest.lab import daemon, processes, stack
from hwtest.lab.contract import Lab
from hwtest.useragent import AgentPhone, UserAgent, answering

pytestmark = pytest.mark.live


def hwtest(*arguments: str, timeout_seconds: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "hwtest", *arguments),
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )


def comes_true(condition: Callable[[], bool], within_seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + within_seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def processes_of(directory: Path) -> list[str]:
    """Command lines of every process that names this lab's folder, our own commands excluded."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if str(directory) in words and int(file.parent.name) != os.getpid():
            lines.append(words)
    return lines


def stop(directory: Path) -> None:
    stack.down(directory)
    assert processes_of(directory) == []


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("stack") / "lab"
    result = hwtest("lab", "up", "--dir", str(place), "--agents", "2", "--wrap-up", "0")
    assert result.returncode == 0, result.stderr
    yield place
    stop(place)


@pytest.fixture
def contract(directory: Path) -> Any:
    return json.loads((directory / "lab.json").read_text())


def test_lab_json_is_what_other_tools_expect(contract: Any, directory: Path) -> None:
    """Every field of the contract has a value that can be used."""
    assert contract["lines"].items() >= {
        "101": "101", "101_no_greeting": "1010", "999": "999", "plain_queue": "7001", "plain_dial": "7002",
        "plain_queue_defaults": "7003", "plain_queue_first": "7004",
    }.items()  # fmt: skip
    assert contract["lines"]["999_test"] == "5990"
    assert contract["codes"] == {
        "sign_in": "*22", "sign_out": "*23", "ready": "*24", "not_ready": "*25", "wrap_up": "*26", "assist": "*27",
        "assisted": "*28", "send_back": "*30", "listen": "*31", "whisper": "*32", "barge": "*33",
        "conference": "*34",
        "callback_done": "*35", "machine": "*36", "task_next": "*37", "task_done": "*38",
    }  # fmt: skip
    assert [(agent["user"], agent["number"]) for agent in contract["supervisors"]] == [
        ("supervisor1", "4900")
    ]
    assert [(phone["user"], phone["line"]) for phone in contract["test_phones"]] == [("test1", "999_test")]
    assert [(agent["user"], agent["number"], agent["skills"]) for agent in contract["agents"]] == [
        ("agent1", "4001", ["101", "999"]),
        ("agent2", "4002", ["101", "999"]),
    ]
    assert contract["mi"]["url"].startswith("http://127.0.0.1:")
    assert contract["mi"]["token"].startswith("edge101_")
    assert contract["callee"]["port"] == contract["sip"]["port"] + 10
    assert contract["ledger"] == f"sqlite:///{directory}/ledger.sqlite"
    for name in ("asterisk", "edge"):
        assert Path(f"/proc/{contract['pids'][name]}").exists()


def test_nothing_that_holds_a_password_is_for_others(directory: Path) -> None:
    """Neither the contract nor any configuration."""
    files = [directory / "lab.json", directory / "edge101.toml", *(directory / "secrets").iterdir()]
    files += [directory / "asterisk/etc" / name for name in ("pjsip.conf", "manager.conf", "ari.conf")]
    assert [file.name for file in files if file.stat().st_mode & 0o077] == []


def test_a_second_up_says_that_it_is_up(directory: Path, contract: Any) -> None:
    """And changes nothing."""
    result = hwtest("lab", "up", "--dir", str(directory))
    assert (result.returncode, "is up already" in result.stdout) == (0, True)
    assert json.loads((directory / "lab.json").read_text()) == contract


def test_status_shows_what_is_alive(directory: Path, contract: Any) -> None:
    """In JSON, for tools."""
    result = hwtest("lab", "status", "--dir", str(directory), "--json")
    shown = json.loads(result.stdout)
    assert (result.returncode, shown["up"], shown["channels"]) == (0, True, 0)
    assert shown["processes"]["edge"] == {"pid": contract["pids"]["edge"], "running": True}


async def call_every_line(lab: Lab) -> list[str]:
    """Signs agent1 in and calls each line; the lines that were served to their end, by the agent or, a line for tests,
    by the test phone, and nobody else rang."""
    agent, [test] = lab.agents[0], lab.test_phones
    phone, test_phone = (
        AgentPhone(one.user, one.password, one.registrar, answering(talk_seconds=0.2), media="silence")
        for one in (agent, test)
    )
    served = []
    try:
        await phone.start()
        await test_phone.start()
        assert stack.status(Path(lab.directory)).contacts.keys() == {agent.user, test.user}
        await phone.dial(lab.codes["sign_in"])
        async with UserAgent(user="07700900001", media="silence") as public:
            for name, number in lab.lines.items():
                rung, other = (test_phone, phone) if name == test.line else (phone, test_phone)
                before = len(rung.calls), len(other.calls)
                call = public.invite(f"sip:{number}@{lab.sip.host}:{lab.sip.port}")
                await call.answered(20)
                await call.ended(30)
                if len(rung.calls) > before[0] and len(other.calls) == before[1]:
                    served.append(name)
        await phone.dial(lab.codes["sign_out"])
    finally:
        await phone.stop()
        await test_phone.stop()
    return served


async def test_every_line_is_served_with_the_daemon(directory: Path) -> None:
    """Ours and those for comparison; no channel is left."""
    lab = Lab.read(directory)
    assert lab is not None
    assert await call_every_line(lab) == list(lab.lines)
    assert comes_true(lambda: stack.status(directory).channels == 0)


async def test_a_lab_without_the_daemon_serves_every_line(tmp_path: Path) -> None:
    """The dialplan alone brings every call to the agent, and two labs stand side by side."""
    place = tmp_path / "lab"
    try:
        result = hwtest("lab", "up", "--dir", str(place), "--agents", "1", "--without-daemon")
        assert result.returncode == 0, result.stderr
        lab = Lab.read(place)
        assert lab is not None
        assert lab.pids.edge is None
        assert await call_every_line(lab) == list(lab.lines)
    finally:
        stop(place)


def test_a_supervised_daemon_that_is_killed_comes_back(tmp_path: Path) -> None:
    """The one in reserve serves, and lab.json tells of it; another is in reserve again; `down` ends them all, supervisors too."""
    place = tmp_path / "lab"
    try:
        result = hwtest("lab", "up", "--dir", str(place), "--agents", "1", "--supervise")
        assert result.returncode == 0, result.stderr
        before = Lab.read(place)
        assert before is not None
        assert before.pids.edge is not None
        assert comes_true(lambda: len(reserve_pids(before.ledger)) == 1)
        (reserve,) = reserve_pids(before.ledger)
        os.kill(before.pids.edge, signal.SIGKILL)
        assert comes_true(lambda: (now := Lab.read(place)) is not None and now.pids.edge == reserve)
        assert comes_true(lambda: stack.status(place).up)
        assert comes_true(lambda: len(reserve_pids(before.ledger)) == 1)
        (again,) = reserve_pids(before.ledger)
        commands = daemon.supervisor_command(place), daemon.second_supervisor_command(place)
        ours = [process for command in commands for process in processes.running(command)]
        assert len(ours) == 2
    finally:
        stop(place)
    everybody = [*ours, *map(processes.ProcessIdentity.of, (reserve, again))]
    assert not any(process.running for process in everybody)


def test_a_daemon_that_was_started_by_the_contract_s_command_is_ended_too(directory: Path) -> None:
    """Tools start it again by `commands.edge` after they killed it; `down` and `status` know it as ours."""
    lab = Lab.read(directory)
    assert lab is not None
    assert lab.pids.edge is not None
    processes.ProcessIdentity.of(lab.pids.edge).stop(5.0)
    assert comes_true(lambda: not stack.status(directory).edge)
    with processes.start(lab.commands["edge"], directory / "log/edge.log"):
        assert comes_true(lambda: stack.status(directory).edge)
        stop(directory)


def test_an_up_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C while Asterisk or the daemon starts."""
    place = tmp_path / "lab"
    starting = subprocess.Popen(
        (sys.executable, "-m", "hwtest", "lab", "up", "--dir", str(place)),
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # tests in a background job inherit that it is ignored
    )
    try:
        assert comes_true(lambda: (place / "asterisk/asterisk.json").exists(), 60)
        starting.send_signal(signal.SIGINT)
        assert starting.wait(30) != 0
    finally:
        starting.kill()
        starting.wait()
    assert processes_of(place) == []
    assert not (place / "lab.json").exists()
