"""The whole lab of one directory: Asterisk, its configuration, and the daemon beside it; up, status and down.

D/lab.json       what other tools read (`hwtest.lab.contract`); there while the lab is up
D/edge101.toml   the daemon's configuration, D/secrets its passwords, D/ledger.sqlite its ledger
D/log            edge.log, supervisor.log
D/asterisk       Asterisk's own folder (`hwtest.lab.asterisk`)
"""

import contextlib
import fcntl
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dialplans import prompts
from edge.config import Configuration, ConfigurationError, load
from edge.errors import EXIT_CONFIGURATION
from hwtest.lab import configuration as lab_configuration
from hwtest.lab import daemon, management, packages, processes, sip
from hwtest.lab.asterisk import AsteriskProcess, modules_conf
from hwtest.lab.contract import Address, Lab, LabAgent, LabCallback, LabPhone, Login, Pids
from hwtest.lab.packages import AsteriskInstallation, LabError, Progress
from hwtest.lab.ports import HOST, Ports, claim
from hwtest.lab.processes import ProcessIdentity

DEFAULT_AGENTS = 4
START_SECONDS = 20.0
STOP_SECONDS = 5.0
_POLL_SECONDS = 0.05
_LOCK = "lab.lock"
_MADE_AT_EACH_START = ("asterisk", "secrets", "log", "mi", "edge101.toml", "ledger.sqlite*")
_DIRECTORY = re.compile(r"[A-Za-z0-9_.+/@~-]+")


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What `hwtest lab up` was asked for."""

    directory: Path
    agents: int = DEFAULT_AGENTS
    port_base: int | None = None
    suite: str = "sid"
    asterisk: Path | None = None
    wrap_up_seconds: float | None = None
    policy: Path | None = None
    supervise: bool = False
    with_daemon: bool = True
    callbacks: bool = True
    """Whether callers who would wait long are offered a call-back."""
    plan: Mapping[str, float] = field(default_factory=lambda: lab_configuration.SOON)
    """When, and when it is tried again: keys of `callback` of the queue 101."""
    mi: bool = False
    """Whether `edge mi` runs, too: the pull API and the wallboard."""
    audio: range | None = None
    """Asterisk's ports for audio in place of those of the lab's base, which are enough for 950 legs."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """What of a lab is alive. `contacts`: SIP contact by phone, of the phones that are registered now."""

    lab: Lab | None
    asterisk: bool = False
    edge: bool = False
    supervisor: bool = False
    mi: bool = False
    contacts: Mapping[str, str]
    channels: int | None = None

    @property
    def up(self) -> bool:
        """Whether everything lives that was started."""
        wanted = self.lab is not None and (self.edge or self.lab.pids.edge is None)
        return self.asterisk and wanted

    @property
    def stale(self) -> bool:
        """Whether lab.json tells of a lab that is no more (the machine was switched off, say)."""
        return self.lab is not None and not (self.asterisk or self.edge or self.supervisor)


def up(wishes: Wishes, progress: Progress) -> Lab:
    """Starts the lab and returns when the whole stack answers. Whatever fails, nothing of it is left running.

    Raises LabError; that one runs in the directory already is one too (`status` tells beforehand).
    """
    directory = _checked(wishes.directory)
    with _alone(directory, create=True):
        _stop(directory)  # what a start that was killed left behind
        _clear(directory)
        locks = packages.cache_directory() / "ports"
        with claim(wishes.port_base, locks) as ports:
            try:
                return _start(directory, wishes, replace(ports, audio=wishes.audio), progress)
            except BaseException:
                _stop(directory)
                raise


def down(directory: Path) -> bool:
    """Ends everything of the lab. False if nothing ran (that is fine). What it wrote stays, lab.json goes."""
    directory = directory.absolute()
    if not (directory / _LOCK).exists():
        return False
    with _alone(directory, create=False):
        return _stop(directory)


def status(directory: Path) -> Status:
    """What of the lab is alive. Raises LabError if lab.json is damaged."""
    directory = directory.absolute()
    lab = Lab.read(directory)
    asterisk = _asterisk(directory)
    alive = asterisk is not None and asterisk.running
    return Status(
        lab=lab,
        asterisk=alive,
        edge=any(map(processes.running, (daemon.command(directory), daemon.reserve_command(directory)))),
        supervisor=bool(processes.running(daemon.supervisor_command(directory))),
        mi=bool(processes.running(daemon.mi_command(directory))),
        contacts=_contacts(asterisk) if asterisk and alive else {},
        channels=_channels(asterisk) if asterisk and alive else None,
    )


# --- the directory ----------------------------------------------------------------------------------------


def _checked(directory: Path) -> Path:
    directory = directory.absolute()
    if not _DIRECTORY.fullmatch(str(directory)):
        raise LabError(f"{directory}: a lab's folder may have only letters, digits and _.+/@~- in its path.")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / _LOCK).exists():
        raise LabError(f"{directory} holds files that are no lab's. Choose a new or empty folder with --dir.")
    return directory


@contextlib.contextmanager
def _alone(directory: Path, *, create: bool) -> Iterator[None]:
    """Holds the directory alone, so that two commands do not start or end one lab at the same time."""
    try:
        if create:
            directory.mkdir(parents=True, exist_ok=True)
        with (directory / _LOCK).open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LabError(f"Another command is starting or ending the lab in {directory}.") from None
            yield
    except OSError as error:
        raise LabError(
            f"{error.filename or directory}: {error.strerror or error}. Choose another --dir."
        ) from error


def _clear(directory: Path) -> None:
    """Removes what the last lab here wrote: each start begins afresh, with new passwords and nobody signed in."""
    for pattern in _MADE_AT_EACH_START:
        for path in directory.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


# --- starting ---------------------------------------------------------------------------------------------


def _start(directory: Path, wishes: Wishes, ports: Ports, progress: Progress) -> Lab:
    installation = _obtain(wishes, progress)
    configuration = _configure(directory, wishes, ports, installation.version)
    tool_password = secrets.token_urlsafe(18)
    words = {name: secrets.token_urlsafe(12) for name in sip.registered_phones(configuration)}
    files = sip.files(configuration, installation.version, ports, words, tool_password)
    _write_asterisk(directory / "asterisk", files, installation, progress)
    progress(f"starting Asterisk {installation.version}")
    asterisk = AsteriskProcess.start(installation, directory / "asterisk")
    _check_listening(asterisk, ports)
    lab = _describe(directory, configuration, ports, words, tool_password, asterisk, installation.version)
    if not wishes.with_daemon:
        lab.write()
        return lab
    progress("starting edge")
    lab = _start_daemon(directory, lab, wishes.supervise)
    if wishes.mi:
        progress("starting edge mi")
        lab = management.start(directory, lab, configuration)
    return lab


def _obtain(wishes: Wishes, progress: Progress) -> AsteriskInstallation:
    if wishes.asterisk is not None:
        return packages.installed(wishes.asterisk)
    return packages.obtain(wishes.suite, progress=progress)


def _configure(directory: Path, wishes: Wishes, ports: Ports, version: str) -> Configuration:
    """Writes edge101.toml and its secrets, and reads them as the daemon will."""
    made = lab_configuration.document(
        directory,
        ports,
        wishes.agents,
        wishes.wrap_up_seconds,
        version,
        callbacks=wishes.callbacks,
        plan=wishes.plan,
    )
    if wishes.policy is not None:
        made = lab_configuration.merged(made, lab_configuration.read_policy(wishes.policy))
    for name in lab_configuration.SECRETS:
        _write_private(directory / "secrets" / name, secrets.token_hex(24) + "\n")
    file = directory / "edge101.toml"
    _write_private(
        file,
        "# Made by `hwtest lab up`; --policy merges tables of yours over it.\n\n"
        + lab_configuration.to_toml(made),
    )
    try:
        return load(file)
    except ConfigurationError as error:
        raise LabError(
            f"The configuration cannot be used{' with this --policy' if wishes.policy else ''}.\n{error}"
        ) from None


def _write_private(file: Path, text: str) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")


def _write_asterisk(
    directory: Path, files: Mapping[str, str], installation: AsteriskInstallation, progress: Progress
) -> None:
    for name, text in files.items():
        _write_private(directory / "etc" / name, text)
    (directory / "etc/modules.conf").write_text(modules_conf(installation))
    shutil.copytree(_prompts(progress), directory / "data/sounds")


def _prompts(progress: Progress) -> Path:
    """The spoken prompts of every language, made once and kept outside the checkout: speaking them takes some seconds."""
    shelf = packages.cache_directory() / "prompts"
    try:
        with packages.lock(shelf):
            made = prompts.make_all(shelf / "sounds")
    except prompts.PromptError as error:
        raise LabError(f"The lab's prompts cannot be made: {error}") from None
    if written := sum(len(of_language.written) for of_language in made.values()):
        progress(f"spoke {written} prompts")
    return shelf / "sounds"


def _check_listening(asterisk: AsteriskProcess, ports: Ports) -> None:
    """Asterisk starts all the same when a port was taken meanwhile, and says so only in its log."""
    if f"{HOST}:{ports.sip}" not in asterisk.cli("pjsip show transports"):
        raise LabError(
            f"Asterisk does not listen on SIP port {ports.sip}. Look at {asterisk.directory}/log/messages."
        )


def _describe(
    directory: Path,
    configuration: Configuration,
    ports: Ports,
    passwords: Mapping[str, str],
    tool_password: str,
    asterisk: AsteriskProcess,
    version: str,
) -> Lab:
    return Lab(
        sip=Address(host=HOST, port=ports.sip),
        callee=Address(host=HOST, port=ports.callee),
        lines=_lines(configuration),
        agents=tuple(_agents(configuration, ports, passwords, supervisors=False)),
        supervisors=tuple(_agents(configuration, ports, passwords, supervisors=True)),
        test_phones=tuple(_test_phones(configuration, ports, passwords)),
        codes=configuration.codes.model_dump(),
        ami=Login(host=HOST, port=ports.ami, user=sip.TOOL_USER, password=tool_password),
        ari=Login(host=HOST, port=ports.http, user=sip.TOOL_USER, password=tool_password),
        pids=Pids(asterisk=asterisk.pid),
        commands={"edge": daemon.command(directory), "asterisk": (*asterisk.command, "-f", "-n")},
        ledger=configuration.ledger.url,
        callback=_callback(configuration),
        directory=str(directory),
        config=str(directory / "edge101.toml"),
        asterisk_version=version,
        asterisk_directory=str(asterisk.directory),
        started_ticks={"asterisk": asterisk.started_ticks},
    )


def _lines(configuration: Configuration) -> dict[str, str]:
    lines = {_name_of(name): line.number for name, line in configuration.lines.items()}
    return {
        **lines,
        "plain_queue": sip.PLAIN_QUEUE,
        "plain_dial": sip.PLAIN_DIAL,
        "plain_queue_defaults": sip.PLAIN_QUEUE_DEFAULTS,
        "plain_queue_first": sip.PLAIN_QUEUE_FIRST,
    }


def _callback(configuration: Configuration) -> LabCallback | None:
    given, plans = configuration.callback, {n: queue.plan for n, queue in configuration.queues.items()}
    offering = {name: plan.ring_seconds for name, plan in plans.items() if plan is not None}
    if given is None or not offering:
        return None
    return LabCallback(key=given.key, show_number=given.show_number, trunk=given.trunk, ring_seconds=offering)


def _name_of(line: str) -> str:
    """A line's name in lab.json, which JavaScript and shells take as it is."""
    return line.replace("-", "_")


