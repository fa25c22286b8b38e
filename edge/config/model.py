"""What may stand in the configuration: typed sections, their units and bounds, and what the engine is given of them.

Bounds are those within which the promises of the design can be kept; each message says what would be right.
Names and numbers reach the switch's dialplan as parts of it, so their characters are narrow on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, SecretStr

from edge.config.findings import Finding
from edge.core.model import (
    Agent,
    Answer,
    Line,
    Phone,
    PhoneKind,
    Policy,
    PriorityClass,
    Queue,
    Relaxation,
    Tier,
)
from edge.pbx.asterisk.settings import AsteriskSettings

STANDARD_CLASS = "standard"
"""The class of a line that names none; it needs no section and has no head start."""


def _matching(pattern: str, meaning: str) -> AfterValidator:
    expression = re.compile(pattern)

    def validate(value: str) -> str:
        if not expression.fullmatch(value):
            raise ValueError(meaning)
        return value

    return AfterValidator(validate)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine and no other."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _loopback_host(host: str) -> str:
    if not is_loopback(host):
        raise ValueError(
            "must be an address of this machine only, such as 127.0.0.1: control interfaces are never open"
        )
    return host


def _loopback_url(url: str) -> str:
    parts = urlsplit(url)
    if (
        parts.scheme != "http"
        or not parts.hostname
        or parts.path not in ("", "/")
        or parts.query
        or "@" in url
    ):
        raise ValueError('must be a plain address such as "http://127.0.0.1:8088"')
    try:
        parts.port  # noqa: B018 - raises ValueError when out of range
    except ValueError:
        raise ValueError("must have a port from 1 to 65535") from None
    _loopback_host(parts.hostname)
    return url.rstrip("/")


Name = Annotated[
    str,
    _matching(r"[a-z0-9][a-z0-9_-]{0,31}", "must be 1 to 32 of a-z, 0-9, _ and -, not beginning with _ or -"),
]
Number = Annotated[
    str, _matching(r"\+?[0-9]{1,20}", 'must be 1 to 20 digits (a leading + is allowed), such as "101"')
]
AgentNumber = Annotated[str, _matching(r"[0-9]{1,10}", "must be 1 to 10 digits, such as 4001")]
Code = Annotated[str, _matching(r"[*#]{0,2}[0-9]{1,6}", 'must be digits after * or #, such as "*22"')]
Reason = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9]([A-Za-z0-9 _-]{0,38}[A-Za-z0-9])?", "must be 1 to 40 letters, digits, spaces, _ and -"
    ),
]
Prompt = Annotated[
    str,
    _matching(
        r"[a-z0-9][a-z0-9_-]{0,63}",
        'must be the id of a prompt (a file of the sounds folder "edge" without its ending), such as "greeting-101"',
    ),
]
User = Annotated[str, _matching(r"[A-Za-z0-9_-]{1,32}", "must be 1 to 32 letters, digits, _ and -")]
Pin = Annotated[SecretStr, AfterValidator(lambda pin: SecretStr(_checked_pin(pin.get_secret_value())))]
Password = Annotated[
    SecretStr, AfterValidator(lambda word: SecretStr(_checked_password(word.get_secret_value())))
]
Version = Annotated[str, _matching(r"[0-9]+(\.[0-9]+){0,2}", 'must be a version such as "22.10.1"')]
LoopbackHost = Annotated[str, AfterValidator(_loopback_host)]
LoopbackUrl = Annotated[str, AfterValidator(_loopback_url)]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Level = Annotated[int, Field(strict=True, ge=1, le=9)]


def _checked_pin(pin: str) -> str:
    if not re.fullmatch(r"[0-9]{4,8}", pin):
        raise ValueError("must be 4 to 8 digits")
    return pin


def _checked_password(password: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._~+/=@%^*-]{8,128}", password):
        raise ValueError("must be 8 to 128 letters, digits and ._~+/=@%^*- (try: openssl rand -hex 24)")
    return password


def _default(model: type, name: str) -> float:
    """The engine's own default, so that it is written once."""
    return next(float(f.default) for f in fields(model) if f.name == name)  # type: ignore[arg-type]


def _seconds(low: float, high: float) -> object:
    return Field(strict=True, ge=low, le=high, allow_inf_nan=False)


Short = Annotated[float, _seconds(0.5, 60)]
Ring = Annotated[float, _seconds(3, 120)]
Hour = Annotated[float, _seconds(0, 3600)]
HeadStart = Annotated[float, _seconds(0, 86400)]
DeadMan = Annotated[float, _seconds(1, 60)]


