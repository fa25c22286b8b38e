"""What a switch must do for the engine, on the real Asterisk: the adapter alone, its effects given and its inputs read here.

There is no daemon in this lab, so nobody but the test decides anything.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import pytest

from edge.config import Configuration
from edge.core import effects, inputs
from edge.core.model import CheckVerdict, Side, Tier, TransferKind
from edge.core.promise import AttemptOutcome
from edge.pbx.asterisk import notices
from edge.pbx.asterisk.control import AgentControl, connected
from edge.pbx.asterisk.switch import AsteriskPbx
from hwtest.useragent import IncomingCall, Media, OutgoingCall, UserAgent
from tests.live.room import Desk, LiveLab, Room, until

pytestmark = pytest.mark.live

POLICY: dict[str, Any] = {
    "emergency": {"buddy_phone": "buddy"},
    "triage": {"queues": ["101", "second"]},
    "queue": {"second": {"skills": ["101"], "overflow_phone": "buddy"}},
    "line": {"second": {"number": "1018", "tier": "101", "queue": "second", "dead_man_seconds": 6}},
    "phone": {"buddy": {"kind": "trunk", "trunk": "callee", "number": "01632960999"}},
}
Given = TypeVar("Given", bound=inputs.Input)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab without a daemon."""
    lab = LiveLab.up(tmp_path_factory.mktemp("pbx"), POLICY, with_daemon=False)
    yield lab
    lab.down()


class Switch:
    """The adapter, driven by hand."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.configuration: Configuration = room.live.configuration
        self.posted: list[inputs.Input] = []
        self.pbx = AsteriskPbx(self.configuration.asterisk_settings(), self.configuration.policy())
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> inputs.Reconciled:
        """Connect; what it found."""
        self._tasks = [
            asyncio.create_task(self.pbx.run(self.posted.append)),
            asyncio.create_task(self._pulse()),
        ]
        return await self.hears(inputs.Reconciled)

    async def stop(self) -> None:
        """Die without a word to anybody."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def again(self) -> inputs.Reconciled:
        """A new life on the same switch."""
        await self.stop()
        self.posted.clear()
        self.pbx = AsteriskPbx(self.configuration.asterisk_settings(), self.configuration.policy())
        return await self.start()

    async def _pulse(self) -> None:
        while True:
            self.pbx.pulse()
            await asyncio.sleep(0.25)

    def ask(self, *wanted: effects.Effect) -> None:
        """Give effects."""
        for effect in wanted:
            self.pbx.perform(effect, 0)

    async def hears(self, kind: type[Given], condition: Callable[[Given], bool] = lambda _: True) -> Given:
        """The first such input that has not been taken yet; it is taken."""
        found: list[Given] = []

        def came() -> bool:
            found.extend(made for made in self.posted if isinstance(made, kind) and condition(made))
            return bool(found)

        await until(came, what=f"{kind.__name__} among {self.posted}")
        self.posted.remove(found[0])
        return found[0]

    def heard(self, kind: type[Given]) -> list[Given]:
        """Such inputs that have not been taken."""
        return [made for made in self.posted if isinstance(made, kind)]

    async def presented(self, caller: OutgoingCall, *, charge: bool = True) -> inputs.CallPresented:
        """This caller's arrival; `charge`: they are served from now on."""
        number = self.room.numbers[caller]
        call = await self.hears(inputs.CallPresented, lambda made: made.caller_number == number)
        if charge:
            self.ask(effects.TakeCharge(call_id=call.call_id, line=call.line, greeting=None))
        return call

    def offer(self, call: inputs.CallPresented, attempt: int = 1, **changes: Any) -> str:
        """Ring a phone for the call; the offer's id."""
        fields: dict[str, Any] = {
            "offer_id": f"{call.call_id}.{attempt}",
            "call_id": call.call_id,
            "phone": "agent1",
            "ring_seconds": 10.0,
            "caller_number": call.caller_number,
            "line": call.line,
            "tier": Tier.ROUTINE,
            "priority_class": "standard",
            "waited_seconds": 1.0,
        }
        self.ask(effects.MakeOffer(**(fields | changes)))
        return f"{call.call_id}.{attempt}"

    async def connects(
        self, call: inputs.CallPresented, desk: Desk, attempt: int = 1, **changes: Any
    ) -> IncomingCall:
        """The desk's phone rings for the call, answers and is joined with the caller."""
        offer_id = self.offer(call, attempt, phone=desk.phone.user, **changes)
        phone_call = await desk.answers()
        await self.hears(inputs.PhoneAnswered, lambda made: made.offer_id == offer_id)
        self.ask(effects.ConnectPair(call_id=call.call_id, offer_id=offer_id))
        await self.hears(inputs.PairJoined, lambda made: made.offer_id == offer_id)
        return phone_call

    def shown(self, leg_id: str) -> str:
        """What Asterisk's console shows of the channel with this unique id; empty when there is none."""
        rows = self.room.live.asterisk.cli("core show channels concise").splitlines()
        names = [row.split("!")[0] for row in rows if row.endswith(f"!{leg_id}")]
        return self.room.live.asterisk.cli(f"core show channel {names[0]}") if names else ""

    def variable(self, leg_id: str, name: str) -> str:
        """A variable of the channel with this unique id."""
        lines = [line.strip() for line in self.shown(leg_id).splitlines()]
        found = [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]
        return found[0] if found else ""