def _agents(
    configuration: Configuration, ports: Ports, passwords: Mapping[str, str], *, supervisors: bool
) -> Iterator[LabAgent]:
    for number, agent in configuration.agents.items():
        if agent.supervisor is supervisors and agent.phone is not None and agent.phone in passwords:
            yield LabAgent(
                user=agent.phone,
                password=passwords[agent.phone],
                registrar=f"{HOST}:{ports.sip}",
                number=number,
                pin=agent.pin.get_secret_value() if agent.pin else None,
                skills=tuple(agent.skills),
            )


def _test_phones(
    configuration: Configuration, ports: Ports, passwords: Mapping[str, str]
) -> Iterator[LabPhone]:
    for name, line in configuration.lines.items():
        if line.test_phone is not None and line.test_phone in passwords:
            yield LabPhone(
                user=line.test_phone,
                password=passwords[line.test_phone],
                registrar=f"{HOST}:{ports.sip}",
                line=_name_of(name),
            )


def _start_daemon(directory: Path, lab: Lab, supervise: bool) -> Lab:
    before = daemon.last_sequence(lab.ledger)
    if supervise:
        lab.write()  # the supervisor tells in it which process the daemon is
        started = processes.start(daemon.supervisor_command(directory), directory / "log/supervisor.log")
    else:
        started = processes.start(daemon.command(directory), directory / "log/edge.log")
        lab = daemon.with_process(lab, "edge", ProcessIdentity.of(started.pid))
    _wait_until_serving(directory, lab.ledger, before, started)
    if supervise:
        kept = Lab.read(directory)
        assert kept is not None, "the supervisor removed lab.json"
        lab = daemon.with_process(kept, "supervisor", ProcessIdentity.of(started.pid))
    lab.write()
    return lab


