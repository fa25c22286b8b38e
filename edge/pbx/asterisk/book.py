"""The book: which legs exist and what we asked of them. It folds sightings into inputs, without a socket or a clock.

Sightings may come doubled or late, from the two links in any order, and the end of a leg before its beginning: a leg begins
once and ends once. It is changed only by the adapter's own task, so a decision here cannot be overtaken.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from edge.core.inputs import (
    AgentKeyed,
    AgentSeen,
    AnnouncementFinished,
    AssistAsked,
    CallbackOrdered,
    CallerGone,
    CallMarkedAssisted,
    CallPassedOn,
    CallPresented,
    CallRefused,
    CallSentBack,
    ColleagueAnswered,
    ConsultationSeen,
    DiversionAnswered,
    FallbackAnswered,
    FallbackTook,
    HoldChanged,
    Input,
    KeyPressed,
    NumberKeyed,
    PairJoined,
    PairReturned,
    PersonAnswered,
    PersonGone,
    PersonJudged,
    PersonRang,
    PhoneAnswered,
    PhoneGone,
    PhoneRang,
    PhoneSeen,
    ReadyPressed,
    Reconciled,
    SeenAttempt,
    SeenCall,
    SeenOffer,
    Standing,
    SupervisionSeen,
    SupervisorInvited,
    TaskAsked,
    TaskPersonAnswered,
    TaskPersonGone,
    TaskSpokenWith,
    WrapUpCoded,
)
from edge.core.model import NOT_PEOPLE, PhoneState, Policy, Side, Tier
from edge.core.task_state import is_task_offer
from edge.pbx.asterisk import identity
from edge.pbx.asterisk.causes import CUTS, outcome, refusal
from edge.pbx.asterisk.keying import Heard, NumberEntry
from edge.pbx.asterisk.sightings import (
    AgentKeyHeard,
    AssistedMarked,
    Bridged,
    Caller,
    CallerEntered,
    CallerSwapped,
    CallMissing,
    ColleagueTook,
    Consulted,
    DeviceSeen,
    DivertedTook,
    FallbackConnected,
    FallbackEntered,
    HangUpAsked,
    Held,
    KeyHeard,
    KeyTaken,
    LegAnswered,
    LegEnded,
    LegRang,
    MemberSeen,
    PassedOn,
    PersonRinging,
    PlaybackEnded,
    ReadyAsked,
    Sighting,
    TaskRung,
    TimePassed,
    Told,
)

ENDED_REMEMBERED = 4096
"""How many ended legs are remembered, against an end that overtakes its beginning or is told by both links; and consultations."""


class Place(Enum):
    """Where a caller's leg stands."""

    HELD = auto()
    CONNECTING = auto()
    CONNECTED = auto()
    FALLBACK = auto()


STANDINGS = {
    Place.HELD: Standing.HELD,
    Place.CONNECTING: Standing.CONNECTED,
    Place.CONNECTED: Standing.CONNECTED,
    Place.FALLBACK: Standing.FALLBACK,
}


@dataclass(slots=True, kw_only=True)
class CallerLeg:
    """A caller's leg. `offer_id`: the agent's leg it was or is being handed to.

    `playback`: what plays to it by our wish. `upgraded`: a 101 that nobody may let go any more. `served_by`: the agent whom
    the switch connected by itself (`served`, whoever it was). `passed_to`: the agent to whom a transfer brought them.
    `found`: seen first in a snapshot, so that it may hear what another life of ours began. `entry`: the number that is being
    keyed.
    """

    call_id: str
    leg_id: str
    line: str
    caller: Caller = field(default_factory=Caller)
    joined_utc_us: int | None = None
    place: Place = Place.HELD
    offer_id: str | None = None
    bridge_id: str | None = None
    hung_up_by: Side = Side.UNKNOWN
    playback: str | None = None
    upgraded: bool = False
    served_by: str | None = None
    passed_to: str | None = None
    served: bool = False
    found: bool = False
    entry: NumberEntry | None = None


@dataclass(slots=True, kw_only=True)
class PersonLeg:
    """The leg of somebody who is called back, until they answer: from then on it is a caller's. `ending`: as of an agent's."""

    call_id: str
    attempt: int
    rang: bool = False
    ending: bool = False

    @property
    def leg_id(self) -> str:
        """The channel's id."""
        return identity.leg_of_attempt(self.call_id, self.attempt)


