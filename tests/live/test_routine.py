"""101 in real life on the wire: menu, language, hours, limits, overflow, announcements, handlers' work, and a major incident."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edge.core import facts
from edge.core.model import AgentState, CallOutcome, CallState, ClassSource, Stage
from hwtest.lab.configuration import merged
from hwtest.useragent import CallState as Wire
from hwtest.useragent import rejecting
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room, until

LINE = "101_no_greeting"
pytestmark = pytest.mark.usefixtures("daemon_runs")


def _policy() -> dict[str, Any]:
    week = dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), "00:00-24:00")
    near = (datetime.now(UTC) + timedelta(days=day) for day in (-1, 0, 1))
    own: dict[str, Any] = {
        "hours": {"shut": {"week": week, "days": {f"{day:%Y-%m-%d}": "closed" for day in near}}},
        "class": {"keen": {"head_start_seconds": 100.0}},
        "queue": {
            "shut": {"skills": ["101"], "hours": "shut"},
            "small": {"skills": ["101"], "limit": 1, "overflow_phone": "other-force", "wrap_up_seconds": 0.0},
            "brief-wait": {"skills": ["101"], "maximum_wait_seconds": 2.0},
            "told": {
                "skills": ["101"],
                "announcements": {"every_seconds": 5.0, "prompt": "minutes", "position": True},
                "wrap_up_seconds": 0.0,
            },
            "second": {"skills": ["101"], "wrap_up_seconds": 0.0},
        },
        "line": {
            "shut": {"number": "1021", "tier": "101", "queue": "shut"},
            "small": {"number": "1022", "tier": "101", "queue": "small"},
            "brief-wait": {"number": "1023", "tier": "101", "queue": "brief-wait"},
            "told": {"number": "1024", "tier": "101", "queue": "told"},
            "choice": {
                "number": "1025",
                "tier": "101",
                "queue": "101",
                "greeting": "ready",
                "menu": {
                    "prompt": "language-menu",
                    "choices": {
                        "1": {"queue": "second", "language": "cy", "greeting": "ready"},
                        "2": {"class": "keen"},
                    },
                },
            },
        },
        "phone": {"other-force": {"kind": "trunk", "trunk": "callee", "number": "01632960555"}},
        "wrap_up": {"codes": ["crime", "no police matter"]},
        "triage": {"queues": ["101", "second", "999"]},
        "missed_offers": {"maximum": 2},
    }
    return merged(POLICY, own)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own, with one line for everything that a 101 caller may meet."""
    lab = LiveLab.up(tmp_path_factory.mktemp("routine"), _policy())
    yield lab
    finish(lab)


# ---------------------------------------------------------------------- what a caller meets


async def test_a_menu_key_moves_the_call_and_its_language(room: Room) -> None:
    """The caller waits while the menu plays; key 1: another queue, in Welsh, at the time of joining; the answer is heard."""
    jo = room.caller("choice", hears=True)
    await jo.answered(5)
    await room.until(
        lambda: [f.prompt for f in room.facts(facts.AnnouncementStarted)] == ["ready", "language-menu"]
    )
    jo.leg.send_digits("1")
    await room.until(lambda: room.facts(facts.CallClassified))
    [classified] = room.facts(facts.CallClassified)
    assert (classified.queue, classified.language, classified.source) == ("second", "cy", ClassSource.MENU)
    await room.until(lambda: len(room.facts(facts.AnnouncementStarted)) == 3)
    ann = await room.agent(1)
    assert await room.serve(ann) is jo
    record = room.record(jo)
    assert record.waited_seconds is not None
    assert record.queue == "second"


async def test_who_presses_nothing_keeps_waiting_and_is_served(room: Room) -> None:
    """No key, no end: the menu is over and the caller is in the queue as before."""
    jo = room.caller("choice", hears=True)
    await jo.answered(5)
    await room.until(
        lambda: any(f.prompt == "language-menu" and f.completed for f in room.facts(facts.AnnouncementEnded)),
        30,
    )
    assert jo.state is Wire.ANSWERED
    ann = await room.agent(1)
    assert await room.serve(ann) is jo


async def test_a_closed_line_says_so_and_ends_the_call(room: Room) -> None:
    """Answered, told, let go: refused, with the reason; no agent is rung."""
    ann = await room.agent(1)
    jo = room.caller("shut", hears=True)
    await jo.answered(5)
    await jo.ended(40)
    record = await room.ended(jo)
    assert (record.outcome, record.stage) == (CallOutcome.REFUSED, Stage.LEAVING)
    assert room.facts(facts.CallTurnedAway)[0].why == "closed"
    assert ann.calls == []


