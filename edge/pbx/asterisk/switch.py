"""An Asterisk as `edge.ports.Pbx`: the one place that joins both links, the book and the workers of the calls.

The way of an event: a reader puts it into one queue and reads on; one task takes it out, the book makes inputs of it, and
they are posted. Nothing on that way waits for anything. The way of an effect: into the bounded queue of its call's worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from panoramisk.message import Message

from edge.core.effects import (
    AskAgent,
    DialForTask,
    Effect,
    GiveUpDial,
    HangUpOffer,
    ReadTrace,
    RingForTask,
    SetNotReady,
    WithdrawOffer,
)
from edge.core.inputs import (
    AnnouncementFinished,
    CallerGone,
    CallSentBack,
    FallbackTook,
    Input,
    LinkLost,
    PersonGone,
    PhoneGone,
    TraceRead,
)
from edge.core.model import Policy
from edge.errors import LinkError, PermanentError, RefusedError
from edge.pbx.asterisk import identity, snapshot
from edge.pbx.asterisk.ami import translate as ami
from edge.pbx.asterisk.ami.client import AmiClient
from edge.pbx.asterisk.ari import translate as ari
from edge.pbx.asterisk.ari.client import AriClient
from edge.pbx.asterisk.book import Book, Place
from edge.pbx.asterisk.calls import CallWorker, LookRound, MusicAgain, Work
from edge.pbx.asterisk.guard import Guard, LiveCalls, SwitchUnwellError
from edge.pbx.asterisk.hands import Hands
from edge.pbx.asterisk.record.files import KnownCalls, TraceFiles, nobody_known, portions
from edge.pbx.asterisk.settings import AsteriskSettings
from edge.pbx.asterisk.sightings import CanaryHeard, Sighting, TimePassed

log = structlog.get_logger(__name__)

FIRST_PAUSE_SECONDS = 0.25
"""Reconnecting at once can leave the socket open and the application dead; after 50 ms it never did (ASTERISK.md 0.2)."""
LONGEST_PAUSE_SECONDS = 2.0
CANARY_SECONDS = 5.0
CANARY_ANSWER_SECONDS = 1.0
CANARIES_MISSED = 2
TICK_SECONDS = 0.25
CLAIM_PULSE_SECONDS = 1.0
"""A caller is taken only while the engine was alive so recently; it pulses four times as often."""
TRACE_SETTLES_SECONDS = 1.0
"""The switch writes its record of a call some milliseconds after its events."""
TRACE_SECONDS = 60.0
PORTION_SECONDS = 0.02
"""Between two portions of a trace, of which each keeps the engine for some milliseconds: a night of calls delays nobody."""
RELEASE_SECONDS = 0.5
"""A leg ends some milliseconds after its phone has hung up; what lasts twice this at most has lost the hang-up."""
MOST_WAITING_EVENTS = 50_000
"""Heard and not yet seen, or seen and kept back until the engine knows the switch. Beyond it the link ends, and a snapshot says
what they would have said."""
MOST_UNCLAIMED = 1_000
"""Callers who came before the engine knew the switch. Beyond it the switch's own queue has them."""


class RivalError(PermanentError):
    """Another daemon has taken our callers: two would fight for them for ever."""


class CanaryMissed(LinkError):  # noqa: N818 - named for what happened
    """The websocket is open and nothing comes through it: the application is dead or Asterisk is stuck."""


