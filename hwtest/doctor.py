"""What this machine can measure, and the command that mends what it cannot."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from hwtest.capture.sniffer import Sniffer
from hwtest.lab.apt import LabError
from hwtest.probes.contract import Need
from hwtest.sipp import program
from hwtest.softphone import build

_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """One thing that some probes need."""

    name: str
    there: bool
    found: str
    """Its version, or why it cannot be used."""
    used_for: str
    need: Need | None
    mend: str
    """A command; empty where it is there."""


def examine() -> list[Ability]:
    """Everything, in the order in which one would mend it."""
    return [check() for check in _CHECKS]


def _raw_socket() -> Ability:
    mend = f"run as root, or once: sudo setcap cap_net_raw+ep $(readlink -f {sys.executable})"
    try:
        Sniffer(5060).close()
    except PermissionError:
        return _absent("raw socket", "no CAP_NET_RAW", _WIRE, Need.CAPTURE, mend)
    except OSError as error:
        return _absent("raw socket", str(error.strerror), _WIRE, Need.CAPTURE, mend)
    return _present("raw socket", "AF_PACKET with kernel time stamps", _WIRE, Need.CAPTURE)


_WIRE = "seeing the wire: when a message really was there"


def _root() -> Ability:
    used = "faults of the network (netem) in a lab"
    if os.geteuid() == 0:
        return _present("root", "yes", used, Need.ROOT)
    return _absent("root", f"user {os.geteuid()}", used, Need.ROOT, "sudo hwtest ...")


def _program(
    name: str, used_for: str, need: Need | None, mend: str, version: tuple[str, ...], pattern: str
) -> Ability:
    place = shutil.which(name)
    if place is None:
        return _absent(name, "not installed", used_for, need, mend)
    try:
        told = subprocess.run(
            [place, *version], capture_output=True, text=True, timeout=_SECONDS, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _absent(name, f"{place} does not run: {error}", used_for, need, mend)
    found = re.search(pattern, told.stdout + told.stderr)
    return _present(name, found[0] if found else place, used_for, need)


def _compiler() -> Ability:
    return _program(
        "cc",
        "building PJSUA2 once",
        None,
        "sudo apt-get install build-essential swig python3-dev",
        ("--version",),
        r"\d+\.\d+[\d.]*",
    )


def _pjsua2() -> Ability:
    used = "software phones with real media: audio both ways, latency, quality"
    if library := build.find():
        return _present(
            "pjsua2", f"built: {library.folder}" if library.folder else "installed", used, Need.SOFTPHONE
        )
    mend = "python -m hwtest.softphone build (a minute, once)"
    if lacking := build.missing():
        mend = f"sudo apt-get install {' '.join(lacking)}; then {mend}"
    return _absent("pjsua2", "not built yet", used, Need.SOFTPHONE, mend)


def _sipp() -> Ability:
    used = "signalling load"
    try:
        found = program.find()
    except LabError as error:
        return _absent("sipp", str(error), used, Need.SIPP, "sudo apt-get install sip-tester")
    if found is None:
        mend = "sudo apt-get install sip-tester; or nothing: the first probe that needs it fetches it from Debian"
        return _absent("sipp", "not installed", used, Need.SIPP, mend)
    return _present("sipp", f"{found.version}, {found.origin}", used, Need.SIPP)


def _tshark() -> Ability:
    return _program(
        "tshark",
        "an independent reading of a capture",
        None,
        "sudo apt-get install tshark",
        ("--version",),
        r"\d+\.\d+\.\d+",
    )


def _chrony() -> Ability:
    return _program(
        "chronyc",
        "proving absolute times: how far the clock may be off",
        None,
        "sudo apt-get install chrony",
        ("--version",),
        r"\d+\.\d+[\d.]*",
    )


def _tc() -> Ability:
    return _program(
        "tc",
        "faults of the network in a lab",
        None,
        "sudo apt-get install iproute2",
        ("-V",),
        r"iproute2[-\w.]*",
    )


def _present(name: str, found: str, used_for: str, need: Need | None) -> Ability:
    return Ability(name=name, there=True, found=found, used_for=used_for, need=need, mend="")


def _absent(name: str, why: str, used_for: str, need: Need | None, mend: str) -> Ability:
    return Ability(name=name, there=False, found=why, used_for=used_for, need=need, mend=mend)


_CHECKS: tuple[Callable[[], Ability], ...] = (
    _raw_socket,
    _pjsua2,
    _compiler,
    _sipp,
    _chrony,
    _tshark,
    _tc,
    _root,
)
