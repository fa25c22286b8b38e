"""Effects to requests, and what strangers write into a call."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoramisk.message import Message

import edge.pbx.asterisk
from dialplans.asterisk.generate import PRIORITY_CONSTANT
from edge.core.effects import DialPerson, MakeOffer, NotePlace
from edge.core.inputs import (
    CallAnnotated,
    CallbackOrdered,
    CallRefused,
    EquipmentChecked,
    IncidentSet,
    Order,
    PersonJudged,
    SupervisionSeen,
    SupervisorInvited,
    TaskAsked,
    TaskSpokenWith,
    WrapUpCoded,
)
from edge.core.model import CheckVerdict, Supervision, Tier
from edge.core.promise import AttemptOutcome, TaskAttemptOutcome
from edge.pbx.asterisk import identity, snapshot
from edge.pbx.asterisk.ami import translate as ami
from edge.pbx.asterisk.ari import translate as ari
from edge.pbx.asterisk.book import Place
from edge.pbx.asterisk.settings import AsteriskSettings
from edge.pbx.asterisk.sightings import (
    AssistedMarked,
    CallerEntered,
    CallerSwapped,
    ColleagueTook,
    Consulted,
    DivertedTook,
    FallbackConnected,
    KeyHeard,
    KeyTaken,
    PersonRinging,
    TaskRung,
    Told,
)
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


def test_call_back_is_shown_as_such() -> None:
    """On the display, and in a header; nobody's leg is the originator."""
    made = offer(callback=True, waited_seconds=842.0)
    request = ari.originate(made, POLICY.phones["phone1"], "edge101", None)
    assert request.parameters["callerId"] == "CALL-BACK main routine 14:02 <+441632960001>"
    assert request.parameters["variables"]["PJSIP_HEADER(add,X-Edge-Callback)"] == "yes"
    assert "originator" not in request.parameters


def test_person_is_dialled_into_the_dialplan() -> None:
    """With all that makes the leg a caller's without us; they see our number, and nothing else of us."""
    person = DialPerson(
        call_id="c-1",
        attempt=2,
        offer_id="c-1.3",
        number="01632960555",
        trunk="gateway",
        show_number="01632960100",
        ring_seconds=25.0,
        line="main",
        queue="second",
        language="cy",
        joined_utc_us=1_800_000_000_000_000,
        place_utc_us=1_700_000_000_000_000,
    )
    request = ari.dial(person, 12.0)
    assert (request.resource, request.operation) == ("channels", "originateWithId")
    assert request.parameters == {
        "channelId": "edge-back-c-1.2-leg",
        "endpoint": "PJSIP/01632960555@gateway",
        "context": "edge-reached",
        "extension": "reached",
        "priority": 1,
        "callerId": "<01632960100>",
        "timeout": 25 + 12 + ari.EXTRA_RING_SECONDS,
        "variables": {
            "EDGE_CALL": "c-1",
            "EDGE_LINE": "main",
            "EDGE_TIER": "101",
            "EDGE_JOINED": "1800000000000",
            "EDGE_QUEUE": "second",
            "QUEUE_PRIO": str(PRIORITY_CONSTANT - 17_000_000_000),
            "EDGE_PERSON": "01632960555",
            "CHANNEL(language)": "cy",
            "GROUP(edge101)": "routine",
            "FORWARD_CONTEXT": ari.NO_FORWARDING,
        },
    }


def test_a_persons_leg_is_told_from_an_agents() -> None:
    """By its name alone."""
    leg_id = identity.leg_of_attempt("c-1", 12)
    assert identity.attempt_of_leg(leg_id) == ("c-1", 12)
    assert identity.offer_of_leg(leg_id) is None
    assert identity.attempt_of_leg(identity.leg_of_offer("c-1.12")) is None


@pytest.mark.parametrize(
    "leg_id",
    [
        "",
        "1.1",
        "edge-back-",
        "edge-back--leg",
        "edge-back-.1-leg",
        "edge-back-c.-leg",
        "edge-back-c.x-leg",
        "edge-back-c.٣-leg",
        "edge-back-c.1234567-leg",
        "edge-back-c.1",
    ],
)
def test_other_legs_are_no_persons(leg_id: str) -> None:
    """Whatever somebody calls a channel."""
    assert identity.attempt_of_leg(leg_id) is None


