"""Probe 28: how soon is an event of the wire seen by who pulls the record, how fast are pages, and is anything lost by a cut?"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from edge.core.facts import CallArrived, CallEnded, Entry
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
from hwtest.record.calls import Told, match, place
from hwtest.record.reading import PulledRecord, pulled
from hwtest.site import Site

CALLS, LIVE_CALLS = 12, 6
CUT_EVERY = 3
"""Before one call of so many the reader dies while a page arrives, and begins again with the cursor that it had kept."""
PAGES = 20
WAIT_SECONDS = 10.0
LAST_SECONDS = 5.0


@dataclass(slots=True)
class Follower:
    """A central system that follows the record. `seen_ns`: when each fact was there, in UTC; `ids`: every fact that it kept."""

    seen_ns: dict[int, int] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    cuts: int = 0
    start: dict[str, str] = field(default_factory=dict)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by every page."""

    async def follow(self, record: PulledRecord) -> None:
        """Until cancelled."""
        while True:
            page = await record.page(self.start, wait_seconds=WAIT_SECONDS)
            now = time.time_ns()
            self.start = {"cursor": page.cursor}
            self.entries += page.entries
            self.ids += page.ids
            for entry in page.entries:
                self.seen_ns.setdefault(entry.sequence, now)
            self.came.set()

    async def caught_up(self, last: int, within_seconds: float) -> None:
        """Return when it has this fact, or after so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                while last not in self.seen_ns:
                    self.came.clear()
                    await self.came.wait()


async def measure(site: Site, sheet: Sheet) -> None:
    """Follow the record while test calls are placed, with cuts; compare with one pull of everything; time pages."""
    async with pulled(site.target) as record:
        follower = Follower()
        before = await record.last_sequence()
        follower.start = await record.start(before)
        await record.page(follower.start)  # a reader that cannot read is told so before anybody is called
        async with _following(record, follower) as cut:
            trials = await place(site, CALLS if site.target.is_lab else LIVE_CALLS, cut)
            await asyncio.sleep(0.3)
            last = await record.last_sequence()
            await follower.caught_up(last, LAST_SECONDS)
        whole = await record.after(before)
        judge(sheet, match(trials, whole), follower, whole)
        await _pages(site, sheet, record)


@asynccontextmanager
async def _following(record: PulledRecord, follower: Follower) -> AsyncIterator[_Cut]:
    cut = _Cut(record, follower)
    await cut.resume()
    try:
        yield cut
    finally:
        await cut.stop()


class _Cut:
    """The follower at work; called before each call, it dies and begins again before some of them."""

    def __init__(self, record: PulledRecord, follower: Follower) -> None:
        self._record, self._follower = record, follower
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, number: int) -> None:
        if number % CUT_EVERY:
            return
        await self.stop()
        await self._record.begin_and_cut(self._follower.start)
        self._follower.cuts += 1
        await self.resume()

    async def resume(self) -> None:
        """Follow again."""
        self._task = asyncio.create_task(self._follower.follow(self._record))

    async def stop(self) -> None:
        """In the midst of whatever it does; a link that it lost by itself is raised."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None


def judge(sheet: Sheet, told: Sequence[Told], follower: Follower, whole: Sequence[Entry]) -> None:
    """`whole`: the same facts in one pull."""
    if told and not whole:
        words = f"{len(told)} calls were placed, and not one new fact can be pulled"
        sheet.find(
            "log.pull.still",
            Verdict.FAIL,
            words,
            Evidence(text="no fact after the last one before the calls"),
        )
        return
    samples = list[float]()
    unseen = 0
    for one in told:
        for kind, at in ((CallArrived, one.trial.invited_ns), (CallEnded, one.trial.ended_ns)):
            entry = next((entry for entry in one.entries if isinstance(entry.fact, kind)), None)
            if at is None:
                continue
            if entry is None or entry.sequence not in follower.seen_ns:
                unseen += 1
            else:
                samples.append((follower.seen_ns[entry.sequence] - at) / 1e6)
    note = "from the caller's INVITE, and from the first BYE or CANCEL, to their facts at the reader"
    sheet.distribution(
        "visible",
        "ms",
        samples,
        uncertainty=1.0,
        note=note,
        evidence=[Evidence(text=f"{len(samples)} events")],
    )
    sheet.value(
        "unseen", "events", unseen, n=len(samples) + unseen, evidence=[Evidence(text=f"{unseen} never came")]
    )
    wanted = [entry.sequence for entry in whole]
    got = [entry.sequence for entry in follower.entries]
    lost = sorted(set(wanted) - set(got))
    twice = len(follower.ids) - len(set(follower.ids))
    cuts = f"{follower.cuts} cuts, {len(got)} facts followed, {len(wanted)} in one pull"
    proof = [Evidence(text=f"{cuts}; first lost: {lost[:3] or 'none'}")]
    sheet.value("lost_by_cuts", "facts", len(lost), n=len(wanted), note=cuts, evidence=proof)
    sheet.value("twice_by_cuts", "facts", twice, n=len(got), note=cuts, evidence=proof)


