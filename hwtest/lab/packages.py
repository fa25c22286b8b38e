"""A real Asterisk without root, from Debian's own signed packages.

Bookworm and trixie have no Asterisk, sid has. Its packages are fetched with a private apt state from the
machine's own mirror, verified against Debian's archive keys, unpacked into a cache folder and run with their
own dynamic loader. The host is not changed. Measurements: docs/quirks/asterisk.md.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[str], None]

PACKAGES = ("asterisk", "asterisk-core-sounds-en-gsm", "asterisk-moh-opsound-wav")
SPACE_NEEDED_MEGABYTES = 500
MEND = "An installed Asterisk can be used with --asterisk PATH."

_INDEX_TARGETS = ("indextargets", "--format", "$(REPO_URI) $(RELEASE) $(LABEL)", "Created-By: Packages")
_KEYRINGS = ("debian-archive-*.gpg", "debian-archive-*.pgp")

# apt's words (LC_ALL=C), most telling first, and ours for them.
_FAILURES = (
    (r"No space left|enough free space", "the disk is full", "Free some space and start again."),
    (
        r"NO_PUBKEY|not signed|(couldn't|could not) be verified|KEYSIG|BADSIG|[Ss]ignature|Missing key",
        "the signature of Debian's archive could not be verified",
        "Bring the package debian-archive-keyring up to date.",
    ),
    (
        r"Hash Sum mismatch|File has unexpected size",
        "the mirror is being updated (its files do not match its index)",
        "Start again in some minutes.",
    ),
    (
        r"Could not (resolve|connect)|Unable to connect|Temporary failure|timed out|is unreachable|Connection failed",
        "the Debian mirror of this machine's apt configuration cannot be reached",
        "Check the network and apt's proxy settings: `apt-get update` must work.",
    ),
    (
        r"does not have a Release file|40[34]\s+(Not Found|Forbidden)",
        "the mirror does not have this suite",
        "Choose another with --suite.",
    ),
    (
        r"Unable to locate package|no installation candidate",
        "the suite has no Asterisk for this processor",
        "Choose another with --suite (sid and bullseye have one).",
    ),
    (
        r"unmet dependencies|held broken packages|not installable|Depends:",
        "the suite is broken today (Asterisk's dependencies cannot be met)",
        "Start again tomorrow, or use --suite bullseye.",
    ),
)


class LabError(Exception):
    """The lab cannot do what was asked. The message says what, where and how to mend it."""


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


def _silent(_: str) -> None:
    """Progress that nobody wants."""


def cache_directory() -> Path:
    """The folder outside the checkout for what was fetched and built: $EDGE101_CACHE, or by XDG."""
    if own := os.environ.get("EDGE101_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge101"


def obtain(
    suite: str = "sid", cache: Path | None = None, progress: Progress = _silent, refresh: bool = False
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


@contextlib.contextmanager
def lock(folder: Path, progress: Progress = _silent) -> Iterator[None]:
    """Holds the folder alone among processes, so that two labs do not fetch at once. Ends with its holder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another lab that is fetching Asterisk")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


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


def choose_mirror(targets: str) -> str:
    """Debian's main archive among the lines `REPO_URI RELEASE LABEL` of `apt-get indextargets`.

    The label is known only where apt's lists were fetched; without it (a fresh container) the address decides.
    The address may carry credentials: it is never shown. Raises LabError if apt knows no Debian archive.
    """
    rows = [line.split(maxsplit=2) for line in targets.splitlines() if len(line.split()) >= 2]
    labelled = [row[0] for row in rows if row[2:] == ["Debian"]]
    guessed = [row[0] for row in rows if _is_debian_by_address(row)]
    if not labelled + guessed:
        raise LabError(
            "apt on this machine has no Debian archive configured (sources.list), so Asterisk cannot be fetched. "
            f"{MEND}"
        )
    return (labelled + guessed)[0]


