"""The state diagrams of the documentation, drawn from the tables: `python -m edge.core.diagrams > docs/states.md`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

from edge.core import facts
from edge.core.model import AgentState, CallState, OfferState, TaskOfferState
from edge.core.transitions import (
    CALL_DEADLINES,
    CALL_REACTIONS,
    CALL_TRANSITIONS,
    OFFER_DEADLINES,
    OFFER_REACTIONS,
    OFFER_TRANSITIONS,
    TASK_OFFER_DEADLINES,
    TASK_OFFER_REACTIONS,
    TASK_OFFER_TRANSITIONS,
    Deadline,
)

Arrow = tuple[StrEnum, str, StrEnum]
S = TypeVar("S", bound=StrEnum)
K = TypeVar("K")

AGENT_ARROWS: tuple[Arrow, ...] = (
    (AgentState.SIGNED_OUT, "AgentSignedIn", AgentState.READY),
    (AgentState.READY, "AgentSignedOut", AgentState.SIGNED_OUT),
    (AgentState.READY, "AgentBecameNotReady", AgentState.NOT_READY),
    (AgentState.NOT_READY, "AgentBecameReady", AgentState.READY),
    (AgentState.NOT_READY, "AgentSignedOut", AgentState.SIGNED_OUT),
    (AgentState.READY, "OfferMade", AgentState.OFFERED),
    (AgentState.OFFERED, "OfferEnded", AgentState.READY),
    (AgentState.OFFERED, "OfferAnswered", AgentState.TALKING),
    (AgentState.TALKING, "OfferWithdrawn", AgentState.OFFERED),
    (AgentState.TALKING, "OfferEnded", AgentState.READY),
    (AgentState.READY, "WrapUpStarted", AgentState.WRAP_UP),
    (AgentState.WRAP_UP, "WrapUpEnded", AgentState.READY),
    (AgentState.WRAP_UP, "AgentSignedOut", AgentState.SIGNED_OUT),
)
"""An agent's state is derived from sign-in, activity and reason (`AgentRecord.state`), so its arrows stand here; a test walks
each of them through the fold. Not ready and signed out may also come while offered or talking and show once that is over."""

PREFACE = """\
Drawn from the tables in `edge/core/transitions.py` by `python -m edge.core.diagrams > docs/states.md`: change them there.
Arrows are facts; the reactions say what the engine does with an input in each state; deadlines wake it by themselves."""


def arrows_of(table: Mapping[S, Mapping[type[facts.Fact], S]]) -> list[Arrow]:
    """The arrows of a transition table."""
    return [
        (state, kind.__name__, following) for state, row in table.items() for kind, following in row.items()
    ]


def diagram(arrows: Iterable[Arrow], begins: StrEnum, ends: StrEnum | None) -> str:
    """A Mermaid state diagram; facts that lead from one state to the same other share an arrow."""
    labels: dict[tuple[StrEnum, StrEnum], list[str]] = {}
    for state, label, following in arrows:
        labels.setdefault((state, following), []).append(label)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {_name(begins)}"]
    lines += [
        f"    {_name(state)} --> {'[*]' if following is ends else _name(following)}: {', '.join(names)}"
        for (state, following), names in labels.items()
    ]
    return "\n".join([*lines, "```"])


def _name(state: StrEnum) -> str:
    return re.sub(r"\W", "_", state.value)


def deadlines(table: Mapping[S, Deadline]) -> str:
    """The deadlines of a table."""
    rows = [
        f"| {state.value} | `{row.since}` | `{row.seconds}` | {row.then.replace('_', ' ')} |"
        for state, row in table.items()
    ]
    return "\n".join(["| state | since | seconds | then |", "|---|---|---|---|", *rows])


def reactions(table: Mapping[type[K], Mapping[S, str]]) -> str:
    """The reactions of a table: an input in each row, a state in each column."""
    states = list(next(iter(table.values())))
    rows = [
        f"| {kind.__name__} | " + " | ".join(row[state].replace("_", " ") for state in states) + " |"
        for kind, row in table.items()
    ]
    heading = f"| input | {' | '.join(state.value for state in states)} |"
    return "\n".join([heading, "|---" * (len(states) + 1) + "|", *rows])


def page() -> str:
    """The whole page."""
    return "\n\n".join(
        [
            "# States",
            PREFACE,
            "## Call",
            diagram(arrows_of(CALL_TRANSITIONS), CallState.WAITING, CallState.ENDED),
            "An offer that ends or is withdrawn moves its call only when it was the last one ringing.",
            reactions(CALL_REACTIONS),
            deadlines(CALL_DEADLINES),
            "## Offer",
            diagram(arrows_of(OFFER_TRANSITIONS), OfferState.CALLING, OfferState.ENDED),
            reactions(OFFER_REACTIONS),
            deadlines(OFFER_DEADLINES),
            "## Offer of a ring-back task",
            diagram(arrows_of(TASK_OFFER_TRANSITIONS), TaskOfferState.CALLING, TaskOfferState.ENDED),
            "The task itself is open until a named person closes it, whatever becomes of its offers.",
            reactions(TASK_OFFER_REACTIONS),
            deadlines(TASK_OFFER_DEADLINES),
            "## Agent",
            diagram(AGENT_ARROWS, AgentState.SIGNED_OUT, None),
            "Not ready and signed out may also come while an agent is offered a call or talks; they show when that is over.",
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(page() + "\n")
