"""A control room with a hand clock, and the small language in which its scenarios are written.

A scenario is a table: what happens, `->`, what the engine asks of the switch in return. `=` states what is then true.

    c1 calls 101   -> serve c1, ring ann for c1
    ann answers    -> connect c1.1
    c1 joined
    c1 hangs up
    = c1 answered talking; ann wrap-up

Each agent sits at a phone of the same name. `c1.2` is the second offer of call c1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edge.core import effects, facts, inputs
from edge.core.engine import Engine, Step
from edge.core.inputs import Standing
from edge.core.model import (
    Agent,
    Answer,
    Emergency,
    Instant,
    Line,
    Phone,
    PhoneKind,
    PhoneState,
    Policy,
    PriorityClass,
    Queue,
    Refusal,
    Relaxation,
    Side,
    Tier,
    TransferKind,
)
from edge.core.promise import AttemptOutcome, TaskAttemptOutcome, TaskOutcome
from edge.core.state import replay
from tests.core.invariants import check_all

NOON = Instant(1_000_000_000_000, 1_750_000_000_000_000)


def line(name: str, queue: str, priority_class: str = "routine", **more: Any) -> Line:
    """A 101 line unless told otherwise."""
    defaults: dict[str, Any] = {"tier": Tier.ROUTINE, "answer": Answer.ON_ARRIVAL}
    return Line(name=name, number=name, queue=queue, priority_class=priority_class, **(defaults | more))


LINES = (
    line("101", "101"),
    line("greeted", "101", greeting="welcome"),
    line("vulnerable", "101", "vulnerable"),
    line("welsh", "welsh"),
    line("brief", "brief"),
    line("shut", "shut"),
    line("999", "999", "emergency", tier=Tier.EMERGENCY, answer=Answer.BY_AGENT),
    line("trial", "999", "emergency", tier=Tier.EMERGENCY, answer=Answer.BY_AGENT, test_phone="rig"),
)
QUEUES = (
    Queue(name="101", skills=("101",)),
    Queue(
        name="welsh", skills=("101", "welsh"), relaxations=(Relaxation(after_seconds=60.0, skills=("101",)),)
    ),
    Queue(name="brief", skills=("101",), wrap_up_seconds=0.0),
    Queue(name="shut", skills=("101",), limit=0),
    Queue(name="999", skills=("999",), wrap_up_seconds=60.0, offer_seconds=4.0),
)
CLASSES = (
    PriorityClass(name="routine"),
    PriorityClass(name="vulnerable", head_start_seconds=120.0),
    PriorityClass(name="emergency"),
)


EMERGENCY = Emergency(queue="999")


def policy_of(*agents: str, **more: Any) -> Policy:
    """The policy of a room with these agents, each `"name skill skill=level"`; the skill "supervisor" makes a supervisor."""
    people = {}
    for text in agents:
        name, *skills = text.split()
        levels = {skill.partition("=")[0]: int(skill.partition("=")[2] or 1) for skill in skills}
        supervisor = levels.pop("supervisor", 0) > 0
        people[name] = Agent(number=name, name=name, skills=levels, phone=name, supervisor=supervisor)
    more.setdefault("emergency", EMERGENCY)
    return Policy(
        lines={item.name: item for item in LINES},
        queues={item.name: item for item in QUEUES},
        classes={item.name: item for item in CLASSES},
        agents=people,
        phones={name: Phone(name=name) for name in (*people, "rig")}
        | {"elsewhere": Phone(name="elsewhere", kind=PhoneKind.TRUNK, trunk="gateway", number="1")},
        **more,
    )


class Room:
    """An engine, a clock moved by hand, and everything that has been recorded and asked so far."""

    def __init__(self, *agents: str, seen: bool = True, **more: Any) -> None:
        """Everybody in `agents` is signed in and ready unless the room is still unseen."""
        self.now = NOON
        self.policy = policy_of(*agents, **more)
        self.engine = Engine(self.policy)
        self.entries: list[facts.Entry] = []
        self.asked: list[effects.Effect] = []
        self.traces: list[effects.ReadTrace] = []
        """Asked too, of every gap: no table says so."""
        self.disk = True
        """Whether the disk takes facts at once; False: `Durable` is given by `catch_up`."""
        self._owed: list[effects.TellWhenDurable] = []
        self.is_checked = True
        """Whether every invariant is checked after each step; False where thousands of rooms are about one of them."""
        self.judges: list[Callable[[Step], None]] = []
        """Asked after each step, beside the invariants."""
        self.tell(inputs.Started(version="1", policy_digest="", boot_id="boot-1"))
        if seen:
            self.look()

    def tell(self, given: inputs.Input) -> Step:
        """One step, with every invariant checked after it."""
        step = self.engine.step(given, self.now)
        self.entries += step.entries
        self.asked += [effect for effect, _ in step.effects if not isinstance(effect, effects.ReadTrace)]
        self.traces += [effect for effect, _ in step.effects if isinstance(effect, effects.ReadTrace)]
        if self.is_checked:
            check_all(self.engine, step, self.now)
        for judge in self.judges:
            judge(step)
        self._owed += [e for e, _ in step.effects if isinstance(e, effects.TellWhenDurable)]
        if self.disk:
            self.catch_up()
        return step

    def catch_up(self) -> None:
        """The disk has everything: whoever asked is told."""
        owed, self._owed = self._owed, []
        for asked in owed:
            self.tell(inputs.Durable(call_id=asked.call_id, token=asked.token))

    def look(
        self,
        calls: tuple[inputs.SeenCall, ...] = (),
        offers: tuple[inputs.SeenOffer, ...] = (),
        attempts: tuple[inputs.SeenAttempt, ...] = (),
        boot: str = "",
    ) -> Step:
        """The switch is seen (again): everybody signed in at idle phones, and these legs. One in another life was lost first."""
        if self.engine.state.sight and boot not in ("", self.engine.state.switch_boot or boot):
            self.tell(inputs.LinkLost(link="ami", error="reset"))
        return self.tell(
            inputs.Reconciled(
                calls=calls,
                offers=offers,
                attempts=attempts,
                agents=tuple(inputs.AgentSeen(agent=name, phone=name) for name in self.policy.agents),
                phones=tuple(
                    inputs.PhoneSeen(phone=name, state=PhoneState.IDLE) for name in self.policy.phones
                ),
                switch_boot=boot,
            )
        )

    def wait(self, seconds: float) -> None:
        """Let time pass; the engine is woken at each of its deadlines. At no other instant has it anything to do."""
        until = self.now.plus(seconds)
        while (at := self.engine.next_deadline()) is not None and at.monotonic_ns <= until.monotonic_ns:
            self.now = at
            self.tell(inputs.Woken())
        self.now = until
        step = self.tell(inputs.Woken())
        assert (step.entries, step.effects) == ((), ())

    def restart(self, **changes: Any) -> None:
        """The daemon is killed and comes back with what the ledger has, and maybe another policy."""
        self.policy = replace(self.policy, **changes)
        self.engine = Engine(self.policy, replay(self.entries))
        self.tell(inputs.Started(version="2", policy_digest="", boot_id="boot-1"))

    def recorded(self, kind: type[facts.Fact]) -> list[Any]:
        """All facts of one kind, in order."""
        return [entry.fact for entry in self.entries if type(entry.fact) is kind]

    def state_of(self, name: str) -> str:
        """The state of an open call or an agent; the outcome and stage of an ended call."""
        state = self.engine.state
        if name in state.calls:
            return state.calls[name].state.value
        if name in self.policy.agents:
            return state.agents[name].state.value if name in state.agents else "signed out"
        for entry in reversed(self.entries):
            if isinstance(entry.fact, facts.CallEnded) and entry.fact.call_id == name:
                return f"{entry.fact.outcome} {entry.fact.stage}"
        return "unknown"


def arrival(call_id: str, name: str = "101", **more: Any) -> inputs.CallPresented:
    """A caller stands before us on line `name`."""
    return inputs.CallPresented(
        call_id=call_id,
        leg_id=call_id,
        line=name,
        caller_number=None,
        caller_name=None,
        number_withheld=True,
        **more,
    )


def play(room: Room, table: str) -> None:
    """Play the scenario; the table must come out as it was written."""
    expected = [" ".join(row.split()) for row in table.strip().splitlines()]
    assert [_played(room, row) for row in expected] == expected


def happen(room: Room, row: str) -> None:
    """One row, whatever the engine asks for in return."""
    _happen(room, row.split())


def _played(room: Room, row: str) -> str:
    """The row as it really went."""
    if row.startswith("="):
        names = [part.split()[0] for part in row[1:].split(";")]
        return "= " + "; ".join(f"{name} {room.state_of(name)}" for name in names)
    given = row.partition("->")[0].strip()
    asked = len(room.asked)
    _happen(room, given.split())
    answer = ", ".join(spoken(effect) for effect in room.asked[asked:])
    return f"{given} -> {answer}" if answer else given


def spoken(effect: effects.Effect) -> str:
    """An effect in the words of the tables."""
    match effect:
        case effects.MakeOffer():
            return f"ring {effect.phone} for {effect.call_id}"
        case effects.RingForTask():
            return f"ring {effect.phone} for task {effect.task_id}"
        case effects.AskAgent():
            return f"ask {effect.offer_id} {' '.join(effect.sounds)}"
        case effects.DialForTask():
            return f"dial for {effect.offer_id}"
        case effects.GiveUpDial():
            return f"give up {effect.offer_id}"
        case effects.WithdrawOffer():
            return f"withdraw {effect.offer_id}"
        case effects.HangUpOffer():
            return f"hang up {effect.offer_id}"
        case effects.ConnectPair():
            return f"connect {effect.offer_id}"
        case effects.TakeCharge():
            return f"greet {effect.call_id}" if effect.greeting else f"serve {effect.call_id}"
        case effects.SendToFallback():
            return f"fallback for {effect.call_id}"
        case effects.Inspect():
            return f"inspect {effect.call_id}"
        case effects.Announce():
            return f"announce {effect.prompt} to {effect.call_id}"
        case effects.StopAnnouncement():
            return f"quiet for {effect.call_id}"
        case effects.NotePlace():
            return f"note {effect.call_id} in {effect.queue}"
        case effects.HangUpCaller():
            return f"let {effect.call_id} go"
        case effects.Divert():
            return f"divert {effect.call_id} to {effect.phone}"
        case effects.SetNotReady():
            return f"set {effect.agent} not ready"
        case effects.CollectNumber():
            return f"{'collect' if effect.collect else 'no more'} digits of {effect.call_id}"
        case effects.TellWhenDurable():
            return f"await disk for {effect.call_id}"
        case effects.DialPerson():
            return f"dial {effect.number} for {effect.call_id}"
        case effects.EndAttempt():
            return f"end attempt {effect.attempt} of {effect.call_id}"
        case effects.ReadTrace():
            return f"trace of gap {effect.gap}"


REFUSALS: Mapping[str, Refusal] = {
    "rejects": Refusal.REJECTED,
    "is-busy": Refusal.BUSY,
    "rings-out": Refusal.NO_ANSWER,
    "is-unreachable": Refusal.UNREACHABLE,
    "ends": Refusal.CLEARED,
}


def _happen(room: Room, words: list[str]) -> None:
    match words:
        case ["wait", seconds]:
            room.wait(float(seconds))
        case ["rig-phone", state]:
            room.tell(inputs.PhoneSeen(phone="rig", state=PhoneState(state)))
        case ["incident", state]:
            room.tell(inputs.IncidentSet(active=state == "declared", by="sue"))
        case ["switch", "boots", name]:
            room.look(boot=name)
        case ["task", task_id, *what]:
            _task_does(room, task_id, what)
        case ["link", "lost"]:
            room.tell(inputs.LinkLost(link="ari", error="reset"))
        case ["seen", *legs]:
            attempts = [word.partition("!") for word in legs if "!" in word]
            seen = tuple(inputs.SeenAttempt(call_id=name, attempt=int(n)) for name, _, n in attempts)
            room.look(*_legs(room, [word for word in legs if "!" not in word]), seen)
        case ["killed", *_]:  # "killed and restarted" reads better
            room.restart()
        case [call_id, "calls", name]:
            room.tell(arrival(call_id, name))
        case [call_id, "in-fallback", *rest]:
            where = rest[0] if rest else "101"
            room.tell(inputs.FallbackTook(call_id=call_id, line=where, leg_id=call_id, why="dead-man"))
        case [call_id, "answered-in-fallback-by", agent]:
            room.tell(inputs.FallbackAnswered(call_id=call_id, agent=agent))
        case [call_id, "sent-back-to", queue]:
            room.tell(inputs.CallSentBack(call_id=call_id, queue=queue))
        case [call_id, "passed-on-to", target]:
            room.tell(
                inputs.CallPassedOn(call_id=call_id, offer_id=None, kind=TransferKind.BLIND, target=target)
            )
        case [call_id, "passed-on-to", "agent", agent]:
            passed = inputs.CallPassedOn(
                call_id=call_id, offer_id=None, kind=TransferKind.BLIND, target=agent, agent=agent
            )
            room.tell(passed)
        case [call_id, "taken-elsewhere"]:
            room.tell(inputs.DiversionAnswered(call_id=call_id))
        case [call_id, "taken-by", agent]:
            offer_id = f"{call_id}.to-{agent}"
            room.tell(inputs.ColleagueAnswered(call_id=call_id, offer_id=offer_id, agent=agent, phone=agent))
        case [call_id, "joined"]:
            claimed = room.engine.state.calls[call_id].claimed_by or ""
            room.tell(inputs.PairJoined(call_id=call_id, offer_id=claimed))
        case [call_id, "returned"]:
            room.tell(inputs.PairReturned(call_id=call_id))
        case [call_id, "hears-out" | "cannot-hear" as how, prompt]:
            heard = how == "hears-out"
            room.tell(inputs.AnnouncementFinished(call_id=call_id, prompt=prompt, completed=heard))
        case [name, *rest] if name in room.policy.agents:
            _agent_does(room, name, rest)
        case [name, *rest] if "." in name:
            _phone_does(room, name, rest)
        case [call_id, "presses", key]:
            room.tell(inputs.KeyPressed(call_id=call_id, key=key))
        case [call_id, "calls", name, "from", number]:
            room.tell(replace(arrival(call_id, name), caller_number=number, number_withheld=False))
        case [call_id, "keys", *number]:
            room.tell(inputs.NumberKeyed(call_id=call_id, number="".join(number)))
        case [call_id, "hears", "to", "the", "end"]:
            prompt = room.engine.state.calls[call_id].announcement or ""
            room.tell(inputs.AnnouncementFinished(call_id=call_id, prompt=prompt, completed=True))
        case ["person", call_id, *what]:
            _person_does(room, call_id, what)
        case [call_id, "hangs", "up"]:
            room.tell(inputs.CallerGone(call_id=call_id, side=Side.CALLER, cause="16"))
        case _:
            raise ValueError(f"not in the language: {' '.join(words)}")


def _task_does(room: Room, task_id: str, words: list[str]) -> None:
    """What happens to a task: its person answers or does not, somebody orders something."""
    task = room.engine.state.tasks.get(task_id)
    offer_id = "" if task is None else task.offer_id or ""
    match words:
        case ["person", "answers"]:
            room.tell(inputs.TaskPersonAnswered(offer_id=offer_id))
        case ["person", outcome]:
            came = TaskAttemptOutcome(outcome.replace("-", "_"))
            room.tell(inputs.TaskPersonGone(offer_id=offer_id, outcome=came, cause=outcome))
        case ["assigned", "to", name]:
            room.tell(inputs.TaskAssigned(task_id=task_id, to=name, by="sue"))
        case ["closed", "by", name]:
            closed = inputs.TaskClosed(task_id=task_id, by=name, outcome=TaskOutcome.NO_NEED)
            room.tell(closed)
        case _:
            raise ValueError(f"not in the language: task {task_id} {' '.join(words)}")


def _person_does(room: Room, call_id: str, words: list[str]) -> None:
    """The person who is called back, in the latest attempt."""
    promise = room.engine.state.calls[call_id].callback
    attempt = 0 if promise is None else promise.attempt
    match words:
        case ["rings"]:
            room.tell(inputs.PersonRang(call_id=call_id, attempt=attempt))
        case ["answers"]:
            room.tell(inputs.PersonAnswered(call_id=call_id, attempt=attempt, leg_id=f"{call_id}-back"))
        case [outcome]:
            room.tell(
                inputs.PersonGone(
                    call_id=call_id,
                    attempt=attempt,
                    outcome=AttemptOutcome(outcome.replace("-", "_")),
                    cause=outcome,
                )
            )
        case _:
            raise ValueError(f"not in the language: person {call_id} {' '.join(words)}")


def _agent_does(room: Room, agent: str, words: list[str]) -> None:
    match words:
        case ["signs", "in"] | ["ready"]:
            room.tell(inputs.AgentSeen(agent=agent, phone=agent))
        case ["signs", "in", "at", phone]:
            room.tell(inputs.AgentSeen(agent=agent, phone=phone))
        case ["signs", "out"]:
            room.tell(inputs.AgentSeen(agent=agent, phone=None))
        case ["not", "ready"]:
            room.tell(inputs.AgentSeen(agent=agent, phone=agent, not_ready_reason="lunch"))
        case ["presses", "ready"]:
            room.tell(inputs.ReadyPressed(agent=agent))
        case ["presses", key]:
            offer_id = room.engine.state.agents[agent].offer_id or ""
            room.tell(inputs.AgentKeyed(offer_id=offer_id, key=key))
        case ["wants", "a", "task"]:
            room.tell(inputs.TaskAsked(agent=agent))
        case ["spoke", "with", "them"]:
            room.tell(inputs.TaskSpokenWith(agent=agent))
        case ["phone", state]:
            room.tell(inputs.PhoneSeen(phone=agent, state=PhoneState(state)))
        case _:
            _phone_does(room, room.engine.state.agents[agent].offer_id or "none.0", words)


def _phone_does(room: Room, offer_id: str, words: list[str]) -> None:
    match words:
        case ["rings"]:
            room.tell(inputs.PhoneRang(offer_id=offer_id))
        case ["answers"]:
            room.tell(inputs.PhoneAnswered(offer_id=offer_id))
        case ["holds"] | ["resumes"]:
            room.tell(inputs.HoldChanged(offer_id=offer_id, held=words == ["holds"]))
        case ["hangs", "up"]:
            gone = inputs.PhoneGone(offer_id=offer_id, refusal=Refusal.CLEARED, side=Side.AGENT, cause="16")
            room.tell(gone)
        case [word]:
            room.tell(
                inputs.PhoneGone(offer_id=offer_id, refusal=REFUSALS[word], side=Side.UNKNOWN, cause=word)
            )
        case _:
            raise ValueError(f"not in the language: {offer_id} {' '.join(words)}")


def _legs(room: Room, words: list[str]) -> tuple[tuple[inputs.SeenCall, ...], tuple[inputs.SeenOffer, ...]]:
    """`c1:held c2:connected:c2.1 c3.1 c4.1+` in a snapshot; `+`: that leg was answered."""
    calls, offers = [], []
    for word in words:
        name, _, rest = word.partition(":")
        standing, _, offer_id = rest.partition(":")
        if standing:
            known = room.engine.state.calls.get(name)
            calls.append(
                inputs.SeenCall(
                    call_id=name,
                    leg_id=name,
                    line=known.line if known else "101",
                    standing=Standing(standing),
                    offer_id=offer_id or None,
                )
            )
        else:
            offers.append(inputs.SeenOffer(offer_id=name.rstrip("+"), answered=name.endswith("+")))
    return tuple(calls), tuple(offers)