async def _pages(site: Site, sheet: Sheet, record: PulledRecord) -> None:
    times, facts = list[float](), 0
    for number in range(PAGES):
        site.say(f"pages, {number + 1} of {PAGES}")
        begun = time.monotonic_ns()
        page = await record.page({})
        times.append((time.monotonic_ns() - begun) / 1e6)
        facts = len(page.entries)
    if not facts:
        raise NotMeasuredError(
            "the record is empty, so pages of it have no speed", "place a call, and run it again"
        )
    told = [Evidence(text=f"{PAGES} times the first page, {facts} facts in it")]
    sheet.distribution(
        "page", "ms", times, uncertainty=0.5, note=f"{facts} facts in a page, as JSON", evidence=told
    )
    sheet.value(
        "page_rate",
        "facts/s",
        round(1000 * facts / sorted(times)[len(times) // 2]),
        n=PAGES,
        note="shown, not judged",
    )


def _value(figure: str, unit: str, code: str, clause: str = "own") -> Threshold:
    return Threshold(
        figure=figure, statistic="value", passes=0.0, warns=0.0, unit=unit, clause=clause, code=code
    )


PROBE = Probe(
    name="log.pull",
    number=28,
    title="Who pulls the record sees it soon, and whole in spite of cuts",
    level=Level.SAFE,
    needs=frozenset({Need.CAPTURE, Need.RECORD}),
    seconds=15.0,
    term="freshness of the record; at-least-once delivery with a cursor",
    reference="own; docs/mi.md (the loop that loses nothing)",
    meaning=(
        "Central figures, wallboards and the next shift's supervisors read the record by pulling it. This shows how long after "
        "the wire they see an event, and that a reader whose connection dies in the midst of a page has everything once."
    ),
    thresholds=(
        Threshold(
            figure="visible",
            statistic="p95",
            passes=1000.0,
            warns=5000.0,
            unit="ms",
            clause="own",
            code="log.pull.late",
        ),
        _value("unseen", "events", "log.pull.unseen"),
        _value("lost_by_cuts", "facts", "log.pull.lost", "own; docs/mi.md"),
        _value(
            "twice_by_cuts",
            "facts",
            "log.pull.twice",
            "own; docs/mi.md: a cursor that was kept is gone on after",
        ),
        Threshold(
            figure="page",
            statistic="p95",
            passes=500.0,
            warns=2000.0,
            unit="ms",
            clause="own",
            code="log.pull.slow",
        ),
    ),
    explanations=(
        Explanation(
            code="log.pull.late",
            layer=Layer.HOST,
            meaning="Events are seen by readers long after they happened: they are written late, or read slowly.",
            caller_notices="Nothing. Wallboards and supervisors act on what was, not on what is.",
            causes=(
                "the disk's fsync is slow, so facts are written late (log.complete shows trouble with the ledger)",
                "the machine is busy, or edge mi gets no processor time",
                "another program holds the ledger's lock for long",
            ),
            confirm="hwtest run meter.timing log.complete; iostat -x 1; edge status",
            mend="Put the ledger on a fast disk of its own; find what keeps the machine busy.",
        ),
        Explanation(
            code="log.pull.still",
            layer=Layer.HOST,
            meaning="The record stands still: calls go on, and nothing new can be pulled.",
            caller_notices="Nothing: calls go on from memory. Wallboards and figures stand still.",
            causes=(
                "the disk is full, or its commits take many seconds",
                "the daemon does not serve: log.complete says so then",
                "edge mi reads another ledger than the daemon writes",
            ),
            confirm="hwtest run log.complete; df -h; edge status",
            mend="Make room or mend the disk; start edge mi with the daemon's own configuration.",
        ),
        Explanation(
            code="log.pull.unseen",
            layer=Layer.RECORD,
            meaning="Something happened on the wire and never came to a reader of the record.",
            caller_notices="Nothing. The call is in no figure.",
            causes=(
                "the call is not in the record at all: log.complete says why",
                "the record cannot be written just now (disk full)",
                "edge mi reads another ledger than the daemon writes",
            ),
            confirm="hwtest run log.complete; edge status; compare [ledger] url of both configurations",
            mend="Mend what log.complete finds; start edge mi with the daemon's own configuration.",
        ),
        Explanation(
            code="log.pull.lost",
            layer=Layer.RECORD,
            meaning="A reader that was cut off and went on with its cursor has not had every fact.",
            caller_notices="Nothing. Central figures are lower than the truth.",
            causes=(
                "edge mi gives cursors that are ahead of what it has sent",
                "facts came into the record out of order",
            ),
            confirm="pull everything without a cursor and compare the ids",
            mend="Report it with the bundle of this run to those who maintain edge mi; pull without a cursor at night till then.",
        ),
        Explanation(
            code="log.pull.twice",
            layer=Layer.RECORD,
            meaning="A reader that went on with the cursor it had kept was given facts again that it had.",
            caller_notices="Nothing. Who counts facts without looking at their ids counts some twice.",
            causes=(
                "edge mi gives cursors that are behind what it has sent",
                "the reader stored its cursor before the facts that came with it",
            ),
            confirm="pull everything without a cursor and compare the ids",
            mend="Let the reader drop facts whose id it has, as docs/mi.md asks; report it to those who maintain edge mi.",
        ),
        Explanation(
            code="log.pull.slow",
            layer=Layer.HOST,
            meaning="A page of the record takes long to come.",
            caller_notices="Nothing. Catching up after an outage of the central system takes long.",
            causes=(
                "a busy machine or a slow disk",
                "a slow path to the appliance, such as a tunnel",
                "many readers at once: edge mi lets them wait for each other",
            ),
            confirm="hwtest run meter.timing; look at edge mi's log",
            mend="Pull with larger pages and fewer readers; find what keeps the machine busy.",
        ),
    ),
    measure=measure,
)
