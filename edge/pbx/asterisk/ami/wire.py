"""AMI on the wire: bytes to messages and actions to bytes. No socket, no clock.

panoramisk's `Message` and `Action` are what is read and asked, and pair answers with questions. What it gets wrong is
fenced here, measured in docs/quirks/asterisk-clients.md: it decodes each TCP read by itself (a character split over two
reads is lost), scans a long message again for every read, writes a CR or LF that a stranger put into a value, and makes
something of every header of every message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

from panoramisk.actions import Action
from panoramisk.message import Message

LARGEST_FRAME_BYTES = 4 * 1024 * 1024
_END = b"\r\n\r\n"
_BANNER = "Asterisk Call Manager/"
_WITH_BODY = ("Response: Follows", "Response: Fail")
"""Beginnings of answers whose last line is no header."""
_LINE, _HOLDS = "\r\n", ": "
"""What a header begins with, and what stands between its name and what it holds."""
_QUOTED = frozenset(Message.quoted_keys)
_TOLD = "told-"
"""What the ActionID of an action begins with whose answer is only asked for a yes or no."""
_ANSWER_TO_TOLD = re.compile(rf"Response: (\w+)\r\nActionID: {_TOLD}([0-9]+)(?:\r\n|$)")


class WireError(Exception):
    """These bytes are no AMI: the connection must be dropped."""


class Framer:
    """Cuts a byte stream into AMI messages; a character or an end mark may be split over any two reads."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[str]:
        """The texts of all messages completed by `data`. Raises WireError when a message grows without end."""
        self._bytes += data
        frames = []
        while (end := self._bytes.find(_END, self._searched)) >= 0:
            frames.append(self._bytes[:end].decode("utf-8", "replace"))
            del self._bytes[: end + len(_END)]
            self._searched = 0
        self._searched = max(0, len(self._bytes) - len(_END) + 1)
        if len(self._bytes) > LARGEST_FRAME_BYTES:
            raise WireError(f"a message of more than {LARGEST_FRAME_BYTES} bytes")
        return frames


class Heard(Message):  # type: ignore[misc]  # panoramisk has no types
    """A message whose headers are looked for in its text when they are asked for: of two dozen that an event has, few are.

    To whoever asks for more than one header it is what panoramisk makes of the same text.
    """

    def __init__(self, text: str) -> None:
        self._text = _LINE + text
        self.manager = None

    @cached_property
    def _store(self) -> dict[str, tuple[str, Any]]:
        read = Message.from_line(self._text.removeprefix(_LINE))
        return {} if read is None else cast("dict[str, tuple[str, Any]]", read._store)

    @cached_property
    def _in_small_letters(self) -> str:
        return self._text.lower()

    def get(self, key: str, default: Any = None) -> Any:
        """What this header holds; a list when it came twice."""
        mark = f"{_LINE}{key}{_HOLDS}"
        at = self._text.find(mark)
        if at < 0 or self._text.find(mark, at + 1) >= 0 or key.lower() in _QUOTED:
            is_there = mark.lower() in self._in_small_letters
            return self._store.get(key.lower(), (key, default))[1] if is_there else default
        begin = at + len(mark)
        end = self._text.find(_LINE, begin)
        return self._text[begin:] if end < 0 else self._text[begin:end]

    def __getattr__(self, name: str) -> Any:
        return self.get(name.capitalize(), "")

    def __contains__(self, key: object) -> bool:
        return self.get(str(key)) is not None

    @property
    def is_message(self) -> bool:
        """Whether it is an event or a response at all."""
        return f"{_LINE}Event{_HOLDS}" in self._text or f"{_LINE}Response{_HOLDS}" in self._text


def parse(frame: str) -> Message | None:
    """One message, or None for what is neither an event nor a response (the banner alone, noise)."""
    text = frame.strip()
    if text.startswith(_BANNER):
        text = text.partition(_LINE)[2]
    if text.startswith(_WITH_BODY):
        return Message.from_line(text)
    heard = Heard(text)
    return heard if heard.is_message else None


def told(name: str, headers: Mapping[str, str], number: int) -> bytes:
    """The bytes of an action whose answer is only asked for a yes or no, see `answer_to_told`. Raises ValueError as `action`."""
    _require_whole_lines(name, headers)
    lines = [f"Action: {name}", f"ActionID: {_TOLD}{number}"]
    lines += [f"{key}: {value}" for key, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer_to_told(frame: str) -> tuple[int, bool] | None:
    """Which action that was told this answers, and whether with yes; None for every other message."""
    answer = _ANSWER_TO_TOLD.match(frame) if frame.startswith("Response") else None
    return None if answer is None else (int(answer[2]), answer[1] in Message.success_responses)


def text(message: Mapping[str, object], key: str) -> str:
    """The value of a header, "" when absent; the last one when a header came twice (panoramisk makes a list of it).

    Asterisk writes what callers brought (names, numbers) before the ids of a channel: a header that a stranger smuggled
    in with a line break stands before the true one.
    """
    value = message.get(key, "")
    if isinstance(value, list):
        value = value[-1] if value else ""
    return str(value)


def action(name: str, headers: Mapping[str, str], listed: bool = False) -> Action:
    """An action ready to send. Raises ValueError for a line break in any name or value: it would begin another action.

    `listed`: a list may follow the answer, and panoramisk tells from its words. Elsewhere it must not guess: it takes
    "Added interface to queue" for the beginning of a list and waits for an end that never comes.
    """
    _require_whole_lines(name, headers)
    return Action({"Action": name, **headers}, as_list=None if listed else False)


def is_item(request: Action, message: Message) -> bool:
    """Whether this is one more event of the list that was asked for, and not its end: a thousand channels are listed every few
    seconds, and panoramisk asks nine things of each."""
    if request.as_list is not None or not request.responses:
        return False
    event = text(message, "Event")
    return bool(event) and not (text(message, "EventList") or event.endswith("Complete"))


def _require_whole_lines(name: str, headers: Mapping[str, str]) -> None:
    for key, value in headers.items():
        text = key + value
        if "\r" in text or "\n" in text or "\0" in text:
            raise ValueError(f"AMI {name}: header {key!r} holds a line break")


def encode(request: Action) -> bytes:
    """The bytes of an action."""
    return str(request).encode("utf-8")
