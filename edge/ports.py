"""The ports: what the runtime needs from a switch, a ledger and a clock. One page, no implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # 0.1 s to import, which a command that only wants `LedgerError` need not take
    from edge.core.effects import Effect
    from edge.core.facts import Entry
    from edge.core.inputs import ClockSeen, Input
    from edge.core.model import Instant


class Clock(Protocol):
    """Where `now` comes from."""

    def now(self) -> Instant:
        """Both readings, taken together."""

    def quality(self) -> ClockSeen:
        """Whether it is synchronised, and how far off it may be."""

    def boot_id(self) -> str:
        """Identifies the origin of the monotonic reading: it changes with every boot."""


class Pbx(Protocol):
    """A switch. It posts inputs, and performs effects without ever making the caller wait."""

    async def run(self, post: Callable[[Input], None]) -> None:
        """Connect, subscribe, look, and post inputs until cancelled; reconnect by itself.

        Posts `LinkLost` when sight is lost and one `Reconciled` after each (re)connection, before anything newer.
        Raises `edge.errors.PermanentError` when trying again cannot help (wrong password): the daemon exits with 78.
        """

    def perform(self, effect: Effect, cause: int) -> None:
        """Begin to carry out `effect`, caused by the fact with sequence `cause`; whatever comes of it comes back as inputs."""

    def pulse(self) -> None:
        """The engine is alive. An adapter that has not heard this for a while lets the callers' dead-men fire."""


class LedgerError(Exception):
    """The ledger could not do what was asked; the message says what, where and how to mend it. Nothing was half written."""


class DamagedError(LedgerError):
    """The ledger's file cannot be read as it was written: waiting does not mend it, setting the file aside does."""


class UnreadableError(LedgerError):
    """An entry cannot be read by this program: another version wrote it, or it is not what was written."""


class Ledger(Protocol):
    """Ordered facts on disk. Blocking: the runtime calls it through an executor."""

    def append(self, entries: Sequence[Entry]) -> None:
        """Commit all entries durably, or none. Their sequences must follow the last one. Raises `LedgerError`."""

    def read(self, after: int = 0, limit: int = 1000) -> Sequence[Entry]:
        """Entries with sequence greater than `after`, in order, at most `limit`."""

    def last_sequence(self) -> int:
        """Sequence of the newest entry, 0 when empty."""

    def tidy(self) -> None:
        """Do what a commit need not wait for, if it is time. Facts are as durable without it, and it never raises."""

    def save_checkpoint(self, sequence: int, state: bytes) -> None:
        """Keep the open state as of `sequence`; older checkpoints may go."""

    def load_checkpoint(self) -> tuple[int, bytes] | None:
        """The newest checkpoint, or None."""

    def close(self) -> None:
        """Release the files."""


def read_all(ledger: Ledger, after: int = 0, page: int = 5000) -> Iterable[Entry]:
    """Every entry after `after`, read page by page."""
    while entries := ledger.read(after, page):
        yield from entries
        after = entries[-1].sequence
