"""What the fault probes come to, on wires and records that are made up; and the path that does harm."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge.core.facts import (
    CallEnded,
    ClockStepped,
    Fact,
    GapEnded,
    LedgerTroubleBegan,
    OfferMade,
)
from edge.core.model import Blindness, Bound, CallOutcome, Instant, Side, Stage
from hwtest import rehearsal
from hwtest.bench.readings import Reach
from hwtest.capture import Record, Taken
from hwtest.interlock import InterlockError
from hwtest.lab.contract import Address
from hwtest.lab.relay import HOST, Harm, Relay
from hwtest.probes import fault_clock, fault_ctl, fault_disk, fault_net, fault_restart
from hwtest.probes.contract import Layer, NotMeasuredError, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.target import Kind, Line
from hwtest.useragent import Call, IncomingCall, Media, Timers, UserAgent
from tests.probes.made import LIVE
from tests.probes.test_record_probes import CALLER, MS, PHONE, START_NS, SWITCH, entries_of, message, said

GAP = GapEnded(
    gap=1,
    why=next(iter(Blindness)),
    since=Instant(0, 0),
    bound=next(iter(Bound)),
    seconds=2.0,
    calls=("call-0", "call-1", "call-2"),
)


def room(order: list[int]) -> list[Record]:
    """Three callers a second apart, then offers at 10 s and after in this order."""
    arrivals = [
        dataclasses.replace(
            message(n * 1000, CALLER, SWITCH, "INVITE", f"caller{n}"), from_user=f"0770090012{n}"
        )
        for n in range(3)
    ]
    offers = [
        dataclasses.replace(
            message(10_000 + place * 1000, SWITCH, PHONE, "INVITE", f"phone{n}", edge_call=f"call-{n}"),
            from_user=f"0770090012{n}",
        )
        for place, n in enumerate(order)
    ]
    return [*arrivals, *offers]


def restart(order: list[int], *, gap: GapEnded | None = GAP, short_by: float = 0.0) -> Sheet:
    """The judgement of fault.restart; waits in the record are `short_by` seconds shorter than on the wire."""
    facts: list[tuple[float, Fact]] = [(9000.0, gap)] if gap else []
    for place, n in enumerate(order):
        waited = 10.0 + place - n - short_by
        facts.append(
            (
                10_000.0 + place * 1000,
                OfferMade(
                    offer_id=f"o{n}",
                    call_id=f"call-{n}",
                    agent="a",
                    phone="p",
                    ring_seconds=9,
                    waited_seconds=waited,
                ),
            )
        )
    sheet = Sheet(fault_restart.PROBE)
    fault_restart.judge(sheet, room(order), entries_of(facts), frozenset({CALLER}), frozenset({PHONE}))
    return sheet


@pytest.mark.parametrize(
    ("sheet", "found"),
    [
        (restart([0, 1, 2]), set()),
        (restart([0, 1]), {("fault.restart.lost", Layer.DIALPLAN)}),
        (restart([1, 0, 2]), {("fault.restart.order", Layer.DAEMON)}),
        (restart([0, 1, 2], short_by=5.0), {("fault.restart.waits", Layer.RECORD)}),
        (restart([0, 1, 2], gap=None), {("fault.restart.unsaid", Layer.RECORD)}),
        (
            restart([0, 1, 2], gap=dataclasses.replace(GAP, calls=("call-0",))),
            {("fault.restart.unsaid", Layer.RECORD)},
        ),
    ],
)
def test_restart(sheet: Sheet, found: set[tuple[str, Layer]]) -> None:
    """Lost, overtaken, short of waits, and unsaid are told apart."""
    assert said(sheet) == found


def reach(seconds: float | None) -> Reach:
    """A caller who came at the start and rang an agent after so long."""
    return Reach(START_NS, None if seconds is None else START_NS + round(seconds * 1e9))


@pytest.mark.parametrize(
    ("of_101", "of_999", "found"),
    [
        (15.0, 3.0, set()),
        (22.0, 3.0, {("fault.ctl.late", Verdict.WARN)}),
        (15.0, 30.0, {("fault.ctl.late", Verdict.FAIL)}),
        (15.0, None, {("fault.ctl.lost", Verdict.FAIL)}),
    ],
)
def test_ctl(of_101: float, of_999: float | None, found: set[tuple[str, Verdict]]) -> None:
    """101 counts from the end of its dead-man, 999 from the agents' being free."""
    sheet = Sheet(fault_ctl.PROBE)
    due, free = START_NS + 15 * 10**9, START_NS + 2 * 10**9
    fault_ctl.judge(sheet, "ami", [reach(of_101)] * 2, [reach(3.0), reach(of_999)], due, free)
    assert {(finding.code, finding.verdict) for finding in sheet.findings} == found


