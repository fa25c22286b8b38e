"""A call's worker: effects in order, and a dead-man that is put off only while it should be."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from panoramisk.message import Message

from edge.core.effects import ConnectPair, Effect, HangUpOffer, MakeOffer, TakeCharge, WithdrawOffer
from edge.core.inputs import Input, PairReturned, PhoneGone
from edge.core.model import Refusal, Tier
from edge.errors import LinkError, RefusedError
from edge.pbx.asterisk.ari.translate import Request
from edge.pbx.asterisk.book import Book
from edge.pbx.asterisk.calls import CallWorker
from edge.pbx.asterisk.hands import Hands
from edge.pbx.asterisk.settings import AsteriskSettings
from edge.pbx.asterisk.sightings import Caller, CallerEntered, LegAnswered, LegEnded, Sighting
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

    async def serve(self, *effects: Effect) -> list[str]:
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