@pytest.fixture
async def switch(live: LiveLab) -> AsyncIterator[Switch]:
    """The adapter, connected, in an empty room."""
    room = Room(live)
    driven = Switch(room)
    await driven.start()
    yield driven
    await room.close()
    await until(lambda: not live.channels(), 10, "no channels")
    await driven.stop()
    assert live.bridges() == ""


@contextlib.asynccontextmanager
async def far_end(room: Room, *, tone_hz: int | None = None) -> AsyncIterator[UserAgent]:
    """Whoever answers at public numbers, in silence or with a tone."""
    media = Media("tone", tone_hz) if tone_hz else Media("silence")
    agent = UserAgent(user="far", port=room.lab.callee.port, media=media)
    try:
        yield agent
    finally:
        await agent.shut_down(2.0)


# --- what callers hear ---


async def test_announcements_are_told_apart(switch: Switch) -> None:
    """One that is replaced was not completed, one that ends was; each end names its own prompt, and then there is music."""
    jo = switch.room.caller("101_no_greeting", hears=True)
    call = await switch.presented(jo)
    first = effects.Announce(call_id=call.call_id, prompt="first", sounds=("greeting-101",))
    second = effects.Announce(
        call_id=call.call_id, prompt="second", sounds=("number-1", "number:2", "number:99")
    )
    switch.ask(first, second)
    cut = await switch.hears(inputs.AnnouncementFinished)
    said = await switch.hears(inputs.AnnouncementFinished)
    assert [(cut.prompt, cut.completed), (said.prompt, said.completed)] == [
        ("first", False),
        ("second", True),
    ]
    jo.leg.forget_heard()
    await jo.until(lambda: jo.leg.level_dbm0 > -45, 5)
    assert switch.heard(inputs.AnnouncementFinished) == []


async def test_announcement_is_stopped_at_once(switch: Switch) -> None:
    """Music again, and no second word of it."""
    jo = switch.room.caller("101_no_greeting", hears=True)
    call = await switch.presented(jo)
    switch.ask(effects.Announce(call_id=call.call_id, prompt="long", sounds=("greeting-101",) * 5))
    await jo.until(lambda: jo.leg.level_dbm0 > -45, 5)
    switch.ask(effects.StopAnnouncement(call_id=call.call_id))
    ended = await switch.hears(inputs.AnnouncementFinished)
    assert (ended.prompt, ended.completed) == ("long", False)
    assert await jo.lasts(0.5)
    assert switch.heard(inputs.AnnouncementFinished) == []


async def test_nothing_is_said_to_a_999(switch: Switch) -> None:
    """Refused in the adapter, whoever asks, and the engine is not left waiting for its end."""
    jo = switch.room.caller("999", hears=True)
    call = await switch.presented(jo)
    switch.ask(effects.Announce(call_id=call.call_id, prompt="closed", sounds=("greeting-101",)))
    assert (await switch.hears(inputs.AnnouncementFinished)).completed is False
    assert jo.stamp_of("200") is None
    assert jo.stamp_of("183") is None


async def test_keys_are_heard_while_waiting_and_while_talking(switch: Switch) -> None:
    """Those of the caller, in a prompt too; never those of the agent."""
    jo, ann = switch.room.caller("101_no_greeting", hears=True), await switch.room.agent(1)
    call = await switch.presented(jo)
    switch.ask(effects.Announce(call_id=call.call_id, prompt="menu", sounds=("greeting-101",) * 5))
    await jo.until(lambda: jo.leg.level_dbm0 > -45, 5)
    jo.leg.send_digits("1")
    assert (await switch.hears(inputs.KeyPressed)).key == "1"
    phone_call = await switch.connects(call, ann)
    phone_call.leg.send_digits("5")
    jo.leg.send_digits("9")
    assert (await switch.hears(inputs.KeyPressed)).key == "9"
    assert switch.heard(inputs.KeyPressed) == []


# --- letting callers go ---


