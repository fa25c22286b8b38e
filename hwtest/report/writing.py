"""Files of a result. Each is private to its owner, written whole or not at all, and redacted unless numbers are asked for.

What is no file but a device or a pipe (/dev/stdout, /dev/null) is written to and never replaced: hwtest often runs as root.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec

from hwtest.report.redaction import cleaned, redacted
from hwtest.report.result import Run
from hwtest.target import Target, TargetError


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Which files are asked for."""

    json: Path | None = None
    ndjson: Path | None = None
    junit: Path | None = None
    html: Path | None = None
    bundle: Path | None = None

    @property
    def files(self) -> list[Path]:
        """Those that are asked for."""
        return [file for each in fields(self) if (file := getattr(self, each.name)) is not None]


def check(outputs: Outputs) -> None:
    """Raises TargetError when a file could not be written: before the run, not after it."""
    for name in (field.name for field in fields(outputs)):
        file: Path | None = getattr(outputs, name)
        if file is None:
            continue
        if file.is_dir():
            raise TargetError(f"--{name} {file}: is a folder. Name a file in it.")
        if not os.access(file.parent, os.W_OK):
            raise TargetError(
                f"--{name} {file}: there is no folder {file.parent} that we may write to. Make it first."
            )


def write(run: Run, outputs: Outputs, target: Target, folder: Path, *, numbers: bool) -> list[str]:
    """Every file that is asked for; what could not be written, a line for each: one costs the others nothing.

    `numbers`: whole numbers stand in them.
    """
    shown = cleaned(run) if numbers else msgspec.structs.replace(redacted(run), redacted=True)
    forms: dict[str, Callable[[], bytes]] = {
        "json": lambda: as_json(shown),
        "junit": lambda: _as_junit(shown),
        "html": lambda: _as_html(shown),
        "bundle": lambda: _as_bundle(shown, target, folder, numbers=numbers),
    }
    lost = list[str]()
    for name, form in forms.items():
        file: Path | None = getattr(outputs, name)
        if file is None:
            continue
        try:
            write_private(file, form())
        except OSError as error:
            lost.append(f"--{name} {file}: is not written: {error.strerror or error}")
        except Exception as error:  # noqa: BLE001 - a fault of ours in one form must not cost the others
            lost.append(
                f"--{name} {file}: is not written: a fault of hwtest itself: {type(error).__name__}: {error}"
            )
    return lost


def as_json(run: Run) -> bytes:
    """As JSON for people and programs."""
    return msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n"


def _as_junit(run: Run) -> bytes:
    from hwtest.report.junit import junit

    return junit(run)


def _as_html(run: Run) -> bytes:
    from hwtest.report.page import page

    return page(run).encode("utf-8")


def _as_bundle(run: Run, target: Target, folder: Path, *, numbers: bool) -> bytes:
    """A ZIP of everything. On a live target captures and recordings hold other people's calls: only with `numbers`."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("result.json", as_json(run))
        bundle.writestr("report.html", _as_html(run))
        bundle.writestr("junit.xml", _as_junit(run))
        bundle.writestr("fingerprint.txt", fingerprint(target))
        with_files = numbers or target.is_lab
        lines = []
        for result in run.probes:
            for artefact in result.artefacts:
                file = folder / artefact.file
                state = "" if with_files else " (left out: it may hold people's calls; --numbers puts it in)"
                if with_files and file.is_file() and file.resolve().is_relative_to(folder.resolve()):
                    bundle.write(file, f"files/{artefact.file}")
                elif with_files:
                    state = " (was not made)"
                lines.append(f"files/{artefact.file}  {result.name}: {artefact.content}{state}")
        bundle.writestr("contents.txt", "\n".join(lines) + "\n")
    return content.getvalue()


def fingerprint(target: Target) -> str:
    """SHA-256 of each file that configures the target, as far as we can read them: which one has changed since?"""
    files = [target.source]
    if target.lab is not None:
        configuration = Path(target.lab.asterisk_directory, "etc")
        files = [Path(target.lab.config), *sorted(configuration.rglob("*.conf"))]
    return "".join(
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files if file.is_file()
    )


def write_private(file: Path, content: bytes) -> None:
    """Replaces a file whole; nobody but its owner may read it."""
    if not is_replaceable(file):
        with file.open("wb") as opened:
            opened.write(content)
        return
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(content)
        draft.replace(file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def is_replaceable(file: Path) -> bool:
    """Whether it is a file, or nothing yet; not a device or a pipe, nor a name of one, as /dev/stdout is."""
    place = file.absolute()
    of_the_system = place.is_relative_to("/dev") or place.is_relative_to("/proc")
    return not of_the_system and (file.is_file() or not file.exists())
