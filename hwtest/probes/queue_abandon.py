"""Probe 23: a caller gives up, in the queue or while a phone rings. Does the phone stop at once, and is it written down right?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from edge.core.facts import CallArrived, CallEnded, Entry
from edge.core.model import CallOutcome
from edge.ledger.store import SqlReader, open_reader
from edge.ports import LedgerError
from hwtest.bench.ledger import entries_after
from hwtest.bench.numbers import comparable
from hwtest.desks import at_work, desks, nobody_at_work
from hwtest.ladder import Leg, ladder_of
from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Layer,
    Level,
    NotMeasuredError,
    Probe,
    Threshold,
    Verdict,
)
from hwtest.probes.queue_greet import queue_line
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.target import Target
from hwtest.useragent import OutgoingCall
from hwtest.useragent.call import Call, IncomingCall

WAITS_SECONDS = (1.0, 2.5)
"""How long callers wait in the queue before they give up."""
RINGS = 4
"""Calls of each kind that are given up while a phone rings."""
RING_SECONDS = 0.5
RUNG_SECONDS = 10.0
STOP_SECONDS = 5.0
RECORD_SECONDS = 5.0
"""So long a call's end may take to be in the record."""
AGENT_LINE = "101_no_greeting"
WAITING, TEST, AGENT = "waiting in the queue", "ringing the test phone", "ringing an agent"
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One caller who gave up."""

    where: str
    waited: float
    """Seconds on the wire, INVITE to BYE or CANCEL."""
    stopped: float | None = None
    """Milliseconds until the phone was told; None: it was not, or none rang."""
    rang: bool = False
    call_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the record says of one of them; None: nothing."""

    outcome: str | None
    waited: float | None


async def measure(site: Site, sheet: Sheet) -> None:
    """Callers who give up in the queue, at the test phone, and in a lab at an agent's."""
    reader = _reader(site, sheet)
    trials, written = list[Trial](), list[Written]()
    try:
        recorder = Recorder(reader)
        for seconds in WAITS_SECONDS:
            await recorder.take(await _waiting(site, seconds), trials, written)
        await _at_the_test_phone(site, sheet, recorder, trials, written)
        await _at_an_agent(site, sheet, recorder, trials, written)
    finally:
        if reader is not None:
            reader.close()
    judge(sheet, trials, written if reader is not None else None)


def sender(target: Target) -> str | None:
    """The number by which the record knows test calls; None where the switch decides it: a phone of its own places them."""
    return None if target.caller_phone or not comparable(target.caller) else target.caller


async def _waiting(site: Site, seconds: float) -> tuple[str | None, Trial]:
    _, line = queue_line(site)
    if site.target.ami is not None:
        await nobody_at_work(await site.control())
    site.say(f"{WAITING} for {seconds:g} s")
    async with site.dial(line.number) as call:
        await call.answered(RUNG_SECONDS)
        await call.lasts(seconds)
        await call.hang_up()
    return sender(site.target), Trial(where=WAITING, waited=_waited(call), call_id=call.dialog.call_id)


async def _at_the_test_phone(
    site: Site, sheet: Sheet, recorder: Recorder, trials: list[Trial], written: list[Written]
) -> None:
    _, line = site.test_line()
    assert line.phone is not None, "a test line has a phone"
    calls = asyncio.Queue[IncomingCall]()

    async def ring(call: IncomingCall) -> None:
        calls.put_nowait(call)
        call.ring()

    async def rung(within_seconds: float) -> IncomingCall:
        return await asyncio.wait_for(calls.get(), within_seconds)

    async with site.phone(line.phone, ring):
        for number in range(1, RINGS + 1):
            site.say(f"{TEST} {number} of {RINGS}")
            async with site.dial(line.number) as call:
                done = await _given_up(sheet, call, rung, TEST, number)
            await recorder.take((sender(site.target), done), trials, written)


