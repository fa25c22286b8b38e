"""The people of a lab under load: agents' phones that are signed in, and what the switch and the daemon use meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.config import load
from hwtest.bench.machine import usage_of
from hwtest.lab.contract import Lab
from hwtest.probes.contract import NotMeasuredError
from hwtest.site import Site
from hwtest.switch.settings import is_dead_entry
from hwtest.useragent import AgentPhone, Behaviour, CallState, SipError

QUEUE_LINES = ("101_no_greeting", "101")
"""The lines whose callers are answered at once and wait: the first that the lab has."""
_CODE_SECONDS = 20.0
_POLL_SECONDS = 0.1


def lab_of(site: Site) -> Lab:
    """What lab.json says. NotMeasuredError where there is none: only there agents can be signed in and processes be read."""
    if site.target.lab is None:
        raise NotMeasuredError(
            f"{site.target.name} has no lab.json: its agents cannot be signed in and its processes cannot be read",
            "hwtest lab up, then name its folder: --target DIR",
        )
    return site.target.lab


def queue_line(site: Site) -> str:
    """The number of the line that load calls. NotMeasuredError where the target has none."""
    found = next((site.target.lines[name] for name in QUEUE_LINES if name in site.target.lines), None)
    if found is None:
        raise NotMeasuredError(
            f"{site.target.name} has no line {' or '.join(QUEUE_LINES)} whose callers wait in a queue",
            f"give [line.101] in {site.target.source}",
        )
    return found.number


def wrap_up_seconds(site: Site) -> float:
    """How long an agent of the lab is busy with a call of the line that load calls after it has ended."""
    number, configuration = queue_line(site), load(Path(lab_of(site).config))
    queues = [line.queue for line in configuration.lines.values() if line.number == number]
    return max(
        (configuration.queues[name].wrap_up_seconds for name in queues if name is not None), default=0.0
    )


@asynccontextmanager
async def serving(site: Site, count: int, behaviour: Behaviour) -> AsyncIterator[Sequence[AgentPhone]]:
    """So many agents, signed in on their own phones; leaving the block signs them out. NotMeasuredError when they cannot be."""
    lab = lab_of(site)
    phones = list[AgentPhone]()
    try:
        for agent in lab.agents[:count]:
            phone = AgentPhone(agent.user, agent.password, agent.registrar, behaviour, media="sink")
            phones.append(phone)
            await phone.start()
            await _dial(phone, site.interlock.check(lab.codes["sign_in"]))
        yield phones
    except SipError as error:
        raise NotMeasuredError(
            f"an agent's phone cannot register: {error}", "hwtest run sip.options"
        ) from None
    finally:
        for phone in phones:
            with contextlib.suppress(NotMeasuredError, SipError):
                await _dial(phone, site.interlock.check(lab.codes["sign_out"]))
            await phone.stop()


async def _dial(phone: AgentPhone, code: str) -> None:
    try:
        call = await phone.dial(code, _CODE_SECONDS)
    except TimeoutError:
        raise NotMeasuredError(
            f"the feature code {code} did not end within {_CODE_SECONDS:.0f} s", "edge status"
        ) from None
    if call.reached is not CallState.ANSWERED:
        raise NotMeasuredError(f"the feature code {code} was refused with {call.status}", "edge status")


def ports_of(phones: Sequence[AgentPhone]) -> frozenset[int]:
    """Their SIP ports, by which a capture knows them."""
    return frozenset(phone.agent.address[1] for phone in phones)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What one process holds and has used."""

    cpu_seconds: float
    rss_mb: float
    descriptors: int
    threads: int


def use_of(pid: int, who: str) -> Use:
    """Of a process (proc(5)). NotMeasuredError when it has ended or is not ours to read."""
    folder = Path("/proc", str(pid))
    try:
        usage = usage_of(pid)
        return Use(
            cpu_seconds=usage.cpu_seconds,
            rss_mb=usage.rss_mb,
            descriptors=sum(1 for _ in (folder / "fd").iterdir()),
            threads=sum(1 for _ in (folder / "task").iterdir()),
        )
    except OSError as error:
        raise NotMeasuredError(
            f"the {who} (process {pid}) cannot be read: {error.strerror}",
            "hwtest lab status; then hwtest lab up",
        ) from None


def processes(site: Site) -> dict[str, int]:
    """Process ids of the lab's switch and daemon as lab.json has them now: a fault probe of this run may have started another."""
    lab = lab_of(site)
    pids = (Lab.read(Path(lab.directory)) or lab).pids
    return {"switch": pids.asterisk, **({"daemon": pids.edge} if pids.edge is not None else {})}


async def channels(site: Site) -> int:
    """Channels of calls in progress at the switch, without the dead entries that Asterisk 22.10.1 leaves now and then."""
    return (await living_and_dead(site))[0]


async def living_and_dead(site: Site) -> tuple[int, int]:
    """Channels of calls, and dead entries: a Surrogate, Down, that is no leg of anybody (docs/quirks/asterisk.md).

    NotMeasuredError without a control link.
    """
    rows = await (await site.control()).list("CoreShowChannels", {})
    dead = sum(map(is_dead_entry, rows))
    return len(rows) - dead, dead


async def quiet(site: Site, within_seconds: float, usual: int = 0) -> int:
    """Wait until no more than the usual calls are in progress; how many there are after so long."""
    left = await channels(site)
    for _ in range(round(within_seconds / _POLL_SECONDS)):
        if left <= usual:
            break
        await asyncio.sleep(_POLL_SECONDS)
        left = await channels(site)
    return left


def descriptors_allowed(pids: Mapping[str, int]) -> dict[str, int]:
    """How many file descriptors each process may have (proc(5), limits), of those that tell."""
    allowed = dict[str, int]()
    for who, pid in pids.items():
        with contextlib.suppress(OSError):
            for line in Path("/proc", str(pid), "limits").read_text().splitlines():
                if line.startswith("Max open files") and (soft := line.split()[3]).isdecimal():
                    allowed[who] = int(soft)
    return allowed
