"""NDJSON while it runs: a line when a probe begins, one for each word of progress, one with its whole result, one at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from edge.cli.output import clean
from hwtest.probes.contract import Probe
from hwtest.report.redaction import cleaned, masked, redacted
from hwtest.report.result import SCHEMA_VERSION, ProbeResult, Run
from hwtest.report.writing import is_replaceable


class Stream:
    """Writes each line at once, so that another program can follow. As results in JSON, redacted unless `numbers`.

    What cannot be written any more (a full disk, a reader who has gone) is said once, and the run goes on without.
    """

    def __init__(self, file: Path, *, numbers: bool) -> None:
        if is_replaceable(file):
            file.unlink(missing_ok=True)
            file.touch(mode=0o600)
        self._name = file
        self._file: IO[bytes] | None = file.open("wb", buffering=0)
        self._numbers = numbers
        self._words: Callable[[str], str] = clean if numbers else masked
        self._prepare: Callable[[Any], Any] = cleaned if numbers else redacted
        self._began = time.monotonic()

    def started(self, probe: Probe) -> None:
        """A probe begins."""
        self._say("started", probe=probe.name, usual_seconds=probe.seconds)

    def progress(self, words: str) -> None:
        """How far it is."""
        self._say("progress", words=self._words(words))

    def finished(self, result: ProbeResult) -> None:
        """It is done."""
        self._say("finished", result=self._prepare(result))

    def end(self, run: Run) -> None:
        """The run is over: all but the probes, which have been told."""
        whole = msgspec.structs.replace(run, probes=(), redacted=not self._numbers)
        self._say("run", run=self._prepare(whole))
        if self._file is not None:
            self._file.close()

    def _say(self, event: str, **more: object) -> None:
        line = {
            "schema_version": SCHEMA_VERSION,
            "event": event,
            "seconds": round(time.monotonic() - self._began, 3),
            **more,
        }
        if self._file is None:
            return
        try:
            self._file.write(msgspec.json.encode(line) + b"\n")
        except OSError as error:
            click.echo(f"hwtest: --ndjson {self._name}: ends here: {error.strerror or error}", err=True)
            with suppress(OSError):
                self._file.close()
            self._file = None
