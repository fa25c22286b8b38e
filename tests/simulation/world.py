"""A switch, its callers and its phones in memory, with every trouble of the wire: late, doubled and lost words, and a daemon
that is killed. The engine under test sees only what is delivered; the world keeps the truth."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace

from edge.core import effects, facts, inputs
from edge.core.engine import Engine, Step
from edge.core.inputs import Standing
from edge.core.model import (
    Announcements,
    CallerKnowledge,
    CallState,
    Choice,
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
from edge.core.state import State, replay
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
    "999",
    "trial",
)
KEYS = "12379"
DESTINATIONS = ("brief", "desk", "told", "office", "999", "nowhere", None)
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
    )
    queues = (
        Queue(
            name="desk",
            skills=("101",),
            limit=3,
            maximum_wait_seconds=40.0,
            overflow_queue="told",
            announcements=NEWS,
        ),
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
    heard: list[tuple[inputs.Input | None, Instant, Step | None]] = field(default_factory=list)
    arrivals: int = 0
    transfers: int = 0

    def __post_init__(self) -> None:
        self.policy = policy_of_the_world()
        self.engine = Engine(self.policy)
        self.checkpoint = State()
        self.signed = {agent: (agent, None) for agent in self.policy.agents}
        self._hear(STARTED)
        self.look()

    # what the engine hears and asks

    def _hear(self, given: inputs.Input) -> Step:
        step = self.engine.step(given, self.now)
        self.entries += step.entries
        self.heard.append((given, self.now, step))
        check_all(self.engine, step, self.now)
        self._check_joining()
        if self.linked or isinstance(given, inputs.Reconciled):
            for effect, _ in step.effects:
                self._perform(effect)
            self._check_noted()
        return step

    def _check_joining(self) -> None:
        """A call's time of joining is that of its first place, whatever has been decided about it since."""
        for call in self.engine.state.calls.values():
            if call.queue:
                assert self.joined.setdefault(call.call_id, call.queued_at) == call.queued_at, call

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
            case effects.HangUpOffer():
                assert effect.offer_id not in self.pair_of.values(), "a conversation was cut"
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
                self._play(call_id, effect.prompt)
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
        assert known.queue not in ("101", "welsh"), "somebody was let go who is served"
        assert not self.noted.get(call_id, ("", "", False))[2], "an upgraded 101 was let go"

    def _play(self, call_id: str, prompt: str | None) -> None:
        if prompt is not None:
            self.hear(call_id, completed=False)
            self.playing[call_id] = prompt

    def _dial(self, effect: effects.MakeOffer) -> None:
        assert effect.offer_id not in self.known_offers, "an offer id was used twice"
        if effect.phone != EMERGENCY.buddy_phone:  # another force has many phones
            talking = {leg.phone for leg in self.legs.values() if leg.answered and self._is_known(leg)}
            assert effect.phone not in talking, "rang a talking phone"
        self.known_offers.add(effect.offer_id)
        self.legs[effect.offer_id] = Leg(effect.offer_id, effect.call_id, effect.phone)
        self._say(inputs.PhoneSeen(phone=effect.phone, state=self._phone_state(effect.phone)))
        if effect.phone in self.gone_phones:
            self.end_leg(effect.offer_id, Refusal.UNREACHABLE)

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

    def arrive(self, line: str, knowledge: CallerKnowledge | None = None) -> None:
        """A caller calls, of whom maybe something is known."""
        self.arrivals += 1
        call_id = f"c{self.arrivals:03}"
        self.standing[call_id], self.line_of[call_id] = Standing.HELD, line
        self._say(replace(arrival(call_id, line, knowledge=knowledge), number_withheld=knowledge is None))

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

    def press(self, call_id: str, key: str) -> None:
        """The caller presses a key."""
        known = self.policy.lines[self.line_of[call_id]]
        upgraded = self.standing[call_id] is Standing.FALLBACK and key == "9" and known.tier != Tier.EMERGENCY
        self._say(inputs.KeyPressed(call_id=call_id, key=key, upgraded=upgraded))

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
            self._say(inputs.FallbackTook(call_id=call_id, line=line, leg_id=call_id, why="dead-man"))

    def fallback_answers(self, call_id: str) -> None:
        """The switch's own queue connects the call."""
        self._say(inputs.FallbackAnswered(call_id=call_id, agent=None))

    def fallback_returns(self, call_id: str) -> None:
        """The switch's own queue gives the call back to us."""
        self.standing[call_id] = Standing.HELD
        self._say(arrival(call_id, self.line_of[call_id]))

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
        self.linked = False
        self.said.clear()
        self._hear(inputs.LinkLost(link="ari", error="reset"))

    def save_checkpoint(self) -> None:
        """Keep the state; a restart begins there."""
        self.checkpoint = deepcopy(self.engine.state)

    def kill(self) -> None:
        """The daemon dies and comes back from checkpoint and ledger; both must say what the dead one knew."""
        tail = self.entries[self.checkpoint.sequence :]
        state = replay(tail, deepcopy(self.checkpoint))
        assert state == self.engine.state
        assert list(state.agents) == list(self.engine.state.agents)
        assert replay(self.entries) == state
        self.linked = False
        self.said.clear()
        self.heard.append((None, self.now, None))
        self.engine = Engine(self.policy, state)
        self._hear(STARTED)

    def look(self) -> None:
        """The link is there: subscribed first, and this is what was seen second."""
        self.linked = True
        self.said.clear()
        self._hear(self.snapshot())

    def snapshot(self) -> inputs.Reconciled:
        """The truth."""
        return inputs.Reconciled(
            calls=tuple(
                inputs.SeenCall(
                    call_id=call_id,
                    leg_id=call_id,
                    line=self.line_of[call_id],
                    standing=standing,
                    offer_id=None if _is_transfer(self.pair_of.get(call_id)) else self.pair_of.get(call_id),
                )
                for call_id, standing in self.standing.items()
            ),
            offers=tuple(
                inputs.SeenOffer(offer_id=leg.offer_id, answered=leg.answered)
                for leg in self.legs.values()
                if not _is_transfer(leg.offer_id)
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
        """Everybody hangs up, everything is heard: nothing may be left, and everything must have ended once."""
        if not self.linked:
            self.look()
        for call_id in tuple(self.standing):
            self.hang_up(call_id)
        for _ in range(200):
            while self.said:
                self.deliver()
            for offer_id in tuple(self.legs):
                self.end_leg(offer_id, Refusal.CLEARED)
            if not self.said:
                break
        self.wait(100.0)
        assert self.engine.state.calls == {}
        assert self.engine.state.offers == {}
        assert replay(self.entries) == self.engine.state
        self._check_each_ended_once()
        self._check_same_again()

    def _check_each_ended_once(self) -> None:
        arrived = [entry.fact.call_id for entry in self.entries if isinstance(entry.fact, facts.CallArrived)]
        ended = [entry.fact.call_id for entry in self.entries if isinstance(entry.fact, facts.CallEnded)]
        assert sorted(arrived) == sorted(ended)

    def _check_same_again(self) -> None:
        """The same inputs at the same instants give the same steps."""
        engine = Engine(self.policy)
        entries: list[facts.Entry] = []
        for given, at, step in self.heard:
            if given is None:
                engine = Engine(self.policy, replay(entries))
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
