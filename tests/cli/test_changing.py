"""Commands that change something or check the configuration, and what `edge agent` tells the switch."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.config import Configuration, load
from edge.errors import RefusedError
from edge.pbx.asterisk.control import AgentControl, Member
from tests.cli.conftest import Run


class FakeSwitch:
    """app_queue's members and AstDB as AMI shows them, with Asterisk's own words."""

    def __init__(self) -> None:
        self.queues = {"edge-general", "edge-emergency"}
        self.members: dict[tuple[str, str], dict[str, str]] = {}
        self.database: dict[str, str] = {}
        self.user_events: list[Mapping[str, str]] = []
        self.removed: list[Member] = []

    async def ask(self, name: str, headers: Mapping[str, str]) -> Any:
        """One action."""
        place = headers.get("Queue", ""), headers.get("Interface", "")
        match name:
            case "QueueAdd":
                if place in self.members or place[0] not in self.queues:
                    raise RefusedError("QueueAdd: Unable to add interface to queue")
                self.members[place] = {"Name": headers["MemberName"], "Reason": "", **headers}
            case "QueueRemove":
                if place not in self.members:
                    raise RefusedError("QueueRemove: Unable to remove interface: Not there")
                self.removed.append(Member(*place, self.members.pop(place)["Name"]))
            case "QueuePause":
                paused = headers["Paused"] == "true"
                self.members[place]["Reason"] = headers["Reason"] if paused else ""
            case "DBPut":
                self.database[headers["Key"]] = headers["Val"]
            case "DBDel":
                if self.database.pop(headers["Key"], None) is None:
                    raise RefusedError("DBDel: Database entry could not be deleted")
            case "UserEvent":
                self.user_events.append(headers)
            case _:
                raise AssertionError(name)

    async def list(self, name: str, headers: Mapping[str, str]) -> Any:
        """The events of a list action."""
        if name == "QueueStatus":
            return [
                {"Event": "QueueMember", "Queue": queue, "Location": interface, **member}
                for (queue, interface), member in self.members.items()
            ]
        if headers["Key"] not in self.database:
            raise RefusedError("DBGet: Database entry not found")
        return [{"Event": "DBGetResponse", "Val": self.database[headers["Key"]]}]


@pytest.fixture
def configuration(directory: Path) -> Configuration:
    """That of the folder."""
    return load(directory / "edge101.toml")


@pytest.fixture
def switch() -> FakeSwitch:
    """Nobody is signed in."""
    return FakeSwitch()


@pytest.fixture
def control(switch: FakeSwitch, configuration: Configuration) -> AgentControl:
    """Over the fake switch."""
    return AgentControl(switch, configuration)


async def test_sign_in_joins_every_queue_the_agent_has_the_skills_for(
    control: AgentControl, switch: FakeSwitch
) -> None:
    """At the usual phone, ready, with the database as the feature codes have it."""
    assert await control.sign_in("4001") == "agent1"
    assert sorted(switch.members) == [("edge-emergency", "PJSIP/agent1"), ("edge-general", "PJSIP/agent1")]
    member = switch.members["edge-general", "PJSIP/agent1"]
    assert (member["MemberName"], member["Penalty"], member["StateInterface"]) == (
        "4001",
        "0",
        "PJSIP/agent1",
    )
    assert switch.database == {"agent/4001": "agent1", "phone/agent1": "4001"}


async def test_signing_in_again_only_makes_ready(control: AgentControl, switch: FakeSwitch) -> None:
    """No member leaves and joins: that would show as a gap in the record."""
    await control.sign_in("4001")
    await control.not_ready("4001", "meal")
    await control.sign_in("4001")
    assert switch.removed == []
    assert [member["Reason"] for member in switch.members.values()] == ["", ""]


async def test_signing_in_elsewhere_moves(control: AgentControl, switch: FakeSwitch) -> None:
    """One agent per phone and one phone per agent."""
    await control.sign_in("4001")
    await control.sign_in("4002", "agent2")
    await control.sign_in("4001", "agent2")
    assert switch.database == {"agent/4001": "agent2", "phone/agent2": "4001"}
    assert sorted(switch.members) == [("edge-emergency", "PJSIP/agent2"), ("edge-general", "PJSIP/agent2")]
    assert {member["Name"] for member in switch.members.values()} == {"4001"}


async def test_sign_out_leaves_nothing(control: AgentControl, switch: FakeSwitch) -> None:
    """No member, no key."""
    await control.sign_in("4001")
    await control.sign_out("4001")
    assert (switch.members, switch.database) == ({}, {})


async def test_not_ready_has_its_reason_in_every_queue_and_ready_ends_it(
    control: AgentControl, switch: FakeSwitch
) -> None:
    """Ready also tells the daemon to end a wrap-up."""
    await control.sign_in("4001")
    await control.not_ready("4001", "meal")
    assert [member["Reason"] for member in switch.members.values()] == ["meal", "meal"]
    await control.ready("4001")
    assert [member["Reason"] for member in switch.members.values()] == ["", ""]
    assert switch.user_events == [{"UserEvent": "EdgeReady", "Agent": "4001"}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda control: control.sign_in("4009"), "there is no agent 4009; known: 4001, 4002"),
        (lambda control: control.sign_in("4002"), "agent 4002 has no usual phone: name one with --phone"),
        (lambda control: control.sign_in("4002", "x"), "there is no phone x; known: agent1, agent2"),
        (lambda control: control.ready("4001"), "agent 4001 is not signed in: edge agent sign-in 4001"),
        (lambda control: control.sign_out("4001"), "agent 4001 is not signed in: edge agent sign-in 4001"),
        (
            lambda control: control.not_ready("4001", "x\r\nAction: y"),
            'there is no reason "x\r\nAction: y"; known: unspecified, meal, training (reasons in [not_ready])',
        ),
    ],
)
async def test_what_cannot_be_is_refused_with_what_could(
    control: AgentControl, switch: FakeSwitch, change: Callable[[AgentControl], Any], message: str
) -> None:
    """And the switch is not told anything."""
    with pytest.raises(RefusedError) as caught:
        await change(control)
    assert str(caught.value) == message
    assert (switch.members, switch.database) == ({}, {})


async def test_a_queue_that_the_switch_does_not_have_is_told(
    control: AgentControl, switch: FakeSwitch
) -> None:
    """Which, and what may be the matter."""
    switch.queues.remove("edge-general")
    with pytest.raises(RefusedError, match="did not add agent 4001 to edge-general: are its files"):
        await control.sign_in("4001")


async def test_a_refusal_that_means_trouble_is_not_tolerated(
    control: AgentControl, switch: FakeSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only "it is so already" is."""
    await control.sign_in("4001")

    async def refuse(name: str, headers: Mapping[str, str]) -> Any:
        raise RefusedError(f"{name}: Permission denied")

    monkeypatch.setattr(switch, "ask", refuse)
    with pytest.raises(RefusedError, match="QueueRemove: Permission denied"):
        await control.sign_out("4001")


