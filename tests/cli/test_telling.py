"""Commands that tell the daemon something: they say so only when it is recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from edge.cli import telling
from edge.config import Configuration
from edge.core import facts
from edge.core.state import apply
from edge.errors import RefusedError
from edge.ledger.store import SqlLedger, open_sql_ledger
from edge.pbx.asterisk import control
from tests.cli.conftest import Run, Site

USER = "ann"


class Daemon:
    """Holds the ledger's lock as the daemon does, hears user events, and records what they tell; may be deaf."""

    def __init__(self, site: Site, ledger: SqlLedger) -> None:
        self.site = site
        self.ledger = ledger
        self.heard: list[Mapping[str, str]] = []
        self.deaf = False

    async def ask(self, name: str, headers: Mapping[str, str]) -> Any:
        """One action of AMI."""
        assert name == "UserEvent"
        self.heard.append(headers)
        if not self.deaf:
            self.record(self._fact(headers))

    async def list(self, name: str, headers: Mapping[str, str]) -> Any:
        """No list is asked for."""
        raise AssertionError(name)

    def record(self, fact: facts.Fact) -> None:
        """Now, as the next fact."""
        room = self.site.room
        entry = facts.Entry(
            sequence=self.ledger.last_sequence() + 1,
            at=room.now,
            fact=fact,
            reason="told",
            clock=room.entries[-1].clock,
        )
        apply(room.engine.state, entry)
        room.entries.append(entry)
        self.ledger.append([entry])

    def _fact(self, headers: Mapping[str, str]) -> facts.Fact:
        match headers["UserEvent"]:
            case "EdgeIncident" if headers["Active"] == "yes":
                return facts.IncidentDeclared(by=headers["By"])
            case "EdgeIncident":
                return facts.IncidentEnded(by=headers["By"])
            case "EdgeAssisted":
                return facts.CallMarkedAssisted(call_id=headers["Call"], by=headers["By"])
            case "EdgeNote":
                return facts.CallAnnotated(
                    call_id=headers["Call"],
                    kind=headers["Kind"],
                    value=headers["Value"],
                    state=headers["State"],
                    by=headers["By"],
                )
            case other:
                raise AssertionError(other)


