"""Faults that are seeded into a lab one at a time, to see whether they are found, and by whom; each is taken away again.

A fault lasts as long as its block, and belongs to a lab that is up. Ending by force leaves it in the lab: `hwtest lab down` and
`up` make everything afresh.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hwtest.lab import daemon, management, processes
from hwtest.lab.asterisk import AsteriskProcess
from hwtest.lab.contract import Lab
from hwtest.lab.packages import LabError
from hwtest.lab.processes import ProcessIdentity
from hwtest.lab.proxy import Proxy
from hwtest.lab.relay import Harm, Relay, Way

SERVES_SECONDS = 40.0
STEP_SECONDS = -5.0
SLOW_COMMIT_SECONDS, BETWEEN_SECONDS = 2.5, 0.02
STOPPED_SECONDS, RUNS_SECONDS = 0.4, 0.1
CERTIFICATE_DAYS = 5
AUTHORITY = "SSL_CERT_FILE"
"""OpenSSL's own variable: whom one believes."""
_POLL_SECONDS = 0.02
_LIBRARIES = Path("/usr/lib")

Seed = Callable[[Lab], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. `layer`: whom to blame, as `hwtest.probes.contract.Layer` names it; `found_by`: probes that show it."""

    name: str
    words: str
    layer: str
    found_by: tuple[str, ...]
    seed: Seed


NOT_SEEDED = {
    "netem": "the relay does the same without root and to one lab alone; a queue on loopback would harm every lab of the machine",
}
"""What is not seeded here, and why."""


# --- the path ---------------------------------------------------------------------------------------------


def path(harm: Harm) -> Seed:
    """Phones that read lab.json from now on speak with the switch through a relay."""

    @contextmanager
    def seeded(lab: Lab) -> Iterator[None]:
        relay = Relay(lab.sip.port, harm)
        own, other = f"{lab.sip.host}:{lab.sip.port}", f"{lab.sip.host}:{relay.port}"

        def through(phone: msgspec.Struct) -> msgspec.Struct:
            assert getattr(phone, "registrar", own) == own, "a phone of another lab"
            return msgspec.structs.replace(phone, registrar=other)

        changed = msgspec.structs.replace(
            lab,
            sip=msgspec.structs.replace(lab.sip, port=relay.port),
            agents=tuple(map(through, lab.agents)),
            supervisors=tuple(map(through, lab.supervisors)),
            test_phones=tuple(map(through, lab.test_phones)),
        )
        try:
            changed.write()
            yield
        finally:
            lab.write()
            relay.close()

    return seeded


# --- the switch -------------------------------------------------------------------------------------------


def switch_file(name: str, pattern: str, replacement: str, reload: str) -> Seed:
    """One file of the switch's configuration with each match of `pattern` replaced, and loaded again by that command."""

    @contextmanager
    def seeded(lab: Lab) -> Iterator[None]:
        file = Path(lab.asterisk_directory, "etc", name)
        switch = AsteriskProcess.attach(Path(lab.asterisk_directory))
        before = file.read_text(encoding="utf-8")
        changed, count = re.subn(pattern, replacement, before)
        if not count:
            raise LabError(f"{file} has nothing like {pattern!r}: this lab is of another version.")
        try:
            file.write_text(changed, encoding="utf-8")
            switch.cli(reload)
            yield
        finally:
            file.write_text(before, encoding="utf-8")
            switch.cli(reload)

    return seeded


@contextmanager
def slow_switch(lab: Lab) -> Iterator[None]:
    """The switch stands still most of the time, as on a machine that has no processor time left for it."""
    found = AsteriskProcess.attach(Path(lab.asterisk_directory))
    switch = ProcessIdentity(found.pid, found.started_ticks)
    if not switch.running:  # its id may be another's by now
        raise LabError(f"No Asterisk runs in {lab.directory}. `hwtest lab down` and `up` make all afresh.")
    over = threading.Event()

    def stutter() -> None:
        while not over.wait(RUNS_SECONDS):
            switch.signal(signal.SIGSTOP)
            over.wait(STOPPED_SECONDS)
            switch.signal(signal.SIGCONT)

    thread = threading.Thread(target=stutter)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        switch.signal(signal.SIGCONT)


# --- the daemon -------------------------------------------------------------------------------------------


def _running(lab: Lab) -> ProcessIdentity:
    found = processes.running(lab.commands["edge"])
    if not found:
        raise LabError(f"No daemon runs in {lab.directory}. `hwtest lab up` starts one.")
    return found[0]


def refuse_supervised(lab: Lab) -> None:
    """LabError for a lab whose daemon a supervisor would start again."""
    for supervisor in processes.running(daemon.supervisor_command(Path(lab.directory))):
        raise LabError(f"The lab is supervised (process {supervisor.pid}): start it without --supervise.")


def stop_daemon(lab: Lab) -> None:
    """No daemon. LabError where a supervisor would start it again."""
    refuse_supervised(lab)
    for running in processes.running(lab.commands["edge"]):
        running.stop(10)


def start_daemon(lab: Lab, command: tuple[str, ...] | None = None) -> ProcessIdentity:
    """Start the lab's daemon, or another command, wait until it serves, and say so in lab.json. LabError when it does not."""
    before = daemon.last_sequence(lab.ledger)
    started = processes.start(command or lab.commands["edge"], Path(lab.directory, "log/edge.log"))
    until = time.monotonic() + SERVES_SECONDS
    while not daemon.serves(lab.ledger, before):
        if started.poll() is not None or time.monotonic() > until:
            raise LabError(f"The daemon does not serve. Look at {lab.directory}/log/edge.log.")
        time.sleep(_POLL_SECONDS)
    process = ProcessIdentity.of(started.pid)
    daemon.with_process(Lab.read(Path(lab.directory)) or lab, "edge", process).write()
    return process


def serve_again(lab: Lab) -> None:
    """The lab's own daemon, if it does not run; an interruption may come at any moment, even before it was stopped."""
    if not processes.running(lab.commands["edge"]):
        start_daemon(lab)


@contextmanager
def _instead(lab: Lab, command: tuple[str, ...]) -> Iterator[ProcessIdentity]:
    """Another daemon in the place of the lab's own."""
    refuse_supervised(lab)
    try:
        stop_daemon(lab)
        yield start_daemon(lab, command)
    finally:
        for left in processes.running(command):
            left.stop(10)
        serve_again(lab)


@contextmanager
def absent(lab: Lab) -> Iterator[None]:
    """No daemon."""
    refuse_supervised(lab)
    try:
        stop_daemon(lab)
        yield
    finally:
        serve_again(lab)


@contextmanager
def hung(lab: Lab) -> Iterator[None]:
    """The daemon stands still, its connections open."""
    running = _running(lab)
    running.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        running.signal(signal.SIGCONT)
        running.stop(10)  # it finds the world changed, and may end itself: begin afresh
        start_daemon(lab)


def cut(link: str) -> Seed:
    """One of the daemon's links to the switch is cut and stays so. `link`: `ami` or `ari`."""

    @contextmanager
    def seeded(lab: Lab) -> Iterator[None]:
        port = lab.ami.port if link == "ami" else lab.ari.port
        proxy = Proxy(port)
        file = Path(lab.directory, "fault.toml")
        text = Path(lab.config).read_text(encoding="utf-8")
        file.touch(mode=0o600)
        file.write_text(re.sub(rf"(port = |:){port}\b", rf"\g<1>{proxy.port}", text), encoding="utf-8")
        command = tuple(str(file) if word == lab.config else word for word in lab.commands["edge"])
        try:
            with _instead(lab, command):
                proxy.cut()
                time.sleep(1.0)  # the switch lets a session go that is no more
                yield
        finally:
            proxy.close()
            file.unlink()

    return seeded


def false_clock(how: str) -> tuple[str, ...]:
    """The beginning of a command whose clock is set by libfaketime, `how` it says; its monotonic clock is true. LabError without.

    env(1) is replaced by what follows, whose command line is then its own.
    """
    libraries = sorted(_LIBRARIES.glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        raise LabError("libfaketime is missing: install the package libfaketime (make setup-tests does).")
    kept = (
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "DONT_FAKE_MONOTONIC=1",
        "NO_FAKE_STAT=1",
        "FAKETIME_DISABLE_SHM=1",
    )
    return "/usr/bin/env", f"LD_PRELOAD={libraries[0]}", how, *kept


@contextmanager
def stepped(lab: Lab) -> Iterator[None]:
    """The daemon's clock is set by some seconds against the wire's; its monotonic clock is true."""
    environment = false_clock(f"FAKETIME={STEP_SECONDS:+.6f}")
    refuse_supervised(lab)
    try:
        stop_daemon(lab)
        start_daemon(lab, (*environment, *lab.commands["edge"]))
        yield
    finally:
        stop_daemon(lab)
        serve_again(lab)


def policy(pattern: str, replacement: str) -> Seed:
    """The daemon runs with another configuration."""

    @contextmanager
    def seeded(lab: Lab) -> Iterator[None]:
        file = Path(lab.directory, "fault.toml")
        text, count = re.subn(pattern, replacement, Path(lab.config).read_text(encoding="utf-8"))
        if not count:
            raise LabError(f"{lab.config} has nothing like {pattern!r}: this lab is of another version.")
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")
        command = tuple(str(file) if word == lab.config else word for word in lab.commands["edge"])
        try:
            with _instead(lab, command):
                yield
        finally:
            file.unlink()

    return seeded


# --- the pull API ---------------------------------------------------------------------------------------


@contextmanager
def ending_certificate(lab: Lab) -> Iterator[None]:
    """`edge mi` shows a certificate that ends in some days. It signed itself; what is started meanwhile from here believes it."""
    if lab.mi.url is None:
        raise LabError("This lab has no pull API: start it without --no-mi.")
    folder = Path(lab.directory, "fault-tls")
    file = Path(lab.directory, "fault.toml")
    own = daemon.mi_command(Path(lab.directory))
    command = tuple(str(file) if word == lab.config else word for word in own)
    believed = os.environ.get(AUTHORITY)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        certificate, key = _sign(folder)
        lines = f"certificate_file = {json.dumps(str(certificate))}\nkey_file = {json.dumps(str(key))}"
        text, count = re.subn(r"(?m)^\[mi\]$", f"[mi]\n{lines}", Path(lab.config).read_text(encoding="utf-8"))
        if not count:
            raise LabError(f"{lab.config} has no table [mi]: this lab is of another version.")
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")
        management.stop(Path(lab.directory))
        management.run(lab, command, secure=True)
        os.environ[AUTHORITY] = str(certificate)
        yield
    finally:
        if believed is None:
            os.environ.pop(AUTHORITY, None)
        else:
            os.environ[AUTHORITY] = believed
        for running in processes.running(command):
            running.stop(10)
        if not processes.running(own):
            management.run(lab, own)
        shutil.rmtree(folder, ignore_errors=True)
        file.unlink(missing_ok=True)


def _sign(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine's loopback, which ends soon, and its key. LabError."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    names = ("-subj", "/CN=lab", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", str(key), "-out", str(certificate))
    key.touch(mode=0o600)
    try:
        made = subprocess.run(
            ("openssl", "req", "-x509", *curve, "-days", str(CERTIFICATE_DAYS), *names, *files),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise LabError(
            f"openssl: {error.strerror or error}. Install the package openssl; it makes the certificate."
        ) from None
    if made.returncode:
        raise LabError(f"openssl made no certificate: {made.stderr.strip()[-300:]}")
    return certificate, key


# --- the record -------------------------------------------------------------------------------------------


def _ledger(lab: Lab) -> sqlite3.Connection:
    if not lab.ledger.startswith("sqlite:///"):
        raise LabError("This fault is seeded into a ledger of SQLite alone.")
    return sqlite3.connect(lab.ledger.removeprefix("sqlite:///"), isolation_level=None, timeout=20)


@contextmanager
def full_disk(lab: Lab) -> Iterator[None]:
    """The kernel refuses the daemon every write to any file (RLIMIT_FSIZE), as a full disk does."""
    running = _running(lab)
    limits = resource.prlimit(running.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(running.pid, resource.RLIMIT_FSIZE, (1, limits[1]))
    try:
        yield
    finally:
        if running.running:
            resource.prlimit(running.pid, resource.RLIMIT_FSIZE, limits)


@contextmanager
def slow_disk(lab: Lab) -> Iterator[None]:
    """Every commit takes seconds: it waits for a lock that is held most of the time, as for a disk that is slow to confirm."""
    over = threading.Event()

    def hold() -> None:
        with contextlib.closing(_ledger(lab)) as other:
            while not over.wait(BETWEEN_SECONDS):
                other.execute("BEGIN IMMEDIATE")
                over.wait(SLOW_COMMIT_SECONDS)
                other.execute("ROLLBACK")

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def changed_fact(lab: Lab) -> Iterator[None]:
    """Somebody has changed a word in the first fact."""
    with contextlib.closing(_ledger(lab)) as ledger:
        was = ledger.execute("SELECT reason FROM facts WHERE sequence = 1").fetchone()[0]
        ledger.execute("UPDATE facts SET reason = ? WHERE sequence = 1", (f"{was}.",))
        try:
            yield
        finally:
            ledger.execute("UPDATE facts SET reason = ? WHERE sequence = 1", (was,))


@contextmanager
def missing_calls(lab: Lab) -> Iterator[None]:
    """Somebody takes every second call out of the ledger as soon as it has ended; in the end it is put back."""
    over, taken = threading.Event(), list[tuple[str, tuple[object, ...]]]()

    def take() -> None:
        with contextlib.closing(_ledger(lab)) as ledger:
            ended, place = ledger.execute("SELECT max(sequence) FROM facts").fetchone()[0], 0
            while not over.wait(0.1):
                for sequence, call_id in ledger.execute(
                    "SELECT sequence, call_id FROM facts WHERE kind = 'CallEnded' AND sequence > ?", (ended,)
                ).fetchall():
                    ended, place = sequence, place + 1
                    if place % 2 == 0:
                        _take_out(ledger, call_id, taken)

    def put_back() -> None:
        with contextlib.closing(_ledger(lab)) as ledger:
            for table, row in sorted(taken, key=lambda one: one[0] != "facts"):
                ledger.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608 - our words

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        put_back()


def _take_out(ledger: sqlite3.Connection, call_id: str, taken: list[tuple[str, tuple[object, ...]]]) -> None:
    of_call = "sequence IN (SELECT sequence FROM facts WHERE call_id = ?)"
    ledger.execute("BEGIN IMMEDIATE")
    for table in ("personal", "facts"):
        rows = ledger.execute(f"SELECT * FROM {table} WHERE {of_call}", (call_id,)).fetchall()  # noqa: S608 - our words
        taken += [(table, row) for row in rows]
        ledger.execute(f"DELETE FROM {table} WHERE {of_call}", (call_id,))  # noqa: S608 - our words
    ledger.execute("COMMIT")


# --- all of them ------------------------------------------------------------------------------------------

_PJSIP = "module reload res_pjsip.so"
FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            name="one-way-audio",
            words="callers hear nothing; they are heard",
            layer="network",
            found_by=("audio.twoway",),
            seed=path(Harm(mute=frozenset({Way.TO_PHONE}))),
        ),
        Fault(
            name="late-media",
            words="callers' audio passes 3.4 s after it began, both ways",
            layer="switch",
            found_by=("audio.twoway", "audio.start"),
            seed=path(Harm(late_seconds=3.4)),
        ),
        Fault(
            name="dtmf-lost",
            words="telephone events (keys) are lost on callers' legs, both ways",
            layer="switch",
            found_by=("audio.dtmf",),
            seed=path(Harm(events_lost=True)),
        ),
        Fault(
            name="loss-3-percent",
            words="3 % of callers' audio packets are lost, both ways",
            layer="network",
            found_by=("audio.quality",),
            seed=path(Harm(loss=0.03)),
        ),
        Fault(
            name="jitter-80-ms",
            words="callers' audio packets come 0 to 160 ms later, each by itself",
            layer="network",
            found_by=("audio.quality",),
            seed=path(Harm(jitter_seconds=0.08)),
        ),
        Fault(
            name="sip-loss",
            words="three of ten SIP messages are lost",
            layer="network",
            found_by=("sip.options",),
            seed=path(Harm(sip_loss=0.3)),
        ),
        Fault(
            name="sip-slow",
            words="each SIP message takes 0.3 s",
            layer="network",
            found_by=("sip.options",),
            seed=path(Harm(sip_delay_seconds=0.3)),
        ),
        Fault(
            name="wrong-codec",
            words="the trunk is allowed GSM alone, and callers offer G.711",
            layer="switch",
            found_by=("call.one",),
            seed=switch_file("pjsip.conf", r"allow = ulaw,alaw", "allow = gsm", _PJSIP),
        ),
        Fault(
            name="wrong-context",
            words="the trunk's calls go to a context of the dialplan that is not there",
            layer="dialplan",
            found_by=("call.one",),
            seed=switch_file("pjsip.conf", r"context = lab-lines", "context = nowhere", _PJSIP),
        ),
        Fault(
            name="line-misrouted",
            words="the number of the test line is answered by the dialplan itself",
            layer="dialplan",
            found_by=("call.one",),
            seed=switch_file(
                "edge101-extensions.conf",
                r"(?m)^exten => 5990,1,.*$",
                r"exten => 5990,1,Answer()\n same => n,Wait(60)\n same => n,Hangup()",
                "dialplan reload",
            ),
        ),
        Fault(
            name="trunk-refusing",
            words="the switch does not know the trunk's address and asks for a password",
            layer="trunk",
            found_by=("call.one",),
            seed=switch_file("pjsip.conf", r"match = 127\.0\.0\.1/32", "match = 192.0.2.1/32", _PJSIP),
        ),
        Fault(
            name="name-unresolvable",
            words="the trunk to public numbers is given by a name that nobody knows",
            layer="host",
            found_by=("host.config",),
            seed=switch_file(
                "pjsip.conf", r"contact = sip:127\.0\.0\.1:", "contact = sip:trunk.invalid:", _PJSIP
            ),
        ),
        Fault(
            name="certificate-near-end",
            words=f"the pull API shows a certificate that ends in {CERTIFICATE_DAYS} days",
            layer="host",
            found_by=("net.tls",),
            seed=ending_certificate,
        ),
        Fault(
            name="dead-man-broken",
            words="the dialplan hangs up on those whom the daemon no longer holds, instead of queueing them",
            layer="dialplan",
            found_by=("fault.ctl",),
            seed=switch_file(
                "edge101-extensions.conf",
                r"(?m)^exten => T,1,Set\(EDGE_WHY=dead-man\)$",
                "exten => T,1,Hangup()",
                "dialplan reload",
            ),
        ),
        Fault(
            name="phones-gone",
            words="no phone can register: their passwords were changed",
            layer="phone",
            found_by=("sip.register",),
            seed=switch_file("pjsip.conf", r"(?m)^password = .*$", "password = another", _PJSIP),
        ),
        Fault(
            name="rtp-range-small",
            words="the switch has ports for the audio of two legs alone",
            layer="switch",
            found_by=("host.config",),
            seed=switch_file(
                "rtp.conf",
                r"rtpstart = (\d+)0\nrtpend = \d+\n",
                r"rtpstart = \g<1>0\nrtpend = \g<1>3\n",
                "module reload res_rtp_asterisk.so",
            ),
        ),
        Fault(
            name="events-filtered",
            words="AMI keeps user events back from hwtest's account",
            layer="switch",
            found_by=("ctl.link",),
            seed=switch_file(
                "manager.conf",
                r"read = all\n",
                "read = all\neventfilter = !Event: UserEvent\n",
                "manager reload",
            ),
        ),
        Fault(
            name="events-unstamped",
            words="AMI's events do not say when they happened",
            layer="switch",
            found_by=("ctl.link",),
            seed=switch_file(
                "edge101-manager.conf", r"timestampevents = yes", "timestampevents = no", "manager reload"
            ),
        ),
        Fault(
            name="switch-slow",
            words="the switch gets a fifth of a processor, in pieces",
            layer="switch",
            found_by=("sip.options", "ctl.link"),
            seed=slow_switch,
        ),
        Fault(
            name="daemon-absent",
            words="no daemon runs",
            layer="daemon",
            found_by=("ctl.link",),
            seed=absent,
        ),
        Fault(
            name="daemon-hung",
            words="the daemon stands still, its connections open",
            layer="daemon",
            found_by=("log.complete",),
            seed=hung,
        ),
        Fault(
            name="ami-cut",
            words="the daemon's AMI link is cut and stays cut",
            layer="daemon",
            found_by=("ctl.link",),
            seed=cut("ami"),
        ),
        Fault(
            name="ari-cut",
            words="the daemon's ARI link is cut and stays cut",
            layer="daemon",
            found_by=("ctl.link",),
            seed=cut("ari"),
        ),
        Fault(
            name="ring-time-short",
            words="agents' phones ring for 3 s, then another agent's",
            layer="daemon",
            found_by=("queue.noanswer",),
            seed=policy(r'(?m)^(skills = \["(?:101|999)"\])$', r"\g<1>\noffer_seconds = 3.0"),
        ),
        Fault(
            name="clock-step",
            words="the daemon's clock is 5 s behind the wire's",
            layer="clock",
            found_by=("log.error",),
            seed=stepped,
        ),
        Fault(
            name="disk-full",
            words="the daemon can write to no file",
            layer="host",
            found_by=("log.complete",),
            seed=full_disk,
        ),
        Fault(
            name="disk-slow",
            words="a commit takes up to 2.5 s",
            layer="host",
            found_by=("log.pull", "log.complete"),
            seed=slow_disk,
        ),
        Fault(
            name="record-changed",
            words="a word in the first fact of the ledger was changed",
            layer="record",
            found_by=("log.complete",),
            seed=changed_fact,
        ),
        Fault(
            name="record-missing-call",
            words="every second call is taken out of the ledger when it has ended",
            layer="record",
            found_by=("log.complete",),
            seed=missing_calls,
        ),
    )
}


@contextmanager
def seeded(directory: Path, name: str) -> Iterator[Fault]:
    """The fault, in the lab of this directory, as long as the block lasts. Raises LabError, also when another is there."""
    fault = FAULTS.get(name)
    if fault is None:
        reason = NOT_SEEDED.get(name)
        known = "`hwtest lab fault --list` shows those that there are" if reason is None else reason
        raise LabError(f"The fault {name!r} cannot be seeded: {known}.")
    directory = directory.absolute()
    lab = Lab.read(directory)
    if lab is None:
        raise LabError(f"No lab is up in {directory}. Start it: hwtest lab up --dir {directory}")
    with (directory / "fault.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"Another fault is in the lab in {directory}; end that command first.") from None
        with fault.seed(lab):
            yield fault