@pytest.mark.parametrize(
    "arguments",
    [["sign-in", "4001"], ["sign-out", "4001"], ["ready", "4001"], ["not-ready", "4001", "--reason", "meal"]],
    ids=" ".join,
)
def test_without_a_switch_there_is_one_message(directory: Path, edge: Run, arguments: list[str]) -> None:
    """Where it was sought, and exit code 1."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        file = directory / "edge101.toml"
        port = f"port = {taken.getsockname()[1]}"
        file.write_text(file.read_text(encoding="utf-8").replace("port = 1\n", port + "\n"), encoding="utf-8")
        result = edge("agent", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("edge: AMI 127.0.0.1:")
    assert "Traceback" not in result.output


def test_check_says_when_all_is_well(directory: Path, edge: Run) -> None:
    """Exit code 0."""
    result = edge("check")
    assert result.exit_code == 0
    assert result.stdout.endswith(f"{directory}/edge101.toml: well\n")
    assert "a daemon that hangs is noticed by new callers within 0.7 s" in result.stdout


def test_check_says_what_where_and_what_mends_it(
    directory: Path, edge: Run, edge_json: Callable[..., Any]
) -> None:
    """Exit code 1, the same in JSON."""
    file = directory / "edge101.toml"
    file.write_text(
        file.read_text(encoding="utf-8").replace('queue = "general"', 'queue = "genral"'), "utf-8"
    )
    result = edge("check")
    assert result.exit_code == 1
    assert f"error: {file}:" in result.stdout
    (finding, *_) = edge_json("check")["findings"]
    assert (finding["level"], "genral" in finding["problem"]) == ("error", True)
    assert edge("dialplan").exit_code == 78


def test_dialplan_is_written_whole_and_compared(
    directory: Path, edge: Run, edge_json: Callable[..., Any]
) -> None:
    """What was generated needs no second writing; a change shows in the difference."""
    out = directory / "asterisk"
    assert edge("dialplan", "--diff").exit_code == 2
    assert edge("dialplan", "--out", str(out), "--diff").exit_code == 1
    assert not out.exists()
    written = edge_json("dialplan", "--out", str(out))["written"]
    assert sorted(file.name for file in out.iterdir()) == sorted(written)
    assert edge_json("dialplan", "--out", str(out))["written"] == []
    assert edge("dialplan", "--out", str(out), "--diff").exit_code == 0
    (out / "edge101-queues.conf").write_text("; by hand\n", encoding="utf-8")
    result = edge("dialplan", "--out", str(out), "--diff")
    assert (result.exit_code, "-; by hand" in result.stdout) == (1, True)


def test_dialplan_is_shown(edge: Run) -> None:
    """For another version, on the standard output; a version that is none is wrong usage."""
    result = edge("dialplan", "--asterisk-version", "16.2.1", "--json")
    assert "Answer(0,i)" not in json.loads(result.stdout)["files"]["edge101-extensions.conf"]
    assert "[edge-lines]" in edge("dialplan").stdout
    assert edge("dialplan", "--asterisk-version", "new").exit_code == 2
