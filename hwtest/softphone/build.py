"""PJSUA2 for this Python: installed, built earlier, or built now from Debian's own source (about 40 s on two cores).

C/softphone/PYTHON-OPTIONS-SOURCE/   one build: its wheel (`pip install` takes it), and the same unpacked in `site`
C/softphone/archives, swig           what was fetched
C/softphone/apt.log, build.log       what the tools said

C is the cache folder. What the build leaves out (video, sound cards, TLS, every codec but G.711) a measuring phone does not need,
and without resampling everything has 8000 Hz.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sysconfig
import tarfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hwtest.lab import apt
from hwtest.lab.apt import LabError, Progress, cache_directory, lock
from hwtest.softphone import source, wheel

MODULE = "pjsua2"
SPACE_NEEDED_MEGABYTES = 300

# An assertion of pjlib would end Python (NDEBUG); select() takes descriptors up to 1023 only.
_SETTINGS = """\
#define PJSUA_MAX_CALLS 256
#define PJSUA_MAX_ACC 64
#define PJSUA_MAX_PLAYERS 256
#define PJSUA_MAX_RECORDERS 256
#define PJ_IOQUEUE_MAX_HANDLES 1024
#define PJMEDIA_HAS_G722_CODEC 0
#define PJMEDIA_HAS_L16_CODEC 0
#define PJMEDIA_HAS_SPEEX_AEC 0
"""
_COMPILER_FLAGS = "-O1 -g0 -fPIC -DNDEBUG -w"
_LEFT_OUT = (
    *("video", "sound", "ssl", "libsrtp", "resample", "upnp", "libuuid", "speex-aec", "libwebrtc", "libyuv"),
    *("l16-codec", "gsm-codec", "g722-codec", "g7221-codec", "speex-codec", "ilbc-codec"),
    *("opencore-amr", "silk", "opus", "bcg729", "lyra", "vpx", "openh264", "ffmpeg", "v4l2", "sdl"),
)
_NOT_IN_DEBIANS_SOURCE = "pjmedia/src/pjmedia-audiodev/bdimad_dev.c"
"""Named by a Makefile, taken out of Debian's source for its licence: an empty file takes its place."""
_INCLUDES = tuple(f"{part}/include" for part in ("pjlib", "pjlib-util", "pjmedia", "pjsip", "pjnath"))
_WRAPPER = "pjsua2_wrap"
_TOOLS = {"gcc": "gcc", "g++": "g++", "make": "make"}
"""Program to Debian's package."""


@dataclass(frozen=True)
class Library:
    """A PJSUA2 that this Python can import."""

    origin: str
    """Where it is from: "installed", or the folder of the build."""
    folder: Path | None
    """To stand on the module path; None where it is installed."""
    wheel: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a process that is to import it needs in its environment."""
        if self.folder is None:
            return {}
        others = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
        return {"PYTHONPATH": os.pathsep.join([str(self.folder), *others])}


def find(cache: Path | None = None) -> Library | None:
    """The PJSUA2 that is there, installed or built earlier; None if it has to be built. Takes no time."""
    if importlib.util.find_spec(MODULE) is not None:
        return Library("installed", None)
    builds = [path for path in _shelf(cache).glob(f"{_prefix()}-*") if (path / "site").is_dir()]
    return _built(max(builds, key=lambda path: path.stat().st_mtime)) if builds else None


def obtain(cache: Path | None = None, progress: Progress = apt.silent) -> Library:
    """The PJSUA2 that is there, else built now. Raises LabError, whose message says what is missing and how to mend it."""
    shelf = _shelf(cache)
    try:
        if library := find(cache):
            return library
        with lock(shelf, progress):
            return find(cache) or _build(shelf, progress)
    except OSError as failure:
        raise LabError(
            f"PJSUA2: {failure.strerror or failure}: {failure.filename or shelf}. "
            "EDGE101_CACHE names a folder to use in its place."
        ) from failure


def missing() -> list[str]:
    """Debian's packages that a build needs and this machine does not have (SWIG is fetched where it is not installed)."""
    packages = [package for program, package in _TOOLS.items() if shutil.which(program) is None]
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        packages.append(f"python{sysconfig.get_python_version()}-dev")
    return packages


def _shelf(cache: Path | None) -> Path:
    return (cache or cache_directory()).absolute() / "softphone"


def _prefix() -> str:
    """What distinguishes builds of one source: this Python, and our options."""
    options = "\0".join((_SETTINGS, _COMPILER_FLAGS, *_LEFT_OUT))
    return f"{sysconfig.get_config_var('SOABI')}-{hashlib.sha256(options.encode()).hexdigest()[:8]}"


def _built(folder: Path) -> Library:
    return Library(str(folder), folder / "site", next(folder.glob("*.whl"), None))


# --- building ---------------------------------------------------------------------------------------------


def _build(shelf: Path, progress: Progress) -> Library:
    _check(shelf)
    began = time.monotonic()
    tarball = source.obtain(shelf, progress)
    work = shelf / "building"  # ours alone: the lock is held
    shutil.rmtree(work, ignore_errors=True)
    log = shelf / "build.log"
    log.write_text("")
    tree = _unpack(tarball, work)
    swig = source.swig(shelf, progress)
    build = _Build(tree, log, progress)
    build.configure()
    build.compile(swig)
    extension = build.link()
    final = shelf / f"{_prefix()}-{tarball.name[:8]}"
    made = work / "made"
    _pack(made, build.version, {f"{MODULE}.py": tree / f"{MODULE}.py", extension.name: extension})
    shutil.rmtree(final, ignore_errors=True)
    made.rename(final)
    shutil.rmtree(work)
    progress(f"PJSUA2 {build.version} is built, in {time.monotonic() - began:.0f} s")
    return _built(final)


