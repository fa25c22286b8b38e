"""`edge callbacks` and `edge tasks`: what is shown, what is told to the daemon, and what is refused before it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from panoramisk.message import Message

from edge.cli import output, telling
from edge.config import Configuration
from edge.core import facts, inputs
from edge.core.model import Blindness, Bound, CallOutcome, Side, Stage
from edge.core.promise import AttemptOutcome, TaskKind
from edge.core.state import LOOK_UP_SECONDS
from edge.ledger.store import SqlLedger, open_sql_ledger
from edge.pbx.asterisk import control
from edge.pbx.asterisk.ami import translate
from edge.pbx.asterisk.sightings import Told
from edge.views.caller import ensure_key
from tests.cli.conftest import Run
from tests.views.callbacks import NUMBER, CallbackTape

Json = Callable[..., Any]


def evening() -> CallbackTape:
    """c1 waits to be called back after one attempt, c2 is promised, c3 talks, c4 waits; a 999 and a 101 have been given up."""
    tape = CallbackTape()
    for call_id in ("c1", "c2", "c3", "c4", "c5"):
        tape.arrive(call_id)
        tape.wait(1)
    tape.promise("c1")
    tape.off_the_line("c1")
    tape.promise("c2", "+447700900456", keyed=True)
    tape.promise("c3", "+447700900789")
    tape.off_the_line("c3")
    tape.wait(100)
    offer_id = tape.reserve("c1", "4001")
    attempt = tape.dial("c1", "4001", offer_id)
    tape.fail("c1", attempt, AttemptOutcome.NO_ANSWER, offer_id, "4001")
    offer_id = tape.reserve("c3", "4002")
    attempt = tape.dial("c3", "4002", offer_id)
    tape.pair("c3", "4002", offer_id, attempt)
    tape.say(facts.CallbackMatched(call_id="c1", by_call="c4", emergency=True))
    tape.open_task("c5", TaskKind.ABANDONED_101)
    tape.end("c5", CallOutcome.ABANDONED, Stage.QUEUE)
    tape.wait(60)
    tape.arrive("e1", line="emergency", queue="emergency", tier=0)
    tape.open_task("e1", TaskKind.ABANDONED_999, emergency=True)
    tape.end("e1", CallOutcome.ABANDONED, Stage.RINGING)
    tape.wait(120)
    return tape


class Daemon:
    """Holds the ledger's lock, hears user events as the daemon reads them, and makes the facts of the engine; may be deaf."""

    def __init__(self, tape: CallbackTape, ledger: SqlLedger) -> None:
        self.tape = tape
        self.ledger = ledger
        self.heard: list[inputs.Input] = []
        self.deaf = False

    async def ask(self, name: str, headers: Mapping[str, str]) -> Any:
        """One action of AMI."""
        seen = translate.sighting(Message({"Event": name, **headers}))
        assert isinstance(seen, Told), headers
        self.heard.append(seen.said)
        if not self.deaf:
            self._record(seen.said)
            self.ledger.append(self.tape.entries[self.ledger.last_sequence() :])

    async def list(self, name: str, headers: Mapping[str, str]) -> Any:
        """No list is asked for."""
        raise AssertionError(name)

    def _record(self, said: inputs.Input) -> None:
        tape = self.tape
        match said:
            case inputs.CallbackOrdered(order=inputs.Order.CANCEL, call_id=str(call_id), by=by, why=why):
                tape.end(call_id, CallOutcome.CANCELLED, Stage.CALLBACK, f"{by}: {why}")
            case inputs.CallbackOrdered(call_id=str(call_id), by=by, why=why):
                call = tape.state.calls[call_id]
                tape.say(
                    facts.CallbackMoved(
                        call_id=call_id,
                        queue=said.queue or call.queue,
                        priority_class=said.priority_class or call.priority_class,
                        by=by,
                        why=why,
                    )
                )
            case inputs.PersonJudged(call_id=str(call_id), outcome=outcome):
                tape.fail(call_id, 1, outcome, None, "4002")
            case inputs.CallbackOfferingSet(active=active, by=by):
                tape.say(facts.CallbackOfferingSet(active=active, by=by))
            case inputs.TaskAssigned(task_id=task_id, to=to, by=by):
                tape.say(facts.TaskAssigned(task_id=task_id, to=to, by=by))
            case inputs.TaskClosed(task_id=task_id, by=by, outcome=task_outcome, note=note):
                tape.say(facts.TaskClosed(task_id=task_id, by=by, outcome=task_outcome, note=note))
            case other:
                raise AssertionError(other)


