"""A call's worker: effects in order, and a dead-man that is put off only while it should be."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from panoramisk.message import Message

from edge.core.effects import (
    Announce,
    CollectNumber,
    ConnectPair,
    DialPerson,
    Divert,
    Effect,
    EndAttempt,
    HangUpCaller,
    HangUpOffer,
    MakeOffer,
    NotePlace,
    StopAnnouncement,
    TakeCharge,
    WithdrawOffer,
)
from edge.core.inputs import AnnouncementFinished, CallerGone, Input, PairReturned, PersonGone, PhoneGone
from edge.core.model import Refusal, Side, Tier
from edge.core.promise import AttemptOutcome
from edge.errors import LinkError, RefusedError
from edge.pbx.asterisk import identity
from edge.pbx.asterisk.ari.translate import Request
from edge.pbx.asterisk.book import Book, Place
from edge.pbx.asterisk.calls import CallWorker, LookRound, MusicAgain, Work
from edge.pbx.asterisk.hands import Hands
from edge.pbx.asterisk.settings import AsteriskSettings
from edge.pbx.asterisk.sightings import (
    Caller,
    CallerEntered,
    KeyHeard,
    LegAnswered,
    LegEnded,
    Sighting,
)
from tests.asterisk.site import POLICY

CALL, OFFER = "c-1", "c-1.1"


class Links:
    """Both links at once: remembers what is asked, and answers as told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failures: dict[str, Exception] = {}
        self.refused: Callable[[], None] | None = None

    async def request(self, request: Request) -> Any:
        """An ARI operation."""
        self.asked.append(request.operation)
        if request.operation in self.failures:
            raise self.failures[request.operation]
        return {}

    def tell(self, name: str, headers: dict[str, str], refused: Callable[[], None]) -> None:
        """A renewal."""
        self.asked.append(f"renew {headers['Value']}")
        self.refused = refused

    async def ask_all(self, requests: Sequence[tuple[str, dict[str, str]]]) -> list[Message]:
        """AMI actions."""
        self.asked += [name for name, _ in requests]
        return [Message({"Response": "Success"}) for _ in requests]


class Bench:
    """One waiting caller, a worker and false links."""

    def __init__(self, line: str = "routine") -> None:
        self.book = Book(POLICY)
        self.links = Links()
        self.posted: list[Input] = []
        self.hands = Hands(AsteriskSettings(ari_password="", ami_password=""), POLICY, self.book, self.see)
        self.hands.take(self.links, self.links)  # type: ignore[arg-type]
        self.worker = CallWorker(CALL, self.hands, self.book, self.see)
        self.line = line
        self.see(
            CallerEntered(
                call_id=CALL,
                leg_id="1.1",
                line=line,
                caller=Caller(),
                returned=False,
                joined_utc_us=None,
                switch_utc_us=None,
            )
        )

    def see(self, sighting: Sighting) -> None:
        """What the switch shows."""
        self.posted += self.book.see(sighting)

    async def serve(self, *effects: Work) -> list[str]:
        """Let the worker serve these, and what it asked the switch for."""
        self.links.asked.clear()
        for effect in effects:
            self.worker.give(effect)
        return await self.settle()

    async def settle(self) -> list[str]:
        """Until the worker has nothing to do."""
        task = asyncio.create_task(self.worker.run())
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return self.links.asked

    def charge(self, greeting: str | None = None) -> TakeCharge:
        """Begin to serve the caller."""
        return TakeCharge(call_id=CALL, line=self.line, greeting=greeting)

    async def tick(self, now: float, pulse: float) -> list[str]:
        """Time passes."""
        self.links.asked.clear()
        self.worker.tick(now, pulse)
        return await self.settle()


def offer() -> MakeOffer:
    """Ring phone1."""
    return MakeOffer(
        offer_id=OFFER,
        call_id=CALL,
        phone="phone1",
        ring_seconds=15,
        caller_number=None,
        line="routine",
        tier=Tier.ROUTINE,
        priority_class="standard",
        waited_seconds=0,
    )


async def test_greeting_then_renewals() -> None:
    """The dead-man is put off at once, then the greeting plays."""
    assert await Bench().serve(Bench().charge("welcome")) == ["renew 15", "playWithId"]


def say(prompt: str, *sounds: str) -> Announce:
    """Say something."""
    return Announce(call_id=CALL, prompt=prompt, sounds=sounds or (prompt,))


