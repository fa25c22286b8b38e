"""`edge run` that cannot start: one clear line, the right exit code, and nothing that loops."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edge.errors import EXIT_CONFIGURATION

EXIT_RESTART = 75
SITE = """\
[site]
name = "Room"

[switch]
version = "22.10"

[switch.ari]
url = "http://127.0.0.1:{ari}"
password_file = "secret"

[switch.ami]
port = {ami}
password_file = "secret"

[ledger]
url = "sqlite:///{ledger}"

[queue.routine]
skills = ["101"]

[line.public]
number = "101"
tier = "101"
queue = "routine"

[agent.4001]
name = "Ada"
pin = "1234"
skills = {{ "101" = 1 }}
phone = "desk1"

[phone.desk1]
"""


def site(directory: Path, ledger: Path | None = None) -> Path:
    """A good configuration whose switch is not there."""
    (directory / "secret").write_text("0123456789abcdef\n")
    (directory / "secret").chmod(0o600)
    file = directory / "edge101.toml"
    text = SITE.format(ari=free_port(), ami=free_port(), ledger=ledger or directory / "ledger.sqlite")
    file.write_text(text)
    file.chmod(0o600)
    return file


def free_port() -> int:
    """A port where nobody listens."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def edge(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `edge` to its end."""
    command = (sys.executable, "-m", "edge", "--config", str(file), *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)


@contextmanager
def running(file: Path) -> Iterator[subprocess.Popen[str]]:
    """`edge run` in the background."""
    command = (sys.executable, "-m", "edge", "--config", str(file), "run")
    with (file.parent / "edge.log").open("w") as log:
        process = subprocess.Popen(command, stderr=log, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def until(condition: Callable[[], object], what: str) -> None:
    """Return when it holds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, f"not within 10 s: {what}"
        time.sleep(0.02)


def complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What it said to a person."""
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("edge: ")]