def clock(talked: float, step: float) -> Sheet:
    """A call of 2 s wait and 3 s talk by the wire, and what the record has of it when the clock was set by 5 s."""
    ended = CallEnded(
        call_id="c",
        outcome=CallOutcome.ANSWERED,
        stage=Stage.TALKING,
        side=Side.CALLER,
        cause="16",
        waited_seconds=2.0,
        talked_seconds=talked,
        agent=None,
    )
    sheet = Sheet(fault_clock.PROBE)
    entries = entries_of([(0.0, ClockStepped(seconds=step)), (1.0, ended)])
    fault_clock.judge(sheet, "+5 s during talk", 5.0, (2.0, 3.0), entries)
    return sheet


def test_clock() -> None:
    """A step that is noted passes; one that is not, or is noted as another, fails; the talk's error is the difference."""
    assert said(clock(3.0, 5.0)) == set()
    assert said(clock(3.0, 1.0)) == {("fault.clock.unsaid", Layer.RECORD)}
    assert clock(8.0, 5.0).figures[1].value == pytest.approx(5000)


def disk(milliseconds: list[float | None], *, told: bool) -> Sheet:
    """Callers and when they rang an agent; whether the record tells of the trouble."""
    found = [Reach(START_NS, None if at is None else START_NS + round(at * MS)) for at in milliseconds]
    entries = entries_of([(0.0, LedgerTroubleBegan(detail="full"))] if told else [])
    sheet = Sheet(fault_disk.PROBE)
    fault_disk.judge(sheet, "full", found, entries, len(found), 2)
    return sheet


def test_disk() -> None:
    """Calls that go on and a record that tells of it pass; who waits for a busy agent does not count as late."""
    assert disk([50.0, 60.0, 9000.0], told=True).verdict is Verdict.PASS
    assert said(disk([50.0, 60.0, 9000.0], told=False)) == {("fault.disk.unsaid", Layer.RECORD)}
    assert said(disk([50.0, 6000.0, 9000.0], told=True)) == {("fault.disk.slow", Layer.DAEMON)}
    assert said(disk([50.0, 60.0, None], told=True)) == {("fault.disk.lost", Layer.DAEMON)}


def test_a_target_beyond_the_relay_has_its_phones_there_too() -> None:
    """Everything that registers or calls does so by way of the relay."""
    assert fault_net.through(LIVE, 7).sip.port == 7