async def test_the_emergency_key_works_on_a_closed_line(room: Room) -> None:
    """While the closed message plays: among the 999 at once."""
    ann = await room.agent(1)
    jo = room.caller("shut", hears=True)
    await jo.answered(5)
    jo.leg.send_digits("9")
    assert await room.serve(ann) is jo
    assert room.record(jo).upgraded


async def test_a_full_queue_goes_to_the_other_number(room: Room) -> None:
    """The second caller of a queue for one is sent to another number, and talks there."""
    async with room.elsewhere() as far:
        [first] = await room.queue_up(1, "small")
        jo = room.caller("small", hears=True)
        await until(lambda: bool(far), what="the other number rings")
        far[0].answer()
        await room.until(lambda: room.facts(facts.CallDiverted))
        assert await far[0].lasts(0.5)
        await far[0].hang_up()
        assert (await room.ended(jo)).outcome is CallOutcome.OVERFLOWED
        ann = await room.agent(1)
        assert await room.serve(ann) is first


async def test_the_emergency_key_in_a_talk_with_another_number_cuts_nothing(room: Room) -> None:
    """It stands in the record as an upgraded 101, no phone of ours rings for it, and the talk goes on."""
    async with room.elsewhere() as far:
        [first] = await room.queue_up(1, "small")
        jo = room.caller("small", hears=True)
        await until(lambda: bool(far), what="the other number rings")
        far[0].answer()
        await room.until(lambda: room.facts(facts.DiversionAnswered))
        jo.leg.send_digits("9")
        await room.until(lambda: room.facts(facts.CallUpgraded))
        ann = await room.agent(1)
        call = await ann.offered()
        assert room.who(call) is first
        assert await far[0].lasts(1.0)
        assert len(ann.calls) == 1
        await far[0].hang_up()
        record = await room.ended(jo)
        assert (record.outcome, record.upgraded, record.offers) == (CallOutcome.OVERFLOWED, True, [])
        assert record.departures[-1].answered_at is not None
        await first.hang_up()
        await room.ended(first)


async def test_the_emergency_key_in_a_talk_of_the_switchs_own_queue(room: Room) -> None:
    """The daemon was away when it was connected: the key is seen and recorded all the same, and the talk goes on. A star while
    the phone rings hangs nobody up."""
    await room.live.lose_daemon()
    ann = await room.agent(1)
    jo = room.caller(LINE, hears=True)
    call = await ann.offered()
    jo.leg.send_digits("*")
    while not await call.lasts(1.5):
        call = await ann.offered(15)
    call.answer()
    await call.until(lambda: call.acknowledged, 5)
    await room.live.start_daemon()
    await room.until(lambda: (found := room.find(jo)) is not None and found.connected_at is not None)
    jo.leg.send_digits("9")
    await room.until(lambda: room.facts(facts.CallUpgraded))
    assert await call.lasts(0.5)
    assert room.record(jo).state is CallState.FALLBACK
    await jo.hang_up()
    record = await room.ended(jo)
    assert (record.outcome, record.upgraded) == (CallOutcome.ANSWERED, True)


async def test_a_diverted_call_that_nobody_takes_comes_back(room: Room) -> None:
    """The other number refuses: the caller waits here after all."""
    async with room.elsewhere() as far:
        [first] = await room.queue_up(1, "small")
        jo = room.caller("small", hears=True)
        await until(lambda: bool(far), what="the other number rings")
        far[0].reject(486)
        await room.until(lambda: room.facts(facts.CallReturned))
        ann = await room.agent(1)
        assert [await room.serve(ann), await room.serve(ann)] == [first, jo]


async def test_the_longest_wait_of_a_queue(room: Room) -> None:
    """After 2 s the caller is told and let go."""
    jo = room.caller("brief_wait", hears=True)
    await jo.answered(5)
    await jo.ended(40)
    assert (await room.ended(jo)).outcome is CallOutcome.REFUSED


async def test_the_position_is_told_and_never_in_the_way_of_an_offer(room: Room) -> None:
    """Every 5 s; an agent who becomes ready while it plays is rung and connected at once."""
    busy = await room.agent(2, rejecting(486))
    first, second = await room.queue_up(2, "told")
    await room.until(lambda: len(room.facts(facts.AnnouncementStarted)) >= 2, 9)
    playing = {record.call_id for record in (room.record(first), room.record(second))}
    assert {fact.call_id for fact in room.facts(facts.AnnouncementStarted)} <= playing
    ann = await room.agent(1)
    call = await ann.offered(2)
    call.answer()
    await room.reaches(first, CallState.TALKING)
    await call.hang_up()
    assert await room.serve(ann) is second
    assert busy.calls


# ---------------------------------------------------------------------- handlers


