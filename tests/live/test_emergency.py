"""999 on the wire: pre-emption, wrap-up, the ladder, the emergency key, test calls, bursts and floods.

Times are the phones' own stamps. Where a bound is given it is the promise of the README, on a machine with other work.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from edge.core import facts
from edge.core.model import AgentState, CallOutcome, CallState, OfferOutcome, Rung, Tier
from hwtest.lab.configuration import merged
from hwtest.statistics import percentile
from hwtest.useragent import CallState as Wire
from hwtest.useragent import IncomingCall, OutgoingCall, answering
from tests.live.conftest import POLICY, finish
from tests.live.room import Desk, LiveLab, Room, milliseconds, until

LINE = "101_no_greeting"
PATIENT: dict[str, Any] = {"emergency": {"break_wrap_up": True}, "queue": {"101": {"offer_seconds": 60.0}}}
pytestmark = pytest.mark.usefixtures("daemon_runs")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own, with six agents, phones that ring long for a 101, and wrap-up that a 999 may break."""
    lab = LiveLab.up(tmp_path_factory.mktemp("emergency"), merged(POLICY, PATIENT), agents=6)
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """Alarms are for people to look, and here they are brought about on purpose."""
    return ["999 unanswered", "no 999 agent"]


def newest(desk: Desk) -> IncomingCall:
    """The call that came to this phone last."""
    return desk.calls[-1]


def shows(desk: Desk, caller: OutgoingCall, room: Room) -> bool:
    """Whether this phone rings for this caller now."""
    if not desk.calls or newest(desk).state is Wire.ENDED:
        return False
    return newest(desk).caller_number == room.numbers[caller]


async def rung_for(room: Room, desks: list[Desk], caller: OutgoingCall, within_seconds: float = 8.0) -> Desk:
    """The first desk whose phone rings for this caller."""
    await until(
        lambda: any(shows(desk, caller, room) for desk in desks), within_seconds, "a phone rings for them"
    )
    return next(desk for desk in desks if shows(desk, caller, room))


async def in_line(room: Room, count: int) -> list[OutgoingCall]:
    """So many callers, each in the record before the next one calls: the free phones ring for the first of them."""
    callers: list[OutgoingCall] = []
    for _ in range(count):
        [caller] = await room.queue_up(1, LINE)
        await room.until(lambda caller=caller: room.find(caller) is not None)  # type: ignore[misc]
        callers.append(caller)
    return callers


async def all_ring(room: Room, desks: list[Desk], callers: list[OutgoingCall]) -> None:
    """Return when each of these callers has a phone that rings, and the record says so: an INVITE without any answer yet cannot
    be taken back (RFC 3261, 9.1), and a phone of one line would be busy for the 999."""

    def ring() -> bool:
        rung = {offer.call_id for offer in room.live.state.offers.values() if offer.rang_at is not None}
        return all(
            (found := room.find(caller)) is not None
            and found.call_id in rung
            and any(shows(desk, caller, room) for desk in desks)
            for caller in callers
        )

    await room.until(ring, what="a phone rings for each of them")


# ---------------------------------------------------------------------- pre-emption


@pytest.mark.quiet
async def test_a_999_takes_the_newest_ringing_101_within_50_ms(room: Room) -> None:
    """All phones ring on 101 and more wait: each of 100 calls of 999 has an agent's phone within 50 ms (p99), one 101 at a
    time is withdrawn for it, and no 101 is lost or loses its place."""
    desks = [await room.agent(index) for index in (1, 2, 3, 4)]
    waiting = await in_line(room, 6)
    ringing = waiting[:4]
    took = []
    for _ in range(100):
        await all_ring(room, desks, ringing)
        emergency = room.caller("999")
        desk = await rung_for(room, desks, emergency)
        took.append(milliseconds(emergency, "INVITE", newest(desk), "INVITE"))
        assert sum(any(shows(desk, caller, room) for desk in desks) for caller in ringing) == 3
        await emergency.hang_up()
        await room.ended(emergency)
    assert percentile(took, 0.99) <= 50.0, sorted(took)[-10:]
    await all_ring(room, desks, ringing)
    for desk in desks:
        desk.phone.behaviour = answering(talk_seconds=0.2)
        newest(desk).answer()
    for caller in ringing:
        await room.reaches(caller, CallState.TALKING)
        await caller.hang_up()
    for caller in waiting:
        assert (await room.ended(caller, 15)).outcome is CallOutcome.ANSWERED


