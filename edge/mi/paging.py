"""What routes that give pages have in common: parameters, slots, forms of an answer, and the entry in the log of disclosures."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edge.metrics import periods
from edge.mi.cursors import Cursor, CursorError, Cursors
from edge.mi.disclosures import Disclosure
from edge.mi.formats import Form
from edge.mi.guard import SlowReaderError, matches
from edge.mi.problems import ProblemError
from edge.mi.security import Client
from edge.mi.services import Services
from edge.mi.stream import MovedError

CHUNK_BYTES = 128 * 1024
SLOWEST_BYTES_PER_SECOND = 16 * 1024
PATIENCE_SECONDS = 30.0
"""A page is to be taken within this and the time that the slowest line needs for it."""
EMPTY_PER_MINUTE = 1.0
LONGEST_SEQUENCE = 18
"""Digits: so many fit where sequences are kept."""


MEDIA_TYPES = {
    Form.JSON: "application/json",
    Form.NDJSON: "application/x-ndjson",
    Form.CSV: "text/csv; charset=utf-8; header=present",
}
_ACCEPTED = {
    "application/json": Form.JSON,
    "application/x-ndjson": Form.NDJSON,
    "application/ndjson": Form.NDJSON,
    "text/csv": Form.CSV,
    "*/*": Form.JSON,
    "application/*": Form.JSON,
    "text/*": Form.CSV,
}


def form_of(request: Request, given: Form | None) -> Form:
    """As the parameter `format` says, else the first of the header Accept that there is."""
    if given is not None:
        return given
    accepted = request.headers.get("accept") or "*/*"
    for part in accepted.split(","):
        if form := _ACCEPTED.get(part.partition(";")[0].strip().lower()):
            return form
    raise ProblemError(
        406,
        "accept",
        "there is no such form of this answer",
        "Accept application/json, application/x-ndjson or text/csv, or add the parameter format.",
    )


def utc_us(text: str | None, name: str) -> int | None:
    """RFC 3339 with an offset, as microseconds. Raises `ProblemError` 422."""
    if text is None:
        return None
    mend = "Write RFC 3339 with an offset, such as 2026-11-26T09:00:00Z (in an address + is written %2B)."
    try:
        at = datetime.fromisoformat(text)
        found = periods.utc_us(at.astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise ProblemError(422, "time", f"{name} is no time", mend) from error
    if at.tzinfo is None:
        raise ProblemError(422, "time", f"{name} has no offset from UTC", mend)
    return found


def read_any_cursor(cursors: Cursors, text: str) -> Cursor:
    """The cursor that `text` is, of any stream. Raises `ProblemError` 400."""
    return read_cursor(cursors, text, None, None)


def read_cursor(cursors: Cursors, text: str, stream: str | None, filters: str | None) -> Cursor:
    """The cursor that `text` is, made with these filters (None: whatever they were). Raises `ProblemError` 400."""
    try:
        cursor = cursors.read(text, stream)
    except CursorError as error:
        raise ProblemError(
            400,
            "cursor",
            f"the cursor cannot be used: {error}",
            "Send the last cursor that you were given, whole and unchanged. Without one, the record is given from its"
            " beginning; /v1/facts can also go on after the id of a fact (after_id).",
        ) from error
    if filters is not None and cursor.filters != filters:
        raise ProblemError(
            400,
            "filters",
            "the cursor was made with other filters",
            "Send the filters with which you began; for others begin without a cursor.",
        )
    return cursor


def read_id(text: str, what: str) -> tuple[str, int]:
    """The ledger's id and the sequence in the `after_id` that `text` is. `what`: it is the id of. Raises `ProblemError` 422."""
    ledger_id, _, sequence = text.rpartition("-")
    if (
        not ledger_id
        or not sequence.isascii()
        or not sequence.isdecimal()
        or len(sequence) > LONGEST_SEQUENCE
    ):
        raise ProblemError(
            422,
            "start",
            f"after_id is no id of a {what}",
            f"Send the id of the last {what} that you have, as it was given.",
        )
    return ledger_id, int(sequence)


def moved(error: MovedError) -> ProblemError:
    """409, to who goes on from where the record is another one now."""
    return ProblemError(
        409,
        "moved",
        f"the record is not the one that you were reading: {error}",
        "Tell whoever runs the appliance: this is recorded nowhere else. Then begin without a cursor, and keep what you have: its"
        " ids name the ledger that they are from.",
    )


class PageResponse(Response):
    """A page sent in portions, each once the one before was taken; the reader who is too slow is let go."""

    def __init__(
        self,
        body: bytes,
        tag: str,
        media_type: str,
        headers: dict[str, str],
        *,
        known: str | None,
        gzip: bool,
        held: AsyncExitStack | None = None,
    ) -> None:
        super().__init__(status_code=200, headers={**headers, "ETag": tag, "Vary": "Accept, Accept-Encoding"})
        self.page = body
        self.gzip = gzip
        self.held = held or AsyncExitStack()
        """Given back once the reader has the page, or has gone."""
        if matches(tag, known):
            self.status_code, self.page, self.gzip = 304, b"", False
            del self.headers["content-length"]
            return
        self.headers["content-type"] = media_type
        if gzip:
            self.headers["content-encoding"] = "gzip"
            del self.headers["content-length"]
        else:
            self.headers["content-length"] = str(len(body))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        """Send it."""
        async with self.held:
            await self._send(send)

    async def _send(self, send: Send) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS + len(self.page) / SLOWEST_BYTES_PER_SECOND):
                await send(
                    {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
                )
                async for portion in self._portions():
                    await send({"type": "http.response.body", "body": portion, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError as error:
            raise SlowReaderError from error

    async def _portions(self) -> AsyncIterator[bytes | memoryview]:
        view = memoryview(self.page)
        if not self.gzip:
            for start in range(0, len(view), CHUNK_BYTES):
                yield bytes(view[start : start + CHUNK_BYTES])
            return
        for start in range(0, len(view), portion := 8 * CHUNK_BYTES):
            if start == 0:
                compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
            yield await run_in_threadpool(compressor.compress, view[start : start + portion])
        if view:
            yield compressor.flush()


def accepts_gzip(request: Request) -> bool:
    """Whether the client says so, and does not say q=0."""
    for part in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = part.strip().partition(";")
        if name.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


async def disclosed(shared: Services, client: Client, resource: str, count: int, **more: Any) -> None:
    """Write into the log of disclosures that `client` was given `count` of this resource, before it is given.

    Who asks again and again while there is nothing is written down once a minute.
    """
    if not count and shared.rates.wait_seconds(f"nothing {client.token_id} {resource}", EMPTY_PER_MINUTE):
        return
    disclosure = Disclosure(
        at_utc_us=shared.now_utc_us(),
        reader=client.reader,
        token_id=client.token_id,
        address=client.address,
        resource=resource,
        count=count,
        purpose=client.purpose,
        **{"numbers": client.numbers, **more},
    )
    await run_in_threadpool(shared.disclosures.record, disclosure)
