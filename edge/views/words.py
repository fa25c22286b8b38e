"""The words in which calls and people are shown everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.core.model import BUDDY, TEST, ClassSource, Rung, Supervision, Tier, TransferKind
from edge.core.promise import Asked, AttemptOutcome, Judgement, TaskAttemptOutcome, TaskKind, TaskOutcome
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


ASKED = {
    Asked.NUMBER: "whether the number that we have is right",
    Asked.KEY: "to key a number",
    Asked.KEYED: "whether the number that was keyed is right",
    Asked.SAFE: "whether it is safe to call that number",
}
JUDGEMENTS = {
    Judgement.ALLOWED: "one that may be dialled",
    Judgement.NO_NUMBER: "no telephone number",
    Judgement.FORBIDDEN: "one that is never dialled",
}
ATTEMPTS = {
    AttemptOutcome.NO_ANSWER: "no answer",
    AttemptOutcome.BUSY: "busy",
    AttemptOutcome.REJECTED: "rejected",
    AttemptOutcome.NETWORK: "the network failed",
    AttemptOutcome.INVALID: "no such number",
    AttemptOutcome.MACHINE: "an answering machine",
    AttemptOutcome.NO_KEY: "answered, and no key was pressed",
    AttemptOutcome.HUNG_UP: "answered, and gone before anybody could speak",
    AttemptOutcome.PREEMPTED: "cut short for a 999",
    AttemptOutcome.AGENT_LEFT: "the agent hung up",
    AttemptOutcome.INTERRUPTED: "its end was not seen",
}
TASKS = {
    TaskKind.ABANDONED_999: "abandoned 999",
    TaskKind.ABANDONED_101: "abandoned 101",
    TaskKind.UNREACHED_CALLBACK: "unreached call-back",
    TaskKind.LOST: "call lost in a fault",
}
TASK_OUTCOMES = {
    TaskOutcome.REACHED: "the person was reached",
    TaskOutcome.NOT_REACHED: "the person was not reached",
    TaskOutcome.CALLED_AGAIN: "the person had called again",
    TaskOutcome.NO_NEED: "there was no need",
    TaskOutcome.INCIDENT: "an incident was opened",
}

TASK_ATTEMPTS = {
    TaskAttemptOutcome.SPOKEN: "answered",
    TaskAttemptOutcome.NO_ANSWER: "no answer",
    TaskAttemptOutcome.BUSY: "busy",
    TaskAttemptOutcome.FAILED: "the network failed, or no such number",
    TaskAttemptOutcome.AGENT_LEFT: "the handler hung up while it rang",
    TaskAttemptOutcome.PREEMPTED: "cut short for a 999",
    TaskAttemptOutcome.NOT_DIALLED: "nothing was dialled",
    TaskAttemptOutcome.UNSEEN: "its end was not seen",
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
