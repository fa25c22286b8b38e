"""A real Asterisk without root, from Debian's own signed packages.

Bookworm and trixie have no Asterisk, sid has. Its packages are fetched with a private apt state from the
machine's own mirror, verified against Debian's archive keys, unpacked into a cache folder and run with their
own dynamic loader. The host is not changed. Measurements: docs/quirks/asterisk.md.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hwtest.lab import apt
from hwtest.lab.apt import LabError as LabError
from hwtest.lab.apt import Progress as Progress
from hwtest.lab.apt import Wanted, silent
from hwtest.lab.apt import cache_directory as cache_directory
from hwtest.lab.apt import lock as lock

PACKAGES = ("asterisk", "asterisk-core-sounds-en-gsm", "asterisk-moh-opsound-wav")
SPACE_NEEDED_MEGABYTES = 500
MEND = "An installed Asterisk can be used with --asterisk PATH."


@dataclass(frozen=True)
class AsteriskInstallation:
    """Where an Asterisk is and how to run it."""

    version: str
    """Upstream version, as "22.10.1"."""
    suite: str
    """Debian suite it came from, or "installed"."""
    command: tuple[str, ...]
    """Program (with loader and library path where needed); options are appended."""
    module_directory: Path
    """Asterisk's astmoddir."""
    data_directory: Path
    """Asterisk's astdatadir: sounds, music, documentation, rest-api."""

    def has_module(self, name: str) -> bool:
        """Whether this build has the module, as "app_queue" (Asterisk 16 lacks app_stasis_broadcast)."""
        return (self.module_directory / f"{name}.so").exists()


def obtain(
    suite: str = "sid", cache: Path | None = None, progress: Progress = silent, refresh: bool = False
) -> AsteriskInstallation:
    """The Asterisk of a Debian suite: from the cache without network, else fetched, verified and unpacked.

    With `refresh` the suite is asked for a newer one; if that fails, the cached one serves and progress says so.
    Raises LabError.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", suite):
        raise LabError(f"{suite!r} is not the name of a Debian suite. Use --suite sid or --suite bullseye.")
    shelf = (cache or cache_directory()).absolute() / "asterisk" / suite
    try:
        with lock(shelf, progress):
            return _obtain(suite, shelf, progress, refresh)
    except OSError as failure:
        raise LabError(
            f"Asterisk from Debian {suite}: {failure.strerror or failure}: {failure.filename or shelf}. "
            "EDGE101_CACHE names a folder to use in its place."
        ) from failure


def _obtain(suite: str, shelf: Path, progress: Progress, refresh: bool) -> AsteriskInstallation:
    kept = newest(shelf, suite)
    if kept is not None and not refresh:
        return kept
    try:
        return _fetch(suite, shelf, progress)
    except LabError as failure:
        if kept is None:
            raise
        progress(f"{failure} Using Asterisk {kept.version}, fetched earlier.")
        return kept


def installed(path: Path) -> AsteriskInstallation:
    """An Asterisk installed on this machine, by its program or by its prefix (`--asterisk PATH`).

    Raises LabError if it does not run or its modules or data cannot be found.
    """
    program = next(
        (p for p in (path, path / "sbin/asterisk", path / "usr/sbin/asterisk") if p.is_file()), None
    )
    if program is None:
        raise LabError(f"No Asterisk at {path}. Name its program, as --asterisk /usr/sbin/asterisk.")
    command = (str(program.absolute()),)
    prefix = program.resolve().parent.parent
    return AsteriskInstallation(
        version=_running_version(command),
        suite="installed",
        command=command,
        module_directory=_module_directory(prefix),
        data_directory=_first(
            prefix.parent,
            (
                f"{prefix.name}/share/asterisk/rest-api",
                f"{prefix.name}/var/lib/asterisk/rest-api",
                "var/lib/asterisk/rest-api",
            ),
            "its data (rest-api)",
        ).parent,
    )


def newest(shelf: Path, suite: str) -> AsteriskInstallation | None:
    """The newest complete installation in the cache. Folders get their final name only when complete."""
    roots = [folder for folder in shelf.glob("[0-9]*") if folder.is_dir()]
    if not roots:
        return None
    root = max(roots, key=lambda folder: _version_key(folder.name))
    return unpacked(root, suite, parse_version(root.name))


def parse_version(text: str) -> str:
    """The upstream version in what `asterisk -V` says or in a Debian version: "22.10.1".

    Raises LabError if there is none.
    """
    match = re.search(r"(?:^(?:\d+:)?|Asterisk\s+\D*)(\d+(?:\.\d+)*)", text.strip())
    if match is None:
        raise LabError(f"This is not an Asterisk that tells its version: {text.strip()[:60]!r}. {MEND}")
    return match[1]


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))


# --- fetching ---------------------------------------------------------------------------------------------


def _wanted(suite: str) -> Wanted:
    return Wanted("Asterisk", suite, MEND, "Choose another with --suite (sid and bullseye have one).")


def _fetch(suite: str, shelf: Path, progress: Progress) -> AsteriskInstallation:
    _check_tools(shelf)
    archives = shelf / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="edge101-apt-") as state:
        fetching = apt.private_apt(Path(state), archives, _wanted(suite), shelf / "apt.log")
        progress(f"fetching Debian's list of packages ({suite})")
        fetching.run("update")
        names = apt.planned_archives(fetching.run("--simulate", "install", *PACKAGES))
        progress(f"fetching Asterisk: {len(names)} packages")
        fetching.run("--download-only", "install", *PACKAGES, on_line=_every_tenth(len(names), progress))
    return _unpack([archives / name for name in names], shelf, suite, progress)


def _check_tools(shelf: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise LabError(f"This machine has no {tool}, so Debian's Asterisk cannot be fetched. {MEND}")
    free_megabytes = shutil.disk_usage(shelf).free // 1_000_000
    if free_megabytes < SPACE_NEEDED_MEGABYTES:
        raise LabError(
            f"{shelf} has {free_megabytes} MB free and Asterisk needs {SPACE_NEEDED_MEGABYTES} MB. "
            "Free some space, or name another folder in EDGE101_CACHE."
        )


def _every_tenth(total: int, progress: Progress) -> Progress:
    """Reports apt's `Get:N` lines, one in ten."""

    def on_line(line: str) -> None:
        match = re.match(r"Get:(\d+)0 ", line)
        if match is not None:
            progress(f"fetching Asterisk: package {match[1]}0 of {total}")

    return on_line


