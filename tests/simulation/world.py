"""A switch, its callers, its phones and the persons who are called back, in memory, with every trouble of the wire and the disk:
late, doubled and lost words, facts that lag on their way to disk, and a daemon that is killed. The engine under test sees only
what is delivered; the world keeps the truth."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace

from edge.core import effects, facts, inputs
from edge.core.engine import Engine, Step
from edge.core.inputs import Standing
from edge.core.model import (
    Announcements,
    CallerKnowledge,
    CallOutcome,
    CallState,
    Choice,
    ClockState,
    Emergency,
    Instant,
    MajorIncident,
    Menu,
    OpeningHours,
    PhoneState,
    Policy,
    Queue,
    Refusal,
    Relaxation,
    Repeat,
    Side,
    Tier,
    TransferKind,
)
from edge.core.promise import (
    AttemptOutcome,
    Callbacks,
    First,
    Plan,
    TaskAttemptOutcome,
    TaskKind,
    TaskOutcome,
    Tasks,
)
from edge.core.promising import CONFIRMATION
from edge.core.state import State, replay
from edge.core.task_state import is_task_offer
from tests.core.callbacks import SHOWN, SmallPlan
from tests.core.invariants import check_all
from tests.core.room import NOON, arrival, line, policy_of

AGENTS = ("ann 101 999", "bob 101=2 welsh", "cat 101 999=2", "dai 101=2 999 welsh", "sue 101=3 supervisor")
EMERGENCY = Emergency(queue="999", buddy_phone="elsewhere", break_wrap_up=True)
LINES = (
    "101",
    "greeted",
    "vulnerable",
    "welsh",
    "brief",
    "shut",
    "desk",
    "office",
    "told",
    "later",
    "shown",
    "999",
    "trial",
)
KEYS = "1111112379*#"
NUMBERS = (None, "07700900001", "07700900002", "07700900003", "01632960777", "09098790000")
"""Whence people call, and what they key: withheld or nothing, three telephones, one that may be forbidden, one that always is."""
GARBAGE = ("", "0", "##12", "999", "00447700900001")
DESTINATIONS = ("brief", "desk", "told", "office", "later", "999", "nowhere", None)
AGENT_FIRST = Plan(
    offer_above_seconds=10.0,
    offer_below_seconds=4.0,
    offer_every_seconds=20.0,
    handling_seconds=40.0,
    spacing_seconds=10.0,
    ring_seconds=15.0,
    attempts=2,
    age_alarm_seconds=100.0,
)
CALLER_FIRST = replace(
    AGENT_FIRST,
    first=First.CALLER,
    keep_place=False,
    attempts=3,
    in_incident=True,
    closing_margin_seconds=0.0,
)
CALLBACKS = Callbacks(
    trunk="gateway",
    show_number=SHOWN,
    concurrent=2,
    per_hour=200,
    per_number=30,
    idle_agents=0,
    network_failures=3,
    trunk_rest_maximum_seconds=20.0,
    channels=30,
)
OFFICE = OpeningHours(
    name="office",
    changes=((0, True), (NOON.utc_us + 30_000_000, False), (NOON.utc_us + 200_000_000, True)),
)
NEWS = Announcements(every_seconds=7.0, prompt="patience", position=True, expected_wait=True)
MENU = Menu(
    prompt="menu",
    choices={
        "1": Choice(queue="told", greeting="thanks"),
        "2": Choice(priority_class="vulnerable"),
        "3": Choice(queue="office", language="cy"),
    },
)
KNOWN = (
    None,
    CallerKnowledge(listing="vulnerable", listed_class="vulnerable"),
    CallerKnowledge(recent_abandons=3, calls_in_day=4, assisted=True, language="cy"),
)
STARTED = inputs.Started(version="1", policy_digest="", boot_id="boot-1")


def policy_of_the_world() -> Policy:
    """Everything that a site can decide, all at once and with short times."""
    policy = policy_of(
        *AGENTS,
        emergency=EMERGENCY,
        repeat=Repeat(abandons=3, minutes=30, priority_class="vulnerable"),
        incident=MajorIncident(greeting="incident", closed_queues=("brief",)),
        largest_boost_seconds=20.0,
        missed_offers_maximum=2,
        assisted_offer_seconds=20.0,
        callbacks=CALLBACKS,
        destinations=SmallPlan(),
        tasks=Tasks(
            abandoned_101_after_seconds=20.0,
            offered=tuple(TaskKind),
            again_seconds=20.0,
            offer_seconds=10.0,
            choose_seconds=15.0,
        ),
    )
    queues = (
        Queue(
            name="desk",
            skills=("101",),
            limit=3,
            maximum_wait_seconds=40.0,
            overflow_queue="told",
            announcements=NEWS,
            callback=AGENT_FIRST,
        ),
        replace(policy.queues["101"], callback=AGENT_FIRST),
        Queue(name="later", skills=("101",), callback=CALLER_FIRST, wrap_up_seconds=5.0),
        Queue(
            name="told",
            skills=("101", "welsh"),
            maximum_wait_seconds=60.0,
            overflow_phone="elsewhere",
            relaxations=(
                Relaxation(after_seconds=15.0, skills=("101",), prompt="no-welsh"),
                Relaxation(after_seconds=90.0, skills=()),
            ),
        ),
        Queue(name="office", skills=("101",), hours=OFFICE, overflow_queue="desk", maximum_wait_seconds=25.0),
    )
    lines = (
        line("desk", "desk", greeting="welcome", menu=MENU),
        line("office", "office", menu=MENU),
        line("told", "told", language="cy"),
        line("later", "later", language="cy"),
        replace(line("shown", "101"), number=SHOWN),
    )
    return replace(
        policy,
        queues=dict(policy.queues) | {queue.name: queue for queue in queues},
        lines=dict(policy.lines) | {item.name: item for item in lines},
    )


@dataclass
class Leg:
    """An agent's leg as it really is."""

    offer_id: str
    call_id: str
    phone: str
    rang: bool = False
    answered: bool = False
    rings_number: str | None = None
    """For a task: whom the switch rings by itself for the agent."""
    talks: bool = False
    """With whom it has rung."""

    @property
    def is_of_task(self) -> bool:
        """Whether it was offered a task."""
        return is_task_offer(self.offer_id)


