"""Unit tests of how the lab finds, fetches and names an Asterisk: no network, no Asterisk."""

import threading
from pathlib import Path

import pytest

from hwtest.lab.apt import (
    LabError,
    Wanted,
    cache_directory,
    choose_mirror,
    debian_keyrings,
    explain,
    lock,
    planned_archives,
)
from hwtest.lab.asterisk import asterisk_conf, modules_conf
from hwtest.lab.packages import MEND, AsteriskInstallation, installed, newest, obtain, parse_version, unpacked

MIRROR = "http://mirror.invalid/debian/"
SECURITY = "http://mirror.invalid/debian-security/"
OTHER = "http://other.invalid/node/"
WANTED = Wanted("Asterisk", "sid", MEND, "Choose another with --suite.")


def make_root(
    root: Path, loader: str = "/lib64/ld-linux-x86-64.so.2", triplet: str = "x86_64-linux-gnu"
) -> Path:
    """A folder that looks like sid's unpacked packages."""
    libraries = root / "usr/lib" / triplet
    (libraries / "asterisk/modules").mkdir(parents=True)
    (libraries / "asterisk/modules/chan_pjsip.so").touch()
    (libraries / "libc.so.6").touch()
    (libraries / Path(loader).name).touch()
    (root / "usr/share/asterisk").mkdir(parents=True)
    (root / "usr/sbin").mkdir()
    (root / "usr/sbin/asterisk").write_bytes(b"\x7fELF\0\0" + loader.encode() + b"\0\0")
    return root


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without apt."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


# --- the mirror -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "targets",
    [
        f"{SECURITY} bookworm-security Debian-Security\n{MIRROR} bookworm Debian\n",
        f"{OTHER} nodistro Node\n{MIRROR} trixie-updates Debian\n",
        f"{SECURITY} bookworm-security $(LABEL)\n{MIRROR} bookworm $(LABEL)\n",
        f"{OTHER} nodistro $(LABEL)\n{MIRROR} bookworm\n",
        f"http://mirror.invalid/other/debian-like/ x $(LABEL)\n{MIRROR} bookworm Debian\n",
    ],
    ids=["beside security", "beside others", "lists not fetched", "no label", "label before address"],
)
def test_main_archive_is_chosen(targets: str) -> None:
    """Debian's main archive is told from security and third parties, with and without fetched lists."""
    assert choose_mirror(targets, WANTED) == MIRROR


@pytest.mark.parametrize(
    "targets", ["", f"{SECURITY} bookworm-security Debian-Security\n{OTHER} stable Ubuntu\n"]
)
def test_no_debian_archive(targets: str) -> None:
    """Without a Debian archive the message names the way on and no address."""
    with pytest.raises(LabError, match="--asterisk PATH") as failure:
        choose_mirror(targets, WANTED)
    assert "mirror.invalid" not in str(failure.value)


def test_withdrawn_keys_are_not_used(tmp_path: Path) -> None:
    """Debian's removed keys verify nothing."""
    for name in ("debian-archive-keyring.gpg", "debian-archive-removed-keys.gpg", "other.gpg"):
        (tmp_path / name).touch()
    assert debian_keyrings(tmp_path, MEND) == [str(tmp_path / "debian-archive-keyring.gpg")]


def test_no_keys(tmp_path: Path) -> None:
    """Without Debian's keys nothing is fetched, and the message names the package that brings them."""
    with pytest.raises(LabError, match="Install the package debian-archive-keyring"):
        debian_keyrings(tmp_path, MEND)


# --- versions and archives --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Asterisk 22.10.1+dfsg+~cs6.17.60671434-1\n", "22.10.1"),
        ("Asterisk certified/20.7-cert3", "20.7"),
        ("Asterisk GIT-22-abc", "22"),
        ("1:16.28.0~dfsg-0+deb11u4", "16.28.0"),
        ("22.10.1+dfsg+~cs6.17.60671434-1", "22.10.1"),
    ],
)
def test_version(text: str, version: str) -> None:
    """The upstream version is read from `asterisk -V` and from Debian versions."""
    assert parse_version(text) == version


def test_no_version() -> None:
    """A program that is no Asterisk is refused."""
    with pytest.raises(LabError, match="not an Asterisk"):
        parse_version("FreeSWITCH 1.10")


def test_planned_archives() -> None:
    """apt's plan gives the archive names as apt stores them: epoch quoted, architecture last."""
    simulation = (
        "NOTE: This is only a simulation!\n"
        "Inst libc6 (2.42-1 Debian:unstable [amd64])\n"
        "Inst asterisk-config (1:22.10.1-1 Debian:unstable [all]) []\n"
        "Conf libc6 (2.42-1 Debian:unstable [amd64])\n"
    )
    assert planned_archives(simulation) == ["libc6_2.42-1_amd64.deb", "asterisk-config_1%3a22.10.1-1_all.deb"]


