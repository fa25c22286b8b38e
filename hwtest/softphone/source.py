"""PJSUA2's source and SWIG, from Debian's own signed archive: one component of the source package of Asterisk.

Only the list of sources and that one file (7 MB) are fetched. The file's checksum stands in the list, the list's in the signed
Release file. Both files are kept in the cache, so that another Python needs no network.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hwtest.lab import apt
from hwtest.lab.apt import LabError, Progress, Wanted

SUITE = "sid"
MEND = "A pjsua2 that is installed for this Python is used as it is."
_PACKAGE = "asterisk"
_COMPONENT = "pjproject"
_HELPER = Path("/usr/lib/apt/apt-helper")
_SOURCE = Wanted("PJSUA2's source", SUITE, MEND)
_SWIG = Wanted("SWIG", SUITE, "An installed one (apt-get install swig) is used as it is.")


@dataclass(frozen=True)
class Offer:
    """A file of a source package as apt offers it. The address may carry credentials: it is never shown."""

    address: str
    size_bytes: int
    sha256: str


def obtain(shelf: Path, progress: Progress = apt.silent) -> Path:
    """The tarball, named by its SHA-256: kept earlier, or fetched and verified. Raises LabError."""
    archives = shelf / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    for kept in sorted(archives.glob("*.tar.xz"), key=lambda path: path.stat().st_mtime, reverse=True):
        if _sha256(kept) == kept.name.partition(".")[0]:
            return kept
    _check("apt-get", _SOURCE)
    with tempfile.TemporaryDirectory(prefix="edge101-apt-") as state:
        fetching = apt.private_apt(Path(state), archives, _SOURCE, shelf / "apt.log", ("deb-src",))
        progress(f"fetching Debian's list of sources ({SUITE})")
        fetching.run("update")
        offer = chosen(fetching.run("--print-uris", "source", _PACKAGE))
        progress(f"fetching PJSUA2's source ({offer.size_bytes / 1e6:.0f} MB)")
        return _download(fetching, offer, archives)


def chosen(uris: str) -> Offer:
    """The component among the lines of `apt-get --print-uris source`. Raises LabError if Asterisk has it no longer."""
    rows = re.findall(r"^'(\S+)' (\S+) (\d+) SHA256:([0-9a-f]{64})\s*$", uris, re.MULTILINE)
    for address, name, size, digest in rows:
        if re.search(rf"\.orig-X?{_COMPONENT}\.tar\.xz$", name):
            return Offer(address, int(size), digest)
    raise LabError(
        f"Debian's source package {_PACKAGE} ({SUITE}) has no component {_COMPONENT} that PJSUA2 could be built from. {MEND}"
    )


def _download(fetching: apt.Apt, offer: Offer, archives: Path) -> Path:
    """By apt's own helper, which knows the machine's proxies and refuses what does not have the checksum."""
    final = archives / f"{offer.sha256}.tar.xz"
    partial = archives / "partial.tar.xz"
    command = (_HELPER, "-c", fetching.configuration, "download-file", offer.address, partial)
    result = subprocess.run(
        (*command, f"SHA256:{offer.sha256}"),
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )
    fetching.keep(result.stdout + result.stderr)
    if result.returncode:
        raise LabError(apt.explain(result.stdout + result.stderr, fetching.wanted, fetching.log))
    if _sha256(partial) != offer.sha256:
        partial.unlink()
        raise LabError(f"PJSUA2's source arrived damaged (its checksum is another). Start again. {MEND}")
    return partial.rename(final)


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


# --- SWIG, which writes the wrapper between PJSUA2 and Python ---------------------------------------------


@dataclass(frozen=True)
class Swig:
    """How SWIG is run: the command and what it needs in its environment."""

    command: tuple[str, ...]
    environment: dict[str, str]


def swig(shelf: Path, progress: Progress = apt.silent) -> Swig:
    """The installed SWIG, else Debian's, unpacked into the cache without root. Raises LabError."""
    if installed := shutil.which("swig"):
        return Swig((installed,), {})
    root = shelf / "swig"
    if not root.is_dir():
        _unpack_swig(shelf, root, progress)
    program = apt.first(root, ("usr/bin/swig", "usr/bin/swig4.0"), "its program", _SWIG.mend)
    library = apt.first(
        root, ("usr/share/swig/*/swig.swg", "usr/share/swig*/swig.swg"), "its library", _SWIG.mend
    ).parent
    folders = ":".join(map(str, apt.library_folders(root, _SWIG.mend)))
    loader = apt.loader(root, program, _SWIG.mend)
    return Swig((str(loader), "--library-path", folders, str(program)), {"SWIG_LIB": str(library)})


def _unpack_swig(shelf: Path, root: Path, progress: Progress) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        _check(tool, _SWIG)
    with tempfile.TemporaryDirectory(prefix="edge101-apt-") as state:
        archives = Path(state, "archives")
        (archives / "partial").mkdir(parents=True)
        fetching = apt.private_apt(Path(state), archives, _SWIG, shelf / "apt.log")
        progress("fetching SWIG from Debian, because none is installed (12 MB of lists, 6 MB)")
        fetching.run("update")
        names = apt.planned_archives(fetching.run("--simulate", "install", "swig"))
        fetching.run("--download-only", "install", "swig")
        unpacking = shelf / "swig.unpacking"  # ours alone: the lock is held
        shutil.rmtree(unpacking, ignore_errors=True)
        for name in names:
            apt.extract(archives / name, unpacking)
        unpacking.rename(root)


def _check(tool: str, wanted: Wanted) -> None:
    if shutil.which(tool) is None:
        raise LabError(f"This machine has no {tool}, so {wanted.name} cannot be fetched. {wanted.mend}")
