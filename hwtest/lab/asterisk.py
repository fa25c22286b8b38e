"""Runs one Asterisk of a lab: everything it writes is below one directory, and any process can find it again.

D/etc      configuration (ours: asterisk.conf, and small ones that are absent; the rest must be there at start)
D/data     sounds, music and documentation: links into the installation beside the lab's own files
D/log      messages (warnings and errors) and console (what Asterisk printed)
D/lib, D/spool, D/run
D/asterisk.json  what `AsteriskProcess.attach` needs
"""

import contextlib
import hashlib
import json
import os
import resource
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hwtest.lab.packages import AsteriskInstallation, LabError

START_SECONDS = 60.0
STOP_SECONDS = 5.0
"""It takes 0.05 to 0.7 s, or, after a night with many calls, never ends (docs/quirks/asterisk.md)."""
TERMINATE_SECONDS = 1.0
COMMAND_SECONDS = 10.0
_POLL_SECONDS = 0.02
_SOCKET_PATH_BYTES = 107  # sun_path is 108 bytes with its terminating zero: unix(7)
_MAXIMUM_FILES = 65536  # a call takes about eight descriptors and the shell's usual limit is 1024

# With autoload=no each module must be named, those that others need included. docs/quirks/asterisk.md tells how
# the list was found. Names that a version does not have are left out by modules_conf().
_MODULES = """
    res_timing_timerfd res_sorcery_config res_sorcery_memory res_sorcery_astdb res_crypto
    res_pjproject res_pjsip res_pjsip_session res_pjsip_sdp_rtp res_pjsip_pubsub
    res_pjsip_authenticator_digest res_pjsip_outbound_authenticator_digest
    res_pjsip_endpoint_identifier_user res_pjsip_endpoint_identifier_ip
    res_pjsip_endpoint_identifier_anonymous
    res_pjsip_registrar res_pjsip_outbound_registration res_pjsip_acl res_pjsip_nat res_pjsip_path
    res_pjsip_caller_id res_pjsip_diversion res_pjsip_dtmf_info res_pjsip_empty_info res_pjsip_rfc3326
    res_pjsip_dlg_options res_pjsip_header_funcs res_pjsip_refer res_pjsip_messaging res_pjsip_notify
    res_pjsip_mwi res_pjsip_mwi_body_generator res_pjsip_logger
    chan_pjsip func_pjsip_endpoint func_pjsip_aor func_pjsip_contact
    res_rtp_asterisk chan_bridge_media
    bridge_simple bridge_native_rtp bridge_softmix bridge_holding
    bridge_builtin_features bridge_builtin_interval_features
    codec_ulaw codec_alaw codec_a_mu codec_gsm codec_g722 codec_resample
    format_gsm format_pcm format_wav format_wav_gsm format_sln
    res_http_websocket res_websocket_client res_ari res_ari_model res_ari_applications res_ari_asterisk
    res_ari_bridges res_ari_channels res_ari_device_states res_ari_endpoints res_ari_events
    res_ari_playbacks res_ari_recordings res_ari_sounds
    res_stasis res_stasis_answer res_stasis_broadcast res_stasis_device_state res_stasis_playback
    res_stasis_recording res_stasis_snoop app_stasis app_stasis_broadcast
    res_musiconhold app_playback app_dial app_queue app_read app_echo app_milliwatt app_verbose
    app_stack app_exec app_while app_userevent app_db app_originate app_senddtmf app_record app_mixmonitor
    app_waitforcond app_bridgewait app_bridgeaddchan app_chanspy app_softhangup app_transfer app_blind_transfer
    app_attended_transfer app_channelredirect app_playtones app_system app_controlplayback
    func_aes func_base64 func_callerid func_channel func_cut func_db func_devstate func_dialgroup
    func_dialplan func_env func_evalexten func_export func_extstate func_frame_drop func_global func_groupcount
    func_hangupcause func_json func_lock func_logic func_math func_md5 func_module func_periodic_hook
    func_rand func_scramble func_sha1 func_sprintf func_strings func_sysinfo func_talkdetect func_timeout
    func_uri func_uuid func_version func_volume
    res_manager_devicestate pbx_config res_security_log cel_manager res_clioriginate
    res_cdrel_custom cel_custom cdr_custom func_cdr
"""