def _is_debian_by_address(row: Sequence[str]) -> bool:
    unlabelled = len(row) < 3 or row[2].startswith("$(")
    path = row[0].split("://", 1)[-1].partition("/")[2]
    return unlabelled and "debian" in path and "security" not in path + row[1]


def explain(output: str, suite: str, log: Path) -> str:
    """A failure of apt in our words; apt's own may hold the mirror's address and stay in the log."""
    for pattern, what, mending in _FAILURES:
        if re.search(pattern, output):
            return f"Asterisk from Debian {suite}: {what}. {mending} {MEND} apt's own words: {log}"
    return f"Asterisk from Debian {suite}: apt failed. Its words are in {log}. {MEND}"


# --- fetching ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Apt:
    """apt with a state of its own: it reads the machine's proxies and credentials, and changes nothing."""

    configuration: Path
    suite: str
    log: Path

    def run(self, *arguments: str, on_line: Progress = _silent) -> str:
        lines = []
        with subprocess.Popen(
            ("apt-get", "-c", str(self.configuration), "-y", "-q", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "LC_ALL": "C"},
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                on_line(line)
        output = "".join(lines)
        self._keep(output)
        if process.returncode:
            raise LabError(explain(output, self.suite, self.log))
        return output

    def _keep(self, output: str) -> None:
        with self.log.open("a") as log:
            log.write(re.sub(r"://[^/\s@]*@", "://", output))


def _fetch(suite: str, shelf: Path, progress: Progress) -> AsteriskInstallation:
    _check_tools(shelf)
    archives = shelf / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="edge101-apt-") as state:
        apt = _private_apt(Path(state), archives, suite, shelf / "apt.log")
        progress(f"fetching Debian's list of packages ({suite})")
        apt.run("update")
        names = planned_archives(apt.run("--simulate", "install", *PACKAGES))
        progress(f"fetching Asterisk: {len(names)} packages")
        apt.run("--download-only", "install", *PACKAGES, on_line=_every_tenth(len(names), progress))
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


def _private_apt(state: Path, archives: Path, suite: str, log: Path) -> _Apt:
    log.write_text("")
    (state / "lists/partial").mkdir(parents=True)
    (state / "status").touch()
    targets = subprocess.run(("apt-get", *_INDEX_TARGETS), capture_output=True, text=True, check=False).stdout
    keyrings = ",".join(debian_keyrings(Path("/usr/share/keyrings")))
    (state / "sources.list").write_text(f"deb [signed-by={keyrings}] {choose_mirror(targets)} {suite} main\n")
    configuration = state / "apt.conf"
    configuration.write_text(_configuration(state, archives))
    return _Apt(configuration, suite, log)


def _configuration(state: Path, archives: Path) -> str:
    architecture = subprocess.run(
        ("dpkg", "--print-architecture"), capture_output=True, text=True, check=True
    ).stdout.strip()
    # The hooks are cleared because a container's (docker-clean) empty the host's own apt cache.
    return f"""\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-hidpi::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Dir::State "{state}";
Dir::State::Lists "{state}/lists";
Dir::State::status "{state}/status";
Dir::Cache "{state}";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Dir::Cache::archives "{archives}";
Dir::Etc::sourcelist "{state}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Log "{state}";
"""


def debian_keyrings(folder: Path) -> list[str]:
    """The files of Debian's archive keys, without those withdrawn. Raises LabError if there are none."""
    found = sorted(str(path) for pattern in _KEYRINGS for path in folder.glob(pattern))
    valid = [name for name in found if "removed" not in name]
    if not valid:
        raise LabError(
            f"Debian's archive keys are not in {folder}, so nothing fetched could be verified. "
            f"Install the package debian-archive-keyring. {MEND}"
        )
    return valid


def planned_archives(simulation: str) -> list[str]:
    """The archive file names of `apt-get --simulate install`, as apt stores them."""
    rows = re.findall(r"^Inst (\S+) \((\S+) .*\[(\S+)\]\)", simulation, re.MULTILINE)
    return [
        f"{name.partition(':')[0]}_{version.replace(':', '%3a')}_{arch}.deb" for name, version, arch in rows
    ]


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
            list(pool.map(lambda archive: _extract(archive, temporary), archives))
        _running_version(unpacked(temporary, suite, version).command)
        temporary.rename(final)
    return unpacked(final, suite, parse_version(version))