async def exchange(harm: Harm, count: int = 400) -> list[bytes]:
    """So many messages from a phone to a switch that counts them, through the relay."""
    loop = asyncio.get_running_loop()
    got = list[bytes]()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as switch,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone,
    ):
        switch.setblocking(False)
        switch.bind((HOST, 0))
        phone.bind((HOST, 0))
        relay = Relay(switch.getsockname()[1], harm)
        place = f"sip:{HOST}:{relay.port}"

        async def listen() -> None:
            while True:
                got.append(await loop.sock_recv(switch, 65535))

        listening = asyncio.create_task(listen())
        try:
            for number in range(count):
                lines = (f"OPTIONS {place} SIP/2.0", f"Authorization: uri={place}", f"CSeq: {number}", "", "")
                phone.sendto("\r\n".join(lines).encode(), (HOST, relay.port))
                for _ in range(10):  # the relay reads meanwhile: no buffer is what is tested
                    await asyncio.sleep(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await listening
            return got
        finally:
            listening.cancel()
            relay.close()


async def test_the_relay_carries_everything_and_puts_the_switch_in_its_place() -> None:
    """Without harm nothing is lost; what a password was hashed over stays as it was."""
    got = await exchange(Harm())
    assert len(got) == 400
    first, authorization = got[0].split(b"\r\n")[:2]
    assert first.split(b" ")[1] != authorization.split(b"uri=")[1]


async def test_the_relay_loses_what_it_is_told_to_lose() -> None:
    """30 % of 400 is 120; far from none and from all."""
    lost = 400 - len(await exchange(Harm(sip_loss=0.3)))
    assert 80 <= lost <= 160


async def _hears(call: Call) -> None:
    await call.until(lambda: call.leg.packets > 10, 5)


async def _acknowledged(call: IncomingCall) -> None:
    await call.until(lambda: call.acknowledged, 5)


async def test_callers_who_fall_silent_are_listened_to_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets of silence after a tone are a silence at once, and one that lasts is followed past the limit of a failure."""
    monkeypatch.setattr(fault_ctl, "LISTEN_SECONDS", 0.2)
    monkeypatch.setattr(fault_ctl, "LISTEN_MOST_SECONDS", 0.6)
    monkeypatch.setattr(fault_ctl, "_GAP_SECONDS", 0.05)
    async with UserAgent(media="silence") as caller, UserAgent(media=Media("tone", 440)) as switch:
        calls, played = [], []
        for _ in range(2):
            calls.append(call := caller.invite("sip:101@{}:{}".format(*switch.address)))
            played.append(music := await switch.next_invite(5))
            music.answer()
            await _hears(call)
        played[1].leg.media = Media("silence")
        silences = await fault_ctl._listen(calls)
    assert silences[0] < 0.4
    assert silences[1] >= 0.5


async def test_the_interlock_is_asked_for_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab on another machine may have a trunk: no fault probe rings its line of 999."""
    lines = {rehearsal.LINE: "5000", fault_ctl.EMERGENCY: "999"}
    target = dataclasses.replace(
        LIVE,
        kind=Kind.LAB,
        sip=Address(host="192.0.2.1", port=5060),
        lines={name: Line(number=number) for name, number in lines.items()},
    )
    lab = SimpleNamespace(lines=lines, agents=("one",))
    monkeypatch.setattr(rehearsal, "lab_of", lambda _: lab)
    async with Site(target, Path(), lab_allowed=True) as site:
        with pytest.raises(InterlockError, match="ends in 99"):
            await fault_ctl.measure(site, Sheet(fault_ctl.PROBE))


@pytest.mark.parametrize("dropped", [0, None, 3])
async def test_what_the_capture_lost_is_nobodys_fault(dropped: int | None) -> None:
    """Records that are missing would be callers that were lost: with packets lost nothing is judged."""

    class Wire:
        async def take(self) -> Taken:
            return Taken(records=room([]), dropped=dropped)

    stage = rehearsal.Stage(None, SimpleNamespace(wire=Wire()), None, None)  # type: ignore[arg-type]
    if dropped:
        with pytest.raises(NotMeasuredError, match="3 packets"):
            await stage.records()
    else:
        assert await stage.records() == room([])


async def test_a_call_over_a_poor_path_that_is_cut_or_cannot_be_ended() -> None:
    """A BYE without its 200, and an end that the caller did not want, are calls lost; a call that ended as wanted is none."""
    fast = Timers(t1=0.005, t2=0.02, t4=0.02)
    async with UserAgent(timers=fast) as caller, UserAgent(timers=fast) as switch:
        faults = []
        for end in ("as wanted", "cut", "unanswered"):
            call = caller.invite("sip:101@{}:{}".format(*switch.address))
            (leg := await switch.next_invite(5)).answer()
            await call.answered(5)
            await _acknowledged(leg)
            if end == "cut":
                await leg.hang_up()
            elif end == "unanswered":
                switch.close()
            await call.hang_up()
            faults.append(fault_net.fault_of(call))
    assert faults == [None, "ended before its caller hung up", "its BYE had no 200"]