async def test_announcement_replaces_what_plays() -> None:
    """The first is stopped and told as cut before the second begins; music only when nothing plays."""
    bench = Bench()
    assert await bench.serve(say("one"), say("two")) == ["playWithId", "stop", "playWithId"]
    assert bench.posted[1:] == [AnnouncementFinished(call_id=CALL, prompt="one", completed=False)]
    assert await bench.serve(MusicAgain()) == []
    assert await bench.serve(StopAnnouncement(call_id=CALL), MusicAgain()) == ["stop", "startMoh"]
    assert await bench.serve(StopAnnouncement(call_id=CALL)) == []


async def test_announcement_that_cannot_be_played_has_ended() -> None:
    """The engine may be waiting for its end, to let the caller go."""
    bench = Bench()
    bench.links.failures = {"playWithId": RefusedError("500 no", 500)}
    await bench.serve(say("closed"))
    assert bench.posted[1:] == [AnnouncementFinished(call_id=CALL, prompt="closed", completed=False)]


async def test_nothing_is_said_to_a_999() -> None:
    """Whoever asks: it has ended before it began."""
    bench = Bench("emergency")
    assert await bench.serve(say("closed")) == []
    assert bench.posted[1:] == [AnnouncementFinished(call_id=CALL, prompt="closed", completed=False)]


async def test_unanswered_101_hears_ringing_after_an_announcement() -> None:
    """Music would answer them."""
    bench = Bench("second")
    assert await bench.serve(say("closed"), StopAnnouncement(call_id=CALL), MusicAgain()) == [
        "playWithId",
        "stop",
        "ring",
    ]


LET_GO = (HangUpCaller(call_id=CALL), Divert(call_id=CALL, phone="far"))


@pytest.mark.parametrize("line", ["emergency", "test"])
@pytest.mark.parametrize("effect", LET_GO)
async def test_emergency_is_never_let_go(line: str, effect: Effect) -> None:
    """Guarded where the switch is asked, and the renewals go on."""
    bench = Bench(line)
    await bench.serve(bench.charge())
    assert await bench.serve(effect) == []
    assert list(await bench.tick(100.0, 100.0)) != []


@pytest.mark.parametrize("effect", LET_GO)
async def test_upgraded_101_is_never_let_go(effect: Effect) -> None:
    """Neither after the engine noted it nor after its key was heard."""
    noted, heard = Bench(), Bench()
    assert await noted.serve(note(upgraded=True)) == ["Setvar"] * 4
    heard.see(KeyHeard(leg_id="1.1", key="9", switch_utc_us=None))
    assert (await noted.serve(effect), await heard.serve(effect)) == ([], [])


async def test_101_caller_is_let_go() -> None:
    """And the system did it."""
    bench = Bench()
    assert await bench.serve(HangUpCaller(call_id=CALL)) == ["hangup"]
    bench.see(LegEnded(leg_id="1.1", cause=16, status=0, words="", switch_utc_us=None))
    assert [each.side for each in bench.posted if isinstance(each, CallerGone)] == [Side.SYSTEM]


async def test_diverted_caller_is_not_renewed_and_may_come_back() -> None:
    """No clock runs on the talk with the other number; when it fails, we serve again."""
    bench = Bench()
    await bench.serve(bench.charge())
    asked = list(await bench.serve(Divert(call_id=CALL, phone="far")))
    assert (asked, await bench.tick(200.0, 200.0)) == (["Redirect"], [])
    assert await bench.serve(HangUpCaller(call_id=CALL), say("closed")) == []
    bench.see(
        CallerEntered(
            call_id=CALL,
            leg_id="1.1",
            line="routine",
            caller=Caller(),
            returned=True,
            joined_utc_us=None,
            switch_utc_us=None,
        )
    )
    assert bench.posted[-1] == PairReturned(call_id=CALL)


async def test_place_is_not_written_over_the_switchs_own() -> None:
    """In its own queue the dialplan knows better."""
    bench = Bench()
    bench.book.calls[CALL].place = Place.FALLBACK
    assert await bench.serve(note()) == []


def note(*, upgraded: bool = False) -> NotePlace:
    """Write a place down."""
    return NotePlace(
        call_id=CALL,
        queue="emergency",
        tier=Tier.ROUTINE,
        place_utc_us=1,
        language="en",
        upgraded=upgraded,
    )


async def test_caller_who_hears_ringing_gets_no_music() -> None:
    """A 999 hears ringing until a human answers."""
    bench = Bench("emergency")
    assert await bench.serve(bench.charge()) == ["renew 3"]


async def test_renewal_every_third_of_the_dead_man() -> None:
    """Not before it is due."""
    bench = Bench()
    await bench.serve(bench.charge())
    first = await bench.tick(100.0, 100.0)
    assert (list(first), await bench.tick(104.9, 104.9)) == (["renew 15"], [])
    assert await bench.tick(105.0, 105.0) == ["renew 15"]


