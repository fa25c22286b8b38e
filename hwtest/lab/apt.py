"""Debian's own signed packages and sources without root: a private apt state, the machine's mirror and proxies, its archive keys.

What is fetched is verified through the signed Release file and kept in a cache folder. The host is not changed.
"""

import contextlib
import fcntl
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[str], None]

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
        "{other}",
    ),
    (
        r"Unable to locate package|no installation candidate|Unable to find a source package",
        "the suite has no {name} for this processor",
        "{other}",
    ),
    (
        r"unmet dependencies|held broken packages|not installable|Depends:",
        "the suite is broken today (the dependencies of {name} cannot be met)",
        "Start again tomorrow. {other}",
    ),
)


@dataclass(frozen=True)
class Wanted:
    """What is fetched, and how a message speaks of it."""

    name: str
    """As "Asterisk"."""
    suite: str
    mend: str
    """How to go on without fetching it."""
    other: str = ""
    """Which other suite may be chosen, and how."""


class LabError(Exception):
    """The lab cannot do what was asked. The message says what, where and how to mend it."""


def silent(_: str) -> None:
    """Progress that nobody wants."""


def cache_directory() -> Path:
    """The folder outside the checkout for what was fetched and built: $EDGE101_CACHE, or by XDG."""
    if own := os.environ.get("EDGE101_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge101"


@contextlib.contextmanager
def lock(folder: Path, progress: Progress = silent) -> Iterator[None]:
    """Holds the folder alone among processes, so that two labs do not fetch at once. Ends with its holder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"waiting for another process that prepares {folder.name}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def choose_mirror(targets: str, wanted: Wanted) -> str:
    """Debian's main archive among the lines `REPO_URI RELEASE LABEL` of `apt-get indextargets`.

    The label is known only where apt's lists were fetched; without it (a fresh container) the address decides.
    The address may carry credentials: it is never shown. Raises LabError if apt knows no Debian archive.
    """
    rows = [line.split(maxsplit=2) for line in targets.splitlines() if len(line.split()) >= 2]
    labelled = [row[0] for row in rows if row[2:] == ["Debian"]]
    guessed = [row[0] for row in rows if _is_debian_by_address(row)]
    if not labelled + guessed:
        raise LabError(
            f"apt on this machine has no Debian archive configured (sources.list), so {wanted.name} cannot be fetched. "
            f"{wanted.mend}"
        )
    return (labelled + guessed)[0]


def _is_debian_by_address(row: Sequence[str]) -> bool:
    unlabelled = len(row) < 3 or row[2].startswith("$(")
    path = row[0].split("://", 1)[-1].partition("/")[2]
    return unlabelled and "debian" in path and "security" not in path + row[1]


def explain(output: str, wanted: Wanted, log: Path) -> str:
    """A failure of apt in our words; apt's own may hold the mirror's address and stay in the log."""
    subject = f"{wanted.name} from Debian {wanted.suite}"
    for pattern, what, mending in _FAILURES:
        if re.search(pattern, output):
            said = f"{what}. {mending}".format(name=wanted.name, other=wanted.other).strip()
            return f"{subject}: {said} {wanted.mend} apt's own words: {log}"
    return f"{subject}: apt failed. Its words are in {log}. {wanted.mend}"


@dataclass(frozen=True)
class Apt:
    """apt with a state of its own: it reads the machine's proxies and credentials, and changes nothing."""

    configuration: Path
    wanted: Wanted
    log: Path

    def run(self, *arguments: str, on_line: Progress = silent) -> str:
        """What apt-get says to these arguments. Raises LabError if it fails."""
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
        self.keep(output)
        if process.returncode:
            raise LabError(explain(output, self.wanted, self.log))
        return output

    def keep(self, output: str) -> None:
        """Add to the log, without the credentials that an address may carry."""
        with self.log.open("a") as log:
            log.write(re.sub(r"://[^/\s@]*@", "://", output))


def private_apt(
    state: Path, archives: Path, wanted: Wanted, log: Path, kinds: Sequence[str] = ("deb",)
) -> Apt:
    """apt with everything that it keeps in `state`, and what it fetches in `archives`. Raises LabError.

    `kinds`: of lists to read: "deb" (packages), "deb-src" (sources).
    """
    log.write_text("")
    (state / "lists/partial").mkdir(parents=True)
    (state / "status").touch()
    targets = subprocess.run(("apt-get", *_INDEX_TARGETS), capture_output=True, text=True, check=False).stdout
    keyrings = ",".join(debian_keyrings(Path("/usr/share/keyrings"), wanted.mend))
    place = f"[signed-by={keyrings}] {choose_mirror(targets, wanted)} {wanted.suite} main"
    (state / "sources.list").write_text("".join(f"{kind} {place}\n" for kind in kinds))
    configuration = state / "apt.conf"
    configuration.write_text(_configuration(state, archives))
    return Apt(configuration, wanted, log)


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


def debian_keyrings(folder: Path, mend: str) -> list[str]:
    """The files of Debian's archive keys, without those withdrawn. Raises LabError if there are none."""
    found = sorted(str(path) for pattern in _KEYRINGS for path in folder.glob(pattern))
    valid = [name for name in found if "removed" not in name]
    if not valid:
        raise LabError(
            f"Debian's archive keys are not in {folder}, so nothing fetched could be verified. "
            f"Install the package debian-archive-keyring. {mend}"
        )
    return valid


def planned_archives(simulation: str) -> list[str]:
    """The archive file names of `apt-get --simulate install`, as apt stores them."""
    rows = re.findall(r"^Inst (\S+) \((\S+) .*\[(\S+)\]\)", simulation, re.MULTILINE)
    return [
        f"{name.partition(':')[0]}_{version.replace(':', '%3a')}_{arch}.deb" for name, version, arch in rows
    ]


def extract(archive: Path, folder: Path) -> None:
    """Unpacks a package. Raises LabError."""
    result = subprocess.run(("dpkg-deb", "-x", archive, folder), capture_output=True, text=True, check=False)
    if result.returncode:
        full = "No space left" in result.stderr
        mending = "The disk is full." if full else "Delete this file and start again."
        raise LabError(f"Could not unpack {archive}. {mending}")


# --- what is where in unpacked packages: names differ between processors and suites -------------------------


def loader(root: Path, program: Path, mend: str) -> Path:
    """The dynamic loader that the program itself names (ELF PT_INTERP), within the root."""
    with program.open("rb") as handle:
        match = re.search(rb"/lib[\w./-]*/(ld[\w.-]*\.so\.\d+)\0", handle.read(4096))
    if match is None:
        raise LabError(f"{program} names no dynamic loader, so it cannot be run. {mend}")
    name = match[1].decode()
    places = tuple(f"{folder}/{name}" for folder in ("lib*", "usr/lib*", "lib/*", "usr/lib/*"))
    return first(root, places, "its dynamic loader", mend)


def library_folders(root: Path, mend: str) -> list[Path]:
    """Where the unpacked packages have their libraries. Raises LabError if there is no C library."""
    libc = first(root, ("lib/*/libc.so.6", "usr/lib/*/libc.so.6"), "its C library", mend)
    triplet = libc.parent.name
    places = (root / "lib" / triplet, root / "usr/lib" / triplet, root / "lib", root / "usr/lib")
    return [place for place in places if place.is_dir()]


def first(root: Path, patterns: Sequence[str], what: str, mend: str) -> Path:
    """The first path below root that matches and exists, links followed inside the root. Raises LabError if none does."""
    for pattern in patterns:
        folder_pattern, _, name = pattern.rpartition("/")
        for folder in sorted(root.glob(folder_pattern)):
            target = _follow(root, folder / name)
            if target.exists():
                return target
    raise LabError(
        f"What is in {root} lacks {what}. Mend it (a folder of the cache can be deleted and is fetched again). {mend}"
    )


def _follow(root: Path, path: Path) -> Path:
    """Follows links; an absolute one is meant from the root, not from the host's (bullseye's loader)."""
    while path.is_symlink():
        target = path.readlink()
        path = root / target.relative_to("/") if target.is_absolute() else path.parent / target
    return path.resolve()