async def test_only_a_101_caller_can_be_let_go(switch: Switch) -> None:
    """A 999 and an upgraded 101 stay, whoever asks."""
    callers = {name: switch.room.caller(name) for name in ("101_no_greeting", "999")}
    calls = {name: await switch.presented(caller) for name, caller in callers.items()}
    upgraded = switch.room.caller("101_no_greeting")
    place = effects.NotePlace(
        call_id=(await switch.presented(upgraded)).call_id,
        queue="999",
        tier=Tier.EMERGENCY,
        place_utc_us=1_800_000_000_000_000,
        language="en",
        upgraded=True,
    )
    switch.ask(place, effects.HangUpCaller(call_id=place.call_id))
    for call in calls.values():
        switch.ask(effects.HangUpCaller(call_id=call.call_id))
    gone = await switch.hears(inputs.CallerGone)
    assert (gone.call_id, gone.side) == (calls["101_no_greeting"].call_id, Side.SYSTEM)
    await callers["101_no_greeting"].ended(2)
    assert await upgraded.lasts(0.5)
    assert callers["999"].ended_by is None


async def test_diverted_caller_talks_to_the_other_number(switch: Switch) -> None:
    """It rings there, and the call ends with that talk."""
    async with far_end(switch.room) as far:
        jo = switch.room.caller("101_no_greeting")
        call = await switch.presented(jo)
        switch.ask(effects.Divert(call_id=call.call_id, phone="buddy"))
        other = await far.next_invite(5)
        other.answer()
        await other.until(lambda: other.acknowledged, 3)
        await other.hang_up()
        assert (await switch.hears(inputs.CallerGone)).call_id == call.call_id


async def test_diversion_that_fails_brings_the_caller_back(switch: Switch) -> None:
    """The other number is busy: the caller is in our hands again, with the dead-man running."""
    async with far_end(switch.room) as far:
        jo = switch.room.caller("101_no_greeting")
        call = await switch.presented(jo)
        switch.ask(effects.Divert(call_id=call.call_id, phone="buddy"))
        (await far.next_invite(5)).reject(486)
        returned = await switch.hears(inputs.PairReturned)
        assert (returned.call_id, returned.offer_id) == (call.call_id, None)


async def test_place_is_written_where_the_fallback_reads_it(switch: Switch) -> None:
    """Queue, priority, language and upgrade stand on the caller's leg."""
    jo = switch.room.caller("101_no_greeting")
    call = await switch.presented(jo)
    switch.ask(
        effects.NotePlace(
            call_id=call.call_id,
            queue="second",
            tier=Tier.ROUTINE,
            place_utc_us=1_800_000_000_000_000,
            language="cy",
        )
    )
    await until(lambda: switch.variable(call.leg_id, "EDGE_QUEUE") == "second")
    await until(lambda: switch.variable(call.leg_id, "QUEUE_PRIO") == "1672256000")
    await until(lambda: "Language: cy" in switch.shown(call.leg_id))
    switch.ask(effects.SendToFallback(call_id=call.call_id, line=call.line))
    assert (await switch.hears(inputs.FallbackTook)).call_id == call.call_id
    await until(lambda: "1. PJSIP/" in switch.room.live.asterisk.cli("queue show edge-second"))


# --- agents ---


async def test_agent_is_set_not_ready(switch: Switch) -> None:
    """In every queue, with the reason; it is seen as if they had done it."""
    ann = await switch.room.agent(1)
    await switch.hears(inputs.AgentSeen, lambda made: made.phone == "agent1")
    switch.ask(effects.SetNotReady(agent=ann.number, reason="missed calls"))
    seen = await switch.hears(inputs.AgentSeen, lambda made: made.not_ready_reason is not None)
    assert (seen.agent, seen.phone, seen.not_ready_reason) == (ann.number, "agent1", "missed calls")


async def test_losers_are_told_that_the_call_is_answered_elsewhere(switch: Switch) -> None:
    """By CANCEL while the phone rings, by BYE after its answer; a withdrawal for another reason does not say so."""
    desks = [await switch.room.agent(index) for index in (1, 2, 3)]
    call = await switch.presented(switch.room.caller("101_no_greeting"))
    offers = [switch.offer(call, n, phone=f"agent{n}") for n in (1, 2, 3)]
    rung = [await desk.offered() for desk in desks]
    rung[1].answer()
    await switch.hears(inputs.PhoneAnswered)
    switch.ask(
        effects.WithdrawOffer(offer_id=offers[0], answered_elsewhere=True),
        effects.HangUpOffer(offer_id=offers[1], answered_elsewhere=True),
        effects.WithdrawOffer(offer_id=offers[2]),
    )
    for phone_call in rung:
        await phone_call.ended(3)
    elsewhere = ['SIP;cause=200;text="Call completed elsewhere"' in phone_call.reasons for phone_call in rung]
    assert elsewhere == [True, True, False]


