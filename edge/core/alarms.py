"""Deadlines that the engine asked to be woken at: a heap in which a later setting replaces the earlier one.

One that comes due while nothing can be done about it is held, and due again when it is released: no deadline is ever dropped.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection

from edge.core.model import Instant

Key = tuple[str, str]
"""What to wake for: a kind and a name."""


class AlarmClock:
    """At most one deadline per key, soonest first. Replaced and cancelled ones are dropped when they surface."""

    def __init__(self) -> None:
        self._at: dict[Key, Instant] = {}
        self._held: dict[Key, None] = {}
        """Those that came due in vain, in that order."""
        self._heap: list[tuple[int, int, Key]] = []
        self._count = 0

    def set(self, key: Key, at: Instant) -> None:
        """Wake for `key` at `at`, and no longer at any earlier setting."""
        if self._held:
            self._held.pop(key, None)
        if self._at.get(key) == at:
            return
        self._at[key] = at
        self._count += 1
        heapq.heappush(self._heap, (at.monotonic_ns, self._count, key))

    def cancel(self, key: Key) -> None:
        """Do not wake for `key`."""
        self._at.pop(key, None)
        if self._held:
            self._held.pop(key, None)

    def cancel_all(self, kinds: Collection[str], name: str) -> None:
        """Do not wake for any of these kinds of this name."""
        at = self._at
        for kind in kinds:
            if (key := (kind, name)) in at:
                del at[key]
        for kind in kinds if self._held else ():
            self._held.pop((kind, name), None)

    def hold(self, key: Key) -> None:
        """It came due, and nothing can be done about it now: kept, without waking anybody, until `release`."""
        self._held[key] = None

    @property
    def holds_any(self) -> bool:
        """Whether there is anything to release."""
        return bool(self._held)

    def release(self, at: Instant) -> None:
        """Whatever is held is due at `at`, in the order in which it came due."""
        held, self._held = self._held, {}
        for key in held:
            self.set(key, at)

    def next(self) -> Instant | None:
        """The soonest deadline."""
        while self._heap:
            monotonic_ns, _, key = self._heap[0]
            at = self._at.get(key)
            if at is not None and at.monotonic_ns == monotonic_ns:
                return at
            heapq.heappop(self._heap)
        return None

    def due(self, now: Instant) -> list[Key]:
        """Keys whose deadline has come, soonest first; they are cancelled."""
        keys = []
        while (at := self.next()) is not None and at.monotonic_ns <= now.monotonic_ns:
            _, _, key = heapq.heappop(self._heap)
            del self._at[key]
            keys.append(key)
        return keys
