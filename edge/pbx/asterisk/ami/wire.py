"""AMI on the wire: bytes to messages and actions to bytes. No socket, no clock.

panoramisk's `Message` and `Action` do the parsing and the pairing of answers with questions. What it gets wrong is
fenced here, measured in docs/quirks/asterisk-clients.md: it decodes each TCP read by itself (a character split over two
reads is lost), scans a long message again for every read, and writes a CR or LF that a stranger put into a value.
"""

from __future__ import annotations

from collections.abc import Mapping

from panoramisk.actions import Action
from panoramisk.message import Message

LARGEST_FRAME_BYTES = 4 * 1024 * 1024
_END = b"\r\n\r\n"
_BANNER = "Asterisk Call Manager/"


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


def parse(frame: str) -> Message | None:
    """One message, or None for what is neither an event nor a response (the banner alone, noise)."""
    text = frame.strip()
    if text.startswith(_BANNER):
        text = text.partition("\r\n")[2]
    return Message.from_line(text)


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
    for key, value in headers.items():
        if any(mark in key + value for mark in "\r\n\0"):
            raise ValueError(f"AMI {name}: header {key!r} holds a line break")
    return Action({"Action": name, **headers}, as_list=None if listed else False)


def encode(request: Action) -> bytes:
    """The bytes of an action."""
    return str(request).encode("utf-8")
