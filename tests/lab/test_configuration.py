"""edge101.toml of a lab."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from edge.config import Configuration, load
from edge.core.model import PhoneKind
from hwtest.bench import callbacks
from hwtest.lab import sip
from hwtest.lab.configuration import SECRETS, document, merged, read_policy, to_toml
from hwtest.lab.packages import LabError
from hwtest.lab.ports import Ports
from hwtest.lab.sip import CALLEE
from hwtest.shift.plan import CALLBACKS


def loaded(directory: Path, over: dict[str, Any] | None = None) -> Configuration:
    made = merged(document(directory, Ports(26000), 2, 0, "22.10.1"), over or {})
    (directory / "secrets").mkdir()
    for name in SECRETS:
        (directory / "secrets" / name).write_text("0123456789abcdef")
        (directory / "secrets" / name).chmod(0o600)
    file = directory / "edge101.toml"
    file.write_text(to_toml(made))
    file.chmod(0o600)
    return load(file)


def test_the_lab_s_configuration_is_one_the_daemon_accepts(tmp_path: Path) -> None:
    """Lines, queues and agents are those of the contract, without an error."""
    configuration = loaded(tmp_path)
    assert {name: line.number for name, line in configuration.lines.items()} == {
        "101": "101",
        "101-no-greeting": "1010",
        "999": "999",
        "999-test": "5990",
        "callback": "01632960900",
    }
    assert {number: agent.phone for number, agent in configuration.agents.items()} == {
        "4001": "agent1",
        "4002": "agent2",
        "4900": "supervisor1",
    }
    assert configuration.warnings == ()


def test_an_unanswered_999_of_the_lab_goes_on(tmp_path: Path) -> None:
    """To the supervisor, who is no agent of the room, and to the buddy force behind the trunk to public numbers."""
    policy = loaded(tmp_path).policy()
    assert (policy.emergency.queue, policy.emergency.key) == ("999", "9")
    assert [number for number, agent in policy.agents.items() if agent.supervisor] == ["4900"]
    assert dict(policy.agents["4900"].skills) == {"999": 1}
    buddy = policy.phones[policy.emergency.buddy_phone or ""]
    assert (buddy.kind, buddy.trunk, buddy.number) == (PhoneKind.TRUNK, CALLEE, "01632960998")
    assert policy.queues["999"].offer_seconds == 4


def test_a_test_call_of_the_lab_rings_a_phone_of_its_own(tmp_path: Path) -> None:
    """Nobody's usual phone."""
    policy = loaded(tmp_path).policy()
    assert policy.lines["999-test"].test_phone == "test1"
    assert "test1" not in {agent.phone for agent in policy.agents.values()}


def test_only_the_agents_phones_are_in_the_queues_for_comparison(tmp_path: Path) -> None:
    """The bench compares the same phones on both sides: neither the supervisor's nor the test phone is one of them."""
    configuration = loaded(tmp_path)
    words = dict.fromkeys(sip.registered_phones(configuration), "word")
    made = sip.files(configuration, "22.10.1", Ports(26000), words, "word")
    for queue in ("lab-plain", "lab-plain-defaults"):
        section = made["queues.conf"].partition(f"[{queue}]")[2].partition("\n[")[0]
        assert re.findall(r"member => PJSIP/(\S+)", section) == ["agent1", "agent2"], queue
        assert ("retry" in section) is (queue == "lab-plain")
    assert {"supervisor1", "test1"} <= words.keys()
    assert all(f"[{name}]" in made["pjsip.conf"] for name in words)


def test_wrap_up_of_nothing_is_nothing(tmp_path: Path) -> None:
    """--wrap-up 0 is taken at its word, for 999 too."""
    assert {queue.wrap_up_seconds for queue in loaded(tmp_path).queues.values()} == {0.0}


