"""A ring-back task on Asterisk: rung, asked and dialled for, each once, and told apart after a crash."""

import asyncio
from typing import Any

import pytest

from edge.core.effects import AskAgent, DialForTask, GiveUpDial, RingForTask
from edge.core.inputs import AgentKeyed, Input, PhoneAnswered, TaskPersonAnswered, TaskPersonGone
from edge.core.promise import TaskAttemptOutcome, TaskKind
from edge.errors import LinkError, RefusedError
from edge.pbx.asterisk import identity, snapshot
from edge.pbx.asterisk.ari import translate as ari
from edge.pbx.asterisk.book import Book, Snapshot
from edge.pbx.asterisk.calls import CallWorker, Work
from edge.pbx.asterisk.hands import Hands
from edge.pbx.asterisk.settings import AsteriskSettings
from edge.pbx.asterisk.sightings import (
    AgentKeyHeard,
    Bridged,
    LegAnswered,
    LegEnded,
    PlaybackEnded,
    Sighting,
    TaskRung,
)
from tests.asterisk.site import POLICY
from tests.asterisk.test_calls import Links

OFFER = "task-c-1.1"
LEG = identity.leg_of_offer(OFFER)
RING = RingForTask(
    offer_id=OFFER,
    task_id="c-1",
    phone="phone1",
    ring_seconds=15.0,
    kind=TaskKind.ABANDONED_999,
    emergency=True,
    number="07700900001",
    waited_seconds=200.0,
)
ASK = AskAgent(offer_id=OFFER, sounds=("task-lost", "task-choose"), seconds=25.0)
DIAL = DialForTask(
    offer_id=OFFER, number="07700900001", trunk="gateway", show_number="01632960100", ring_seconds=30.0
)


class Bench:
    """A worker of a task's offer, and false links."""

    def __init__(self) -> None:
        self.book, self.links = Book(POLICY), Links()
        self.posted: list[Input] = []
        settings = AsteriskSettings(ari_password="", ami_password="")
        self.hands = Hands(settings, POLICY, self.book, self.see)
        self.hands.take(self.links, self.links)  # type: ignore[arg-type]
        self.worker = CallWorker(identity.call_of_offer(OFFER), self.hands, self.book, self.see)

    def see(self, sighting: Sighting) -> None:
        """What the switch shows."""
        self.posted += self.book.see(sighting)

    async def serve(self, *work: Work) -> list[str]:
        """Let the worker do these, and what it asked the switch for."""
        self.links.asked.clear()
        for each in work:
            self.worker.give(each)
        task = asyncio.create_task(self.worker.run())
        for _ in range(30):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return self.links.asked

    async def answered(self) -> None:
        """The agent has answered."""
        await self.serve(RING)
        self.see(LegAnswered(offer_id=OFFER, switch_utc_us=None))


def test_the_phone_shows_what_it_is() -> None:
    """Kind, tier, the wait and the number; no caller's leg originates it."""
    request = ari.originate_for_task(RING, POLICY.phones["phone1"], "edge101", agent="1001")
    assert request.parameters == {
        "channelId": LEG,
        "endpoint": "PJSIP/phone1",
        "app": "edge101",
        "appArgs": f"offer,{OFFER}",
        "callerId": "RING BACK 999 abandoned 3:20 <07700900001>",
        "timeout": 20,
        "variables": {
            "TIMEOUT(absolute)": "20",
            "FORWARD_CONTEXT": ari.NO_FORWARDING,
            "PJSIP_HEADER(add,X-Edge-Task)": "c-1",
            "PJSIP_HEADER(add,X-Edge-Class)": "999",
            "SPYGROUP": "1001",
        },
    }


async def test_asked_again_the_one_before_is_stopped() -> None:
    """And the leg frees itself, should we die before a key."""
    bench = Bench()
    await bench.answered()
    assert await bench.serve(ASK) == ["renew 30", "playWithId"]
    assert await bench.serve(ASK) == ["renew 30", "stop", "playWithId"]


async def test_the_end_of_what_an_agent_is_told_is_nothing_to_a_caller() -> None:
    """No announcement is named so."""
    bench = Bench()
    await bench.answered()
    await bench.serve(ASK)
    playback = bench.book.offers[OFFER].playback or ""
    before = list(bench.posted)
    bench.see(PlaybackEnded(playback_id=playback, completed=True, switch_utc_us=None))
    assert bench.posted == before


async def test_dialled_once_whoever_asks() -> None:
    """What plays is stopped, or the dialplan would wait for its end; a second request asks the switch for nothing."""
    bench = Bench()
    await bench.answered()
    await bench.serve(ASK)
    sets = ["Setvar"] * 4
    assert await bench.serve(DIAL) == ["stop", *sets, "continueInDialplan"]
    assert await bench.serve(DIAL) == []


