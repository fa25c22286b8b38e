"""A lab in the hands of a probe that breaks things: callers, agents, the wire, and the daemon supervised and between two proxies.

When it is over the lab's own daemon runs again, whatever happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.core.facts import Entry
from edge.core.promise import TaskOutcome
from edge.ledger.store import SqlReader, open_reader
from edge.pbx.asterisk.notices import close_task
from edge.ports import LedgerError
from edge.views.reading import open_state
from hwtest.bench.ledger import entries_after
from hwtest.bench.rig import Rig, RigError, rig
from hwtest.capture import Record
from hwtest.lab import faults, processes
from hwtest.lab.contract import Lab
from hwtest.lab.hurt import Hurt
from hwtest.probes.contract import NotMeasuredError
from hwtest.site import Site, whole

LINE = "101_no_greeting"
TASKS_SECONDS = 10.0
BY = "hwtest"
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Stage:
    """What a fault probe works with."""

    site: Site
    rig: Rig
    hurt: Hurt
    reader: SqlReader

    async def records(self) -> list[Record]:
        """What was on the wire since it was looked at last. NotMeasuredError where some of it was lost."""
        return whole(await self.rig.wire.take())

    async def no_tasks(self) -> None:
        """Close every ring-back task: they would ring the phones that are here for callers. NotMeasuredError if one stays."""
        client = await self.site.control()
        loop = asyncio.get_running_loop()
        until = loop.time() + TASKS_SECONDS
        closed = set[str]()
        while tasks := open_state(self.reader).tasks:
            for task in tasks.keys() - closed:
                await close_task(client, task, TaskOutcome.NO_NEED, BY, "left by a test call")
                closed.add(task)
            if loop.time() > until:
                raise NotMeasuredError(
                    f"ring-back tasks are open and cannot be closed: {len(tasks)}",
                    "edge tasks; edge tasks close ID --outcome no_need --by NAME",
                )
            await asyncio.sleep(_POLL_SECONDS)

    def entries(self, after: int) -> list[Entry]:
        """Facts after this one; none while the ledger cannot be read."""
        try:
            return entries_after(self.reader, after)
        except LedgerError:
            return []

    async def told(self, after: int, kinds: Sequence[type], within_seconds: float) -> list[Entry]:
        """Facts after this one, once there is one of each of these kinds, or after so long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_seconds
        while True:
            entries = self.entries(after)
            if all(any(isinstance(e.fact, kind) for e in entries) for kind in kinds) or loop.time() > until:
                return entries
            await asyncio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def staged(site: Site, *more: str) -> AsyncIterator[Stage]:
    """NotMeasuredError where there is no lab with a daemon, agents and the lines that the probe calls (`LINE` and `more`); the
    interlock is asked for each."""
    lab = lab_of(site)
    for line in (LINE, *more):
        if line not in lab.lines or not lab.agents:
            raise NotMeasuredError(
                f"the lab has no line {line}, or no agents",
                "hwtest lab up, without a policy that removes them",
            )
        site.interlock.check(lab.lines[line])
    for number, agent in enumerate(lab.agents):
        if number == 0 and not agent.registrar.endswith(f":{lab.sip.port}"):
            raise NotMeasuredError("the lab's phones register elsewhere", "end the fault that is in the lab")
    try:
        async with rig(lab, site.say) as made, _hurt(lab) as hurt:
            reader = open_reader(lab.ledger)
            try:
                await hurt.serving()
                stage = Stage(site, made, hurt, reader)
                await stage.no_tasks()
                yield stage
            finally:
                reader.close()
    except RigError as error:
        raise NotMeasuredError(str(error), "hwtest run call.one queue; hwtest lab status") from None
    except LedgerError as error:
        raise NotMeasuredError(f"the ledger cannot be read: {error}", "edge ledger verify") from None


def lab_of(site: Site) -> Lab:
    """The lab. NotMeasuredError for any other target, and for a lab without a daemon."""
    lab = site.target.lab
    if lab is None:
        raise NotMeasuredError(
            f"{site.target.name} is not a lab of hwtest's own: its daemon cannot be broken from here",
            "hwtest lab up",
        )
    if not processes.running(lab.commands["edge"]):
        raise NotMeasuredError("no daemon runs in the lab", "hwtest lab down; hwtest lab up")
    return lab


@asynccontextmanager
async def _hurt(lab: Lab) -> AsyncIterator[Hurt]:
    faults.refuse_supervised(lab)
    hurt: Hurt | None = None
    try:
        await to_its_end(faults.stop_daemon, lab)
        hurt = Hurt(lab)
        hurt.start()
        yield hurt
    finally:
        await to_its_end(_mend, lab, hurt)


async def to_its_end(work: Callable[..., object], *arguments: object) -> None:
    """Work in a thread, which goes on when a person ends the run: what follows must not begin beside it."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise


def _mend(lab: Lab, hurt: Hurt | None) -> None:
    try:
        if hurt is not None:
            hurt.close()
    finally:
        Path(lab.directory, "hurt.toml").unlink(missing_ok=True)
        faults.serve_again(lab)
