"""One worker per call: it serves that call's effects in order, and puts its dead-man off while it does.

The dead-man (TIMEOUT(absolute) on the caller's channel) takes the caller to the switch's own queue when nobody renews it.
So the renewal must mean something: it comes from the very task that serves the call, and only while the engine lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from edge.core.effects import (
    Announce,
    AskAgent,
    CollectNumber,
    ConnectPair,
    DialForTask,
    DialPerson,
    Divert,
    Effect,
    EndAttempt,
    GiveUpDial,
    HangUpCaller,
    HangUpOffer,
    Inspect,
    MakeOffer,
    NotePlace,
    RingForTask,
    SendToFallback,
    StopAnnouncement,
    TakeCharge,
    WithdrawOffer,
)
from edge.errors import LinkError, RefusedError
from edge.pbx.asterisk.book import Book, Place
from edge.pbx.asterisk.hands import Hands
from edge.pbx.asterisk.identity import RENEWALS_PER_DEAD_MAN
from edge.pbx.asterisk.sightings import CallMissing, Sighting

log = structlog.get_logger(__name__)

MOST_WAITING_EFFECTS = 64
REFUSALS_BELIEVED = 2


class MusicAgain:
    """An announcement is over: play music again. Not an effect of the engine, but served in order with them."""


class RenewNow:
    """The dead-man is due to be put off."""


class LookRound:
    """Something ended: see whether this worker is still needed."""


Work = Effect | MusicAgain | RenewNow | LookRound


class CallWorker:
    """Serves one call until no leg of it is left."""

    def __init__(self, call_id: str, hands: Hands, book: Book, see: Callable[[Sighting], None]) -> None:
        self._call_id = call_id
        self._hands = hands
        self._book = book
        self._see = see
        self._work: asyncio.Queue[Work] = asyncio.Queue(MOST_WAITING_EFFECTS)
        self._dead_man_seconds: float | None = None
        self._renew_at = 0.0
        self._refusals = 0

    def give(self, work: Work) -> None:
        """More to do. A worker with a full table is stuck: it stops renewing, and the switch takes its caller."""
        try:
            self._work.put_nowait(work)
        except asyncio.QueueFull:
            log.error("call.worker_stuck", call=self._call_id)
            self._dead_man_seconds = None

    async def run(self) -> None:
        """Work until no leg of the call is left and nothing waits to be done."""
        while not self._work.empty() or self._book.has_business(self._call_id):
            await self._serve(await self._work.get())

    async def _serve(self, work: Work) -> None:
        try:
            await self._perform(work)
        except LinkError as failure:
            # Dropped, not repeated: what came of it is seen after the reconnection.
            log.warning("effect.outcome_unknown", call=self._call_id, failure=str(failure))
        except RefusedError as refusal:
            log.warning("effect.refused", call=self._call_id, refusal=str(refusal))

    async def _perform(self, work: Work) -> None:
        match work:
            case TakeCharge():
                self._begin_renewing(work.line)
                await self._hands.entertain(work)
            case MakeOffer():
                await self._hands.make_offer(work)
            case WithdrawOffer():
                await self._hands.withdraw_offer(work.offer_id, answered_elsewhere=work.answered_elsewhere)
            case HangUpOffer():
                await self._hands.hang_up_offer(work.offer_id, answered_elsewhere=work.answered_elsewhere)
            case DialPerson():
                await self._hands.dial_person(work)
            case EndAttempt():
                await self._hands.end_attempt(work)
            case ConnectPair():
                self._stop_renewing()
                await self._hands.connect(work)
            case SendToFallback():
                self._stop_renewing()
                await self._hands.send_to_fallback(work)
            case Divert():
                if self._hands.releasable(self._call_id, "divert") is not None:
                    self._stop_renewing()
                    await self._hands.divert(work)
            case Inspect():
                await self._hands.inspect(work)
            case RenewNow():
                self._renew()
            case RingForTask() | AskAgent() | DialForTask() | GiveUpDial():
                await self._work_at_task(work)
            case _:
                await self._attend(work)

    async def _work_at_task(self, work: RingForTask | AskAgent | DialForTask | GiveUpDial) -> None:
        match work:
            case RingForTask():
                await self._hands.ring_for_task(work)
            case AskAgent():
                await self._hands.ask_agent(work)
            case DialForTask():
                await self._hands.dial_for_task(work)
            case GiveUpDial():
                await self._hands.give_up_dial(work.offer_id)

    async def _attend(self, work: Work) -> None:
        """What concerns a caller who waits on."""
        match work:
            case Announce():
                await self._hands.announce(work)
            case StopAnnouncement():
                await self._hands.stop_announcement(work.call_id)
            case CollectNumber():
                self._book.collect(work.call_id, collect=work.collect)
            case NotePlace():
                await self._hands.note_place(work)
            case HangUpCaller():
                await self._hands.hang_up_caller(work)
            case MusicAgain():
                call = self._book.calls.get(self._call_id)
                if call is not None:
                    await self._hands.resume(call)

    # --- the dead-man ---

    def _begin_renewing(self, line: str) -> None:
        call = self._book.calls.get(self._call_id)
        if call is None or call.place is not Place.HELD:
            return  # nobody may put a clock on a conversation, nor on one that is about to begin
        self._dead_man_seconds = self._hands.dead_man_seconds(line)
        self._renew()

    def _stop_renewing(self) -> None:
        """Before the hand-over: AMI keeps the order, so no renewal can reach the caller after the dialplan's reset."""
        self._dead_man_seconds = None

    def tick(self, now: float, engine_seen_at: float) -> None:
        """Have the worker renew if that is due. `engine_seen_at`: a wedged engine must let its callers go.

        The runtime shows a pulse each second at least and the dead-man of a 999 may be 3 s, so half of it is the limit:
        the caller of a wedged engine is taken within one and a half dead-men.
        """
        seconds = self._dead_man_seconds
        if seconds is not None and now >= self._renew_at and now - engine_seen_at <= seconds / 2:
            self._renew_at = now + seconds / RENEWALS_PER_DEAD_MAN
            self.give(RenewNow())

    def _renew(self) -> None:
        call = self._book.calls.get(self._call_id)
        if call is None or call.place is not Place.HELD or self._dead_man_seconds is None:
            self._dead_man_seconds = None
        else:
            self._hands.renew(call.leg_id, self._dead_man_seconds, self._refused)

    def _refused(self) -> None:
        """The switch knows no such channel. Twice, a third of a dead-man apart, is no race with its Hangup event."""
        self._refusals += 1
        if self._refusals >= REFUSALS_BELIEVED and self._call_id in self._book.calls:
            self._see(CallMissing(call_id=self._call_id))