def test_a_policy_adds_queues_and_lines_and_changes_single_keys(tmp_path: Path) -> None:
    """Tables are merged: what the policy does not name stays."""
    over = {
        "queue": {"welsh": {"skills": ["101", "cymraeg"]}, "101": {"offer_seconds": 8}},
        "line": {"welsh": {"number": "1012", "tier": "101", "queue": "welsh"}},
        "agent": {"4001": {"skills": {"cymraeg": 2}}},
    }
    configuration = loaded(tmp_path, over)
    assert configuration.lines["welsh"].queue == "welsh"
    assert configuration.queues["101"].offer_seconds == 8
    assert configuration.agents["4001"].skills == {"101": 1, "999": 1, "cymraeg": 2}


def test_toml_is_read_back_as_it_was_written() -> None:
    """Whatever a policy can hold survives the writing."""
    given = {
        "plain": {"a-b": 'quote " backslash \\ line\nend \x7f é', "n": 1, "x": 0.5, "yes": True, "no": False},
        "queue": {"q w": {"relax": [{"after_seconds": 60.0, "skills": ["a", "b"]}], "empty": []}},
        "phone": {"agent1": {}},
    }
    assert tomllib.loads(to_toml(given)) == given


def test_a_policy_that_is_no_toml_is_refused_by_name(tmp_path: Path) -> None:
    """The message names the file and the place in it."""
    file = tmp_path / "policy.toml"
    file.write_text("[queue\n")
    with pytest.raises(LabError, match=r"policy\.toml is not TOML.*line 1"):
        read_policy(file)


def test_a_policy_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(LabError, match=r"none\.toml: No such file"):
        read_policy(tmp_path / "none.toml")


def test_the_lab_s_101_offers_call_backs(tmp_path: Path) -> None:
    """At the public numbers, soon, also on a machine whose clock nobody keeps, and answered neutrally when rung back."""
    policy = loaded(tmp_path).policy()
    plan = policy.queues["101"].callback
    assert plan is not None
    assert (plan.offer_above_seconds, plan.spacing_seconds, plan.ring_seconds) == (20, 5, 15)
    assert (policy.callbacks.trunk, policy.callbacks.clock_synchronised) == (CALLEE, False)
    assert policy.lines["callback"].number == policy.callbacks.show_number
    assert policy.lines["callback"].greeting == "callback-returned"
    assert policy.destinations.judge("07700900123").dialled == "07700900123"
    assert not policy.destinations.judge("01632960900").is_allowed
    assert policy.queues["999"].callback is None


def test_a_policy_turns_them_off(tmp_path: Path) -> None:
    """In a word, and without a warning."""
    configuration = loaded(tmp_path, {"queue": {"101": {"callback": {"enabled": False}}}})
    assert configuration.policy().queues["101"].callback is None
    assert configuration.warnings == ()


def test_the_benchmark_s_policy_is_one_the_daemon_accepts(tmp_path: Path) -> None:
    """A queue with call-backs for each of its blocks, without a warning, and nobody is kept free for a 999."""
    policy = Path(callbacks.__file__).with_name("lab.toml")
    assert str(policy.relative_to(policy.parents[2])) == callbacks.POLICY
    configuration = loaded(tmp_path, read_policy(policy))
    assert configuration.warnings == ()
    made = configuration.policy()
    offering = {name for name, queue in made.queues.items() if queue.callback is not None} - {"101"}
    assert offering == {f"bench-{number}" for number in range(1, callbacks.BLOCKS + 1)}
    assert offering <= set(made.lines)
    assert made.callbacks.idle_agents == 0


def test_a_lab_may_have_another_measure_of_long_waits(tmp_path: Path) -> None:
    """Those of a shift, say, and the rest of the plan stays."""
    made = document(tmp_path, Ports(26000), 2, 0, "22.10.1", plan=CALLBACKS)
    assert made["queue"]["101"]["callback"] == {**CALLBACKS, "enabled": True}
    assert loaded(tmp_path, {"queue": made["queue"]}).warnings == ()
