"""Where PJSUA2 comes from, and what is said when it cannot be had: no network, no compiler."""

from __future__ import annotations

import base64
import csv
import hashlib
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from hwtest.lab.apt import LabError
from hwtest.softphone import build, source, wheel

DIGEST = "6860c2f7" * 8
URIS = f"""\
Reading package lists...
'http://user:secret@mirror.invalid/pool/a_22.dsc' a_22.dsc 5389 SHA256:{"1" * 64}
'http://user:secret@mirror.invalid/pool/a_22.orig-Xmp3.tar.xz' a_22.orig-Xmp3.tar.xz 22 SHA256:{"2" * 64}
'http://user:secret@mirror.invalid/pool/a_22.orig-Xpjproject.tar.xz' a_22.orig-Xpjproject.tar.xz 6775552 SHA256:{DIGEST}
'http://user:secret@mirror.invalid/pool/a_22.orig.tar.xz' a_22.orig.tar.xz 62 SHA256:{"3" * 64}
"""


def make_build(cache: Path, source_digest: str = DIGEST) -> Path:
    """A folder of the cache that looks like a build."""
    folder = cache / "softphone" / f"{build._prefix()}-{source_digest[:8]}"
    (folder / "site").mkdir(parents=True)
    (folder / "pjsua2-2.17-any.whl").touch()
    return folder


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """This Python has no pjsua2 of its own."""
    monkeypatch.setattr(build, "MODULE", "pjsua2_that_nobody_has")


def test_the_component_is_chosen() -> None:
    """That one file of the source package, with its checksum."""
    offer = source.chosen(URIS)
    assert (offer.size_bytes, offer.sha256) == (6775552, DIGEST)


def test_a_package_without_the_component() -> None:
    """Says what is missing, where, and how to go on; no address."""
    with pytest.raises(LabError, match=r"asterisk \(sid\) has no component pjproject.*installed") as failure:
        source.chosen("\n".join(line for line in URIS.splitlines() if "pjproject" not in line))
    assert "mirror.invalid" not in str(failure.value)


def test_a_kept_source_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it still has its checksum; otherwise it is fetched, which here cannot be."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    content = b"a tarball"
    kept = tmp_path / "archives" / f"{hashlib.sha256(content).hexdigest()}.tar.xz"
    kept.parent.mkdir()
    kept.write_bytes(content)
    assert source.obtain(tmp_path) == kept
    kept.write_bytes(b"another tarball")
    with pytest.raises(LabError, match=r"no apt-get, so PJSUA2's source cannot be fetched"):
        source.obtain(tmp_path)


def test_an_installed_one_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the cache has; and its process needs nothing."""
    make_build(tmp_path)
    monkeypatch.setattr(build, "MODULE", "json")
    found = build.find(tmp_path)
    assert found is not None
    assert (found.origin, found.environment) == ("installed", {})


@pytest.mark.usefixtures("not_installed")
def test_a_build_serves_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without tools or network, for the same Python and options."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    folder = make_build(tmp_path)
    said: list[str] = []
    library = build.obtain(tmp_path, said.append)
    assert library.folder == folder / "site"
    assert library.environment["PYTHONPATH"].split(":")[0] == str(folder / "site")
    assert said == []
    folder.rename(folder.with_name("cpython-39-other-options-6860c2f7"))
    assert build.find(tmp_path) is None


@pytest.mark.usefixtures("not_installed")
def test_what_is_missing_is_named_as_debian_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command mends it, before anything is fetched."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.raises(LabError, match=rf"apt-get install gcc g\+\+ make python{version}-dev\. .*installed"):
        build.obtain(tmp_path)


@pytest.mark.usefixtures("not_installed")
def test_a_tool_that_fails_leaves_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the log, and nothing half-built counts as a build."""
    tarball = tmp_path / "softphone/archives/source.tar.xz"
    tarball.parent.mkdir(parents=True)
    tree = tmp_path / "tree/pjproject"
    for folder in ("pjlib/include/pj", "pjmedia/src/pjmedia-audiodev"):
        (tree / folder).mkdir(parents=True)
    (tree / "version.mak").write_text("export PJ_VERSION_MAJOR  := 2\nexport PJ_VERSION_MINOR  := 17\n")
    (tree / "aconfigure").write_text("#!/bin/sh\necho no such compiler\nexit 1\n")
    (tree / "aconfigure").chmod(0o755)
    subprocess.run(("tar", "-C", str(tree.parent), "-cJf", str(tarball), "pjproject"), check=True)
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
    tarball.rename(tarball.with_name(f"{digest}.tar.xz"))
    monkeypatch.setattr(build, "missing", list)
    monkeypatch.setattr(source, "swig", lambda *_: source.Swig(("swig",), {}))
    with pytest.raises(LabError, match=r"Building PJSUA2 failed \(aconfigure\).*build\.log"):
        build.obtain(tmp_path)
    assert "no such compiler" in (tmp_path / "softphone/build.log").read_text()
    assert build.find(tmp_path) is None


def test_a_wheel_that_installers_take(tmp_path: Path) -> None:
    """The record names every file with its digest, as the format says, and pip can read the name."""
    (tmp_path / "module.py").write_text("VALUE = 5\n")
    packed = wheel.write(tmp_path, "example", "1.2", {"example.py": tmp_path / "module.py"})
    assert packed.name == f"example-1.2-{wheel.tag()}.whl"
    with zipfile.ZipFile(packed) as archive:
        rows = list(csv.reader(archive.read("example-1.2.dist-info/RECORD").decode().splitlines()))
        assert {row[0] for row in rows} == set(archive.namelist())
        for name, digest, size in rows[:-1]:
            content = archive.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert (digest, int(size)) == (f"sha256={expected}", len(content))
    target = tmp_path / "site"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--isolated", "install", "--no-index")
    done = subprocess.run(
        (*pip, "--no-deps", "--target", str(target), str(packed)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (target / "example.py").read_text() == "VALUE = 5\n"