@pytest.mark.parametrize(
    ("number", "may"),
    [("01632960555", True), ("+441632960555", True), ("999", True)]
    + [(bad, False) for bad in ("", "+", "0163@x", "0163&PJSIP/x", "٣", "1 2", "+1+2", "1" * 81)],
)
def test_only_digits_are_dialled(number: str, may: bool) -> None:
    """What else stands there is Asterisk's syntax. Which numbers may be is not decided here."""
    assert identity.is_dialable(number) is may


@pytest.mark.parametrize(
    ("leg_id", "state", "rings"),
    [
        ("edge-back-c-1.1-leg", "RINGING", True),
        ("edge-back-c-1.1-leg", "PROGRESS", True),
        ("edge-back-c-1.1-leg", "PROCEEDING", False),
        ("edge-c-1.1-leg", "RINGING", False),
        ("1700000000.1", "RINGING", False),
    ],
)
def test_ringing_of_a_person(leg_id: str, state: str, rings: bool) -> None:
    """180 and 183, of the persons whom we ring."""
    seen = ami.sighting(Message({"Event": "DialState", "DestUniqueid": leg_id, "DialStatus": state}))
    assert seen == (PersonRinging(leg_id=leg_id, switch_utc_us=None) if rings else None)


@pytest.mark.parametrize(
    ("changes", "urgent"),
    [({}, False), ({"tier": Tier.EMERGENCY}, True), ({"upgraded": True}, True)],
)
def test_emergencies_ring_otherwise(changes: dict[str, object], urgent: bool) -> None:
    """Alert-Info for a 999 and an upgraded 101, and for nothing else."""
    given = ari.originate(
        offer(**changes), POLICY.phones["phone1"], "edge101", None, alert_info="<http://x.invalid>;info=999"
    )
    variables = given.parameters["variables"]
    assert variables.get("PJSIP_HEADER(add,Alert-Info)") == (
        "<http://x.invalid>;info=999" if urgent else None
    )
    silent = ari.originate(offer(**changes), POLICY.phones["phone1"], "edge101", None)
    assert "PJSIP_HEADER(add,Alert-Info)" not in silent.parameters["variables"]


def test_offer_tells_what_else_is_to_be_known_and_whose_leg_it_is() -> None:
    """Notes in a header without anything that could end it, and the agent for supervisors."""
    request = ari.originate(
        offer(notes=("cy", "seen\r\nX: y")), POLICY.phones["far"], "edge101", None, agent="1001"
    )
    variables = request.parameters["variables"]
    assert variables["PJSIP_HEADER(add,X-Edge-Notes)"] == "cy - seenX: y"
    assert variables["SPYGROUP"] == "1001"


@pytest.mark.parametrize(
    ("sounds", "media"),
    [
        (("position", "number:3"), ["sound:edge/position", "sound:edge/number-3"]),
        (("number:20", "number:21"), ["sound:edge/number-20", "sound:edge/number-21"]),
        (("number:5000", "number:0"), ["sound:edge/number-21", "sound:edge/number-1"]),
        (("digit:0", "digit:9"), ["sound:edge/digit-0", "sound:edge/digit-9"]),
    ],
)
def test_sounds_of_one_announcement(sounds: tuple[str, ...], media: list[str]) -> None:
    """Numbers are prompts of our own, up to twenty and one for more."""
    assert ari.play("p", "1.1", "edge", sounds).parameters["media"] == media


@pytest.mark.parametrize(
    "sound", ["digits:7", "number:", "number:x", "number:٣", "digit:", "digit:10", "digit:٣", "digit:x"]
)
def test_unknown_sound_is_a_fault(sound: str) -> None:
    """Never an address of the switch's own making."""
    with pytest.raises(ValueError, match="no such kind of sound"):
        ari.play("p", "1.1", "edge", (sound,))


@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.-]{0,20}", fullmatch=True),
    st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True),
)
def test_playback_names_call_and_prompt(call_id: str, prompt: str) -> None:
    """Its end can be told by a daemon that did not begin it."""
    assert identity.announcement_of_playback(identity.playback(call_id, prompt, "a1")) == (call_id, prompt)


@pytest.mark.parametrize("playback", ["", "other", "edge-said.", "edge-said.c-1", "edge-said..1.p"])
def test_strange_playback_is_nobodys(playback: str) -> None:
    """Another application's, or a name cut short."""
    assert identity.announcement_of_playback(playback) is None


