"""D/lab.json: what a running lab tells other tools. Fields are added when needed and never change their meaning."""

import os
import tempfile
from pathlib import Path
from typing import Self

import msgspec

from hwtest.lab.packages import LabError

FILE = "lab.json"


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where something listens."""

    host: str
    port: int


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A control interface of Asterisk and an account with every right, for tools; the daemon has one of its own."""

    host: str
    port: int
    user: str
    password: str


class LabAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent and the phone whose usual agent it is: dialling `sign_in` alone there signs the agent in."""

    user: str
    """The phone's SIP user name."""
    password: str
    registrar: str
    """host:port."""
    number: str
    """The agent's number."""
    pin: str | None
    skills: tuple[str, ...]


class LabPhone(msgspec.Struct, frozen=True, kw_only=True):
    """A phone that is nobody's."""

    user: str
    """Its SIP user name."""
    password: str
    registrar: str
    """host:port."""
    line: str
    """What rings it: a name in `lines`."""


class Pids(msgspec.Struct, frozen=True, kw_only=True):
    """Process ids; null for what was not started."""

    asterisk: int
    edge: int | None = None
    mi: int | None = None
    supervisor: int | None = None


class Mi(msgspec.Struct, frozen=True, kw_only=True):
    """Where the management-information interface answers; null where there is none."""

    url: str | None = None
    token: str | None = None


class LabCallback(msgspec.Struct, frozen=True, kw_only=True):
    """How call-backs are had in this lab: a caller of 101 who hears the offer presses `key`, and then answers the questions."""

    key: str
    """Accepts the offer. Then 1 means yes, 2 another number, * to go on waiting; a number is ended by #."""
    show_number: str
    """What the person sees who is called back, and may call: the line `callback`."""
    trunk: str
    """Call-backs arrive at `callee` in lab.json, as calls to the number in national digits."""
    ring_seconds: dict[str, float]
    """By queue that offers call-backs: how long the person's phone rings."""


class Lab(msgspec.Struct, frozen=True, kw_only=True):
    """The content of lab.json. It holds passwords: its file is for its owner only."""

    sip: Address
    callee: Address
    """Where calls to public numbers are sent."""
    lines: dict[str, str]
    """Number to dial, by what it is for."""
    agents: tuple[LabAgent, ...]
    supervisors: tuple[LabAgent, ...] = ()
    """Not among `agents`: rung by a 999 that nobody answers."""
    test_phones: tuple[LabPhone, ...] = ()
    """Rung by the lines for test calls."""
    codes: dict[str, str]
    ami: Login
    ari: Login
    pids: Pids
    commands: dict[str, tuple[str, ...]]
    """How to start a part again."""
    ledger: str
    mi: Mi = Mi()
    callback: LabCallback | None = None
    """Null where nobody is offered a call-back."""
    directory: str
    config: str
    asterisk_version: str
    asterisk_directory: str
    """Asterisk's own folder: etc, log, lib (what `AsteriskProcess.attach` takes)."""
    started_ticks: dict[str, int]
    """Start time of each process by its name in `pids`, in kernel ticks from boot (proc(5)): an id alone may be reused."""

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """The lab of this directory, None if there is none. Raises LabError if its file is damaged."""
        file = directory / FILE
        try:
            return msgspec.json.decode(file.read_bytes(), type=cls)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LabError(
                f"{file} cannot be read ({error.strerror}). It is for its owner alone: work as the user who started the lab."
            ) from None
        except msgspec.DecodeError as error:
            raise LabError(
                f"{file} is damaged ({error}). Remove it, then `hwtest lab down --dir {directory}`."
            ) from None

    def write(self) -> None:
        """Replaces lab.json whole, so that a reader never sees a part."""
        descriptor, name = tempfile.mkstemp(dir=self.directory, prefix=".lab-")  # 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")
            Path(name).replace(Path(self.directory, FILE))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