@pytest.fixture
def tape(directory: Path, monkeypatch: pytest.MonkeyPatch) -> CallbackTape:
    """On disk, looked at in its last moment."""
    made = evening()
    url = f"sqlite:///{directory}/ledger.sqlite"
    ledger = open_sql_ledger(url)
    ledger.append(made.entries)
    ledger.close()
    ensure_key(url)
    monkeypatch.setattr(output, "now", lambda: made.now)
    return made


@pytest.fixture
def daemon(tape: CallbackTape, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """It runs, and the switch passes on what it is told."""
    made = Daemon(tape, open_sql_ledger(f"sqlite:///{directory}/ledger.sqlite"))

    @asynccontextmanager
    async def connected(_: Configuration) -> AsyncIterator[Daemon]:
        yield made

    monkeypatch.setattr(control, "connected", connected)
    monkeypatch.setattr(telling, "RECORDED_SECONDS", 0.2)
    yield made
    made.ledger.close()


# --- looking


def test_open_call_backs_by_place(edge: Run, edge_json: Json, tape: CallbackTape) -> None:
    """With how far each is; numbers masked, unless they are asked for."""
    listed = edge_json("callbacks")["callbacks"]
    assert [(each["call_id"], each["state"]) for each in listed] == [
        ("c1", "callback"),
        ("c2", "promised"),
        ("c3", "talking"),
    ]
    first = listed[0]
    assert (first["number_mask"], "number" in first, first["keyed"]) == ("…123", False, False)
    assert [each["outcome"] for each in first["attempts"]] == ["no_answer"]
    assert first["matched"][0] == {"at": first["matched"][0]["at"], "by_call": "c4", "emergency": True}
    assert edge_json("callbacks", "list", "--numbers")["callbacks"][0]["number"] == NUMBER
    text = edge("callbacks").stdout
    assert text == edge("callbacks", "list").stdout
    assert "c4 (999)" in text
    assert "no answer" in text
    assert NUMBER not in text
    assert NUMBER in edge("callbacks", "--numbers").stdout


def test_one_call_back(edge: Run, edge_json: Json, tape: CallbackTape) -> None:
    """What was promised, and every attempt."""
    text = edge("callbacks", "show", "c1").stdout
    for words in ("…123 (the number that called)", "off the line now", "no answer", "4001", "c4 (999)"):
        assert words in text, words
    assert "…456 (keyed by the caller)" in edge("callbacks", "show", "c2").stdout
    assert edge_json("callbacks", "show", "c3")["attempts"][0]["agent"] == "4002"


def test_the_story_of_a_call_back(edge: Run, edge_json: Json, tape: CallbackTape) -> None:
    """`edge call`: gross and net, and no number unless asked for."""
    text = edge("call", "c3").stdout
    assert "promised" in text
    assert "gross" in text
    assert "of it on the line" in text
    assert "7700900" not in text
    assert "+447700900789" in edge("call", "c3", "--numbers").stdout
    call = edge_json("call", "c3")["call"]
    assert call["callback"]["number_mask"] == "…789"
    assert call["on_line_seconds"] < call["first_human_seconds"]
    assert "task" in edge("call", "e1").stdout
    assert [each["call_id"] for each in edge_json("calls", "--callbacks")["calls"]] == ["c1", "c2", "c3"]


def test_the_room_in_one_look(edge: Run, edge_json: Json, tape: CallbackTape) -> None:
    """`edge status`: promises, offering and tasks."""
    tape_status = edge_json("status")
    assert tape_status["callbacks"]["waiting"] == 1
    assert tape_status["callbacks"]["promises"]["made"] == 3
    assert tape_status["tasks"] == {
        "open": 2,
        "unassigned": 2,
        "emergency": 1,
        "oldest": tape_status["tasks"]["oldest"],
        "oldest_seconds": 180.0,
    }
    text = edge("status").stdout
    assert "1 waiting, 0 being rung; not offered now" in text
    assert "3 made, 0 kept, 0 merged, 0 cancelled, 0 became tasks, 0 upgraded; 0 out of turn" in text
    assert "2 open, 2 nobody's yet, the oldest for 3 min" in text
    top = edge("top", "--for", "0").stdout
    assert "callback (attempt 1)" in top


def test_open_tasks_999_first(edge: Run, edge_json: Json, tape: CallbackTape) -> None:
    """With what a human needs."""
    tasks = edge_json("tasks")["tasks"]
    assert [(task["task_id"], task["kind"]) for task in tasks] == [
        ("e1", "abandoned_999"),
        ("c5", "abandoned_101"),
    ]
    assert (tasks[0]["open_seconds"], tasks[0]["calls_in_day"], tasks[0]["attempts"]) == (120.0, 2, 1)
    assert "number" not in tasks[0]
    assert edge_json("tasks", "list", "--numbers")["tasks"][0]["number"] == NUMBER
    text = edge("tasks", "show", "e1").stdout
    assert "abandoned 999: nobody spoke with them" in text
    assert "edge call e1" in text


def test_a_task_that_a_gap_made_is_shown_as_being_looked_up(
    edge: Run, edge_json: Json, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the switch's own record can have been read."""
    tape = CallbackTape()
    tape.arrive("e1", line="emergency", queue="emergency", tier=0)
    since = tape.now
    tape.say(facts.SwitchLost(link="ari", error="reset"))
    tape.wait(60)
    gap = facts.GapEnded(
        gap=1, why=Blindness.LINK_LOST, since=since, bound=Bound.SEEN, seconds=60.0, calls=("e1",)
    )
    tape.say(gap)
    tape.say(facts.SwitchRestored(calls_adopted=0, calls_kept=0, calls_missing=1))
    tape.open_task("e1", TaskKind.LOST, emergency=True)
    ended = facts.CallEnded(
        call_id="e1",
        outcome=CallOutcome.ENDED_UNKNOWN,
        stage=Stage.QUEUE,
        side=Side.UNKNOWN,
        cause="not seen",
        waited_seconds=60.0,
        talked_seconds=0.0,
        agent=None,
        unseen_since=since,
    )
    tape.say(ended)
    url = f"sqlite:///{directory}/ledger.sqlite"
    ledger = open_sql_ledger(url)
    ledger.append(tape.entries)
    ledger.close()
    ensure_key(url)
    monkeypatch.setattr(output, "now", lambda: tape.now)
    assert [task["being_looked_up"] for task in edge_json("tasks")["tasks"]] == [True]
    assert "nobody spoke with them, being looked up" in edge("tasks", "show", "e1").stdout
    tape.wait(LOOK_UP_SECONDS)
    assert [task["being_looked_up"] for task in edge_json("tasks")["tasks"]] == [False]
    assert not edge_json("tasks", "show", "e1")["being_looked_up"]


# --- telling


def test_a_call_back_is_cancelled_moved_and_judged(edge: Run, edge_json: Json, daemon: Daemon) -> None:
    """Each is a fact with who and why, and is said only then."""
    site_class = ("--class", "standard")
    moved = edge_json(
        "callbacks", "move", "c1", "--queue", "general", *site_class, "--by", "ann", "--why", "nearer"
    )
    assert moved == {"call_id": "c1", "done": "moved to queue general and class standard by ann"}
    judged = edge("callbacks", "machine", "c3", "--by", "4002")
    assert judged.stdout == "call-back c3: judged a machine by 4002\n"
    cancelled = edge_json("callbacks", "cancel", "c1", "--by", "ann", "--why", "was here; is well")
    assert cancelled == {"call_id": "c1", "done": "cancelled by ann"}
    assert [call["call_id"] for call in edge_json("callbacks")["callbacks"]] == ["c2", "c3"]
    told = edge("call", "c1").stdout
    assert "moved by ann to queue general, class standard: nearer" in told
    assert "The call-back was cancelled" in told
    again = edge("callbacks", "cancel", "c1", "--by", "ann", "--why", "again")
    assert (again.exit_code, "is over: cancelled" in again.stderr) == (1, True)


def test_offering_is_paused_and_resumed(edge: Run, edge_json: Json, daemon: Daemon) -> None:
    """The second time nothing is told."""
    assert edge("callbacks", "pause", "--by", "ann").stdout == "offering paused\n"
    assert edge_json("callbacks", "pause", "--by", "bob") == {"offering_paused": True, "changed": False}
    assert "offering PAUSED" in edge("status").stdout
    assert edge_json("callbacks", "resume", "--by", "bob") == {"offering_paused": False, "changed": True}
    assert len(daemon.heard) == 2


def test_a_task_is_assigned_and_closed_by_a_named_person(edge: Run, edge_json: Json, daemon: Daemon) -> None:
    """With an outcome, once."""
    assert (
        edge_json("tasks", "assign", "e1", "--to", "Bryn", "--by", "ann")["done"] == "assigned to Bryn by ann"
    )
    assert edge_json("tasks", "show", "e1")["assigned_to"] == "Bryn"
    closing = (
        "tasks",
        "close",
        "e1",
        "--outcome",
        "reached",
        "--by",
        "Bryn",
        "--note",
        "fell asleep on the phone",
    )
    assert edge(*closing).stdout == "task e1: closed by Bryn: reached\n"
    assert [task["task_id"] for task in edge_json("tasks")["tasks"]] == ["c5"]
    closed = edge_json("tasks", "list", "--all")["tasks"]
    assert [(task["task_id"], task["closed_by"]) for task in closed] == [("c5", None), ("e1", "Bryn")]
    assert "the person was reached (fell asleep on the phone)" in edge("tasks", "show", "e1").stdout
    again = edge(*closing)
    assert (again.exit_code, "was closed by Bryn at" in again.stderr) == (1, True)


# --- refusing

BY = ("--by", "ann")
WHY = ("--why", "because")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("callbacks", "show", "c4"), "was promised no call-back"),
        (("callbacks", "show", "nothing"), "no call has an id that ends with"),
        (("callbacks", "cancel", "c4", *BY, *WHY), "was promised no call-back"),
        (("callbacks", "cancel", "c3", *BY, *WHY), "its person is on the line now"),
        (
            ("callbacks", "move", "c1", "--queue", "emergency", *BY, *WHY),
            "nobody but the caller becomes one of them",
        ),
        (
            ("callbacks", "move", "c1", "--queue", "x", *BY, *WHY),
            "there is no queue 'x'; known: emergency, general",
        ),
        (("callbacks", "move", "c1", "--class", "x", *BY, *WHY), "there is no class 'x'; known: standard"),
        (("callbacks", "machine", "c2", *BY), "is promised: nothing that answered it is on the line"),
        (("tasks", "show", "c1"), "no task has an id that ends with 'c1'"),
        (("tasks", "close", "zz", "--outcome", "reached", *BY), "no task has an id"),
        (("tasks", "assign", "1", "--to", "x", *BY), ""),
    ],
)
def test_what_cannot_be(edge: Run, daemon: Daemon, arguments: tuple[str, ...], words: str) -> None:
    """Exit code 1, one message, and the switch hears nothing (the last one is there by the end of its id)."""
    result = edge(*arguments)
    if not words:
        assert (result.exit_code, len(daemon.heard)) == (0, 1)
        return
    assert (result.exit_code, result.stdout, daemon.heard) == (1, "", [])
    assert words in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("callbacks", "cancel", "c1", *WHY),
        ("callbacks", "cancel", "c1", *BY),
        ("callbacks", "cancel", "c1", *BY, "--why", "x\r\nAction: Originate"),
        ("callbacks", "cancel", "c1", *BY, "--why", "x" * 81),
        ("callbacks", "cancel", "c1", "--by", "a\nb", *WHY),
        ("callbacks", "cancel", "c1", "--by", "", *WHY),
        ("callbacks", "move", "c1", *BY, *WHY),
        ("callbacks", "pause"),
        ("tasks", "assign", "e1", "--to", "\x1b[2J", *BY),
        ("tasks", "close", "e1", "--outcome", "bored", *BY),
        ("tasks", "close", "e1", *BY),
        ("tasks", "close", "e1", "--outcome", "reached"),
    ],
)
def test_what_is_wrong_usage(edge: Run, daemon: Daemon, arguments: tuple[str, ...]) -> None:
    """Exit code 2; a line break never reaches the switch."""
    result = edge(*arguments)
    assert (result.exit_code, daemon.heard) == (2, [])
    assert not [mark for mark in result.output if not mark.isprintable() and mark not in "\n\t"]


TELLING = (
    ("callbacks", "cancel", "c1", *BY, *WHY),
    ("callbacks", "move", "c1", "--class", "standard", *BY, *WHY),
    ("callbacks", "machine", "c3", *BY),
    ("callbacks", "pause", *BY),
    ("tasks", "assign", "e1", "--to", "Bryn", *BY),
    ("tasks", "close", "e1", "--outcome", "no_need", *BY),
)


@pytest.mark.parametrize("arguments", TELLING, ids=" ".join)
def test_without_a_daemon_nothing_is_claimed(
    edge: Run, tape: CallbackTape, arguments: tuple[str, ...]
) -> None:
    """Nobody would record it."""
    result = edge(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "the daemon is not running" in result.stderr


@pytest.mark.parametrize("arguments", TELLING, ids=" ".join)
def test_what_is_not_recorded_is_no_success(edge: Run, daemon: Daemon, arguments: tuple[str, ...]) -> None:
    """It was sent, and did not become a fact."""
    daemon.deaf = True
    result = edge(*arguments)
    assert (result.exit_code, result.stdout, len(daemon.heard)) == (1, "", 1)
    assert "has not recorded it" in result.stderr
