"""The simulated switch itself: the truth, whoever may or may not be listening.

What people do comes in by the methods of the first half, what the daemon asks by those of the second. Whatever is to be known
of it is said, once and in order, to `listener`; what becomes of it on the way is the link's affair. What may never
happen to a caller, whoever asks, is refused here as the real dialplan refuses it, and counts as a broken promise
(`BrokenPromiseError`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from edge.core import effects, inputs
from edge.core.inputs import Input, Standing
from edge.core.model import Answer, PhoneKind, PhoneState, Policy, Refusal, Side, Tier, TransferKind
from edge.core.promise import AttemptOutcome, TaskAttemptOutcome
from edge.pbx.asterisk.identity import caller as identified
from edge.pbx.simulated.legs import AgentLeg, CallerLeg, PersonLeg

FALLBACK_RING_SECONDS = 8.0
"""How long the switch's own queue rings one agent."""
FALLBACK_RETRY_SECONDS = 1.0


class BrokenPromiseError(AssertionError):
    """The daemon asked for what may never be done to a caller."""


class People(Protocol):
    """Who uses the switch. Each method is told once, when it begins; what they do about it they do by the switch's methods."""

    def arrived(self, caller: CallerLeg) -> None:
        """A caller is on the line, or a person who was called back."""

    def called(self, leg: AgentLeg) -> None:
        """An agent's phone is being called."""

    def answered(self, leg: AgentLeg) -> None:
        """An agent has answered, and hears nobody yet."""

    def joined(self, caller: CallerLeg, leg: AgentLeg) -> None:
        """Both hear each other."""

    def told(self, caller: CallerLeg, prompt: str) -> float:
        """Something is being said to a caller: for how many seconds."""

    def dialled(self, leg: PersonLeg) -> None:
        """A person is being called back."""

    def asked(self, leg: AgentLeg) -> None:
        """An agent who has answered for a task is asked for a key."""

    def rung_for_task(self, leg: AgentLeg) -> None:
        """The person of a task is rung for this agent."""

    def talks_for_task(self, leg: AgentLeg) -> None:
        """And has answered."""

    def rung_in_fallback(self, agent: str) -> float | None:
        """After how many seconds an agent answers the switch's own queue; None: not."""

    def served_in_fallback(self, caller: CallerLeg) -> None:
        """The switch's own queue has connected a caller."""

    def went_away(self, caller: CallerLeg) -> None:
        """A caller talks, or is about to, with somebody outside."""


