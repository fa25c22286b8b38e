"""Probe 24: a call-back, from the keys to the talk: promised, place kept, refused, answered by another, tried again, talked."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from edge.core.facts import CallEnded as CallHasEnded
from edge.core.model import CallOutcome
from edge.ledger.store import SqlReader, open_reader
from edge.ports import LedgerError
from hwtest.accepting import Accepting
from hwtest.audio.hearing import Hearing
from hwtest.audio.prompt import document_of, line_of
from hwtest.audio.signal import LEG_FREQUENCIES_HZ
from hwtest.bench.ledger import entries_after
from hwtest.bench.numbers import comparable
from hwtest.desks import Room, desks, lab_of, made_again
from hwtest.lab.contract import Lab
from hwtest.ladder import Leg, ladder_of
from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Layer,
    Level,
    Need,
    NotMeasuredError,
    Probe,
    Threshold,
    Verdict,
)
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.useragent import CallEnded, CallState, OutgoingCall, UserAgent
from hwtest.useragent.call import Call, IncomingCall
from hwtest.useragent.media import Media

LINES = ("callback_probe", "101_no_greeting")
"""The first that the lab has: one that is used for nothing else, or the one that it has always."""
BUSY = 486
AGENT_HZ, PERSON_HZ = LEG_FREQUENCIES_HZ[2], LEG_FREQUENCIES_HZ[6]
FILLERS = (0, 8, 30)
"""So many callers more stand in front until the wait that is expected is long enough for an offer."""
OFFER_SECONDS = 8.0
DIALOGUE_SECONDS = 40.0
RUNG_SECONDS = 10.0
PERSON_SECONDS = 5.0
TALK_SECONDS = 1.0
RECORD_SECONDS = 5.0
SPACING_SECONDS = 120.0
"""Between attempts, where the configuration does not say."""
EARLY_SECONDS = 0.3
_POLL_SECONDS = 0.05


@dataclass(slots=True, kw_only=True)
class Story:
    """What happened, as far as it came."""

    promised: bool = False
    first_for_them: bool | None = None
    """Whether the first phone that rang was for the call-back, and not for who joined later."""
    attempts: list[float] = field(default_factory=list)
    """From the agent's 200 to the person's INVITE, in milliseconds, of each attempt that rang the person."""
    again_after: list[float] = field(default_factory=list)
    """Seconds from the end of one attempt to the agent's INVITE of the next."""
    spacing: float = SPACING_SECONDS
    """What they must be, at least, by the configuration."""
    at_once: int = 1
    """The most calls to the person that there were at a time."""
    dialled_right: bool | None = None
    shown: str | None = None
    """What the person saw, in words, where it is not the number that they must see."""
    person_hears: bool | None = None
    agent_hears: bool | None = None
    outcome: str | None = None
    """By the record."""
    stuck: str | None = None
    """What was waited for in vain."""
    call_id: str = ""


class _StuckError(Exception):
    """Something that must happen did not."""


async def measure(site: Site, sheet: Sheet) -> None:
    """All branches of one call-back, with a live caller who joins after it."""
    lab = lab_of(site, "queue.callback")
    if lab.callback is None:
        raise NotMeasuredError(
            "nobody is offered a call-back in this lab",
            made_again(lab),
        )
    document = document_of(lab)
    line = next((line for line in LINES if line in lab.lines), LINES[-1])
    story = Story(spacing=_spacing(document, line))
    busy = int(document.get("callback", {}).get("idle_agents", 1)) + 1
    try:
        reader = open_reader(lab.ledger)
    except LedgerError as error:
        raise NotMeasuredError(f"the record cannot be read: {error}", "edge status") from None
    try:
        async with (
            desks(site, busy, "queue.callback", Media("tone", AGENT_HZ)) as room,
            _nothing_left(lab, story),
            _phone_of_the_person(lab) as phone,
        ):
            run = _Run(site, sheet, room, lab, reader, _Person(phone), story, line)
            with contextlib.suppress(_StuckError):
                await run.all()
    finally:
        reader.close()
    judge(sheet, story)


def _phone_of_the_person(lab: Lab) -> UserAgent:
    """Where the lab's trunk sends calls to public numbers."""
    return UserAgent(lab.callee.host, lab.callee.port, user="person", media=Media("tone", PERSON_HZ))


def _spacing(document: dict[str, Any], line: str) -> float:
    queue = document.get("queue", {}).get(line_of(document, line).get("queue", ""), {})
    return float(queue.get("callback", {}).get("spacing_seconds", SPACING_SECONDS))