@pytest.fixture
def daemon(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """It runs, and the switch passes on what it is told."""
    made = Daemon(site, open_sql_ledger(site.ledger_url))

    @asynccontextmanager
    async def connected(_: Configuration) -> AsyncIterator[Daemon]:
        yield made

    monkeypatch.setattr(control, "connected", connected)
    monkeypatch.setattr(telling, "RECORDED_SECONDS", 0.2)
    monkeypatch.setenv("SUDO_USER", USER)
    yield made
    made.ledger.close()


def test_an_incident_is_declared_shown_and_ended(
    edge: Run, edge_json: Callable[..., Any], daemon: Daemon, site: Site
) -> None:
    """By whom and since when, with what it changes; the second time nothing is told."""
    text = site.configuration.read_text(encoding="utf-8")
    more = '[incident]\ngreeting = "greeting-101"\nclosed_queues = ["general"]\n'
    site.configuration.write_text(text + more, encoding="utf-8")
    assert edge_json("incident", "show")["declared"] is False
    declared = edge_json("incident", "declare")
    assert (declared["declared"], declared["by"], declared["changed"]) == (True, USER, True)
    assert (declared["greeting"], declared["closed_queues"]) == ("greeting-101", ["general"])
    assert edge_json("incident", "declare")["changed"] is False
    shown = edge("incident", "show").stdout
    assert "MAJOR INCIDENT declared by ann at 2026-11-22 12:00:59" in shown
    assert "closed to new 101 callers: general" in shown
    assert edge("status").stdout.startswith("MAJOR INCIDENT since 2026-11-22 12:00:59")
    assert edge_json("status")["incident"]["declared"] is True
    assert edge("incident", "end").stdout == "the major incident is over\n"
    assert edge("incident", "end").stdout == "no major incident is declared\n"
    assert [event["Active"] for event in daemon.heard] == ["yes", "no"]
    assert edge_json("status")["incident"] == {"declared": False, "since": None}


def test_an_incidents_reference_is_attached_to_a_call(
    edge: Run, edge_json: Callable[..., Any], daemon: Daemon, site: Site
) -> None:
    """Long after its end, and by the end of its id."""
    assert edge_json("note", "incident", "-1", "POL-2026/0042") == {
        "call_id": site.ids["answered"],
        "done": "incident POL-2026/0042 attached",
    }
    call = edge_json("call", "-1")["call"]
    (note,) = call["annotations"]
    assert (note["kind"], note["value"], note["state"], note["by"]) == (
        "incident",
        "POL-2026/0042",
        None,
        USER,
    )
    assert "incident POL-2026/0042 attached by ann" in edge("call", "-1").stdout


@pytest.mark.parametrize("state", ["started", "stopped", "failed"])
def test_what_became_of_a_recording_is_attached(
    edge: Run, edge_json: Callable[..., Any], daemon: Daemon, site: Site, state: str
) -> None:
    """With the recorder's id."""
    result = edge("note", "recording", site.ids["talking"], "REC 7", f"--{state}")
    assert result.stdout == f"call {site.ids['talking']}: recording REC 7 {state}\n"
    (note,) = edge_json("call", site.ids["talking"])["call"]["annotations"]
    assert (note["value"], note["state"]) == ("REC 7", state)


def test_an_open_call_is_marked_as_assisted_once(
    edge: Run, edge_json: Callable[..., Any], daemon: Daemon, site: Site
) -> None:
    """One that has ended cannot be."""
    assert edge("note", "assisted", site.ids["waiting"]).exit_code == 0
    assert edge_json("note", "assisted", site.ids["waiting"])["done"] == "assisted already"
    call = edge_json("call", site.ids["waiting"])["call"]
    assert (call["assisted"], call["assisted_by"], len(daemon.heard)) == (True, USER, 1)
    result = edge("note", "assisted", site.ids["answered"])
    assert (result.exit_code, "has ended: only a call that is open" in result.stderr) == (1, True)


COMMANDS = (["incident", "declare"], ["note", "incident", "-1", "P-1"], ["note", "assisted", "-5"])


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_without_a_daemon_nothing_is_claimed(edge: Run, site: Site, arguments: list[str]) -> None:
    """Nobody would record it: exit code 1, and what to do."""
    result = edge(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the daemon is not running" in result.stderr
    assert "`edge run`" in result.stderr


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_daemon_that_does_not_record_it_is_told(edge: Run, daemon: Daemon, arguments: list[str]) -> None:
    """It was sent and did not become a fact: not a success."""
    daemon.deaf = True
    result = edge(*arguments)
    assert (result.exit_code, result.stdout, len(daemon.heard)) == (1, "", 1)
    assert "has not recorded it" in result.stderr
    assert "see `edge status`" in result.stderr


def test_what_somebody_else_noted_meanwhile_is_not_taken_for_ours(
    edge: Run, daemon: Daemon, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another call, another reference."""

    async def ask(name: str, headers: Mapping[str, str]) -> Any:
        for call, value in (("answered", "OTHER"), ("rejected", "P-1")):
            note = facts.CallAnnotated(
                call_id=site.ids[call], kind="incident", value=value, state="", by="bob"
            )
            daemon.record(note)

    monkeypatch.setattr(daemon, "ask", ask)
    assert edge("note", "incident", site.ids["answered"], "P-1").exit_code == 1


def test_a_switch_that_says_no_is_one_message(
    edge: Run, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of every command."""

    async def ask(name: str, headers: Mapping[str, str]) -> Any:
        raise RefusedError("UserEvent: Permission denied")

    monkeypatch.setattr(daemon, "ask", ask)
    result = edge("incident", "declare")
    assert (result.exit_code, result.stderr) == (1, "edge: UserEvent: Permission denied\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["note", "incident", "-1", "x\r\nAction: Originate"],
        ["note", "incident", "-1", ""],
        ["note", "incident", "-1", "x" * 65],
        ["note", "recording", "-1", "rec"],
        ["note", "recording", "-1", "\x1b[2J", "--failed"],
        ["note", "incident", "-1"],
        ["incident"],
    ],
)
def test_what_cannot_be_sent_is_wrong_usage(edge: Run, daemon: Daemon, arguments: list[str]) -> None:
    """Exit code 2, and the switch hears nothing."""
    result = edge(*arguments)
    assert (result.exit_code, daemon.heard) == (2, [])
    assert not [mark for mark in result.output if not mark.isprintable() and mark != "\n"]


def test_a_call_that_is_not_there_is_told(edge: Run, daemon: Daemon) -> None:
    """As of `edge call`."""
    result = edge("note", "incident", "nothing", "P-1")
    assert (result.exit_code, "see `edge calls`" in result.stderr, daemon.heard) == (1, True, [])


@pytest.mark.parametrize(("name", "said"), [("o'neil\r\nx", "o_neil__x"), ("_apt", "user _apt"), ("", None)])
def test_who_asked_is_a_suitable_word(monkeypatch: pytest.MonkeyPatch, name: str, said: str | None) -> None:
    """Whatever the system calls its users."""
    monkeypatch.setenv("SUDO_USER", name)
    assert telling.user() == said or (said is None and telling.user())