async def test_nobody_is_dialled_for_a_leg_that_has_not_answered() -> None:
    """Nor for one that is gone."""
    bench = Bench()
    await bench.serve(RING)
    assert await bench.serve(DIAL) == []
    assert await Bench().serve(DIAL) == []


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (RefusedError("not in Stasis", status=409), []),
        (RefusedError("gone", status=404), []),
        (RefusedError("broken", status=500), [TaskAttemptOutcome.FAILED]),
        (LinkError("no answer"), []),
    ],
)
async def test_a_refusal_is_told_where_nothing_else_would_tell(
    failure: Exception, told: list[TaskAttemptOutcome]
) -> None:
    """A leg elsewhere or gone has an end of its own; a lost answer is looked up after reconnecting, and never asked again."""
    bench = Bench()
    await bench.answered()
    bench.links.failures["continueInDialplan"] = failure
    await bench.serve(DIAL)
    assert [made.outcome for made in bench.posted if isinstance(made, TaskPersonGone)] == told
    bench.links.failures.clear()
    assert await bench.serve(DIAL) == []


async def test_what_is_no_number_is_not_dialled() -> None:
    """Whatever got so far."""
    bench = Bench()
    await bench.answered()
    bad = DialForTask(
        offer_id=OFFER, number="1&PJSIP/9", trunk="t", show_number="01632960100", ring_seconds=30.0
    )
    assert await bench.serve(bad) == []
    assert isinstance(bench.posted[-1], TaskPersonGone)


async def test_giving_up_spares_a_talk() -> None:
    """The agent's leg is ended while the person's phone rings, and not once somebody was seen to answer."""
    bench = Bench()
    await bench.answered()
    await bench.serve(DIAL)
    bench.see(Bridged(leg_id=LEG, bridge_id="b", switch_utc_us=None))
    assert isinstance(bench.posted[-1], TaskPersonAnswered)
    assert await bench.serve(GiveUpDial(offer_id=OFFER)) == []
    ringing = Bench()
    await ringing.answered()
    await ringing.serve(DIAL)
    assert await ringing.serve(GiveUpDial(offer_id=OFFER)) == ["hangup"]


async def test_keys_count_only_while_the_agent_is_asked() -> None:
    """Not before the answer, not once the dialplan has the leg, and never another leg's."""
    key = AgentKeyHeard(offer_id=OFFER, key="1", switch_utc_us=None)
    bench = Bench()
    await bench.serve(RING)
    bench.see(key)
    assert bench.posted == []
    bench.see(LegAnswered(offer_id=OFFER, switch_utc_us=None))
    bench.see(key)
    assert bench.posted == [PhoneAnswered(offer_id=OFFER), AgentKeyed(offer_id=OFFER, key="1")]
    await bench.serve(DIAL)
    bench.see(key)
    assert len(bench.posted) == 2


def test_keys_on_the_websocket_are_those_of_agents_who_are_asked() -> None:
    """A caller's, or those of an agent in a call, are heard on AMI or not at all."""

    def pressed(leg_id: str, digit: str) -> Any:
        return ari.sighting({"type": "ChannelDtmfReceived", "digit": digit, "channel": {"id": leg_id}})

    assert pressed(LEG, "2") == AgentKeyHeard(offer_id=OFFER, key="2", switch_utc_us=None)
    assert [pressed("1.1", "2"), pressed(identity.leg_of_offer("c-1.1"), "2"), pressed(LEG, "A")] == [
        None
    ] * 3


async def test_what_came_of_it_is_told_once_and_the_end_of_the_leg_after_it() -> None:
    """The dialplan says why; a leg that is unknown says nothing."""
    bench = Bench()
    await bench.answered()
    await bench.serve(DIAL)
    rung = TaskRung(leg_id=LEG, outcome=TaskAttemptOutcome.BUSY, words="BUSY 17", switch_utc_us=None)
    bench.see(rung)
    bench.see(LegEnded(leg_id=LEG, cause=17, status=486, words="User busy", switch_utc_us=None))
    bench.see(rung)
    assert [type(made).__name__ for made in bench.posted] == ["PhoneAnswered", "TaskPersonGone", "PhoneGone"]


def test_a_snapshot_tells_where_the_leg_is() -> None:
    """In our hands, or the dialplan's; and whether somebody talks with the agent."""

    def leg(application: str, context: str, state: str = "Up") -> Any:
        dialplan = {"app_name": application, "app_data": "edge101", "context": context, "exten": "ring"}
        return snapshot.agent_leg({"id": LEG, "state": state, "name": "PJSIP/phone1-1", "dialplan": dialplan})

    assert leg("Stasis", "edge-phones").away is False
    assert leg("Dial", "edge-task").away is True
    assert leg("AppDial2", "edge-phones", "Ringing").away is False
    book = Book(POLICY)
    dialling, talking = leg("Dial", "edge-task"), leg("Dial", "edge-task")
    talking.bridge_id = "b"
    [seen] = book.reconcile(Snapshot(offers=(dialling,))).offers
    assert (seen.away, seen.talking) == (True, False)
    [seen] = book.reconcile(Snapshot(offers=(talking,))).offers
    assert (seen.away, seen.talking) == (True, True)
