"""The capture as its user sees it: a process beside the rig, asked for records between blocks."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import msgspec

from hwtest.capture.record import Record

_START_SECONDS, _STOP_SECONDS = 10.0, 2.0
_LARGEST_ANSWER_BYTES = 256 * 1024 * 1024


class CaptureUnavailableError(Exception):
    """The wire cannot be seen on this machine; the message says why and how to mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What was captured since the last time. `dropped`: packets lost by the capture, None when there is none."""

    records: list[Record]
    dropped: int | None
    malformed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why the process cannot capture."""

    error: str


class Capture:
    """SIP of one UDP port on loopback. Entering raises `CaptureUnavailableError` without CAP_NET_RAW."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start the process; from the return on every packet is kept."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "hwtest.capture", str(self._port)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LARGEST_ANSWER_BYTES,
            start_new_session=True,  # the terminal's Ctrl-C is for us alone
        )
        try:
            await asyncio.wait_for(self._answer(), _START_SECONDS)
        except TimeoutError:
            await self._stop()
            raise CaptureUnavailableError(
                f"the capturing process did not start within {_START_SECONDS:g} s"
            ) from None
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the process."""
        await self._stop()

    async def take(self) -> Taken:
        """Everything since the last `take`, in order of arrival."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(b"take\n")
        await self._process.stdin.drain()
        return await self._answer()

    async def _answer(self) -> Taken:
        assert self._process is not None and self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise CaptureUnavailableError("the capturing process ended")
        try:
            return msgspec.json.decode(line, type=Taken)
        except msgspec.ValidationError:
            raise CaptureUnavailableError(msgspec.json.decode(line, type=Failure).error) from None

    async def _stop(self) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