# --- messages ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("Err: The following signatures couldn't be verified: NO_PUBKEY 0E98404D386FA1D9", "signature"),
        ("error message is: Missing key 4CB50190, which is needed to verify signature.", "signature"),
        (
            "E: Failed to fetch http://mirror.invalid/x  Could not connect to mirror.invalid:80",
            "cannot be reached",
        ),
        (
            "E: Failed to fetch http://mirror.invalid/x  Could not resolve 'mirror.invalid'",
            "cannot be reached",
        ),
        (
            "E: The repository 'http://mirror.invalid/debian x Release' does not have a Release file.",
            "not have this",
        ),
        ("E: Unable to locate package asterisk", "no Asterisk for this processor"),
        ("E: Package 'asterisk' has no installation candidate", "no Asterisk for this processor"),
        (
            " asterisk : Depends: libc6 (>= 9) but it is not installable\nE: held broken packages",
            "broken today",
        ),
        ("E: You don't have enough free space in /x/archives/.", "disk is full"),
        ("E: Failed to fetch http://mirror.invalid/x  Hash Sum mismatch", "being updated"),
        ("E: something new at http://user:secret@mirror.invalid/", "apt failed"),
    ],
)
def test_apt_failure_in_our_words(output: str, words: str) -> None:
    """Each failure says what and how to mend it; the mirror's address and credentials never show."""
    message = explain(output, WANTED, Path("/cache/apt.log"))
    assert words in message
    assert "/cache/apt.log" in message
    assert "--asterisk PATH" in message
    assert "mirror.invalid" not in message


def test_no_apt(no_tools: None, tmp_path: Path) -> None:
    """On a machine without apt the message says so and names the way on."""
    with pytest.raises(LabError, match=r"no apt-get.*--asterisk PATH"):
        obtain("sid", tmp_path)


def test_cache_cannot_be_written(tmp_path: Path) -> None:
    """A cache that cannot be a folder gives the path and the variable that names another."""
    (tmp_path / "cache").touch()
    with pytest.raises(LabError, match="EDGE101_CACHE"):
        obtain("sid", tmp_path / "cache")


def test_suite_name_is_checked(tmp_path: Path) -> None:
    """A suite name cannot bring in more apt source text or another path."""
    with pytest.raises(LabError, match="not the name of a Debian suite"):
        obtain("sid main\ndeb x", tmp_path)


# --- the cache --------------------------------------------------------------------------------------------


def test_cache_is_outside_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own variable comes before XDG's, and that before the home folder."""
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("EDGE101_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_directory() == Path("/home/someone/.cache/edge101")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_directory() == Path("/xdg/edge101")
    monkeypatch.setenv("EDGE101_CACHE", "/own")
    assert cache_directory() == Path("/own")


def test_complete_cache_needs_no_network(no_tools: None, tmp_path: Path) -> None:
    """A complete installation serves although nothing could be fetched; no step is reported."""
    make_root(tmp_path / "asterisk/sid/22.10.1+dfsg-1")
    said: list[str] = []
    assert obtain("sid", tmp_path, said.append).version == "22.10.1"
    assert said == []


def test_half_unpacked_is_not_used(no_tools: None, tmp_path: Path) -> None:
    """What an interrupted unpacking left behind does not count as an installation."""
    make_root(tmp_path / "asterisk/sid/unpacking")
    with pytest.raises(LabError, match="no apt-get"):
        obtain("sid", tmp_path)


def test_older_one_serves_when_refresh_fails(no_tools: None, tmp_path: Path) -> None:
    """When a newer one cannot be had, the cached one is used and progress says so."""
    make_root(tmp_path / "asterisk/sid/22.10.1+dfsg-1")
    said: list[str] = []
    assert obtain("sid", tmp_path, said.append, refresh=True).version == "22.10.1"
    assert said[-1].endswith("Using Asterisk 22.10.1, fetched earlier.")


def test_newest_by_number(tmp_path: Path) -> None:
    """22.10 is newer than 22.9."""
    for version in ("22.9.0-1", "22.10.1-1"):
        make_root(tmp_path / version)
    found = newest(tmp_path, "sid")
    assert found is not None
    assert found.version == "22.10.1"


def test_second_lab_waits_for_the_first(tmp_path: Path) -> None:
    """While one holds the lock another says that it waits, and goes on when the first is done."""
    waits, entered = threading.Event(), threading.Event()

    def second() -> None:
        with lock(tmp_path, lambda _: waits.set()):
            entered.set()

    thread = threading.Thread(target=second)
    with lock(tmp_path):
        thread.start()
        assert waits.wait(5)
        assert not entered.is_set()
    thread.join(5)
    assert entered.is_set()


def test_lock_is_free_after_a_failure(tmp_path: Path) -> None:
    """A fetch that failed does not block the next."""
    said: list[str] = []
    with pytest.raises(LabError), lock(tmp_path):
        raise LabError("failed")
    with lock(tmp_path, said.append):
        assert said == []


# --- what is where ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loader", "triplet"),
    [
        ("/lib64/ld-linux-x86-64.so.2", "x86_64-linux-gnu"),
        ("/lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu"),
        ("/lib/ld-linux-armhf.so.3", "arm-linux-gnueabihf"),
        ("/lib64/ld64.so.2", "powerpc64le-linux-gnu"),
    ],
)
def test_loader_of_each_processor(tmp_path: Path, loader: str, triplet: str) -> None:
    """Loader and library folder are those of the program's own processor."""
    libraries = make_root(tmp_path, loader, triplet) / "usr/lib" / triplet
    found = unpacked(tmp_path, "sid", "22.10.1")
    assert found.command == (
        str(libraries / Path(loader).name),
        "--library-path",
        f"{libraries}:{tmp_path}/usr/lib",
        f"{tmp_path}/usr/sbin/asterisk",
    )
    assert found.module_directory == libraries / "asterisk/modules"


