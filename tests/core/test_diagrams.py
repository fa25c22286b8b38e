"""The drawn diagrams are those of the tables, and the agent's arrows are those of the fold."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.core.diagrams import AGENT_ARROWS, Arrow, page
from edge.core.model import AgentState
from tests.core.room import Room, play

STATES = Path(__file__).parents[2] / "docs" / "states.md"

OFFERED = "c1 calls 101 -> serve c1, ring ann for c1\n"
TALKING = OFFERED + "ann answers -> connect c1.1\nc1 joined\n"
WALKS = {
    ("signed out", "AgentSignedIn"): ("ann signs out", "ann signs in"),
    ("ready", "AgentSignedOut"): ("", "ann signs out"),
    ("ready", "AgentBecameNotReady"): ("", "ann not ready"),
    ("not ready", "AgentBecameReady"): ("ann not ready", "ann ready"),
    ("not ready", "AgentSignedOut"): ("ann not ready", "ann signs out"),
    ("ready", "OfferMade"): ("", OFFERED),
    ("offered", "OfferEnded"): (OFFERED, "ann rejects"),
    ("offered", "OfferAnswered"): (OFFERED, "ann answers -> connect c1.1"),
    ("talking", "OfferWithdrawn"): (TALKING, "c1 returned -> hang up c1.1, serve c1"),
    ("talking", "OfferEnded"): (TALKING.replace("101", "brief"), "c1 hangs up"),
    ("ready", "WrapUpStarted"): (TALKING, "c1 hangs up"),
    ("wrap-up", "WrapUpEnded"): (TALKING + "c1 hangs up", "ann presses ready"),
    ("wrap-up", "AgentSignedOut"): (TALKING + "c1 hangs up", "ann signs out"),
}


def test_the_page_is_up_to_date() -> None:
    """`python -m edge.core.diagrams > docs/states.md` was run after the tables changed."""
    assert STATES.read_text(encoding="utf-8") == page() + "\n"


@pytest.mark.parametrize("arrow", AGENT_ARROWS, ids=str)
def test_an_agent_goes_as_drawn(arrow: Arrow) -> None:
    """The fact of an arrow is recorded and leads where the arrow points."""
    before, kind, after = arrow
    first, then = WALKS[(before.value, kind)]
    room = Room("ann 101")
    play(room, first or "= ann ready")
    recorded = len(room.entries)
    play(room, then)
    kinds = [type(entry.fact).__name__ for entry in room.entries[recorded:]]
    assert kind in kinds
    assert room.state_of("ann") == after.value


def test_every_agent_state_is_drawn() -> None:
    """No state of an agent is missing in the diagram."""
    assert {before for before, _, _ in AGENT_ARROWS} == set(AgentState)
