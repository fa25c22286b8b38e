"""The words in which calls and people are shown everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.core.model import BUDDY, TEST, ClassSource, Rung, Supervision, Tier, TransferKind
from edge.views import caller
from edge.views.record import CallRecord, DepartureRecord, PassedOnRecord

if TYPE_CHECKING:
    from edge.core.state import Call

RUNGS = {
    Rung.NEXT_AGENT: "rang one agent at a time",
    Rung.ALL_AGENTS: "rang everybody",
    Rung.SUPERVISORS: "rang the supervisors too",
    Rung.BUDDY: "rang the buddy force too",
}
SOURCES = {
    ClassSource.LINE: "by its line",
    ClassSource.MENU: "by the menu",
    ClassSource.LISTED: "by the number list",
    ClassSource.REPEAT: "as a repeated call",
    ClassSource.HANDLER: "by a handler",
    ClassSource.OVERFLOW: "by overflow",
}
SUPERVISIONS = {
    Supervision.LISTEN: "listening",
    Supervision.WHISPER: "whispering",
    Supervision.BARGE: "taking part",
    Supervision.CONFERENCE: "taking part by invitation",
}


def tier_name(tier: int) -> str:
    """999 or 101."""
    return "999" if tier == Tier.EMERGENCY else "101"


def kind_of(call: Call | CallRecord) -> str:
    """999, 101, upgraded 101, or test 999."""
    if call.upgraded_at is not None:
        return "upgraded 101"
    return f"test {tier_name(call.tier)}" if call.test else tier_name(call.tier)


def who(agent: str | None) -> str:
    """An agent, or what stands in the place of one."""
    match agent:
        case None | "":
            return "an agent whom the switch did not name"
        case _ if agent == BUDDY:
            return "the buddy force"
        case _ if agent == TEST:
            return "the test phone"
        case _:
            return f"agent {agent}"


def target_name(target: str | None, to_agent: str | None) -> str:
    """To whom a caller was passed on: an agent, an extension, or what may be shown of a number."""
    if to_agent is not None:
        return who(to_agent)
    if target is None:
        return "a number that has been erased"
    digits = sum(mark.isdigit() for mark in target)
    return f"number {target if digits < caller.SHORTEST_SHOWN else caller.masked(target, withheld=False)}"


def passed_on(kind: TransferKind, agent: str | None, target: str | None, to_agent: str | None) -> str:
    """How a caller was passed on."""
    how = "blind" if kind is TransferKind.BLIND else "attended"
    by = "" if agent is None else f" by {who(agent)}"
    return f"passed on to {target_name(target, to_agent)}{by} ({how} transfer)"


def passed_on_words(record: PassedOnRecord) -> str:
    """The same of a record."""
    return passed_on(record.kind, record.agent, record.target, record.to_agent)


def departure(record: DepartureRecord) -> str:
    """Why and how a caller was sent away."""
    if record.phone is not None:
        return f"sent to phone {record.phone} ({record.why})"
    return f"told by {record.prompt} that it could not be served ({record.why})"
