"""Writing millions of facts that were made up, as fast as SQLite takes them: the same rows and chain as `append`, and no safety.

For synthetic ledgers alone. The caller gives rows as text; nothing is decoded again, and nothing is on disk for sure before
`close`. A file that was not closed is no ledger: its head is still that of an empty one, and `verify` says so.
"""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

BATCH = 20_000
FACTS = "INSERT INTO facts VALUES (?, ?, ?, ?, NULL, 'synchronised', ?, ?, ?, ?, ?, ?)"
PERSONAL = "INSERT INTO personal VALUES (?, ?, ?)"


_Given = tuple[str, int, int, str, str, str | None, str | None, str | None, str]
"""The arguments of `add`, in their order."""


class BulkWriter:
    """Rows of a new SQLite ledger whose tables are there already."""

    def __init__(self, path: Path, ledger_id: str, genesis: str) -> None:
        self.sequence = 0
        self.hash = genesis
        self._ledger_id = ledger_id
        self._given: list[_Given] = []
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in (
            "journal_mode = OFF",
            "synchronous = OFF",
            "cache_size = -200000",
            "locking_mode = EXCLUSIVE",
        ):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("DROP INDEX ix_facts_call_id")
        self._connection.execute("BEGIN")

    def add(
        self,
        kind: str,
        monotonic_ns: int,
        utc_us: int,
        body: str,
        reason: str,
        call_id: str | None = None,
        agent: str | None = None,
        personal: str | None = None,
        salt: str = "",
    ) -> None:
        """One fact. Every text is ASCII; `body` and `personal` are JSON with sorted keys, as the codec writes it."""
        self.sequence += 1
        self._given.append((kind, monotonic_ns, utc_us, body, reason, call_id, agent, personal, salt))
        if len(self._given) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        """Chain them in one go, and hand them to SQLite."""
        sha256, link = hashlib.sha256, self.hash
        rows, personals = list[tuple[object, ...]](), list[tuple[int, str, str]]()
        for sequence, given in enumerate(self._given, self.sequence - len(self._given) + 1):
            kind, monotonic_ns, utc_us, body, reason, call_id, agent, personal, salt = given
            digest, kept = None, "-,"
            if personal is not None:
                digest = sha256(f"{salt}{personal}".encode()).hexdigest()
                kept = f"64:{digest},"
                personals.append((sequence, salt, personal))
            s, m, u = str(sequence), str(monotonic_ns), str(utc_us)
            call = "-," if call_id is None else f"{len(call_id)}:{call_id},"
            who = "-," if agent is None else f"{len(agent)}:{agent},"
            link = sha256(
                f"64:{link},{len(s)}:{s},{len(kind)}:{kind},{len(m)}:{m},{len(u)}:{u},-,12:synchronised,"
                f"{len(reason)}:{reason},{call}{who}{len(body)}:{body},{kept}".encode()
            ).hexdigest()
            rows.append((sequence, kind, monotonic_ns, utc_us, reason, call_id, agent, body, digest, link))
        self.hash = link
        self._given.clear()
        self._connection.executemany(FACTS, rows)
        self._connection.executemany(PERSONAL, personals)

    def close(self) -> None:
        """The rest, the index, the head; and everything on disk."""
        self._flush()
        self._connection.execute("CREATE INDEX ix_facts_call_id ON facts (call_id)")
        self._connection.execute(
            "UPDATE meta SET ledger_id = ?, head_sequence = ?, head_hash = ?",
            (self._ledger_id, self.sequence, self.hash),
        )
        self._connection.execute("COMMIT")
        self._connection.execute("PRAGMA locking_mode = NORMAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(
            "UPDATE meta SET head_sequence = head_sequence"
        )  # a commit that waits for the disk
        self._connection.close()