@pytest.mark.parametrize(
    ("changes", "shown", "alerting"),
    [
        ({}, b"101-no-greeting standard 0:01", None),
        (
            {"tier": Tier.EMERGENCY},
            b"999 101-no-greeting standard 0:01",
            "<http://edge101.invalid/999>;info=999",
        ),
        (
            {"upgraded": True, "notes": ("assisted", "4 calls in 24 h")},
            b"UPGRADED 101 101-no-greeting standard 0:01 assisted - 4 calls in 24 h",
            "<http://edge101.invalid/999>;info=999",
        ),
    ],
)
async def test_phone_shows_what_it_rings_for(
    switch: Switch, changes: dict[str, Any], shown: bytes, alerting: str | None
) -> None:
    """A ring of its own for an emergency, and everything worth knowing on the display."""
    ann = await switch.room.agent(1)
    call = await switch.presented(switch.room.caller("101_no_greeting"))
    switch.offer(call, **changes)
    phone_call = await ann.offered()
    assert (phone_call.caller_name, phone_call.header("Alert-Info")) == (shown, alerting)
    assert phone_call.header("X-Edge-Notes") == (" - ".join(changes.get("notes", ())) or None)


# --- transfers ---


async def talking(switch: Switch) -> tuple[OutgoingCall, inputs.CallPresented, Desk, IncomingCall]:
    """A 101 caller talks with agent 1."""
    ann, jo = await switch.room.agent(1), switch.room.caller("101_no_greeting", hears=True)
    call = await switch.presented(jo)
    return jo, call, ann, await switch.connects(call, ann)


async def test_blind_transfer_to_a_colleague(switch: Switch) -> None:
    """The caller is passed on, the handler is free, keys are still heard, and the colleague's hang-up is the agent's."""
    bob = await switch.room.agent(2)
    jo, call, _, phone_call = await talking(switch)
    assert await phone_call.refer(switch.room.uri(bob.number)) == 202
    passed = await switch.hears(inputs.CallPassedOn)
    assert (passed.call_id, passed.offer_id, passed.kind) == (
        call.call_id,
        f"{call.call_id}.1",
        TransferKind.BLIND,
    )
    assert (passed.target, passed.agent) == (bob.number, bob.number)
    await switch.hears(inputs.PhoneGone)
    with_bob = await bob.answers()
    await with_bob.hang_up()
    gone = await switch.hears(inputs.CallerGone)
    assert (gone.call_id, gone.side) == (call.call_id, Side.AGENT)
    await jo.ended(3)


async def test_blind_transfer_that_fails_brings_the_caller_back(switch: Switch) -> None:
    """The colleague is not signed in."""
    _, call, _, phone_call = await talking(switch)
    await phone_call.refer(switch.room.uri("4003"))
    assert (await switch.hears(inputs.PairReturned)).call_id == call.call_id
    await switch.hears(inputs.PhoneGone)


@pytest.mark.parametrize("target", ["1018", "*302"])
async def test_blind_transfer_to_a_queue_is_the_same_call(switch: Switch, target: str) -> None:
    """By the line's number and by the send-back code: in our hands again, and passed on to nobody."""
    _, call, _, phone_call = await talking(switch)
    await phone_call.refer(switch.room.uri(target))
    back = await switch.hears(inputs.CallSentBack)
    assert (back.call_id, back.queue, back.offer_id) == (call.call_id, "second", f"{call.call_id}.1")
    await switch.hears(inputs.PhoneGone)
    assert switch.heard(inputs.CallPassedOn) == []
    assert switch.heard(inputs.CallPresented) == []


async def test_attended_transfer_to_another_number(switch: Switch) -> None:
    """The handler's two legs end, the offer ends once, and the call goes on."""
    async with far_end(switch.room) as far:
        jo, call, ann, phone_call = await talking(switch)
        await phone_call.hold()
        consult = ann.phone.agent.invite(switch.room.uri("01632960777"))
        other = await far.next_invite(5)
        other.answer()
        await consult.answered(3)
        await phone_call.refer(consult)
        passed = await switch.hears(inputs.CallPassedOn)
        assert (passed.call_id, passed.kind, passed.target, passed.agent) == (
            call.call_id,
            TransferKind.ATTENDED,
            "01632960777",
            None,
        )
        await switch.hears(inputs.PhoneGone)
        assert await jo.lasts(0.3)
        assert switch.heard(inputs.CallerGone) == []
        await jo.hang_up()
        assert (await switch.hears(inputs.CallerGone)).side is Side.CALLER


async def test_attended_transfer_into_a_waiting_line_is_the_same_call(switch: Switch) -> None:
    """The caller takes the place in which the handler waited: their own call goes on there, its name on the leg again, and the
    dead-man that it inherited is put off."""
    jo, call, ann, phone_call = await talking(switch)
    await phone_call.hold()
    consult = ann.phone.agent.invite(switch.room.uri("1018"))
    await consult.answered(3)
    waiting = await switch.hears(inputs.CallPresented)
    await phone_call.refer(consult)
    back = await switch.hears(inputs.CallSentBack)
    assert (back.call_id, back.queue) == (call.call_id, "second")
    assert (await switch.hears(inputs.CallerGone)).call_id == waiting.call_id
    switch.ask(effects.TakeCharge(call_id=call.call_id, line=call.line, greeting=None))
    await until(lambda: switch.variable(call.leg_id, "EDGE_CALL") == call.call_id)
    assert await jo.lasts(7)  # longer than the dead-man of that line
    assert switch.heard(inputs.FallbackTook) == []
    bob = await switch.room.agent(2)
    await switch.connects(call, bob, attempt=2)