@pytest.mark.quiet
async def test_wrap_up_is_broken_for_a_999_within_50_ms_and_given_back(room: Room) -> None:
    """All in wrap-up, policy on: the 999 rings at once; unanswered, the rest of the wrap-up is given back each time."""
    ann = await room.agent(1)
    jo = room.caller("thorough")
    await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    await jo.hang_up()
    await room.becomes(ann, AgentState.WRAP_UP)
    took = []
    for _ in range(50):
        emergency = room.caller("999")
        await rung_for(room, [ann], emergency)
        took.append(milliseconds(emergency, "INVITE", newest(ann), "INVITE"))
        await emergency.hang_up()
        await room.ended(emergency)
        await room.becomes(ann, AgentState.WRAP_UP)
    assert percentile(took, 0.99) <= 50.0, sorted(took)[-5:]
    broken = room.facts(facts.WrapUpBroken)
    assert len(broken) == 50
    assert all(earlier.seconds > later.seconds for earlier, later in itertools.pairwise(broken))


async def test_a_talk_is_never_cut_for_a_999(room: Room) -> None:
    """The only agent talks: the 999 rings until they are free."""
    ann = await room.agent(1)
    jo = room.caller(LINE)
    talk = await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    emergency = room.caller("999")
    await room.reaches(emergency, CallState.WAITING)
    assert await talk.lasts(1.0)
    await jo.hang_up()
    assert await rung_for(room, [ann], emergency) is ann
    newest(ann).answer()
    await room.reaches(emergency, CallState.TALKING)
    await emergency.hang_up()
    await room.ended(emergency)


# ---------------------------------------------------------------------- what the phones are told


async def test_a_999_has_a_ring_and_a_display_of_its_own(room: Room) -> None:
    """Alert-Info and "999" on the display; a 101 has neither."""
    ann = await room.agent(1)
    jo = room.caller(LINE)
    plain = await ann.offered()
    assert plain.header("Alert-Info") is None
    assert b"999" not in plain.caller_name
    emergency = room.caller("999")
    await rung_for(room, [ann], emergency)
    assert "info=999" in (newest(ann).header("Alert-Info") or "")
    assert newest(ann).caller_name.startswith(b"999")
    await emergency.hang_up()
    await jo.hang_up()
    await room.ended(jo)


# ---------------------------------------------------------------------- the ladder