class _Person:
    """Who is called back: each call to them rings, until it is said what becomes of it."""

    def __init__(self, phone: UserAgent) -> None:
        self.calls: list[IncomingCall] = []
        self._rung = asyncio.Queue[IncomingCall]()
        self.most = 0
        phone.on_invite = self._take

    def _take(self, call: IncomingCall) -> None:
        self.calls.append(call)
        self.most = max(self.most, sum(other.state is not CallState.ENDED for other in self.calls))
        call.ring()
        self._rung.put_nowait(call)

    async def rung(self) -> IncomingCall:
        """The next call."""
        return await asyncio.wait_for(self._rung.get(), PERSON_SECONDS)


class _Run:
    """One run through the branches."""

    def __init__(
        self,
        site: Site,
        sheet: Sheet,
        room: Room,
        lab: Lab,
        reader: SqlReader,
        person: _Person,
        story: Story,
        line: str,
    ) -> None:
        self._site, self._sheet, self._room, self._lab = site, sheet, room, lab
        self._reader, self._person, self._story, self._line = reader, person, story, line
        self._after = reader.last_sequence()

    async def all(self) -> None:
        """Promise, first attempt refused, second answered by another, third by the person."""
        talks = await self._all_busy()
        number = await self._promise()
        later = await self._room.call(self._line)  # joins after the one who is called back
        await later.answered(PERSON_SECONDS)
        for talk in talks:
            await talk.hang_up()
        self._site.say("first attempt: refused")
        offer = await self._offer("a phone rings when agents are free")
        self._story.first_for_them = offer.header("X-Edge-Callback") is not None
        if not self._story.first_for_them:
            return
        person = await self._person_of(offer, number)
        person.reject(BUSY)
        ended = await self._over(offer, person)
        self._site.say("the one who joined later is served meanwhile")
        await self._serve_later()
        self._site.say("second attempt: answered by another")
        offer = await self._callback_again(ended)
        person = await self._person_of(offer, number)
        person.answer()
        await person.lasts(TALK_SECONDS)
        await self._edge("callbacks", "machine", self._story.call_id, "--by", self._by(offer))
        ended = await self._over(offer, person)
        self._site.say("third attempt: answered")
        offer = await self._callback_again(ended)
        await self._talk(offer, await self._person_of(offer, number))
        self._story.at_once = self._person.most
        self._story.outcome = await self._outcome()

    # Before

    async def _all_busy(self) -> list[IncomingCall]:
        """Every agent talks, so that the next caller waits."""
        talks = list[IncomingCall]()
        for desk in self._room.desks:
            await self._room.sign_in(desk)
            await self._room.call(self._line)
            try:
                talk = await desk.rung(RUNG_SECONDS)
            except TimeoutError:
                raise NotMeasuredError(
                    f"a free agent was not rung within {RUNG_SECONDS:.0f} s",
                    "hwtest run queue.dispatch --lab",
                ) from None
            talk.answer()
            talks.append(talk)
        return talks

    async def _promise(self) -> str:
        """Somebody accepts by keys and hangs up; their number. The callers in front of them are gone then."""
        callback = self._lab.callback
        assert callback is not None, "it was looked at before"
        accepting = Accepting(self._reader, callback.key)
        in_front = list[OutgoingCall]()
        for more in FILLERS:
            in_front += [await self._room.call(self._line) for _ in range(more)]
            self._site.say(f"a caller waits for the offer, {len(in_front)} in front")
            call = await self._room.call(self._line, Media("silence"))
            number = self._room.written(call)
            accepting.watch(number, call)
            if await self._until(lambda n=number: n in accepting.asked, OFFER_SECONDS, accepting):
                break
            in_front.append(call)
        else:
            raise NotMeasuredError(
                f"no call-back was offered with {len(in_front)} callers in front: waits in this lab have been too short for it",
                made_again(self._lab),
            )
        if not await self._until(lambda: number in accepting.promised, DIALOGUE_SECONDS, accepting):
            self._stuck("the promise, after the keys")
        await call.hang_up()
        self._story.call_id = accepting.promised[number]
        if not await self._until(lambda: number in accepting.waiting, PERSON_SECONDS, accepting):
            self._stuck("the call-back waits at its place")
        self._story.promised = True
        for other in in_front:
            await other.hang_up()
        return number

    async def _until(self, holds: Any, seconds: float, accepting: Accepting) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            accepting.follow()
            if holds():
                return True
            await asyncio.sleep(_POLL_SECONDS)
        return False

    # Attempts

    async def _offer(self, what: str, within_seconds: float = RUNG_SECONDS) -> IncomingCall:
        """The next call to any agent's phone; meanwhile each says that wrap-up is over."""
        waiting = {asyncio.create_task(desk.rung(within_seconds)): desk for desk in self._room.desks}
        try:
            until = time.monotonic() + within_seconds
            while time.monotonic() < until:
                for desk in self._room.desks:
                    if not desk.phone.busy:
                        await self._room.ready(desk)
                done, _ = await asyncio.wait(waiting, timeout=0.5, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    with contextlib.suppress(TimeoutError):
                        return task.result()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        self._stuck(what)
        raise AssertionError("not reached")

    async def _callback_again(self, ended: float) -> IncomingCall:
        offer = await self._offer("the next attempt", self._story.spacing + RUNG_SECONDS)
        stamp = offer.stamp_of("INVITE", direction="received")
        assert stamp is not None, "a call has an INVITE"
        if offer.header("X-Edge-Callback") is None:
            self._stuck("the next attempt: a phone rang for somebody else")
        self._story.again_after.append(stamp.monotonic_ns / 1e9 - ended)
        return offer

    async def _person_of(self, offer: IncomingCall, number: str) -> IncomingCall:
        """The agent answers, and the person's phone rings."""
        offer.answer()
        try:
            person = await self._person.rung()
        except TimeoutError:
            self._stuck("the person's phone rings once the agent has answered")
            raise
        answered, rung = (
            offer.stamp_of("200", direction="sent"),
            person.stamp_of("INVITE", direction="received"),
        )
        assert answered is not None and rung is not None, "both were on the wire"
        self._story.attempts.append((rung.monotonic_ns - answered.monotonic_ns) / 1e6)
        right = comparable(person.invite.to_address.user) == comparable(number)
        self._story.dialled_right = right and self._story.dialled_right is not False
        callback = self._lab.callback
        if callback is not None and comparable(person.caller_number) != comparable(callback.show_number):
            digits = comparable(person.caller_number)
            self._story.shown = f"a number that ends in {digits[-2:]}" if digits else "no number"
        return person

    async def _over(self, offer: IncomingCall, person: IncomingCall) -> float:
        """The agent's leg ends by itself; when the person's was over on the wire, in monotonic seconds."""
        try:
            await offer.ended(PERSON_SECONDS)
            await person.ended(PERSON_SECONDS)
        except TimeoutError:
            for leg in (offer, person):
                if leg.state is not CallState.ENDED:
                    await leg.hang_up()
        last = person.stamp_of(str(BUSY)) or person.stamp_of("BYE")
        return time.monotonic() if last is None else last.monotonic_ns / 1e9

    async def _serve_later(self) -> None:
        offer = await self._offer("who joined later is served while the call-back rests")
        offer.answer()
        await offer.lasts(TALK_SECONDS / 2)
        with contextlib.suppress(CallEnded):
            await offer.hang_up()

    async def _talk(self, offer: IncomingCall, person: IncomingCall) -> None:
        by_agent, by_person = Hearing.of(offer.leg), Hearing.of(person.leg)
        person.answer()
        await person.lasts(TALK_SECONDS)
        self._story.agent_hears = by_agent.first_tone_ns(PERSON_HZ, 0) is not None
        self._story.person_hears = by_person.first_tone_ns(AGENT_HZ, 0) is not None
        legs = [Leg("agent", offer), Leg("person", person)]
        self._sheet.ladder(ladder_of("The attempt that was answered, times in milliseconds", legs))
        leg: Call
        for leg in (person, offer):
            with contextlib.suppress(CallEnded, TimeoutError):
                await leg.hang_up()

    def _by(self, offer: IncomingCall) -> str:
        return next(desk.agent.number for desk in self._room.desks if desk.phone.agent is offer.agent)

    async def _outcome(self) -> str | None:
        until = time.monotonic() + RECORD_SECONDS
        while time.monotonic() < until:
            for entry in entries_after(self._reader, self._after):
                if isinstance(entry.fact, CallHasEnded) and entry.fact.call_id == self._story.call_id:
                    return entry.fact.outcome.value
            await asyncio.sleep(_POLL_SECONDS)
        return None

    async def _edge(self, *arguments: str) -> None:
        if fault := await edge(self._lab, *arguments):
            self._stuck(f"edge {' '.join(arguments[:2])} takes it: {fault}")

    def _stuck(self, what: str) -> None:
        self._story.stuck = what
        raise _StuckError(what)


async def edge(lab: Lab, *arguments: str) -> str | None:
    """Run the daemon's command line on this lab; None when it went well, else what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "edge", "--config", lab.config, *arguments),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode == 0:
        return None
    return said.decode(errors="replace").strip() or f"exit status {process.returncode}"


@asynccontextmanager
async def _nothing_left(lab: Lab, story: Story) -> AsyncIterator[None]:
    """At the end no call-back of ours waits any more."""
    try:
        yield
    finally:
        if story.promised and story.outcome is None:
            await edge(
                lab, "callbacks", "cancel", story.call_id, "--by", "hwtest", "--why", "the test is over"
            )


def judge(sheet: Sheet, story: Story) -> None:
    """Figures and findings."""
    told = Evidence(text="edge why CALL tells the whole story of this call-back", call_id=None)
    sheet.distribution(
        "person_rung",
        "ms",
        story.attempts,
        uncertainty=0.5,
        note="the agent's 200 to the person's INVITE, of every attempt",
        evidence=(told,),
    )
    sheet.distribution(
        "until_next_attempt",
        "s",
        story.again_after,
        note=f"from the end of the person's leg to the agent's INVITE of the next; at least {story.spacing:g} s",
    )
    place = None if story.first_for_them is None else int(not story.first_for_them)
    sheet.value("places_lost", "callers", place, note="to somebody who joined later", evidence=(told,))
    if story.stuck is not None:
        code = UNPROMISED if not story.promised else STUCK
        sheet.find(code, Verdict.FAIL, f"waited for in vain: {story.stuck}", told)
    if story.dialled_right is False:
        sheet.find(
            WRONG_NUMBER, Verdict.FAIL, "another number was called than the one that was promised", told
        )
    if story.shown is not None:
        words = "the person did not see the number that call-backs must show"
        sheet.find(WRONG_CLI, Verdict.FAIL, words, Evidence(text=f"they saw {story.shown}"))
    if story.at_once > 1:
        sheet.find(TWICE, Verdict.FAIL, f"the person's phone was rung {story.at_once} times at once", told)
    early = [after for after in story.again_after if after < story.spacing - EARLY_SECONDS]
    if early:
        words = f"the next attempt came after {min(early):.1f} s; {story.spacing:g} s by the configuration"
        sheet.find(HASTY, Verdict.FAIL, words, told)
    if False in (story.agent_hears, story.person_hears):
        deaf = "the person" if story.person_hears is False else "the agent"
        sheet.find(DEAF, Verdict.FAIL, f"the call-back was answered, and {deaf} did not hear the other", told)
    if story.agent_hears is not None and story.outcome != CallOutcome.ANSWERED:
        words = f"the person was talked with, and the record says {story.outcome or 'nothing'}"
        sheet.find(MISLOGGED, Verdict.FAIL, words, told)


UNPROMISED, STUCK, PLACE, SLOW, WRONG_NUMBER, WRONG_CLI, TWICE, HASTY, DEAF, MISLOGGED = (
    f"queue.callback.{word}"
    for word in (
        *("unpromised", "stuck", "place", "slow", "wrong-number", "wrong-cli", "twice", "hasty"),
        *("deaf", "mislogged"),
    )
)


def _told(
    code: str,
    layer: Layer,
    meaning: str,
    caller_notices: str,
    causes: tuple[str, ...],
    confirm: str,
    mend: str,
) -> Explanation:
    return Explanation(
        code=code,
        layer=layer,
        meaning=meaning,
        caller_notices=caller_notices,
        causes=causes,
        confirm=confirm,
        mend=mend,
    )


PROBE = Probe(
    name="queue.callback",
    number=24,
    title="A call-back is kept: promised, at its place, tried again, and talked",
    level=Level.LAB,
    needs=frozenset({Need.CONTROL, Need.RECORD}),
    seconds=60.0,
    term="call-back in place of waiting (virtual hold)",
    reference="own",
    meaning=(
        "Who is promised a call-back and is not called, or is called behind others, does not believe the force again. The whole "
        "way is gone through: keys, promise, refusal, another attempt, an answer by another, and the talk."
    ),
    thresholds=(
        Threshold(
            figure="person_rung",
            statistic="max",
            passes=200.0,
            warns=500.0,
            unit="ms",
            clause="own",
            code=SLOW,
        ),
        Threshold(
            figure="places_lost",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="callers",
            clause="own; a call-back keeps the time of joining",
            code=PLACE,
        ),
    ),
    explanations=(
        _told(
            UNPROMISED,
            Layer.DAEMON,
            "A caller pressed the keys, and was not promised a call-back.",
            "They press and press, and go on waiting.",
            (
                "the machine's clock is not synchronised, and the configuration asks for it",
                "the disk does not take the promise, which is made when it is durable and not before",
                "the keys do not arrive as telephone events (RFC 4733)",
            ),
            "edge why CALL; hwtest run audio.dtmf clock.sync; edge status",
            "Mend what the record names: the clock, the disk, or the trunk's DTMF.",
        ),
        _told(
            STUCK,
            Layer.DAEMON,
            "A call-back that was promised did not go on: no agent was rung, or the person was not.",
            "They wait at home, and nobody calls.",
            (
                "too few agents stay free beside the one who would call (callback.idle_agents)",
                "the trunk refuses or rests after failures, or a limit of dialling is reached",
                "the daemon hangs or has lost the switch",
            ),
            "edge callbacks; edge why CALL; edge status; edge agents",
            "Mend the trunk, sign in more agents or raise the limit; restart a daemon that hangs, keeping its log.",
        ),
        _told(
            PLACE,
            Layer.DAEMON,
            "An agent was rung for a live caller who joined after the person who was promised a call-back.",
            "Those who agreed to hang up are served after those who stayed.",
            (
                "the daemon runs with another order than its configuration gives",
                "no agent was left free beside the one who would call, and others were served meanwhile",
            ),
            "edge why CALL of both; edge callbacks",
            "Look at callback.idle_agents and callback.channels; otherwise keep the ledger and report it.",
        ),
        _told(
            SLOW,
            Layer.DAEMON,
            "The agent was on the line, and the person's phone was rung late.",
            "Nothing; but an agent listens to silence on every call-back.",
            (
                "each attempt is on the disk before it is dialled, and the disk is slow",
                "the daemon is overloaded or stopped again and again",
            ),
            "edge status; hwtest run meter.timing ctl.link; edge why CALL",
            "Mend the disk or lighten the machine.",
        ),
        _told(
            WRONG_NUMBER,
            Layer.DAEMON,
            "The number that was called is not the one that was promised.",
            "A stranger is called by the police, and the person is not.",
            (
                "the trunk's number format is wrong (callback.dial_format)",
                "the caller's number arrives in another form than the daemon knows",
            ),
            "look at the To of the person's INVITE; edge why CALL",
            "Set callback.dial_format as the trunk wants numbers; stop call-backs until it is right.",
        ),
        _told(
            WRONG_CLI,
            Layer.TRUNK,
            "The person saw another number than the configuration's callback.show_number, or none.",
            "They do not pick up, or ring back a number that nobody answers.",
            (
                "the trunk or its endpoint replaces the number (from_user, trust_id_outbound)",
                "the daemon runs with another configuration than the file",
            ),
            "look at From and P-Asserted-Identity of the person's INVITE; asterisk -rx 'pjsip show endpoint TRUNK'",
            "Let the trunk send what the daemon gives; reload the daemon after a change.",
        ),
        _told(
            TWICE,
            Layer.DAEMON,
            "The same person was rung by two calls at once.",
            "Their phone rings twice, and one of the calls has nobody on it.",
            (
                "an attempt was made again after a fault, before the first was seen to be over",
                "two daemons serve the same switch",
            ),
            "edge why CALL; asterisk -rx 'core show channels concise'; edge status",
            "Stop call-backs (callback.enabled = false), keep the ledger and report it.",
        ),
        _told(
            HASTY,
            Layer.DAEMON,
            "After an attempt in vain the next came sooner than the configuration's spacing.",
            "Their phone rings again at once after they refused.",
            (
                "the daemon runs with another spacing_seconds than its configuration's file says",
                "the attempt did not count: the network failed and not the person",
            ),
            "edge why CALL; edge check",
            "Reload the daemon after a change of spacing_seconds.",
        ),
        _told(
            DEAF,
            Layer.SWITCH,
            "The person answered the call-back, and one of the two did not hear the other.",
            "They pick up and hear nothing: a silent call by the police.",
            (
                "the switch did not join the two: no codec in common, no ports left",
                "audio to the trunk is stopped by a firewall or a wrong address",
            ),
            "hwtest run audio.twoway; asterisk -rx 'bridge show all'; edge why CALL",
            "Mend codecs, ports or addresses as audio.twoway names them.",
        ),
        _told(
            MISLOGGED,
            Layer.RECORD,
            "The person was called back and talked with, and the record does not say so.",
            "They may be called again for nothing.",
            (
                "the daemon did not see the end: it or its link was down",
                "the ledger refuses or is slow, and facts wait in memory",
            ),
            "edge why CALL; edge status; edge ledger verify",
            "Mend link or disk; close the call-back by hand (edge callbacks cancel) so that nobody is called again.",
        ),
    ),
    measure=measure,
)