def test_absolute_loader_link_stays_inside(tmp_path: Path) -> None:
    """Bullseye's loader is an absolute link: it means the unpacked folder, not the host's loader."""
    make_root(tmp_path, "/lib64/ld-linux-x86-64.so.2")
    (tmp_path / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2").rename(tmp_path / "usr/lib/ld-2.31.so")
    (tmp_path / "lib64").mkdir()
    (tmp_path / "lib64/ld-linux-x86-64.so.2").symlink_to("/usr/lib/ld-2.31.so")
    assert unpacked(tmp_path, "bullseye", "16.28.0").command[0] == str(tmp_path / "usr/lib/ld-2.31.so")


def test_incomplete_installation(tmp_path: Path) -> None:
    """An installation that lost a part says which, and how to mend it."""
    (make_root(tmp_path) / "usr/lib/x86_64-linux-gnu/libc.so.6").unlink()
    with pytest.raises(LabError, match=r"lacks its C library.*can be deleted and is fetched again"):
        unpacked(tmp_path, "sid", "22.10.1")


def test_installed_asterisk(tmp_path: Path) -> None:
    """`--asterisk` takes the prefix of a source build and asks the program for its version."""
    for folder in ("sbin", "lib/asterisk/modules", "var/lib/asterisk/rest-api"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "lib/asterisk/modules/chan_pjsip.so").touch()
    program = tmp_path / "sbin/asterisk"
    program.write_text("#!/bin/sh\necho Asterisk 22.4.0\n")
    program.chmod(0o755)
    assert installed(tmp_path) == AsteriskInstallation(
        "22.4.0",
        "installed",
        (str(program),),
        tmp_path / "lib/asterisk/modules",
        tmp_path / "var/lib/asterisk",
    )


def test_nothing_installed(tmp_path: Path) -> None:
    """A wrong `--asterisk` names the path and an example."""
    with pytest.raises(LabError, match=r"No Asterisk at .*--asterisk /usr/sbin/asterisk"):
        installed(tmp_path)


# --- configuration ----------------------------------------------------------------------------------------


def test_modules_of_another_version(tmp_path: Path) -> None:
    """modules.conf names only what the installation has."""
    installation = unpacked(make_root(tmp_path), "bullseye", "16.28.0")
    assert modules_conf(installation) == "[modules]\nautoload = no\nload = chan_pjsip.so\n"


def test_no_module_twice() -> None:
    """The list names each module once."""
    lines = modules_conf().splitlines()
    assert sorted(set(lines)) == sorted(lines)


def test_asterisk_writes_only_into_its_directory(tmp_path: Path) -> None:
    """Every directory but the modules' is the lab's own."""
    installation = unpacked(make_root(tmp_path / "root"), "sid", "22.10.1")
    text = asterisk_conf(installation, tmp_path / "lab")
    directories = dict(line.split(" = ") for line in text.splitlines() if line.startswith("ast"))
    assert directories.pop("astmoddir") == str(installation.module_directory)
    assert [path for path in directories.values() if not path.startswith(f"{tmp_path}/lab/")] == []
