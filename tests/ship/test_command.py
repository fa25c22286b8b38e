"""`edge ship`."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from edge.cli import main
from edge.config.sections import ShipSection
from edge.ledger.chain import Head
from edge.ship import state as state_module
from edge.ship.state import StateFile, read_state
from edge.ship.target import Progress
from hwtest.lab.postgres import Server
from tests.ship.conftest import Shared, append

CONFIGURATION = """
[site]
name = "Test room"
[ledger]
url = "{ledger}"
[ship]
to = "{to}"
password_file = "ship.password"
"""


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command sets the log up for itself; whoever runs the tests may have a narrow terminal."""
    monkeypatch.delenv("COLUMNS", raising=False)
    yield
    structlog.reset_defaults()


@pytest.fixture
def configuration(tmp_path: Path, url: str, shared: Shared) -> Path:
    file = tmp_path / "edge101.toml"
    file.write_text(CONFIGURATION.format(ledger=url, to=shared.url), encoding="utf-8")
    (tmp_path / "ship.password").write_text("hunter2hunter2", encoding="ascii")
    return file


def edge(configuration: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(configuration), *arguments])


def test_once(configuration: Path, shared: Shared, url: str) -> None:
    """It ships what is there, says how far it came, and leaves a note of that beside the ledger."""
    done = edge(configuration, "ship", "--once", "--json")
    assert (done.exit_code, json.loads(done.stdout)["position"]) == (0, 25), done.stderr
    state = read_state(url)
    assert state is not None
    assert (state.sequence, shared.copy_of(url).endswith(state.ledger_id)) == (25, True)
    append(url, 5)
    assert edge(configuration, "ship", "--once").stdout == "level: 30 facts, 0 erasures\n"
    (found,) = json.loads(edge(configuration, "ship", "list", "--json").stdout)["ledgers"]
    assert (found["name"], found["facts"], found["replaced"]) == ("Test room", 30, None)
    assert "Test room" in edge(configuration, "ship", "list").stdout


def test_the_note_is_of_the_configurations_database(
    configuration: Path, shared: Shared, postgres: Server, url: str
) -> None:
    """Retention takes it for the force's: what was shipped to another database is not noted."""
    assert edge(configuration, "ship", "--once", "--to", postgres.database()).exit_code == 0
    assert read_state(url) is None
    assert edge(configuration, "ship", "--once", "--to", shared.url).exit_code == 0
    state = read_state(url)
    assert state is not None
    append(url, 5)
    assert edge(configuration, "ship", "--once", "--to", postgres.database()).exit_code == 0
    assert read_state(url) == state


def test_a_note_that_cannot_be_written(
    configuration: Path, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A full disk beside the ledger does not end shipping: it is said once, and the next that can be written is."""
    full = True

    def write(path: Path, text: str, **more: str) -> int:
        with path.open("w", **more) as file:  # type: ignore[call-overload]  # the encoding only
            written = int(file.write(text))
            if full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return written

    monkeypatch.setattr(Path, "write_text", write)
    monkeypatch.setattr(state_module, "log", structlog.get_logger())
    state = StateFile(url)
    with capture_logs() as said:
        state.tell("x", Progress(Head(5, "")), 0)
        state.tell("x", Progress(Head(6, "")), 0)
    assert [(line["event"], line["error"]) for line in said] == [
        ("ship.note_not_written", "No space left on device")
    ]
    assert [file.name for file in tmp_path.iterdir() if ".shipped" in file.name] == []
    full = False
    state.tell("x", Progress(Head(7, "")), 0)
    found = read_state(url)
    assert found is not None
    assert found.sequence == 7


def test_the_copy_is_looked_at_as_a_ledger_is(configuration: Path, shared: Shared, url: str) -> None:
    """Every command that looks can look there."""
    edge(configuration, "ship", "--once")
    looked = edge(configuration, "--ledger", shared.copy_of(url), "ledger", "verify", "--json")
    assert (looked.exit_code, json.loads(looked.stdout)["facts"]) == (0, 25)


def test_what_a_person_must_mend(configuration: Path, tmp_path: Path, url: str) -> None:
    """Exit code 78 keeps the service down: no place to ship to, another ledger under its name."""
    edge(configuration, "ship", "--once")
    append(f"sqlite:///{tmp_path}/second.db", 3)
    other = ("--ledger", f"sqlite:///{tmp_path}/second.db", "ship", "--once")
    refused = edge(configuration, *other)
    assert (refused.exit_code, "edge ship --replaced, once" in refused.stderr) == (78, True)
    assert edge(configuration, *other, "--name", "Room 2").exit_code == 0
    configuration.write_text(f'[site]\nname = "x"\n[ledger]\nurl = "{url}"\n', encoding="utf-8")
    refused = edge(configuration, "ship")
    assert (refused.exit_code, "give --to URL, or [ship] to" in refused.stderr) == (78, True)


def test_trouble_ends_it_only_with_once(configuration: Path) -> None:
    """With --once somebody waits for an answer."""
    failed = edge(configuration, "ship", "--once", "--to", "postgresql+psycopg://u@/x?host=/nonexistent")
    assert (failed.exit_code, "cannot be reached" in failed.stderr) == (1, True)


def test_the_daemon_does_not_need_the_password(tmp_path: Path) -> None:
    """It is another process's: a file that only that one can read keeps nobody from their callers."""
    from edge.config.load import examine

    file = tmp_path / "edge101.toml"
    file.write_text(
        '[ship]\nto = "postgresql://u@/x"\npassword_file = "not-there"\nnmae = 1\n', encoding="utf-8"
    )
    _, findings = examine(file)
    assert [finding.where for finding in findings if "ship" in finding.where] == [f"{file}:4: ship.nmae"]


def test_the_configuration_takes_no_password_in_the_url() -> None:
    """It would be read by whoever reads the file."""
    with pytest.raises(ValueError, match="without a password"):
        ShipSection(to="postgresql://edge101:hunter2hunter2@db.example/edge101")
    ShipSection(to="postgresql+psycopg://edge101@db.example:5433/edge101?sslmode=verify-full")