# --- call-backs ---

PERSON, OURS, BACK = "01632960555", "01632960100", "20261126T100000Z-77"
"""Whom we call back, the number that they are shown, and the call."""


def dial(attempt: int = 1, **changes: Any) -> effects.DialPerson:
    """Ring the person."""
    fields: dict[str, Any] = {
        "call_id": BACK,
        "attempt": attempt,
        "offer_id": None,
        "number": PERSON,
        "trunk": "callee",
        "show_number": OURS,
        "ring_seconds": 20.0,
        "line": "101-no-greeting",
        "queue": "101",
        "language": "en",
        "joined_utc_us": 1_800_000_000_000_000,
        "place_utc_us": 1_800_000_000_000_000,
    }
    return effects.DialPerson(**(fields | changes))


async def reserved(switch: Switch, desk: Desk, attempt: int = 1) -> tuple[str, IncomingCall]:
    """The desk has answered for the call-back and waits: the offer, and the phone's call."""
    nobody = inputs.CallPresented(
        call_id=BACK,
        leg_id="",
        line="101-no-greeting",
        caller_number=PERSON,
        caller_name=None,
        number_withheld=False,
    )
    offer_id = switch.offer(nobody, attempt, phone=desk.phone.user, callback=True, waited_seconds=842.0)
    phone_call = await desk.answers()
    await switch.hears(inputs.PhoneAnswered, lambda made: made.offer_id == offer_id)
    return offer_id, phone_call


async def reaches_person(
    switch: Switch, far: UserAgent, attempt: int = 1, **changes: Any
) -> tuple[IncomingCall, inputs.PersonAnswered]:
    """The person is rung and answers."""
    switch.ask(dial(attempt, **changes))
    person = await far.next_invite(5)
    person.answer()
    await person.until(lambda: person.acknowledged, 3)
    return person, await switch.hears(inputs.PersonAnswered, lambda made: made.attempt == attempt)


async def talks_with_person(
    switch: Switch, far: UserAgent, desk: Desk
) -> tuple[IncomingCall, IncomingCall, inputs.PersonAnswered]:
    """Agent first, to the end: the person's call, the agent's, and the answer."""
    offer_id, phone_call = await reserved(switch, desk)
    person, answered = await reaches_person(switch, far, offer_id=offer_id)
    switch.ask(effects.ConnectPair(call_id=BACK, offer_id=offer_id))
    await switch.hears(inputs.PairJoined, lambda made: made.offer_id == offer_id)
    return person, phone_call, answered


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (486, AttemptOutcome.BUSY),
        (600, AttemptOutcome.BUSY),
        (603, AttemptOutcome.REJECTED),
        (607, AttemptOutcome.REJECTED),
        (404, AttemptOutcome.INVALID),
        (484, AttemptOutcome.INVALID),
        (500, AttemptOutcome.NETWORK),
        (503, AttemptOutcome.NETWORK),
        (480, AttemptOutcome.NETWORK),
    ],
)
async def test_person_who_is_not_reached(switch: Switch, status: int, outcome: AttemptOutcome) -> None:
    """What the network says is what the attempt came to, and its words have no number in them."""
    async with far_end(switch.room) as far:
        switch.ask(dial())
        (await far.next_invite(5)).reject(status)
        gone = await switch.hears(inputs.PersonGone)
    assert (gone.call_id, gone.attempt, gone.outcome) == (BACK, 1, outcome)
    assert PERSON not in gone.cause
    assert switch.heard(inputs.PersonRang) == []


async def test_person_whose_phone_rings_and_is_not_answered(switch: Switch) -> None:
    """480 after 180. They see the number of ours, and no name."""
    async with far_end(switch.room) as far:
        switch.ask(dial())
        person = await far.next_invite(5)
        person.ring()
        assert (await switch.hears(inputs.PersonRang)).attempt == 1
        person.reject(480)
        assert (await switch.hears(inputs.PersonGone)).outcome is AttemptOutcome.NO_ANSWER
    assert person.invite.uri.partition("@")[0] == f"sip:{PERSON}"
    assert (person.caller_number, person.caller_name) == (OURS, b"")
    assert [name for name, _ in person.invite.headers if name.lower().startswith("x-edge")] == []


async def test_a_trunk_that_is_not_there(switch: Switch) -> None:
    """The network's fault, at once."""
    switch.ask(dial(trunk="nowhere"))
    assert (await switch.hears(inputs.PersonGone)).outcome is AttemptOutcome.NETWORK