async def _given_up(
    sheet: Sheet,
    call: OutgoingCall,
    rung: Callable[[float], Awaitable[IncomingCall]],
    where: str,
    number: int,
) -> Trial:
    """Wait for the phone to ring, hang up, and see when it stops."""
    try:
        phone = await rung(RUNG_SECONDS)
    except TimeoutError:
        await call.hang_up()
        return Trial(where=where, waited=_waited(call), call_id=call.dialog.call_id)
    await phone.lasts(RING_SECONDS)
    await call.hang_up()
    await _ends(phone)
    gone, told = _gave_up_ns(call), phone.stamp_of("CANCEL", direction="received")
    if number == 1:
        legs = [Leg("caller", call), Leg("phone", phone)]
        sheet.ladder(ladder_of(f"A caller gives up while {where}, times in milliseconds", legs))
    return Trial(
        where=where,
        waited=_waited(call),
        stopped=None if told is None or gone is None else (told.monotonic_ns - gone) / 1e6,
        rang=True,
        call_id=call.dialog.call_id,
    )


async def _ends(call: Call) -> None:
    try:
        await call.ended(STOP_SECONDS)
    except TimeoutError:
        return  # it rings on: `stopped` says so


async def _at_an_agent(
    site: Site, sheet: Sheet, recorder: Recorder, trials: list[Trial], written: list[Written]
) -> None:
    """In a lab where nobody is at work, the same at an agent's phone."""
    if site.target.lab is None or site.target.ami is None:
        sheet.note(
            "Giving up while an agent's phone rings is not tried here: agents of an appliance are people."
        )
        return
    if await at_work(await site.control()):
        sheet.note("Giving up while an agent's phone rings was not tried: agents are at work.")
        return
    async with desks(site, 1, "queue.abandon") as room:
        desk = room.desks[0]
        await room.sign_in(desk)
        for number in range(1, RINGS + 1):
            site.say(f"{AGENT} {number} of {RINGS}")
            call = await room.call(AGENT_LINE)
            done = await _given_up(sheet, call, desk.rung, AGENT, number)
            await recorder.take((room.number_of(call), done), trials, written)


def _gave_up_ns(call: OutgoingCall) -> int | None:
    stamp = call.stamp_of("BYE", direction="sent") or call.stamp_of("CANCEL", direction="sent")
    return None if stamp is None else stamp.monotonic_ns


def _waited(call: OutgoingCall) -> float:
    invite, gone = call.stamp_of("INVITE", direction="sent"), _gave_up_ns(call)
    assert invite is not None, "a call has an INVITE"
    if gone is None:
        raise NotMeasuredError(
            f"a waiting call was ended by the switch (status {call.status}) before the caller gave up",
            "hwtest run queue.greet",
        )
    return (gone - invite.monotonic_ns) / 1e9


# --- the record ---


def _reader(site: Site, sheet: Sheet) -> SqlReader | None:
    if site.target.ledger is None:
        sheet.note(f"What was written down was not looked at: {site.target.name} gives no ledger.")
        return None
    try:
        return open_reader(site.target.ledger)
    except LedgerError as error:
        sheet.note(f"What was written down was not looked at: {error}")
        return None


class Recorder:
    """Reads the record after each call, and finds the call by the caller's number; without one, as the only call that came."""

    def __init__(self, reader: SqlReader | None) -> None:
        self._reader = reader
        self._after = 0 if reader is None else reader.last_sequence()
        self._known = set[str]()

    async def take(self, told: tuple[str | None, Trial], trials: list[Trial], written: list[Written]) -> None:
        """Keep this trial, and what the record says of it."""
        number, trial = told
        trials.append(trial)
        if self._reader is not None:
            written.append(await self._written(self._reader, number))

    async def _written(self, reader: SqlReader, number: str | None) -> Written:
        until = time.monotonic() + RECORD_SECONDS
        while True:
            entries = entries_after(reader, self._after)
            if number is None and len(arrived(entries, None) - self._known) > 1:
                raise NotMeasuredError(
                    "other calls came meanwhile, and the record cannot tell which of them was ours: the switch decides the "
                    "number of calls that a phone of its own places",
                    "test when nobody else calls, or let test calls be placed without [phone] of the target",
                )
            for call_id, found in written_of(entries, number).items():
                if call_id not in self._known:
                    self._known.add(call_id)
                    return found
            if time.monotonic() > until:
                return Written(outcome=None, waited=None)
            await asyncio.sleep(_POLL_SECONDS)


