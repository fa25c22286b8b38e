"""SIPp on this machine: installed, or Debian's own signed package unpacked into the cache without root.

C/sipp/root      what was unpacked, run with its own dynamic loader as the lab runs Asterisk
C/sipp/apt.log   what apt said

C is the cache folder.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hwtest.lab import apt
from hwtest.lab.apt import LabError, Progress, Wanted, cache_directory, lock

PACKAGE = "sip-tester"
MEND = f"An installed SIPp (apt-get install {PACKAGE}) is used as it is."
_SUITE = "sid"
_WANTED = Wanted("SIPp", _SUITE, MEND)
_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Program:
    """How SIPp is run."""

    command: tuple[str, ...]
    version: str
    """As "3.7.3"."""
    origin: str
    """Where it is from: "installed", or the folder that it was unpacked into."""


def find(cache: Path | None = None) -> Program | None:
    """The SIPp that is there, installed or unpacked earlier; None if it has to be fetched. Raises LabError if it is damaged."""
    if installed := shutil.which("sipp"):
        return Program((installed,), _version((installed,)), "installed")
    root = _shelf(cache) / "root"
    return _unpacked(root) if root.is_dir() else None


def obtain(cache: Path | None = None, progress: Progress = apt.silent) -> Program:
    """The SIPp that is there, else fetched, verified and unpacked now. Raises LabError, whose message says how to mend it."""
    shelf = _shelf(cache)
    try:
        if program := find(cache):
            return program
        with lock(shelf, progress):
            return find(cache) or _fetch(shelf, progress)
    except OSError as failure:
        raise LabError(
            f"SIPp: {failure.strerror or failure}: {failure.filename or shelf}. "
            "EDGE101_CACHE names a folder to use in its place."
        ) from failure


def parse_version(text: str) -> str:
    """The version in what `sipp -v` says. Raises LabError when this is no SIPp."""
    match = re.search(r"SIPp v(\d+\.\d+(?:\.\d+)?)", text)
    if match is None:
        raise LabError(f"This is no SIPp that tells its version: {text.strip()[:60]!r}. {MEND}")
    return match[1]


def _shelf(cache: Path | None) -> Path:
    return (cache or cache_directory()).absolute() / "sipp"


def _fetch(shelf: Path, progress: Progress) -> Program:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise LabError(f"This machine has no {tool}, so Debian's SIPp cannot be fetched. {MEND}")
    with tempfile.TemporaryDirectory(prefix="edge101-apt-") as state:
        archives = Path(state, "archives")
        (archives / "partial").mkdir(parents=True)
        fetching = apt.private_apt(Path(state), archives, _WANTED, shelf / "apt.log")
        progress("fetching SIPp from Debian, because none is installed (12 MB of lists, a few MB)")
        fetching.run("update")
        names = apt.planned_archives(fetching.run("--simulate", "install", PACKAGE))
        fetching.run("--download-only", "install", PACKAGE)
        unpacking = shelf / "unpacking"  # ours alone: the lock is held
        shutil.rmtree(unpacking, ignore_errors=True)
        for name in names:
            apt.extract(archives / name, unpacking)
        _unpacked(unpacking)  # proves that its libraries are complete
        unpacking.rename(shelf / "root")
    return _unpacked(shelf / "root")


def _unpacked(root: Path) -> Program:
    program = apt.first(root, ("usr/bin/sipp", "bin/sipp"), "its program", MEND)
    folders = ":".join(map(str, apt.library_folders(root, MEND)))
    command = (str(apt.loader(root, program, MEND)), "--library-path", folders, str(program))
    return Program(command, _version(command), str(root))


def _version(command: tuple[str, ...]) -> str:
    try:
        told = subprocess.run(
            (*command, "-v"), capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"{command[-1]} does not say its version within {_SECONDS:.0f} s. {MEND}") from None
    return parse_version(told.stdout + told.stderr)