async def test_an_attempt_is_made_once(switch: Switch) -> None:
    """Asked twice, asked again by another life of ours, and asked after its end: one INVITE."""
    async with far_end(switch.room) as far:
        switch.ask(dial(), dial())
        person = await far.next_invite(5)
        person.ring()
        await switch.hears(inputs.PersonRang)
        found = await switch.again()
        assert found.attempts == (inputs.SeenAttempt(call_id=BACK, attempt=1),)
        assert found.calls == ()
        switch.ask(dial())
        assert await person.lasts(0.5)
        person.reject(486)
        assert (await switch.hears(inputs.PersonGone)).outcome is AttemptOutcome.BUSY
        switch.ask(dial(), dial(attempt=2))
        second = await far.next_invite(5)
        second.reject(486)
        assert (await switch.hears(inputs.PersonGone)).attempt == 2
        assert [call.status for call in (person, second)] == [486, 486]
        with pytest.raises(TimeoutError):
            await far.next_invite(0.5)


async def test_an_attempt_is_ended(switch: Switch) -> None:
    """CANCEL, told once; after the answer it is not carried out."""
    async with far_end(switch.room) as far:
        switch.ask(dial())
        person = await far.next_invite(5)
        person.ring()
        await switch.hears(inputs.PersonRang)
        switch.ask(effects.EndAttempt(call_id=BACK, attempt=1))
        await person.ended(3)
        assert person.cancelled
        assert (await switch.hears(inputs.PersonGone)).outcome is AttemptOutcome.NO_ANSWER
        switch.ask(effects.EndAttempt(call_id=BACK, attempt=1))
        person, _ = await reaches_person(switch, far, attempt=2)
        switch.ask(effects.EndAttempt(call_id=BACK, attempt=2))
        assert await person.lasts(0.5)
        assert switch.heard(inputs.PersonGone) == []


async def test_agent_first(switch: Switch) -> None:
    """The phone shows a call-back; the agent hears ringing until the person is there, then the person and nothing else; keys
    and the end of the talk are told as of any caller."""
    ann = await switch.room.agent(1, tone_hz=700)
    async with far_end(switch.room, tone_hz=1100) as far:
        offer_id, phone_call = await reserved(switch, ann)
        assert phone_call.caller_name == b"CALL-BACK 101-no-greeting standard 14:02"
        assert phone_call.header("X-Edge-Callback") == "yes"
        assert phone_call.leg.level_dbm0 < -60
        switch.ask(dial(offer_id=offer_id))
        person = await far.next_invite(5)
        person.ring()
        await switch.hears(inputs.PersonRang)
        await phone_call.until(lambda: phone_call.leg.level_dbm0 > -30, 5)
        person.answer()
        answered = await switch.hears(inputs.PersonAnswered)
        assert (answered.call_id, answered.attempt) == (BACK, 1)
        switch.ask(effects.ConnectPair(call_id=BACK, offer_id=offer_id))
        await switch.hears(inputs.PairJoined, lambda made: made.offer_id == offer_id)
        phone_call.leg.forget_heard()
        await phone_call.until(lambda: phone_call.leg.hears(1100), 3)
        await person.until(lambda: person.leg.hears(700), 3)
        person.leg.send_digits("9")
        assert (await switch.hears(inputs.KeyPressed)).key == "9"
        await person.hang_up()
        gone = await switch.hears(inputs.CallerGone)
        assert (gone.call_id, gone.side) == (BACK, Side.CALLER)
        await switch.hears(inputs.PhoneGone)


async def test_ringing_ends_when_they_are_joined(switch: Switch) -> None:
    """A person who says nothing is heard as silence, through more than one whole cadence of ringing."""
    ann = await switch.room.agent(1)
    async with far_end(switch.room) as far:
        offer_id, phone_call = await reserved(switch, ann)
        switch.ask(dial(offer_id=offer_id))
        person = await far.next_invite(5)
        person.ring()
        await phone_call.until(lambda: phone_call.leg.level_dbm0 > -30, 5)
        person.answer()
        await switch.hears(inputs.PersonAnswered)
        switch.ask(effects.ConnectPair(call_id=BACK, offer_id=offer_id))
        await switch.hears(inputs.PairJoined)
        assert await phone_call.lasts(0.1)  # what was on the wire
        phone_call.leg.forget_heard()
        packets = phone_call.leg.packets
        for _ in range(7):
            assert await phone_call.lasts(0.5)
            assert phone_call.leg.level_dbm0 < -60
        assert phone_call.leg.packets > packets + 100


async def test_agent_waits_longer_than_a_phone_rings(switch: Switch) -> None:
    """The limit of their own leg does not cut them off while the person's phone rings."""
    ann = await switch.room.agent(1)
    async with far_end(switch.room) as far:
        offer_id, phone_call = await reserved(switch, ann)
        switch.ask(dial(offer_id=offer_id))
        person = await far.next_invite(5)
        person.ring()
        assert await phone_call.lasts(16.0)  # the offer's 10 s and 5 more
        switch.ask(effects.EndAttempt(call_id=BACK, attempt=1), effects.HangUpOffer(offer_id=offer_id))
        await switch.hears(inputs.PersonGone)
        await switch.hears(inputs.PhoneGone)


