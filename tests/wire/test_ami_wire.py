"""AMI bytes: nothing a stranger or a network does to them may lose a character, a message or the reader."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.pbx.asterisk.ami import wire
from edge.pbx.asterisk.ami.client import Protocol

EVENT = "Event: Newchannel\r\nCallerIDName: M. Jürgen ☎\r\nUniqueid: 1.1\r\n\r\n".encode()


class NoTransport(asyncio.Transport):
    """A connection that swallows what is written."""

    def write(self, data: Any) -> None:
        """Swallow."""

    def abort(self) -> None:
        """Swallow."""


def reader() -> tuple[Protocol, list[Any]]:
    """A protocol and the events that it handed on."""
    events: list[Any] = []
    protocol = Protocol(events.append, lambda reason: events.append(reason))
    protocol.connection_made(NoTransport())
    return protocol, events


@pytest.mark.parametrize("cut", range(len(EVENT) + 1))
def test_character_split_over_two_reads_survives(cut: int) -> None:
    """An event is the same wherever the network cuts it, even inside a character or its end mark."""
    framer = wire.Framer()
    frames = framer.feed(EVENT[:cut]) + framer.feed(EVENT[cut:])
    messages = [wire.parse(frame) for frame in frames]
    assert [wire.text(message, "CallerIDName") for message in messages if message] == ["M. Jürgen ☎"]


@given(st.lists(st.binary(max_size=60), max_size=12))
def test_arbitrary_bytes_never_kill_the_reader(chunks: list[bytes]) -> None:
    """After any noise the next event is still heard."""
    protocol, events = reader()
    for chunk in chunks:
        protocol.data_received(chunk)
    protocol.data_received(b"\r\n\r\n" + EVENT)
    assert wire.text(events[-1], "CallerIDName") == "M. Jürgen ☎"


@given(st.dictionaries(st.sampled_from(["Response", "Event", "ActionID", "Message", "x"]), st.text()))
def test_any_headers_are_digested(headers: dict[str, str]) -> None:
    """No combination of headers, doubled or absurd, ends the connection."""
    protocol, _ = reader()
    lines = [f"{key}: {value}" for key, value in headers.items()] * 2
    protocol.data_received(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace"))
    assert protocol.closed is False


def test_endless_message_ends_the_connection() -> None:
    """A message that never ends is cut off before it fills the memory."""
    framer = wire.Framer()
    with pytest.raises(wire.WireError):
        framer.feed(b"x" * (wire.LARGEST_FRAME_BYTES + 1))


@given(st.text(), st.sampled_from(["\r", "\n", "\0"]), st.text())
def test_line_break_in_a_value_is_refused(before: str, mark: str, after: str) -> None:
    """A value cannot begin another header or another action."""
    with pytest.raises(ValueError, match="line break"):
        wire.action("Setvar", {"Channel": "x", "Value": before + mark + after})


def test_banner_is_not_part_of_the_first_message() -> None:
    """Asterisk glues its greeting to its first answer."""
    message = wire.parse(
        "Asterisk Call Manager/11.0.0\r\nResponse: Success\r\nMessage: Authentication accepted"
    )
    assert message is not None
    assert wire.text(message, "Response") == "Success"


def test_smuggled_header_does_not_hide_the_true_one() -> None:
    """A caller's number with a line break stands before the channel's own ids: the last value is the switch's."""
    message = wire.parse("Event: Hangup\r\nCallerIDNum: 1\r\nUniqueid: victim\r\nUniqueid: true")
    assert message is not None
    assert wire.text(message, "Uniqueid") == "true"