def _wait_until_serving(directory: Path, ledger: str, before: int, started: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not daemon.serves(ledger, before):
        if started.poll() is not None:
            said = (
                "does not accept its configuration" if started.returncode == EXIT_CONFIGURATION else "ended"
            )
            raise LabError(
                f"edge {said} (status {started.returncode}):\n{_end_of(directory / 'log/edge.log')}"
            )
        if time.monotonic() > deadline:
            raise LabError(
                f"edge did not reach the switch in {START_SECONDS:.0f} s:\n{_end_of(directory / 'log/edge.log')}"
            )
        time.sleep(_POLL_SECONDS)


def _end_of(log: Path, lines: int = 8) -> str:
    text = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join([*(f"  {line[:300]}" for line in text[-lines:]), f"  ({log})"])


# --- ending and looking -----------------------------------------------------------------------------------


def _stop(directory: Path) -> bool:
    """The supervisors first, so that it starts nothing; then every daemon of this configuration, whoever started it."""
    found = False
    supervisors = daemon.supervisor_command(directory), daemon.second_supervisor_command(directory)
    others = *supervisors, daemon.mi_command(directory)
    for command in (*others, *_daemon_commands(directory)):
        for process in processes.running(command):
            process.stop(STOP_SECONDS)
            found = True
    asterisk = _asterisk(directory)
    if asterisk is not None:
        found = found or asterisk.running
        asterisk.stop()
    (directory / "lab.json").unlink(missing_ok=True)
    return found


def _daemon_commands(directory: Path) -> set[tuple[str, ...]]:
    """How the daemon was started: as this program does it, and as lab.json says (another Python, say)."""
    commands = {daemon.command(directory), daemon.reserve_command(directory)}
    with contextlib.suppress(LabError):  # a damaged lab.json must not keep anything running
        if lab := Lab.read(directory):
            commands.add(lab.commands["edge"])
    return commands


def _asterisk(directory: Path) -> AsteriskProcess | None:
    try:
        return AsteriskProcess.attach(directory / "asterisk")
    except LabError:
        return None


def _ask(asterisk: AsteriskProcess, command: str) -> str:
    try:
        return asterisk.cli(command)
    except LabError:
        return ""  # it hangs or ends just now: nothing to show


def _contacts(asterisk: AsteriskProcess) -> dict[str, str]:
    """The registered contacts in what `pjsip show contacts` prints."""
    return parse_contacts(_ask(asterisk, "pjsip show contacts"))


def parse_contacts(text: str) -> dict[str, str]:
    """SIP contact by phone in what `pjsip show contacts` prints; the trunk's own is no phone's."""
    rows = re.findall(r"^\s*Contact:\s+([^/\s]+)/(\S+)", text, re.MULTILINE)
    return {name: uri for name, uri in rows if name not in (sip.CALLEE, "<Aor")}


def living_channels(listing: str) -> list[str]:
    """The lines of `core show channels concise` but for dead entries.

    Asterisk 22.10.1 leaves one now and then after a hand-over: a Surrogate, Down, without a thread, that neither ARI nor
    a hang-up can reach (docs/quirks/asterisk.md). It is no leg of anybody.
    """
    rows = [line.split("!") for line in listing.splitlines() if "!" in line]
    return ["!".join(row) for row in rows if not (row[0].startswith("Surrogate/") and row[4] == "Down")]


def _channels(asterisk: AsteriskProcess) -> int | None:
    with contextlib.suppress(LabError):
        return len(living_channels(asterisk.cli("core show channels concise")))
    return None