async def test_the_ladder_rings_more_phones_at_its_times_and_one_answer_ends_all(room: Room) -> None:
    """4 s and the next agent, 8 s everybody, 15 s supervisors, 30 s the buddy number; the buddy's answer stops every other
    ring at once, told "answered elsewhere", and nobody but them talks or wraps up."""
    desks = [await room.agent(index) for index in (1, 2)]
    supervisor = await room.supervisor()
    async with room.elsewhere() as far:
        emergency = room.caller("999")
        first = await rung_for(room, desks, emergency)
        other = next(desk for desk in desks if desk is not first)
        await until(lambda: shows(other, emergency, room), 6, "the next agent")
        assert 3900 < milliseconds(emergency, "INVITE", newest(other), "INVITE") < 4400
        await until(lambda: len(first.calls) == 2, 6, "everybody rings")
        assert 7900 < milliseconds(emergency, "INVITE", newest(first), "INVITE") < 8400
        await until(lambda: shows(supervisor, emergency, room), 9, "the supervisor")
        assert 14900 < milliseconds(emergency, "INVITE", newest(supervisor), "INVITE") < 15400
        await until(lambda: bool(far), 17, "the buddy number")
        [buddy] = far
        assert 29900 < milliseconds(emergency, "INVITE", buddy, "INVITE") < 30400
        assert emergency.reached is Wire.RINGING
        assert emergency.stamp_of("200") is None
        rung = [newest(desk) for desk in (*desks, supervisor)]
        assert all(call.state is Wire.RINGING for call in rung)
        buddy.answer()
        await emergency.answered(3)
        for call in rung:
            await call.ended(2)
            assert call.cancelled
            assert "200" in "".join(call.reasons)
        assert (await room.reaches(emergency, CallState.TALKING)).agent == "buddy"
        await emergency.hang_up()
        await room.ended(emergency)
    assert [fact.rung for fact in room.facts(facts.CallEscalated)] == [
        Rung.ALL_AGENTS,
        Rung.SUPERVISORS,
        Rung.BUDDY,
    ]
    assert room.facts(facts.WrapUpStarted) == []


async def test_nobody_signed_in_means_supervisors_at_once(room: Room) -> None:
    """No agent at all: the supervisor's phone rings at once, though nobody is signed in there either."""
    supervisor = await room.supervisor()
    emergency = room.caller("999")
    await until(lambda: shows(supervisor, emergency, room), 3, "the supervisor")
    assert milliseconds(emergency, "INVITE", newest(supervisor), "INVITE") < 500
    newest(supervisor).answer()
    await room.reaches(emergency, CallState.TALKING)
    await emergency.hang_up()
    await room.ended(emergency)


# ---------------------------------------------------------------------- upgraded 101


async def test_the_emergency_key_while_waiting(room: Room) -> None:
    """A waiting 101 caller presses 9: before the other 101s at once, taking the phone that rings for one of them, shown as
    an upgraded 101, and not counted among the 999."""
    ann = await room.agent(1)
    [first] = await room.queue_up(1, LINE)
    jo = room.caller(LINE, hears=True)
    await jo.answered(5)
    await rung_for(room, [ann], first)
    jo.leg.send_digits("9")
    await rung_for(room, [ann], jo)
    call = newest(ann)
    assert b"UPGRADED" in call.caller_name
    assert "info=999" in (call.header("Alert-Info") or "")
    call.answer()
    record = await room.reaches(jo, CallState.TALKING)
    assert record.upgraded
    assert record.tier == Tier.EMERGENCY
    await jo.hang_up()
    await room.ended(jo)
    await rung_for(room, [ann], first)
    newest(ann).answer()
    await room.reaches(first, CallState.TALKING)
    await first.hang_up()
    await room.ended(first)


async def test_the_emergency_key_during_the_greeting_and_while_ringing(room: Room) -> None:
    """In the greeting, and while a phone rings for the caller: rung anew as a 999."""
    ann = await room.agent(1)
    jo = room.caller("101", hears=True)
    await rung_for(room, [ann], jo)
    jo.leg.send_digits("9")
    await until(lambda: len(ann.calls) == 2 and shows(ann, jo, room), what="rung again")
    assert b"UPGRADED" in newest(ann).caller_name
    newest(ann).answer()
    await room.reaches(jo, CallState.TALKING)
    await jo.hang_up()
    record = await room.ended(jo)
    assert [offer.outcome for offer in record.offers] == [OfferOutcome.WITHDRAWN, OfferOutcome.ANSWERED]


async def test_the_emergency_key_while_talking(room: Room) -> None:
    """The talk goes on, and the record says that the key was pressed."""
    ann = await room.agent(1)
    jo = room.caller(LINE, hears=True)
    talk = await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    jo.leg.send_digits("9")
    await room.until(lambda: room.facts(facts.CallUpgraded))
    assert talk.state is Wire.ANSWERED
    await jo.hang_up()
    await room.ended(jo)


