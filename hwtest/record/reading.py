"""Facts of the daemon's record: by the pull API where the target has one, else from its ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import aiohttp
import msgspec

from edge.core.facts import KINDS, CallEnded, Entry
from edge.core.model import ClockState, Instant
from edge.ledger.store import SqlReader, open_reader
from edge.ports import LedgerError
from hwtest.bench.ledger import entries_after
from hwtest.probes.contract import NotMeasuredError
from hwtest.target import Target

PAGE = 1000
TIMEOUT_SECONDS = 30.0
_PURPOSE = "hwtest"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Record(Protocol):
    """Where facts come from. Raises NotMeasuredError when it cannot be read."""

    words: str
    """What it is, for a person."""

    async def last_sequence(self) -> int:
        """Of the newest fact."""

    async def after(self, sequence: int) -> list[Entry]:
        """Every fact after this one that can be read now, in the order and as often as it was given."""


class LedgerRecord:
    """The ledger itself, on this machine."""

    words = "the ledger"

    def __init__(self, reader: SqlReader) -> None:
        self._reader = reader

    async def last_sequence(self) -> int:
        """Of the newest fact."""
        with _explained():
            return self._reader.last_sequence()

    async def after(self, sequence: int) -> list[Entry]:
        """Every fact after this one."""
        with _explained():
            return entries_after(self._reader, sequence)


class _explained:  # noqa: N801 - used as a function
    """A ledger that cannot be read is not measured."""

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Say what is wrong, and what shows it."""
        if isinstance(error, LedgerError):
            raise NotMeasuredError(
                f"the ledger cannot be read: {error}", "edge ledger verify; edge status"
            ) from error


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of the pull API."""

    entries: list[Entry]
    ids: list[str]
    cursor: str
    more: bool


class PulledRecord:
    """The pull API, as docs/mi.md has it."""

    words = "the pull API"

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url.rstrip('/')}/v1/facts"

    async def head(self) -> tuple[str, int]:
        """The ledger's id and the sequence of the newest fact."""
        answer = await self._get({"limit": "1"})
        with self._as_documented():
            return str(answer["ledger_id"]), int(answer["head"]["sequence"])

    async def last_sequence(self) -> int:
        """Of the newest fact."""
        return (await self.head())[1]

    async def after(self, sequence: int) -> list[Entry]:
        """Every fact after this one."""
        page = await self.page(start=await self.start(sequence))
        entries = list(page.entries)
        while page.more:
            page = await self.page(start={"cursor": page.cursor})
            entries += page.entries
        return entries

    async def start(self, sequence: int) -> dict[str, str]:
        """Where to begin to have what comes after this fact."""
        return {"after_id": f"{(await self.head())[0]}-{sequence}"} if sequence else {}

    async def page(self, start: Mapping[str, str], limit: int = PAGE, wait_seconds: float = 0.0) -> Page:
        """The next page. `start`: a cursor, or what `start` gave."""
        asked = {"limit": str(limit), "wait_seconds": f"{wait_seconds:g}", **start}
        answer = await self._get(asked)
        with self._as_documented():
            return Page(
                entries=[entry_of(fact) for fact in answer["facts"]],
                ids=[str(fact["id"]) for fact in answer["facts"]],
                cursor=str(answer["cursor"]),
                more=bool(answer["more"]),
            )

    async def begin_and_cut(self, start: Mapping[str, str], limit: int = PAGE) -> int:
        """Ask for a page and cut the connection when its first bytes have come, as a reader that dies; how many came."""
        asked = {"limit": str(limit), **start}
        async with self._session.get(self._url, params=asked, allow_redirects=False) as answer:
            begun = len(await answer.content.read(256))
            if answer.connection is not None:
                answer.connection.close()
        return begun

    async def _get(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        try:
            asked = {"format": "json", **parameters}
            # A redirection is not followed: it would take the token to somebody else.
            async with self._session.get(self._url, params=asked, allow_redirects=False) as answer:
                body = await answer.read()
                if answer.status != 200:
                    raise _refused(self._url, answer.status, body)
                found = msgspec.json.decode(body)
                if not isinstance(found, dict) or not isinstance(found.get("facts"), list):
                    raise self._stranger("it names no facts")
                return found
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
            words = str(error) or "no answer in time"
            raise NotMeasuredError(
                f"the pull API at {self._url} does not answer: {words}",
                "systemctl status edge101-mi; curl URL/readyz",
            ) from None

    @contextmanager
    def _as_documented(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, ValueError) as error:
            raise self._stranger(f"{type(error).__name__} {error}"[:80]) from None

    def _stranger(self, why: str) -> NotMeasuredError:
        return NotMeasuredError(
            f"{self._url} does not answer as the pull API does: {why}", "look at the url under [mi]"
        )


def _refused(url: str, status: int, body: bytes) -> NotMeasuredError:
    try:
        told = msgspec.json.decode(body)
        detail, mend = str(told.get("detail", "")), str(told.get("mend", ""))
    except (msgspec.DecodeError, AttributeError):
        detail, mend = "", ""
    return NotMeasuredError(
        f"{url} answered {status}: {detail[:200] or 'nothing that can be read'}",
        mend[:200] or "look at the token under [mi]: it needs the scope facts (edge tokens list)",
    )


def entry_of(fact: Mapping[str, Any]) -> Entry:
    """A fact of the pull API as the daemon made it. NotMeasuredError for a kind or a form that this version does not know."""
    try:
        kind = KINDS[fact["kind"]]
        values = {**fact["fact"], **(fact["personal"] or {})}
        return Entry(
            sequence=fact["sequence"],
            at=Instant(fact["monotonic_ns"], _microseconds(fact["utc"])),
            fact=msgspec.convert(values, kind),
            reason=fact["reason"],
            clock=ClockState(fact["clock"]),
        )
    except (KeyError, TypeError, ValueError, msgspec.ValidationError) as error:
        raise NotMeasuredError(
            f"a fact of the pull API is in a form that this hwtest does not know: {type(error).__name__} {error}",
            "use the hwtest of the appliance's own version",
        ) from None


def _microseconds(utc: str) -> int:
    return (datetime.fromisoformat(utc) - _EPOCH) // _MICROSECOND


@asynccontextmanager
async def pulled(target: Target) -> AsyncIterator[PulledRecord]:
    """The target's pull API. NotMeasuredError without one."""
    if target.mi.url is None or target.mi.token is None:
        raise NotMeasuredError(
            f"{target.name} gives no pull API",
            "hwtest lab up --mi"
            if target.is_lab
            else f"give [mi] with url and token_file in {target.source}",
        )
    headers = {"Authorization": f"Bearer {target.mi.token}", "Edge101-Purpose": _PURPOSE}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        yield PulledRecord(session, target.mi.url)


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Record]:
    """The pull API where there is one, else the ledger. NotMeasuredError without either."""
    if target.mi.url is not None:
        async with pulled(target) as record:
            yield record
        return
    if target.ledger is None:
        raise NotMeasuredError(
            f"{target.name} gives neither a pull API nor a ledger",
            f"give [mi] with url and token_file in {target.source}",
        )
    with _explained():
        reader = open_reader(target.ledger)
    try:
        yield LedgerRecord(reader)
    finally:
        reader.close()


async def settled(record: Record, after: int, ended: int, within_seconds: float) -> Sequence[Entry]:
    """Facts after that one, once so many calls have ended in them, or when it is clear that they will not."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_seconds
    while True:
        entries = await record.after(after)
        if sum(isinstance(entry.fact, CallEnded) for entry in entries) >= ended or loop.time() > until:
            return entries
        await asyncio.sleep(0.1)