def test_loser_is_told_that_the_call_is_answered_elsewhere() -> None:
    """And nobody else is."""
    assert ari.hang_up("c-1.1", answered_elsewhere=True).parameters["reason"] == "answered_elsewhere"
    assert "reason" not in ari.hang_up("c-1.1").parameters


def test_place_as_the_fallback_reads_it() -> None:
    """Who counts from an earlier time has the higher priority."""
    place = NotePlace(
        call_id="c-1",
        queue="emergency",
        tier=Tier.EMERGENCY,
        place_utc_us=1_800_000_000_050_000,
        language="cy",
        upgraded=True,
    )
    written = {headers["Variable"]: headers["Value"] for _, headers in ami.note_place("1.1", place)}
    assert written == {
        "EDGE_QUEUE": "emergency",
        "QUEUE_PRIO": str(PRIORITY_CONSTANT - 18_000_000_000),
        "CHANNEL(language)": "cy",
        "EDGE_UPGRADED": "1",
    }


def test_leg_gets_its_own_name_again() -> None:
    """After a transfer had put another's on it."""
    written = ami.name_again("1.1", "c-1", POLICY.lines["emergency"], 1_800_000_000_123_000)
    assert {headers["Variable"]: headers["Value"] for _, headers in written} == {
        "EDGE_CALL": "c-1",
        "EDGE_LINE": "emergency",
        "EDGE_TIER": "999",
        "EDGE_JOINED": "1800000000123",
    }


def event(kind: str, **headers: str) -> Message:
    """An AMI event."""
    return Message({"Event": kind, **headers})


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"Digit": "9", "Direction": "Received"}, "9"),
        ({"Digit": "*", "Direction": "Received"}, "*"),
        ({"Digit": "9", "Direction": "Sent"}, None),
        ({"Digit": "A", "Direction": "Received"}, None),
        ({"Digit": "", "Direction": "Received"}, None),
        ({"Digit": "99", "Direction": "Received"}, None),
    ],
)
def test_keys_that_are_pressed(headers: dict[str, str], key: str | None) -> None:
    """Those of a telephone, and not what is sent to it."""
    seen = ami.sighting(event("DTMFEnd", Uniqueid="1.1", **headers))
    assert seen == (KeyHeard(leg_id="1.1", key=key, switch_utc_us=None) if key else None)