async def test_a_handler_sends_the_caller_back_to_another_queue(room: Room) -> None:
    """Blind transfer to *302: the caller waits in the second queue with the time of joining, before who came later; wait for
    the first human and for the right desk both stand in the record."""
    ann = await room.agent(1)
    jo = room.caller(LINE)
    call = await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    [later] = await room.queue_up(1, LINE)
    assert await call.refer(room.uri("*302")) == 202
    await room.until(lambda: room.facts(facts.CallSentBack))
    await ann.dial("*251")  # else her phone rings on for one of the two
    await call.hang_up()
    bob = await room.agent(2)
    assert [await room.serve(bob), await room.serve(bob)] == [jo, later]
    record = await room.ended(jo)
    assert record.queue == "second"
    assert [connection.agent for connection in record.connections] == [ann.number, bob.number]
    assert record.first_human_seconds is not None
    assert record.right_desk_seconds is not None
    assert record.first_human_seconds < record.right_desk_seconds


async def test_wrap_up_codes_and_the_assist_key(room: Room, expected_warnings: list[str]) -> None:
    """*261 gives the last call its code; *27 calls for a supervisor, as a fact and an alarm."""
    expected_warnings.append("assist")
    ann = await room.agent(1)
    jo = room.caller(LINE)
    await room.serve(ann)
    assert (await room.ended(jo)).outcome is CallOutcome.ANSWERED
    await ann.dial("*262")
    await room.until(lambda: room.facts(facts.WrapUpCoded))
    [coded] = room.facts(facts.WrapUpCoded)
    assert (coded.code, coded.call_id) == ("no police matter", room.record(jo).call_id)
    await ann.dial("*27")
    await room.until(lambda: room.facts(facts.AssistAsked))


async def test_who_misses_two_calls_is_set_not_ready(room: Room) -> None:
    """With somebody else who can take a 999 at work: set not ready with a reason, and ready again by code."""
    ann = await room.agent(1)
    await room.agent(2, rejecting(486))
    jo = room.caller(LINE)
    await room.becomes(ann, AgentState.NOT_READY, 30)
    assert room.live.state.agents[ann.number].not_ready_reason == "missed calls"
    await ann.dial("*24")
    await room.becomes(ann, AgentState.OFFERED)
    await jo.hang_up()
    await room.ended(jo)


async def test_a_supervisor_listens_and_it_is_audited(room: Room) -> None:
    """The supervisor dials *31 and the agent's number: hears both, is heard by nobody, and it stands in the record."""
    ann = await room.agent(1, tone_hz=600)
    supervisor = await room.supervisor()
    await supervisor.dial("*22")
    jo = room.caller(LINE, tone_hz=1000)
    await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    spying = supervisor.phone.agent.invite(room.uri(f"*31{ann.number}"))
    await spying.answered(5)
    await room.until(lambda: room.facts(facts.SupervisionBegan))
    await spying.until(lambda: spying.leg.level_dbm0 > -45, 5)
    await spying.hang_up()
    await room.until(lambda: room.facts(facts.SupervisionEnded))
    await jo.hang_up()
    await room.ended(jo)


async def test_only_supervisors_listen(room: Room) -> None:
    """Any other agent hears that the code is not known, and nothing is listened to."""
    ann = await room.agent(1, tone_hz=600)
    bob = await room.agent(2)
    jo = room.caller(LINE, tone_hz=1000)
    await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    await bob.dial(f"*31{ann.number}")
    await jo.hang_up()
    await room.ended(jo)
    assert room.facts(facts.SupervisionBegan) == []


# ---------------------------------------------------------------------- the room


async def test_a_major_incident_is_declared_and_ended(room: Room) -> None:
    """`edge incident declare` changes the greeting of 101 and shows in `edge status`; `end` ends it."""
    declared = room.live.edge("incident", "declare")
    assert declared.returncode == 0, declared.stderr
    await room.until(lambda: room.live.state.incident_since is not None)
    assert json.loads(room.live.edge("status", "--json").stdout)
    ended = room.live.edge("incident", "end")
    assert ended.returncode == 0, ended.stderr
    await room.until(lambda: room.live.state.incident_since is None)


async def test_references_are_attached_to_a_call(room: Room) -> None:
    """An incident's reference and a recording's failure, by command, as facts of the call."""
    ann = await room.agent(1)
    jo = room.caller(LINE)
    await room.serve(ann)
    call_id = (await room.ended(jo)).call_id
    for arguments in (("incident", call_id, "OIS-123"), ("recording", call_id, "rec-9", "--failed")):
        noted = room.live.edge("note", *arguments)
        assert noted.returncode == 0, noted.stderr
    await room.until(lambda: len(room.facts(facts.CallAnnotated)) == 2)
    incident, recording = room.facts(facts.CallAnnotated)
    assert (incident.kind, incident.value) == ("incident", "OIS-123")
    assert (recording.kind, recording.value, recording.state) == ("recording", "rec-9", "failed")