class AsteriskPbx:
    """One Asterisk. Call `pulse` on every turn of the engine: callers are kept only while it comes."""

    def __init__(
        self,
        settings: AsteriskSettings,
        policy: Policy,
        live_calls: LiveCalls = dict,
        known_calls: KnownCalls = nobody_known,
    ) -> None:
        """`live_calls`: the engine's open calls, and whether their caller is on the line, for the cross-check. `known_calls`:
        which of these calls the ledger has; it is asked in a thread."""
        self._settings = settings
        self._book = Book(policy)
        self._guard = Guard(policy, self._book, settings.app, live_calls)
        self._trace = TraceFiles(settings.log_directory, policy, known_calls)
        self._hands = Hands(settings, policy, self._book, self._see)
        self._workers: dict[str, CallWorker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._post: Callable[[Input], None] = _nowhere
        self._pulse_at = float("-inf")
        self._lost = False
        self._settled = False
        self._canaries_missed = 0
        self._canary: tuple[str, asyncio.Future[None]] | None = None
        self._backlog: list[Sighting] | None = None
        self._unclaimed: list[str] = []
        self._fault: asyncio.Future[None] | None = None
        self._ami_link: AmiClient | None = None
        """While the switch is seen."""
        self._leaving = False

    def pulse(self) -> None:
        """The engine lives. A wedged one stops pulsing, so the switch's dead-man takes its callers."""
        self._pulse_at = asyncio.get_running_loop().time()

    async def leave(self) -> None:
        """We are about to end and nobody follows at once: new callers are not taken any more, and a 999 that waits is handed to
        the switch's own queue now, which its dead-man would do 3 s later. Others wait for the next daemon at their places."""
        self._leaving = True
        if self._ami_link is not None:
            await self._guard.send_away(self._ami_link, emergencies_alone=True)

    def perform(self, effect: Effect, cause: int) -> None:
        """Give the effect to the worker of its call; what comes of it comes back as inputs."""
        match effect:
            case SetNotReady():
                self._begin(self._set_not_ready(effect), f"agent {effect.agent} not ready")
                return
            case WithdrawOffer() | HangUpOffer() | RingForTask() | AskAgent() | DialForTask() | GiveUpDial():
                call_id = identity.call_of_offer(effect.offer_id)
            case ReadTrace():
                self._begin(self._read_trace(effect), f"trace of gap {effect.gap}")
                return
            case _:
                call_id = effect.call_id
        log.debug("effect", kind=type(effect).__name__, call=call_id, cause=cause)
        self._worker(call_id).give(effect)

    async def run(self, post: Callable[[Input], None]) -> None:
        """Serve until cancelled, reconnecting by itself.

        Raises PermanentError when a person must mend something, and SwitchUnwellError when the switch was reached twice in a
        row without anything coming through, or carries nothing out: then a new process, started by systemd, is the better try.
        """
        self._post = post
        self._fault = asyncio.get_running_loop().create_future()
        self.pulse()
        try:
            await self._serve_for_ever()
        finally:
            await _cancel(self._tasks)

    async def _serve_for_ever(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._one_connection()
            except (RivalError, SwitchUnwellError):
                raise
            except PermanentError as refusal:
                if not self._settled:
                    raise
                log.error(
                    "link.refused", error=str(refusal)
                )  # a secret was changed under us: calls are not ours to drop
                self._report(LinkError(str(refusal)))
            except (LinkError, RefusedError) as loss:
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS) if self._lost else FIRST_PAUSE_SECONDS
                self._report(loss)
            await asyncio.sleep(pause)

    def _report(self, loss: LinkError | RefusedError) -> None:
        """Tell the engine once per outage, and give up when the canary died twice."""
        (log.debug if self._lost else log.warning)("link.lost", error=str(loss))
        if not self._lost:
            self._lost = True
            self._post(LinkLost(link="asterisk", error=str(loss)))
        if self._canaries_missed >= CANARIES_MISSED:
            raise SwitchUnwellError(
                f"{loss}; {self._canaries_missed} canaries missed in a row: start afresh"
            ) from loss

    # --- one connection, from opening to loss ---

    async def _one_connection(self) -> None:
        events: asyncio.Queue[Sighting] = asyncio.Queue(MOST_WAITING_EVENTS)
        settings = self._settings

        def hear_ari(event: dict[str, Any]) -> None:
            _forbid_rival(event, settings.app)
            if (leg_id := ari.asks_who_takes(event)) is not None:
                self._consider(leg_id, ari_link)
            else:
                _put(events, ari.sighting(event))

        def hear_ami(message: Message) -> None:
            _put(events, ami.sighting(message))

        ami_link = AmiClient(
            settings.ami_host, settings.ami_port, settings.ami_user, settings.ami_password, hear_ami
        )
        ari_link = AriClient(
            settings.ari_url, settings.ari_user, settings.ari_password, settings.app, hear_ari
        )
        self._backlog, self._unclaimed = [], []
        try:
            await ami_link.connect()
            await ari_link.connect()
            await self._race(
                ami_link.watch(),
                ari_link.watch(),
                self._hear(events),
                self._tick(),
                self._release(),
                self._serve_and_guard(ari_link, ami_link),
            )
        finally:
            self._ami_link = None
            self._hands.take(None, None)
            ami_link.close()
            await ari_link.close()

    async def _race(self, *works: Coroutine[Any, Any, None]) -> None:
        """Run all until one ends, then end the others and raise what ended it."""
        assert self._fault is not None
        tasks = {asyncio.ensure_future(work) for work in works}
        try:
            done, _ = await asyncio.wait({*tasks, self._fault}, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
        finally:
            await _cancel(tasks)

    def _consider(self, leg_id: str, ari_link: AriClient) -> None:
        """Take a new caller, straight from the reader: while the engine lives, and not before it knows the switch.

        Who is not taken within some hundred milliseconds goes to the switch's own queue, and is told of there.
        """
        now = asyncio.get_running_loop().time()
        if self._backlog is not None:
            if len(self._unclaimed) < MOST_UNCLAIMED:
                self._unclaimed.append(leg_id)
        elif self._leaving:
            log.info("caller.not_taken", leg=leg_id, why="the daemon is about to end")
        elif now - self._pulse_at <= CLAIM_PULSE_SECONDS:
            ari_link.claim(leg_id)
        else:
            log.warning("caller.not_taken", leg=leg_id, why="the engine shows no sign of life")

    async def _hear(self, events: asyncio.Queue[Sighting]) -> None:
        while True:
            self._see(await events.get())

    async def _serve_and_guard(self, ari_link: AriClient, ami_link: AmiClient) -> None:
        """Whoever waits is sent to the switch's own queue before we give the switch up."""
        try:
            await self._settle_and_guard(ari_link, ami_link)
        except SwitchUnwellError:
            await self._guard.send_away(ami_link)
            raise
        except CanaryMissed:
            if self._canaries_missed >= CANARIES_MISSED:
                await self._guard.send_away(ami_link)
            raise

    async def _settle_and_guard(self, ari_link: AriClient, ami_link: AmiClient) -> None:
        """Canary, look, tell the engine; only then go on with what was heard meanwhile."""
        await self._send_canary(ari_link)
        found = await snapshot.look(ari_link, ami_link, self._settings.app)
        self._hands.take(ari_link, ami_link)
        self._ami_link = ami_link
        reconciled = self._book.reconcile(found)
        self._keep_callers()
        self._lost, self._settled = False, True
        self._post(reconciled)
        log.info("link.reconciled", calls=len(found.calls), offers=len(found.offers))
        backlog, self._backlog = self._backlog or [], None
        unclaimed, self._unclaimed = self._unclaimed, []
        for leg_id in unclaimed:
            self._consider(leg_id, ari_link)
        for sighting in (*found.served, *found.upgraded, *backlog):
            self._see(sighting)
        for worker in self._workers.values():
            worker.give(LookRound())  # calls that ended in the outage have no event to wake theirs
        while True:
            await asyncio.sleep(CANARY_SECONDS)
            await self._send_canary(ari_link)
            self._canaries_missed = 0
            await self._guard.probe(ari_link, ami_link)
            await self._guard.cross_check(ari_link, ami_link)

    def _keep_callers(self) -> None:
        """Put the dead-man of every caller found off once; the engine takes charge of them after `Reconciled`."""
        for call in self._book.calls.values():
            seconds = self._hands.dead_man_seconds(call.line)
            if call.place is Place.HELD and seconds is not None:
                self._hands.renew(call.leg_id, seconds, _ignore)
            elif call.place is Place.FALLBACK:
                self._unwind(call.leg_id)

    async def _send_canary(self, ari_link: AriClient) -> None:
        """An event of our own through the whole path. Raises CanaryMissed when it does not come back in time."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Future[None] = loop.create_future()
        nonce = secrets.token_hex(8)
        self._canary = (nonce, heard)
        await ari_link.send_canary(nonce)
        sent = loop.time()
        await asyncio.wait((heard,), timeout=CANARY_ANSWER_SECONDS)
        if heard.done():
            return
        if loop.time() - sent > 2 * CANARY_ANSWER_SECONDS:
            raise LinkError("this machine stood still: the canary could not be heard")
        self._canaries_missed += 1
        raise CanaryMissed("ARI websocket is open, but our own event did not come back")

    # --- events ---

    def _see(self, sighting: Sighting) -> None:
        """One sighting, in order: kept back until the engine has heard `Reconciled`."""
        if isinstance(sighting, CanaryHeard):
            self._hear_canary(sighting.nonce)
        elif self._backlog is not None:
            if len(self._backlog) >= MOST_WAITING_EVENTS:
                raise LinkError(f"{MOST_WAITING_EVENTS} events wait for the switch to be looked at")
            self._backlog.append(sighting)
        else:
            for made in self._book.see(sighting):
                self._post(made)
                self._follow_up(made)

    def _hear_canary(self, nonce: str) -> None:
        if self._canary is not None and self._canary[0] == nonce and not self._canary[1].done():
            self._canary[1].set_result(None)

    def _follow_up(self, made: Input) -> None:
        """What a call's worker must know of."""
        match made:
            case FallbackTook():
                self._unwind(made.leg_id)
            case CallSentBack():
                self._take_back(made.call_id)
            case AnnouncementFinished():
                self._tell(made.call_id, MusicAgain())
            case CallerGone() | PersonGone():
                self._tell(made.call_id, LookRound())
            case PhoneGone():
                self._tell(identity.call_of_offer(made.offer_id), LookRound())

    def _take_back(self, call_id: str) -> None:
        call = self._book.calls.get(call_id)
        if call is not None:
            with contextlib.suppress(LinkError):
                self._hands.take_back(call)

    def _unwind(self, leg_id: str) -> None:
        """Take the dead-man off a caller of the switch's own queue: a renewal of ours may have crossed its own reset."""
        with contextlib.suppress(LinkError):
            self._hands.renew(leg_id, 0, _ignore)

    # --- workers ---

    def _tell(self, call_id: str, work: Work) -> None:
        worker = self._workers.get(call_id)
        if worker is not None:
            worker.give(work)

    def _worker(self, call_id: str) -> CallWorker:
        worker = self._workers.get(call_id)
        if worker is None:
            worker = CallWorker(call_id, self._hands, self._book, self._see)
            self._workers[call_id] = worker
            self._begin(self._employ(call_id, worker), f"call {call_id}")
        return worker

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        if not self._tasks:
            log.info("workers.busy")
        self._tasks.add(task)
        task.add_done_callback(self._retire)

    async def _read_trace(self, effect: ReadTrace) -> None:
        """What the switch itself wrote down, read in a thread: whatever becomes of it, the engine gets an answer."""
        await asyncio.sleep(TRACE_SETTLES_SECONDS)
        try:
            async with asyncio.timeout(TRACE_SECONDS):
                told = await asyncio.to_thread(self._trace.read, effect)
        except TimeoutError:
            detail = f"it could not be read within {TRACE_SECONDS:.0f} s"
            told = TraceRead(gap=effect.gap, calls=(), complete=False, detail=detail)
        for portion in portions(told):
            self._post(portion)
            await asyncio.sleep(PORTION_SECONDS)

    async def _set_not_ready(self, effect: SetNotReady) -> None:
        try:
            await self._hands.set_not_ready(effect)
        except (LinkError, RefusedError) as failure:
            log.warning("agent.not_set_not_ready", agent=effect.agent, failure=str(failure))

    async def _employ(self, call_id: str, worker: CallWorker) -> None:
        try:
            await worker.run()
        finally:
            self._workers.pop(call_id, None)

    def _retire(self, task: asyncio.Task[None]) -> None:
        """A fault in a worker is a programming fault: it ends `run`, never silently one call."""
        self._tasks.discard(task)
        if not self._tasks:
            log.info("workers.idle")  # together with "workers.busy": so a task left behind can be seen
        error = None if task.cancelled() else task.exception()
        if error is not None and self._fault is not None and not self._fault.done():
            self._fault.set_exception(error)

    async def _tick(self) -> None:
        """Wake the workers whose renewal is due, all at once: their writes and the answers then come in a few packets."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if self._backlog is None and self._book.is_collecting:
                self._see(TimePassed(now_seconds=loop.time()))
            for worker in self._workers.values():
                worker.tick(loop.time(), self._pulse_at)

    async def _release(self) -> None:
        """End the legs whose phones have hung up without Asterisk ending them.

        Bridge() moves the agent's leg by a masquerade, which drops a hang-up that comes at that moment: the caller would
        talk to a phone that is gone (docs/quirks/asterisk.md). A phone that has hung up is in no conversation.
        """
        before: frozenset[str] = frozenset()
        while True:
            await asyncio.sleep(RELEASE_SECONDS)
            now = self._book.released()
            for offer_id in now & before:
                log.info("hang_up.lost", offer=offer_id)
                self._worker(identity.call_of_offer(offer_id)).give(HangUpOffer(offer_id=offer_id))
            before = now


def _nowhere(_: Input) -> None:
    """Where inputs go before `run`."""


def _ignore() -> None:
    """A caller found a moment ago is gone: their Hangup event says so."""


def _put(events: asyncio.Queue[Sighting], sighting: Sighting | None) -> None:
    """Queue a sighting; too many unheard ones end the link, and the snapshot after it replaces them."""
    if events.full():
        raise LinkError(f"{MOST_WAITING_EVENTS} events wait to be heard")
    if sighting is not None:
        events.put_nowait(sighting)


def _forbid_rival(event: dict[str, Any], app: str) -> None:
    if event.get("type") == "ApplicationReplaced":
        raise RivalError(
            f"another process has taken the Stasis application {app!r} from us. Only one daemon may serve a switch:"
            " stop one of them (`systemctl status edge`)."
        )


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
