"""Notices: what may be sent to the switch in somebody's name."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoramisk.message import Message

from edge.core.inputs import (
    CallbackOfferingSet,
    CallbackOrdered,
    Order,
    PersonJudged,
    TaskAssigned,
    TaskClosed,
)
from edge.core.model import CheckVerdict
from edge.core.promise import AttemptOutcome, TaskOutcome
from edge.errors import RefusedError
from edge.pbx.asterisk import notices
from edge.pbx.asterisk.ami import translate
from edge.pbx.asterisk.sightings import Told


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
    await notices.report_check(link, "sip.options", CheckVerdict.NOT_MEASURED, "", "hwtest edge@appliance")
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
        {
            "Action": "UserEvent",
            "UserEvent": "EdgeChecked",
            "Probe": "sip.options",
            "Verdict": "not_measured",
            "Figure": "",
            "By": "hwtest edge@appliance",
        },
    ]


@given(st.text(max_size=100), st.sampled_from(["probe", "figure", "by"]))
async def test_nothing_but_our_alphabet_is_reported(text: str, place: str) -> None:
    """Of a check too: what a switch has said stands in the figure."""
    link = Link()
    given_ = {"probe": "call.one", "figure": "1 s", "by": "hwtest"} | {place: text}
    try:
        await notices.report_check(link, verdict=CheckVerdict.PASS, **given_)
    except RefusedError:
        assert link.asked == []
    else:
        assert all(mark.isprintable() and mark.isascii() for mark in text)


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


async def test_what_is_said_about_call_backs_is_what_is_heard() -> None:
    """Both ends of the same words."""
    link, call = Link(), "20261124T195416Z-0"
    await notices.order_callback(link, call, Order.CANCEL, "sergeant", "rang us, is well; thanks!")
    await notices.order_callback(
        link, call, Order.MOVE, "ann", "yn Gymraeg, ŵ", queue="welsh", priority_class="vulnerable"
    )
    await notices.set_offering(link, False, "ann")
    await notices.set_offering(link, True, "ann")
    await notices.judge_callback(link, call, "4001")
    await notices.assign_task(link, call, "Bryn", "ann")
    await notices.close_task(link, call, TaskOutcome.REACHED, "Bryn", "spoke to her")
    await notices.close_task(link, call, TaskOutcome.NO_NEED, "Bryn")
    heard = [translate.sighting(Message({"Event": "UserEvent", **asked})) for asked in link.asked]
    assert [seen.said for seen in heard if isinstance(seen, Told)] == [
        CallbackOrdered(order=Order.CANCEL, by="sergeant", why="rang us, is well; thanks!", call_id=call),
        CallbackOrdered(
            order=Order.MOVE,
            by="ann",
            why="yn Gymraeg, ŵ",
            call_id=call,
            queue="welsh",
            priority_class="vulnerable",
        ),
        CallbackOfferingSet(active=False, by="ann"),
        CallbackOfferingSet(active=True, by="ann"),
        PersonJudged(outcome=AttemptOutcome.MACHINE, by="4001", call_id=call),
        TaskAssigned(task_id=call, to="Bryn", by="ann"),
        TaskClosed(task_id=call, by="Bryn", outcome=TaskOutcome.REACHED, note="spoke to her"),
        TaskClosed(task_id=call, by="Bryn", outcome=TaskOutcome.NO_NEED),
    ]


@given(st.text(max_size=100), st.sampled_from(["call", "by", "why", "queue", "priority_class"]))
async def test_no_order_begins_another_header(text: str, place: str) -> None:
    """Whatever somebody types: refused with words, or sent on one line, whole."""
    link = Link()
    given_ = {"call": "c-1", "by": "ann", "why": "because", "queue": "", "priority_class": ""} | {place: text}
    try:
        await notices.order_callback(link, given_.pop("call"), Order.MOVE, **given_)
    except RefusedError:
        assert link.asked == []
    else:
        assert all(
            value.isprintable() and len(value) <= 80 for asked in link.asked for value in asked.values()
        )