async def test_agent_who_hangs_up_a_call_back_ends_it(switch: Switch) -> None:
    """As any conversation."""
    ann = await switch.room.agent(1)
    async with far_end(switch.room) as far:
        person, phone_call, _ = await talks_with_person(switch, far, ann)
        await phone_call.hang_up()
        gone = await switch.hears(inputs.CallerGone)
        assert (gone.call_id, gone.side) == (BACK, Side.AGENT)
        await person.ended(3)


async def test_person_who_answered_can_be_sent_back_to_a_queue(switch: Switch) -> None:
    """By the agent, with the code: the same call, in our hands."""
    ann, bob = await switch.room.agent(1), await switch.room.agent(2)
    async with far_end(switch.room) as far:
        person, phone_call, answered = await talks_with_person(switch, far, ann)
        await phone_call.refer(switch.room.uri("*302"))
        back = await switch.hears(inputs.CallSentBack)
        assert (back.call_id, back.queue) == (BACK, "second")
        switch.ask(effects.TakeCharge(call_id=BACK, line="101-no-greeting", greeting=None))
        waiting = inputs.CallPresented(
            call_id=BACK,
            leg_id=answered.leg_id,
            line="101-no-greeting",
            caller_number=PERSON,
            caller_name=None,
            number_withheld=False,
        )
        await switch.connects(waiting, bob, attempt=2)
        assert await person.lasts(0.3)


async def test_person_is_taken_by_the_fallback_when_nobody_has_them(switch: Switch) -> None:
    """Answered, and no effect follows: the dead-man gives them to the line's queue, at their place, and an agent answers."""
    ann = await switch.room.agent(1)
    async with far_end(switch.room) as far:
        person, answered = await reaches_person(switch, far, line="second", language="cy")
        console = switch.room.live.asterisk.cli
        assert "Language: cy" in switch.shown(answered.leg_id)
        assert "routine" in console("group show channels")
        taken = await switch.hears(inputs.FallbackTook)
        assert (taken.call_id, taken.leg_id, taken.why) == (BACK, answered.leg_id, "dead-man")
        assert switch.variable(answered.leg_id, "QUEUE_PRIO") == "1672256000"
        phone_call = await ann.answers()
        assert phone_call.caller_number == PERSON
        assert (await switch.hears(inputs.FallbackAnswered)).agent == ann.number
        await person.hang_up()
        assert (await switch.hears(inputs.CallerGone)).call_id == BACK


async def test_person_who_answers_when_we_are_dead_is_served(switch: Switch) -> None:
    """By the switch's own queue, with an agent; the next life of ours finds them there."""
    ann = await switch.room.agent(1)
    async with far_end(switch.room) as far:
        switch.ask(dial())
        person = await far.next_invite(5)
        person.ring()
        await switch.hears(inputs.PersonRang)
        await switch.stop()
        app = switch.configuration.switch.app
        await until(lambda: app not in switch.room.live.asterisk.cli("ari show apps").split())
        person.answer()
        await ann.answers()
        found = await switch.again()
        assert [(seen.call_id, seen.line, seen.standing) for seen in found.calls] == [
            (BACK, "101-no-greeting", inputs.Standing.FALLBACK)
        ]
        assert (found.calls[0].joined_utc_us, found.attempts) == (1_800_000_000_000_000, ())
        assert (await switch.hears(inputs.FallbackAnswered)).agent == ann.number


async def test_persons_who_answered_are_found_again(switch: Switch) -> None:
    """In our hands, and in a conversation with an agent; and there they can be served on."""
    ann = await switch.room.agent(1)
    async with far_end(switch.room) as far:
        person, answered = await reaches_person(switch, far)
        found = await switch.again()
        assert [(seen.call_id, seen.leg_id, seen.standing) for seen in found.calls] == [
            (BACK, answered.leg_id, inputs.Standing.HELD)
        ]
        switch.ask(effects.TakeCharge(call_id=BACK, line="101-no-greeting", greeting=None))
        offer_id, phone_call = await reserved(switch, ann)
        switch.ask(effects.ConnectPair(call_id=BACK, offer_id=offer_id))
        await switch.hears(inputs.PairJoined)
        found = await switch.again()
        assert [(seen.call_id, seen.standing, seen.offer_id) for seen in found.calls] == [
            (BACK, inputs.Standing.CONNECTED, offer_id)
        ]
        assert found.attempts == ()
        await phone_call.hang_up()
        assert (await switch.hears(inputs.CallerGone)).call_id == BACK
        await person.ended(3)


async def test_person_who_is_gone_at_once(switch: Switch) -> None:
    """Answered and hung up in the same moment: told once, as gone, however it is seen."""
    async with far_end(switch.room) as far:
        for attempt in range(1, 6):
            switch.ask(dial(attempt))
            await answers_and_hangs_up(await far.next_invite(5))
            await until(lambda: switch.heard(inputs.CallerGone) or switch.heard(inputs.PersonGone))
            answered, gone, missed = (
                len(switch.heard(kind))
                for kind in (inputs.PersonAnswered, inputs.CallerGone, inputs.PersonGone)
            )
            assert (answered, gone, missed) in ((1, 1, 0), (0, 0, 1))
            switch.posted.clear()