# ---------------------------------------------------------------------- test calls


async def test_a_test_999_rings_the_test_phone_only(room: Room) -> None:
    """It pre-empts nobody, rings no agent, and is marked as a test in the record."""
    rig = await room.test_phone()
    ann = await room.agent(1)
    jo = room.caller(LINE)
    await rung_for(room, [ann], jo)
    synthetic = room.caller("999_test")
    await rung_for(room, [rig], synthetic)
    assert shows(ann, jo, room)
    assert len(ann.calls) == 1
    newest(rig).answer()
    assert (await room.reaches(synthetic, CallState.TALKING)).test
    await synthetic.hang_up()
    await room.ended(synthetic)
    newest(ann).answer()
    await room.reaches(jo, CallState.TALKING)
    await jo.hang_up()
    await room.ended(jo)


# ---------------------------------------------------------------------- many


@pytest.mark.quiet
async def test_a_burst_of_30_is_served_in_order_and_nobody_is_forgotten(room: Room) -> None:
    """30 calls of 999 at once, four agents: those who wait are offered in the order of joining, no agent has two, and all are
    answered."""
    desks = [await room.agent(index, answering(talk_seconds=0.2)) for index in (1, 2, 3, 4)]
    callers = [room.caller("999") for _ in range(30)]
    for caller in callers:
        await caller.answered(30)
    for caller in callers:
        assert (await room.ended(caller, 15)).outcome is CallOutcome.ANSWERED
    records = [room.record(caller) for caller in callers]
    all_here = max(record.arrived_at.monotonic_ns for record in records)
    queued = [record for record in records if record.offers[0].made_at.monotonic_ns > all_here]
    assert len(queued) >= 20
    by_joining = sorted(queued, key=lambda record: (record.queued_at.monotonic_ns, record.call_id))
    by_offer = sorted(queued, key=lambda record: record.offers[0].made_at.monotonic_ns)
    assert [record.call_id for record in by_offer] == [record.call_id for record in by_joining]
    for desk in desks:
        talks = sorted((call.trace[0].monotonic_ns, call.trace[-1].monotonic_ns) for call in desk.calls)
        assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(talks))


@pytest.mark.quiet
@pytest.mark.parametrize("count", [12, pytest.param(100, marks=pytest.mark.endurance)])
async def test_a_flood_of_101_does_not_keep_a_999_from_its_agent(room: Room, count: int) -> None:
    """101 at ten times what the room can serve, for half a second a 999: each one of 12, of 100 with `make endure`, reaches
    an agent."""
    talk_seconds, agents = 2.0, 6
    for index in range(1, agents + 1):
        await room.agent(index, answering(talk_seconds=talk_seconds))
    arrivals_a_second = 10 * agents / talk_seconds
    stop = asyncio.Event()

    async def flood() -> None:
        impatient = []
        while not stop.is_set():
            impatient.append(asyncio.create_task(give_up(room.caller(LINE), 4.0)))
            await apart(stop, 1 / arrivals_a_second)
        await asyncio.gather(*impatient)

    flooding = asyncio.create_task(flood())
    emergencies = []
    for _ in range(count):
        emergencies.append(room.caller("999"))
        await apart(stop, 0.5)
    for caller in emergencies:
        await caller.ended(60)
    stop.set()
    await flooding
    assert [caller.reached for caller in emergencies] == [Wire.ANSWERED] * count
    for caller in emergencies:
        assert (await room.ended(caller, 20)).outcome is CallOutcome.ANSWERED


async def apart(stop: asyncio.Event, seconds: float) -> None:
    """The distance between two callers, unless everything is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def give_up(caller: OutgoingCall, after_seconds: float) -> None:
    """A caller who waits so long and no longer."""
    if await caller.lasts(after_seconds):
        await caller.hang_up()