def arrived(entries: Sequence[Entry], number: str | None) -> set[str]:
    """Ids of the calls from this number; None: of all."""
    return {
        entry.fact.call_id
        for entry in entries
        if isinstance(entry.fact, CallArrived)
        and (number is None or comparable(entry.fact.caller_number) == comparable(number))
    }


def written_of(entries: Sequence[Entry], number: str | None) -> dict[str, Written]:
    """What became of each call from this number that has ended, by its id; None: of any call."""
    own = arrived(entries, number)
    return {
        entry.fact.call_id: Written(outcome=entry.fact.outcome.value, waited=entry.fact.waited_seconds)
        for entry in entries
        if isinstance(entry.fact, CallEnded) and entry.fact.call_id in own
    }


def judge(sheet: Sheet, trials: Sequence[Trial], written: Sequence[Written] | None) -> None:
    """Figures and findings. `written`: beside each trial; None where there is no record to look at."""
    rung = [trial for trial in trials if trial.where != WAITING]
    stopped = [trial.stopped for trial in rung if trial.stopped is not None]
    sheet.distribution(
        "phone_stops",
        "ms",
        stopped,
        uncertainty=1.0,
        note="the caller's BYE or CANCEL to the CANCEL at the phone",
        evidence=tuple(_evidence(trial) for trial in rung[:3]),
    )
    for trial in rung:
        if not trial.rang:
            sheet.find(
                UNRUNG,
                Verdict.FAIL,
                f"no phone rang within {RUNG_SECONDS:.0f} s, {trial.where}",
                _evidence(trial),
            )
        elif trial.stopped is None:
            words = (
                f"the caller hung up, and the phone was not told within {STOP_SECONDS:.0f} s, {trial.where}"
            )
            sheet.find(RINGS_ON, Verdict.FAIL, words, _evidence(trial))
    _judge_record(sheet, trials, written)


def _judge_record(sheet: Sheet, trials: Sequence[Trial], written: Sequence[Written] | None) -> None:
    if written is None:
        sheet.value(
            "wait_error", "ms", None, note="there is no record to look at: give ledger in the target's file"
        )
        return
    errors = list[float]()
    for trial, found in zip(trials, written, strict=True):
        if found.outcome is None or found.waited is None:
            words = f"the end of a call was not in the record within {RECORD_SECONDS:.0f} s ({trial.where})"
            sheet.find(UNLOGGED, Verdict.FAIL, words, _evidence(trial))
        elif found.outcome != CallOutcome.ABANDONED:
            words = f"a caller gave up {trial.where}, and the record says {found.outcome}"
            sheet.find(MISLOGGED, Verdict.FAIL, words, _evidence(trial))
        else:
            errors.append(abs(found.waited - trial.waited) * 1000)
    sheet.distribution(
        "wait_error",
        "ms",
        errors,
        uncertainty=1.0,
        note="the recorded wait beside INVITE to BYE or CANCEL on the wire",
        evidence=tuple(_evidence(trial) for trial in trials[:3]),
    )


def _evidence(trial: Trial) -> Evidence:
    return Evidence(text=f"{trial.where}: waited {trial.waited:.3f} s on the wire", call_id=trial.call_id)


SLOW, RINGS_ON, UNRUNG, UNLOGGED, MISLOGGED, WAIT = (
    f"queue.abandon.{word}" for word in ("slow", "rings-on", "unrung", "unlogged", "mislogged", "wait")
)