@pytest.mark.parametrize(
    ("headers", "seen"),
    [
        (
            {"UserEvent": "EdgeKey", "Call": "c-1", "Key": "9"},
            KeyTaken(call_id="c-1", key="9", switch_utc_us=None),
        ),
        ({"UserEvent": "EdgeKey", "Call": "c-1", "Key": "nine"}, None),
        (
            {"UserEvent": "EdgeTaken", "Call": "c-1", "Leg": "1.1", "By": "buddy"},
            FallbackConnected(leg_id="1.1", agent="buddy", switch_utc_us=None),
        ),
        (
            {
                "UserEvent": "EdgeRefused",
                "Call": "c-1",
                "Line": "routine",
                "Why": "no channel to spare",
                "Uniqueid": "1.1",
                "CallerIDNum": "01632960001",
                "CallerIDName": "<unknown>",
                "Presentation": "allowed",
            },
            Told(
                said=CallRefused(
                    call_id="c-1",
                    leg_id="1.1",
                    line="routine",
                    why="no channel to spare",
                    caller_number="01632960001",
                )
            ),
        ),
        (
            {"UserEvent": "EdgeWrapUp", "Agent": "1001", "Code": "crime"},
            Told(said=WrapUpCoded(agent="1001", code="crime")),
        ),
        (
            {"UserEvent": "EdgeAssisted", "Agent": "1001", "By": "1001"},
            AssistedMarked(call_id=None, agent="1001", by="1001", switch_utc_us=None),
        ),
        (
            {
                "UserEvent": "EdgeSpy",
                "Supervisor": "1002",
                "Agent": "1001",
                "Mode": "whisper",
                "State": "ended",
            },
            Told(
                said=SupervisionSeen(supervisor="1002", agent="1001", mode=Supervision.WHISPER, began=False)
            ),
        ),
        (
            {"UserEvent": "EdgeDiverted", "Call": "c-1", "Leg": "17.1"},
            DivertedTook(leg_id="17.1", switch_utc_us=None),
        ),
        (
            {
                "UserEvent": "EdgeConsult",
                "From": "phone1",
                "Agent": "1002",
                "Phone": "phone2",
                "Leg": "1.1",
                "Uniqueid": "2.2",
            },
            Consulted(
                from_phone="phone1",
                from_leg_id="1.1",
                agent="1002",
                phone="phone2",
                leg_id="2.2",
                switch_utc_us=None,
            ),
        ),
        (
            {
                "UserEvent": "EdgeColleague",
                "Call": "c-1",
                "Leg": "17.1",
                "Uniqueid": "17.5",
                "Agent": "1002",
                "Phone": "phone2",
            },
            ColleagueTook(
                call_id="c-1",
                caller_leg_id="17.1",
                leg_id="17.5",
                agent="1002",
                phone="phone2",
                switch_utc_us=None,
            ),
        ),
        (
            {"UserEvent": "EdgeInvite", "Supervisor": "1002", "Agent": "1001"},
            Told(said=SupervisorInvited(supervisor="1002", agent="1001")),
        ),
        ({"UserEvent": "EdgeSpy", "Supervisor": "1002", "Mode": "shout", "State": "began"}, None),
        (
            {"UserEvent": "EdgeIncident", "Active": "yes", "By": "sergeant"},
            Told(said=IncidentSet(active=True, by="sergeant")),
        ),
        ({"UserEvent": "EdgeIncident", "Active": "perhaps"}, None),
        (
            {
                "UserEvent": "EdgeChecked",
                "Probe": "call.one",
                "Verdict": "fail",
                "Figure": "12\x1b[1m s",
                "By": "hwtest",
            },
            Told(
                said=EquipmentChecked(
                    probe="call.one", verdict=CheckVerdict.FAIL, figure="12[1m s", by="hwtest"
                )
            ),
        ),
        ({"UserEvent": "EdgeChecked", "Probe": "call.one", "Verdict": "splendid", "By": "hwtest"}, None),
        ({"UserEvent": "EdgeChecked", "Verdict": "pass", "By": "hwtest"}, None),
        (
            {
                "UserEvent": "EdgeNote",
                "Call": "c-1",
                "Kind": "recording",
                "Value": "R\x1b[1m-7",
                "State": "failed",
                "By": "recorder",
            },
            Told(
                said=CallAnnotated(
                    call_id="c-1", kind="recording", value="R[1m-7", state="failed", by="recorder"
                )
            ),
        ),
        ({"UserEvent": "EdgeNote", "Call": "", "Kind": "recording"}, None),
        (
            {"UserEvent": "EdgeCallback", "Order": "cancel", "Agent": "1001", "By": "1001", "Why": "done"},
            Told(said=CallbackOrdered(order=Order.CANCEL, agent="1001", by="1001", why="done")),
        ),
        (
            {"UserEvent": "EdgeJudged", "Outcome": "machine", "Agent": "1001", "By": "1001"},
            Told(said=PersonJudged(outcome=AttemptOutcome.MACHINE, agent="1001", by="1001")),
        ),
        ({"UserEvent": "EdgeCallback", "Order": "promote", "Call": "c-1", "By": "x"}, None),
        ({"UserEvent": "EdgeCallback", "Order": "cancel", "By": "x"}, None),
        ({"UserEvent": "EdgeJudged", "Outcome": "no_answer", "Call": "c-1", "By": "x"}, None),
        ({"UserEvent": "EdgeJudged", "Outcome": "machine", "By": "x"}, None),
        ({"UserEvent": "EdgeOffering", "Active": "", "By": "x"}, None),
        ({"UserEvent": "EdgeTask", "Task": "c-1", "Order": "close", "Outcome": "bored", "By": "x"}, None),
        ({"UserEvent": "EdgeTask", "Task": "c-1", "Order": "close", "Outcome": "reached"}, None),
        ({"UserEvent": "EdgeTask", "Task": "c-1", "Order": "assign", "By": "x"}, None),
        ({"UserEvent": "EdgeTask", "Order": "assign", "To": "y", "By": "x"}, None),
        (
            {"UserEvent": "EdgeTask", "Order": "next", "Agent": "1001"},
            Told(said=TaskAsked(agent="1001")),
        ),
        (
            {"UserEvent": "EdgeTask", "Order": "spoken", "Agent": "1001"},
            Told(said=TaskSpokenWith(agent="1001")),
        ),
        ({"UserEvent": "EdgeTask", "Order": "next"}, None),
        (
            {"UserEvent": "EdgeTaskRung", "Uniqueid": "l", "Status": "BUSY", "Cause": "17"},
            TaskRung(leg_id="l", outcome=TaskAttemptOutcome.BUSY, words="BUSY 17", switch_utc_us=None),
        ),
        (
            {"UserEvent": "EdgeTaskRung", "Uniqueid": "l", "Status": "CHANUNAVAIL\x1b", "Cause": "1"},
            TaskRung(
                leg_id="l", outcome=TaskAttemptOutcome.FAILED, words="CHANUNAVAIL 1", switch_utc_us=None
            ),
        ),
        ({"UserEvent": "SomebodyElses", "Call": "c-1"}, None),
    ],
)
def test_user_events(headers: dict[str, str], seen: object) -> None:
    """What the dialplan and the command line say; nonsense says nothing."""
    assert ami.sighting(event("UserEvent", **headers)) == seen