def _check(shelf: Path) -> None:
    if lacking := missing():
        raise LabError(
            f"PJSUA2 has to be built, and this machine lacks what that takes. Install it: "
            f"apt-get install {' '.join(lacking)}. {source.MEND}"
        )
    free_megabytes = shutil.disk_usage(shelf).free // 1_000_000
    if free_megabytes < SPACE_NEEDED_MEGABYTES:
        raise LabError(
            f"{shelf} has {free_megabytes} MB free, and building PJSUA2 needs {SPACE_NEEDED_MEGABYTES} MB. "
            "Free some space, or name another folder in EDGE101_CACHE."
        )


def _unpack(tarball: Path, work: Path) -> Path:
    """The source, and the few files that the recipe adds to it."""
    with tarfile.open(tarball) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4 and newer
        archive.extractall(work)  # noqa: S202 - verified by Debian's signature
    tree = next(path for path in work.iterdir() if path.is_dir())
    (tree / _NOT_IN_DEBIANS_SOURCE).touch()
    (tree / "user.mak").touch()
    (tree / "pjlib/include/pj/config_site.h").write_text(_SETTINGS)
    return tree


class _Build:
    """The steps in one source tree. Each raises LabError if a tool fails."""

    def __init__(self, tree: Path, log: Path, progress: Progress) -> None:
        self._tree = tree
        self._log = log
        self._progress = progress
        numbers = dict(re.findall(r"PJ_VERSION_(\w+)\s*:=[ \t]*(\S+)", (tree / "version.mak").read_text()))
        self.version = ".".join(numbers[part] for part in ("MAJOR", "MINOR", "REV") if part in numbers)

    def configure(self) -> None:
        """Look at the machine (3 s)."""
        self._progress(f"building PJSUA2 {self.version}: looking at the machine")
        flags = {"CFLAGS": _COMPILER_FLAGS, "CXXFLAGS": _COMPILER_FLAGS}
        self._run(("./aconfigure", *(f"--disable-{part}" for part in _LEFT_OUT)), flags)

    def compile(self, swig: source.Swig) -> None:
        """The libraries, and beside them the wrapper, which needs only headers (40 s on two cores)."""
        self._progress(f"building PJSUA2 {self.version}: the wrapper for Python")
        includes = [f"-I{folder}" for folder in _INCLUDES]
        options = ("-w312", "-threads", "-python", "-c++", *includes)
        interface = "pjsip-apps/src/swig/pjsua2.i"
        self._run(
            (*swig.command, *options, "-outdir", ".", "-o", f"{_WRAPPER}.cpp", interface), swig.environment
        )
        self._progress(f"building PJSUA2 {self.version}: compiling")
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(self._make_libraries), pool.submit(self._compile_wrapper, includes)]
        for job in jobs:
            job.result()

    def _make_libraries(self) -> None:
        self._run(("make", f"-j{os.cpu_count() or 1}", "lib"))

    def _compile_wrapper(self, includes: Sequence[str]) -> None:
        python = f"-I{sysconfig.get_path('include')}"
        flags = self._make_variable("cflags")
        output = ("-c", f"{_WRAPPER}.cpp", "-o", f"{_WRAPPER}.o")
        self._run(("g++", *flags, *includes, python, "-O0", "-fPIC", "-w", *output))

    def _make_variable(self, target: str) -> list[str]:
        """What the source's own Makefile says that a wrapper has to be compiled with."""
        folder = self._tree / "pjsip-apps/src/swig/python"
        result = subprocess.run(
            ("make", "--no-print-directory", "-f", "helper.mak", target),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise LabError(f"PJSUA2's source does not say how its wrapper is compiled. {source.MEND}")
        return result.stdout.split()

    def link(self) -> Path:
        """The extension module."""
        self._progress(f"building PJSUA2 {self.version}: linking")
        archives = [str(path) for path in sorted(self._tree.glob("*/lib/*.a"))]
        output = f"_{MODULE}{sysconfig.get_config_var('EXT_SUFFIX')}"
        group = ("-Wl,--start-group", *archives, "-Wl,--end-group")
        self._run(("g++", "-shared", "-s", "-o", output, f"{_WRAPPER}.o", *group, "-lpthread", "-lm"))
        return self._tree / output

    def _run(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        with self._log.open("ab") as log:
            result = subprocess.run(
                command,
                cwd=self._tree,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "LC_ALL": "C", **(environment or {})},
                check=False,
            )
        if result.returncode:
            raise LabError(
                f"Building PJSUA2 failed ({Path(command[0]).name}). The tools' own words: {self._log}. {source.MEND}"
            )


def _pack(made: Path, version: str, files: Mapping[str, Path]) -> None:
    """The wheel, and the same unpacked: an extension cannot be imported out of a wheel."""
    made.mkdir()
    packed = wheel.write(made, MODULE, version, files)
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(made / "site")  # noqa: S202 - we have just written it