PROBE = Probe(
    name="queue.abandon",
    number=23,
    title="Who gives up frees the phone at once, and is written down as abandoned",
    level=Level.SAFE,
    seconds=35.0,
    term="abandonment; wait of abandoned calls",
    reference="own; RFC 3261 §9 (CANCEL)",
    meaning=(
        "A phone that rings on for a caller who has gone keeps an agent from the next one. An abandoned call with a wrong wait, "
        "or none, makes every figure wrong that the force publishes."
    ),
    thresholds=(
        Threshold(
            figure="phone_stops",
            statistic="max",
            passes=200.0,
            warns=500.0,
            unit="ms",
            clause="200 own; 500 RFC 3261 T1, when a lost CANCEL is sent again",
            code=SLOW,
        ),
        Threshold(
            figure="wait_error",
            statistic="max",
            passes=20.0,
            warns=100.0,
            unit="ms",
            clause="own; as log.error",
            code=WAIT,
        ),
    ),
    explanations=(
        Explanation(
            code=SLOW,
            layer=Layer.DAEMON,
            meaning="A caller had hung up, and the agent's phone rang on for a while.",
            caller_notices="Nothing; but the agent answers to nobody, and the next caller waits meanwhile.",
            causes=(
                "the daemon is overloaded, or stopped again and again",
                "the CANCEL was lost and sent again",
                "the phone answers messages late",
            ),
            confirm="look at the ladder between the caller's BYE or CANCEL and the phone's; hwtest run ctl.link meter.timing",
            mend="Lighten the machine; mend the network to the phones where messages are sent again.",
        ),
        Explanation(
            code=RINGS_ON,
            layer=Layer.DAEMON,
            meaning="A caller had hung up, and the agent's phone was not told at all.",
            caller_notices="Nothing; but an agent's phone rings for nobody until its time is over.",
            causes=(
                "the daemon was killed or hangs: the phone's ring is its business alone",
                "the phone had answered just then",
                "the CANCEL is lost on the way to the phone",
            ),
            confirm="edge status; look at the ladder; asterisk -rx 'core show channels concise'",
            mend="Start the daemon again, keeping the log of one that hung; then mend the way to the phones.",
        ),
        Explanation(
            code=UNRUNG,
            layer=Layer.DAEMON,
            meaning="The phone that this call is for did not ring, though it is registered.",
            caller_notices="Ringing or music without end.",
            causes=(
                "the daemon does not run or does not see the switch",
                "the line is not marked as a test line with this phone (test_phone)",
                "the phone counts as busy or unavailable",
            ),
            confirm="edge status; edge why CALL; hwtest run call.one",
            mend="Start the daemon, or name the phone as test_phone of the line in its configuration.",
        ),
        Explanation(
            code=UNLOGGED,
            layer=Layer.RECORD,
            meaning="A caller gave up, and their call or its end is not in the record.",
            caller_notices="Nothing. Nobody rings back an abandoned 999 that is not written down.",
            causes=(
                "the daemon did not run: the switch served the call by itself",
                "the ledger refuses or is slow, and facts wait in memory",
                "another ledger is read than the one that the daemon writes",
            ),
            confirm="edge status; edge calls --last 5; edge ledger verify; df of the ledger's disk",
            mend="Start the daemon; mend the disk: what waits in memory is then written by itself.",
        ),
        Explanation(
            code=MISLOGGED,
            layer=Layer.RECORD,
            meaning="A caller gave up, and the record says that something else became of the call.",
            caller_notices="Nothing. Abandoned calls are missing in the figures, or others are too many.",
            causes=(
                "the queue turned the caller away at that very moment: closed or full",
                "an agent answered just then",
                "the daemon was started anew meanwhile and did not see the end",
            ),
            confirm="edge calls --last 5; edge why CALL",
            mend="Test when the line is open and nobody is at work; otherwise keep the ledger and report it.",
        ),
        Explanation(
            code=WAIT,
            layer=Layer.RECORD,
            meaning="The recorded wait of a caller who gave up is not the one that was on the wire.",
            caller_notices="Nothing. The force's figures of waiting are wrong.",
            causes=(
                "the daemon is overloaded or stopped again and again, and saw begin or end late",
                "the link to the switch lags",
                "the call began while the daemon was away",
            ),
            confirm="hwtest run ctl.link clock.sync log.error; edge why CALL",
            mend="Lighten the machine or mend the link; intervals do not depend on the clock's date.",
        ),
    ),
    measure=measure,
)