@dataclass(slots=True, kw_only=True)
class AgentLeg:
    """An offer's leg. `ending`: we asked the switch to end it, so whatever it does now is no answer. `released`: its phone
    has hung up, so the leg's end must follow. `interface`: what was dialled.

    `consult_leg_id`: the handler's other leg in a transfer; the offer's `end` is told when that has ended too.
    """

    offer_id: str
    rang: bool = False
    answered: bool = False
    ending: bool = False
    released: bool = False
    interface: str = ""
    consult_leg_id: str | None = None
    end: LegEnded | None = None
    bridge_id: str | None = None
    hung_up_by: Side = Side.UNKNOWN
    away: bool = False
    """Of a task: the dialplan has it, to ring the person."""
    playback: str | None = None
    """What plays to the agent by our wish."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FarEnd:
    """Whom a transfer leads to, as far as the switch tells."""

    leg_id: str | None = None
    interface: str = ""
    phone: str | None = None
    agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What one queue holds of one agent."""

    phone: str
    not_ready_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The switch as it was found after connecting. `served`: callers of its own queue who talk to a member already.
    `upgraded`: 101 callers of its emergency queue, or whom we had noted as such. `legs`: of whomever."""

    calls: tuple[CallerLeg, ...] = ()
    served: tuple[FallbackConnected, ...] = ()
    upgraded: tuple[KeyTaken, ...] = ()
    offers: tuple[AgentLeg, ...] = ()
    legs: frozenset[str] = frozenset()
    attempts: tuple[PersonLeg, ...] = ()
    members: tuple[MemberSeen, ...] = ()
    devices: tuple[DeviceSeen, ...] = ()
    switch_utc_us: int | None = None
    switch_boot: str = ""


class Book:
    """Legs, queue members and phones of one switch."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._phone_names = identity.phones_by_interface(policy.phones.values())
        fed = [line.queue for line in policy.lines.values() if line.tier is Tier.EMERGENCY]
        self._emergency_queues = frozenset((*fed, policy.emergency.queue))
        self.calls: dict[str, CallerLeg] = {}
        self.offers: dict[str, AgentLeg] = {}
        self.attempts: dict[str, PersonLeg] = {}
        """By leg."""
        self._callers: dict[str, CallerLeg] = {}
        self._taken_over: dict[str, str] = {}
        self._consultations: OrderedDict[str, Consulted] = OrderedDict()
        """By the leg of whoever rang up."""
        self._ended: OrderedDict[str, LegEnded] = OrderedDict()
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._lines: OrderedDict[str, str] = OrderedDict()
        self._members: dict[str, dict[str, Membership]] = {}
        self._agents: dict[str, AgentSeen] = {}
        self._phones: dict[str, PhoneState] = {}
        self._readers: dict[type, Callable[[Any], Iterable[Input]]] = {
            CallerEntered: self._caller_entered,
            CallerSwapped: self._caller_swapped,
            PassedOn: self._passed_on,
            ColleagueTook: self._colleague_took,
            Consulted: self._consulted,
            DivertedTook: self._diverted_took,
            KeyHeard: self._key_heard,
            KeyTaken: self._key_taken,
            AssistedMarked: self._assisted_marked,
            Told: self._told,
            LegAnswered: self._leg_answered,
            LegRang: self._leg_rang,
            PersonRinging: self._person_ringing,
            LegEnded: self._leg_ended,
            HangUpAsked: self._hang_up_asked,
            Bridged: self._bridged,
            Held: self._held,
            PlaybackEnded: self._playback_ended,
            AgentKeyHeard: self._agent_key_heard,
            TaskRung: self._task_rung,
            MemberSeen: self._member,
            DeviceSeen: self._device,
            FallbackEntered: self._fallback_entered,
            FallbackConnected: self._fallback_connected,
            CallMissing: self._call_missing,
            ReadyAsked: self._ready_asked,
            TimePassed: self._time_passed,
        }

    def see(self, sighting: Sighting) -> list[Input]:
        """The inputs that this sighting makes; often none."""
        return list(self._readers[type(sighting)](sighting))

    def has_business(self, call_id: str) -> bool:
        """Does any leg of this call still exist?"""
        return (
            call_id in self.calls
            or any(identity.call_of_offer(offer) == call_id for offer in self.offers)
            or any(person.call_id == call_id for person in self.attempts.values())
        )

    def released(self) -> frozenset[str]:
        """Offers whose phone has hung up while the switch still shows their leg."""
        return frozenset(
            offer_id for offer_id, leg in self.offers.items() if leg.released and leg.end is None
        )

    def may_be_let_go(self, call: CallerLeg) -> bool:
        """Whether the switch may be asked to end this call or send it away: never a 999, a test of it, or an upgraded 101."""
        line = self._policy.lines.get(call.line)
        return (
            line is not None
            and line.tier is not Tier.EMERGENCY
            and line.test_phone is None
            and not call.upgraded
        )

    def agent_at(self, phone: str) -> str | None:
        """Who is signed in at this phone."""
        return next((seen.agent for seen in self._agents.values() if seen.phone == phone), None)

    def memberships(self, agent: str) -> list[tuple[str, str]]:
        """Queue and interface of each of the agent's memberships."""
        queues = self._members.get(agent, {})
        return [
            (queue, identity.interface(self._policy.phones[member.phone])) for queue, member in queues.items()
        ]

    # --- what we do ourselves ---

    def offer_made(self, offer_id: str, interface: str = "") -> AgentLeg:
        """We are about to ring a phone: its events may come before the switch's reply."""
        return self.offers.setdefault(offer_id, AgentLeg(offer_id=offer_id, interface=interface))

    def offer_ending(self, offer_id: str) -> None:
        """We are about to ask for the end of an offer's leg."""
        self.offer_made(offer_id).ending = True

    def is_over(self, offer_id: str) -> bool:
        """Whether the switch has told of the end of this offer's leg, not long ago."""
        return identity.leg_of_offer(offer_id) in self._ended

    def sent_to_ring(self, offer_id: str) -> bool:
        """We are about to have the dialplan ring a person for this agent. False: we have done so, or the leg ends."""
        leg = self.offers.get(offer_id)
        if leg is None or leg.ending or leg.away or not leg.answered:
            return False
        leg.away = True
        return True

    def attempt_made(self, call_id: str, attempt: int) -> bool:
        """We are about to ring a person. False: we have done so before, whatever has come of it."""
        person = PersonLeg(call_id=call_id, attempt=attempt)
        if any(person.leg_id in known for known in (self.attempts, self._callers, self._ended)):
            return False
        self.attempts[person.leg_id] = person
        return True

    def attempt_ending(self, call_id: str, attempt: int) -> bool:
        """We are about to ask for the end of a person's leg. False: it is over, or has been answered: the engine, which is about
        to hear of that, decides."""
        person = PersonLeg(call_id=call_id, attempt=attempt)
        if person.leg_id in self._callers or person.leg_id in self._ended:
            return False
        self.attempts.setdefault(person.leg_id, person).ending = True
        return True

    def collect(self, call_id: str, *, collect: bool) -> None:
        """From now on the caller's keys are digits of a number, or (`collect` False) keys again."""
        call = self.calls.get(call_id)
        if call is not None:
            emergency = self._policy.emergency
            key = emergency.key if emergency.queue is not None else None
            call.entry = NumberEntry(key) if collect and call.place is Place.HELD else None

    @property
    def is_collecting(self) -> bool:
        """Whether any caller keys a number."""
        return any(call.entry is not None for call in self.calls.values())

    def hand_over(self, call_id: str, offer_id: str) -> CallerLeg | None:
        """We are about to join this pair. None: the caller is gone, talks already, or is the switch's own queue's (which the
        engine is about to hear): the agent's leg would be ended before a Bridge() that answers a 999 for nobody."""
        call = self.calls.get(call_id)
        if call is None or call.place in (Place.CONNECTED, Place.FALLBACK):
            return None
        call.place = Place.CONNECTING
        call.offer_id = offer_id
        return call

    def sent_away(self, call: CallerLeg) -> None:
        """We are about to send this caller to another number: alive, and in nobody's hands here."""
        call.place, call.offer_id = Place.CONNECTED, None

    # --- callers ---

    def _caller_entered(self, seen: CallerEntered) -> Iterable[Input]:
        """A leg that we know belongs to the call that we know, whatever a transfer has written on it meanwhile."""
        if seen.attempt is not None:
            yield from self._person_answered(seen, seen.attempt)
            return
        call = self._callers.get(seen.leg_id) or self.calls.get(seen.call_id)
        if call is None:
            if seen.call_id not in self._closed:
                yield from self._begin(seen)
        elif seen.sent_back_to is not None:
            yield self._sent_back(call, seen.sent_back_to, seen.switch_utc_us)
        elif seen.returned:
            failed = self._take_back(call)
            yield PairReturned(call_id=call.call_id, offer_id=failed, switch_utc_us=seen.switch_utc_us)
        elif call.call_id != seen.call_id:
            yield self._sent_back(call, self._queue_of(seen.line), seen.switch_utc_us)

    def _begin(self, seen: CallerEntered) -> Iterable[Input]:
        self._open(
            CallerLeg(
                call_id=seen.call_id,
                leg_id=seen.leg_id,
                line=seen.line,
                caller=seen.caller,
                joined_utc_us=seen.joined_utc_us,
            )
        )
        yield CallPresented(
            call_id=seen.call_id,
            leg_id=seen.leg_id,
            line=seen.line,
            caller_number=seen.caller.number,
            caller_name=seen.caller.name,
            number_withheld=seen.caller.withheld,
            joined_utc_us=seen.joined_utc_us,
            consultation_of=self._consultation_of(seen),
            switch_utc_us=seen.switch_utc_us,
        )
        yield from self._ended_before(seen.leg_id)

    def _consultation_of(self, seen: CallerEntered) -> str | None:
        """The caller on another line of the phone that dialled this."""
        agent = self.agent_at(self._phone_names.get(seen.interface, ""))
        return None if agent is None else self._conversation_of(agent)

    def _take_back(self, call: CallerLeg) -> str | None:
        """The caller is in our hands again; returns the offer whose leg they were handed to, if it is known."""
        failed, call.offer_id = call.offer_id, None
        call.place, call.bridge_id, call.hung_up_by = Place.HELD, None, Side.UNKNOWN
        call.served_by, call.passed_to, call.served = None, None, False
        return failed

    def _sent_back(self, call: CallerLeg, queue: str | None, switch_utc_us: int | None) -> CallSentBack:
        """To a queue (None: that they came from). Among the emergencies the dialplan has upgraded them by now."""
        call.upgraded |= queue is not None and queue in self._emergency_queues
        return CallSentBack(
            call_id=call.call_id,
            queue=queue if queue in self._policy.queues else None,
            offer_id=self._take_back(call),
            switch_utc_us=switch_utc_us,
        )

    def _queue_of(self, line: str) -> str | None:
        known = self._policy.lines.get(line)
        return None if known is None else known.queue

    def _caller_swapped(self, seen: CallerSwapped) -> Iterable[Input]:
        """A handler who waited on one of our lines gave that place to somebody: to our caller, whose call goes on in that
        line's queue, or to a stranger, who goes on with the call that the handler began."""
        call, consult = self._callers.get(seen.leg_id), self._callers.get(seen.replaced_leg_id)
        if call is not None:
            line = consult.line if consult else self._lines.get(seen.replaced_leg_id, "")
            if consult is not None:
                consult.hung_up_by = Side.AGENT
                yield from self._leg_ended(_lost(consult.leg_id, f"gave its place to call {call.call_id}"))
            yield self._sent_back(call, self._queue_of(line), seen.switch_utc_us)
        elif consult is not None:
            del self._callers[consult.leg_id]
            consult.leg_id = seen.leg_id
            self._callers[consult.leg_id] = consult

    def _passed_on(self, seen: PassedOn) -> Iterable[Input]:
        """A handler transferred a caller. What was dialled to come back to us is not passing on: the dialplan tells of it."""
        handler = self._note_consult(seen.transferer_leg_ids)
        call = next((self._callers[leg_id] for leg_id in seen.leg_ids if leg_id in self._callers), None)
        if call is None or call.place not in (Place.CONNECTED, Place.FALLBACK):
            return
        if seen.into_queue:
            call.place, call.offer_id = Place.FALLBACK, None
            yield _took(call, "transferred into the switch's queue", seen.switch_utc_us)
        elif not self._leads_back(seen.target):
            far = self._far_end(seen, call)
            agent = seen.target if seen.target in self._policy.agents else far.agent
            offer_id, call.offer_id = call.offer_id, None
            call.passed_to = agent
            yield CallPassedOn(
                call_id=call.call_id,
                offer_id=handler.offer_id if handler is not None else offer_id,
                kind=seen.kind,
                target=seen.target or agent or far.phone or "",
                agent=agent,
                switch_utc_us=seen.switch_utc_us,
            )
            if agent is not None and far.leg_id is not None:  # attended: they talk already
                at = far.phone or self._phone_of(agent)
                yield from self._taken(call, far.leg_id, agent, at, far.interface, seen.switch_utc_us)

    def _far_end(self, seen: PassedOn, call: CallerLeg) -> FarEnd:
        """Whom the caller talks with after this transfer. One that came within milliseconds of the colleague's answer found the
        handler's second leg in no bridge and so names no far leg: the dialplan had told of it when it was answered."""
        leg_id = next((leg_id for leg_id in seen.leg_ids if leg_id != call.leg_id), None)
        if leg_id is not None:
            interface = seen.interfaces.get(leg_id, "")
            phone = self._phone_names.get(interface)
            return FarEnd(leg_id=leg_id, interface=interface, phone=phone, agent=self.agent_at(phone or ""))
        consultations = (self._consultations.get(leg_id) for leg_id in seen.transferer_leg_ids)
        asked = next((each for each in consultations if each is not None), None)
        known = None if asked is None else self._policy.phones.get(asked.phone)
        if asked is None or known is None:
            return FarEnd()
        return FarEnd(
            leg_id=asked.leg_id, interface=identity.interface(known), phone=known.name, agent=asked.agent
        )

    def _diverted_took(self, seen: DivertedTook) -> Iterable[Input]:
        call = self._callers.get(seen.leg_id)
        if call is not None and call.place is Place.CONNECTED:
            yield DiversionAnswered(call_id=call.call_id, switch_utc_us=seen.switch_utc_us)

    def _consulted(self, seen: Consulted) -> Iterable[Input]:
        """A colleague is rung up; whoever talks with a caller meanwhile does so for that caller."""
        if seen.agent in self._policy.agents:
            _remember(self._consultations, seen.from_leg_id, seen)
        agent = self.agent_at(seen.from_phone)
        call_id = None if agent is None else self._conversation_of(agent)
        if agent is not None and call_id is not None and seen.agent in self._policy.agents:
            yield ConsultationSeen(
                call_id=call_id, agent=agent, with_agent=seen.agent, switch_utc_us=seen.switch_utc_us
            )

    def _phone_of(self, agent: str) -> str:
        """Where this agent is signed in, else the usual phone."""
        seen = self._agents.get(agent)
        return (seen.phone if seen is not None else None) or self._policy.agents[agent].phone or ""

    def _colleague_took(self, seen: ColleagueTook) -> Iterable[Input]:
        """The phone of the colleague to whom a blind transfer leads was answered."""
        call, phone = self._callers.get(seen.caller_leg_id), self._policy.phones.get(seen.phone)
        if (
            call is not None
            and phone is not None
            and call.place is Place.CONNECTED
            and call.passed_to == seen.agent
        ):
            interface = identity.interface(phone)
            yield from self._taken(call, seen.leg_id, seen.agent, phone.name, interface, seen.switch_utc_us)

    def _taken(
        self, call: CallerLeg, leg_id: str, agent: str, phone: str, interface: str, switch_utc_us: int | None
    ) -> Iterable[Input]:
        """From here on the colleague's leg is followed as if it were that of an offer."""
        if leg_id in self._ended:
            return
        offer_id = identity.offer_of_transfer(call.call_id, leg_id)
        self.offers[offer_id] = AgentLeg(offer_id=offer_id, rang=True, answered=True, interface=interface)
        self._taken_over[leg_id] = call.offer_id = offer_id
        yield ColleagueAnswered(
            call_id=call.call_id, offer_id=offer_id, agent=agent, phone=phone, switch_utc_us=switch_utc_us
        )

    def _note_consult(self, leg_ids: tuple[str, ...]) -> AgentLeg | None:
        """The offer's leg among those of the transferring handler, who has left when the other has ended too."""
        for leg_id in leg_ids:
            leg = self._agent_leg(leg_id)
            if leg is not None:
                leg.consult_leg_id = next((other for other in leg_ids if other != leg_id), None)
                return leg
        return None

    def _leads_back(self, target: str) -> bool:
        return target.startswith(("*", "#")) or any(
            line.number == target for line in self._policy.lines.values()
        )

    def _key_heard(self, seen: KeyHeard) -> Iterable[Input]:
        """A caller's key; anybody else's is dropped here. Of one who waits in the switch's own queue the dialplan acts on it, and
        tells us; of one who talks there nobody does."""
        call = self._callers.get(seen.leg_id)
        if call is None or (call.place is Place.FALLBACK and not call.served):
            return
        if call.entry is not None and call.place is Place.HELD:
            match call.entry.press(seen.key):
                case Heard.TAKEN:
                    return
                case Heard.WHOLE:
                    yield _keyed(call, seen.switch_utc_us)
                    return
            call.entry = None
        emergency = self._policy.emergency
        if seen.key == emergency.key and emergency.queue is not None:
            call.upgraded = True  # at once: a hang-up that was decided on before must not be carried out
        yield KeyPressed(call_id=call.call_id, key=seen.key, switch_utc_us=seen.switch_utc_us)

    def _time_passed(self, seen: TimePassed) -> Iterable[Input]:
        """Who has stopped keying has keyed their number; who was taken out of our hands meanwhile keys none."""
        for call in self.calls.values():
            if call.entry is None:
                continue
            if call.place is not Place.HELD:
                call.entry = None
            elif call.entry.is_over(seen.now_seconds, spoken_to=call.playback is not None):
                yield _keyed(call, None)

    def _key_taken(self, seen: KeyTaken) -> Iterable[Input]:
        call = self.calls.get(seen.call_id)
        if call is not None:
            call.upgraded = True
            yield KeyPressed(
                call_id=call.call_id, key=seen.key, upgraded=True, switch_utc_us=seen.switch_utc_us
            )

    def _open(self, call: CallerLeg) -> None:
        self.calls[call.call_id] = call
        self._callers[call.leg_id] = call

    def _ended_before(self, leg_id: str) -> Iterable[Input]:
        """The hang-up overtook the arrival: the call ends as it begins."""
        end = self._ended.get(leg_id)
        return () if end is None else self._caller_gone(self._callers[leg_id], end)

    def _caller_gone(self, call: CallerLeg, end: LegEnded) -> Iterable[Input]:
        del self.calls[call.call_id]
        del self._callers[call.leg_id]
        _remember(self._closed, call.call_id, None)
        _remember(self._lines, call.leg_id, call.line)
        side = call.hung_up_by
        if side is Side.UNKNOWN and call.passed_to is not None:
            side = Side.AGENT  # on no leg of ours; a caller's own request would have been heard
        yield CallerGone(
            call_id=call.call_id,
            side=side,
            cause=_words(end),
            cut=side is Side.UNKNOWN and end.cause in CUTS,
            switch_utc_us=end.switch_utc_us,
        )

    def _call_missing(self, seen: CallMissing) -> Iterable[Input]:
        call = self.calls.get(seen.call_id)
        words = "its end was not seen: the switch shows no such leg"
        if call is None:
            yield CallerGone(call_id=seen.call_id, side=Side.UNKNOWN, cause=words)
        else:
            end = _lost(call.leg_id, words)
            _remember(self._ended, call.leg_id, end)
            yield from self._caller_gone(call, end)

    def _playback_ended(self, seen: PlaybackEnded) -> Iterable[Input]:
        """The end of what plays now. One that was replaced or stopped was told as ended when that was asked for."""
        call_id, prompt = identity.announcement_of_playback(seen.playback_id) or ("", "")
        call = self.calls.get(call_id)
        if call is None:
            return
        if call.playback == seen.playback_id or (call.found and call.playback is None):
            call.playback = None
            yield AnnouncementFinished(
                call_id=call.call_id,
                prompt=prompt,
                completed=seen.completed and call.place is Place.HELD,
                switch_utc_us=seen.switch_utc_us,
            )

    # --- persons who are called back ---

    def _person_ringing(self, seen: PersonRinging) -> Iterable[Input]:
        person = self.attempts.get(seen.leg_id)
        if person is not None and not (person.rang or person.ending):
            person.rang = True
            yield PersonRang(call_id=person.call_id, attempt=person.attempt, switch_utc_us=seen.switch_utc_us)

    def _person_answered(self, seen: CallerEntered | FallbackEntered, attempt: int) -> Iterable[Input]:
        """Their leg is the caller's from now on. One that we asked to end, or that has ended, is not: its end is told instead."""
        person = self.attempts.get(seen.leg_id)
        if seen.leg_id in self._callers or seen.leg_id in self._ended or (person and person.ending):
            return
        self.attempts.pop(seen.leg_id, None)
        self._closed.pop(seen.call_id, None)  # the caller hung up then
        self._open(
            CallerLeg(
                call_id=seen.call_id,
                leg_id=seen.leg_id,
                line=seen.line,
                caller=seen.caller,
                joined_utc_us=seen.joined_utc_us,
            )
        )
        yield PersonAnswered(
            call_id=seen.call_id, attempt=attempt, leg_id=seen.leg_id, switch_utc_us=seen.switch_utc_us
        )

    def _person_gone(self, person: PersonLeg, end: LegEnded) -> Iterable[Input]:
        del self.attempts[person.leg_id]
        yield PersonGone(
            call_id=person.call_id,
            attempt=person.attempt,
            outcome=outcome(end, rang=person.rang),
            cause=_words(end),
            switch_utc_us=end.switch_utc_us,
        )

    # --- agents' legs ---

    def _leg_rang(self, seen: LegRang) -> Iterable[Input]:
        leg = self.offers.get(seen.offer_id)
        if leg is not None and not (leg.rang or leg.answered or leg.ending):
            leg.rang = True
            yield PhoneRang(offer_id=seen.offer_id, switch_utc_us=seen.switch_utc_us)

    def _leg_answered(self, seen: LegAnswered) -> Iterable[Input]:
        if identity.leg_of_offer(seen.offer_id) in self._ended:
            return
        leg = self.offer_made(seen.offer_id)
        if not (leg.answered or leg.ending):
            leg.answered = True
            yield PhoneAnswered(offer_id=seen.offer_id, switch_utc_us=seen.switch_utc_us)

    def _agent_gone(self, leg: AgentLeg, end: LegEnded) -> Iterable[Input]:
        del self.offers[leg.offer_id]
        self._taken_over.pop(identity.leg_of_offer(leg.offer_id), None)
        side = Side.SYSTEM if leg.ending and leg.hung_up_by is Side.UNKNOWN else leg.hung_up_by
        yield PhoneGone(
            offer_id=leg.offer_id,
            refusal=refusal(end, rang=leg.rang, cleared=leg.ending or leg.answered or end.answered),
            side=side,
            cause=_words(end),
            switch_utc_us=end.switch_utc_us,
        )

    def _agent_key_heard(self, seen: AgentKeyHeard) -> Iterable[Input]:
        leg = self.offers.get(seen.offer_id)
        if leg is not None and leg.answered and not (leg.ending or leg.away):
            yield AgentKeyed(offer_id=leg.offer_id, key=seen.key, switch_utc_us=seen.switch_utc_us)

    def _task_rung(self, seen: TaskRung) -> Iterable[Input]:
        leg = self._agent_leg(seen.leg_id)
        if leg is not None:
            yield TaskPersonGone(
                offer_id=leg.offer_id,
                outcome=seen.outcome,
                cause=seen.words,
                switch_utc_us=seen.switch_utc_us,
            )

    def _held(self, seen: Held) -> Iterable[Input]:
        leg = self._agent_leg(seen.leg_id)
        if leg is not None:
            yield HoldChanged(offer_id=leg.offer_id, held=seen.held, switch_utc_us=seen.switch_utc_us)

    def _agent_leg(self, leg_id: str) -> AgentLeg | None:
        return self.offers.get(identity.offer_of_leg(leg_id) or self._taken_over.get(leg_id, ""))

    # --- both ---

    def _leg_ended(self, seen: LegEnded) -> Iterable[Input]:
        if seen.leg_id in self._ended:
            return ()
        _remember(self._ended, seen.leg_id, seen)
        person = self.attempts.get(seen.leg_id)
        if person is not None:
            return self._person_gone(person, seen)
        call = self._callers.get(seen.leg_id)
        if call is not None:
            return self._caller_gone(call, seen)
        leg = self._agent_leg(seen.leg_id)
        if leg is not None:
            leg.end = seen
        else:
            leg = next((leg for leg in self.offers.values() if leg.consult_leg_id == seen.leg_id), None)
        return () if leg is None else self._agent_left(leg)

    def _agent_left(self, leg: AgentLeg) -> Iterable[Input]:
        """A handler has left with the last of their legs: that of the offer, and that by which they transferred."""
        if leg.end is None or (leg.consult_leg_id is not None and leg.consult_leg_id not in self._ended):
            return ()
        return self._agent_gone(leg, leg.end)

    def _hang_up_asked(self, seen: HangUpAsked) -> Iterable[Input]:
        """Only this tells who hung up: both legs of a pair end with the same cause (ASTERISK.md 8)."""
        call, leg = self._pair(seen.leg_id)
        side = Side.CALLER if seen.leg_id in self._callers else Side.AGENT
        if leg is not None and side is Side.AGENT:
            leg.released = True
        for party in (call, leg):
            if party is not None and party.hung_up_by is Side.UNKNOWN:
                party.hung_up_by = side
        return ()

    def _bridged(self, seen: Bridged) -> Iterable[Input]:
        agent = self._agent_leg(seen.leg_id)
        if agent is not None and is_task_offer(agent.offer_id) and seen.bridge_id and not agent.bridge_id:
            yield TaskPersonAnswered(offer_id=agent.offer_id, switch_utc_us=seen.switch_utc_us)
        for party in (self._callers.get(seen.leg_id), agent):
            if party is not None:
                party.bridge_id = seen.bridge_id
        call, leg = self._pair(seen.leg_id)
        if (
            call
            and leg
            and call.place is Place.CONNECTING
            and call.bridge_id
            and call.bridge_id == leg.bridge_id
        ):
            call.place = Place.CONNECTED
            yield PairJoined(call_id=call.call_id, offer_id=leg.offer_id, switch_utc_us=seen.switch_utc_us)

    def _pair(self, leg_id: str) -> tuple[CallerLeg | None, AgentLeg | None]:
        """The leg and the one it was handed to, if it was."""
        leg = self._agent_leg(leg_id)
        if leg is not None:
            call = self.calls.get(identity.call_of_offer(leg.offer_id))
            return (call if call is not None and call.offer_id == leg.offer_id else None), leg
        call = self._callers.get(leg_id)
        return call, None if call is None else self.offers.get(call.offer_id or "")

    # --- the switch's own queue ---

    def _fallback_entered(self, seen: FallbackEntered) -> Iterable[Input]:
        reached = identity.attempt_of_leg(seen.leg_id)
        if reached is not None:  # they answered while our application was not there
            yield from self._person_answered(seen, reached[1])
            if seen.leg_id not in self._callers:
                return
        call = self._callers.get(seen.leg_id) or self.calls.get(seen.call_id)
        if call is None:
            if seen.call_id in self._closed:
                return
            call = CallerLeg(call_id=seen.call_id, leg_id=seen.leg_id, line=seen.line)
            self._open(call)
            call.caller, call.joined_utc_us = seen.caller, seen.joined_utc_us
        call.place, call.served = Place.FALLBACK, False
        yield _took(call, seen.why, seen.switch_utc_us)
        yield from self._ended_before(call.leg_id)

    def _fallback_connected(self, seen: FallbackConnected) -> Iterable[Input]:
        call = self._callers.get(seen.leg_id)
        if call is not None and call.place is Place.FALLBACK:
            known = seen.agent in self._policy.agents or seen.agent in NOT_PEOPLE
            call.served_by, call.served = (seen.agent if known else None), True
            yield FallbackAnswered(
                call_id=call.call_id, agent=call.served_by, switch_utc_us=seen.switch_utc_us
            )

    # --- agents and phones ---

    def _member(self, seen: MemberSeen) -> Iterable[Input]:
        if seen.agent not in self._policy.agents:
            return
        self._note_member(seen)
        now = self._agent(seen.agent, seen.switch_utc_us)
        before = self._agents.get(seen.agent)
        if before is None or (before.phone, before.not_ready_reason) != (now.phone, now.not_ready_reason):
            self._agents[seen.agent] = now
            yield now

    def _note_member(self, seen: MemberSeen) -> None:
        """The latest membership stands last: while an agent moves, the newest phone counts."""
        queues = self._members.setdefault(seen.agent, {})
        queues.pop(seen.queue, None)
        phone = self._phone_names.get(seen.interface or "")
        if phone is not None:
            queues[seen.queue] = Membership(phone=phone, not_ready_reason=seen.not_ready_reason)

    def _agent(self, agent: str, switch_utc_us: int | None) -> AgentSeen:
        """One agent over all queues: signed in while in any of them, not ready while paused in any of them."""
        queues = list(self._members.get(agent, {}).values())
        reasons = [queue.not_ready_reason for queue in queues if queue.not_ready_reason is not None]
        return AgentSeen(
            agent=agent,
            phone=queues[-1].phone if queues else None,
            not_ready_reason=reasons[-1] if reasons else None,
            switch_utc_us=switch_utc_us,
        )

    def _ready_asked(self, seen: ReadyAsked) -> Iterable[Input]:
        if seen.agent in self._policy.agents:
            yield ReadyPressed(agent=seen.agent, switch_utc_us=seen.switch_utc_us)

    def _assisted_marked(self, seen: AssistedMarked) -> Iterable[Input]:
        call_id = seen.call_id or self._conversation_of(seen.agent or "")
        if call_id is not None:
            yield CallMarkedAssisted(call_id=call_id, by=seen.by, switch_utc_us=seen.switch_utc_us)

    def _conversation_of(self, agent: str) -> str | None:
        """The call that this agent talks on."""
        at = self._agents.get(agent)
        for leg in self.offers.values():
            call_id = identity.call_of_offer(leg.offer_id)
            phone = self._phone_names.get(leg.interface)
            if leg.answered and call_id in self.calls and at is not None and at.phone == phone:
                return call_id
        return next((call.call_id for call in self.calls.values() if call.served_by == agent), None)

    def _told(self, seen: Told) -> Iterable[Input]:
        """Pass on what is about people we know; the engine judges the rest."""
        match seen.said:
            case (
                WrapUpCoded(agent=agent)
                | AssistAsked(agent=agent)
                | TaskAsked(agent=agent)
                | TaskSpokenWith(agent=agent)
            ) if agent not in self._policy.agents:
                return
            case CallbackOrdered(agent=str(agent)) | PersonJudged(agent=str(agent)) if (
                agent not in self._policy.agents
            ):
                return
            case (
                SupervisionSeen(supervisor=supervisor, agent=agent)
                | SupervisorInvited(supervisor=supervisor, agent=agent)
            ) if not {supervisor, agent} <= self._policy.agents.keys():
                return
            case CallRefused(call_id=call_id):
                _remember(self._closed, call_id, None)
        yield seen.said

    def _device(self, seen: DeviceSeen) -> Iterable[Input]:
        phone = self._phone_names.get(seen.interface)
        if phone is not None and self._phones.get(phone) is not seen.state:
            self._phones[phone] = seen.state
            yield PhoneSeen(phone=phone, state=seen.state, switch_utc_us=seen.switch_utc_us)

    # --- after a connection ---

    def reconcile(self, found: Snapshot) -> Reconciled:
        """Make the book what the switch shows. A leg that we had asked to end is still ending."""
        ending = {offer.offer_id for offer in self.offers.values() if offer.ending}
        given_up = {leg_id for leg_id, person in self.attempts.items() if person.ending}
        before = self.calls
        followed = {leg_id: self.offers.get(offer_id) for leg_id, offer_id in self._taken_over.items()}
        self.calls, self._callers, self.offers, self.attempts, self._taken_over = {}, {}, {}, {}, {}
        self._members, self._agents, self._phones = {}, {}, {}
        for call in found.calls:
            call.found = True
            if call.call_id in before:
                call.playback, call.entry = before[call.call_id].playback, before[call.call_id].entry
                call.upgraded |= before[call.call_id].upgraded
            self._open(call)
        for offer in found.offers:
            offer.ending = offer.offer_id in ending
            self.offers[offer.offer_id] = offer
        known = set(found.legs) & followed.keys()
        for leg_id in known:
            self._follow_again(leg_id, followed[leg_id])
        for person in found.attempts:
            person.ending = person.leg_id in given_up
            self.attempts[person.leg_id] = person
        for member in found.members:
            list(self._member(member))
        for device in found.devices:
            list(self._device(device))
        return Reconciled(
            calls=tuple(_seen_call(call) for call in found.calls),
            offers=tuple(
                SeenOffer(
                    offer_id=leg.offer_id,
                    answered=leg.answered,
                    away=leg.away,
                    talking=leg.away and leg.bridge_id is not None,
                )
                for leg in self.offers.values()
            ),
            attempts=tuple(
                SeenAttempt(call_id=person.call_id, attempt=person.attempt) for person in found.attempts
            ),
            agents=tuple(self._agents.values()),
            phones=tuple(PhoneSeen(phone=phone, state=state) for phone, state in self._phones.items()),
            switch_utc_us=found.switch_utc_us,
            switch_boot=found.switch_boot,
        )

    def _follow_again(self, leg_id: str, leg: AgentLeg | None) -> None:
        """A colleague's leg, which nothing but our memory tells from any other."""
        call = None if leg is None else self.calls.get(identity.call_of_offer(leg.offer_id))
        if leg is not None and call is not None and call.place is Place.CONNECTED:
            self.offers[leg.offer_id] = leg
            self._taken_over[leg_id] = call.offer_id = leg.offer_id