async def test_wedged_engine_lets_its_callers_go() -> None:
    """Without a pulse for half the dead-man nobody is renewed, and with one again they are."""
    bench = Bench("emergency")
    await bench.serve(bench.charge())
    assert await bench.tick(100.0, 98.4) == []
    assert await bench.tick(100.0, 98.6) == ["renew 3"]


async def test_no_renewal_after_the_hand_over() -> None:
    """Nobody puts a clock on a conversation, however the engine insists."""
    bench = Bench()
    await bench.serve(bench.charge())
    asked = await bench.serve(ConnectPair(call_id=CALL, offer_id=OFFER), bench.charge())
    assert (list(asked), await bench.tick(200.0, 200.0)) == (["Setvar", "Redirect"], [])


async def test_caller_whom_the_switch_denies_twice_is_gone() -> None:
    """One refusal may be a race with the Hangup event; two are not."""
    bench = Bench()
    await bench.serve(bench.charge())
    assert bench.links.refused is not None
    bench.links.refused()
    assert CALL in bench.book.calls
    bench.links.refused()
    assert CALL not in bench.book.calls


async def test_answer_that_was_seen_is_not_withdrawn() -> None:
    """The engine is about to hear of it and decides."""
    bench = Bench()
    await bench.serve(offer())
    bench.see(LegAnswered(offer_id=OFFER, switch_utc_us=None))
    assert await bench.serve(WithdrawOffer(offer_id=OFFER)) == []
    assert await bench.serve(HangUpOffer(offer_id=OFFER)) == ["hangup"]


async def test_nobody_is_rung_for_a_caller_who_is_gone() -> None:
    """The offer ends at once."""
    bench = Bench()
    bench.see(LegEnded(leg_id="1.1", cause=16, status=0, words="", switch_utc_us=None))
    assert await bench.serve(offer()) == []
    assert [type(each) for each in bench.posted[-1:]] == [PhoneGone]


@pytest.mark.parametrize(
    ("failures", "refusal"),
    [
        ({"originateWithId": RefusedError("500 Allocation failed", 500)}, Refusal.UNREACHABLE),
        ({"originateWithId": RefusedError("400 bad", 400)}, Refusal.FAILED),
        ({"originateWithId": RefusedError("409 exists", 409)}, None),
        ({"originateWithId": LinkError("lost")}, None),
        ({"originateWithId": LinkError("lost"), "get": RefusedError("404", 404)}, Refusal.FAILED),
        ({"originateWithId": LinkError("lost"), "get": LinkError("lost")}, None),
    ],
)
async def test_originate_that_fails(failures: dict[str, Exception], refusal: Refusal | None) -> None:
    """Refused is an end; unknown is looked up; what exists is left to ring."""
    bench = Bench()
    bench.links.failures = failures
    await bench.serve(offer())
    ends = [each.refusal for each in bench.posted if isinstance(each, PhoneGone)]
    assert ends == ([] if refusal is None else [refusal])


async def test_leg_that_is_not_there_has_ended() -> None:
    """To end what does not exist is to have ended it."""
    bench = Bench()
    await bench.serve(offer())
    bench.links.failures = {"hangup": RefusedError("404", 404)}
    await bench.serve(WithdrawOffer(offer_id=OFFER))
    assert [each.refusal for each in bench.posted if isinstance(each, PhoneGone)] == [Refusal.CLEARED]


async def test_full_worker_stops_renewing() -> None:
    """A call that nobody serves is left to the dead-man."""
    bench = Bench()
    await bench.serve(bench.charge())
    for _ in range(100):
        bench.worker.give(bench.charge())
    bench.links.asked.clear()
    bench.worker.tick(1000.0, 1000.0)
    assert bench.links.asked == []


async def test_returned_caller_is_served_again() -> None:
    """After a failed hand-over the engine takes charge again."""
    bench = Bench()
    await bench.serve(bench.charge(), ConnectPair(call_id=CALL, offer_id=OFFER))
    bench.see(
        CallerEntered(
            call_id=CALL,
            leg_id="1.1",
            line="routine",
            caller=Caller(),
            returned=True,
            joined_utc_us=None,
            switch_utc_us=None,
        )
    )
    assert isinstance(bench.posted[-1], PairReturned)
    assert await bench.serve(bench.charge()) == ["renew 15", "startMoh"]


# --- call-backs: nobody is on the line ---


class EmptyBench(Bench):
    """A call whose caller has hung up."""

    def __init__(self) -> None:
        super().__init__()
        self.see(LegEnded(leg_id="1.1", cause=16, status=0, words="", switch_utc_us=None))
        self.posted.clear()

    @property
    def outcomes(self) -> list[AttemptOutcome]:
        """How attempts ended."""
        return [made.outcome for made in self.posted if isinstance(made, PersonGone)]


