"""What is tested: a lab by its lab.json, or an appliance by a profile that describes it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from hwtest.lab.contract import FILE, Address, Lab, Login, Mi
from hwtest.lab.packages import LabError

CALLS_PER_MINUTE = 6
"""On a live target; a profile may lower it."""


class TargetError(Exception):
    """The target cannot be used. The message says what is wrong, where, and how to mend it."""


class Kind(StrEnum):
    """`lab`: may be loaded and broken. `live`: serves people."""

    LAB = "lab"
    LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A number that may be called."""

    number: str
    phone: str | None = None
    """The phone that it rings and no other: a name in `phones`."""
    looks_like_emergency: bool = False
    """Whether its owner knows that it begins like an emergency number, and has seen that it rings the test phone alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """A phone that hwtest may be."""

    user: str
    password: str = field(repr=False)
    registrar: str
    """host:port."""
    agent: str | None = None
    """Number of the agent whose usual phone it is; only in a lab."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """How a live target is spared."""

    per_minute: int = CALLS_PER_MINUTE
    other_calls_at_most: int = 0
    """With more calls in progress that are not ours we stand back."""
    unseen: bool = False
    """Whether to call although no control interface shows whether other calls are in progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """By which names the daemon is known to the switch."""

    app: str = "edge101"
    """To ARI: `[switch] app` of its configuration."""
    user: str = "edge101"
    """To AMI: `[switch.ami] user`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is tested, and what may be done to it."""

    name: str
    kind: Kind
    source: Path
    """The file that describes it."""
    sip: Address
    local_address: str = "127.0.0.1"
    """Our own address on the way to it."""
    caller: str
    """The number that test calls come from."""
    caller_phone: str | None = None
    """Which of `phones` test calls are placed as, where the switch takes calls from phones it knows alone."""
    lines: Mapping[str, Line]
    """By name. On a live target these and no others are called."""
    phones: Mapping[str, Phone] = field(default_factory=dict)
    trunks: Mapping[str, Address] = field(default_factory=dict)
    ami: Login | None = None
    ari: Login | None = None
    mi: Mi = field(default_factory=Mi)
    ledger: str | None = None
    daemon: Daemon | None = None
    """None: no daemon is expected to serve this switch."""
    calls: Calls = Calls()
    thresholds: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    """What is expected here instead: passes and warns, by probe and figure."""
    lab: Lab | None = None
    """Everything that lab.json says; None for an appliance."""

    @property
    def is_lab(self) -> bool:
        """Whether it is marked as a lab."""
        return self.kind is Kind.LAB

    @property
    def test_line(self) -> tuple[str, Line] | None:
        """The line for test calls: the first that rings a phone which hwtest may be, with its name."""
        return next(
            ((name, line) for name, line in self.lines.items() if line.phone in self.phones and line.phone),
            None,
        )


CALLER = "07700900123"
"""Of Ofcom's numbers for drama: nobody has it."""


def open_target(file: Path) -> Target:
    """The target of a file: lab.json, the folder of a lab, or a profile. Raises TargetError."""
    if file.is_dir():
        file = file / FILE
    if file.name == FILE:
        return _of_lab_file(file)
    if file.suffix == ".json":
        raise TargetError(
            f"{file}: a JSON file is a target only by the name of {FILE}, in the folder of its lab. Name that folder, "
            "or a profile in TOML (docs/hwtest.md)."
        )
    from hwtest.profile import read_profile

    return read_profile(file)


def _of_lab_file(file: Path) -> Target:
    try:
        lab = Lab.read(file.parent)
    except LabError as error:
        raise TargetError(str(error)) from None
    if lab is None:
        raise TargetError(
            f"No lab is up in {file.parent}. Start it: hwtest lab up --dir {file.parent}; "
            "or name another target: --target FILE."
        )
    return of_lab(lab, file)


def of_lab(lab: Lab, file: Path) -> Target:
    """A lab as a target: every line that lab.json names may be called."""
    rung = {phone.line: phone.user for phone in lab.test_phones}
    people = (*lab.agents, *lab.supervisors)
    return Target(
        name=f"lab {lab.directory}",
        kind=Kind.LAB,
        source=file,
        sip=lab.sip,
        caller=CALLER,
        lines={name: Line(number=number, phone=rung.get(name)) for name, number in lab.lines.items()},
        phones={
            **{
                phone.user: Phone(user=phone.user, password=phone.password, registrar=phone.registrar)
                for phone in lab.test_phones
            },
            **{
                agent.user: Phone(
                    user=agent.user,
                    password=agent.password,
                    registrar=agent.registrar,
                    agent=agent.number,
                )
                for agent in people
            },
        },
        ami=lab.ami,
        ari=lab.ari,
        mi=lab.mi,
        ledger=lab.ledger,
        daemon=_daemon_of(lab),
        lab=lab,
    )


def _daemon_of(lab: Lab) -> Daemon | None:
    """None for a lab that was started without one."""
    if lab.pids.edge is None:
        return None
    try:
        switch = tomllib.loads(Path(lab.config).read_text(encoding="utf-8")).get("switch", {})
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TargetError(f"{lab.config}: the lab's configuration cannot be read: {error}.") from None
    default = Daemon()
    return Daemon(app=switch.get("app", default.app), user=switch.get("ami", {}).get("user", default.user))