def _remember(recent: OrderedDict[str, Any], key: str, value: object) -> None:
    recent[key] = value
    if len(recent) > ENDED_REMEMBERED:
        recent.popitem(last=False)


def _lost(leg_id: str, words: str) -> LegEnded:
    """The end of a leg that the switch does not tell in its own words."""
    return LegEnded(leg_id=leg_id, cause=0, status=0, words=words, switch_utc_us=None)


def _keyed(call: CallerLeg, switch_utc_us: int | None) -> NumberKeyed:
    """The number is whole, and keys are keys again."""
    assert call.entry is not None
    number, call.entry = call.entry.digits, None
    return NumberKeyed(call_id=call.call_id, number=number, switch_utc_us=switch_utc_us)


def _took(call: CallerLeg, why: str, switch_utc_us: int | None) -> FallbackTook:
    return FallbackTook(
        call_id=call.call_id,
        line=call.line,
        leg_id=call.leg_id,
        why=why,
        caller_number=call.caller.number,
        caller_name=call.caller.name,
        number_withheld=call.caller.withheld,
        joined_utc_us=call.joined_utc_us,
        switch_utc_us=switch_utc_us,
    )


def _words(end: LegEnded) -> str:
    """The switch's own words for an end, with its numbers."""
    numbers = f" (SIP {end.status})" if end.status else ""
    return f"{end.cause} {end.words}{numbers}".strip()


def _seen_call(call: CallerLeg) -> SeenCall:
    return SeenCall(
        call_id=call.call_id,
        leg_id=call.leg_id,
        line=call.line,
        standing=STANDINGS[call.place],
        offer_id=call.offer_id,
        caller_number=call.caller.number,
        caller_name=call.caller.name,
        number_withheld=call.caller.withheld,
        joined_utc_us=call.joined_utc_us,
    )
