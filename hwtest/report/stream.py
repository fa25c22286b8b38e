"""NDJSON while it runs: a line when a probe begins, one for each word of progress, one with its whole result, one at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec

from hwtest.probes.contract import Probe
from hwtest.report.redaction import redacted
from hwtest.report.result import SCHEMA_VERSION, ProbeResult, Run


class Stream:
    """Writes each line at once, so that another program can follow. As results in JSON, redacted unless `numbers`."""

    def __init__(self, file: Path, *, numbers: bool) -> None:
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        self._file: IO[bytes] = file.open("wb", buffering=0)
        self._prepare: Callable[[Any], Any] = (lambda result: result) if numbers else redacted
        self._began = time.monotonic()

    def started(self, probe: Probe) -> None:
        """A probe begins."""
        self._say("started", probe=probe.name, usual_seconds=probe.seconds)

    def progress(self, words: str) -> None:
        """How far it is."""
        self._say("progress", words=words)

    def finished(self, result: ProbeResult) -> None:
        """It is done."""
        self._say("finished", result=self._prepare(result))

    def end(self, run: Run) -> None:
        """The run is over: all but the probes, which have been told."""
        whole = msgspec.structs.replace(run, probes=())
        self._say("run", run=whole)
        self._file.close()

    def _say(self, event: str, **more: object) -> None:
        line = {
            "schema_version": SCHEMA_VERSION,
            "event": event,
            "seconds": round(time.monotonic() - self._began, 3),
            **more,
        }
        self._file.write(msgspec.json.encode(line) + b"\n")
