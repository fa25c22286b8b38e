"""The ladder and the times of a call, on two phones that call each other."""

from __future__ import annotations

import asyncio

from hwtest.capture import Record
from hwtest.ladder import Leg, drawn, ladder_of, numbers_of
from hwtest.probes.call_one import seen_by
from hwtest.useragent import OutgoingCall, Timers, UserAgent
from hwtest.useragent.call import IncomingCall
from tests.live.room import until


async def one_call(lose_first: bool = False) -> tuple[OutgoingCall, IncomingCall]:
    """A call that was answered and hung up by the caller; the phone may answer only when it is asked again."""
    async with UserAgent(timers=Timers(t1=0.05)) as caller, UserAgent() as phone:
        incoming = asyncio.Queue[IncomingCall]()
        phone.on_invite = incoming.put_nowait
        call = caller.invite("sip:1@{}:{}".format(*phone.address))
        rung = await incoming.get()
        if lose_first:
            await until(lambda: sum(entry.label == "INVITE" for entry in rung.trace) > 1, 5, "asked again")
        rung.ring()
        rung.answer()
        await call.answered(5)
        await call.hang_up()
        await rung.ended(5)
        return call, rung


async def test_the_ladder_has_every_message_once_in_order() -> None:
    """From INVITE to the answer of BYE."""
    call, _ = await one_call()
    ladder = ladder_of("a call", [Leg("caller", call)])
    labels = [message.label for message in ladder.messages]
    assert labels == ["INVITE", "180 (INVITE)", "200 (INVITE)", "ACK", "BYE", "200 (BYE)"]
    assert [message.source for message in ladder.messages] == [0, 1, 1, 0, 0, 1]
    times = [message.at_ms for message in ladder.messages]
    assert times[0] == 0 and times == sorted(times)
    assert numbers_of(ladder, "BYE") == (5,)
    assert not any(message.repeated for message in ladder.messages)
    assert len(drawn(ladder)) == 7


async def test_what_was_sent_again_is_marked() -> None:
    """On both sides; an answer that was sent again because of it is, too."""
    call, rung = await one_call(lose_first=True)
    ladder = ladder_of("a call", [Leg("caller", call), Leg("phone", rung)])
    again = [(message.source, message.label) for message in ladder.messages if message.repeated]
    assert (0, "INVITE") in again and (1, "INVITE") in again
    assert any("INVITE again" in line for line in drawn(ladder))


async def test_who_rings_twice_has_not_sent_it_again() -> None:
    """A phone may say more than once that it rings: nothing was lost."""
    async with UserAgent() as caller, UserAgent() as phone:

        def ring_twice(rung: IncomingCall) -> None:
            rung.ring()
            rung.ring()
            rung.answer()

        phone.on_invite = ring_twice
        call = caller.invite("sip:1@{}:{}".format(*phone.address))
        await call.answered(5)
        await call.hang_up()
    ladder = ladder_of("a call", [Leg("caller", call)])
    assert [message.label for message in ladder.messages].count("180 (INVITE)") == 2
    assert not any(message.repeated for message in ladder.messages)


async def test_two_legs_stand_on_both_sides_of_the_switch() -> None:
    """The called phone is the third party."""
    call, rung = await one_call()
    ladder = ladder_of("a call", [Leg("caller", call), Leg("phone", rung)])
    assert ladder.parties == ("caller", "switch", "phone")
    assert {(message.source, message.target) for message in ladder.messages} == {
        (0, 1),
        (1, 0),
        (1, 2),
        (2, 1),
    }


async def test_times_are_those_of_rfc_6076() -> None:
    """SRD to the first 18x or 200 and not to 100; SDD from BYE to its answer; by the wire where it was seen."""
    call, _ = await one_call()
    seen = seen_by(call, [])
    assert seen.request_delay_seconds is not None and 0 < seen.request_delay_seconds < 5
    assert seen.disconnect_delay_ms is not None and seen.session_seconds is not None

    def record(at_ms: int, label: str, method: str) -> Record:
        return Record(at_ms * 1_000_000, 1, 2, label, method, 1, call.dialog.call_id, "b", False, "f")

    wire = [
        record(0, "INVITE", "INVITE"),
        record(500, "INVITE", "INVITE"),  # sent again: the first counts
        record(510, "100", "INVITE"),
        record(700, "182", "INVITE"),  # queued: the first sign, whichever it is
        record(800, "183", "INVITE"),
        record(1000, "200", "INVITE"),
        record(4000, "BYE", "BYE"),
        record(4025, "200", "BYE"),
    ]
    seen = seen_by(call, wire)
    assert (seen.request_delay_seconds, seen.disconnect_delay_ms, seen.session_seconds) == (0.7, 25.0, 3.0)
    seen = seen_by(call, [*wire[:-1], record(4025, "481", "BYE"), record(4030, "200", "BYE")])
    assert (seen.bye_status, seen.disconnect_delay_ms) == (481, None)


async def test_what_did_not_happen_has_no_time() -> None:
    """Undefined, never zero."""
    async with UserAgent() as caller, UserAgent() as phone:
        phone.on_invite = lambda call: call.reject(486)
        call = caller.invite("sip:1@{}:{}".format(*phone.address))
        await call.ended(5)
        seen = seen_by(call, [])
    assert (seen.request_delay_seconds, seen.disconnect_delay_ms, seen.session_seconds) == (None, None, None)
