"""Facts before effects: gathers steps, commits their facts as one group, then lets their effects go.

While a commit is on its way the loop goes on deciding, and what it decides makes the next group. A ledger that is slow or
refuses must not stop a call (DESIGN, "Survival", layer 6): after `COMMIT_SECONDS` effects no longer wait for it, facts stay
in memory up to `BACKLOG_MAXIMUM`, and what happened becomes a fact itself once the ledger takes facts again. What must not be
done before its fact is on disk, however long that takes (a promise said, a stranger rung), asks by `TellWhenDurable` to be told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from time import monotonic
from typing import Any

import structlog

from edge import logs
from edge.core.effects import Effect, MakeOffer, TellWhenDurable
from edge.core.engine import Step
from edge.core.facts import AlarmRaised, Entry
from edge.core.inputs import Durable, Input, LedgerTrouble
from edge.ledger.codec import EntryRefusedError
from edge.ledger.executor import CommitExecutor
from edge.ports import LedgerError
from edge.telemetry import Counters

COMMIT_SECONDS = 0.25
"""A commit that takes longer holds nobody up."""
GATHER_SECONDS = 0.005
"""Facts that no effect waits for stay this long, so that the decision which often follows shares their commit."""
LOG_DELAY_SECONDS = 0.01
"""A few times what it takes from a decision to its request on the wire."""
RETRY_SECONDS = 0.5
"""Between attempts at a ledger that refuses."""
BACKLOG_MAXIMUM = 100_000
"""Facts kept in memory while the ledger refuses: some thousand calls. Beyond it the daemon ends, and the switch goes on alone."""

Perform = Callable[[Effect, int], None]
Learn = Callable[[Sequence[Entry]], None]

log = structlog.get_logger(__name__)


class BacklogFullError(Exception):
    """More facts wait for the ledger than memory is meant to hold."""


def nobody_learns(_: Sequence[Entry]) -> None:
    """Where nobody wants to know what was committed."""


def storable(entry: Entry) -> Entry:
    """The same entry with texts that any ledger takes: what no UTF-8 can hold becomes a question mark."""

    def clean(value: object) -> object:
        return value.encode("utf-8", "replace").decode() if type(value) is str else value

    texts: dict[str, Any] = {part.name: clean(getattr(entry.fact, part.name)) for part in fields(entry.fact)}
    return replace(entry, fact=replace(entry.fact, **texts), reason=str(clean(entry.reason)))


def phones_first(step: Step) -> list[tuple[Effect, int]]:
    """Its effects: whatever else a step asks for can wait the millisecond that it takes to ring a phone."""
    return sorted(step.effects, key=lambda asked: not isinstance(asked[0], MakeOffer))


class Recorder:
    """Owns everything between a decision and its consequences."""

    def __init__(
        self,
        executor: CommitExecutor,
        perform: Perform,
        post: Callable[[Input], None],
        learn: Learn = nobody_learns,
        counters: Counters | None = None,
    ) -> None:
        """`perform` carries out an effect; `post` gives the engine an input (about the ledger itself); `learn` is told of
        what was committed, when its effects are on their way. `counters`: where commits are counted."""
        self._counters = counters or Counters()
        self._committing = 0
        self._executor = executor
        self._perform = perform
        self._post = post
        self._learn = learn
        self._entries: list[Entry] = []
        self._effects: list[tuple[Effect, int]] = []
        self._curious: list[tuple[TellWhenDurable, int]] = []
        self._reasons: list[tuple[str, Sequence[Entry]]] = []
        self._checkpoint: tuple[int, bytes] | None = None
        self._work = asyncio.Event()
        self._urgent = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.trouble: str | None = None
        """What is wrong with the ledger, None while all is well."""

    @property
    def backlog(self) -> int:
        """Facts that are not known to be on disk."""
        return len(self._entries) + self._committing

    def take(self, step: Step, checkpoint: tuple[int, bytes] | None = None) -> None:
        """Accept one step. Raises `BacklogFullError` at the bound."""
        if not step.entries and not step.effects:
            return
        self._entries.extend(step.entries)
        if step.entries:
            self._log_later(step.reason, step.entries)
        if len(self._entries) > BACKLOG_MAXIMUM:
            raise BacklogFullError(
                f"{len(self._entries)} facts wait for the ledger ({self.trouble}): ending, the switch's own queue takes over"
            )
        if step.effects:
            self._take_effects(step)
        if self._effects or self._curious:
            self._urgent.set()
        self._checkpoint = checkpoint or self._checkpoint
        self._idle.clear()
        self._work.set()

    def _take_effects(self, step: Step) -> None:
        effects = phones_first(step)
        self._curious += [(asked, cause) for asked, cause in effects if isinstance(asked, TellWhenDurable)]
        effects = [asked for asked in effects if not isinstance(asked[0], TellWhenDurable)]
        if self.trouble is None:
            self._effects.extend(effects)
        else:
            self._release(effects)

    async def run(self) -> None:
        """Commit and release until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._entries or self._effects or self._curious:
                await self._gather()
                await self._commit_group()
            self._idle.set()

    async def flush(self) -> None:
        """Wait until everything taken so far is committed and released."""
        self._urgent.set()
        await self._idle.wait()
        self._write_log()

    async def _gather(self) -> None:
        """Wait for company, unless an effect waits for these facts: then not even for the loop's next turn."""
        if not self._urgent.is_set():
            handle = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._urgent.set)
            await self._urgent.wait()
            handle.cancel()
        self._urgent.clear()

    async def _commit_group(self) -> None:
        entries, self._entries = self._entries, []
        released, self._effects = self._effects, []
        checkpoint, self._checkpoint = self._checkpoint, None
        try:
            if entries:
                await self._commit(entries, released)
        except EntryRefusedError as error:
            log.error("a fact cannot be stored as it is: its texts are cleaned", error=str(error))
            clean = [storable(entry) for entry in entries]
            if clean == entries:
                raise  # not a matter of text: a programming fault
            self._entries, self._effects = clean + self._entries, released + self._effects
            return
        except LedgerError as error:
            self._release(released)
            self._troubled(str(error))
            self._entries = entries + self._entries
            await asyncio.sleep(RETRY_SECONDS)
            return
        self._release(released)
        self._tell_durable()
        self._learn(entries)
        if checkpoint is not None:
            await self._save(checkpoint)
        if self.trouble is not None and not self._entries:
            self._recovered()

    async def _commit(self, entries: list[Entry], waiting: list[tuple[Effect, int]]) -> None:
        """Commit; effects that have waited long enough go before it is done. Raises `LedgerError`."""
        began, self._committing = monotonic(), len(entries)
        try:
            commit = asyncio.wrap_future(self._executor.submit(entries))
            done, _ = await asyncio.wait({commit}, timeout=COMMIT_SECONDS)
            if not done:
                self._release(waiting)
                self._troubled(f"a commit takes longer than {COMMIT_SECONDS * 1000:.0f} ms")
            await asyncio.shield(commit)
        except LedgerError:
            self._counters.commits_failed += 1
            raise
        finally:
            self._committing = 0
        self._counters.commits.add(monotonic() - began)

    def _tell_durable(self) -> None:
        """After a commit: what waits for facts that are all on disk by now is told so."""
        waits_from = self._entries[0].sequence if self._entries else None
        curious, self._curious = self._curious, []
        for asked, cause in curious:
            if waits_from is None or cause < waits_from:
                self._post(Durable(call_id=asked.call_id, token=asked.token))
            else:
                self._curious.append((asked, cause))

    def _log_later(self, reason: str, entries: Sequence[Entry]) -> None:
        """The duty log, when the effects are on their way: writing a line takes longer than deciding."""
        if not self._reasons:
            asyncio.get_running_loop().call_later(LOG_DELAY_SECONDS, self._write_log)
        self._reasons.append((reason, entries))

    def _write_log(self) -> None:
        reasons, self._reasons = self._reasons, []
        with logs.together():
            for reason, entries in reasons:
                log.info(reason, sequence=entries[-1].sequence)
                for entry in entries:
                    alarm = entry.fact
                    if isinstance(alarm, AlarmRaised):  # for a person: not lost among the reasons
                        log.warning("alarm", kind=alarm.kind, detail=alarm.detail, call_id=alarm.call_id)

    async def _save(self, checkpoint: tuple[int, bytes]) -> None:
        try:
            await asyncio.shield(asyncio.wrap_future(self._executor.submit_checkpoint(*checkpoint)))
        except LedgerError as error:
            log.warning("checkpoint not saved: restart will read more facts", error=str(error))

    def _release(self, effects: list[tuple[Effect, int]]) -> None:
        """Perform them, and empty the list: nothing is ever performed twice, whatever becomes of the commit afterwards."""
        while effects:
            self._perform(*effects.pop(0))

    def _troubled(self, detail: str) -> None:
        if self.trouble is not None:
            return
        log.error("ledger in trouble: calls go on from memory", detail=detail)
        self.trouble = detail
        released, self._effects = self._effects, []
        self._release(released)
        self._post(LedgerTrouble(ok=False, detail=detail))

    def _recovered(self) -> None:
        log.warning("ledger takes facts again", after=self.trouble)
        detail, self.trouble = self.trouble, None
        self._post(LedgerTrouble(ok=True, detail=f"all facts made meanwhile were kept: {detail}"))
