"""Into the switch's own queue one after the other, where it cannot tell by itself who joined first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Protocol

from panoramisk.message import Message

from edge.pbx.asterisk.ami.wire import text

ENTERS_SECONDS = 0.5
"""Longest wait until a caller who was moved is in the queue, before the next who joined in the same instant is."""
ENTERS_LOOK_SECONDS = 0.005
QUEUE = "Queue"
PLACE_MS = 100
"""The resolution of QUEUE_PRIO: of those who share a place, the queue serves first who enters it first."""


class Lists(Protocol):
    """What is needed of `AmiClient`."""

    async def list(self, name: str, headers: Mapping[str, str]) -> list[Message]:
        """The events of a list action."""


def shares_place(joined_ms: int, other_ms: int) -> bool:
    """Whether the switch's queue cannot tell which of two callers joined first."""
    return joined_ms // PLACE_MS == other_ms // PLACE_MS


async def enters_queue(link: Lists, leg_id: str) -> bool:
    """Return when the caller is in the queue or gone: the answer to a Redirect comes before they are. False: not in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ENTERS_SECONDS):
            while True:
                channels = await link.list("CoreShowChannels", {})
                doing = {text(channel, "Uniqueid"): text(channel, "Application") for channel in channels}
                if doing.get(leg_id, QUEUE) == QUEUE:
                    return True
                await asyncio.sleep(ENTERS_LOOK_SECONDS)
    return False