async def answers_and_hangs_up(person: IncomingCall) -> None:
    """In one breath."""
    person.answer()
    await person.until(lambda: person.acknowledged, 3)
    await person.hang_up()


async def test_number_is_keyed(switch: Switch) -> None:
    """As one, ended by #; anew after *; the emergency key first is that key."""
    jo = switch.room.caller("101_no_greeting", hears=True)
    call = await switch.presented(jo)
    switch.ask(effects.CollectNumber(call_id=call.call_id))
    jo.leg.send_digits("01*01632960123#1")
    assert (await switch.hears(inputs.NumberKeyed)).number == "01632960123"
    assert (await switch.hears(inputs.KeyPressed)).key == "1"
    switch.ask(effects.CollectNumber(call_id=call.call_id))
    jo.leg.send_digits("0163*9")
    assert (await switch.hears(inputs.KeyPressed)).key == "9"
    switch.ask(effects.CollectNumber(call_id=call.call_id))
    jo.leg.send_digits("01")
    assert (await switch.hears(inputs.NumberKeyed)).number == "01"  # 5 s later
    assert switch.heard(inputs.KeyPressed) == []


# --- another life ---


async def test_passed_on_and_upgraded_callers_are_found_again(switch: Switch) -> None:
    """After a crash: who talks elsewhere is connected, and who was upgraded is told as such."""
    bob = await switch.room.agent(2)
    _, call, _, phone_call = await talking(switch)
    await phone_call.refer(switch.room.uri(bob.number))
    await bob.answers()
    flo = switch.room.caller("101_no_greeting")
    waiting = await switch.presented(flo)
    switch.ask(
        effects.NotePlace(
            call_id=waiting.call_id,
            queue="999",
            tier=Tier.EMERGENCY,
            place_utc_us=1_800_000_000_000_000,
            language="en",
            upgraded=True,
        )
    )
    await until(lambda: switch.variable(waiting.leg_id, "EDGE_UPGRADED") == "1")
    found = await switch.again()
    assert {seen.call_id: (seen.standing, seen.offer_id) for seen in found.calls} == {
        call.call_id: (inputs.Standing.CONNECTED, None),
        waiting.call_id: (inputs.Standing.HELD, None),
    }
    key = await switch.hears(inputs.KeyPressed)
    assert (key.call_id, key.upgraded) == (waiting.call_id, True)
    switch.ask(effects.HangUpCaller(call_id=waiting.call_id))
    assert await flo.lasts(0.3)


# --- what people say ---


async def test_what_people_say_is_heard(switch: Switch) -> None:
    """The command line's notices come as inputs."""
    async with connected(switch.configuration) as link:
        await notices.declare_incident(link, True, "duty sergeant")
        await notices.annotate(link, "c-1", "incident", "LC-20261124-0042", "", "4001")
        await notices.mark_assisted(link, "c-1", "4001")
        await notices.report_check(link, "call.one", CheckVerdict.WARN, "0.9 s", "hwtest edge@appliance")
    heard = await switch.hears(inputs.IncidentSet)
    assert (heard.active, heard.by) == (True, "duty sergeant")
    note = await switch.hears(inputs.CallAnnotated)
    assert (note.call_id, note.kind, note.value, note.by) == ("c-1", "incident", "LC-20261124-0042", "4001")
    assert (await switch.hears(inputs.CallMarkedAssisted)).call_id == "c-1"
    checked = await switch.hears(inputs.EquipmentChecked)
    assert (checked.probe, checked.verdict, checked.figure) == ("call.one", CheckVerdict.WARN, "0.9 s")
    assert checked.by == "hwtest edge@appliance"


async def test_codes_name_the_conversation(switch: Switch) -> None:
    """The code for a caller through a relay is dialled on a second line, and means the call of that handler."""
    _, call, ann, _ = await talking(switch)
    await ann.dial(switch.configuration.codes.assisted)
    marked = await switch.hears(inputs.CallMarkedAssisted)
    assert (marked.call_id, marked.by) == (call.call_id, ann.number)
    await ann.dial(switch.configuration.codes.assist)
    assert (await switch.hears(inputs.AssistAsked)).agent == ann.number


async def test_sign_in_is_seen(switch: Switch) -> None:
    """By the command line as by the phone."""
    ann = await switch.room.desk(1)
    async with connected(switch.configuration) as link:
        await AgentControl(link, switch.configuration).sign_in(ann.number)
    seen = await switch.hears(inputs.AgentSeen, lambda made: made.phone is not None)
    assert (seen.agent, seen.phone) == (ann.number, "agent1")