class Section(BaseModel):
    """A table of the file: unknown keys are refused, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class SiteSection(Section):
    """`[site]`: the name is shown to people, nothing else."""

    name: Annotated[str, Field(min_length=1, max_length=80)]


class AriSection(Section):
    """`[switch.ari]`: the switch's call-control interface."""

    url: LoopbackUrl = "http://127.0.0.1:8088"
    user: User = "edge101"
    password_file: Path
    password: Password = Field(default=SecretStr(""), exclude=True)
    """Read from `password_file`; never from the file itself."""


class AmiSection(Section):
    """`[switch.ami]`: the switch's manager interface."""

    host: LoopbackHost = "127.0.0.1"
    port: Port = 5038
    user: User = "edge101"
    password_file: Path
    password: Password = Field(default=SecretStr(""), exclude=True)
    """Read from `password_file`; never from the file itself."""


class SwitchSection(Section):
    """`[switch]`: what it is and how to reach it."""

    kind: Literal["asterisk"] = "asterisk"
    version: Version = "22"
    app: User = "edge101"
    ari: AriSection
    ami: AmiSection

    @property
    def version_numbers(self) -> tuple[int, ...]:
        """The version as numbers, as `dialplans.asterisk.generate` wants it."""
        return tuple(map(int, self.version.split(".")))


class LedgerSection(Section):
    """`[ledger]`: where facts are kept (an SQLAlchemy URL)."""

    url: Annotated[
        str,
        _matching(
            r"[a-z0-9+]+://\S*", 'must be a database URL such as "sqlite:////var/lib/edge101/ledger.sqlite"'
        ),
    ] = "sqlite:////var/lib/edge101/ledger.sqlite"


class LogSection(Section):
    """`[log]`."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class TimingSection(Section):
    """`[timing]`: the seconds of `edge.core.model.Policy`, with the same meaning."""

    unreachable_seconds: Short = _default(Policy, "unreachable_seconds")
    withdrawal_seconds: Short = _default(Policy, "withdrawal_seconds")
    connect_seconds: Short = _default(Policy, "connect_seconds")
    refusal_memory_seconds: Hour = _default(Policy, "refusal_memory_seconds")
    refusal_rest_seconds: Hour = _default(Policy, "refusal_rest_seconds")
    unreachable_rest_seconds: Hour = _default(Policy, "unreachable_rest_seconds")


class CodesSection(Section):
    """`[codes]`: what an agent dials on the phone."""

    sign_in: Code = "*22"
    sign_out: Code = "*23"
    ready: Code = "*24"
    not_ready: Code = "*25"


class NotReadySection(Section):
    """`[not_ready]`: the n-th reason is dialled as the not-ready code followed by n."""

    reasons: Annotated[tuple[Reason, ...], Field(max_length=99)] = ()


class ClassSection(Section):
    """`[class.NAME]`."""

    head_start_seconds: HeadStart = 0.0


class RelaxationSection(Section):
    """One element of `relax`: after that long, these skills are enough."""

    after_seconds: Hour
    skills: tuple[Name, ...]


class QueueSection(Section):
    """`[queue.NAME]`."""

    skills: tuple[Name, ...]
    offer_seconds: Ring = _default(Queue, "offer_seconds")
    wrap_up_seconds: Hour = _default(Queue, "wrap_up_seconds")
    target_seconds: Hour = _default(Queue, "target_seconds")
    target_share: Annotated[float, Field(strict=True, gt=0, le=1)] = 0.8
    relax: tuple[RelaxationSection, ...] = ()


class LineSection(Section):
    """`[line.NAME]`. `answer` and `dead_man_seconds` follow the tier unless they are given."""

    number: Number
    tier: Literal["101", "999"]
    queue: Name
    priority_class: Name = Field(default=STANDARD_CLASS, alias="class")
    answer: Answer | None = None
    greeting: Prompt | None = None
    music: Name = "default"
    dead_man_seconds: DeadMan | None = None

    @property
    def emergency(self) -> bool:
        """Whether callers of this line come before all others."""
        return self.tier == "999"

    @property
    def answered(self) -> Answer:
        """When its callers are answered: a 999 by a human, a 101 on arrival, unless the file says otherwise."""
        return self.answer or (Answer.BY_AGENT if self.emergency else Answer.ON_ARRIVAL)

    @property
    def renewed_within(self) -> float:
        """Seconds after which a waiting call that nobody renewed goes to the fallback (ASTERISK.md, rule 2)."""
        return self.dead_man_seconds or (3.0 if self.emergency else 15.0)


class AgentSection(Section):
    """`[agent.NUMBER]`. Without a PIN the agent can sign in by code only at the usual phone."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    skills: dict[Name, Level]
    phone: Name | None = None
    pin: Pin | None = None
    pin_file: Path | None = None