class Switch:
    """Legs, phones, people's settings, and the switch's own queue. Give it `people` before anybody calls."""

    people: People

    def __init__(self, policy: Policy, utc_us: Callable[[], int]) -> None:
        """`utc_us`: the clock by which the switch stamps what happens."""
        self.policy = policy
        self.utc_us = utc_us
        self.is_up = True
        self.listener: Callable[[Input], None] | None = None
        self.callers: dict[str, CallerLeg] = {}
        self.offers: dict[str, AgentLeg] = {}
        self.persons: dict[tuple[str, int], PersonLeg] = {}
        self.signed: dict[str, tuple[str | None, str | None]] = {}
        """Agent -> phone where signed in, reason why not ready."""
        self.unplugged: set[str] = set()
        self.dialled: set[tuple[str, int]] = set()
        """Every attempt ever made: an attempt is made once."""
        self.rung_for: set[str] = set()
        """Offers of tasks for which somebody was ever rung: once."""
        self.judged: set[str] = set()
        """Calls of which a handler has said that a machine answered."""
        self.arrivals = 0
        self.lives = 1
        """How often it has been started."""
        self.record: dict[str, inputs.TracedCall] = {}
        """What the switch writes down by itself of every caller, and keeps when it dies."""
        self.unsaid: set[str] = set()
        """Callers of whom the word that they had come was lost, without any gap."""
        self._shown: dict[str, PhoneState] = {}
        self._serving = False

    def _later(self, seconds: float, then: Callable[..., None], *what: object) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, then, *what)

    def _say(self, given: Input) -> None:
        if self.listener is not None:
            self.listener(replace(given, switch_utc_us=self.utc_us()))

    # ------------------------------------------------------------------ its own record

    def _write_down(self, caller: CallerLeg, **told: Any) -> None:
        """One more line of the record."""
        now = self.utc_us()
        before = self.record.get(caller.call_id)
        if before is None:
            is_answered = self.policy.lines[caller.line].answer is Answer.ON_ARRIVAL
            before = inputs.TracedCall(
                call_id=caller.call_id,
                leg_id=caller.leg_id,
                line=caller.line,
                caller_number=caller.number,
                number_withheld=caller.withheld,
                joined_utc_us=caller.joined_utc_us,
                arrived_utc_us=now,
                answered_utc_us=now if is_answered else None,
                fallback_utc_us=None,
                connected_utc_us=None,
                ended_utc_us=None,
                latest_utc_us=now,
                source="simulated",
            )
        self.record[caller.call_id] = replace(before, latest_utc_us=now, **told)

    def _write_connected(self, caller: CallerLeg, agent: str | None) -> None:
        before = self.record[caller.call_id]
        connected = before.connected_utc_us or self.utc_us()
        answered = before.answered_utc_us or connected
        self._write_down(caller, connected_utc_us=connected, answered_utc_us=answered, agent=agent)

    # ------------------------------------------------------------------ phones

    def phone_state(self, phone: str) -> PhoneState:
        """What the switch shows of a phone. Behind a trunk nothing is seen."""
        if self.policy.phones[phone].kind is PhoneKind.TRUNK:
            return PhoneState.IDLE
        if phone in self.unplugged:
            return PhoneState.UNAVAILABLE
        legs = [leg for leg in self.offers.values() if leg.phone == phone]
        serving = {self.signed.get(c.served_by or "", (None, None))[0] for c in self.callers.values()}
        if phone in serving or any(leg.answered for leg in legs):
            return PhoneState.BUSY
        rung = {self.signed.get(c.rung_in_fallback or "", (None, None))[0] for c in self.callers.values()}
        if phone in rung or any(leg.rang for leg in legs):
            return PhoneState.RINGING
        return PhoneState.IDLE

    def _show_phones(self) -> None:
        """Say what has changed."""
        for phone in self.policy.phones:
            state = self.phone_state(phone)
            if self._shown.get(phone) is not state:
                self._shown[phone] = state
                self._say(inputs.PhoneSeen(phone=phone, state=state))
        self._serve_soon()

    def sign(self, agent: str, phone: str | None, reason: str | None = None) -> None:
        """A person signs in or out, or sets themselves ready or not."""
        self.signed[agent] = (phone, reason)
        self._say(inputs.AgentSeen(agent=agent, phone=phone, not_ready_reason=reason))
        self._serve_soon()

    def press_ready(self, agent: str) -> None:
        """A person ends their wrap-up."""
        self._say(inputs.ReadyPressed(agent=agent))

    def unplug(self, phone: str) -> None:
        """A phone vanishes from the network, with its legs that nobody has answered."""
        self.unplugged.add(phone)
        for leg in tuple(self.offers.values()):
            if leg.phone == phone and not leg.answered:
                self.end_offer(leg, Refusal.FAILED)
        self._show_phones()

    def plug(self, phone: str) -> None:
        """It is back."""
        self.unplugged.discard(phone)
        self._show_phones()

    # ------------------------------------------------------------------ callers

    def arrive(self, line: str, number: str, name: str) -> CallerLeg:
        """A caller calls; `number` and `name` as a stranger has written them."""
        self.arrivals += 1
        known = self.policy.lines[line]
        who = identified(number, name)
        now = self.utc_us()
        head_start = self.policy.classes[known.priority_class].head_start_seconds
        caller = CallerLeg(
            call_id=f"s{self.arrivals:05}",
            leg_id=f"leg-{self.arrivals:05}",
            line=line,
            number=who.number,
            name=who.name,
            withheld=who.withheld,
            joined_utc_us=now,
            queue=known.queue,
            place=(known.tier, now - round(head_start * 1_000_000)),
            language=known.language,
        )
        self._put_on_line(caller)
        if caller.standing is Standing.HELD:
            self._present(caller)
        return caller

    def _present(self, caller: CallerLeg) -> None:
        self._say(
            inputs.CallPresented(
                call_id=caller.call_id,
                leg_id=caller.leg_id,
                line=caller.line,
                caller_number=caller.number,
                caller_name=caller.name,
                number_withheld=caller.withheld,
                joined_utc_us=caller.joined_utc_us,
            )
        )

    def _put_on_line(self, caller: CallerLeg) -> None:
        """With the dead-man armed; nobody there to serve them: the switch's own queue at once."""
        self.callers[caller.call_id] = caller
        self._write_down(caller, ended_utc_us=None)
        self.people.arrived(caller)
        if self.listener is None:
            self.fall_back(caller, "nobody there")
        else:
            self._arm(caller, self.policy.lines[caller.line].dead_man_seconds)

    def _arm(self, caller: CallerLeg, seconds: float) -> None:
        self._disarm(caller)
        caller.dead_man = self._later(seconds, self.fall_back, caller, "dead-man")

    def _disarm(self, caller: CallerLeg) -> None:
        if caller.dead_man is not None:
            caller.dead_man.cancel()
            caller.dead_man = None

    def hang_up(self, caller: CallerLeg, side: Side = Side.CALLER) -> None:
        """The caller's leg ends, and that of the agent they talk to."""
        if not caller.is_alive:
            return
        caller.is_alive = False
        del self.callers[caller.call_id]
        self._write_down(caller, ended_utc_us=self.utc_us(), side=side, cause="16")
        self._disarm(caller)
        if caller.playing is not None:
            caller.playing.cancel()
        self._say(inputs.CallerGone(call_id=caller.call_id, side=side, cause="16"))
        if (leg := self.offers.get(caller.offer_id or "")) is not None:
            self.end_offer(leg, Refusal.CLEARED)
        self._show_phones()

    def press(self, caller: CallerLeg, key: str) -> None:
        """The caller presses a key. In the switch's own queue the emergency key puts them among the 999."""
        if not caller.is_alive or caller.away:
            return
        is_upgrade = key == self.policy.emergency.key and caller.place[0] != Tier.EMERGENCY
        taken = is_upgrade and caller.standing is Standing.FALLBACK
        if taken:
            self._upgrade(caller)
        self._say(inputs.KeyPressed(call_id=caller.call_id, key=key, upgraded=taken))

    def _upgrade(self, caller: CallerLeg) -> None:
        caller.upgraded = True
        caller.queue = self.policy.emergency.queue or caller.queue
        caller.place = (Tier.EMERGENCY, self.utc_us())
        self._write_down(caller, upgraded=True)

    def key_number(self, caller: CallerLeg, number: str) -> None:
        """The caller keys a whole number, if they were asked to."""
        if caller.is_alive and caller.collects:
            self._say(inputs.NumberKeyed(call_id=caller.call_id, number=number))

    # ------------------------------------------------------------------ agents' legs

    def ring(self, leg: AgentLeg) -> None:
        """The phone rings."""
        if leg.is_alive and not leg.rang:
            leg.rang = True
            self._say(inputs.PhoneRang(offer_id=leg.offer_id))
            self._show_phones()

    def answer(self, leg: AgentLeg) -> None:
        """The phone is answered."""
        if leg.is_alive and leg.rang and not leg.answered:
            leg.answered = True
            self._say(inputs.PhoneAnswered(offer_id=leg.offer_id))
            self._show_phones()
            self.people.answered(leg)

    def end_offer(self, leg: AgentLeg, refusal: Refusal, side: Side = Side.AGENT) -> None:
        """The agent's leg ends, and the caller's if they talk to each other."""
        if not leg.is_alive:
            return
        leg.is_alive = False
        del self.offers[leg.offer_id]
        self._say(inputs.PhoneGone(offer_id=leg.offer_id, refusal=refusal, side=side, cause="test"))
        caller = self.callers.get(leg.call_id)
        if caller is not None and caller.offer_id == leg.offer_id:
            caller.offer_id = None
            if not caller.away:
                self.hang_up(caller, Side.AGENT)
        self._show_phones()

    def hold(self, leg: AgentLeg, *, held: bool) -> None:
        """The agent puts the caller on hold, or takes them back."""
        if leg.is_alive and leg.answered and leg.held is not held:
            leg.held = held
            self._say(inputs.HoldChanged(offer_id=leg.offer_id, held=held))

    def judge(self, caller: CallerLeg, agent: str) -> None:
        """The agent says that a machine has answered."""
        if caller.is_alive:
            self.judged.add(caller.call_id)
            self._say(inputs.PersonJudged(outcome=AttemptOutcome.MACHINE, by=agent, call_id=caller.call_id))

    def send_back(self, caller: CallerLeg, queue: str | None) -> None:
        """The agent sends their caller back to a queue, and is out of it."""
        leg = self._part(caller)
        self._hold_again(caller)
        offer_id = None if leg is None else leg.offer_id
        self._say(inputs.CallSentBack(call_id=caller.call_id, queue=queue, offer_id=offer_id))
        self._end_after(leg)

    def pass_on(self, caller: CallerLeg) -> None:
        """The agent passes their caller on to somebody outside, and is out of it."""
        leg = self._part(caller)
        caller.away = True
        self._say(
            inputs.CallPassedOn(
                call_id=caller.call_id,
                offer_id=None if leg is None else leg.offer_id,
                kind=TransferKind.BLIND,
                target="01632960777",
            )
        )
        self._end_after(leg)
        self.people.went_away(caller)

    def come_back(self, caller: CallerLeg) -> None:
        """Whoever the caller was sent to does not take them."""
        if caller.is_alive and caller.away:
            caller.away = False
            self._hold_again(caller)
            self._say(inputs.PairReturned(call_id=caller.call_id))

    def _part(self, caller: CallerLeg) -> AgentLeg | None:
        leg = self.offers.get(caller.offer_id or "")
        caller.offer_id = None
        return leg

    def _hold_again(self, caller: CallerLeg) -> None:
        """In our hands again; without anybody there, in the switch's own queue."""
        caller.standing, caller.served_by = Standing.HELD, None
        if self.listener is None:
            self.fall_back(caller, "nobody there")
        else:
            self._arm(caller, self.policy.lines[caller.line].dead_man_seconds)

    def _end_after(self, leg: AgentLeg | None) -> None:
        if leg is not None:
            self._later(0.05, self.end_offer, leg, Refusal.CLEARED)

    # ------------------------------------------------------------------ agents who are offered a task

    def press_at(self, leg: AgentLeg, key: str) -> None:
        """The agent presses a key."""
        if leg.is_alive and leg.answered and leg.rings is None:
            leg.keyed += key
            self._say(inputs.AgentKeyed(offer_id=leg.offer_id, key=key))

    def answer_for_task(self, leg: AgentLeg) -> None:
        """Whoever is rung for the agent answers."""
        if leg.is_alive and leg.rings is not None and not leg.talks:
            leg.talks = True
            self._say(inputs.TaskPersonAnswered(offer_id=leg.offer_id))
            self.people.talks_for_task(leg)

    def end_for_task(self, leg: AgentLeg, outcome: TaskAttemptOutcome) -> None:
        """Whoever is rung does not answer, or hangs up: told, and the agent is let go."""
        if leg.is_alive and leg.rings is not None:
            outcome = TaskAttemptOutcome.SPOKEN if leg.talks else outcome
            self._say(inputs.TaskPersonGone(offer_id=leg.offer_id, outcome=outcome, cause="test"))
            self.end_offer(leg, Refusal.CLEARED)

    # ------------------------------------------------------------------ persons who are called back

    def ring_person(self, leg: PersonLeg) -> None:
        """Their phone rings."""
        if leg.is_alive and not leg.rang:
            leg.rang = True
            self._say(inputs.PersonRang(call_id=leg.call_id, attempt=leg.attempt))

    def answer_person(self, leg: PersonLeg) -> None:
        """Somebody or something answers: from now on a caller on the line, at their place."""
        if not leg.is_alive:
            return
        leg.is_alive = False
        del self.persons[leg.call_id, leg.attempt]
        if leg.call_id in self.callers:
            raise BrokenPromiseError(f"call {leg.call_id} was reached twice")
        caller = CallerLeg(
            call_id=leg.call_id,
            leg_id=f"{leg.call_id}-back-{leg.attempt}",
            line=leg.line,
            number=leg.number,
            name=None,
            withheld=False,
            joined_utc_us=leg.joined_utc_us,
            queue=leg.queue,
            place=(Tier.ROUTINE, leg.place_utc_us),
            language=leg.language,
        )
        self._put_on_line(caller)
        if caller.standing is Standing.HELD:
            self._say(inputs.PersonAnswered(call_id=leg.call_id, attempt=leg.attempt, leg_id=caller.leg_id))

    def end_person(self, leg: PersonLeg, outcome: AttemptOutcome) -> None:
        """The attempt ends without an answer."""
        if leg.is_alive:
            leg.is_alive = False
            del self.persons[leg.call_id, leg.attempt]
            self._say(
                inputs.PersonGone(call_id=leg.call_id, attempt=leg.attempt, outcome=outcome, cause="test")
            )

    # ------------------------------------------------------------------ the switch's own queue

    def fall_back(self, caller: CallerLeg, why: str) -> None:
        """The switch's own queue takes the caller: at entry, by the dead-man, or because it was asked to."""
        if not caller.is_alive or caller.standing is not Standing.HELD:
            return
        self._disarm(caller)
        if caller.playing is not None:
            caller.playing.cancel()
        caller.prompt, caller.collects, caller.standing = None, False, Standing.FALLBACK
        self._write_down(caller, fallback_utc_us=self.utc_us())
        self._say(
            inputs.FallbackTook(
                call_id=caller.call_id,
                line=caller.line,
                leg_id=caller.leg_id,
                why=why,
                caller_number=caller.number,
                caller_name=caller.name,
                number_withheld=caller.withheld,
                joined_utc_us=caller.joined_utc_us,
            )
        )
        self._serve_soon()

    def _serve_soon(self) -> None:
        if not self._serving and any(c.standing is Standing.FALLBACK for c in self.callers.values()):
            self._serving = True
            self._later(0.0, self._serve)

    def _serve(self) -> None:
        """Ring free agents for who waits, in order of their noted places; look again while anybody waits."""
        self._serving = False
        waiting = [
            caller
            for caller in self.callers.values()
            if caller.standing is Standing.FALLBACK and caller.served_by is None
        ]
        for caller in sorted(waiting, key=lambda caller: (caller.place, caller.call_id)):
            if caller.rung_in_fallback is None and (agent := self._free_agent(caller)) is not None:
                self._ring_in_fallback(caller, agent)
        if waiting and not self._serving:
            self._serving = True
            self._later(FALLBACK_RETRY_SECONDS, self._serve)

    def _free_agent(self, caller: CallerLeg) -> str | None:
        queue = self.policy.queues.get(caller.queue)
        needed = set() if queue is None else set(queue.skills)
        if queue is not None and queue.relaxations:
            needed = set(queue.relaxations[-1].skills)
        for agent, (phone, reason) in self.signed.items():
            skilled = needed <= set(self.policy.agents[agent].skills)
            if phone and reason is None and skilled and self.phone_state(phone) is PhoneState.IDLE:
                return agent
        return None

    def _ring_in_fallback(self, caller: CallerLeg, agent: str) -> None:
        caller.rung_in_fallback = agent
        seconds = self.people.rung_in_fallback(agent)
        if seconds is None or seconds > FALLBACK_RING_SECONDS:
            self._later(FALLBACK_RING_SECONDS, self._not_taken, caller)
        else:
            self._later(seconds, self._taken, caller, agent)
        self._show_phones()

    def _not_taken(self, caller: CallerLeg) -> None:
        caller.rung_in_fallback = None
        self._show_phones()

    def _taken(self, caller: CallerLeg, agent: str) -> None:
        if caller.is_alive and caller.standing is Standing.FALLBACK:
            caller.rung_in_fallback, caller.served_by = None, agent
            self._write_connected(caller, agent)
            self._say(inputs.FallbackAnswered(call_id=caller.call_id, agent=agent))
            self.people.served_in_fallback(caller)
        self._show_phones()

    # ------------------------------------------------------------------ what the daemon asks

    def renew(self, call_id: str, seconds: float) -> bool:
        """Put the dead-man of a caller off. False: the switch knows no such leg."""
        caller = self.callers.get(call_id)
        if caller is not None and caller.standing is Standing.HELD:
            self._arm(caller, seconds)
        return caller is not None

    def say_to(self, call_id: str, prompt: str) -> None:
        """Play an announcement instead of whatever plays."""
        caller = self._held(call_id)
        if caller is None:
            return
        if caller.place[0] == Tier.EMERGENCY:
            raise BrokenPromiseError(f"prompt {prompt} was to be played to an emergency, {call_id}")
        self.stop_saying(call_id)
        caller.prompt = prompt
        caller.playing = self._later(self.people.told(caller, prompt), self.said, caller, prompt, True)

    def said(self, caller: CallerLeg, prompt: str, completed: bool) -> None:
        """An announcement is over."""
        if caller.is_alive and caller.prompt == prompt:
            if caller.playing is not None:
                caller.playing.cancel()
            caller.prompt = caller.playing = None
            self._say(inputs.AnnouncementFinished(call_id=caller.call_id, prompt=prompt, completed=completed))

    def stop_saying(self, call_id: str) -> None:
        """End what is being said."""
        caller = self._held(call_id)
        if caller is not None and caller.prompt is not None:
            self.said(caller, caller.prompt, False)

    def call_phone(self, asked: effects.MakeOffer | effects.RingForTask) -> bool:
        """Call an agent's phone. False: this very leg exists already."""
        if asked.offer_id in self.offers:
            return False
        call_id = asked.call_id if isinstance(asked, effects.MakeOffer) else ""
        leg = AgentLeg(offer_id=asked.offer_id, call_id=call_id, phone=asked.phone)
        state = self.phone_state(asked.phone)
        self.offers[leg.offer_id] = leg
        if asked.phone in self.unplugged:
            self._later(0.02, self.end_offer, leg, Refusal.UNREACHABLE)
        elif state is not PhoneState.IDLE:
            self._later(0.02, self.end_offer, leg, Refusal.BUSY)
        else:
            self._later(asked.ring_seconds, self._ring_out, leg)
            self.people.called(leg)
        return True

    def _ring_out(self, leg: AgentLeg) -> None:
        if not leg.answered:
            self.end_offer(leg, Refusal.NO_ANSWER)

    def end_leg(self, offer_id: str) -> None:
        """End an agent's leg; never one that talks, unless it is a machine that it talks to."""
        leg = self.offers.get(offer_id)
        if leg is not None:
            caller = self.callers.get(leg.call_id)
            if caller is not None and caller.offer_id == offer_id and leg.call_id not in self.judged:
                raise BrokenPromiseError(f"the conversation of offer {offer_id} was to be cut")
            self.end_offer(leg, Refusal.CLEARED, Side.SYSTEM)

    def ask_agent(self, offer_id: str) -> None:
        """Say to an agent what the task is."""
        leg = self.offers.get(offer_id)
        if leg is not None and leg.answered and leg.rings is None:
            self.people.asked(leg)

    def ring_for_task(self, asked: effects.DialForTask) -> bool:
        """Ring the person of a task for the agent of this leg. False: the leg is not there, or is sent already."""
        leg = self.offers.get(asked.offer_id)
        if leg is None or not leg.answered or leg.rings is not None:
            return False
        if "1" not in leg.keyed or asked.offer_id in self.rung_for:
            raise BrokenPromiseError(f"somebody was rung for {asked.offer_id} without a key, or twice")
        if not self.policy.destinations.judge(asked.number).is_allowed:
            raise BrokenPromiseError("a number that nobody dials was rung")
        self.rung_for.add(asked.offer_id)
        leg.rings = asked.number
        self._later(asked.ring_seconds, self._stop_ringing_for_task, leg)
        self.people.rung_for_task(leg)
        return True

    def _stop_ringing_for_task(self, leg: AgentLeg) -> None:
        if not leg.talks:
            self.end_for_task(leg, TaskAttemptOutcome.NO_ANSWER)

    def join(self, call_id: str, offer_id: str) -> None:
        """Join caller and agent, or give the caller back."""
        caller, leg = self._held(call_id), self.offers.get(offer_id)
        if caller is None:
            return
        if leg is None or not leg.answered:
            self._arm(caller, self.policy.lines[caller.line].dead_man_seconds)
            self._say(inputs.PairReturned(call_id=call_id, offer_id=offer_id))
            return
        self._connect(caller)
        self._write_connected(caller, leg.phone)  # everybody sits at the phone of their name
        caller.offer_id = offer_id
        self._say(inputs.PairJoined(call_id=call_id, offer_id=offer_id))
        self.people.joined(caller, leg)

    def _connect(self, caller: CallerLeg) -> None:
        self._disarm(caller)
        self.stop_saying(caller.call_id)
        caller.standing, caller.collects = Standing.CONNECTED, False

    def divert(self, call_id: str) -> None:
        """Send a caller to another number."""
        caller = self._held(call_id)
        if caller is not None:
            self._may_go(caller)
            self._connect(caller)
            caller.away = True
            self.people.went_away(caller)

    def let_go(self, call_id: str) -> None:
        """Hang a caller up."""
        caller = self._held(call_id)
        if caller is not None:
            self._may_go(caller)
            self.hang_up(caller, Side.SYSTEM)

    def _may_go(self, caller: CallerLeg) -> None:
        if caller.place[0] == Tier.EMERGENCY or caller.upgraded:
            raise BrokenPromiseError(f"the caller of an emergency was to be let go: {caller.call_id}")

    def give_to_fallback(self, call_id: str) -> None:
        """Give a caller to the switch's own queue."""
        if (caller := self._held(call_id)) is not None:
            self.fall_back(caller, "asked")

    def note(self, asked: effects.NotePlace) -> None:
        """Write a caller's place onto their leg."""
        caller = self.callers.get(asked.call_id)
        if caller is not None and caller.standing is not Standing.FALLBACK:
            caller.queue, caller.language = asked.queue, asked.language
            caller.place, caller.upgraded = (int(asked.tier), asked.place_utc_us), asked.upgraded

    def collect(self, call_id: str, *, collect: bool) -> None:
        """From now on the caller's keys are digits of a number, or keys again."""
        if (caller := self._held(call_id)) is not None:
            caller.collects = collect

    def dial(self, asked: effects.DialPerson) -> bool:
        """Ring a person. False: this attempt was made before."""
        key = (asked.call_id, asked.attempt)
        if key in self.dialled:
            return False
        others = [leg.attempt for leg in self.persons.values() if leg.call_id == asked.call_id]
        if others or asked.call_id in self.callers:
            raise BrokenPromiseError(
                f"call {asked.call_id}: attempt {asked.attempt} while {others or 'they are on the line'}"
            )
        self.dialled.add(key)
        leg = PersonLeg(
            call_id=asked.call_id,
            attempt=asked.attempt,
            number=asked.number,
            line=asked.line,
            queue=asked.queue,
            language=asked.language,
            joined_utc_us=asked.joined_utc_us,
            place_utc_us=asked.place_utc_us,
        )
        self.persons[key] = leg
        self._later(asked.ring_seconds, self.end_person, leg, AttemptOutcome.NO_ANSWER)
        self.people.dialled(leg)
        return True

    def end_attempt(self, call_id: str, attempt: int) -> None:
        """Stop ringing a person, or hang up one who answered when it was over."""
        if (leg := self.persons.get((call_id, attempt))) is not None:
            self.end_person(leg, AttemptOutcome.NO_ANSWER)

    def _held(self, call_id: str) -> CallerLeg | None:
        caller = self.callers.get(call_id)
        return caller if caller is not None and caller.standing is Standing.HELD else None

    # ------------------------------------------------------------------ looking, and dying

    def look(self) -> inputs.Reconciled:
        """Everything there is, as an adapter makes it of what it finds after subscribing."""
        return inputs.Reconciled(
            calls=tuple(_seen(caller) for caller in self.callers.values()),
            offers=tuple(
                inputs.SeenOffer(
                    offer_id=leg.offer_id,
                    answered=leg.answered,
                    away=leg.rings is not None,
                    talking=leg.talks,
                )
                for leg in self.offers.values()
            ),
            attempts=tuple(
                inputs.SeenAttempt(call_id=leg.call_id, attempt=leg.attempt) for leg in self.persons.values()
            ),
            agents=tuple(
                inputs.AgentSeen(agent=agent, phone=phone, not_ready_reason=reason)
                for agent, (phone, reason) in self.signed.items()
                if phone is not None
            ),
            phones=tuple(
                inputs.PhoneSeen(phone=phone, state=self.phone_state(phone)) for phone in self.policy.phones
            ),
            switch_boot=f"life {self.lives}",
            switch_utc_us=self.utc_us(),
        )

    def die(self) -> None:
        """The switch dies with all its legs. Sign-ins are on its disk."""
        self.is_up = False
        self.listener = None
        for caller in self.callers.values():
            self._disarm(caller)
            if caller.playing is not None:
                caller.playing.cancel()
        legs: list[CallerLeg | AgentLeg | PersonLeg] = [
            *self.callers.values(),
            *self.offers.values(),
            *self.persons.values(),
        ]
        for leg in legs:
            leg.is_alive = False
        self.callers, self.offers, self.persons = {}, {}, {}

    def start(self) -> None:
        """It is back, and knows no calls."""
        self.is_up = True
        self.lives += 1
        self._shown = {}


def _seen(caller: CallerLeg) -> inputs.SeenCall:
    return inputs.SeenCall(
        call_id=caller.call_id,
        leg_id=caller.leg_id,
        line=caller.line,
        standing=caller.standing,
        offer_id=caller.offer_id,
        caller_number=caller.number,
        caller_name=caller.name,
        number_withheld=caller.withheld,
        joined_utc_us=caller.joined_utc_us,
    )
