"""Notices: what may be sent to the switch in somebody's name."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoramisk.message import Message

from edge.errors import RefusedError
from edge.pbx.asterisk import notices


class Link:
    """Remembers what it is asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []

    async def ask(self, name: str, headers: Mapping[str, str]) -> Message:
        """An action."""
        self.asked.append({"Action": name, **headers})
        return Message({"Response": "Success"})

    async def list(self, name: str, headers: Mapping[str, str]) -> list[Message]:
        """Not needed."""
        raise NotImplementedError


async def test_notices_are_user_events_in_the_dialplans_words() -> None:
    """Names and values as the adapter reads them."""
    link = Link()
    await notices.declare_incident(link, False, "duty sergeant")
    await notices.annotate(link, "20261124T195416Z-0", "recording", "R-7/1", "started", "recorder")
    await notices.mark_assisted(link, "20261124T195416Z-0", "4001")
    assert link.asked == [
        {"Action": "UserEvent", "UserEvent": "EdgeIncident", "Active": "no", "By": "duty sergeant"},
        {
            "Action": "UserEvent",
            "UserEvent": "EdgeNote",
            "Call": "20261124T195416Z-0",
            "Kind": "recording",
            "Value": "R-7/1",
            "State": "started",
            "By": "recorder",
        },
        {"Action": "UserEvent", "UserEvent": "EdgeAssisted", "Call": "20261124T195416Z-0", "By": "4001"},
    ]


@given(st.text(max_size=100), st.sampled_from(["call", "kind", "value", "state", "by"]))
async def test_nothing_but_our_alphabet_is_sent(text: str, place: str) -> None:
    """Whatever somebody types: refused with words, or sent as it is."""
    link = Link()
    given_ = {"call": "c-1", "kind": "incident", "value": "LC-1", "state": "", "by": "4001"} | {place: text}
    try:
        await notices.annotate(link, **given_)
    except RefusedError:
        assert link.asked == []
    else:
        assert all(mark.isprintable() and mark.isascii() for mark in text)


@pytest.mark.parametrize("by", ["", "a\r\nAction: Originate", "x" * 81, " 4001", "4001\n"])
async def test_bad_names_are_refused(by: str) -> None:
    """A line break would begin another header."""
    link = Link()
    with pytest.raises(RefusedError, match="letter"):
        await notices.declare_incident(link, True, by)
    assert link.asked == []