@dataclass(frozen=True)
class Killed:
    """The daemon died with so many facts on disk and came back with this policy."""

    durable: int
    policy: Policy


@dataclass
class Ringing:
    """The leg of a person who is called back and has not answered."""

    call_id: str
    attempt: int
    rang: bool = False


@dataclass
class World:
    """The truth, and what has been said of it but not yet heard."""

    now: Instant = NOON
    standing: dict[str, Standing] = field(default_factory=dict)
    line_of: dict[str, str] = field(default_factory=dict)
    pair_of: dict[str, str] = field(default_factory=dict)
    legs: dict[str, Leg] = field(default_factory=dict)
    known_offers: set[str] = field(default_factory=set)
    playing: dict[str, str] = field(default_factory=dict)
    """Call -> what is said to its caller."""
    away: set[str] = field(default_factory=set)
    """Calls that were sent to another number, or passed on."""
    elsewhere: set[str] = field(default_factory=set)
    """Of those sent to another number, who talks there."""
    passed_to: dict[str, str] = field(default_factory=dict)
    """Call -> the colleague whose phone rings for it by a transfer."""
    noted: dict[str, tuple[str, str, bool]] = field(default_factory=dict)
    """Call -> queue, language and whether upgraded, as written on its leg."""
    joined: dict[str, Instant] = field(default_factory=dict)
    signed: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    gone_phones: set[str] = field(default_factory=set)
    linked: bool = False
    said: list[inputs.Input] = field(default_factory=list)
    entries: list[facts.Entry] = field(default_factory=list)
    heard: list[tuple[inputs.Input | Killed, Instant, Step | None]] = field(default_factory=list)
    arrivals: int = 0
    transfers: int = 0
    number_of: dict[str, str | None] = field(default_factory=dict)
    leg_of: dict[str, str] = field(default_factory=dict)
    """Call -> the leg by which a person was reached."""
    collecting: set[str] = field(default_factory=set)
    """Calls whose keys are the digits of a number."""
    ringing: dict[str, Ringing] = field(default_factory=dict)
    """Call -> the person's phone that is being rung; never a second one."""
    dialled: set[tuple[str, int]] = field(default_factory=set)
    """Every attempt that was ever dialled."""
    keyed: set[str] = field(default_factory=set)
    """Offers of tasks whose agent has pressed the key that rings the person."""
    dialled_for: set[str] = field(default_factory=set)
    """Offers of tasks for which somebody was ever rung."""
    reached: dict[str, int] = field(default_factory=dict)
    """Call -> the attempt by which its person is on the line."""
    told_of: set[tuple[str, int]] = field(default_factory=set)
    """Attempts of whose answer the engine has heard."""
    judged: set[str] = field(default_factory=set)
    """Offers whose handler says that they talk with a machine: such a talk is cut."""
    is_disk_stuck: bool = False
    durable: int = 0
    """Sequence of the last fact that is on disk."""
    waiting_for_disk: list[tuple[effects.Effect, int]] = field(default_factory=list)
    disk_said: list[inputs.Durable] = field(default_factory=list)
    """What the recorder has to tell: no link can lose that."""

    def __post_init__(self) -> None:
        self.policy = policy_of_the_world()
        self.engine = Engine(self.policy)
        self.checkpoint = State()
        self.signed = {agent: (agent, None) for agent in self.policy.agents}
        self._hear(STARTED)
        self._hear(inputs.ClockSeen(state=ClockState.SYNCHRONISED))
        self.look()

    # what the engine hears and asks

    def _hear(self, given: inputs.Input) -> Step:
        if isinstance(given, inputs.PersonAnswered):
            self.told_of.add((given.call_id, given.attempt))
        step = self.engine.step(given, self.now)
        self.entries += step.entries
        self.heard.append((given, self.now, step))
        check_all(self.engine, step, self.now)
        self._check_joining(step)
        self._check_numbers(step)
        for effect, cause in step.effects:
            is_asked = self.linked or isinstance(given, inputs.Reconciled)
            if is_asked or isinstance(effect, effects.TellWhenDurable):
                self.waiting_for_disk.append((effect, cause))
        self._write()
        return step

    def _write(self) -> None:
        """What the disk has taken; then what waited for it is done, in its order."""
        if self.is_disk_stuck:
            return
        self.durable = len(self.entries)
        due, self.waiting_for_disk = self.waiting_for_disk, []
        for effect, _ in due:
            if isinstance(effect, effects.TellWhenDurable):
                self.disk_said.append(inputs.Durable(call_id=effect.call_id, token=effect.token))
            else:
                self._perform(effect)
        if self.linked:
            self._check_noted()

    def _check_joining(self, step: Step) -> None:
        """A call's time of joining is that of its first place, whatever has been decided about it since; but for who gets the
        place of a call-back from their number, for a call-back with which another was joined, and for one whose plan takes its
        place away."""
        matched = {e.fact.by_call for e in step.entries if isinstance(e.fact, facts.CallbackMatched)}
        for entry in step.entries:
            fact = entry.fact
            if isinstance(fact, facts.CallQueued) and fact.call_id in matched and fact.call_id in self.joined:
                assert fact.queued_at.monotonic_ns <= self.joined[fact.call_id].monotonic_ns, fact
                self.joined[fact.call_id] = fact.queued_at
            elif isinstance(fact, facts.CallQueued):
                self.joined.setdefault(fact.call_id, fact.queued_at)
            if (
                isinstance(fact, facts.CallbackAttemptEnded | facts.CallbackMoved)
                and fact.queued_at is not None
            ):
                self.joined[fact.call_id] = fact.queued_at
        for call in self.engine.state.calls.values():
            if call.queue:
                assert self.joined.setdefault(call.call_id, call.queued_at) == call.queued_at, call

    def _check_numbers(self, step: Step) -> None:
        """A withheld caller is never taken for anybody, and nobody for one of another number."""
        for entry in step.entries:
            if isinstance(entry.fact, facts.CallbackMatched | facts.TaskLinked):
                assert self.number_of[entry.fact.by_call] is not None, entry

    def _check_noted(self) -> None:
        """Should the switch have to serve a caller by itself, it does so where and in the language that we would."""
        for call in self.engine.state.calls.values():
            if call.state in (CallState.WAITING, CallState.OFFERED) and call.call_id in self.standing:
                known = self.policy.lines[call.line]
                noted = self.noted.get(call.call_id, (known.queue, known.language, False))
                assert noted == (call.queue, call.language, call.upgraded_at is not None), call

    def _say(self, given: inputs.Input) -> None:
        if self.linked:
            self.said.append(given)

    def _perform(self, effect: effects.Effect) -> None:
        match effect:
            case effects.MakeOffer():
                self._dial(effect)
            case effects.WithdrawOffer():
                leg = self.legs.get(effect.offer_id)
                if leg is not None and not leg.answered:
                    self.end_leg(effect.offer_id, Refusal.CLEARED)
            case effects.RingForTask():
                self._call_phone(effect.offer_id, "", effect.phone)
            case effects.AskAgent():
                assert effect.sounds
            case effects.DialForTask():
                self._ring_for_task(effect)
            case effects.GiveUpDial():
                leg = self.legs.get(effect.offer_id)
                if leg is not None and not leg.talks:
                    self.end_leg(effect.offer_id, Refusal.CLEARED)
            case effects.DialPerson():
                self._ring_person(effect)
            case effects.EndAttempt():
                self._end_attempt(effect)
            case effects.HangUpOffer():
                cut = effect.offer_id in self.pair_of.values() and effect.offer_id not in self.judged
                assert not cut, "a conversation was cut"
                leg = self.legs.get(effect.offer_id)
                assert leg is None or not leg.talks or not self._is_told_of(leg), "a talk of a task was cut"
                self.end_leg(effect.offer_id, Refusal.CLEARED)
            case effects.ConnectPair() | effects.Inspect():
                self._connect(effect.call_id, effect.offer_id, join=isinstance(effect, effects.ConnectPair))
            case effects.SendToFallback():
                self.fall_back(effect.call_id)
            case effects.SetNotReady():
                self.sign(effect.agent, self.signed[effect.agent][0], effect.reason)
            case effects.NotePlace():
                self.noted[effect.call_id] = (effect.queue, effect.language, effect.upgraded)
            case _:
                self._perform_for_caller(effect)

    def _perform_for_caller(self, effect: effects.Effect) -> None:
        """What is said to a caller, and where a caller is sent."""
        call_id = getattr(effect, "call_id", "")
        if call_id not in self.standing:
            self._say(gone(call_id))
            return
        if self.standing[call_id] is not Standing.HELD:
            return
        match effect:
            case effects.TakeCharge():
                self._play(call_id, effect.greeting)
            case effects.Announce():
                self._check_may_be_said(effect)
                self._play(call_id, effect.prompt)
            case effects.CollectNumber():
                (self.collecting.add if effect.collect else self.collecting.discard)(call_id)
            case effects.StopAnnouncement():
                self.hear(call_id, completed=False)
            case effects.HangUpCaller():
                self._check_may_go(call_id)
                self.hang_up(call_id, Side.SYSTEM)
            case effects.Divert():
                self._check_may_go(call_id)
                self.playing.pop(call_id, None)
                self.standing[call_id] = Standing.CONNECTED
                self.away.add(call_id)

    def _check_may_go(self, call_id: str) -> None:
        """Nobody is let go or sent away but by the hours, limits and longest waits of their queue; never an emergency."""
        known = self.policy.lines[self.line_of[call_id]]
        assert known.tier != Tier.EMERGENCY, "a 999 was let go"
        if self._has_promise(call_id) or call_id in self.reached:
            return
        assert known.queue not in ("101", "welsh"), "somebody was let go who is served"
        assert not self.noted.get(call_id, ("", "", False))[2], "an upgraded 101 was let go"

    def _has_promise(self, call_id: str) -> bool:
        """Whether the disk has a promise to this caller."""
        known = [e.fact for e in self.entries[: self.durable] if getattr(e.fact, "call_id", "") == call_id]
        promises = (facts.CallbackPromised, facts.CallbackRevoked, facts.CallUpgraded)
        last = [fact for fact in known if isinstance(fact, promises)][-1:]
        return bool(last) and isinstance(last[0], facts.CallbackPromised)

    def _check_may_be_said(self, effect: effects.Announce) -> None:
        if effect.prompt == CONFIRMATION:
            assert self._has_promise(effect.call_id), "a promise was said that the disk does not have"

    def _ring_person(self, effect: effects.DialPerson) -> None:
        """One dial of each attempt, ever; one leg of each person; the intent on disk; never who must not be dialled."""
        call, key = self.engine.state.calls.get(effect.call_id), (effect.call_id, effect.attempt)
        assert key not in self.dialled, "an attempt was dialled twice"
        assert effect.call_id not in self.ringing, "a person was dialled while being rung"
        assert effect.call_id not in self.standing, "a person was dialled while on the line"
        assert any(
            isinstance(entry.fact, facts.CallbackAttempted)
            and (entry.fact.call_id, entry.fact.attempt) == key
            for entry in self.entries[: self.durable]
        ), "dialled without an intent on disk"
        assert self.policy.destinations.judge(effect.number).is_allowed, "dialled a forbidden number"
        assert call is None or not (call.assisted or call.tier == Tier.EMERGENCY or call.test), call
        self.said = [word for word in self.said if getattr(word, "call_id", "") != effect.call_id]  # long ago
        self.dialled.add(key)
        self.ringing[effect.call_id] = Ringing(effect.call_id, effect.attempt)
        self.noted[effect.call_id] = (effect.queue, effect.language, False)

    def _end_attempt(self, effect: effects.EndAttempt) -> None:
        """Who has answered already is left alone until the engine has heard of it."""
        ringing, key = self.ringing.get(effect.call_id), (effect.call_id, effect.attempt)
        if ringing is not None and ringing.attempt == effect.attempt:
            self.person_ends(ringing, AttemptOutcome.NO_ANSWER)
        elif self.reached.get(effect.call_id) == effect.attempt and key in self.told_of:
            talks = self.standing[effect.call_id] is not Standing.HELD
            assert not talks or self.pair_of.get(effect.call_id) in self.judged, "a conversation was cut"
            self.hang_up(effect.call_id, Side.SYSTEM)

    def _play(self, call_id: str, prompt: str | None) -> None:
        if prompt is not None:
            self.hear(call_id, completed=False)
            self.playing[call_id] = prompt

    def _dial(self, effect: effects.MakeOffer) -> None:
        self._call_phone(effect.offer_id, effect.call_id, effect.phone)

    def _call_phone(self, offer_id: str, call_id: str, phone: str) -> None:
        assert offer_id not in self.known_offers, "an offer id was used twice"
        if phone != EMERGENCY.buddy_phone:  # another force has many phones
            talking = {leg.phone for leg in self.legs.values() if leg.answered and self._is_known(leg)}
            assert phone not in talking, "rang a talking phone"
        self.known_offers.add(offer_id)
        self.legs[offer_id] = Leg(offer_id, call_id, phone)
        self._say(inputs.PhoneSeen(phone=phone, state=self._phone_state(phone)))
        if phone in self.gone_phones:
            self.end_leg(offer_id, Refusal.UNREACHABLE)

    def _is_told_of(self, leg: Leg) -> bool:
        """Whether the engine has heard that the person of a task answered: the word may be on its way."""
        offer = self.engine.state.task_offers.get(leg.offer_id)
        return offer is not None and offer.reached_at is not None

    def _ring_for_task(self, effect: effects.DialForTask) -> None:
        """By a key, once, with the intent on disk, to a number that is allowed and that is not being rung already."""
        leg = self.legs.get(effect.offer_id)
        assert effect.offer_id in self.keyed, "nobody pressed the key"
        assert effect.offer_id not in self.dialled_for, "rung twice for one key"
        assert any(
            isinstance(entry.fact, facts.TaskAttempted) and entry.fact.task_offer_id == effect.offer_id
            for entry in self.entries[: self.durable]
        ), "rung without an intent on disk"
        assert self.policy.destinations.judge(effect.number).is_allowed, "rang a forbidden number"
        rung = [other.rings_number for other in self.legs.values() if not other.talks]
        assert effect.number not in rung, "two handlers ring one number"
        self.dialled_for.add(effect.offer_id)
        if leg is not None and leg.answered:
            leg.rings_number = effect.number

    def _is_known(self, leg: Leg) -> bool:
        """Of a colleague's leg nothing but the word of their answer tells, which may not have been heard yet."""
        return not _is_transfer(leg.offer_id) or leg.offer_id in self.engine.state.offers

    def _connect(self, call_id: str, offer_id: str, join: bool) -> None:
        leg = self.legs.get(offer_id)
        if call_id not in self.standing:
            self._say(gone(call_id))
        elif self.standing[call_id] is Standing.FALLBACK or call_id in self.away:
            return
        elif self.standing[call_id] is Standing.CONNECTED or (join and leg is not None and leg.answered):
            if self.standing[call_id] is Standing.HELD:
                self.playing.pop(call_id, None)
                self.standing[call_id], self.pair_of[call_id] = Standing.CONNECTED, offer_id
            self._say(inputs.PairJoined(call_id=call_id, offer_id=self.pair_of.get(call_id, offer_id)))
        else:
            self._say(inputs.PairReturned(call_id=call_id, offer_id=offer_id))

    def _phone_state(self, phone: str) -> PhoneState:
        if phone in self.gone_phones:
            return PhoneState.UNAVAILABLE
        busy = any(leg.phone == phone for leg in self.legs.values())
        return PhoneState.BUSY if busy else PhoneState.IDLE

    # what happens in the world

    def arrive(self, line: str, knowledge: CallerKnowledge | None = None, number: str | None = None) -> None:
        """A caller calls, of whom maybe something is known."""
        self.arrivals += 1
        call_id = f"c{self.arrivals:03}"
        self.standing[call_id], self.line_of[call_id] = Standing.HELD, line
        self.number_of[call_id] = number
        withheld = knowledge is None and number is None
        presented = arrival(call_id, line, knowledge=knowledge)
        self._say(replace(presented, caller_number=number, number_withheld=withheld))

    def hear(self, call_id: str, completed: bool = True) -> None:
        """What is said to a caller ends, if anything is."""
        if (prompt := self.playing.pop(call_id, None)) is not None:
            self._say(inputs.AnnouncementFinished(call_id=call_id, prompt=prompt, completed=completed))

    def declare(self, active: bool) -> None:
        """A major incident begins or ends."""
        self._say(inputs.IncidentSet(active=active, by="sue"))

    def hang_up(self, call_id: str, side: Side = Side.CALLER) -> None:
        """The caller's leg ends, and that of the agent they talked to."""
        del self.standing[call_id]
        self.playing.pop(call_id, None)
        self.away.discard(call_id)
        self.elsewhere.discard(call_id)
        self.passed_to.pop(call_id, None)
        self.collecting.discard(call_id)
        self.reached.pop(call_id, None)
        self._say(gone(call_id, side))
        if (offer_id := self.pair_of.pop(call_id, None)) is not None:
            self.end_leg(offer_id, Refusal.CLEARED)

    def end_leg(self, offer_id: str, refusal: Refusal) -> None:
        """The agent's leg ends, and the caller's if they talked."""
        leg = self.legs.pop(offer_id, None)
        if leg is None:
            return
        self._say(inputs.PhoneGone(offer_id=offer_id, refusal=refusal, side=Side.AGENT, cause="test"))
        self._say(inputs.PhoneSeen(phone=leg.phone, state=self._phone_state(leg.phone)))
        for call_id, paired in tuple(self.pair_of.items()):
            if paired == offer_id:
                del self.pair_of[call_id]
                self.hang_up(call_id, Side.AGENT)

    def ring(self, leg: Leg) -> None:
        """The phone rings."""
        leg.rang = True
        self._say(inputs.PhoneRang(offer_id=leg.offer_id))

    def answer(self, leg: Leg) -> None:
        """The phone is answered."""
        leg.answered = True
        self._say(inputs.PhoneAnswered(offer_id=leg.offer_id))

    def press_at(self, leg: Leg, key: str) -> None:
        """The agent who is asked about a task presses a key."""
        if leg.rings_number is None:
            if key == "1":
                self.keyed.add(leg.offer_id)
            self._say(inputs.AgentKeyed(offer_id=leg.offer_id, key=key))

    def task_person_answers(self, leg: Leg) -> None:
        """Whoever is rung for this agent answers."""
        if leg.rings_number is not None and not leg.talks:
            leg.talks = True
            self._say(inputs.TaskPersonAnswered(offer_id=leg.offer_id))

    def task_person_ends(self, leg: Leg, outcome: TaskAttemptOutcome) -> None:
        """Whoever is rung does not answer, or hangs up: the switch tells, and lets the agent go."""
        if leg.rings_number is not None:
            if leg.talks:
                outcome = TaskAttemptOutcome.SPOKEN
            self._say(inputs.TaskPersonGone(offer_id=leg.offer_id, outcome=outcome, cause=outcome.value))
            self.end_leg(leg.offer_id, Refusal.CLEARED)

    def press(self, call_id: str, key: str) -> None:
        """The caller presses a key. While a number is keyed only the emergency key is one."""
        if call_id in self.collecting and key != "9":
            return
        known = self.policy.lines[self.line_of[call_id]]
        upgraded = self.standing[call_id] is Standing.FALLBACK and key == "9" and known.tier != Tier.EMERGENCY
        self._say(inputs.KeyPressed(call_id=call_id, key=key, upgraded=upgraded))

    def key_number(self, call_id: str, number: str) -> None:
        """The caller keys a number, or something."""
        self._say(inputs.NumberKeyed(call_id=call_id, number=number))

    def person_rings(self, ringing: Ringing) -> None:
        """The person's phone rings."""
        ringing.rang = True
        self._say(inputs.PersonRang(call_id=ringing.call_id, attempt=ringing.attempt))

    def person_answers(self, ringing: Ringing, *, in_fallback: bool = False) -> None:
        """Somebody or something answers. A daemon that is dead does not hear it: the switch gives them to its own queue."""
        call_id, attempt = ringing.call_id, ringing.attempt
        del self.ringing[call_id]
        dead = in_fallback and not self.linked
        self.standing[call_id] = Standing.FALLBACK if dead else Standing.HELD
        self.reached[call_id], self.leg_of[call_id] = attempt, f"{call_id}!{attempt}"
        self._say(inputs.PersonAnswered(call_id=call_id, attempt=attempt, leg_id=self.leg_of[call_id]))

    def person_ends(self, ringing: Ringing, outcome: AttemptOutcome) -> None:
        """The attempt ends unanswered."""
        del self.ringing[ringing.call_id]
        self._say(
            inputs.PersonGone(
                call_id=ringing.call_id, attempt=ringing.attempt, outcome=outcome, cause=outcome.value
            )
        )

    def judge_machine(self, call_id: str) -> None:
        """The handler who talks says that a machine answered."""
        offer_id = self.pair_of[call_id]
        agent = self.legs[offer_id].phone
        self.judged.add(offer_id)
        self._say(inputs.PersonJudged(outcome=AttemptOutcome.MACHINE, by=agent, agent=agent, call_id=call_id))

    def order(self, given: inputs.Input) -> None:
        """A person orders something."""
        self._say(given)

    def stick_disk(self, stuck: bool) -> None:
        """The disk takes no facts for a while, or takes all that wait."""
        self.is_disk_stuck = stuck
        self._write()

    def tell_from_disk(self, index: int = 0) -> None:
        """The recorder tells that something is on disk."""
        self._hear(self.disk_said.pop(index))

    def send_back(self, call_id: str, queue: str | None) -> None:
        """The agent sends the caller back to a queue and hangs up."""
        offer_id = self.pair_of.pop(call_id)
        self.standing[call_id] = Standing.HELD
        self._say(inputs.CallSentBack(call_id=call_id, queue=queue, offer_id=offer_id))
        self.end_leg(offer_id, Refusal.CLEARED)

    def pass_on(self, call_id: str, agent: str | None = None) -> None:
        """The agent passes the caller on to somebody outside, or to a colleague, and hangs up."""
        offer_id = self.pair_of.pop(call_id)
        self.away.add(call_id)
        if agent is not None:
            self.passed_to[call_id] = agent
        target = "01632960777" if agent is None else agent
        self._say(
            inputs.CallPassedOn(
                call_id=call_id, offer_id=offer_id, kind=TransferKind.BLIND, target=target, agent=agent
            )
        )
        self.end_leg(offer_id, Refusal.CLEARED)

    def answer_elsewhere(self, call_id: str) -> None:
        """The other number answers a caller who was sent there."""
        self.elsewhere.add(call_id)
        self._say(inputs.DiversionAnswered(call_id=call_id))

    def take_over(self, call_id: str) -> None:
        """The colleague answers, unless their phone is gone or talks."""
        agent = self.passed_to.pop(call_id)
        talking = {leg.phone for leg in self.legs.values() if leg.answered}
        if agent in self.gone_phones or agent in talking:
            return
        self.away.discard(call_id)
        self.transfers += 1
        offer_id = f"{call_id}.to-{self.transfers}"
        self.pair_of[call_id] = offer_id
        self.legs[offer_id] = Leg(offer_id, call_id, agent, rang=True, answered=True)
        self._say(inputs.ColleagueAnswered(call_id=call_id, offer_id=offer_id, agent=agent, phone=agent))
        self._say(inputs.PhoneSeen(phone=agent, state=self._phone_state(agent)))

    def come_back(self, call_id: str) -> None:
        """The other number, or whoever the caller was passed on to, does not take them."""
        self.away.discard(call_id)
        self.elsewhere.discard(call_id)
        self.passed_to.pop(call_id, None)
        self.standing[call_id] = Standing.HELD
        self._say(inputs.PairReturned(call_id=call_id))

    def break_pair(self, call_id: str) -> None:
        """The bridge fails: the caller is back in our hands, the agent's leg is gone."""
        offer_id = self.pair_of.pop(call_id)
        self.standing[call_id] = Standing.HELD
        self._say(inputs.PairReturned(call_id=call_id, offer_id=offer_id))
        self.end_leg(offer_id, Refusal.CLEARED)

    def fall_back(self, call_id: str) -> None:
        """The dead-man (or we) gave the caller to the switch's own queue."""
        if self.standing.get(call_id) is Standing.HELD:
            self.playing.pop(call_id, None)
            self.standing[call_id] = Standing.FALLBACK
            line = self.line_of[call_id]
            leg_id = self.leg_of.get(call_id, call_id)
            self._say(inputs.FallbackTook(call_id=call_id, line=line, leg_id=leg_id, why="dead-man"))

    def fallback_answers(self, call_id: str) -> None:
        """The switch's own queue connects the call."""
        self._say(inputs.FallbackAnswered(call_id=call_id, agent=None))

    def fallback_returns(self, call_id: str) -> None:
        """The switch's own queue gives the call back to us."""
        self.standing[call_id] = Standing.HELD
        presented = arrival(call_id, self.line_of[call_id])
        number = self.number_of[call_id]
        self._say(replace(presented, caller_number=number, number_withheld=number is None))

    def sign(self, agent: str, phone: str | None, reason: str | None) -> None:
        """A person signs in or out, or sets themselves ready or not."""
        self.signed[agent] = (phone, reason)
        self._say(inputs.AgentSeen(agent=agent, phone=phone, not_ready_reason=reason))

    def press_ready(self, agent: str) -> None:
        """A person ends wrap-up."""
        self._say(inputs.ReadyPressed(agent=agent))

    def toggle_phone(self, phone: str) -> None:
        """A phone vanishes from the network, with its legs that do not talk, or comes back."""
        self.gone_phones ^= {phone}
        for leg in tuple(self.legs.values()):
            if leg.phone == phone and not leg.answered and phone in self.gone_phones:
                self.end_leg(leg.offer_id, Refusal.FAILED)
        self._say(inputs.PhoneSeen(phone=phone, state=self._phone_state(phone)))

    # trouble

    def deliver(self, index: int = 0) -> None:
        """The engine hears one of the things said."""
        self._hear(self.said.pop(index))

    def double(self, index: int) -> None:
        """One of the things said will be heard twice."""
        self.said.append(self.said[index])

    def wait(self, seconds: float) -> None:
        """Time passes; the engine is woken when it asked to be, and has nothing to do at any other instant."""
        until = self.now.plus(seconds)
        while (at := self.engine.next_deadline()) is not None and at.monotonic_ns <= until.monotonic_ns:
            self.now = at
            self._hear(inputs.Woken())
        self.now = until
        step = self._hear(inputs.Woken())
        assert (step.entries, step.effects) == ((), ())

    def lose_link(self) -> None:
        """Nothing is heard and nothing can be asked until the next look."""
        self._forget_asked()
        self._hear(inputs.LinkLost(link="ari", error="reset"))

    def _forget_asked(self) -> None:
        """What was said or asked by a link that is gone."""
        self.linked = False
        self.said.clear()
        self.waiting_for_disk = [
            (effect, cause)
            for effect, cause in self.waiting_for_disk
            if isinstance(effect, effects.TellWhenDurable)
        ]

    def save_checkpoint(self) -> None:
        """Keep the state; a restart begins there. Only what is on disk is kept."""
        if not self.is_disk_stuck:
            self.checkpoint = deepcopy(self.engine.state)

    def kill(self, forbidden: tuple[str, ...] | None = None) -> None:
        """The daemon dies and comes back from checkpoint and ledger, which must say what the dead one knew when the disk had last
        taken everything; maybe with numbers that are forbidden from now on."""
        assert replay(self.entries) == self.engine.state
        is_whole = self.durable == len(self.entries)
        del self.entries[self.durable :]
        state = replay(self.entries[self.checkpoint.sequence :], deepcopy(self.checkpoint))
        assert replay(self.entries) == state
        assert not is_whole or state == self.engine.state
        assert not is_whole or list(state.agents) == list(self.engine.state.agents)
        self._forget_asked()
        self.waiting_for_disk.clear()
        self.disk_said.clear()
        self.is_disk_stuck = False
        if forbidden is not None:
            self.policy = replace(self.policy, destinations=SmallPlan(*forbidden))
        self.joined = {call.call_id: call.queued_at for call in state.calls.values() if call.queue}
        self.heard.append((Killed(self.durable, self.policy), self.now, None))
        self.engine = Engine(self.policy, state)
        self._hear(STARTED)

    def look(self) -> None:
        """The link is there: subscribed first, and this is what was seen second."""
        self.linked = True
        self.said.clear()
        self.told_of |= set(self.reached.items())
        self._hear(self.snapshot())

    def snapshot(self) -> inputs.Reconciled:
        """The truth."""
        return inputs.Reconciled(
            calls=tuple(
                inputs.SeenCall(
                    call_id=call_id,
                    leg_id=self.leg_of.get(call_id, call_id),
                    line=self.line_of[call_id],
                    standing=standing,
                    offer_id=None if _is_transfer(self.pair_of.get(call_id)) else self.pair_of.get(call_id),
                    caller_number=self.number_of[call_id],
                    number_withheld=self.number_of[call_id] is None,
                )
                for call_id, standing in self.standing.items()
            ),
            offers=tuple(
                inputs.SeenOffer(
                    offer_id=leg.offer_id,
                    answered=leg.answered,
                    away=leg.rings_number is not None,
                    talking=leg.talks,
                )
                for leg in self.legs.values()
                if not _is_transfer(leg.offer_id)
            ),
            attempts=tuple(
                inputs.SeenAttempt(call_id=item.call_id, attempt=item.attempt)
                for item in self.ringing.values()
            ),
            agents=tuple(
                inputs.AgentSeen(agent=agent, phone=phone, not_ready_reason=reason)
                for agent, (phone, reason) in self.signed.items()
                if phone is not None
            ),
            phones=tuple(
                inputs.PhoneSeen(phone=phone, state=self._phone_state(phone)) for phone in self.policy.phones
            ),
        )

    # the end

    def close(self) -> None:
        """Everybody hangs up, call-backs are cancelled, everything is heard: nothing may be left, everything must have ended
        once, and every promise must have come to one end."""
        self.stick_disk(False)
        if not self.linked:
            self.look()
        for _ in range(200):
            while self.said or self.disk_said:
                self.deliver() if self.said else self.tell_from_disk()
            for ringing in tuple(self.ringing.values()):
                self.person_ends(ringing, AttemptOutcome.NO_ANSWER)
            for call_id in tuple(self.standing):
                self.hang_up(call_id)
            for offer_id in tuple(self.legs):
                self.end_leg(offer_id, Refusal.CLEARED)
            for call in self.engine.state.calls.values():
                if call.state is CallState.CALLBACK:
                    self.order(cancelling(call.call_id))
            for task_id in self.engine.state.tasks:
                self.order(inputs.TaskClosed(task_id=task_id, by="sue", outcome=TaskOutcome.NO_NEED))
            if not self.said:
                break
        self.wait(100.0)
        assert self.engine.state.calls == {}
        assert self.engine.state.offers == {}
        assert self.engine.state.task_offers == {}
        assert replay(self.entries) == self.engine.state
        self._check_each_ended_once()
        self._check_promises()
        self._check_same_again()

    def _check_promises(self) -> None:
        """Each was kept, merged, cancelled, upgraded or became a task, and the counter says so."""
        state, open_promises, kept = self.engine.state, set(), set()
        for entry in self.entries:
            match entry.fact:
                case facts.CallConnected(call_id=call_id) if call_id in open_promises:
                    kept.add(call_id)
                case facts.CallbackAttemptEnded(call_id=call_id):
                    kept.discard(call_id)  # a machine
                case facts.CallbackPromised(call_id=call_id):
                    assert call_id not in open_promises
                    open_promises.add(call_id)
                case facts.CallbackRevoked(call_id=call_id) | facts.CallUpgraded(call_id=call_id):
                    open_promises.discard(call_id)
                case facts.CallEnded(call_id=call_id, outcome=outcome) if call_id in open_promises:
                    open_promises.discard(call_id)
                    lost = outcome in (CallOutcome.ABANDONED, CallOutcome.REFUSED)
                    assert not lost or call_id in kept, entry
        assert not open_promises
        counter = state.promises
        ends = (counter.kept, counter.merged, counter.cancelled, counter.upgraded, counter.became_tasks)
        assert counter.made == sum(ends), counter
        assert counter.out_of_turn == 0

    def _check_each_ended_once(self) -> None:
        arrived = [entry.fact.call_id for entry in self.entries if isinstance(entry.fact, facts.CallArrived)]
        ended = [entry.fact.call_id for entry in self.entries if isinstance(entry.fact, facts.CallEnded)]
        assert sorted(arrived) == sorted(ended)

    def _check_same_again(self) -> None:
        """The same inputs at the same instants give the same steps."""
        engine = Engine(policy_of_the_world())
        entries: list[facts.Entry] = []
        for given, at, step in self.heard:
            if isinstance(given, Killed):
                del entries[given.durable :]
                engine = Engine(given.policy, replay(entries))
            else:
                again = engine.step(given, at)
                assert again == step
                entries += again.entries


def _is_transfer(offer_id: str | None) -> bool:
    """A leg that a transfer dialled: no snapshot tells it from a stranger's."""
    return offer_id is not None and ".to-" in offer_id


def gone(call_id: str, side: Side = Side.CALLER) -> inputs.CallerGone:
    """The caller's leg has ended."""
    return inputs.CallerGone(call_id=call_id, side=side, cause="16")


def cancelling(call_id: str) -> inputs.CallbackOrdered:
    """A named person cancels this call-back."""
    return inputs.CallbackOrdered(order=inputs.Order.CANCEL, by="sue", why="enough", call_id=call_id)