def _debian_version(archives: Sequence[Path]) -> str:
    names = [path.name for path in archives if path.name.startswith("asterisk_")]
    if not names:
        raise LabError(f"apt plans no package `asterisk`, so there is nothing to unpack. {MEND}")
    return names[0].split("_")[1].rpartition("%3a")[2]


def _extract(archive: Path, folder: Path) -> None:
    result = subprocess.run(("dpkg-deb", "-x", archive, folder), capture_output=True, text=True, check=False)
    if result.returncode:
        full = "No space left" in result.stderr
        mending = "The disk is full." if full else "Delete this file and start again."
        raise LabError(f"Could not unpack {archive}. {mending}")


# --- finding what is where, by looking: names differ between processors and suites --------------------------


def unpacked(root: Path, suite: str, version: str) -> AsteriskInstallation:
    """The Asterisk in a folder of unpacked packages. Raises LabError if a part is missing."""
    program = _first(root, ("usr/sbin/asterisk", "sbin/asterisk"), "the program")
    folders = _library_folders(root)
    command = (str(_loader(root, program)), "--library-path", ":".join(map(str, folders)), str(program))
    return AsteriskInstallation(
        version=version,
        suite=suite,
        command=command,
        module_directory=_module_directory(root / "usr"),
        data_directory=_first(root, ("usr/share/asterisk",), "its data"),
    )


def _loader(root: Path, program: Path) -> Path:
    """The dynamic loader that the program itself names (ELF PT_INTERP), within the root."""
    with program.open("rb") as handle:
        match = re.search(rb"/lib[\w./-]*/(ld[\w.-]*\.so\.\d+)\0", handle.read(4096))
    if match is None:
        raise LabError(f"{program} names no dynamic loader, so it cannot be run. {MEND}")
    name = match[1].decode()
    places = tuple(f"{folder}/{name}" for folder in ("lib*", "usr/lib*", "lib/*", "usr/lib/*"))
    return _first(root, places, "its dynamic loader")


def _library_folders(root: Path) -> list[Path]:
    libc = _first(root, ("lib/*/libc.so.6", "usr/lib/*/libc.so.6"), "its C library")
    triplet = libc.parent.name
    places = (root / "lib" / triplet, root / "usr/lib" / triplet, root / "lib", root / "usr/lib")
    return [place for place in places if place.is_dir()]


def _module_directory(prefix: Path) -> Path:
    places = tuple(f"{folder}/asterisk/modules/chan_pjsip.so" for folder in ("lib", "lib64", "lib/*"))
    return _first(prefix, places, "its modules (chan_pjsip)").parent


def _first(root: Path, patterns: Sequence[str], what: str) -> Path:
    """The first path below root that matches and exists, links followed inside the root."""
    for pattern in patterns:
        folder_pattern, _, name = pattern.rpartition("/")
        for folder in sorted(root.glob(folder_pattern)):
            target = _follow(root, folder / name)
            if target.exists():
                return target
    raise LabError(
        f"The Asterisk in {root} lacks {what}. Mend it (a folder of the cache can be deleted and is fetched again). {MEND}"
    )


def _follow(root: Path, path: Path) -> Path:
    """Follows links; an absolute one is meant from the root, not from the host's (bullseye's loader)."""
    while path.is_symlink():
        target = path.readlink()
        path = root / target.relative_to("/") if target.is_absolute() else path.parent / target
    return path.resolve()


def _running_version(command: Sequence[str]) -> str:
    """What the program says of itself; proves that its libraries are complete."""
    result = subprocess.run((*command, "-V"), capture_output=True, text=True, check=False, timeout=30)
    if result.returncode:
        raise LabError(f"{command[-1]} does not run: {result.stderr.strip()[-200:]} {MEND}")
    return parse_version(result.stdout)