class PhoneSection(Section):
    """`[phone.NAME]`. A phone of kind trunk is a `number` behind `trunk`."""

    kind: PhoneKind = PhoneKind.REGISTERED
    trunk: User | None = None
    number: Number | None = None


class Configuration(Section):
    """A configuration without errors."""

    site: SiteSection
    switch: SwitchSection
    ledger: LedgerSection = LedgerSection()
    log: LogSection = LogSection()
    timing: TimingSection = TimingSection()
    codes: CodesSection = CodesSection()
    not_ready: NotReadySection = NotReadySection()
    classes: dict[Name, ClassSection] = Field(default_factory=dict, alias="class")
    queues: dict[Name, QueueSection] = Field(alias="queue", min_length=1)
    lines: dict[Name, LineSection] = Field(alias="line", min_length=1)
    agents: dict[AgentNumber, AgentSection] = Field(default_factory=dict, alias="agent")
    phones: dict[Name, PhoneSection] = Field(default_factory=dict, alias="phone")

    _digest: str = PrivateAttr(default="")
    _warnings: tuple[Finding, ...] = PrivateAttr(default=())

    def with_origin(self, digest: str, warnings: tuple[Finding, ...]) -> Configuration:
        """The same, knowing its digest and what is doubtful in it."""
        known = self.model_copy()
        known._digest, known._warnings = digest, warnings
        return known

    @property
    def digest(self) -> str:
        """SHA-256 of the file's content; comments and layout do not count."""
        return self._digest

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is doubtful and does not prevent a start."""
        return self._warnings

    def head_start_seconds(self, priority_class: str) -> float:
        """Head start of a class, in seconds."""
        section = self.classes.get(priority_class)
        return section.head_start_seconds if section else 0.0

    def policy(self) -> Policy:
        """What the engine needs of all this."""
        return Policy(
            lines={name: _line(name, section) for name, section in self.lines.items()},
            queues={name: _queue(name, section) for name, section in self.queues.items()},
            classes={
                name: PriorityClass(name=name, head_start_seconds=self.head_start_seconds(name))
                for name in sorted({STANDARD_CLASS, *self.classes})
            },
            agents={number: _agent(number, section) for number, section in self.agents.items()},
            phones={
                name: Phone(name=name, kind=section.kind, trunk=section.trunk, number=section.number)
                for name, section in self.phones.items()
            },
            digest=self.digest,
            **self.timing.model_dump(),
        )

    def asterisk_settings(self) -> AsteriskSettings:
        """What the adapter of the switch needs of all this."""
        ari, ami = self.switch.ari, self.switch.ami
        return AsteriskSettings(
            ari_url=ari.url,
            ari_user=ari.user,
            ari_password=ari.password.get_secret_value(),
            ami_host=ami.host,
            ami_port=ami.port,
            ami_user=ami.user,
            ami_password=ami.password.get_secret_value(),
            app=self.switch.app,
        )


def _line(name: str, section: LineSection) -> Line:
    return Line(
        name=name,
        number=section.number,
        queue=section.queue,
        tier=Tier.EMERGENCY if section.emergency else Tier.ROUTINE,
        priority_class=section.priority_class,
        answer=section.answered,
        greeting=section.greeting,
        music=section.music,
        dead_man_seconds=section.renewed_within,
    )


def _queue(name: str, section: QueueSection) -> Queue:
    return Queue(
        name=name,
        skills=section.skills,
        relaxations=tuple(Relaxation(after_seconds=r.after_seconds, skills=r.skills) for r in section.relax),
        offer_seconds=section.offer_seconds,
        wrap_up_seconds=section.wrap_up_seconds,
        target_seconds=section.target_seconds,
        target_share=section.target_share,
    )


def _agent(number: str, section: AgentSection) -> Agent:
    skills: Mapping[str, int] = dict(section.skills)
    return Agent(number=number, name=section.name, skills=skills, phone=section.phone)