def _unpack(archives: Sequence[Path], shelf: Path, suite: str, progress: Progress) -> AsteriskInstallation:
    """Unpacks under a temporary name and renames when Asterisk has been seen to run."""
    version = _debian_version(archives)
    final = shelf / version
    if not final.exists():
        temporary = shelf / "unpacking"  # ours alone: the lock is held
        shutil.rmtree(temporary, ignore_errors=True)
        progress(f"unpacking Asterisk {parse_version(version)}")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda archive: apt.extract(archive, temporary), archives))
        _running_version(unpacked(temporary, suite, version).command)
        temporary.rename(final)
    return unpacked(final, suite, parse_version(version))


def _debian_version(archives: Sequence[Path]) -> str:
    names = [path.name for path in archives if path.name.startswith("asterisk_")]
    if not names:
        raise LabError(f"apt plans no package `asterisk`, so there is nothing to unpack. {MEND}")
    return names[0].split("_")[1].rpartition("%3a")[2]


# --- finding what is where, by looking: names differ between processors and suites --------------------------


def unpacked(root: Path, suite: str, version: str) -> AsteriskInstallation:
    """The Asterisk in a folder of unpacked packages. Raises LabError if a part is missing."""
    program = _first(root, ("usr/sbin/asterisk", "sbin/asterisk"), "the program")
    folders = apt.library_folders(root, MEND)
    command = (
        str(apt.loader(root, program, MEND)),
        "--library-path",
        ":".join(map(str, folders)),
        str(program),
    )
    return AsteriskInstallation(
        version=version,
        suite=suite,
        command=command,
        module_directory=_module_directory(root / "usr"),
        data_directory=_first(root, ("usr/share/asterisk",), "its data"),
    )


def _module_directory(prefix: Path) -> Path:
    places = tuple(f"{folder}/asterisk/modules/chan_pjsip.so" for folder in ("lib", "lib64", "lib/*"))
    return _first(prefix, places, "its modules (chan_pjsip)").parent


def _first(root: Path, patterns: Sequence[str], what: str) -> Path:
    return apt.first(root, patterns, what, MEND)


def _running_version(command: Sequence[str]) -> str:
    """What the program says of itself; proves that its libraries are complete."""
    result = subprocess.run((*command, "-V"), capture_output=True, text=True, check=False, timeout=30)
    if result.returncode:
        raise LabError(f"{command[-1]} does not run: {result.stderr.strip()[-200:]} {MEND}")
    return parse_version(result.stdout)