@pytest.mark.parametrize("application", ["Stasis", "StasisBroadcast"])
def test_transfer_that_failed_is_none(application: str) -> None:
    """And one into our application is told by the websocket."""
    failed = event("BlindTransfer", Result="Fail", TransfereeUniqueid="1.1", Extension="1002")
    refused = event("AttendedTransfer", Result="Invalid", TransfereeUniqueid="1.1")
    into_ours = event("AttendedTransfer", Result="Success", TransfereeUniqueid="1.1", DestApp=application)
    assert [ami.sighting(each) for each in (failed, refused, into_ours)] == [None, None, None]


def test_sent_back_caller_is_known_by_the_arguments_of_stasis() -> None:
    """With the queue that they were sent to."""
    seen = ari.entered(
        {"id": "1.1"}, ["sent-back", "c-1", "main", "1700000000000", "allowed", "second"], None
    )
    assert isinstance(seen, CallerEntered)
    assert (seen.returned, seen.sent_back_to) == (False, "second")


def test_leg_in_anothers_place_is_seen_as_such() -> None:
    """A StasisStart without arguments; with them it is an arrival like any other."""
    start = {
        "type": "StasisStart",
        "args": [],
        "channel": {"id": "1.1"},
        "replace_channel": {"id": "2.2"},
    }
    assert ari.sighting(start) == CallerSwapped(leg_id="1.1", replaced_leg_id="2.2", switch_utc_us=None)
    arrived = ari.sighting({**start, "args": ["arrived", "c-1", "main", "1700000000000"]})
    assert isinstance(arrived, CallerEntered)


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
        ({"upgraded": True}, "UPGRADED 101 main routine 0:42"),
        ({"upgraded": True, "tier": Tier.EMERGENCY}, "UPGRADED 101 main routine 0:42"),
        (
            {"notes": ("assisted", "vulnerable", "4 calls in 24 h\r\n")},
            "main routine 0:42 assisted - vulnerable - 4 calls in 24 h",
        ),
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
        ("edge-line-main", "return", "Set", Place.CONNECTED),
        ("edge-line-main", "sent-back", "Set", Place.CONNECTED),
        ("edge-sent-back", "send", "Goto", Place.CONNECTED),
        ("edge-divert", "phone-far", "Dial", Place.CONNECTED),
        ("edge-colleague", "ring", "Dial", Place.CONNECTED),
        ("edge-key", "9", "UserEvent", Place.FALLBACK),
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


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('{"type": "X", "args": ["a", 1, null]}', {"type": "X", "args": ["a", 1, None]}),
        ('{"name": "half \\ud83d of it"}', {"name": "half \ud83d of it"}),
        ('{"number": NaN}', None),
        ("[]", []),
    ],
    ids=["good", "half a character", "no number", "list"],
)
def test_json_is_read_as_the_standard_library_does(written: str, said: object) -> None:
    """Also what stricter readers refuse: an event that is refused is a caller who is lost."""
    assert said is None or ari.decoded(written) == said
    assert repr(ari.decoded(written)) == repr(json.loads(written))


def test_no_json_is_a_value_error() -> None:
    """As whoever reads events expects."""
    with pytest.raises(ValueError, match="Expecting"):
        ari.decoded("{")