# Written where the lab brings none of its own: Asterisk logs an error for each that is missing.
_DEFAULT_FILES = {
    # no verbose messages: they would hold callers' numbers
    "logger.conf": "[general]\ndateformat = %F %T.%3q\nqueue_log = yes\n[logfiles]\nmessages = notice,warning,error\n",
    "cdr.conf": "[general]\nenable = no\n",
    "cel.conf": "[general]\nenable = no\n",
    # United Kingdom: BT SIN 350
    "indications.conf": "[general]\ncountry = uk\n[uk]\ndescription = United Kingdom\nringcadence = 400,200,400,2000\n"
    "dial = 350+440\nring = 400+450/400,0/200,400+450/400,0/2000\n"
    "busy = 400/375,0/375\ncongestion = 400/400,0/350,400/225,0/525\n",
    **dict.fromkeys(
        (
            "acl.conf",
            "ccss.conf",
            "features.conf",
            "pjproject.conf",
            "pjsip_notify.conf",
            "queuerules.conf",
            "udptl.conf",
            "websocket_client.conf",
        ),
        "; defaults\n",
    ),
}


def modules_conf(installation: AsteriskInstallation | None = None) -> str:
    """modules.conf with what a line, an agent and a queue need and no more: fewer modules start faster.

    With an installation, only the modules that its version has.
    """
    names = [name for name in _MODULES.split() if installation is None or installation.has_module(name)]
    return "[modules]\nautoload = no\n" + "".join(f"load = {name}.so\n" for name in names)


