"""A ledger made by the real engine, a configuration beside it, and a runner of commands."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from edge.cli import main, output
from edge.core.state import replay
from edge.ledger.codec import encode_state
from edge.ledger.store import open_sql_ledger
from edge.views.caller import ensure_key
from tests.views.room import Room, busy_shift

CONFIGURATION = """
[site]
name = "Test room"
[switch.ari]
password_file = "ari.password"
[switch.ami]
port = 1
password_file = "ami.password"
[ledger]
url = "sqlite:///{directory}/ledger.sqlite"
[not_ready]
reasons = ["meal", "training"]
[queue.general]
skills = ["101"]
target_seconds = 10.0
[queue.emergency]
skills = ["999"]
target_seconds = 10.0
[line.main]
number = "101"
tier = "101"
queue = "general"
[line.emergency]
number = "999"
tier = "999"
queue = "emergency"
[agent.4001]
name = "Ann"
skills = {{ "101" = 1, "999" = 1 }}
phone = "agent1"
supervisor = true
[agent.4002]
name = "Bob"
skills = {{ "101" = 2 }}
[phone.agent1]
[phone.agent2]
"""

Run = Callable[..., Result]


class Site(NamedTuple):
    """What the commands look at."""

    directory: Path
    configuration: Path
    ledger_url: str
    room: Room
    ids: dict[str, str]
    """Call ids by what became of them."""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a configuration and secrets, local time that of London."""
    monkeypatch.setenv("TZ", "Europe/London")
    time.tzset()
    monkeypatch.delenv("EDGE101_CONFIG", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    for name in ("ari", "ami"):
        file = tmp_path / f"{name}.password"
        file.write_text("0123456789abcdef", encoding="ascii")
        file.chmod(0o600)
    configuration = tmp_path / "edge101.toml"
    configuration.write_text(CONFIGURATION.format(directory=tmp_path), encoding="utf-8")
    configuration.chmod(0o600)
    yield tmp_path
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def site(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The busy shift on disk, looked at a moment after its last fact."""
    room, ids = busy_shift()
    url = f"sqlite:///{directory}/ledger.sqlite"
    ledger = open_sql_ledger(url)
    ledger.append(room.entries)
    ledger.save_checkpoint(20, encode_state(replay(room.entries[:20])))
    ledger.close()
    ensure_key(url)
    monkeypatch.setattr(output, "now", lambda: room.now)
    return Site(directory, directory / "edge101.toml", url, room, ids)


@pytest.fixture
def edge(directory: Path) -> Run:
    """Runs a command against the configuration of the folder."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["--config", str(directory / "edge101.toml"), *arguments])

    return run


@pytest.fixture
def edge_json(edge: Run) -> Callable[..., Any]:
    """Runs a command with --json; what it says, parsed."""

    def run(*arguments: str) -> Any:
        result = edge(*arguments, "--json")
        assert not result.stderr, result.stderr
        return json.loads(result.stdout)

    return run