MISTAKES = {
    "unknown key": ('[queue.routine]\nskills = ["101"]', '[queue.routine]\nskils = ["101"]', "skils"),
    "unknown table": ("[site]", "[sight]", "sight"),
    "no such queue": ('queue = "routine"', 'queue = "nobody"', "line.public.queue"),
    "no such phone": ('phone = "desk1"', 'phone = "desk9"', "agent.4001.phone"),
    "wrong type": ('number = "101"', "number = 101", "line.public.number"),
    "code of a dialplan": ('number = "101"', 'number = "101,1,System(x)"', "line.public.number"),
    "secret in the file": ('password_file = "secret"', 'password = "0123456789"', "password"),
    "no such secret": ('password_file = "secret"', 'password_file = "absent"', "absent"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_in_the_configuration_is_78(tmp_path: Path, what: str) -> None:
    """Unknown keys and contradictions: file, line and key are named, and nothing has been started or written."""
    file = site(tmp_path)
    before, after, key = MISTAKES[what]
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    done = edge(file, "run")
    assert done.returncode == EXIT_CONFIGURATION
    said = complaints(done)
    assert any(key in line and f"{file}:" in line for line in said), said
    assert not (tmp_path / "ledger.sqlite").exists()


def test_no_toml_and_no_file(tmp_path: Path) -> None:
    """A file that is no TOML, and none at all."""
    file = site(tmp_path)
    file.write_text("[site\n")
    assert edge(file, "run").returncode == EXIT_CONFIGURATION
    missing = edge(tmp_path / "absent.toml", "run")
    assert missing.returncode == EXIT_CONFIGURATION
    assert "absent.toml" in complaints(missing)[0]


def test_a_ledger_where_nothing_can_be_made(tmp_path: Path) -> None:
    """A directory that cannot be written: the message names it, and systemd may try again."""
    place = tmp_path / "ledgers"
    place.mkdir()
    file = site(tmp_path, place / "ledger.sqlite")
    with immutable(place):
        done = edge(file, "run")
    assert done.returncode == EXIT_RESTART
    [said] = complaints(done)
    assert str(place) in said
    assert "write permission" in said


def test_a_ledger_that_may_not_be_written(tmp_path: Path) -> None:
    """A ledger file that is there and read-only: the same."""
    file = site(tmp_path)
    with running(file):
        until((tmp_path / "ledger.sqlite").exists, "the ledger is made")
        until(lambda: edge(file, "ledger", "verify").returncode == 0, "it is whole")
    with immutable(tmp_path / "ledger.sqlite"):
        done = edge(file, "run")
    assert done.returncode == EXIT_RESTART
    [said] = complaints(done)
    assert "ledger.sqlite" in said
    assert "write permission" in said or "cannot be opened" in said


def test_a_ledger_on_a_full_disk(tmp_path: Path) -> None:
    """No room for the first fact: it says that the disk is full."""
    place = tmp_path / "small"
    place.mkdir()
    file = site(tmp_path, place / "ledger.sqlite")
    with small_disk(place):
        fill(place)
        done = edge(file, "run")
    assert done.returncode == EXIT_RESTART
    assert "full" in " ".join(complaints(done)) or "space" in " ".join(complaints(done)), done.stderr


def test_a_ledger_that_is_no_database(tmp_path: Path) -> None:
    """Rubbish instead of a ledger: it is kept as evidence, and the daemon serves with a new one and says so (ADR 0020)."""
    file = site(tmp_path)
    rubbish = b"rubbish" * 1000
    (tmp_path / "ledger.sqlite").write_bytes(rubbish)
    log = tmp_path / "edge.log"
    with running(file) as daemon:
        until(lambda: "link.lost" in log.read_text(), "it looks for the switch")
        assert daemon.poll() is None
        verified = edge(file, "ledger", "verify", "--json")
    [kept] = tmp_path.glob("ledger.sqlite.damaged-*Z")
    assert kept.read_bytes() == rubbish
    [said] = [line for line in log.read_text().splitlines() if '"ledger.mended"' in line]
    assert kept.name in said
    assert json.loads(verified.stdout)["sound"]


def test_a_ledger_locked_at_the_start(tmp_path: Path) -> None:
    """Another program holds the database: the daemon starts all the same, says so, and writes when it is let."""
    file = site(tmp_path)
    log = tmp_path / "edge.log"
    with running(file):
        until(lambda: "the daemon started" in log.read_text(), "the ledger is made")
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with running(file):
            until(lambda: "another program holds it locked" in log.read_text(), "it says so")
            other.execute("ROLLBACK")
            until(lambda: "ledger takes facts again" in log.read_text(), "it recovers")
    assert edge(file, "ledger", "verify").returncode == 0


def test_two_daemons(tmp_path: Path) -> None:
    """The second is refused and names the first, which goes on."""
    file = site(tmp_path)
    with running(file) as first:
        until((tmp_path / "ledger.sqlite.lock").exists, "the first has the ledger")
        until(lambda: str(first.pid) in (tmp_path / "ledger.sqlite.lock").read_text(), "its pid")
        second = edge(file, "run")
        assert second.returncode == EXIT_RESTART
        assert f"another daemon writes to it (pid {first.pid})" in complaints(second)[0]
        assert first.poll() is None


def test_no_switch_at_the_start(tmp_path: Path) -> None:
    """It waits, says so once, and `edge status` says so; SIGTERM ends it as ever."""
    file = site(tmp_path)
    log = tmp_path / "edge.log"
    with running(file) as daemon:
        until(lambda: "link.lost" in log.read_text(), "it says so")
        told = edge(file, "status", "--json")
        assert told.returncode == 1
        assert json.loads(told.stdout)
        assert daemon.poll() is None
    assert daemon.returncode == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    warnings = [line for line in lines if line["level"] == "warning"]
    assert len(warnings) == 1
    assert "Is Asterisk running?" in warnings[0]["error"]


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """Not even root can write there (chattr(1)); skips where that is not possible."""
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("chattr +i is not possible here")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """A file system of 256 kB; skips where none can be mounted."""
    mounting = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)]
    if os.getuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


def fill(path: Path) -> None:
    """Leave 32 kB."""
    (path / "filler").write_bytes(b"\0" * (256 - 32) * 1024)
