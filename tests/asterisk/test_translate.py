"""Effects to requests, and what strangers write into a call."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import edge.pbx.asterisk
from edge.core.effects import MakeOffer
from edge.core.model import Tier
from edge.pbx.asterisk import identity, snapshot
from edge.pbx.asterisk.ami import translate as ami
from edge.pbx.asterisk.ari import translate as ari
from edge.pbx.asterisk.book import Place
from edge.pbx.asterisk.settings import AsteriskSettings
from tests.asterisk.site import POLICY


def offer(**changes: object) -> MakeOffer:
    """An offer of a routine call."""
    fields: dict[str, object] = {
        "offer_id": "c-1.1",
        "call_id": "c-1",
        "phone": "phone1",
        "ring_seconds": 15.0,
        "caller_number": "+441632960001",
        "line": "main",
        "tier": Tier.ROUTINE,
        "priority_class": "routine",
        "waited_seconds": 42.9,
    }
    return MakeOffer(**(fields | changes))  # type: ignore[arg-type]


def test_originate_has_everything_the_phone_and_a_recorder_need() -> None:
    """Id, display, limits and headers of one offer."""
    request = ari.originate(offer(), POLICY.phones["phone1"], "edge101", "1.1")
    assert (request.resource, request.operation) == ("channels", "originateWithId")
    assert request.parameters == {
        "channelId": "edge-c-1.1-leg",
        "endpoint": "PJSIP/phone1",
        "app": "edge101",
        "appArgs": "offer,c-1.1",
        "callerId": "main routine 0:42 <+441632960001>",
        "timeout": 20,
        "originator": "1.1",
        "variables": {
            "TIMEOUT(absolute)": "20",
            "FORWARD_CONTEXT": ari.NO_FORWARDING,
            "PJSIP_HEADER(add,X-Edge-Call)": "c-1",
            "PJSIP_HEADER(add,X-Edge-Line)": "main",
            "PJSIP_HEADER(add,X-Edge-Class)": "routine",
            "PJSIP_HEADER(add,X-Edge-Wait)": "42",
        },
    }


def test_trunk_phone_is_dialled_through_its_trunk() -> None:
    """A number behind a SIP trunk."""
    request = ari.originate(offer(), POLICY.phones["far"], "edge101", None)
    assert request.parameters["endpoint"] == "PJSIP/01632960500@trunk"


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"tier": Tier.EMERGENCY, "line": "999", "waited_seconds": 5}, "999 routine 0:05"),
        ({"line": "routine", "waited_seconds": 3661}, "routine 61:01"),
        ({"line": 'a"<b>\r\n', "priority_class": "é"}, "ab e 0:42"),
    ],
)
def test_display(changes: dict[str, object], shown: str) -> None:
    """Line, class and wait in printable ASCII without quotes."""
    assert ari.display(offer(**changes)) == shown


@given(st.text(), st.text(), st.sampled_from(["", "allowed", "prohib_not_screened"]))
def test_hostile_caller_is_clean(number: str, name: str, presentation: str) -> None:
    """No control character and no long text passes; a withheld number is never kept."""
    caller = identity.caller(number, name, presentation)
    for text in (caller.number or "", caller.name or ""):
        assert text.isprintable() or not any(mark in text for mark in "\r\n\0\x1b")
        assert len(text) <= identity.LONGEST_NAME
    if presentation.startswith("prohib"):
        assert (caller.number, caller.withheld) == (None, True)


@pytest.mark.parametrize(
    "number", ["", "Anonymous", "unavailable", "unknown", "Restricted", "withheld", "<unknown>"]
)
def test_withheld_numbers(number: str) -> None:
    """All the ways in which networks say nothing."""
    caller = identity.caller(number, "Anonymous")
    assert (caller.number, caller.name, caller.withheld) == (None, None, True)


def test_withheld_number_shows_as_such_on_the_phone() -> None:
    """The phone shows a word in place of a number."""
    request = ari.originate(offer(caller_number=None), POLICY.phones["phone1"], "edge101", None)
    assert request.parameters["callerId"].endswith("<withheld>")


def test_hand_over_sets_the_variable_before_it_redirects() -> None:
    """The dialplan must find the agent's leg."""
    assert [(name, headers.get("Variable")) for name, headers in ami.connect("1.1", "c-1.1")] == [
        ("Setvar", "EDGE_AGENT_CHANNEL"),
        ("Redirect", None),
    ]


@pytest.mark.parametrize(
    ("context", "extension", "application", "place"),
    [
        ("edge-connect", "connect", "Bridge", Place.CONNECTED),
        ("edge-line-main", "fallback", "Queue", Place.FALLBACK),
        ("edge-line-main", "arrive", "Answer", None),
        ("edge-line-main", "arrive", "Stasis", None),
        ("elsewhere", "s", "Dial", Place.CONNECTED),
        ("edge-lines", "101", "Set", None),
    ],
)
def test_place_of_a_channel(context: str, extension: str, application: str, place: Place | None) -> None:
    """Where the dialplan has a caller who is not in our application."""
    dialplan = {"context": context, "exten": extension, "app_name": application}
    assert snapshot.place_elsewhere({"id": "1.1", "dialplan": dialplan}) is place


def test_held_caller_is_known_by_the_arguments_of_stasis() -> None:
    """A restart needs no memory: the switch shows what the dialplan gave."""
    channel = {
        "id": "1.1",
        "caller": {"number": "01632960001", "name": ""},
        "dialplan": {"app_name": "Stasis", "app_data": "edge101,arrived,c-1,main,1700000000000"},
    }
    held = snapshot.held(channel, "edge101")
    assert held is not None
    assert (held.call_id, held.line, held.joined_utc_us) == ("c-1", "main", 1_700_000_000_000_000)


def test_passwords_do_not_show() -> None:
    """Settings may be logged."""
    settings = AsteriskSettings(ari_password="hidden-1", ami_password="hidden-2")
    assert "hidden" not in repr(settings)


def test_no_subscription_that_can_deadlock_asterisk() -> None:
    """subscribeAll and deviceState: subscriptions hang Asterisk 22.10.1 when the websocket closes (issue 2170)."""
    folder = Path(edge.pbx.asterisk.__file__).parent
    forbidden = ("subscribeAll", "deviceState:", "endpoint:", '"subscribe"')
    found = [
        (path.name, word) for path in folder.rglob("*.py") for word in forbidden if word in path.read_text()
    ]
    assert found == []
