"""The adapter of the simulated switch: `edge.ports.Pbx` over a link that breaks, loses, doubles and delays.

It behaves as the Asterisk adapter does: subscribes first and looks second, keeps back what it hears until `Reconciled` is posted,
serves the effects of one call in their order, renews dead-men only while the engine lives, believes after two refused renewals
that a caller is gone, and does not end a leg whose answer it has told or is about to tell of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import structlog

from edge.core import effects, inputs
from edge.core.effects import Effect
from edge.core.inputs import Input
from edge.core.model import Refusal, Side
from edge.core.promise import AttemptOutcome, TaskAttemptOutcome
from edge.errors import LinkError
from edge.pbx.simulated.faults import Injector
from edge.pbx.simulated.switch import Switch

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 0.25
"""Between two attempts to connect."""
CONNECT_SECONDS = 0.03
LOOK_SECONDS = 0.02
"""From subscribing to the look, and from the look to its end: what happens meanwhile is seen, and told as well."""
WIRE_SECONDS = 0.002
"""One way over the link."""
ANSWER_SECONDS = 1.0
"""After so long a command is taken for unanswered."""
READING_SECONDS = 1.0
"""How long it takes to read what the switch has written down."""
LINES = ("answered_utc_us", "fallback_utc_us", "connected_utc_us", "ended_utc_us")
"""What may be lost of it."""
TICK_SECONDS = 0.25
RENEWALS_PER_DEAD_MAN = 3
REFUSALS_BELIEVED = 2
APART_SECONDS = 1e-6
"""What comes one after the other does so: timers of the same instant have no order."""


class SimulatedPbx:
    """One process's connection to the switch. A new process makes a new one."""

    def __init__(
        self, switch: Switch, injector: Injector, known_calls: Callable[[], Collection[str]] = tuple
    ) -> None:
        """`known_calls`: those of which the ledger has facts."""
        self._known_calls = known_calls
        self._switch = switch
        self._injector = injector
        self._post: Callable[[Input], None] | None = None
        self._stirred: asyncio.Event | None = None
        self._is_broken = False
        self._backlog: list[Input] | None = None
        self._connections = 0
        self._latest: dict[bool, float] = {}
        self._turns: dict[str, float] = {}
        self._renewing: dict[str, tuple[float, float]] = {}
        """Call -> its dead-man in seconds, and when it is renewed next."""
        self._refusals: dict[str, int] = {}
        self._answered: set[str] = set()
        self._ending: set[str] = set()
        self._reached: set[tuple[str, int]] = set()
        self._given_up: set[tuple[str, int]] = set()
        self._pulse_at = 0.0

    # ------------------------------------------------------------------ the connection

    async def run(self, post: Callable[[Input], None]) -> None:
        """Serve until cancelled, reconnecting by itself."""
        lost = False
        try:
            while True:
                try:
                    await self._one_connection(post)
                except LinkError as error:
                    if self._post is not None and not lost:
                        post(inputs.LinkLost(link="simulated", error=str(error)))
                    lost = self._post is None
                    self._post = None
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            self.sever()

    def sever(self) -> None:
        """The process is gone: it hears and asks nothing any more."""
        self._connections += 1
        if self._switch.listener == self._hear:
            self._switch.listener = None
        self._post, self._renewing = None, {}

    def lose_link(self) -> None:
        """The connection breaks."""
        self._is_broken = True
        if self._stirred is not None:
            self._stirred.set()

    async def _one_connection(self, post: Callable[[Input], None]) -> None:
        await asyncio.sleep(CONNECT_SECONDS)
        if not self._switch.is_up:
            raise LinkError("connection refused")
        self._is_broken, self._stirred, self._backlog = False, asyncio.Event(), []
        self._switch.listener = self._hear
        try:
            await asyncio.sleep(LOOK_SECONDS)
            seen = self._switch.look()
            await asyncio.sleep(LOOK_SECONDS)
            self._take_up(seen, post)
            while not self._is_broken:
                self._tick()
                await self._pause()
        finally:
            self._connections += 1
            if self._switch.listener == self._hear:
                self._switch.listener = None
            self._renewing = {}
        raise LinkError("connection reset")

    async def _pause(self) -> None:
        """Until the next tick, or the end of the link. (Not by `wait_for`: before Python 3.12 it may swallow a cancellation.)"""
        assert self._stirred is not None
        handle = asyncio.get_running_loop().call_later(TICK_SECONDS, self._stirred.set)
        try:
            await self._stirred.wait()
        finally:
            handle.cancel()
        self._stirred.clear()

    def _take_up(self, seen: inputs.Reconciled, post: Callable[[Input], None]) -> None:
        """Tell what was found, then what was heard meanwhile; every caller found has the dead-man put off once."""
        if not self._switch.is_up:
            raise LinkError("connection reset")
        self._answered |= {leg.offer_id for leg in seen.offers if leg.answered}
        for call in seen.calls:
            line = self._switch.policy.lines.get(call.line)
            if call.standing is inputs.Standing.HELD and line is not None:
                self._switch.renew(call.call_id, line.dead_man_seconds)
        self._post = post
        post(seen)
        backlog, self._backlog = self._backlog or [], None
        for given in backlog:
            self._tell(given)

    # ------------------------------------------------------------------ what is heard

    def _hear(self, given: Input) -> None:
        """A word is on its way. Each of the two links (what people set, what legs do) keeps its order but for what is late."""
        if self._backlog is not None:
            self._backlog.append(given)
            return
        loop = asyncio.get_running_loop()
        kind = isinstance(given, inputs.AgentSeen | inputs.PhoneSeen | inputs.ReadyPressed)
        at = max(loop.time() + WIRE_SECONDS, self._latest.get(kind, 0.0))
        self._latest[kind] = at + APART_SECONDS
        copies = self._injector.fate_of_message(given)
        if isinstance(given, inputs.CallPresented) and not copies:
            self._switch.unsaid.add(given.call_id)
        for late_seconds in copies:
            loop.call_at(at + late_seconds, self._deliver, self._connections, given)

    def _deliver(self, connection: int, given: Input) -> None:
        if connection == self._connections and self._post is not None:
            self._tell(given)

    def _tell(self, given: Input) -> None:
        """Post it, unless it is the answer of a leg that we have asked to end."""
        assert self._post is not None
        match given:
            case inputs.PhoneAnswered():
                if given.offer_id in self._ending:
                    return
                self._answered.add(given.offer_id)
            case inputs.PersonAnswered():
                if (given.call_id, given.attempt) in self._given_up:
                    self._hang_up_stray(given)
                    return
                self._reached.add((given.call_id, given.attempt))
            case inputs.CallerGone() | inputs.FallbackTook():
                self._renewing.pop(given.call_id, None)
        self._post(given)

    def _hang_up_stray(self, given: inputs.PersonAnswered) -> None:
        """A person whom we no longer ring has answered in that moment: let go, and told as not reached."""
        assert self._post is not None
        self._switch.let_go(given.call_id)
        self._post(
            inputs.PersonGone(
                call_id=given.call_id,
                attempt=given.attempt,
                outcome=AttemptOutcome.NO_ANSWER,
                cause="ended as it was answered",
            )
        )

    # ------------------------------------------------------------------ the dead-man

    def pulse(self) -> None:
        """The engine lives."""
        self._pulse_at = asyncio.get_running_loop().time()

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        for call_id, (seconds, at) in tuple(self._renewing.items()):
            if now < at or now - self._pulse_at > seconds / 2:
                continue
            self._renewing[call_id] = (seconds, now + seconds / RENEWALS_PER_DEAD_MAN)
            if not self._switch.renew(call_id, seconds):
                self._miss(call_id)

    def _miss(self, call_id: str) -> None:
        self._refusals[call_id] = self._refusals.get(call_id, 0) + 1
        if self._refusals[call_id] >= REFUSALS_BELIEVED and self._post is not None:
            self._renewing.pop(call_id, None)
            self._post(inputs.CallerGone(call_id=call_id, side=Side.UNKNOWN, cause="no such leg"))

    # ------------------------------------------------------------------ what is asked

    def perform(self, effect: Effect, cause: int) -> None:
        """Begin to carry out `effect`: after those before it of the same call. Without a link nothing comes of it."""
        log.debug("effect", kind=type(effect).__name__, cause=cause)
        if self._post is None:
            return
        loop = asyncio.get_running_loop()
        if isinstance(effect, effects.ReadTrace):
            loop.call_later(READING_SECONDS, self._read_record, self._connections, effect)
            return
        turn = _whose_turn(effect)
        at = max(loop.time() + WIRE_SECONDS, self._turns.get(turn, 0.0))
        fate = self._injector.fate_of_command(effect)
        self._turns[turn] = at + (ANSWER_SECONDS if fate in ("done unseen", "not done") else APART_SECONDS)
        loop.call_at(at, self._carry_out, self._connections, effect, fate)

    def _carry_out(self, connection: int, effect: Effect, fate: str) -> None:
        if connection != self._connections or self._post is None:
            return
        self._begin(effect)
        if fate == "done":
            self._do(effect)
        elif fate == "refused":
            self._not_done(effect)
        else:
            if fate == "done unseen":
                self._do(effect)
            loop = asyncio.get_running_loop()
            loop.call_later(ANSWER_SECONDS, self._look_after, connection, effect)

    def _read_record(self, connection: int, asked: effects.ReadTrace) -> None:
        """What the switch has written down, with lines lost and doubled: never who came, as that stands on every line."""
        if connection != self._connections or self._post is None:
            return  # asked anew after the next look
        calls, known, is_whole = list[inputs.TracedCall](), self._known_calls(), True
        for written in self._switch.record.values():
            if written.latest_utc_us < asked.from_utc_us or written.joined_utc_us > asked.until_utc_us:
                continue
            lost: dict[str, Any] = {
                name: None
                for name in LINES
                if self._injector.strikes("line lost", self._injector.faults.lost)
            }
            is_whole &= not lost
            call = replace(written, known=written.call_id in known, **lost)
            calls += [call] * (1 + self._injector.strikes("line doubled", self._injector.faults.doubled))
        detail = "" if is_whole else "lines are lost"
        told = inputs.TraceRead(gap=asked.gap, calls=tuple(calls), complete=is_whole, detail=detail)
        half = len(calls) // 2
        self._post(replace(told, calls=told.calls[:half], more=True))
        loop = asyncio.get_running_loop()
        rest = replace(told, calls=told.calls[half:], calls_seen=len({call.call_id for call in calls}))
        loop.call_later(WIRE_SECONDS, self._tell_rest, connection, rest)

    def _tell_rest(self, connection: int, told: inputs.TraceRead) -> None:
        if connection == self._connections and self._post is not None:
            self._post(told)

    def _begin(self, effect: Effect) -> None:
        """What the adapter does by itself, whether or not the command gets through."""
        match effect:
            case effects.TakeCharge():
                line = self._switch.policy.lines.get(effect.line)
                if line is not None:
                    self._renewing[effect.call_id] = (line.dead_man_seconds, 0.0)
                    self._refusals.pop(effect.call_id, None)
            case effects.ConnectPair() | effects.SendToFallback() | effects.Divert():
                self._renewing.pop(effect.call_id, None)

    def _do(self, effect: Effect) -> None:
        match effect:
            case effects.MakeOffer():
                self._make_offer(effect)
            case effects.WithdrawOffer():
                if effect.offer_id not in self._answered:
                    self._end_leg(effect.offer_id)
            case effects.HangUpOffer():
                self._end_leg(effect.offer_id)
            case effects.ConnectPair():
                self._switch.join(effect.call_id, effect.offer_id)
            case effects.Inspect():
                self._inspect(effect)
            case effects.SetNotReady():
                phone, _ = self._switch.signed.get(effect.agent, (None, None))
                if phone is not None:
                    self._switch.sign(effect.agent, phone, effect.reason)
            case effects.DialPerson():
                self._switch.dial(effect)
            case effects.EndAttempt():
                self._end_attempt(effect)
            case effects.RingForTask() | effects.AskAgent() | effects.DialForTask() | effects.GiveUpDial():
                self._do_for_task(effect)
            case _:
                self._do_for_caller(effect)

    def _do_for_task(
        self, effect: effects.RingForTask | effects.AskAgent | effects.DialForTask | effects.GiveUpDial
    ) -> None:
        match effect:
            case effects.RingForTask():
                self._switch.call_phone(effect)
            case effects.AskAgent():
                self._switch.ask_agent(effect.offer_id)
            case effects.DialForTask():
                self._switch.ring_for_task(effect)
            case effects.GiveUpDial():
                leg = self._switch.offers.get(effect.offer_id)
                if leg is not None and not leg.talks:
                    self._end_leg(effect.offer_id)

    def _do_for_caller(self, effect: Effect) -> None:
        switch = self._switch
        match effect:
            case effects.TakeCharge():
                self._tick()
                if effect.greeting is not None:
                    switch.say_to(effect.call_id, effect.greeting)
            case effects.Announce():
                switch.say_to(effect.call_id, effect.prompt)
            case effects.StopAnnouncement():
                switch.stop_saying(effect.call_id)
            case effects.NotePlace():
                switch.note(effect)
            case effects.HangUpCaller():
                switch.let_go(effect.call_id)
            case effects.Divert():
                switch.divert(effect.call_id)
            case effects.SendToFallback():
                switch.give_to_fallback(effect.call_id)
            case effects.CollectNumber():
                switch.collect(effect.call_id, collect=effect.collect)

    def _make_offer(self, effect: effects.MakeOffer) -> None:
        is_on_line = effect.call_id in self._switch.callers
        if not is_on_line and not effect.callback:
            self._never_rang(effect.offer_id, "caller gone")
        else:
            self._switch.call_phone(effect)

    def _never_rang(self, offer_id: str, why: str) -> None:
        self._tell(inputs.PhoneGone(offer_id=offer_id, refusal=Refusal.FAILED, side=Side.UNKNOWN, cause=why))

    def _end_leg(self, offer_id: str) -> None:
        self._ending.add(offer_id)
        if offer_id in self._switch.offers:
            self._switch.end_leg(offer_id)
        else:
            gone = inputs.PhoneGone(
                offer_id=offer_id, refusal=Refusal.CLEARED, side=Side.UNKNOWN, cause="no such leg"
            )
            self._tell(gone)

    def _end_attempt(self, effect: effects.EndAttempt) -> None:
        key = (effect.call_id, effect.attempt)
        if key in self._reached:
            return
        self._given_up.add(key)
        self._switch.end_attempt(*key)

    def _inspect(self, effect: effects.Inspect) -> None:
        caller = self._switch.callers.get(effect.call_id)
        if caller is None:
            self._tell(inputs.CallerGone(call_id=effect.call_id, side=Side.UNKNOWN, cause="not there"))
        elif caller.standing is inputs.Standing.HELD:
            self._tell(inputs.PairReturned(call_id=effect.call_id))
        elif caller.offer_id is not None:
            self._tell(inputs.PairJoined(call_id=effect.call_id, offer_id=caller.offer_id))

    def _not_done(self, effect: Effect) -> None:
        """The switch has refused."""
        match effect:
            case effects.MakeOffer() | effects.RingForTask():
                self._never_rang(effect.offer_id, "refused")
            case effects.DialForTask():
                self._not_rung_for_task(effect)
            case effects.DialPerson():
                self._tell(
                    inputs.PersonGone(
                        call_id=effect.call_id,
                        attempt=effect.attempt,
                        outcome=AttemptOutcome.NETWORK,
                        cause="the switch cannot dial it",
                    )
                )
            case effects.Announce():
                self._tell(
                    inputs.AnnouncementFinished(call_id=effect.call_id, prompt=effect.prompt, completed=False)
                )
            case effects.ConnectPair() | effects.Divert():
                pass  # the daemon looks where they are

    def _not_rung_for_task(self, effect: effects.DialForTask) -> None:
        """The switch has refused to ring the person: told, and the agent is let go by the engine's asking or their own."""
        self._tell(
            inputs.TaskPersonGone(
                offer_id=effect.offer_id, outcome=TaskAttemptOutcome.FAILED, cause="refused"
            )
        )

    def _look_after(self, connection: int, effect: Effect) -> None:
        """No answer came: look whether the leg that was asked for is there."""
        if connection != self._connections or self._post is None:
            return
        match effect:
            case effects.MakeOffer() | effects.RingForTask() if effect.offer_id not in self._switch.offers:
                self._never_rang(effect.offer_id, "no such leg")
            case effects.DialPerson():
                key = (effect.call_id, effect.attempt)
                if key not in self._switch.dialled:
                    self._not_done(effect)


def _whose_turn(effect: Effect) -> str:
    """The call whose worker serves it."""
    match effect:
        case effects.SetNotReady():
            return effect.agent
        case effects.ReadTrace():
            return "the switch's own record"
        case (
            effects.WithdrawOffer()
            | effects.HangUpOffer()
            | effects.RingForTask()
            | effects.AskAgent()
            | effects.DialForTask()
            | effects.GiveUpDial()
        ):
            return effect.offer_id.rpartition(".")[0]
        case _:
            return effect.call_id
