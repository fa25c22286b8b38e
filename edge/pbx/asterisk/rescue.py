"""Callers whom nobody serves go to the switch's own queue, over AMI alone: the second net behind the dead-man.

It knows nothing of the engine, of ARI and of the ledger's facts. Whether a caller is served is seen on the switch itself:
whoever serves them puts the clock of their dead-man off three times within its length, so a clock that only runs down is
nobody's. Nothing here touches a conversation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from typing import Protocol

from panoramisk.message import Message

from edge.errors import RefusedError
from edge.pbx.asterisk import identity
from edge.pbx.asterisk.ami.wire import text
from edge.pbx.asterisk.entering import enters_queue, shares_place
from edge.pbx.asterisk.identity import ENTRIES, RENEWALS_PER_DEAD_MAN

LOOK_SECONDS = 0.2
SLACK_SECONDS = 0.75
"""A renewal may come so much after a third of the dead-man: the daemon looks four times a second."""
RENEWED_SECONDS = 0.1
"""A clock that gained so much was put off."""
VARIABLES = ("EDGE_CALL", "EDGE_LINE", "EDGE_TIER", "EDGE_UPGRADED", "EDGE_JOINED", "TIMEOUT(absolute)")
DEFAULT_DEAD_MAN_SECONDS = 15.0

Action = tuple[str, Mapping[str, str]]


class Link(Protocol):
    """What is needed of `AmiClient`."""

    async def ask_all(self, requests: Sequence[Action]) -> list[Message]:
        """The answers, yes or no, in order."""

    async def list(self, name: str, headers: Mapping[str, str]) -> list[Message]:
        """The events of a list action."""


class Result(StrEnum):
    """What became of a leg."""

    MOVED = "moved to the switch's queue"
    ENDED = "agent's leg ended"
    GONE = "gone meanwhile"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A caller in our application. `left_seconds`: of the dead-man; None: no clock runs."""

    leg_id: str
    call_id: str
    line: str
    emergency: bool
    joined_ms: int
    left_seconds: float | None

    @property
    def order(self) -> tuple[bool, int, str]:
        """999 and upgraded first, then as they joined."""
        return not self.emergency, self.joined_ms, self.call_id

    def shares_place_with(self, other: Waiting) -> bool:
        """Whether the switch's queue cannot tell who of the two joined first."""
        return self.emergency == other.emergency and shares_place(self.joined_ms, other.joined_ms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The switch at one moment. `legs`: agents' legs that are in no conversation, by id, with their call."""

    callers: tuple[Waiting, ...]
    legs: Mapping[str, str]
    talking: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One leg, and what became of it. `call_id` is no number."""

    call_id: str
    leg_id: str
    line: str
    emergency: bool
    result: Result
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found and done. `served`: callers whom somebody serves, who were left alone."""

    done: tuple[Done, ...] = ()
    served: int = 0
    talking: int = 0

    @property
    def failed(self) -> int:
        """How many legs could not be helped."""
        return sum(each.result is Result.FAILED for each in self.done)


async def look(link: Link, app: str) -> Seen:
    """Who is in our application, and which agents' legs are in no conversation. Raises LinkError, RefusedError."""
    channels = await link.list("CoreShowChannels", {})
    bridges: dict[str, int] = {}
    for channel in channels:
        bridge = text(channel, "BridgeId")
        bridges[bridge] = bridges.get(bridge, 0) + 1
    legs = {
        text(channel, "Uniqueid"): identity.call_of_offer(offer_id)
        for channel in channels
        if (offer_id := identity.offer_of_leg(text(channel, "Uniqueid"))) is not None
        and (not text(channel, "BridgeId") or bridges[text(channel, "BridgeId")] < 2)
    }
    entered = [(text(c, "Uniqueid"), words) for c in channels if (words := entry(c, app)) is not None]
    noted = await _variables(link, [leg_id for leg_id, _ in entered])
    callers = [_waiting(leg_id, words, noted[leg_id]) for leg_id, words in entered]
    talking = sum(count > 1 for bridge, count in bridges.items() if bridge)
    return Seen(callers=tuple(sorted(callers, key=lambda c: c.order)), legs=legs, talking=talking)


def entry(channel: Mapping[str, object], app: str) -> list[str] | None:
    """With what the dialplan gave a caller to our application; None for everybody else."""
    words = text(channel, "ApplicationData").split(",")
    match text(channel, "Application"):
        case "Stasis" if words[0] == app:
            given = words[1:]
        case "StasisBroadcast" if words[1:2] == [f"^{app}$"]:
            given = ",".join(words[2:]).split(":")
        case _:
            return None
    return given if given and given[0] in ENTRIES else None


async def _variables(link: Link, leg_ids: Iterable[str]) -> dict[str, dict[str, str]]:
    wanted = [(leg_id, variable) for leg_id in leg_ids for variable in VARIABLES]
    answers = await link.ask_all(
        [("Getvar", {"Channel": leg_id, "Variable": variable}) for leg_id, variable in wanted]
    )
    found: dict[str, dict[str, str]] = {leg_id: {} for leg_id, _ in wanted}
    for (leg_id, variable), answer in zip(wanted, answers, strict=True):
        found[leg_id][variable] = text(answer, "Value")
    return found


def _waiting(leg_id: str, words: Sequence[str], noted: Mapping[str, str]) -> Waiting:
    """What is noted on the leg counts; the words are those of whoever came into our application by it."""
    _, call_id, line, joined = (*words, "", "", "", "")[:4]
    joined = noted["EDGE_JOINED"] or joined
    return Waiting(
        leg_id=leg_id,
        call_id=noted["EDGE_CALL"] or call_id,
        line=noted["EDGE_LINE"] or line,
        emergency=noted["EDGE_TIER"] == "999" or noted["EDGE_UPGRADED"] == "1",
        joined_ms=int(joined) if joined.isascii() and joined.isdigit() else 0,
        left_seconds=_seconds(noted["TIMEOUT(absolute)"]),
    )


def _seconds(value: str) -> float | None:
    try:
        left = float(value)
    except ValueError:
        return None
    return left if left > 0 else None


class Rescue:
    """One run. `dead_men`: seconds by line, as the configuration has them."""

    def __init__(self, link: Link, app: str, dead_men: Mapping[str, float]) -> None:
        self._link = link
        self._app = app
        self._dead_men = dead_men

    async def run(self, *, at_once: bool) -> Report:
        """Find who is stranded and move them. `at_once`: nobody can be serving them, so do not watch for it."""
        seen = await look(self._link, self._app)
        served: set[str] = set()
        if not at_once:
            seen, served = await self._watch(seen)
        stranded = [caller for caller in seen.callers if caller.leg_id not in served]
        nobody_serves = at_once or (bool(stranded) and not served)
        calls = {caller.call_id for caller in stranded}
        legs = {leg_id: call for leg_id, call in seen.legs.items() if nobody_serves or call in calls}
        done: list[Done] = []
        for caller, following in zip_longest(stranded, stranded[1:]):
            done.append(await self._move(caller))
            if following is not None and caller.shares_place_with(following):
                await enters_queue(self._link, caller.leg_id)
        done += [await self._end(leg_id, call_id) for leg_id, call_id in sorted(legs.items())]
        return Report(done=tuple(done), served=len(served), talking=seen.talking)

    async def _watch(self, first: Seen) -> tuple[Seen, set[str]]:
        """Look until each caller's clock was put off, or has run longer than any daemon that lives would let it."""
        loop = asyncio.get_running_loop()
        began = {caller.leg_id: loop.time() for caller in first.callers}
        last = {caller.leg_id: caller.left_seconds for caller in first.callers}
        served: set[str] = set()
        seen = first
        while any(
            loop.time() < began[c.leg_id] + self._patience(c) for c in seen.callers if c.leg_id not in served
        ):
            await asyncio.sleep(LOOK_SECONDS)
            seen = await look(self._link, self._app)
            for caller in seen.callers:
                began.setdefault(caller.leg_id, loop.time())
                before = last.get(caller.leg_id)
                last[caller.leg_id] = left = caller.left_seconds
                if before is not None and left is not None and left > before + RENEWED_SECONDS:
                    served.add(caller.leg_id)
        return seen, served

    def _patience(self, caller: Waiting) -> float:
        dead_man = self._dead_men.get(caller.line, DEFAULT_DEAD_MAN_SECONDS)
        return dead_man / RENEWALS_PER_DEAD_MAN + SLACK_SECONDS

    async def _move(self, caller: Waiting) -> Done:
        """To the fallback of their line, which serves them at the place that is noted on their leg (QUEUE_PRIO)."""
        known = caller.line in self._dead_men
        context, extension = (f"edge-line-{caller.line}", "fallback") if known else ("edge-dead-man", "T")
        result, why = await self._carry_out(
            [
                ("Setvar", {"Channel": caller.leg_id, "Variable": "EDGE_WHY", "Value": "rescue"}),
                (
                    "Redirect",
                    {"Channel": caller.leg_id, "Context": context, "Exten": extension, "Priority": "1"},
                ),
            ],
            Result.MOVED,
        )
        return Done(
            call_id=caller.call_id,
            leg_id=caller.leg_id,
            line=caller.line,
            emergency=caller.emergency,
            result=result,
            why=why,
        )

    async def _end(self, leg_id: str, call_id: str) -> Done:
        result, why = await self._carry_out([("Hangup", {"Channel": leg_id})], Result.ENDED)
        return Done(call_id=call_id, leg_id=leg_id, line="", emergency=False, result=result, why=why)

    async def _carry_out(self, actions: Sequence[Action], well: Result) -> tuple[Result, str]:
        """One by one, each answer awaited: so callers leave our application in this order."""
        try:
            answers = await self._link.ask_all(actions)
        except RefusedError as refusal:
            return Result.FAILED, str(refusal)
        if all(answer.success for answer in answers):
            return well, ""
        words = text(answers[-1], "Message")
        return (
            Result.GONE if "No such channel" in words or "does not exist" in words else Result.FAILED
        ), words
