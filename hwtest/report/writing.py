"""Files of a result. Each is private to its owner, written whole or not at all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hwtest.report.redaction import redacted
from hwtest.report.result import Run
from hwtest.target import TargetError


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Which files are asked for."""

    json: Path | None = None


def check(outputs: Outputs) -> None:
    """Raises TargetError when a file could not be written: before the run, not after it."""
    for file in (outputs.json,):
        if file is not None and not os.access(file.parent if file.parent.name else Path(), os.W_OK):
            raise TargetError(
                f"{file} cannot be written: no folder {file.parent} that we may write to. Make it first."
            )


def write(run: Run, outputs: Outputs, folder: Path, *, numbers: bool) -> None:  # noqa: ARG001
    """Every file that is asked for. `numbers`: whole numbers stand in them."""
    shown = run if numbers else redacted(run)
    if outputs.json is not None:
        write_private(outputs.json, msgspec.json.format(msgspec.json.encode(shown), indent=2) + b"\n")


def write_private(file: Path, content: bytes) -> None:
    """Replaces a file whole; nobody but its owner may read it."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.chmod(0o600)
    draft.write_bytes(content)
    draft.replace(file)
