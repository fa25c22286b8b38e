"""Streams recorded from Asterisk 22.10.1 (numbers from Ofcom's range for drama), translated and folded into inputs."""

import json
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from panoramisk.message import Message

from edge.core.inputs import CallerGone, CallPresented, FallbackAnswered, FallbackTook, Input, PhoneGone
from edge.core.model import Refusal, Side
from edge.pbx.asterisk.ami import translate as ami
from edge.pbx.asterisk.ami import wire
from edge.pbx.asterisk.ari import translate as ari
from edge.pbx.asterisk.book import Book
from edge.pbx.asterisk.sightings import CanaryHeard, Sighting
from tests.asterisk.site import POLICY

HERE = Path(__file__).parent
FIRST_CALL = "20261122T143324Z-1"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


def from_ari() -> Iterator[Sighting]:
    """What the recorded websocket shows."""
    for line in (HERE / "asterisk-22.10.1.ari.jsonl").read_text(encoding="utf-8").splitlines():
        sighting = ari.sighting(json.loads(line))
        if sighting is not None:
            yield sighting


def from_ami() -> Iterator[Sighting]:
    """What the recorded AMI connection shows."""
    for frame in wire.Framer().feed((HERE / "asterisk-22.10.1.ami.txt").read_bytes()):
        message = wire.parse(frame)
        sighting = None if message is None else ami.sighting(message)
        if sighting is not None:
            yield sighting


def fold(sightings: list[Sighting]) -> list[Input]:
    """The inputs that a new book makes of them: the first caller is offered twice and handed to the second phone."""
    book = Book(POLICY)
    book.offer_made(f"{FIRST_CALL}.1")
    made: list[Input] = []
    for sighting in sightings:
        if not isinstance(sighting, CanaryHeard):
            made += book.see(sighting)
        book.hand_over(FIRST_CALL, f"{FIRST_CALL}.2")
    return made


def test_ari_stream_alone_presents_three_callers() -> None:
    """Each StasisStart of a caller becomes one presented call, names in UTF-8, a withheld number never kept."""
    presented = [made for made in fold(list(from_ari())) if isinstance(made, CallPresented)]
    assert [
        (call.line, call.caller_number, call.caller_name, call.number_withheld) for call in presented
    ] == [
        ("routine", "01632960001", "M. Jürgen", False),
        ("routine", None, None, True),
        ("emergency", "07700900999", None, False),
    ]


def test_both_streams_in_either_order_end_every_caller_once() -> None:
    """Whichever link is faster, each caller ends exactly once."""
    for streams in ([*from_ari(), *from_ami()], [*from_ami(), *from_ari()]):
        gone = [made.call_id for made in fold(list(streams)) if isinstance(made, CallerGone)]
        presented = [
            made.call_id for made in fold(list(streams)) if isinstance(made, CallPresented | FallbackTook)
        ]
        assert sorted(gone) == sorted(set(presented))


def test_refused_offer_is_busy() -> None:
    """A 486 is told as busy."""
    ends = [made for made in fold([*from_ari(), *from_ami()]) if isinstance(made, PhoneGone)]
    assert [end.refusal for end in ends] == [Refusal.BUSY, Refusal.CLEARED]


def test_agent_who_hangs_up_is_named() -> None:
    """HangupRequest tells the side, and both legs are told the same."""
    sides = [
        made.side for made in fold([*from_ari(), *from_ami()]) if isinstance(made, CallerGone | PhoneGone)
    ]
    assert sides == [Side.AGENT, Side.AGENT, Side.AGENT, Side.UNKNOWN, Side.CALLER]


def test_fallback_is_followed_to_its_answer() -> None:
    """The switch's own queue says whom it took and who answered."""
    made = fold(list(from_ami()))
    taken = [each for each in made if isinstance(each, FallbackTook)]
    answered = [each for each in made if isinstance(each, FallbackAnswered)]
    assert [(each.line, each.why) for each in taken] == [("routine", "sent")]
    assert [(each.call_id, each.agent) for each in answered] == [(taken[0].call_id, "1001")]


@given(
    st.dictionaries(st.sampled_from(["channel", "args", "playback", "userevent", "cause", "timestamp"]), JSON)
)
def test_any_ari_event_is_digested(fields: dict[str, object]) -> None:
    """No event, however odd, raises."""
    for kind in (
        "StasisStart",
        "ChannelStateChange",
        "PlaybackFinished",
        "ChannelUserevent",
    ):
        ari.sighting({"type": kind, **fields})


@given(
    st.dictionaries(st.sampled_from(["Uniqueid", "Cause", "Timestamp", "Queue", "Call", "Joined"]), st.text())
)
def test_any_ami_event_is_digested(fields: dict[str, str]) -> None:
    """No event, however odd, raises."""
    for kind in (
        "Hangup",
        "BridgeEnter",
        "UserEvent",
        "QueueMemberPause",
        "DeviceStateChange",
        "AgentConnect",
    ):
        headers = {"Event": kind, "UserEvent": "EdgeFallback", **fields}
        ami.sighting(Message(headers))
