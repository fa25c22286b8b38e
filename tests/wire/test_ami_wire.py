"""AMI bytes: nothing a stranger or a network does to them may lose a character, a message or the reader."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoramisk.message import Message

from edge.pbx.asterisk.ami import wire
from edge.pbx.asterisk.ami.client import Protocol

HERE = Path(__file__).parent
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


@pytest.mark.parametrize("recording", sorted(HERE.glob("*.ami.txt")), ids=lambda path: path.name)
def test_message_is_what_panoramisk_makes_of_it(recording: Path) -> None:
    """Whatever Asterisk said in these recordings: the same headers, under every spelling of their names."""
    frames = wire.Framer().feed(recording.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert len(frames) > 10
    for frame in frames:
        heard, made = wire.parse(frame), Message.from_line(frame.strip())
        assert (heard is None) == (made is None)
        if heard is None:
            continue
        assert dict(heard) == dict(made)
        for key in (*(name for name in made if name != "content"), "Absent"):
            for spelt in (key, key.lower(), key.upper()):
                assert heard.get(spelt) == made.get(spelt)
                assert getattr(heard, spelt) == getattr(made, spelt)
            assert (key in heard) == (key in made)


@given(st.lists(st.tuples(st.sampled_from(["Event", "event", "Response", "x", "X", "Result"]), st.text())))
def test_odd_messages_are_read_as_panoramisk_does(headers: list[tuple[str, str]]) -> None:
    """Doubled, empty and misspelt headers; but of a header told in two spellings, who asks by one has that one."""
    text = "\r\n".join(f"{key}: {value}" for key, value in headers).strip()
    heard, made = wire.parse(text), Message.from_line(text)
    assert (heard is None) == (made is None)
    for key, spellings in Counter(key.lower() for key in dict(headers)).items():
        if heard is not None and spellings == 1:
            assert heard.get(key) == made.get(key)


def test_header_told_twice_is_a_list() -> None:
    """The lines that a console command prints come so."""
    message = wire.parse("Response: Success\r\nMessage: Command output follows\r\nOutput: one\r\nOutput: two")
    assert message is not None
    assert message.get("Output") == ["one", "two"]


def test_who_is_told_something_answers_with_yes_or_no() -> None:
    """The number of the action and whether it was done; any other message is none of it."""
    data = wire.told("Setvar", {"Channel": "x", "Value": "15"}, 7)
    assert data == b"Action: Setvar\r\nActionID: told-7\r\nChannel: x\r\nValue: 15\r\n\r\n"
    assert wire.answer_to_told("Response: Success\r\nActionID: told-7\r\nMessage: Variable Set") == (7, True)
    assert wire.answer_to_told("Response: Error\r\nActionID: told-7") == (7, False)
    assert wire.answer_to_told("Response: Success\r\nActionID: action/1/7") is None
    assert wire.answer_to_told("Event: X\r\nCallerIDName: Response: Success\r\nActionID: told-7") is None
    with pytest.raises(ValueError, match="line break"):
        wire.told("Setvar", {"Channel": "x\r\nAction: Logoff"}, 8)


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