def dial(*, offer_id: str | None = OFFER, number: str = "01632960555", attempt: int = 1) -> DialPerson:
    """Ring the person."""
    return DialPerson(
        call_id=CALL,
        attempt=attempt,
        offer_id=offer_id,
        number=number,
        trunk="trunk",
        show_number="01632960100",
        ring_seconds=20.0,
        line="routine",
        queue="routine",
        language="en",
        joined_utc_us=1,
        place_utc_us=1,
    )


async def test_phone_rings_for_a_call_back_without_a_caller() -> None:
    """For any other call it would not."""
    assert await EmptyBench().serve(offer()) == []
    assert await EmptyBench().serve(replace(offer(), callback=True)) == ["originateWithId"]


async def test_agent_who_waits_is_kept_and_hears_ringing() -> None:
    """The limit of their leg is put off before the person is rung; where the person comes first nobody waits."""
    limit = 20 + POLICY.callbacks.unrung_seconds + 2 * 5
    assert await EmptyBench().serve(dial()) == [f"renew {limit:g}", "originateWithId", "ring"]
    assert await EmptyBench().serve(dial(offer_id=None)) == ["originateWithId"]


async def test_person_is_rung_once() -> None:
    """However often it is asked for."""
    bench = EmptyBench()
    await bench.serve(dial())
    assert await bench.serve(dial()) == []
    bench.see(
        LegEnded(leg_id=identity.leg_of_attempt(CALL, 1), cause=17, status=486, words="", switch_utc_us=None)
    )
    assert await bench.serve(dial()) == []
    assert bench.outcomes == [AttemptOutcome.BUSY]


@pytest.mark.parametrize(
    ("failures", "outcome"),
    [
        ({"originateWithId": RefusedError("500 Allocation failed", 500)}, AttemptOutcome.NETWORK),
        ({"originateWithId": RefusedError("400 bad", 400)}, AttemptOutcome.NETWORK),
        ({"originateWithId": RefusedError("409 exists", 409)}, None),
        ({"originateWithId": LinkError("lost")}, None),
        ({"originateWithId": LinkError("lost"), "get": RefusedError("404", 404)}, AttemptOutcome.NETWORK),
        ({"originateWithId": LinkError("lost"), "get": LinkError("lost")}, None),
        ({"ring": RefusedError("404 Channel not found", 404)}, None),
    ],
)
async def test_dialling_that_fails(failures: dict[str, Exception], outcome: AttemptOutcome | None) -> None:
    """Refused is an end; unknown is looked up; what exists is left to ring; an agent who has just gone changes nothing."""
    bench = EmptyBench()
    bench.links.failures = failures
    await bench.serve(dial())
    assert bench.outcomes == ([] if outcome is None else [outcome])


@pytest.mark.parametrize("number", ["", "0163@x", "0163&PJSIP/agent1"])
async def test_what_is_no_number_is_not_dialled(number: str) -> None:
    """It would be Asterisk's syntax."""
    bench = EmptyBench()
    assert await bench.serve(dial(number=number)) == []
    assert bench.outcomes == [AttemptOutcome.INVALID]
    assert not any(number in str(made) for made in bench.posted if number)


async def test_an_attempt_is_ended() -> None:
    """Once; one that is not there has ended."""
    bench = EmptyBench()
    await bench.serve(dial())
    assert await bench.serve(EndAttempt(call_id=CALL, attempt=1)) == ["hangup"]
    bench.links.failures = {"hangup": RefusedError("404", 404)}
    await bench.serve(EndAttempt(call_id=CALL, attempt=1))
    assert bench.outcomes == [AttemptOutcome.NETWORK]
    assert await bench.serve(EndAttempt(call_id=CALL, attempt=1)) == []


async def test_worker_stays_while_a_person_is_rung() -> None:
    """And ends with the attempt."""
    bench = EmptyBench()
    bench.worker.give(dial(offer_id=None))
    task = asyncio.create_task(bench.worker.run())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not task.done()
    leg_id = identity.leg_of_attempt(CALL, 1)
    bench.see(LegEnded(leg_id=leg_id, cause=17, status=486, words="", switch_utc_us=None))
    bench.worker.give(LookRound())
    await asyncio.wait_for(task, 1)


async def test_keys_are_collected_from_when_it_is_asked() -> None:
    """In order with what is said to the caller."""
    bench = Bench()
    await bench.serve(say("callback-key-number"), CollectNumber(call_id=CALL))
    assert bench.book.is_collecting
    await bench.serve(CollectNumber(call_id=CALL, collect=False))
    assert not bench.book.is_collecting