@dataclass(frozen=True)
class AsteriskProcess:
    """A running (or ended) Asterisk of one lab directory."""

    directory: Path
    command: tuple[str, ...]
    pid: int
    started_ticks: int
    """When the process started, in the kernel's ticks since boot: its id may be given to another after its end."""

    @classmethod
    def start(
        cls, installation: AsteriskInstallation, directory: Path, deadline_seconds: float = START_SECONDS
    ) -> Self:
        """Starts Asterisk on the configuration in directory/etc and waits until it is fully booted.

        Raises LabError if it ends or does not answer in time (it is then no longer running), and if one already
        runs in the directory.
        """
        directory = directory.absolute()
        if (directory / "asterisk.json").exists() and cls.attach(directory).running:
            raise LabError(f"An Asterisk runs in {directory} already. `hwtest lab down` ends it.")
        _prepare(installation, directory)
        command = (*installation.command, "-C", str(_configuration(directory)))
        pid = _spawn((*command, "-f", "-n"), directory / "log/console")
        process = cls(directory, command, pid, _state_and_start(pid)[1])
        process._remember()
        try:
            process._wait_until_booted(time.monotonic() + deadline_seconds)
        except BaseException:
            process.kill()
            raise
        return process

    @classmethod
    def attach(cls, directory: Path) -> Self:
        """The Asterisk that another process started in this directory. Raises LabError if none was."""
        directory = directory.absolute()
        file = directory / "asterisk.json"
        try:
            kept = json.loads(file.read_text())
            return cls(directory, tuple(kept["command"]), kept["pid"], kept["started_ticks"])
        except FileNotFoundError:
            raise LabError(f"No Asterisk was started in {directory}. `hwtest lab up` starts one.") from None
        except (ValueError, KeyError, TypeError):
            raise LabError(
                f"{file} is damaged: end the Asterisk whose command has `-C {_configuration(directory)}` by its id (pgrep -af), "
                "and remove the file."
            ) from None

    @property
    def running(self) -> bool:
        """Whether the process lives (a zombie does not)."""
        _reap(self.pid)
        state, started_ticks = _state_and_start(self.pid)
        return state not in "ZX" and started_ticks == self.started_ticks

    def cli(self, command: str, timeout_seconds: float = COMMAND_SECONDS) -> str:
        """The answer to one command of Asterisk's console. Raises LabError if there is none in time."""
        try:
            result = subprocess.run(
                (*self.command, "-n", "-rx", command),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LabError(
                f"Asterisk in {self.directory} gave no answer in {timeout_seconds:.0f} s. "
                "It hangs or is stopped: `hwtest lab down` ends it."
            ) from None
        if result.returncode:
            raise LabError(f"Asterisk in {self.directory} does not answer. Look at {self.directory / 'log'}.")
        return result.stdout

    def stop(self) -> None:
        """Ends Asterisk and with it every call: first by its console, then by signals.

        Where the console was asked in vain, SIGTERM asks for the same once more: it gets no long time of its own.
        """
        self._signal(signal.SIGCONT)  # an experiment may have stopped it
        deadline = time.monotonic() + STOP_SECONDS
        if self.running:
            with contextlib.suppress(LabError):
                self.cli("core stop now", STOP_SECONDS)
        if not self._ended_within(deadline - time.monotonic()):
            self._signal(signal.SIGTERM)
            if not self._ended_within(TERMINATE_SECONDS):
                self.kill()
        _remove_run_directory(self.directory)

    def kill(self) -> None:
        """Ends Asterisk as a crash would (SIGKILL)."""
        self._signal(signal.SIGKILL)
        self._ended_within(STOP_SECONDS)

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return not self.running

    def _remember(self) -> None:
        content = json.dumps({"pid": self.pid, "started_ticks": self.started_ticks, "command": self.command})
        draft = self.directory / ".asterisk.json"
        draft.write_text(content)
        draft.replace(self.directory / "asterisk.json")

    def _wait_until_booted(self, deadline: float) -> None:
        socket = self.directory / "run/asterisk.ctl"
        while not socket.exists():
            self._check_starting(deadline)
            time.sleep(_POLL_SECONDS)
        # The socket is there some milliseconds before it listens.
        while not self._booted(deadline):
            self._check_starting(deadline)
            time.sleep(_POLL_SECONDS)

    def _booted(self, deadline: float) -> bool:
        try:
            return "fully booted" in self.cli("core waitfullybooted", max(0.1, deadline - time.monotonic()))
        except LabError:
            return False

    def _check_starting(self, deadline: float) -> None:
        where = f"Look at messages and console in {self.directory / 'log'}."
        if not self.running:
            raise LabError(f"Asterisk ended while it started. {where}")
        if time.monotonic() > deadline:
            raise LabError(f"Asterisk did not answer in time. {where}")


def _configuration(directory: Path) -> Path:
    return directory / "etc/asterisk.conf"


def _prepare(installation: AsteriskInstallation, directory: Path) -> None:
    for name in ("etc", "lib/keys", "spool", "log/cel-custom", "log/cdr-custom"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    _link_data(installation.data_directory, directory / "data")
    _make_run_directory(directory)
    _configuration(directory).write_text(asterisk_conf(installation, directory))
    for name, content in _DEFAULT_FILES.items():
        if not (directory / "etc" / name).exists():
            (directory / "etc" / name).write_text(content)


def asterisk_conf(installation: AsteriskInstallation, directory: Path) -> str:
    """asterisk.conf for an Asterisk that reads the installation and writes below the directory only."""
    run = (directory / "run").resolve()
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    maximum_files = (
        _MAXIMUM_FILES if hard_limit == resource.RLIM_INFINITY else min(hard_limit, _MAXIMUM_FILES)
    )
    return f"""\
[directories]
astetcdir = {directory}/etc
astmoddir = {installation.module_directory}
astvarlibdir = {directory}/lib
astdbdir = {directory}/lib
astkeydir = {directory}/lib
astdatadir = {directory}/data
astagidir = {directory}/data/agi-bin
astspooldir = {directory}/spool
astrundir = {run}
astlogdir = {directory}/log

[options]
systemname = {directory.name}
documentation_language = en_US
nocolor = yes
hideconnect = yes
transmit_silence = no
maxfiles = {maximum_files}
"""


def _link_data(source: Path, target: Path) -> None:
    """Links the installation's data, folder by folder where the lab adds files of its own (sounds, music)."""
    for folder in ("", "sounds", "moh"):
        _link_entries(source / folder, target / folder)
    english = source / "sounds/en"
    if not english.is_dir():  # `en` is made by update-alternatives, which unpacking does not run
        english = next(iter(sorted((source / "sounds").glob("en_*"))), english)
    _link_entries(english, target / "sounds/en")


def _link_entries(source: Path, target: Path) -> None:
    if target.is_symlink():
        target.unlink()
    target.mkdir(parents=True, exist_ok=True)
    for entry in source.iterdir() if source.is_dir() else ():
        link = target / entry.name
        if link.is_symlink():
            link.unlink()
        if entry.exists() and not link.exists():  # Debian's own links to /var/lib/asterisk dangle here
            link.symlink_to(entry)


def _make_run_directory(directory: Path) -> None:
    """D/run, or a link from there to a short folder: a unix socket's path has 107 bytes at most."""
    run = directory / "run"
    _remove_run_directory(directory)
    if len(os.fsencode(run.resolve() / "asterisk.ctl")) > _SOCKET_PATH_BYTES:
        digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:8]
        run.symlink_to(tempfile.mkdtemp(prefix=f"edge101-{digest}-", dir="/tmp"))
    run.mkdir(exist_ok=True)


def _remove_run_directory(directory: Path) -> None:
    run = directory / "run"
    for name in ("asterisk.ctl", "asterisk.pid"):
        (run / name).unlink(missing_ok=True)
    if run.is_symlink():
        with contextlib.suppress(OSError):
            run.resolve().rmdir()
        run.unlink()


def _spawn(command: tuple[str, ...], console: Path) -> int:
    """Starts a process that outlives us: in a session of its own, so the terminal's Ctrl-C does not reach it."""
    actions = (
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(console), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    )
    return os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsid=True)


def _state_and_start(pid: int) -> tuple[str, int]:
    """The process's state letter and start time (proc(5), fields 3 and 22); ("X", 0) if there is none."""
    try:
        fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "X", 0
    return fields[0], int(fields[19])


def _reap(pid: int) -> None:
    """Collects the exit status if the process was ours and has ended; another's child is not ours to collect."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
